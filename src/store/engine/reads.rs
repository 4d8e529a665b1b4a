//! What is asked of the store. Everything is read in bounded pages, a slice of a page
//! at a time, and a part of a channel has no hole: where one is, the channel is damaged.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::base::RoomId;
use crate::base::limits::{HISTORY_ANSWER_BYTES_MAX, PAGE_MAX};
use crate::wire::{Publication, chat};

use super::super::disk::{Disk, Space};
use super::super::key;
use super::super::letter::{
    Conversation, ConversationsPage, Due, Failure, Job, KnownId, Marks, MarksPage, Open, Opened,
    Order, Outcome, PendingPage, Range,
};
use super::super::record::{self, PendingRecord};
use super::Engine;
use super::heads::Head;
use super::ids::IdPlace;
use super::queue::Budget;

/// Messages, names or what waits in one answer, whatever is asked. One more than a
/// client gets, since rooms learn by it whether there is another page.
const ENTRIES_MAX: u32 = PAGE_MAX + 1;
/// Bytes that the messages of one answer cost.
const PAGE_BYTES_MAX: u32 = 1 << 20;
/// Conversations in one answer: each is a read of its channel's record, its head, the
/// user's marks and the last message.
const CONVERSATIONS_MAX: u32 = 256;
/// Names of conversations, and places of what waits, that are looked up together.
const TALKS_AT_ONCE_MAX: usize = 16;
const WAITING_AT_ONCE_MAX: usize = 32;

/// What a read found so far that takes more than one slice.
#[derive(Debug)]
pub enum PartialRead {
    /// To `Open`.
    Tail(Box<Tail>),
    /// To `Read`.
    Passage(PartialPassage),
    /// To `Marks`.
    Marks(Vec<(Box<str>, Marks)>),
    /// To `Conversations`.
    Conversations(PartialConversations),
    /// To `Pending`.
    Pending(PartialPending),
}

/// A part of a channel, as far as it was read.
#[derive(Debug)]
pub struct PartialPassage {
    /// The room is asked for with it, in case a message of it is taken back.
    room: RoomId,
    next: u64,
    bytes_left: usize,
    found: Vec<Arc<Publication>>,
}

/// A user's conversations, as far as they were read.
#[derive(Debug, Default)]
pub struct PartialConversations {
    after: Box<str>,
    bytes: usize,
    found: Vec<(RoomId, Conversation)>,
}

/// What waits for a user, as far as it was read.
#[derive(Debug, Default)]
pub struct PartialPending {
    after: Option<(RoomId, u64)>,
    bytes: usize,
    found: Vec<Due>,
}

impl PartialRead {
    /// A message is replaced in what was found.
    pub fn replace(&mut self, room: RoomId, left: &Arc<Publication>) {
        let replace = |one: &mut Arc<Publication>| {
            if one.offset == left.offset {
                *one = Arc::clone(left);
            }
        };
        match self {
            PartialRead::Tail(tail) if tail.open.room == room => {
                tail.tail.iter_mut().for_each(replace);
            }
            PartialRead::Passage(passage) if passage.room == room => {
                passage.found.iter_mut().for_each(replace);
            }
            PartialRead::Conversations(conversations) => {
                let found = conversations.found.iter_mut().filter(|(one, _)| *one == room);
                found.filter_map(|(_, one)| one.last.as_mut()).for_each(replace);
            }
            PartialRead::Pending(pending) => {
                let found = pending.found.iter_mut().filter(|due| due.room == room);
                found.for_each(|due| replace(&mut due.publication));
            }
            PartialRead::Tail(_) | PartialRead::Passage(_) | PartialRead::Marks(_) => {}
        }
    }
}

impl<D: Disk> Engine<D> {
    /// One slice of a read. `None` when there is more to do; then `found` has what was
    /// found so far.
    pub(super) fn slice(
        &mut self,
        job: &Job,
        found: &mut Option<PartialRead>,
        budget: &mut Budget,
    ) -> Result<Option<Outcome>, Failure> {
        let so_far = found.take();
        let sliced = match job {
            // Who opened it now would take what it has for all that it has.
            Job::Open(open) if self.doubtful.contains(&open.room) => Err(Failure::Broken),
            Job::Open(open) => {
                // What was given before is written or refused.
                self.crowded.remove(&open.room);
                self.opened(open, so_far, budget)
            }
            Job::Read(range) => self.passage(range, so_far, budget),
            Job::Marks(page) => self.marks_page(page, so_far, budget),
            Job::Conversations(page) => self.conversations(page, so_far, budget),
            Job::Pending(page) => self.pending(page, so_far, budget),
            Job::Append(_) | Job::Mark(_) | Job::Tried(_) | Job::Bury(_) | Job::Abandon(_) => {
                unreachable!("these stand in other lines")
            }
        };
        match sliced? {
            Slice::Whole(outcome) => Ok(Some(outcome)),
            Slice::Partial(partial) => {
                *found = Some(partial);
                Ok(None)
            }
        }
    }

