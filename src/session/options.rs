//! The settings of connections: times, quotas, limits, and admission.
//!
//! Deliberately absent: names, ranges and texts of settings (`config`).

use std::sync::Arc;

use crate::hook::HookOptions;
use crate::metrics::Tenants;

/// The settings of connections.
#[derive(Clone, Debug)]
pub struct Options {
    /// From the TCP connection to the end of the upgrade.
    pub upgrade_ms_max: u64,
    /// From the upgrade to the connect command (close 3502).
    pub connect_ms_max: u64,
    /// The ping interval, with up to a tenth of jitter; 0 for no pings.
    pub ping_interval_ms: u64,
    /// The longest ping interval, for cores with many connections; 0 for the default of the
    /// network, or, when `ping_interval_ms` was changed, for a fixed interval.
    pub ping_interval_ms_max: u64,
    /// Whether a proxy that closes idle connections may be in front of the server.
    pub proxied: bool,
    /// The time limit for a pong (close 3012); 0 for none.
    pub pong_ms_max: u64,
    /// The time limit for the closing handshake.
    pub close_ms_max: u64,
    /// The grace period for a refresh after a token's expiry.
    pub expiry_grace_ms: u64,
    /// Most bytes that wait for one reader (close 3008).
    pub outbox_bytes_max: u32,
    /// Most bytes of replies and pongs that wait beside these.
    pub control_bytes_max: u32,
    /// Most channels of one connection.
    pub channels_max: u32,
    /// Commands a second of one connection; 0 for no limit.
    pub commands_per_s: u32,
    /// Burst of commands.
    pub commands_burst: u32,
    /// Bytes a second of one connection; 0 for no limit.
    pub bytes_per_s: u32,
    /// Burst of bytes.
    pub bytes_burst: u32,
    /// Bytes a second of answers to one connection; 0 for no limit.
    pub answer_bytes_per_s: u32,
    /// Burst of bytes of answers.
    pub answer_bytes_burst: u32,
    /// Errors a second answered before the connection is closed (3013 for
    /// quota, 3509 for mistakes).
    pub errors_per_s: u32,
    /// Whether anonymous peers may do everything, for tests.
    pub insecure: bool,
    /// Whether peers without a token are admitted, as anonymous.
    pub anonymous: bool,
    /// The name of the node, which clients are told.
    pub node: String,
    /// Tenants whose users may have one connection: the newest. `*` for all, and the
    /// empty name for tokens without a tenant.
    pub single_session_tenants: Vec<String>,
    /// Tenants that have metrics of their own from the start.
    pub metrics_tenants: Vec<String>,
    /// All tenants with metrics; shared by all shards.
    pub tenants: Arc<Tenants>,
    /// What an application's backend is asked.
    pub hooks: HookOptions,
}

impl Options {
    /// The default ping interval.
    pub const PING_INTERVAL_MS: u64 = 25_000;

    /// Whether a user of this tenant may have only one connection.
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
            hooks: HookOptions::default(),
        }
    }
}
