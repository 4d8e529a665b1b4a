//! The values that templates see: texts in which everything a stranger wrote is escaped.
//!
//! Invariant: texts of operators and strangers are in a view only as `text` returned them, within
//! their limits.
//!
//! Deliberately absent: templates, and the size of a message.

use serde::Serialize;

use super::format::{LABEL_CHARS_MAX, NAME_CHARS_MAX, duration, local_time, number};
use super::link::{self, LinkPurpose};
use super::message_input::MessageInput;
use super::notes::notes;
use super::oncall::Mentions;
use super::{signature, silence};
use crate::alert::model::pending::{AlertLine, Transition};
use crate::alert::model::snapshot::{SnapshotResult, Source};
use crate::alert::model::text;
use crate::alert::options::{Language, Options, Route};

const SUMMARY_CHARS_MAX: usize = 300;
const DESCRIPTION_CHARS_MAX: usize = 600;
const STRANGER_CHARS_MAX: usize = 80;
const LABELS_MAX: usize = 12;

#[derive(Serialize)]
pub(super) struct TemplateView<'a> {
    pub(super) m: &'a MessageView,
    pub(super) a: &'a AlertView,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct MessageView {
    pub(super) status: &'static str,
    pub(super) critical: bool,
    pub(super) name: String,
    pub(super) group: Vec<String>,
    pub(super) firing: usize,
    pub(super) recovered: usize,
    pub(super) part: usize,
    pub(super) parts: usize,
    pub(super) mentions: String,
    pub(super) notes: Vec<String>,
    pub(super) still: u64,
    pub(super) more: u64,
    pub(super) silence_url: Option<String>,
    pub(super) ack_url: Option<String>,
    pub(super) alertmanager_url: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct AlertView {
    pub(super) name: String,
    pub(super) story: &'static str,
    pub(super) severity: String,
    pub(super) instance: String,
    pub(super) layer: String,
    pub(super) tenant: String,
    pub(super) summary: String,
    pub(super) description: String,
    pub(super) labels: Vec<String>,
    pub(super) started: String,
    pub(super) ended: String,
    pub(super) duration: String,
    pub(super) value: Option<String>,
    pub(super) snapshot: Option<SnapshotView>,
    pub(super) core: Option<CoreView>,
    pub(super) runbook_url: Option<String>,
    pub(super) dashboard_url: Option<String>,
    pub(super) graph_url: Option<String>,
    pub(super) action: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct SnapshotView {
    pub(super) trace_id: String,
    pub(super) room_id: String,
    pub(super) user_agent: String,
    pub(super) seconds: String,
    pub(super) source: &'static str,
}

/// A core with a turn that does not end, or with recorded events.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct CoreView {
    pub(super) number: String,
    pub(super) phase: String,
    pub(super) seconds: String,
    pub(super) connection: String,
    pub(super) client: String,
    pub(super) room_id: String,
    pub(super) recent: Vec<String>,
}

pub(super) fn message_view(
    input: &MessageInput<'_>,
    options: &Options,
    lines: &[(&String, &AlertLine)],
    mentions: &Mentions,
) -> MessageView {
    let pending = input.pending;
    let fires =
        |line: &AlertLine| matches!(line.transition, Transition::Firing | Transition::Still);
    let firing = lines.iter().filter(|(_, line)| fires(line)).count();
    let name = match pending.group_labels.get("alertname") {
        Some(name) if !name.is_empty() => name.as_str(),
        Some(_) | None => lines.first().map_or("", |(_, line)| line.alert.label("alertname")),
    };
    let group = pending.group_labels.iter().filter(|(name, _)| *name != "alertname");
    let now_s = input.now_ms / 1_000;
    MessageView {
        status: if firing > 0 { "firing" } else { "recovered" },
        critical: pending.is_critical(),
        name: text::of_operator(name, NAME_CHARS_MAX),
        group: group.filter(|(_, value)| !value.is_empty()).map(pair).take(LABELS_MAX).collect(),
        firing,
        recovered: lines.len() - firing,
        part: 1,
        parts: 1,
        mentions: mentions.text.clone(),
        notes: notes(input),
        still: pending.still,
        more: pending.truncated,
        silence_url: (firing > 0)
            .then(|| silence::link(options, &pending.group_labels, now_s))
            .flatten(),
        ack_url: ack_url(input, options, lines, now_s),
        alertmanager_url: text::link(&pending.external_url),
    }
}

/// The link that acknowledges a group.
fn ack_url(
    input: &MessageInput<'_>,
    options: &Options,
    lines: &[(&String, &AlertLine)],
    now_s: u64,
) -> Option<String> {
    let begun =
        |line: &AlertLine| line.transition == Transition::Firing && line.alert.is_critical();
    if input.route.escalation.is_empty() || !lines.iter().any(|(_, line)| begun(line)) {
        return None;
    }
    let group = (input.route.name.as_str(), input.group_key);
    link::link(options, LinkPurpose::Acknowledge, &group, now_s)
}

