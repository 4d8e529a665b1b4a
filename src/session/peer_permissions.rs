//! Looks up the channel of a request, and checks what the peer may do there. It changes nothing.
//!
//! Deliberately absent: the rules of permissions (`rights`), and serving requests.

use std::sync::Arc;

use super::identity::Peer;
use super::names::{ChannelKind, resolve};
use super::position_seal::ReadAccess;
use super::rights::{MembershipStatus, Subject, TokenGrant, may};
use super::subscriptions::Subscriptions;
use super::{CommandError, Context};
use crate::auth::PermissionSet;
use crate::base::RoomId;
use crate::metrics::Agent;
use crate::room::{ChannelKey, Namespace, Permission, RetractRight};
use crate::wire::{ErrorCode, channel_is_valid};

/// The channel of a request.
pub(super) struct ChannelTarget<'c, 'r> {
    pub(super) room: RoomId,
    pub(super) channel: &'r str,
    pub(super) kind: ChannelKind<'r>,
    pub(super) rules: &'c Namespace,
    namespace: u16,
    tenant: Arc<str>,
}

/// The result of a request that needs no room: served, or refused.
pub(super) type CommandResult = Result<(), CommandError>;

impl ChannelTarget<'_, '_> {
    /// The index of its namespace.
    pub(super) fn namespace(&self) -> u16 {
        self.namespace
    }

    /// The name of the room.
    pub(super) fn channel_key(&self) -> ChannelKey {
        let tenant = Arc::clone(&self.tenant);
        ChannelKey { tenant, channel: Arc::from(self.channel), namespace: self.namespace }
    }
}

/// On whose word a peer's commands are served.
#[derive(Clone, Copy)]
enum CommandSource {
    /// Its own client's, with the rights of its tokens.
    Client,
    /// A backend's, by the server API, which may take back so much.
    Backend(RetractRight),
}

/// A connected peer, as far as decisions about rights need it.
#[derive(Clone, Copy)]
pub(super) struct PeerPermissions<'s> {
    peer: &'s Peer,
    subscriptions: &'s Subscriptions,
    agent: Agent,
    source: CommandSource,
}

