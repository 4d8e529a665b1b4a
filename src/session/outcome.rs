//! The output of a session: messages for its client, effects for its shard in order, and counters.
//!
//! Deliberately absent: carrying it out (`shard::sessions`), frames and outboxes.

use std::mem;
use std::sync::Arc;

use bytes::BytesMut;

use super::{Fault, HeldCommands, HookAsk, HookThen, SubscriberSlot};
use crate::auth::UnsupportedClaims;
use crate::base::{MonotonicMs, RoomId, trim_list};
use crate::hook::HookDisconnect;
use crate::metrics::{ChatType, Histogram, PublishResult, Tenant};
use crate::room::{LeaveReason, RoomRequest};
use crate::wire::chat::{Field, InvalidFieldError};
use crate::wire::{self, Answer, Encoding, ErrorCode, Message, Push, TagFilter};

/// The output of a session: messages for its client, encoded at once, and effects for the shard, in
/// order.
#[derive(Debug)]
pub struct SessionOutput {
    /// The encoding of the client.
    encoding: Encoding,
    /// Messages that will share one frame.
    messages: BytesMut,
    /// The effects for the shard.
    effects: Vec<Effect>,
    counts: OutputCounts,
}

/// The counters and measurements of a decision.
#[derive(Debug, Default)]
pub struct OutputCounts {
    /// Number of answers among the messages.
    pub answers_count: u64,
    /// The reason of each refusal among the answers.
    pub refused: Vec<ErrorCode>,
    /// Publishes that were refused before a room was asked; rooms count the others.
    pub unpublished: Vec<(ChatType, PublishResult)>,
    /// What tokens say and is not supported.
    pub unsupported: UnsupportedClaims,
    /// Tenants of clients that connected or disconnected.
    pub of_tenant: Option<(Tenant, ConnectionEvent)>,
    /// Durations, in microseconds.
    pub observed: Vec<(Histogram, u64)>,
}

/// What a subscriber gets of its channel.
#[derive(Clone, Debug, Default)]
pub struct SubscriberWants {
    /// Join and leave messages, too.
    pub join_leave: bool,
    /// Publications as differences to the one before.
    pub deltas: bool,
    /// Pushes that call the channel by a number.
    pub compact: bool,
    /// The publications that match; `None` for all.
    pub filter: Option<Arc<TagFilter>>,
}

/// An effect that a session wants from its shard.
#[derive(Debug)]
pub enum Effect {
    /// Send a request to the home of a room.
    SendRequest(RoomRequest),
    /// Add this session to the subscribers of a channel, and tell it its slot.
    AddSubscriber {
        /// The room.
        room: RoomId,
        /// Its name.
        name: Arc<str>,
        /// What it gets of the channel.
        wants: SubscriberWants,
    },
    /// Remove the subscriber, who leaves its room so.
    RemoveSubscriber(SubscriberSlot, LeaveReason),
    /// The peer is connected: its channels so far are known.
    Connected,
    /// Send the messages of channels that were held while the client was connecting.
    Release,
    /// Serve these commands after the effects before.
    Resume(HeldCommands),
    /// Call the session with the names of its channels, because its permissions have changed. These
    /// are the channels that the server subscribes to now.
    Review(Vec<RoomId>),
    /// Ping the client.
    Ping,
    /// A deadline has passed; the session is judged when everything that came was read.
    Suspect(Suspicion),
    /// The client has acknowledged a message.
    Acknowledged {
        /// `ack_key` of its offset.
        key: u64,
        /// The time that the client took for it, by its own clock.
        took_ms: Option<u64>,
    },
    /// Ask the application's backend.
    AskBackend(Box<HookAsk>),
    /// End the session, because a backend says so.
    Disconnect(HookDisconnect),
    /// End the session.
    Close(Fault),
}

/// Why a connection is suspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// A pong is missing.
    Silence,
    /// The upgrade, the connect command or a fresh token did not come in time.
    Deadline,
}

/// A client came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// It has connected.
    Opened,
    /// It has disconnected.
    Closed,
}

/// The reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// An error code.
    Code(ErrorCode),
    /// A field of a chat method's data is invalid.
    Field(Field),
}

impl CommandError {
    /// The error code, without the field.
    pub fn code(self) -> ErrorCode {
        match self {
            CommandError::Code(code) => code,
            CommandError::Field(_) => ErrorCode::BadRequest,
        }
    }

    fn answer(self) -> Answer<'static> {
        match self {
            CommandError::Code(code) => Answer::Error(code),
            CommandError::Field(field) => Answer::Wrong(field),
        }
    }
}

impl From<ErrorCode> for CommandError {
    fn from(code: ErrorCode) -> CommandError {
        CommandError::Code(code)
    }
}

