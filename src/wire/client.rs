//! The other end of the line: commands out, replies and pushes in. For loads,
//! the simulator and tests; the server itself never needs it.
//!
//! Replies become owned values of the generated types, whichever encoding they
//! came in. `publications` is the way for millions a second: it finds each
//! publication's offset and data and looks at nothing else.

use bytes::Bytes;
use prost::Message as _;
use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::protobuf_in::ProtobufReader;
use super::types::{CommandParseError, Encoding};

pub use super::client_out::put_command;

/// The schema's types, for `prost`.
#[allow(missing_docs, reason = "what the schema says about them stands there")]
pub mod proto {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::raw_json;

    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/proto/client.rs"));
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
        /// The channel; empty when the connection as a whole is meant.
        channel: String,
        /// What happened.
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
) -> impl Iterator<Item = Result<ClientMessage, CommandParseError>> {
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
pub struct ClientPublication<'a> {
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
    type Item = Result<Option<ClientPublication<'a>>, CommandParseError>;

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
    Protobuf(ProtobufReader<'a>),
}

impl<'a> Parts<'a> {
    fn new(encoding: Encoding, frame: &'a [u8]) -> Parts<'a> {
        match encoding {
            Encoding::Json => Parts::Json(frame),
            Encoding::Protobuf => Parts::Protobuf(ProtobufReader { rest: frame }),
        }
    }

    fn end(&mut self) {
        *self = Parts::Json(b"");
    }

    #[inline]
    fn next(&mut self) -> Option<Result<&'a [u8], CommandParseError>> {
        match self {
            Parts::Json(rest) => {
                if rest.is_empty() {
                    return None;
                }
                let (line, behind) = rest.split_at(line_bytes(rest));
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

/// Up to the line feed or the end.
fn line_bytes(text: &[u8]) -> usize {
    // `contains` looks at many bytes at once, `position` at one.
    const BLOCK_BYTES: usize = 64;
    let before = text.chunks(BLOCK_BYTES).take_while(|block| !block.contains(&b'\n')).count();
    let start = text.len().min(before * BLOCK_BYTES);
    let within = text[start..].iter().position(|&byte| byte == b'\n');
    within.map_or(text.len(), |within| start + within)
}

fn delivery_in_protobuf(
    message: &[u8],
) -> Result<Option<ClientPublication<'_>>, CommandParseError> {
    let Some(push) = last_message(message, 4)? else { return Ok(None) };
    let Some(publication) = last_message(push, 4)? else { return Ok(None) };
    let mut delivery = ClientPublication { offset: 0, data: b"" };
    let mut reader = ProtobufReader { rest: publication };
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
fn last_message(message: &[u8], wanted: u32) -> Result<Option<&[u8]>, CommandParseError> {
    let mut found = None;
    let mut reader = ProtobufReader { rest: message };
    while let Some((field, value)) = reader.field()? {
        if field == wanted {
            found = Some(value.bytes()?);
        }
    }
    Ok(found)
}

fn delivery_in_json(line: &[u8]) -> Result<Option<ClientPublication<'_>>, CommandParseError> {
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
    let line = serde_json::from_slice::<Line<'_>>(line).map_err(|_| CommandParseError::Json)?;
    let publication = line.push.and_then(|push| push.publication);
    Ok(publication.map(|Publication { data, offset }| ClientPublication {
        offset,
        data: data.get().as_bytes(),
    }))
}

fn parse(encoding: Encoding, part: &[u8]) -> Result<ClientMessage, CommandParseError> {
    let reply = match encoding {
        Encoding::Json => serde_json::from_slice(part).map_err(|_| CommandParseError::Json)?,
        Encoding::Protobuf => {
            proto::Reply::decode(part).map_err(|_| CommandParseError::Protobuf)?
        }
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

/// Application data stands in JSON as a raw value.
fn raw_json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let raw = <&'de RawValue>::deserialize(deserializer)?;
    Ok(Bytes::copy_from_slice(raw.get().as_bytes()))
}
