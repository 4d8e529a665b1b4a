//! What shards say of connections, and homes and the store of messages.
//!
//! Deliberately absent: what follows from it (`table`).

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::{ConnId, ShardId};

/// A connection, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerConn {
    /// On which shard.
    pub shard: ShardId,
    /// Which of its connections, and no earlier one in the same slot.
    pub conn: ConnId,
}

/// Whose a connection is. Ordered by name, and so is what a backend reads page by page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserKey {
    /// The tenant; empty for the only one.
    pub tenant: Arc<str>,
    /// The user; empty for who has no name.
    pub user: Arc<str>,
    /// Who has no name is a user for each connection, of whom no event tells.
    pub unnamed: Option<PeerConn>,
}

impl UserKey {
    /// The user of a connection.
    pub fn new(tenant: Arc<str>, user: Arc<str>, conn: PeerConn) -> UserKey {
        let unnamed = user.is_empty().then_some(conn);
        UserKey { tenant, user, unnamed }
    }

    /// Whether events tell of it.
    pub fn is_named(&self) -> bool {
        self.unnamed.is_none()
    }
}

/// Why a connection is gone, as a close frame says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneReason {
    /// The close code.
    pub code: u16,
    /// The reason.
    pub reason: Cow<'static, str>,
}

impl GoneReason {
    /// It was there before the server was started again.
    pub const RESTARTED: GoneReason =
        GoneReason { code: 1006, reason: Cow::Borrowed("server restarted") };

    /// Nobody has heard why.
    pub const UNKNOWN: GoneReason = GoneReason { code: 1006, reason: Cow::Borrowed("unknown") };
}

/// For how long a user may be away until that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwayFor {
    /// As long as a page takes to be loaded again.
    Reload,
    /// As long as a server takes to be started again.
    Restart,
}

/// How a connection leaves a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It said so, or is not let in any more: that is told at once.
    ForGood,
    /// It is told to subscribe again.
    ForNow,
}

/// Messages of one conversation or group that found nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingMessage {
    /// For whom they are.
    pub user: UserKey,
    /// Who said the last of them.
    pub from: Arc<str>,
    /// The conversation, or the group.
    pub channel: Arc<str>,
    /// The last of them.
    pub offset: u64,
    /// How many.
    pub count: u64,
}

/// What was said in a group, for those of its members who are away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMessages {
    /// The tenant whose group it is.
    pub tenant: Arc<str>,
    /// The group.
    pub channel: Arc<str>,
    /// Who said the last of it; empty where a backend did, in nobody's name.
    pub from: Arc<str>,
    /// The last of it.
    pub offset: u64,
    /// How many messages.
    pub count: u64,
    /// The members that want to hear of it.
    pub members: Arc<[Arc<str>]>,
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterNotice {
    /// For whom it was.
    pub user: UserKey,
    /// The conversation.
    pub channel: Arc<str>,
    /// Its place there.
    pub offset: u64,
    /// Why, in the word of the metrics.
    pub cause: Cow<'static, str>,
}

/// What happened. Closed. Facts of one shard come in their order.
#[derive(Clone, Debug)]
pub enum PresenceFact {
    /// A connection is there.
    Connected {
        /// Whose.
        user: UserKey,
        /// Which.
        conn: PeerConn,
    },
    /// A connection is gone, with all its subscriptions.
    Gone {
        /// Whose.
        user: UserKey,
        /// Which.
        conn: PeerConn,
        /// Why.
        reason: GoneReason,
        /// How long its user has to come back.
        away_for: AwayFor,
    },
    /// A connection is in a channel.
    Entered {
        /// Whose.
        user: UserKey,
        /// Which.
        conn: PeerConn,
        /// The channel.
        channel: Arc<str>,
    },
    /// A connection is in it no more.
    Left {
        /// Whose.
        user: UserKey,
        /// Which.
        conn: PeerConn,
        /// The channel.
        channel: Arc<str>,
        /// How.
        leaving: Leaving,
    },
    /// Direct messages found nobody.
    MessageWaits(WaitingMessage),
    /// Something was said in a group.
    SaidInGroup(GroupMessages),
    /// They wait since before the start, and may have been told then.
    StoredMessageWaits(WaitingMessage),
    /// A message was given up.
    DeadLetter(DeadLetterNotice),
    /// A shard has lost facts, and says from now on all that is there.
    PassBegan(ShardId),
    /// It has said all, and has lost nothing since it began.
    PassEnded(ShardId),
}
