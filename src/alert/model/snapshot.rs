//! What was found out about an alert before its message leaves: plain values.
//!
//! Deliberately absent: asking for it (`core`, `io`).

use std::collections::BTreeMap;

use super::core_snapshot::CoreSnapshot;

/// One message of the server that went wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Where it comes from.
    pub source: Source,
    /// How long it took; what the exemplar was worth.
    pub value_seconds: f64,
    /// Its trace.
    pub trace_id: String,
    /// Its room, as a peer named it.
    pub room_id: String,
    /// Its client, as a peer named it.
    pub user_agent: String,
}

/// Who knew of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Prometheus, as an exemplar.
    #[default]
    Exemplar,
    /// The server's flight recorder.
    Recorder,
}

/// What was found out about an alert.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotResult {
    /// A message that shows it.
    pub snapshot: Option<Snapshot>,
    /// The core that it is about, if it is about one.
    pub core: Option<CoreSnapshot>,
    /// What its expression is worth now.
    pub value: Option<f64>,
}

/// By fingerprint.
pub type Snapshots = BTreeMap<String, SnapshotResult>;
