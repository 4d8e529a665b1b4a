//! The lanes between the cores of a world: the server's own, and before each of them a way
//! on which messages are late.
//!
//! A message is on its way until it is due and its lane has room. So the lanes of a world are
//! full, and are read in the middle of a batch, when a core takes less than has come.
//!
//! Invariants: messages arrive in the order in which they were sent; on each way and in each
//! lane sent = received + waiting, unless a mutation loses a message.
//!
//! Deliberately absent: what a lane does; `rookery::lane` is what ships.

use std::collections::VecDeque;

use rookery::base::limits::{LANE_BATCH_MESSAGES_MAX, LANE_BATCHES_MAX};
use rookery::base::{MonotonicMs, Prng, ShardId};
use rookery::lane::{self, LaneLimits, LaneSender, Mailbox};
use rookery::shard::ShardMessage;

use crate::scenario::LaneFaultProfile;
use crate::violation::{CheckResult, Checker, demand};

/// The bound of one lane, as in the server.
const NEIGHBOUR_LANE: LaneLimits =
    LaneLimits { batches_max: LANE_BATCHES_MAX, batch_items_max: LANE_BATCH_MESSAGES_MAX };

/// All lanes between the cores of a world.
pub struct CoreMesh {
    /// By writer, then reader.
    transits: Vec<Vec<Transit>>,
    /// The same; `None` where a core would write to itself.
    senders: Vec<Vec<Option<LaneSender<Posted>>>>,
    /// By reader.
    mailboxes: Vec<Mailbox<Posted>>,
}

/// The way to one lane.
#[derive(Default)]
struct Transit {
    messages: VecDeque<Posted>,
    /// Messages that the writer put in.
    sent_count: u64,
}

/// The lane from one core to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneId {
    /// The writer.
    pub from: usize,
    /// The reader.
    pub to: usize,
}

/// A message between two cores.
pub struct Posted {
    /// When it arrives.
    due: MonotonicMs,
    /// Its number in its lane, from 1.
    pub serial: u64,
    /// What it says.
    pub message: ShardMessage,
}

impl CoreMesh {
    /// Nothing is under way yet.
    pub fn new(cores_count: u16) -> CoreMesh {
        let (senders, mailboxes) = lane::mesh(cores_count, NEIGHBOUR_LANE).into_iter().unzip();
        let transits = (0..cores_count)
            .map(|_| (0..cores_count).map(|_| Transit::default()).collect())
            .collect();
        CoreMesh { transits, senders, mailboxes }
    }

    /// Cores that the lanes join.
    pub fn cores_count(&self) -> usize {
        self.mailboxes.len()
    }

    /// Sends messages from the front, as many as the world lets wait at a time.
    pub fn post(
        &mut self,
        lane: LaneId,
        now: MonotonicMs,
        fault_profile: LaneFaultProfile,
        prng: &mut Prng,
        messages: &mut Vec<ShardMessage>,
    ) {
        let LaneId { from, to } = lane;
        let room = fault_profile.messages_max.saturating_sub(self.len(from, to));
        let transit = &mut self.transits[from][to];
        let count = room.min(messages.len());
        for message in messages.drain(..count) {
            let due = now.plus_ms(prng.below(fault_profile.delay_ms_max + 1));
            // Never before what was posted earlier.
            let due = transit.messages.back().map_or(due, |before| due.max(before.due));
            transit.sent_count += 1;
            transit.messages.push_back(Posted { due, serial: transit.sent_count, message });
        }
    }

    /// The next message that has arrived.
    pub fn take(&mut self, from: usize, to: usize, now: MonotonicMs) -> Option<Posted> {
        self.arrive(from, to, now);
        let mut taken = None;
        self.mailboxes[to].take_from(from as u16, 1, &mut |posted| {
            taken = Some(posted);
            None
        });
        taken
    }

