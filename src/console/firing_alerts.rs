//! What fires now, out of what Alertmanager answers to `GET /api/v2/alerts`.
//!
//! Invariant: what is kept has a bound, however much fires and whatever rules write: so many
//! alerts, labels and bytes of each text. What is beyond is counted, or cut.
//!
//! Deliberately absent: asking, and what is silenced or inhibited, which is not asked for.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Alerts that are kept: the worst, the newest of them first.
pub const ALERTS_MAX: usize = 100;

/// Labels of one alert.
const LABELS_MAX: usize = 24;

/// Bytes of one text.
const TEXT_BYTES_MAX: usize = 512;

/// Severities, the worst first. What is none of them comes last.
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiringAlert {
    /// Its name.
    pub name: Box<str>,
    /// How bad it is, as its rule says it; empty for nothing.
    pub severity: Box<str>,
    /// What it means, in a sentence.
    pub summary: Box<str>,
    /// Since when it fires, as Alertmanager writes it (RFC 3339).
    pub since: Box<str>,
    /// Where it is told what to do; empty for nowhere.
    pub runbook: Box<str>,
    /// Its other labels, by name.
    pub labels: Vec<(Box<str>, Box<str>)>,
}

/// All that fires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FiringAlerts {
    /// The worst first.
    pub alerts: Vec<FiringAlert>,
    /// How many more fire.
    pub more_count: usize,
}

/// What is known of what fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertsAnswer {
    /// The server was not told where Alertmanager is.
    Off,
    /// Nobody answers there, or means something else.
    Unreachable,
    /// This.
    Firing(FiringAlerts),
}

impl AlertsAnswer {
    /// Its word.
    pub fn name(&self) -> &'static str {
        match self {
            AlertsAnswer::Off => "off",
            AlertsAnswer::Unreachable => "unreachable",
            AlertsAnswer::Firing(_) => "good",
        }
    }

    /// What fires; nothing where nobody knows.
    pub fn firing(&self) -> Option<&FiringAlerts> {
        match self {
            AlertsAnswer::Firing(firing) => Some(firing),
            AlertsAnswer::Off | AlertsAnswer::Unreachable => None,
        }
    }
}

/// What somebody answered is no list of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertsAnswerError;

#[derive(Deserialize)]
struct AlertBody {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default, rename = "startsAt")]
    starts_at: String,
}

impl FiringAlerts {
    /// Out of the body of an answer.
    pub fn read(body: &[u8]) -> Result<FiringAlerts, AlertsAnswerError> {
        let bodies: Vec<AlertBody> = serde_json::from_slice(body).map_err(|_| AlertsAnswerError)?;
        let mut alerts: Vec<FiringAlert> = bodies.into_iter().map(FiringAlert::of).collect();
        let rank = |alert: &FiringAlert| {
            let known = SEVERITIES.iter().position(|severity| **severity == *alert.severity);
            known.unwrap_or(SEVERITIES.len())
        };
        // Times are all in UTC and of one form, so texts are in their order.
        alerts.sort_by(|one, other| {
            let by_time = || other.since.cmp(&one.since).then(one.name.cmp(&other.name));
            rank(one).cmp(&rank(other)).then_with(by_time)
        });
        let more_count = alerts.len().saturating_sub(ALERTS_MAX);
        alerts.truncate(ALERTS_MAX);
        Ok(FiringAlerts { alerts, more_count })
    }
}

impl FiringAlert {
    fn of(body: AlertBody) -> FiringAlert {
        let AlertBody { mut labels, mut annotations, starts_at } = body;
        let name = cut(&labels.remove("alertname").unwrap_or_default());
        let severity = cut(&labels.remove("severity").unwrap_or_default());
        let labels = labels.iter().take(LABELS_MAX).map(|(name, value)| (cut(name), cut(value)));
        FiringAlert {
            name,
            severity,
            summary: cut(&annotations.remove("summary").unwrap_or_default()),
            since: cut(&starts_at),
            runbook: cut(&annotations.remove("runbook_url").unwrap_or_default()),
            labels: labels.collect(),
        }
    }
}

fn cut(text: &str) -> Box<str> {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(name: &str, severity: &str, since: &str) -> String {
        format!(
            r#"{{"labels":{{"alertname":"{name}","severity":"{severity}","core":"3"}},
               "annotations":{{"summary":"it is late","runbook_url":"https://runbooks/a"}},
               "startsAt":"{since}","status":{{"state":"active"}},"fingerprint":"00"}}"#
        )
    }

    fn names(body: &str) -> Vec<String> {
        let read = FiringAlerts::read(body.as_bytes()).unwrap();
        read.alerts.iter().map(|alert| alert.name.to_string()).collect()
    }

    #[test]
    fn an_alert_has_what_its_rule_says() {
        let body = format!("[{}]", alert("ChatCoreLate", "critical", "2026-11-30T08:00:00.000Z"));
        let want = FiringAlert {
            name: "ChatCoreLate".into(),
            severity: "critical".into(),
            summary: "it is late".into(),
            since: "2026-11-30T08:00:00.000Z".into(),
            runbook: "https://runbooks/a".into(),
            labels: vec![("core".into(), "3".into())],
        };
        let read = FiringAlerts::read(body.as_bytes()).unwrap();
        assert_eq!(read, FiringAlerts { alerts: vec![want], more_count: 0 });
        assert_eq!(names("[]"), [] as [String; 0]);
        assert_eq!(names("[{}]"), [""]);
    }

    #[test]
    fn the_worst_come_first_and_of_those_the_newest() {
        let alerts = [
            alert("old", "warning", "2026-11-30T07:00:00.000Z"),
            alert("new", "warning", "2026-11-30T08:00:00.000Z"),
            alert("odd", "sev2", "2026-11-30T09:00:00.000Z"),
            alert("bad", "critical", "2026-11-29T08:00:00.000Z"),
            alert("told", "info", "2026-11-30T09:30:00.000Z"),
        ];
        let body = format!("[{}]", alerts.join(","));
        assert_eq!(names(&body), ["bad", "new", "old", "told", "odd"]);
    }

    #[test]
    fn what_is_too_much_is_counted_or_cut() {
        let many: Vec<String> = (0..ALERTS_MAX + 7)
            .map(|number| alert(&format!("a{number:03}"), "warning", "2026-11-30T08:00:00.000Z"))
            .collect();
        let read = FiringAlerts::read(format!("[{}]", many.join(",")).as_bytes()).unwrap();
        assert_eq!((read.alerts.len(), read.more_count), (ALERTS_MAX, 7));
        let labels: Vec<String> =
            (0..LABELS_MAX + 5).map(|number| format!(r#""l{number:02}":"x""#)).collect();
        let long = "é".repeat(TEXT_BYTES_MAX);
        let body = format!(
            r#"[{{"labels":{{{}}},"annotations":{{"summary":"{long}"}}}}]"#,
            labels.join(",")
        );
        let read = FiringAlerts::read(body.as_bytes()).unwrap();
        assert_eq!(read.alerts[0].labels.len(), LABELS_MAX);
        assert_eq!(read.alerts[0].summary.len(), TEXT_BYTES_MAX);
    }

    #[test]
    fn what_is_no_list_of_alerts_is_refused() {
        for body in ["", "{}", "[7]", r#"[{"labels":7}]"#, "<html>", r#"[{"startsAt":7}]"#] {
            assert_eq!(FiringAlerts::read(body.as_bytes()), Err(AlertsAnswerError), "{body}");
        }
    }
}
