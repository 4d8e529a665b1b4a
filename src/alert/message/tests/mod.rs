//! Payload in, message out.

use std::fs;
use std::path::PathBuf;

use super::channel::{Attempt, body, bytes_max, encoded_bytes, parts_max};
use super::check::sample;
use super::format::local_time;
use super::message_input::MessageInput;
use super::part::MessagePart;
use super::render::render;
use super::signature;
use super::template::{self, Templates};
use crate::alert::model::alert::{Alert, WebhookPayload};
use crate::alert::model::core_snapshot::CoreSnapshot;
use crate::alert::model::notification::{self, NotificationBody};
use crate::alert::model::pending::{AlertLine, QueuedAlerts, Transition};
use crate::alert::model::snapshot::{Snapshot, SnapshotResult, Snapshots, Source};
use crate::alert::options::{Language, Messenger, Options, Person, Robot, Route};

mod golden;
mod hostile;
mod parts;

fn options() -> Options {
    let mut options = Options {
        silence_url: "https://bridge.example".to_owned(),
        people: vec![Person {
            name: "anna".to_owned(),
            label: "layer".to_owned(),
            value: "*".to_owned(),
            wecom_id: "anna".to_owned(),
            mobile: "13800000000".to_owned(),
            slack_id: "U1".to_owned(),
            ..Person::default()
        }],
        ..Options::default()
    };
    options.silence_key.value = "0123456789abcdef".to_owned();
    options
}

fn pending(payload: &WebhookPayload) -> QueuedAlerts {
    let mut pending = QueuedAlerts {
        group_labels: payload.group_labels.clone(),
        truncated: payload.truncated,
        external_url: payload.external_url.clone(),
        ..QueuedAlerts::default()
    };
    for alert in &payload.alerts {
        let story = if alert.firing { Transition::Firing } else { Transition::Recovered };
        let line = AlertLine::new(alert.clone(), story);
        pending.lines.insert(alert.fingerprint.clone(), line);
    }
    pending
}

fn snapshots() -> Snapshots {
    let snapshot = Snapshot {
        source: Source::Exemplar,
        value_seconds: 1.2,
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        room_id: "r42` <@all>".to_owned(),
        user_agent: "<@all>[x](http://e)\u{202e}\n# big".to_owned(),
    };
    let found = SnapshotResult { snapshot: Some(snapshot), ..SnapshotResult::default() };
    let value = SnapshotResult { value: Some(0.0123), ..SnapshotResult::default() };
    Snapshots::from([("f1".to_owned(), found), ("f2".to_owned(), value)])
}

fn route(language: Language) -> Route {
    Route { name: "page".to_owned(), language, ..Route::default() }
}
