// The messages of client.proto as types of prost. A test (tests/docs.rs) compares both, field
// by field; whoever changes one changes the other. Application data is raw JSON in place, and
// the client side reads replies of both encodings into the same types.

/// One wish of a client. At most one of the requests is set; none at all is the
/// answer to the server's ping.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Command {
    /// Grows from 1; 0 where no reply is wanted.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    #[prost(message, optional, tag = "4")]
    pub connect: Option<ConnectRequest>,
    #[prost(message, optional, tag = "5")]
    pub subscribe: Option<SubscribeRequest>,
    #[prost(message, optional, tag = "6")]
    pub unsubscribe: Option<UnsubscribeRequest>,
    #[prost(message, optional, tag = "7")]
    pub publish: Option<PublishRequest>,
    #[prost(message, optional, tag = "8")]
    pub presence: Option<PresenceRequest>,
    #[prost(message, optional, tag = "9")]
    pub presence_stats: Option<PresenceStatsRequest>,
    #[prost(message, optional, tag = "10")]
    pub history: Option<HistoryRequest>,
    #[prost(message, optional, tag = "11")]
    pub ping: Option<PingRequest>,
    #[prost(message, optional, tag = "12")]
    pub send: Option<SendRequest>,
    #[prost(message, optional, tag = "13")]
    pub rpc: Option<RpcRequest>,
    #[prost(message, optional, tag = "14")]
    pub refresh: Option<RefreshRequest>,
    #[prost(message, optional, tag = "15")]
    pub sub_refresh: Option<SubRefreshRequest>,
}

/// What the server sends: the answer to a command (with its id), a push
/// (without), or nothing at all, which is the server's ping.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Reply {
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Why the command was refused; no result beside it.
    #[prost(message, optional, tag = "2")]
    pub error: Option<Error>,
    #[prost(message, optional, tag = "4")]
    pub push: Option<Push>,
    #[prost(message, optional, tag = "5")]
    pub connect: Option<ConnectResult>,
    #[prost(message, optional, tag = "6")]
    pub subscribe: Option<SubscribeResult>,
    #[prost(message, optional, tag = "7")]
    pub unsubscribe: Option<UnsubscribeResult>,
    #[prost(message, optional, tag = "8")]
    pub publish: Option<PublishResult>,
    #[prost(message, optional, tag = "9")]
    pub presence: Option<PresenceResult>,
    #[prost(message, optional, tag = "10")]
    pub presence_stats: Option<PresenceStatsResult>,
    #[prost(message, optional, tag = "11")]
    pub history: Option<HistoryResult>,
    #[prost(message, optional, tag = "12")]
    pub ping: Option<PingResult>,
    #[prost(message, optional, tag = "13")]
    pub rpc: Option<RpcResult>,
    #[prost(message, optional, tag = "14")]
    pub refresh: Option<RefreshResult>,
    #[prost(message, optional, tag = "15")]
    pub sub_refresh: Option<SubRefreshResult>,
}

/// Why a command was refused.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Error {
    #[prost(uint32, tag = "1")]
    pub code: u32,
    #[prost(string, tag = "2")]
    pub message: String,
    /// The same command may succeed later.
    #[prost(bool, tag = "3")]
    pub temporary: bool,
}

/// Something that nobody asked for just now.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Push {
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// Empty where the whole connection is meant.
    #[prost(string, tag = "2")]
    pub channel: String,
    #[prost(message, optional, tag = "4")]
    pub r#pub: Option<Publication>,
    #[prost(message, optional, tag = "5")]
    pub join: Option<Join>,
    #[prost(message, optional, tag = "6")]
    pub leave: Option<Leave>,
    #[prost(message, optional, tag = "7")]
    pub unsubscribe: Option<Unsubscribe>,
    #[prost(message, optional, tag = "8")]
    pub message: Option<Message>,
    #[prost(message, optional, tag = "9")]
    pub subscribe: Option<Subscribe>,
    #[prost(message, optional, tag = "11")]
    pub disconnect: Option<Disconnect>,
    #[prost(message, optional, tag = "12")]
    pub refresh: Option<Refresh>,
}

/// A client as others see it.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct ClientInfo {
    #[prost(string, tag = "1")]
    pub user: String,
    /// One connection of the user.
    #[prost(string, tag = "2")]
    pub client: String,
    /// From the connection's token.
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "3")]
    pub conn_info: Bytes,
    /// From the subscription's token.
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "4")]
    pub chan_info: Bytes,
}

