//! Appends a message: the conditions for that, and all records that are written with it.
//!
//! Deliberately absent: write epochs and full disks, which are checked before.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::change::{self, Replaced};
use super::reaction::ReactionKeys;
use super::roster;
use crate::base::RoomId;
use crate::base::limits::CONVERSATION_WAITING_BYTES_MAX;
use crate::store::change::ChangeKind;
use crate::store::disk::{Disk, StoreKeyspace, SyncMode};
use crate::store::engine::append_gate::AppendGate;
use crate::store::engine::channels::ChannelStore;
use crate::store::engine::heads::{ChannelHead, EpochState};
use crate::store::engine::staged::StagedWrite;
use crate::store::key;
use crate::store::messages::{Addressee, Append, ReadMarkers, ReadOrder, StoreError};
use crate::store::record::{self, ChannelRecord, PendingRecord};
use crate::wire::{Publication, chat};

/// All that an append needs to know, before anything is written.
pub(in crate::store::engine) struct AppendPlan {
    /// The head of the channel before it.
    head: ChannelHead,
    /// Whether the store knows the channel.
    begins: Begins,
    /// Replacements of messages that it changes.
    replaced: Replaced,
    /// Reactions to a message that it retracts.
    reactions: ReactionKeys,
    /// The user whom it waits for.
    addressee: Option<Addressee>,
    /// The read marker of its author, if that changes.
    author: Option<StagedWrite>,
    /// The record of a channel that goes on under another epoch.
    renamed: Option<ChannelRecord>,
    /// Until when the user whose role it changes has muted the group.
    muted_until_unix_ms: u64,
}

/// Whether a channel begins with an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    Here,
    Before,
}

/// The result of an append.
pub(in crate::store::engine) struct Written {
    /// Its sync mode.
    pub durable: SyncMode,
    /// Replacements of other messages.
    pub replaced: Vec<Arc<Publication>>,
    /// The user whom it waits for, and how long.
    pub addressee: Option<Addressee>,
    /// Whether its channel exceeds a limit of retention now.
    pub quota: QuotaState,
}

/// Whether a channel exceeds a limit of retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::engine) enum QuotaState {
    /// It does not.
    Within,
    /// It does.
    Over,
}

/// Reads all that the append needs. A refusal leaves nothing behind.
pub(in crate::store::engine) fn plan<D: Disk>(
    channels: &mut ChannelStore<D>,
    gate: &mut AppendGate,
    append: &Append,
) -> Result<AppendPlan, StoreError> {
    let Append { room, namespace, channel_created, publication, addressee, change, .. } = append;
    let known = channels.head(*room)?;
    let head = match (known, channel_created) {
        (Some(head), Some(channel_created)) if head.epoch() != channel_created.epoch => {
            return Err(StoreError::Broken);
        }
        (Some(head), _) => head,
        (None, Some(channel_created)) => ChannelHead::new(channel_created, *namespace),
        // Its record must exist: the room knows more than the disk.
        (None, None) => return Err(StoreError::Broken),
    };
    if gate.is_crowded(*room) {
        return Err(StoreError::Crowded);
    }
    if let Some(addressee) = addressee
        && !append.takes_back()
        && is_crowded(channels, *room, &head, addressee.inbox)?
    {
        gate.crowd(*room);
        return Err(StoreError::Crowded);
    }
    let waits_there = |addressee: &Addressee| {
        head.parties().is_some_and(|parties| parties.contains(&addressee.inbox))
    };
    let is_next = publication.offset == head.offset() + 1;
    if !is_next
        || !addressee.as_ref().is_none_or(waits_there)
        || !change.as_ref().is_none_or(|change| change.is_before(publication.offset))
    {
        return Err(StoreError::Broken);
    }
    let replaced = change::replaced(channels, &head, append)?;
    let left = change.as_ref().map(|change| &change.replacement);
    let reactions = match left.filter(|left| !chat::takes_reactions(left)) {
        Some(left) => ReactionKeys::of(channels, *room, left.offset)?,
        None => ReactionKeys::default(),
    };
    let addressee = waits_for(channels, append)?;
    let keeps_read = addressee.is_some() || channels.rules(head.namespace()).has_rosters;
    let author = match keeps_read && !append.is_farewell() {
        true => markers_of_author(channels, *room, publication)?,
        false => None,
    };
    let renamed = match head.epoch_state() {
        EpochState::Written => None,
        EpochState::Replaced => Some(channels.record(*room)?.ok_or(StoreError::Damaged)?),
    };
    let muted_until_unix_ms = match &append.roster {
        Some(change) => roster::kept_mute(channels, *room, change)?,
        None => 0,
    };
    let begins = if known.is_none() { Begins::Here } else { Begins::Before };
    Ok(AppendPlan {
        head,
        begins,
        replaced,
        reactions,
        addressee,
        author,
        renamed,
        muted_until_unix_ms,
    })
}

