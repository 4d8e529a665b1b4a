//! The fields of a method's data, each kept in place until it is asked for.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::error_code::{Field, InvalidFieldError};
use crate::wire::json_values::{JsonObject, JsonText};
use crate::wire::{RawData, data};

/// The fields of one object, not looked into. What appears twice is wrong: two
/// readers could choose differently.
#[derive(Default)]
pub(super) struct ChatFields<'a>([Found<'a>; Field::ALL.len()]);

#[derive(Clone, Copy, Default)]
enum Found<'a> {
    #[default]
    Nothing,
    Once(&'a RawValue),
    Twice,
}

impl<'a> ChatFields<'a> {
    /// The fields of a method's data; what is no object is wrong as a whole. No data and
    /// `null` are an object without fields.
    pub(super) fn of(bytes: &'a [u8]) -> Result<ChatFields<'a>, InvalidFieldError> {
        if bytes.is_empty() {
            return Ok(ChatFields::default());
        }
        let text = simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidFieldError(Field::Data))?;
        let object = serde_json::from_str::<JsonObject<ChatFields<'a>>>(text);
        object
            .map(|object| object.0.unwrap_or_default())
            .map_err(|_| InvalidFieldError(Field::Data))
    }

    /// A text; `None` when it is absent.
    pub(super) fn text(
        &self,
        field: Field,
        is_right: impl FnOnce(&str) -> bool,
    ) -> Result<Option<Cow<'a, str>>, InvalidFieldError> {
        let Some(raw) = self.raw(field)? else { return Ok(None) };
        match serde_json::from_str::<JsonText<'a>>(raw) {
            Ok(JsonText(text)) if is_right(&text) => Ok(Some(text)),
            Ok(_) | Err(_) => Err(InvalidFieldError(field)),
        }
    }

    /// A text that has to be there.
    pub(super) fn needed_text(
        &self,
        field: Field,
        is_right: impl FnOnce(&str) -> bool,
    ) -> Result<Cow<'a, str>, InvalidFieldError> {
        self.text(field, is_right)?.ok_or(InvalidFieldError(field))
    }

    /// A number in digits, without sign, fraction or exponent.
    pub(super) fn number(
        &self,
        field: Field,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, InvalidFieldError> {
        let Some(raw) = self.raw(field)? else { return Ok(None) };
        match raw.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(InvalidFieldError(field)),
        }
    }

    /// A number that has to be there.
    pub(super) fn needed_number(
        &self,
        field: Field,
        range: RangeInclusive<u64>,
    ) -> Result<u64, InvalidFieldError> {
        self.number(field, range)?.ok_or(InvalidFieldError(field))
    }

    /// A list of numbers in digits, at most so many, that has to be there.
    pub(super) fn needed_numbers(
        &self,
        field: Field,
        count_max: usize,
    ) -> Result<Vec<u64>, InvalidFieldError> {
        let raw = self.raw(field)?.ok_or(InvalidFieldError(field))?;
        // Before anything is read of a list that is too long.
        if count_max <= raw.bytes().filter(|&byte| byte == b',').count() {
            return Err(InvalidFieldError(field));
        }
        serde_json::from_str::<Vec<u64>>(raw).map_err(|_| InvalidFieldError(field))
    }

    /// A flag; absent is the same as `false`.
    pub(super) fn flag(&self, field: Field) -> Result<bool, InvalidFieldError> {
        match self.raw(field)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(InvalidFieldError(field)),
        }
    }

    /// The JSON of a field that has to be there.
    pub(super) fn needed_raw(&self, field: Field) -> Result<&'a str, InvalidFieldError> {
        self.raw(field)?.ok_or(InvalidFieldError(field))
    }

    /// What is said: any JSON, `null` too, that harms no reader.
    pub(super) fn data(&self) -> Result<RawData<'a>, InvalidFieldError> {
        match self.found(Field::Data) {
            Found::Once(raw) => {
                data::json(raw.get().as_bytes()).map_err(|_| InvalidFieldError(Field::Data))
            }
            Found::Nothing | Found::Twice => Err(InvalidFieldError(Field::Data)),
        }
    }

    /// The JSON of a field; `null` is the same as absent.
    fn raw(&self, field: Field) -> Result<Option<&'a str>, InvalidFieldError> {
        match self.found(field) {
            Found::Nothing => Ok(None),
            Found::Once(raw) => Ok(Some(raw.get()).filter(|&raw| raw != "null")),
            Found::Twice => Err(InvalidFieldError(field)),
        }
    }

    fn found(&self, field: Field) -> Found<'a> {
        self.0[field as usize]
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ChatFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ChatFields<'a>, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = ChatFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ChatFields<'de>, A::Error> {
        let mut fields = ChatFields::default();
        while let Some(JsonText(name)) = map.next_key::<JsonText<'de>>()? {
            let Some(field) = Field::ALL.into_iter().find(|field| field.name() == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<&'de RawValue>()?;
            let found = &mut fields.0[field as usize];
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

    #[test]
    fn each_field_stands_at_its_number_and_is_named_in_its_error() {
        for (number, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, number);
            let text = format!("bad request: {}", field.name());
            assert_eq!(field.parts(), (107, &*text, false));
        }
    }

    #[test]
    fn what_is_no_object_is_wrong_as_a_whole() {
        for good in [&b""[..], b"null", b"{}", b" {\"x\":[1]} "] {
            assert!(ChatFields::of(good).is_ok(), "{good:?}");
        }
        for bad in [&b"1"[..], b"[]", b"[1]", b"\"a\"", b"{", b"{} {}", b"\xff", b"{\"a\":\xff}"] {
            assert_eq!(ChatFields::of(bad).err(), Some(InvalidFieldError(Field::Data)), "{bad:?}");
        }
    }

    #[test]
    fn a_number_is_digits_in_its_range() {
        let number = |text: &str| {
            let data = format!("{{\"offset\":{text}}}");
            ChatFields::of(data.as_bytes()).unwrap().number(Field::Offset, 0..=u64::MAX - 1)
        };
        for (text, want) in [("0", Some(0)), ("7", Some(7)), ("null", None)] {
            assert_eq!(number(text), Ok(want));
        }
        assert_eq!(number("18446744073709551614"), Ok(Some(u64::MAX - 1)));
        for wrong in [
            "18446744073709551615",
            "18446744073709551616",
            "-1",
            "-0",
            "1.0",
            "1e2",
            "\"1\"",
            "true",
            "[1]",
        ] {
            assert_eq!(number(wrong), Err(InvalidFieldError(Field::Offset)), "{wrong}");
        }
    }

    #[test]
    fn a_list_of_numbers_has_an_end() {
        let numbers = |text: &str| {
            let data = format!("{{\"offsets\":{text}}}");
            ChatFields::of(data.as_bytes()).unwrap().needed_numbers(Field::Offsets, 2)
        };
        for (text, want) in
            [("[]", &[][..]), ("[ 7 ]", &[7]), ("[1,18446744073709551615]", &[1, u64::MAX])]
        {
            assert_eq!(numbers(text).as_deref(), Ok(want), "{text}");
        }
        for wrong in
            ["[1,2,3]", "[-1]", "[1.0]", "[1e2]", "[\"1\"]", "[[1]]", "[null]", "7", "{}", "null"]
        {
            assert_eq!(numbers(wrong), Err(InvalidFieldError(Field::Offsets)), "{wrong}");
        }
    }

    #[test]
    fn a_text_borrows_unless_it_holds_an_escape() {
        let text = |data: &'static str| {
            ChatFields::of(data.as_bytes()).unwrap().text(Field::To, |text| text != "no")
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
            assert_eq!(text(wrong), Err(InvalidFieldError(Field::To)), "{wrong}");
        }
    }
}
