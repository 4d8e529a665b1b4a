//! What a decision about one room may use beside the room: the time, the rules, the store,
//! deadlines, and where it says what it decided.
//!
//! It is made for one decision, and is nobody's.
//!
//! Deliberately absent: the other rooms. What needs them is decided by `Rooms`.

use super::epochs::Epochs;
use super::room_timers::RoomTimers;
use super::store_client::StoreClient;
use super::{Namespace, Options, RoomOutput};
use crate::base::Timestamps;

/// Everything but the room that a decision about one room may use.
pub(super) struct RoomContext<'r> {
    /// When it is decided.
    pub now: Timestamps,
    /// Where the room is in the table, for its deadlines.
    pub slot: u32,
    /// What holds for all rooms.
    pub options: &'r Options,
    /// What holds in this one.
    pub rules: &'r Namespace,
    /// When rooms are looked at again.
    pub timers: &'r mut RoomTimers,
    /// What is asked of the store.
    pub store: &'r mut StoreClient,
    /// What makes epochs and spans.
    pub epochs: &'r mut Epochs,
    /// What is decided.
    pub out: &'r mut RoomOutput,
}
