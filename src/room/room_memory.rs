//! What a room remembers of what was said, and for how long: its stream, what messages in memory
//! are reacted to with, the ids that came with messages, and when the room is looked at again.
//!
//! Invariant: in memory nobody reacts to a message that is not in the window.
//!
//! Deliberately absent: who says something (`room_messages`), and what is shown of it (`history`).

use super::decision::RoomUse;
use super::dedup::TooManyIdsError;
use super::durable_stream::{DurableStream, StreamState};
use super::history_window::HistoryWindow;
use super::members::Members;
use super::memory_reactions::MemoryReactions;
use super::message_ids::MessageIds;
use super::pending_messages::MessageInFlight;
use super::room_context::RoomContext;
use super::room_timers::{Lifetime, RoomTimers};
use super::stream::RoomStream;
use super::{Namespace, Reaction, RoomPublish};
use crate::base::{MonotonicMs, RoomId, Timestamps};
use crate::store::{OpenedChannel, ReactionRejection, ReactionResult};
use crate::wire::{Position, Publication, chat};

/// A room is looked at as often at least, so that deadlines of rooms that are gone
/// do not pile up until the oldest message would have been too old.
const SWEEP_MS_MAX: u64 = 300_000;

/// What one room remembers of what was said.
pub(super) struct RoomMemory {
    room: RoomId,
    stream: RoomStream,
    /// What its messages are reacted to with, where they are in memory only.
    reactions: MemoryReactions,
    /// Of messages that came with an id.
    ids: MessageIds,
    /// How long they keep the room.
    lifetime: Lifetime,
}

impl RoomMemory {
    /// Nothing was said yet, as far as is known here.
    pub fn new(room: RoomId, stream: RoomStream, now: Timestamps) -> RoomMemory {
        let (reactions, ids) = (MemoryReactions::default(), MessageIds::default());
        RoomMemory { room, stream, reactions, ids, lifetime: Lifetime::new(now.tick) }
    }

    /// Of which room.
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// The messages.
    pub fn stream(&self) -> &RoomStream {
        &self.stream
    }

    /// The messages that are in memory, if any are remembered.
    pub fn window(&self) -> Option<&HistoryWindow> {
        self.stream.window()
    }

    /// The messages, if they are on disk.
    pub fn durable(&self) -> Option<&DurableStream> {
        self.stream.durable()
    }

    /// The same, to change.
    pub fn durable_mut(&mut self) -> Option<&mut DurableStream> {
        self.stream.durable_mut()
    }

    /// The offset that the next message gets; 0 where nothing is remembered.
    pub fn next_offset(&self) -> u64 {
        self.stream.next_offset()
    }

    /// Where the stream ends, as clients are told.
    pub fn client_position(&self, cx: &RoomContext<'_>) -> Option<Position> {
        self.stream.client_position(self.room, cx)
    }

    /// A client's position as one of this stream; foreign if it is of none.
    pub fn known_position(&self, since: Position, cx: &RoomContext<'_>) -> Position {
        self.stream.known_position(self.room, since, cx)
    }

    /// What they are reacted to with, where they are in memory only.
    pub fn reactions(&self) -> &MemoryReactions {
        &self.reactions
    }

    /// Remembers a message that has its place, with what it does to an earlier one, where
    /// messages are in memory only.
    pub fn put(&mut self, message: &MessageInFlight, cx: &mut RoomContext<'_>) {
        let RoomStream::Memory(window) = &mut self.stream else { return };
        if let Some(change) = &message.change {
            window.change(change);
        }
        window.push(&message.publication, cx.rules.window_limits());
        if let Some(offset) = message.takes_back() {
            self.reactions.forget(offset);
        }
        self.reactions.forget_below(window.first_offset());
        self.sweep_at(cx.now.tick.plus_ms(cx.rules.history_age_ms_max), cx);
    }

    /// Messages up to this offset are removed, with what they are reacted to with.
    pub fn remove_up_to(&mut self, last: u64) {
        match &mut self.stream {
            RoomStream::None => (),
            RoomStream::Memory(window) => {
                window.remove_up_to(last);
                self.reactions.forget_below(window.first_offset());
            }
            RoomStream::Durable(durable) => durable.remove_up_to(last),
        }
    }

    /// A user reacts to a message that is in memory only, or not any more.
    pub fn react(&mut self, reaction: &Reaction) -> ReactionResult {
        let message = self.stream.window().and_then(|window| window.at(reaction.offset));
        if message.is_none_or(|message| !chat::takes_reactions(message)) {
            return ReactionResult::Refused(ReactionRejection::NoMessage);
        }
        let value = reaction.value.as_deref();
        self.reactions.react(reaction.offset, reaction.user, value)
    }

