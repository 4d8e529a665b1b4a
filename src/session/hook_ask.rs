//! What a session asks an application's backend, and what it does with the answer.
//!
//! Deliberately absent: how the backend is asked (the control thread), and what answers mean
//! (`hook_replies`).

use crate::base::{RoomId, UserHash};
use crate::hook::HookRequest;
use crate::room::RoomOp;
use crate::wire::ErrorCode;

/// A question for a backend. It is answered once.
#[derive(Debug)]
pub struct HookAsk {
    /// Whose it is, for limits by user.
    pub user: UserHash,
    /// What is asked.
    pub request: HookRequest,
    /// Bytes that wait for the answer beside it.
    pub held_bytes: usize,
    /// What comes back with the answer.
    pub then: HookThen,
}

/// What the answer of a backend is for.
#[derive(Debug)]
pub enum HookThen {
    /// It says who the client is.
    Connect,
    /// It says whether the connection may stay.
    Refresh,
    /// It says whether the peer may stay in this room.
    SubRefresh(RoomId),
    /// It says whether the peer may come into this room.
    Subscribe(RoomId),
    /// It says whether and what is published by a command.
    Publish(Box<AskedPublish>),
    /// It is the answer to this command of the client.
    Answer {
        /// The command's.
        id: u32,
    },
}

/// A message that waits for what the backend says of it.
#[derive(Debug)]
pub struct AskedPublish {
    /// The command's id; 0 where nobody is answered.
    pub id: u32,
    /// The room.
    pub room: RoomId,
    /// Its namespace.
    pub namespace: u16,
    /// The request to the room.
    pub op: RoomOp,
    /// What holds where the backend does not answer and may not: the rights of the peer.
    pub otherwise: Result<(), ErrorCode>,
}
