//! What is read of the disk: what a new member missed, and parts of the history
//! that are not in memory.
//!
//! A long read takes steps, so that a thousand clients that come back do not stall
//! a core.

use std::mem;
use std::sync::Arc;

use super::kept::{Kept, Phase};
use super::letter::{Asker, Order, Retraction};
use super::one::{Asking, Stream, rules};
use super::readings::ReadingClass;
use super::storing::{Awaited, requester};
use super::{Answer, Entry, Out, Passage, Rooms};
use crate::base::limits::{
    HISTORY_ANSWER_BYTES_MAX, READING_STEP_BYTES_MAX, READING_STEP_COUNT_MAX, READINGS_BYTES_MAX,
    RECOVERY_BYTES_MAX,
};
use crate::base::{Now, RoomId, ShardId};
use crate::store::{self, Job, Outcome, Range};
use crate::wire::chat::{self, Field};
use crate::wire::{ErrorCode, Position, Publication};

/// A read of the store in steps.
pub(super) struct Reading {
    pub room: RoomId,
    pub by: Asking,
    pub purpose: Purpose,
    /// What has come so far, in the order asked for.
    pub found: Vec<Arc<Publication>>,
    pub bytes: usize,
}

/// What is read.
pub(super) enum Purpose {
    /// What a new member missed, up to what is in memory.
    Recovery(Box<Entry>),
    /// A part of the history.
    History,
    /// One message, to see whose it is.
    Retraction(Box<Retraction>),
}

