//! Going on without what is damaged: what else of each channel is copied into a new database, under
//! which epoch, and the old one stays beside it.
//!
//! A damaged table cannot be left in place: the next compaction meets it, and no
//! write succeeds after that.
//!
//! Invariants: what was kept has no hole, so of a channel only what stands behind
//! its last loss is copied; a channel that may have lost its end gets another epoch,
//! since its offsets may be given again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::base::RoomId;

use super::disk::{Batch, Disk, DiskError, StoreKeyspace, SuspectedLoss, SyncMode};
use super::engine::new_epoch;
use super::inspect::{ChannelWalk, CheckFinding, Inspection, walk_channel};
use super::key;
use super::messages::{ReactionTotals, ReadMarkers, ReadOrder};
use super::record::{self, ChannelRecord, DeadLetterRecord, PendingRecord};

/// Bytes of a batch, about.
const BATCH_BYTES: usize = 1 << 20;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Channels.
    pub channels_count: u64,
    /// Messages.
    pub messages_count: u64,
    /// What is wrong with the old one.
    pub findings_count: u64,
}

struct Copier<'a, E> {
    to: &'a mut E,
    batch: Batch,
    salvaged: Salvaged,
}

/// Copies what can be read.
pub fn salvage<D: Disk, E: Disk>(
    from: &Inspection<D>,
    to: &mut E,
    suspected_loss: SuspectedLoss,
    on_finding: &mut dyn FnMut(CheckFinding),
) -> Result<Salvaged, DiskError> {
    let mut copier = Copier { to, batch: Batch::default(), salvaged: Salvaged::default() };
    let mut findings_count = 0;
    let mut tell = |finding| {
        findings_count += 1;
        on_finding(finding);
    };
    // Which messages of a channel that was removed do not count is said by places in the old log.
    let void = key::all_void_messages();
    from.walk(StoreKeyspace::Meta, &key::rest(&[]), &mut |key, value| {
        if !(&void.first[..]..=&void.last).contains(&key) {
            copier.batch.put(StoreKeyspace::Meta, key, value);
        }
    })?;
    let mut places = Vec::new();
    for (room, record) in from.channels(&mut tell)? {
        let walk = walk_channel(from.disk(), room, &record, &mut |_| {})?;
        for (first, last, loss) in walk.losses() {
            let (tenant, channel) = (record.tenant.clone(), record.channel.clone());
            tell(CheckFinding::Lost { tenant, channel, first: *first, last: *last, loss: *loss });
        }
        places.push(copier.channel(from, room, record, &walk, suspected_loss)?);
    }
    for space in [
        StoreKeyspace::Markers,
        StoreKeyspace::Conversations,
        StoreKeyspace::Pending,
        StoreKeyspace::Dead,
        StoreKeyspace::Ids,
        StoreKeyspace::GroupMembers,
        StoreKeyspace::UserGroups,
    ] {
        copier.records(from, space, &places)?;
    }
    copier.reactions(from, &places)?;
    copier.flush(SyncMode::Now)?;
    Ok(Salvaged { findings_count, ..copier.salvaged })
}

