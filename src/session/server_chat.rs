//! What a backend does and reads as a user, by the server API: a chat method without a connection.
//! A history of several channels is a question for each.
//!
//! The functions that serve clients serve it, for a peer that is there for this call alone: of this
//! user, with no token and in no channel. So what a chat method means is decided in one place.
//!
//! Deliberately absent: who may call (`api`), and the answer, which is the room's (`answers`).

use super::command_out::CommandOut;
use super::identity::{Peer, StartTime24};
use super::open_commands::OpenCommandCount;
use super::peer_permissions::PeerPermissions;
use super::presence::history_page;
use super::subscriptions::Subscriptions;
use super::{CommandError, Context, Effect, SessionOutput, chat_commands};
use crate::base::{ClientId, RoomId};
use crate::room::{HistoryQuery, RetractRight, RoomOp, RoomRequest};
use crate::wire::chat::Method;
use crate::wire::{ClientInfo, Encoding};

/// The id of the only command; any that is answered.
const COMMAND_ID: u32 = 1;

/// A chat method that a backend calls as a user: one that one room answers.
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

/// What was said in a channel, which a backend reads as a user.
#[derive(Clone, Debug)]
pub struct ServerHistory {
    /// The tenant that the user is of; empty for the only one.
    pub tenant: Box<str>,
    /// The user.
    pub user: Box<str>,
    /// The channel.
    pub channel: Box<str>,
    /// The part of it.
    pub query: HistoryQuery,
}

/// What rooms are asked.
#[derive(Clone, Debug)]
pub struct AskedRooms {
    /// The room that answers.
    pub room: RoomId,
    /// What it is asked.
    pub op: RoomOp,
    /// What another one is told, which nobody waits for.
    pub told: Option<RoomRequest>,
}

impl ServerHistory {
    /// The room that is asked for it, and what.
    pub fn asked_rooms(&self, cx: &Context<'_>) -> Result<AskedRooms, CommandError> {
        let (peer, subscriptions) = (peer(&self.tenant, &self.user, cx), Subscriptions::default());
        let permissions = PeerPermissions::of_backend(&peer, &subscriptions, RetractRight::Author);
        let reader = cx.names.user_hash(&self.tenant, &self.user);
        let (room, page) = history_page(cx, permissions, &self.channel, self.query, reader)?;
        Ok(AskedRooms { room, op: RoomOp::History(Box::new(page)), told: None })
    }
}

/// A peer of this user, whose client is that of no connection.
fn peer(tenant: &str, user: &str, cx: &Context<'_>) -> Peer {
    let info = ClientInfo { user: user.into(), client: ClientId(0), conn_info: None };
    Peer::new(info, None, tenant.into(), None, Vec::new(), StartTime24::new(cx.now.tick))
}

impl ServerChat {
    /// The rooms that are asked for it, and what.
    pub fn asked_rooms(&self, cx: &mut Context<'_>) -> Result<AskedRooms, CommandError> {
        let request = self.method.read(&self.data)?;
        let peer = peer(&self.tenant, &self.user, cx);
        let (subscriptions, mut open_commands) =
            (Subscriptions::default(), OpenCommandCount::default());
        let mut out = SessionOutput::new(Encoding::Json);
        let permissions = PeerPermissions::of_backend(&peer, &subscriptions, self.right);
        let mut reply = CommandOut::new(cx, &peer, COMMAND_ID, &mut open_commands, &mut out);
        chat_commands::serve_verb(cx, permissions, &request, &mut reply)?;
        Ok(asked_rooms(out.take_effects()))
    }
}

/// The room that is asked, and one that is told. When a message was acknowledged is measured for
/// connections alone.
fn asked_rooms(effects: Vec<Effect>) -> AskedRooms {
    let mut asked = effects.into_iter().filter_map(|effect| match effect {
        Effect::SendRequest(request) => Some(request),
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
    let RoomRequest { room, op, .. } = asked.next().expect("what is served asks a room");
    let told = asked.next();
    assert!(told.as_ref().is_none_or(|told| told.reply_to.id == 0), "one room answers");
    assert!(asked.next().is_none(), "another one is told at most");
    AskedRooms { room, op, told }
}
