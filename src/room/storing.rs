//! Rooms and the store: what is asked of it, what waits for it, and what follows
//! from its answers.
//!
//! Invariants: every request has one entry in `tickets` until it is answered; a
//! message is answered and told to others only when the store has it; what was
//! given in one room is answered in its order.

use std::mem;
use std::sync::Arc;

use super::kept::{Kept, Pending, Phase};
use super::letter::{Order, Retraction};
use super::state::{Asking, Room, Stream, name_of, rules};
use super::{
    Answer, Ask, Draft, Entry, Out, Passage, Power, Progress, ReceiptsPage, Rooms, Tell, Title,
    Voice, What,
};
use crate::base::limits::{
    HISTORY_ANSWER_BYTES_MAX, READING_STEP_BYTES_MAX, READING_STEP_COUNT_MAX, READINGS_MAX,
    RECOVERY_BYTES_MAX, WAITING_ASKS_MAX, WAITING_BYTES_MAX,
};
use crate::base::{Now, RoomId, ShardId, Slab};
use crate::room::ids::IDS_MS;
use crate::store::{
    self, Addressee, Append, Birth, Failure, Job, Mark, MarksPage, Open, Outcome, Range, Reply,
    Request, Round, Ticket,
};
use crate::wire::chat::{self, Field};
use crate::wire::{ErrorCode, ID_TAG, Position, Publication};

/// How long after a failure the store is asked again, in ms.
const AGAIN_MS: u64 = 1_000;

/// Requests under way, and what is remembered of each.
#[derive(Default)]
pub(super) struct Storing {
    tickets: Slab<Awaited>,
    round: Round,
    /// Questions that wait for a stream to be known, and their messages' bytes with
    /// those that the store was given.
    waiting_count: usize,
    waiting_bytes: usize,
    readings_count: usize,
}

/// What an answer of the store is for.
enum Awaited {
    Opened(RoomId),
    Kept(RoomId, Round),
    Read(Box<Reading>),
    Marked(RoomId, Asking, Progress),
    Retracted(RoomId, Asking, Box<Retraction>),
    Receipts(RoomId, Asking, u32),
    Conversations(RoomId, Asking, u32),
    Pending(RoomId),
    /// Nobody waits.
    Done,
}

/// A read of the store in steps.
struct Reading {
    room: RoomId,
    by: Asking,
    purpose: Purpose,
    /// What has come so far, in the order asked for.
    found: Vec<Arc<Publication>>,
    bytes: usize,
}

/// What is read.
enum Purpose {
    /// What a new member missed, up to what is in memory.
    Recovery(Box<Entry>),
    /// A part of the history.
    History,
    /// One message, to see whose it is.
    Retraction(Box<Retraction>),
}

impl Rooms {
    /// The store answers. Like `handle`, the only way in.
    pub fn on_reply(&mut self, now: Now, reply: Reply, out: &mut Out) {
        let awaited = self.storing.tickets.remove(reply.ticket.0);
        match awaited.expect("the store answers each request once") {
            Awaited::Opened(room) => self.on_opened(now, room, reply.outcome, out),
            Awaited::Kept(room, round) => {
                self.on_kept(now, room, round, reply.ticket, reply.outcome, out);
            }
            Awaited::Read(reading) => self.on_read(now, *reading, reply.outcome, out),
            Awaited::Marked(room, by, progress) => {
                self.on_marked(room, by, &progress, reply.outcome, out);
            }
            Awaited::Retracted(room, by, wish) => {
                self.on_retracted(room, by, &wish, reply.outcome, out);
            }
            Awaited::Receipts(room, by, count_max) => {
                let answer = match reply.outcome {
                    Outcome::Marks(mut all) => {
                        let more = shorten(&mut all, count_max);
                        let next = all.last().filter(|_| more).map(|(user, _)| user.clone());
                        Answer::Receipts(all, next)
                    }
                    other => failed(&other),
                };
                out.answer(room, by, answer);
            }
            Awaited::Conversations(room, by, count_max) => {
                let answer = match reply.outcome {
                    Outcome::Conversations(mut all) => {
                        let more = shorten(&mut all, count_max);
                        let next = all.last().filter(|_| more).map(|one| one.channel.clone());
                        Answer::Conversations(all, next)
                    }
                    other => failed(&other),
                };
                out.answer(room, by, answer);
            }
            Awaited::Pending(room) => self.on_pending(now, room, reply.outcome, out),
            Awaited::Done => (),
        }
    }

