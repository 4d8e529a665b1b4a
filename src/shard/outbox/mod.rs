//! The send queue of one connection: frames wait here while a send is in flight, up to a
//! limit in bytes, and leave in the order in which they came. A
//! reader that is too slow is an answer (`PushResult::Full`) and not a wait; the caller
//! closes it. Publications that are dropped are counted as lost, so that sent, lost and
//! waiting ones add up to all that were pushed.
//!
//! Deliberately absent: sockets, and the content of frames.

mod publication_counts;
mod send_state;
mod totals;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

pub use publication_counts::PublicationCounts;
pub use send_state::SendState;
pub use totals::OutboxTotals;

use super::batches::BatchId;
use crate::base::trim_list;

/// Largest send that is put together from several frames; a single larger frame goes alone
/// and is not copied.
const GATHERED_BYTES_MAX: usize = 256 << 10;

/// The account that a frame is charged to. A pong or a reply must not fail because of a busy
/// room, so each lane has its own limit; both share one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxLane {
    /// Replies to small commands, pings, pongs, the close frame.
    Control,
    /// Publications, and answers that carry them.
    Data,
}

/// Limits of one outbox.
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    /// Bytes that may wait in the data lane.
    pub data_bytes_max: u32,
    /// Bytes that may wait in the control lane.
    pub control_bytes_max: u32,
}

/// Frames for one subscriber of a channel, with their publications and their batch.
#[derive(Clone, Debug)]
pub struct FanoutFrame {
    /// One or more messages, each a WebSocket frame.
    pub frame: Bytes,
    /// Publications among them.
    pub publications: PublicationCounts,
    /// The batch that tracks it.
    pub batch: BatchId,
}

/// Frames waiting for one socket; owns nothing while nothing waits.
///
/// Invariants: at most one send is in flight; bytes by lane are the sums over
/// `frames` and `held`, and so are publications; nothing leaves in another order than
/// it came.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Option<Box<Waiting>>,
    in_flight_bytes: u32,
    in_flight: PublicationCounts,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    data_bytes: usize,
    control_bytes: usize,
    /// Frames of the data lane that are kept until the client knows their channels.
    held: Option<VecDeque<FanoutFrame>>,
    publications_count: u64,
}

#[derive(Debug)]
struct Frame {
    bytes: Bytes,
    publications: PublicationCounts,
    batch: BatchId,
    lane: OutboxLane,
}

/// As small as a lane and bytes alone would be.
const _: () = assert!(size_of::<Frame>() <= 40);

/// Frames that are dropped, or leave together with others. Kept between calls for its
/// capacity only.
#[derive(Debug, Default)]
pub struct Released {
    /// Batches with one send less to wait for.
    batches: Vec<BatchId>,
    /// Publications that were dropped, by chat type.
    lost: [u64; 3],
}

/// A send, and the batch that tracks it.
#[derive(Debug, PartialEq, Eq)]
pub struct OutboxSend {
    /// The bytes to send.
    pub bytes: Bytes,
    /// The batch that tracks it.
    pub batch: BatchId,
}

/// Result of a push.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum PushResult {
    /// The frame will be sent.
    Queued,
    /// The frame has no room; the reader is too slow.
    Full,
}

impl Outbox {
    /// Takes a frame without publications. Never grows past the limit and never drops
    /// silently: the caller learns `Full` and closes the slow reader. A lane in which
    /// nothing waits takes any frame, because a limit on one frame is set where frames
    /// are made; what is in flight is charged to the data lane.
    pub fn push(&mut self, lane: OutboxLane, frame: Bytes, limits: OutboxLimits) -> PushResult {
        self.put(
            lane,
            FanoutFrame { frame, publications: PublicationCounts::NONE, batch: BatchId::NONE },
            limits,
        )
    }

    fn put(
        &mut self,
        lane: OutboxLane,
        fanout_frame: FanoutFrame,
        limits: OutboxLimits,
    ) -> PushResult {
        let queued = self.waiting.as_ref();
        let (level, bytes_max) = match lane {
            OutboxLane::Control => {
                (queued.map_or(0, |all| all.control_bytes), limits.control_bytes_max)
            }
            OutboxLane::Data => {
                let in_flight = self.in_flight_bytes as usize;
                (queued.map_or(0, |all| all.data_bytes) + in_flight, limits.data_bytes_max)
            }
        };
        if level != 0 && (bytes_max as usize) < level + fanout_frame.frame.len() {
            return PushResult::Full;
        }
        let waiting = self.waiting.get_or_insert_default();
        match lane {
            OutboxLane::Control => waiting.control_bytes += fanout_frame.frame.len(),
            OutboxLane::Data => waiting.data_bytes += fanout_frame.frame.len(),
        }
        waiting.publications_count += fanout_frame.publications.total();
        waiting.frames.push_back(Frame::of(lane, fanout_frame));
        PushResult::Queued
    }

