//! Loading: messages that come from elsewhere, put behind those that a channel has, while no server
//! has the store.
//!
//! A batch is committed with the position in the lines up to which it goes, so whoever ends in
//! between, at whatever moment, goes on behind the last one. Nobody is told: nothing waits for a
//! reader, and no read marker moves.
//!
//! Invariants: what is kept of a channel has no hole; a message counts what all before it did, as
//! if it had been said here; its record reads back as what was given.
//!
//! Deliberately absent: lines and what stands in them (`cli`), and names, which whoever loads hashes.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::limits::{IDS_MS, NAME_BYTES_MAX};
use crate::base::{RoomId, UserHash};
use crate::runs::VALUE_BYTES_MAX;
use crate::wire::{Epoch, ID_TAG, Payload, Publication, chat, repeating_author};

use super::disk::{Batch, Capacity, Disk, DiskError, StoreKeyspace, SyncMode};
use super::load_position::LoadPosition;
use super::messages::{ReactionTotals, ReadOrder};
use super::record::{self, ChannelRecord};
use super::{OpenError, Options, engine, key};

/// Bytes of a batch, about: what is synced together, and loaded again at most.
const BATCH_BYTES: usize = 1 << 20;

/// Messages of a batch.
const BATCH_MESSAGES_MAX: usize = 4_096;

/// The highest offset: what every client's numbers can say.
const OFFSET_MAX: u64 = (1 << 53) - 1;

/// Most offsets in a row that have no message, where such are filled.
pub const GAP_OFFSETS_MAX: u64 = 10_000;

/// The channel that messages are loaded into.
#[derive(Clone, Debug)]
pub struct LoadTarget {
    /// Its room.
    pub room: RoomId,
    /// The tenant whose channel it is.
    pub tenant: Arc<str>,
    /// Its name.
    pub channel: Arc<str>,
    /// Inboxes of the two of a conversation.
    pub parties: Option<[RoomId; 2]>,
    /// The epoch of its stream, where the store does not know it.
    pub new_epoch: Epoch,
}

/// A message to load.
#[derive(Clone, Debug)]
pub struct LoadedMessage {
    /// The message; its offset is 0 for the next one.
    pub publication: Publication,
    /// Who reacted to it.
    pub reactions: Vec<LoadedReaction>,
}

/// What a user reacted to a message with.
#[derive(Clone, Debug)]
pub struct LoadedReaction {
    /// A hash of the user.
    pub user: UserHash,
    /// The user.
    pub name: Box<str>,
    /// With what.
    pub value: Box<str>,
}

/// What is done where offsets have no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapRule {
    /// The message behind them is refused.
    Refuse,
    /// Each gets what is left of a message that was taken back.
    Fill,
}

/// Why a message is not loaded. Nothing of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadMessageError {
    /// The channel has this offset already, and goes up to the second one.
    OffsetTaken(u64, u64),
    /// The message before it is not there: its offset, and the one that would be next.
    Gap(u64, u64),
    /// Its offset is higher than clients can count.
    OffsetTooHigh(u64),
    /// It has more bytes than a message can have.
    TooLong(usize),
    /// A name or a tag is longer than they are.
    Unreadable,
    /// A message of this kind has no reactions.
    NoReactions,
    /// It has more reactions, or other ones, than a message can have, or two of one user.
    Reactions,
}

/// A store that messages are loaded into.
#[derive(Debug)]
pub struct StoreLoader<D> {
    disk: D,
    name_key: [u8; 16],
    losses_count: u32,
}

impl<D: Disk> StoreLoader<D> {
    /// Of a disk that nobody else has; an empty one gets a new store, with this key for names.
    pub fn open(
        mut disk: D,
        options: &Options,
        new_name_key: [u8; 16],
    ) -> Result<StoreLoader<D>, OpenError> {
        let (name_key, losses_count) = engine::open_at_rest(&mut disk, options, new_name_key)?;
        Ok(StoreLoader { disk, name_key, losses_count })
    }

    /// What names are hashed with.
    pub fn name_key(&self) -> [u8; 16] {
        self.name_key
    }

