//! Parses the body of Alertmanager's webhook, within limits on everything, for the bridge's page
//! that takes notifications; `raw` is the body as it stands.
//!
//! From a body that is damaged or too long, as many alerts as possible are read, because
//! Alertmanager does not retry a notification that is refused.
//!
//! Deliberately absent: decisions about alerts (`core`).

mod raw;
#[cfg(test)]
mod tests;

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::raw::{RawAlert, parse};
use super::alert::{Alert, Pairs, WebhookPayload, hash, is_critical};
use super::json_repair::repaired;
use super::text;

/// Most alerts of one notification that are read, critical ones first; the rest is counted.
pub const ALERTS_MAX: usize = 10_000;
/// Most alerts of one notification that keep their optional labels and annotations.
const WHOLE_ALERTS_MAX: usize = 500;
/// Most bytes of an alert's optional labels and annotations.
const DECORATION_BYTES_MAX: usize = 16 << 10;
/// Most bytes of the name of an optional label.
const NAME_BYTES_MAX: usize = 128;
/// Most bytes of a value; a longer one is cut.
const VALUE_BYTES_MAX: usize = 4_096;
/// Most bytes of a group key; a longer one is replaced by its beginning and its hash.
const GROUP_KEY_BYTES_MAX: usize = 512;
/// Most bytes of a fingerprint; the same holds.
const FINGERPRINT_BYTES_MAX: usize = 64;
/// Most labels of a group; the rest is left out.
const GROUP_LABELS_MAX: usize = 64;

/// Labels that decisions depend on, apart from those of the `people` in the settings.
const DECIDING_LABELS: [&str; 8] =
    ["alertname", "severity", "instance", "job", "cluster", "layer", "tenant_id", "core"];
/// Annotations that people need to act, or that the bridge needs for snapshots.
const DECIDING_ANNOTATIONS: [&str; 6] =
    ["summary", "runbook_url", "description", "dashboard_url", "exemplar_query", "value_query"];

/// Why a body is no notification, without any of its content. Other errors are repaired, because
/// Alertmanager does not retry a notification that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationError {
    /// It is no JSON; the place of the error.
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It has no list of alerts.
    NoAlerts,
}

impl fmt::Display for NotificationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotificationError::Json { line, column } => {
                write!(f, "this is no JSON object (line {line}, column {column})")
            }
            NotificationError::NoAlerts => f.write_str("there is no list `alerts` in it"),
        }
    }
}

/// The part of a body that was read, and what is known of the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationBody {
    /// Its beginning, or the whole body.
    pub bytes: Vec<u8>,
    /// Its end, when it is too long.
    pub tail: Vec<u8>,
    /// Number of alerts between the two.
    pub skipped: u64,
    /// Whether one of these is critical.
    pub skipped_critical: bool,
}

impl NotificationBody {
    /// A body that was read as a whole.
    #[cfg(test)]
    pub fn whole(bytes: &[u8]) -> NotificationBody {
        NotificationBody { bytes: bytes.to_vec(), ..NotificationBody::default() }
    }
}

/// Parses a body. `deciding` names the labels that people are mentioned by.
///
/// Bytes that are no UTF-8 are replaced; long values are cut; alerts that do not fit are counted.
/// Optional labels and annotations are left out first.
pub fn read(
    body: &NotificationBody,
    deciding: &[&str],
) -> Result<WebhookPayload, NotificationError> {
    let text = String::from_utf8_lossy(&body.bytes);
    let text = text.trim_start_matches('\u{feff}');
    let (mut raw, mut parsed) = parse(text);
    if parsed.as_ref().is_err_and(|error| !error.is_eof()) {
        (raw, parsed) = parse(&repaired(text));
    }
    let mut skipped = body.skipped;
    if let Err(error) = parsed {
        let is_cut = error.is_eof() && !body.tail.is_empty() && raw.has_alerts;
        if !is_cut {
            return Err(NotificationError::Json { line: error.line(), column: error.column() });
        }
        raw = raw.with_tail(&body.tail);
        // The alert that was cut is not read, and perhaps not counted.
        skipped = skipped.max(1);
    }
    if !raw.has_alerts {
        return Err(NotificationError::NoAlerts);
    }
    raw = raw.with_distinct_fingerprints();
    let group_labels: Pairs = raw
        .group_labels
        .into_iter()
        .take(GROUP_LABELS_MAX)
        .map(|(name, value)| (name, cut(value)))
        .collect();
    let is_critical = |alert: &RawAlert| {
        alert.labels.get("severity").is_some_and(|severity| is_critical(severity))
    };
    // The sort is stable: apart from this they stay in Alertmanager's order.
    raw.alerts.sort_by_key(|alert| !is_critical(alert));
    let over = raw.alerts.split_off(raw.alerts.len().min(ALERTS_MAX));
    let raw_status = std::mem::take(&mut raw.status);
    let mut names: Vec<&str> = DECIDING_LABELS.to_vec();
    names.extend(deciding);
    names.extend(group_labels.keys().map(String::as_str));
    let alerts = raw.alerts.into_iter().enumerate().map(|(index, raw)| {
        alert(
            raw,
            &raw_status,
            &names,
            if index < WHOLE_ALERTS_MAX { DECORATION_BYTES_MAX } else { 0 },
        )
    });
    let alerts: Vec<Alert> = alerts.collect();
    let left_out = raw.truncated.saturating_add(over.len() as u64);
    let left_out = left_out.saturating_add(skipped).saturating_add(raw.unread);
    let mut payload = WebhookPayload {
        group_key: group_key(raw.group_key, &group_labels, &alerts),
        truncated: left_out,
        truncated_critical: body.skipped_critical || over.iter().any(is_critical),
        external_url: cut(raw.external_url),
        group_labels,
        alerts,
    };
    if payload.alerts.is_empty() && payload.truncated > 0 {
        payload.alerts.push(unreadable(&payload));
    }
    Ok(payload)
}