/// One message of a channel.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Publication {
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
    /// Who published; absent for the server itself.
    #[prost(message, optional, tag = "5")]
    pub info: Option<ClientInfo>,
    /// Counts from 1; absent in a channel without history.
    #[prost(uint64, tag = "6")]
    pub offset: u64,
    #[prost(btree_map = "string, string", tag = "7")]
    pub tags: BTreeMap<String, String>,
    /// `data` is the difference to the data of the publication before.
    #[prost(bool, tag = "8")]
    pub delta: bool,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "9")]
    pub time: i64,
}

/// A client came into the channel.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Join {
    #[prost(message, optional, tag = "1")]
    pub info: Option<ClientInfo>,
}

/// A client left the channel.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Leave {
    #[prost(message, optional, tag = "1")]
    pub info: Option<ClientInfo>,
}

/// The server ended a subscription. From code 2500 on, the client tries again.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Unsubscribe {
    #[prost(uint32, tag = "2")]
    pub code: u32,
    #[prost(string, tag = "3")]
    pub reason: String,
}

/// The server made a subscription.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Subscribe {
    #[prost(bool, tag = "1")]
    pub recoverable: bool,
    #[prost(string, tag = "4")]
    pub epoch: String,
    #[prost(uint64, tag = "5")]
    pub offset: u64,
    #[prost(bool, tag = "6")]
    pub positioned: bool,
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "7")]
    pub data: Bytes,
}

/// Data from the server for this connection, outside of any channel.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Message {
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
}

/// The connection ends, and why.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Disconnect {
    #[prost(uint32, tag = "1")]
    pub code: u32,
    #[prost(string, tag = "2")]
    pub reason: String,
    #[prost(bool, tag = "3")]
    pub reconnect: bool,
}

/// The connection's new lease.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct Refresh {
    #[prost(bool, tag = "1")]
    pub expires: bool,
    /// Seconds.
    #[prost(uint32, tag = "2")]
    pub ttl: u32,
}

/// The first command of a connection.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct ConnectRequest {
    #[prost(string, tag = "1")]
    pub token: String,
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
    /// Server-side subscriptions to be recovered, by channel.
    #[prost(btree_map = "string, message", tag = "3")]
    pub subs: BTreeMap<String, SubscribeRequest>,
    /// Which client software.
    #[prost(string, tag = "4")]
    pub name: String,
    #[prost(string, tag = "5")]
    pub version: String,
    /// Handed to the application's backend by name, where settings say so.
    #[prost(btree_map = "string, string", tag = "6")]
    pub headers: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct ConnectResult {
    /// The identity of the connection.
    #[prost(string, tag = "1")]
    pub client: String,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(bool, tag = "3")]
    pub expires: bool,
    /// Seconds until the token expires.
    #[prost(uint32, tag = "4")]
    pub ttl: u32,
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "5")]
    pub data: Bytes,
    /// Subscriptions that the server made, by channel.
    #[prost(btree_map = "string, message", tag = "6")]
    pub subs: BTreeMap<String, SubscribeResult>,
    /// Seconds between the server's pings; absent when it never pings.
    #[prost(uint32, tag = "7")]
    pub ping: u32,
    /// The server waits for answers to its pings.
    #[prost(bool, tag = "8")]
    pub pong: bool,
    #[prost(string, tag = "10")]
    pub node: String,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "11")]
    pub time: i64,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct RefreshRequest {
    #[prost(string, tag = "1")]
    pub token: String,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct RefreshResult {
    #[prost(string, tag = "1")]
    pub client: String,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(bool, tag = "3")]
    pub expires: bool,
    /// Seconds.
    #[prost(uint32, tag = "4")]
    pub ttl: u32,
}

/// Into a channel; with `recover`, as if never gone since `offset` of `epoch`.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct SubscribeRequest {
    #[prost(string, tag = "1")]
    pub channel: String,
    #[prost(string, tag = "2")]
    pub token: String,
    #[prost(bool, tag = "3")]
    pub recover: bool,
    #[prost(string, tag = "6")]
    pub epoch: String,
    #[prost(uint64, tag = "7")]
    pub offset: u64,
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "8")]
    pub data: Bytes,
    #[prost(bool, tag = "9")]
    pub positioned: bool,
    #[prost(bool, tag = "10")]
    pub recoverable: bool,
    #[prost(bool, tag = "11")]
    pub join_leave: bool,
    /// "fossil": publications may come as differences.
    #[prost(string, tag = "12")]
    pub delta: String,
    /// Only publications whose tags it matches.
    #[prost(message, optional, tag = "13")]
    pub tf: Option<FilterNode>,
    /// 2: who cannot recover does not come in (112).
    #[prost(int64, tag = "14")]
    pub flag: i64,
}

