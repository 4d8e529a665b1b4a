//! Reads the conversations of a user, with their unread counts.
//!
//! Deliberately absent: channels that the user only subscribes to, of which there is no list.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{PartialRead, Slice, roster};
use crate::base::RoomId;
use crate::base::limits::HISTORY_ANSWER_BYTES_MAX;
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::budget::Budget;
use crate::store::engine::channels::ChannelStore;
use crate::store::engine::heads::ChannelHead;
use crate::store::messages::{
    Conversation, ConversationsQuery, ReadMarkers, ReadOrder, StoreError, StoreResult,
};
use crate::store::{key, record};
use crate::wire::chat::GroupRole;
use crate::wire::{Publication, chat};

/// Conversations in one answer: each is a read of its channel's record, its head, the
/// user's read markers and the last message.
const CONVERSATIONS_MAX: u32 = 256;

/// Most names of conversations that are read together.
const CONVERSATIONS_AT_ONCE_MAX: usize = 16;

/// The partial result.
#[derive(Debug, Default)]
pub struct PartialConversations {
    after: Box<str>,
    bytes: usize,
    found: Vec<(RoomId, Conversation)>,
}

/// Reads a page of a user's conversations.
pub(super) fn conversations<D: Disk>(
    channels: &mut ChannelStore<D>,
    page: &ConversationsQuery,
    so_far: Option<PartialRead>,
    budget: &mut Budget,
) -> Result<Slice, StoreError> {
    let count_max = page.count_max.min(CONVERSATIONS_MAX) as usize;
    let mut so_far = match so_far {
        Some(PartialRead::Conversations(so_far)) => so_far,
        _ => PartialConversations { after: page.after.clone(), ..Default::default() },
    };
    while so_far.found.len() < count_max {
        let conversation_names = conversation_names(channels, page.inbox, &so_far.after, budget)?;
        if conversation_names.is_empty() {
            return Ok(so_far.end(None));
        }
        for (channel, room) in conversation_names {
            if count_max <= so_far.found.len() {
                break;
            }
            if budget.is_slice_over() {
                return Ok(Slice::Partial(PartialRead::Conversations(so_far)));
            }
            let Some(one) = conversation(channels, channel.clone(), room, &page.user, budget)?
            else {
                so_far.after = channel;
                continue;
            };
            so_far.bytes += one.cost_bytes();
            if HISTORY_ANSWER_BYTES_MAX < so_far.bytes && !so_far.found.is_empty() {
                let next = so_far.after.clone();
                return Ok(so_far.end(Some(next)));
            }
            so_far.after = one.channel.clone();
            so_far.found.push((room, one));
        }
    }
    let rest = conversation_names(channels, page.inbox, &so_far.after, budget)?;
    let next = (!rest.is_empty() && count_max != 0).then(|| so_far.after.clone());
    Ok(so_far.end(next))
}

