//! Answers about who is in a room.
//!
//! Deliberately absent: who may ask.

use std::sync::Arc;

use super::members::{Member, MemberId, Members};
use super::{MembersPage, RoomReply};
use crate::base::limits::{PRESENCE_BYTES_MAX, PRESENCE_CLIENTS_MAX};
use crate::wire::ErrorCode;

/// Who is there, unless they are too many for one answer.
pub(super) fn list(members: &Members) -> RoomReply {
    let is_too_large = PRESENCE_CLIENTS_MAX < members.listed_count()
        || PRESENCE_BYTES_MAX < members.listed().map(Member::bytes).sum();
    if is_too_large {
        return RoomReply::Rejected(ErrorCode::LimitExceeded);
    }
    let shown = members.listed().map(|one| (Arc::clone(&one.info), one.chan_info.clone()));
    RoomReply::Presence(shown.collect())
}

/// How many are there.
pub(super) fn stats(members: &Members) -> RoomReply {
    RoomReply::PresenceStats {
        clients: members.listed_count() as u32,
        users: members.users_count() as u32,
    }
}

/// A page of who is there.
pub(super) fn page(members: &Members, page: MembersPage) -> RoomReply {
    let after = page.after.map(|(shard, conn)| MemberId { shard, conn });
    let mut bytes = 0;
    let mut listed = members.listed_behind(after);
    let mut last = None;
    let mut shown = Vec::new();
    for (member_id, member) in listed.by_ref().take(page.count_max as usize) {
        bytes += member.bytes();
        shown.push((Arc::clone(&member.info), member.chan_info.clone()));
        last = Some((member_id.shard, member_id.conn));
        if PRESENCE_BYTES_MAX < bytes {
            break;
        }
    }
    let next = listed.next().and(last);
    RoomReply::Members(shown, next)
}