    fn opened(
        &mut self,
        open: &Open,
        so_far: Option<PartialRead>,
        budget: &mut Budget,
    ) -> Result<Slice, Failure> {
        budget.seek();
        let Some(head) = self.head(open.room)? else {
            return Ok(Slice::Whole(Outcome::Opened(None, self.losses_count)));
        };
        let first = head.first_shown(self.setup.rules(head.namespace).count_max);
        let mut tail = match so_far {
            Some(PartialRead::Tail(tail)) if tail.head == head.offset => tail,
            _ => Box::new(Tail::new(*open, &head)),
        };
        // Retention may have let some go meanwhile.
        tail.first = first;
        if !tail.is_whole {
            let mut is_over = true;
            let range = key::messages(open.room, first, tail.next);
            self.view().scan(Space::Messages, &range, Order::NewestFirst, &mut |key, value| {
                budget.read(value.len());
                tail.take(key, value)?;
                is_over = !budget.is_slice_over();
                if is_over { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            if !is_over {
                return Ok(Slice::Partial(PartialRead::Tail(tail)));
            }
            tail.end()?;
        }
        let (since, head_offset) = (open.ids_since_unix_ms, head.offset);
        while let Some(place) = tail.ids_next {
            if budget.is_slice_over() {
                return Ok(Slice::Partial(PartialRead::Tail(tail)));
            }
            tail.ids_next = self.known_ids(open.room, place, budget, &mut |known| {
                // However many there are: they are read in slices.
                if since <= known.time_unix_ms && known.offset <= head_offset {
                    tail.ids.push(known);
                }
            })?;
        }
        let Tail { mut tail, ids, .. } = *tail;
        tail.reverse();
        let born_unix_ms = head.born_unix_ms;
        let opened =
            Opened { epoch: head.epoch, born_unix_ms, head: head.offset, first, tail, ids };
        Ok(Slice::Whole(Outcome::Opened(Some(Box::new(opened)), self.losses_count)))
    }

    fn passage(
        &mut self,
        range: &Range,
        so_far: Option<PartialRead>,
        budget: &mut Budget,
    ) -> Result<Slice, Failure> {
        budget.seek();
        let Some(head) = self.head(range.room)? else {
            return Ok(Slice::Whole(Outcome::Passage(Vec::new())));
        };
        let shown = head.first_shown(self.setup.rules(head.namespace).count_max);
        let (first, last) = (range.first.max(shown), range.last.min(head.offset));
        let mut passage = match so_far {
            Some(PartialRead::Passage(passage)) => passage,
            _ => PartialPassage {
                room: range.room,
                next: match range.order {
                    Order::OldestFirst => first,
                    Order::NewestFirst => last,
                },
                bytes_left: range.bytes_max.min(PAGE_BYTES_MAX) as usize,
                found: Vec::new(),
            },
        };
        let (first, last) = match range.order {
            // What retention let go meanwhile ends it: a part has no hole.
            Order::OldestFirst if passage.next < first => return Ok(passage.end()),
            Order::OldestFirst => (passage.next, last),
            Order::NewestFirst => (first, passage.next),
        };
        let missing_count = range.count_max.min(ENTRIES_MAX) as usize - passage.found.len();
        let there = usize::try_from((last + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        let count = missing_count.min(there) + passage.found.len();
        if count == passage.found.len() {
            return Ok(passage.end());
        }
        let mut ending = Ending::Exhausted;
        let keys = key::messages(range.room, first, last);
        self.view().scan(Space::Messages, &keys, range.order, &mut |key, value| {
            budget.read(value.len());
            ending = passage.take(key, value, range.order, count);
            if matches!(ending, Ending::Exhausted) && budget.is_slice_over() {
                ending = Ending::Slice;
            }
            match ending {
                Ending::Exhausted => ControlFlow::Continue(()),
                Ending::Full | Ending::Slice | Ending::Fault(_) => ControlFlow::Break(()),
            }
        })?;
        match ending {
            Ending::Full => Ok(passage.end()),
            Ending::Slice => Ok(Slice::Partial(PartialRead::Passage(passage))),
            Ending::Exhausted => Err(Failure::Damaged),
            Ending::Fault(failure) => Err(failure),
        }
    }

    fn marks_page(
        &mut self,
        page: &MarksPage,
        so_far: Option<PartialRead>,
        budget: &mut Budget,
    ) -> Result<Slice, Failure> {
        budget.seek();
        let count_max = page.count_max.min(ENTRIES_MAX) as usize;
        let mut marks = match so_far {
            Some(PartialRead::Marks(marks)) => marks,
            _ => Vec::new(),
        };
        let after = marks.last().map_or(&page.after, |(name, _)| name);
        let range = key::names_behind(page.room, after);
        let mut fault = None;
        let mut is_over = true;
        self.view().scan(Space::Marks, &range, Order::OldestFirst, &mut |key, value| {
            if count_max <= marks.len() {
                return ControlFlow::Break(());
            }
            if budget.is_slice_over() {
                is_over = false;
                return ControlFlow::Break(());
            }
            budget.read(value.len());
            let name = key::name_of(key).map(|(_, name)| name.into()).ok_or(Failure::Damaged);
            match name.and_then(|name| Ok((name, record::take_marks(value)?))) {
                Ok(one) => marks.push(one),
                Err(failure) => {
                    fault = Some(failure);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        match fault {
            Some(failure) => Err(failure),
            None if is_over => Ok(Slice::Whole(Outcome::Marks(marks))),
            None => Ok(Slice::Partial(PartialRead::Marks(marks))),
        }
    }

    fn conversations(
        &mut self,
        page: &ConversationsPage,
        so_far: Option<PartialRead>,
        budget: &mut Budget,
    ) -> Result<Slice, Failure> {
        let count_max = page.count_max.min(CONVERSATIONS_MAX) as usize;
        let mut so_far = match so_far {
            Some(PartialRead::Conversations(so_far)) => so_far,
            _ => PartialConversations { after: page.after.clone(), ..Default::default() },
        };
        while so_far.found.len() < count_max {
            let talks = self.talks(page.inbox, &so_far.after, budget)?;
            if talks.is_empty() {
                return Ok(so_far.end(None));
            }
            for (channel, room) in talks {
                if count_max <= so_far.found.len() {
                    break;
                }
                if budget.is_slice_over() {
                    return Ok(Slice::Partial(PartialRead::Conversations(so_far)));
                }
                let Some(one) = self.conversation(channel.clone(), room, &page.user, budget)?
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
        let rest = self.talks(page.inbox, &so_far.after, budget)?;
        let next = (!rest.is_empty() && count_max != 0).then(|| so_far.after.clone());
        Ok(so_far.end(next))
    }

    /// Some of a user's conversations, behind this one by name.
    fn talks(
        &self,
        inbox: RoomId,
        after: &str,
        budget: &mut Budget,
    ) -> Result<Vec<(Box<str>, RoomId)>, Failure> {
        budget.seek();
        let mut talks: Vec<Result<(Box<str>, RoomId), Failure>> = Vec::new();
        let range = key::names_behind(inbox, after);
        self.view().scan(Space::Talks, &range, Order::OldestFirst, &mut |key, value| {
            budget.read(value.len());
            let name = key::name_of(key).map(|(_, name)| name.into()).ok_or(Failure::Damaged);
            talks.push(name.and_then(|name| Ok((name, record::take_talk(value)?))));
            if talks.len() < TALKS_AT_ONCE_MAX {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        talks.into_iter().collect()
    }

    fn conversation(
        &mut self,
        channel: Box<str>,
        room: RoomId,
        user: &str,
        budget: &mut Budget,
    ) -> Result<Option<Conversation>, Failure> {
        // A channel that is gone is among the conversations for a moment longer.
        let Some(head) = self.head(room)? else { return Ok(None) };
        let marks = self.marks_at(&key::named(room, user))?.unwrap_or_default();
        let mut last = None;
        if head.first_shown(self.setup.rules(head.namespace).count_max) <= head.offset {
            let value = self.view().get(Space::Messages, &key::message(room, head.offset))?;
            let value = value.ok_or(Failure::Damaged)?;
            last = Some(Arc::new(record::take_message(&value, head.offset)?.0));
            budget.got(value.len());
        }
        // Its record, its marks, and its head are a read each.
        (0..3).for_each(|_| budget.got(0));
        let unread = self.unread(room, &head, marks.read, budget)?;
        Ok(Some(Conversation { channel, head: head.offset, marks, unread, last }))
    }

    /// How many messages are behind what a user read. Retractions among them are found by
    /// two accounts; those that are kept no more count as messages that are kept no more.
    fn unread(
        &self,
        room: RoomId,
        head: &Head,
        read: u64,
        budget: &mut Budget,
    ) -> Result<u64, Failure> {
        let behind = head.offset.saturating_sub(read);
        let oldest = head.first.max(read);
        if behind == 0 || head.retractions_count == 0 || head.offset < oldest {
            return Ok(behind);
        }
        let value = self.view().get(Space::Messages, &key::message(room, oldest))?;
        let value = value.ok_or(Failure::Damaged)?;
        budget.got(value.len());
        let (message, account) = record::take_message(&value, oldest)?;
        let is_unread = read < oldest;
        let is_counted = is_unread && chat::retracted_offset(&message).is_some();
        let before = account.retractions_count - u64::from(is_counted);
        Ok(behind.saturating_sub(head.retractions_count.saturating_sub(before)))
    }

    fn pending(
        &mut self,
        page: &PendingPage,
        so_far: Option<PartialRead>,
        budget: &mut Budget,
    ) -> Result<Slice, Failure> {
        let count_max = page.count_max.min(ENTRIES_MAX) as usize;
        let mut so_far = match so_far {
            Some(PartialRead::Pending(so_far)) => so_far,
            _ => PartialPending { after: page.after, ..PartialPending::default() },
        };
        while so_far.found.len() < count_max {
            let waiting = self.waiting_behind(page.inbox, so_far.after, budget)?;
            if waiting.is_empty() {
                return Ok(so_far.end(None));
            }
            for (place, record) in waiting {
                if count_max <= so_far.found.len() {
                    break;
                }
                if budget.is_slice_over() {
                    return Ok(Slice::Partial(PartialRead::Pending(so_far)));
                }
                let (room, offset) = place;
                match self.due(room, offset, record?, so_far.found.last(), budget) {
                    Ok(due) => {
                        so_far.bytes += due.publication.cost_bytes();
                        if PAGE_BYTES_MAX as usize <= so_far.bytes && !so_far.found.is_empty() {
                            let next = so_far.after;
                            return Ok(so_far.end(next));
                        }
                        so_far.found.push(due);
                    }
                    // The others shall arrive all the same; this one will expire.
                    Err(Failure::Damaged) => self.count(Failure::Damaged),
                    Err(failure) => return Err(failure),
                }
                so_far.after = Some(place);
            }
        }
        let next = so_far.after;
        Ok(so_far.end(next))
    }

    /// Some of what waits in an inbox, behind a message.
    #[expect(clippy::type_complexity, reason = "a place, and what stands there")]
    fn waiting_behind(
        &self,
        inbox: RoomId,
        after: Option<(RoomId, u64)>,
        budget: &mut Budget,
    ) -> Result<Vec<((RoomId, u64), Result<PendingRecord, Failure>)>, Failure> {
        budget.seek();
        let mut waiting = Vec::new();
        let mut is_damaged = false;
        let range = key::pending_behind(inbox, after);
        self.view().scan(Space::Pending, &range, Order::OldestFirst, &mut |key, value| {
            budget.read(value.len());
            let Some((_, room, offset)) = key::pending_from(key) else {
                is_damaged = true;
                return ControlFlow::Break(());
            };
            let record = PendingRecord::take(value).map_err(Failure::from);
            waiting.push(((room, offset), record));
            if waiting.len() < WAITING_AT_ONCE_MAX {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        if is_damaged { Err(Failure::Damaged) } else { Ok(waiting) }
    }

    fn due(
        &mut self,
        room: RoomId,
        offset: u64,
        record: PendingRecord,
        previous: Option<&Due>,
        budget: &mut Budget,
    ) -> Result<Due, Failure> {
        let PendingRecord { tries_count, expires_unix_ms, mut letter } = record;
        if letter.is_empty() {
            let value = self.view().get(Space::Messages, &key::message(room, offset))?;
            letter = value.ok_or(Failure::Damaged)?;
        }
        budget.got(letter.len());
        // What waits is sorted by room: its name is read once.
        let channel = match previous.filter(|due| due.room == room) {
            Some(due) => due.channel.clone(),
            None => {
                budget.got(0);
                self.channel(room)?.ok_or(Failure::Damaged)?.channel
            }
        };
        let publication = Arc::new(record::take_message(&letter, offset)?.0);
        Ok(Due { room, channel, publication, tries_count, expires_unix_ms })
    }
}

/// What a slice of a read came to.
enum Slice {
    Whole(Outcome),
    Partial(PartialRead),
}

/// Why reading on in a channel ended.
enum Ending {
    /// It did not, or there is nothing more.
    Exhausted,
    /// All is there that was asked for, or fits.
    Full,
    /// It goes on another time.
    Slice,
    Fault(Failure),
}

impl PartialPassage {
    fn take(&mut self, key: &[u8], value: &[u8], order: Order, count: usize) -> Ending {
        let publication = match message(key, value, self.next) {
            Ok(publication) => publication,
            Err(failure) => return Ending::Fault(failure),
        };
        let bytes = publication.cost_bytes();
        if self.bytes_left < bytes && !self.found.is_empty() {
            return Ending::Full;
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.found.push(Arc::new(publication));
        self.next = match order {
            Order::OldestFirst => self.next.saturating_add(1),
            Order::NewestFirst => self.next.saturating_sub(1),
        };
        if self.found.len() < count { Ending::Exhausted } else { Ending::Full }
    }

    fn end(self) -> Slice {
        Slice::Whole(Outcome::Passage(self.found))
    }
}

impl PartialConversations {
    fn end(self, next: Option<Box<str>>) -> Slice {
        let found = self.found.into_iter().map(|(_, one)| one).collect();
        Slice::Whole(Outcome::Conversations(found, next))
    }
}

impl PartialPending {
    fn end(self, next: Option<(RoomId, u64)>) -> Slice {
        Slice::Whole(Outcome::Pending(self.found, next))
    }
}

fn message(key: &[u8], value: &[u8], expected: u64) -> Result<Publication, Failure> {
    match key::message_of(key) {
        Some((_, offset)) if offset == expected => Ok(record::take_message(value, offset)?.0),
        Some(_) | None => Err(Failure::Damaged),
    }
}

/// The newest messages of a channel, newest first, and then the ids that are known.
#[derive(Debug)]
pub struct Tail {
    open: Open,
    head: u64,
    first: u64,
    next: u64,
    bytes: usize,
    is_whole: bool,
    fault: Option<Failure>,
    tail: Vec<Arc<Publication>>,
    /// Where more ids may be.
    ids_next: Option<IdPlace>,
    ids: Vec<KnownId>,
}

impl Tail {
    fn new(open: Open, head: &Head) -> Tail {
        Tail {
            open,
            head: head.offset,
            first: head.first,
            next: head.offset,
            bytes: 0,
            is_whole: open.count_max == 0 && open.after.is_none(),
            fault: None,
            tail: Vec::new(),
            ids_next: Some(IdPlace::since(open.ids_since_unix_ms)),
            ids: Vec::new(),
        }
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        match message(key, value, self.next) {
            Ok(publication) => self.take_message(Arc::new(publication)),
            Err(failure) => self.fault = Some(failure),
        }
        if self.fault.is_some() || self.is_whole {
            return ControlFlow::Break(());
        }
        self.next = self.next.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn take_message(&mut self, publication: Arc<Publication>) {
        let count = self.head - publication.offset;
        let is_wanted = self.open.after.is_some_and(|after| after < publication.offset);
        let bytes = self.bytes + publication.cost_bytes();
        let fits = u64::from(self.open.count_max) > count
            && (bytes <= self.open.bytes_max as usize || self.tail.is_empty());
        self.is_whole = !is_wanted && !fits;
        if !self.is_whole {
            self.bytes = bytes;
            self.tail.push(publication);
        }
    }

    /// There are no more messages.
    fn end(&mut self) -> Result<(), Failure> {
        // Without a cut, everything from the head to the first was seen.
        self.is_whole |= self.head < self.first || self.next < self.first;
        match self.fault {
            Some(failure) => Err(failure),
            None if !self.is_whole => Err(Failure::Damaged),
            None => Ok(()),
        }
    }
}
