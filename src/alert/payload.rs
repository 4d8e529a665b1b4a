use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::text;

/// Alerts of one notification that are kept; the rest counts as truncated.
pub const ALERTS_MAX: usize = 1_000;
/// Labels, or annotations, of one alert that are kept.
const PAIRS_MAX: usize = 64;
/// Bytes of a label's name.
const NAME_BYTES_MAX: usize = 128;
/// Bytes of a label's or an annotation's value; what is longer is cut.
const VALUE_BYTES_MAX: usize = 4_096;
/// Bytes of a group's key.
const GROUP_KEY_BYTES_MAX: usize = 4_096;

/// Labels or annotations.
pub type Pairs = BTreeMap<String, String>;

/// What Alertmanager says about a group of alerts, form 4 of its webhook.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payload {
    /// Which group.
    pub group_key: String,
    /// What its alerts have in common by configuration.
    pub group_labels: Pairs,
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// Alerts that were left out on the way here.
    pub truncated: u64,
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
        self.label("severity") == "critical"
    }

    /// What it takes in memory and on disk, roughly.
    pub fn bytes(&self) -> usize {
        let pairs = self.labels.iter().chain(&self.annotations);
        let texts: usize = pairs.map(|(name, value)| name.len() + value.len() + 8).sum();
        texts + self.generator_url.len() + self.fingerprint.len() + 64
    }
}