    /// Begins with a channel.
    pub fn begin(self, target: LoadTarget) -> Result<ChannelLoader<D>, DiskError> {
        let StoreLoader { disk, name_key: _, losses_count } = self;
        let known = disk.get(StoreKeyspace::Channels, &key::channel(target.room))?;
        let known = known.map(|bytes| ChannelRecord::take(&bytes)).transpose();
        let known = known.map_err(|_| DiskError::Damaged)?;
        let (mut head, mut position) = (ChannelEnd::default(), None);
        if let Some(record) = &known {
            head = ChannelEnd::of(&disk, target.room, record)?;
            let bytes = disk.get(StoreKeyspace::Meta, &key::load_position(target.room))?;
            let read = bytes.map(|bytes| record::take_load_position(&bytes)).transpose();
            position = read.map_err(|_| DiskError::Damaged)?;
        }
        let begins = match known {
            Some(_) => None,
            None => Some(NewChannel { losses_count }),
        };
        let batch = Batch::default();
        Ok(ChannelLoader { disk, target, head, begins, position, batch, batch_count: 0 })
    }
}

/// The end of a channel: what its next message counts on.
#[derive(Clone, Copy, Debug, Default)]
struct ChannelEnd {
    offset: u64,
    total_bytes: u64,
    changes_count: u64,
}

impl ChannelEnd {
    fn of(disk: &impl Disk, room: RoomId, record: &ChannelRecord) -> Result<Self, DiskError> {
        let ChannelRecord { first, head, total_bytes, .. } = *record;
        let mut end = ChannelEnd { offset: head, total_bytes, changes_count: 0 };
        let range = key::messages(room, first, u64::MAX);
        let mut newest = None;
        disk.scan(StoreKeyspace::Messages, &range, ReadOrder::NewestFirst, &mut |key, value| {
            newest = Some((key::message_of(key), record::take_accounting(value)));
            ControlFlow::Break(())
        })?;
        if let Some((place, accounting)) = newest {
            let (Some((_, offset)), Ok(accounting)) = (place, accounting) else {
                return Err(DiskError::Damaged);
            };
            if head <= offset {
                let (total_bytes, changes_count) =
                    (accounting.total_bytes, accounting.changes_count);
                end = ChannelEnd { offset, total_bytes, changes_count };
            }
        }
        Ok(end)
    }
}

/// What the record of a channel needs that the store does not know yet.
#[derive(Clone, Copy, Debug)]
struct NewChannel {
    losses_count: u32,
}

/// A channel that messages are loaded into.
#[derive(Debug)]
pub struct ChannelLoader<D> {
    disk: D,
    target: LoadTarget,
    head: ChannelEnd,
    /// Until its first message is put.
    begins: Option<NewChannel>,
    position: Option<LoadPosition>,
    batch: Batch,
    batch_count: usize,
}

impl<D: Disk> ChannelLoader<D> {
    /// How far an earlier load came in this channel, if there was one and the channel is there.
    pub fn position(&self) -> Option<LoadPosition> {
        self.position
    }

    /// The last offset of the channel; 0 where it has none.
    pub fn last_offset(&self) -> u64 {
        self.head.offset
    }

    /// How full the disk is.
    pub fn capacity(&self) -> Result<Capacity, DiskError> {
        self.disk.capacity()
    }

    /// Whether what was put is to be committed before more is.
    pub fn batch_is_full(&self) -> bool {
        BATCH_BYTES <= self.batch.bytes() || BATCH_MESSAGES_MAX <= self.batch_count
    }

    /// Puts a message behind all others; its offset.
    pub fn put(
        &mut self,
        message: &LoadedMessage,
        gaps: GapRule,
        now_unix_ms: u64,
    ) -> Result<u64, LoadMessageError> {
        let LoadedMessage { publication, reactions } = message;
        let first = self.first_offset(publication.offset, gaps)?;
        let next = self.head.offset + 1;
        let offset = if publication.offset == 0 { next } else { publication.offset };
        let publication = Publication { offset, ..publication.clone() };
        let value = readable(&publication, self.head)?;
        if VALUE_BYTES_MAX < value.len() {
            return Err(LoadMessageError::TooLong(value.len()));
        }
        let totals = reaction_totals(&publication, reactions)?;
        self.create(first, now_unix_ms);
        for missing in first..offset {
            let left = chat::remainder(&Publication { offset: missing, ..nothing(&publication) });
            self.put_message(&left);
        }
        self.put_message(&publication);
        self.put_id(&publication, now_unix_ms);
        self.put_reactions(offset, reactions, &totals);
        Ok(offset)
    }

