//! The stream of a room whose messages are on disk, as its home knows it: how much is known,
//! the newest messages in memory, and what the store was given and has not answered.
//!
//! Deliberately absent: requests to the store and what follows from its answers (`storing`),
//! and older messages, which are read for whoever asks (`reading`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::letter::{Ask, Asker, Voice};
use super::way::Way;
use super::window::Window;
use crate::base::{ConnId, Moment, ShardId, Tick};
use crate::store::{Opened, Ticket};
use crate::wire::{Epoch, Publication};

/// The stream of a room whose messages are on disk: its end in memory, and what
/// the store was given and has not answered.
///
/// Invariants: the offsets in `pending` follow the window's head without a hole;
/// nothing is pending unless the phase is `Open`; nothing waits when it is.
#[derive(Debug)]
pub struct Kept {
    phase: Phase,
    window: Window,
    /// The lowest offset that was on disk when the room was read.
    first: u64,
    /// How often the store had lost what was not synced, then.
    losses_count: u32,
    /// Whether the store knows the channel, or was told of it.
    pub born: bool,
    pending: VecDeque<Pending>,
    /// Messages that those in `pending` take back, and the places of these.
    retracting: BTreeMap<u64, u64>,
    /// Direct messages that were given up: whom they are for, if the store kept them.
    doubtful: Vec<(u64, Voice)>,
    waiting: Vec<(ShardId, Ask)>,
    /// Retractions whose message is being read, in the order in which they came.
    retraction_reads: Vec<RetractionRead>,
    /// Reads of the store that are under way for this room.
    pub readings_count: u32,
}

/// How much is known of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing, or nothing certain; the store may be asked from then on.
    Closed {
        /// It failed a moment ago.
        again_at: Tick,
    },
    /// The store is asked.
    Opening,
    /// All.
    Open,
}

/// A message that the store was given.
#[derive(Debug)]
pub struct Pending {
    /// The request.
    pub ticket: Ticket,
    /// The message.
    pub publication: Arc<Publication>,
    /// Of a retraction: what is left of the message that it takes back.
    pub retracts: Option<Arc<Publication>>,
    /// How it was said.
    pub voice: Voice,
    /// What was measured of it.
    pub way: Way,
    /// When the store was given it.
    pub given_at: Moment,
    /// Who wait for it: its author, and again, when it was sent twice.
    pub askers: Vec<(ShardId, Asker)>,
    /// What these asked of the room behind it, and want to find it done.
    pub behind: Vec<(ShardId, Ask)>,
}

/// A retraction whose message is being read.
#[derive(Debug)]
struct RetractionRead {
    /// Who asked for it.
    by: (ShardId, Asker),
    /// What the same connection asked behind it, and wants to find it done.
    behind: Vec<(ShardId, Ask)>,
}

impl Pending {
    /// Whether this connection waits for it.
    pub fn is_said_by(&self, shard: ShardId, conn: ConnId) -> bool {
        self.askers.iter().any(|(on, asker)| *on == shard && asker.conn == conn)
    }
}

impl Kept {
    /// Nothing is known yet; `epoch` counts if the store knows nothing either.
    pub fn new(epoch: Epoch) -> Kept {
        Kept {
            phase: Phase::Closed { again_at: Tick(0) },
            window: Window::new(epoch),
            first: 1,
            losses_count: 0,
            born: false,
            pending: VecDeque::new(),
            retracting: BTreeMap::new(),
            doubtful: Vec::new(),
            waiting: Vec::new(),
            retraction_reads: Vec::new(),
            readings_count: 0,
        }
    }

