//! What this shard says of its connections to the presence feed, until it is carried there.
//!
//! Invariants: facts are in the order in which things happened; they have a bound, and what has no
//! room is lost: then all that is there is said again (`presence_pass`).
//!
//! Deliberately absent: which connections are told of (`sessions`), and what a fact leads to
//! (`presence_feed`).

use std::sync::Arc;

use super::connections::Connections;
use super::fanout::Fanout;
use super::options::{Options, PresenceListener};
use crate::base::limits::PRESENCE_FACTS_MAX;
use crate::base::{ConnId, ShardId};
use crate::presence_feed::{
    AwayFor, GoneReason, GroupMessages, Leaving, PeerConn, PresenceFact, UserKey, WaitingMessage,
};
use crate::room::{LeaveReason, UnmetInGroup, UnmetMessage};
use crate::session::{Fault, PeerIdentity, Session, namespace_of, resolve};
use crate::wire::Publication;

/// See the module.
pub struct PresenceFacts {
    shard: ShardId,
    options: Arc<Options>,
    facts: Vec<PresenceFact>,
    loss: FactLoss,
}

/// Whether facts had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FactLoss {
    /// All are here, or were carried.
    None,
    /// Some are gone.
    Some,
}

impl PresenceFacts {
    /// Nothing has happened.
    pub fn new(shard: ShardId, options: Arc<Options>) -> PresenceFacts {
        PresenceFacts { shard, options, facts: Vec::new(), loss: FactLoss::None }
    }

    fn has_listener(&self) -> bool {
        match self.options.presence {
            PresenceListener::Feed => true,
            PresenceListener::Nobody => false,
        }
    }

    /// Whether anybody is told who is in this channel.
    fn tells_of(&self, channel: &str) -> bool {
        let namespaces = &self.options.room.namespaces;
        let index = self.has_listener().then(|| namespace_of(namespaces, channel)).flatten();
        index.is_some_and(|index| namespaces[usize::from(index)].presence_feed)
    }

    fn push(&mut self, fact: PresenceFact) {
        if self.facts.len() < PRESENCE_FACTS_MAX {
            self.facts.push(fact);
        } else {
            self.loss = FactLoss::Some;
        }
    }

    fn of(&self, conn: ConnId, who: &PeerIdentity<'_>) -> (UserKey, PeerConn) {
        let conn = PeerConn { shard: self.shard, conn };
        (UserKey::new(Arc::from(who.tenant), Arc::from(who.user), conn), conn)
    }

    /// A connection is there. Who has no name is told of by channels alone.
    pub fn connected(&mut self, conn: ConnId, who: &PeerIdentity<'_>) {
        if self.has_listener() && !who.user.is_empty() {
            let (user, conn) = self.of(conn, who);
            self.push(PresenceFact::Connected { user, conn });
        }
    }

    /// A connection is gone.
    pub fn gone(&mut self, conn: ConnId, who: &PeerIdentity<'_>, fault: Fault, reason: &str) {
        if !self.has_listener() {
            return;
        }
        let (user, conn) = self.of(conn, who);
        let reason = GoneReason { code: fault.close_code(), reason: reason.to_owned().into() };
        let away_for = match fault {
            Fault::Shutdown { .. } => AwayFor::Restart,
            Fault::Frame(_)
            | Fault::WrongOpcode
            | Fault::BadRequest
            | Fault::InvalidToken
            | Fault::Refused(_)
            | Fault::Stale
            | Fault::Expired
            | Fault::Slow
            | Fault::InsufficientState
            | Fault::NoPong
            | Fault::Replaced
            | Fault::ByBackend(_)
            | Fault::Blocked(_)
            | Fault::Quarantined
            | Fault::TooManyRequests
            | Fault::PartialMessages
            | Fault::TooManyErrors
            | Fault::PeerClosed(_)
            | Fault::PeerEnded
            | Fault::Broken
            | Fault::PeerGone
            | Fault::Panicked => AwayFor::Reload,
        };
        self.push(PresenceFact::Gone { user, conn, reason, away_for });
    }