    /// The first offset that is put for a message: its own, or that of the gap before it.
    fn first_offset(&self, offset: u64, gaps: GapRule) -> Result<u64, LoadMessageError> {
        let next = self.head.offset + 1;
        if OFFSET_MAX < offset.max(next) {
            return Err(LoadMessageError::OffsetTooHigh(offset.max(next)));
        }
        match (offset, &self.begins) {
            (0, _) => Ok(next),
            (offset, Some(_)) => Ok(offset),
            (offset, None) if offset < next => {
                Err(LoadMessageError::OffsetTaken(offset, self.head.offset))
            }
            (offset, None) if offset == next => Ok(offset),
            (offset, None) => match gaps {
                GapRule::Fill if offset - next <= GAP_OFFSETS_MAX => Ok(next),
                GapRule::Fill | GapRule::Refuse => Err(LoadMessageError::Gap(offset, next)),
            },
        }
    }

    /// Puts the record of a channel that begins with this offset.
    fn create(&mut self, first: u64, now_unix_ms: u64) {
        let Some(NewChannel { losses_count }) = self.begins.take() else { return };
        let LoadTarget { room, tenant, channel, parties, new_epoch } = &self.target;
        self.head.offset = first - 1;
        let record = ChannelRecord {
            epoch: *new_epoch,
            // It was silent until now: positions that were given in that silence are before all.
            created_unix_ms: now_unix_ms,
            losses_count,
            first,
            below_bytes: 0,
            head: first - 1,
            total_bytes: 0,
            last_unix_ms: 0,
            removed: None,
            parties: *parties,
            tenant: Arc::clone(tenant),
            channel: Arc::clone(channel),
        };
        self.batch.put(StoreKeyspace::Channels, &key::channel(*room), record.put());
        for inbox in parties.iter().flatten() {
            let key = key::named(*inbox, channel);
            let value = record::put_conversation(*room);
            self.batch.put(StoreKeyspace::Conversations, &key, value);
        }
    }

    fn put_message(&mut self, publication: &Publication) {
        assert_eq!(publication.offset, self.head.offset + 1, "what is kept has no hole");
        self.head = self.head.behind(publication);
        let ChannelEnd { offset, total_bytes, changes_count } = self.head;
        let value = record::put_message(publication, total_bytes, changes_count);
        self.batch.put(StoreKeyspace::Messages, &key::message(self.target.room, offset), value);
        self.batch_count += 1;
    }

    /// Its author may still repeat it, here instead of where it was said.
    fn put_id(&mut self, publication: &Publication, now_unix_ms: u64) {
        let Publication { offset, info, time_unix_ms, .. } = publication;
        let (Some(user), Some(id)) = (repeating_author(info.as_deref()), publication.tag(ID_TAG))
        else {
            return;
        };
        if time_unix_ms.saturating_add(IDS_MS) <= now_unix_ms || now_unix_ms < *time_unix_ms {
            return;
        }
        let key = key::id(key::period(*time_unix_ms), self.target.room, *offset);
        self.batch.put(StoreKeyspace::Ids, &key, record::put_id(*time_unix_ms, user, id));
    }

    fn put_reactions(
        &mut self,
        offset: u64,
        reactions: &[LoadedReaction],
        totals: &ReactionTotals,
    ) {
        let room = self.target.room;
        for LoadedReaction { user, name, value } in reactions {
            let key = key::reaction(room, offset, *user);
            self.batch.put(StoreKeyspace::Reactions, &key, record::put_reaction(value, name));
        }
        if !totals.is_empty() {
            let (key, value) = (key::message(room, offset), record::put_reaction_totals(totals));
            self.batch.put(StoreKeyspace::ReactionTotals, &key, value);
        }
    }