pub(super) fn alert_view(
    fingerprint: &str,
    line: &AlertLine,
    input: &MessageInput<'_>,
    options: &Options,
) -> AlertView {
    let alert = &line.alert;
    let label = |name: &str| text::of_operator(alert.label(name), LABEL_CHARS_MAX);
    let shown = ["alertname", "severity", "instance", "layer", "tenant_id"];
    let others = alert.labels.iter().filter(|(name, _)| !shown.contains(&name.as_str()));
    let end_ms = if alert.ends_ms > 0 { alert.ends_ms } else { input.now_ms };
    let nothing = SnapshotResult::default();
    let found = input.snapshots.get(fingerprint).unwrap_or(&nothing);
    AlertView {
        name: text::of_operator(alert.label("alertname"), NAME_CHARS_MAX),
        story: story(line.transition),
        severity: label("severity"),
        instance: label("instance"),
        layer: label("layer"),
        tenant: label("tenant_id"),
        summary: text::of_operator(alert.annotation("summary"), SUMMARY_CHARS_MAX),
        description: text::of_operator(alert.annotation("description"), DESCRIPTION_CHARS_MAX),
        labels: others.map(pair).take(LABELS_MAX).collect(),
        started: local_time(alert.starts_ms, options.offset_minutes),
        ended: local_time(end_ms, options.offset_minutes),
        duration: duration(end_ms.saturating_sub(alert.starts_ms), input.route.language),
        value: found.value.map(number),
        snapshot: snapshot(found, input.route, options),
        core: core(found, input.route, options),
        runbook_url: text::link(alert.annotation("runbook_url")),
        dashboard_url: text::link(alert.annotation("dashboard_url")),
        graph_url: text::link(&alert.generator_url),
        action: text::of_operator(&line.action, LABEL_CHARS_MAX),
    }
}

fn story(story: Transition) -> &'static str {
    match story {
        Transition::Firing => "firing",
        Transition::Still => "still",
        Transition::FiredAndRecovered => "fired_and_recovered",
        Transition::Recovered => "recovered",
    }
}

pub(super) fn pair((name, value): (&String, &String)) -> String {
    format!("{}={}", text::of_operator(name, 60), text::of_operator(value, LABEL_CHARS_MAX))
}

fn snapshot(found: &SnapshotResult, route: &Route, options: &Options) -> Option<SnapshotView> {
    let snapshot = found.snapshot.as_ref()?;
    let of_stranger = |text: &str| match text::of_stranger(text, STRANGER_CHARS_MAX) {
        // An empty code span is two marks.
        text if text.is_empty() => "-".to_owned(),
        text => text,
    };
    let room_id = match route.hash_rooms && !snapshot.room_id.is_empty() {
        true => signature::room(&options.silence_key.value, &snapshot.room_id),
        false => of_stranger(&snapshot.room_id),
    };
    Some(SnapshotView {
        trace_id: of_stranger(&snapshot.trace_id),
        room_id,
        user_agent: of_stranger(&snapshot.user_agent),
        seconds: number(snapshot.value_seconds),
        source: match snapshot.source {
            Source::Exemplar => "exemplar",
            Source::Recorder => "recorder",
        },
    })
}

fn core(found: &SnapshotResult, route: &Route, options: &Options) -> Option<CoreView> {
    let core = found.core.as_ref()?;
    let of_stranger = |text: &str| text::of_stranger(text, STRANGER_CHARS_MAX);
    let room_id = match route.hash_rooms && !core.room_id.is_empty() {
        true => signature::room(&options.silence_key.value, &core.room_id),
        false => of_stranger(&core.room_id),
    };
    // Words of a closed list are as they are; what is none is a stranger's.
    let word = |text: &str| match text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        true if text.len() <= STRANGER_CHARS_MAX => text.to_owned(),
        true | false => of_stranger(text),
    };
    let event = |(kind, reason, count): &(String, String, u64)| match count {
        1 => format!("{} {}", word(kind), word(reason)),
        count => format!("{} {} ×{count}", word(kind), word(reason)),
    };
    Some(CoreView {
        number: of_stranger(&core.core),
        phase: word(&core.phase),
        seconds: number(core.for_seconds),
        connection: of_stranger(&core.connection),
        client: of_stranger(&core.client),
        room_id,
        recent: core.recent.iter().map(event).collect(),
    })
}

pub(super) fn title(language: Language, message: &MessageView) -> String {
    let state = match (language, message.status == "firing") {
        (Language::En, true) => "Firing",
        (Language::En, false) => "Recovered",
        (Language::Zh, true) => "告警",
        (Language::Zh, false) => "恢复",
    };
    format!("{state}: {}", message.name)
}
