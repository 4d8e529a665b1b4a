//! What the decisions of a session reach beyond its connections, in one turn: other shards,
//! who watches, who is suspected, and names of rooms.
//!
//! A plain value without methods. It comes with each call, because it is borrowed from other
//! parts of the shard.
//!
//! Deliberately absent: the sessions themselves.

use super::liveness::Suspects;
use super::mesh::Mesh;
use super::observe::Observer;
use crate::base::Timestamps;
use crate::room::Rooms;

/// One turn, seen from the sessions.
pub struct TurnContext<'t> {
    /// What the clocks show.
    pub now: Timestamps,
    /// Other shards.
    pub mesh: &'t mut Mesh,
    /// Who measures.
    pub observer: &'t mut Observer,
    /// Whose time is over.
    pub suspects: &'t mut Suspects,
    /// For names only.
    pub rooms: &'t Rooms,
    /// Whether everybody is let go.
    pub drains: Drains,
}

/// Whether everybody is let go, and nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drains {
    /// Not now.
    No,
    /// A drain was ordered.
    Yes,
}
