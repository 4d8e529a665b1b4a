//! Words of closed lists, in both directions.
//!
//! Deliberately absent: what a word means.

use super::SettingValue;
use crate::alert::{Language, Messenger};
use crate::hook::OnFailure;
use crate::logs::{LogFormat, LogLevel};
use crate::room::{GroupEntry, JoinLeaveScope, Permission, PersonalChannel};
use crate::server::DescriptorTable;
use crate::store::Durability;

/// Words of a closed enum, in both directions.
pub(in crate::config) trait WordEnum: Copy + PartialEq + 'static {
    /// Each case with its word.
    const TABLE: &'static [(&'static str, Self)];
    /// The words alone.
    const WORDS: &'static [&'static str];

    fn word(self) -> SettingValue {
        let row = Self::TABLE.iter().find(|(_, one)| *one == self);
        SettingValue::Text(row.expect("each case has its word").0.to_owned())
    }

    fn from_word(value: SettingValue) -> Self {
        let word = value.text();
        let row = Self::TABLE.iter().find(|(one, _)| *one == word);
        row.expect("the kind lists the same words").1
    }
}

macro_rules! words {
    ($list:ident { $($word:literal => $case:ident),+ $(,)? }) => {
        impl WordEnum for $list {
            const TABLE: &'static [(&'static str, $list)] = &[$(($word, $list::$case)),+];
            const WORDS: &'static [&'static str] = &[$($word),+];
        }
    };
}

words!(Permission {
    "nobody" => Nobody,
    "token" => Token,
    "subscribers" => Subscribers,
    "users" => Users,
    "anyone" => Anyone,
});
words!(Messenger {
    "wecom" => Wecom,
    "dingtalk" => Dingtalk,
    "slack" => Slack,
    "webhook" => Webhook,
});
words!(Language {
    "en" => En,
    "zh" => Zh,
});
words!(Durability {
    "fsync" => Fsync,
    "interval" => Interval,
    "memory" => Memory,
});
words!(JoinLeaveScope {
    "clients" => Clients,
    "users" => Users,
});
words!(GroupEntry {
    "none" => None,
    "open" => Open,
    "invited" => Invited,
});
words!(PersonalChannel {
    "none" => None,
    "#" => Listed,
});
words!(OnFailure {
    "auto" => Auto,
    "refuse" => Refuse,
    "allow" => Allow,
});
words!(DescriptorTable {
    "auto" => Auto,
    "shared" => Shared,
    "per-shard" => PerShard,
});
words!(LogFormat {
    "text" => Text,
    "json" => Json,
});
words!(LogLevel {
    "error" => Error,
    "warn" => Warn,
    "info" => Info,
    "debug" => Debug,
});
