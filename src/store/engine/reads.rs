//! What is asked of the store. Everything is read in bounded pages, and a part of
//! a channel has no hole: where one is, the channel is damaged.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::base::RoomId;
use crate::base::limits::PAGE_MAX;
use crate::wire::Publication;

use super::super::disk::{Disk, Space};
use super::super::key;
use super::super::letter::{
    Conversation, ConversationsPage, Due, Failure, Marks, MarksPage, Open, Opened, Order, Outcome,
    PendingPage, Range,
};
use super::super::record::{self, PendingRecord};
use super::Engine;
use super::heads::Head;
use super::queue::Budget;

/// Messages, names or what waits in one answer, whatever is asked. One more than a
/// client gets, since rooms learn by it whether there is another page.
const ENTRIES_MAX: u32 = PAGE_MAX + 1;
/// Bytes of messages in one answer.
const PAGE_BYTES_MAX: u32 = 1 << 20;
/// Messages that are looked through for ids. In a room that says more in the time
/// that ids are remembered, a restart makes it forget the older ones.
const IDS_MAX: u64 = 16_384;

impl<D: Disk> Engine<D> {
    pub(super) fn opened(&mut self, open: &Open, budget: &mut Budget) -> Result<Outcome, Failure> {
        let Some(head) = self.head(open.room)? else { return Ok(Outcome::Opened(None)) };
        let first = head.first_shown(self.setup.rules(head.namespace).count_max);
        let mut tail = Tail::new(open, &head, first);
        let range = key::messages(open.room, first, head.offset);
        self.view().scan(Space::Messages, &range, Order::NewestFirst, &mut |key, value| {
            budget.read(value.len());
            tail.take(key, value)
        })?;
        let (mut tail, ids) = tail.end()?;
        tail.reverse();
        let opened = Opened { epoch: head.epoch, head: head.offset, first, tail, ids };
        Ok(Outcome::Opened(Some(Box::new(opened))))
    }

