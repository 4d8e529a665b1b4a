use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
        self.label("severity") == "critical"
    }

    /// What it takes in memory and on disk, roughly.
    pub fn bytes(&self) -> usize {
        let pairs = self.labels.iter().chain(&self.annotations);
        let texts: usize = pairs.map(|(name, value)| name.len() + value.len() + 8).sum();
        texts + self.generator_url.len() + self.fingerprint.len() + 64
    }
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
    let mut raw = Raw::default();
    let mut json = serde_json::Deserializer::from_str(&text);
    let parsed = TopSeed(&mut raw).deserialize(&mut json).and_then(|()| json.end());
    if let Err(error) = parsed {
        let is_cut = error.is_eof() && !body.tail.is_empty() && raw.has_alerts;
        if !is_cut {
            return Err(Malformed::Json { line: error.line(), column: error.column() });
        }
        raw.read_tail(&body.tail);
    }
    if !raw.has_alerts {
        return Err(Malformed::NoAlerts);
    }
    let group_labels: Pairs = raw
        .group_labels
        .into_iter()
        .take(GROUP_LABELS_MAX)
        .map(|(name, value)| (name, cut(value)))
        .collect();
    let is_critical = |alert: &RawAlert| {
        alert.labels.get("severity").is_some_and(|severity| severity == "critical")
    };
    // The sort is stable: otherwise they stay in Alertmanager's order.
    raw.alerts.sort_by_key(|alert| !is_critical(alert));
    let over = raw.alerts.split_off(raw.alerts.len().min(ALERTS_MAX));
    let mut names: Vec<&str> = DECIDING_LABELS.to_vec();
    names.extend(deciding);
    names.extend(group_labels.keys().map(String::as_str));
    let alerts = raw.alerts.into_iter().enumerate().map(|(index, raw)| {
        alert(raw, &names, if index < WHOLE_ALERTS_MAX { DECORATION_BYTES_MAX } else { 0 })
    });
    let alerts: Vec<Alert> = alerts.collect();
    Ok(Payload {
        group_key: group_key(raw.group_key, &group_labels, &alerts),
        truncated: raw.truncated.saturating_add(over.len() as u64).saturating_add(body.skipped),
        truncated_critical: body.skipped_critical || over.iter().any(is_critical),
        external_url: cut(raw.external_url),
        group_labels,
        alerts,
    })
}

fn alert(raw: RawAlert, names: &[&str], decoration_bytes_max: usize) -> Alert {
    // Whatever a later version calls it: only what is over is over.
    let firing = raw.status != "resolved";
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
        while let Some(alert) = alerts.next_element()? {
            self.0.alerts.push(alert);
        }
        Ok(())
    }

    /// An empty list is `null` where nobody made one.
    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.has_alerts = true;
        Ok(())
    }
}

impl<'de> Deserialize<'de> for RawAlert {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<RawAlert, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = RawAlert;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an alert")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RawAlert, M::Error> {
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
                Ok(raw)
            }
        }
        from.deserialize_map(Fields)
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
        let pairs = Option::<BTreeMap<String, Text>>::deserialize(from)?.unwrap_or_default();
        Ok(LoosePairs(pairs.into_iter().map(|(name, text)| (name, text.0)).collect()))
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
