//! A notification as JSON, parsed so that an error in one part loses nothing of the rest.
//!
//! Deliberately absent: limits (`notification`).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::alert::model::alert::{Pairs, hash};

/// Parses as much as possible of a notification. The error says why the rest is missing. Text after
/// its end is ignored.
pub(super) fn parse(text: &str) -> (RawNotification, Result<(), serde_json::Error>) {
    let mut raw = RawNotification::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = TopSeed(&mut raw).deserialize(&mut json);
    (raw, parsed)
}

/// The fields of a body. They are filled in while it is parsed, so a truncated body keeps what came
/// before its end.
#[derive(Default)]
pub(super) struct RawNotification {
    pub(super) group_key: String,
    pub(super) status: String,
    /// Number of list items that are no alerts.
    pub(super) unread: u64,
    pub(super) truncated: u64,
    pub(super) group_labels: Pairs,
    pub(super) external_url: String,
    pub(super) alerts: Vec<RawAlert>,
    pub(super) has_alerts: bool,
}

#[derive(Default)]
pub(super) struct RawAlert {
    pub(super) status: String,
    pub(super) labels: Pairs,
    pub(super) annotations: Pairs,
    pub(super) starts_at: String,
    pub(super) ends_at: String,
    pub(super) generator_url: String,
    pub(super) fingerprint: String,
}

impl RawNotification {
    /// Gives alerts with the same fingerprint and different labels fingerprints of their own.
    pub(super) fn with_distinct_fingerprints(self) -> RawNotification {
        let mut raw = self;
        let mut first: BTreeMap<String, u64> = BTreeMap::new();
        for alert in raw.alerts.iter_mut().filter(|alert| !alert.fingerprint.is_empty()) {
            let labels = hash(&alert.labels);
            let known = *first.entry(alert.fingerprint.clone()).or_insert(labels);
            if known != labels {
                alert.fingerprint = format!("{}#{labels:016x}", alert.fingerprint);
            }
        }
        raw
    }

    /// The same, with what Alertmanager writes behind the alerts. Within a text, the quotes of such a
    /// name would be escaped; of several, the last one is the body's own.
    pub(super) fn with_tail(self, tail: &[u8]) -> RawNotification {
        let mut raw = self;
        let tail = String::from_utf8_lossy(tail);
        fn behind<'a, T: Deserialize<'a>>(tail: &'a str, name: &str) -> Option<T> {
            let (_, rest) = tail.rsplit_once(name)?;
            let mut json = serde_json::Deserializer::from_str(rest);
            T::deserialize(&mut json).ok()
        }
        if let Some(Text(key)) = behind(&tail, "\"groupKey\":") {
            raw.group_key = key;
        }
        if let Some(Text(url)) = behind(&tail, "\"externalURL\":") {
            raw.external_url = url;
        }
        if let Some(LoosePairs(labels)) = behind(&tail, "\"groupLabels\":") {
            raw.group_labels = labels;
        }
        if let Some(count) = behind::<u64>(&tail, "\"truncatedAlerts\":") {
            raw.truncated = count;
        }
        raw
    }
}

struct TopSeed<'a>(&'a mut RawNotification);

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

struct AlertsSeed<'a>(&'a mut RawNotification);

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

    /// An empty list may be `null`.
    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.has_alerts = true;
        Ok(())
    }
}

/// An alert, or `None` for any other value, so that the other alerts are still read.
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

/// A text. A number or a boolean is taken as it is written, and a list or an object as an empty
/// text.
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

/// Labels or annotations; empty for any other value.
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
