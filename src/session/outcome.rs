//! What a session decided: messages for its client, effects for its shard in order, and what
//! is counted and measured.
//!
//! Deliberately absent: whoever carries it out (`shard::sessions`), frames and outboxes.

use std::mem;
use std::sync::Arc;

use bytes::BytesMut;

use super::{Fault, HeldCommands, SubscriberSlot};
use crate::base::{MonotonicMs, RoomId, trim_list};
use crate::metrics::{ChatType, Histogram, PublishResult, Tenant};
use crate::room::RoomRequest;
use crate::wire::chat::Field;
use crate::wire::{self, Answer, Encoding, ErrorCode, Message, Push};

/// What a session decided: messages for its client, encoded at once, and
/// effects for the shard, in order.
#[derive(Debug)]
pub struct SessionOutput {
    /// How the client reads.
    encoding: Encoding,
    /// Messages that will share one frame.
    messages: BytesMut,
    /// What the shard has to do.
    effects: Vec<Effect>,
    counts: OutputCounts,
}

/// What of a session's decisions is counted and measured.
#[derive(Debug, Default)]
pub struct OutputCounts {
    /// Answers among the messages.
    pub answers_count: u64,
    /// Why commands were refused, one for each refusal among the answers.
    pub refused: Vec<ErrorCode>,
    /// Publishes that no room was asked about; rooms count their own.
    pub unpublished: Vec<(ChatType, PublishResult)>,
    /// The tenant of a client that came or went.
    pub of_tenant: Option<(Tenant, ConnectionEvent)>,
    /// Lengths of time that ended, in microseconds.
    pub observed: Vec<(Histogram, u64)>,
}

/// What a session wants from its shard. Closed.
#[derive(Debug)]
pub enum Effect {
    /// Ask a room's home.
    SendRequest(RoomRequest),
    /// Add this session to the subscribers of a channel, and tell it its slot.
    AddSubscriber {
        /// Which room.
        room: RoomId,
        /// Its name.
        name: Arc<str>,
        /// Whether who comes and goes is delivered, too.
        wants_join_leave: bool,
    },
    /// Remove the subscriber.
    RemoveSubscriber(SubscriberSlot),
    /// What channels said while the client was connecting may leave now.
    Release,
    /// Serve these commands, which waited for the effects before.
    Resume(HeldCommands),
    /// Let the session look at each of its channels by name: its rights have changed.
    /// These are the ones that the server makes now.
    Review(Vec<RoomId>),
    /// Ping the client.
    Ping,
    /// Something did not come in time; whether that is the client's doing is judged when
    /// everything that came was read.
    Suspect(Suspicion),
    /// The client says that it has got a message.
    Acknowledged {
        /// `ack_key` of its place.
        key: u64,
        /// How long the client worked on it, by its own clock.
        took_ms: Option<u64>,
    },
    /// End the session.
    Close(Fault),
}

/// What a connection is suspected for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// A pong is missing.
    Silence,
    /// What had to come by now (the upgrade, the connect command, a fresh token) has not.
    Deadline,
}

/// A client came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// It was let in.
    Opened,
    /// It is gone.
    Closed,
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// For this reason.
    Code(ErrorCode),
    /// A field of a chat method's data cannot be right.
    Field(Field),
}

impl CommandError {
    /// The reason without the field.
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

impl From<Field> for CommandError {
    fn from(field: Field) -> CommandError {
        CommandError::Field(field)
    }
}

impl SessionOutput {
    /// Nothing decided yet.
    pub fn new(encoding: Encoding) -> SessionOutput {
        SessionOutput {
            encoding,
            messages: BytesMut::new(),
            effects: Vec::new(),
            counts: OutputCounts::default(),
        }
    }

    /// The next decision is about a client that reads this way.
    pub fn begin(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// How the client reads.
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

    /// Takes what the shard has to do.
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

    /// What is to be counted, for whoever counts it.
    pub fn counts_mut(&mut self) -> &mut OutputCounts {
        &mut self.counts
    }

    /// Whether all that is to be carried out was taken.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty() && self.messages.is_empty()
    }

    /// Gives back what very many decisions have left of the lists.
    pub fn trim(&mut self) {
        trim_list(&mut self.effects);
        trim_list(&mut self.counts.unpublished);
        trim_list(&mut self.counts.observed);
    }

    /// An answer to command `id`. Commands without an id get none.
    pub fn answer(&mut self, id: u32, answer: Answer<'_>) {
        if id != 0 {
            self.counts.answers_count += 1;
            self.say(&Message::Reply { id, answer });
        }
    }

    /// A refusal of command `id`.
    pub fn refuse(&mut self, id: u32, refusal: impl Into<CommandError>) {
        let refusal = refusal.into();
        if id != 0 {
            self.counts.refused.push(refusal.code());
        }
        self.answer(id, refusal.answer());
    }

    /// Something the client did not ask for.
    pub fn push(&mut self, channel: &str, push: Push<'_>) {
        self.say(&Message::Push { channel, push });
    }

    /// Something took from then until now.
    pub fn observe(&mut self, histogram: Histogram, since: MonotonicMs, now: MonotonicMs) {
        self.counts.observed.push((histogram, now.ms_since(since) * 1_000));
    }

    /// The shard has to do something.
    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// A publish of which no room was asked.
    pub fn count_unpublished(&mut self, chat_type: ChatType, result: PublishResult) {
        self.counts.unpublished.push((chat_type, result));
    }

    /// A client of this tenant came, or went; nobody's are not counted.
    pub fn count_connection(&mut self, tenant: Option<Tenant>, event: ConnectionEvent) {
        self.counts.of_tenant = tenant.map(|tenant| (tenant, event));
    }

    /// The end of the session.
    pub fn close(&mut self, fault: Fault) {
        self.effect(Effect::Close(fault));
    }

    /// True when the last thing decided was the end.
    pub fn is_closing(&self) -> bool {
        matches!(self.effects.last(), Some(Effect::Close(_)))
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
    /// What the shard has to do.
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
