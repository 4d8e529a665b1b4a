//! Events that are not acknowledged, and their numbers.
//!
//! Invariants: numbers are given without holes; only what is on the disk is in a batch; the
//! bytes of all events, and those of notices among them, have a bound; what was dropped are the
//! numbers that are missing behind the last that was acknowledged.
//!
//! Deliberately absent: what an event says, and requests.

use std::collections::VecDeque;

use super::event::{FeedEvent, NewsClass};
use super::record::{FeedRecord, write_payload};

/// What an event costs beside its bytes.
const EVENT_COST_BYTES: usize = 48;

/// See the module.
#[derive(Debug)]
pub(super) struct FeedQueue {
    /// In the order of their numbers.
    events: VecDeque<QueuedEvent>,
    bytes: usize,
    notices_bytes: usize,
    bytes_max: usize,
    /// The last that was given.
    last_number: u64,
    /// All up to this one are on the disk.
    synced_number: u64,
    /// All up to this one are acknowledged.
    acknowledged: u64,
    /// Notices that had no room since the last event about them.
    lost_notices_count: u64,
    /// Events that were dropped, and notices that had no room, since the beginning.
    lost_count: u64,
}

#[derive(Debug)]
struct QueuedEvent {
    number: u64,
    at_unix_ms: u64,
    class: NewsClass,
    /// As it is written and sent.
    payload: Box<[u8]>,
}

impl QueuedEvent {
    fn cost_bytes(&self) -> usize {
        self.payload.len() + EVENT_COST_BYTES
    }
}

/// What is sent in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedBatch {
    /// The last number in it; what an acknowledgement says.
    pub last_number: u64,
    /// How many events it has.
    pub events_count: usize,
    /// The body.
    pub body: Vec<u8>,
}

/// How large a batch may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    /// Events.
    pub events_max: usize,
    /// Bytes of events, except that one is always in it.
    pub bytes_max: usize,
}

impl FeedQueue {
    /// Nothing was told yet.
    pub fn new(bytes_max: usize) -> FeedQueue {
        FeedQueue {
            events: VecDeque::new(),
            bytes: 0,
            notices_bytes: 0,
            bytes_max,
            last_number: 0,
            synced_number: 0,
            acknowledged: 0,
            lost_notices_count: 0,
            lost_count: 0,
        }
    }

    /// The number of the last event.
    pub fn last_number(&self) -> u64 {
        self.last_number
    }

    /// The number that the next event has.
    pub fn next_number(&self) -> u64 {
        self.last_number + 1
    }

    /// The first number that may not be on the disk.
    pub fn unsynced_number(&self) -> u64 {
        self.synced_number + 1
    }

    /// The last number that is acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// No event gets a number below this one.
    pub fn pass_number(&mut self, next_number: u64) {
        self.last_number = self.last_number.max(next_number.saturating_sub(1));
        self.synced_number = self.last_number;
    }

    /// As the log says, where events may be missing.
    pub fn restore_acknowledged(&mut self, number: u64) {
        self.pass_number(number.saturating_add(1));
        self.on_acknowledged(number);
    }

    /// Whether an event of this class has room. One that has none is counted.
    pub fn admits(&mut self, class: NewsClass) -> bool {
        let is_full = class == NewsClass::Notice && self.bytes_max / 2 <= self.notices_bytes;
        if is_full {
            self.lose_notice();
        }
        !is_full
    }

    /// A notice is not told.
    pub fn lose_notice(&mut self) {
        self.lost_notices_count += 1;
        self.lost_count += 1;
    }

    /// How many notices had no room, when the next one would have some.
    pub fn take_lost_notices(&mut self) -> Option<u64> {
        let has_room = self.notices_bytes < self.bytes_max / 4;
        if !has_room || self.lost_notices_count == 0 {
            return None;
        }
        Some(std::mem::take(&mut self.lost_notices_count))
    }

    /// Adds an event, which has the next number. Returns its payload. The oldest make room for it.
    pub fn push(&mut self, event: FeedEvent) -> &[u8] {
        assert_eq!(event.number, self.next_number(), "numbers have no holes");
        self.last_number = event.number;
        self.add(event);
        &self.events.back().expect("it was added").payload
    }

    /// An event that was read from the log. True unless it was there already.
    pub fn restore(&mut self, event: FeedEvent) -> bool {
        if event.number <= self.last_number {
            return false;
        }
        (self.last_number, self.synced_number) = (event.number, event.number);
        self.add(event);
        true
    }

    fn add(&mut self, event: FeedEvent) {
        let (number, at_unix_ms, class) = (event.number, event.at_unix_ms, event.news.class());
        let payload = write_payload(&FeedRecord::Event(event)).into_boxed_slice();
        let queued = QueuedEvent { number, at_unix_ms, class, payload };
        self.count_in(&queued);
        self.events.push_back(queued);
        while self.bytes_max < self.bytes && 1 < self.events.len() {
            self.pop();
            self.lost_count += 1;
        }
    }

