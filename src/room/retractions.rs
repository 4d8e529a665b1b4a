//! Who may take which message back.
//!
//! What is taken back leaves a remainder in its place, and a message of its own says so behind
//! all others, both at once.
//!
//! Deliberately absent: how that is kept and told (`room`).

use super::{RetractRight, Retraction, RoomReply};
use crate::wire::chat::{self, Field};
use crate::wire::{ErrorCode, Publication};

/// Whether a message is taken back.
pub(super) enum RetractDecision {
    /// It is.
    May,
    /// It was taken back before, and stays so.
    AlreadyGone,
    /// It is not: the answer that says why.
    Refused(RoomReply),
}

/// Judges a wish to take this message back.
pub(super) fn judge(retraction: &Retraction, message: &Publication) -> RetractDecision {
    let author = message.info.as_ref().filter(|info| !info.user.is_empty());
    let is_own = author.is_some_and(|author| {
        retraction.publish.info.as_ref().is_some_and(|info| info.user == author.user)
    });
    if !is_own && retraction.right == RetractRight::Author {
        return RetractDecision::Refused(RoomReply::Rejected(ErrorCode::PermissionDenied));
    }
    if chat::retracted_offset(message).is_some() {
        // Who was away would not learn what it said.
        return RetractDecision::Refused(RoomReply::InvalidField(Field::Offset));
    }
    if chat::is_remainder(message) {
        return RetractDecision::AlreadyGone;
    }
    RetractDecision::May
}
