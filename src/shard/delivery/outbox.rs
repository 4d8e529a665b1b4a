//! The send queue of one connection: frames wait here while a send is in flight, up to a
//! limit in bytes, and leave in the order in which they came.
//!
//! A reader that is too slow is an answer (`Push::Full`) and not a wait; whoever pushes
//! closes it. Publications that do not leave are counted as lost, so that sent, lost and
//! waiting ones add up to all that were pushed.
//!
//! Deliberately absent: sockets, and what is in a frame.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::Cargo;
use crate::base::trim_list;

/// What one send carries at most when it is put together from several frames;
/// a single larger frame goes alone and is not copied.
const GATHERED_BYTES_MAX: usize = 256 << 10;

/// Which account a frame is charged to. A pong or a reply must not fail because
/// a room is loud, so each has its own limit; all share one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Replies to small commands, pings, pongs, the close frame.
    Control,
    /// Publications, and answers that carry them.
    Data,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In the data lane.
    pub data_bytes_max: u32,
    /// In the control lane.
    pub control_bytes_max: u32,
}

/// Who wants to know when the last of some sends has left: a number of the shard's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundId(pub u16);

impl RoundId {
    /// Nobody.
    pub const NOBODY: RoundId = RoundId(u16::MAX);
}

/// What a channel says: frames, what is in them, and who wants to know when they left.
#[derive(Clone, Debug)]
pub struct News {
    /// One or more messages, each a frame of the WebSocket.
    pub frame: Bytes,
    /// Publications among them.
    pub cargo: Cargo,
    /// Who follows it.
    pub round: RoundId,
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
    in_flight: Cargo,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    data_bytes: usize,
    control_bytes: usize,
    /// Of the data lane, kept until its reader knows what they are about.
    held: Option<VecDeque<News>>,
    publications_count: u64,
}

#[derive(Debug)]
struct Frame {
    bytes: Bytes,
    cargo: Cargo,
    round: RoundId,
    lane: Lane,
}

/// As small as a lane and bytes alone would be.
const _: () = assert!(size_of::<Frame>() <= 40);

/// What does not leave, or leaves together with something else. Kept between calls
/// for its capacity only.
#[derive(Debug, Default)]
pub struct Left {
    /// Who need not wait any more.
    rounds: Vec<RoundId>,
    /// Publications that are lost, by chat type.
    lost: [u64; 3],
}

/// A send, and who wants to know when it has left.
#[derive(Debug, PartialEq, Eq)]
pub struct Send {
    /// What is sent.
    pub bytes: Bytes,
    /// Who follows it.
    pub round: RoundId,
}

/// What became of a frame.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Push {
    /// It will leave.
    Queued,
    /// It has no place; the reader is too slow.
    Full,
}

impl Outbox {
    /// Takes a frame without publications. Never grows past the limit and never drops
    /// silently: the caller learns `Full` and closes the slow reader. A lane in which
    /// nothing waits takes any frame, because a limit on one frame is set where frames
    /// are made; what is in flight is charged to the data lane.
    pub fn push(&mut self, lane: Lane, frame: Bytes, limits: Limits) -> Push {
        self.put(lane, News { frame, cargo: Cargo::NONE, round: RoundId::NOBODY }, limits)
    }

    fn put(&mut self, lane: Lane, news: News, limits: Limits) -> Push {
        let queued = self.waiting.as_ref();
        let (level, bytes_max) = match lane {
            Lane::Control => (queued.map_or(0, |all| all.control_bytes), limits.control_bytes_max),
            Lane::Data => {
                let in_flight = self.in_flight_bytes as usize;
                (queued.map_or(0, |all| all.data_bytes) + in_flight, limits.data_bytes_max)
            }
        };
        if level != 0 && (bytes_max as usize) < level + news.frame.len() {
            return Push::Full;
        }
        let waiting = self.waiting.get_or_insert_default();
        match lane {
            Lane::Control => waiting.control_bytes += news.frame.len(),
            Lane::Data => waiting.data_bytes += news.frame.len(),
        }
        waiting.publications_count += news.cargo.total();
        waiting.frames.push_back(Frame::of(lane, news));
        Push::Queued
    }

    /// From here on what channels say waits for `release`.
    pub fn hold(&mut self) {
        self.waiting.get_or_insert_default().held.get_or_insert_default();
    }

