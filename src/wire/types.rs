//! What clients and server say to each other, free of any encoding.
//!
//! Names and meanings follow the Centrifugal client protocol, version 2. What
//! comes in borrows from the received bytes where the encoding allows it; what
//! goes out is shared.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::error_code::{ErrorCode, Field};
use crate::base::{ClientId, Trace};

/// How a connection speaks. Fixed at its upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoding {
    /// Text frames, one or more objects separated by newlines.
    Json,
    /// Binary frames, one or more messages, each behind its varint length.
    Protobuf,
}

impl Encoding {
    /// Both, in the order of `index`.
    pub const ALL: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];

    /// Dense, for tables by encoding.
    pub fn index(self) -> usize {
        match self {
            Encoding::Json => 0,
            Encoding::Protobuf => 1,
        }
    }
}

/// Application data as it came: never parsed, never changed in meaning.
///
/// `is_json` is decided once, where the data enters: data that is valid JSON
/// goes into JSON frames in place, anything else as a base64 string. Data with
/// `is_json` holds no line feed, because that would cut a JSON frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The data.
    pub bytes: Bytes,
    /// Whether `bytes` is one JSON value without line feeds.
    pub is_json: bool,
}

/// Who did something, as other clients see it. One allocation per connection,
/// shared by its session, presence, and what it publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// The user of the token; empty for an anonymous peer.
    pub user: Box<str>,
    /// The connection.
    pub client: ClientId,
    /// From the connection token's `info`.
    pub conn_info: Option<Box<Payload>>,
}

/// One message of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Counts from 1 in its channel and epoch; 0 where the channel keeps no history.
    pub offset: u64,
    /// What was published.
    pub data: Payload,
    /// Who published; `None` for the server itself.
    pub info: Option<Arc<ClientInfo>>,
    /// From the subscription token's `info` of the publisher.
    pub chan_info: Option<Arc<Payload>>,
    /// Short texts by name that the publisher's side attached.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// When the home shard took it, ms since 1970; 0 is not shown.
    pub time_unix_ms: u64,
    /// What its steps are told under; never shown. Old messages have none.
    pub trace: Option<Trace>,
}

/// Under which name the author of a message may repeat it by its id: its own, or the empty one
/// for the server. `None` for whoever has no name: one cannot be told from another.
pub fn repeating_author(info: Option<&ClientInfo>) -> Option<&str> {
    match info {
        None => Some(""),
        Some(info) => Some(&*info.user).filter(|user| !user.is_empty()),
    }
}

/// The tag with the id that a message's author gave it.
pub const ID_TAG: &str = "id";

/// The tag with the trace context that came with a message.
pub const TRACE_TAG: &str = "traceparent";

/// The trace that the tags of a message tell: the one it came with, or that of an id
/// which is a UUID.
pub fn trace_of(tags: &[(Box<str>, Box<str>)]) -> Option<Trace> {
    let tag = |name: &str| tags.iter().find(|(key, _)| **key == *name).map(|(_, text)| &**text);
    tag(TRACE_TAG).and_then(Trace::parse).or_else(|| tag(ID_TAG).and_then(Trace::of_uuid))
}

/// What a publication costs beside its parts: the entry, its shared header, its
/// offset and time, and the names of its fields on the wire.
const PUBLICATION_OVERHEAD_BYTES: usize = 192;

impl Payload {
    /// What it costs, in memory and on the wire, about.
    pub fn cost_bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl ClientInfo {
    /// What it costs in each message that carries it, about.
    pub fn cost_bytes(&self) -> usize {
        let conn_info = self.conn_info.as_ref().map_or(0, |info| info.cost_bytes());
        self.user.len() + conn_info
    }
}

/// What a message costs with everything that it carries, in memory, on the disk and on
/// the wire, about. Every limit on bytes of messages counts with this.
pub fn publication_cost_bytes(
    data: &Payload,
    info: Option<&ClientInfo>,
    chan_info: Option<&Payload>,
    tags: &[(Box<str>, Box<str>)],
) -> usize {
    let tags = tags.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>();
    PUBLICATION_OVERHEAD_BYTES
        + data.cost_bytes()
        + info.map_or(0, ClientInfo::cost_bytes)
        + chan_info.map_or(0, Payload::cost_bytes)
        + tags
}

impl Publication {
    /// What it costs with everything that it carries.
    pub fn cost_bytes(&self) -> usize {
        let Publication { data, info, chan_info, tags, .. } = self;
        publication_cost_bytes(data, info.as_deref(), chan_info.as_deref(), tags)
    }

