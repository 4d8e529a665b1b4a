//! How many shards, on which cores, with how many connections each: decided
//! from the options and what the machine allows, before anything is started.
//!
//! Deliberately absent: asking the machine.

use std::fmt;

use super::cpu_quota::CpuQuota;
use super::options::{DescriptorTable, Options};
use crate::base::limits::SHARDS_MAX;
use crate::ring;

/// Descriptors that are nobody's connection: logs, admin, signals, the
/// listener, and some to spare.
const DESCRIPTORS_RESERVED: u64 = 128 + REFUSALS_MAX as u64;

/// Peers of one shard beyond its limit that are being told so; the next ones
/// wait in the backlog.
const REFUSALS_MAX: u32 = 64;

/// Descriptors of one shard's executor, ring and waker. They are made before
/// the tables split, so every table holds those of all shards. One listener is among
/// them; each further one is one more.
const DESCRIPTORS_PER_SHARD: u64 = 8;

/// Descriptors that are open before the first core is: logs, admin, signals.
const DESCRIPTORS_OF_PROCESS: u64 = 24;

/// What a receive brings at most where shards share a core. A chat command has
/// 100 to 300 bytes, an upgrade's head 300 to 500, and a connect with a long token
/// 1,500, so nearly all come whole, and in the same memory twice as many
/// connections receive at a time as with 4 KiB: it is their number that runs out
/// when many come at once. With 1 KiB, messages of 12 KB cost an eighth more CPU
/// time, and small ones not less.
const SHARED_RECV_BUFFER_BYTES: u32 = 2_048;

/// The least that a ring gets along with, however many share a core.
const RECV_BUFFERS_MIN: u32 = 128;
/// The kernel's own limit.
const RECV_BUFFERS_MAX: u32 = 1 << 15;
const SUBMISSION_ENTRIES_MIN: u32 = 512;
const COMPLETION_ENTRIES_MIN: u32 = 2_048;

/// What the machine allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLimits {
    /// CPUs that the process may use, by number.
    pub cores: Vec<usize>,
    /// `RLIMIT_NOFILE` after it was raised as far as it can be.
    pub descriptors_max: u64,
    /// What of the CPUs' time the process may have.
    pub cpu_quota: Option<CpuQuota>,
}

impl HostLimits {
    /// The quota that makes the number of shards smaller than that of the CPUs, if one does.
    pub fn quota_in_use(&self, options: &Options) -> Option<&CpuQuota> {
        let cores = if options.cores.is_empty() { &self.cores } else { &options.cores };
        self.cpu_quota.as_ref().filter(|quota| options.shards == 0 && quota.cpus() < cores.len())
    }
}

/// Whether there is one descriptor table, or one for each shard. `Auto` is decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// One for the process.
    Shared,
    /// One for each shard.
    PerShard,
}

/// What is going to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartPlan {
    /// Shard `i` runs on `cores[i]`; a core may occur more than once.
    pub cores: Vec<usize>,
    /// Who owns descriptors.
    pub table: TableKind,
    /// Connections that one shard takes at most.
    pub connections_per_shard: u32,
    /// Connections that all shards can hold together, at most what was asked for.
    pub connections_max: u32,
    /// Whether the packet's CPU chooses the shard.
    pub steers: bool,
    /// Descriptors that one table has room for.
    pub descriptors_max: u64,
}

/// Options that this machine cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// More shards than there can be.
    Shards(u16),
    /// A CPU that the process may not use.
    Core(usize, Vec<usize>),
    /// The limit leaves no descriptor for a connection.
    Descriptors(u64),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::Shards(shards) => write!(f, "shards is {shards}, the most is {SHARDS_MAX}"),
            PlanError::Core(core, allowed) => write!(
                f,
                "cores names CPU {core}, but this process may only use {allowed:?}; look at \
                 `taskset -p` and the container's cpuset"
            ),
            PlanError::Descriptors(limit) => write!(
                f,
                "RLIMIT_NOFILE is {limit}, which leaves no descriptor for a connection; raise it \
                 with `ulimit -n`, or set fewer shards"
            ),
        }
    }
}

