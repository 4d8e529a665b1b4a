//! What is remembered of a request until the store answers it, and whose turn it takes.
//!
//! Deliberately absent: what follows from an answer (`rooms`).

use std::sync::Arc;

use super::super::{
    ChangeRequest, MuteRequest, Reaction, ReadMarkerUpdate, ReplyTo, RoomSubscribe, RosterRequest,
};
use crate::base::{RoomId, ShardId};
use crate::store::{Requester, WriteEpoch};
use crate::wire::Publication;

/// Who asks, and from which shard.
pub(in crate::room) type ReplyRoute = (ShardId, ReplyTo);

/// What an answer of the store is for.
pub(in crate::room) enum PendingOp {
    /// A room is read, for whoever needed it first.
    Opened(RoomId, Requester),
    /// A message is kept that was given in this epoch.
    Appended(RoomId, WriteEpoch),
    /// A part of a stream is read.
    Read(Box<StoreRead>),
    /// A user got on.
    MarkerAdvanced(RoomId, ReplyRoute, Box<ReadMarkerUpdate>),
    /// A page of so many receipts.
    Receipts(RoomId, ReplyRoute, u32),
    /// A page of conversations.
    Conversations(RoomId, ReplyRoute),
    /// A user reacts.
    Reacted(RoomId, ReplyRoute, Box<Reaction>),
    /// Reactions to some messages.
    Reactions(RoomId, ReplyRoute),
    /// The groups of a user that shall be in one more.
    GroupsCounted(RoomId, ReplyRoute, Box<RosterRequest>),
    /// A member mutes a group.
    Muted(RoomId, ReplyRoute, Box<MuteRequest>),
    /// What was said is removed; in a conversation of the two users of these inboxes.
    HistoryRemoved(RoomId, ReplyRoute, Option<[RoomId; 2]>),
    /// A page of what waits for a user.
    Pending(RoomId),
    /// A direct message to the user of this inbox becomes a dead letter.
    DeadLetter(RoomId),
    /// Dead letters are listed or changed, for an operator's program.
    OfDeadLetters(RoomId, ReplyRoute, DeadLettersStep),
    /// Nobody waits.
    Done,
}

/// What an answer of the store about dead letters is for.
#[derive(Clone, Copy, Debug)]
pub(in crate::room) enum DeadLettersStep {
    /// A page is read.
    Listed,
    /// They are changed; those with these readers wait again, where they do.
    Changed(Option<[RoomId; 2]>),
}

/// A read of the store in steps.
pub(in crate::room) struct StoreRead {
    /// Of which room.
    pub room: RoomId,
    /// For whom.
    pub by: ReplyRoute,
    /// What for.
    pub purpose: ReadPurpose,
    /// What has come so far, in the order asked for.
    pub found: Vec<Arc<Publication>>,
    /// What that costs.
    pub bytes: usize,
}

/// What is read.
pub(in crate::room) enum ReadPurpose {
    /// What a new member missed, up to what is in memory.
    Recovery(Box<RoomSubscribe>),
    /// A part of the history.
    History,
    /// One message that is to be changed, to see whose it is.
    Change(Box<ChangeRequest>),
}

impl StoreRead {
    /// One that begins.
    pub fn new(room: RoomId, by: ReplyRoute, purpose: ReadPurpose) -> StoreRead {
        StoreRead { room, by, purpose, found: Vec::new(), bytes: 0 }
    }
}

/// Whose turn a read of the store takes.
pub(in crate::room) fn requester(by: Option<ReplyRoute>) -> Requester {
    by.map_or(Requester::NOBODY, |(shard, ReplyTo { conn, user, .. })| Requester {
        shard,
        conn,
        user,
    })
}
