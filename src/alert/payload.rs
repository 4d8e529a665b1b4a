//! From the body of Alertmanager's webhook to alerts, within limits on everything.
//!
//! A body that is damaged or too long gives as many alerts as can be read, because
//! Alertmanager drops for good what it is refused.
//!
//! Deliberately absent: what is done with an alert (`core`).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::json_repair::mended;
use super::text;

/// Alerts of one notification that are kept, what is critical first; the rest is counted.
pub const ALERTS_MAX: usize = 10_000;
/// Alerts of one notification that are kept with what decorates them.
const WHOLE_ALERTS_MAX: usize = 500;
/// Bytes of an alert's labels and annotations beside those that decide.
const DECORATION_BYTES_MAX: usize = 16 << 10;
/// Bytes of the name of a label that does not decide.
const NAME_BYTES_MAX: usize = 128;
/// Bytes of a label's or an annotation's value; what is longer is cut.
const VALUE_BYTES_MAX: usize = 4_096;
/// Bytes of a group's key; a longer one is known by its beginning and its hash.
const GROUP_KEY_BYTES_MAX: usize = 512;
/// Bytes of a fingerprint; the same.
const FINGERPRINT_BYTES_MAX: usize = 64;
/// Labels that a group has in common; the rest is left out.
const GROUP_LABELS_MAX: usize = 64;

/// Labels that something is decided by, whatever people's entries add to them.
const DECIDING_LABELS: [&str; 8] =
    ["alertname", "severity", "instance", "job", "cluster", "layer", "tenant_id", "core"];
/// Annotations that somebody needs to act, or the bridge to find something out.
const DECIDING_ANNOTATIONS: [&str; 6] =
    ["summary", "runbook_url", "description", "dashboard_url", "exemplar_query", "value_query"];

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
    /// Whether something critical is among those.
    pub truncated_critical: bool,
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
        is_critical(self.label("severity"))
    }

    /// What it takes in memory and on disk, roughly.
    pub fn bytes(&self) -> usize {
        let pairs = self.labels.iter().chain(&self.annotations);
        let texts: usize = pairs.map(|(name, value)| name.len() + value.len() + 8).sum();
        texts + self.generator_url.len() + self.fingerprint.len() + 64
    }
}

/// Whether a severity, however it is written, is the one that calls people.
fn is_critical(severity: &str) -> bool {
    severity.trim().eq_ignore_ascii_case("critical")
}

/// Why a body is no notification. Nothing of the body is in it. Whatever else is wrong
/// with one is mended, since Alertmanager drops for good what it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// No JSON; where.
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// JSON in which there is no list of alerts.
    NoAlerts,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Json { line, column } => {
                write!(f, "this is no JSON object (line {line}, column {column})")
            }
            Malformed::NoAlerts => f.write_str("there is no list `alerts` in it"),
        }
    }
}

/// What is there of a body, and what is known of the part that is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationBody {
    /// Its beginning, or all of it.
    pub bytes: Vec<u8>,
    /// Its end, when the beginning is not all.
    pub tail: Vec<u8>,
    /// Alerts between the two, as far as they were counted.
    pub skipped: u64,
    /// Whether one of these is critical.
    pub skipped_critical: bool,
}

impl NotificationBody {
    /// A body that is there as a whole.
    #[cfg(test)]
    pub fn whole(bytes: &[u8]) -> NotificationBody {
        NotificationBody { bytes: bytes.to_vec(), ..NotificationBody::default() }
    }
}

