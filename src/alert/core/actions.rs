//! Decides whether the action of an alert that begins is run, and limits how often.
//!
//! Invariant: an action is run at most once in its interval, also over restarts.
//!
//! Deliberately absent: running it.

use std::collections::BTreeMap;

use super::call::Call;
use super::counts::Count;
use super::output::{ActionRun, ActionState, CoreOutput};
use super::questions;
use super::record::{JournalRecord, RecordKey, RecordValue};
use crate::alert::model::alert::Alert;
use crate::alert::options::AlertAction;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Actions {
    /// The time of the last run of each action, or dry run, in milliseconds since 1970.
    done_ms: BTreeMap<String, u64>,
}

impl Actions {
    /// Restores the time of a run.
    pub(super) fn restore(&mut self, name: String, at_ms: u64) {
        self.done_ms.insert(name, at_ms);
    }

    /// Everything, as the queue's file would have it.
    pub(super) fn records(&self, all: &mut Vec<JournalRecord>) {
        let record = |(name, at_ms): (&String, &u64)| JournalRecord {
            key: RecordKey::Action(name.clone()),
            value: Some(RecordValue::Action(*at_ms)),
        };
        all.extend(self.done_ms.iter().map(record));
    }

    /// Runs an action for an alert, or returns why it does not.
    pub(super) fn act(
        &mut self,
        action: &AlertAction,
        alert: &Alert,
        call: &mut Call<'_>,
    ) -> ActionState {
        let instance = questions::instance(alert, call.options());
        let now_ms = call.now().unix_ms;
        let last_ms = self.done_ms.get(&action.name).copied();
        let is_soon =
            last_ms.is_some_and(|ms| now_ms.saturating_sub(ms) < action.interval_s * 1_000);
        let verdict = match instance {
            None => ActionState::UnknownInstance,
            Some(_) if is_soon => ActionState::TooSoon,
            Some(_) if action.dry_run => ActionState::DryRun,
            Some(_) => ActionState::Done,
        };
        if matches!(verdict, ActionState::Done | ActionState::DryRun) {
            self.done_ms.insert(action.name.clone(), now_ms);
            call.keep(RecordKey::Action(action.name.clone()), RecordValue::Action(now_ms));
        }
        let url = match (verdict, instance) {
            (ActionState::Done, Some(instance)) => format!("http://{instance}{}", action.path),
            (ActionState::Done, None)
            | (ActionState::DryRun | ActionState::TooSoon | ActionState::UnknownInstance, _) => {
                String::new()
            }
        };
        call.push(CoreOutput::Do(ActionRun {
            action: action.name.clone(),
            alert: action.alert.clone(),
            instance: alert.label("instance").to_owned(),
            url,
            post: action.post,
            verdict,
        }));
        verdict
    }
}

impl ActionState {
    /// The counter of this state.
    pub(super) fn count(self) -> Count {
        match self {
            ActionState::UnknownInstance => Count::ActedNowhere,
            ActionState::TooSoon => Count::ActedTooSoon,
            ActionState::DryRun => Count::ActedDry,
            ActionState::Done => Count::Acted,
        }
    }

    /// The text in a message.
    pub(super) fn words(self, action: &str) -> String {
        match self {
            ActionState::Done => format!("{action}: done"),
            ActionState::DryRun => format!("{action}: would be done, dry run"),
            ActionState::TooSoon => format!("{action}: not again so soon"),
            ActionState::UnknownInstance => format!("{action}: not on this instance"),
        }
    }
}
