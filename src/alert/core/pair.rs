//! Two bridges side by side, fed by the same Alertmanagers: both keep everything, one
//! tells. Each asks the other every few seconds what it has told.
//!
//! Whose turn it is to tell is known by chat, by a number that only whoever has the turn
//! makes larger: even numbers are the first one's. Who cannot reach any robot of a chat for
//! `takeover_s` passes the turn, and keeps it otherwise, so that of two who both cannot each
//! tries in turns, and the first who can goes on. Whoever does not have the turn tells what
//! waits when the other one is not heard for `takeover_s`. When they cannot hear each other,
//! both tell: twice rather than never.
//!
//! Invariants: of two who hear each other at most one has the turn of a chat; what one of
//! them alone was told is told by it, after `takeover_s`.
//!
//! Deliberately absent: a shared disk, and a vote. Both have the same routes and chats.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::intake::SILENT_KEY;
use super::record::{Key, Value};
use super::sender::Speaker;
use super::{Core, Message, Output, Trouble, forget, keep};
use crate::alert::model::pending::{Lane, Line, Pending};
use crate::alert::model::told::{Change, State, Told};
use crate::base::{Now, Tick};

/// Questions in a row without an answer, after which the other one is gone.
const FAILURES_MAX: u32 = 2;

/// Lanes of one answer; what is left comes with the next one.
const LANES_MAX: usize = 500;

/// Lanes that wait and are named in one answer; of more, none is.
const WAITING_MAX: usize = 10_000;

/// Turns are counted up to here, which nobody reaches.
const TURN_MAX: u64 = 1 << 53;

/// How often the other one is asked, in ms.
pub const ASK_MS: u64 = 2_000;

/// What one bridge asks the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairQuestion {
    /// What was told since then, by the clock of whoever is asked.
    pub since_ms: u64,
}

/// What a bridge says about itself and about what it has told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairAnswer {
    /// What its lanes have been told, oldest first.
    pub told: Vec<(Lane, Told)>,
    /// Since when to ask next.
    pub until_ms: u64,
    /// There is more than one answer has room for.
    pub more: bool,
    /// Lanes with a message on its way: nobody else tells these at the moment.
    pub under_way: Vec<Lane>,
    /// Groups that somebody acknowledged there, and how many ms ago.
    #[serde(default)]
    pub acknowledged_ago: Vec<(Lane, u64)>,
    /// What it is; `None` from one that knows of no turns.
    #[serde(default)]
    pub role: Option<PairRole>,
    /// The turns of its chats that were passed at least once.
    #[serde(default)]
    pub turns: BTreeMap<String, u64>,
    /// Hashes of the lanes in which something waits there; `None` when these are too many.
    #[serde(default)]
    pub waiting: Option<BTreeSet<u64>>,
    /// Of these, the ones whose message may have arrived.
    #[serde(default)]
    pub doubtful: Vec<Lane>,
}

/// Which of the two a bridge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairRole {
    /// It is set to be the first one.
    pub is_first: bool,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
}

/// Whose turn it is in a chat.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    number: u64,
    /// When it became so here.
    since: Tick,
}

/// What a bridge knows of the other one.
#[derive(Debug)]
pub(super) struct Pair {
    heard: Option<Tick>,
    began: Now,
    failures: u32,
    since_ms: u64,
    is_behind: bool,
    under_way: BTreeSet<Lane>,
    role: Option<PairRole>,
    turns: BTreeMap<String, Turn>,
    waiting: Option<BTreeSet<u64>>,
}

