//! Commands from JSON text.
//!
//! The shapes are the protocol's; unknown members are skipped, `null` is the
//! same as absent (except as published data, which may be any JSON), and a text
//! borrows from the frame unless it holds an escape. Skipping and raw data do
//! not recurse, so nesting costs a byte a level and no stack.
//!
//! Deliberately absent: a tree of values.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::StreamDeserializer;
use serde_json::de::StrRead;

use super::command_parts::{command, name};
use super::json_bounded::BoundedMembers;
use super::json_values::{JsonBool, JsonInteger, JsonObject, JsonRaw, JsonText, is_set};
use super::types::{
    Command, CommandParseError, ConnectRequest, DELTA_FORMAT, HistoryRequest, Request,
    SubscribeFlags, SubscribeRequest,
};
use crate::base::limits::{self, CONNECT_HEADERS_MAX};

/// Objects one behind the other, with any white space between them.
pub(super) struct JsonCommands<'a> {
    stream: StreamDeserializer<'a, StrRead<'a>, CommandJson<'a>>,
}

impl<'a> JsonCommands<'a> {
    pub(super) fn new(text: &'a str) -> JsonCommands<'a> {
        JsonCommands { stream: serde_json::Deserializer::from_str(text).into_iter() }
    }

    pub(super) fn next(&mut self) -> Option<Result<Command<'a>, CommandParseError>> {
        match self.stream.next()? {
            Ok(parsed) => Some(parsed.command()),
            Err(_) => Some(Err(CommandParseError::Json)),
        }
    }

    pub(super) fn read_bytes(&self) -> usize {
        self.stream.byte_offset()
    }
}

/// A command as far as it was read. Each request is converted at once, so that
/// no command carries room for all of them.
#[derive(Default)]
struct CommandJson<'a> {
    id: JsonInteger,
    /// The request so far, and its name.
    request: Option<(Name, Result<Request<'a>, CommandParseError>)>,
}

/// The members of a command, in the order of the schema.
#[derive(serde::Deserialize, Clone, Copy, PartialEq, PartialOrd)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Id,
    Connect,
    Subscribe,
    Unsubscribe,
    Publish,
    Presence,
    PresenceStats,
    History,
    Ping,
    Send,
    Rpc,
    Refresh,
    SubRefresh,
    #[serde(other)]
    Unserved,
}

impl<'a> CommandJson<'a> {
    fn command(self) -> Result<Command<'a>, CommandParseError> {
        let request = self.request.map(|(_, request)| request).transpose()?;
        Ok(command(self.id.fit()?, request))
    }

    fn keep<T>(
        &mut self,
        name: Name,
        object: JsonObject<T>,
        convert: impl FnOnce(T) -> Result<Request<'a>, CommandParseError>,
    ) {
        let is_first = self.request.as_ref().is_none_or(|(first, _)| name < *first);
        if let Some(object) = object.0.filter(|_| is_first) {
            self.request = Some((name, convert(object)));
        }
    }

    fn read_member<A: MapAccess<'a>>(&mut self, member: Name, map: &mut A) -> Result<(), A::Error> {
        match member {
            Name::Id => self.id = map.next_value()?,
            Name::Connect => self.keep(member, map.next_value()?, |request: ConnectJson<'a>| {
                Ok(Request::Connect(request.into_request()?))
            }),
            Name::Subscribe => {
                self.keep(member, map.next_value()?, |request: SubscribeJson<'a>| {
                    Ok(Request::Subscribe(request.into_request()?))
                })
            }
            Name::Unsubscribe => {
                self.keep(member, map.next_value()?, |request: ChannelJson<'a>| {
                    Ok(Request::Unsubscribe { channel: name(request.channel.0)? })
                })
            }
            Name::Publish => self.keep(member, map.next_value()?, |request: PublishJson<'a>| {
                let channel = name(request.channel.0)?;
                Ok(Request::Publish { channel, data: request.data.required()? })
            }),
            Name::Presence => self.keep(member, map.next_value()?, |request: ChannelJson<'a>| {
                Ok(Request::Presence { channel: name(request.channel.0)? })
            }),
            Name::PresenceStats => {
                self.keep(member, map.next_value()?, |request: ChannelJson<'a>| {
                    Ok(Request::PresenceStats { channel: name(request.channel.0)? })
                });
            }
            Name::History => self.keep(member, map.next_value()?, |request: HistoryJson<'a>| {
                Ok(Request::History(request.into_request()?))
            }),
            Name::Ping => {
                self.keep(member, map.next_value()?, |NothingJson {}| Ok(Request::Ping));
            }
            Name::Send => self.keep(member, map.next_value()?, |request: SendJson<'a>| {
                Ok(Request::Send { data: request.data.call()? })
            }),
            Name::Rpc => self.keep(member, map.next_value()?, |request: RpcJson<'a>| {
                let method = name(request.method.0)?;
                Ok(Request::Rpc { method, data: request.data.call()? })
            }),
            Name::Refresh => self.keep(member, map.next_value()?, |request: RefreshJson<'a>| {
                Ok(Request::Refresh { token: request.token.0 })
            }),
            Name::SubRefresh => {
                self.keep(member, map.next_value()?, |request: SubRefreshJson<'a>| {
                    let channel = name(request.channel.0)?;
                    Ok(Request::SubRefresh { channel, token: request.token.0 })
                })
            }
            Name::Unserved => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for CommandJson<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CommandJson<'a>, D::Error> {
        deserializer.deserialize_map(CommandVisitor)
    }
}