    /// The text of one tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(key, _)| **key == *name).map(|(_, text)| &**text)
    }
}

/// A place in a channel's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last message seen.
    pub offset: u64,
    /// The stream.
    pub epoch: Epoch,
}

/// The name of one life of a channel's stream, a number of 32 bits that is shown as 8
/// hexadecimal letters; or, with 128 bits and 32 letters, of a channel in which nothing
/// was said. A client's epoch that is of neither form parses to `Epoch::FOREIGN`, which
/// equals no stream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub u128);

/// What the epoch of a silent channel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SilentEpoch {
    /// When it was given, ms since 1970, in 48 bits.
    pub since_unix_ms: u64,
    /// The server's sum, in 80 bits.
    pub seal: u128,
}

impl SilentEpoch {
    const SEAL_BITS: u32 = 80;
    /// The latest time.
    pub const UNIX_MS_MAX: u64 = (1 << (u128::BITS - SilentEpoch::SEAL_BITS)) - 1;
    /// The bits of a seal.
    pub const SEAL_MAX: u128 = (1 << SilentEpoch::SEAL_BITS) - 1;
}

impl From<SilentEpoch> for Epoch {
    fn from(silent: SilentEpoch) -> Epoch {
        let SilentEpoch { since_unix_ms, seal } = silent;
        Epoch(u128::from(since_unix_ms) << SilentEpoch::SEAL_BITS | seal)
    }
}

impl Epoch {
    /// No stream's epoch.
    pub const FOREIGN: Epoch = Epoch(0);
    /// Whichever stream there is, for a client that wants it from its beginning. No text parses
    /// to it, and no silent channel has it: its time is beyond the year 10000.
    pub const ANY: Epoch = Epoch(u128::MAX);

    /// Whether it names a stream, or could.
    pub fn is_stream(self) -> bool {
        self.0 <= u128::from(u32::MAX)
    }

    /// What it says of a silent channel, if it is one's.
    pub fn silent(self) -> Option<SilentEpoch> {
        let since_unix_ms = (self.0 >> SilentEpoch::SEAL_BITS) as u64;
        let seal = self.0 & SilentEpoch::SEAL_MAX;
        (!self.is_stream()).then_some(SilentEpoch { since_unix_ms, seal })
    }
}

/// Makes an epoch good for recovery by one user in one room, from an offset on. Behind
/// the epoch in its text: `<epoch>.<from>.<tag>`, both in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochSeal {
    /// The first position to recover from.
    pub from: u64,
    /// The server's sum over all of it.
    pub tag: u128,
}

/// An epoch as a client wrote it; whether its seal is good, only the server's key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenEpoch {
    /// The stream.
    pub epoch: Epoch,
    /// What stood behind it.
    pub seal: Option<EpochSeal>,
}

/// One command of a client.
#[derive(Debug, PartialEq)]
pub struct Command<'a> {
    /// Chosen by the client, grows from 1; 0 when no answer is wanted.
    pub id: u32,
    /// What is asked.
    pub request: Request<'a>,
}

/// Everything a client may ask. Closed: what the protocol has beyond this list
/// is refused or ignored by the decoder.
#[derive(Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the protocol's request of the same name")]
pub enum Request<'a> {
    Connect(ConnectRequest<'a>),
    Subscribe(SubscribeRequest<'a>),
    Unsubscribe {
        channel: Cow<'a, str>,
    },
    Publish {
        channel: Cow<'a, str>,
        data: RawData<'a>,
    },
    Presence {
        channel: Cow<'a, str>,
    },
    PresenceStats {
        channel: Cow<'a, str>,
    },
    History(HistoryRequest<'a>),
    Ping,
    Send {
        data: RawData<'a>,
    },
    Rpc {
        method: Cow<'a, str>,
        data: RawData<'a>,
    },
    Refresh {
        token: Cow<'a, str>,
    },
    SubRefresh {
        channel: Cow<'a, str>,
        token: Cow<'a, str>,
    },
    /// An empty command: the answer to the server's ping.
    Pong,
    /// A command with an id and no request that we know.
    Unknown,
}

/// Application data inside a received frame. `is_json` as in `Payload`.
#[derive(Clone, Debug, PartialEq)]
pub struct RawData<'a> {
    /// The data, borrowed from the frame where possible.
    pub bytes: Cow<'a, [u8]>,
    /// Whether it is one JSON value without line feeds.
    pub is_json: bool,
}

impl RawData<'_> {
    /// A copy that outlives the frame.
    pub fn to_payload(&self) -> Payload {
        Payload { bytes: Bytes::copy_from_slice(&self.bytes), is_json: self.is_json }
    }
}

