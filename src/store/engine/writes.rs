//! What changes the store. Each reads all that it needs before it plans its first
//! write, so that a refusal leaves nothing behind.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::base::limits::CONVERSATION_WAITING_BYTES_MAX;
use crate::base::{RoomId, ShardId};
use crate::wire::Publication;

use super::super::disk::{Disk, Durable, Space};
use super::super::key;
use super::super::letter::{
    Addressee, Append, Birth, Burial, Cause, Failure, Mark, Marks, Order, Outcome, Reached, Ticket,
    Try,
};
use super::super::record::{self, ChannelRecord, DeadRecord, PendingRecord};
use super::Engine;
use super::heads::{self, Head, Naming};
use super::queue::Clearing;

/// Pairs of inbox and room of which it is remembered what waits.
const ACKNOWLEDGED_MAX: usize = 16_384;

/// Messages that stop waiting in one step of an acknowledgement: others' writes wait
/// for a step, and not for all that one user let wait.
const CLEARED_AT_ONCE_MAX: usize = 256;

/// How far a user's mark got.
pub(super) enum Marking {
    /// All of it is planned.
    Whole(Outcome),
    /// Some of what it acknowledges still waits, and is removed in later turns.
    Clears(Clearing),
}

impl<D: Disk> Engine<D> {
    /// Where a channel stands; `None` when nothing was ever said there.
    pub(super) fn head(&mut self, room: RoomId) -> Result<Option<Head>, Failure> {
        if let Some(head) = self.heads.find(room) {
            return Ok(Some(head));
        }
        let Some(record) = self.channel(room)? else { return Ok(None) };
        let namespace = (self.setup.namespace_of)(&record.channel);
        let is_sure = self.setup.durable(namespace) == Durable::Now;
        // Who waited for the first message may have been shown others than there are now.
        let (epoch, born_unix_ms, naming) =
            match is_sure || record.losses_count == self.losses_count {
                true => (record.epoch, record.born_unix_ms, Naming::Written),
                false => (heads::reborn(record.epoch, self.losses_count), 0, Naming::Reborn),
            };
        let mut head = Head {
            epoch,
            born_unix_ms,
            naming,
            first: record.first,
            below_bytes: record.below_bytes,
            offset: record.head,
            total_bytes: record.total_bytes,
            retractions_count: 0,
            last_unix_ms: record.last_unix_ms,
            namespace,
            parties: record.parties,
        };
        let range = key::messages(room, record.first, u64::MAX);
        let mut newest = None;
        self.view().scan(Space::Messages, &range, Order::NewestFirst, &mut |key, value| {
            let offset = key::message_of(key).map(|(_, offset)| offset);
            newest = Some((offset, record::take_account(value)));
            ControlFlow::Break(())
        })?;
        if let Some((offset, account)) = newest {
            let offset = offset.ok_or(Failure::Damaged)?;
            if head.offset <= offset {
                let account = account?;
                (head.offset, head.total_bytes) = (offset, account.total_bytes);
                head.retractions_count = account.retractions_count;
            }
        }
        self.heads.set(room, head);
        Ok(Some(head))
    }

    /// A channel's record.
    pub(super) fn channel(&self, room: RoomId) -> Result<Option<ChannelRecord>, Failure> {
        let value = self.view().get(Space::Channels, &key::channel(room))?;
        Ok(value.map(|value| ChannelRecord::take(&value)).transpose()?)
    }

