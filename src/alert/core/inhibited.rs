//! Alerts that Alertmanager inhibits: consequences of a cause that is notified. Their rules look
//! back over minutes, so for a while they outlive the cause, and are no news then.
//!
//! Alertmanager is asked which alerts are inhibited by which, so that its rules are not repeated
//! here.
//!
//! Invariants: an alert is held no longer than the bound after it was last seen inhibited; the list
//! is bounded; after a restart it affects only how soon an alert is sent.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::alert::model::alert::Pairs;

/// Most inhibited alerts. Beyond it the oldest are removed.
const KNOWN_MAX: usize = 10_000;

/// The longest time between the last look at a consequence and the end of its cause, in ms.
const BEFORE_END_MS: u64 = 120_000;

/// An alert that Alertmanager inhibits because another one fires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InhibitedAlert {
    /// Its fingerprint.
    pub fingerprint: String,
    /// The fingerprints of the alerts that inhibit it.
    pub by: Vec<String>,
    /// Its `alertname` and `instance`.
    pub name: String,
}

/// The inhibited alerts.
#[derive(Debug, Default)]
pub struct InhibitedAlerts {
    known: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    by: Vec<String>,
    name: String,
    at_ms: u64,
}

impl InhibitedAlerts {
    /// Takes the current list of Alertmanager. An alert that is no longer in it is kept for
    /// `outlive_ms`.
    pub fn note(&mut self, now_ms: u64, outlive_ms: u64, alerts: Vec<InhibitedAlert>) {
        let is_recent = |seen: &Seen| now_ms.saturating_sub(seen.at_ms) <= outlive_ms;
        self.known.retain(|_, seen| is_recent(seen));
        for InhibitedAlert { fingerprint, by, name } in alerts.into_iter().take(KNOWN_MAX) {
            self.known.insert(fingerprint, Seen { by, name, at_ms: now_ms });
        }
        while self.known.len() > KNOWN_MAX {
            let oldest = self.known.iter().min_by_key(|(_, seen)| seen.at_ms);
            let Some(oldest) = oldest.map(|(fingerprint, _)| fingerprint.clone()) else { break };
            self.known.remove(&oldest);
        }
    }

    /// The time until which an alert is held after the end of its cause; 0 when it is not held.
    pub fn held_until_ms(&self, fingerprint: &str, now_ms: u64, outlive_ms: u64) -> u64 {
        let Some(seen) = self.known.get(fingerprint) else { return 0 };
        let until_ms = seen.at_ms.saturating_add(outlive_ms);
        // A clock that was set back holds nothing.
        if until_ms <= now_ms || seen.at_ms > now_ms { 0 } else { until_ms }
    }

    /// The alerts that this cause inhibited shortly before its end: fingerprints and names.
    pub fn outliving<'a>(
        &'a self,
        cause: &'a str,
        end_ms: u64,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let since_ms = end_ms.saturating_sub(BEFORE_END_MS);
        let is_its = move |seen: &Seen| {
            seen.at_ms >= since_ms && seen.by.iter().any(|fingerprint| fingerprint == cause)
        };
        let all = self.known.iter().filter(move |(_, seen)| is_its(seen));
        all.map(|(fingerprint, seen)| (fingerprint.as_str(), seen.name.as_str()))
    }

    /// An alert has ended.
    pub fn forget(&mut self, fingerprint: &str) {
        self.known.remove(fingerprint);
    }
}

#[derive(Deserialize)]
struct Listed {
    fingerprint: String,
    labels: Pairs,
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    inhibited_by: Vec<String>,
}

/// The URL of Alertmanager that lists them.
pub fn url(alertmanager_url: &str) -> String {
    format!(
        "{}/api/v2/alerts?active=false&silenced=false&unprocessed=false&inhibited=true",
        alertmanager_url.trim_end_matches('/')
    )
}

/// Parses the list; `None` when it is something else.
pub fn read(body: &[u8]) -> Option<Vec<InhibitedAlert>> {
    let listed: Vec<Listed> = serde_json::from_slice(body).ok()?;
    let inhibited = listed.into_iter().filter(|one| !one.status.inhibited_by.is_empty());
    let all = inhibited.map(|one| {
        let label = |name: &str| one.labels.get(name).map_or("", String::as_str);
        let name = match label("instance") {
            "" => label("alertname").to_owned(),
            instance => format!("{} {instance}", label("alertname")),
        };
        InhibitedAlert { fingerprint: one.fingerprint, by: one.status.inhibited_by, name }
    });
    Some(all.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(fingerprint: &str, by: &str) -> InhibitedAlert {
        InhibitedAlert {
            fingerprint: fingerprint.to_owned(),
            by: vec![by.to_owned()],
            name: format!("name of {fingerprint}"),
        }
    }

    #[test]
    fn what_alertmanager_lists_is_read() {
        let body = br#"[{"annotations":{},"endsAt":"2026-01-01T00:00:00.000Z","fingerprint":"c1",
            "receivers":[{"name":"page"}],"startsAt":"2026-01-01T00:00:00.000Z",
            "status":{"inhibitedBy":["s1"],"silencedBy":[],"state":"suppressed"},
            "updatedAt":"2026-01-01T00:00:00.000Z","generatorURL":"",
            "labels":{"alertname":"A","instance":"i"}},
            {"fingerprint":"s1","labels":{},"status":{"inhibitedBy":[],"state":"active"}}]"#;
        let want = InhibitedAlert {
            fingerprint: "c1".to_owned(),
            by: vec!["s1".to_owned()],
            name: "A i".to_owned(),
        };
        assert_eq!(read(body), Some(vec![want]));
        assert_eq!(read(b"<html>"), None);
    }

    #[test]
    fn what_was_inhibited_is_held_for_its_bound_and_no_longer() {
        let mut all = InhibitedAlerts::default();
        all.note(1_000, 300, vec![one("c", "s")]);
        assert_eq!(all.held_until_ms("c", 1_000, 300), 1_300);
        assert_eq!(all.held_until_ms("c", 1_299, 300), 1_300);
        assert_eq!(all.held_until_ms("c", 1_300, 300), 0);
        assert_eq!(all.held_until_ms("other", 1_000, 300), 0);
        assert_eq!(all.held_until_ms("c", 500, 300), 0, "a clock that was set back");
        all.note(1_200, 300, vec![]);
        assert_eq!(all.held_until_ms("c", 1_250, 300), 1_300, "it is remembered");
        assert_eq!(all.outliving("s", 1_100).count(), 1);
        assert_eq!(all.outliving("t", 1_100).count(), 0);
        all.note(1_301, 300, vec![]);
        assert_eq!(all.outliving("s", 1_100).count(), 0);
    }

    #[test]
    fn there_is_room_for_so_many_and_the_oldest_go() {
        let mut all = InhibitedAlerts::default();
        all.note(1, 9_000, vec![one("old", "s")]);
        all.note(2, 9_000, (0..KNOWN_MAX).map(|index| one(&format!("c{index}"), "s")).collect());
        assert_eq!(all.held_until_ms("old", 2, 9_000), 0);
        assert_eq!(all.known.len(), KNOWN_MAX);
    }
}
