//! The log and its queue: what is told gets a number, a record and a place in the queue.
//!
//! Deliberately absent: what is told, and files.

use std::mem;
use std::sync::Arc;

use super::event::{FeedEvent, FeedNews};
use super::queue::FeedQueue;
use super::record::{FeedRecord, write_payload};
use super::segments::{SegmentList, WriteClass};
use crate::base::put_record;

/// See the module.
#[derive(Debug)]
pub(super) struct FeedLog {
    queue: FeedQueue,
    segments: SegmentList,
    /// For which numbers hold.
    epoch: u64,
    /// What is to be written into the last segment.
    records: Vec<u8>,
    stage: LogStage,
    /// No segment is needed for events up to this one, as the log on the disk says, too.
    done_number: u64,
}

/// Whether records are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogStage {
    /// They are.
    Open,
    /// A write failed: what is not on the disk is in the queue, which has a bound.
    Broken,
}

/// Records for a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedWrite {
    /// Which. One that was not named before is new.
    pub segment: u64,
    /// What is added to it.
    pub records: Vec<u8>,
}

/// About whom or what an event is.
#[derive(Clone, Debug, Default)]
pub(super) struct EventSubject {
    /// The tenant.
    pub tenant: Arc<str>,
    /// The user; empty for a channel.
    pub user: Arc<str>,
    /// The number of the last event about it.
    pub previous: u64,
}

impl FeedLog {
    /// Nothing was told; no segment was begun.
    pub fn new(epoch: u64, queue_bytes_max: usize, growth_bytes_min: u64) -> FeedLog {
        FeedLog {
            queue: FeedQueue::new(queue_bytes_max),
            segments: SegmentList::new(growth_bytes_min),
            epoch,
            records: Vec::new(),
            stage: LogStage::Open,
            done_number: 0,
        }
    }

    /// For which numbers hold.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The queue.
    pub fn queue(&self) -> &FeedQueue {
        &self.queue
    }

    /// A segment was read, with these records and all before it.
    pub fn restore_segment(&mut self, id: u64) {
        self.segments.restore(id, self.queue.last_number());
    }

    /// What a record says of numbers.
    pub fn restore_numbers(&mut self, epoch: u64, next_number: u64, acknowledged: u64) {
        self.epoch = epoch;
        self.queue.pass_number(next_number);
        self.queue.restore_acknowledged(acknowledged);
    }

    /// What a record says of what was acknowledged.
    pub fn restore_acknowledged(&mut self, number: u64) {
        self.queue.restore_acknowledged(number);
    }

    /// An event was read. True unless it was there already.
    pub fn restore_event(&mut self, event: FeedEvent) -> bool {
        self.queue.restore(event)
    }

    /// Numbers that were given mean nothing any more.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Begins a segment, with what is not known to be in another one.
    pub fn begin_segment(&mut self) {
        self.segments.begin();
        self.records.clear();
        self.stage = LogStage::Open;
        let next_number = self.queue.unsynced_number();
        let (epoch, acknowledged) = (self.epoch, self.queue.acknowledged());
        self.put(WriteClass::Event, &FeedRecord::Segment { epoch, next_number, acknowledged });
        let FeedLog { queue, records, segments, .. } = self;
        let before = records.len();
        queue.unsynced().for_each(|payload| put_record(payload, records));
        segments.add(WriteClass::Event, records.len() - before, queue.last_number());
    }

    /// Whether the next segment is to begin.
    pub fn is_grown(&self) -> bool {
        self.segments.is_grown()
    }

    /// Tells something that changes who is there. Returns its number.
    pub fn tell_change(&mut self, unix_ms: u64, subject: EventSubject, news: FeedNews) -> u64 {
        self.tell_lost_notices(unix_ms);
        self.push(unix_ms, subject, news)
    }

    /// Tells something of messages, if there is room. Returns its number.
    pub fn tell_notice(
        &mut self,
        unix_ms: u64,
        subject: EventSubject,
        news: FeedNews,
    ) -> Option<u64> {
        self.tell_lost_notices(unix_ms);
        self.queue.admits(news.class()).then(|| self.push(unix_ms, subject, news))
    }

    /// Something of messages is not told, for want of room elsewhere.
    pub fn lose_notice(&mut self) {
        self.queue.lose_notice();
    }

    /// Tells how many notices had no room, when there is some.
    pub fn tell_lost_notices(&mut self, unix_ms: u64) {
        if let Some(count) = self.queue.take_lost_notices() {
            self.push(unix_ms, EventSubject::default(), FeedNews::NoticesLost(count));
        }
    }

    fn push(&mut self, unix_ms: u64, subject: EventSubject, news: FeedNews) -> u64 {
        let EventSubject { tenant, user, previous } = subject;
        let number = self.queue.next_number();
        let event = FeedEvent { number, previous, at_unix_ms: unix_ms, tenant, user, news };
        let FeedLog { queue, segments, records, stage, .. } = self;
        let payload = queue.push(event);
        if *stage == LogStage::Open {
            let before = records.len();
            put_record(payload, records);
            segments.add(WriteClass::Event, records.len() - before, number);
        }
        number
    }

    /// A backend has all events up to this number.
    pub fn on_acknowledged(&mut self, number: u64) {
        if self.queue.on_acknowledged(number) {
            self.put(WriteClass::Event, &FeedRecord::Acknowledged(number));
        }
    }

    /// Writes something of the state.
    pub fn put_state(&mut self, record: &FeedRecord) {
        self.put(WriteClass::State, record);
    }

    /// Writes that the state is whole.
    pub fn put_whole(&mut self) {
        self.put(WriteClass::Whole, &FeedRecord::Whole);
    }

    fn put(&mut self, class: WriteClass, record: &FeedRecord) {
        if self.is_broken() {
            return;
        }
        let before = self.records.len();
        put_record(&write_payload(record), &mut self.records);
        self.segments.add(class, self.records.len() - before, self.queue.last_number());
    }

    /// Takes what is to be written, if there is something.
    pub fn take_write(&mut self) -> Option<FeedWrite> {
        let segment = self.segments.current_id();
        let records = mem::take(&mut self.records);
        (!records.is_empty()).then_some(FeedWrite { segment, records })
    }

    /// What was taken is not on the disk, or nobody knows.
    pub fn on_write_failed(&mut self) {
        self.records = Vec::new();
        self.stage = LogStage::Broken;
    }

    /// Whether a segment is to begin before anything is written.
    pub fn is_broken(&self) -> bool {
        self.stage == LogStage::Broken
    }

    /// Whether all that was told is on the disk.
    pub fn is_synced(&self) -> bool {
        let is_queue_synced = self.queue.next_number() == self.queue.unsynced_number();
        !self.is_broken() && self.records.is_empty() && is_queue_synced
    }

    /// All that was taken is on the disk.
    pub fn on_synced(&mut self) {
        assert!(self.records.is_empty(), "what was told since is not on the disk");
        self.queue.on_synced();
        self.segments.on_synced();
        self.done_number = self.queue.done_number();
    }

    /// Takes the segments that are not needed.
    pub fn take_unneeded(&mut self) -> Vec<u64> {
        self.segments.take_unneeded(self.done_number)
    }
}
