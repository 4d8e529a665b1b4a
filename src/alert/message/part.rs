//! One part of a message. Parts are in the journal until their robot has confirmed them, so the
//! names of their fields stay.
//!
//! Deliberately absent: the request to the robot (`channel`).

use serde::{Deserialize, Serialize};

use super::message_input::MessageInput;
use super::views::{AlertView, pair};
use crate::alert::model::pending::AlertLine;
use crate::alert::model::text;

/// One part of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePart {
    /// For DingTalk and programs.
    pub title: String,
    /// Its text.
    pub text: String,
    /// Whether it is a text without mark-up, in which WeCom mentions mobile numbers.
    pub is_plain: bool,
    /// The mobile numbers that it mentions.
    pub mobiles: Vec<String>,
    /// The ids or names that it mentions.
    pub ids: Vec<String>,
    /// The fingerprints of its alerts.
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

/// A plain message contains as little as possible, because its robot may refuse any of it.
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
