//! A shard: the connections of one core, the rooms that it is home of, and its messages to
//! other cores.
//!
//! `turn` lets a core take a turn: events of its `Io`, and what its `Lanes` bring (messages
//! of other shards, answers of the store, commands of the control thread), enter `Shard`;
//! its decisions leave as actions for the `Io`, and as messages, requests and trace events
//! for the `Lanes`. So a shard's past is a list of inputs, and can be replayed.
//!
//! Invariants: a session is in a channel exactly when it is a subscriber
//! there, and then the room's home counts it; each request to a home is answered
//! once; a connection has at most one send in flight.
//!
//! Deliberately absent: threads, and the kernel.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod audit;
mod batches;
mod block_pass;
mod conn;
mod connection_page;
mod connections;
mod delivery;
mod drain;
mod fanout;
mod home_rooms;
mod hooks;
mod inbound;
mod judge;
mod liveness;
mod mesh;
mod messages;
mod observe;
mod options;
mod outbox;
mod partial_messages;
mod pinger;
mod postponed;
mod presence_facts;
mod presence_pass;
mod ranking_scan;
mod room_events;
mod room_scan;
mod server_questions;
mod session_env;
mod sessions;
mod setup;
#[expect(clippy::module_inception, reason = "the type that all the others are parts of")]
mod shard;
#[cfg(test)]
mod tests;
mod top_rooms;
mod turn;
mod turn_context;
mod turn_counts;
mod upgrades;
mod user_scan;

pub use audit::{Audit, PresentConn, SubscriberRecord};
pub use connection_page::{ConnectionPage, KnownConnection, PageOfConnections};
pub use hooks::{HookCall, HookReturn, Hooks};
pub use messages::{Gap, ShardMessage, home};
pub use observe::{
    ChannelLabel, ConnectionInfo, EarlyPanic, IncidentCause, MessageIncident, SCAN_RESULTS_MAX,
    ScanRequest, ScanResult, Span, SpanAction, SpanExport, TopBy, TraceEvent, TraceEvents, hashed,
};
pub use options::{Options, PresenceListener, TracingOptions};
pub use ranking_scan::{RANKED_ROOMS_MAX, RoomRanking};
pub use server_questions::{
    BlocksUpdate, ChannelsQuestion, ChannelsWanted, CoresReply, ServerAnswer, ServerAsk, ServerOp,
    ServerQuestion, ServerReply, UserConnection, UserOp, UserQuestion,
};
pub use setup::{ShardCommand, ShardSetup};
pub use shard::Shard;
pub use top_rooms::{RankBy, RankPlace, RankedRoom, TopRooms};
pub use turn::{Lanes, turn};
pub use turn_counts::TurnCounts;
