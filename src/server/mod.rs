//! The server's process, which `rookery serve` (`cli`) runs: the one place where `ring`, `shard`,
//! `store` and `admin` meet.
//!
//! `run` plans (`plan`), starts a thread for each shard (`executor`) and one for the store
//! (`storage`), joins them by lanes (`core_lanes`), and is the control thread itself
//! (`control`) until the server ends.
//!
//! Invariant: the control thread never makes a core wait, and no core waits for
//! another one.
//!
//! Deliberately absent: decisions about chat.
#![forbid(unsafe_code)]

mod alert_source;
mod api;
mod api_audit;
mod api_calls;
mod api_control;
mod api_counts;
mod api_listener;
mod api_paths;
mod backend_request;
mod block_journal;
mod blocks;
mod caller_key;
mod console_feed;
mod control;
mod core_lanes;
mod cores;
mod cpu_quota;
mod cpu_time;
mod descriptor_table;
mod diagnostics;
mod dump;
mod executor;
mod fault;
mod hook_client;
mod hook_lane;
mod hook_queues;
mod hooks;
mod locked;
mod memory_groups;
mod openapi;
mod operator_acts;
mod options;
mod plan;
mod presence;
mod presence_client;
mod presence_keeper;
mod presence_state;
mod process;
mod pulse;
mod random;
mod reload;
mod rlimits;
mod storage;
mod store_notices;
mod traces;
mod wakers;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::Resource;
use tokio::signal::unix::SignalKind;

use crate::auth::{ApiKeys, Keys};
use crate::console::{Operators, PageOrigin};
use crate::runtime::control_runtime;
use crate::signals::register;
use crate::{admin, logs, ring, shard, store};

use random::random;

pub use alert_source::AlertSource;
pub use api_listener::ApiOptions;
pub use cpu_quota::CpuQuota;
pub use fault::{ServerEnd, StartError};
pub use hook_client::{HookBackend, HookEndpoint};
pub use locked::{locked_bytes_max, shard_locked_bytes};
pub use memory_groups::memory_groups;
pub use openapi::openapi_json;
pub use options::{DescriptorTable, ListenerOptions, Options};
pub use plan::{HostLimits, PlanError, StartPlan, TableKind, plan};
pub use presence::PresenceSetup;
pub use presence_client::PresenceBackend;

/// What SIGHUP reads again.
pub struct Secrets {
    /// For tokens of clients.
    pub keys: Arc<Keys>,
    /// For backends that call the server API.
    pub api_keys: Arc<ApiKeys>,
    /// For `/debug` and `/console`, whoever has the admin token among them; none close both.
    pub operators: Operators,
}

/// Reads the secrets again; the text says why it did not work, without any of them. On a
/// thread of its own, as it may take long.
pub type ReloadSecrets = Box<dyn FnMut() -> Result<Secrets, String> + Send>;

/// What the store is made of.
pub struct StoreSetup {
    /// Where it is and what it may use.
    pub options: store::Options,
    /// What is kept, by index of the namespace.
    pub retention: Vec<store::Retention>,
}

/// When the diagnostics of a leak are written down, and where.
#[derive(Clone, Debug)]
pub struct DiagnosticsOptions {
    /// A directory; `None` for nowhere.
    pub dir: Option<PathBuf>,
    /// How long a connection must have too many tasks.
    pub leak_hold_ms: u64,
}

/// What the console is made of.
pub struct ConsoleOptions {
    /// Its files, where they are installed.
    pub files: Option<admin::StaticFiles>,
    /// Its origins, beside addresses and `localhost`.
    pub origins: Vec<PageOrigin>,
    /// Where it is asked what fires; none for nowhere.
    pub alerts: Option<AlertSource>,
}

/// What a server is made of.
pub struct ServerSetup {
    /// Addresses, threads, limits.
    pub options: Options,
    /// Where backends call.
    pub api: ApiOptions,
    /// The application's backend, and what it is asked.
    pub hooks: HookBackend,
    /// Who is told who is there; `None` for nobody.
    pub presence: Option<PresenceSetup>,
    /// What the ring of a shard gets that has a core for itself; shards that
    /// share one get a part. `connections_max` is set by the plan.
    pub ring: ring::Options,
    /// What each shard gets; `connections_max` is set by the plan.
    pub shard: shard::Options,
    /// Where durable namespaces are kept, if there are any.
    pub store: Option<StoreSetup>,
    /// Where it is kept who is kept out; `None` for in memory alone.
    pub blocks_dir: Option<PathBuf>,
    /// For tokens.
    pub secrets: Secrets,
    /// What is written down when something leaks.
    pub diagnostics: DiagnosticsOptions,
    /// The operators' console.
    pub console: ConsoleOptions,
    /// The web chat; only in development mode.
    pub web: Option<admin::WebChat>,
    /// What SIGHUP calls.
    pub reload: ReloadSecrets,
}

