//! What a question to a room comes to, and what follows for whoever asked on its behalf.
//!
//! Deliberately absent: how it is decided (`room`).

use std::sync::Arc;

use super::members::Members;
use super::store_client::ReplyRoute;
use super::{RoomEvent, RoomOutput, RoomReply, RoomRequest, RoomSubscribe};
use crate::base::{RoomId, ShardId};
use crate::wire::{ErrorCode, Publication};

/// What a question comes to now.
pub(super) enum Decision {
    /// It is answered later.
    Later,
    /// The answer.
    Answered(RoomReply),
    /// The answer, and what everybody hears of it.
    AnsweredWithEvent(RoomReply, RoomEvent),
}

/// What a new member asked to recover.
pub(super) enum Recovered {
    /// Nothing.
    NotAsked,
    /// Some of it is gone.
    Lost,
    /// All of it.
    Whole(Vec<Arc<Publication>>),
}

/// Whether a new member may come in.
pub(super) enum RecoveryStart {
    /// It may, with what it missed.
    Ready(RoomSubscribe, Recovered),
    /// What it missed is being read.
    Reading,
    /// It may not.
    Refused(ErrorCode),
}

/// Whether the author of a message said it before.
pub(super) enum DuplicateCheck {
    /// It did not.
    New,
    /// It did, and waits for the answer again.
    Pending,
    /// It did: the answer of then.
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

/// What comes of it when the store says what it knows of a room.
pub(super) enum OpenOutcome {
    /// It did not look, and is asked again.
    Retried,
    /// These do not wait any more.
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
    /// No.
    pub fn refused(code: ErrorCode) -> Decision {
        Decision::Answered(RoomReply::Rejected(code))
    }

    /// An answer, unless it comes later.
    pub fn of(answer: Option<RoomReply>) -> Decision {
        answer.map_or(Decision::Later, Decision::Answered)
    }

    /// An answer, and what is told of it, if anything is.
    pub fn with(answer: RoomReply, event: Option<RoomEvent>) -> Decision {
        match event {
            None => Decision::Answered(answer),
            Some(event) => Decision::AnsweredWithEvent(answer, event),
        }
    }

    /// Says it: the answer first, and then to these members what they hear of it.
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
