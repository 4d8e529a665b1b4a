//! What users react to messages with: which values there are, what is told and answered of
//! them, and how they go with a message in a history.
//!
//! In a history they are a tag: every SDK hands those on, in both encodings.
//!
//! Deliberately absent: who may react, and how many may.

use super::edits::changed_offset;
use super::groups::is_role_change;
use super::notices::RETRACTED_TAG;
use super::payload;
use crate::base::limits::REACTION_BYTES_MAX;
use crate::wire::json_out::JsonMembers;
use crate::wire::{Payload, Publication};

/// The tag of a message in a history that says what it is reacted to with.
pub(super) const REACTIONS_TAG: &str = "reactions";

/// A value, and how many users react with it.
pub type ReactionCount<'a> = (&'a str, u32);

/// Who reacts now, and with what, if with anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the notice's fields, by their names")]
pub struct Reactor<'a> {
    pub user: &'a str,
    pub value: Option<&'a str>,
}

/// What is reacted to one message with.
#[derive(Clone, Debug)]
pub struct ReactedMessage<'a, T> {
    /// The message.
    pub offset: u64,
    /// How many react with what.
    pub totals: T,
    /// What the asker reacts with.
    pub own: Option<&'a str>,
}

/// Whether somebody may react with this: an emoji or a short word, without control
/// characters.
pub fn reaction_is_valid(text: &str) -> bool {
    (1..=REACTION_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Whether a message says nothing that is read: it changes another one, or says that a user has
/// another role.
pub fn is_about_others(message: &Publication) -> bool {
    changed_offset(message).is_some() || is_role_change(message)
}

/// Whether a message may be reacted to: not one that was taken back, nor one that says
/// something about another one, or about a member.
pub fn takes_reactions(message: &Publication) -> bool {
    message.tag(RETRACTED_TAG).is_none() && !is_about_others(message)
}

/// Who reacts to a message has changed:
/// `{"reacted": {channel, offset, user, value, totals: [{value, count}]}}`. Of several
/// changes together it is not said whose they are.
pub fn reacted<'a>(
    channel: &str,
    offset: u64,
    by: Option<Reactor<'_>>,
    totals: impl IntoIterator<Item = ReactionCount<'a>>,
) -> Payload {
    payload(|members| {
        members.object("reacted", |members| {
            members.text("channel", channel);
            members.number("offset", offset);
            if let Some(Reactor { user, value }) = by {
                members.text("user", user);
                members.text("value", value.unwrap_or_default());
            }
            put_totals(totals, members);
        });
    })
}

/// What messages are reacted to with:
/// `{messages: [{offset, totals: [{value, count}], own}]}`.
pub fn reactions<'a, T: IntoIterator<Item = ReactionCount<'a>>>(
    page: impl IntoIterator<Item = ReactedMessage<'a, T>>,
) -> Payload {
    payload(|members| {
        members.list("messages", page, |one, members| {
            members.number("offset", one.offset);
            put_totals(one.totals, members);
            put_own(one.own, members);
        });
    })
}

/// A message as a history shows it: a tag says `{totals: [{value, count}], own}`.
pub fn with_reactions<'a>(
    message: &Publication,
    totals: impl IntoIterator<Item = ReactionCount<'a>>,
    own: Option<&str>,
) -> Publication {
    let reactions = payload(|members| {
        put_totals(totals, members);
        put_own(own, members);
    });
    let text = String::from_utf8_lossy(&reactions.bytes).into_owned();
    let mut tags = message.tags.clone();
    tags.push((REACTIONS_TAG.into(), text.into()));
    Publication { tags, ..message.clone() }
}

fn put_own(own: Option<&str>, members: &mut JsonMembers<'_>) {
    if let Some(own) = own {
        members.text("own", own);
    }
}

fn put_totals<'a>(
    totals: impl IntoIterator<Item = ReactionCount<'a>>,
    members: &mut JsonMembers<'_>,
) {
    members.list("totals", totals, |(value, count), members| {
        members.text("value", value);
        members.number("count", u64::from(count));
    });
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(tags: &[(&str, &str)]) -> Publication {
        let tags = tags.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let data = Payload { bytes: Bytes::from_static(b"{}"), is_json: true };
        let (info, chan_info, trace) = (None, None, None);
        Publication { offset: 3, data, info, chan_info, tags, time_unix_ms: 5, trace }
    }

    #[test]
    fn a_value_is_short_and_shows() {
        for good in ["👍", "👨‍👩‍👧‍👦", "ok", "a b", &"x".repeat(32), "\u{2764}\u{fe0f}"]
        {
            assert!(reaction_is_valid(good), "{good:?}");
        }
        for bad in ["", "\n", "a\0", "\u{7f}", "\u{85}", &"x".repeat(33), &"ü".repeat(17)] {
            assert!(!reaction_is_valid(bad), "{bad:?}");
        }
    }

    #[test]
    fn what_is_taken_back_or_says_so_takes_no_reactions() {
        assert!(takes_reactions(&message(&[("id", "a")])));
        assert!(!takes_reactions(&super::super::remainder(&message(&[]))));
        let (_, tag) = super::super::retraction(2);
        assert!(!takes_reactions(&message(&[(&tag.0, &tag.1)])));
    }

    #[test]
    fn totals_keep_their_order_and_escape_what_they_have_to() {
        let totals = [("👍", 2), ("\"q\"", 1)];
        let list = r#"[{"value":"👍","count":2},{"value":"\"q\"","count":1}]"#;
        let by = Some(Reactor { user: "ann", value: Some("👍") });
        let want = format!(
            r#"{{"reacted":{{"channel":"room:1","offset":3,"user":"ann","value":"👍","totals":{list}}}}}"#
        );
        assert_eq!(reacted("room:1", 3, by, totals).bytes, want);
        let none =
            r#"{"reacted":{"channel":"room:1","offset":3,"user":"ann","value":"","totals":[]}}"#;
        let by = Some(Reactor { user: "ann", value: None });
        assert_eq!(reacted("room:1", 3, by, []).bytes, none);
        let both = r#"{"reacted":{"channel":"room:1","offset":3,"totals":[]}}"#;
        assert_eq!(reacted("room:1", 3, None, []).bytes, both);
        let page = [
            ReactedMessage { offset: 3, totals: &totals[..], own: Some("👍") },
            ReactedMessage { offset: 7, totals: &totals[1..], own: None },
        ];
        let page = page.map(|one| ReactedMessage {
            offset: one.offset,
            totals: one.totals.iter().copied(),
            own: one.own,
        });
        let want = format!(
            r#"{{"messages":[{{"offset":3,"totals":{list},"own":"👍"}},{{"offset":7,"totals":[{{"value":"\"q\"","count":1}}]}}]}}"#
        );
        assert_eq!(reactions(page).bytes, want);
        let shown = with_reactions(&message(&[("id", "a")]), totals, Some("👍"));
        let tags: Vec<_> = shown.tags.iter().map(|(name, value)| (&**name, &**value)).collect();
        let both = format!(r#"{{"totals":{list},"own":"👍"}}"#);
        assert_eq!(tags, [("id", "a"), ("reactions", &*both)]);
    }
}
