//! Pending requests: writes in order, and reads in fair turns of flows. Which is next.
//!
//! Writes come first in each turn, and have slots that reads cannot take. The reads of a turn are
//! bounded, and more tightly when writes wait for its commit. A longer read continues in a later
//! turn, after a slice of each other read that has begun. So a write waits for a slice or two of
//! reads, and a read of one flow for a slice of each other flow, however many requests those have,
//! from however many connections.
//!
//! Invariants: a read begins behind every write that was given before it; `turn`
//! names a flow once if and only if it has a read that may begin next; at most
//! `BEGUN_MAX` reads have begun, and each is another flow's.
//!
//! Deliberately absent: the meaning of requests, and a limit on pending reads. Each shard limits
//! its requests, in total and for each user, and a read that was refused here would wait in a queue
//! without fair turns.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;

use crate::base::{RoomId, ShardId};
use crate::wire::Publication;

use super::super::messages::{
    Flow, RequestId, Requester, StoreError, StoreOp, StoreOpClass, StoreReply, StoreRequest,
    StoreResult,
};
use super::budget::Budget;
use super::reads::PartialRead;

/// Most pending writes; the callers keep the rest.
const WRITES_QUEUED_MAX: usize = 16_384;
/// Most reads that have begun, and hold partial results.
const BEGUN_MAX: usize = 64;

/// A read that is pending or in progress.
#[derive(Debug)]
pub struct QueuedRead {
    /// The shard that sent it,
    pub from: ShardId,
    /// and its id there.
    pub request_id: RequestId,
    /// The operation.
    pub op: StoreOp,
    /// The partial result; `None` before it begins.
    pub found: Option<PartialRead>,
    by: Requester,
    flow: Flow,
    /// Number of writes that came before it.
    behind: u64,
}

/// An acknowledgement whose read markers are written: what it acknowledged is removed from
/// what waits, some of it in each turn.
#[derive(Debug)]
pub struct MarkerCleanup {
    /// The shard that sent it,
    pub from: ShardId,
    /// and its id there.
    pub request_id: RequestId,
    /// The inbox of the messages.
    pub inbox: RoomId,
    /// The channel that they are of.
    pub room: RoomId,
    /// The lowest offset that may still be pending.
    pub first: u64,
    /// The last offset to remove.
    pub last: u64,
    /// Its namespace, for durability.
    pub namespace: u16,
    /// The answer at the end.
    pub outcome: StoreResult,
}

/// The pending requests.
#[derive(Debug, Default)]
pub struct RequestQueue {
    writes: VecDeque<(ShardId, StoreRequest)>,
    /// Writes that came since the start, and those that were taken.
    writes_given: u64,
    writes_taken: u64,
    /// Pending reads of each flow, in order, without those in progress.
    lines: BTreeMap<Flow, VecDeque<QueuedRead>>,
    /// The flows in the order of their turns.
    turn: VecDeque<Flow>,
    /// Reads in progress, in the order of their turns.
    begun: VecDeque<QueuedRead>,
    reads_count: usize,
    /// Acknowledgements with more to remove, in the order of their turns.
    cleanup: VecDeque<MarkerCleanup>,
    /// Whether the next slice is for a read in progress.
    goes_on: bool,
    /// Answers to abandoned reads.
    abandoned: Vec<(ShardId, StoreReply)>,
}

impl RequestQueue {
    /// Whether there is room for this request.
    pub fn has_room_for(&self, op: &StoreOp) -> bool {
        match op.class() {
            StoreOpClass::Write => self.writes.len() < WRITES_QUEUED_MAX,
            StoreOpClass::Read | StoreOpClass::Control => true,
        }
    }

    /// True when nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of requests that are not answered.
    pub fn len(&self) -> usize {
        self.writes.len() + self.reads_count + self.cleanup.len() + self.abandoned.len()
    }

    /// Adds a request.
    pub fn push(&mut self, from: ShardId, request: StoreRequest) {
        match request.op.class() {
            StoreOpClass::Write => {
                self.writes_given += 1;
                self.writes.push_back((from, request));
            }
            StoreOpClass::Read => {
                let StoreRequest { request_id, by, op, .. } = request;
                // Requests of a shard itself are a flow of that shard.
                let flow = match by.flow() {
                    Flow::Shard(_) => Flow::Shard(from),
                    flow @ (Flow::User(_) | Flow::Conn(..)) => flow,
                };
                let behind = self.writes_given;
                self.line_up(QueuedRead { from, request_id, op, found: None, by, flow, behind });
            }
            StoreOpClass::Control => {
                if let StoreOp::Abandon(requester) = request.op {
                    self.abandon(from, requester);
                }
                let outcome = StoreResult::Failed(StoreError::Abandoned);
                let reply = StoreReply { request_id: request.request_id, outcome };
                self.abandoned.push((from, reply));
            }
        }
    }

