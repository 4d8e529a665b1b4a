//! The output of a command: requests to rooms under its id, effects for the shard, and the answer
//! to its client.
//!
//! Invariant: rooms are asked for a command only here, so all unanswered requests are counted.
//!
//! Deliberately absent: the cost of a refusal (`machine`).

use super::identity::Peer;
use super::open_commands::OpenCommandCount;
use super::{CommandError, Context, Effect, Fault, HookAsk, HookThen, SessionOutput};
use crate::base::{MonotonicMs, RoomId, UserHash};
use crate::hook::{HookAsker, HookQuestion, HookRequest};
use crate::metrics::Histogram;
use crate::room::{ReplyTo, RoomOp, RoomRequest};
use crate::wire::{Answer, Push};

/// The output of a command.
pub(super) struct CommandOut<'o> {
    reply_to: ReplyTo,
    open_commands: &'o mut OpenCommandCount,
    out: &'o mut SessionOutput,
}

impl<'o> CommandOut<'o> {
    /// The way out of a peer's command, by its id; 0 where the server acts for it.
    pub fn new(
        cx: &Context<'_>,
        peer: &Peer,
        id: u32,
        open_commands: &'o mut OpenCommandCount,
        out: &'o mut SessionOutput,
    ) -> CommandOut<'o> {
        let user = cx.names.user_hash(peer.tenant(), &peer.info().user);
        CommandOut { reply_to: ReplyTo { conn: cx.conn, user, id }, open_commands, out }
    }

    /// The way out of a connection that is nobody's.
    pub fn of_nobody(
        cx: &Context<'_>,
        open_commands: &'o mut OpenCommandCount,
        out: &'o mut SessionOutput,
    ) -> CommandOut<'o> {
        let reply_to = ReplyTo { conn: cx.conn, user: UserHash::NOBODY, id: 0 };
        CommandOut { reply_to, open_commands, out }
    }

    /// The id of the command.
    pub fn id(&self) -> u32 {
        self.reply_to.id
    }

    /// The hash of its user.
    pub fn user(&self) -> UserHash {
        self.reply_to.user
    }

    /// The output for another command of this peer.
    pub fn with_id(self, id: u32) -> CommandOut<'o> {
        CommandOut { reply_to: ReplyTo { id, ..self.reply_to }, ..self }
    }

    /// The output for a command without an answer.
    pub fn without_answer(&mut self) -> CommandOut<'_> {
        let reply_to = ReplyTo { id: 0, ..self.reply_to };
        CommandOut { reply_to, open_commands: self.open_commands, out: self.out }
    }

    /// Sends a request to a room for the command.
    pub fn send_request(&mut self, room: RoomId, op: RoomOp) {
        self.send_request_as(self.reply_to.id, room, op);
    }

    /// Sends a request to a room that no command waits for.
    pub fn send_request_unanswered(&mut self, room: RoomId, op: RoomOp) {
        self.send_request_as(0, room, op);
    }

    fn send_request_as(&mut self, id: u32, room: RoomId, op: RoomOp) {
        self.open_commands.on_asked(id);
        let reply_to = ReplyTo { id, ..self.reply_to };
        self.out.effect(Effect::SendRequest(RoomRequest { room, reply_to, op }));
    }

    /// Asks the application's backend for the command.
    pub fn ask_backend(&mut self, peer: &Peer, question: HookQuestion, then: HookThen) {
        self.open_commands.on_asked(self.reply_to.id);
        let asker = HookAsker {
            client: peer.info().client,
            encoding: self.out.encoding(),
            user: peer.info().user.clone(),
            tenant: peer.shared_tenant(),
            meta: peer.meta().cloned(),
            headers: peer.headers().cloned(),
        };
        let request = HookRequest { asker, question };
        let ask = HookAsk { user: self.reply_to.user, request, held_bytes: 0, then };
        self.out.effect(Effect::AskBackend(Box::new(ask)));
    }

    /// The backend has answered what the command asked it.
    pub fn answered(&mut self) {
        self.open_commands.on_answered(self.reply_to.id);
    }

    /// The room in which the last thing that the command asked the backend would publish.
    pub fn asked_publish(&self) -> Option<RoomId> {
        self.out.asked_publish()
    }

    /// Answers the command.
    pub fn answer(&mut self, answer: Answer<'_>) {
        self.out.answer(self.reply_to.id, answer);
    }

    /// Refuses the command, without counting it as a mistake of the client.
    pub fn refuse(&mut self, refusal: impl Into<CommandError>) {
        self.out.refuse(self.reply_to.id, refusal);
    }

    /// Sends a push to the client.
    pub fn push(&mut self, channel: &str, push: Push<'_>) {
        self.out.push(channel, push);
    }

    /// Adds an effect for the shard.
    pub fn effect(&mut self, effect: Effect) {
        self.out.effect(effect);
    }

    /// Ends the session.
    pub fn close(&mut self, fault: Fault) {
        self.out.close(fault);
    }

    /// What the client is sent, and what else is counted.
    pub fn outcome(&mut self) -> &mut SessionOutput {
        self.out
    }

    /// Measures a duration from `began` until now.
    pub fn observe(&mut self, cx: &Context<'_>, histogram: Histogram, since: MonotonicMs) {
        self.out.observe(histogram, since, cx.now.tick);
    }
}