    /// How much is known.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What is in memory of it, whatever the phase.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The same, to change.
    pub fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }

    /// The lowest offset that may be on disk.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The store is asked.
    pub fn begin_opening(&mut self) {
        assert!(matches!(self.phase, Phase::Closed { .. }), "it is asked once");
        assert!(self.pending.is_empty(), "what the store was given is answered first");
        self.phase = Phase::Opening;
    }

    /// The store did not look, and is asked again at once.
    pub fn begin_anew(&mut self) {
        assert_eq!(self.phase, Phase::Opening, "the store was asked");
        self.phase = Phase::Closed { again_at: Tick(0) };
    }

    /// The store answered. Returns the messages that nobody here has heard of: what
    /// the store had kept when it said that it could not; `None` when it does not keep
    /// all of them any more. `fresh` is the epoch of a stream that begins anew.
    pub fn open(
        &mut self,
        opened: Option<Opened>,
        losses_count: u32,
        fresh: Epoch,
    ) -> Option<Vec<Arc<Publication>>> {
        assert_eq!(self.phase, Phase::Opening, "it was asked");
        self.phase = Phase::Open;
        self.losses_count = losses_count;
        let Some(opened) = opened else {
            // It may have been told, and have lost it.
            self.born = false;
            if self.window.is_silent() {
                return Some(Vec::new());
            }
            (self.window, self.first) = (Window::new(fresh), 1);
            return None;
        };
        let heard_of = if self.born { self.window.position().offset } else { opened.head };
        self.born = true;
        self.first = opened.first;
        self.window =
            Window::restored(opened.epoch, opened.born_unix_ms, opened.head, &opened.tail);
        let is_news = |message: &Arc<Publication>| heard_of < message.offset;
        let news: Vec<_> = opened.tail.into_iter().filter(is_news).collect();
        (heard_of + news.len() as u64 == opened.head).then_some(news)
    }

    /// It is not known any more what the store has. Returns what it was given, and
    /// who wait for the stream to be known.
    pub fn close(&mut self, again_at: Tick) -> (Vec<Pending>, Vec<(ShardId, Ask)>) {
        self.phase = Phase::Closed { again_at };
        let letters = self.pending.iter().filter(|one| matches!(one.voice, Voice::Send { .. }));
        self.doubtful.extend(letters.map(|one| (one.publication.offset, one.voice)));
        self.retracting.clear();
        (self.pending.drain(..).collect(), std::mem::take(&mut self.waiting))
    }

    /// Whether direct messages wait for the store to say whether it kept them.
    pub fn is_in_doubt(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// The direct messages that were given up, by offset.
    pub fn take_doubtful(&mut self) -> Vec<(u64, Voice)> {
        std::mem::take(&mut self.doubtful)
    }

    /// The offset that the next message gets.
    pub fn next_offset(&self) -> u64 {
        self.window.next_offset() + self.pending.len() as u64
    }

    /// Gives a message to the store.
    pub fn give(&mut self, pending: Pending) {
        assert_eq!(self.phase, Phase::Open, "only what is known goes on");
        assert_eq!(pending.publication.offset, self.next_offset(), "offsets are consecutive");
        if let Some(left) = &pending.retracts {
            self.retracting.insert(left.offset, pending.publication.offset);
        }
        self.pending.push_back(pending);
    }

    /// The pending message that takes back the one with this offset, if there is one.
    pub fn retraction_of(&mut self, offset: u64) -> Option<&mut Pending> {
        let place = *self.retracting.get(&offset)?;
        self.pending_at(place)
    }

    /// The pending message with this offset, if it is one.
    pub fn pending_at(&mut self, offset: u64) -> Option<&mut Pending> {
        let index = offset.checked_sub(self.window.next_offset())?;
        self.pending.get_mut(usize::try_from(index).ok()?)
    }

    /// What waits for the latest that this connection changes. Retractions whose message is
    /// being read come first: they are given to the store behind all that it has.
    pub fn behind_latest(
        &mut self,
        shard: ShardId,
        conn: ConnId,
    ) -> Option<&mut Vec<(ShardId, Ask)>> {
        let mut reads = self.retraction_reads.iter_mut().rev();
        if let Some(read) = reads.find(|read| (read.by.0, read.by.1.conn) == (shard, conn)) {
            return Some(&mut read.behind);
        }
        let mut pending = self.pending.iter_mut().rev();
        let latest = pending.find(|pending| pending.is_said_by(shard, conn))?;
        Some(&mut latest.behind)
    }

    /// What waits for this command, if it is not done.
    pub fn behind(&mut self, by: &(ShardId, Asker)) -> Option<&mut Vec<(ShardId, Ask)>> {
        if let Some(read) = self.retraction_reads.iter_mut().find(|read| read.by == *by) {
            return Some(&mut read.behind);
        }
        let mut pending = self.pending.iter_mut().rev();
        Some(&mut pending.find(|pending| pending.askers.contains(by))?.behind)
    }

    /// The message of a retraction is being read.
    pub fn begin_retraction_read(&mut self, by: (ShardId, Asker)) {
        self.retraction_reads.push(RetractionRead { by, behind: Vec::new() });
    }

    /// It has been read, or will not be. Returns what waits for that.
    pub fn end_retraction_read(&mut self, by: (ShardId, Asker)) -> Vec<(ShardId, Ask)> {
        let index = self.retraction_reads.iter().position(|read| read.by == by);
        let index = index.expect("what ends has begun");
        self.retraction_reads.remove(index).behind
    }

    /// The store has the message of this request; `None` when it was given up before.
    pub fn take_kept(&mut self, ticket: Ticket) -> Option<Pending> {
        let taken = self.pending.pop_front_if(|pending| pending.ticket == ticket)?;
        if let Some(left) = &taken.retracts {
            self.retracting.remove(&left.offset);
        }
        Some(taken)
    }

    /// Whether the message of this request is still pending.
    pub fn is_pending(&self, ticket: Ticket) -> bool {
        self.pending.iter().any(|pending| pending.ticket == ticket)
    }

    /// How often the store had lost what was not synced when the room was read.
    pub fn losses_count(&self) -> u32 {
        self.losses_count
    }

    /// When the first message of the stream was said, or is being said: that of the one
    /// to be given next, if it is the first.
    pub fn born_unix_ms(&self, next: &Publication) -> u64 {
        let first = self.pending.front().map_or(next, |pending| &pending.publication);
        if self.window.is_silent() { first.time_unix_ms } else { self.window.born_unix_ms() }
    }

    /// When the message was said with which the silence ends, if the store was given it.
    pub fn silent_until_unix_ms(&self) -> Option<u64> {
        self.pending.front().map(|first| first.publication.time_unix_ms)
    }

    /// Whether it is certain that nothing was said, and nothing is being said.
    pub fn is_silent(&self) -> bool {
        let is_open = self.phase == Phase::Open && !self.is_in_doubt();
        is_open && self.window.is_silent() && self.is_at_rest()
    }

    /// Lets an ask wait for the stream to be known.
    pub fn wait(&mut self, from: ShardId, ask: Ask) {
        self.waiting.push((from, ask));
    }

    /// Who wait for the stream to be known, in the order in which they came.
    pub fn waiting(&self) -> impl Iterator<Item = &(ShardId, Ask)> {
        self.waiting.iter()
    }

    /// Takes all who wait for the stream to be known.
    pub fn take_waiting(&mut self) -> Vec<(ShardId, Ask)> {
        std::mem::take(&mut self.waiting)
    }

    /// Whether nothing is under way.
    pub fn is_at_rest(&self) -> bool {
        self.phase != Phase::Opening && self.pending.is_empty() && self.readings_count == 0
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::Payload;

    fn message(offset: u64) -> Arc<Publication> {
        let data = Payload { bytes: Bytes::from_static(b"{}"), is_json: true };
        let (info, chan_info, tags, trace) = (None, None, Vec::new(), None);
        Arc::new(Publication { offset, data, info, chan_info, tags, time_unix_ms: 1, trace })
    }

    fn pending(offset: u64) -> Pending {
        let asker = Asker { id: 1, ..Asker::NOBODY };
        Pending {
            ticket: Ticket(offset as u32),
            publication: message(offset),
            retracts: None,
            voice: Voice::Publish,
            way: crate::room::way(),
            given_at: Moment(0),
            askers: vec![(ShardId(0), asker)],
            behind: Vec::new(),
        }
    }

    fn opened(head: u64, tail: std::ops::RangeInclusive<u64>) -> Option<Opened> {
        let tail = tail.map(message).collect();
        let born_unix_ms = 1;
        Some(Opened { epoch: Epoch(3), born_unix_ms, head, first: 1, tail, ids: Vec::new() })
    }

    fn kept(answer: Option<Opened>) -> Kept {
        let mut kept = Kept::new(Epoch(9));
        kept.begin_opening();
        assert_eq!(
            kept.open(answer, 0, Epoch(8)),
            Some(Vec::new()),
            "nobody here waited for old messages"
        );
        kept
    }

    #[test]
    fn a_stream_goes_on_where_the_store_says() {
        assert_eq!(kept(None).window().position().epoch, Epoch(9));
        let kept = kept(opened(5, 4..=5));
        assert_eq!((kept.window().position().epoch, kept.next_offset()), (Epoch(3), 6));
    }

    #[test]
    fn messages_are_kept_in_their_order() {
        let mut kept = kept(opened(5, 5..=5));
        kept.give(pending(6));
        kept.give(pending(7));
        assert_eq!(kept.next_offset(), 8);
        assert!(kept.pending_at(5).is_none() && kept.pending_at(8).is_none());
        assert_eq!(kept.pending_at(7).map(|one| one.publication.offset), Some(7));
        assert!(kept.take_kept(Ticket(7)).is_none(), "not before the first");
        assert!(kept.take_kept(Ticket(6)).is_some());
    }

    #[test]
    fn what_the_store_kept_in_spite_of_its_word_is_news() {
        let mut kept = kept(opened(5, 5..=5));
        kept.give(pending(6));
        kept.give(pending(7));
        let (given, _) = kept.close(Tick(9));
        assert_eq!(given.len(), 2);
        kept.begin_opening();
        let news = kept.open(opened(6, 5..=6), 0, Epoch(8)).unwrap();
        assert_eq!(news.iter().map(|one| one.offset).collect::<Vec<_>>(), [6]);
        assert_eq!(kept.next_offset(), 7);
    }

    #[test]
    fn news_with_a_hole_before_them_are_none() {
        for first in [8, 9] {
            let mut kept = kept(opened(5, 5..=5));
            kept.close(Tick(9));
            kept.begin_opening();
            assert_eq!(kept.open(opened(8, first..=8), 0, Epoch(8)), None);
            assert_eq!(kept.next_offset(), 9);
        }
    }

    #[test]
    fn a_channel_that_the_store_lost_is_born_again() {
        let mut kept = kept(None);
        kept.born = true;
        kept.give(pending(1));
        kept.close(Tick(0));
        kept.begin_opening();
        assert_eq!(kept.open(None, 0, Epoch(8)), Some(Vec::new()));
        assert!(!kept.born && kept.next_offset() == 1);
    }

    #[test]
    fn a_stream_that_the_store_does_not_know_any_more_begins_anew() {
        let mut kept = kept(opened(5, 5..=5));
        kept.close(Tick(0));
        kept.begin_opening();
        assert_eq!(kept.open(None, 0, Epoch(8)), None, "its members have to hear of it");
        assert_eq!(kept.window().position(), crate::wire::Position { offset: 0, epoch: Epoch(8) });
        assert!(kept.is_silent() && !kept.born);
    }

    #[test]
    fn the_first_message_of_a_channel_may_be_news_too() {
        let mut kept = kept(None);
        kept.born = true;
        kept.give(pending(1));
        kept.close(Tick(0));
        kept.begin_opening();
        let news = kept.open(opened(1, 1..=1), 0, Epoch(8)).unwrap();
        assert_eq!(news.len(), 1);
    }
}