    /// Where a message has its place already that is to be said, and its id.
    pub fn place_of<'d>(
        &mut self,
        publish: &'d RoomPublish,
        now: Timestamps,
    ) -> Option<(u64, &'d str)> {
        self.ids.place_of(publish, now)
    }

    /// Remembers the message's id, if it has one. Fails when its author has too many.
    pub fn remember_id(&mut self, publication: &Publication) -> Result<(), TooManyIdsError> {
        self.ids.remember(publication)
    }

    /// Forgets it again.
    pub fn forget_id(&mut self, publication: &Publication) {
        self.ids.forget(publication);
    }

    /// Remembers the ids that the store does, and no others.
    pub fn restore_ids(&mut self, opened: Option<&mut OpenedChannel>) {
        self.ids = MessageIds::restored(opened);
    }

    /// Drops what is too old in memory. Returns when the next message will be.
    pub fn expire(&mut self, cx: &RoomContext<'_>) -> Option<u64> {
        self.ids.expire(cx.now);
        let next_unix_ms = self.stream.expire(cx.now, cx.rules);
        if let RoomStream::Memory(window) = &self.stream {
            self.reactions.forget_below(window.first_offset());
        }
        next_unix_ms
    }

    /// The room is looked at before its messages that were said until now are too old.
    pub fn sweep_when_old(&mut self, cx: &mut RoomContext<'_>) {
        let age_ms = cx.rules.history_age_ms_max.min(SWEEP_MS_MAX);
        self.sweep_at(cx.now.tick.plus_ms(age_ms), cx);
    }

    /// Lets the room be swept at `at`, or before.
    pub fn sweep_at(&mut self, at: MonotonicMs, cx: &mut RoomContext<'_>) {
        cx.timers.set_sweep(&mut self.lifetime, cx.slot, at);
    }

    /// Lets pass what has passed, and says when to look again.
    pub fn sweep(&mut self, members: &Members, cx: &mut RoomContext<'_>) -> RoomUse {
        let now = cx.now.tick;
        if !self.lifetime.begin_sweep(now) {
            return RoomUse::Needed;
        }
        if self.opens_again_at(members).is_some_and(|again_at| again_at <= now) {
            let durable = self.stream.durable_mut().expect("what is opened is on disk");
            durable.open(self.room, None, cx);
        }
        let next_unix_ms = self.expire(cx);
        let leaves_at = self.lifetime.leaves_at(self.stays_ms(cx.rules));
        // Messages in memory only keep their room; those on disk do not.
        let has_messages = self.stream.lives_in_memory() && next_unix_ms.is_some();
        let is_unused = members.is_empty() && self.stream.is_at_rest() && leaves_at <= now;
        if is_unused && !has_messages {
            return RoomUse::Unneeded;
        }
        let wait_ms = |at: u64| at.saturating_sub(cx.now.unix_ms).min(SWEEP_MS_MAX);
        let message = next_unix_ms.map(|at| now.plus_ms(wait_ms(at)));
        let empty = members.is_empty().then(|| leaves_at.max(now.plus_ms(1_000)));
        let again_at = self.opens_again_at(members);
        if let Some(at) = [message, empty, again_at].into_iter().flatten().min() {
            self.sweep_at(at, cx);
        }
        RoomUse::Needed
    }

    /// When the store is asked again by itself, after it failed: somebody is here, or
    /// waits elsewhere for what it may have kept.
    fn opens_again_at(&self, members: &Members) -> Option<MonotonicMs> {
        let durable = self.stream.durable()?;
        match durable.phase() {
            StreamState::Closed { again_at } if !members.is_empty() || durable.is_in_doubt() => {
                Some(again_at)
            }
            StreamState::Closed { .. } | StreamState::Opening | StreamState::Open => None,
        }
    }

    /// Somebody left, or something is over. An empty room without a stream goes at once, and
    /// so does one in which nothing was said; one with a stream stays as long as its messages
    /// would, so that who comes back finds its position; one on disk stays for a moment.
    pub fn leaves(
        &mut self,
        members: &Members,
        now: Timestamps,
        rules: &Namespace,
        slot: u32,
        timers: &mut RoomTimers,
    ) -> RoomUse {
        if !members.is_empty() {
            return RoomUse::Needed;
        }
        self.lifetime.begin_empty(now.tick);
        let stays_ms = self.stays_ms(rules);
        if stays_ms == 0 {
            return RoomUse::Unneeded;
        }
        timers.set_sweep(&mut self.lifetime, slot, now.tick.plus_ms(stays_ms));
        RoomUse::Needed
    }

    /// How long it stays when the last member has left.
    fn stays_ms(&self, rules: &Namespace) -> u64 {
        self.stream.stays_ms(rules, self.ids.stay_ms())
    }

    /// Whether ids of messages are remembered.
    #[cfg(test)]
    pub fn has_ids(&self) -> bool {
        !self.ids.is_empty()
    }
}