/// Decides. Total: the same options and machine always give the same plan.
pub fn plan(options: &Options, host_limits: &HostLimits) -> Result<StartPlan, PlanError> {
    if SHARDS_MAX < options.shards {
        return Err(PlanError::Shards(options.shards));
    }
    if let Some(core) = options.cores.iter().find(|core| !host_limits.cores.contains(core)) {
        return Err(PlanError::Core(*core, host_limits.cores.clone()));
    }
    let cores = if options.cores.is_empty() { &host_limits.cores } else { &options.cores };
    assert!(!cores.is_empty(), "a process runs on at least one CPU");
    // More shards than the quota lets run at a time would only wait for each other.
    let busy = host_limits.quota_in_use(options).map_or(cores.len(), CpuQuota::cpus);
    let cores = &cores[..busy.min(cores.len())];
    let per_core = u16::try_from(cores.len()).unwrap_or(SHARDS_MAX).min(SHARDS_MAX);

    let listeners = options.addresses().len() as u64;
    let room = |limit, shards| room(limit, shards, listeners);
    let asked = u64::from(options.connections_max);
    let limit = host_limits.descriptors_max;
    let least = if options.shards == 0 { per_core } else { options.shards };
    let table = match options.descriptor_table {
        DescriptorTable::Shared => TableKind::Shared,
        DescriptorTable::PerShard => TableKind::PerShard,
        DescriptorTable::Auto if asked <= room(limit, least) => TableKind::Shared,
        DescriptorTable::Auto => TableKind::PerShard,
    };
    let shards = match (table, options.shards) {
        (TableKind::PerShard, 0) => shards_for(asked, per_core, |shards| room(limit, shards)),
        (TableKind::PerShard, shards @ 1..) => shards,
        (TableKind::Shared, _) => least,
    };
    // Packets come to all CPUs, and a quota is no choice of some of them.
    let steers = options.steer_by_cpu
        && 1 < shards
        && host_limits.quota_in_use(options).is_none()
        && steerable(cores, shards);
    let room = room(limit, shards);
    // Steered peers follow their packets, so one shard may have to take them all.
    let wanted = if steers || shards == 1 { asked } else { generous_share(asked, shards) };
    let per_shard = wanted.min(room);
    if per_shard == 0 {
        return Err(PlanError::Descriptors(limit));
    }
    let together = match table {
        TableKind::Shared => room,
        TableKind::PerShard => room * u64::from(shards),
    };
    Ok(StartPlan {
        cores: cores.iter().copied().cycle().take(usize::from(shards)).collect(),
        table,
        connections_per_shard: per_shard as u32, // at most `asked`, which is one
        connections_max: asked.min(together) as u32,
        steers,
        descriptors_max: limit,
    })
}

impl StartPlan {
    /// Descriptors in each table before anybody connects: what every executor, ring and
    /// waker has, and a few of the process's own.
    pub fn descriptors_at_start(&self) -> u64 {
        DESCRIPTORS_OF_PROCESS + DESCRIPTORS_PER_SHARD * self.cores.len() as u64
    }

    /// How many shards share the first core, which has the most.
    pub fn shards_per_core(&self) -> u16 {
        self.cores.iter().filter(|&&core| core == self.cores[0]).count() as u16
    }

    /// The sizes of one shard's ring, when `whole` is right for a shard that has
    /// a core for itself. Shards that share a core share its work, so each gets
    /// along with a part, and sixty of them do not take sixty times the memory.
    pub fn ring(&self, whole: &ring::Options) -> ring::Options {
        let part = u32::from(self.shards_per_core()).next_power_of_two();
        let shrink = |entries: u32, least: u32| (entries / part).max(least).min(entries);
        let pieces = match part {
            1 => 1,
            _ => (whole.recv_buffer_bytes / SHARED_RECV_BUFFER_BYTES).max(1),
        };
        // Both are powers of two, and so is their product.
        let pieces = 1 << pieces.ilog2();
        let buffers = shrink(u32::from(whole.recv_buffers) * pieces, RECV_BUFFERS_MIN);
        ring::Options {
            recv_buffers: buffers.min(RECV_BUFFERS_MAX) as u16,
            recv_buffer_bytes: whole.recv_buffer_bytes / pieces,
            submission_entries: shrink(whole.submission_entries, SUBMISSION_ENTRIES_MIN),
            completion_entries: shrink(whole.completion_entries, COMPLETION_ENTRIES_MIN),
            // Those beyond the limit are taken, answered and let go.
            connections_max: self.connections_per_shard.saturating_add(REFUSALS_MAX),
        }
    }
}

/// Whether `cpu % shards`, which is all that the kernel computes, is the shard
/// that runs on that CPU.
fn steerable(cores: &[usize], shards: u16) -> bool {
    let shards = usize::from(shards);
    cores.len() == shards && cores.iter().enumerate().all(|(index, cpu)| cpu % shards == index)
}

