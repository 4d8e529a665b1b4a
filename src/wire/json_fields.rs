//! The fields of an object that a reader knows, each kept in place until it is asked for.
//!
//! Deliberately absent: which fields there are (`chat`, `api`).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::{SmallVec, smallvec};

use super::json_bounded::BoundedList;
use super::json_values::{JsonObject, JsonText};
use super::{RawData, data};

/// The names of the fields that a reader knows. Closed, so that what an error says about one
/// is nothing of the peer's.
pub(super) trait FieldName: Copy + 'static {
    /// What says that one is missing, or out of its range.
    type Error;

    /// All of them, in the order of `index`.
    const ALL: &'static [Self];
    /// What is wrong where there is no object at all.
    const WHOLE: Self;

    /// Its name in the object.
    fn name(self) -> &'static str;

    /// Dense, for tables.
    fn index(self) -> usize;

    /// That it is missing, or out of its range.
    fn wrong(self) -> Self::Error;
}

/// Fields that stand in place; more are in a list of their own.
const INLINE_FIELDS: usize = 16;

/// The fields of one object, not looked into. What appears twice is wrong: two
/// readers could choose differently.
pub(super) struct JsonFields<'a, F> {
    found: SmallVec<[Found<'a>; INLINE_FIELDS]>,
    names: PhantomData<F>,
}

#[derive(Clone, Copy, Default)]
enum Found<'a> {
    #[default]
    Nothing,
    Once(&'a RawValue),
    Twice,
}

impl<F: FieldName> Default for JsonFields<'_, F> {
    fn default() -> Self {
        JsonFields { found: smallvec![Found::Nothing; F::ALL.len()], names: PhantomData }
    }
}

impl<'a, F: FieldName> JsonFields<'a, F> {
    /// The fields of an object; what is no object is wrong as a whole. No data and
    /// `null` are an object without fields.
    pub(super) fn of(bytes: &'a [u8]) -> Result<JsonFields<'a, F>, F::Error> {
        if bytes.is_empty() {
            return Ok(JsonFields::default());
        }
        let text = simdutf8::basic::from_utf8(bytes).map_err(|_| F::WHOLE.wrong())?;
        let object = serde_json::from_str::<JsonObject<JsonFields<'a, F>>>(text);
        object.map(|object| object.0.unwrap_or_default()).map_err(|_| F::WHOLE.wrong())
    }

    /// A text; `None` when it is absent.
    pub(super) fn text(
        &self,
        field: F,
        is_right: impl FnOnce(&str) -> bool,
    ) -> Result<Option<Cow<'a, str>>, F::Error> {
        let Some(raw) = self.raw(field)? else { return Ok(None) };
        match serde_json::from_str::<JsonText<'a>>(raw) {
            Ok(JsonText(text)) if is_right(&text) => Ok(Some(text)),
            Ok(_) | Err(_) => Err(field.wrong()),
        }
    }

    /// A text that has to be there.
    pub(super) fn needed_text(
        &self,
        field: F,
        is_right: impl FnOnce(&str) -> bool,
    ) -> Result<Cow<'a, str>, F::Error> {
        self.text(field, is_right)?.ok_or(field.wrong())
    }

    /// A number in digits, without sign, fraction or exponent.
    pub(super) fn number(
        &self,
        field: F,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, F::Error> {
        let Some(raw) = self.raw(field)? else { return Ok(None) };
        match raw.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(field.wrong()),
        }
    }

    /// A number that has to be there.
    pub(super) fn needed_number(
        &self,
        field: F,
        range: RangeInclusive<u64>,
    ) -> Result<u64, F::Error> {
        self.number(field, range)?.ok_or(field.wrong())
    }

    /// A list of at most `MAX` entries, if it is there.
    pub(super) fn list<T: Deserialize<'a>, const MAX: usize>(
        &self,
        field: F,
    ) -> Result<Option<Vec<T>>, F::Error> {
        let Some(raw) = self.raw(field)? else { return Ok(None) };
        let list = serde_json::from_str(raw).map_err(|_| field.wrong())?;
        let BoundedList::<T, MAX>(list) = list;
        Ok(Some(list))
    }

    /// The same, where it has to be there.
    pub(super) fn needed_list<T: Deserialize<'a>, const MAX: usize>(
        &self,
        field: F,
    ) -> Result<Vec<T>, F::Error> {
        self.list::<T, MAX>(field)?.ok_or(field.wrong())
    }

    /// The JSON of a field that has to be there.
    pub(super) fn needed_raw(&self, field: F) -> Result<&'a str, F::Error> {
        self.raw(field)?.ok_or(field.wrong())
    }

    /// A flag; absent is the same as `false`.
    pub(super) fn flag(&self, field: F) -> Result<bool, F::Error> {
        match self.raw(field)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(field.wrong()),
        }
    }

    /// Application data: any JSON, `null` too, that harms no reader.
    pub(super) fn needed_data(&self, field: F) -> Result<RawData<'a>, F::Error> {
        match self.found(field) {
            Found::Once(raw) => data::json(raw.get().as_bytes()).map_err(|_| field.wrong()),
            Found::Nothing | Found::Twice => Err(field.wrong()),
        }
    }

    /// The JSON of a field; `null` is the same as absent.
    pub(super) fn raw(&self, field: F) -> Result<Option<&'a str>, F::Error> {
        match self.found(field) {
            Found::Nothing => Ok(None),
            Found::Once(raw) => Ok(Some(raw.get()).filter(|&raw| raw != "null")),
            Found::Twice => Err(field.wrong()),
        }
    }

    fn found(&self, field: F) -> Found<'a> {
        self.found[field.index()]
    }
}

impl<'de, F: FieldName> Deserialize<'de> for JsonFields<'de, F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JsonFields<'de, F>, D::Error> {
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}

struct FieldsVisitor<F>(PhantomData<F>);

impl<'de, F: FieldName> Visitor<'de> for FieldsVisitor<F> {
    type Value = JsonFields<'de, F>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonFields<'de, F>, A::Error> {
        let mut fields = JsonFields::default();
        while let Some(JsonText(name)) = map.next_key::<JsonText<'de>>()? {
            let Some(field) = F::ALL.iter().find(|field| field.name() == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<&'de RawValue>()?;
            let found = &mut fields.found[field.index()];
            *found = match *found {
                Found::Nothing => Found::Once(value),
                Found::Once(_) | Found::Twice => Found::Twice,
            };
        }
        Ok(fields)
    }
}