    pub(super) fn append(&mut self, append: &Append) -> Result<Durable, Failure> {
        let Append { room, namespace, birth, publication, addressee, keeps_id, retracts } = append;
        let known = self.head(*room)?;
        let head = match (known, birth) {
            (Some(head), Some(birth)) if head.epoch != birth.epoch => return Err(Failure::Broken),
            (Some(head), _) => head,
            (None, Some(birth)) => newborn(birth, *namespace),
            // Its record must be somewhere: who asks knows more than the disk does.
            (None, None) => return Err(Failure::Broken),
        };
        let waits_there = |addressee: &Addressee| {
            head.parties.is_some_and(|parties| parties.contains(&addressee.inbox))
        };
        if self.crowded.contains(room) {
            return Err(Failure::Crowded);
        }
        if let Some(addressee) = addressee
            && retracts.is_none()
            && self.is_crowded(*room, &head, addressee.inbox)?
        {
            // The set is small, and who is forgotten of it is refused for another reason.
            if ACKNOWLEDGED_MAX <= self.crowded.len() {
                self.crowded.clear();
            }
            self.crowded.insert(*room);
            return Err(Failure::Crowded);
        }
        let is_next = publication.offset == head.offset + 1;
        let is_before = |left: &Arc<Publication>| left.offset < publication.offset;
        if !is_next
            || !addressee.as_ref().is_none_or(waits_there)
            || !retracts.as_ref().is_none_or(is_before)
        {
            return Err(Failure::Broken);
        }
        let emptied = match retracts {
            Some(left) => self.emptied(*room, &head, left)?,
            None => Vec::new(),
        };
        let author = match addressee {
            Some(_) => self.marks_of_author(*room, publication)?,
            None => None,
        };
        let renamed = match head.naming {
            Naming::Written => None,
            Naming::Reborn => Some(self.channel(*room)?.ok_or(Failure::Damaged)?),
        };
        if let Some(ChannelRecord { tenant, channel, .. }) = renamed {
            self.put_channel(*room, &head, &tenant, &channel);
        }
        if let (None, Some(birth)) = (known, birth) {
            self.put_channel(*room, &head, &birth.tenant, &birth.channel);
            for inbox in birth.parties.into_iter().flatten() {
                let key = key::named(inbox, &birth.channel);
                self.batch.put(Space::Talks, &key, record::put_talk(*room));
            }
        }
        self.put_message(*room, head, publication, retracts.as_ref());
        if *keeps_id {
            self.put_id(*room, publication);
        }
        for (space, key, value) in emptied {
            self.batch.put(space, &key, value);
        }
        if let Some(Addressee { inbox, expires_unix_ms }) = *addressee {
            let waiting = PendingRecord { tries_count: 0, expires_unix_ms, letter: Vec::new() };
            let key = key::pending(inbox, *room, publication.offset);
            self.batch.put(Space::Pending, &key, waiting.put());
            self.sweeper.expects(expires_unix_ms);
        }
        if let Some((key, marks)) = author {
            self.batch.put(Space::Marks, &key, record::put_marks(marks));
        }
        Ok(self.setup.durable(*namespace))
    }

    /// Whether so much was said since the oldest message that waits there that no more may
    /// wait.
    fn is_crowded(&self, room: RoomId, head: &Head, inbox: RoomId) -> Result<bool, Failure> {
        if head.total_bytes <= CONVERSATION_WAITING_BYTES_MAX {
            return Ok(false); // as in nearly all of them
        }
        let first = self.acknowledged.get(&(inbox, room)).copied().unwrap_or(0);
        let range = key::pending_of(inbox, room, first, u64::MAX);
        let mut oldest = None;
        self.view().scan(Space::Pending, &range, Order::OldestFirst, &mut |key, value| {
            let offset = key::pending_from(key).map(|(.., offset)| offset);
            oldest = Some((offset, PendingRecord::take(value)));
            ControlFlow::Break(())
        })?;
        let Some((offset, record)) = oldest else { return Ok(false) };
        let (offset, letter) = (offset.ok_or(Failure::Damaged)?, record?.letter);
        let account = match letter.is_empty() {
            false => Some(record::take_account(&letter)?),
            true => {
                let kept = self.view().get(Space::Messages, &key::message(room, offset))?;
                kept.map(|kept| record::take_account(&kept)).transpose()?
            }
        };
        let said_before = account.map_or(head.total_bytes, |account| account.total_bytes);
        Ok(CONVERSATION_WAITING_BYTES_MAX < head.total_bytes.saturating_sub(said_before))
    }

