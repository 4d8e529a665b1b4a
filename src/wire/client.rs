//! The other end of the line: commands out, replies and pushes in. For loads,
//! the simulator and tests; the server itself never needs it.
//!
//! Replies become owned values of the generated types, whichever encoding they
//! came in. `publications` is the way for millions a second: it finds each
//! publication's offset and data and looks at nothing else.

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::json_out::{self, Members};
use super::protobuf_in::Reader;
use super::protobuf_out::{self, Fields};
use super::types::{Encoding, Malformed, RawData, Request, SubscribeRequest};

/// The schema's types, as `prost` makes them.
#[allow(missing_docs, reason = "generated; what the schema says about them comes along")]
pub mod proto {
    use super::raw_json;

    include!(concat!(env!("OUT_DIR"), "/centrifugal.centrifuge.protocol.rs"));
}

/// Appends one command. Several of one frame need `separate` between them.
/// `Pong` is the empty command, whatever `id` says.
pub fn put_command(encoding: Encoding, id: u32, request: &Request<'_>, out: &mut BytesMut) {
    match encoding {
        Encoding::Json => json_out::object(out, |command| {
            if *request != Request::Pong {
                command.number_if_any("id", u64::from(id));
            }
            put_json(request, command);
        }),
        Encoding::Protobuf => protobuf_out::delimited(out, |command| {
            if *request != Request::Pong {
                command.number(1, u64::from(id));
            }
            put_protobuf(request, command);
        }),
    }
}

/// One message of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// The answer to a command.
    Reply {
        /// The command's.
        id: u32,
        /// What is answered.
        answer: ClientAnswer,
    },
    /// Something happened.
    Push {
        /// Where; empty when the connection as a whole is meant.
        channel: String,
        /// What.
        push: ClientPush,
    },
    /// The server's ping.
    Ping,
}

/// The results that a reply can carry.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the protocol's result of the same name")]
pub enum ClientAnswer {
    Error(proto::Error),
    Connect(proto::ConnectResult),
    Subscribe(proto::SubscribeResult),
    Unsubscribe,
    Publish,
    Presence(proto::PresenceResult),
    PresenceStats(proto::PresenceStatsResult),
    History(proto::HistoryResult),
    Ping,
    Rpc(proto::RpcResult),
    Refresh(proto::RefreshResult),
    SubRefresh(proto::SubRefreshResult),
    /// None that we know.
    Unknown,
}

/// The things a push can tell.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the protocol's push of the same name")]
pub enum ClientPush {
    Publication(proto::Publication),
    Join(proto::ClientInfo),
    Leave(proto::ClientInfo),
    Unsubscribe(proto::Unsubscribe),
    Message(Bytes),
    Subscribe(proto::Subscribe),
    Disconnect(proto::Disconnect),
    Refresh(proto::Refresh),
    /// None that we know.
    Unknown,
}

/// The messages of one frame. After an error it ends.
pub fn messages(
    encoding: Encoding,
    frame: &[u8],
) -> impl Iterator<Item = Result<ClientMessage, Malformed>> {
    let mut parts = Parts::new(encoding, frame);
    std::iter::from_fn(move || parts.next())
        .map(move |part| part.and_then(|part| parse(encoding, part)))
        .scan(false, |is_over, message| {
            let was_over = std::mem::replace(is_over, message.is_err());
            (!was_over).then_some(message)
        })
}

/// A publication in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Its place in the channel's stream; 0 where there is none.
    pub offset: u64,
    /// What was published.
    pub data: &'a [u8],
}

/// The messages of one frame: a publication is looked at without copying, and
/// `None` stands for any other message. After an error it ends.
pub fn publications(encoding: Encoding, frame: &[u8]) -> Publications<'_> {
    Publications { encoding, parts: Parts::new(encoding, frame) }
}

/// See [`publications`].
pub struct Publications<'a> {
    encoding: Encoding,
    parts: Parts<'a>,
}