    pub(super) fn passage(
        &mut self,
        range: &Range,
        budget: &mut Budget,
    ) -> Result<Outcome, Failure> {
        let Some(head) = self.head(range.room)? else { return Ok(Outcome::Passage(Vec::new())) };
        let shown = head.first_shown(self.setup.rules(head.namespace).count_max);
        let (first, last) = (range.first.max(shown), range.last.min(head.offset));
        let count = (range.count_max.min(ENTRIES_MAX) as usize)
            .min(usize::try_from((last + 1).saturating_sub(first)).unwrap_or(usize::MAX));
        let mut passage = Vec::with_capacity(count);
        if count == 0 {
            return Ok(Outcome::Passage(passage));
        }
        let mut bytes_left = range.bytes_max.min(PAGE_BYTES_MAX) as usize;
        let mut next = match range.order {
            Order::OldestFirst => first,
            Order::NewestFirst => last,
        };
        let mut is_cut = false;
        let mut fault = None;
        let keys = key::messages(range.room, first, last);
        self.view().scan(Space::Messages, &keys, range.order, &mut |key, value| {
            budget.read(value.len());
            let publication = match message(key, value, next) {
                Ok(publication) => publication,
                Err(failure) => {
                    fault = Some(failure);
                    return ControlFlow::Break(());
                }
            };
            let bytes = publication.data.bytes.len();
            is_cut = bytes_left < bytes && !passage.is_empty();
            if is_cut {
                return ControlFlow::Break(());
            }
            bytes_left = bytes_left.saturating_sub(bytes);
            passage.push(Arc::new(publication));
            next = match range.order {
                Order::OldestFirst => next.saturating_add(1),
                Order::NewestFirst => next.saturating_sub(1),
            };
            if passage.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        match fault {
            Some(failure) => Err(failure),
            None if passage.len() < count && !is_cut => Err(Failure::Damaged),
            None => Ok(Outcome::Passage(passage)),
        }
    }

    pub(super) fn marks_page(
        &mut self,
        page: &MarksPage,
        budget: &mut Budget,
    ) -> Result<Outcome, Failure> {
        let count_max = page.count_max.min(ENTRIES_MAX) as usize;
        let mut marks: Vec<Result<(Box<str>, Marks), Failure>> = Vec::new();
        let range = key::names_behind(page.room, &page.after);
        self.view().scan(Space::Marks, &range, Order::OldestFirst, &mut |key, value| {
            if count_max <= marks.len() {
                return ControlFlow::Break(());
            }
            budget.read(value.len());
            let name = key::name_of(key).map(|(_, name)| name.into()).ok_or(Failure::Damaged);
            marks.push(name.and_then(|name| Ok((name, record::take_marks(value)?))));
            ControlFlow::Continue(())
        })?;
        Ok(Outcome::Marks(marks.into_iter().collect::<Result<_, _>>()?))
    }

    pub(super) fn conversations(
        &mut self,
        page: &ConversationsPage,
        budget: &mut Budget,
    ) -> Result<Outcome, Failure> {
        let count_max = page.count_max.min(ENTRIES_MAX) as usize;
        let mut talks: Vec<Result<(Box<str>, RoomId), Failure>> = Vec::new();
        let range = key::names_behind(page.inbox, &page.after);
        self.view().scan(Space::Talks, &range, Order::OldestFirst, &mut |key, value| {
            if count_max <= talks.len() {
                return ControlFlow::Break(());
            }
            let name = key::name_of(key).map(|(_, name)| name.into()).ok_or(Failure::Damaged);
            talks.push(name.and_then(|name| Ok((name, record::take_talk(value)?))));
            ControlFlow::Continue(())
        })?;
        let mut conversations = Vec::with_capacity(talks.len());
        for talk in talks {
            let (channel, room) = talk?;
            conversations.push(self.conversation(channel, room, &page.user, budget)?);
        }
        Ok(Outcome::Conversations(conversations))
    }

    fn conversation(
        &mut self,
        channel: Box<str>,
        room: RoomId,
        user: &str,
        budget: &mut Budget,
    ) -> Result<Conversation, Failure> {
        let head = self.head(room)?.ok_or(Failure::Damaged)?;
        let marks = self.marks_at(&key::named(room, user))?.unwrap_or_default();
        let mut last = None;
        if head.first_shown(self.setup.rules(head.namespace).count_max) <= head.offset {
            let value = self.view().get(Space::Messages, &key::message(room, head.offset))?;
            let value = value.ok_or(Failure::Damaged)?;
            last = Some(Arc::new(record::take_message(&value, head.offset)?.0));
            budget.read(value.len());
        }
        // Its record, its marks, and its head are a read each.
        (0..3).for_each(|_| budget.read(0));
        Ok(Conversation { channel, head: head.offset, marks, last })
    }

    pub(super) fn pending(
        &mut self,
        page: &PendingPage,
        budget: &mut Budget,
    ) -> Result<Outcome, Failure> {
        let count_max = page.count_max.min(ENTRIES_MAX) as usize;
        let mut waiting = Vec::new();
        let mut bytes = 0;
        let range = key::pending_behind(page.inbox, page.after);
        self.view().scan(Space::Pending, &range, Order::OldestFirst, &mut |key, value| {
            bytes += value.len();
            let is_full = count_max <= waiting.len() || PAGE_BYTES_MAX as usize <= bytes;
            if is_full && !waiting.is_empty() {
                return ControlFlow::Break(());
            }
            waiting.push((key::pending_from(key), PendingRecord::take(value)));
            ControlFlow::Continue(())
        })?;
        let mut dues: Vec<Due> = Vec::with_capacity(waiting.len());
        for (place, record) in waiting.into_iter().take(count_max) {
            let (_, room, offset) = place.ok_or(Failure::Damaged)?;
            match self.due(room, offset, record?, dues.last(), budget) {
                Ok(due) => dues.push(due),
                // The others shall arrive all the same; this one will expire.
                Err(Failure::Damaged) => self.count(Failure::Damaged),
                Err(failure) => return Err(failure),
            }
        }
        Ok(Outcome::Pending(dues))
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
        budget.read(letter.len());
        // What waits is sorted by room: its name is read once.
        let channel = match previous.filter(|due| due.room == room) {
            Some(due) => due.channel.clone(),
            None => self.channel(room)?.ok_or(Failure::Damaged)?.channel,
        };
        let publication = Arc::new(record::take_message(&letter, offset)?.0);
        Ok(Due { room, channel, publication, tries_count, expires_unix_ms })
    }
}

fn message(key: &[u8], value: &[u8], expected: u64) -> Result<Publication, Failure> {
    match key::message_of(key) {
        Some((_, offset)) if offset == expected => Ok(record::take_message(value, offset)?.0),
        Some(_) | None => Err(Failure::Damaged),
    }
}

/// The newest messages of a channel, newest first, and the ids among them.
struct Tail<'a> {
    open: &'a Open,
    head: u64,
    first: u64,
    next: u64,
    bytes: usize,
    has_whole_tail: bool,
    has_all_ids: bool,
    fault: Option<Failure>,
    tail: Vec<Arc<Publication>>,
    ids: Vec<(Box<str>, Box<str>, u64)>,
}

impl<'a> Tail<'a> {
    fn new(open: &'a Open, head: &Head, first: u64) -> Tail<'a> {
        Tail {
            open,
            head: head.offset,
            first,
            next: head.offset,
            bytes: 0,
            has_whole_tail: open.count_max == 0 && open.after.is_none(),
            has_all_ids: false,
            fault: None,
            tail: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        match message(key, value, self.next) {
            Ok(publication) => self.take_message(Arc::new(publication)),
            Err(failure) => self.fault = Some(failure),
        }
        if self.fault.is_some() || (self.has_whole_tail && self.has_all_ids) {
            return ControlFlow::Break(());
        }
        self.next = self.next.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn take_message(&mut self, publication: Arc<Publication>) {
        let count = self.head - publication.offset;
        self.has_all_ids |=
            publication.time_unix_ms < self.open.ids_since_unix_ms || IDS_MAX <= count;
        if !self.has_all_ids {
            let id = publication.tags.iter().find(|(name, _)| &**name == "id");
            if let (Some((_, id)), Some(info)) = (id, &publication.info) {
                self.ids.push((info.user.clone(), id.clone(), publication.offset));
            }
        }
        let is_wanted = self.open.after.is_some_and(|after| after < publication.offset);
        let bytes = self.bytes + publication.data.bytes.len();
        let fits = u64::from(self.open.count_max) > count
            && (bytes <= self.open.bytes_max as usize || self.tail.is_empty());
        self.has_whole_tail |= !is_wanted && !fits;
        if !self.has_whole_tail {
            self.bytes = bytes;
            self.tail.push(publication);
        }
    }

    #[expect(clippy::type_complexity, reason = "the two halves of an answer")]
    fn end(self) -> Result<(Vec<Arc<Publication>>, Vec<(Box<str>, Box<str>, u64)>), Failure> {
        let is_cut = self.has_whole_tail && self.has_all_ids;
        // Without a cut, everything from the head to the first was seen.
        let is_whole = is_cut || self.head < self.first || self.next < self.first;
        match self.fault {
            Some(failure) => Err(failure),
            None if !is_whole => Err(Failure::Damaged),
            None => Ok((self.tail, self.ids)),
        }
    }
}
