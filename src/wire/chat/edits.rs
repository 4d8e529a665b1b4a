//! What is said about messages that got other words.
//!
//! Of the words of a message only the last ones stand: in its own place, and once more in the
//! message that gave them to it. Clients choose no tags, so none of these is forged.
//!
//! Deliberately absent: who may edit what.

use super::notices::retracted_offset;
use super::payload;
use crate::base::Trace;
use crate::wire::{ID_TAG, Publication};

/// The tag of a message that gives an earlier one its words: which.
pub(super) const EDITS_TAG: &str = "edits";

/// The tag of the same: when the earlier one was said, ms since 1970.
pub(super) const EDITS_TIME_TAG: &str = "edits_time";

/// The tag of an edit that says no words any more, because its message got others, was taken
/// back, or is gone.
pub(super) const SUPERSEDED_TAG: &str = "superseded";

/// The tag of a message that was edited: when, ms since 1970.
pub(super) const EDITED_TAG: &str = "edited";

/// The tag of the same: the place of the edit whose words it has.
pub(super) const EDIT_OFFSET_TAG: &str = "edit_offset";

/// The tags of what gives this message other words.
pub fn edit_tags(message: &Publication) -> [(Box<str>, Box<str>); 2] {
    [
        (EDITS_TAG.into(), message.offset.to_string().into()),
        (EDITS_TIME_TAG.into(), message.time_unix_ms.to_string().into()),
    ]
}

/// A message with the words that an edit gives it, and tags that say so.
pub fn edited(message: &Publication, edit: &Publication) -> Publication {
    let old = message.tags.iter().filter(|(name, _)| !is_about_edit(name));
    let tags = [
        (EDITED_TAG.into(), edit.time_unix_ms.to_string().into()),
        (EDIT_OFFSET_TAG.into(), edit.offset.to_string().into()),
    ];
    let tags = old.cloned().chain(tags).collect();
    Publication { data: edit.data.clone(), tags, ..message.clone() }
}

fn is_about_edit(tag: &str) -> bool {
    tag == EDITED_TAG || tag == EDIT_OFFSET_TAG
}

/// Where the edit stands whose words a message has, if it was edited.
pub fn edit_offset(message: &Publication) -> Option<u64> {
    message.tag(EDIT_OFFSET_TAG)?.parse().ok()
}

/// Which message an edit is of, whether or not it says words.
pub fn edited_offset(edit: &Publication) -> Option<u64> {
    edit.tag(EDITS_TAG)?.parse().ok()
}

/// Which message this one changes: takes it back, or gives it other words.
pub fn changed_offset(message: &Publication) -> Option<u64> {
    retracted_offset(message).or_else(|| edited_offset(message))
}

/// Whether an edit says no words any more.
pub fn is_superseded(edit: &Publication) -> bool {
    edit.tag(SUPERSEDED_TAG).is_some()
}

/// What is left of an edit whose words are gone: all but those, and its data names the
/// message that it was of, as that of a retraction does.
pub fn superseded(edit: &Publication) -> Publication {
    let target = edited_offset(edit).unwrap_or_default();
    let is_kept = |name: &str| name == ID_TAG || name == EDITS_TAG || name == EDITS_TIME_TAG;
    let kept = edit.tags.iter().filter(|(name, _)| is_kept(name)).cloned();
    Publication {
        data: payload(|members| members.number("edited", target)),
        tags: kept.chain([(SUPERSEDED_TAG.into(), "true".into())]).collect(),
        // The span that it hung under is gone with its tag.
        trace: edit.trace.map(|trace| Trace::of_server(trace.id)),
        ..edit.clone()
    }
}

/// Whether an edit says words of a message that is not there any more: it is not kept from
/// before `first_offset`, or was said at `oldest_unix_ms` or before.
pub fn is_outlived(edit: &Publication, first_offset: u64, oldest_unix_ms: u64) -> bool {
    let Some(target) = edited_offset(edit).filter(|_| !is_superseded(edit)) else { return false };
    let said = edit.tag(EDITS_TIME_TAG).and_then(|time| time.parse::<u64>().ok());
    target < first_offset || said.is_none_or(|said| said <= oldest_unix_ms)
}

#[cfg(test)]
mod tests {
    use super::super::{is_remainder, remainder, retraction};
    use super::*;
    use crate::wire::Payload;

    fn said(offset: u64, text: &'static str, tags: &[(&str, &str)]) -> Publication {
        Publication {
            offset,
            data: Payload { bytes: text.into(), is_json: true },
            info: None,
            chan_info: None,
            tags: tags.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect(),
            time_unix_ms: 1_000 * offset,
            trace: None,
        }
    }

    fn edit(offset: u64, text: &'static str, message: &Publication) -> Publication {
        let mut edit = said(offset, text, &[("id", "e")]);
        edit.tags.extend(edit_tags(message));
        edit
    }

    fn tags(message: &Publication) -> Vec<(&str, &str)> {
        message.tags.iter().map(|(name, text)| (&**name, &**text)).collect()
    }

    #[test]
    fn an_edited_message_keeps_its_place_and_says_when_and_where_it_got_its_words() {
        let first = said(3, "1", &[("id", "i"), ("sent_at_ms", "5")]);
        let mut message = first.clone();
        for (offset, text) in [(4, "2"), (9, "3")] {
            let edit = edit(offset, text, &message);
            assert_eq!(tags(&edit)[1..], [("edits", "3"), ("edits_time", "3000")]);
            assert_eq!((edited_offset(&edit), changed_offset(&edit)), (Some(3), Some(3)));
            message = edited(&message, &edit);
            assert_eq!((&message.data.bytes[..], message.offset), (text.as_bytes(), 3));
            assert_eq!(edit_offset(&message), Some(offset));
        }
        let want = [("id", "i"), ("sent_at_ms", "5"), ("edited", "9000"), ("edit_offset", "9")];
        assert_eq!(tags(&message), want);
        assert_eq!((message.time_unix_ms, changed_offset(&message)), (3_000, None));
        let left = remainder(&message);
        assert_eq!((edit_offset(&left), is_remainder(&left)), (None, true));
        let says = said(10, "{}", &[("retracts", "3")]);
        assert_eq!(retraction(3).1, says.tags[0]);
        assert_eq!((changed_offset(&says), edited_offset(&says)), (Some(3), None));
    }

    #[test]
    fn an_edit_whose_words_are_gone_says_what_it_was_of() {
        let message = said(3, "1", &[]);
        let whole = edit(4, "\"secret\"", &message);
        let left = superseded(&whole);
        assert_eq!(left.data.bytes, r#"{"edited":3}"#);
        let want = [("id", "e"), ("edits", "3"), ("edits_time", "3000"), ("superseded", "true")];
        assert_eq!(tags(&left), want);
        assert!(is_superseded(&left) && !is_superseded(&whole));
        assert_eq!((left.offset, edited_offset(&left)), (4, Some(3)));
        assert_eq!(superseded(&left), left);
    }

    #[test]
    fn the_words_of_an_edit_live_no_longer_than_its_message() {
        let edit = edit(9, "2", &said(3, "1", &[]));
        for (first_offset, oldest_unix_ms, over) in
            [(3, 2_999, false), (4, 0, true), (0, 3_000, true), (3, 9_000, true)]
        {
            assert_eq!(is_outlived(&edit, first_offset, oldest_unix_ms), over);
            assert!(!is_outlived(&superseded(&edit), first_offset, oldest_unix_ms));
        }
        assert!(!is_outlived(&said(1, "1", &[]), 9, u64::MAX), "it is no edit");
    }
}