impl Pair {
    pub(super) fn new(now: Now) -> Pair {
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

    /// What to ask it next.
    pub(super) fn question(&self) -> PairQuestion {
        PairQuestion { since_ms: self.since_ms }
    }

    /// How long it has not answered, in ms.
    fn silent_ms(&self, now: Now) -> u64 {
        now.tick.ms_since(self.heard.unwrap_or(self.began.tick))
    }

    fn is_gone(&self) -> bool {
        self.failures >= FAILURES_MAX
    }

    /// Whether all that it told until a moment ago is known. Who has slept for a while asks
    /// before it goes on.
    fn is_known(&self, now: Now) -> bool {
        self.heard.is_some() && self.silent_ms(now) <= 3 * ASK_MS && !self.is_behind
    }
}

fn hash(lane: &Lane) -> u64 {
    let mut bytes = Vec::new();
    for text in [&lane.route, &lane.chat, &lane.group_key] {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0xff); // in no UTF-8
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

impl Core {
    fn role(&self) -> PairRole {
        let is_first = self.settings.options.peer_first;
        PairRole { is_first, began_ms: self.pair.began.unix_ms }
    }

    /// Whether even turns are this bridge's. When both, or neither, are set to be the first
    /// one, it is the one that has run for longer.
    fn is_first(&self) -> bool {
        let mine = self.role();
        match self.pair.role {
            Some(other) if other.is_first == mine.is_first => mine.began_ms <= other.began_ms,
            Some(_) | None => mine.is_first,
        }
    }

    fn has_turn(&self, chat: &str) -> bool {
        let number = self.pair.turns.get(chat).map_or(0, |turn| turn.number);
        number.is_multiple_of(2) == self.is_first()
    }

    /// Whether this bridge begins to tell what waits for a chat.
    pub(super) fn may_tell(&self, now: Now, chat: &str) -> bool {
        let options = &self.settings.options;
        if options.peer_url.is_empty() {
            return true;
        }
        match self.has_turn(chat) {
            true => self.pair.is_gone() || self.pair.is_known(now),
            false => self.pair.is_gone() && self.pair.silent_ms(now) >= options.takeover_s * 1_000,
        }
    }

    /// Whether the other bridge has a message of this lane on its way.
    pub(super) fn is_told_by_other(&self, lane: &Lane) -> bool {
        !self.pair.is_gone() && self.pair.under_way.contains(lane)
    }

    /// Whether something has waited here for so long that the other one, whose turn it is,
    /// was never told of it: then nobody else tells it. That the watchdog is silent for one
    /// of them is no news while the other one hears it.
    pub(super) fn is_unknown_to_other(&self, now: Now, lane: &Lane, pending: &Pending) -> bool {
        let Some(waiting) = &self.pair.waiting else { return false };
        let waited_ms = now.unix_ms.saturating_sub(pending.since_ms);
        waited_ms >= self.settings.options.takeover_s * 1_000
            && !self.pair.is_gone()
            && self.pair.is_known(now)
            && lane.group_key != SILENT_KEY
            && !waiting.contains(&hash(lane))
    }

    /// Since when no robot of a chat has talked to this bridge, and when the last one was
    /// tried; `None` when one does, or was not asked yet.
    fn failing(&self, chat: &str) -> Option<(Tick, Tick)> {
        let mut robots =
            self.speakers.iter().filter(|one| one.robot.chat == chat).map(|one| one.failing);
        let first = robots.next().flatten()?;
        robots.try_fold((first.since, first.last), |(since, last), failing| {
            let failing = failing?;
            Some((since.max(failing.since), last.max(failing.last)))
        })
    }

    /// Each chat, and whether a robot there talks to this bridge.
    pub(super) fn chats_reached(&self, now: Now) -> Vec<(String, bool)> {
        let chats: BTreeSet<&String> = self.speakers.iter().map(|one| &one.robot.chat).collect();
        let patience_ms = self.settings.options.takeover_s * 1_000;
        let is_reached = |chat: &str| {
            self.failing(chat).is_none_or(|(since, _)| now.tick.ms_since(since) < patience_ms)
        };
        chats.into_iter().map(|chat| (chat.clone(), is_reached(chat))).collect()
    }

    /// Whether no robot of a chat has taken anything since this turn began, and for so long
    /// that the other bridge is to try.
    fn is_unable(&self, now: Now, chat: &str) -> bool {
        let Some((since, last)) = self.failing(chat) else { return false };
        let begun = self.pair.turns.get(chat).map_or(Tick(0), |turn| turn.since);
        let patience_ms = self.settings.options.takeover_s * 1_000;
        last >= begun && now.tick.ms_since(since.max(begun)) >= patience_ms
    }

    /// Passes the turns of chats that cannot be told from here, if the other bridge lives and
    /// something waits.
    pub(super) fn pass_turns(&mut self, now: Now, out: &mut Vec<Output>) {
        let options = &self.settings.options;
        let is_heard = !self.pair.is_gone() && self.pair.is_known(now);
        if options.peer_url.is_empty() || !is_heard || self.pair.role.is_none() {
            return;
        }
        let waits = |chat: &str| {
            self.pending.iter().any(|(lane, pending)| lane.chat == chat && !pending.is_held())
                || self.messages.values().any(|one| one.sending.lane.chat == chat)
        };
        let chats: BTreeSet<String> =
            self.speakers.iter().map(|one| one.robot.chat.clone()).collect();
        let mine = |chat: &&String| self.has_turn(chat);
        let unable: BTreeSet<String> = chats
            .iter()
            .filter(mine)
            .filter(|chat| waits(chat) && self.is_unable(now, chat))
            .cloned()
            .collect();
        let Some(since) =
            unable.iter().filter_map(|chat| self.failing(chat)).map(|(since, _)| since).min()
        else {
            return;
        };
        // Where nothing at all went out meanwhile, it is this machine's way.
        let is_any_reached = |one: &Speaker| one.reached.is_some_and(|reached| reached >= since);
        let passed: Vec<String> = match self.speakers.iter().any(is_any_reached) {
            true => unable.into_iter().collect(),
            false => chats.iter().filter(mine).cloned().collect(),
        };
        for chat in &passed {
            let turn = self.pair.turns.entry(chat.clone()).or_default();
            *turn = Turn { number: turn.number + 1, since: now.tick };
            self.give_back(now, chat, out);
        }
        out.push(Output::Tell(Trouble::TurnPassed(passed)));
    }

    /// What is not told to its end is for the other bridge; what has arrived of it stays told.
    fn give_back(&mut self, now: Now, chat: &str, out: &mut Vec<Output>) {
        let left: Vec<u64> = self
            .messages
            .iter()
            .filter(|(_, one)| one.robot.is_none() && one.sending.lane.chat == chat)
            .filter(|(_, one)| one.sending.about.is_empty())
            .map(|(id, _)| *id)
            .collect();
        for id in left {
            let Some(Message { sending, .. }) = self.messages.get_mut(&id) else { continue };
            let mut arrived: BTreeMap<String, Line> = BTreeMap::new();
            for fingerprint in
                sending.parts.iter().take(sending.sent).flat_map(|part| &part.fingerprints)
            {
                if let Some(line) = sending.pending.lines.remove(fingerprint) {
                    arrived.insert(fingerprint.clone(), line);
                }
            }
            sending.pending.doubtful |= sending.again;
            let (lane, of) = (sending.lane.clone(), sending.pending.clone());
            self.note(now, &lane, &arrived, &of, out);
            self.requeue(id, out);
        }
    }

    /// What the other one asked for.
    pub(super) fn answer_pair(&self, now: Now, question: PairQuestion) -> PairAnswer {
        let mut told: Vec<(&Lane, &Told)> =
            self.told.iter().filter(|(_, told)| told.at_ms >= question.since_ms).collect();
        told.sort_by_key(|(_, told)| told.at_ms);
        // Those of one moment stay together, so that the next answer begins behind them.
        let mut count = told.len().min(LANES_MAX);
        while count > 0 && count < told.len() && told[count].1.at_ms == told[count - 1].1.at_ms {
            count += 1;
        }
        let until_ms = match told.get(count) {
            Some((_, next)) => next.at_ms,
            None => now.unix_ms,
        };
        let under_way = self.messages.values().filter(|message| message.robot.is_some());
        let lanes = || self.pending.keys().chain(self.messages.values().map(|m| &m.sending.lane));
        let is_few = lanes().nth(WAITING_MAX).is_none();
        let doubtful = self.pending.iter().filter(|(_, pending)| pending.doubtful);
        let turns = self.pair.turns.iter().filter(|(_, turn)| turn.number > 0);
        PairAnswer {
            told: told[..count].iter().map(|(l, t)| ((*l).clone(), (*t).clone())).collect(),
            until_ms,
            more: count < told.len(),
            under_way: under_way.map(|message| message.sending.lane.clone()).collect(),
            acknowledged_ago: self.acknowledged_here(now),
            role: Some(self.role()),
            turns: turns.map(|(chat, turn)| (chat.clone(), turn.number)).collect(),
            waiting: is_few.then(|| lanes().map(hash).collect()),
            doubtful: doubtful.map(|(lane, _)| lane.clone()).take(LANES_MAX).collect(),
        }
    }

    /// The other one has answered, or not.
    pub(super) fn hear_pair(
        &mut self,
        now: Now,
        answer: Option<PairAnswer>,
        out: &mut Vec<Output>,
    ) {
        let Some(answer) = answer else {
            self.pair.failures = self.pair.failures.saturating_add(1);
            if self.pair.failures == FAILURES_MAX {
                // What was on its way when it went may have arrived.
                for lane in std::mem::take(&mut self.pair.under_way) {
                    self.doubt(&lane, out);
                }
            }
            return;
        };
        self.pair.failures = 0;
        self.pair.heard = Some(now.tick);
        // An answer on its way is as old as the question.
        self.pair.is_behind = answer.more;
        self.pair.since_ms = match answer.more {
            true => answer.until_ms,
            false => answer.until_ms.saturating_sub(ASK_MS),
        };
        self.pair.under_way = answer.under_way.into_iter().collect();
        self.pair.waiting = answer.waiting;
        self.hear_role(answer.role, out);
        self.hear_turns(now, &answer.turns);
        for (lane, told) in answer.told {
            self.told_by_other(now, lane, told, out);
        }
        for lane in &answer.doubtful {
            self.doubt(lane, out);
        }
        for (key, ago_ms) in &answer.acknowledged_ago {
            self.acknowledged_elsewhere(now, key, *ago_ms, out);
        }
    }

    fn hear_role(&mut self, role: Option<PairRole>, out: &mut Vec<Output>) {
        let is_same = role.is_some_and(|role| role.is_first == self.settings.options.peer_first);
        if is_same && self.pair.role != role {
            out.push(Output::Tell(Trouble::SameRole));
        }
        self.pair.role = role;
    }

    fn hear_turns(&mut self, now: Now, turns: &BTreeMap<String, u64>) {
        for (chat, &number) in turns.iter().filter(|(_, number)| **number <= TURN_MAX) {
            let known = self.pair.turns.get(chat).map_or(0, |turn| turn.number);
            if number <= known || self.settings.options.channel(chat).is_none() {
                continue;
            }
            self.pair.turns.insert(chat.clone(), Turn { number, since: now.tick });
            if self.has_turn(chat) {
                let robots = self.speakers.iter_mut().filter(|one| one.robot.chat == *chat);
                robots.for_each(Speaker::begin_turn);
            }
        }
    }

    /// A message of this lane may have arrived.
    fn doubt(&mut self, lane: &Lane, out: &mut Vec<Output>) {
        let Some(pending) = self.pending.get_mut(lane).filter(|pending| !pending.doubtful) else {
            return;
        };
        pending.doubtful = true;
        out.push(keep(Key::Pending(lane.clone()), Value::Pending(pending.clone())));
    }

    fn told_by_other(&mut self, now: Now, lane: Lane, theirs: Told, out: &mut Vec<Output>) {
        let mine = self.told.entry(lane.clone()).or_default();
        let before = mine.clone();
        for (fingerprint, state) in &theirs.states {
            let is_newer = theirs.at_ms >= mine.at_ms || !mine.states.contains_key(fingerprint);
            if is_newer {
                mine.states.insert(fingerprint.clone(), *state);
            }
        }
        mine.at_ms = mine.at_ms.max(theirs.at_ms);
        if *mine == before {
            return;
        }
        out.push(keep(Key::Told(lane.clone()), Value::Told(mine.clone())));
        let states = mine.states.clone();
        let Some(pending) = self.pending.get_mut(&lane) else { return };
        let is_told = |fingerprint: &String, line: &Line| {
            let known = states.get(fingerprint).copied();
            State::from(&line.alert).since(known) == Change::Same
        };
        let over: BTreeMap<_, _> = pending
            .lines
            .iter()
            .filter(|(fingerprint, line)| is_told(fingerprint, line))
            .map(|(fingerprint, line)| (fingerprint.clone(), line.clone()))
            .collect();
        if over.is_empty() {
            return;
        }
        pending.lines.retain(|fingerprint, _| !over.contains_key(fingerprint));
        let of = Pending { lines: BTreeMap::new(), ..pending.clone() };
        match pending.is_empty() {
            true => {
                self.pending.remove(&lane);
                out.push(forget(Key::Pending(lane.clone())));
            }
            false => {
                let value = Value::Pending(pending.clone());
                out.push(keep(Key::Pending(lane.clone()), value));
            }
        }
        self.await_acknowledgement(now, &lane, &over, &of, out);
    }
}