    /// Requests that the store has not answered.
    pub fn requests_count(&self) -> usize {
        self.storing.tickets.len()
    }

    /// Gives a question back that can be decided now. One about a stream that is not
    /// known yet waits, or is refused where too many do.
    pub(super) fn wait_for_stream(
        &mut self,
        now: Now,
        from: ShardId,
        ask: Ask,
        out: &mut Out,
    ) -> Option<Ask> {
        let Some(title) = stream_of(&ask.what) else { return Some(ask) };
        let slot = match (self.find(ask.room), title) {
            (Some(slot), _) => slot,
            (None, Some(title)) if rules(&self.options, title).is_durable() => {
                match self.enter(now, ask.room, title) {
                    Some(slot) => slot,
                    None => return Some(ask), // refused by whoever decides
                }
            }
            (None, _) => return Some(ask),
        };
        let Stream::Kept(kept) = &mut self.rooms[slot].stream else { return Some(ask) };
        let is_closed = match kept.phase() {
            Phase::Open => return Some(ask),
            Phase::Opening => false,
            Phase::Closed { again_at } => {
                if now.tick < again_at {
                    out.refuse(from, &ask, ErrorCode::Internal);
                    return None;
                }
                true
            }
        };
        let bytes = bytes_of(&ask.what);
        let storing = &mut self.storing;
        let full = WAITING_ASKS_MAX <= storing.waiting_count
            || WAITING_BYTES_MAX < storing.waiting_bytes + bytes;
        if full {
            out.refuse(from, &ask, ErrorCode::TooManyRequests);
        } else {
            storing.waiting_count += 1;
            storing.waiting_bytes += bytes;
            kept.wait(from, ask);
        }
        if is_closed {
            self.open(now, slot, out);
        }
        None
    }

    /// Asks the store what it knows of a room.
    pub(super) fn open(&mut self, now: Now, slot: u32, out: &mut Out) {
        let room = &mut self.rooms[slot];
        let limits = rules(&self.options, &room.title).window_limits();
        let Stream::Kept(kept) = &mut room.stream else { return };
        kept.begin_opening();
        let job = Job::Open(Open {
            room: room.id,
            count_max: limits.count_max as u32,
            bytes_max: limits.bytes_max as u32,
            after: kept.born.then(|| kept.window().position().offset),
            ids_since_unix_ms: now.unix_ms.saturating_sub(IDS_MS),
        });
        let awaited = Awaited::Opened(room.id);
        self.request(awaited, job, out);
    }

    fn on_opened(&mut self, now: Now, id: RoomId, outcome: Outcome, out: &mut Out) {
        let slot = self.find(id).expect("a room stays while the store is asked");
        let Outcome::Opened(opened) = outcome else {
            return self.give_up(now, slot, out);
        };
        let room = &mut self.rooms[slot];
        let Stream::Kept(kept) = &mut room.stream else { return };
        room.ids = None;
        let mut opened = opened.map(|opened| *opened);
        for (user, id, offset) in opened.iter_mut().flat_map(|opened| mem::take(&mut opened.ids)) {
            // Who has no name is not told apart from others without one.
            if user.is_empty() {
                continue;
            }
            let ids = room.ids.get_or_insert_default();
            // As long as the store is asked for those of five minutes, there is room.
            let _ = ids.remember(now.unix_ms, &user, &id, offset);
        }
        let news = kept.open(opened);
        let waiting = kept.take_waiting();
        if news.is_none() {
            self.spread(id, &Tell::Lost(id), out);
        }
        for publication in news.into_iter().flatten() {
            self.spread(id, &Tell::Said(id, publication), out);
        }
        for (from, ask) in waiting {
            self.storing.waiting_count -= 1;
            self.storing.waiting_bytes -= bytes_of(&ask.what);
            self.decide(now, from, ask, out);
        }
        self.rest(now, slot, id);
    }