impl From<InvalidFieldError> for CommandError {
    fn from(InvalidFieldError(field): InvalidFieldError) -> CommandError {
        CommandError::Field(field)
    }
}

impl SessionOutput {
    /// An empty output.
    pub fn new(encoding: Encoding) -> SessionOutput {
        SessionOutput {
            encoding,
            messages: BytesMut::new(),
            effects: Vec::new(),
            counts: OutputCounts::default(),
        }
    }

    /// Begins a decision about a client with this encoding.
    pub fn begin(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// The encoding of the client.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Bytes of the messages so far.
    pub fn messages_bytes(&self) -> usize {
        self.messages.len()
    }

    /// Takes the messages for the client, if there are any.
    pub fn take_messages(&mut self) -> Option<BytesMut> {
        (!self.messages.is_empty()).then(|| mem::take(&mut self.messages))
    }

    /// Takes the effects.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        mem::take(&mut self.effects)
    }

    /// Gives back a list that was taken, for its capacity, unless there is something again.
    pub fn keep_effects(&mut self, effects: Vec<Effect>) {
        assert!(effects.is_empty(), "what was decided is carried out");
        if self.effects.is_empty() {
            self.effects = effects;
        }
    }

    /// The counters, mutable.
    pub fn counts_mut(&mut self) -> &mut OutputCounts {
        &mut self.counts
    }

    /// Whether all messages and effects were taken.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty() && self.messages.is_empty()
    }

    /// Frees the spare capacity that a large turn has left.
    pub fn trim(&mut self) {
        trim_list(&mut self.effects);
        trim_list(&mut self.counts.unpublished);
        trim_list(&mut self.counts.observed);
    }

    /// Adds an answer to command `id`. Commands without an id get none.
    pub fn answer(&mut self, id: u32, answer: Answer<'_>) {
        if id != 0 {
            self.counts.answers_count += 1;
            self.say(&Message::Reply { id, answer });
        }
    }

    /// Adds a refusal of command `id`.
    pub fn refuse(&mut self, id: u32, refusal: impl Into<CommandError>) {
        let refusal = refusal.into();
        if id != 0 {
            self.counts.refused.push(refusal.code());
        }
        self.answer(id, refusal.answer());
    }

    /// Adds a push.
    pub fn push(&mut self, channel: &str, push: Push<'_>) {
        self.say(&Message::Push { channel, push });
    }

    /// Adds a duration from `began` until now.
    pub fn observe(&mut self, histogram: Histogram, since: MonotonicMs, now: MonotonicMs) {
        self.counts.observed.push((histogram, now.ms_since(since) * 1_000));
    }

    /// Adds an effect.
    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Counts a publish that was refused before a room was asked.
    pub fn count_unpublished(&mut self, chat_type: ChatType, result: PublishResult) {
        self.counts.unpublished.push((chat_type, result));
    }

    /// Counts what a token says and is not supported.
    pub fn count_unsupported(&mut self, claims: UnsupportedClaims) {
        self.counts.unsupported.extend(claims);
    }

    /// Counts a client of this tenant; anonymous ones are not counted.
    pub fn count_connection(&mut self, tenant: Option<Tenant>, event: ConnectionEvent) {
        self.counts.of_tenant = tenant.map(|tenant| (tenant, event));
    }

    /// Ends the session.
    pub fn close(&mut self, fault: Fault) {
        self.effect(Effect::Close(fault));
    }

    /// The room in which a message would be published about which the backend is asked, if that is
    /// the last effect.
    pub fn asked_publish(&self) -> Option<RoomId> {
        let Some(Effect::AskBackend(ask)) = self.effects.last() else { return None };
        match &ask.then {
            HookThen::Publish(asked) => Some(asked.room),
            HookThen::Connect
            | HookThen::Refresh
            | HookThen::SubRefresh(_)
            | HookThen::Subscribe(_)
            | HookThen::Answer { .. } => None,
        }
    }

    /// True when the last effect is the end.
    pub fn is_closing(&self) -> bool {
        matches!(self.effects.last(), Some(Effect::Close(_) | Effect::Disconnect(_)))
    }

    fn say(&mut self, message: &Message<'_>) {
        if self.messages.is_empty() {
            self.messages.reserve(wire::bytes_about(message));
        } else {
            wire::separate(self.encoding, &mut self.messages);
        }
        wire::encode(self.encoding, message, &mut self.messages);
    }
}

#[cfg(test)]
impl SessionOutput {
    /// The effects for the shard.
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// The same, to change.
    pub fn effects_mut(&mut self) -> &mut Vec<Effect> {
        &mut self.effects
    }

    /// Messages that will share one frame.
    pub fn messages(&self) -> &[u8] {
        &self.messages
    }

    /// What is to be counted.
    pub fn counts(&self) -> &OutputCounts {
        &self.counts
    }
}
