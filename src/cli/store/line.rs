//! A line of a channel: what `dump --json` prints of a message, and what `load` takes, from other
//! servers, too.
//!
//! Deliberately absent: where lines come from, and what the store says to a message (`load`).

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::base::limits::DATA_LEVELS_MAX;
use crate::base::{ClientId, Trace, TraceId, json_depth, plain};
use crate::store::GivenReaction;
use crate::wire::{ClientInfo, ID_TAG, Payload, Publication, trace_of};

/// How much later than now a message may have been said, in ms: clocks differ.
const AHEAD_MS_MAX: u64 = 86_400_000;

/// A message of a line, and who reacted to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReadLine {
    /// Its offset is 0 where the line says none.
    pub publication: Publication,
    pub reactions: Vec<GivenReaction>,
}

/// What is wrong with a line, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LineError(String);

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    time_unix_ms: u64,
    offset: Option<u64>,
    user: Option<Box<str>>,
    client: Option<Box<str>>,
    #[serde(default, borrow, deserialize_with = "json")]
    conn_info: Option<&'a RawValue>,
    conn_info_base64: Option<Box<str>>,
    #[serde(default, borrow, deserialize_with = "json")]
    chan_info: Option<&'a RawValue>,
    chan_info_base64: Option<Box<str>>,
    id: Option<Box<str>>,
    #[serde(default)]
    tags: Tags,
    trace_id: Option<Box<str>>,
    #[serde(default, borrow)]
    text: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "json")]
    data: Option<&'a RawValue>,
    data_base64: Option<Box<str>>,
    #[serde(default)]
    reactions: Vec<ReactionMembers>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ReactionMembers {
    user: Box<str>,
    value: Box<str>,
}

/// JSON of any kind: `null` is data like any other.
fn json<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// Texts by name, in the order in which they stand.
#[derive(Default)]
struct Tags(Vec<(Box<str>, Box<str>)>);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Tags, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Tags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags, A::Error> {
                let mut tags = Vec::new();
                while let Some(tag) = map.next_entry()? {
                    tags.push(tag);
                }
                Ok(Tags(tags))
            }
        }
        from.deserialize_map(InOrder)
    }
}

/// The message of a line.
pub(super) fn read_line(line: &[u8], now_unix_ms: u64) -> Result<ReadLine, LineError> {
    let wrong = |what: &str| Err(LineError(what.to_owned()));
    let text = std::str::from_utf8(line).map_err(|_| LineError("it is not UTF-8".into()))?;
    if !text.trim_start().starts_with('{') {
        return wrong("it is no JSON object");
    }
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    if now_unix_ms.saturating_add(AHEAD_MS_MAX) < members.time_unix_ms {
        return wrong("its time_unix_ms is in the future; it is in milliseconds since 1970");
    }
    let data = match (members.data, members.data_base64, members.text) {
        (data, base64, None) => payload("data", data, base64.as_deref())?,
        (None, None, Some(text)) if text.get().starts_with('"') => {
            Some(json_payload("text", &format!("{{\"text\":{}}}", text.get()))?)
        }
        (None, None, Some(_)) => return wrong("its text is no text"),
        (..) => return wrong("it has text beside data; one of them is enough"),
    };
    let Some(data) = data else {
        return wrong("it says nothing: it has neither data, nor data_base64, nor text");
    };
    let conn_info = payload("conn_info", members.conn_info, members.conn_info_base64.as_deref())?;
    let info = match (members.user, members.client) {
        (None, None) if conn_info.is_none() => None,
        (None, _) => return wrong("it has a client or conn_info, and no user"),
        (Some(user), client) => {
            let client = client.as_deref().map_or(Some(ClientId(0)), ClientId::parse);
            let Some(client) = client else { return wrong("its client is no UUID") };
            Some(Arc::new(ClientInfo { user, client, conn_info: conn_info.map(Box::new) }))
        }
    };
    let chan_info = payload("chan_info", members.chan_info, members.chan_info_base64.as_deref())?;
    let Tags(mut tags) = members.tags;
    if let Some(id) = members.id {
        if tags.iter().any(|(name, _)| **name == *ID_TAG) {
            return wrong("it has an id beside the one in its tags");
        }
        tags.push((ID_TAG.into(), id));
    }
    let trace = match members.trace_id.as_deref().map(trace) {
        None => trace_of(&tags),
        Some(None) => return wrong("its trace_id is none"),
        Some(Some(id)) => {
            Some(trace_of(&tags).filter(|trace| trace.id == id).unwrap_or(Trace::of_server(id)))
        }
    };
    let (offset, time_unix_ms) = (members.offset.unwrap_or(0), members.time_unix_ms);
    if members.offset == Some(0) {
        return wrong("its offset is 0, and the first one is 1");
    }
    let chan_info = chan_info.map(Arc::new);
    let publication = Publication { offset, data, info, chan_info, tags, time_unix_ms, trace };
    let reactions = members.reactions.into_iter();
    let reactions = reactions.map(|ReactionMembers { user, value }| GivenReaction { user, value });
    Ok(ReadLine { publication, reactions: reactions.collect() })
}

