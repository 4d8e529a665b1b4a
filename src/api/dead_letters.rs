//! Calls about dead letters: what they ask of rooms, and what they are answered.
//!
//! Invariant: a key hears of those of its tenant, in conversations that it covers, and of no others.
//!
//! Deliberately absent: how a message becomes one, and what it says.

use std::borrow::Cow;

use super::questions::Questions;
use crate::auth::{ApiKey, ApiScope};
use crate::base::RoomId;
use crate::base::limits::{API_READ_QUESTIONS, API_USER_QUESTIONS};
use crate::room::{DeadLettersAsk, DeadLettersReply, RoomOp, RoomReply};
use crate::session::{ChannelKind, NameKey};
use crate::shard::{ServerAsk, ServerOp};
use crate::store::{
    ChangeDeadLetters, DeadLetterEntry, DeadLetterFate, DeadLetterPlace, DeadLettersQuery,
};
use crate::wire::ErrorCode;
use crate::wire::api::{
    ApiAnswer, ApiDeadLetter, ApiDeadLetterFate, ApiDeadLetterPlace, ApiDeadLettersChange,
    ApiDeadLettersPage, ApiField, ApiMethod, ApiOperatorAnswer, ApiOperatorMethod, ApiRequestError,
};

/// What a page that lists them may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLettersView {
    key: ApiKey,
    names: NameKey,
}

/// What a call that changes them is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLettersChangeCall {
    method: ApiOperatorMethod,
    /// One that was named has to be there.
    is_one: bool,
}

/// The conversation in which dead letters are changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConversationOfLetters {
    /// Its room.
    pub room: RoomId,
    /// The personal channels of its two users.
    pub inboxes: [RoomId; 2],
    /// How long what waits there may wait from now on, Unix ms.
    pub expires_unix_ms_max: u64,
}

/// Asks for a page; the question's index, and what may be shown of the answer.
pub(super) fn list(
    key: &ApiKey,
    names: NameKey,
    page: ApiDeadLettersPage<'_>,
    questions: &mut Questions,
) -> Result<(usize, DeadLettersView), ErrorCode> {
    let ApiDeadLettersPage { user, after, limit } = page;
    if !key.scopes.contains(ApiScope::DeadLetters) {
        return Err(ErrorCode::PermissionDenied);
    }
    let inbox = user.map(|user| names.inbox(&key.tenant, &user));
    let after = after.map(|ApiDeadLetterPlace { inbox, room, offset }| DeadLetterPlace {
        inbox: RoomId(inbox),
        room: RoomId(room),
        offset,
    });
    let query = DeadLettersQuery { inbox, after, count_max: limit as u32 };
    // All cores share one store, so any of them may be asked.
    let room = inbox.unwrap_or_else(|| names.room("", "dead letters"));
    let ask = ask_of(room, DeadLettersAsk::List(query));
    let index = questions.ask_for(ask, API_READ_QUESTIONS)?;
    Ok((index, DeadLettersView { key: key.clone(), names }))
}

/// Asks for a change; the question's index, and what it is about.
pub(super) fn change(
    conversation: ConversationOfLetters,
    now_unix_s: u64,
    change: &ApiDeadLettersChange<'_>,
    questions: &mut Questions,
) -> Result<(usize, DeadLettersChangeCall), ErrorCode> {
    let ConversationOfLetters { room, inboxes, expires_unix_ms_max } = conversation;
    let &ApiDeadLettersChange { channel: _, offset, fate } = change;
    let (method, fate) = match fate {
        ApiDeadLetterFate::Requeued { ttl_s } => {
            let end_unix_s = ttl_s.map_or(u64::MAX, |ttl_s| now_unix_s.saturating_add(ttl_s));
            let expires_unix_ms = end_unix_s.saturating_mul(1_000).min(expires_unix_ms_max);
            let fate = DeadLetterFate::Requeued { expires_unix_ms };
            (ApiOperatorMethod::DeadLettersRequeue, fate)
        }
        ApiDeadLetterFate::Dropped => (ApiOperatorMethod::DeadLettersDrop, DeadLetterFate::Dropped),
    };
    let change = ChangeDeadLetters { room, inboxes, offset, fate };
    let is_one = offset.is_some();
    let cost = if is_one { API_USER_QUESTIONS } else { API_READ_QUESTIONS };
    let index = questions.ask_for(ask_of(room, DeadLettersAsk::Change(change)), cost)?;
    Ok((index, DeadLettersChangeCall { method, is_one }))
}

fn ask_of(room: RoomId, asked: DeadLettersAsk) -> ServerAsk {
    ServerAsk::Room(room, ServerOp::Room(RoomOp::DeadLetters(Box::new(asked))))
}

/// A page, as it is told; `None` where there is none.
pub(super) fn told_page<'a>(view: &DeadLettersView, reply: &'a RoomReply) -> Option<ApiAnswer<'a>> {
    let RoomReply::DeadLetters(DeadLettersReply::Page(found, next)) = reply else { return None };
    let is_seen =
        |one: &&DeadLetterEntry| *one.tenant == *view.key.tenant && view.key.covers(&one.channel);
    let letters = found.iter().filter(is_seen).map(|one| told(view.names, one)).collect();
    let next = next.map(|DeadLetterPlace { inbox, room, offset }| ApiDeadLetterPlace {
        inbox: inbox.0,
        room: room.0,
        offset,
    });
    let method = ApiMethod::Operator(ApiOperatorMethod::DeadLettersList);
    Some(ApiAnswer::Operator(method, ApiOperatorAnswer::DeadLetters { letters, next }))
}

fn told(names: NameKey, one: &DeadLetterEntry) -> ApiDeadLetter<'_> {
    let users = match ChannelKind::of(&one.channel) {
        Some(ChannelKind::Conversation(users)) => Some(users),
        Some(ChannelKind::Open | ChannelKind::Inbox(_) | ChannelKind::Listed(_)) | None => None,
    };
    let is_reader = |user: &&str| names.inbox(&one.tenant, user) == one.place.inbox;
    ApiDeadLetter {
        channel: Cow::Borrowed(&one.channel),
        offset: one.place.offset,
        user: users.and_then(|users| users.into_iter().find(is_reader)).unwrap_or_default(),
        cause: one.cause.word(),
        at_unix_ms: one.at_unix_ms,
        tries_count: one.tries_count,
    }
}

/// What became of them, as it is told; `None` where nothing is known.
pub(super) fn told_change(
    call: DeadLettersChangeCall,
    reply: &RoomReply,
) -> Option<ApiAnswer<'static>> {
    let RoomReply::DeadLetters(DeadLettersReply::Changed(changed)) = reply else { return None };
    let count = changed.counts.into_iter().sum();
    if call.is_one && count == 0 && changed.empty_count == 0 {
        return Some(ApiAnswer::Error(ApiRequestError::Missing(ApiField::Offset)));
    }
    let is_requeue = call.method == ApiOperatorMethod::DeadLettersRequeue;
    let empty_count = is_requeue.then_some(changed.empty_count);
    let has_more = changed.is_full;
    let told = ApiOperatorAnswer::DeadLettersChanged { count, empty_count, has_more };
    Some(ApiAnswer::Operator(ApiMethod::Operator(call.method), told))
}