    /// From here on, frames of channels wait for `release`.
    pub fn hold(&mut self) {
        self.waiting.get_or_insert_default().held.get_or_insert_default();
    }

    /// Takes frames of a channel: like `push` to the data lane, unless the outbox is on hold.
    pub fn push_fanout(&mut self, fanout_frame: FanoutFrame, limits: OutboxLimits) -> PushResult {
        let pushed = self.put(OutboxLane::Data, fanout_frame, limits);
        if pushed == PushResult::Queued
            && let Some(waiting) = &mut self.waiting
            && let Some(held) = &mut waiting.held
        {
            held.push_back(waiting.frames.pop_back().expect("it was just pushed").fanout_frame());
        }
        pushed
    }

    /// Moves the held frames to the end of the queue.
    pub fn release(&mut self) {
        let Some(waiting) = &mut self.waiting else { return };
        let held = waiting.held.take().unwrap_or_default();
        waiting
            .frames
            .extend(held.into_iter().map(|fanout_frame| Frame::of(OutboxLane::Data, fanout_frame)));
        if waiting.frames.is_empty() {
            self.waiting = None;
        }
    }

    /// True when a send could be given now.
    pub fn is_ready(&self) -> bool {
        let waits = self.waiting.as_ref().is_some_and(|waiting| !waiting.frames.is_empty());
        self.in_flight_bytes == 0 && waits
    }

    /// True when nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.in_flight_bytes == 0 && self.waiting.is_none()
    }

    /// The next send: all waiting frames in one piece, up to a bound; `None` while one is in
    /// flight. Of several tracked batches the first tracks the send; `released` gets the
    /// others, which leave with it.
    pub fn next_send(&mut self, released: &mut Released) -> Option<OutboxSend> {
        if self.in_flight_bytes != 0 {
            return None;
        }
        let waiting = self.waiting.as_mut()?;
        let Some(first) = waiting.pop() else {
            assert!(waiting.held.is_some(), "an outbox without frames is None");
            return None;
        };
        let FanoutFrame { frame, publications, batch } =
            if waiting.fits(&first) { waiting.gather(&first, released) } else { first };
        if waiting.frames.is_empty() && waiting.held.is_none() {
            debug_assert_eq!(waiting.data_bytes + waiting.control_bytes, 0);
            debug_assert_eq!(waiting.publications_count, 0);
            self.waiting = None;
        }
        self.in_flight_bytes = u32::try_from(frame.len()).expect("frames are bounded far below");
        self.in_flight = publications;
        Some(OutboxSend { bytes: frame, batch })
    }

    /// Makes a frame the send in flight without touching the queue, when nothing waits.
    pub fn send_at_once(&mut self, frame: Bytes, publications: PublicationCounts) -> Bytes {
        assert!(self.is_idle(), "waiting frames go first");
        self.in_flight_bytes = u32::try_from(frame.len()).expect("frames are bounded far below");
        self.in_flight = publications;
        frame
    }

    /// The send in flight has left. Returns its publications.
    pub fn sent(&mut self) -> PublicationCounts {
        assert!(self.in_flight_bytes != 0, "the ring finishes only sends that it was given");
        self.in_flight_bytes = 0;
        std::mem::take(&mut self.in_flight)
    }

    /// Drops the held frames; the client will never know their channels.
    pub fn forget_held(&mut self, released: &mut Released) {
        let Some(waiting) = &mut self.waiting else { return };
        for fanout_frame in waiting.held.take().unwrap_or_default() {
            waiting.data_bytes -= fanout_frame.frame.len();
            waiting.publications_count -= fanout_frame.publications.total();
            released.drop_frame(&fanout_frame);
        }
        if waiting.frames.is_empty() {
            self.waiting = None;
        }
    }

    /// Drops all waiting frames, but not the send in flight: a slow reader gets a close frame
    /// instead.
    pub fn clear(&mut self, released: &mut Released) {
        let Some(waiting) = self.waiting.take() else { return };
        let frames = waiting.frames.into_iter().map(Frame::fanout_frame);
        frames
            .chain(waiting.held.into_iter().flatten())
            .for_each(|fanout_frame| released.drop_frame(&fanout_frame));
    }

    /// Drops everything, with the send in flight: the connection is gone.
    pub fn abandon(&mut self, released: &mut Released) {
        self.clear(released);
        released.drop_publications(std::mem::take(&mut self.in_flight));
        self.in_flight_bytes = 0;
    }

    /// Bytes that wait for the send in flight to leave.
    pub fn waiting_bytes(&self) -> usize {
        let waiting = self.waiting.as_ref();
        waiting.map_or(0, |waiting| waiting.data_bytes + waiting.control_bytes)
    }

    /// True while a send is in flight.
    pub fn is_sending(&self) -> bool {
        self.in_flight_bytes != 0
    }

    /// Bytes that wait or are in flight.
    pub fn bytes(&self) -> usize {
        self.waiting_bytes() + self.in_flight_bytes as usize
    }

    /// Publications that wait or are in flight.
    pub fn publications_count(&self) -> u64 {
        let waiting = self.waiting.as_ref().map_or(0, |waiting| waiting.publications_count);
        waiting + self.in_flight.total()
    }
}

