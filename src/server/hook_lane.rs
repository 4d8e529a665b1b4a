//! The lanes in which cores ask the control thread to ask an application's backend, and how it is
//! woken.
//!
//! Deliberately absent: what becomes of a question (`hooks`).

use std::net::SocketAddr;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::base::limits::{HOOK_BATCH_MAX, HOOK_BATCHES_MAX};
use crate::lane::{self, LaneLimits, LaneSender, Mailbox};
use crate::shard::HookCall;

/// The bound of the lane of one core.
const HOOK_LANE: LaneLimits =
    LaneLimits { batches_max: HOOK_BATCHES_MAX, batch_items_max: HOOK_BATCH_MAX };

/// A question in the lane of a core.
pub(super) struct AskedCall {
    pub call: HookCall,
    /// The other end of the connection, as the server sees it.
    pub peer: Option<SocketAddr>,
}

/// A core's end: where its questions go.
pub(super) struct HookSender {
    lane: LaneSender<AskedCall>,
    /// What had no room, oldest first; the shard bounds it.
    waiting: Vec<AskedCall>,
    wake: Sender<()>,
}

/// The ends of all cores, and that of the control thread, which hears when there is something.
pub(super) fn hook_lanes(cores_count: u16) -> (Vec<HookSender>, Mailbox<AskedCall>, Receiver<()>) {
    let (lanes, calls) = lane::mailbox(cores_count, HOOK_LANE);
    let (wake, woken) = channel(1);
    let sender = |lane| HookSender { lane, waiting: Vec::new(), wake: wake.clone() };
    (lanes.into_iter().map(sender).collect(), calls, woken)
}

impl HookSender {
    /// Whether something had no room.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Carries questions as far as the lane has room.
    pub fn post(
        &mut self,
        calls: Vec<HookCall>,
        mut peer_of: impl FnMut(&HookCall) -> Option<SocketAddr>,
    ) {
        let with_peer = |call: HookCall| AskedCall { peer: peer_of(&call), call };
        self.waiting.extend(calls.into_iter().map(with_peer));
        if 0 < self.lane.post(&mut self.waiting) {
            // One that is there already does for both.
            let _ = self.wake.try_send(());
        }
    }
}