    fn count_in(&mut self, queued: &QueuedEvent) {
        self.bytes += queued.cost_bytes();
        if queued.class == NewsClass::Notice {
            self.notices_bytes += queued.cost_bytes();
        }
    }

    fn pop(&mut self) {
        let Some(first) = self.events.pop_front() else { return };
        self.bytes -= first.cost_bytes();
        if first.class == NewsClass::Notice {
            self.notices_bytes -= first.cost_bytes();
        }
    }

    /// Payloads that are not known to be on the disk.
    pub fn unsynced(&self) -> impl Iterator<Item = &[u8]> {
        let unsynced = self.events.iter().filter(|event| self.synced_number < event.number);
        unsynced.map(|event| &*event.payload)
    }

    /// All that was added is on the disk.
    pub fn on_synced(&mut self) {
        self.synced_number = self.last_number;
    }

    /// All up to this number are acknowledged. True when that is news.
    pub fn on_acknowledged(&mut self, number: u64) -> bool {
        assert!(number <= self.last_number, "what was sent has a number");
        if number <= self.acknowledged {
            return false;
        }
        self.acknowledged = number;
        while self.events.front().is_some_and(|event| event.number <= number) {
            self.pop();
        }
        true
    }

    /// The last number that no segment is needed for.
    pub fn done_number(&self) -> u64 {
        self.events.front().map_or(self.last_number, |first| first.number - 1)
    }

    /// The first events that are not acknowledged, as many as have room and are on the disk. Where
    /// numbers are missing, that is told.
    pub fn batch(&self, epoch: u64, limits: BatchLimits) -> Option<FeedBatch> {
        let mut body = format!("{{\"epoch\":\"{epoch:016x}\",\"events\":[").into_bytes();
        let (mut last_number, mut events_count, mut bytes) = (self.acknowledged, 0, 0);
        for event in self.events.iter().take(limits.events_max) {
            bytes += event.payload.len();
            let is_too_long = limits.bytes_max < bytes && events_count != 0;
            if is_too_long || self.synced_number < event.number {
                break;
            }
            if events_count != 0 {
                body.push(b',');
            }
            let (first, number) = (last_number + 1, event.number - 1);
            if first <= number {
                let gap = format!("{{\"event\":\"gap\",\"first\":{first},\"number\":{number}}},");
                body.extend_from_slice(gap.as_bytes());
            }
            body.extend_from_slice(&event.payload);
            (last_number, events_count) = (event.number, events_count + 1);
        }
        body.extend_from_slice(b"]}");
        (events_count != 0).then_some(FeedBatch { last_number, events_count, body })
    }

    /// How many events wait, and what they cost.
    pub fn len_and_bytes(&self) -> (usize, usize) {
        (self.events.len(), self.bytes)
    }

    /// When the oldest of them was decided, Unix ms.
    pub fn oldest_unix_ms(&self) -> Option<u64> {
        self.events.front().map(|event| event.at_unix_ms)
    }

