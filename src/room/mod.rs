//! Rooms: in what order messages happened in a channel, who is there, and what a late-comer
//! may see. `Rooms` has all whose home is one shard, and `shard` is who calls it.
//!
//! A room lives on its home shard only; other shards have subscribers. Requests of shards
//! (`RoomRequest`) and replies of the store enter. What leaves is in `RoomOutput`: events for
//! shards (`RoomEvent`), requests to other rooms and to the store, and what is counted
//! and measured. Every request is answered exactly once.
//!
//! Rooms make the data of their notices by `wire::chat`: it is JSON for every client, like the
//! data of a message.
//!
//! Deliberately absent: sockets, and in which encoding a client gets what a room says.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod abandoned;
mod changes;
mod conversation;
mod dead_letters;
mod decision;
mod dedup;
mod durable_stream;
mod epochs;
mod history;
mod history_removal;
mod history_window;
mod inbox;
mod inbox_order;
mod members;
mod membership_events;
mod memory_reactions;
mod message_ids;
mod message_requests;
mod message_timing;
mod messages;
mod mutes;
mod options;
mod output;
mod own_writes;
mod pending_messages;
mod pending_removals;
mod presence;
mod reaction_notices;
mod reactions;
mod reading;
mod receipts;
mod reopening;
mod request_order;
mod requests;
#[expect(clippy::module_inception, reason = "the type that all the others are parts of")]
mod room;
mod room_context;
mod room_memory;
mod room_messages;
mod room_set;
mod room_table;
mod room_timers;
mod rooms;
mod roster;
mod roster_changes;
mod silence;
mod single_sessions;
mod store_client;
mod stream;
#[cfg(test)]
mod tests;
mod typing;
mod user_rates;
mod users;
mod waiting_notices;

#[cfg(test)]
pub use message_timing::tests::timing;
pub use message_timing::{DeliveryKind, MessageTiming, UNKNOWN, ack_key};
pub use messages::{
    DeadLettersReply, InboxDelivery, MemberReplacement, PublishAck, RecoveryOutcome, ReplyTo,
    RoomEvent, RoomOp, RoomReply, RoomRequest, Subscribed,
};
pub use options::{
    GroupEntry, JoinLeaveScope, Namespace, Options, Permission, PersonalChannel, UserRateLimits,
    WindowLimits,
};
pub use output::{MessageStep, RoomOutput, UnmetInGroup, UnmetMessage};
pub use requests::{
    ChangeAction, ChangeRequest, ChannelKey, ConversationsPage, DeadLettersAsk, HistoryPage,
    HistoryQuery, HistoryRemoval, IdSource, LeaveReason, MembersPage, MuteRequest, PublishMode,
    Reaction, ReactionsPage, ReadMarkerUpdate, ReceiptsPage, RetractRight, RoomPublish,
    RoomSubscribe, RoomSummary, RosterAuthority, RosterPage, RosterRequest, Unrecovered,
};
pub use rooms::Rooms;