    /// Takes what a channel says: as `push` to the data lane, unless the outbox
    /// is on hold.
    pub fn push_news(&mut self, news: News, limits: Limits) -> Push {
        let pushed = self.put(Lane::Data, news, limits);
        if pushed == Push::Queued
            && let Some(waiting) = &mut self.waiting
            && let Some(held) = &mut waiting.held
        {
            held.push_back(waiting.frames.pop_back().expect("it was just pushed").news());
        }
        pushed
    }

    /// What was held follows what waits.
    pub fn release(&mut self) {
        let Some(waiting) = &mut self.waiting else { return };
        let held = waiting.held.take().unwrap_or_default();
        waiting.frames.extend(held.into_iter().map(|news| Frame::of(Lane::Data, news)));
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

    /// The next send: everything that waits, in one piece, up to a bound. Nothing
    /// while one is in flight. Of several frames that are followed the first is
    /// followed on; the others leave with it, and `left` names who followed them.
    pub fn next_send(&mut self, left: &mut Left) -> Option<Send> {
        if self.in_flight_bytes != 0 {
            return None;
        }
        let waiting = self.waiting.as_mut()?;
        let Some(first) = waiting.pop() else {
            assert!(waiting.held.is_some(), "an outbox without frames is None");
            return None;
        };
        let News { frame, cargo, round } =
            if waiting.fits(&first) { waiting.gather(&first, left) } else { first };
        if waiting.frames.is_empty() && waiting.held.is_none() {
            debug_assert_eq!(waiting.data_bytes + waiting.control_bytes, 0);
            debug_assert_eq!(waiting.publications_count, 0);
            self.waiting = None;
        }
        self.in_flight_bytes = u32::try_from(frame.len()).expect("frames are bounded far below");
        self.in_flight = cargo;
        Some(Send { bytes: frame, round })
    }

    /// The short way for a frame when nothing waits: it becomes the send in
    /// flight without touching the queue.
    pub fn send_at_once(&mut self, frame: Bytes, cargo: Cargo) -> Bytes {
        assert!(self.is_idle(), "what waits goes first");
        self.in_flight_bytes = u32::try_from(frame.len()).expect("frames are bounded far below");
        self.in_flight = cargo;
        frame
    }

    /// The send in flight has left, with this in it.
    pub fn sent(&mut self) -> Cargo {
        assert!(self.in_flight_bytes != 0, "the plane finishes what was given to it");
        self.in_flight_bytes = 0;
        std::mem::take(&mut self.in_flight)
    }

    /// Forgets what is held; the reader will never know what it is about.
    pub fn forget_held(&mut self, left: &mut Left) {
        let Some(waiting) = &mut self.waiting else { return };
        for news in waiting.held.take().unwrap_or_default() {
            waiting.data_bytes -= news.frame.len();
            waiting.publications_count -= news.cargo.total();
            left.lose(&news);
        }
        if waiting.frames.is_empty() {
            self.waiting = None;
        }
    }

    /// Forgets what waits (not what is in flight): a slow reader is told so
    /// instead of being fed.
    pub fn clear(&mut self, left: &mut Left) {
        let Some(waiting) = self.waiting.take() else { return };
        let frames = waiting.frames.into_iter().map(Frame::news);
        frames.chain(waiting.held.into_iter().flatten()).for_each(|news| left.lose(&news));
    }

    /// The connection is gone, and what was in flight with it.
    pub fn abandon(&mut self, left: &mut Left) {
        self.clear(left);
        left.lose_cargo(std::mem::take(&mut self.in_flight));
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

impl Left {
    /// Whether somebody need not wait any more.
    pub fn has_rounds(&self) -> bool {
        !self.rounds.is_empty()
    }

    /// Takes who need not wait any more.
    pub fn take_rounds(&mut self) -> impl Iterator<Item = RoundId> {
        self.rounds.drain(..)
    }

    /// Takes how many publications are lost, by chat type.
    pub fn take_lost(&mut self) -> [u64; 3] {
        std::mem::take(&mut self.lost)
    }

    /// Gives back what a turn with very much to do has left.
    pub fn trim(&mut self) {
        trim_list(&mut self.rounds);
    }

    fn lose(&mut self, news: &News) {
        self.lose_cargo(news.cargo);
        if news.round != RoundId::NOBODY {
            self.rounds.push(news.round);
        }
    }

    /// These will not leave.
    pub fn lose_cargo(&mut self, cargo: Cargo) {
        let counts = self.lost.iter_mut().zip(cargo.counts());
        counts.for_each(|(lost, count)| *lost += u64::from(count));
    }
}

impl Frame {
    fn of(lane: Lane, News { frame: bytes, cargo, round }: News) -> Frame {
        Frame { bytes, cargo, round, lane }
    }

    fn news(self) -> News {
        News { frame: self.bytes, cargo: self.cargo, round: self.round }
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<News> {
        let frame = self.frames.pop_front()?;
        let lane = frame.lane;
        let news = frame.news();
        match lane {
            Lane::Control => self.control_bytes -= news.frame.len(),
            Lane::Data => self.data_bytes -= news.frame.len(),
        }
        self.publications_count -= news.cargo.total();
        Some(news)
    }

    /// Whether the next frame can leave together with this one.
    fn fits(&self, one: &News) -> bool {
        self.frames.front().is_some_and(|next| {
            one.frame.len() + next.bytes.len() <= GATHERED_BYTES_MAX
                && one.cargo.plus(next.cargo).is_some()
        })
    }

    /// Copying is cheap beside a send: 0.04 us for a small frame against 5 us.
    fn gather(&mut self, first: &News, left: &mut Left) -> News {
        let queued = self.data_bytes + self.control_bytes + first.frame.len();
        let mut together = BytesMut::with_capacity(queued.min(GATHERED_BYTES_MAX));
        together.extend_from_slice(&first.frame);
        let News { mut cargo, mut round, .. } = *first;
        while let Some(next) = self.frames.front()
            && together.len() + next.bytes.len() <= GATHERED_BYTES_MAX
            && let Some(sum) = cargo.plus(next.cargo)
        {
            let next = self.pop().expect("it is the front");
            together.extend_from_slice(&next.frame);
            cargo = sum;
            if round == RoundId::NOBODY {
                round = next.round;
            } else if next.round != RoundId::NOBODY {
                left.rounds.push(next.round);
            }
        }
        News { frame: together.freeze(), cargo, round }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;
    use crate::metrics::ChatType;

    const LIMITS: Limits = Limits { data_bytes_max: 100, control_bytes_max: 10 };

    /// What leaves next.
    fn next(outbox: &mut Outbox) -> Option<Bytes> {
        outbox.next_send(&mut Left::default()).map(|send| send.bytes)
    }

    fn news(frame: Bytes, chat_type: ChatType, count: u64, round: u16) -> News {
        News { frame, cargo: Cargo::of(chat_type, count), round: RoundId(round) }
    }

    #[test]
    fn everything_that_waits_leaves_in_one_send() {
        let mut outbox = Outbox::default();
        for text in [&b"ab"[..], b"c", b"def"] {
            assert_eq!(outbox.push(Lane::Data, Bytes::from_static(text), LIMITS), Push::Queued);
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
        assert_eq!(outbox.push(Lane::Data, frame(100), LIMITS), Push::Queued);
        assert_eq!(outbox.push(Lane::Data, frame(1), LIMITS), Push::Full);
        assert_eq!(outbox.push(Lane::Control, frame(10), LIMITS), Push::Queued);
        assert_eq!(outbox.push(Lane::Control, frame(1), LIMITS), Push::Full);
        assert_eq!(outbox.bytes(), 110);
        assert_eq!(next(&mut outbox).map(|send| send.len()), Some(110));
        assert_eq!(outbox.push(Lane::Data, frame(1), LIMITS), Push::Full, "in flight counts");
    }

    #[test]
    fn an_empty_outbox_takes_one_large_frame_uncopied() {
        let mut outbox = Outbox::default();
        let large = Bytes::from(vec![b'x'; GATHERED_BYTES_MAX + 1]);
        assert_eq!(outbox.push(Lane::Data, large.clone(), LIMITS), Push::Queued);
        assert_eq!(next(&mut outbox).map(|send| send.as_ptr()), Some(large.as_ptr()));
    }

    #[test]
    fn what_is_held_leaves_behind_what_it_was_held_for() {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let mut outbox = Outbox::default();
        outbox.hold();
        assert!(!outbox.is_idle() && !outbox.is_ready());
        assert_eq!(
            outbox.push_news(news(text("later"), ChatType::Group, 1, 1), LIMITS),
            Push::Queued
        );
        assert_eq!((next(&mut outbox), outbox.bytes()), (None, 5));
        assert_eq!(outbox.push(Lane::Control, text("first "), LIMITS), Push::Queued);
        outbox.release();
        assert_eq!(next(&mut outbox).as_deref(), Some(&b"first later"[..]));
        outbox.sent();
        assert!(outbox.is_idle());

        outbox.hold();
        assert_eq!(
            outbox.push_news(news(text("never"), ChatType::Group, 2, 1), LIMITS),
            Push::Queued
        );
        assert_eq!(outbox.publications_count(), 2);
        let mut left = Left::default();
        outbox.forget_held(&mut left);
        assert!(outbox.is_idle() && outbox.bytes() == 0);
        assert_eq!(
            (left.lost, left.rounds, outbox.publications_count()),
            ([0, 2, 0], vec![RoundId(1)], 0)
        );
    }

    #[test]
    fn the_first_that_is_followed_is_followed_on_and_the_others_are_told() {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let mut outbox = Outbox::default();
        let _ = outbox.push(Lane::Control, text("re"), LIMITS);
        for (round, chat_type) in [(4, ChatType::OneToOne), (5, ChatType::Group)] {
            let pushed = outbox.push_news(news(text("x"), chat_type, 3, round), LIMITS);
            assert_eq!(pushed, Push::Queued);
        }
        let mut left = Left::default();
        let send = outbox.next_send(&mut left).unwrap();
        assert_eq!((&*send.bytes, send.round), (&b"rexx"[..], RoundId(4)));
        assert_eq!((left.rounds, left.lost), (vec![RoundId(5)], [0; 3]));
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
            let one = news(frame.clone(), chat_type, count, 0);
            assert_eq!(outbox.push_news(one, LIMITS), Push::Queued);
        }
        assert_eq!(next(&mut outbox).map(|send| send.len()), Some(1));
        assert_eq!(outbox.sent().total(), 1);
        assert_eq!(next(&mut outbox).map(|send| send.len()), Some(1));
        assert_eq!(outbox.sent().total(), 2_000);
    }

    /// Counts beside the outbox: what was pushed, left, is lost and is still there.
    #[test]
    fn every_publication_leaves_or_is_lost() {
        for seed in 0..200 {
            let mut prng = Prng::from_seed(seed);
            let (mut outbox, mut left) = (Outbox::default(), Left::default());
            let (mut pushed, mut sent) = ([0u64; 3], [0u64; 3]);
            for _ in 0..200 {
                match prng.below(10) {
                    0..5 => {
                        let chat_type = ChatType::ALL[prng.below(3) as usize];
                        let count = prng.below(700);
                        let frame = Bytes::from(vec![b'x'; 1 + prng.below(30) as usize]);
                        let one = news(frame, chat_type, count, 0);
                        if outbox.push_news(one, LIMITS) == Push::Queued {
                            pushed[chat_type as usize] += count;
                        }
                    }
                    5 => outbox.hold(),
                    6 => outbox.release(),
                    7 => outbox.forget_held(&mut left),
                    8 if prng.percent(10) => outbox.clear(&mut left),
                    9 if prng.percent(10) => outbox.abandon(&mut left),
                    _ if outbox.in_flight_bytes != 0 => {
                        let counts = outbox.sent().counts();
                        sent.iter_mut().zip(counts).for_each(|(sum, one)| *sum += u64::from(one));
                    }
                    _ => drop(outbox.next_send(&mut left)),
                }
                let gone: u64 = sent.iter().chain(&left.lost).sum();
                let all: u64 = pushed.iter().sum();
                assert_eq!(all, gone + outbox.publications_count(), "seed {seed}");
            }
            outbox.abandon(&mut left);
            let gone = sent.into_iter().zip(left.lost).map(|(sent, lost)| sent + lost);
            assert_eq!(gone.collect::<Vec<_>>(), pushed, "seed {seed}");
        }
    }

    /// A plain list of bytes beside the outbox.
    #[test]
    fn bytes_leave_in_the_order_they_came() {
        for seed in 0..100 {
            let mut prng = Prng::from_seed(seed);
            let (mut outbox, mut given, mut left) = (Outbox::default(), Vec::new(), Vec::new());
            for step in 0..300u32 {
                if prng.percent(60) {
                    let frame = vec![step as u8; 1 + prng.below(40) as usize];
                    let lane = if prng.percent(20) { Lane::Control } else { Lane::Data };
                    if outbox.push(lane, Bytes::from(frame.clone()), LIMITS) == Push::Queued {
                        given.extend_from_slice(&frame);
                    }
                } else if let Some(send) = next(&mut outbox) {
                    left.extend_from_slice(&send);
                } else if !outbox.is_idle() {
                    outbox.sent();
                }
            }
            if !outbox.is_idle() && !outbox.is_ready() {
                outbox.sent();
            }
            while let Some(send) = next(&mut outbox) {
                left.extend_from_slice(&send);
                outbox.sent();
            }
            assert_eq!(given, left, "seed {seed}");
        }
    }
}
