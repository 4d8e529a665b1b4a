//! Who may change which message, and what that does to it.
//!
//! Who takes a message back leaves a remainder in its place; who edits it, its new words. A
//! message of its own says so behind all others, both at once.
//!
//! Deliberately absent: how that is kept and told (`room_messages`).

use std::sync::Arc;

use super::pending_messages::MessageInFlight;
use super::{ChangeAction, ChangeRequest, IdSource, RetractRight, RoomReply};
use crate::base::Timestamps;
use crate::store::{ChangeKind, MessageChange};
use crate::wire::chat::{self, Field};
use crate::wire::{ErrorCode, Publication};

/// Whether a message is changed.
pub(super) enum ChangeDecision {
    /// It is.
    May,
    /// It was taken back before, and stays so.
    AlreadyGone,
    /// It is not: the answer that says why.
    Refused(RoomReply),
}

/// Judges a wish to change this message. Nobody gives others' messages other words.
pub(super) fn judge(request: &ChangeRequest, message: &Publication) -> ChangeDecision {
    let author = message.info.as_ref().filter(|info| !info.user.is_empty());
    let is_own = author.is_some_and(|author| {
        request.publish.info.as_ref().is_some_and(|info| info.user == author.user)
    });
    match request.action {
        ChangeAction::Retract(RetractRight::Author) | ChangeAction::Edit if !is_own => {
            return ChangeDecision::Refused(RoomReply::Rejected(ErrorCode::PermissionDenied));
        }
        ChangeAction::Retract(RetractRight::Author | RetractRight::Moderator)
        | ChangeAction::Edit => {}
    }
    if chat::is_about_others(message) {
        // Who was away would not learn what it said.
        return ChangeDecision::Refused(RoomReply::InvalidField(Field::Offset));
    }
    match (request.action, chat::is_remainder(message)) {
        (_, false) => ChangeDecision::May,
        (ChangeAction::Retract(_), true) => ChangeDecision::AlreadyGone,
        (ChangeAction::Edit, true) => {
            ChangeDecision::Refused(RoomReply::InvalidField(Field::Offset))
        }
    }
}

/// The message at `offset` that changes this one, with what that does to it.
pub(super) fn message_of(
    request: ChangeRequest,
    target: &Publication,
    now: Timestamps,
    offset: u64,
) -> MessageInFlight {
    let ChangeRequest { action, mut publish, .. } = request;
    let (mode, timing) = (publish.mode, publish.timing);
    let id_source = match action {
        ChangeAction::Retract(_) => IdSource::Server,
        ChangeAction::Edit => publish.id_source,
    };
    if action == ChangeAction::Edit {
        publish.tags.extend(chat::edit_tags(target));
    }
    let publication = Arc::new(publish.into_publication(now, offset));
    let (kind, left) = match action {
        ChangeAction::Retract(_) => (ChangeKind::Retraction, chat::remainder(target)),
        ChangeAction::Edit => (ChangeKind::Edit, chat::edited(target, &publication)),
    };
    let (replacement, superseded) = (Arc::new(left), chat::edit_offset(target));
    let change = Some(MessageChange { kind, replacement, superseded });
    MessageInFlight { publication, change, roster: None, mode, id_source, timing }
}
