//! A row in the table of settings: a setting's name, form, range and text, and how it is read
//! and written. `server` and `bridge` make their tables of rows, mostly by `macros`; `words` is
//! for settings that are one of a closed list.
//!
//! Deliberately absent: the settings themselves (`server`, `bridge`).

#[macro_use]
mod macros;
mod words;

pub(super) use self::words::WordEnum;

/// What the names of environment variables begin with.
pub const ENV_PREFIX: &str = "ROOKERY_";

/// What a setting can be, with its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
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
pub enum SettingValue {
    /// For `Count` and `RetractRight`.
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
pub struct SettingRow<T: 'static> {
    /// Its name in the file; sections end at the dot.
    pub key: &'static str,
    /// What it can be.
    pub kind: SettingKind,
    /// What a number counts; empty where the name says it.
    pub unit: &'static str,
    /// What it is for, as sentences.
    pub help: &'static str,
    /// What a `T` has.
    pub read: fn(&T) -> SettingValue,
    /// Gives it to a `T`; the value has the form and the range of `kind`.
    pub write: fn(&mut T, SettingValue),
}

impl<T> Clone for SettingRow<T> {
    fn clone(&self) -> SettingRow<T> {
        *self
    }
}

impl<T> Copy for SettingRow<T> {}

/// The rows of two tables as one of `N`.
pub(super) const fn joined<T, const N: usize>(
    [first, second]: [&[SettingRow<T>]; 2],
) -> [SettingRow<T>; N] {
    assert!(first.len() + second.len() == N);
    let mut rows = [first[0]; N];
    let (_, rest) = rows.split_at_mut(first.len());
    rest.copy_from_slice(second);
    let (start, _) = rows.split_at_mut(first.len());
    start.copy_from_slice(first);
    rows
}

impl<T> SettingRow<T> {
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

macro_rules! accessors {
    ($($name:ident: $case:ident => $form:ty),+ $(,)?) => {
        impl SettingValue {
            $(pub(in crate::config) fn $name(self) -> $form {
                let SettingValue::$case(value) = self else {
                    unreachable!("a value has the form of its kind")
                };
                value
            })+
        }
    };
}

accessors!(
    count: Count => u64,
    integer: Integer => i64,
    switch: Switch => bool,
    text: Text => String,
    texts: Texts => Vec<String>,
    numbers: Numbers => Vec<u64>,
);
