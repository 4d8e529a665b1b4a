//! The outcomes of requests to a room.
//!
//! Deliberately absent: the decisions (`room`).

use std::sync::Arc;

use super::members::Members;
use super::store_client::ReplyRoute;
use super::{RoomEvent, RoomOutput, RoomReply, RoomRequest, RoomSubscribe};
use crate::base::{RoomId, ShardId};
use crate::wire::{ErrorCode, Publication};

/// The outcome of a request.
pub(super) enum Decision {
    /// It is answered later.
    Later,
    /// The answer.
    Answered(RoomReply),
    /// The answer, and an event for all members.
    AnsweredWithEvent(RoomReply, RoomEvent),
}

/// The messages that a new member recovers.
pub(super) enum RecoveredMessages {
    /// It did not ask for any.
    NotRequested,
    /// Some of them are gone.
    Lost,
    /// All of them.
    Whole(Vec<Arc<Publication>>),
}

/// The start of a recovery.
pub(super) enum RecoveryStart {
    /// The messages are known, and the member can be added.
    Ready(RoomSubscribe, RecoveredMessages),
    /// The messages are being read from the store.
    Reading,
    /// The member cannot be added.
    Refused(ErrorCode),
}

/// Whether a message is a duplicate.
pub(super) enum DuplicateCheck {
    /// It is new.
    New,
    /// The first one waits for the store; both are answered then.
    Pending,
    /// It is a duplicate; this was the answer.
    Known(RoomReply),
}

/// Whether a room is still needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoomUse {
    /// It is, or may be soon.
    Needed,
    /// It is not.
    Unneeded,
}

/// The outcome of opening a stream.
pub(super) enum OpenOutcome {
    /// The store did not read it, and is asked again.
    Retried,
    /// The stream is known; these requests waited for it.
    Known(Vec<(ShardId, RoomRequest)>),
}

/// Whether a read goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadProgress {
    /// The store was asked for the next step.
    Continues,
    /// All is read.
    Over,
}

impl Decision {
    /// A refusal.
    pub fn refused(code: ErrorCode) -> Decision {
        Decision::Answered(RoomReply::Rejected(code))
    }

    /// An answer, unless it comes later.
    pub fn of(answer: Option<RoomReply>) -> Decision {
        answer.map_or(Decision::Later, Decision::Answered)
    }

    /// An answer, and an event for all members, if there is one.
    pub fn with(answer: RoomReply, event: Option<RoomEvent>) -> Decision {
        match event {
            None => Decision::Answered(answer),
            Some(event) => Decision::AnsweredWithEvent(answer, event),
        }
    }

    /// Sends the answer, and then the event to these members.
    pub fn act_on(
        self,
        room: RoomId,
        by: ReplyRoute,
        members: Option<&Members>,
        out: &mut RoomOutput,
    ) {
        match self {
            Decision::Later => (),
            Decision::Answered(answer) => out.answer(room, by, answer),
            Decision::AnsweredWithEvent(answer, event) => {
                out.answer(room, by, answer);
                if let Some(members) = members {
                    members.send_to_shards(&event, out);
                }
            }
        }
    }

    /// The answer, unless it comes later.
    pub fn answer(&self) -> Option<&RoomReply> {
        match self {
            Decision::Later => None,
            Decision::Answered(answer) | Decision::AnsweredWithEvent(answer, _) => Some(answer),
        }
    }
}