    /// A connection is in a channel.
    pub fn entered(&mut self, conn: ConnId, who: &PeerIdentity<'_>, channel: &Arc<str>) {
        if self.tells_of(channel) {
            let (user, conn) = self.of(conn, who);
            self.push(PresenceFact::Entered { user, conn, channel: Arc::clone(channel) });
        }
    }

    /// A connection is in it no more.
    pub fn left(
        &mut self,
        conn: ConnId,
        who: &PeerIdentity<'_>,
        (channel, reason): (&Arc<str>, LeaveReason),
    ) {
        if self.tells_of(channel) {
            let leaving = match reason {
                LeaveReason::Unsubscribed => Leaving::ForGood,
                LeaveReason::Disconnected => Leaving::ForNow,
            };
            let ((user, conn), channel) = (self.of(conn, who), Arc::clone(channel));
            self.push(PresenceFact::Left { user, conn, channel, leaving });
        }
    }

    /// A message found nobody, or perhaps not all.
    pub fn message_waits(&mut self, unmet: UnmetMessage) {
        match unmet {
            UnmetMessage::Direct { tenant, channel, publication } => {
                self.direct_message_waits(tenant, channel, &publication);
            }
            UnmetMessage::InGroup(unmet) => {
                let UnmetInGroup { tenant, channel, from, offset, count, members } = unmet;
                let said = GroupMessages { tenant, channel, from, offset, count, members };
                // Where much waits to be carried, who is here comes first: of what has no room
                // nothing is said anew.
                if self.has_listener() && self.facts.len() < PRESENCE_FACTS_MAX / 2 {
                    self.push(PresenceFact::SaidInGroup(said));
                }
            }
        }
    }

    fn direct_message_waits(
        &mut self,
        tenant: Arc<str>,
        channel: Arc<str>,
        publication: &Publication,
    ) {
        let namespaces = &self.options.room.namespaces;
        let kind = self.has_listener().then(|| resolve(namespaces, &channel)).flatten();
        let author = publication.info.as_ref().map(|info| &*info.user);
        if let (Some((_, kind)), Some(author)) = (kind, author)
            && let Some(reader) = kind.other_than(author)
        {
            let user = Arc::from(reader);
            let message = WaitingMessage {
                user: UserKey { tenant, user, unnamed: None },
                from: Arc::from(author),
                channel: Arc::clone(&channel),
                offset: publication.offset,
                count: 1,
            };
            self.push(PresenceFact::MessageWaits(message));
        }
    }

    /// All that is there is said from now on, if something was lost and there is room. Whether it
    /// is.
    pub fn begin_pass(&mut self) -> bool {
        if self.loss == FactLoss::None || !self.facts.is_empty() {
            return false;
        }
        self.loss = FactLoss::None;
        self.push(PresenceFact::PassBegan(self.shard));
        true
    }

    /// The feed wants to hear all that is there.
    pub fn want_pass(&mut self) {
        self.loss = FactLoss::Some;
    }

    /// Whether the pass that goes on is for nothing: facts were lost in it.
    pub fn has_lost(&self) -> bool {
        self.loss == FactLoss::Some
    }

    /// Whether more of a pass has room: what was said before was carried.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// All that is there was said.
    pub fn end_pass(&mut self) {
        self.push(PresenceFact::PassEnded(self.shard));
    }

    /// What is to be carried, the oldest first. Whoever carries takes from the front.
    pub fn waiting(&mut self) -> &mut Vec<PresenceFact> {
        &mut self.facts
    }
}

/// Who a connected session is.
pub fn who_is(session: &Session) -> Option<PeerIdentity<'_>> {
    session.who().filter(|_| !session.is_connecting())
}