    /// The next write for this turn.
    pub fn next_write(&mut self, budget: &mut Budget) -> Option<(ShardId, StoreRequest)> {
        if budget.has_written_enough() {
            return None;
        }
        let next = self.writes.pop_front()?;
        self.writes_taken += 1;
        budget.write();
        Some(next)
    }

    /// The next acknowledgement with more to remove.
    pub fn next_cleanup(&mut self) -> Option<MarkerCleanup> {
        self.cleanup.pop_front()
    }

    /// Continues an acknowledgement in a later turn.
    pub fn put_back_cleanup(&mut self, cleanup: MarkerCleanup) {
        self.cleanup.push_back(cleanup);
    }

    /// The next read of this turn, for one slice.
    pub fn next_read(&mut self, budget: &mut Budget) -> Option<QueuedRead> {
        if budget.has_read_enough() {
            return None;
        }
        budget.begin_slice();
        // Alternately, so that short reads and long ones both make progress.
        self.goes_on = !self.goes_on;
        let is_first = self.goes_on || BEGUN_MAX <= self.begun.len();
        let begun = if is_first { self.begun.pop_front() } else { None };
        let read = begun.or_else(|| self.next_fresh()).or_else(|| self.begun.pop_front())?;
        self.reads_count -= 1;
        Some(read)
    }

    /// Continues a read at its next turn.
    pub fn put_back(&mut self, read: QueuedRead) {
        assert!(read.found.is_some(), "what has not begun is not put back");
        self.reads_count += 1;
        self.begun.push_back(read);
    }

    /// A read was answered: the next one of its flow may begin.
    pub fn end(&mut self, read: &QueuedRead) {
        if self.lines.contains_key(&read.flow) {
            self.turn.push_back(read.flow);
        }
    }

    /// Replaces a message in all partial results.
    pub fn replace(&mut self, room: RoomId, left: &Arc<Publication>) {
        self.begun.iter_mut().filter_map(|read| read.found.as_mut()).for_each(|found| {
            found.replace(room, left);
        });
    }

    /// Takes messages up to an offset, which are removed, out of all partial results.
    pub fn forget(&mut self, room: RoomId, last: u64) {
        self.begun.iter_mut().filter_map(|read| read.found.as_mut()).for_each(|found| {
            found.forget(room, last);
        });
    }

    /// Restarts all reads in progress, because their partial results may be wrong.
    pub fn restart(&mut self) {
        for mut read in mem::take(&mut self.begun) {
            read.found = None;
            self.reads_count -= 1;
            let flow = read.flow;
            let line = self.lines.entry(flow).or_default();
            line.push_front(read);
            self.reads_count += 1;
            self.turn.push_back(flow);
        }
    }

    /// Takes the answers to reads that were abandoned since the last call.
    pub fn take_abandoned(&mut self, out: &mut Vec<(ShardId, StoreReply)>) {
        out.append(&mut self.abandoned);
    }

    /// The first read of the flow whose turn it is. It stands behind writes that
    /// were not made yet only when those are more than a turn makes.
    fn next_fresh(&mut self) -> Option<QueuedRead> {
        let flow = *self.turn.front()?;
        let line = self.lines.get_mut(&flow).expect("who has a turn has a line");
        let read = line.pop_front_if(|read| read.behind <= self.writes_taken)?;
        if line.is_empty() {
            self.lines.remove(&flow);
        }
        self.turn.pop_front();
        Some(read)
    }

    fn line_up(&mut self, read: QueuedRead) {
        let flow = read.flow;
        let is_busy = self.begun.iter().any(|one| one.flow == flow);
        let line = self.lines.entry(flow).or_default();
        if line.is_empty() && !is_busy {
            self.turn.push_back(flow);
        }
        line.push_back(read);
        self.reads_count += 1;
    }

    /// Abandons reads of one connection. Those of other connections in the same flow stay.
    fn abandon(&mut self, from: ShardId, by: Requester) {
        let flow = by.flow();
        let is_gone = |read: &QueuedRead| read.by == by && read.from == from;
        let (begun, kept) =
            mem::take(&mut self.begun).into_iter().partition::<VecDeque<_>, _>(is_gone);
        self.begun = kept;
        let line = self.lines.remove(&flow).unwrap_or_default();
        let (waiting, kept) = line.into_iter().partition::<VecDeque<_>, _>(is_gone);
        if kept.is_empty() {
            self.turn.retain(|one| *one != flow);
        } else {
            self.lines.insert(flow, kept);
            if !begun.is_empty() {
                self.turn.push_back(flow);
            }
        }
        self.reads_count -= begun.len() + waiting.len();
        let gone = begun.into_iter().chain(waiting);
        let outcome = || StoreResult::Failed(StoreError::Abandoned);
        let replies =
            gone.map(|read| (from, StoreReply { request_id: read.request_id, outcome: outcome() }));
        self.abandoned.extend(replies);
    }
}
