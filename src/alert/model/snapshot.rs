//! Snapshots: what is known about an alert when its message is sent, as plain values.
//!
//! Deliberately absent: the requests (`core`, `io`).

use std::collections::BTreeMap;

use super::core_snapshot::CoreSnapshot;

/// One message of the chat server that was slow or failed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Its source.
    pub source: Source,
    /// Its duration, or the value of the exemplar, in seconds.
    pub value_seconds: f64,
    /// Its trace id.
    pub trace_id: String,
    /// Its room, as a peer named it.
    pub room_id: String,
    /// Its user agent, as a peer named it.
    pub user_agent: String,
}

/// The source of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// An exemplar in Prometheus.
    #[default]
    Exemplar,
    /// The server's flight recorder.
    Recorder,
}

/// All that is known about one alert.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotResult {
    /// A message that is an example of it.
    pub snapshot: Option<Snapshot>,
    /// The state of the core that the alert is about, if it is about one.
    pub core: Option<CoreSnapshot>,
    /// The current value of its expression.
    pub value: Option<f64>,
}

/// By fingerprint.
pub type Snapshots = BTreeMap<String, SnapshotResult>;