    /// Names the cores that found their lane to this one full, and may go on.
    pub fn name_unblocked(&mut self, to: usize, wake: &mut dyn FnMut(ShardId)) {
        self.mailboxes[to].name_unblocked(&mut |from| wake(ShardId(from)));
    }

    /// Messages of one lane that arrived.
    pub fn received_count(&self, from: usize, to: usize) -> u64 {
        self.mailboxes[to].received_count(from as u16)
    }

    /// Messages of all lanes that arrived.
    pub fn all_received_count(&self) -> u64 {
        self.pairs().map(|(from, to)| self.received_count(from, to)).sum()
    }

    /// Messages of all lanes that are under way.
    pub fn all_waiting_count(&self) -> usize {
        self.pairs().map(|(from, to)| self.len(from, to)).sum()
    }

    /// Messages on their way, by writer and reader.
    pub fn on_the_way(&self) -> impl Iterator<Item = (ShardId, ShardId, &ShardMessage)> {
        self.pairs().flat_map(|(from, to)| {
            let (writer, reader) = (ShardId(from as u16), ShardId(to as u16));
            let messages = &self.transits[from][to].messages;
            messages.iter().map(move |posted| (writer, reader, &posted.message))
        })
    }

    /// Copies of the messages that lie in lanes, by writer and reader.
    pub fn in_lanes(&mut self) -> Vec<(ShardId, ShardId, ShardMessage)> {
        let mut messages = Vec::new();
        for (reader, mailbox) in (0..).map(ShardId).zip(&mut self.mailboxes) {
            for writer in (0..self.transits.len() as u16).map(ShardId) {
                mailbox.show_waiting(writer.0, &mut |posted| {
                    messages.push((writer, reader, posted.message.clone()));
                });
            }
        }
        messages
    }

    /// Loses the message of one lane that would arrive next of those on their way; for
    /// mutations only.
    pub fn lose(&mut self, from: usize, to: usize) {
        self.transits[from][to].messages.pop_front();
    }

    /// Whether one would be lost.
    pub fn may_lose(&self, from: usize, to: usize) -> bool {
        !self.transits[from][to].messages.is_empty()
    }

    /// Nothing is lost, on no way and in no lane.
    pub fn check(&mut self) -> CheckResult {
        let pairs: Vec<(usize, usize)> = self.pairs().collect();
        for (from, to) in pairs {
            let Some(sender) = &self.senders[from][to] else { continue };
            let transit = &self.transits[from][to];
            let mut in_lane_count = 0;
            self.mailboxes[to].show_waiting(from as u16, &mut |_| in_lane_count += 1);
            let received_count = self.mailboxes[to].received_count(from as u16);
            balance(transit.sent_count, sender.sent_count(), transit.messages.len() as u64)?;
            balance(sender.sent_count(), received_count, in_lane_count)?;
        }
        Ok(())
    }

    /// Messages of one lane that are under way.
    fn len(&self, from: usize, to: usize) -> usize {
        let Some(sender) = &self.senders[from][to] else { return 0 };
        let in_lane_count = sender.sent_count() - self.received_count(from, to);
        self.transits[from][to].messages.len() + in_lane_count as usize
    }

    /// What is due goes into its lane, as far as there is room.
    fn arrive(&mut self, from: usize, to: usize, now: MonotonicMs) {
        let messages = &mut self.transits[from][to].messages;
        let Some(sender) = &mut self.senders[from][to] else { return };
        let due_count = messages.iter().take_while(|posted| posted.due <= now).count();
        let mut due: Vec<Posted> = messages.drain(..due_count).collect();
        sender.post(&mut due);
        for posted in due.into_iter().rev() {
            messages.push_front(posted);
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let cores_count = self.cores_count();
        (0..cores_count).flat_map(move |from| (0..cores_count).map(move |to| (from, to)))
    }
}

/// Sent = received + waiting.
fn balance(sent: u64, received: u64, waiting: u64) -> CheckResult {
    demand!(
        sent == received + waiting,
        Checker::Lanes,
        "{sent} sent, {received} received, {waiting} wait"
    )
}