/// The first command of every connection.
#[derive(Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the protocol's fields of the same name")]
pub struct ConnectRequest<'a> {
    pub token: Cow<'a, str>,
    pub data: Option<RawData<'a>>,
    /// Server-side subscriptions to be recovered, by channel.
    pub subs: Vec<SubscribeRequest<'a>>,
    pub name: Cow<'a, str>,
    pub version: Cow<'a, str>,
    /// For the application's backend, by name.
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Asks to be in a channel, or to be in it again without having missed anything.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the protocol's fields of the same name")]
pub struct SubscribeRequest<'a> {
    pub channel: Cow<'a, str>,
    pub token: Cow<'a, str>,
    pub recover: bool,
    pub epoch: Cow<'a, str>,
    pub offset: u64,
    pub data: Option<RawData<'a>>,
    pub positioned: bool,
    pub recoverable: bool,
    pub join_leave: bool,
    pub flags: SubscribeFlags,
    /// Whether the client takes publications as differences to the one before (`delta`), in
    /// Fossil's format, which is the only one.
    pub takes_deltas: bool,
    /// A filter over tags (`tf`) as it came: JSON, or a message of Protobuf.
    pub tag_filter: Option<RawData<'a>>,
}

/// What a client asks of a subscription by bits of `flag`. Bits that mean nothing are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeFlags(u8);

impl SubscribeFlags {
    /// Who cannot recover shall not come in: SDKs ask so where the application has a state of
    /// its own to begin with.
    pub const REJECT_UNRECOVERED: SubscribeFlags = SubscribeFlags(2);
    /// Pushes may call the channel by a number that the answer tells.
    pub const CHANNEL_COMPACTION: SubscribeFlags = SubscribeFlags(1);

    const SERVED: i64 =
        (SubscribeFlags::REJECT_UNRECOVERED.0 | SubscribeFlags::CHANNEL_COMPACTION.0) as i64;

    /// Those of the protocol's number.
    pub(super) fn of(number: i64) -> SubscribeFlags {
        SubscribeFlags((number & SubscribeFlags::SERVED) as u8)
    }

    /// The protocol's number.
    pub(super) fn number(self) -> u64 {
        u64::from(self.0)
    }

    /// Whether all of `asked` are there.
    pub fn contains(self, asked: SubscribeFlags) -> bool {
        self.0 & asked.0 == asked.0
    }
}

/// Asks for messages that are kept.
#[derive(Debug, PartialEq)]
pub struct HistoryRequest<'a> {
    /// The channel.
    pub channel: Cow<'a, str>,
    /// At most so many; 0 asks for the position only, below 0 for all that the
    /// server gives at once.
    pub limit: i32,
    /// Only what lies behind this place (with `reverse`: before it).
    pub since: Option<(u64, Cow<'a, str>)>,
    /// Newest first.
    pub reverse: bool,
}

/// What the server sends. `CoreReply` answers a command, the rest comes unasked.
#[derive(Debug, PartialEq)]
pub enum Message<'a> {
    /// Answer to the command `id`.
    Reply {
        /// The command's.
        id: u32,
        /// What is answered.
        answer: Answer<'a>,
    },
    /// Something happened in a channel, or with this connection.
    Push {
        /// Empty when the connection as a whole is meant.
        channel: &'a str,
        /// What happened.
        push: Push<'a>,
    },
    /// The same, for who has agreed to call the channel by a number.
    CompactPush {
        /// As the answer to the subscribe told it.
        channel_id: u32,
        /// What happened.
        push: Push<'a>,
    },
    /// The server's ping: an empty reply.
    Ping,
}