/// Reads a body. `deciding` names the labels that people are called by.
///
/// Bytes that are no UTF-8 are replaced; what is too long is cut, since half an alert is
/// better than none; what is left out is counted. What does not fit in is what decorates.
pub fn read(body: &NotificationBody, deciding: &[&str]) -> Result<Payload, Malformed> {
    let text = String::from_utf8_lossy(&body.bytes);
    let text = text.trim_start_matches('\u{feff}');
    let (mut raw, mut parsed) = parse(text);
    if parsed.as_ref().is_err_and(|error| !error.is_eof()) {
        (raw, parsed) = parse(&mended(text));
    }
    let mut skipped = body.skipped;
    if let Err(error) = parsed {
        let is_cut = error.is_eof() && !body.tail.is_empty() && raw.has_alerts;
        if !is_cut {
            return Err(Malformed::Json { line: error.line(), column: error.column() });
        }
        raw.read_tail(&body.tail);
        // The one that is cut is not read, and perhaps not counted.
        skipped = skipped.max(1);
    }
    if !raw.has_alerts {
        return Err(Malformed::NoAlerts);
    }
    raw.tell_apart();
    let group_labels: Pairs = raw
        .group_labels
        .into_iter()
        .take(GROUP_LABELS_MAX)
        .map(|(name, value)| (name, cut(value)))
        .collect();
    let is_critical = |alert: &RawAlert| {
        alert.labels.get("severity").is_some_and(|severity| is_critical(severity))
    };
    // The sort is stable: otherwise they stay in Alertmanager's order.
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
    let mut payload = Payload {
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

/// What is told of a notification of which no alert could be read: that there is something.
fn unreadable(payload: &Payload) -> Alert {
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

/// What there is of a notification, and why not all of it. What stands behind it is nothing.
fn parse(text: &str) -> (Raw, Result<(), serde_json::Error>) {
    let mut raw = Raw::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = TopSeed(&mut raw).deserialize(&mut json);
    (raw, parsed)
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

/// Those that decide, and of the others as many as `left_bytes` has room for.
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

/// The group's name. One that is missing is made of what the group is known by.
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

/// A name that is as distinct as the whole one.
fn bounded(name: String, bytes_max: usize) -> String {
    if name.len() <= bytes_max {
        return name;
    }
    let hash = xxhash_rust::xxh3::xxh3_128(name.as_bytes());
    format!("{}#{hash:032x}", text::cut_bytes(&name, bytes_max - 33))
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

/// What stands in a body. Filled in while it is read, so that of a body that ends too
/// early everything before the end is there.
#[derive(Default)]
struct Raw {
    group_key: String,
    status: String,
    /// What stood among the alerts and is none.
    unread: u64,
    truncated: u64,
    group_labels: Pairs,
    external_url: String,
    alerts: Vec<RawAlert>,
    has_alerts: bool,
}

#[derive(Default)]
struct RawAlert {
    status: String,
    labels: Pairs,
    annotations: Pairs,
    starts_at: String,
    ends_at: String,
    generator_url: String,
    fingerprint: String,
}

impl Raw {
    /// Alerts are their labels: of several with one fingerprint and other labels, each gets
    /// one of its own.
    fn tell_apart(&mut self) {
        let mut first: BTreeMap<String, u64> = BTreeMap::new();
        for alert in self.alerts.iter_mut().filter(|alert| !alert.fingerprint.is_empty()) {
            let labels = hash(&alert.labels);
            let known = *first.entry(alert.fingerprint.clone()).or_insert(labels);
            if known != labels {
                alert.fingerprint = format!("{}#{labels:016x}", alert.fingerprint);
            }
        }
    }

    /// What Alertmanager writes behind the alerts. Within a text, the quotes of such a
    /// name would be escaped; of several, the last one is the body's own.
    fn read_tail(&mut self, tail: &[u8]) {
        let tail = String::from_utf8_lossy(tail);
        fn behind<'a, T: Deserialize<'a>>(tail: &'a str, name: &str) -> Option<T> {
            let (_, rest) = tail.rsplit_once(name)?;
            let mut json = serde_json::Deserializer::from_str(rest);
            T::deserialize(&mut json).ok()
        }
        if let Some(Text(key)) = behind(&tail, "\"groupKey\":") {
            self.group_key = key;
        }
        if let Some(Text(url)) = behind(&tail, "\"externalURL\":") {
            self.external_url = url;
        }
        if let Some(LoosePairs(labels)) = behind(&tail, "\"groupLabels\":") {
            self.group_labels = labels;
        }
        if let Some(count) = behind::<u64>(&tail, "\"truncatedAlerts\":") {
            self.truncated = count;
        }
    }
}

struct TopSeed<'a>(&'a mut Raw);

impl<'de> DeserializeSeed<'de> for TopSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TopSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a notification")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let raw = self.0;
        while let Some(name) = map.next_key::<Text>()? {
            match name.0.as_str() {
                "groupKey" => raw.group_key = map.next_value::<Text>()?.0,
                "status" => raw.status = map.next_value::<Text>()?.0,
                "externalURL" => raw.external_url = map.next_value::<Text>()?.0,
                "groupLabels" => raw.group_labels = map.next_value::<LoosePairs>()?.0,
                "truncatedAlerts" => {
                    raw.truncated = map.next_value::<Text>()?.0.parse().unwrap_or(0);
                }
                "alerts" => map.next_value_seed(AlertsSeed(&mut *raw))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct AlertsSeed<'a>(&'a mut Raw);

impl<'de> DeserializeSeed<'de> for AlertsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AlertsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of alerts")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut alerts: S) -> Result<(), S::Error> {
        self.0.has_alerts = true;
        while let Some(MaybeAlert(alert)) = alerts.next_element()? {
            match alert {
                Some(alert) => self.0.alerts.push(alert),
                None => self.0.unread += 1,
            }
        }
        Ok(())
    }

    /// An empty list is `null` where nobody made one.
    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.has_alerts = true;
        Ok(())
    }
}

/// An alert, or nothing where something else stands: the others are no worse for it.
struct MaybeAlert(Option<RawAlert>);

impl<'de> Deserialize<'de> for MaybeAlert {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<MaybeAlert, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = MaybeAlert;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an alert")
            }

            fn visit_unit<E>(self) -> Result<MaybeAlert, E> {
                Ok(MaybeAlert(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<MaybeAlert, E> {
                Ok(MaybeAlert(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<MaybeAlert, E> {
                Ok(MaybeAlert(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<MaybeAlert, E> {
                Ok(MaybeAlert(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<MaybeAlert, E> {
                Ok(MaybeAlert(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<MaybeAlert, E> {
                Ok(MaybeAlert(None))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<MaybeAlert, S::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(MaybeAlert(None))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<MaybeAlert, M::Error> {
                let mut raw = RawAlert::default();
                while let Some(name) = map.next_key::<Text>()? {
                    match name.0.as_str() {
                        "status" => raw.status = map.next_value::<Text>()?.0,
                        "labels" => raw.labels = map.next_value::<LoosePairs>()?.0,
                        "annotations" => raw.annotations = map.next_value::<LoosePairs>()?.0,
                        "startsAt" => raw.starts_at = map.next_value::<Text>()?.0,
                        "endsAt" => raw.ends_at = map.next_value::<Text>()?.0,
                        "generatorURL" => raw.generator_url = map.next_value::<Text>()?.0,
                        "fingerprint" => raw.fingerprint = map.next_value::<Text>()?.0,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(MaybeAlert(Some(raw)))
            }
        }
        from.deserialize_any(Fields)
    }
}

/// A text, or what else stands in its place: a number or a word as it is written, and
/// nothing for a list or an object.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Text, E> {
                Ok(Text(text))
            }

            fn visit_bool<E>(self, is: bool) -> Result<Text, E> {
                Ok(Text(is.to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text(String::new()))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Text, S::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(String::new()))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Text, M::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(String::new()))
            }
        }
        from.deserialize_any(Any)
    }
}

/// Labels or annotations, or nothing where there are none.
struct LoosePairs(Pairs);

impl<'de> Deserialize<'de> for LoosePairs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<LoosePairs, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = LoosePairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_unit<E>(self) -> Result<LoosePairs, E> {
                Ok(LoosePairs(Pairs::new()))
            }

            fn visit_bool<E>(self, _: bool) -> Result<LoosePairs, E> {
                Ok(LoosePairs(Pairs::new()))
            }

            fn visit_u64<E>(self, _: u64) -> Result<LoosePairs, E> {
                Ok(LoosePairs(Pairs::new()))
            }

            fn visit_i64<E>(self, _: i64) -> Result<LoosePairs, E> {
                Ok(LoosePairs(Pairs::new()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<LoosePairs, E> {
                Ok(LoosePairs(Pairs::new()))
            }

            fn visit_str<E>(self, _: &str) -> Result<LoosePairs, E> {
                Ok(LoosePairs(Pairs::new()))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<LoosePairs, S::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(LoosePairs(Pairs::new()))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<LoosePairs, M::Error> {
                let mut pairs = Pairs::new();
                while let Some((name, text)) = map.next_entry::<String, Text>()? {
                    pairs.insert(name, text.0);
                }
                Ok(LoosePairs(pairs))
            }
        }
        from.deserialize_any(Entries)
    }
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

    fn good(body: &str) -> Payload {
        read(&NotificationBody::whole(body.as_bytes()), &[]).unwrap()
    }

    #[test]
    fn what_alertmanager_sends_is_read() {
        let payload = good(GOOD);
        assert_eq!((payload.alerts.len(), payload.truncated), (1, 2));
        assert_eq!(payload.group_key, "{}:{alertname=\"A\"}");
        let alert = &payload.alerts[0];
        assert!(alert.firing && alert.is_critical());
        assert_eq!((alert.starts_ms, alert.ends_ms), (1_700_000_000_500, 0));
        assert_eq!((alert.fingerprint.as_str(), alert.annotation("summary")), ("00ff", "s"));
    }

    #[test]
    fn only_what_is_no_notification_at_all_is_refused_and_without_its_words() {
        for body in ["", "{", "[]", "\"x\"", "secret", "{\"alerts\":[}", "{\"secret\":1}"] {
            let malformed = read(&NotificationBody::whole(body.as_bytes()), &[]).unwrap_err();
            assert!(!malformed.to_string().contains("secret"), "{malformed}");
        }
    }

    #[test]
    fn what_is_odd_about_a_notification_loses_no_alert() {
        #[track_caller]
        fn check(from: &str, to: &str) -> Payload {
            assert!(GOOD.contains(from));
            let payload = good(&GOOD.replace(from, to));
            assert_eq!(payload.alerts.len(), 1);
            assert!(payload.alerts[0].firing && !payload.group_key.is_empty());
            payload
        }
        check("\"version\":\"4\"", "\"version\":5,\"new\":{\"deep\":[1,null]}");
        check("\"version\":\"4\"", "\"version\":\"4\",\"version\":\"4\"");
        check("[{\"status\":\"firing\"", "[{\"status\":\"pending\"");
        assert_eq!(check("2023-11-14T22", "soon").alerts[0].starts_ms, 0);
        check("\"startsAt\":\"2023-11-14T22:13:20.5Z\",", "");
        check("{}:{alertname=\\\"A\\\"}", "");
        check("\"groupLabels\":{\"alertname\":\"A\"}", "\"groupLabels\":null");
        check("\"truncatedAlerts\":2", "\"truncatedAlerts\":\"many\"");
        let numbers =
            check("\"severity\":\"critical\"", "\"severity\":\"critical\",\"n\":7,\"x\":{}");
        assert_eq!(numbers.alerts[0].label("n"), "7");
        assert_eq!(good("{\"alerts\":null}").alerts, []);
    }

    #[test]
    fn whatever_stands_in_an_alerts_place_or_in_its_labels_the_others_are_told() {
        let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
        let maps = format!("{}1{}", "{\"x\":".repeat(5_000), "}".repeat(5_000));
        for odd in ["null", "7", "-1", "1.5", "true", "\"x\"", "[]", "[[{}]]", &deep] {
            let payload = good(&GOOD.replace("\"alerts\":[", &format!("\"alerts\":[{odd},")));
            assert_eq!((payload.alerts.len(), payload.truncated), (1, 3), "{odd:.20}");
        }
        for odd in ["null", "7", "-1", "1.5", "true", "\"x\"", "[{}]", &deep, &maps] {
            let mut parts = GOOD.split("\"annotations\":{\"summary\":\"s\"}");
            let (head, tail) = (parts.next().unwrap(), parts.next().unwrap());
            let payload = good(&format!("{head}\"annotations\":{odd}{tail}"));
            assert!(payload.alerts[0].is_critical(), "{odd:.20}");
            let payload = good(&GOOD.replace("\"version\":\"4\"", &format!("\"new\":{odd}")));
            assert_eq!(payload.alerts[0].annotation("summary"), "s", "{odd:.20}");
            let labels = format!("\"labels\":{{\"odd\":{odd},\"odd\":\"last\",");
            let payload = good(&GOOD.replace("\"labels\":{", &labels));
            assert_eq!(payload.alerts[0].label("odd"), "last", "{odd:.20}");
        }
        let all = good("{\"status\":\"resolved\",\"alerts\":[{\"labels\":{\"a\":\"b\"}}]}");
        assert!(!all.alerts[0].firing, "who does not say it of each says it of all");
    }

    #[test]
    fn what_no_reader_of_json_takes_is_mended() {
        #[track_caller]
        fn check(body: &str, want: &str) {
            assert_eq!(good(body).alerts[0].annotation("summary"), want);
        }
        let with = |summary: &str| {
            GOOD.replace("\"summary\":\"s\"", &format!("\"summary\":\"{summary}\""))
        };
        check(&with("a\nb\u{1}c\td"), "a b c d");
        check(&with("x\\ud800y"), "x\u{fffd}y");
        check(&with("x\\udc00\\ud83d\\ude00\\ud83d"), "x\u{fffd}\u{1f600}\u{fffd}");
        check(&with("a\n\\\"q\\\\"), "a \"q\\");
        check(&with("a\n\\u00e9\\n"), "a é\n");
        check(&format!("\u{feff}{GOOD}"), "s");
        check(&format!("{GOOD}\0\0 {{"), "s");
        let broken = with("a\n\\").replace("\"}]}", "");
        assert!(read(&NotificationBody::whole(broken.as_bytes()), &[]).is_err());
    }

    #[test]
    fn one_fingerprint_for_two_alerts_loses_neither() {
        let two = GOOD.replace(
            "\"alerts\":[",
            "\"alerts\":[{\"labels\":{\"alertname\":\"B\"},\"fingerprint\":\"00ff\"},\
             {\"labels\":{\"alertname\":\"B\"},\"fingerprint\":\"00ff\"},",
        );
        let prints: std::collections::BTreeSet<String> =
            good(&two).alerts.into_iter().map(|alert| alert.fingerprint).collect();
        assert_eq!(prints.len(), 2, "{prints:?}");
    }

    #[test]
    fn times_that_are_none_and_severities_that_are_shouted_are_understood() {
        for odd in ["0001-01-01T00:00:00Z", "", "soon", "-0001-01-01T00:00:00Z", "1e99"] {
            let payload = good(&GOOD.replace("2023-11-14T22:13:20.5Z", odd));
            assert_eq!(payload.alerts[0].starts_ms, 0, "{odd}");
        }
        let payload = good(&GOOD.replace("2023-11-14T22:13:20.5Z", "9999-12-31T23:59:59Z"));
        assert_eq!(payload.alerts[0].starts_ms, 253_402_300_799_000);
        for severity in ["Critical", "CRITICAL", " critical "] {
            assert!(
                good(&GOOD.replace("\"critical\"", &format!("\"{severity}\""))).alerts[0]
                    .is_critical()
            );
        }
        for severity in ["", "page", "critical!", "\u{202e}lacitirc"] {
            assert!(
                !good(&GOOD.replace("\"critical\"", &format!("\"{severity}\""))).alerts[0]
                    .is_critical()
            );
        }
    }

    #[test]
    fn of_one_alert_that_is_too_large_to_be_read_it_is_told_that_there_is_something() {
        let whole = giant(1);
        let body = NotificationBody {
            bytes: whole.as_bytes()[..90].to_vec(),
            tail: whole.as_bytes()[whole.len() - 120..].to_vec(),
            skipped: 0,
            skipped_critical: true,
        };
        let payload = read(&body, &[]).unwrap();
        let [alert] = &payload.alerts[..] else { panic!("{payload:?}") };
        assert!(alert.firing && alert.is_critical() && payload.truncated > 0);
        assert_eq!((payload.group_key.as_str(), alert.label("alertname")), ("g", "A"));
    }

    #[test]
    fn every_cut_of_a_body_is_refused() {
        for end in 0..GOOD.len() {
            let body = NotificationBody::whole(&GOOD.as_bytes()[..end]);
            assert!(read(&body, &[]).is_err(), "{end}");
        }
    }

    #[test]
    fn names_of_any_length_stay_distinct() {
        let with = |key: &str| good(&GOOD.replace("{}:{alertname=\\\"A\\\"}", key)).group_key;
        let long = "k".repeat(100_000);
        let (one, other) = (with(&format!("{long}1")), with(&format!("{long}2")));
        assert!(one != other && one.len() <= GROUP_KEY_BYTES_MAX, "{one}");
        assert_eq!(one, with(&format!("{long}1")));
        let of = |print: &str| good(&GOOD.replace("00ff", print)).alerts[0].fingerprint.clone();
        assert_ne!(of(&format!("{long}1")), of(&format!("{long}2")));
    }

    #[test]
    fn alerts_without_a_fingerprint_differ_by_any_of_their_labels() {
        let with = |last: &str| {
            let many: String =
                (0..200).map(|index| format!("\"label_{index:03}\":\"x\",")).collect();
            let labels = format!("\"labels\":{{{many}\"zone\":\"{last}\",");
            let body = GOOD.replace("\"labels\":{", &labels).replace("00ff", "");
            good(&body).alerts[0].fingerprint.clone()
        };
        assert_ne!(with("a"), with("b"));
    }

    #[test]
    fn what_decides_is_kept_among_any_number_of_labels() {
        for count in [10, 72, 5_000] {
            let many: String = (0..count)
                .map(|index| format!("\"label_{index:05}\":\"{}\",", "x".repeat(40)))
                .collect();
            let body = GOOD
                .replace(
                    "\"labels\":{",
                    &format!("\"labels\":{{{many}\"team\":\"chat\",\"zone\":\"z\","),
                )
                .replace("\"annotations\":{", &format!("\"annotations\":{{{many}"))
                .replace("\"groupLabels\":{", "\"groupLabels\":{\"zone\":\"z\",");
            let payload = read(&NotificationBody::whole(body.as_bytes()), &["team"]).unwrap();
            let alert = &payload.alerts[0];
            assert!(alert.is_critical(), "{count}");
            assert_eq!((alert.label("team"), alert.label("zone")), ("chat", "z"), "{count}");
            assert_eq!(alert.annotation("summary"), "s", "{count}");
            assert!(alert.bytes() < 4 * DECORATION_BYTES_MAX, "{count}");
        }
    }

    #[test]
    fn what_is_no_utf8_is_replaced_and_what_is_too_long_is_cut() {
        let mut body = GOOD.replace("\"s\"", "\"s?\"").into_bytes();
        let at = body.windows(4).position(|part| part == b"\"s?\"").unwrap();
        body[at + 2] = 0xff;
        let payload = read(&NotificationBody::whole(&body), &[]).unwrap();
        assert_eq!(payload.alerts[0].annotation("summary"), "s\u{fffd}");
        let long = GOOD.replace("\"s\"", &format!("\"{}\"", "é".repeat(VALUE_BYTES_MAX)));
        assert_eq!(good(&long).alerts[0].annotation("summary").len(), 4_096);
    }

    /// A body with so many alerts, of which the last is critical, as Alertmanager orders
    /// its fields: what names the group comes last.
    fn giant(count: usize) -> String {
        let alert = |index: usize| {
            let severity = if index + 1 == count { "critical" } else { "warning" };
            format!(
                "{{\"status\":\"firing\",\"labels\":{{\"alertname\":\"A\",\"severity\":\"{severity}\"}},\
                 \"annotations\":{{\"summary\":\"s{index}\"}},\"startsAt\":\"2023-11-14T22:13:20Z\",\
                 \"endsAt\":\"0001-01-01T00:00:00Z\",\"fingerprint\":\"{index:016x}\"}}"
            )
        };
        let alerts: Vec<String> = (0..count).map(alert).collect();
        format!(
            "{{\"receiver\":\"x\",\"status\":\"firing\",\"alerts\":[{}],\
             \"groupLabels\":{{\"alertname\":\"A\"}},\"externalURL\":\"http://am\",\
             \"version\":\"4\",\"groupKey\":\"g\",\"truncatedAlerts\":7}}",
            alerts.join(",")
        )
    }

    #[test]
    fn of_too_many_alerts_the_critical_ones_are_kept_and_the_rest_is_counted() {
        let payload = good(&giant(ALERTS_MAX + 3));
        assert_eq!((payload.alerts.len(), payload.truncated), (ALERTS_MAX, 10));
        assert!(payload.alerts[0].is_critical() && !payload.truncated_critical);
    }

    #[test]
    fn of_a_body_that_is_too_large_its_beginning_and_its_name_are_kept() {
        let whole = giant(1_000);
        for bytes_max in [500, 5_000, 77_777] {
            let body = NotificationBody {
                bytes: whole.as_bytes()[..bytes_max].to_vec(),
                tail: whole.as_bytes()[whole.len() - 300..].to_vec(),
                skipped: 11,
                skipped_critical: true,
            };
            let payload = read(&body, &[]).unwrap();
            assert!(!payload.alerts.is_empty());
            assert_eq!((payload.group_key.as_str(), payload.truncated), ("g", 18));
            assert_eq!(payload.group_labels["alertname"], "A");
            assert!(payload.truncated_critical);
        }
    }
}