/// Says of a connection that it is there, and in which channels.
pub fn say_present(
    connections: &Connections,
    fanout: &Fanout,
    id: ConnId,
    facts: &mut PresenceFacts,
) {
    let Some(session) = connections.session(id) else { return };
    let Some(who) = who_is(session) else { return };
    facts.connected(id, &who);
    for (_, place) in session.subscriber_slots() {
        if let Some(channel) = fanout.channels().at(place.channel) {
            facts.entered(id, &who, &channel.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ClientId;
    use crate::blocks::TokenStamp;
    use crate::metrics::Agent;
    use crate::room::{self, Namespace};

    const CONN: ConnId = ConnId { slot: 3, generation: 7 };

    fn ann() -> PeerIdentity<'static> {
        let (client, token) = (ClientId::from_random(1), TokenStamp::NO_TOKEN);
        let (agent, channel_extras_count) = (Agent::None, 0);
        PeerIdentity { tenant: "", user: "ann", client, agent, token, channel_extras_count }
    }

    fn facts(presence: PresenceListener) -> PresenceFacts {
        let told = Namespace { presence_feed: true, ..Namespace::default() };
        let untold = Namespace { name: "quiet".to_owned(), ..Namespace::default() };
        let room = room::Options { namespaces: vec![told, untold], ..room::Options::default() };
        let options = Options { presence, room, ..Options::default() };
        PresenceFacts::new(ShardId(2), Arc::new(options))
    }

    #[test]
    fn nothing_is_kept_for_nobody() {
        let mut facts = facts(PresenceListener::Nobody);
        facts.connected(CONN, &ann());
        facts.entered(CONN, &ann(), &"room".into());
        facts.left(CONN, &ann(), (&"room".into(), LeaveReason::Disconnected));
        facts.gone(CONN, &ann(), Fault::NoPong, "no pong");
        assert!(facts.waiting().is_empty() && !facts.begin_pass());
    }

    #[test]
    fn what_has_no_room_is_lost_and_a_pass_begins_when_there_is_some() {
        let mut facts = facts(PresenceListener::Feed);
        (0..PRESENCE_FACTS_MAX).for_each(|_| facts.connected(CONN, &ann()));
        assert!(!facts.has_lost());
        facts.gone(CONN, &ann(), Fault::NoPong, "no pong");
        assert!(facts.has_lost() && !facts.begin_pass(), "there is no room");
        facts.waiting().clear();
        assert!(facts.begin_pass() && !facts.has_lost());
        assert!(!facts.begin_pass());
        facts.end_pass();
        let said: Vec<PresenceFact> = facts.waiting().drain(..).collect();
        assert!(matches!(
            said[..],
            [PresenceFact::PassBegan(ShardId(2)), PresenceFact::PassEnded(ShardId(2))]
        ));
    }

    #[test]
    fn who_is_sent_away_by_a_drain_has_the_time_of_a_restart() {
        let mut facts = facts(PresenceListener::Feed);
        facts.gone(CONN, &ann(), Fault::Shutdown { retry_after_ms: 5 }, "shutdown");
        facts.gone(CONN, &ann(), Fault::NoPong, "no pong");
        let kinds = facts.waiting().iter().map(|fact| match fact {
            PresenceFact::Gone { reason, away_for, .. } => (reason.code, *away_for),
            other => panic!("{other:?}"),
        });
        assert!(kinds.eq([(3001, AwayFor::Restart), (3012, AwayFor::Reload)]));
    }

    #[test]
    fn only_channels_of_namespaces_that_say_so_are_told_of() {
        let mut facts = facts(PresenceListener::Feed);
        let nobody = PeerIdentity { user: "", ..ann() };
        facts.connected(CONN, &nobody);
        for channel in ["room", "quiet:room"] {
            facts.entered(CONN, &nobody, &channel.into());
            facts.left(CONN, &ann(), (&channel.into(), LeaveReason::Unsubscribed));
        }
        let said: Vec<PresenceFact> = facts.waiting().drain(..).collect();
        let [
            PresenceFact::Entered { user, channel, .. },
            PresenceFact::Left { leaving: Leaving::ForGood, .. },
        ] = &said[..]
        else {
            panic!("{said:?}")
        };
        assert!(!user.is_named() && **channel == *"room");
    }
}