impl<E: Disk> Copier<'_, E> {
    /// Copies a channel.
    fn channel<D: Disk>(
        &mut self,
        from: &Inspection<D>,
        room: RoomId,
        mut record: ChannelRecord,
        walk: &ChannelWalk,
        suspected_loss: SuspectedLoss,
    ) -> Result<Place, DiskError> {
        let head = walk.last();
        if let Some((_, last, _)) = walk.losses().last() {
            (record.first, record.head) = (last + 1, head);
        }
        if !walk.losses().is_empty() || suspected_loss == SuspectedLoss::AllChannels {
            record.epoch = new_epoch(record.epoch, head as u32);
            record.created_unix_ms = 0;
        }
        // Nothing is copied of what was removed.
        if let Some(removed) = &mut record.removed {
            removed.left_from = removed.last + 1;
        }
        let removed_last = record.removed.map_or(0, |removed| removed.last);
        let mut values = Vec::new();
        let mut next = record.first;
        while next <= head {
            let mut bytes = 0;
            let range = key::messages(room, next, head);
            from.disk().scan(
                StoreKeyspace::Messages,
                &range,
                ReadOrder::OldestFirst,
                &mut |key, value| {
                    bytes += value.len();
                    values.push((key.to_vec(), value.to_vec()));
                    if bytes < BATCH_BYTES {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                },
            )?;
            next = next.saturating_add((values.len() as u64).max(1));
            self.salvaged.messages_count += values.len() as u64;
            for (key, value) in values.drain(..) {
                self.batch.put(StoreKeyspace::Messages, &key, value);
            }
            self.flush_if_large()?;
        }
        self.batch.put(StoreKeyspace::Channels, &key::channel(room), record.put());
        self.salvaged.channels_count += 1;
        Ok(Place { room, first: record.first, head, removed_last })
    }

    /// Copies records that still mean something.
    fn records<D: Disk>(
        &mut self,
        from: &Inspection<D>,
        space: StoreKeyspace,
        places: &[Place],
    ) -> Result<(), DiskError> {
        let head = |room: RoomId| place_of(places, room).map(|place| place.head);
        let mut copies: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        from.walk(space, &key::rest(&[]), &mut |key, value| {
            let copy = match space {
                StoreKeyspace::Markers => markers(key, value, &head),
                StoreKeyspace::GroupMembers => {
                    let room = key::name_of(key).map(|(room, _)| room);
                    let is_good = record::MemberRecord::take(value).is_ok();
                    room.and_then(head).filter(|_| is_good).map(|_| value.to_vec())
                }
                StoreKeyspace::Conversations | StoreKeyspace::UserGroups => {
                    let room = record::take_conversation(value).ok();
                    room.and_then(head).map(|_| value.to_vec())
                }
                StoreKeyspace::Pending => {
                    PendingRecord::take(value).ok().map(|record| record.put())
                }
                StoreKeyspace::Dead => {
                    DeadLetterRecord::take(value).ok().map(|record| record.put())
                }
                StoreKeyspace::Ids => key::id_from(key)
                    .filter(|(_, room, offset)| head(*room).is_some_and(|head| *offset <= head))
                    .filter(|(.., offset)| record::take_id(value, *offset).is_ok())
                    .map(|_| value.to_vec()),
                StoreKeyspace::Meta
                | StoreKeyspace::Channels
                | StoreKeyspace::Messages
                | StoreKeyspace::ReactionTotals
                | StoreKeyspace::Reactions => None,
            };
            copies.extend(copy.map(|copy| (key.to_vec(), copy)));
        })?;
        for (key, value) in copies {
            let value = match space {
                StoreKeyspace::Pending | StoreKeyspace::Dead => {
                    with_content(from, space, &key, &value, places)?
                }
                StoreKeyspace::Meta
                | StoreKeyspace::Channels
                | StoreKeyspace::Messages
                | StoreKeyspace::Markers
                | StoreKeyspace::Conversations
                | StoreKeyspace::Ids
                | StoreKeyspace::ReactionTotals
                | StoreKeyspace::Reactions
                | StoreKeyspace::GroupMembers
                | StoreKeyspace::UserGroups => Some(value),
            };
            if let Some(value) = value {
                self.batch.put(space, &key, value);
                self.flush_if_large()?;
            }
        }
        Ok(())
    }

    /// Copies reactions to messages that were copied, with totals that are made anew: those
    /// of a reaction that cannot be read would count it.
    fn reactions<D: Disk>(
        &mut self,
        from: &Inspection<D>,
        places: &[Place],
    ) -> Result<(), DiskError> {
        let is_copied = |room: RoomId, offset: u64| {
            place_of(places, room).is_some_and(|place| (place.first..=place.head).contains(&offset))
        };
        let mut totals: BTreeMap<(RoomId, u64), ReactionTotals> = BTreeMap::new();
        let mut copies: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        from.walk(StoreKeyspace::Reactions, &key::rest(&[]), &mut |key, value| {
            let place = key::reaction_from(key).filter(|(room, offset)| is_copied(*room, *offset));
            if let (Some(place), Ok((reaction, _))) = (place, record::take_reaction(value))
                && totals.entry(place).or_default().replace(None, Some(&reaction))
            {
                copies.push((key.to_vec(), value.to_vec()));
            }
        })?;
        for (key, value) in copies {
            self.batch.put(StoreKeyspace::Reactions, &key, value);
            self.flush_if_large()?;
        }
        for ((room, offset), totals) in totals {
            let (key, value) = (key::message(room, offset), record::put_reaction_totals(&totals));
            self.batch.put(StoreKeyspace::ReactionTotals, &key, value);
            self.flush_if_large()?;
        }
        Ok(())
    }

    fn flush_if_large(&mut self) -> Result<(), DiskError> {
        if self.batch.bytes() < BATCH_BYTES { Ok(()) } else { self.flush(SyncMode::Later) }
    }

    fn flush(&mut self, durable: SyncMode) -> Result<(), DiskError> {
        self.to.commit(&mut self.batch, durable)?;
        self.batch.clear();
        Ok(())
    }
}

/// What is pending or a dead letter, if its content is copied, or can be taken along.
fn with_content<D: Disk>(
    from: &Inspection<D>,
    space: StoreKeyspace,
    key: &[u8],
    value: &[u8],
    places: &[Place],
) -> Result<Option<Vec<u8>>, DiskError> {
    let mut dead = DeadLetterRecord::take(value).ok().filter(|_| space == StoreKeyspace::Dead);
    let pending = match &mut dead {
        Some(dead) => Some(dead.pending.clone()),
        None => PendingRecord::take(value).ok().filter(|_| space == StoreKeyspace::Pending),
    };
    let (Some((_, room, offset)), Some(mut pending)) = (key::pending_from(key), pending) else {
        return Ok(None);
    };
    let place = place_of(places, room).filter(|place| place.removed_last < offset);
    let Some(place) = place else { return Ok(None) };
    if pending.message.is_empty() && !(place.first..=place.head).contains(&offset) {
        match from.disk().get(StoreKeyspace::Messages, &key::message(room, offset)) {
            Ok(Some(message)) => pending.message = message,
            Ok(None) | Err(DiskError::Damaged) => return Ok(None),
            Err(fault) => return Err(fault),
        }
    }
    if !pending.message.is_empty() && record::take_message(&pending.message, offset).is_err() {
        return Ok(None);
    }
    Ok(Some(match dead {
        Some(dead) => DeadLetterRecord { pending, ..dead }.put(),
        None => pending.put(),
    }))
}

/// What of a channel was copied.
#[derive(Clone, Copy, Debug)]
struct Place {
    room: RoomId,
    first: u64,
    head: u64,
    /// Up to there everything was removed by order.
    removed_last: u64,
}

fn place_of(places: &[Place], room: RoomId) -> Option<Place> {
    let index = places.binary_search_by_key(&room, |place| place.room).ok()?;
    Some(places[index])
}

/// Read markers do not stand above what is left.
fn markers(key: &[u8], value: &[u8], head: &dyn Fn(RoomId) -> Option<u64>) -> Option<Vec<u8>> {
    let (room, _) = key::name_of(key)?;
    let head = head(room)?;
    let ReadMarkers { delivered, read } = record::take_markers(value).ok()?;
    Some(record::put_markers(ReadMarkers { delivered: delivered.min(head), read: read.min(head) }))
}