/// The next conversations of a user, after this name.
fn conversation_names<D: Disk>(
    channels: &ChannelStore<D>,
    inbox: RoomId,
    after: &str,
    budget: &mut Budget,
) -> Result<Vec<(Box<str>, RoomId)>, StoreError> {
    budget.seek();
    let mut conversation_names: Vec<Result<(Box<str>, RoomId), StoreError>> = Vec::new();
    let range = key::names_behind(inbox, after);
    channels.staged().scan(
        StoreKeyspace::Conversations,
        &range,
        ReadOrder::OldestFirst,
        &mut |key, value| {
            budget.read(value.len());
            let name = key::name_of(key).map(|(_, name)| name.into()).ok_or(StoreError::Damaged);
            conversation_names
                .push(name.and_then(|name| Ok((name, record::take_conversation(value)?))));
            if conversation_names.len() < CONVERSATIONS_AT_ONCE_MAX {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        },
    )?;
    conversation_names.into_iter().collect()
}

fn conversation<D: Disk>(
    channels: &mut ChannelStore<D>,
    channel: Box<str>,
    room: RoomId,
    user: &str,
    budget: &mut Budget,
) -> Result<Option<Conversation>, StoreError> {
    // A removed channel stays among the conversations for a moment.
    let Some(head) = channels.head(room)? else { return Ok(None) };
    let (mut role, mut muted_until_unix_ms) = (None, 0);
    if channels.rules(head.namespace()).has_rosters {
        let member = roster::member(channels, room, user, budget)?;
        role = member.as_ref().map(|member| member.role);
        muted_until_unix_ms = member.map_or(0, |member| member.muted_until_unix_ms);
        // What is said there is for members. Others were here before it was a group.
        match role {
            Some(GroupRole::Member | GroupRole::Admin | GroupRole::Owner) => (),
            Some(GroupRole::Invited) => return Ok(Some(invitation(channel))),
            None => return Ok(None),
        }
    }
    let markers = channels.markers_at(&key::named(room, user))?.unwrap_or_default();
    let mut last = None;
    if head.first_shown(channels.rules(head.namespace()).count_max) <= head.offset() {
        let value =
            channels.staged().get(StoreKeyspace::Messages, &key::message(room, head.offset()))?;
        let value = value.ok_or(StoreError::Damaged)?;
        last = Some(Arc::new(record::take_message(&value, head.offset())?.0));
        budget.got(value.len());
    }
    // Its record, its read markers, and its head are a read each.
    (0..3).for_each(|_| budget.got(0));
    let unread = unread(channels, room, &head, markers.read, budget)?;
    let head = head.offset();
    Ok(Some(Conversation { channel, head, markers, unread, last, role, muted_until_unix_ms }))
}

/// A group that a user is invited to, without anything that is said there.
fn invitation(channel: Box<str>) -> Conversation {
    let (markers, role) = (ReadMarkers::default(), Some(GroupRole::Invited));
    let muted_until_unix_ms = 0;
    Conversation { channel, head: 0, markers, unread: 0, last: None, role, muted_until_unix_ms }
}

/// The number of messages after a user's read marker. Messages that change others are subtracted by
/// two counters; what retention removed is counted as it was, and what was removed by order is not.
fn unread<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    head: &ChannelHead,
    read: u64,
    budget: &mut Budget,
) -> Result<u64, StoreError> {
    let read = read.max(head.removed_last());
    let behind = head.offset().saturating_sub(read);
    let oldest = head.first().max(read);
    if behind == 0 || head.changes_count() == 0 || head.offset() < oldest {
        return Ok(behind);
    }
    let value = channels.staged().get(StoreKeyspace::Messages, &key::message(room, oldest))?;
    let value = value.ok_or(StoreError::Damaged)?;
    budget.got(value.len());
    let (message, accounting) = record::take_message(&value, oldest)?;
    let is_unread = read < oldest;
    let is_counted = is_unread && chat::is_about_others(&message);
    let before = accounting.changes_count - u64::from(is_counted);
    Ok(behind.saturating_sub(head.changes_count().saturating_sub(before)))
}

impl PartialConversations {
    /// Replaces a message in the partial result.
    pub(super) fn replace(&mut self, room: RoomId, left: &Arc<Publication>) {
        let found = self.found.iter_mut().filter(|(one, _)| *one == room);
        let last = found.filter_map(|(_, one)| one.last.as_mut());
        last.for_each(|one| super::replace(one, left));
    }

    /// A removed message is the last one of its conversation no more, and waits for nobody.
    pub(super) fn forget(&mut self, room: RoomId, last: u64) {
        let found = self.found.iter_mut().filter(|(one, _)| *one == room);
        for (_, one) in found {
            one.last.take_if(|message| message.offset <= last);
            one.unread = one.unread.min(one.head.saturating_sub(last));
        }
    }

    fn end(self, next: Option<Box<str>>) -> Slice {
        let found = self.found.into_iter().map(|(_, one)| one).collect();
        Slice::Whole(StoreResult::Conversations(found, next))
    }
}
