//! What is wrong with a configuration, where, and how a person is told.
//!
//! Invariant: a secret is never in a mistake.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::Kind;
use crate::auth::KeyErrorKind;

/// Where a value comes from. Ordered as mistakes are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file, with the line and column of the value, from 1.
    File {
        /// The file's name.
        name: String,
        /// Its line.
        line: usize,
        /// Its column, in characters.
        column: usize,
    },
    /// An environment variable.
    Env(String),
    /// A flag.
    Flag(String),
    /// Nobody gave one.
    #[default]
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => f.write_str("default"),
            Place::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Place::Env(name) => f.write_str(name),
            Place::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// One thing that is wrong. Displays as `place: key: sentence`; a secret is
/// never in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// Which setting; empty where it is the whole file.
    pub key: String,
    /// What.
    pub why: Why,
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The file cannot be understood from here on.
    Syntax(String),
    /// There is no such setting; perhaps this one was meant.
    Unknown(Option<String>),
    /// Of another form than the setting.
    Form {
        /// What it must be.
        wanted: Kind,
        /// What it counts.
        unit: &'static str,
        /// What it is.
        got: String,
    },
    /// A table where a list of tables belongs, or the other way round.
    Shape(&'static str),
    /// More entries than this.
    Entries(usize),
    /// It cannot be with another setting, or is no such thing; a sentence.
    Relation(String),
    /// A file that it names cannot be read.
    File {
        /// Which.
        path: String,
        /// What the system says.
        error: String,
    },
    /// A key that cannot be used.
    Key(KeyErrorKind),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        match &self.why {
            Why::Syntax(message) => f.write_str(message),
            Why::Unknown(None) => f.write_str("there is no such setting"),
            Why::Unknown(Some(near)) => write!(f, "there is no such setting; is it `{near}`?"),
            Why::Form { wanted, unit, got } => {
                let hint = match wanted {
                    Kind::Address => address_hint(got.trim_matches('"')),
                    Kind::Count { .. }
                    | Kind::Integer { .. }
                    | Kind::Power { .. }
                    | Kind::Switch
                    | Kind::Word(_)
                    | Kind::Text { .. }
                    | Kind::Secret { .. }
                    | Kind::Texts { .. }
                    | Kind::Numbers { .. } => "",
                };
                write!(f, "it must be {}, and is {got}{hint}", Range { kind: *wanted, unit })
            }
            Why::Shape(wanted) => write!(f, "it must be {wanted}"),
            Why::Entries(count_max) => write!(f, "there can be at most {count_max}"),
            Why::Relation(sentence) => f.write_str(sentence),
            Why::File { path, error } => write!(f, "{path}: {error}"),
            Why::Key(trouble) => trouble.fmt(f),
        }
    }
}

/// What is probably meant by a text that is no address with a port, and how to write it.
fn address_hint(text: &str) -> &'static str {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_name_letter = |letter: char| letter.is_ascii_alphanumeric() || "-.".contains(letter);
    if let Ok(address) = text.parse::<SocketAddr>() {
        // As written it can be read, so it is one of those.
        return if address.ip().is_multicast() {
            "; nobody can connect to a multicast address"
        } else {
            "; nobody can connect to a broadcast address"
        };
    }
    if text.contains("://") {
        "; leave out what it begins with, and what follows the port"
    } else if text.starts_with("unix:") || text.contains('/') {
        "; sockets in the file system are not served; a proxy can listen on one"
    } else if text.contains(',') {
        "; it takes one address, and clients can have more in [[listeners]]"
    } else if text.contains('%') {
        "; an interface is written by its number: [fe80::1%2]:8000"
    } else if text.parse::<IpAddr>().is_ok() {
        "; the port is missing"
    } else if is_port(text) || (matches!(host, "" | "*") && is_port(port)) {
        "; for all addresses write [::] before the port, or 0.0.0.0 for IPv4 only"
    } else if host.parse::<Ipv6Addr>().is_ok() {
        "; an address of IPv6 has brackets: [::1]:8000"
    } else if is_port(port) && port.parse::<u16>().is_err() {
        "; ports go up to 65535"
    } else if is_port(port) && host.chars().all(is_name_letter) {
        "; names are not looked up, as one may mean several addresses: this machine alone is \
         127.0.0.1 (and [::1] in IPv6)"
    } else {
        ""
    }
}

/// What a setting may be, as words.
pub(super) struct Range {
    pub(super) kind: Kind,
    pub(super) unit: &'static str,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        match self.kind {
            Kind::Count { min, max } => write!(f, "a whole number from {min} to {max}{unit}"),
            Kind::Integer { min, max } => write!(f, "a whole number from {min} to {max}{unit}"),
            Kind::Power { min, max } => write!(f, "a power of two from {min} to {max}{unit}"),
            Kind::Switch => f.write_str("true or false"),
            Kind::Word(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                write!(f, "one of {}", words.join(", "))
            }
            Kind::Text { bytes_max } | Kind::Secret { bytes_max } => {
                write!(f, "a text of at most {bytes_max} bytes without control characters")
            }
            Kind::Address => f.write_str("an address with a port, such as 127.0.0.1:8000"),
            Kind::Texts { count_max, bytes_max } => {
                write!(f, "a list of at most {count_max} texts of at most {bytes_max} bytes")
            }
            Kind::Numbers { count_max, max } => {
                write!(f, "a list of at most {count_max} whole numbers from 0 to {max}")
            }
        }
    }
}
