//! That all that was said in a channel shall be gone, as a value.
//!
//! Deliberately absent: who may say so (`api`).

use crate::base::RoomId;

/// A request to remove the messages of a channel that were given to the store before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveHistory {
    /// The channel.
    pub room: RoomId,
    /// The time, Unix ms.
    pub at_unix_ms: u64,
}