    /// The author's repeated message, if this is one: the answer, or none when the
    /// first is not stored yet.
    pub(super) fn said_before(
        &mut self,
        now: Now,
        slot: u32,
        by: Asking,
        draft: &Draft,
    ) -> Option<Option<Answer>> {
        let user = &draft.info.as_ref()?.user;
        let id = draft.tags.iter().find(|(name, _)| **name == *ID_TAG).map(|(_, id)| id)?;
        let room = &mut self.rooms[slot];
        let offset = room.ids.as_mut()?.offset(now.unix_ms, user, id)?;
        if let Stream::Kept(kept) = &mut room.stream
            && let Some(pending) = kept.pending_at(offset)
        {
            pending.askers.push(by);
            return Some(None);
        }
        Some(Some(room.posted(offset, id)))
    }

    /// Gives a message to the store. Its author is answered when it is kept.
    pub(super) fn keep(
        &mut self,
        slot: u32,
        by: Asking,
        publication: Arc<Publication>,
        voice: Voice,
        out: &mut Out,
    ) -> Option<Answer> {
        let room = &mut self.rooms[slot];
        let rules = rules(&self.options, &room.title);
        let bytes = publication.data.bytes.len();
        if WAITING_BYTES_MAX < self.storing.waiting_bytes + bytes {
            room.forget_id(&publication);
            return Some(Answer::Refused(ErrorCode::TooManyRequests));
        }
        let Stream::Kept(kept) = &mut room.stream else { return None };
        let (addressee, parties) = match voice {
            Voice::Publish | Voice::Post => (None, None),
            Voice::Send { from, to, ttl_ms } => {
                let waits_ms = if ttl_ms == 0 { rules.ttl_ms_max } else { ttl_ms };
                let waits_ms = waits_ms.min(rules.ttl_ms_max);
                let expires_unix_ms = publication.time_unix_ms.saturating_add(waits_ms);
                (Some(Addressee { inbox: to, expires_unix_ms }), Some([from, to]))
            }
        };
        let is_new = !mem::replace(&mut kept.born, true);
        let birth = is_new.then(|| Birth {
            tenant: Arc::clone(&room.title.tenant),
            channel: Arc::clone(&room.title.channel),
            epoch: kept.window().position().epoch,
            parties,
        });
        let append = Append {
            room: room.id,
            namespace: room.title.namespace,
            birth,
            publication: Arc::clone(&publication),
            addressee,
        };
        let awaited = Awaited::Kept(room.id, self.storing.round);
        let ticket = Ticket(self.storing.tickets.insert(awaited));
        kept.give(Pending { ticket, publication, voice, askers: vec![by] });
        self.storing.waiting_bytes += bytes;
        let round = self.storing.round;
        out.requests.push(Request { ticket, round, job: Job::Append(Box::new(append)) });
        None
    }

    fn on_kept(
        &mut self,
        now: Now,
        id: RoomId,
        round: Round,
        ticket: Ticket,
        outcome: Outcome,
        out: &mut Out,
    ) {
        let Outcome::Appended = outcome else {
            if round == self.storing.round {
                self.storing.round = Round(round.0 + 1);
            }
            let slot = self.find(id).filter(|&slot| match &self.rooms[slot].stream {
                Stream::Kept(kept) => kept.is_pending(ticket),
                Stream::None | Stream::Memory(_) => false,
            });
            if let Some(slot) = slot {
                self.give_up(now, slot, out);
            }
            return;
        };
        // What was given up before is found when the room is read again.
        let Some(slot) = self.find(id) else { return };
        let room = &mut self.rooms[slot];
        let limits = rules(&self.options, &room.title).window_limits();
        let Stream::Kept(kept) = &mut room.stream else { return };
        let Some(pending) = kept.take_kept(ticket) else { return };
        let Pending { publication, voice, askers, .. } = pending;
        kept.window_mut().push(&publication, limits);
        self.storing.waiting_bytes -= publication.data.bytes.len();
        let answer = self.said(now, slot, &publication, voice, out);
        for by in askers {
            out.answer_publish(id, by, answer.clone());
        }
        self.spread(id, &Tell::Said(id, publication), out);
        self.sweep_at(slot, now.tick.plus_ms(limits.age_ms_max));
        self.rest(now, slot, id);
    }

