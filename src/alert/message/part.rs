//! One part of a message as it leaves. Parts lie in the queue's file until their robot has
//! confirmed them, so the names of their fields stay.
//!
//! Deliberately absent: what a robot makes of it (`channel`).

use serde::{Deserialize, Serialize};

use super::message_input::MessageInput;
use super::views::{AlertView, pair};
use crate::alert::model::pending::AlertLine;
use crate::alert::model::text;

/// One part, as it leaves; kept until the robot has confirmed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePart {
    /// For DingTalk and programs.
    pub title: String,
    /// What is read.
    pub text: String,
    /// A text without mark-up, which is how WeCom calls mobile numbers.
    pub is_plain: bool,
    /// Whom it calls by number.
    pub mobiles: Vec<String>,
    /// Whom it calls by id or name.
    pub ids: Vec<String>,
    /// The alerts in it, by fingerprint.
    pub fingerprints: Vec<String>,
    /// The same for programs.
    pub alerts: Vec<AlertSummary>,
}

/// An alert, for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertSummary {
    name: String,
    story: String,
    severity: String,
    summary: String,
    labels: Vec<String>,
    fingerprint: String,
}

/// A plain message has as little in it as possible: something in it may be what its
/// robot refuses.
pub(super) fn said(
    fingerprint: &str,
    line: &AlertLine,
    view: &AlertView,
    input: &MessageInput<'_>,
) -> AlertSummary {
    let labels = line.alert.labels.iter().filter(|_| !input.pending.plain);
    AlertSummary {
        name: view.name.clone(),
        story: view.story.to_owned(),
        severity: view.severity.clone(),
        summary: view.summary.clone(),
        labels: labels.map(pair).collect(),
        fingerprint: text::of_stranger(fingerprint, 64),
    }
}
