//! The data of chat's own rpc methods (`requests`), of their answers (`answers`), and of notices
//! (`notices`): JSON in both encodings. `session` reads and writes methods, `room` writes notices.
//!
//! A request is read into exactly what its method knows: a field that is missing
//! or cannot be right is named, one that means nothing here is skipped. What is
//! said stays as it came, in place. Answers and notices are written straight into
//! the buffer that is sent.
//!
//! Deliberately absent: who may do what, whether a channel or a message exists.

mod answers;
mod cursor;
mod edits;
mod fields;
mod groups;
mod histories;
mod notices;
mod reactions;
mod requests;
#[cfg(test)]
mod tests;

pub use answers::{ConversationEntry, Receipt, conversations, members, nothing, posted, receipts};
pub use edits::{
    changed_offset, edit_offset, edit_tags, edited, edited_offset, is_outlived, is_superseded,
    superseded,
};
pub use groups::{
    GroupMember, GroupRole, RoleTags, RosterAction, is_role_change, muted_notice, role_change,
    role_notice, roster,
};
pub use histories::{ChannelSince, HistoryPart, histories};
pub use notices::{
    MembershipSummary, is_remainder, membership_summary, receipt, remainder, retracted,
    retracted_offset, retraction, typing,
};
pub use reactions::{
    ReactedMessage, ReactionCount, Reactor, is_about_others, reacted, reaction_is_valid, reactions,
    takes_reactions, with_reactions,
};
pub use requests::{ChatMessage, ChatPlace, ChatRequest, Method, call};

pub use super::error_code::{Field, InvalidFieldError};

use bytes::BytesMut;

use super::json_out::{self, JsonMembers};
use super::{ID_TAG, Payload, TRACE_TAG};

/// Tags that the server itself gives to messages, or reads: no backend may.
pub const OWN_TAGS: [&str; 14] = [
    ID_TAG,
    TRACE_TAG,
    // Whoever else gave these to a message in a personal channel would make that look like a
    // direct one.
    CHANNEL_TAG,
    OFFSET_TAG,
    notices::RETRACTED_TAG,
    notices::RETRACTS_TAG,
    edits::EDITS_TAG,
    edits::EDITS_TIME_TAG,
    edits::SUPERSEDED_TAG,
    edits::EDITED_TAG,
    edits::EDIT_OFFSET_TAG,
    reactions::REACTIONS_TAG,
    groups::MEMBER_TAG,
    groups::ROLE_TAG,
];

/// Whether this is one of `OWN_TAGS`.
pub fn is_own_tag(name: &str) -> bool {
    OWN_TAGS.contains(&name)
}

/// In the tags of a direct message in a personal channel: the conversation that it is of.
pub const CHANNEL_TAG: &str = "channel";

/// The same: its offset there.
pub const OFFSET_TAG: &str = "offset";

/// One object that the server makes.
fn payload(fill: impl FnOnce(&mut JsonMembers<'_>)) -> Payload {
    let mut out = BytesMut::new();
    json_out::object(&mut out, fill);
    Payload { bytes: out.freeze(), is_json: true }
}