    /// It is not known any more what the store has of this room: who waits for it is
    /// told to try again, and it is read anew.
    fn give_up(&mut self, now: Now, slot: u32, out: &mut Out) {
        let room = &mut self.rooms[slot];
        let id = room.id;
        let Stream::Kept(kept) = &mut room.stream else { return };
        let again_at = now.tick.plus_ms(AGAIN_MS);
        let (given, waiting) = kept.close(again_at);
        for Pending { publication, askers, .. } in given {
            self.storing.waiting_bytes -= publication.data.bytes.len();
            room.forget_id(&publication);
            for by in askers {
                out.answer_publish(id, by, Answer::Refused(ErrorCode::Internal));
            }
        }
        for (from, ask) in waiting {
            self.storing.waiting_count -= 1;
            self.storing.waiting_bytes -= bytes_of(&ask.what);
            out.refuse(from, &ask, ErrorCode::Internal);
        }
        self.sweep_at(slot, again_at);
        self.rest(now, slot, id);
    }

    /// Lets a room go that nobody is in, in a while.
    fn rest(&mut self, now: Now, slot: u32, id: RoomId) {
        if self.find(id) == Some(slot) {
            self.after_leaving(now, slot);
        }
    }

    /// Whether what was missed since then may be on disk and is not in memory.
    pub(super) fn is_on_disk_only(&self, slot: u32, since: Position) -> bool {
        let room = &self.rooms[slot];
        let Stream::Kept(kept) = &room.stream else { return false };
        let (window, rules) = (kept.window(), rules(&self.options, &room.title));
        let head = window.position();
        let oldest = oldest_offset(kept, rules.history_count_max);
        let missed_count = head.offset.saturating_sub(since.offset);
        since.epoch == head.epoch
            && oldest <= since.offset + 1
            && since.offset + 1 < window.first_offset()
            && missed_count <= u64::from(rules.recover_count_max)
    }

    /// Lets a member in when what it missed has been read.
    pub(super) fn recover_from_disk(
        &mut self,
        slot: u32,
        by: Asking,
        entry: Entry,
        out: &mut Out,
    ) -> Option<Answer> {
        let Some(since) = entry.since else { return None };
        let room = self.rooms[slot].id;
        let purpose = Purpose::Recovery(Box::new(entry));
        let reading = Reading { room, by, purpose, found: Vec::new(), bytes: 0 };
        let first = since.offset + 1;
        self.read(slot, reading, first, out).err().map(Answer::Unwelcome)
    }

    /// What a history needs of the disk; `None` when memory has it all.
    pub(super) fn range_on_disk(&self, slot: u32, passage: Passage) -> Option<Range> {
        let room = &self.rooms[slot];
        let Stream::Kept(kept) = &room.stream else { return None };
        let window = kept.window();
        let head = window.position().offset;
        let oldest = oldest_offset(kept, rules(&self.options, &room.title).history_count_max);
        let since = passage.since.map(|since| since.offset);
        let (first, last) = match passage.order {
            Order::OldestFirst => (since.map_or(oldest, |since| oldest.max(since + 1)), head),
            Order::NewestFirst => {
                (oldest, since.map_or(head, |since| head.min(since.saturating_sub(1))))
            }
        };
        let count = u64::from(passage.limit).min((last + 1).saturating_sub(first));
        let lowest = match passage.order {
            Order::OldestFirst => first,
            Order::NewestFirst => (last + 1).saturating_sub(count),
        };
        let in_memory = count == 0 || window.first_offset() <= lowest;
        let order = match passage.order {
            Order::OldestFirst => store::Order::OldestFirst,
            Order::NewestFirst => store::Order::NewestFirst,
        };
        (!in_memory).then_some(Range {
            room: room.id,
            first,
            last,
            count_max: count as u32,
            bytes_max: HISTORY_ANSWER_BYTES_MAX as u32,
            order,
        })
    }

