//! A pair of bridges that get the same notifications: both queue everything, and one of them sends.
//! Each polls the notification log of the other every few seconds.
//!
//! Each chat has a turn: a number that only the bridge which has the turn increases; even numbers
//! belong to the first bridge. A bridge that cannot reach any robot of a chat for `takeover_s`
//! passes the turn, so where neither can, they try alternately, and the first that succeeds goes
//! on. The bridge without the turn sends when the other one has not answered for `takeover_s`. When
//! they cannot reach each other, both send: twice rather than never.
//!
//! Invariants: while they reach each other, at most one has the turn of a chat; an alert that only
//! one of them got is sent by it, after `takeover_s`.
//!
//! Deliberately absent: a shared disk, and a vote. Both have the same routes and chats.

use std::collections::{BTreeMap, BTreeSet};

use super::pair_messages::{PairAnswer, PairQuestion, PairRole};
use super::senders::ChatFailure;
use super::watchdog::SILENT_KEY;
use crate::alert::model::pending::{ChatQueue, QueuedAlerts};
use crate::alert::options::Options;
use crate::base::{MonotonicMs, Timestamps};

/// Consecutive polls without an answer after which the other one counts as down.
const FAILURES_MAX: u32 = 2;

/// Most chat queues of one answer; the rest comes with the next one.
pub(super) const CHAT_QUEUES_MAX: usize = 500;

/// The largest turn number, which is never reached.
const TURN_MAX: u64 = 1 << 53;

/// Time between two polls, in ms.
pub const ASK_MS: u64 = 2_000;

/// The turn of a chat.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    number: u64,
    /// The time at which this bridge learned of it.
    since: MonotonicMs,
}

/// The state of the other bridge, as far as it is known here.
#[derive(Debug)]
pub(super) struct Pair {
    heard: Option<MonotonicMs>,
    began: Timestamps,
    failures: u32,
    since_ms: u64,
    is_behind: bool,
    under_way: BTreeSet<ChatQueue>,
    role: Option<PairRole>,
    turns: BTreeMap<String, Turn>,
    waiting: Option<BTreeSet<u64>>,
}

impl Pair {
    /// Nothing is known of the other one yet.
    pub(super) fn new(now: Timestamps) -> Pair {
        Pair {
            heard: None,
            began: now,
            failures: 0,
            since_ms: 0,
            is_behind: true,
            under_way: BTreeSet::new(),
            role: None,
            turns: BTreeMap::new(),
            waiting: None,
        }
    }

    /// The next poll.
    pub(super) fn question(&self) -> PairQuestion {
        PairQuestion { since_ms: self.since_ms }
    }

    /// Time since its last answer, in ms.
    fn silent_ms(&self, now: Timestamps) -> u64 {
        now.tick.ms_since(self.heard.unwrap_or(self.began.tick))
    }

    fn is_gone(&self) -> bool {
        self.failures >= FAILURES_MAX
    }

    /// Whether its notification log is known up to a moment ago. A bridge that has slept polls
    /// before it sends.
    fn is_known(&self, now: Timestamps) -> bool {
        self.heard.is_some() && self.silent_ms(now) <= 3 * ASK_MS && !self.is_behind
    }

    /// The role of this bridge.
    pub(super) fn role(&self, options: &Options) -> PairRole {
        PairRole { is_first: options.peer_first, began_ms: self.began.unix_ms }
    }

    /// Whether even turns belong to this bridge. When both, or neither, are configured as the first
    /// one, it is the one that has run for longer.
    fn is_first(&self, options: &Options) -> bool {
        let mine = self.role(options);
        match self.role {
            Some(other) if other.is_first == mine.is_first => mine.began_ms <= other.began_ms,
            Some(_) | None => mine.is_first,
        }
    }

    /// Whether this bridge has the turn of a chat.
    pub(super) fn has_turn(&self, options: &Options, chat: &str) -> bool {
        let number = self.turns.get(chat).map_or(0, |turn| turn.number);
        number.is_multiple_of(2) == self.is_first(options)
    }

    /// Whether this bridge may send to a chat.
    pub(super) fn may_send(&self, now: Timestamps, options: &Options, chat: &str) -> bool {
        if options.peer_url.is_empty() {
            return true;
        }
        match self.has_turn(options, chat) {
            true => self.is_gone() || self.is_known(now),
            false => self.is_gone() && self.silent_ms(now) >= options.takeover_s * 1_000,
        }
    }

