//! Requests in their order. When a turn has read enough, reads wait for the next
//! one, and writes that do not concern them go past.

use std::collections::{BTreeSet, VecDeque};

use crate::base::{RoomId, ShardId};

use super::super::letter::{Job, Request};

/// Writes that one turn makes.
const TURN_WRITES_MAX: usize = 1_024;
/// Bytes of one turn's batch, about.
const TURN_BATCH_BYTES_MAX: usize = 4 << 20;
/// Entries that one turn reads, about.
const TURN_READ_COUNT_MAX: usize = 4_096;
/// Bytes that one turn reads, about.
const TURN_READ_BYTES_MAX: usize = 1 << 20;
/// What a read costs beside its entries: finding the place.
const READ_ENTRIES: usize = 16;

/// What a turn did so far.
#[derive(Debug, Default)]
pub struct Budget {
    writes_count: usize,
    /// Bytes of its batch.
    pub batch_bytes: usize,
    read_count: usize,
    read_bytes: usize,
}

impl Budget {
    /// An entry was read.
    pub fn read(&mut self, bytes: usize) {
        self.read_count += 1;
        self.read_bytes += bytes;
    }

    fn has_written_enough(&self) -> bool {
        TURN_WRITES_MAX <= self.writes_count || TURN_BATCH_BYTES_MAX <= self.batch_bytes
    }

    fn has_read_enough(&self) -> bool {
        TURN_READ_COUNT_MAX <= self.read_count || TURN_READ_BYTES_MAX <= self.read_bytes
    }
}

/// Requests that wait.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<(ShardId, Request)>,
    /// Passed over in this turn, in their order.
    passed: VecDeque<(ShardId, Request)>,
    /// What these are about: nothing that is about the same goes past them.
    held: BTreeSet<RoomId>,
}

impl Queue {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.passed.len()
    }

    /// One more.
    pub fn push(&mut self, from: ShardId, request: Request) {
        self.waiting.push_back((from, request));
    }

    /// The next for this turn.
    pub fn next(&mut self, budget: &mut Budget) -> Option<(ShardId, Request)> {
        while !budget.has_written_enough() {
            let (from, request) = self.waiting.pop_front()?;
            let is_write = writes(&request.job);
            let is_held = subjects(&request.job).any(|subject| self.held.contains(&subject));
            if is_held || (!is_write && budget.has_read_enough()) {
                self.held.extend(subjects(&request.job));
                self.passed.push_back((from, request));
                continue;
            }
            match is_write {
                true => budget.writes_count += 1,
                false => budget.read_count += READ_ENTRIES,
            }
            return Some((from, request));
        }
        None
    }

    /// What was passed over comes first in the next turn.
    pub fn end_turn(&mut self) {
        self.held.clear();
        self.passed.append(&mut self.waiting);
        std::mem::swap(&mut self.passed, &mut self.waiting);
    }
}

/// Whether a request changes something.
pub fn writes(job: &Job) -> bool {
    match job {
        Job::Append(_) | Job::Mark(_) | Job::Retract(_) | Job::Tried(_) | Job::Bury(_) => true,
        Job::Open(_) | Job::Read(_) | Job::Marks(_) | Job::Conversations(_) | Job::Pending(_) => {
            false
        }
    }
}

/// The rooms and inboxes that a request is about.
fn subjects(job: &Job) -> impl Iterator<Item = RoomId> {
    let subjects = match job {
        Job::Open(open) => [Some(open.room), None, None],
        Job::Read(range) => [Some(range.room), None, None],
        Job::Marks(page) => [Some(page.room), None, None],
        Job::Conversations(page) => [Some(page.inbox), None, None],
        Job::Pending(page) => [Some(page.inbox), None, None],
        Job::Retract(retraction) => [Some(retraction.room), None, None],
        Job::Append(append) => {
            let parties = append.birth.as_ref().and_then(|birth| birth.parties);
            let addressee = append.addressee.map(|addressee| addressee.inbox);
            match parties {
                Some([one, other]) => [Some(append.room), Some(one), Some(other)],
                None => [Some(append.room), addressee, None],
            }
        }
        Job::Mark(mark) => [Some(mark.room), Some(mark.inbox), None],
        Job::Tried(tried) => [Some(tried.room), Some(tried.inbox), None],
        Job::Bury(burial) => [Some(burial.room), Some(burial.inbox), None],
    };
    subjects.into_iter().flatten()
}
