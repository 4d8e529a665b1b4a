//! The fields of a method's data, each kept in place until it is asked for.
//!
//! Deliberately absent: how an object is read (`json_fields`).

use crate::wire::error_code::{Field, InvalidFieldError};
use crate::wire::json_fields::{FieldName, JsonFields};

/// The fields of one object, not looked into.
pub(super) type ChatFields<'a> = JsonFields<'a, Field>;

impl FieldName for Field {
    type Error = InvalidFieldError;

    const ALL: &'static [Field] = &Field::ALL;
    const WHOLE: Field = Field::Data;

    fn name(self) -> &'static str {
        Field::name(self)
    }

    fn index(self) -> usize {
        self as usize
    }

    fn wrong(self) -> InvalidFieldError {
        InvalidFieldError(self)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

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
            ChatFields::of(data.as_bytes()).unwrap().needed_list::<u64, 2>(Field::Offsets)
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
