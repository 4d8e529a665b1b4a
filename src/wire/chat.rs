//! The data of chat's own rpc methods and notices: JSON in both encodings.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ClientInfo, Payload};

/// A field of a chat method's data that cannot be right. Closed, so that what an
/// error says about it is one of these words and nothing of the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of that name")]
pub enum Field {
    Data,
    Channel,
    Id,
    Traceparent,
    SentAtMs,
    To,
    TtlS,
    Offset,
    TookMs,
    After,
    Limit,
}

#[derive(Deserialize)]
struct Channel<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Notice<'a> {
    typing: Typing<'a>,
}

#[derive(Serialize)]
struct Typing<'a> {
    channel: &'a str,
    user: &'a str,
    client: String,
}

/// The `channel` of a method's data; `None` when there is none, or it is no text.
pub fn channel(data: &[u8]) -> Option<Cow<'_, str>> {
    serde_json::from_slice::<Channel<'_>>(data).ok().map(|data| data.channel)
}

/// A call without an answer: its method and data, when that is what `data` is.
pub fn call(data: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    let call = serde_json::from_slice::<Call<'_>>(data).ok()?;
    Some((call.method, call.data.map_or(&b"{}"[..], |data| data.get().as_bytes())))
}

/// The notice that somebody is writing: `{"typing": {channel, user, client}}`.
pub fn typing(channel: &str, who: &ClientInfo) -> Payload {
    let typing = Typing { channel, user: &who.user, client: who.client.to_string() };
    let json = serde_json::to_vec(&Notice { typing }).expect("texts are always JSON");
    Payload { bytes: Bytes::from(json), is_json: true }
}

/// A user's place.
pub struct Receipt<'a> {
    /// Who.
    pub user: &'a str,
    /// Up to there.
    pub delivered: u64,
    /// Up to there.
    pub read: u64,
}

/// A user got on.
pub fn receipt(channel: &str, receipt: Receipt<'_>) -> Payload {
    let json = serde_json::json!({"receipt": {"channel": channel, "user": receipt.user, "delivered": receipt.delivered, "read": receipt.read}});
    Payload { bytes: Bytes::from(json.to_string()), is_json: true }
}

/// A message was taken back.
pub fn retracted(channel: &str, offset: u64, user: &str) -> Payload {
    let json =
        serde_json::json!({"retracted": {"channel": channel, "user": user, "offset": offset}});
    Payload { bytes: Bytes::from(json.to_string()), is_json: true }
}

/// What is left.
pub fn remainder(whole: &super::Publication) -> super::Publication {
    let data = Payload { bytes: Bytes::from_static(b"{\"retracted\":true}"), is_json: true };
    super::Publication { data, ..whole.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ClientId;

    #[test]
    fn a_channel_is_text_or_nothing() {
        assert_eq!(channel(br#"{"channel":"room:1","more":[]}"#).as_deref(), Some("room:1"));
        assert_eq!(channel(br#"{"channel":"\u0041"}"#).as_deref(), Some("A"));
        for wrong in [&br#"{"channel":1}"#[..], b"{}", b"", b"[]", b"\xff", b"{\"channel\":\"a\""] {
            assert_eq!(channel(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_call_may_leave_its_data_out() {
        let call = |text: &'static [u8]| call(text);
        assert_eq!(call(br#"{"method":"m","data":[1]}"#), Some(("m".into(), &b"[1]"[..])));
        assert_eq!(call(br#"{"method":"m"}"#), Some(("m".into(), &b"{}"[..])));
        assert_eq!(call(b"1"), None);
    }

    #[test]
    fn names_in_notices_are_escaped() {
        let who = ClientInfo { user: "a\"\n".into(), client: ClientId(0), conn_info: None };
        let notice = typing("c", &who);
        let read: serde_json::Value = serde_json::from_slice(&notice.bytes).unwrap();
        assert_eq!(read["typing"]["user"], "a\"\n");
        assert!(!notice.bytes.contains(&b'\n'));
    }
}
