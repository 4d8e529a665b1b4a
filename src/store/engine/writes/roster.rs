//! Changes who the members of a group are: the record of the member, its entry among the user's
//! groups, and that among the user's conversations, all in the batch of the message that says so.
//! And the mute of a member, which stands in its record.
//!
//! Deliberately absent: who may be a member, and how many (`room`).

use crate::base::RoomId;
use crate::store::disk::{Disk, StoreKeyspace, SyncMode};
use crate::store::engine::channels::ChannelStore;
use crate::store::messages::{MuteGroup, MuteResult, ReadMarkers, RosterChange, StoreError};
use crate::store::record::MemberRecord;
use crate::store::{key, record};
use crate::wire::chat::GroupRole;

/// Until when the user of a change has muted the group, if it stays a member; read before anything
/// is written.
pub(in crate::store::engine) fn kept_mute<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    change: &RosterChange,
) -> Result<u64, StoreError> {
    if !change.after.is_some_and(GroupRole::is_member) {
        return Ok(0);
    }
    let member = member(channels, &key::named(room, &change.user))?;
    Ok(member.map_or(0, |member| member.muted_until_unix_ms))
}

/// The record of a member; `None` for whoever is none, or only invited.
fn member<D: Disk>(
    channels: &ChannelStore<D>,
    key: &[u8],
) -> Result<Option<MemberRecord>, StoreError> {
    let value = channels.staged().get(StoreKeyspace::GroupMembers, key)?;
    let record = value.map(|value| MemberRecord::take(&value)).transpose()?;
    Ok(record.filter(|record| record.role.is_member()))
}

/// Mutes a group for a member.
pub(in crate::store::engine) fn mute<D: Disk>(
    channels: &mut ChannelStore<D>,
    mute: &MuteGroup,
) -> Result<(MuteResult, SyncMode), StoreError> {
    let MuteGroup { room, user, until_unix_ms } = mute;
    let key = key::named(*room, user);
    let none = Ok((MuteResult::NoMember, SyncMode::Later));
    let Some(head) = channels.head(*room)? else { return none };
    let Some(before) = member(channels, &key)? else { return none };
    let after = MemberRecord { muted_until_unix_ms: *until_unix_ms, ..before };
    if after == before {
        return Ok((MuteResult::Muted, SyncMode::Later));
    }
    channels.staged_mut().put(StoreKeyspace::GroupMembers, &key, after.put());
    Ok((MuteResult::Muted, channels.durable(head.namespace())))
}

/// Writes a change that the message at `offset` says.
pub(in crate::store::engine) fn change<D: Disk>(
    channels: &mut ChannelStore<D>,
    room: RoomId,
    offset: u64,
    (change, muted_until_unix_ms): (&RosterChange, u64),
) {
    let RosterChange { channel, user, inbox, before: _, after, since_unix_ms } = change;
    let (member, entry) = (key::named(room, user), key::named(*inbox, channel));
    let staged = channels.staged_mut();
    let Some(role) = after else {
        staged.remove(StoreKeyspace::GroupMembers, &member);
        staged.remove(StoreKeyspace::UserGroups, &entry);
        staged.remove(StoreKeyspace::Conversations, &entry);
        // Who comes back has read what was said before that.
        staged.remove(StoreKeyspace::Markers, &member);
        return;
    };
    let (role, since_unix_ms) = (*role, *since_unix_ms);
    let record = MemberRecord { role, since_unix_ms, muted_until_unix_ms };
    staged.put(StoreKeyspace::GroupMembers, &member, record.put());
    staged.put(StoreKeyspace::UserGroups, &entry, record::put_conversation(room));
    staged.put(StoreKeyspace::Conversations, &entry, record::put_conversation(room));
    if change.joins() {
        // What was said before is not unread.
        let all = ReadMarkers { delivered: offset, read: offset };
        staged.put(StoreKeyspace::Markers, &member, record::put_markers(all));
    }
}
