//! What tokens allow by channel: sets of rights, and the patterns of channels they count for.
//!
//! Deliberately absent: what namespaces allow without a token (`session::rights`).

use std::ops::BitOr;

/// A set of things that a token may let a peer do in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet(u8);

impl PermissionSet {
    /// Nothing.
    pub const NONE: PermissionSet = PermissionSet(0);
    /// To be in the channel (`sub`).
    pub const SUBSCRIBE: PermissionSet = PermissionSet(1);
    /// To publish (`pub`).
    pub const PUBLISH: PermissionSet = PermissionSet(2);
    /// To ask who is there (`prs`).
    pub const PRESENCE: PermissionSet = PermissionSet(4);
    /// To read what was said (`hst`).
    pub const HISTORY: PermissionSet = PermissionSet(8);
    /// To take back what others said (`mod`).
    pub const MODERATE: PermissionSet = PermissionSet(16);

    /// Whether all of `needed` is in the set.
    pub fn contains(self, needed: PermissionSet) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// The word of a token; `None` for one that means nothing.
    pub(super) fn from_word(word: &str) -> Option<PermissionSet> {
        match word {
            "sub" => Some(PermissionSet::SUBSCRIBE),
            "pub" => Some(PermissionSet::PUBLISH),
            "prs" => Some(PermissionSet::PRESENCE),
            "hst" => Some(PermissionSet::HISTORY),
            "mod" => Some(PermissionSet::MODERATE),
            _ => None,
        }
    }
}

impl BitOr for PermissionSet {
    type Output = PermissionSet;

    fn bitor(self, other: PermissionSet) -> PermissionSet {
        PermissionSet(self.0 | other.0)
    }
}

/// How the names of a `Capability` are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PatternKind {
    /// Each is one channel.
    #[default]
    Exact,
    /// A star stands for any text, also for none.
    Wildcard,
}

/// What a connection token lets its peer do in some channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Channels, or patterns of channels.
    pub channels: Vec<Box<str>>,
    /// Which of the two.
    pub pattern_kind: PatternKind,
    /// What is allowed there.
    pub allow: PermissionSet,
}

impl Capability {
    /// Whether the channel is one of these.
    pub fn covers(&self, channel: &str) -> bool {
        self.channels.iter().any(|name| match self.pattern_kind {
            PatternKind::Exact => **name == *channel,
            PatternKind::Wildcard => matches_pattern(name.as_bytes(), channel.as_bytes()),
        })
    }
}

/// What the capabilities of a token say about a channel. The first entry that
/// covers it decides alone, so a narrow entry can stand before a wide one.
pub fn allowed(caps: &[Capability], channel: &str) -> PermissionSet {
    caps.iter().find(|cap| cap.covers(channel)).map_or(PermissionSet::NONE, |cap| cap.allow)
}

/// Whether a channel fits a pattern, in which a star stands for any text.
pub fn channel_matches(pattern: &str, channel: &str) -> bool {
    matches_pattern(pattern.as_bytes(), channel.as_bytes())
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

    fn cap(pattern_kind: PatternKind, channel: &str, allow: PermissionSet) -> Capability {
        Capability { channels: vec![channel.into()], pattern_kind, allow }
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
            let cap = cap(PatternKind::Wildcard, pattern, PermissionSet::SUBSCRIBE);
            covered.iter().for_each(|text| assert!(cap.covers(text), "{pattern} {text}"));
            not_covered.iter().for_each(|text| assert!(!cap.covers(text), "{pattern} {text}"));
        }
    }

    #[test]
    fn an_exact_name_is_no_pattern() {
        let cap = cap(PatternKind::Exact, "room:*", PermissionSet::SUBSCRIBE);
        assert!(cap.covers("room:*"));
        assert!(!cap.covers("room:1"));
    }

    #[test]
    fn the_first_entry_that_covers_a_channel_decides_alone() {
        let caps = [
            cap(PatternKind::Exact, "room:1", PermissionSet::SUBSCRIBE),
            cap(PatternKind::Wildcard, "room:*", PermissionSet::SUBSCRIBE | PermissionSet::PUBLISH),
        ];
        assert_eq!(allowed(&caps, "room:1"), PermissionSet::SUBSCRIBE);
        assert_eq!(allowed(&caps, "room:2"), PermissionSet::SUBSCRIBE | PermissionSet::PUBLISH);
        assert_eq!(allowed(&caps, "news:1"), PermissionSet::NONE);
    }

    #[test]
    fn a_set_contains_what_was_put_into_it() {
        let set = PermissionSet::SUBSCRIBE | PermissionSet::HISTORY;
        assert!(set.contains(PermissionSet::SUBSCRIBE) && set.contains(PermissionSet::HISTORY));
        assert!(
            !set.contains(PermissionSet::PUBLISH)
                && !set.contains(PermissionSet::PUBLISH | PermissionSet::HISTORY)
        );
        assert!(set.contains(PermissionSet::NONE) && !PermissionSet::NONE.contains(set));
    }
}
