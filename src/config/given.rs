//! A value as a source gives it, and the form and the range that it must have.
//!
//! Deliberately absent: which setting it is for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use toml::de::{DeInteger, DeValue};

use super::mistake::ConfigErrorKind;
use super::row::{SettingKind, SettingRow, SettingValue};

/// A value as a source gives it.
#[derive(Clone, Copy)]
pub(super) enum SourceValue<'a> {
    /// From a TOML file.
    Toml(&'a DeValue<'a>),
    /// From the environment or a flag; lists are separated by commas.
    Text(&'a str),
}

impl SourceValue<'_> {
    /// The value in the form and the range of the row.
    pub(super) fn value<T>(self, row: &SettingRow<T>) -> Result<SettingValue, ConfigErrorKind> {
        let value = match self {
            SourceValue::Toml(toml) => from_toml(row.kind, toml),
            SourceValue::Text(text) => from_text(row.kind, text),
        };
        value.filter(|value| is_in_range(row.kind, value)).ok_or_else(|| ConfigErrorKind::Form {
            wanted: row.kind,
            unit: row.unit,
            got: if let SettingKind::Secret { .. } = row.kind {
                "not".to_owned()
            } else {
                match self {
                    SourceValue::Toml(toml) => shown_toml(toml),
                    SourceValue::Text(text) => shown(text),
                }
            },
        })
    }
}

/// A value in the form of the kind, without a look at its range.
fn from_toml(kind: SettingKind, toml: &DeValue<'_>) -> Option<SettingValue> {
    let text = || toml.as_str().map(str::to_owned);
    Some(match kind {
        SettingKind::Count { .. } | SettingKind::Power { .. } => SettingValue::Count(count(toml)?),
        SettingKind::Integer { .. } => {
            let DeValue::Integer(number) = toml else { return None };
            SettingValue::Integer(integer(number)?.try_into().ok()?)
        }
        SettingKind::Switch => SettingValue::Switch(toml.as_bool()?),
        SettingKind::Word(_)
        | SettingKind::Text { .. }
        | SettingKind::Secret { .. }
        | SettingKind::Address => SettingValue::Text(text()?),
        SettingKind::Texts { .. } => {
            let entries = toml.as_array()?.iter().map(|entry| entry.get_ref().as_str());
            SettingValue::Texts(
                entries.map(|entry| entry.map(str::to_owned)).collect::<Option<_>>()?,
            )
        }
        SettingKind::Numbers { .. } => {
            let entries = toml.as_array()?.iter().map(|entry| count(entry.get_ref()));
            SettingValue::Numbers(entries.collect::<Option<_>>()?)
        }
    })
}

/// What stands there, for a mistake.
fn shown_toml(toml: &DeValue<'_>) -> String {
    match toml {
        DeValue::String(text) => shown(text),
        DeValue::Integer(number) => integer(number)
            .map_or_else(|| "a number beyond all bounds".to_owned(), |number| number.to_string()),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Float(_) => "a number with a fraction".to_owned(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(list) => format!("a list of {}", list.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

fn count(toml: &DeValue<'_>) -> Option<u64> {
    toml.as_integer().and_then(integer).and_then(|number| u64::try_from(number).ok())
}

/// A text in a mistake: escaped, and not longer than a line.
fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let cut: String = text.chars().take(CHARS_MAX).collect();
    if cut.len() < text.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

fn from_text(kind: SettingKind, text: &str) -> Option<SettingValue> {
    let count = |text: &str| text.replace('_', "").parse::<u64>().ok();
    let list = || text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    Some(match kind {
        SettingKind::Count { .. } | SettingKind::Power { .. } => {
            SettingValue::Count(count(text.trim())?)
        }
        SettingKind::Integer { .. } => {
            SettingValue::Integer(text.trim().replace('_', "").parse().ok()?)
        }
        SettingKind::Switch => SettingValue::Switch(text.trim().parse().ok()?),
        // A file of variables with the line ends of Windows leaves one at each value.
        SettingKind::Word(_) | SettingKind::Address => SettingValue::Text(text.trim().to_owned()),
        SettingKind::Text { .. } | SettingKind::Secret { .. } => {
            SettingValue::Text(text.to_owned())
        }
        SettingKind::Texts { .. } => SettingValue::Texts(list().map(str::to_owned).collect()),
        SettingKind::Numbers { .. } => {
            SettingValue::Numbers(list().map(count).collect::<Option<_>>()?)
        }
    })
}

fn is_in_range(kind: SettingKind, value: &SettingValue) -> bool {
    let is_text = |text: &str, bytes_max: usize| {
        text.len() <= bytes_max && !text.chars().any(char::is_control)
    };
    match (kind, value) {
        (SettingKind::Count { min, max }, SettingValue::Count(count)) => {
            (min..=max).contains(count)
        }
        (SettingKind::Integer { min, max }, SettingValue::Integer(integer)) => {
            (min..=max).contains(integer)
        }
        (SettingKind::Power { min, max }, SettingValue::Count(count)) => {
            (min..=max).contains(count) && count.is_power_of_two()
        }
        (SettingKind::Switch, SettingValue::Switch(_)) => true,
        (SettingKind::Word(words), SettingValue::Text(text)) => words.contains(&text.as_str()),
        (
            SettingKind::Text { bytes_max } | SettingKind::Secret { bytes_max },
            SettingValue::Text(text),
        ) => is_text(text, bytes_max),
        (SettingKind::Address, SettingValue::Text(text)) => {
            text.parse::<SocketAddr>().is_ok_and(|address| can_be_connected_to(address.ip()))
        }
        (SettingKind::Texts { count_max, bytes_max }, SettingValue::Texts(texts)) => {
            texts.len() <= count_max && texts.iter().all(|text| is_text(text, bytes_max))
        }
        (SettingKind::Numbers { count_max, max }, SettingValue::Numbers(numbers)) => {
            numbers.len() <= count_max && numbers.iter().all(|number| *number <= max)
        }
        (
            SettingKind::Count { .. }
            | SettingKind::Integer { .. }
            | SettingKind::Power { .. }
            | SettingKind::Switch
            | SettingKind::Word(_)
            | SettingKind::Text { .. }
            | SettingKind::Secret { .. }
            | SettingKind::Address
            | SettingKind::Texts { .. }
            | SettingKind::Numbers { .. },
            SettingValue::Count(_)
            | SettingValue::Integer(_)
            | SettingValue::Switch(_)
            | SettingValue::Text(_)
            | SettingValue::Texts(_)
            | SettingValue::Numbers(_),
        ) => false,
    }
}

/// The kernel lets a server listen on the others, too, and nobody ever comes.
fn can_be_connected_to(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}
