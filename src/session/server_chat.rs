//! What a backend does and reads as a user, by the server API: a chat method without a connection.
//!
//! The functions that serve clients serve it, for a peer that is there for this call alone: of this
//! user, with no token and in no channel. So what a chat method means is decided in one place.
//!
//! Deliberately absent: who may call (`api`), and the answer, which is the room's (`answers`).

use super::command_out::CommandOut;
use super::identity::{Peer, StartTime24};
use super::open_commands::OpenCommandCount;
use super::peer_permissions::PeerPermissions;
use super::subscriptions::Subscriptions;
use super::{CommandError, Context, Effect, SessionOutput, chat_commands};
use crate::base::{ClientId, RoomId};
use crate::room::{RetractRight, RoomOp};
use crate::wire::chat::Method;
use crate::wire::{ClientInfo, Encoding};

/// The id of the only command; any that is answered.
const COMMAND_ID: u32 = 1;

/// A chat method that a backend calls as a user: one that asks one room.
#[derive(Clone, Debug)]
pub struct ServerChat {
    /// The tenant that the user is of; empty for the only one.
    pub tenant: Box<str>,
    /// The user.
    pub user: Box<str>,
    /// What is called.
    pub method: Method,
    /// Its data.
    pub data: Box<[u8]>,
    /// What may be taken back.
    pub right: RetractRight,
}

impl ServerChat {
    /// The room that is asked for it, and what.
    pub fn room_op(&self, cx: &mut Context<'_>) -> Result<(RoomId, RoomOp), CommandError> {
        let request = self.method.read(&self.data)?;
        // No connection has this id.
        let info = ClientInfo { user: self.user.clone(), client: ClientId(0), conn_info: None };
        let started_at = StartTime24::new(cx.now.tick);
        let peer = Peer::new(info, None, self.tenant.clone(), None, Vec::new(), started_at);
        let (subscriptions, mut open_commands) =
            (Subscriptions::default(), OpenCommandCount::default());
        let mut out = SessionOutput::new(Encoding::Json);
        let permissions = PeerPermissions::of_backend(&peer, &subscriptions, self.right);
        let mut reply = CommandOut::new(cx, &peer, COMMAND_ID, &mut open_commands, &mut out);
        chat_commands::serve_verb(cx, permissions, &request, &mut reply)?;
        Ok(asked_room(out.take_effects()))
    }
}

/// The one room that is asked. When a message was acknowledged is measured for connections alone.
fn asked_room(effects: Vec<Effect>) -> (RoomId, RoomOp) {
    let mut asked = effects.into_iter().filter_map(|effect| match effect {
        Effect::SendRequest(request) => Some((request.room, request.op)),
        Effect::Acknowledged { .. } => None,
        Effect::AddSubscriber { .. }
        | Effect::RemoveSubscriber(..)
        | Effect::Connected
        | Effect::Release
        | Effect::Resume(_)
        | Effect::Review(_)
        | Effect::Ping
        | Effect::Suspect(_)
        | Effect::AskBackend(_)
        | Effect::Disconnect(_)
        | Effect::Close(_) => unreachable!("there is no connection that this could change"),
    });
    let first = asked.next().expect("what is served asks a room");
    assert!(asked.next().is_none(), "one room answers");
    first
}
