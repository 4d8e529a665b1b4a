//! What is done about alerts that begin: whether, and how seldom.
//!
//! Invariant: an action is done at most once in its interval, also over restarts.
//!
//! Deliberately absent: doing it.

use std::collections::BTreeMap;

use super::call::Call;
use super::counts::Count;
use super::output::{Deed, Output, Verdict};
use super::questions;
use super::record::{Key, Record, Value};
use crate::alert::model::alert::Alert;
use crate::alert::options::Action;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Actions {
    /// When each was done last, or would have been, in milliseconds since 1970.
    done_ms: BTreeMap<String, u64>,
}

impl Actions {
    /// When it was done before the process ended.
    pub(super) fn restore(&mut self, name: String, at_ms: u64) {
        self.done_ms.insert(name, at_ms);
    }

    /// Everything, as the queue's file would have it.
    pub(super) fn records(&self, all: &mut Vec<Record>) {
        let record = |(name, at_ms): (&String, &u64)| Record {
            key: Key::Action(name.clone()),
            value: Some(Value::Action(*at_ms)),
        };
        all.extend(self.done_ms.iter().map(record));
    }

    /// Does what an action is about an alert, or says why not.
    pub(super) fn act(&mut self, action: &Action, alert: &Alert, call: &mut Call<'_>) -> Verdict {
        let instance = questions::instance(alert, call.options());
        let now_ms = call.now.unix_ms;
        let last_ms = self.done_ms.get(&action.name).copied();
        let is_soon =
            last_ms.is_some_and(|ms| now_ms.saturating_sub(ms) < action.interval_s * 1_000);
        let verdict = match instance {
            None => Verdict::UnknownInstance,
            Some(_) if is_soon => Verdict::TooSoon,
            Some(_) if action.dry_run => Verdict::DryRun,
            Some(_) => Verdict::Done,
        };
        if matches!(verdict, Verdict::Done | Verdict::DryRun) {
            self.done_ms.insert(action.name.clone(), now_ms);
            call.keep(Key::Action(action.name.clone()), Value::Action(now_ms));
        }
        let url = match (verdict, instance) {
            (Verdict::Done, Some(instance)) => format!("http://{instance}{}", action.path),
            (Verdict::Done, None)
            | (Verdict::DryRun | Verdict::TooSoon | Verdict::UnknownInstance, _) => String::new(),
        };
        call.out.push(Output::Do(Deed {
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

impl Verdict {
    /// What is counted.
    pub(super) fn count(self) -> Count {
        match self {
            Verdict::UnknownInstance => Count::ActedNowhere,
            Verdict::TooSoon => Count::ActedTooSoon,
            Verdict::DryRun => Count::ActedDry,
            Verdict::Done => Count::Acted,
        }
    }

    /// What a message says about it.
    pub(super) fn words(self, action: &str) -> String {
        match self {
            Verdict::Done => format!("{action}: done"),
            Verdict::DryRun => format!("{action}: would be done, dry run"),
            Verdict::TooSoon => format!("{action}: not again so soon"),
            Verdict::UnknownInstance => format!("{action}: not on this instance"),
        }
    }
}
