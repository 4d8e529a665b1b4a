//! The ids of connections: a slot that was freed last is used first.

use crate::base::ConnId;

use super::super::user_data::GENERATION_BITS;

/// The slots of one core's connections, and which peer has each.
#[derive(Debug, Default)]
pub(super) struct PeerSlots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    tenant: Option<u32>,
}

impl PeerSlots {
    /// An id for `peer`.
    pub fn move_in(&mut self, peer: u32) -> ConnId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, tenant: None });
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        place.tenant = Some(peer);
        ConnId { slot, generation: place.generation }
    }

    /// Frees the slot; its id is stale from here on.
    pub fn move_out(&mut self, id: ConnId) {
        let place = &mut self.slots[id.slot as usize];
        assert_eq!(place.generation, id.generation, "a tenant leaves once");
        place.tenant = None;
        place.generation = (place.generation + 1) % (1 << GENERATION_BITS);
        self.free.push(id.slot);
    }

    /// Which peer has `id`.
    pub fn tenant(&self, id: ConnId) -> Option<u32> {
        let slot = self.slots.get(id.slot as usize).filter(|s| s.generation == id.generation)?;
        slot.tenant
    }
}
