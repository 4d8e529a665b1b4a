//! What the server changes of a connected peer by itself: subscriptions that a fresh token does
//! not allow any more or whose own are revoked, and what a backend says by the server API.
//!
//! Deliberately absent: who may say so (`api`), and connections that are closed (the shard).

use std::sync::Arc;

use super::command_out::CommandOut;
use super::identity::ChannelExtra;
use super::refresh;
use super::subscribing::Membership;
use super::subscriptions::{Removal, SubscribeTerms, SubscriptionSide};
use super::{Context, Fault};
use crate::base::RoomId;
use crate::blocks::TokenStamp;
use crate::room::{ChannelKey, RoomOp, RoomSubscribe, Unrecovered};
use crate::wire::{ErrorCode, Payload};

/// A change that the server makes.
#[derive(Clone, Copy, Debug)]
pub enum ServerAct<'a> {
    /// Subscriptions end that tokens do not allow any more.
    Review {
        /// The channels of the session with their names.
        active: &'a [(RoomId, Arc<str>)],
        /// Those that the server subscribes to.
        wanted: &'a [RoomId],
    },
    /// A backend subscribes the peer.
    Subscribe {
        /// The room.
        room: RoomId,
        /// Its name.
        channel_key: &'a ChannelKey,
        /// What others there are told of the peer.
        chan_info: Option<&'a Arc<Payload>>,
    },
    /// A backend unsubscribes the peer.
    Unsubscribe {
        /// The room.
        room: RoomId,
        /// Its name.
        channel: &'a str,
    },
    /// Subscriptions end whose tokens are revoked.
    EndRevoked,
    /// The connection is as if its token ended then, Unix seconds.
    ExpireAt(u64),
}

/// Makes a change. Fails where the peer is in as many channels as it may be.
pub(super) fn act(
    membership: &mut Membership<'_>,
    cx: &Context<'_>,
    act: ServerAct<'_>,
    reply: &mut CommandOut<'_>,
) -> Result<(), ErrorCode> {
    match act {
        ServerAct::Review { active, wanted } => {
            refresh::review(membership, cx, active, wanted, reply);
        }
        ServerAct::Subscribe { room, channel_key, chan_info } => {
            return subscribe(membership, cx, (room, channel_key), chan_info, reply);
        }
        ServerAct::Unsubscribe { room, channel } => {
            membership.end(room, channel, Removal::ByBackend, reply);
        }
        ServerAct::EndRevoked => membership.end_revoked(cx, reply),
        ServerAct::ExpireAt(end_unix_s) if end_unix_s <= cx.now.unix_s() => {
            reply.close(Fault::Expired);
        }
        ServerAct::ExpireAt(end_unix_s) => membership.peer_mut().set_expiry(Some(end_unix_s)),
    }
    Ok(())
}

/// Subscribes the peer, unless it is subscribed, or will be.
fn subscribe(
    membership: &mut Membership<'_>,
    cx: &Context<'_>,
    (room, channel_key): (RoomId, &ChannelKey),
    chan_info: Option<&Arc<Payload>>,
    reply: &mut CommandOut<'_>,
) -> Result<(), ErrorCode> {
    let (peer, subscriptions) = membership.parts_mut();
    if subscriptions.contains(room) {
        return Ok(());
    }
    if cx.options.channels_max as usize <= subscriptions.len() {
        return Err(ErrorCode::LimitExceeded);
    }
    if let Some(info) = chan_info {
        let chan_info = Some(Arc::clone(info));
        let channel = Box::from(&*channel_key.channel);
        let token = TokenStamp::NO_TOKEN;
        peer.remember(room, ChannelExtra { channel, chan_info, expires_unix_s: None, token });
    }
    let (backend, terms) = (SubscriptionSide::Backend, SubscribeTerms::default());
    subscriptions.begin_subscribe_by(backend, room, channel_key.clone(), terms);
    // What the client says about the channel waits until it is in.
    peer.backlogs_mut().open(room);
    let subscribe = RoomSubscribe {
        channel_key: channel_key.clone(),
        info: Arc::clone(peer.info()),
        chan_info: chan_info.cloned(),
        since: None,
        unrecovered: Unrecovered::Admitted,
    };
    reply.send_request_unanswered(room, RoomOp::Subscribe(Box::new(subscribe)));
    Ok(())
}
