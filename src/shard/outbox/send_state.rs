//! The send state of one socket: its outbox, the send in flight, and its index in the flush
//! queue.
//!
//! Deliberately absent: the queue, and the socket.

use bytes::Bytes;

use super::{Outbox, PublicationCounts};
use crate::shard::batches::BatchId;
use crate::wire::Encoding;

/// The send state of one connection. Every connection has one, so it is small.
#[derive(Debug)]
pub struct SendState {
    /// Frames that wait for the socket.
    outbox: Outbox,
    flush_index: FlushIndex,
    /// The batch that tracks the send in flight.
    batch: BatchId,
    /// The encoding that the client reads, once upgraded.
    encoding: Encoding,
}

/// An index in the flush queue; `NOWHERE` when nothing is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FlushIndex(u32);

impl FlushIndex {
    /// Not in the queue.
    const NOWHERE: FlushIndex = FlushIndex(u32::MAX);
}

/// It fits beside the stage of a connection.
const _: () = assert!(size_of::<SendState>() <= 24);

impl Default for SendState {
    fn default() -> SendState {
        SendState {
            outbox: Outbox::default(),
            flush_index: FlushIndex::NOWHERE,
            batch: BatchId::NONE,
            encoding: Encoding::Json,
        }
    }
}

impl SendState {
    /// The encoding that the client reads.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Sets the encoding that the upgrade agreed on.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// Frames of channels wait from here on, until the client knows the channels.
    pub fn hold(&mut self) {
        self.outbox.hold();
    }

    /// True while a send is in flight.
    pub fn is_sending(&self) -> bool {
        self.outbox.is_sending()
    }

    /// True when nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.outbox.is_idle()
    }

    /// Bytes that wait or are in flight.
    pub fn bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// Bytes that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.outbox.waiting_bytes()
    }

    /// Publications that wait or are in flight.
    pub fn publications_count(&self) -> u64 {
        self.outbox.publications_count()
    }

    /// True when a send could be given now.
    pub fn is_ready(&self) -> bool {
        self.outbox.is_ready()
    }

    /// The outbox; the caller keeps the totals.
    pub fn outbox_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Makes a frame the send in flight, when nothing waits.
    pub fn send_at_once(
        &mut self,
        frame: Bytes,
        publications: PublicationCounts,
        batch: BatchId,
    ) -> Bytes {
        self.batch = batch;
        self.outbox.send_at_once(frame, publications)
    }

    /// Sets the batch that tracks the next send.
    pub fn follow(&mut self, batch: BatchId) {
        self.batch = batch;
    }

    /// Takes the batch that tracked the send in flight.
    pub fn take_batch(&mut self) -> BatchId {
        std::mem::replace(&mut self.batch, BatchId::NONE)
    }

    /// Its index in the flush queue, if it is there.
    pub fn flush_index(&self) -> Option<usize> {
        (self.flush_index != FlushIndex::NOWHERE).then_some(self.flush_index.0 as usize)
    }

    /// It is in the queue, at this index.
    pub fn set_flush_index(&mut self, place: usize) {
        self.flush_index = FlushIndex(place as u32);
    }

    /// It is not in the queue any more.
    pub fn clear_flush_index(&mut self) {
        self.flush_index = FlushIndex::NOWHERE;
    }
}
