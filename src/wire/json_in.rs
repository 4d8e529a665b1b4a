//! Commands from JSON text.
//!
//! The shapes are the protocol's; unknown members are skipped, `null` is the
//! same as absent (except as published data, which may be any JSON), and a text
//! borrows from the frame unless it holds an escape. Skipping and raw data do
//! not recurse, so nesting costs a byte a level and no stack.
//!
//! Deliberately absent: a tree of values.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::StreamDeserializer;
use serde_json::de::StrRead;
use serde_json::value::RawValue;

use super::commands::{command, json_data, name};
use super::types::{
    Command, ConnectRequest, HistoryRequest, Malformed, RawData, Request, SubscribeRequest,
};
use crate::base::limits;

/// Objects one behind the other, with any white space between them.
pub(super) struct JsonCommands<'a> {
    stream: StreamDeserializer<'a, StrRead<'a>, Object<CommandJson<'a>>>,
}

impl<'a> JsonCommands<'a> {
    pub(super) fn new(text: &'a str) -> JsonCommands<'a> {
        JsonCommands { stream: serde_json::Deserializer::from_str(text).into_iter() }
    }

    pub(super) fn next(&mut self) -> Option<Result<Command<'a>, Malformed>> {
        match self.stream.next()? {
            Ok(Object(Some(parsed))) => Some(parsed.command()),
            Ok(Object(None)) | Err(_) => Some(Err(Malformed::Json)),
        }
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct CommandJson<'a> {
    id: Number,
    #[serde(borrow)]
    connect: Object<ConnectJson<'a>>,
    #[serde(borrow)]
    subscribe: Object<SubscribeJson<'a>>,
    #[serde(borrow)]
    unsubscribe: Object<ChannelJson<'a>>,
    #[serde(borrow)]
    publish: Object<PublishJson<'a>>,
    #[serde(borrow)]
    presence: Object<ChannelJson<'a>>,
    #[serde(borrow)]
    presence_stats: Object<ChannelJson<'a>>,
    #[serde(borrow)]
    history: Object<HistoryJson<'a>>,
    ping: Object<NothingJson>,
    #[serde(borrow)]
    send: Object<SendJson<'a>>,
    #[serde(borrow)]
    rpc: Object<RpcJson<'a>>,
    #[serde(borrow)]
    refresh: Object<RefreshJson<'a>>,
    #[serde(borrow)]
    sub_refresh: Object<SubRefreshJson<'a>>,
}

impl<'a> CommandJson<'a> {
    fn command(self) -> Result<Command<'a>, Malformed> {
        let id = self.id.fit()?;
        // In the order of the schema: the first one counts.
        let request = if let Some(request) = self.connect.0 {
            Request::Connect(request.into_request()?)
        } else if let Some(request) = self.subscribe.0 {
            Request::Subscribe(request.into_request()?)
        } else if let Some(ChannelJson { channel }) = self.unsubscribe.0 {
            Request::Unsubscribe { channel: name(channel.0)? }
        } else if let Some(PublishJson { channel, data }) = self.publish.0 {
            Request::Publish { channel: name(channel.0)?, data: data.required() }
        } else if let Some(ChannelJson { channel }) = self.presence.0 {
            Request::Presence { channel: name(channel.0)? }
        } else if let Some(ChannelJson { channel }) = self.presence_stats.0 {
            Request::PresenceStats { channel: name(channel.0)? }
        } else if let Some(request) = self.history.0 {
            Request::History(request.into_request()?)
        } else if let Some(NothingJson {}) = self.ping.0 {
            Request::Ping
        } else if let Some(SendJson { data }) = self.send.0 {
            Request::Send { data: data.required() }
        } else if let Some(RpcJson { method, data }) = self.rpc.0 {
            Request::Rpc { method: name(method.0)?, data: data.required() }
        } else if let Some(RefreshJson { token }) = self.refresh.0 {
            Request::Refresh { token: token.0 }
        } else if let Some(SubRefreshJson { channel, token }) = self.sub_refresh.0 {
            Request::SubRefresh { channel: name(channel.0)?, token: token.0 }
        } else {
            return Ok(command(id, None));
        };
        Ok(command(id, Some(request)))
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct ConnectJson<'a> {
    #[serde(borrow)]
    token: Text<'a>,
    #[serde(borrow)]
    data: Raw<'a>,
    #[serde(borrow)]
    subs: Subs<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    version: Text<'a>,
}

impl<'a> ConnectJson<'a> {
    fn into_request(self) -> Result<ConnectRequest<'a>, Malformed> {
        if self.subs.0.len() > limits::CHANNELS_PER_CONNECTION_MAX {
            return Err(Malformed::Limit);
        }
        let with_channel = |(channel, sub): (Text<'a>, SubscribeJson<'a>)| {
            SubscribeJson { channel, ..sub }.into_request()
        };
        Ok(ConnectRequest {
            token: self.token.0,
            data: self.data.optional(),
            subs: self.subs.0.into_iter().map(with_channel).collect::<Result<_, _>>()?,
            name: self.name.0,
            version: self.version.0,
        })
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct SubscribeJson<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
    #[serde(borrow)]
    token: Text<'a>,
    recover: Flag,
    #[serde(borrow)]
    epoch: Text<'a>,
    offset: Number,
    #[serde(borrow)]
    data: Raw<'a>,
    positioned: Flag,
    recoverable: Flag,
    join_leave: Flag,
}

impl<'a> SubscribeJson<'a> {
    fn into_request(self) -> Result<SubscribeRequest<'a>, Malformed> {
        Ok(SubscribeRequest {
            channel: name(self.channel.0)?,
            token: self.token.0,
            recover: is_set(self.recover),
            epoch: self.epoch.0,
            offset: self.offset.fit()?,
            data: self.data.optional(),
            positioned: is_set(self.positioned),
            recoverable: is_set(self.recoverable),
            join_leave: is_set(self.join_leave),
        })
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct HistoryJson<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
    limit: Number,
    #[serde(borrow)]
    since: Object<SinceJson<'a>>,
    reverse: Flag,
}

impl<'a> HistoryJson<'a> {
    fn into_request(self) -> Result<HistoryRequest<'a>, Malformed> {
        let since = match self.since.0 {
            Some(SinceJson { offset, epoch }) => Some((offset.fit()?, epoch.0)),
            None => None,
        };
        Ok(HistoryRequest {
            channel: name(self.channel.0)?,
            limit: self.limit.fit()?,
            since,
            reverse: is_set(self.reverse),
        })
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct SinceJson<'a> {
    offset: Number,
    #[serde(borrow)]
    epoch: Text<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct ChannelJson<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct PublishJson<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
    #[serde(borrow)]
    data: Raw<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct SendJson<'a> {
    #[serde(borrow)]
    data: Raw<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct RpcJson<'a> {
    #[serde(borrow)]
    method: Text<'a>,
    #[serde(borrow)]
    data: Raw<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct RefreshJson<'a> {
    #[serde(borrow)]
    token: Text<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct SubRefreshJson<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
    #[serde(borrow)]
    token: Text<'a>,
}

#[derive(serde::Deserialize)]
struct NothingJson {}

/// `None` is `null`, the same as absent.
type Flag = Option<bool>;

fn is_set(flag: Flag) -> bool {
    flag.unwrap_or(false)
}

/// An object, or `null`, which is the same as absent. The protocol never sends
/// an object as a list of its members, which serde would take for one.
struct Object<T>(Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Object<T> {
        Object(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|value| Object(Some(value)))
    }
}

/// A text, borrowed when it holds no escape; `null` is the empty text.
#[derive(Default)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
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
struct Number(i128);

impl Number {
    fn fit<T: TryFrom<i128>>(self) -> Result<T, Malformed> {
        T::try_from(self.0).map_err(|_| Malformed::Limit)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer")
    }

