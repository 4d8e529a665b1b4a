//! Lanes: bounded queues from one thread to another, each with one writer and one reader,
//! which carry batches of items.
//!
//! All that travels between threads while the server serves goes through these: messages
//! from core to core, requests to the store and its answers, trace events for the
//! control thread and its commands. The simulator uses them as they are.
//!
//! A lane is *bounded* in batches and in items of a batch; what finds no room stays with
//! its writer. It is *counted*: writer and reader number the items, and the reader checks
//! the number of each batch. And it says whom to *wake*: the writer wakes its reader when
//! it has posted, the reader wakes the writers that found their lanes full.
//!
//! Sixty cores have 3,540 lanes between them, so a lane is small (504 B), and a reader does
//! not look into the 59 that lead to it: whoever leaves a batch raises a flag in a bitmap of
//! the reader's.
//!
//! Invariants: items of one lane arrive in order, each once; sent = received + waiting; a
//! batch whose flag is down has been taken; a writer that found a lane full is named when
//! the lane has room.
//!
//! Deliberately absent: how a thread is woken, and what happens to items for which there
//! is no room.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::base::limits::SHARDS_MAX;

/// The bound of one lane. Both ends know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLimits {
    /// Batches that wait.
    pub batches_max: usize,
    /// Items in one of them.
    pub batch_items_max: usize,
}

/// The writer's end of one lane.
pub struct LaneSender<T> {
    batches: Producer<Box<Parcel<T>>>,
    reader: Arc<Flags>,
    /// Which of the reader's writers this is.
    own: u16,
    batch_items_max: u32,
    sent_count: u64,
}

/// The reader's ends of all lanes that lead to it: one for each of its writers.
pub struct Mailbox<T> {
    flags: Arc<Flags>,
    /// By writer; `None` where a thread would write to itself.
    lanes: Vec<Option<LaneEnd<T>>>,
    /// The writer whose lane is served first in the next turn.
    first: usize,
}

/// The ends of one thread among others: its senders, by reader, and `None` for itself; and
/// its mailbox.
pub type MeshEnds<T> = (Vec<Option<LaneSender<T>>>, Mailbox<T>);

/// The reader's end of one lane.
struct LaneEnd<T> {
    batches: Consumer<Box<Parcel<T>>>,
    /// The batch in which the reader stopped; it has items.
    opened: Option<Box<Parcel<T>>>,
    received_count: u64,
}

/// A batch on its way.
struct Parcel<T> {
    /// Items that the lane had carried before it.
    sent_before_count: u64,
    /// Never empty in a lane.
    items: VecDeque<T>,
}

/// What the writers tell one reader. Aligned so that two readers' flags are not in one
/// prefetched pair of cache lines.
#[repr(align(128))]
#[derive(Default)]
struct Flags {
    /// Writers that left a batch.
    ready: Bits,
    /// Writers that found their lane full.
    blocked: Bits,
    /// Items that writers dropped since the reader asked.
    dropped_count: AtomicU64,
}

/// One bit a writer.
#[derive(Default)]
struct Bits([AtomicU64; SHARDS_MAX as usize / 64]);

/// A copy of the bits as they were taken.
struct Taken([u64; SHARDS_MAX as usize / 64]);

/// The ends of the lanes from some writers to one reader: the senders by writer, and the
/// reader's mailbox.
pub fn mailbox<T>(writers_count: u16, limits: LaneLimits) -> (Vec<LaneSender<T>>, Mailbox<T>) {
    let flags = Arc::default();
    let (senders, lanes): (Vec<_>, Vec<_>) = (0..writers_count)
        .map(|own| {
            let (sender, end) = lane(&flags, own, limits);
            (sender, Some(end))
        })
        .unzip();
    (senders, Mailbox { flags, lanes, first: 0 })
}

/// The ends of the lanes from each of some threads to each other, by thread.
pub fn mesh<T>(threads_count: u16, limits: LaneLimits) -> Vec<MeshEnds<T>> {
    let mut ends: Vec<MeshEnds<T>> = (0..threads_count)
        .map(|_| (Vec::new(), Mailbox { flags: Arc::default(), lanes: Vec::new(), first: 0 }))
        .collect();
    for to in 0..usize::from(threads_count) {
        let flags = Arc::clone(&ends[to].1.flags);
        for from in 0..threads_count {
            let (sender, end) = if usize::from(from) == to {
                (None, None)
            } else {
                let (sender, end) = lane(&flags, from, limits);
                (Some(sender), Some(end))
            };
            ends[usize::from(from)].0.push(sender);
            ends[to].1.lanes.push(end);
        }
    }
    ends
}