/// A comparison of one tag, or what joins such.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct FilterNode {
    /// "and", "or", "not"; empty for a comparison.
    #[prost(string, tag = "1")]
    pub op: String,
    #[prost(string, tag = "2")]
    pub key: String,
    #[prost(string, tag = "3")]
    pub cmp: String,
    #[prost(string, tag = "4")]
    pub val: String,
    #[prost(string, repeated, tag = "5")]
    pub vals: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub nodes: Vec<FilterNode>,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct SubscribeResult {
    #[prost(bool, tag = "1")]
    pub expires: bool,
    /// Seconds.
    #[prost(uint32, tag = "2")]
    pub ttl: u32,
    #[prost(bool, tag = "3")]
    pub recoverable: bool,
    #[prost(string, tag = "6")]
    pub epoch: String,
    /// What was missed, oldest first.
    #[prost(message, repeated, tag = "7")]
    pub publications: Vec<Publication>,
    /// `publications` holds all that was missed.
    #[prost(bool, tag = "8")]
    pub recovered: bool,
    #[prost(uint64, tag = "9")]
    pub offset: u64,
    #[prost(bool, tag = "10")]
    pub positioned: bool,
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "11")]
    pub data: Bytes,
    /// Tells a failed recovery from a fresh subscription.
    #[prost(bool, tag = "12")]
    pub was_recovering: bool,
    /// Publications may be differences; in JSON their data is text.
    #[prost(bool, tag = "13")]
    pub delta: bool,
    #[prost(int64, tag = "14")]
    pub id: i64,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct SubRefreshRequest {
    #[prost(string, tag = "1")]
    pub channel: String,
    #[prost(string, tag = "2")]
    pub token: String,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct SubRefreshResult {
    #[prost(bool, tag = "1")]
    pub expires: bool,
    /// Seconds.
    #[prost(uint32, tag = "2")]
    pub ttl: u32,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct UnsubscribeRequest {
    #[prost(string, tag = "1")]
    pub channel: String,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct UnsubscribeResult {}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct PublishRequest {
    #[prost(string, tag = "1")]
    pub channel: String,
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct PublishResult {}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct PresenceRequest {
    #[prost(string, tag = "1")]
    pub channel: String,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct PresenceResult {
    /// By client.
    #[prost(btree_map = "string, message", tag = "1")]
    pub presence: BTreeMap<String, ClientInfo>,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct PresenceStatsRequest {
    #[prost(string, tag = "1")]
    pub channel: String,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct PresenceStatsResult {
    #[prost(uint32, tag = "1")]
    pub num_clients: u32,
    #[prost(uint32, tag = "2")]
    pub num_users: u32,
}

/// A place in a channel's stream.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct StreamPosition {
    #[prost(uint64, tag = "1")]
    pub offset: u64,
    #[prost(string, tag = "2")]
    pub epoch: String,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct HistoryRequest {
    #[prost(string, tag = "1")]
    pub channel: String,
    /// 0 asks for the position only, below 0 for as much as the server gives.
    #[prost(int32, tag = "7")]
    pub limit: i32,
    #[prost(message, optional, tag = "8")]
    pub since: Option<StreamPosition>,
    /// Newest first.
    #[prost(bool, tag = "9")]
    pub reverse: bool,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct HistoryResult {
    #[prost(message, repeated, tag = "1")]
    pub publications: Vec<Publication>,
    #[prost(string, tag = "2")]
    pub epoch: String,
    #[prost(uint64, tag = "3")]
    pub offset: u64,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct PingRequest {}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct PingResult {}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct RpcRequest {
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
    #[prost(string, tag = "2")]
    pub method: String,
}

#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct RpcResult {
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
}

/// Data for the server that gets no reply.
#[derive(Clone, PartialEq, serde::Deserialize, ::prost::Message)]
#[serde(default)]
pub struct SendRequest {
    #[serde(deserialize_with = "raw_json")]
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
}