    /// Answers with a part of the history when it has been read.
    pub(super) fn read_history(
        &mut self,
        slot: u32,
        by: Asking,
        range: Range,
        out: &mut Out,
    ) -> Option<Answer> {
        let reading = Reading {
            room: range.room,
            by,
            purpose: Purpose::History,
            found: Vec::new(),
            bytes: 0,
        };
        self.read_range(slot, reading, range, out).err().map(Answer::Refused)
    }

    /// Reads on from `first` up to what is in memory.
    fn read(
        &mut self,
        slot: u32,
        reading: Reading,
        first: u64,
        out: &mut Out,
    ) -> Result<(), ErrorCode> {
        let Stream::Kept(kept) = &self.rooms[slot].stream else { return Ok(()) };
        let range = Range {
            room: reading.room,
            first,
            last: kept.window().position().offset,
            count_max: READING_STEP_COUNT_MAX,
            bytes_max: READING_STEP_BYTES_MAX,
            order: store::Order::OldestFirst,
        };
        self.read_range(slot, reading, range, out)
    }

    fn read_range(
        &mut self,
        slot: u32,
        reading: Reading,
        range: Range,
        out: &mut Out,
    ) -> Result<(), ErrorCode> {
        if READINGS_MAX <= self.storing.readings_count {
            return Err(ErrorCode::TooManyRequests);
        }
        if let Stream::Kept(kept) = &mut self.rooms[slot].stream {
            kept.readings_count += 1;
        }
        self.storing.readings_count += 1;
        self.request(Awaited::Read(Box::new(reading)), Job::Read(range), out);
        Ok(())
    }

    fn on_read(&mut self, now: Now, reading: Reading, outcome: Outcome, out: &mut Out) {
        self.storing.readings_count -= 1;
        let id = reading.room;
        let slot = self.find(id).expect("a room stays while it is read");
        if let Stream::Kept(kept) = &mut self.rooms[slot].stream {
            kept.readings_count -= 1;
        }
        let found = match outcome {
            Outcome::Passage(found) => Some(found),
            _ => None,
        };
        match reading.purpose {
            Purpose::History => {
                let answer = match (found, self.rooms[slot].window()) {
                    (Some(found), Some(window)) => {
                        let age_ms =
                            rules(&self.options, &self.rooms[slot].title).history_age_ms_max;
                        let mut found = found;
                        found.retain(|one| is_young(now, one, age_ms));
                        Answer::History(found, window.position())
                    }
                    (None, _) | (_, None) => Answer::Refused(ErrorCode::Internal),
                };
                out.answer(id, reading.by, answer);
            }
            Purpose::Retraction(wish) => {
                let message = found.and_then(|found| found.into_iter().next());
                let answer = match message {
                    Some(message) => self.take_back(id, reading.by, *wish, &message, out),
                    None => Some(Answer::Wrong(Field::Offset)),
                };
                if let Some(answer) = answer {
                    out.answer(id, reading.by, answer);
                }
            }
            Purpose::Recovery(_) => self.on_recovery_step(now, slot, reading, found, out),
        }
        self.rest(now, slot, id);
    }