/// What the parser says quotes the line, which is its author's choice.
fn unreadable(error: &serde_json::Error) -> LineError {
    LineError(plain(&error.to_string()))
}

fn trace(text: &str) -> Option<TraceId> {
    let is_plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bits = u128::from_str_radix(text, 16).ok().filter(|_| is_plain)?;
    TraceId::new(bits)
}

/// JSON as it is, or bytes in base64 under the other name.
fn payload(
    name: &str,
    json: Option<&RawValue>,
    base64: Option<&str>,
) -> Result<Option<Payload>, LineError> {
    match (json, base64) {
        (None, None) => Ok(None),
        (Some(json), None) => json_payload(name, json.get()).map(Some),
        (None, Some(text)) => match BASE64_STANDARD.decode(text) {
            Ok(bytes) => Ok(Some(Payload { bytes: bytes.into(), is_json: false })),
            Err(error) => Err(LineError(format!("its {name}_base64 is none: {error}"))),
        },
        (Some(_), Some(_)) => Err(LineError(format!("it has {name} beside {name}_base64"))),
    }
}

fn json_payload(name: &str, json: &str) -> Result<Payload, LineError> {
    if DATA_LEVELS_MAX < json_depth(json.as_bytes()) {
        return Err(LineError(format!("its {name} is more than {DATA_LEVELS_MAX} levels deep")));
    }
    // It stands between tokens only, and what a message has is without line ends.
    let bytes: Bytes = json.replace('\r', " ").into();
    Ok(Payload { bytes, is_json: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn read(line: &str) -> Result<ReadLine, String> {
        read_line(line.as_bytes(), NOW).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_of_another_server_needs_time_and_words() {
        let read = read(r#"{"time_unix_ms":5,"user":"ann","id":"7","text":"h\u0069"}"#).unwrap();
        let Publication { offset, data, info, tags, time_unix_ms, .. } = read.publication;
        assert_eq!((offset, time_unix_ms), (0, 5));
        assert_eq!((&data.bytes[..], data.is_json), (&br#"{"text":"h\u0069"}"#[..], true));
        assert_eq!(info.map(|info| info.user.to_string()), Some("ann".to_owned()));
        assert_eq!(tags, [("id".into(), "7".into())]);
        assert_eq!(
            super::read_line(b"{\"time_unix_ms\":5,\"data\":null}\r", NOW)
                .unwrap()
                .publication
                .data
                .bytes,
            "null"
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let deep =
            format!("{{\"time_unix_ms\":1,\"data\":{}{}}}", "[".repeat(121), "]".repeat(121));
        for (line, words) in [
            ("", "no JSON object"),
            ("[5,1]", "no JSON object"),
            ("{", "EOF while parsing"),
            (r#"{"data":1}"#, "missing field `time_unix_ms`"),
            (r#"{"time_unix_ms":1}"#, "it says nothing"),
            (r#"{"time_unix_ms":-1,"data":1}"#, "invalid value"),
            (r#"{"time_unix_ms":1700000000000000,"data":1}"#, "in the future"),
            (r#"{"time_unix_ms":1,"data":1,"text":"x"}"#, "it has text beside data"),
            (r#"{"time_unix_ms":1,"text":{}}"#, "its text is no text"),
            (r#"{"time_unix_ms":1,"data":1,"data_base64":""}"#, "data beside data_base64"),
            (r#"{"time_unix_ms":1,"data_base64":"?"}"#, "its data_base64 is none"),
            (r#"{"time_unix_ms":1,"data":1,"data":2}"#, "duplicate field"),
            (r#"{"time_unix_ms":1,"data":1,"color":"\u001b"}"#, "unknown field `color`"),
            ("{\"time_unix_ms\":1,\"data\":1,\"\u{202e}\":1}", r"unknown field `\u{202e}`"),
            (r#"{"time_unix_ms":1,"data":1,"client":"7"}"#, "no user"),
            (r#"{"time_unix_ms":1,"data":1,"user":"a","client":"7"}"#, "no UUID"),
            (r#"{"time_unix_ms":1,"data":1,"conn_info":{}}"#, "no user"),
            (r#"{"time_unix_ms":1,"data":1,"offset":0}"#, "the first one is 1"),
            (r#"{"time_unix_ms":1,"data":1,"trace_id":"+1"}"#, "its trace_id is none"),
            (r#"{"time_unix_ms":1,"data":1,"tags":{"a":1}}"#, "invalid type"),
            (r#"{"time_unix_ms":1,"data":1,"id":"1","tags":{"id":"1"}}"#, "an id beside"),
            (r#"{"time_unix_ms":1,"data":1,"reactions":[{"user":"a"}]}"#, "missing field `value`"),
            (&deep, "levels deep"),
        ] {
            let wrong = read(line).expect_err(line);
            assert!(wrong.contains(words), "{line}: {wrong}");
            assert!(!wrong.contains(crate::base::is_obeyed), "{wrong:?}");
        }
        assert_eq!(read_line(b"\"\xff\"", NOW), Err(LineError("it is not UTF-8".into())));
    }
}