    fn visit_unit<E: Error>(self) -> Result<Number, E> {
        Ok(Number(0))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
        Ok(Number(number.into()))
    }
}

/// Application data in place.
#[derive(Default)]
struct Raw<'a>(Option<&'a RawValue>);

impl<'a> Raw<'a> {
    /// `null` is data like any other; only what is absent is empty.
    fn required(self) -> RawData<'a> {
        match self.0 {
            Some(raw) => json_data(raw.get().as_bytes()),
            None => RawData { bytes: Cow::Borrowed(b""), is_json: false },
        }
    }

    fn optional(self) -> Option<RawData<'a>> {
        self.0.filter(|raw| raw.get() != "null").map(|raw| json_data(raw.get().as_bytes()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw<'a>, D::Error> {
        <&'a RawValue>::deserialize(deserializer).map(|raw| Raw(Some(raw)))
    }
}

/// The map of a connect request, in its own order.
#[derive(Default)]
struct Subs<'a>(Vec<(Text<'a>, SubscribeJson<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Subs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Subs<'a>, D::Error> {
        deserializer.deserialize_any(SubsVisitor(PhantomData))
    }
}

struct SubsVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for SubsVisitor<'a> {
    type Value = Subs<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of subscriptions")
    }

    fn visit_unit<E: Error>(self) -> Result<Subs<'a>, E> {
        Ok(Subs(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Subs<'a>, A::Error> {
        let mut subs = Vec::new();
        // One over the limit is enough to see that it is passed.
        while let Some((channel, sub)) = map.next_entry::<Text<'a>, Object<SubscribeJson<'a>>>()? {
            if subs.len() <= limits::CHANNELS_PER_CONNECTION_MAX {
                subs.push((channel, sub.0.unwrap_or_default()));
            }
        }
        Ok(Subs(subs))
    }
}
