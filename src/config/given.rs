//! A value as a source gives it, and the form and the range that it must have.
//!
//! Deliberately absent: which setting it is for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use toml::de::{DeInteger, DeValue};

use super::mistake::Why;
use super::row::{Kind, Row, Value};

/// A value as a source gives it.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    /// From a TOML file.
    Toml(&'a DeValue<'a>),
    /// From the environment or a flag; lists are separated by commas.
    Text(&'a str),
}

impl Given<'_> {
    /// The value in the form and the range of the row.
    pub(super) fn value<T>(self, row: &Row<T>) -> Result<Value, Why> {
        let value = match self {
            Given::Toml(toml) => from_toml(row.kind, toml),
            Given::Text(text) => from_text(row.kind, text),
        };
        value.filter(|value| is_in_range(row.kind, value)).ok_or_else(|| Why::Form {
            wanted: row.kind,
            unit: row.unit,
            got: if let Kind::Secret { .. } = row.kind {
                "not".to_owned()
            } else {
                match self {
                    Given::Toml(toml) => shown_toml(toml),
                    Given::Text(text) => shown(text),
                }
            },
        })
    }
}

/// A value in the form of the kind, without a look at its range.
fn from_toml(kind: Kind, toml: &DeValue<'_>) -> Option<Value> {
    let text = || toml.as_str().map(str::to_owned);
    Some(match kind {
        Kind::Count { .. } | Kind::Power { .. } => Value::Count(count(toml)?),
        Kind::Integer { .. } => {
            let DeValue::Integer(number) = toml else { return None };
            Value::Integer(integer(number)?.try_into().ok()?)
        }
        Kind::Switch => Value::Switch(toml.as_bool()?),
        Kind::Word(_) | Kind::Text { .. } | Kind::Secret { .. } | Kind::Address => {
            Value::Text(text()?)
        }
        Kind::Texts { .. } => {
            let entries = toml.as_array()?.iter().map(|entry| entry.get_ref().as_str());
            Value::Texts(entries.map(|entry| entry.map(str::to_owned)).collect::<Option<_>>()?)
        }
        Kind::Numbers { .. } => {
            let entries = toml.as_array()?.iter().map(|entry| count(entry.get_ref()));
            Value::Numbers(entries.collect::<Option<_>>()?)
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

fn from_text(kind: Kind, text: &str) -> Option<Value> {
    let count = |text: &str| text.replace('_', "").parse::<u64>().ok();
    let list = || text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    Some(match kind {
        Kind::Count { .. } | Kind::Power { .. } => Value::Count(count(text.trim())?),
        Kind::Integer { .. } => Value::Integer(text.trim().replace('_', "").parse().ok()?),
        Kind::Switch => Value::Switch(text.trim().parse().ok()?),
        // A file of variables with the line ends of Windows leaves one at each value.
        Kind::Word(_) | Kind::Address => Value::Text(text.trim().to_owned()),
        Kind::Text { .. } | Kind::Secret { .. } => Value::Text(text.to_owned()),
        Kind::Texts { .. } => Value::Texts(list().map(str::to_owned).collect()),
        Kind::Numbers { .. } => Value::Numbers(list().map(count).collect::<Option<_>>()?),
    })
}

fn is_in_range(kind: Kind, value: &Value) -> bool {
    let is_text = |text: &str, bytes_max: usize| {
        text.len() <= bytes_max && !text.chars().any(char::is_control)
    };
    match (kind, value) {
        (Kind::Count { min, max }, Value::Count(count)) => (min..=max).contains(count),
        (Kind::Integer { min, max }, Value::Integer(integer)) => (min..=max).contains(integer),
        (Kind::Power { min, max }, Value::Count(count)) => {
            (min..=max).contains(count) && count.is_power_of_two()
        }
        (Kind::Switch, Value::Switch(_)) => true,
        (Kind::Word(words), Value::Text(text)) => words.contains(&text.as_str()),
        (Kind::Text { bytes_max } | Kind::Secret { bytes_max }, Value::Text(text)) => {
            is_text(text, bytes_max)
        }
        (Kind::Address, Value::Text(text)) => {
            text.parse::<SocketAddr>().is_ok_and(|address| can_be_connected_to(address.ip()))
        }
        (Kind::Texts { count_max, bytes_max }, Value::Texts(texts)) => {
            texts.len() <= count_max && texts.iter().all(|text| is_text(text, bytes_max))
        }
        (Kind::Numbers { count_max, max }, Value::Numbers(numbers)) => {
            numbers.len() <= count_max && numbers.iter().all(|number| *number <= max)
        }
        (
            Kind::Count { .. }
            | Kind::Integer { .. }
            | Kind::Power { .. }
            | Kind::Switch
            | Kind::Word(_)
            | Kind::Text { .. }
            | Kind::Secret { .. }
            | Kind::Address
            | Kind::Texts { .. }
            | Kind::Numbers { .. },
            Value::Count(_)
            | Value::Integer(_)
            | Value::Switch(_)
            | Value::Text(_)
            | Value::Texts(_)
            | Value::Numbers(_),
        ) => false,
    }
}

/// The kernel lets a server listen on the others, too, and nobody ever comes.
fn can_be_connected_to(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}