impl<'s> PeerPermissions<'s> {
    /// The access of a peer, with what it is subscribed to.
    pub fn new(
        peer: &'s Peer,
        subscriptions: &'s Subscriptions,
        agent: Agent,
    ) -> PeerPermissions<'s> {
        PeerPermissions { peer, subscriptions, agent, source: CommandSource::Client }
    }

    /// The access of a backend that acts as this peer.
    pub fn of_backend(
        peer: &'s Peer,
        subscriptions: &'s Subscriptions,
        right: RetractRight,
    ) -> PeerPermissions<'s> {
        let source = CommandSource::Backend(right);
        PeerPermissions { peer, subscriptions, agent: Agent::Other, source }
    }

    /// Whether it is the peer's own client that asks.
    pub fn is_client(self) -> bool {
        match self.source {
            CommandSource::Client => true,
            CommandSource::Backend(_) => false,
        }
    }

    /// Who it is.
    pub fn peer(self) -> &'s Peer {
        self.peer
    }

    /// Its user agent.
    pub fn agent(self) -> Agent {
        self.agent
    }

    /// Its subscriptions.
    pub fn subscriptions(self) -> &'s Subscriptions {
        self.subscriptions
    }

    /// Looks up the channel of a request: its name must be valid, and its namespace must exist.
    pub fn target<'c, 'r>(
        self,
        cx: &Context<'c>,
        channel: &'r str,
    ) -> Result<ChannelTarget<'c, 'r>, ErrorCode> {
        if !channel_is_valid(channel) {
            return Err(ErrorCode::BadRequest);
        }
        let resolved = resolve(&cx.rooms.namespaces, channel);
        let (namespace, kind) = resolved.ok_or(ErrorCode::UnknownChannel)?;
        Ok(ChannelTarget {
            room: cx.names.room(self.peer.tenant(), channel),
            tenant: self.peer.shared_tenant(),
            channel,
            kind,
            namespace,
            rules: &cx.rooms.namespaces[usize::from(namespace)],
        })
    }

    /// Whether the namespace or a token allows this in the channel.
    pub fn check(
        self,
        cx: &Context<'_>,
        target: &ChannelTarget<'_, '_>,
        who: Permission,
        needed: PermissionSet,
    ) -> CommandResult {
        self.check_entered(target)?;
        let standing = self.standing(target.room);
        let grant = grant(self.allowance(target), needed);
        if self.may(cx, target, who, standing, grant) {
            Ok(())
        } else {
            Err(ErrorCode::PermissionDenied.into())
        }
    }

    /// The same where the backend is asked: its yes grants it, as a token does.
    pub fn check_granted(
        self,
        cx: &Context<'_>,
        target: &ChannelTarget<'_, '_>,
        who: Permission,
    ) -> CommandResult {
        self.check_entered(target)?;
        let standing = self.standing(target.room);
        if self.may(cx, target, who, standing, TokenGrant::Given) {
            Ok(())
        } else {
            Err(ErrorCode::PermissionDenied.into())
        }
    }

    /// A group is for those who are in it, and in it are members alone, whatever a token says. What
    /// a backend does as a user its home judges.
    fn check_entered(self, target: &ChannelTarget<'_, '_>) -> CommandResult {
        let is_in = self.standing(target.room) == MembershipStatus::Subscribed;
        if !target.rules.is_group() || is_in || !self.is_client() {
            Ok(())
        } else {
            Err(ErrorCode::PermissionDenied.into())
        }
    }

    /// Whether the peer may begin a group: the namespace or a token lets it in.
    pub fn may_begin_group(self, cx: &Context<'_>, target: &ChannelTarget<'_, '_>) -> bool {
        let granted = grant(self.peer.capability(target.channel), PermissionSet::SUBSCRIBE);
        self.may(cx, target, target.rules.subscribe, MembershipStatus::Outside, granted)
    }

    /// Whether the peer may read the history of the channel, and there is one.
    pub fn check_reading(self, cx: &Context<'_>, target: &ChannelTarget<'_, '_>) -> CommandResult {
        if !target.rules.keeps_history() {
            return Err(ErrorCode::NotAvailable.into());
        }
        match self.standing(target.room) {
            MembershipStatus::Subscribed => Ok(()),
            MembershipStatus::Outside => {
                self.check(cx, target, target.rules.see_history, PermissionSet::HISTORY)
            }
        }
    }

    /// Whether the peer may come into the channel, with the rights of its subscription token. A
    /// list in the channel's name grants it to those who stand there.
    pub fn may_subscribe(
        self,
        cx: &Context<'_>,
        target: &ChannelTarget<'_, '_>,
        by_sub: PermissionSet,
    ) -> bool {
        let granted = match target.kind {
            ChannelKind::Listed(_) => TokenGrant::Given,
            // Its home knows the members.
            ChannelKind::Open if target.rules.is_group() => TokenGrant::Given,
            ChannelKind::Open | ChannelKind::Inbox(_) | ChannelKind::Conversation(_) => {
                let by_token = by_sub | self.peer.capability(target.channel);
                grant(by_token, PermissionSet::SUBSCRIBE)
            }
        };
        self.may(cx, target, target.rules.subscribe, MembershipStatus::Outside, granted)
    }

    /// Permissions in this channel. A personal channel, a conversation or one that lists its users
    /// is for these only, whatever the namespace, a token or the insecure mode says; and its users
    /// may do everything in a conversation.
    pub fn may(
        self,
        cx: &Context<'_>,
        target: &ChannelTarget<'_, '_>,
        who: Permission,
        standing: MembershipStatus,
        grant: TokenGrant,
    ) -> bool {
        let subject = Subject { identity: self.peer.identity(), standing, grant };
        match self.source {
            CommandSource::Client => peer_may(cx, self.peer, target.kind, who, subject),
            // What a namespace lets users do is about what they do by themselves.
            CommandSource::Backend(_) => target.kind.admits(&self.peer.info().user),
        }
    }

    /// The permissions that tokens grant in the channel.
    fn allowance(self, target: &ChannelTarget<'_, '_>) -> PermissionSet {
        self.subscriptions.allow(target.room) | self.peer.capability(target.channel)
    }

    /// Whether the peer is in the room.
    pub fn standing(self, room: RoomId) -> MembershipStatus {
        self.subscriptions.standing(room)
    }

    /// For a room that may not be in memory; a room with members is.
    pub fn channel_key_if_needed(self, target: &ChannelTarget<'_, '_>) -> Option<ChannelKey> {
        match self.standing(target.room) {
            MembershipStatus::Subscribed => None,
            MembershipStatus::Outside => Some(target.channel_key()),
        }
    }

    /// A peer is a moderator by its token, or because a backend says so, in channels that it may use
    /// at all.
    pub fn right(self, cx: &Context<'_>, target: &ChannelTarget<'_, '_>) -> RetractRight {
        let wanted = match self.source {
            CommandSource::Client => {
                let moderates = grant(self.allowance(target), PermissionSet::MODERATE);
                if moderates == TokenGrant::Given || cx.options.insecure {
                    RetractRight::Moderator
                } else {
                    RetractRight::Author
                }
            }
            CommandSource::Backend(right) => right,
        };
        if target.kind.admits(&self.peer.info().user) { wanted } else { RetractRight::Author }
    }

    /// The personal channel of a user in the peer's tenant.
    pub fn inbox(self, cx: &Context<'_>, user: &str) -> RoomId {
        cx.names.inbox(self.peer.tenant(), user)
    }
}

/// Permissions of a peer in a channel of this kind.
pub(super) fn peer_may(
    cx: &Context<'_>,
    peer: &Peer,
    kind: ChannelKind<'_>,
    who: Permission,
    subject: Subject,
) -> bool {
    let admitted = kind.admits(&peer.info().user);
    match kind {
        ChannelKind::Conversation(_) => admitted,
        ChannelKind::Inbox(_) | ChannelKind::Open | ChannelKind::Listed(_) => {
            admitted && (cx.options.insecure || may(who, subject))
        }
    }
}

/// Whether a subscriber may read the history of the channel.
pub(super) fn reader(
    cx: &Context<'_>,
    peer: &Peer,
    channel: &str,
    rules: &Namespace,
    by_sub: PermissionSet,
) -> ReadAccess {
    let Some((_, kind)) = resolve(&cx.rooms.namespaces, channel) else {
        return ReadAccess::OfItsOwn;
    };
    let grant = grant(by_sub | peer.capability(channel), PermissionSet::HISTORY);
    let standing = MembershipStatus::Subscribed;
    let subject = Subject { identity: peer.identity(), standing, grant };
    if peer_may(cx, peer, kind, rules.see_history, subject) {
        ReadAccess::OfAll
    } else {
        ReadAccess::OfItsOwn
    }
}

pub(super) fn grant(allow: PermissionSet, needed: PermissionSet) -> TokenGrant {
    if allow.contains(needed) { TokenGrant::Given } else { TokenGrant::Silent }
}
