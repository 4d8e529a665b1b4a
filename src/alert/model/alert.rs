//! Alerts, and the payload of Alertmanager's webhook, as plain values.
//!
//! Deliberately absent: parsing (`notification`), and decisions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Labels or annotations.
pub type Pairs = BTreeMap<String, String>;

/// The payload of Alertmanager's webhook (version 4), about a group of alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookPayload {
    /// The key of the group.
    pub group_key: String,
    /// The labels that the alerts are grouped by.
    pub group_labels: Pairs,
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// Alerts that were left out on the way here.
    pub truncated: u64,
    /// Whether a critical one is among those.
    pub truncated_critical: bool,
    /// The URL of Alertmanager.
    pub external_url: String,
}

/// One alert. It is also written to the journal in this form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Whether it fires.
    pub firing: bool,
    /// Its labels.
    pub labels: Pairs,
    /// Its annotations.
    pub annotations: Pairs,
    /// The time of its start, in milliseconds since 1970.
    pub starts_ms: u64,
    /// The time of its end; 0 while it fires.
    pub ends_ms: u64,
    /// The URL of its expression in Prometheus.
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

    /// Whether its severity is critical.
    pub fn is_critical(&self) -> bool {
        is_critical(self.label("severity"))
    }

    /// Its approximate size in memory and on disk.
    pub fn bytes(&self) -> usize {
        let pairs = self.labels.iter().chain(&self.annotations);
        let texts: usize = pairs.map(|(name, value)| name.len() + value.len() + 8).sum();
        texts + self.generator_url.len() + self.fingerprint.len() + 64
    }
}

/// Whether a severity is `critical`, in upper or lower case.
pub(super) fn is_critical(severity: &str) -> bool {
    severity.trim().eq_ignore_ascii_case("critical")
}

/// A hash of labels.
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
