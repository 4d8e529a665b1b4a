//! What an operator may set for every connection: times, quotas, limits, and who is let in.
//!
//! Deliberately absent: names, ranges and texts of settings (`config`).

use std::sync::Arc;

use crate::metrics::Tenants;

/// What an operator may set for every connection.
#[derive(Clone, Debug)]
pub struct Options {
    /// From the TCP connection to the end of the upgrade.
    pub upgrade_ms_max: u64,
    /// From the upgrade to the connect command (close 3502).
    pub connect_ms_max: u64,
    /// The server pings each so often, with up to a tenth of jitter; 0 never.
    pub ping_interval_ms: u64,
    /// And so often at least, where a core has many connections; 0 for what suits the
    /// network, or, where `ping_interval_ms` was changed, for always the same.
    pub ping_interval_ms_max: u64,
    /// Whether something that closes idle connections may stand before the server.
    pub proxied: bool,
    /// The answer must come within this time (close 3012); 0 asks for none.
    pub pong_ms_max: u64,
    /// How long a close frame waits for the peer's.
    pub close_ms_max: u64,
    /// After a token's expiry, how long a refresh may still come.
    pub expiry_grace_ms: u64,
    /// Bytes that wait for one slow reader (close 3008).
    pub outbox_bytes_max: u32,
    /// Bytes of replies and pongs that wait beside the outbox.
    pub control_bytes_max: u32,
    /// Channels that one connection may be in.
    pub channels_max: u32,
    /// Steady commands a second of one connection; 0 for no limit.
    pub commands_per_s: u32,
    /// Commands at once, after silence.
    pub commands_burst: u32,
    /// Steady bytes a second of one connection; 0 for no limit.
    pub bytes_per_s: u32,
    /// Bytes at once, after silence.
    pub bytes_burst: u32,
    /// Steady bytes a second of answers to one connection; 0 for no limit.
    pub answer_bytes_per_s: u32,
    /// Bytes of answers at once, after silence.
    pub answer_bytes_burst: u32,
    /// Errors a second answered before the connection is closed (3013 for
    /// quota, 3509 for mistakes).
    pub errors_per_s: u32,
    /// Anonymous peers may do everything. For trying out.
    pub insecure: bool,
    /// Peers without a token are let in, as anonymous.
    pub anonymous: bool,
    /// Tells clients which host it is.
    pub node: String,
    /// Tenants whose users may have one connection: the newest. `*` for all, and the
    /// empty name for tokens without a tenant.
    pub single_session_tenants: Vec<String>,
    /// Tenants that have metrics of their own before they come.
    pub metrics_tenants: Vec<String>,
    /// All tenants that have; shared by all shards.
    pub tenants: Arc<Tenants>,
}

impl Options {
    /// How often clients are pinged unless configured otherwise.
    pub const PING_INTERVAL_MS: u64 = 25_000;

    /// Whether a user of this tenant may have one connection only.
    pub fn is_single_session(&self, tenant: &str) -> bool {
        self.single_session_tenants.iter().any(|one| one == tenant || one == "*")
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            upgrade_ms_max: 10_000,
            connect_ms_max: 10_000,
            ping_interval_ms: Options::PING_INTERVAL_MS,
            ping_interval_ms_max: 0,
            proxied: true,
            pong_ms_max: 8_000,
            close_ms_max: 2_000,
            expiry_grace_ms: 25_000,
            outbox_bytes_max: 1 << 20,
            control_bytes_max: 64 << 10,
            channels_max: 128,
            commands_per_s: 200,
            commands_burst: 1_000,
            bytes_per_s: 1 << 20,
            bytes_burst: 4 << 20,
            answer_bytes_per_s: 4 << 20,
            answer_bytes_burst: 32 << 20,
            errors_per_s: 20,
            insecure: false,
            anonymous: false,
            node: String::new(),
            single_session_tenants: Vec::new(),
            metrics_tenants: Vec::new(),
            tenants: Arc::default(),
        }
    }
}
