//! One turn of a core: it takes the inputs that have come, decides on them, and carries out
//! the decisions, in one order.
//!
//! The server, the simulator and the benchmarks run this function and no other; they
//! differ in the `Io` and the `Lanes` that they bring. So the simulator proves the order
//! that ships.
//!
//! Invariants: deciding touches no socket and no thread, and acting decides nothing, so
//! the result of a turn depends on the time and the batch alone; a turn takes a bounded
//! number of events and messages, and nothing in it waits.
//!
//! Deliberately absent: clocks, sleeping between turns, and the watchdog of turns.

use super::judge::ReapProgress;
use super::messages::ShardMessage;
use super::observe::TraceEvents;
use super::setup::ShardCommand;
use super::shard::Shard;
use super::turn_counts::TurnCounts;
use crate::base::limits::{TURN_COMMANDS_MAX, TURN_EVENTS_MAX};
use crate::base::{Action, Event, Io, ShardId, Timestamps};
use crate::metrics::TurnPhase;
use crate::store::{StoreReply, StoreRequest};

/// The lanes between a core and the other threads of its process. Nothing here waits: items
/// that find no room stay with the shard, and are offered again in the next turn.
pub trait Lanes {
    /// Hands on some of the messages of other cores that have arrived, those of one core
    /// in their order, and names the cores whose lane has room again. Returns how many.
    fn take_messages(
        &mut self,
        on_message: &mut dyn FnMut(ShardId, ShardMessage),
        wake: &mut dyn FnMut(ShardId),
    ) -> usize;

    /// Hands on some of the store's answers, in their order. Returns how many.
    fn take_replies(&mut self, on_reply: &mut dyn FnMut(StoreReply)) -> usize;

    /// The next command of the control thread.
    fn take_command(&mut self) -> Option<ShardCommand>;

    /// Takes messages from the front, as many as the lane to that core has room for. Returns
    /// how many; when any, the core is woken.
    fn post_messages(&mut self, to: ShardId, messages: &mut Vec<ShardMessage>) -> usize;

    /// Takes requests from the front, as many as the lane to the store has room for. Returns
    /// how many.
    fn post_requests(&mut self, requests: &mut Vec<StoreRequest>) -> usize;

    /// Takes all trace events; those that find no room are counted and dropped.
    fn post_trace_events(&mut self, trace_events: &mut TraceEvents);
}

/// Lets one core take a turn. `work` is empty before and after: it is the caller's for its
/// capacity only.
pub fn turn<I: Io, L: Lanes>(
    now: Timestamps,
    shard: &mut Shard,
    io: &mut I,
    lanes: &mut L,
    work: &mut Vec<Action>,
) -> TurnCounts {
    assert!(work.is_empty(), "the last turn was not finished");
    let mut accepted_count = 0;
    let events_count = io.reap(TURN_EVENTS_MAX, &mut |event| {
        accepted_count += u64::from(matches!(event, Event::Accepted(_)));
        shard.on_event(now, event);
    });
    assert!(events_count <= TURN_EVENTS_MAX, "a turn takes a bounded number of events");
    let is_drained = io.is_drained();
    let reap_progress = if is_drained { ReapProgress::All } else { ReapProgress::Partial };
    shard.judge(now, reap_progress, &mut |id| io.tcp_liveness(id));

    // Before the messages: a message can be of somebody who has been shown already what an answer
    // says, by another core that has read it in the store. Where an answer had no room in the lane,
    // the room lets such a message wait.
    shard.enter(TurnPhase::Store);
    let replies_count = lanes.take_replies(&mut |reply| shard.on_reply(now, reply));
    shard.enter(TurnPhase::Letters);
    let messages_count = lanes.take_messages(
        &mut |from, message| shard.on_message(now, from, message),
        &mut |neighbour| io.wake(neighbour),
    );
    shard.enter(TurnPhase::Orders);
    let mut commands_count = 0;
    while commands_count < TURN_COMMANDS_MAX
        && let Some(command) = lanes.take_command()
    {
        shard.on_shard_command(now, command, work);
        commands_count += 1;
    }
    shard.step_passes(now, &mut |id| io.address(id));
    shard.finish_turn(now, work);

    shard.enter(TurnPhase::Submit);
    // Before the sends: other cores are woken by the same submit, and work in parallel.
    let messages_posted_count = post_messages(shard, io, lanes);
    let requests_posted_count = lanes.post_requests(shard.store_requests());
    let actions_count = work.len();
    io.submit(work);
    assert!(work.is_empty(), "all of the work is taken");
    lanes.post_trace_events(shard.trace_events());

    let posted_count = messages_posted_count + requests_posted_count;
    let counts = TurnCounts {
        events_count,
        messages_count,
        replies_count,
        commands_count,
        actions_count,
        posted_count,
    };
    shard.count_turn(accepted_count, messages_posted_count as u64, &counts);
    counts
}

fn post_messages<I: Io, L: Lanes>(shard: &mut Shard, io: &mut I, lanes: &mut L) -> usize {
    let mut posted_count = 0;
    shard.post(&mut |to, messages| {
        let moved_count = lanes.post_messages(to, messages);
        if 0 < moved_count {
            io.wake(to);
        }
        posted_count += moved_count;
    });
    posted_count
}
