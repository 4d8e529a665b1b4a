//! What all sessions of a shard share at one moment: the time, settings, keys, randomness,
//! and how late the core is. A value that is made for one call.
//!
//! Deliberately absent: the state of sessions.

use super::{CoreLoad, CorePace, NameKey, Options, Prefix, Tracer};
use crate::auth::Keys;
use crate::base::{ClientId, ConnId, RandomSources, SealKey, Timestamps};
use crate::blocks::{BlockTable, TokenStamp};
use crate::metrics::Agent;
use crate::room;

/// The longest extra time for an expired token when the core is late.
const LATE_EXPIRY_MS_MAX: u64 = 30_000;

/// The context of a call to a session.
pub struct Context<'c> {
    /// The time.
    pub now: Timestamps,
    /// The settings of connections.
    pub options: &'c Options,
    /// The settings of channels.
    pub rooms: &'c room::Options,
    /// The keys of tokens.
    pub keys: &'c Keys,
    /// The key that names are hashed with.
    pub names: NameKey,
    /// The key that seals positions.
    pub own_positions: &'c SealKey,
    /// Randomness for ids and jitter.
    pub random: &'c mut RandomSources,
    /// Prefixes of clients that are blocked for a while.
    pub blocked_prefixes: &'c [Prefix],
    /// Who is kept out.
    pub blocks: &'c BlockTable,
    /// Traces and clients' clocks.
    pub tracer: &'c mut Tracer,
    /// The load of the core.
    pub load: CoreLoad,
    /// The connection that is served.
    pub conn: ConnId,
}

/// The identity of a session's peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerIdentity<'s> {
    /// The tenant that the names are of; empty for the only one.
    pub tenant: &'s str,
    /// Its user; empty for an anonymous peer.
    pub user: &'s str,
    /// Its client id.
    pub client: ClientId,
    /// What its program is.
    pub agent: Agent,
    /// The token that it has shown.
    pub token: TokenStamp,
    /// Channels for which it may have shown other ones.
    pub channel_extras_count: usize,
}

/// Whether a token with this end has expired, and its grace period is over.
pub(super) fn is_over(cx: &Context<'_>, end_unix_s: u64) -> bool {
    end_unix_s.saturating_add(cx.options.expiry_grace_ms / 1_000) <= cx.now.unix_s()
}

/// The same with more time when the core is late.
pub(super) fn ends_now(cx: &Context<'_>, end_unix_s: u64) -> bool {
    cx.load.pace == CorePace::OnTime && is_over(cx, end_unix_s)
        || is_over(cx, end_unix_s.saturating_add(LATE_EXPIRY_MS_MAX / 1_000))
}

/// The same, whatever the load of the core is.
pub(super) fn is_long_over(cx: &Context<'_>, end_unix_s: u64) -> bool {
    let end_unix_ms = end_unix_s.saturating_mul(1_000);
    let late_ms_max = cx.options.expiry_grace_ms.saturating_add(LATE_EXPIRY_MS_MAX);
    end_unix_ms.saturating_add(late_ms_max) <= cx.now.unix_ms
}