impl Released {
    /// Whether batches were released.
    pub fn has_batches(&self) -> bool {
        !self.batches.is_empty()
    }

    /// Takes the released batches.
    pub fn take_batches(&mut self) -> impl Iterator<Item = BatchId> {
        self.batches.drain(..)
    }

    /// Takes the number of dropped publications, by chat type.
    pub fn take_lost(&mut self) -> [u64; 3] {
        std::mem::take(&mut self.lost)
    }

    /// Frees the spare capacity that a large turn has left.
    pub fn trim(&mut self) {
        trim_list(&mut self.batches);
    }

    fn drop_frame(&mut self, fanout_frame: &FanoutFrame) {
        self.drop_publications(fanout_frame.publications);
        if fanout_frame.batch != BatchId::NONE {
            self.batches.push(fanout_frame.batch);
        }
    }

    /// Counts dropped publications.
    pub fn drop_publications(&mut self, publications: PublicationCounts) {
        let counts = self.lost.iter_mut().zip(publications.counts());
        counts.for_each(|(lost, count)| *lost += u64::from(count));
    }
}

impl Frame {
    fn of(
        lane: OutboxLane,
        FanoutFrame { frame: bytes, publications, batch }: FanoutFrame,
    ) -> Frame {
        Frame { bytes, publications, batch, lane }
    }