/// Why a body is no notification. Nothing of the body is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// No JSON of that form; where.
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Another form of the webhook.
    Version,
    /// Something is neither firing nor resolved.
    Status,
    /// A time that is none.
    Time,
    /// No group, or one with a name beyond all bounds.
    GroupKey,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Json { line, column } => write!(
                f,
                "this is not the JSON of an Alertmanager's webhook (line {line}, column {column})"
            ),
            Malformed::Version => f.write_str("the version is not \"4\""),
            Malformed::Status => f.write_str("a status is neither firing nor resolved"),
            Malformed::Time => f.write_str("a time is not of the form of RFC 3339"),
            Malformed::GroupKey => {
                write!(f, "groupKey must have from 1 to {GROUP_KEY_BYTES_MAX} bytes")
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    version: String,
    group_key: String,
    #[serde(default)]
    truncated_alerts: u64,
    #[serde(default)]
    group_labels: Option<Pairs>,
    #[serde(default, rename = "externalURL")]
    external_url: String,
    alerts: Vec<RawAlert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAlert {
    status: String,
    #[serde(default)]
    labels: Option<Pairs>,
    #[serde(default)]
    annotations: Option<Pairs>,
    starts_at: String,
    #[serde(default)]
    ends_at: String,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
    #[serde(default)]
    fingerprint: String,
}

/// Reads a body. Bytes that are no UTF-8 are replaced; what is too long is cut,
/// since half an alert is better than none.
pub fn read(body: &[u8]) -> Result<Payload, Malformed> {
    let body = String::from_utf8_lossy(body);
    let raw: Raw = serde_json::from_str(&body)
        .map_err(|error| Malformed::Json { line: error.line(), column: error.column() })?;
    if raw.version != "4" {
        return Err(Malformed::Version);
    }
    if raw.group_key.is_empty() || raw.group_key.len() > GROUP_KEY_BYTES_MAX {
        return Err(Malformed::GroupKey);
    }
    let over = raw.alerts.len().saturating_sub(ALERTS_MAX) as u64;
    let alerts = raw.alerts.into_iter().take(ALERTS_MAX).map(alert).collect::<Result<_, _>>()?;
    Ok(Payload {
        group_key: raw.group_key,
        group_labels: pairs(raw.group_labels),
        alerts,
        truncated: raw.truncated_alerts.saturating_add(over),
        external_url: cut(raw.external_url),
    })
}

fn alert(raw: RawAlert) -> Result<Alert, Malformed> {
    let firing = match raw.status.as_str() {
        "firing" => true,
        "resolved" => false,
        _ => return Err(Malformed::Status),
    };
    let labels = pairs(raw.labels);
    let fingerprint = match raw.fingerprint.as_str() {
        // Who leaves it out gets one that is as good: alerts are their labels.
        "" => format!("{:016x}", hash(&labels)),
        given => text::cut_bytes(given, 64).to_owned(),
    };
    Ok(Alert {
        firing,
        labels,
        annotations: pairs(raw.annotations),
        starts_ms: unix_ms(&raw.starts_at)?,
        // While it fires, it is the year 1, or when Prometheus will not be believed any more.
        ends_ms: if firing { 0 } else { unix_ms(&raw.ends_at).unwrap_or(0) },
        generator_url: cut(raw.generator_url),
        fingerprint,
    })
}

fn hash(pairs: &Pairs) -> u64 {
    let mut bytes = Vec::new();
    for (name, value) in pairs {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0xff); // in no UTF-8
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0xff);
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

fn pairs(raw: Option<Pairs>) -> Pairs {
    let short =
        raw.unwrap_or_default().into_iter().filter(|(name, _)| name.len() <= NAME_BYTES_MAX);
    short.take(PAIRS_MAX).map(|(name, value)| (name, cut(value))).collect()
}

fn cut(value: String) -> String {
    if value.len() <= VALUE_BYTES_MAX {
        return value;
    }
    text::cut_bytes(&value, VALUE_BYTES_MAX).to_owned()
}

/// Milliseconds since 1970; 0 for what is before.
fn unix_ms(text: &str) -> Result<u64, Malformed> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Malformed::Time)?;
    Ok(u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"version":"4","groupKey":"{}:{alertname=\"A\"}","truncatedAlerts":2,
        "status":"firing","receiver":"x","groupLabels":{"alertname":"A"},"commonLabels":{},
        "commonAnnotations":{},"externalURL":"http://am:9093",
        "alerts":[{"status":"firing","labels":{"alertname":"A","severity":"critical"},
        "annotations":{"summary":"s"},"startsAt":"2023-11-14T22:13:20.5Z",
        "endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/graph","fingerprint":"00ff"}]}"#;

    #[test]
    fn what_alertmanager_sends_is_read() {
        let payload = read(GOOD.as_bytes()).unwrap();
        assert_eq!((payload.alerts.len(), payload.truncated), (1, 2));
        let alert = &payload.alerts[0];
        assert!(alert.firing && alert.is_critical());
        assert_eq!((alert.starts_ms, alert.ends_ms), (1_700_000_000_500, 0));
        assert_eq!((alert.fingerprint.as_str(), alert.annotation("summary")), ("00ff", "s"));
    }

    #[test]
    fn what_is_none_is_refused_without_its_words() {
        #[track_caller]
        fn check(from: &str, to: &str, want: &Malformed) {
            assert!(GOOD.contains(from));
            let malformed = read(GOOD.replace(from, to).as_bytes()).unwrap_err();
            assert_eq!(
                std::mem::discriminant(&malformed),
                std::mem::discriminant(want),
                "{malformed}"
            );
            assert!(!malformed.to_string().contains("secret"));
        }
        check("\"4\"", "\"3\"", &Malformed::Version);
        check("{\"version\"", "secret{\"version\"", &Malformed::Json { line: 1, column: 1 });
        check("[{\"status\":\"firing\"", "[{\"status\":\"secret\"", &Malformed::Status);
        check("2023-11-14T22", "2023-11-14secret", &Malformed::Time);
        check("{}:{alertname=\\\"A\\\"}", "", &Malformed::GroupKey);
        check("\"alerts\"", "\"secret\"", &Malformed::Json { line: 1, column: 1 });
    }

    #[test]
    fn every_cut_of_a_body_is_refused() {
        for end in 0..GOOD.len() {
            assert!(read(&GOOD.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn what_is_no_utf8_is_replaced_and_what_is_too_long_is_cut() {
        let mut body = GOOD.replace("\"s\"", "\"s?\"").into_bytes();
        let at = body.windows(4).position(|part| part == b"\"s?\"").unwrap();
        body[at + 2] = 0xff;
        assert_eq!(read(&body).unwrap().alerts[0].annotation("summary"), "s\u{fffd}");
        let long = GOOD.replace("\"s\"", &format!("\"{}\"", "é".repeat(VALUE_BYTES_MAX)));
        assert_eq!(read(long.as_bytes()).unwrap().alerts[0].annotation("summary").len(), 4_096);
        let one = GOOD.split("\"alerts\":[").nth(1).unwrap().trim_end_matches("]}");
        let many = format!(
            "{}\"alerts\":[{}]}}",
            GOOD.split("\"alerts\":[").next().unwrap(),
            vec![one; ALERTS_MAX + 3].join(",")
        );
        let payload = read(many.as_bytes()).unwrap();
        assert_eq!((payload.alerts.len(), payload.truncated), (ALERTS_MAX, 5));
    }
}