    /// Who had read all of a conversation has read what it says there, too: the
    /// author's marks, if they change.
    fn marks_of_author(
        &self,
        room: RoomId,
        said: &Publication,
    ) -> Result<Option<(Vec<u8>, Marks)>, Failure> {
        let Some(author) = &said.info else { return Ok(None) };
        let key = key::named(room, &author.user);
        let before = self.marks_at(&key)?.unwrap_or_default();
        let after = Marks { delivered: before.delivered.max(said.offset), read: said.offset };
        Ok((before.read + 1 == said.offset).then_some((key, after)))
    }

    fn put_message(
        &mut self,
        room: RoomId,
        mut head: Head,
        publication: &Publication,
        retracts: Option<&Arc<Publication>>,
    ) {
        let data_bytes = publication.data.bytes.len() as u64;
        head.naming = Naming::Written;
        head.offset = publication.offset;
        head.total_bytes += publication.cost_bytes() as u64;
        if let Some(left) = retracts {
            head.retractions_count += 1;
            // What is being read shows it no more either.
            self.queue.replace(room, left);
        }
        let value = record::put_message(publication, head.total_bytes, head.retractions_count);
        self.batch.put(Space::Messages, &key::message(room, head.offset), value);
        self.heads.set(room, head);
        self.counts.appended_bytes += data_bytes;
        if self.setup.rules(head.namespace).is_over(&head) {
            self.sweeper.ripens(room);
        }
    }

    pub(super) fn put_channel(&mut self, room: RoomId, head: &Head, tenant: &str, channel: &str) {
        let record = ChannelRecord {
            epoch: head.epoch,
            born_unix_ms: head.born_unix_ms,
            losses_count: self.losses_count,
            first: head.first,
            below_bytes: head.below_bytes,
            head: head.offset,
            total_bytes: head.total_bytes,
            last_unix_ms: head.last_unix_ms,
            parties: head.parties,
            tenant: tenant.into(),
            channel: channel.into(),
        };
        self.batch.put(Space::Channels, &key::channel(room), record.put());
    }

    pub(super) fn mark(
        &mut self,
        mark: &Mark,
        from: ShardId,
        ticket: Ticket,
    ) -> Result<(Marking, Durable), Failure> {
        let Mark { room, user, inbox, reached } = mark;
        let Some(head) = self.head(*room)? else {
            // All that was said is gone, and the channel with it.
            let none = Marks::default();
            let unchanged = Outcome::Marked { before: none, after: none };
            return Ok((Marking::Whole(unchanged), Durable::Later));
        };
        let (Reached::Delivered(offset) | Reached::Read(offset)) = *reached;
        // Who asks knows of a message that is not here.
        if head.offset < offset {
            return Err(Failure::Broken);
        }
        let key = key::named(*room, user);
        let known = self.marks_at(&key)?;
        let before = known.unwrap_or_default();
        let delivered = before.delivered.max(offset);
        let after = match reached {
            Reached::Delivered(_) => Marks { delivered, ..before },
            Reached::Read(read) if *read < before.read => {
                return Ok((Marking::Whole(Outcome::Behind(before)), Durable::Later));
            }
            Reached::Read(read) => Marks { delivered, read: *read },
        };
        let outcome = Outcome::Marked { before, after };
        let mut clearing = Clearing {
            from,
            ticket,
            inbox: *inbox,
            room: *room,
            first: self.acknowledged.get(&(*inbox, *room)).copied().unwrap_or(0),
            last: offset,
            namespace: head.namespace,
            outcome,
        };
        let arrived = match head.parties {
            Some(_) => self.waiting(&clearing)?,
            None => Vec::new(),
        };
        let mut talk = None;
        if known.is_none() {
            let record = self.channel(*room)?.ok_or(Failure::Damaged)?;
            talk = Some(key::named(*inbox, &record.channel));
        }
        let changes = known != Some(after) || !arrived.is_empty();
        let is_over = self.remove_waiting(&mut clearing, arrived);
        if head.parties.is_some() && is_over {
            self.acknowledge(*inbox, *room, offset);
        }
        if let Some(key) = talk {
            self.batch.put(Space::Talks, &key, record::put_talk(*room));
        }
        if known != Some(after) {
            self.batch.put(Space::Marks, &key, record::put_marks(after));
        }
        let durable = if changes { self.setup.durable(head.namespace) } else { Durable::Later };
        match is_over {
            true => Ok((Marking::Whole(clearing.outcome), durable)),
            false => Ok((Marking::Clears(clearing), durable)),
        }
    }