impl<'a> Iterator for Publications<'a> {
    type Item = Result<Option<Delivery<'a>>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let delivery = match (self.parts.next()?, self.encoding) {
            (Ok(part), Encoding::Json) => delivery_in_json(part),
            (Ok(part), Encoding::Protobuf) => delivery_in_protobuf(part),
            (Err(error), _) => Err(error),
        };
        if delivery.is_err() {
            self.parts.end();
        }
        Some(delivery)
    }
}

/// A frame cut into the bytes of its messages.
enum Parts<'a> {
    Json(&'a [u8]),
    Protobuf(Reader<'a>),
}

impl<'a> Parts<'a> {
    fn new(encoding: Encoding, frame: &'a [u8]) -> Parts<'a> {
        match encoding {
            Encoding::Json => Parts::Json(frame),
            Encoding::Protobuf => Parts::Protobuf(Reader { rest: frame }),
        }
    }

    fn end(&mut self) {
        *self = Parts::Json(b"");
    }

    #[inline]
    fn next(&mut self) -> Option<Result<&'a [u8], Malformed>> {
        match self {
            Parts::Json(rest) => {
                if rest.is_empty() {
                    return None;
                }
                let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                let (line, behind) = rest.split_at(end);
                *rest = behind.get(1..).unwrap_or_default();
                Some(Ok(line))
            }
            Parts::Protobuf(reader) => {
                if reader.rest.is_empty() {
                    return None;
                }
                let part = reader.delimited();
                if part.is_err() {
                    self.end();
                }
                Some(part)
            }
        }
    }
}

fn delivery_in_protobuf(message: &[u8]) -> Result<Option<Delivery<'_>>, Malformed> {
    let Some(push) = last_message(message, 4)? else { return Ok(None) };
    let Some(publication) = last_message(push, 4)? else { return Ok(None) };
    let mut delivery = Delivery { offset: 0, data: b"" };
    let mut reader = Reader { rest: publication };
    while let Some((field, value)) = reader.field()? {
        match field {
            4 => delivery.data = value.bytes()?,
            6 => delivery.offset = value.varint()?,
            _ => {}
        }
    }
    Ok(Some(delivery))
}

#[inline]
fn last_message(message: &[u8], wanted: u32) -> Result<Option<&[u8]>, Malformed> {
    let mut found = None;
    let mut reader = Reader { rest: message };
    while let Some((field, value)) = reader.field()? {
        if field == wanted {
            found = Some(value.bytes()?);
        }
    }
    Ok(found)
}

fn delivery_in_json(line: &[u8]) -> Result<Option<Delivery<'_>>, Malformed> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        push: Option<Push<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Push<'a> {
        #[serde(borrow, rename = "pub")]
        publication: Option<Publication<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Publication<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
        #[serde(default)]
        offset: u64,
    }
    let line = serde_json::from_slice::<Line<'_>>(line).map_err(|_| Malformed::Json)?;
    let publication = line.push.and_then(|push| push.publication);
    Ok(publication
        .map(|Publication { data, offset }| Delivery { offset, data: data.get().as_bytes() }))
}

fn parse(encoding: Encoding, part: &[u8]) -> Result<ClientMessage, Malformed> {
    let reply = match encoding {
        Encoding::Json => serde_json::from_slice(part).map_err(|_| Malformed::Json)?,
        Encoding::Protobuf => proto::Reply::decode(part).map_err(|_| Malformed::Protobuf)?,
    };
    Ok(if let Some(push) = reply.push {
        ClientMessage::Push { channel: push.channel.clone(), push: push_of(push) }
    } else if reply == proto::Reply::default() {
        ClientMessage::Ping
    } else {
        ClientMessage::Reply { id: reply.id, answer: answer_of(reply) }
    })
}

