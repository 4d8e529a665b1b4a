//! Two bridges side by side, fed by the same Alertmanagers: both keep everything, one
//! tells. Each asks the other every few seconds what it has told.
//!
//! The first one tells unless it does not know what the second has told, which it asks
//! as soon as it starts; the second one tells when it has not heard the first for
//! `takeover_s`. When they cannot hear each other, both tell: twice rather than never.
//!
//! Deliberately absent: a shared disk, a vote, and asking. Both have the same routes and
//! chats; what one of them alone has is told by it alone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::core::{Core, Output, forget, keep};
use super::pending::{Change, Lane, State, Told};
use super::record::{Key, Value};
use crate::base::{Now, Tick};

/// Questions in a row without an answer, after which the other one is gone.
const FAILURES_MAX: u32 = 2;

/// Lanes of one answer; what is left comes with the next one.
const LANES_MAX: usize = 500;

/// How often the other one is asked, in ms.
pub const ASK_MS: u64 = 2_000;

/// What one bridge asks the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairQuestion {
    /// What was told since then, by the clock of whoever is asked.
    pub since_ms: u64,
}

/// What a bridge says about what it has told.
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
    /// Groups that somebody acknowledged there.
    pub acknowledged: Vec<Lane>,
}

/// What a bridge knows of the other one.
#[derive(Debug)]
pub(super) struct Pair {
    heard: Option<Tick>,
    began: Tick,
    failures: u32,
    since_ms: u64,
    is_behind: bool,
    under_way: BTreeSet<Lane>,
}

impl Pair {
    pub(super) fn new(now: Now) -> Pair {
        Pair {
            heard: None,
            began: now.tick,
            failures: 0,
            since_ms: 0,
            is_behind: true,
            under_way: BTreeSet::new(),
        }
    }

    /// What to ask it next.
    pub(super) fn question(&self) -> PairQuestion {
        PairQuestion { since_ms: self.since_ms }
    }

    /// How long it has not answered, in ms.
    fn silent_ms(&self, now: Now) -> u64 {
        now.tick.ms_since(self.heard.unwrap_or(self.began))
    }
}

impl Core {
    /// Whether this bridge begins to tell.
    pub(super) fn may_tell(&self, now: Now) -> bool {
        let options = &self.settings.options;
        if options.peer_url.is_empty() {
            return true;
        }
        let is_gone = self.pair.failures >= FAILURES_MAX;
        match options.peer_first {
            // Who has slept for a while asks before it goes on.
            true => {
                let is_fresh = self.pair.heard.is_some() && self.pair.silent_ms(now) <= 3 * ASK_MS;
                is_gone || (is_fresh && !self.pair.is_behind)
            }
            false => is_gone && self.pair.silent_ms(now) >= options.takeover_s * 1_000,
        }
    }

    /// Whether the other bridge has a message of this lane on its way.
    pub(super) fn is_told_by_other(&self, lane: &Lane) -> bool {
        self.pair.failures < FAILURES_MAX && self.pair.under_way.contains(lane)
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
        PairAnswer {
            told: told[..count].iter().map(|(l, t)| ((*l).clone(), (*t).clone())).collect(),
            until_ms,
            more: count < told.len(),
            under_way: under_way.map(|message| message.sending.lane.clone()).collect(),
            acknowledged: self.acknowledged.keys().cloned().collect(),
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
                    if let Some(pending) = self.pending.get_mut(&lane) {
                        pending.doubtful = true;
                        let value = Value::Pending(pending.clone());
                        out.push(keep(Key::Pending(lane), value));
                    }
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
        for (lane, told) in answer.told {
            self.told_by_other(now, lane, told, out);
        }
        for key in &answer.acknowledged {
            self.acknowledged_elsewhere(key, out);
        }
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
        let is_told = |fingerprint: &String, line: &super::pending::Line| {
            let known = states.get(fingerprint).copied();
            State::from(&line.alert).since(known) == Change::Same
        };
        let over: std::collections::BTreeMap<_, _> = pending
            .lines
            .iter()
            .filter(|(fingerprint, line)| is_told(fingerprint, line))
            .map(|(fingerprint, line)| (fingerprint.clone(), line.clone()))
            .collect();
        if over.is_empty() {
            return;
        }
        pending.lines.retain(|fingerprint, _| !over.contains_key(fingerprint));
        let of = super::pending::Pending { lines: Default::default(), ..pending.clone() };
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