struct CommandVisitor;

impl<'de> Visitor<'de> for CommandVisitor {
    type Value = CommandJson<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CommandJson<'de>, A::Error> {
        let mut command = CommandJson::default();
        let mut seen = 0_u16;
        while let Some(member) = map.next_key::<Name>()? {
            let bit = 1 << member as u16;
            if member != Name::Unserved && seen & bit != 0 {
                return Err(A::Error::custom("a member twice"));
            }
            seen |= bit;
            command.read_member(member, &mut map)?;
        }
        Ok(command)
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct ConnectJson<'a> {
    #[serde(borrow)]
    token: JsonText<'a>,
    #[serde(borrow)]
    data: JsonRaw<'a>,
    #[serde(borrow)]
    subs: Subs<'a>,
    #[serde(borrow)]
    name: JsonText<'a>,
    #[serde(borrow)]
    version: JsonText<'a>,
    #[serde(borrow)]
    headers: JsonObject<Headers<'a>>,
}

/// What a connect command says for the application's backend.
type Headers<'a> = BoundedMembers<JsonText<'a>, JsonText<'a>, CONNECT_HEADERS_MAX>;

impl<'a> ConnectJson<'a> {
    fn into_request(self) -> Result<ConnectRequest<'a>, CommandParseError> {
        if self.subs.0.len() > limits::CHANNELS_PER_CONNECTION_MAX {
            return Err(CommandParseError::Limit);
        }
        let with_channel = |(channel, sub): (JsonText<'a>, SubscribeJson<'a>)| {
            SubscribeJson { channel, ..sub }.into_request()
        };
        Ok(ConnectRequest {
            token: self.token.0,
            data: self.data.optional()?,
            subs: self.subs.0.into_iter().map(with_channel).collect::<Result<_, _>>()?,
            name: self.name.0,
            version: self.version.0,
            headers: (self.headers.0)
                .map(|headers| headers.0.into_iter().map(|(name, text)| (name.0, text.0)).collect())
                .unwrap_or_default(),
        })
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct SubscribeJson<'a> {
    #[serde(borrow)]
    channel: JsonText<'a>,
    #[serde(borrow)]
    token: JsonText<'a>,
    recover: JsonBool,
    #[serde(borrow)]
    epoch: JsonText<'a>,
    offset: JsonInteger,
    #[serde(borrow)]
    data: JsonRaw<'a>,
    positioned: JsonBool,
    recoverable: JsonBool,
    join_leave: JsonBool,
    flag: JsonInteger,
    #[serde(borrow)]
    delta: JsonText<'a>,
    #[serde(borrow)]
    tf: JsonRaw<'a>,
}

impl<'a> SubscribeJson<'a> {
    fn into_request(self) -> Result<SubscribeRequest<'a>, CommandParseError> {
        Ok(SubscribeRequest {
            channel: name(self.channel.0)?,
            token: self.token.0,
            recover: is_set(self.recover),
            epoch: self.epoch.0,
            offset: self.offset.fit()?,
            data: self.data.optional()?,
            positioned: is_set(self.positioned),
            recoverable: is_set(self.recoverable),
            join_leave: is_set(self.join_leave),
            flags: SubscribeFlags::of(self.flag.fit()?),
            takes_deltas: self.delta.0 == DELTA_FORMAT,
            tag_filter: self.tf.optional()?,
        })
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct HistoryJson<'a> {
    #[serde(borrow)]
    channel: JsonText<'a>,
    limit: JsonInteger,
    #[serde(borrow)]
    since: JsonObject<SinceJson<'a>>,
    reverse: JsonBool,
}

impl<'a> HistoryJson<'a> {
    fn into_request(self) -> Result<HistoryRequest<'a>, CommandParseError> {
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
    offset: JsonInteger,
    #[serde(borrow)]
    epoch: JsonText<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct ChannelJson<'a> {
    #[serde(borrow)]
    channel: JsonText<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct PublishJson<'a> {
    #[serde(borrow)]
    channel: JsonText<'a>,
    #[serde(borrow)]
    data: JsonRaw<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct SendJson<'a> {
    #[serde(borrow)]
    data: JsonRaw<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct RpcJson<'a> {
    #[serde(borrow)]
    method: JsonText<'a>,
    #[serde(borrow)]
    data: JsonRaw<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct RefreshJson<'a> {
    #[serde(borrow)]
    token: JsonText<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct SubRefreshJson<'a> {
    #[serde(borrow)]
    channel: JsonText<'a>,
    #[serde(borrow)]
    token: JsonText<'a>,
}

#[derive(serde::Deserialize)]
struct NothingJson {}

/// The map of a connect request, in its own order.
#[derive(Default)]
struct Subs<'a>(Vec<(JsonText<'a>, SubscribeJson<'a>)>);

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
        while let Some((channel, sub)) =
            map.next_entry::<JsonText<'a>, JsonObject<SubscribeJson<'a>>>()?
        {
            if subs.len() <= limits::CHANNELS_PER_CONNECTION_MAX {
                subs.push((channel, sub.0.unwrap_or_default()));
            }
        }
        Ok(Subs(subs))
    }
}