impl AppendPlan {
    /// Writes it; it cannot be refused any more.
    pub fn write<D: Disk>(self, channels: &mut ChannelStore<D>, append: &Append) -> Written {
        let AppendPlan {
            head,
            begins,
            replaced,
            reactions,
            addressee,
            author,
            renamed,
            muted_until_unix_ms,
        } = self;
        let (room, publication) = (append.room, &append.publication);
        assert_eq!(publication.offset, head.offset() + 1, "it is written where it was planned");
        if let Some(ChannelRecord { tenant, channel, .. }) = renamed {
            channels.put_record(room, &head, &tenant, &channel);
        }
        if let (Begins::Here, Some(channel_created)) = (begins, &append.channel_created) {
            channels.put_record(room, &head, &channel_created.tenant, &channel_created.channel);
            for inbox in channel_created.parties.into_iter().flatten() {
                let key = key::named(inbox, &channel_created.channel);
                channels.staged_mut().put(
                    StoreKeyspace::Conversations,
                    &key,
                    record::put_conversation(room),
                );
            }
        }
        let said = replaced.wordless.as_ref().unwrap_or(publication);
        let quota = put_message(channels, head, said, append);
        if let Some(change) = &append.roster {
            let change = (change, muted_until_unix_ms);
            roster::change(channels, room, publication.offset, change);
        }
        if append.keeps_id {
            channels.put_id(room, publication);
        }
        channels.staged_mut().put_all(replaced.puts);
        reactions.remove(channels);
        if let Some(Addressee { inbox, expires_unix_ms }) = addressee {
            let waiting = PendingRecord { tries_count: 0, expires_unix_ms, message: Vec::new() };
            let key = key::pending(inbox, room, publication.offset);
            channels.staged_mut().put(StoreKeyspace::Pending, &key, waiting.put());
        }
        channels.staged_mut().put_all(author);
        Written {
            durable: channels.durable(append.namespace),
            replaced: replaced.messages,
            addressee,
            quota,
        }
    }
}

/// Whether too much was appended since the oldest pending message.
fn is_crowded<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    head: &ChannelHead,
    inbox: RoomId,
) -> Result<bool, StoreError> {
    if head.total_bytes() <= CONVERSATION_WAITING_BYTES_MAX {
        return Ok(false); // as in nearly all of them
    }
    let first = channels.acknowledged(inbox, room).max(head.removed_last().saturating_add(1));
    let range = key::pending_of(inbox, room, first, u64::MAX);
    let mut oldest = None;
    channels.staged().scan(
        StoreKeyspace::Pending,
        &range,
        ReadOrder::OldestFirst,
        &mut |key, value| {
            let offset = key::pending_from(key).map(|(.., offset)| offset);
            oldest = Some((offset, PendingRecord::take(value)));
            ControlFlow::Break(())
        },
    )?;
    let Some((offset, record)) = oldest else { return Ok(false) };
    let (offset, message) = (offset.ok_or(StoreError::Damaged)?, record?.message);
    let accounting = match message.is_empty() {
        false => Some(record::take_accounting(&message)?),
        true => {
            let kept =
                channels.staged().get(StoreKeyspace::Messages, &key::message(room, offset))?;
            kept.map(|kept| record::take_accounting(&kept)).transpose()?
        }
    };
    let said_before = accounting.map_or(head.total_bytes(), |accounting| accounting.total_bytes);
    Ok(CONVERSATION_WAITING_BYTES_MAX < head.total_bytes().saturating_sub(said_before))
}

/// The user whom the message waits for, and how long.
fn waits_for<D: Disk>(
    channels: &ChannelStore<D>,
    append: &Append,
) -> Result<Option<Addressee>, StoreError> {
    match (append.addressee, &append.change) {
        (Some(addressee), Some(change)) if change.kind == ChangeKind::Edit => {
            change::outlived(channels, append.room, change.target(), addressee).map(Some)
        }
        (addressee, _) => Ok(addressee),
    }
}

/// Who had read all of a conversation or a group has read what it says there, too: the
/// author's read markers, if they change.
fn markers_of_author<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    said: &Publication,
) -> Result<Option<StagedWrite>, StoreError> {
    let Some(author) = &said.info else { return Ok(None) };
    let key = key::named(room, &author.user);
    let before = channels.markers_at(&key)?.unwrap_or_default();
    let after = ReadMarkers { delivered: before.delivered.max(said.offset), read: said.offset };
    let value = record::put_markers(after);
    let put = StagedWrite { space: StoreKeyspace::Markers, key, value };
    Ok((before.read + 1 == said.offset).then_some(put))
}

fn put_message<D: Disk>(
    channels: &mut ChannelStore<D>,
    mut head: ChannelHead,
    said: &Publication,
    append: &Append,
) -> QuotaState {
    head.append(said, append);
    let value = record::put_message(said, head.total_bytes(), head.changes_count());
    let key = key::message(append.room, head.offset());
    channels.staged_mut().put(StoreKeyspace::Messages, &key, value);
    channels.set_head(append.room, head);
    if channels.rules(head.namespace()).is_over(&head) {
        QuotaState::Over
    } else {
        QuotaState::Within
    }
}