impl Rooms {
    /// Whether what was missed since then may be on disk and is not in memory.
    pub(super) fn is_on_disk_only(&self, slot: u32, since: Position) -> bool {
        let room = &self.rooms[slot];
        let Stream::Kept(kept) = &room.stream else { return false };
        let (window, rules) = (kept.window(), rules(&self.options, &room.title));
        let head = window.position();
        let oldest = oldest_offset(kept, rules.history_count_max);
        let missed_count = head.offset.saturating_sub(since.offset);
        since.epoch == head.epoch
            && oldest <= since.offset.saturating_add(1)
            && since.offset.saturating_add(1) < window.first_offset()
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
        let since = entry.since?;
        let room = self.rooms[slot].id;
        let purpose = Purpose::Recovery(Box::new(entry));
        let reading = Reading { room, by, purpose, found: Vec::new(), bytes: 0 };
        let first = since.offset.saturating_add(1);
        let range = self.step(slot, room, first);
        self.read_range(slot, reading, range, out).err().map(Answer::Unwelcome)
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
            Order::OldestFirst => {
                (since.map_or(oldest, |since| oldest.max(since.saturating_add(1))), head)
            }
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

    /// The next step of a read from `first` up to what is in memory.
    fn step(&self, slot: u32, room: RoomId, first: u64) -> Range {
        let head = self.rooms[slot].window().map_or(0, |window| window.position().offset);
        Range {
            room,
            first,
            last: head,
            count_max: READING_STEP_COUNT_MAX,
            bytes_max: READING_STEP_BYTES_MAX,
            order: store::Order::OldestFirst,
        }
    }

    /// Begins a read of a room, or lets it stand in line.
    pub(super) fn read_range(
        &mut self,
        slot: u32,
        reading: Reading,
        range: Range,
        out: &mut Out,
    ) -> Result<(), ErrorCode> {
        let by = reading.by;
        let class = match reading.purpose {
            Purpose::Recovery(_) => ReadingClass::Recovery,
            Purpose::History | Purpose::Retraction(_) => ReadingClass::Question,
        };
        let is_retraction = matches!(reading.purpose, Purpose::Retraction(_));
        self.want(by, class, Awaited::Read(Box::new(reading)), Job::Read(range), out)?;
        // The room stays until it is over.
        if let Stream::Kept(kept) = &mut self.rooms[slot].stream {
            kept.readings_count += 1;
            if is_retraction {
                kept.begin_retraction_read(by);
            }
        }
        Ok(())
    }

    /// Asks the store for a client, as soon as it is the client's turn.
    pub(super) fn want(
        &mut self,
        by: Asking,
        class: ReadingClass,
        awaited: Awaited,
        job: Job,
        out: &mut Out,
    ) -> Result<(), ErrorCode> {
        let wanted = self.storing.readings.want(class, (by, awaited, job))?;
        if let Some((by, awaited, job)) = wanted {
            self.request(Some(by), awaited, job, out);
        }
        Ok(())
    }

    /// A read for a client is over: its next one begins.
    pub(super) fn end_reading(&mut self, by: Asking, out: &mut Out) {
        if let Some((by, awaited, job)) = self.storing.readings.end(by) {
            self.request(Some(by), awaited, job, out);
        }
    }

    /// A connection is gone: what would be read for it is not.
    pub fn abandon(&mut self, now: Now, shard: ShardId, asker: Asker, out: &mut Out) {
        let by = (shard, asker);
        let Some(line) = self.storing.readings.abandon(by) else { return };
        for (_, awaited, _) in line {
            self.answer_abandoned(now, awaited, out);
        }
        self.request(None, Awaited::Done, Job::Abandon(requester(Some(by))), out);
    }

    /// Each question has its answer, also one of which nobody hears.
    fn answer_abandoned(&mut self, now: Now, awaited: Awaited, out: &mut Out) {
        let gone = ErrorCode::NotAvailable;
        match awaited {
            Awaited::Read(reading) => {
                let Reading { room, by, purpose, .. } = *reading;
                let (answer, is_retraction) = match purpose {
                    Purpose::Recovery(_) => (Answer::Unwelcome(gone), false),
                    Purpose::History => (Answer::Refused(gone), false),
                    Purpose::Retraction(_) => (Answer::Refused(gone), true),
                };
                out.answer(room, by, answer);
                if is_retraction {
                    self.refuse_behind_read(room, by, out);
                }
                self.let_room_go(now, room);
            }
            Awaited::Receipts(room, by, _) | Awaited::Conversations(room, by) => {
                out.answer(room, by, Answer::Refused(gone));
            }
            Awaited::Opened(..)
            | Awaited::Kept(..)
            | Awaited::Marked(..)
            | Awaited::Pending(_)
            | Awaited::Done => unreachable!("these stand in no line"),
        }
    }

    /// A read of this room is over.
    fn let_room_go(&mut self, now: Now, id: RoomId) {
        let slot = self.find(id).expect("a room stays while it is read");
        if let Stream::Kept(kept) = &mut self.rooms[slot].stream {
            kept.readings_count -= 1;
        }
        self.rest(now, slot, id);
    }

    pub(super) fn on_read(&mut self, now: Now, reading: Reading, outcome: Outcome, out: &mut Out) {
        let (id, by) = (reading.room, reading.by);
        let slot = self.find(id).expect("a room stays while it is read");
        self.storing.found_bytes -= reading.bytes;
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
                let answer = match found.map(|found| found.into_iter().next()) {
                    Some(Some(message)) => self.take_back(now, slot, by, *wish, &message, out),
                    Some(None) => Some(Answer::Wrong(Field::Offset)),
                    None => Some(Answer::Refused(ErrorCode::Internal)),
                };
                if let Some(answer) = answer {
                    out.answer(id, by, answer);
                }
                self.end_reading(by, out);
                self.handle_behind_read(now, slot, by, out);
                return self.let_room_go(now, id);
            }
            Purpose::Recovery(_) => {
                if let Some((reading, range)) =
                    self.on_recovery_step(now, slot, reading, found, out)
                {
                    self.storing.found_bytes += reading.bytes;
                    let awaited = Awaited::Read(Box::new(reading));
                    return self.request(Some(by), awaited, Job::Read(range), out);
                }
            }
        }
        self.end_reading(by, out);
        self.let_room_go(now, id);
    }

    /// Takes what one step brought. Gives the next one, unless that was the last.
    fn on_recovery_step(
        &mut self,
        now: Now,
        slot: u32,
        mut reading: Reading,
        found: Option<Vec<Arc<Publication>>>,
        out: &mut Out,
    ) -> Option<(Reading, Range)> {
        let (id, by) = (reading.room, reading.by);
        let Purpose::Recovery(entry) = &reading.purpose else { return None };
        let since = entry.since.expect("a recovery has a beginning");
        let room = &self.rooms[slot];
        let rules = rules(&self.options, &room.title);
        let is_open = matches!(&room.stream, Stream::Kept(kept) if kept.phase() == Phase::Open);
        let Some(step) = found.filter(|_| is_open) else {
            out.answer(id, by, Answer::Unwelcome(ErrorCode::Internal));
            return None;
        };
        let mut next = since.offset.saturating_add(1 + reading.found.len() as u64);
        let mut is_whole = !step.is_empty();
        for publication in step {
            is_whole &=
                publication.offset == next && is_young(now, &publication, rules.history_age_ms_max);
            next = next.saturating_add(1);
            reading.bytes += publication.cost_bytes();
            reading.found.push(publication);
        }
        is_whole &= reading.bytes <= RECOVERY_BYTES_MAX
            && self.storing.found_bytes + reading.bytes <= READINGS_BYTES_MAX;
        let rest = Position { offset: next - 1, epoch: since.epoch };
        let window = room.window();
        let missed = match window.and_then(|window| window.missed(rest)) {
            _ if !is_whole => None,
            None => return Some((reading, self.step(slot, id, next))),
            Some(rest) => {
                let bytes = rest.iter().map(|one| one.cost_bytes()).sum::<usize>();
                let mut missed = mem::take(&mut reading.found);
                missed.extend(rest);
                empty_retracted(&mut missed);
                (reading.bytes + bytes <= RECOVERY_BYTES_MAX).then_some(missed)
            }
        };
        let Purpose::Recovery(entry) = reading.purpose else { return None };
        let rules_members_max = rules.members_max;
        if rules_members_max <= room.members.count() {
            out.answer(id, by, Answer::Unwelcome(ErrorCode::LimitExceeded));
            return None;
        }
        let (answer, news) = self.admit(now, slot, by, *entry, Some(missed), out);
        if let Some(answer) = answer {
            out.answer(id, by, answer);
        }
        if let Some(news) = news {
            self.spread(id, &news, out);
        }
        None
    }
}

/// The oldest message that the namespace still shows.
fn oldest_offset(kept: &Kept, history_count_max: u32) -> u64 {
    let head = kept.window().position().offset;
    kept.first().max((head + 1).saturating_sub(u64::from(history_count_max)))
}

/// A message that was read in an earlier step may have been taken back since; the message
/// that says so is behind it.
fn empty_retracted(missed: &mut [Arc<Publication>]) {
    let first = missed.first().map_or(0, |message| message.offset);
    let taken: Vec<u64> = missed.iter().filter_map(|one| chat::retracted_offset(one)).collect();
    for offset in taken {
        let index = offset.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        if let Some(message) = index.and_then(|index| missed.get_mut(index))
            && !chat::is_remainder(message)
        {
            *message = Arc::new(chat::remainder(message));
        }
    }
}

fn is_young(now: Now, publication: &Publication, age_ms_max: u64) -> bool {
    now.unix_ms < publication.time_unix_ms.saturating_add(age_ms_max)
}
