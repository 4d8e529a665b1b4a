//! What tokens allow by channel: sets of rights, and the patterns of channels they count for.
//!
//! Deliberately absent: what namespaces allow without a token (`session::rights`).

use std::ops::BitOr;

/// A set of things that a token may let a peer do in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow(u8);

impl Allow {
    /// Nothing.
    pub const NONE: Allow = Allow(0);
    /// To be in the channel (`sub`).
    pub const SUBSCRIBE: Allow = Allow(1);
    /// To publish (`pub`).
    pub const PUBLISH: Allow = Allow(2);
    /// To ask who is there (`prs`).
    pub const PRESENCE: Allow = Allow(4);
    /// To read what was said (`hst`).
    pub const HISTORY: Allow = Allow(8);
    /// To take back what others said (`mod`).
    pub const MODERATE: Allow = Allow(16);

    /// Whether all of `needed` is in the set.
    pub fn contains(self, needed: Allow) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// The word of a token; `None` for one that means nothing.
    pub(super) fn from_word(word: &str) -> Option<Allow> {
        match word {
            "sub" => Some(Allow::SUBSCRIBE),
            "pub" => Some(Allow::PUBLISH),
            "prs" => Some(Allow::PRESENCE),
            "hst" => Some(Allow::HISTORY),
            "mod" => Some(Allow::MODERATE),
            _ => None,
        }
    }
}

impl BitOr for Allow {
    type Output = Allow;

    fn bitor(self, other: Allow) -> Allow {
        Allow(self.0 | other.0)
    }
}

/// How the names of a `Cap` are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Match {
    /// Each is one channel.
    #[default]
    Exact,
    /// A star stands for any text, also for none.
    Wildcard,
}

/// What a connection token lets its peer do in some channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cap {
    /// Channels, or patterns of channels.
    pub channels: Vec<Box<str>>,
    /// Which of the two.
    pub wildcard: Match,
    /// What is allowed there.
    pub allow: Allow,
}

impl Cap {
    /// Whether the channel is one of these.
    pub fn covers(&self, channel: &str) -> bool {
        self.channels.iter().any(|name| match self.wildcard {
            Match::Exact => **name == *channel,
            Match::Wildcard => matches_pattern(name.as_bytes(), channel.as_bytes()),
        })
    }
}

/// What the capabilities of a token say about a channel. The first entry that
/// covers it decides alone, so a narrow entry can stand before a wide one.
pub fn allowed(caps: &[Cap], channel: &str) -> Allow {
    caps.iter().find(|cap| cap.covers(channel)).map_or(Allow::NONE, |cap| cap.allow)
}

/// Stars match greedily and only the last one ever moves, so the time is at
/// most the product of the two lengths, and both are bounded.
fn matches_pattern(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        if pattern.get(at_pattern) == Some(&b'*') {
            last_star = Some((at_pattern, at_text));
            at_pattern += 1;
        } else if pattern.get(at_pattern) == Some(&text[at_text]) {
            at_pattern += 1;
            at_text += 1;
        } else if let Some((star, taken)) = last_star {
            last_star = Some((star, taken + 1));
            at_pattern = star + 1;
            at_text = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at_pattern..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cap(wildcard: Match, channel: &str, allow: Allow) -> Cap {
        Cap { channels: vec![channel.into()], wildcard, allow }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, covered, not_covered) in [
            ("*", &["", "a", "room:1"][..], &[][..]),
            ("room:*", &["room:", "room:1", "room:*"], &["", "room", "xroom:1"]),
            ("*:1", &["room:1", ":1", ":1:1"], &["room:12", "1"]),
            ("a*b*c", &["abc", "aXbYc", "abbcc"], &["ab", "acb", "abcd"]),
            ("**", &["", "a"], &[]),
            ("日*本", &["日本", "日x本"], &["日"]),
        ] {
            let cap = cap(Match::Wildcard, pattern, Allow::SUBSCRIBE);
            covered.iter().for_each(|text| assert!(cap.covers(text), "{pattern} {text}"));
            not_covered.iter().for_each(|text| assert!(!cap.covers(text), "{pattern} {text}"));
        }
    }

    #[test]
    fn an_exact_name_is_no_pattern() {
        let cap = cap(Match::Exact, "room:*", Allow::SUBSCRIBE);
        assert!(cap.covers("room:*"));
        assert!(!cap.covers("room:1"));
    }

    #[test]
    fn the_first_entry_that_covers_a_channel_decides_alone() {
        let caps = [
            cap(Match::Exact, "room:1", Allow::SUBSCRIBE),
            cap(Match::Wildcard, "room:*", Allow::SUBSCRIBE | Allow::PUBLISH),
        ];
        assert_eq!(allowed(&caps, "room:1"), Allow::SUBSCRIBE);
        assert_eq!(allowed(&caps, "room:2"), Allow::SUBSCRIBE | Allow::PUBLISH);
        assert_eq!(allowed(&caps, "news:1"), Allow::NONE);
    }

    #[test]
    fn a_set_contains_what_was_put_into_it() {
        let set = Allow::SUBSCRIBE | Allow::HISTORY;
        assert!(set.contains(Allow::SUBSCRIBE) && set.contains(Allow::HISTORY));
        assert!(!set.contains(Allow::PUBLISH) && !set.contains(Allow::PUBLISH | Allow::HISTORY));
        assert!(set.contains(Allow::NONE) && !Allow::NONE.contains(set));
    }
}
