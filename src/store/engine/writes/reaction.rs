//! Reactions: one record for each user and message, and the totals of each message beside them, so
//! that a page reads one record for each message.
//!
//! Invariants: a message's totals are those of its users' records; both are written in one batch,
//! and removed in the batch that removes the message, or its content.
//!
//! Deliberately absent: permissions (`session`), and notices (`room`).

use std::ops::ControlFlow;

use crate::base::RoomId;
use crate::base::limits::REACTION_USERS_MAX;
use crate::store::disk::{Disk, DiskError, StoreKeyspace, SyncMode};
use crate::store::engine::channels::ChannelStore;
use crate::store::key;
use crate::store::messages::{
    React, ReactionRejection, ReactionResult, ReactionTotals, ReadOrder, StoreError,
};
use crate::store::record;
use crate::wire::{Publication, chat};

/// Sets or removes a user's reaction to a message.
pub(in crate::store::engine) fn react<D: Disk>(
    channels: &mut ChannelStore<D>,
    react: &React,
) -> Result<(ReactionResult, SyncMode), StoreError> {
    let React { room, offset, user, name, value, said_since_unix_ms } = react;
    let refused = |refusal| Ok((ReactionResult::Refused(refusal), SyncMode::Later));
    let Some(head) = channels.head(*room)? else { return refused(ReactionRejection::NoMessage) };
    let first = head.first_shown(channels.rules(head.namespace()).count_max);
    if !(first..=head.offset()).contains(offset) {
        return refused(ReactionRejection::NoMessage);
    }
    let message_key = key::message(*room, *offset);
    let kept = channels.staged().get(StoreKeyspace::Messages, &message_key)?;
    let message = record::take_message(&kept.ok_or(StoreError::Damaged)?, *offset)?.0;
    if !may_have_reactions(&message, *said_since_unix_ms) {
        return refused(ReactionRejection::NoMessage);
    }
    let key = key::reaction(*room, *offset, *user);
    let before = channels.staged().get(StoreKeyspace::Reactions, &key)?;
    let before = before.map(|bytes| record::take_reaction(&bytes)).transpose()?;
    let before = before.map(|(value, _)| value);
    if before == *value {
        return Ok((ReactionResult::Unchanged, SyncMode::Later));
    }
    let mut totals = totals_at(channels, *room, *offset)?;
    if !totals.replace(before.as_deref(), value.as_deref()) {
        return refused(ReactionRejection::Limit);
    }
    let durable = channels.durable(head.namespace());
    let staged = channels.staged_mut();
    match value {
        Some(value) => {
            staged.put(StoreKeyspace::Reactions, &key, record::put_reaction(value, name));
        }
        None => staged.remove(StoreKeyspace::Reactions, &key),
    }
    match totals.is_empty() {
        false => {
            let value = record::put_reaction_totals(&totals);
            staged.put(StoreKeyspace::ReactionTotals, &message_key, value);
        }
        true => staged.remove(StoreKeyspace::ReactionTotals, &message_key),
    }
    Ok((ReactionResult::Changed(totals), durable))
}

/// Whether a message can have reactions: it has not expired, was not retracted, and is itself no
/// change of another one.
fn may_have_reactions(message: &Publication, said_since_unix_ms: u64) -> bool {
    said_since_unix_ms <= message.time_unix_ms && chat::takes_reactions(message)
}

/// The totals of a message.
fn totals_at<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    offset: u64,
) -> Result<ReactionTotals, StoreError> {
    let bytes = channels
        .staged()
        .get(StoreKeyspace::ReactionTotals, &key::message(room, offset))?
        .unwrap_or_default();
    if bytes.is_empty() {
        return Ok(ReactionTotals::default());
    }
    Ok(record::take_reaction_totals(&bytes)?)
}

/// The keys of all reactions to a message, with its totals.
#[derive(Debug, Default)]
pub(in crate::store::engine) struct ReactionKeys(Vec<(StoreKeyspace, Vec<u8>)>);

impl ReactionKeys {
    /// Those of a message. Their number is limited by the users that may react to one message.
    pub fn of<D: Disk>(
        channels: &ChannelStore<D>,
        room: RoomId,
        offset: u64,
    ) -> Result<ReactionKeys, DiskError> {
        let message = key::message(room, offset);
        if channels.staged().get(StoreKeyspace::ReactionTotals, &message)?.is_none() {
            return Ok(ReactionKeys::default());
        }
        let mut keys = vec![(StoreKeyspace::ReactionTotals, message.to_vec())];
        let range = key::reactions_to(room, offset);
        channels.staged().scan(
            StoreKeyspace::Reactions,
            &range,
            ReadOrder::OldestFirst,
            &mut |key, _| {
                keys.push((StoreKeyspace::Reactions, key.to_vec()));
                ControlFlow::Continue(())
            },
        )?;
        Ok(ReactionKeys(keys))
    }

    /// Removes them.
    pub fn remove<D: Disk>(self, channels: &mut ChannelStore<D>) {
        for (space, key) in self.0 {
            channels.staged_mut().remove(space, &key);
        }
    }
}

/// The messages of a range that have reactions, with the number of their records; with the most
/// that are possible where the totals cannot be read, so that damage does not keep a message.
pub(in crate::store::engine) fn reacted_to<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    first: u64,
    last: u64,
) -> Result<Vec<(u64, usize)>, DiskError> {
    let mut found = Vec::new();
    channels.staged().scan(
        StoreKeyspace::ReactionTotals,
        &key::messages(room, first, last),
        ReadOrder::OldestFirst,
        &mut |key, value| {
            let totals = record::take_reaction_totals(value);
            let users_count = totals.map_or(REACTION_USERS_MAX, |totals| totals.users_count());
            found.extend(key::message_of(key).map(|(_, offset)| (offset, users_count + 1)));
            ControlFlow::Continue(())
        },
    )?;
    Ok(found)
}
