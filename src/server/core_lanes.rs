//! What joins one core to the other threads: its ends of the lanes to other cores, to the
//! store and back, to the control thread, and its commands.
//!
//! Deliberately absent: what travels in them.

use super::storage::StoreEnds;
use crate::base::ShardId;
use crate::base::limits::{
    LANE_BATCH_MESSAGES_MAX, LANE_BATCHES_MAX, LANE_COMMANDS_MAX, TURN_MESSAGES_MAX,
};
use crate::lane::{LaneLimits, LaneSender, Mailbox, MeshEnds};
use crate::shard::{Lanes, ShardCommand, ShardMessage, TraceEvent, TraceEvents};
use crate::store::{StoreReply, StoreRequest};

/// The bound of one lane from core to core.
pub(super) const NEIGHBOUR_LANE: LaneLimits =
    LaneLimits { batches_max: LANE_BATCHES_MAX, batch_items_max: LANE_BATCH_MESSAGES_MAX };

/// The bound of the lane from the control thread to one core.
pub(super) const COMMAND_LANE: LaneLimits =
    LaneLimits { batches_max: LANE_COMMANDS_MAX, batch_items_max: 1 };

/// What the control thread wants of a core.
#[derive(Clone, Debug)]
pub(super) enum CoreCommand {
    /// A command for its shard.
    Shard(ShardCommand),
    /// That it stands still, for a demonstration.
    #[cfg(feature = "faults")]
    Block { block_ms: u64 },
}

/// One core's ends of the lanes to and from the others.
pub(super) type Neighbours = MeshEnds<ShardMessage>;

/// One core's ends.
pub(super) struct CoreLanes {
    /// By reader; `None` for the core itself.
    outgoing: Vec<Option<LaneSender<ShardMessage>>>,
    incoming: Mailbox<ShardMessage>,
    /// `None` where no room is on disk.
    store: Option<StoreEnds>,
    trace_events: LaneSender<TraceEvent>,
    commands: Mailbox<CoreCommand>,
}

impl CoreLanes {
    pub(super) fn new(
        neighbours: Neighbours,
        store: Option<StoreEnds>,
        trace_events: LaneSender<TraceEvent>,
        commands: Mailbox<CoreCommand>,
    ) -> CoreLanes {
        let (outgoing, incoming) = neighbours;
        CoreLanes { outgoing, incoming, store, trace_events, commands }
    }

    /// Messages that wait for this core. Looks at each of them.
    pub(super) fn waiting_count(&mut self) -> usize {
        self.incoming.waiting_count()
    }
}

impl Lanes for CoreLanes {
    fn take_messages(
        &mut self,
        on_message: &mut dyn FnMut(ShardId, ShardMessage),
        wake: &mut dyn FnMut(ShardId),
    ) -> usize {
        self.incoming.take(
            TURN_MESSAGES_MAX,
            &mut |from, message| on_message(ShardId(from), message),
            &mut |from| wake(ShardId(from)),
        )
    }

    fn take_replies(&mut self, on_reply: &mut dyn FnMut(StoreReply)) -> usize {
        self.store.as_mut().map_or(0, |store| store.take(on_reply))
    }

    fn take_command(&mut self) -> Option<ShardCommand> {
        let mut command = None;
        self.commands.take_from(0, 1, &mut |next| {
            command = Some(next);
            None
        });
        match command? {
            CoreCommand::Shard(command) => Some(command),
            #[cfg(feature = "faults")]
            CoreCommand::Block { block_ms } => {
                std::thread::sleep(std::time::Duration::from_millis(block_ms));
                self.take_command()
            }
        }
    }

    fn post_messages(&mut self, to: ShardId, messages: &mut Vec<ShardMessage>) -> usize {
        let lane = self.outgoing[usize::from(to.0)].as_mut();
        lane.expect("nobody writes to itself").post(messages)
    }

    fn post_requests(&mut self, requests: &mut Vec<StoreRequest>) -> usize {
        match &mut self.store {
            Some(store) => store.post(requests),
            None => {
                assert!(requests.is_empty(), "rooms on disk need a store");
                0
            }
        }
    }

    fn post_trace_events(&mut self, trace_events: &mut TraceEvents) {
        let dropped_count = trace_events.take_dropped();
        self.trace_events.post_or_drop(trace_events.waiting(), dropped_count);
    }
}
