//! The fields of an object that a reader knows, each kept in place until it is asked for.
//!
//! Deliberately absent: which fields there are (`api`).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::{SmallVec, smallvec};

use super::json_values::{JsonObject, JsonText};
use super::{RawData, data};

/// The names of the fields that a reader knows. Closed, so that what an error says about one
/// is nothing of the peer's.
pub(super) trait FieldName: Copy + 'static {
    /// All of them, in the order of `index`.
    const ALL: &'static [Self];
    /// What is wrong where there is no object at all.
    const WHOLE: Self;

    /// Its name in the object.
    fn name(self) -> &'static str;

    /// Dense, for tables.
    fn index(self) -> usize;
}

/// This field is missing, or out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldError<F>(pub F);

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
    pub(super) fn of(bytes: &'a [u8]) -> Result<JsonFields<'a, F>, FieldError<F>> {
        if bytes.is_empty() {
            return Ok(JsonFields::default());
        }
        let text = simdutf8::basic::from_utf8(bytes).map_err(|_| FieldError(F::WHOLE))?;
        let object = serde_json::from_str::<JsonObject<JsonFields<'a, F>>>(text);
        object.map(|object| object.0.unwrap_or_default()).map_err(|_| FieldError(F::WHOLE))
    }

    /// A text; `None` when it is absent.
    pub(super) fn text(
        &self,
        field: F,
        is_right: impl FnOnce(&str) -> bool,
    ) -> Result<Option<Cow<'a, str>>, FieldError<F>> {
        let Some(raw) = self.raw(field)? else { return Ok(None) };
        match serde_json::from_str::<JsonText<'a>>(raw) {
            Ok(JsonText(text)) if is_right(&text) => Ok(Some(text)),
            Ok(_) | Err(_) => Err(FieldError(field)),
        }
    }

    /// A text that has to be there.
    pub(super) fn needed_text(
        &self,
        field: F,
        is_right: impl FnOnce(&str) -> bool,
    ) -> Result<Cow<'a, str>, FieldError<F>> {
        self.text(field, is_right)?.ok_or(FieldError(field))
    }

    /// A number in digits, without sign, fraction or exponent.
    pub(super) fn number(
        &self,
        field: F,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, FieldError<F>> {
        let Some(raw) = self.raw(field)? else { return Ok(None) };
        match raw.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(FieldError(field)),
        }
    }

    /// A number that has to be there.
    pub(super) fn needed_number(
        &self,
        field: F,
        range: RangeInclusive<u64>,
    ) -> Result<u64, FieldError<F>> {
        self.number(field, range)?.ok_or(FieldError(field))
    }

    /// Application data: any JSON, `null` too, that harms no reader.
    pub(super) fn needed_data(&self, field: F) -> Result<RawData<'a>, FieldError<F>> {
        match self.found(field) {
            Found::Once(raw) => data::json(raw.get().as_bytes()).map_err(|_| FieldError(field)),
            Found::Nothing | Found::Twice => Err(FieldError(field)),
        }
    }

    /// The JSON of a field; `null` is the same as absent.
    pub(super) fn raw(&self, field: F) -> Result<Option<&'a str>, FieldError<F>> {
        match self.found(field) {
            Found::Nothing => Ok(None),
            Found::Once(raw) => Ok(Some(raw.get()).filter(|&raw| raw != "null")),
            Found::Twice => Err(FieldError(field)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Name {
        Whole,
        To,
        Offset,
    }

    impl FieldName for Name {
        const ALL: &'static [Name] = &[Name::Whole, Name::To, Name::Offset];
        const WHOLE: Name = Name::Whole;

        fn name(self) -> &'static str {
            match self {
                Name::Whole => "body",
                Name::To => "to",
                Name::Offset => "offset",
            }
        }

        fn index(self) -> usize {
            self as usize
        }
    }

    type Fields<'a> = JsonFields<'a, Name>;

    #[test]
    fn what_is_no_object_is_wrong_as_a_whole() {
        for good in [&b""[..], b"null", b"{}", b" {\"x\":[1]} "] {
            assert!(Fields::of(good).is_ok(), "{good:?}");
        }
        for bad in [&b"1"[..], b"[]", b"[1]", b"\"a\"", b"{", b"{} {}", b"\xff", b"{\"a\":\xff}"] {
            assert_eq!(Fields::of(bad).err(), Some(FieldError(Name::Whole)), "{bad:?}");
        }
    }

    #[test]
    fn a_number_is_digits_in_its_range() {
        let number = |text: &str| {
            let data = format!("{{\"offset\":{text}}}");
            Fields::of(data.as_bytes()).unwrap().number(Name::Offset, 0..=7)
        };
        for (text, want) in [("0", Some(0)), ("7", Some(7)), ("null", None)] {
            assert_eq!(number(text), Ok(want));
        }
        for wrong in ["8", "18446744073709551616", "-1", "-0", "1.0", "1e0", "\"1\"", "true", "[1]"]
        {
            assert_eq!(number(wrong), Err(FieldError(Name::Offset)), "{wrong}");
        }
    }

    #[test]
    fn a_text_stands_once_and_borrows_unless_it_holds_an_escape() {
        let text = |data: &'static str| {
            Fields::of(data.as_bytes()).unwrap().text(Name::To, |text| text != "no")
        };
        assert!(matches!(text(r#"{"to":"ann"}"#), Ok(Some(Cow::Borrowed("ann")))));
        assert_eq!(text(r#"{"t\u006f":"\u0061nn"}"#), Ok(Some("ann".into())));
        assert_eq!(text(r#"{"to":null}"#), Ok(None));
        for wrong in [
            r#"{"to":"no"}"#,
            r#"{"to":1}"#,
            r#"{"to":["a"]}"#,
            r#"{"to":"\ud800"}"#,
            r#"{"to":"ann","to":"ann"}"#,
            r#"{"to":null,"to":"ann"}"#,
        ] {
            assert_eq!(text(wrong), Err(FieldError(Name::To)), "{wrong}");
        }
    }
}
