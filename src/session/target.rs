//! The channel that a request names, and what the peer may do there.

use std::sync::Arc;

use super::identity::Peer;
use super::names::{Kind, namespace_of};
use super::position_seal::Reader;
use super::rights::{Grant, Standing, Subject, may};
use super::state::{Context, State};
use super::subs::{Stage, Sub};
use super::{Refusal, Session};
use crate::auth::Allow;
use crate::base::RoomId;
use crate::room::{Namespace, Title, Who};
use crate::wire::{ErrorCode, channel_is_valid};

/// A channel that a request names, looked up.
pub(super) struct Target<'c, 'r> {
    pub(super) room: RoomId,
    pub(super) channel: &'r str,
    pub(super) kind: Kind<'r>,
    pub(super) rules: &'c Namespace,
    namespace: u16,
    tenant: Arc<str>,
}

/// Served, or refused at once.
pub(super) type Done = Result<(), Refusal>;

impl Target<'_, '_> {
    /// The room's name, to be kept.
    pub(super) fn title(&self) -> Title {
        let tenant = Arc::clone(&self.tenant);
        Title { tenant, channel: Arc::from(self.channel), namespace: self.namespace }
    }
}

impl Session {
    /// The channel of a request: a name that is allowed, in a namespace that exists.
    pub(super) fn target<'c, 'r>(
        &self,
        cx: &Context<'c>,
        channel: &'r str,
    ) -> Result<Target<'c, 'r>, ErrorCode> {
        if !channel_is_valid(channel) {
            return Err(ErrorCode::BadRequest);
        }
        let kind = Kind::of(channel).ok_or(ErrorCode::UnknownChannel)?;
        let namespace = namespace_of(&cx.rooms.namespaces, channel);
        let namespace = namespace.ok_or(ErrorCode::UnknownChannel)?;
        let peer = self.peer()?;
        Ok(Target {
            room: cx.names.room(peer.tenant(), channel),
            tenant: peer.shared_tenant(),
            channel,
            kind,
            namespace,
            rules: &cx.rooms.namespaces[usize::from(namespace)],
        })
    }

    /// Whether the namespace or a token allows this in the channel.
    pub(super) fn check(
        &self,
        cx: &Context<'_>,
        target: &Target<'_, '_>,
        who: Who,
        needed: Allow,
    ) -> Done {
        let standing = self.standing(target.room);
        let grant = grant(self.allowance(target)?, needed);
        if self.may(cx, target, who, standing, grant) {
            Ok(())
        } else {
            Err(ErrorCode::PermissionDenied.into())
        }
    }

    /// Whether the peer may know what was said in the channel, and there is
    /// anything to know.
    pub(super) fn check_reading(&self, cx: &Context<'_>, target: &Target<'_, '_>) -> Done {
        if !target.rules.keeps_history() {
            return Err(ErrorCode::NotAvailable.into());
        }
        match self.standing(target.room) {
            Standing::Subscribed => Ok(()),
            Standing::Outside => self.check(cx, target, target.rules.see_history, Allow::HISTORY),
        }
    }

    /// Rights in this channel. What is one user's, or two users', is nobody
    /// else's, whatever the namespace, a token or the operator's word on trying
    /// out says; and a conversation is wholly theirs.
    pub(super) fn may(
        &self,
        cx: &Context<'_>,
        target: &Target<'_, '_>,
        who: Who,
        standing: Standing,
        grant: Grant,
    ) -> bool {
        let Ok(peer) = self.peer() else { return false };
        let subject = Subject { identity: peer.identity(), standing, grant };
        peer_may(cx, peer, target.kind, who, subject)
    }

    /// What tokens say about the channel.
    pub(super) fn allowance(&self, target: &Target<'_, '_>) -> Result<Allow, ErrorCode> {
        let by_sub = self.subs.at(target.room).map_or(Allow::NONE, Sub::allow);
        Ok(by_sub | self.peer()?.capability(target.channel))
    }

    pub(super) fn standing(&self, room: RoomId) -> Standing {
        match self.subs.at(room).map(|sub| &sub.stage) {
            Some(Stage::Seated(..)) => Standing::Subscribed,
            Some(Stage::Asked(_)) | None => Standing::Outside,
        }
    }

    /// For a room that may not be in memory; one with a member is.
    pub(super) fn title_if_needed(&self, target: &Target<'_, '_>) -> Option<Title> {
        match self.standing(target.room) {
            Standing::Subscribed => None,
            Standing::Outside => Some(target.title()),
        }
    }

    /// Only a connected peer has requests.
    pub(super) fn peer(&self) -> Result<&Peer, ErrorCode> {
        match &self.state {
            State::Ready(peer) => Ok(peer),
            State::Greeting { .. } | State::Connecting(_) | State::Closed => {
                Err(ErrorCode::Unauthorized)
            }
        }
    }

    pub(super) fn peer_mut(&mut self) -> Result<&mut Peer, ErrorCode> {
        match &mut self.state {
            State::Ready(peer) => Ok(peer),
            State::Greeting { .. } | State::Connecting(_) | State::Closed => {
                Err(ErrorCode::Unauthorized)
            }
        }
    }
}

/// Rights of a peer in a channel of this kind.
pub(super) fn peer_may(
    cx: &Context<'_>,
    peer: &Peer,
    kind: Kind<'_>,
    who: Who,
    subject: Subject,
) -> bool {
    let admitted = kind.admits(&peer.info.user);
    match kind {
        Kind::Conversation(_) => admitted,
        Kind::Inbox(_) | Kind::Open => admitted && (cx.options.insecure || may(who, subject)),
    }
}

/// Whether a peer that is in a channel may read what was said there before.
pub(super) fn reader(
    cx: &Context<'_>,
    peer: &Peer,
    channel: &str,
    rules: &Namespace,
    by_sub: Allow,
) -> Reader {
    let Some(kind) = Kind::of(channel) else { return Reader::OfItsOwn };
    let grant = grant(by_sub | peer.capability(channel), Allow::HISTORY);
    let standing = Standing::Subscribed;
    let subject = Subject { identity: peer.identity(), standing, grant };
    if peer_may(cx, peer, kind, rules.see_history, subject) {
        Reader::OfAll
    } else {
        Reader::OfItsOwn
    }
}

pub(super) fn grant(allow: Allow, needed: Allow) -> Grant {
    if allow.contains(needed) { Grant::Given } else { Grant::Silent }
}
