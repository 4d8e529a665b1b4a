//! What an operator may set for the process: addresses, cores, descriptors, drain and logs.
//!
//! Deliberately absent: names, ranges and texts of settings (`config`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::logs::{LogFormat, LogLevel};

/// Whether all shards share the process's descriptor table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptorTable {
    /// Shared when `RLIMIT_NOFILE` allows `connections_max`, else per shard.
    Auto,
    /// One table; `RLIMIT_NOFILE` counts for the process.
    Shared,
    /// A table for each shard; `RLIMIT_NOFILE` counts for each.
    PerShard,
}

/// Where clients connect when nobody says anything.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8000);

/// One `[[listeners]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerOptions {
    /// Where clients connect.
    pub address: SocketAddr,
}

impl Default for ListenerOptions {
    fn default() -> ListenerOptions {
        ListenerOptions { address: LISTEN }
    }
}

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients connect, if it is one address. See `addresses`.
    pub listen: SocketAddr,
    /// Whether somebody gave `listen`, so that it counts beside `listeners`.
    pub listen_is_given: bool,
    /// Where clients connect, if it is more than one address.
    pub listeners: Vec<ListenerOptions>,
    /// Where `/metrics`, `/health` and `/ready` are.
    pub admin_listen: SocketAddr,
    /// Threads that serve connections; 0 for one a core, or as many as
    /// `connections_max` needs where each has its own descriptor table.
    pub shards: u16,
    /// CPUs to run on, by number; empty for all that the process may use.
    pub cores: Vec<usize>,
    /// Whether `RLIMIT_NOFILE` limits the process or each shard.
    pub descriptor_table: DescriptorTable,
    /// Connections of the whole server. Each shard takes its share and an
    /// eighth more, since the kernel spreads peers by chance.
    pub connections_max: u32,
    /// Peers that may wait to be accepted, for each shard.
    pub backlog: u16,
    /// Lets the CPU that took a peer's packet choose the shard; only where
    /// there is one shard for each core.
    pub steer_by_cpu: bool,
    /// How long a drain may take until the rest is cut off.
    pub drain_ms: u64,
    /// Where spans go, as `http://host:port/path`; empty for nowhere.
    pub otlp_endpoint: String,
    /// What a log line looks like.
    pub log_format: LogFormat,
    /// The least important line that is written.
    pub log_level: LogLevel,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: LISTEN,
            listen_is_given: false,
            listeners: Vec::new(),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8001)),
            shards: 0,
            cores: Vec::new(),
            descriptor_table: DescriptorTable::Auto,
            connections_max: 1_000_000,
            backlog: 4_096,
            steer_by_cpu: true,
            drain_ms: 30_000,
            otlp_endpoint: String::new(),
            log_format: LogFormat::Text,
            log_level: LogLevel::Info,
        }
    }
}

impl Options {
    /// Every address that clients connect to: the list, and `listen` where there is none
    /// or somebody gave it as well.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let alone = self.listen_counts().then_some(self.listen);
        alone.into_iter().chain(self.listeners.iter().map(|listener| listener.address)).collect()
    }

    /// Whether `listen` is among the addresses.
    pub fn listen_counts(&self) -> bool {
        self.listeners.is_empty() || self.listen_is_given
    }
}
