//! The parts of a shard that decisions of sessions reach in one turn, beyond the connections:
//! other shards, the observer, the suspects, and names of rooms.
//!
//! A plain value without methods. It comes with each call, because it is borrowed from other
//! parts of the shard.
//!
//! Deliberately absent: the sessions themselves.

use super::hooks::Hooks;
use super::liveness::Suspects;
use super::mesh::Mesh;
use super::observe::Observer;
use super::presence_facts::PresenceFacts;
use crate::base::Timestamps;
use crate::room::Rooms;

/// The parts of a shard that sessions reach in one turn.
pub struct TurnContext<'t> {
    /// The time of the turn.
    pub now: Timestamps,
    /// The messages to other shards.
    pub mesh: &'t mut Mesh,
    /// The observer, which measures and counts.
    pub observer: &'t mut Observer,
    /// Connections whose deadline has passed.
    pub suspects: &'t mut Suspects,
    /// Questions to the application's backend.
    pub hooks: &'t mut Hooks,
    /// What the presence feed is told.
    pub presence: &'t mut PresenceFacts,
    /// The rooms of this shard, for their names only.
    pub rooms: &'t Rooms,
    /// Whether a drain is going on.
    pub drain_status: DrainStatus,
}

/// Whether a drain is going on: connections are closed and none is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainStatus {
    /// No drain was ordered.
    Serving,
    /// A drain was ordered.
    Draining,
}