    /// Whether the other bridge has a message of this chat queue in flight.
    pub(super) fn is_sent_by_other(&self, chat_queue: &ChatQueue) -> bool {
        !self.is_gone() && self.under_way.contains(chat_queue)
    }

    /// Whether an alert has been pending here for so long that the other bridge, which has the
    /// turn, did not get it: then only this one can send it. A watchdog that is silent for one of
    /// them does not count while the other one hears it.
    pub(super) fn is_unknown_to_other(
        &self,
        now: Timestamps,
        options: &Options,
        chat_queue: &ChatQueue,
        pending: &QueuedAlerts,
    ) -> bool {
        let Some(waiting) = &self.waiting else { return false };
        let waited_ms = now.unix_ms.saturating_sub(pending.since_ms);
        waited_ms >= options.takeover_s * 1_000
            && !self.is_gone()
            && self.is_known(now)
            && chat_queue.group_key != SILENT_KEY
            && !waiting.contains(&hash(chat_queue))
    }

    /// Whether turns can be passed: the other bridge is up, and supports turns.
    pub(super) fn can_pass(&self, now: Timestamps, options: &Options) -> bool {
        let is_heard = !self.is_gone() && self.is_known(now);
        !options.peer_url.is_empty() && is_heard && self.role.is_some()
    }

    /// Whether no robot of a chat was reached since this turn began, for so long that the other
    /// bridge should try.
    pub(super) fn is_unable(
        &self,
        now: Timestamps,
        options: &Options,
        chat: &str,
        failing: ChatFailure,
    ) -> bool {
        let begun = self.turns.get(chat).map_or(MonotonicMs(0), |turn| turn.since);
        let patience_ms = options.takeover_s * 1_000;
        failing.last >= begun && now.tick.ms_since(failing.since.max(begun)) >= patience_ms
    }

    /// Passes the turn of a chat to the other bridge.
    pub(super) fn pass_turn(&mut self, now: Timestamps, chat: &str) {
        let turn = self.turns.entry(chat.to_owned()).or_default();
        *turn = Turn { number: turn.number + 1, since: now.tick };
    }

    /// The turn numbers of chats whose turn was passed at least once.
    pub(super) fn turns(&self) -> BTreeMap<String, u64> {
        let turns = self.turns.iter().filter(|(_, turn)| turn.number > 0);
        turns.map(|(chat, turn)| (chat.clone(), turn.number)).collect()
    }

    /// A poll has failed. When the other one counts as down by that, returns its chat queues with a
    /// message in flight, which may have been delivered.
    pub(super) fn fail(&mut self) -> BTreeSet<ChatQueue> {
        self.failures = self.failures.saturating_add(1);
        match self.failures == FAILURES_MAX {
            true => std::mem::take(&mut self.under_way),
            false => BTreeSet::new(),
        }
    }

    /// A poll was answered.
    pub(super) fn on_answer(&mut self, now: Timestamps, answer: &mut PairAnswer) {
        self.failures = 0;
        self.heard = Some(now.tick);
        // The answer may be as old as the poll.
        self.is_behind = answer.more;
        self.since_ms = match answer.more {
            true => answer.until_ms,
            false => answer.until_ms.saturating_sub(ASK_MS),
        };
        self.under_way = std::mem::take(&mut answer.under_way).into_iter().collect();
        self.waiting = answer.waiting.take();
    }

    /// Takes its role. True when that has changed, and is the same as this bridge's.
    pub(super) fn on_role(&mut self, options: &Options, role: Option<PairRole>) -> bool {
        let is_same = role.is_some_and(|role| role.is_first == options.peer_first);
        let is_news = is_same && self.role != role;
        self.role = role;
        is_news
    }

    /// Takes the turn number of a chat. True when this bridge gets the turn by it.
    pub(super) fn on_turn(
        &mut self,
        now: Timestamps,
        options: &Options,
        chat: &str,
        number: u64,
    ) -> bool {
        let known = self.turns.get(chat).map_or(0, |turn| turn.number);
        if number > TURN_MAX || number <= known || options.channel(chat).is_none() {
            return false;
        }
        self.turns.insert(chat.to_owned(), Turn { number, since: now.tick });
        self.has_turn(options, chat)
    }
}

/// The hash of a chat queue in an answer.
pub(super) fn hash(chat_queue: &ChatQueue) -> u64 {
    let mut bytes = Vec::new();
    for text in [&chat_queue.route, &chat_queue.chat, &chat_queue.group_key] {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0xff); // in no UTF-8
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