fn answer_of(reply: proto::Reply) -> ClientAnswer {
    if let Some(error) = reply.error {
        ClientAnswer::Error(error)
    } else if let Some(result) = reply.connect {
        ClientAnswer::Connect(result)
    } else if let Some(result) = reply.subscribe {
        ClientAnswer::Subscribe(result)
    } else if let Some(proto::UnsubscribeResult {}) = reply.unsubscribe {
        ClientAnswer::Unsubscribe
    } else if let Some(proto::PublishResult {}) = reply.publish {
        ClientAnswer::Publish
    } else if let Some(result) = reply.presence {
        ClientAnswer::Presence(result)
    } else if let Some(result) = reply.presence_stats {
        ClientAnswer::PresenceStats(result)
    } else if let Some(result) = reply.history {
        ClientAnswer::History(result)
    } else if let Some(proto::PingResult {}) = reply.ping {
        ClientAnswer::Ping
    } else if let Some(result) = reply.rpc {
        ClientAnswer::Rpc(result)
    } else if let Some(result) = reply.refresh {
        ClientAnswer::Refresh(result)
    } else if let Some(result) = reply.sub_refresh {
        ClientAnswer::SubRefresh(result)
    } else {
        ClientAnswer::Unknown
    }
}

fn push_of(push: proto::Push) -> ClientPush {
    if let Some(publication) = push.r#pub {
        ClientPush::Publication(publication)
    } else if let Some(join) = push.join {
        ClientPush::Join(join.info.unwrap_or_default())
    } else if let Some(leave) = push.leave {
        ClientPush::Leave(leave.info.unwrap_or_default())
    } else if let Some(unsubscribe) = push.unsubscribe {
        ClientPush::Unsubscribe(unsubscribe)
    } else if let Some(message) = push.message {
        ClientPush::Message(message.data)
    } else if let Some(subscribe) = push.subscribe {
        ClientPush::Subscribe(subscribe)
    } else if let Some(disconnect) = push.disconnect {
        ClientPush::Disconnect(disconnect)
    } else if let Some(refresh) = push.refresh {
        ClientPush::Refresh(refresh)
    } else {
        ClientPush::Unknown
    }
}

fn put_json(request: &Request<'_>, command: &mut Members<'_>) {
    let channel_only = |command: &mut Members<'_>, name: &'static str, channel: &str| {
        command.object(name, |members| members.text_if_any("channel", channel));
    };
    match request {
        Request::Connect(connect) => command.object("connect", |members| {
            members.text_if_any("token", &connect.token);
            put_json_data(connect.data.as_ref(), members);
            if !connect.subs.is_empty() {
                members.object("subs", |subs| {
                    for sub in &connect.subs {
                        subs.object_at(sub.channel.as_bytes(), |members| {
                            put_json_subscribe(sub, members);
                        });
                    }
                });
            }
            members.text_if_any("name", &connect.name);
            members.text_if_any("version", &connect.version);
        }),
        Request::Subscribe(subscribe) => command.object("subscribe", |members| {
            members.text_if_any("channel", &subscribe.channel);
            put_json_subscribe(subscribe, members);
        }),
        Request::Unsubscribe { channel } => channel_only(command, "unsubscribe", channel),
        Request::Publish { channel, data } => command.object("publish", |members| {
            members.text_if_any("channel", channel);
            put_json_data(Some(data), members);
        }),
        Request::Presence { channel } => channel_only(command, "presence", channel),
        Request::PresenceStats { channel } => {
            channel_only(command, "presence_stats", channel);
        }
        Request::History(history) => command.object("history", |members| {
            members.text_if_any("channel", &history.channel);
            if history.limit != 0 {
                members.signed("limit", history.limit);
            }
            if let Some((offset, epoch)) = &history.since {
                members.object("since", |since| {
                    since.number_if_any("offset", *offset);
                    since.text_if_any("epoch", epoch);
                });
            }
            members.flag("reverse", history.reverse);
        }),
        Request::Ping => command.object("ping", |_| {}),
        Request::Send { data } => command.object("send", |members| {
            put_json_data(Some(data), members);
        }),
        Request::Rpc { method, data } => command.object("rpc", |members| {
            put_json_data(Some(data), members);
            members.text_if_any("method", method);
        }),
        Request::Refresh { token } => command.object("refresh", |members| {
            members.text_if_any("token", token);
        }),
        Request::SubRefresh { channel, token } => command.object("sub_refresh", |members| {
            members.text_if_any("channel", channel);
            members.text_if_any("token", token);
        }),
        Request::Pong | Request::Unknown => {}
    }
}

