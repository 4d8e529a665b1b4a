//! Changes who the members of a group are: the record of the member, its entry among the user's
//! groups, and that among the user's conversations, all in the batch of the message that says so.
//!
//! Deliberately absent: who may be a member, and how many (`room`).

use crate::base::RoomId;
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::channels::ChannelStore;
use crate::store::messages::{ReadMarkers, RosterChange};
use crate::store::{key, record};

/// Writes a change that the message at `offset` says.
pub(in crate::store::engine) fn change<D: Disk>(
    channels: &mut ChannelStore<D>,
    room: RoomId,
    offset: u64,
    change: &RosterChange,
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
    let record = record::put_group_role(*role, *since_unix_ms);
    staged.put(StoreKeyspace::GroupMembers, &member, record);
    staged.put(StoreKeyspace::UserGroups, &entry, record::put_conversation(room));
    staged.put(StoreKeyspace::Conversations, &entry, record::put_conversation(room));
    if change.joins() {
        // What was said before is not unread.
        let all = ReadMarkers { delivered: offset, read: offset };
        staged.put(StoreKeyspace::Markers, &member, record::put_markers(all));
    }
}