    /// Makes what was put durable, and says up to where in the input that goes.
    pub fn commit(&mut self, position: LoadPosition, now_unix_ms: u64) -> Result<(), DiskError> {
        if self.begins.is_some() {
            // No message, so no channel whose position it could be.
            return Ok(());
        }
        let key = key::load_position(self.target.room);
        self.batch.put(StoreKeyspace::Meta, &key, record::put_load_position(&position));
        self.disk.commit(&mut self.batch, SyncMode::Now)?;
        self.batch.clear();
        (self.batch_count, self.position) = (0, Some(position));
        self.disk.tend(now_unix_ms)
    }

    /// Ends it, so that the next start is quick; the disk again.
    pub fn close(mut self) -> Result<D, DiskError> {
        self.disk.close()?;
        Ok(self.disk)
    }
}

impl ChannelEnd {
    /// The end with one more message.
    fn behind(self, publication: &Publication) -> ChannelEnd {
        ChannelEnd {
            offset: publication.offset,
            total_bytes: self.total_bytes + publication.cost_bytes() as u64,
            changes_count: self.changes_count + u64::from(chat::is_about_others(publication)),
        }
    }
}

/// The record of a message, which reads back as what it is.
fn readable(publication: &Publication, head: ChannelEnd) -> Result<Vec<u8>, LoadMessageError> {
    let end = head.behind(publication);
    let value = record::put_message(publication, end.total_bytes, end.changes_count);
    match record::take_message(&value, publication.offset) {
        Ok((read, _)) if read == *publication => Ok(value),
        Ok(_) | Err(record::DecodeError) => Err(LoadMessageError::Unreadable),
    }
}

/// A message of which only the time is known.
fn nothing(behind: &Publication) -> Publication {
    Publication {
        offset: 0,
        data: Payload { bytes: Bytes::new(), is_json: false },
        info: None,
        chan_info: None,
        tags: Vec::new(),
        time_unix_ms: behind.time_unix_ms,
        trace: None,
    }
}

/// The totals of reactions to a message.
fn reaction_totals(
    publication: &Publication,
    reactions: &[LoadedReaction],
) -> Result<ReactionTotals, LoadMessageError> {
    let mut totals = ReactionTotals::default();
    if !reactions.is_empty() && !chat::takes_reactions(publication) {
        return Err(LoadMessageError::NoReactions);
    }
    let users: BTreeSet<UserHash> = reactions.iter().map(|reaction| reaction.user).collect();
    let are_good = reactions.iter().all(|LoadedReaction { user: _, name, value }| {
        (1..=NAME_BYTES_MAX).contains(&name.len())
            && chat::reaction_is_valid(value)
            && totals.replace(None, Some(value))
    });
    match are_good && users.len() == reactions.len() {
        true => Ok(totals),
        false => Err(LoadMessageError::Reactions),
    }
}

impl fmt::Display for LoadMessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadMessageError::OffsetTaken(offset, last) => write!(
                f,
                "its offset {offset} is taken: the channel goes up to {last}, and what is loaded \
                 goes behind that; without offsets it gets the next ones"
            ),
            LoadMessageError::Gap(offset, next) => write!(
                f,
                "its offset is {offset}, and {next} comes next: messages are missing between them, \
                 and a channel has no holes; --fill-gaps puts up to {GAP_OFFSETS_MAX} messages \
                 there that look taken back"
            ),
            LoadMessageError::OffsetTooHigh(offset) => {
                write!(f, "its offset would be {offset}, and the highest one is {OFFSET_MAX}")
            }
            LoadMessageError::TooLong(bytes) => write!(
                f,
                "it takes {bytes} bytes, and a message has at most {VALUE_BYTES_MAX} with all that \
                 goes with it"
            ),
            LoadMessageError::Unreadable => write!(
                f,
                "a name in it has more than {NAME_BYTES_MAX} bytes, or its trace is another one \
                 than its tags say"
            ),
            LoadMessageError::NoReactions => f.write_str(
                "it has reactions, and was taken back or says something about another message",
            ),
            LoadMessageError::Reactions => write!(
                f,
                "of its reactions one has no user or no value that a reaction can have, or there \
                 are two of one user, or more than a message has"
            ),
        }
    }
}
