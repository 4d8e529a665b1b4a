//! The watchdog (a dead man's switch): an alert that always fires, so its absence shows that
//! alerting is broken.
//!
//! Deliberately absent: sending. A change becomes an alert that is taken like any other (`intake`).

use super::call::Call;
use super::output::BridgeWarning;
use super::record::{JournalRecord, RecordKey, RecordValue};
use crate::alert::model::alert::{Alert, Pairs, WebhookPayload};
use crate::base::Timestamps;

/// The alert for a silent watchdog.
const SILENT_ALERT: &str = "ChatAlertPathSilent";

/// The group key of that alert.
pub(super) const SILENT_KEY: &str = "deadman";

/// A change of the watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchdogChange {
    /// It has become silent.
    Silent {
        /// The time since which it is silent, in milliseconds since 1970.
        since_ms: u64,
    },
    /// It is heard again.
    HeardAgain {
        /// The time since which it was silent.
        since_ms: u64,
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Watchdog {
    heard: Timestamps,
    silent_since_ms: Option<u64>,
}

impl Watchdog {
    /// A watchdog whose next alert is due from now on.
    pub(super) fn new(now: Timestamps) -> Watchdog {
        Watchdog { heard: now, silent_since_ms: None }
    }

    /// It was silent when the process ended.
    pub(super) fn restore(&mut self, since_ms: u64) {
        self.silent_since_ms = Some(since_ms);
    }

    /// Appends the record of a silence.
    pub(super) fn records(&self, all: &mut Vec<JournalRecord>) {
        let record = |since_ms| JournalRecord {
            key: RecordKey::Deadman,
            value: Some(RecordValue::Deadman(since_ms)),
        };
        all.extend(self.silent_since_ms.map(record));
    }

    /// The time of its last alert, or of the start, in milliseconds since 1970.
    pub(super) fn last_beat_ms(&self) -> u64 {
        self.heard.unix_ms
    }

    /// Its alert has come.
    pub(super) fn beat(&mut self, call: &mut Call<'_>) -> Option<WatchdogChange> {
        self.heard = call.now();
        let since_ms = self.silent_since_ms.take()?;
        call.forget(RecordKey::Deadman);
        Some(WatchdogChange::HeardAgain { since_ms })
    }

    /// Checks that its alert comes often enough.
    pub(super) fn watch(&mut self, call: &mut Call<'_>) -> Option<WatchdogChange> {
        let deadman_ms = call.options().deadman_s * 1_000;
        let is_silent = call.now().tick.ms_since(self.heard.tick) > deadman_ms;
        if deadman_ms == 0 || !is_silent || self.silent_since_ms.is_some() {
            return None;
        }
        let since_ms = call.now().unix_ms;
        self.silent_since_ms = Some(since_ms);
        call.keep(RecordKey::Deadman, RecordValue::Deadman(since_ms));
        call.warn(BridgeWarning::Silent);
        Some(WatchdogChange::Silent { since_ms })
    }

    /// The time until it counts as silent, in ms; `None` when it does already, or is not expected.
    pub(super) fn alarm_in_ms(&self, now: Timestamps, deadman_s: u64) -> Option<u64> {
        let deadman_ms = deadman_s * 1_000;
        if deadman_ms == 0 || self.silent_since_ms.is_some() {
            return None;
        }
        let passed_ms = now.tick.ms_since(self.heard.tick);
        Some((deadman_ms + 1).saturating_sub(passed_ms))
    }
}

impl WatchdogChange {
    /// The notification about the change.
    pub(super) fn payload(self, now: Timestamps) -> WebhookPayload {
        let pairs = |pairs: &[(&str, &str)]| -> Pairs {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let (firing, starts_ms, ends_ms) = match self {
            WatchdogChange::Silent { since_ms } => (true, since_ms, 0),
            WatchdogChange::HeardAgain { since_ms } => (false, since_ms, now.unix_ms),
        };
        let alert = Alert {
            firing,
            labels: pairs(&[
                ("alertname", SILENT_ALERT),
                ("severity", "critical"),
                ("layer", "meta"),
            ]),
            annotations: pairs(&[
                (
                    "summary",
                    "ChatWatchdog is not heard: nobody is watching 看门狗失联，监控链路可能已中断",
                ),
                (
                    "description",
                    "The page ChatWatchdog of the runbooks: look at Prometheus, Alertmanager, and the way from there to the bridge",
                ),
            ]),
            starts_ms,
            ends_ms,
            generator_url: String::new(),
            fingerprint: "deadman".to_owned(),
        };
        WebhookPayload {
            group_key: SILENT_KEY.to_owned(),
            alerts: vec![alert],
            ..WebhookPayload::default()
        }
    }
}
