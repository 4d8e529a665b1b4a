//! Alerts, and what Alertmanager says about a group of them, as plain values.
//!
//! Deliberately absent: the form in which they arrive (`notification`), and what is decided
//! about them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Labels or annotations.
pub type Pairs = BTreeMap<String, String>;

/// What Alertmanager says about a group of alerts, form 4 of its webhook.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookPayload {
    /// Which group.
    pub group_key: String,
    /// What its alerts have in common by configuration.
    pub group_labels: Pairs,
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// Alerts that were left out on the way here.
    pub truncated: u64,
    /// Whether something critical is among those.
    pub truncated_critical: bool,
    /// Where Alertmanager is.
    pub external_url: String,
}

/// One alert. Also the form in which it lies in the queue's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Whether it is still so.
    pub firing: bool,
    /// What it is.
    pub labels: Pairs,
    /// What is said about it.
    pub annotations: Pairs,
    /// Since when, in milliseconds since 1970.
    pub starts_ms: u64,
    /// Until when; 0 while it fires.
    pub ends_ms: u64,
    /// Where its expression can be looked at.
    pub generator_url: String,
    /// Alertmanager's hash of its labels.
    pub fingerprint: String,
}

impl Alert {
    /// A label; empty where there is none, as in PromQL.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// An annotation; empty where there is none.
    pub fn annotation(&self, name: &str) -> &str {
        self.annotations.get(name).map_or("", String::as_str)
    }

    /// Whether somebody is to be called.
    pub fn is_critical(&self) -> bool {
        is_critical(self.label("severity"))
    }

    /// What it takes in memory and on disk, roughly.
    pub fn bytes(&self) -> usize {
        let pairs = self.labels.iter().chain(&self.annotations);
        let texts: usize = pairs.map(|(name, value)| name.len() + value.len() + 8).sum();
        texts + self.generator_url.len() + self.fingerprint.len() + 64
    }
}

/// Whether a severity, however it is written, is the one that calls people.
pub(super) fn is_critical(severity: &str) -> bool {
    severity.trim().eq_ignore_ascii_case("critical")
}

/// A number that labels have, the same wherever they are the same.
pub(super) fn hash(pairs: &Pairs) -> u64 {
    let mut bytes = Vec::new();
    for (name, value) in pairs {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0xff); // in no UTF-8
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0xff);
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