/// The alert for a notification of which no alert could be read.
fn unreadable(payload: &WebhookPayload) -> Alert {
    let severity = if payload.truncated_critical { "critical" } else { "warning" };
    let mut labels = payload.group_labels.clone();
    labels.entry("alertname".to_owned()).or_insert_with(|| "UnreadableAlerts".to_owned());
    labels.entry("severity".to_owned()).or_insert_with(|| severity.to_owned());
    let summary = "The alerts of this group could not be read; Alertmanager shows them \
                   该组告警无法读取，请到 Alertmanager 查看";
    let annotations = Pairs::from([("summary".to_owned(), summary.to_owned())]);
    let fingerprint = "unreadable".to_owned();
    Alert { firing: true, labels, annotations, fingerprint, ..Alert::default() }
}

fn alert(raw: RawAlert, of_all: &str, names: &[&str], decoration_bytes_max: usize) -> Alert {
    // Whatever a later version calls it: only what is over is over. Who does not say so of
    // each says it of all.
    let status = if raw.status.is_empty() { of_all } else { &raw.status };
    let firing = status != "resolved";
    let fingerprint = match raw.fingerprint {
        // Who leaves it out gets one that is as good: alerts are their labels.
        given if given.is_empty() => format!("{:016x}", hash(&raw.labels)),
        given => bounded(given, FINGERPRINT_BYTES_MAX),
    };
    let mut left_bytes = decoration_bytes_max;
    Alert {
        firing,
        labels: pairs(raw.labels, names, &mut left_bytes),
        annotations: pairs(raw.annotations, &DECIDING_ANNOTATIONS, &mut left_bytes),
        starts_ms: unix_ms(&raw.starts_at).unwrap_or(0),
        // While it fires, it is the year 1, or when Prometheus will not be believed any more.
        ends_ms: if firing { 0 } else { unix_ms(&raw.ends_at).unwrap_or(0) },
        generator_url: cut(raw.generator_url),
        fingerprint,
    }
}

/// The pairs that decisions depend on, and as many others as fit into `left_bytes`.
fn pairs(mut raw: Pairs, deciding: &[&str], left_bytes: &mut usize) -> Pairs {
    let mut kept = Pairs::new();
    for name in deciding {
        if let Some((name, value)) = raw.remove_entry(*name) {
            kept.insert(name, cut(value));
        }
    }
    for (name, value) in raw {
        let value = cut(value);
        let bytes = name.len() + value.len();
        if name.len() > NAME_BYTES_MAX || bytes > *left_bytes {
            continue;
        }
        *left_bytes -= bytes;
        kept.insert(name, value);
    }
    kept
}

/// The group key. A missing one is made of the labels.
fn group_key(given: String, group_labels: &Pairs, alerts: &[Alert]) -> String {
    if !given.is_empty() {
        return bounded(given, GROUP_KEY_BYTES_MAX);
    }
    if !group_labels.is_empty() {
        return format!("labels:{:016x}", hash(group_labels));
    }
    let name = alerts.first().map_or("", |alert| alert.label("alertname"));
    bounded(format!("alert:{name}"), GROUP_KEY_BYTES_MAX)
}

/// A shorter name that is as distinct as the whole one.
fn bounded(name: String, bytes_max: usize) -> String {
    if name.len() <= bytes_max {
        return name;
    }
    let hash = xxhash_rust::xxh3::xxh3_128(name.as_bytes());
    format!("{}#{hash:032x}", text::cut_bytes(&name, bytes_max - 33))
}

fn cut(value: String) -> String {
    if value.len() <= VALUE_BYTES_MAX {
        return value;
    }
    text::cut_bytes(&value, VALUE_BYTES_MAX).to_owned()
}

/// Milliseconds since 1970; 0 for what is before, `None` for what is no time.
fn unix_ms(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}
