//! Keys of the server API: which backend calls, and what it may do where.
//!
//! A key is 32 random bytes that its owner alone has; the server keeps their hash.
//!
//! Invariant: how long it takes to compare a key tells nothing of those that are known.
//!
//! Deliberately absent: settings, HTTP, and which method needs which scope (`api`).

use super::permissions::channel_matches;
use super::secret_hash::SecretHash;

/// Keys of one server: each call is compared with all of them.
pub const API_KEYS_MAX: usize = 32;

/// A group of methods to which a key has the right, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiScope {
    /// To publish messages.
    Publish,
    /// To read who is in a channel.
    Presence,
    /// To read what was published.
    History,
    /// To remove it.
    HistoryRemove,
    /// To read the state of the server.
    Info,
    /// To list channels that somebody is in.
    Channels,
    /// To list connections of users, and to change and close them.
    Connections,
    /// To keep users, tokens and addresses out.
    Blocks,
    /// To say, change and read messages as any user.
    Chat,
    /// To list dead letters, to let them wait again, and to drop them.
    DeadLetters,
    /// To keep kinds of clients out for a while, and to let them in again.
    Quarantine,
    /// To let all clients go and the server end, and to see how far that is.
    Drain,
}

impl ApiScope {
    /// All of them, in the order of the documentation.
    pub const ALL: [ApiScope; 12] = [
        ApiScope::Publish,
        ApiScope::Presence,
        ApiScope::History,
        ApiScope::HistoryRemove,
        ApiScope::Info,
        ApiScope::Channels,
        ApiScope::Connections,
        ApiScope::Blocks,
        ApiScope::Chat,
        ApiScope::DeadLetters,
        ApiScope::Quarantine,
        ApiScope::Drain,
    ];

    /// Those that a backend needs: all but those of operators' programs.
    pub const OF_BACKENDS: [ApiScope; 9] = [
        ApiScope::Publish,
        ApiScope::Presence,
        ApiScope::History,
        ApiScope::HistoryRemove,
        ApiScope::Info,
        ApiScope::Channels,
        ApiScope::Connections,
        ApiScope::Blocks,
        ApiScope::Chat,
    ];

    /// Its word in settings.
    pub fn name(self) -> &'static str {
        match self {
            ApiScope::Publish => "publish",
            ApiScope::Presence => "presence",
            ApiScope::History => "history",
            ApiScope::HistoryRemove => "history_remove",
            ApiScope::Info => "info",
            ApiScope::Channels => "channels",
            ApiScope::Connections => "connections",
            ApiScope::Blocks => "blocks",
            ApiScope::Chat => "chat",
            ApiScope::DeadLetters => "dead_letters",
            ApiScope::Quarantine => "quarantine",
            ApiScope::Drain => "drain",
        }
    }

    /// All words, for whoever wrote another one.
    pub fn words() -> String {
        ApiScope::ALL.map(ApiScope::name).join(", ")
    }

    /// The scope of this word.
    pub fn from_name(name: &str) -> Option<ApiScope> {
        ApiScope::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// Its place in a set.
    fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiScopes(u16);

impl ApiScopes {
    /// Whether the set has this scope.
    pub fn contains(self, scope: ApiScope) -> bool {
        self.0 & scope.bit() != 0
    }
}

impl FromIterator<ApiScope> for ApiScopes {
    fn from_iter<I: IntoIterator<Item = ApiScope>>(scopes: I) -> ApiScopes {
        ApiScopes(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

/// A key, and what it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// What logs and audits call it.
    pub name: Box<str>,
    /// The hash of the key itself.
    pub hash: SecretHash,
    /// The groups of methods that it may call.
    pub scopes: ApiScopes,
    /// The tenant whose channels and users it means; empty where there is only one.
    pub tenant: Box<str>,
    /// The channels that it may name: patterns in which a star stands for any text.
    pub channels: Vec<Box<str>>,
}

impl ApiKey {
    /// Whether it may name this channel.
    pub fn covers(&self, channel: &str) -> bool {
        self.channels.iter().any(|pattern| channel_matches(pattern, channel))
    }
}

/// The keys of a server.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(Vec<ApiKey>);

impl ApiKeys {
    /// These keys, at most `API_KEYS_MAX`.
    pub fn new(keys: Vec<ApiKey>) -> ApiKeys {
        assert!(keys.len() <= API_KEYS_MAX, "the configuration allows no more");
        ApiKeys(keys)
    }

    /// Whether there is none, so that nobody may call.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that somebody showed, if it is one. All are compared, whichever it is.
    pub fn find(&self, shown: &[u8]) -> Option<&ApiKey> {
        let hash = SecretHash::of(shown);
        let is_it = |key: &&ApiKey| key.hash.is(&hash);
        self.0.iter().fold(None, |found, key| Some(key).filter(is_it).or(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, secret: &str) -> ApiKey {
        ApiKey {
            name: name.into(),
            hash: SecretHash::of(secret.as_bytes()),
            scopes: ApiScopes::default(),
            tenant: "".into(),
            channels: Vec::new(),
        }
    }

    #[test]
    fn a_key_is_found_by_itself_and_by_nothing_else() {
        let keys = ApiKeys::new(vec![key("one", "first"), key("two", "second")]);
        assert_eq!(keys.find(b"second").map(|key| &*key.name), Some("two"));
        assert_eq!(keys.find(b"first").map(|key| &*key.name), Some("one"));
        for wrong in [&b""[..], b"firs", b"first ", b"FIRST", b"\xff"] {
            assert_eq!(keys.find(wrong), None);
        }
        assert_eq!(ApiKeys::default().find(b""), None);
    }

    #[test]
    fn a_scope_is_one_of_its_words() {
        for scope in ApiScope::ALL {
            assert_eq!(ApiScope::from_name(scope.name()), Some(scope));
            let only = ApiScopes::from_iter([scope]);
            for other in ApiScope::ALL {
                assert_eq!(only.contains(other), other == scope);
            }
        }
        assert_eq!(ApiScope::from_name("all"), None);
    }

    #[test]
    fn a_key_covers_what_its_patterns_say() {
        let channels = vec!["room:*".into(), "lobby".into()];
        let key = ApiKey { channels, ..key("one", "first") };
        for (channel, want) in [
            ("room:1", true),
            ("room:", true),
            ("lobby", true),
            ("lobby2", false),
            ("news:1", false),
        ] {
            assert_eq!(key.covers(channel), want, "{channel}");
        }
    }
}