fn put_json_subscribe(subscribe: &SubscribeRequest<'_>, members: &mut Members<'_>) {
    members.text_if_any("token", &subscribe.token);
    members.flag("recover", subscribe.recover);
    members.text_if_any("epoch", &subscribe.epoch);
    members.number_if_any("offset", subscribe.offset);
    put_json_data(subscribe.data.as_ref(), members);
    members.flag("positioned", subscribe.positioned);
    members.flag("recoverable", subscribe.recoverable);
    members.flag("join_leave", subscribe.join_leave);
}

fn put_json_data(data: Option<&RawData<'_>>, members: &mut Members<'_>) {
    if let Some(data) = data.filter(|data| data.is_json || !data.bytes.is_empty()) {
        members.raw("data", &data.bytes, data.is_json);
    }
}

fn put_protobuf(request: &Request<'_>, command: &mut Fields<'_>) {
    match request {
        Request::Connect(connect) => command.message(4, |fields| {
            fields.text(1, &connect.token);
            put_protobuf_data(2, connect.data.as_ref(), fields);
            for sub in &connect.subs {
                fields.message(3, |entry| {
                    entry.text(1, &sub.channel);
                    entry.message(2, |fields| put_protobuf_subscribe(sub, fields));
                });
            }
            fields.text(4, &connect.name);
            fields.text(5, &connect.version);
        }),
        Request::Subscribe(subscribe) => command.message(5, |fields| {
            fields.text(1, &subscribe.channel);
            put_protobuf_subscribe(subscribe, fields);
        }),
        Request::Unsubscribe { channel } => command.message(6, |fields| fields.text(1, channel)),
        Request::Publish { channel, data } => command.message(7, |fields| {
            fields.text(1, channel);
            fields.bytes(2, &data.bytes);
        }),
        Request::Presence { channel } => command.message(8, |fields| fields.text(1, channel)),
        Request::PresenceStats { channel } => command.message(9, |fields| fields.text(1, channel)),
        Request::History(history) => command.message(10, |fields| {
            fields.text(1, &history.channel);
            fields.number(7, i64::from(history.limit).cast_unsigned());
            if let Some((offset, epoch)) = &history.since {
                fields.message(8, |since| {
                    since.number(1, *offset);
                    since.text(2, epoch);
                });
            }
            fields.flag(9, history.reverse);
        }),
        Request::Ping => command.message(11, |_| {}),
        Request::Send { data } => command.message(12, |fields| fields.bytes(1, &data.bytes)),
        Request::Rpc { method, data } => command.message(13, |fields| {
            fields.bytes(1, &data.bytes);
            fields.text(2, method);
        }),
        Request::Refresh { token } => command.message(14, |fields| fields.text(1, token)),
        Request::SubRefresh { channel, token } => command.message(15, |fields| {
            fields.text(1, channel);
            fields.text(2, token);
        }),
        Request::Pong | Request::Unknown => {}
    }
}

fn put_protobuf_subscribe(subscribe: &SubscribeRequest<'_>, fields: &mut Fields<'_>) {
    fields.text(2, &subscribe.token);
    fields.flag(3, subscribe.recover);
    fields.text(6, &subscribe.epoch);
    fields.number(7, subscribe.offset);
    put_protobuf_data(8, subscribe.data.as_ref(), fields);
    fields.flag(9, subscribe.positioned);
    fields.flag(10, subscribe.recoverable);
    fields.flag(11, subscribe.join_leave);
}

fn put_protobuf_data(field: u32, data: Option<&RawData<'_>>, fields: &mut Fields<'_>) {
    if let Some(data) = data {
        fields.bytes(field, &data.bytes);
    }
}

/// Application data stands in JSON as a raw value.
fn raw_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let raw = <&'de RawValue>::deserialize(deserializer)?;
    Ok(Bytes::copy_from_slice(raw.get().as_bytes()))
}