/// Answers to commands.
#[derive(Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the protocol's result of the same name")]
pub enum Answer<'a> {
    Error(ErrorCode),
    /// An error, too: a field of a chat method's data cannot be right.
    Wrong(Field),
    /// An error that the application's backend chose.
    BackendError(&'a BackendError),
    Connect(ConnectResult<'a>),
    Subscribe(SubscribeResult<'a>),
    Unsubscribe,
    Publish,
    Presence {
        clients: &'a [(Arc<ClientInfo>, Option<Arc<Payload>>)],
    },
    PresenceStats {
        num_clients: u32,
        num_users: u32,
    },
    History {
        publications: &'a [Arc<Publication>],
        position: Position,
    },
    Ping,
    Rpc {
        data: &'a Payload,
    },
    Refresh {
        client: ClientId,
        expires_in_s: Option<u32>,
    },
    SubRefresh {
        expires_in_s: Option<u32>,
    },
}

/// An error of an application's backend, for the client whose command it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendError {
    /// Its code.
    pub code: u32,
    /// Its text.
    pub message: Box<str>,
    /// Whether the client may try again.
    pub is_temporary: bool,
}

impl BackendError {
    /// Number, text, and whether the client may try again.
    pub(super) fn parts(&self) -> (u32, &str, bool) {
        (self.code, &self.message, self.is_temporary)
    }
}

/// What a client learns when it is in.
#[derive(Debug, PartialEq)]
pub struct ConnectResult<'a> {
    /// Its identity until it leaves.
    pub client: ClientId,
    /// `rookery` and its version.
    pub version: &'a str,
    /// Until the token expires, if it does.
    pub expires_in_s: Option<u32>,
    /// Subscriptions that the server made, by channel.
    pub subs: Vec<(&'a str, SubscribeResult<'a>)>,
    /// The server pings each so many seconds; 0 never.
    pub ping_s: u32,
    /// Whether the client must answer pings.
    pub pong: bool,
    /// The server's clock, ms since 1970.
    pub time_unix_ms: u64,
    /// Which host.
    pub node: &'a str,
    /// What the application's backend wants the client to be told.
    pub data: Option<&'a Payload>,
}

/// What a client learns when it is in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SubscribeResult<'a> {
    /// Until the subscription's token expires, if it does.
    pub expires_in_s: Option<u32>,
    /// Whether missed messages can be recovered later.
    pub recoverable: bool,
    /// Whether the server watches the position and tells about a gap.
    pub positioned: bool,
    /// Where the stream stands; `None` where the channel keeps no stream.
    pub position: Option<Position>,
    /// Behind the position's epoch, for a client that may recover its own only.
    pub seal: Option<EpochSeal>,
    /// What was missed, oldest first.
    pub publications: &'a [Arc<Publication>],
    /// All that was missed is in `publications`.
    pub recovered: bool,
    /// The client asked for recovery.
    pub was_recovering: bool,
    /// What the token wants the client to be told.
    pub data: Option<&'a Payload>,
    /// Publications come in the forms of `PublicationForm::Whole` and `Delta`.
    pub has_deltas: bool,
    /// What pushes call the channel; 0 where they call it by its name.
    pub channel_id: u32,
}

impl SubscribeResult<'_> {
    /// The form of the publications in it.
    pub fn publication_form(&self) -> PublicationForm<'static> {
        if self.has_deltas { PublicationForm::Whole } else { PublicationForm::Plain }
    }
}

/// The one format of deltas, as clients call it.
pub const DELTA_FORMAT: &str = "fossil";

/// In which form a client gets the data of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicationForm<'a> {
    /// As it is.
    Plain,
    /// In full, for clients that take deltas: in JSON its text as a string.
    Whole,
    /// The difference to the data of the publication before.
    Delta(&'a [u8]),
}

/// What the server tells without being asked.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the protocol's push of the same name")]
pub enum Push<'a> {
    Publication(&'a Publication, PublicationForm<'a>),
    Join { info: &'a ClientInfo, chan_info: Option<&'a Payload> },
    Leave { info: &'a ClientInfo, chan_info: Option<&'a Payload> },
    Unsubscribe { code: u32, reason: &'a str },
    Subscribe(SubscribeResult<'a>),
    Message { data: &'a Payload },
}

/// Why bytes are no commands. All of them are the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandParseError {
    /// Not JSON, or not of the protocol's shape.
    Json,
    /// Not Protobuf, or cut short.
    Protobuf,
    /// A length that points beyond the frame.
    Length,
    /// A name over its limit, or a number outside its range.
    Limit,
    /// An empty frame.
    Empty,
}
