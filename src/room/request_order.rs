//! In which order what is asked of a room takes effect: what waits until the room's stream is
//! known, and what waits for what its connection said before, or may have been shown.
//!
//! Deliberately absent: the requests that wait (`durable_stream`), and what lets them go on
//! (`rooms`).

use super::messages::StreamRequirement;
use super::room_set::RoomSet;
use super::{RoomOutput, RoomRequest};
use crate::base::{ShardId, Timestamps};
use crate::wire::ErrorCode;

/// Returns a request that can be decided now. One that needs a stream that is not known yet
/// waits, or is refused where too many wait.
pub(super) fn wait_for_stream(
    set: &mut RoomSet,
    now: Timestamps,
    from: ShardId,
    request: RoomRequest,
    out: &mut RoomOutput,
) -> Option<RoomRequest> {
    let slot = match request.op.stream_need() {
        StreamRequirement::None => return Some(request),
        StreamRequirement::OfMember => set.slot_of(request.room),
        StreamRequirement::Named(channel_key) => match set.slot_of(request.room) {
            Some(slot) => Some(slot),
            None if set.options().rules(channel_key).is_durable() => {
                set.get_or_create(now, request.room, channel_key)
            }
            None => None,
        },
    };
    // Without a room, or without room for it, the decision is a refusal.
    let Some(slot) = slot else { return Some(request) };
    let (room, mut cx) = set.visit(now, slot, out);
    match room.messages_mut().durable_mut() {
        Some(durable) => durable.wait_until_known(from, request, &mut cx),
        None => Some(request),
    }
}

/// Returns a request that can be decided now. One about messages waits for those that its
/// connection has said or may have been shown, or is refused where too many wait.
pub(super) fn wait_for_shown(
    set: &mut RoomSet,
    now: Timestamps,
    from: ShardId,
    request: RoomRequest,
    out: &mut RoomOutput,
) -> Option<RoomRequest> {
    let Some(slot) = set.slot_of(request.room) else { return Some(request) };
    let (room, cx) = set.visit(now, slot, out);
    let Some(durable) = room.messages_mut().durable_mut() else {
        return Some(request);
    };
    let Some(behind) = durable.behind_shown(from, &request) else { return Some(request) };
    if cx.store.begin_wait(from, &request) {
        behind.push((from, request));
    } else {
        cx.out.refuse(from, &request, ErrorCode::TooManyRequests);
    }
    None
}
