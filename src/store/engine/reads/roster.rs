//! Reads who the members of a group are, and how many groups a user is in. Both have a limit, so
//! they are read at once.
//!
//! Deliberately absent: pages (`room`).

use std::ops::ControlFlow;

use super::Slice;
use crate::base::RoomId;
use crate::base::limits::USER_GROUPS_MAX;
use crate::store::disk::{Disk, KeyRange, StoreKeyspace};
use crate::store::engine::budget::Budget;
use crate::store::engine::channels::ChannelStore;
use crate::store::key;
use crate::store::messages::{ReadOrder, StoreError, StoreResult};
use crate::store::record::MemberRecord;
use crate::wire::chat::GroupMember;

/// The members of a group, by name.
pub(super) fn members<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    budget: &mut Budget,
) -> Result<Vec<GroupMember>, StoreError> {
    budget.seek();
    let mut found: Vec<Result<GroupMember, StoreError>> = Vec::new();
    channels.staged().scan(
        StoreKeyspace::GroupMembers,
        &key::names_of(room),
        ReadOrder::OldestFirst,
        &mut |key, value| {
            budget.read(value.len());
            let user = key::name_of(key).map(|(_, name)| name.into()).ok_or(StoreError::Damaged);
            found.push(user.and_then(|user| {
                let MemberRecord { role, since_unix_ms, muted_until_unix_ms } =
                    MemberRecord::take(value)?;
                Ok(GroupMember { user, role, since_unix_ms, muted_until_unix_ms })
            }));
            ControlFlow::Continue(())
        },
    )?;
    found.into_iter().collect()
}

/// The record of a user in a group.
pub(super) fn member<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    user: &str,
    budget: &mut Budget,
) -> Result<Option<MemberRecord>, StoreError> {
    budget.got(0);
    let value = channels.staged().get(StoreKeyspace::GroupMembers, &key::named(room, user))?;
    Ok(value.map(|value| MemberRecord::take(&value)).transpose()?)
}

/// How many groups a user is in, with those that it is invited to.
pub(super) fn groups_count<D: Disk>(
    channels: &ChannelStore<D>,
    inbox: RoomId,
    budget: &mut Budget,
) -> Result<Slice, StoreError> {
    budget.seek();
    let mut count = 0;
    let range: KeyRange = key::names_of(inbox);
    channels.staged().scan(
        StoreKeyspace::UserGroups,
        &range,
        ReadOrder::OldestFirst,
        &mut |_, value| {
            budget.read(value.len());
            count += 1;
            if count < USER_GROUPS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    )?;
    Ok(Slice::Whole(StoreResult::GroupsCounted(count)))
}