    fn fanout_frame(self) -> FanoutFrame {
        FanoutFrame { frame: self.bytes, publications: self.publications, batch: self.batch }
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<FanoutFrame> {
        let frame = self.frames.pop_front()?;
        let lane = frame.lane;
        let fanout_frame = frame.fanout_frame();
        match lane {
            OutboxLane::Control => self.control_bytes -= fanout_frame.frame.len(),
            OutboxLane::Data => self.data_bytes -= fanout_frame.frame.len(),
        }
        self.publications_count -= fanout_frame.publications.total();
        Some(fanout_frame)
    }

    /// Whether the next frame can leave together with this one.
    fn fits(&self, one: &FanoutFrame) -> bool {
        self.frames.front().is_some_and(|next| {
            one.frame.len() + next.bytes.len() <= GATHERED_BYTES_MAX
                && one.publications.plus(next.publications).is_some()
        })
    }

    /// Copying is cheap compared with a send: 0.04 us for a small frame against 5 us.
    fn gather(&mut self, first: &FanoutFrame, released: &mut Released) -> FanoutFrame {
        let queued = self.data_bytes + self.control_bytes + first.frame.len();
        let mut together = BytesMut::with_capacity(queued.min(GATHERED_BYTES_MAX));
        together.extend_from_slice(&first.frame);
        let FanoutFrame { mut publications, mut batch, .. } = *first;
        while let Some(next) = self.frames.front()
            && together.len() + next.bytes.len() <= GATHERED_BYTES_MAX
            && let Some(sum) = publications.plus(next.publications)
        {
            let next = self.pop().expect("it is the front");
            together.extend_from_slice(&next.frame);
            publications = sum;
            if batch == BatchId::NONE {
                batch = next.batch;
            } else if next.batch != BatchId::NONE {
                released.batches.push(next.batch);
            }
        }
        FanoutFrame { frame: together.freeze(), publications, batch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;
    use crate::metrics::ChatType;

    const LIMITS: OutboxLimits = OutboxLimits { data_bytes_max: 100, control_bytes_max: 10 };

    /// The bytes of the next send.
    fn next(outbox: &mut Outbox) -> Option<Bytes> {
        outbox.next_send(&mut Released::default()).map(|send| send.bytes)
    }

    fn fanout_frame(frame: Bytes, chat_type: ChatType, count: u64, batch: u16) -> FanoutFrame {
        FanoutFrame {
            frame,
            publications: PublicationCounts::of(chat_type, count),
            batch: BatchId(batch),
        }
    }

    #[test]
    fn everything_that_waits_leaves_in_one_send() {
        let mut outbox = Outbox::default();
        for text in [&b"ab"[..], b"c", b"def"] {
            assert_eq!(
                outbox.push(OutboxLane::Data, Bytes::from_static(text), LIMITS),
                PushResult::Queued
            );
        }
        assert_eq!(next(&mut outbox).as_deref(), Some(&b"abcdef"[..]));
        assert_eq!(next(&mut outbox), None);
        outbox.sent();
        assert!(outbox.is_idle());
    }

    #[test]
    fn a_loud_room_leaves_room_for_a_pong() {
        let mut outbox = Outbox::default();
        let frame = |count| Bytes::from(vec![b'x'; count]);
        assert_eq!(outbox.push(OutboxLane::Data, frame(100), LIMITS), PushResult::Queued);
        assert_eq!(outbox.push(OutboxLane::Data, frame(1), LIMITS), PushResult::Full);
        assert_eq!(outbox.push(OutboxLane::Control, frame(10), LIMITS), PushResult::Queued);
        assert_eq!(outbox.push(OutboxLane::Control, frame(1), LIMITS), PushResult::Full);
        assert_eq!(outbox.bytes(), 110);
        assert_eq!(next(&mut outbox).map(|send| send.len()), Some(110));
        assert_eq!(
            outbox.push(OutboxLane::Data, frame(1), LIMITS),
            PushResult::Full,
            "in flight counts"
        );
    }

    #[test]
    fn an_empty_outbox_takes_one_large_frame_uncopied() {
        let mut outbox = Outbox::default();
        let large = Bytes::from(vec![b'x'; GATHERED_BYTES_MAX + 1]);
        assert_eq!(outbox.push(OutboxLane::Data, large.clone(), LIMITS), PushResult::Queued);
        assert_eq!(next(&mut outbox).map(|send| send.as_ptr()), Some(large.as_ptr()));
    }

    #[test]
    fn what_is_held_leaves_behind_what_it_was_held_for() {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let mut outbox = Outbox::default();
        outbox.hold();
        assert!(!outbox.is_idle() && !outbox.is_ready());
        assert_eq!(
            outbox.push_fanout(fanout_frame(text("later"), ChatType::Group, 1, 1), LIMITS),
            PushResult::Queued
        );
        assert_eq!((next(&mut outbox), outbox.bytes()), (None, 5));
        assert_eq!(outbox.push(OutboxLane::Control, text("first "), LIMITS), PushResult::Queued);
        outbox.release();
        assert_eq!(next(&mut outbox).as_deref(), Some(&b"first later"[..]));
        outbox.sent();
        assert!(outbox.is_idle());

        outbox.hold();
        assert_eq!(
            outbox.push_fanout(fanout_frame(text("never"), ChatType::Group, 2, 1), LIMITS),
            PushResult::Queued
        );
        assert_eq!(outbox.publications_count(), 2);
        let mut released = Released::default();
        outbox.forget_held(&mut released);
        assert!(outbox.is_idle() && outbox.bytes() == 0);
        assert_eq!(
            (released.lost, released.batches, outbox.publications_count()),
            ([0, 2, 0], vec![BatchId(1)], 0)
        );
    }

    #[test]
    fn the_first_that_is_followed_is_followed_on_and_the_others_are_told() {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let mut outbox = Outbox::default();
        let _ = outbox.push(OutboxLane::Control, text("re"), LIMITS);
        for (batch, chat_type) in [(4, ChatType::OneToOne), (5, ChatType::Group)] {
            let pushed = outbox.push_fanout(fanout_frame(text("x"), chat_type, 3, batch), LIMITS);
            assert_eq!(pushed, PushResult::Queued);
        }
        let mut released = Released::default();
        let send = outbox.next_send(&mut released).unwrap();
        assert_eq!((&*send.bytes, send.batch), (&b"rexx"[..], BatchId(4)));
        assert_eq!((released.batches, released.lost), (vec![BatchId(5)], [0; 3]));
        assert_eq!(outbox.publications_count(), 6);
        assert_eq!(outbox.sent().counts(), [3, 3, 0]);
        assert_eq!(outbox.publications_count(), 0);
    }

    #[test]
    fn what_cannot_be_counted_together_leaves_apart() {
        let mut outbox = Outbox::default();
        let frame = Bytes::from_static(b"x");
        let both = [(ChatType::OneToOne, 1), (ChatType::Group, 2_000)];
        for (chat_type, count) in both {
            let one = fanout_frame(frame.clone(), chat_type, count, 0);
            assert_eq!(outbox.push_fanout(one, LIMITS), PushResult::Queued);
        }
        assert_eq!(next(&mut outbox).map(|send| send.len()), Some(1));
        assert_eq!(outbox.sent().total(), 1);
        assert_eq!(next(&mut outbox).map(|send| send.len()), Some(1));
        assert_eq!(outbox.sent().total(), 2_000);
    }

    /// Counts pushed, sent, dropped and waiting publications independently of the outbox.
    #[test]
    fn every_publication_leaves_or_is_lost() {
        for seed in 0..200 {
            let mut prng = Prng::from_seed(seed);
            let (mut outbox, mut released) = (Outbox::default(), Released::default());
            let (mut pushed, mut sent) = ([0u64; 3], [0u64; 3]);
            for _ in 0..200 {
                match prng.below(10) {
                    0..5 => {
                        let chat_type = ChatType::ALL[prng.below(3) as usize];
                        let count = prng.below(700);
                        let frame = Bytes::from(vec![b'x'; 1 + prng.below(30) as usize]);
                        let one = fanout_frame(frame, chat_type, count, 0);
                        if outbox.push_fanout(one, LIMITS) == PushResult::Queued {
                            pushed[chat_type as usize] += count;
                        }
                    }
                    5 => outbox.hold(),
                    6 => outbox.release(),
                    7 => outbox.forget_held(&mut released),
                    8 if prng.percent(10) => outbox.clear(&mut released),
                    9 if prng.percent(10) => outbox.abandon(&mut released),
                    _ if outbox.in_flight_bytes != 0 => {
                        let counts = outbox.sent().counts();
                        sent.iter_mut().zip(counts).for_each(|(sum, one)| *sum += u64::from(one));
                    }
                    _ => drop(outbox.next_send(&mut released)),
                }
                let gone: u64 = sent.iter().chain(&released.lost).sum();
                let all: u64 = pushed.iter().sum();
                assert_eq!(all, gone + outbox.publications_count(), "seed {seed}");
            }
            outbox.abandon(&mut released);
            let gone = sent.into_iter().zip(released.lost).map(|(sent, lost)| sent + lost);
            assert_eq!(gone.collect::<Vec<_>>(), pushed, "seed {seed}");
        }
    }

    /// Compares the outbox with a plain list of bytes.
    #[test]
    fn bytes_leave_in_the_order_they_came() {
        for seed in 0..100 {
            let mut prng = Prng::from_seed(seed);
            let (mut outbox, mut given, mut sent) = (Outbox::default(), Vec::new(), Vec::new());
            for step in 0..300u32 {
                if prng.percent(60) {
                    let frame = vec![step as u8; 1 + prng.below(40) as usize];
                    let lane =
                        if prng.percent(20) { OutboxLane::Control } else { OutboxLane::Data };
                    if outbox.push(lane, Bytes::from(frame.clone()), LIMITS) == PushResult::Queued {
                        given.extend_from_slice(&frame);
                    }
                } else if let Some(send) = next(&mut outbox) {
                    sent.extend_from_slice(&send);
                } else if !outbox.is_idle() {
                    outbox.sent();
                }
            }
            if !outbox.is_idle() && !outbox.is_ready() {
                outbox.sent();
            }
            while let Some(send) = next(&mut outbox) {
                sent.extend_from_slice(&send);
                outbox.sent();
            }
            assert_eq!(given, sent, "seed {seed}");
        }
    }
}
