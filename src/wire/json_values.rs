//! What stands at a member of a command in JSON: objects, texts, numbers, flags
//! and raw data, each of which may be `null`.
//!
//! serde's own types are more generous than the protocol (an object may be a
//! list) or less (a `null` is an error), or they copy (a text in an `Option`).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::data;
use super::types::{CommandParseError, RawData};

/// `None` is `null`, the same as absent.
pub(super) type JsonBool = Option<bool>;

pub(super) fn is_set(flag: JsonBool) -> bool {
    flag.unwrap_or(false)
}

/// An object, or `null`, which is the same as absent. The protocol never sends
/// an object as a list of its members, which serde would take for one.
pub(super) struct JsonObject<T>(pub(super) Option<T>);

impl<T> Default for JsonObject<T> {
    fn default() -> JsonObject<T> {
        JsonObject(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JsonObject<T>, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = JsonObject<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<JsonObject<T>, E> {
        Ok(JsonObject(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JsonObject<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|value| JsonObject(Some(value)))
    }
}

/// A text, borrowed when it holds no escape; `null` is the empty text.
#[derive(Default)]
pub(super) struct JsonText<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for JsonText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JsonText<'a>, D::Error> {
        deserializer.deserialize_any(JsonTextVisitor).map(JsonText)
    }
}

struct JsonTextVisitor;

impl<'de> Visitor<'de> for JsonTextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_unit<E: Error>(self) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// An integer of any width, so that one out of range is told apart from
/// something that is no integer; `null` is 0.
#[derive(Default)]
pub(super) struct JsonInteger(i128);

impl JsonInteger {
    pub(super) fn fit<T: TryFrom<i128>>(self) -> Result<T, CommandParseError> {
        T::try_from(self.0).map_err(|_| CommandParseError::Limit)
    }
}

impl<'de> Deserialize<'de> for JsonInteger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JsonInteger, D::Error> {
        deserializer.deserialize_any(JsonIntegerVisitor)
    }
}

struct JsonIntegerVisitor;

impl Visitor<'_> for JsonIntegerVisitor {
    type Value = JsonInteger;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer")
    }

    fn visit_unit<E: Error>(self) -> Result<JsonInteger, E> {
        Ok(JsonInteger(0))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<JsonInteger, E> {
        Ok(JsonInteger(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<JsonInteger, E> {
        Ok(JsonInteger(number.into()))
    }
}

/// Application data in place.
#[derive(Default)]
pub(super) struct JsonRaw<'a>(Option<&'a RawValue>);

impl<'a> JsonRaw<'a> {
    /// `null` is data like any other; only what is absent is empty.
    pub(super) fn required(self) -> Result<RawData<'a>, CommandParseError> {
        self.read(data::json)
    }

    /// The same where the data calls a method.
    pub(super) fn call(self) -> Result<RawData<'a>, CommandParseError> {
        self.read(data::call)
    }

    fn read(
        self,
        read: fn(&'a [u8]) -> Result<RawData<'a>, CommandParseError>,
    ) -> Result<RawData<'a>, CommandParseError> {
        match self.0 {
            Some(raw) => read(raw.get().as_bytes()),
            None => Ok(RawData { bytes: Cow::Borrowed(b""), is_json: false }),
        }
    }

    pub(super) fn optional(self) -> Result<Option<RawData<'a>>, CommandParseError> {
        let raw = self.0.filter(|raw| raw.get() != "null");
        raw.map(|raw| data::json(raw.get().as_bytes())).transpose()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonRaw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JsonRaw<'a>, D::Error> {
        <&'a RawValue>::deserialize(deserializer).map(|raw| JsonRaw(Some(raw)))
    }
}
