//! What joins one core to the other threads: its ends of the lanes to other cores, to the
//! store and back, to the control thread, and its orders.
//!
//! Deliberately absent: what travels in them.

use rtrb::Consumer;

use super::executor::Errand;
use super::storage::StoreLane;
use super::traces::NoteLane;
use crate::base::ShardId;
use crate::lane::Postbox;
use crate::shard::{Lanes, Letter, Notes, Order};
use crate::store::{Reply, Request};

/// One core's ends.
pub(super) struct CoreLanes {
    postbox: Postbox<Letter>,
    /// `None` where no room is on disk.
    store: Option<StoreLane>,
    notes: NoteLane,
    errands: Consumer<Errand>,
}

impl CoreLanes {
    pub(super) fn new(
        postbox: Postbox<Letter>,
        store: Option<StoreLane>,
        notes: NoteLane,
        errands: Consumer<Errand>,
    ) -> CoreLanes {
        CoreLanes { postbox, store, notes, errands }
    }

    /// Messages that wait for this core. Looks at each of them.
    pub(super) fn waiting_count(&mut self) -> usize {
        self.postbox.waiting_count()
    }
}

impl Lanes for CoreLanes {
    fn take_letters(
        &mut self,
        on_letter: &mut dyn FnMut(ShardId, Letter),
        wake: &mut dyn FnMut(ShardId),
    ) -> usize {
        self.postbox.take(on_letter, wake)
    }

    fn take_replies(&mut self, on_reply: &mut dyn FnMut(Reply)) -> usize {
        self.store.as_mut().map_or(0, |store| store.take(on_reply))
    }

    fn take_order(&mut self) -> Option<Order> {
        match self.errands.pop().ok()? {
            Errand::Shard(order) => Some(order),
            #[cfg(feature = "faults")]
            Errand::Block { block_ms } => {
                std::thread::sleep(std::time::Duration::from_millis(block_ms));
                self.take_order()
            }
        }
    }

    fn post_letters(&mut self, to: ShardId, letters: &mut Vec<Letter>) -> usize {
        self.postbox.post(to, letters)
    }

    fn post_requests(&mut self, requests: &mut Vec<Request>) -> usize {
        match &mut self.store {
            Some(store) => store.post(requests),
            None => {
                assert!(requests.is_empty(), "rooms on disk need a store");
                0
            }
        }
    }

    fn post_notes(&mut self, notes: &mut Notes) {
        self.notes.post(notes);
    }
}
