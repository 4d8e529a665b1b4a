//! A core without other threads: no neighbours, no store, no control thread.
//!
//! For measuring what one core does by itself; with it, a shard takes its turns as it does
//! in the server.

use rookery::base::ShardId;
use rookery::shard::{Lanes, ShardCommand, ShardMessage, TraceEvents};
use rookery::store::{StoreReply, StoreRequest};

/// Lanes that lead nowhere.
#[derive(Debug, Default)]
pub struct Alone;

impl Lanes for Alone {
    fn take_messages(
        &mut self,
        _on_message: &mut dyn FnMut(ShardId, ShardMessage),
        _wake: &mut dyn FnMut(ShardId),
    ) -> usize {
        0
    }

    fn take_replies(&mut self, _on_reply: &mut dyn FnMut(StoreReply)) -> usize {
        0
    }

    fn take_command(&mut self) -> Option<ShardCommand> {
        None
    }

    fn post_messages(&mut self, _to: ShardId, _messages: &mut Vec<ShardMessage>) -> usize {
        unreachable!("one core has no neighbours")
    }

    fn post_requests(&mut self, requests: &mut Vec<StoreRequest>) -> usize {
        assert!(requests.is_empty(), "rooms on disk need a store");
        0
    }

    fn post_trace_events(&mut self, trace_events: &mut TraceEvents) {
        trace_events.waiting().clear();
    }
}
