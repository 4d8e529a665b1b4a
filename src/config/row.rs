//! What one setting is: its name, form, range, text, and how it is read and written.
//!
//! Deliberately absent: the settings themselves (`table`).

use crate::alert::{Channel, Language};
use crate::logs::{LogFormat, LogLevel};
use crate::room::{NewsOf, Who};
use crate::server::DescriptorTable;
use crate::store::Durability;

/// What the names of environment variables begin with.
pub const ENV_PREFIX: &str = "ROOKERY_";

/// What a setting can be, with its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number within these ends, both included.
    Count {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A whole number within these ends, both included, that may be below zero.
    Integer {
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// A power of two within these ends, both included.
    Power {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// True or false.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text of at most so many bytes, without control characters.
    Text {
        /// Bytes.
        bytes_max: usize,
    },
    /// The same, never shown.
    Secret {
        /// Bytes.
        bytes_max: usize,
    },
    /// An address and a port.
    Address,
    /// A list of texts.
    Texts {
        /// Entries.
        count_max: usize,
        /// Bytes of one.
        bytes_max: usize,
    },
    /// A list of whole numbers from 0.
    Numbers {
        /// Entries.
        count_max: usize,
        /// The most that one may be.
        max: u64,
    },
}

/// A value that has the form of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// For `Count` and `Power`.
    Count(u64),
    /// For `Integer`.
    Integer(i64),
    /// For `Switch`.
    Switch(bool),
    /// For `Word`, `Text`, `Secret` and `Address`.
    Text(String),
    /// For `Texts`.
    Texts(Vec<String>),
    /// For `Numbers`.
    Numbers(Vec<u64>),
}

/// One setting of a `T`.
pub struct Row<T: 'static> {
    /// Its name in the file; sections end at the dot.
    pub key: &'static str,
    /// What it can be.
    pub kind: Kind,
    /// What a number counts; empty where the name says it.
    pub unit: &'static str,
    /// What it is for, as sentences.
    pub help: &'static str,
    /// What a `T` has.
    pub read: fn(&T) -> Value,
    /// Gives it to a `T`; the value has the form and the range of `kind`.
    pub write: fn(&mut T, Value),
}

impl<T> Row<T> {
    /// The environment variable of a setting.
    pub fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.key.replace('.', "_").to_ascii_uppercase())
    }

    /// The flag of a setting, without the dashes before it. Those of the server
    /// itself are the ones that people type, so they go without their section.
    pub fn flag(&self) -> String {
        self.key.strip_prefix("server.").unwrap_or(self.key).replace(['.', '_'], "-")
    }
}

impl Value {
    pub(super) fn count(self) -> u64 {
        match self {
            Value::Count(count) => count,
            Value::Integer(_)
            | Value::Switch(_)
            | Value::Text(_)
            | Value::Texts(_)
            | Value::Numbers(_) => {
                unreachable!("a value has the form of its kind")
            }
        }
    }

    pub(super) fn integer(self) -> i64 {
        match self {
            Value::Integer(integer) => integer,
            Value::Count(_)
            | Value::Switch(_)
            | Value::Text(_)
            | Value::Texts(_)
            | Value::Numbers(_) => unreachable!("a value has the form of its kind"),
        }
    }

    pub(super) fn switch(self) -> bool {
        match self {
            Value::Switch(on) => on,
            Value::Count(_)
            | Value::Integer(_)
            | Value::Text(_)
            | Value::Texts(_)
            | Value::Numbers(_) => {
                unreachable!("a value has the form of its kind")
            }
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Value::Text(text) => text,
            Value::Count(_)
            | Value::Integer(_)
            | Value::Switch(_)
            | Value::Texts(_)
            | Value::Numbers(_) => {
                unreachable!("a value has the form of its kind")
            }
        }
    }

    pub(super) fn texts(self) -> Vec<String> {
        match self {
            Value::Texts(texts) => texts,
            Value::Count(_)
            | Value::Integer(_)
            | Value::Switch(_)
            | Value::Text(_)
            | Value::Numbers(_) => {
                unreachable!("a value has the form of its kind")
            }
        }
    }

    pub(super) fn numbers(self) -> Vec<u64> {
        match self {
            Value::Numbers(numbers) => numbers,
            Value::Count(_)
            | Value::Integer(_)
            | Value::Switch(_)
            | Value::Text(_)
            | Value::Texts(_) => {
                unreachable!("a value has the form of its kind")
            }
        }
    }
}

/// Words of a closed enum, in both directions.
pub(super) trait Words: Copy + PartialEq + 'static {
    const TABLE: &'static [(&'static str, Self)];

    fn word(self) -> Value {
        let row = Self::TABLE.iter().find(|(_, one)| *one == self);
        Value::Text(row.expect("each case has its word").0.to_owned())
    }

    fn from_word(value: Value) -> Self {
        let word = value.text();
        let row = Self::TABLE.iter().find(|(one, _)| *one == word);
        row.expect("the kind lists the same words").1
    }
}

impl Words for Who {
    const TABLE: &'static [(&'static str, Who)] = &[
        ("nobody", Who::Nobody),
        ("token", Who::Token),
        ("subscribers", Who::Subscribers),
        ("users", Who::Users),
        ("anyone", Who::Anyone),
    ];
}

impl Words for Channel {
    const TABLE: &'static [(&'static str, Channel)] = &[
        ("wecom", Channel::Wecom),
        ("dingtalk", Channel::Dingtalk),
        ("slack", Channel::Slack),
        ("webhook", Channel::Webhook),
    ];
}

impl Words for Language {
    const TABLE: &'static [(&'static str, Language)] =
        &[("en", Language::En), ("zh", Language::Zh)];
}

impl Words for Durability {
    const TABLE: &'static [(&'static str, Durability)] = &[
        ("fsync", Durability::Fsync),
        ("interval", Durability::Interval),
        ("memory", Durability::Memory),
    ];
}

impl Words for NewsOf {
    const TABLE: &'static [(&'static str, NewsOf)] =
        &[("clients", NewsOf::Clients), ("users", NewsOf::Users)];
}

impl Words for DescriptorTable {
    const TABLE: &'static [(&'static str, DescriptorTable)] = &[
        ("auto", DescriptorTable::Auto),
        ("shared", DescriptorTable::Shared),
        ("per-shard", DescriptorTable::PerShard),
    ];
}

impl Words for LogFormat {
    const TABLE: &'static [(&'static str, LogFormat)] =
        &[("text", LogFormat::Text), ("json", LogFormat::Json)];
}

impl Words for LogLevel {
    const TABLE: &'static [(&'static str, LogLevel)] = &[
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
    ];
}