    /// Removes some more of what was acknowledged. Says whether that was all.
    pub(super) fn clear(&mut self, clearing: &mut Clearing) -> Result<(bool, Durable), Failure> {
        let arrived = self.waiting(clearing)?;
        let durable = match arrived.is_empty() {
            true => Durable::Later,
            false => self.setup.durable(clearing.namespace),
        };
        let is_over = self.remove_waiting(clearing, arrived);
        if is_over {
            self.acknowledge(clearing.inbox, clearing.room, clearing.last);
        }
        Ok((is_over, durable))
    }

    /// Says whether these were the last of what is acknowledged.
    fn remove_waiting(&mut self, clearing: &mut Clearing, arrived: Vec<(u64, Vec<u8>)>) -> bool {
        let is_over = arrived.len() < CLEARED_AT_ONCE_MAX;
        if let Some((offset, _)) = arrived.last() {
            clearing.first = offset.saturating_add(1);
        }
        for (_, key) in arrived {
            self.batch.remove(Space::Pending, &key);
        }
        is_over
    }

    /// The marks of a user in a room.
    pub(super) fn marks_at(&self, key: &[u8]) -> Result<Option<Marks>, Failure> {
        let value = self.view().get(Space::Marks, key)?;
        Ok(value.map(|value| record::take_marks(&value)).transpose()?)
    }