/// Connections that one descriptor table has room for.
fn room(limit: u64, shards: u16, listeners: u64) -> u64 {
    let of_shard = DESCRIPTORS_PER_SHARD + listeners.saturating_sub(1);
    limit.saturating_sub(DESCRIPTORS_RESERVED + of_shard * u64::from(shards))
}

/// A shard's part when the kernel spreads peers by chance: the mean, and an
/// eighth more, which is many standard deviations from a thousand peers on.
fn generous_share(connections: u64, shards: u16) -> u64 {
    let mean = connections.div_ceil(u64::from(shards));
    (mean + mean / 8 + 64).min(connections)
}

/// The fewest shards, at least `least`, whose tables have room for all. Where
/// no number is enough, the one that comes nearest.
fn shards_for(connections: u64, least: u16, room: impl Fn(u16) -> u64) -> u16 {
    let fits = |shards: &u16| generous_share(connections, *shards) <= room(*shards);
    let holds = |shards: &u16| u64::from(*shards) * room(*shards);
    let mut all = least..=SHARDS_MAX;
    all.clone().find(fits).or_else(|| all.by_ref().max_by_key(holds)).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::super::options::ListenerOptions;
    use super::*;

    fn options(shards: u16, connections_max: u32, descriptor_table: DescriptorTable) -> Options {
        Options { shards, connections_max, descriptor_table, ..Options::default() }
    }

    #[track_caller]
    fn check(options: &Options, cores: usize, descriptors_max: u64) -> StartPlan {
        let host_limits =
            HostLimits { cores: (0..cores).collect(), descriptors_max, cpu_quota: None };
        let plan = plan(options, &host_limits).unwrap();
        let shards = plan.cores.len() as u64;
        let held = DESCRIPTORS_RESERVED + DESCRIPTORS_PER_SHARD * shards;
        assert!(u64::from(plan.connections_per_shard) + held <= descriptors_max, "{plan:?}");
        assert!(plan.connections_max <= options.connections_max, "{plan:?}");
        assert!(
            u64::from(plan.connections_max) <= u64::from(plan.connections_per_shard) * shards,
            "{plan:?}"
        );
        plan
    }

    #[test]
    fn one_shard_a_core_where_descriptors_are_plenty() {
        let plan = check(&options(0, 1_000_000, DescriptorTable::Auto), 4, 1 << 21);
        assert_eq!(plan.cores, [0, 1, 2, 3]);
        assert_eq!((plan.table, plan.connections_max), (TableKind::Shared, 1_000_000));
        assert!(plan.steers);
    }

    #[test]
    fn a_million_on_two_cores_with_20_000_descriptors_takes_many_tables() {
        let plan = check(&options(0, 1_000_000, DescriptorTable::Auto), 2, 20_000);
        assert_eq!((plan.table, plan.connections_max), (TableKind::PerShard, 1_000_000));
        assert!((55..=65).contains(&plan.cores.len()), "{}", plan.cores.len());
        assert_eq!(plan.cores[..4], [0, 1, 0, 1]);
        assert!(!plan.steers);
    }

    #[test]
    fn a_shared_table_holds_what_the_limit_allows() {
        let plan = check(&options(0, 1_000_000, DescriptorTable::Shared), 2, 20_000);
        assert_eq!((plan.table, plan.connections_max), (TableKind::Shared, 19_792));
    }

    #[test]
    fn shards_that_were_asked_for_are_not_multiplied() {
        let plan = check(&options(3, 1_000_000, DescriptorTable::Auto), 2, 20_000);
        assert_eq!((plan.cores, plan.table), (vec![0, 1, 0], TableKind::PerShard));
        assert_eq!(plan.connections_max, 3 * 19_784);
    }

    #[test]
    fn peers_are_steered_only_to_the_core_that_their_packet_came_to() {
        let steers = |cores: &[usize], shards| {
            let options = Options { cores: cores.to_vec(), shards, ..Options::default() };
            let host_limits =
                HostLimits { cores: (0..8).collect(), descriptors_max: 1 << 21, cpu_quota: None };
            plan(&options, &host_limits).unwrap().steers
        };
        assert!(steers(&[], 0) && steers(&[2, 3], 0) && steers(&[4, 1, 2, 3], 0));
        assert!(!steers(&[1, 3], 0), "both CPUs are 1 modulo 2");
        assert!(!steers(&[0, 1], 4) && !steers(&[0], 0));
    }

    #[test]
    fn a_quota_is_rounded_up_to_shards_where_nobody_says_how_many() {
        let plan_with = |options: &Options, millicpus: u64, descriptors_max| {
            let cpu_quota = Some(CpuQuota { millicpus, file: "/cpu.max".into() });
            let host_limits = HostLimits { cores: vec![5, 6, 7, 0, 1], descriptors_max, cpu_quota };
            plan(options, &host_limits).unwrap()
        };
        let auto = options(0, 1_000, DescriptorTable::Auto);
        for (millicpus, cores) in [
            (250, &[5][..]),
            (1_000, &[5]),
            (1_001, &[5, 6]),
            (4_001, &[5, 6, 7, 0, 1]),
            (64_000, &[5, 6, 7, 0, 1]),
        ] {
            assert_eq!(plan_with(&auto, millicpus, 1 << 21).cores, cores, "{millicpus}");
        }
        // Who says how many, or needs more of them for descriptors, has them.
        let asked = options(3, 1_000, DescriptorTable::Auto);
        assert_eq!(plan_with(&asked, 1_000, 1 << 21).cores, [5, 6, 7]);
        let many = plan_with(&options(0, 100_000, DescriptorTable::Auto), 1_500, 20_000);
        assert_eq!((many.table, &many.cores[..4]), (TableKind::PerShard, &[5, 6, 5, 6][..]));
        assert_eq!(many.connections_max, 100_000);
        // Shards that packets are not steered to.
        let listed = Options { cores: vec![0, 1, 6, 7], ..auto };
        let plan = plan_with(&listed, 2_000, 1 << 21);
        assert_eq!((plan.cores, plan.steers), (vec![0, 1], false));
    }

    #[test]
    fn each_listener_of_each_shard_takes_a_descriptor() {
        let alone = options(4, 1_000_000, DescriptorTable::Shared);
        let mut three = alone.clone();
        three.listeners = vec![ListenerOptions::default(); 3];
        let reached = |options| check(options, 4, 20_000).connections_max;
        assert_eq!(reached(&alone) - reached(&three), 4 * 2);
    }

    #[test]
    fn where_nothing_is_enough_the_nearest_is_taken() {
        let plan = check(&options(0, u32::MAX, DescriptorTable::Auto), 2, 1_024);
        assert_eq!(plan.table, TableKind::PerShard);
        let plan = check(&options(0, 1, DescriptorTable::Auto), 2, 1_024);
        assert_eq!((plan.table, plan.connections_per_shard), (TableKind::Shared, 1));
    }

    #[test]
    fn shards_that_share_a_core_share_its_memory() {
        let whole = ring::Options::default();
        let sizes = |shards, whole: &ring::Options| {
            let ring = check(&options(shards, 1_000, DescriptorTable::Auto), 2, 20_000).ring(whole);
            let (submissions, completions) = (ring.submission_entries, ring.completion_entries);
            (ring.recv_buffers, ring.recv_buffer_bytes, submissions, completions)
        };
        assert_eq!(sizes(2, &whole), (1_024, 4_096, 4_096, 16_384));
        assert_eq!(sizes(6, &whole), (512, 2_048, 1_024, 4_096));
        assert_eq!(sizes(60, &whole), (128, 2_048, 512, 2_048));
        let odd = ring::Options { recv_buffer_bytes: 9_000, recv_buffers: 1 << 15, ..whole };
        assert_eq!(sizes(3, &odd), (1 << 15, 2_250, 2_048, 8_192));
        assert_eq!(sizes(2, &odd), (1 << 15, 9_000, 4_096, 16_384));
        let tiny = ring::Options { recv_buffer_bytes: 512, ..whole };
        assert_eq!(sizes(60, &tiny), (128, 512, 512, 2_048));
        let small = ring::Options { recv_buffers: 16, submission_entries: 8, ..whole };
        assert_eq!(sizes(60, &small), (32, 2_048, 8, 2_048));
    }

    #[test]
    fn what_cannot_be_is_one_sentence() {
        let check = |options: &Options, descriptors_max, want: &str| {
            let host_limits = HostLimits { cores: vec![0, 1], descriptors_max, cpu_quota: None };
            let unfit = plan(options, &host_limits).unwrap_err().to_string();
            assert!(unfit.starts_with(want) && !unfit.contains('\n'), "{unfit}");
        };
        let auto = DescriptorTable::Auto;
        check(&options(257, 1, auto), 9_999, "shards is 257, the most is 256");
        check(&options(1, 1, auto), 100, "RLIMIT_NOFILE is 100");
        let cores = Options { cores: vec![1, 7], ..Options::default() };
        check(&cores, 9_999, "cores names CPU 7");
    }
}
