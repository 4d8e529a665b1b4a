//! How far users are in channels, whom they talk with, and messages that are
//! taken back.

use std::sync::Arc;

use super::kept::Phase;
use super::letter::{IdSource, Retraction};
use super::one::{Asking, Stream, rules};
use super::reading::{Purpose, Reading};
use super::readings::ReadingClass;
use super::state::rate;
use super::storing::{Awaited, failed};
use super::{Answer, ConversationsPage, Out, Power, Progress, ReceiptsPage, Rooms, Tell};
use crate::base::limits::READING_STEP_BYTES_MAX;
use crate::base::{Now, RoomId};
use crate::store::{self, Job, Mark, MarksPage, Outcome, Range};
use crate::wire::chat::{self, Field};
use crate::wire::{ErrorCode, Publication};

impl Rooms {
    /// A user got, or read, messages.
    pub(super) fn mark(
        &mut self,
        id: RoomId,
        by: Asking,
        progress: Progress,
        out: &mut Out,
    ) -> Option<Answer> {
        let slot = match self.kept_slot(id) {
            Ok(slot) => slot,
            Err(answer) => return Some(answer),
        };
        let offset = match progress.reached {
            store::Reached::Delivered(offset) | store::Reached::Read(offset) => offset,
        };
        // The store may have brought a message to its reader before it said here that
        // it has it.
        let Stream::Kept(kept) = &self.rooms[slot].stream else { return None };
        let next = kept.next_offset();
        if next <= offset {
            return Some(Answer::Wrong(Field::Offset));
        }
        if next == 1 {
            return Some(Answer::Noted); // the store knows nothing of such a channel
        }
        if self.storing.is_full() {
            return Some(Answer::Refused(ErrorCode::TooManyRequests));
        }
        let mark = Mark {
            room: id,
            user: progress.info.user.clone(),
            inbox: progress.inbox,
            reached: progress.reached,
        };
        self.request(Some(by), Awaited::Marked(id, by, progress), Job::Mark(Box::new(mark)), out);
        None
    }

    pub(super) fn on_marked(
        &mut self,
        id: RoomId,
        by: Asking,
        progress: &Progress,
        outcome: Outcome,
        out: &mut Out,
    ) {
        let answer = match outcome {
            Outcome::Marked { before, after } => {
                if before != after {
                    self.tell_of_marks(id, progress, after, out);
                }
                Answer::Noted
            }
            Outcome::Behind(_) => Answer::Wrong(Field::Offset),
            other => failed(&other),
        };
        out.answer(id, by, answer);
    }

    /// How far everybody is.
    pub(super) fn receipts(
        &mut self,
        id: RoomId,
        by: Asking,
        page: ReceiptsPage,
        out: &mut Out,
    ) -> Option<Answer> {
        if let Err(answer) = self.kept_slot(id) {
            return Some(answer);
        }
        let (after, count_max) = (page.after, page.count_max);
        // One more than asked for tells whether there is another page.
        let job = Job::Marks(MarksPage { room: id, after, count_max: count_max + 1 });
        let awaited = Awaited::Receipts(id, by, count_max);
        self.want(by, ReadingClass::Question, awaited, job, out).err().map(Answer::Refused)
    }

    /// With whom a user talks.
    pub(super) fn conversations(
        &mut self,
        id: RoomId,
        by: Asking,
        page: ConversationsPage,
        out: &mut Out,
    ) -> Option<Answer> {
        if !self.options.has_store() {
            return Some(Answer::Refused(ErrorCode::NotAvailable));
        }
        let ConversationsPage { title: _, user, after, count_max } = page;
        let page = store::ConversationsPage { inbox: id, user, after, count_max };
        let (awaited, job) = (Awaited::Conversations(id, by), Job::Conversations(page));
        self.want(by, ReadingClass::Question, awaited, job, out).err().map(Answer::Refused)
    }