    /// Offsets and keys of what waits in an inbox for messages of a room and is
    /// acknowledged: as many as are removed at once.
    fn waiting(&self, clearing: &Clearing) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        let Clearing { inbox, room, first, last, .. } = *clearing;
        let mut waiting = Vec::new();
        let range = key::pending_of(inbox, room, first, last);
        self.view().scan(Space::Pending, &range, Order::OldestFirst, &mut |key, _| {
            let offset = key::pending_from(key).map_or(last, |(.., offset)| offset);
            waiting.push((offset, key.to_vec()));
            if waiting.len() < CLEARED_AT_ONCE_MAX {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        Ok(waiting)
    }

    /// Nothing waits there any more, up to an offset.
    fn acknowledge(&mut self, inbox: RoomId, room: RoomId, offset: u64) {
        if ACKNOWLEDGED_MAX <= self.acknowledged.len() {
            self.acknowledged.clear();
        }
        let next = self.acknowledged.entry((inbox, room)).or_default();
        *next = offset.saturating_add(1).max(*next);
    }

    /// What stands in the places of a message that is taken back, from then on: in its
    /// channel, and where its content was taken along.
    #[expect(clippy::type_complexity, reason = "what a batch is given: where, key, value")]
    fn emptied(
        &self,
        room: RoomId,
        head: &Head,
        left: &Publication,
    ) -> Result<Vec<(Space, Vec<u8>, Vec<u8>)>, Failure> {
        let message_key = key::message(room, left.offset);
        let kept = match left.offset < head.first {
            true => None,
            false => self.view().get(Space::Messages, &message_key)?,
        };
        let copies = self.copies(head, room, left.offset)?;
        let Some(stood) = kept.as_deref().or(copies.first().map(|copy| copy.letter())) else {
            // Retention was faster.
            return Ok(Vec::new());
        };
        // The accounts stay: they say what was put in, not what is left.
        let account = record::take_account(stood)?;
        let stub = record::put_message(left, account.total_bytes, account.retractions_count);
        let in_channel = kept.map(|_| (Space::Messages, message_key.to_vec(), stub.clone()));
        let copied = copies.into_iter().map(|copy| copy.with_letter(stub.clone()));
        Ok(in_channel.into_iter().chain(copied).collect())
    }

    /// Where a message's content was taken along when its channel let it go.
    fn copies(&self, head: &Head, room: RoomId, offset: u64) -> Result<Vec<Copy>, Failure> {
        let mut copies = Vec::new();
        for inbox in head.parties.into_iter().flatten() {
            let key = key::pending(inbox, room, offset);
            if let Some(value) = self.view().get(Space::Pending, &key)? {
                copies.push(Copy::Pending(key.to_vec(), PendingRecord::take(&value)?));
            }
            if let Some(value) = self.view().get(Space::Dead, &key)? {
                copies.push(Copy::Dead(key.to_vec(), DeadRecord::take(&value)?));
            }
        }
        copies.retain(|copy| !copy.letter().is_empty());
        Ok(copies)
    }

    pub(super) fn tried(&mut self, tried: &Try) -> Result<(Outcome, Durable), Failure> {
        let Try { inbox, room, offset, tries_count } = *tried;
        let key = key::pending(inbox, room, offset);
        if let Some(value) = self.view().get(Space::Pending, &key)? {
            let mut record = PendingRecord::take(&value)?;
            record.tries_count = record.tries_count.max(tries_count);
            self.batch.put(Space::Pending, &key, record.put());
        }
        // One try more after a crash does no harm.
        Ok((Outcome::Noted, Durable::Later))
    }

    pub(super) fn bury(&mut self, burial: &Burial) -> Result<(Outcome, Durable), Failure> {
        let Burial { inbox, room, offset, cause, at_unix_ms } = *burial;
        let key = key::pending(inbox, room, offset);
        let Some(value) = self.view().get(Space::Pending, &key)? else {
            // It was acknowledged, or is dead already.
            return Ok((Outcome::Noted, Durable::Later));
        };
        let pending = PendingRecord::take(&value)?;
        let durable =
            self.head(room)?.map_or(Durable::Now, |head| self.setup.durable(head.namespace));
        self.put_dead(&key, cause, at_unix_ms, pending);
        Ok((Outcome::Noted, durable))
    }

    pub(super) fn put_dead(
        &mut self,
        key: &[u8],
        cause: Cause,
        at_unix_ms: u64,
        pending: PendingRecord,
    ) {
        self.batch.remove(Space::Pending, key);
        self.batch.put(Space::Dead, key, DeadRecord { cause, at_unix_ms, pending }.put());
        self.census.add(key, at_unix_ms);
        match cause {
            Cause::Tries => self.counts.dead_tried += 1,
            Cause::Expired => self.counts.dead_expired += 1,
        }
    }
}

/// A message's content outside of its channel.
enum Copy {
    Pending(Vec<u8>, PendingRecord),
    Dead(Vec<u8>, DeadRecord),
}

impl Copy {
    fn letter(&self) -> &[u8] {
        match self {
            Copy::Pending(_, record) => &record.letter,
            Copy::Dead(_, record) => &record.pending.letter,
        }
    }

    fn with_letter(self, letter: Vec<u8>) -> (Space, Vec<u8>, Vec<u8>) {
        match self {
            Copy::Pending(key, mut record) => {
                record.letter = letter;
                (Space::Pending, key, record.put())
            }
            Copy::Dead(key, mut record) => {
                record.pending.letter = letter;
                (Space::Dead, key, record.put())
            }
        }
    }
}

fn newborn(birth: &Birth, namespace: u16) -> Head {
    Head {
        epoch: birth.epoch,
        born_unix_ms: birth.born_unix_ms,
        naming: Naming::Written,
        first: birth.behind + 1,
        below_bytes: 0,
        offset: birth.behind,
        total_bytes: 0,
        retractions_count: 0,
        last_unix_ms: 0,
        namespace,
        parties: birth.parties,
    }
}
