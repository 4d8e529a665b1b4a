//! What each lane has been told.
//!
//! Invariant: what stands here was confirmed by a robot, or by the other bridge.
//!
//! Deliberately absent: what waits (`queue`).

use std::collections::BTreeMap;

use super::call::Call;
use super::record::{JournalRecord, RecordKey, RecordValue};
use crate::alert::model::pending::{AlertLine, ChatQueue};
use crate::alert::model::told::{AlertState, SentState};

/// Lanes whose past is remembered; over it the oldest is forgotten, and what repeats
/// it is told again.
const TOLD_MAX: usize = 20_000;

/// How long the past of a lane that Alertmanager no longer mentions is remembered.
const TOLD_MS_MAX: u64 = 8 * 86_400_000;

/// Alerts of a lane whose past is remembered; over it only those that fire.
const TOLD_STATES_MAX: usize = 2_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct History {
    told: BTreeMap<ChatQueue, SentState>,
}

impl History {
    /// What was known when the process ended.
    pub(super) fn restore(&mut self, lane: ChatQueue, told: SentState) {
        self.told.insert(lane, told);
    }

    /// Everything, as the queue's file would have it.
    pub(super) fn records(&self, all: &mut Vec<JournalRecord>) {
        let record = |(lane, told): (&ChatQueue, &SentState)| JournalRecord {
            key: RecordKey::Told(lane.clone()),
            value: Some(RecordValue::Told(told.clone())),
        };
        all.extend(self.told.iter().map(record));
    }

    /// What a lane knows of an alert.
    pub(super) fn state(&self, lane: &ChatQueue, fingerprint: &str) -> Option<AlertState> {
        self.told.get(lane)?.states.get(fingerprint).copied()
    }

    /// What comes again unchanged is a reminder of Alertmanager's, unless it comes so
    /// soon that it is a retry, or another Alertmanager's.
    pub(super) fn is_reminder(&self, lane: &ChatQueue, call: &Call<'_>) -> bool {
        let within_ms = call.options().same_within_s * 1_000;
        let is_due = |told: &SentState| call.now().unix_ms.saturating_sub(told.at_ms) >= within_ms;
        self.told.get(lane).is_some_and(is_due)
    }

    /// These have been told.
    pub(super) fn note(
        &mut self,
        lane: &ChatQueue,
        lines: &BTreeMap<String, AlertLine>,
        call: &mut Call<'_>,
    ) {
        let told: &mut SentState = self.told.entry(lane.clone()).or_default();
        *told = std::mem::take(told).after(lines.iter(), call.now().unix_ms);
        if told.states.len() > TOLD_STATES_MAX {
            told.states.retain(|_, state| state.firing);
        }
        call.keep(RecordKey::Told(lane.clone()), RecordValue::Told(told.clone()));
    }

    /// What the other bridge has told; what is known then, when that is more than before.
    pub(super) fn merge(
        &mut self,
        lane: &ChatQueue,
        theirs: &SentState,
        call: &mut Call<'_>,
    ) -> Option<BTreeMap<String, AlertState>> {
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
            return None;
        }
        call.keep(RecordKey::Told(lane.clone()), RecordValue::Told(mine.clone()));
        Some(mine.states.clone())
    }

    /// What was told since then, oldest first.
    pub(super) fn since(&self, since_ms: u64) -> Vec<(&ChatQueue, &SentState)> {
        let mut told: Vec<(&ChatQueue, &SentState)> =
            self.told.iter().filter(|(_, told)| told.at_ms >= since_ms).collect();
        told.sort_by_key(|(_, told)| told.at_ms);
        told
    }

    /// Forgets what is over, what is too old, and what is too much.
    pub(super) fn tidy(&mut self, call: &mut Call<'_>) {
        let over_ms = call.options().same_within_s * 1_000;
        let mut forgotten: Vec<ChatQueue> = Vec::new();
        for (lane, told) in &self.told {
            let age_ms = call.now().unix_ms.saturating_sub(told.at_ms);
            if (told.is_over() && age_ms > over_ms) || age_ms > TOLD_MS_MAX {
                forgotten.push(lane.clone());
            }
        }
        if self.told.len() - forgotten.len() > TOLD_MAX {
            let mut by_age: Vec<(u64, &ChatQueue)> =
                self.told.iter().map(|(lane, told)| (told.at_ms, lane)).collect();
            by_age.sort_unstable();
            let over = self.told.len() - TOLD_MAX;
            forgotten.extend(by_age.into_iter().take(over).map(|(_, lane)| lane.clone()));
        }
        for lane in forgotten {
            self.told.remove(&lane);
            call.forget(RecordKey::Told(lane));
        }
    }
}