    fn on_recovery_step(
        &mut self,
        now: Now,
        slot: u32,
        mut reading: Reading,
        found: Option<Vec<Arc<Publication>>>,
        out: &mut Out,
    ) {
        let (id, by) = (reading.room, reading.by);
        let Purpose::Recovery(entry) = &reading.purpose else { return };
        let since = entry.since.expect("a recovery has a beginning");
        let room = &self.rooms[slot];
        let rules = rules(&self.options, &room.title);
        let is_open = matches!(&room.stream, Stream::Kept(kept) if kept.phase() == Phase::Open);
        let Some(step) = found.filter(|_| is_open) else {
            return out.answer(id, by, Answer::Unwelcome(ErrorCode::Internal));
        };
        let mut next = since.offset + 1 + reading.found.len() as u64;
        let mut is_whole = !step.is_empty();
        for publication in step {
            is_whole &=
                publication.offset == next && is_young(now, &publication, rules.history_age_ms_max);
            next += 1;
            reading.bytes += publication.data.bytes.len();
            reading.found.push(publication);
        }
        is_whole &= reading.bytes <= RECOVERY_BYTES_MAX;
        let rest = Position { offset: next - 1, epoch: since.epoch };
        let window = room.window();
        let missed = match window.and_then(|window| window.missed(rest)) {
            _ if !is_whole => None,
            None => {
                if let Err(code) = self.read(slot, reading, next, out) {
                    out.answer(id, by, Answer::Unwelcome(code));
                }
                return;
            }
            Some(rest) => {
                let mut missed = mem::take(&mut reading.found);
                missed.extend(rest);
                Some(missed)
            }
        };
        let Purpose::Recovery(entry) = reading.purpose else { return };
        let rules_members_max = rules.members_max;
        if rules_members_max <= room.members.count() {
            return out.answer(id, by, Answer::Unwelcome(ErrorCode::LimitExceeded));
        }
        let (answer, news) = self.admit(now, slot, by, *entry, Some(missed), out);
        if let Some(answer) = answer {
            out.answer(id, by, answer);
        }
        if let Some(news) = news {
            self.spread(id, &news, out);
        }
    }

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
        if kept.next_offset() <= offset {
            return Some(Answer::Wrong(Field::Offset));
        }
        let mark = Mark {
            room: id,
            user: progress.info.user.clone(),
            inbox: progress.inbox,
            reached: progress.reached,
        };
        self.request(Awaited::Marked(id, by, progress), Job::Mark(Box::new(mark)), out);
        None
    }

    fn on_marked(
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
        self.request(Awaited::Receipts(id, by, count_max), job, out);
        None
    }

    /// With whom a user talks.
    pub(super) fn conversations(
        &mut self,
        id: RoomId,
        by: Asking,
        page: super::ConversationsPage,
        out: &mut Out,
    ) -> Option<Answer> {
        if !self.options.has_store() {
            return Some(Answer::Refused(ErrorCode::NotAvailable));
        }
        let count_max = page.count_max;
        let page = store::ConversationsPage {
            inbox: id,
            user: page.user,
            after: page.after,
            count_max: count_max + 1,
        };
        self.request(Awaited::Conversations(id, by, count_max), Job::Conversations(page), out);
        None
    }

    /// Takes a message back.
    pub(super) fn retract(
        &mut self,
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
            return self.take_back(id, by, wish, &message, out);
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

    /// Takes back a message that is known.
    fn take_back(
        &mut self,
        id: RoomId,
        by: Asking,
        wish: Retraction,
        message: &Publication,
        out: &mut Out,
    ) -> Option<Answer> {
        let is_own = message
            .info
            .as_ref()
            .is_some_and(|info| !info.user.is_empty() && info.user == wish.info.user);
        if !is_own && wish.power == Power::Author {
            return Some(Answer::Refused(ErrorCode::PermissionDenied));
        }
        let slot = self.find(id)?;
        let left = Arc::new(chat::remainder(message));
        if let Stream::Kept(_) = &self.rooms[slot].stream {
            let job = Job::Retract(Box::new(store::Retraction { room: id, left }));
            self.request(Awaited::Retracted(id, by, Box::new(wish)), job, out);
            return None;
        }
        if let Stream::Memory(window) = &mut self.rooms[slot].stream {
            window.replace(&left);
        }
        self.tell_of_retraction(id, &wish, out);
        Some(Answer::Noted)
    }

    fn on_retracted(
        &mut self,
        id: RoomId,
        by: Asking,
        wish: &Retraction,
        outcome: Outcome,
        out: &mut Out,
    ) {
        let answer = match outcome {
            Outcome::Retracted(Some(message)) => {
                if let Some(slot) = self.find(id)
                    && let Stream::Kept(kept) = &mut self.rooms[slot].stream
                {
                    kept.window_mut().replace(&Arc::new(chat::remainder(&message)));
                }
                self.tell_of_retraction(id, wish, out);
                Answer::Noted
            }
            Outcome::Retracted(None) => Answer::Wrong(Field::Offset),
            other => failed(&other),
        };
        out.answer(id, by, answer);
    }

    /// The room, if its messages are on disk; else the answer that says so.
    fn kept_slot(&self, id: RoomId) -> Result<u32, Answer> {
        let slot = self.find(id).ok_or(Answer::Refused(ErrorCode::NotAvailable))?;
        match &self.rooms[slot].stream {
            Stream::Kept(_) => Ok(slot),
            Stream::None | Stream::Memory(_) => Err(Answer::Refused(ErrorCode::NotAvailable)),
        }
    }

    /// What waits for a user; see `inbox.rs`.
    pub(super) fn request_pending(
        &mut self,
        inbox: RoomId,
        page: store::PendingPage,
        out: &mut Out,
    ) {
        self.request(Awaited::Pending(inbox), Job::Pending(page), out);
    }

    /// Something for the store that nobody waits for.
    pub(super) fn request_and_forget(&mut self, job: Job, out: &mut Out) {
        self.request(Awaited::Done, job, out);
    }

    fn request(&mut self, awaited: Awaited, job: Job, out: &mut Out) {
        let ticket = Ticket(self.storing.tickets.insert(awaited));
        out.requests.push(Request { ticket, round: self.storing.round, job });
    }
}