/// Both ends of one lane.
fn lane<T>(reader: &Arc<Flags>, own: u16, limits: LaneLimits) -> (LaneSender<T>, LaneEnd<T>) {
    assert!(own < SHARDS_MAX && 0 < limits.batches_max && 0 < limits.batch_items_max);
    let (writer_end, reader_end) = RingBuffer::new(limits.batches_max);
    let sender = LaneSender {
        batches: writer_end,
        reader: Arc::clone(reader),
        own,
        batch_items_max: u32::try_from(limits.batch_items_max).expect("a batch is small"),
        sent_count: 0,
    };
    (sender, LaneEnd { batches: reader_end, opened: None, received_count: 0 })
}

impl<T> LaneSender<T> {
    /// Moves items from the front into the lane while it has room; the rest stays. Returns
    /// how many were moved; when any, the reader is to be woken. Otherwise the reader names
    /// this writer as soon as there is room.
    pub fn post(&mut self, items: &mut Vec<T>) -> usize {
        let batch_items_max = self.batch_items_max as usize;
        let (waiting_count, sent_before_count) = (items.len(), self.sent_count);
        while !items.is_empty() && self.has_room() {
            if items.len() <= batch_items_max {
                self.send(mem::take(items).into());
            } else {
                let moved_count = items.len().min(self.batches.slots() * batch_items_max);
                let mut moved = items.drain(..moved_count);
                while moved.len() != 0 {
                    self.send(moved.by_ref().take(batch_items_max).collect());
                }
            }
        }
        let posted_count = waiting_count - items.len();
        let sent_count = self.sent_count - sent_before_count;
        assert_eq!(sent_count, posted_count as u64, "what is given is sent, or stays");
        if 0 < posted_count {
            self.reader.ready.raise(self.own, Release);
        }
        posted_count
    }

    /// Posts one item; gives it back where there is no room.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        let mut items = vec![item];
        self.post(&mut items);
        items.pop().map_or(Ok(()), Err)
    }

    /// Posts what has room and drops the rest. The reader learns how many were dropped, and
    /// how many the writer had dropped before.
    pub fn post_or_drop(&mut self, items: &mut Vec<T>, dropped_before_count: u64) {
        self.post(items);
        let dropped_count = items.len() as u64 + dropped_before_count;
        items.clear();
        if dropped_count != 0 {
            self.reader.dropped_count.fetch_add(dropped_count, Relaxed);
        }
    }

    /// Batches for which there is room.
    pub fn room_batches_count(&self) -> usize {
        self.batches.slots()
    }

    /// Items that the lane has carried.
    pub fn sent_count(&self) -> u64 {
        self.sent_count
    }

    /// Whether a batch has room. When not, the reader names this writer as soon as there is.
    fn has_room(&self) -> bool {
        if !self.batches.is_full() {
            return true;
        }
        self.reader.blocked.raise(self.own, Relaxed);
        fence(SeqCst); // pairs with the one in `name_unblocked`
        !self.batches.is_full()
    }

    fn send(&mut self, items: VecDeque<T>) {
        let sent_before_count = self.sent_count;
        self.sent_count += items.len() as u64;
        let pushed = self.batches.push(Box::new(Parcel { sent_before_count, items }));
        assert!(pushed.is_ok(), "only the reader changes a lane's room, and upwards");
    }
}

impl<T> Mailbox<T> {
    /// Hands up to `items_max` items of all lanes on, and names the writers to wake because
    /// their lane has room again. Returns how many items it was.
    pub fn take(
        &mut self,
        items_max: usize,
        on_item: &mut dyn FnMut(u16, T),
        on_room: &mut dyn FnMut(u16),
    ) -> usize {
        let Some(ready) = self.flags.ready.take() else {
            return 0;
        };
        let writers = self.lanes.len();
        let mut taken_count = 0;
        for from in (self.first..writers).chain(0..self.first) {
            let writer = from as u16;
            if ready.has(writer) {
                let rest_max = items_max - taken_count;
                taken_count += self.read(writer, rest_max, &mut |item| {
                    on_item(writer, item);
                    None
                });
            }
        }
        self.first = (self.first + 1) % writers;
        self.name_unblocked(on_room);
        taken_count
    }

    /// Hands up to `items_max` items of one lane on; one that is given back stays the first
    /// of its lane, and nothing behind it is taken. Returns how many were kept. The caller
    /// asks for `name_unblocked` afterwards.
    pub fn take_from(
        &mut self,
        from: u16,
        items_max: usize,
        on_item: &mut dyn FnMut(T) -> Option<T>,
    ) -> usize {
        if self.flags.ready.lower(from) { self.read(from, items_max, on_item) } else { 0 }
    }

    /// Names the writers that found their lane full, where it is not any more.
    pub fn name_unblocked(&mut self, on_room: &mut dyn FnMut(u16)) {
        // Pairs with the fence in `has_room`: either we see that a writer found its lane full, or
        // it sees that the lane has room.
        fence(SeqCst);
        if let Some(blocked) = self.flags.blocked.take() {
            for from in (0..self.lanes.len() as u16).filter(|&from| blocked.has(from)) {
                let lane = self.lanes[usize::from(from)].as_ref();
                if lane.expect("nobody writes to itself").is_full() {
                    self.flags.blocked.raise(from, Relaxed);
                } else {
                    on_room(from);
                }
            }
        }
    }