    /// Events that were dropped, and notices that had no room, since the beginning.
    pub fn lost_count(&self) -> u64 {
        self.lost_count
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::event::FeedNews;
    use super::super::fact::{UserKey, WaitingMessage};
    use super::*;

    const LIMITS: BatchLimits = BatchLimits { events_max: 3, bytes_max: 1 << 20 };

    fn event(number: u64, news: FeedNews) -> FeedEvent {
        let (tenant, user) = (Arc::default(), "ann".into());
        FeedEvent { number, previous: 0, at_unix_ms: 1, tenant, user, news }
    }

    fn connected(queue: &mut FeedQueue) {
        let event = event(queue.next_number(), FeedNews::Connected);
        queue.push(event);
    }

    fn waits() -> FeedNews {
        let user = UserKey { tenant: Arc::default(), user: "ann".into(), unnamed: None };
        let (from, channel) = ("bob".into(), "dm#ann,bob".into());
        FeedNews::MessageWaits(WaitingMessage { user, from, channel, offset: 1, count: 1 })
    }

    /// First and last number of what was lost.
    type Gap = (u64, u64);

    /// The numbers of a batch, and those of its gap.
    fn numbers(queue: &FeedQueue) -> Option<(Vec<u64>, Option<Gap>)> {
        let batch = queue.batch(7, LIMITS)?;
        let json: serde_json::Value = serde_json::from_slice(&batch.body).unwrap();
        assert_eq!(json["epoch"], "0000000000000007");
        let events = json["events"].as_array().unwrap();
        let of = |event: &serde_json::Value, name: &str| event[name].as_u64().unwrap();
        let gap = events.first().filter(|event| event["event"] == "gap");
        let gap = gap.map(|gap| (of(gap, "first"), of(gap, "number")));
        let told = events.iter().filter(|event| event["event"] != "gap");
        let told: Vec<u64> = told.map(|event| of(event, "number")).collect();
        assert_eq!((told.len(), told.last()), (batch.events_count, Some(&batch.last_number)));
        Some((told, gap))
    }

    #[test]
    fn nothing_leaves_before_it_is_on_the_disk_or_after_it_is_acknowledged() {
        let mut queue = FeedQueue::new(1 << 20);
        (0..5).for_each(|_| connected(&mut queue));
        assert_eq!(numbers(&queue), None);
        assert_eq!(queue.unsynced().count(), 5);
        queue.on_synced();
        assert_eq!(numbers(&queue), Some((vec![1, 2, 3], None)));
        assert!(queue.on_acknowledged(2) && !queue.on_acknowledged(1));
        connected(&mut queue);
        assert_eq!(numbers(&queue), Some((vec![3, 4, 5], None)));
        assert!(queue.on_acknowledged(5));
        assert_eq!((numbers(&queue), queue.done_number()), (None, 5));
        queue.on_synced();
        assert_eq!(numbers(&queue), Some((vec![6], None)));
        assert!(queue.on_acknowledged(6));
        assert_eq!((queue.len_and_bytes(), queue.done_number()), ((0, 0), 6));
    }

    #[test]
    fn the_oldest_make_room_and_what_is_missing_is_told() {
        let mut queue = FeedQueue::new(0);
        connected(&mut queue);
        let one_bytes = queue.len_and_bytes().1;
        let mut queue = FeedQueue::new(4 * one_bytes);
        (0..4).for_each(|_| connected(&mut queue));
        queue.on_synced();
        assert_eq!(numbers(&queue), Some((vec![1, 2, 3], None)));
        // While these are under way, five more come.
        (0..5).for_each(|_| connected(&mut queue));
        queue.on_synced();
        assert_eq!((queue.lost_count(), queue.done_number()), (5, 5));
        assert_eq!(numbers(&queue), Some((vec![6, 7, 8], Some((1, 5)))));
        assert!(queue.on_acknowledged(3));
        assert_eq!(numbers(&queue), Some((vec![6, 7, 8], Some((4, 5)))));
        assert!(queue.on_acknowledged(8));
        assert_eq!(numbers(&queue), Some((vec![9], None)));
    }

    #[test]
    fn a_batch_has_a_length_and_one_event_at_least() {
        let mut queue = FeedQueue::new(1 << 20);
        (0..3).for_each(|_| connected(&mut queue));
        queue.on_synced();
        let count = |bytes_max| {
            let limits = BatchLimits { events_max: 9, bytes_max };
            queue.batch(7, limits).unwrap().events_count
        };
        let one_bytes = queue.events[0].payload.len();
        assert_eq!([0, 1, one_bytes, 2 * one_bytes - 1].map(count), [1; 4]);
        assert_eq!([2 * one_bytes, 3 * one_bytes, 1 << 20].map(count), [2, 3, 3]);
    }

    #[test]
    fn notices_take_half_of_the_room_and_what_had_none_is_told_once() {
        let mut queue = FeedQueue::new(4_000);
        let mut told = 0;
        while queue.admits(NewsClass::Notice) {
            let event = event(queue.next_number(), waits());
            queue.push(event);
            told += 1;
        }
        assert!((10..30).contains(&told), "{told}");
        assert!(!queue.admits(NewsClass::Notice) && queue.admits(NewsClass::Change));
        assert_eq!(queue.take_lost_notices(), None, "there is no room for the next one, either");
        queue.on_synced();
        queue.on_acknowledged(told);
        assert_eq!(queue.take_lost_notices(), Some(2));
        assert_eq!(queue.take_lost_notices(), None);
        assert!(queue.admits(NewsClass::Notice));
    }

    #[test]
    fn what_is_read_twice_counts_once_and_holes_are_gaps() {
        let mut queue = FeedQueue::new(1 << 20);
        assert!([4, 5].into_iter().all(|number| queue.restore(event(number, FeedNews::Connected))));
        assert!(!queue.restore(event(4, FeedNews::Connected)));
        queue.on_acknowledged(2);
        assert_eq!(numbers(&queue), Some((vec![4, 5], Some((3, 3)))));
        assert!(queue.restore(event(7, FeedNews::Connected)));
        queue.on_acknowledged(4);
        let body = String::from_utf8(queue.batch(7, LIMITS).unwrap().body).unwrap();
        assert!(body.contains("{\"event\":\"gap\",\"first\":6,\"number\":6},"), "{body}");
        queue.pass_number(9);
        assert_eq!((queue.next_number(), queue.unsynced().count()), (9, 0));
    }
}
