//! What is wrong with a configuration, where, and how a person is told.
//!
//! Invariant: a secret is never in a mistake.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::SettingKind;
use crate::auth::KeyErrorKind;

/// Where a value comes from. Ordered as mistakes are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceLocation {
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

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceLocation::Default => f.write_str("default"),
            SourceLocation::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            SourceLocation::Env(name) => f.write_str(name),
            SourceLocation::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// One thing that is wrong. Displays as `place: key: sentence`; a secret is
/// never in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it stands.
    pub place: SourceLocation,
    /// Which setting; empty where it is the whole file.
    pub key: String,
    /// What is wrong with it.
    pub why: ConfigErrorKind,
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigErrorKind {
    /// The file cannot be understood from here on.
    Syntax(String),
    /// There is no such setting; perhaps this one was meant.
    Unknown(Option<String>),
    /// It has another form than the setting.
    Form {
        /// What it must be.
        wanted: SettingKind,
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
        /// The file.
        path: String,
        /// What the system says.
        error: String,
    },
    /// A key that cannot be used.
    Key(KeyErrorKind),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        match &self.why {
            ConfigErrorKind::Syntax(message) => f.write_str(message),
            ConfigErrorKind::Unknown(None) => f.write_str("there is no such setting"),
            ConfigErrorKind::Unknown(Some(near)) => {
                write!(f, "there is no such setting; is it `{near}`?")
            }
            ConfigErrorKind::Form { wanted, unit, got } => {
                let hint = match wanted {
                    SettingKind::Address => address_hint(got.trim_matches('"')),
                    SettingKind::Count { .. }
                    | SettingKind::Integer { .. }
                    | SettingKind::Power { .. }
                    | SettingKind::Switch
                    | SettingKind::Word(_)
                    | SettingKind::Text { .. }
                    | SettingKind::Secret { .. }
                    | SettingKind::Texts { .. }
                    | SettingKind::Numbers { .. } => "",
                };
                write!(f, "it must be {}, and is {got}{hint}", AllowedRange { kind: *wanted, unit })
            }
            ConfigErrorKind::Shape(wanted) => write!(f, "it must be {wanted}"),
            ConfigErrorKind::Entries(count_max) => write!(f, "there can be at most {count_max}"),
            ConfigErrorKind::Relation(sentence) => f.write_str(sentence),
            ConfigErrorKind::File { path, error } => write!(f, "{path}: {error}"),
            ConfigErrorKind::Key(trouble) => trouble.fmt(f),
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
pub(super) struct AllowedRange {
    pub(super) kind: SettingKind,
    pub(super) unit: &'static str,
}

impl fmt::Display for AllowedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        match self.kind {
            SettingKind::Count { min, max } => {
                write!(f, "a whole number from {min} to {max}{unit}")
            }
            SettingKind::Integer { min, max } => {
                write!(f, "a whole number from {min} to {max}{unit}")
            }
            SettingKind::Power { min, max } => {
                write!(f, "a power of two from {min} to {max}{unit}")
            }
            SettingKind::Switch => f.write_str("true or false"),
            SettingKind::Word(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                write!(f, "one of {}", words.join(", "))
            }
            SettingKind::Text { bytes_max } | SettingKind::Secret { bytes_max } => {
                write!(f, "a text of at most {bytes_max} bytes without control characters")
            }
            SettingKind::Address => f.write_str("an address with a port, such as 127.0.0.1:8000"),
            SettingKind::Texts { count_max, bytes_max } => {
                write!(f, "a list of at most {count_max} texts of at most {bytes_max} bytes")
            }
            SettingKind::Numbers { count_max, max } => {
                write!(f, "a list of at most {count_max} whole numbers from 0 to {max}")
            }
        }
    }
}
