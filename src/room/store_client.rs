//! What the rooms of a shard ask of the store: requests under way, whose turn each takes, and
//! how much may wait for it.
//!
//! Invariants: every request has one entry in `tickets` until it is answered, so those sent
//! are those answered and those there; what waits is counted once, and for its user.
//!
//! Deliberately absent: what follows from an answer (`rooms`), and the store itself.

use std::collections::VecDeque;

use self::readings::{QueuedStoreRead, SharedReads};
use self::waiting::{WaitingLoad, WaitingRequests};
use super::{RoomOutput, RoomRequest};
use crate::base::limits::{READINGS_BYTES_MAX, STORE_REQUESTS_MAX};
use crate::base::{ShardId, Slab};
use crate::store::{Append, RequestId, Requester, StoreOp, StoreRequest, WriteEpoch};
use crate::wire::{ErrorCode, Publication};

mod pending_op;
mod readings;
mod waiting;

pub(super) use self::pending_op::{
    DeadLettersStep, PendingOp, ReadPurpose, ReplyRoute, StoreRead, requester,
};
pub(super) use self::readings::ReadClass;

/// Requests under way, and what is remembered of each.
#[derive(Default)]
pub(super) struct StoreClient {
    tickets: Slab<PendingOp>,
    sent_count: u64,
    answered_count: u64,
    write_epoch: WriteEpoch,
    /// Questions that wait for a stream to be known, and messages that the store was given.
    waiting: WaitingRequests,
    /// Reads for clients.
    readings: SharedReads,
    /// What recoveries that are under way have found so far.
    found_bytes: usize,
}

impl StoreClient {
    /// Requests that the store has not answered.
    pub fn requests_count(&self) -> usize {
        self.tickets.len()
    }

    /// Whether the store has to answer some before more is asked for clients.
    pub fn is_full(&self) -> bool {
        STORE_REQUESTS_MAX <= self.tickets.len()
    }

    /// Asks the store, in the flow of `by`.
    pub fn send(
        &mut self,
        by: Requester,
        pending_op: PendingOp,
        op: StoreOp,
        out: &mut RoomOutput,
    ) -> RequestId {
        let request_id = RequestId(self.tickets.insert(pending_op));
        self.sent_count += 1;
        self.check_balance();
        out.request_of_store(StoreRequest { request_id, write_epoch: self.write_epoch, by, op });
        request_id
    }

    /// Gives the store a message to keep; it waits for that.
    pub fn append(&mut self, by: ReplyRoute, append: Append, out: &mut RoomOutput) -> RequestId {
        let by = requester(Some(by));
        self.waiting.add(by.flow(), load_of(&append.publication));
        let pending_op = PendingOp::Appended(append.room, self.write_epoch);
        self.send(by, pending_op, StoreOp::Append(Box::new(append)), out)
    }

    /// The store answers a request: what that was for.
    pub fn take(&mut self, request_id: RequestId) -> PendingOp {
        let pending_op = self.tickets.remove(request_id.0);
        let pending_op = pending_op.expect("the store answers each request once");
        self.answered_count += 1;
        self.check_balance();
        pending_op
    }

    fn check_balance(&self) {
        let under_way_count = self.tickets.len() as u64;
        assert_eq!(self.sent_count, self.answered_count + under_way_count, "none is lost");
    }

    /// A message was refused that was given in this epoch: what is given from now on is given
    /// knowing that.
    pub fn on_append_failed(&mut self, write_epoch: WriteEpoch) {
        if write_epoch == self.write_epoch {
            self.write_epoch = WriteEpoch(write_epoch.0 + 1);
        }
    }

    /// Whether there is room for one more question that waits; it is counted then.
    pub fn begin_wait(&mut self, from: ShardId, request: &RoomRequest) -> bool {
        let flow = requester(Some((from, request.reply_to))).flow();
        let load = WaitingLoad { requests_count: 1, bytes: request.op.waiting_bytes() };
        let has_room = self.waiting.has_room_for(flow, load);
        if has_room {
            self.waiting.add(flow, load);
        }
        has_room
    }

    /// A question is decided, or refused.
    pub fn end_wait(&mut self, from: ShardId, request: &RoomRequest) {
        let flow = requester(Some((from, request.reply_to))).flow();
        self.waiting
            .remove(flow, WaitingLoad { requests_count: 1, bytes: request.op.waiting_bytes() });
    }

    /// Whether the store may be given this message of somebody's.
    pub fn has_room_for(&self, by: ReplyRoute, publication: &Publication) -> bool {
        let flow = requester(Some(by)).flow();
        self.waiting.has_room_for(flow, load_of(publication)) && !self.is_full()
    }

    /// A message waits for the store no more; the first who asked for it is its author.
    pub fn end_append(&mut self, publication: &Publication, reply_tos: &[ReplyRoute]) {
        let flow = requester(reply_tos.first().copied()).flow();
        self.waiting.remove(flow, load_of(publication));
    }

    /// Asks the store for a client, as soon as it is the client's turn.
    pub fn want(
        &mut self,
        class: ReadClass,
        by: ReplyRoute,
        pending_op: PendingOp,
        op: StoreOp,
        out: &mut RoomOutput,
    ) -> Result<(), ErrorCode> {
        let begins = self.readings.want(class, (by, pending_op, op))?;
        self.begin_reading(begins, out);
        Ok(())
    }

    /// A read for a client is over: its next one begins.
    pub fn end_reading(&mut self, by: ReplyRoute, out: &mut RoomOutput) {
        let next = self.readings.end(by);
        self.begin_reading(next, out);
    }

    fn begin_reading(&mut self, wanted: Option<QueuedStoreRead>, out: &mut RoomOutput) {
        if let Some((by, pending_op, op)) = wanted {
            self.send(requester(Some(by)), pending_op, op, out);
        }
    }

    /// A connection is gone: gives what stood in line for it. `None` when nothing can be
    /// under way for it; else the store is told, too, by `abandon`.
    pub fn withdraw(&mut self, by: ReplyRoute) -> Option<VecDeque<QueuedStoreRead>> {
        self.readings.abandon(by)
    }

    /// The store needs to read nothing more for a connection that is gone.
    pub fn abandon(&mut self, by: ReplyRoute, out: &mut RoomOutput) {
        let gone = requester(Some(by));
        self.send(Requester::NOBODY, PendingOp::Done, StoreOp::Abandon(gone), out);
    }

    /// A recovery goes on with what it has found so far.
    pub fn hold_found(&mut self, bytes: usize) {
        self.found_bytes += bytes;
    }

    /// Its next step has come: it holds that no more.
    pub fn release_found(&mut self, bytes: usize) {
        let others = self.found_bytes.checked_sub(bytes);
        self.found_bytes = others.expect("what a recovery holds was counted");
    }

    /// Whether all recoveries together may hold so much more.
    pub fn may_hold(&self, bytes: usize) -> bool {
        self.found_bytes + bytes <= READINGS_BYTES_MAX
    }
}

/// What a message costs while it waits for the store.
fn load_of(publication: &Publication) -> WaitingLoad {
    WaitingLoad { requests_count: 0, bytes: publication.cost_bytes() }
}
