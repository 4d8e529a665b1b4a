//! What clients with deltas have: the publication that all of them in a channel got last. Whether
//! the next one goes to them as the difference to that, or in full.
//!
//! Invariant: where a channel has a base, all of its subscribers with deltas have it. So there is
//! none from the time when one of them comes until the next publication, which all get in full.
//!
//! Deliberately absent: how a difference is written (`wire`), and who has deltas (`channels`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::RoomId;
use crate::base::limits::DELTA_DATA_BYTES_MAX;
use crate::wire::{Publication, fossil_delta};

/// The bases of a shard's channels.
#[derive(Debug, Default)]
pub struct DeltaBases(BTreeMap<RoomId, Arc<Publication>>);

impl DeltaBases {
    /// A channel begins anew: somebody has come, or all have left.
    pub fn reset(&mut self, room: RoomId) {
        self.0.remove(&room);
    }

    /// The difference between a publication and the one before, if there is one that is worth it.
    pub fn advance(&mut self, room: RoomId, publication: &Arc<Publication>) -> Option<Vec<u8>> {
        let base = self.0.insert(room, Arc::clone(publication))?;
        let (base, data) = (&base.data, &publication.data);
        let is_short = base.bytes.len().max(data.bytes.len()) <= DELTA_DATA_BYTES_MAX;
        if base.is_json != data.is_json || !is_short {
            return None;
        }
        fossil_delta(&base.bytes, &data.bytes)
    }
}
