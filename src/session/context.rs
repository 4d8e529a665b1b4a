//! What all sessions of a shard share at one moment: the time, settings, keys, randomness,
//! and how late the core is. A value that is made for one call.
//!
//! Deliberately absent: whatever is one session's.

use super::{CoreLoad, CorePace, NameKey, Options, Prefix, Tracer};
use crate::auth::Keys;
use crate::base::{ClientId, ConnId, RandomSources, SealKey, Timestamps};
use crate::metrics::Agent;
use crate::room;

/// A token that has ended ends its connection so much later at most when the core is late.
const LATE_EXPIRY_MS_MAX: u64 = 30_000;

/// What all sessions of a shard share, at one moment.
pub struct Context<'c> {
    /// What the clocks show.
    pub now: Timestamps,
    /// The settings of connections.
    pub options: &'c Options,
    /// The settings of channels.
    pub rooms: &'c room::Options,
    /// For tokens.
    pub keys: &'c Keys,
    /// For channels.
    pub names: NameKey,
    /// For positions from which their owners may recover.
    pub own_positions: &'c SealKey,
    /// For identities and jitter.
    pub random: &'c mut RandomSources,
    /// Prefixes of clients that are blocked for a while.
    pub blocked_prefixes: &'c [Prefix],
    /// For traces and clients' clocks.
    pub tracer: &'c mut Tracer,
    /// The load of the core.
    pub load: CoreLoad,
    /// The connection that is served.
    pub conn: ConnId,
}

/// Who a session's peer is.
#[derive(Clone, Copy, Debug)]
pub struct PeerIdentity<'s> {
    /// The tenant that the names are of; empty for the only one.
    pub tenant: &'s str,
    /// Its name; empty for nobody's.
    pub user: &'s str,
    /// What SDKs call this session.
    pub client: ClientId,
    /// What its program is.
    pub agent: Agent,
}

/// Whether the token that ends then has ended, and the time for another one is over.
pub(super) fn is_over(cx: &Context<'_>, end_unix_s: u64) -> bool {
    end_unix_s.saturating_add(cx.options.expiry_grace_ms / 1_000) <= cx.now.unix_s()
}

/// The same, for a token that may end late where the core is.
pub(super) fn ends_now(cx: &Context<'_>, end_unix_s: u64) -> bool {
    cx.load.pace == CorePace::OnTime && is_over(cx, end_unix_s)
        || is_over(cx, end_unix_s.saturating_add(LATE_EXPIRY_MS_MAX / 1_000))
}

/// The same, whatever the core has to do.
pub(super) fn is_long_over(cx: &Context<'_>, end_unix_s: u64) -> bool {
    let end_unix_ms = end_unix_s.saturating_mul(1_000);
    let late_ms_max = cx.options.expiry_grace_ms.saturating_add(LATE_EXPIRY_MS_MAX);
    end_unix_ms.saturating_add(late_ms_max) <= cx.now.unix_ms
}
