use crate::{room, session, ws};

/// What an operator may set for one shard, and what its layers get.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Connections of this shard; more are answered with 503.
    pub connections_max: u32,
    /// Connections whose upgrade is not finished; more are answered with 503.
    pub handshakes_max: u32,
    /// Upgrade and frames.
    pub ws: ws::Options,
    /// One connection.
    pub session: session::Options,
    /// Namespaces and rooms.
    pub room: room::Options,
    /// When clients that make sessions panic are locked out.
    pub quarantine: session::QuarantineOptions,
}
