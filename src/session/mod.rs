//! A session: the protocol state of one connection, from the first command to the close.
//!
//! A session is a state machine (`machine`), which `shard` calls: commands, answers of rooms and
//! time go in; messages for the client and effects for the shard come out. It decides who
//! the client is, what it may do, and how much of it.
//!
//! Invariants: every command with an id is answered once; a room is asked to remove a member
//! exactly when it has added it.
//!
//! Deliberately absent: sockets, WebSocket frames (the shard's), other sessions.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod answers;
mod asked_connect;
mod awaiting_connect;
mod backlog;
mod chat_commands;
mod client_prefix;
mod clocks;
mod command_order;
mod command_out;
mod commands;
mod connect;
mod context;
mod fault;
mod heartbeat;
mod histories;
mod hook_ask;
mod hook_outcomes;
mod hook_refresh;
mod hook_replies;
mod identity;
mod load;
mod machine;
mod names;
mod open_commands;
mod options;
mod outcome;
mod peer_permissions;
mod pending_histories;
mod ping_timer;
mod position_seal;
mod presence;
mod publishing;
mod quota;
mod reactions;
mod refresh;
mod rights;
mod rosters;
mod server_acts;
mod server_chat;
mod server_publish;
mod serving;
mod state;
mod subscribing;
mod subscriptions;
#[cfg(test)]
mod tests;
mod tokens;
mod tracer;

pub use answers::chat_data;
pub use backlog::HeldCommands;
pub use client_prefix::{Prefix, QuarantineOptions};
pub use context::{Context, PeerIdentity};
pub use fault::Fault;
pub use hook_ask::{AskedPublish, HookAsk, HookThen};
pub use load::{CoreLoad, CorePace};
pub use machine::Session;
pub use names::{
    CONVERSATION_NAMESPACE, ChannelKind, INBOX_NAMESPACE, NameKey, conversation, namespace_of,
    resolve,
};
pub use options::Options;
pub use outcome::{
    CommandError, ConnectionEvent, Effect, OutputCounts, SessionOutput, SubscriberWants, Suspicion,
};
pub use pending_histories::histories_data;
pub use ping_timer::PongResult;
pub use quota::QuotaDecision;
pub use server_acts::ServerAct;
pub use server_chat::{AskedRooms, ServerChat, ServerHistory};
pub use server_publish::ServerPublish;
pub use subscriptions::SubscriberSlot;
pub use tracer::{Tracer, TracerOptions};