impl Room {
    fn forget_id(&mut self, publication: &Publication) {
        if let (Some((user, id)), Some(ids)) = (name_of(publication), &mut self.ids) {
            ids.forget(user, id);
        }
    }
}

/// Whether a question needs to know what was said, and how its room is called if
/// it does not come from a member.
fn stream_of(what: &What) -> Option<Option<&Title>> {
    match what {
        What::Subscribe(entry) => Some(Some(&entry.title)),
        What::Publish(draft) => Some(draft.title.as_ref()),
        What::History(page) => Some(page.title.as_ref()),
        What::Mark(progress) => Some(progress.title.as_ref()),
        What::Receipts(page) => Some(page.title.as_ref()),
        What::Retract(wish) => Some(wish.title.as_ref()),
        What::Unsubscribe(_)
        | What::Presence
        | What::PresenceStats
        | What::Typing(_)
        | What::Members(_)
        | What::Conversations(_)
        | What::Claim
        | What::Release
        | What::Deliver(_) => None,
    }
}

fn bytes_of(what: &What) -> usize {
    match what {
        What::Publish(draft) => draft.data.bytes.len(),
        What::Subscribe(_)
        | What::Unsubscribe(_)
        | What::Presence
        | What::PresenceStats
        | What::History(_)
        | What::Typing(_)
        | What::Members(_)
        | What::Mark(_)
        | What::Receipts(_)
        | What::Conversations(_)
        | What::Retract(_)
        | What::Claim
        | What::Release
        | What::Deliver(_) => 0,
    }
}

/// The answer when the store did not do it.
fn failed(outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::Failed(Failure::Full | Failure::Broken | Failure::Stale | Failure::Damaged) => {
            Answer::Refused(ErrorCode::Internal)
        }
        other => unreachable!("the store answers what it was asked: {other:?}"),
    }
}

/// The oldest message that the namespace still shows.
fn oldest_offset(kept: &Kept, history_count_max: u32) -> u64 {
    let head = kept.window().position().offset;
    kept.first().max((head + 1).saturating_sub(u64::from(history_count_max)))
}

/// Cuts a list to its page. Says whether there was more.
fn shorten<T>(all: &mut Vec<T>, count_max: u32) -> bool {
    let more = (count_max as usize) < all.len();
    all.truncate(count_max as usize);
    more
}

fn is_young(now: Now, publication: &Publication, age_ms_max: u64) -> bool {
    now.unix_ms < publication.time_unix_ms.saturating_add(age_ms_max)
}