    /// Items that wait in all lanes. Looks at each of them.
    pub fn waiting_count(&mut self) -> usize {
        self.lanes.iter_mut().flatten().map(LaneEnd::waiting_count).sum()
    }

    /// Shows what waits in one lane, in order, and leaves it there.
    pub fn show_waiting(&mut self, from: u16, on_item: &mut dyn FnMut(&T)) {
        if let Some(lane) = &mut self.lanes[usize::from(from)] {
            lane.each_waiting(&mut |parcel| parcel.items.iter().for_each(&mut *on_item));
        }
    }

    /// Items of one lane that were taken.
    pub fn received_count(&self, from: u16) -> u64 {
        self.lanes[usize::from(from)].as_ref().map_or(0, |lane| lane.received_count)
    }

    /// Items that writers dropped since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        self.flags.dropped_count.swap(0, Relaxed)
    }

    /// Reads a lane whose flag was up, and raises it again when something is left.
    fn read(
        &mut self,
        from: u16,
        items_max: usize,
        on_item: &mut dyn FnMut(T) -> Option<T>,
    ) -> usize {
        let lane = self.lanes[usize::from(from)].as_mut().expect("nobody writes to itself");
        let taken_count = lane.read(items_max, on_item);
        if !lane.is_empty() {
            self.flags.ready.raise(from, Relaxed); // the rest waits for the next turn
        }
        taken_count
    }
}

impl<T> LaneEnd<T> {
    fn read(&mut self, items_max: usize, on_item: &mut dyn FnMut(T) -> Option<T>) -> usize {
        let mut taken_count = 0;
        while taken_count < items_max
            && let Some(mut parcel) = self.next_parcel()
        {
            while taken_count < items_max
                && let Some(item) = parcel.items.pop_front()
            {
                if let Some(item) = on_item(item) {
                    parcel.items.push_front(item);
                    self.opened = Some(parcel);
                    return taken_count;
                }
                taken_count += 1;
                self.received_count += 1;
            }
            if !parcel.items.is_empty() {
                self.opened = Some(parcel);
            }
        }
        taken_count
    }

    /// The batch in which the reader stopped, or the next.
    fn next_parcel(&mut self) -> Option<Box<Parcel<T>>> {
        if let Some(parcel) = self.opened.take() {
            return Some(parcel);
        }
        let parcel = self.batches.pop().ok()?;
        assert!(!parcel.items.is_empty(), "a batch carries something");
        assert_eq!(
            parcel.sent_before_count, self.received_count,
            "all that was sent before has been received"
        );
        Some(parcel)
    }

    fn is_empty(&self) -> bool {
        self.opened.is_none() && self.batches.is_empty()
    }

    fn is_full(&self) -> bool {
        self.batches.slots() == self.batches.buffer().capacity()
    }

    fn waiting_count(&mut self) -> usize {
        let mut waiting_count = 0;
        self.each_waiting(&mut |parcel| waiting_count += parcel.items.len());
        waiting_count
    }

    fn each_waiting(&mut self, on_parcel: &mut dyn FnMut(&Parcel<T>)) {
        if let Some(parcel) = &self.opened {
            on_parcel(parcel);
        }
        let slots = self.batches.slots();
        let chunk = self.batches.read_chunk(slots).expect("they were there a moment ago");
        // A chunk that is not committed leaves what it shows.
        let (front, back) = chunk.as_slices();
        front.iter().chain(back).for_each(|parcel| on_parcel(parcel));
    }
}

impl Bits {
    fn raise(&self, writer: u16, order: Ordering) {
        let (word, bit) = place(writer);
        self.0[word].fetch_or(bit, order);
    }

    /// Lowers one bit. `false`, without a locked instruction, when it is not up.
    fn lower(&self, writer: u16) -> bool {
        let (word, bit) = place(writer);
        self.0[word].load(Relaxed) & bit != 0 && self.0[word].fetch_and(!bit, Acquire) & bit != 0
    }

    /// Lowers all bits. `None`, without a locked instruction, when none is up.
    fn take(&self) -> Option<Taken> {
        if self.0.iter().all(|word| word.load(Relaxed) == 0) {
            return None;
        }
        Some(Taken(std::array::from_fn(|word| self.0[word].swap(0, Acquire))))
    }
}

impl Taken {
    fn has(&self, writer: u16) -> bool {
        let (word, bit) = place(writer);
        self.0[word] & bit != 0
    }
}

/// The word and the bit of a writer.
fn place(writer: u16) -> (usize, u64) {
    (usize::from(writer / 64), 1 << (writer % 64))
}

#[cfg(test)]
mod tests;