    /// Takes a message back.
    pub(super) fn retract(
        &mut self,
        now: Now,
        id: RoomId,
        by: Asking,
        wish: Retraction,
        out: &mut Out,
    ) -> Option<Answer> {
        let Some(slot) = self.find(id) else {
            return Some(Answer::Wrong(Field::Offset));
        };
        let Some(window) = self.rooms[slot].window() else {
            return Some(Answer::Refused(ErrorCode::NotAvailable));
        };
        let head = window.position().offset;
        if wish.offset == 0 || head < wish.offset {
            return Some(Answer::Wrong(Field::Offset));
        }
        if let Some(message) = window.at(wish.offset) {
            let message = Arc::clone(message);
            return self.take_back(now, slot, by, wish, &message, out);
        }
        let Stream::Kept(_) = &self.rooms[slot].stream else {
            return Some(Answer::Wrong(Field::Offset));
        };
        let range = Range {
            room: id,
            first: wish.offset,
            last: wish.offset,
            count_max: 1,
            bytes_max: READING_STEP_BYTES_MAX,
            order: store::Order::OldestFirst,
        };
        let purpose = Purpose::Retraction(Box::new(wish));
        let reading = Reading { room: id, by, purpose, found: Vec::new(), bytes: 0 };
        self.read_range(slot, reading, range, out).err().map(Answer::Refused)
    }

    /// Takes back a message that is known: its content goes, and a message of its own says
    /// so behind all others, both at once. What is taken back already stays so.
    pub(super) fn take_back(
        &mut self,
        now: Now,
        slot: u32,
        by: Asking,
        wish: Retraction,
        message: &Publication,
        out: &mut Out,
    ) -> Option<Answer> {
        let Retraction { offset, power, draft } = wish;
        let author = message.info.as_ref().filter(|info| !info.user.is_empty());
        let is_own = author
            .is_some_and(|author| draft.info.as_ref().is_some_and(|info| info.user == author.user));
        if !is_own && power == Power::Author {
            return Some(Answer::Refused(ErrorCode::PermissionDenied));
        }
        if chat::retracted_offset(message).is_some() {
            // Who was away would not learn what it said.
            return Some(Answer::Wrong(Field::Offset));
        }
        if chat::is_remainder(message) {
            return Some(Answer::Noted);
        }
        let room = &mut self.rooms[slot];
        if let Stream::Kept(kept) = &mut room.stream {
            if kept.phase() != Phase::Open {
                return Some(Answer::Refused(ErrorCode::Internal));
            }
            if let Some(pending) = kept.retraction_of(offset) {
                pending.askers.push(by);
                return None;
            }
        }
        let rules = rules(&self.options, &room.title);
        if !room.rate.take(now.tick, rate(rules), 1) {
            return Some(Answer::Refused(ErrorCode::TooManyRequests));
        }
        let (voice, way, limits) = (draft.voice, draft.way, rules.window_limits());
        let retraction = Arc::new(draft.into_publication(now, room.next_offset()));
        let left = Arc::new(chat::remainder(message));
        let window = match &mut room.stream {
            Stream::Kept(_) => {
                let said = (voice, IdSource::Server);
                return self.keep(now, slot, by, retraction, Some(left), said, way, out);
            }
            Stream::Memory(window) => window,
            Stream::None => return Some(Answer::Refused(ErrorCode::NotAvailable)),
        };
        window.replace(&left);
        window.push(&retraction, limits);
        self.sweep_at(slot, now.tick.plus_ms(limits.age_ms_max));
        let id = self.rooms[slot].id;
        let (_, way) = self.said(now, slot, &retraction, voice, (way, None), out);
        out.answer(id, by, Answer::Noted);
        self.spread(id, &Tell::Said(id, Arc::clone(&retraction), way), out);
        self.tell_of_retraction(slot, offset, &retraction, voice, out);
        None
    }

    /// The room, if its messages are on disk; else the answer that says so.
    fn kept_slot(&self, id: RoomId) -> Result<u32, Answer> {
        let slot = self.find(id).ok_or(Answer::Refused(ErrorCode::NotAvailable))?;
        match &self.rooms[slot].stream {
            Stream::Kept(_) => Ok(slot),
            Stream::None | Stream::Memory(_) => Err(Answer::Refused(ErrorCode::NotAvailable)),
        }
    }
}

/// Cuts a list to its page. Says whether there was more.
pub(super) fn shorten<T>(all: &mut Vec<T>, count_max: u32) -> bool {
    let more = (count_max as usize) < all.len();
    all.truncate(count_max as usize);
    more
}