/// From here on a SIGHUP waits until the server can read its keys again. Called before they
/// are read first: until then it would end the process that is starting.
pub fn hold_reloads() {
    // Where that cannot be had, the server finds out itself, and says so.
    drop(register(&[SignalKind::hangup()]));
}

/// Serves until a signal ends it. Takes the process over: its signals, its
/// panic hook, and its limit of descriptors, which is raised as far as it goes.
pub fn run(setup: ServerSetup) -> Result<ServerEnd, StartError> {
    logs::begin(setup.options.log_format, setup.options.log_level);
    logs::end_on_panic();
    let host_limits = host_limits()?;
    let plan = plan(&setup.options, &host_limits).map_err(StartError::Unfit)?;
    if let Some(quota) = host_limits.quota_in_use(&setup.options) {
        tracing::info!(
            "{} shards at first, because {} allows {} of {} CPUs; set server.shards for another \
             number",
            quota.cpus(),
            quota.file.display(),
            quota.shown(),
            host_limits.cores.len()
        );
    }
    if plan.connections_max < setup.options.connections_max {
        tracing::warn!(
            "descriptors allow {} connections instead of {}; `rookery doctor` says what to change",
            plan.connections_max,
            setup.options.connections_max
        );
    }
    // What is freed goes back to the system after ten seconds also where nobody allocates:
    // a core that rests after a storm would keep its pages for as long as it rests.
    if let Err(error) = tikv_jemalloc_ctl::background_thread::write(true) {
        tracing::warn!("freed memory stays with the process while it rests: {error}");
    }
    let locked = locked::locked_bytes(&plan, &setup.ring);
    locked::raise(locked).map_err(|locked::LockedLimitError(limit_bytes)| {
        StartError::LockedMemory { limit_bytes, needed_bytes: locked, shards: plan.cores.len() }
    })?;
    // glommio does not say what it misses; the ring does, and has the same needs.
    ring::KernelIo::new(&plan.ring(&setup.ring), crate::metrics::Cells::new().claim().into())
        .map_err(|refusal| StartError::ring(refusal, &plan, &setup.ring))?;
    // Before descriptor tables split: cores wake this runtime by descriptor.
    // Each core has a helper of glommio's beside it. The store has its own, a worker of the
    // database's, one that applies to that what the log has, and two of the log's.
    let runtime = control_runtime(2 * plan.cores.len() + 5);
    let runtime = runtime.map_err(StartError::Runtime)?;
    let ended = runtime.block_on(control::run(setup, plan));
    // A profile that is being made, or a file on a disk that hangs, is nothing to wait for.
    runtime.shutdown_background();
    ended
}

/// The quota that holds now: it can be changed while a process runs. Where the system does
/// not say in which groups this process is, nothing is known.
fn cpu_quota_now() -> io::Result<Option<CpuQuota>> {
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(cpu_quota::least(&groups, &mounts, &|path| fs::read_to_string(path).ok()))
}

/// What this process may use, after its limit of descriptors was raised.
pub fn host_limits() -> Result<HostLimits, StartError> {
    let cores = core_affinity::get_core_ids().ok_or(StartError::Cores)?;
    let (soft, hard) = rlimits::limits(Resource::Nofile);
    if soft < hard {
        rlimits::set_limits(Resource::Nofile, hard).map_err(StartError::Limits)?;
    }
    let mut cores: Vec<usize> = cores.into_iter().map(|core| core.id).collect();
    let cpu_quota = cpu_quota_now().unwrap_or_default();
    if cpu_quota.as_ref().is_some_and(|quota| quota.cpus() < cores.len()) {
        // Where many containers share a machine, not all of them shall sit on its first CPUs.
        let first = random().map_or(0, |[byte]: [u8; 1]| usize::from(byte) % cores.len());
        cores.rotate_left(first);
    }
    Ok(HostLimits { cores, descriptors_max: hard, cpu_quota })
}
