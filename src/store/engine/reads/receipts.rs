//! Reads the read markers of all users in a channel, by name.
//!
//! Deliberately absent: the marker of one user, which is read where it is changed (`writes`).

use std::ops::ControlFlow;

use super::{ENTRIES_MAX, PartialRead, Slice};
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::budget::Budget;
use crate::store::engine::channels::ChannelStore;
use crate::store::messages::{ReadMarkersQuery, ReadOrder, StoreError, StoreResult};
use crate::store::{key, record};

/// A page of a channel's read markers is asked for.
pub(super) fn markers_page<D: Disk>(
    channels: &mut ChannelStore<D>,
    page: &ReadMarkersQuery,
    so_far: Option<PartialRead>,
    budget: &mut Budget,
) -> Result<Slice, StoreError> {
    budget.seek();
    let count_max = page.count_max.min(ENTRIES_MAX) as usize;
    let mut markers = match so_far {
        Some(PartialRead::Markers(markers)) => markers,
        _ => Vec::new(),
    };
    let after = markers.last().map_or(&page.after, |(name, _)| name);
    let range = key::names_behind(page.room, after);
    let mut fault = None;
    let mut is_over = true;
    channels.staged().scan(
        StoreKeyspace::Markers,
        &range,
        ReadOrder::OldestFirst,
        &mut |key, value| {
            if count_max <= markers.len() {
                return ControlFlow::Break(());
            }
            if budget.is_slice_over() {
                is_over = false;
                return ControlFlow::Break(());
            }
            budget.read(value.len());
            let name = key::name_of(key).map(|(_, name)| name.into()).ok_or(StoreError::Damaged);
            match name.and_then(|name| Ok((name, record::take_markers(value)?))) {
                Ok(one) => markers.push(one),
                Err(failure) => {
                    fault = Some(failure);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        },
    )?;
    match fault {
        Some(failure) => Err(failure),
        None if is_over => Ok(Slice::Whole(StoreResult::ReadMarkers(markers))),
        None => Ok(Slice::Partial(PartialRead::Markers(markers))),
    }
}
