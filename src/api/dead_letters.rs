//! Calls about dead letters: what they ask of rooms, and what they are answered.
//!
//! Invariant: a key hears of those of its tenant, in conversations that it covers, and of no others.
//! An operator at the console hears of all.
//!
//! Deliberately absent: how a message becomes one, and what it says.

use std::borrow::Cow;

use super::questions::Questions;
use crate::auth::{ApiKey, ApiScope};
use crate::base::limits::{API_READ_QUESTIONS, API_USER_QUESTIONS};
use crate::base::{DeadLetterPlace, RoomId};
use crate::room::{DeadLettersAsk, DeadLettersReply, Namespace, RoomOp, RoomReply};
use crate::session::{ChannelKind, NameKey, resolve};
use crate::shard::{ServerAsk, ServerOp};
use crate::store::{ChangeDeadLetters, DeadLetterEntry, DeadLetterFate, DeadLettersQuery};
use crate::wire::ErrorCode;
use crate::wire::api::{
    ApiAnswer, ApiDeadLetter, ApiDeadLetterFate, ApiDeadLettersChange, ApiDeadLettersPage,
    ApiField, ApiMethod, ApiOperatorAnswer, ApiOperatorMethod, ApiRequestError,
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

impl ConversationOfLetters {
    /// The conversation that a channel of a tenant is.
    pub fn of(
        (names, namespaces): (NameKey, &[Namespace]),
        (tenant, channel): (&str, &str),
        now_unix_s: u64,
    ) -> Result<ConversationOfLetters, ErrorCode> {
        let (namespace, kind) = resolve(namespaces, channel).ok_or(ErrorCode::UnknownChannel)?;
        let ChannelKind::Conversation(users) = kind else { return Err(ErrorCode::NotAvailable) };
        let ttl_ms_max = namespaces[usize::from(namespace)].ttl_ms_max;
        Ok(ConversationOfLetters {
            room: names.room(tenant, channel),
            inboxes: users.map(|user| names.inbox(tenant, user)),
            expires_unix_ms_max: (now_unix_s * 1_000).saturating_add(ttl_ms_max),
        })
    }
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
    let ask = page_of(names, DeadLettersQuery { inbox, after, count_max: limit as u32 });
    let index = questions.ask_for(ask, API_READ_QUESTIONS)?;
    Ok((index, DeadLettersView { key: key.clone(), names }))
}

/// Asks for a page of those of all tenants, for an operator; `reader` is a tenant and a user.
pub fn ask_for_letters(
    names: NameKey,
    reader: Option<(&str, &str)>,
    after: Option<DeadLetterPlace>,
    count_max: usize,
) -> Questions {
    let inbox = reader.map(|(tenant, user)| names.inbox(tenant, user));
    let query = DeadLettersQuery { inbox, after, count_max: count_max as u32 };
    let mut questions = Questions::default();
    let asked = questions.ask_for(page_of(names, query), API_READ_QUESTIONS);
    asked.expect("a request may ask as much");
    questions
}

/// Asks for a change of those in a channel of any tenant, for an operator.
pub fn ask_to_change_letters(
    (names, namespaces): (NameKey, &[Namespace]),
    now_unix_s: u64,
    tenant: &str,
    wanted: &ApiDeadLettersChange<'_>,
) -> Result<Questions, ErrorCode> {
    let place = (tenant, &*wanted.channel);
    let of = ConversationOfLetters::of((names, namespaces), place, now_unix_s)?;
    let mut questions = Questions::default();
    change(of, now_unix_s, wanted, &mut questions)?;
    Ok(questions)
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

fn page_of(names: NameKey, query: DeadLettersQuery) -> ServerAsk {
    // All cores share one store, so any of them may be asked.
    let room = query.inbox.unwrap_or_else(|| names.room("", "dead letters"));
    ask_of(room, DeadLettersAsk::List(query))
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
    let method = ApiMethod::Operator(ApiOperatorMethod::DeadLettersList);
    Some(ApiAnswer::Operator(method, ApiOperatorAnswer::DeadLetters { letters, next: *next }))
}

fn told(names: NameKey, one: &DeadLetterEntry) -> ApiDeadLetter<'_> {
    ApiDeadLetter {
        channel: Cow::Borrowed(&one.channel),
        offset: one.place.offset,
        user: reader_of(names, one),
        cause: one.cause.word(),
        at_unix_ms: one.at_unix_ms,
        tries_count: one.tries_count,
    }
}

/// For whom a dead letter was; empty where its conversation has no such user.
pub fn reader_of(names: NameKey, one: &DeadLetterEntry) -> &str {
    let parties = ChannelKind::of(&one.channel)
        .and_then(|kind| names.parties(&one.tenant, kind, one.place.inbox));
    parties.map_or("", |(reader, _)| reader)
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
