//! What backends ask of the rooms of this shard, by the server API, and the answers that wait
//! for the control thread.
//!
//! Invariant: each question is answered once.
//!
//! Deliberately absent: who may ask (`api`), and how many may be under way: the control
//! thread bounds them.

use crate::base::{ConnId, RoomId, UserHash};
use crate::room::{ReplyTo, RoomEvent, RoomOp, RoomReply};
use crate::session::ServerPublish;

/// A question of a backend to a room.
#[derive(Clone, Debug)]
pub struct ServerQuestion {
    /// By it the answer is known; never 0.
    pub id: u32,
    /// Who asks: what shares its part of the store's time.
    pub asker: UserHash,
    /// The room.
    pub room: RoomId,
    /// What it is asked.
    pub op: ServerOp,
}

/// What a backend asks of a room.
#[derive(Clone, Debug)]
pub enum ServerOp {
    /// Publish a message.
    Publish(Box<ServerPublish>),
    /// Anything else.
    Room(RoomOp),
}

/// The answer to a question of a backend.
#[derive(Clone, Debug)]
pub struct ServerAnswer {
    /// The question's.
    pub id: u32,
    /// What the room says.
    pub reply: RoomReply,
}

/// Answers that wait for the control thread.
#[derive(Debug, Default)]
pub struct ServerAnswers(Vec<ServerAnswer>);

impl ServerAnswers {
    /// Where a room's answer goes.
    pub fn reply_to(question: &ServerQuestion) -> ReplyTo {
        assert_ne!(question.id, 0, "that would be nobody's question");
        ReplyTo { conn: ConnId::NOBODY, user: question.asker, id: question.id }
    }

    /// Keeps an answer that is a backend's, and gives back everything else.
    pub fn keep(&mut self, event: RoomEvent) -> Option<RoomEvent> {
        let RoomEvent::Reply(room, reply_to, reply) = event else { return Some(event) };
        if reply_to.conn != ConnId::NOBODY || reply_to.id == 0 {
            return Some(RoomEvent::Reply(room, reply_to, reply));
        }
        self.0.push(ServerAnswer { id: reply_to.id, reply });
        None
    }

    /// Takes those that have come.
    pub fn take(&mut self) -> Vec<ServerAnswer> {
        std::mem::take(&mut self.0)
    }
}
