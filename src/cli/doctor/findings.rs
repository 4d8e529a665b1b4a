//! What the facts of a machine mean for so many connections. Pure.

use std::net::SocketAddr;

use serde::Serialize;

use super::facts::Facts;
use crate::config::Config;
use crate::ring::{self, Feature};
use crate::server::{self, HostLimits, StartPlan, TableKind};

/// What an idle connection takes in all: its TCP socket, what the kernel charges
/// for its request, and ours. The rule of docs/OPERATING.md.
const CONNECTION_BYTES: u64 = 4 << 10;

/// What one shard takes beside its receive buffers: executor, rings, tables.
const SHARD_BYTES: u64 = 2 << 20;

/// What glommio wants for one executor.
const SHARD_LOCKED_BYTES: u64 = 512 << 10;

/// The first kernel that counts a ring's queues as locked memory.
const COUNTS_RINGS: (u32, u32) = (6, 14);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// As it should be.
    Good,
    /// It works, and not as well as it could.
    Better,
    /// So many connections cannot work like this.
    Blocks,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The subject, a sysctl's name where it is one.
    pub(super) name: &'static str,
    /// How bad it is.
    pub(super) grade: Severity,
    /// What there is.
    pub(super) is: String,
    /// What there should be.
    pub(super) should: String,
    /// The command that changes it; empty where nothing needs to.
    pub(super) change: String,
}

/// Looks at everything, in the order in which one would mend it.
pub(super) fn examine(config: &Config, facts: &Facts) -> Vec<Finding> {
    let host_limits = HostLimits {
        cores: facts.cores.clone(),
        descriptors_max: facts.descriptors_max,
        cpu_quota: facts.cpu_quota.clone(),
    };
    let plan = server::plan(&config.server, &host_limits);
    let shards = match &plan {
        Ok(plan) => plan.cores.len() as u64,
        Err(_) => u64::from(config.server.shards.max(1)),
    };
    let wanted = u64::from(config.server.connections_max);
    let mut findings = vec![kernel(facts), io_uring(facts)];
    findings.push(match &plan {
        Ok(plan) => descriptors(plan, wanted, facts),
        Err(unfit) => Finding {
            name: "shards and descriptors",
            grade: Severity::Blocks,
            is: unfit.to_string(),
            should: format!("room for {wanted} connections"),
            change: "tuning/descriptors.sh apply, then log in again".to_owned(),
        },
    });
    findings.extend(cpu_quota(shards, facts));
    let ring = plan.as_ref().map_or_else(|_| config.ring.clone(), |plan| plan.ring(&config.ring));
    let table = plan.map(|plan| plan.table).ok();
    // Where each shard has a table of its own, none needs as much as the process.
    let table_files = if table == Some(TableKind::Shared) { with_reserve(wanted) } else { 0 };
    findings.extend(features(table, facts));
    findings.push(locked_memory(shards, &ring, facts));
    findings.push(memory(config, wanted, shards, facts));
    findings.extend(ceilings(config, wanted, table_files, facts));
    findings.extend(established(wanted, facts));
    findings.extend(tcp_buffers(wanted, facts));
    findings.extend(ports(config, facts));
    findings.extend(conntrack(wanted, facts));
    for finding in findings.iter_mut().filter(|finding| finding.grade == Severity::Good) {
        finding.change.clear();
    }
    findings
}

fn kernel(facts: &Facts) -> Finding {
    let (major, minor) = facts.kernel;
    Finding {
        name: "kernel",
        grade: if (major, minor) < (6, 1) { Severity::Blocks } else { Severity::Good },
        is: format!("Linux {major}.{minor}"),
        should: "Linux 6.1 or newer".to_owned(),
        change: "boot a newer kernel, such as that of Debian 12".to_owned(),
    }
}

fn io_uring(facts: &Facts) -> Finding {
    let (grade, is) = match &facts.io_uring {
        Ok(()) => (Severity::Good, "works".to_owned()),
        Err(refusal) => (Severity::Blocks, refusal.clone()),
    };
    Finding {
        name: "io_uring",
        grade,
        is,
        should: "allowed to this process".to_owned(),
        change: "sysctl -w kernel.io_uring_disabled=0, and let the container's seccomp profile \
                 allow it"
            .to_owned(),
    }
}

/// What the kernel has beside a ring. Where there is no ring, its features are not
/// there either, and say nothing new.
fn features(table: Option<TableKind>, facts: &Facts) -> Vec<Finding> {
    let tell = |feature: &&Feature| !feature.needed || facts.io_uring.is_ok();
    let finding = |feature: &Feature| {
        let is_needed = feature.needed
            || feature.name == ring::OWN_TABLES && table == Some(TableKind::PerShard);
        let grade = match (feature.present, is_needed) {
            (true, _) => Severity::Good,
            (false, true) => Severity::Blocks,
            (false, false) => Severity::Better,
        };
        Finding {
            name: feature.name,
            grade,
            is: if feature.present { "yes" } else { "no" }.to_owned(),
            should: "yes".to_owned(),
            change: feature.advice.clone(),
        }
    };
    facts.features.iter().filter(tell).map(finding).collect()
}

/// The server's own plan says how far descriptors reach.
fn descriptors(plan: &StartPlan, wanted: u64, facts: &Facts) -> Finding {
    let shards = plan.cores.len();
    let table = match plan.table {
        TableKind::Shared => "one table for all",
        TableKind::PerShard => "a table for each",
    };
    let reached = u64::from(plan.connections_max);
    Finding {
        name: "shards and descriptors",
        grade: if reached < wanted { Severity::Blocks } else { Severity::Good },
        is: format!(
            "{} cores, {shards} shards with {} descriptors, {table}: {reached} connections",
            facts.cores.len(),
            facts.descriptors_max
        ),
        should: format!("{wanted} connections"),
        change: format!(
            "ulimit -n {}, server.descriptor_table = \"per-shard\", or more server.shards",
            with_reserve(wanted)
        ),
    }
}

/// What the control groups allow of the CPUs that the process may use.
fn cpu_quota(shards: u64, facts: &Facts) -> Option<Finding> {
    let quota = facts.cpu_quota.as_ref()?;
    let (cpus, cores) = (quota.cpus(), facts.cores.len());
    if cores <= cpus {
        return None;
    }
    // Shards that share CPUs by a plan for descriptors are as many as they have to be.
    let grade = if cpus as u64 == shards { Severity::Good } else { Severity::Better };
    Some(Finding {
        name: "CPU quota",
        grade,
        is: format!(
            "{shards} shards; {} allows {} of {cores} CPUs",
            quota.file.display(),
            quota.shown()
        ),
        should: format!("a shard for each CPU that may be busy, so {cpus}"),
        change: format!("server.shards = 0 or {cpus}, or a larger quota (a pod's limits.cpu)"),
    })
}

fn locked_memory(shards: u64, ring: &ring::Options, facts: &Facts) -> Finding {
    let of_one = match COUNTS_RINGS <= facts.kernel {
        true => server::shard_locked_bytes(ring),
        false => SHARD_LOCKED_BYTES,
    };
    let needed = shards * of_one;
    let (grade, is) = match facts.locked_bytes_max {
        None => (Severity::Good, "unlimited".to_owned()),
        Some(bytes) if bytes < needed => (Severity::Blocks, kibibytes(bytes)),
        Some(bytes) => (Severity::Good, kibibytes(bytes)),
    };
    Finding {
        name: "locked memory (RLIMIT_MEMLOCK)",
        grade,
        is,
        should: format!("at least {} for {shards} shards", kibibytes(needed)),
        change: format!(
            "ulimit -l {0}, LimitMEMLOCK={0}K in a systemd unit, or tuning/descriptors.sh apply",
            needed >> 10
        ),
    }
}

/// A limit may be smaller than a mebibyte.
fn kibibytes(bytes: u64) -> String {
    format!("{} KiB", bytes >> 10)
}

fn memory(config: &Config, wanted: u64, shards: u64, facts: &Facts) -> Finding {
    let ring = &config.ring;
    let buffers = u64::from(ring.recv_buffers) * u64::from(ring.recv_buffer_bytes);
    // Shards that share a core share the buffers of one.
    let busy = shards.min(facts.cores.len() as u64);
    let needed = wanted * CONNECTION_BYTES + shards * SHARD_BYTES + busy * buffers;
    let there = facts.memory_bytes;
    let grade = match there {
        bytes if bytes < needed => Severity::Blocks,
        bytes if bytes < needed + needed / 4 => Severity::Better,
        _ => Severity::Good,
    };
    Finding {
        name: "memory",
        grade,
        is: format!("{} available", mebibytes(there)),
        should: format!("{}, and a quarter more for messages and history", mebibytes(needed)),
        change: "add memory, raise the limit of the control group, or plan fewer connections"
            .to_owned(),
    }
}

/// Sysctls that must be at least so much.
fn ceilings(config: &Config, wanted: u64, table_files: u64, facts: &Facts) -> Vec<Finding> {
    let at_least = |name, value: Option<u64>, least: u64, blocks_below: u64, script: &str| {
        let value = value?;
        let grade = match value {
            value if value < blocks_below => Severity::Blocks,
            value if value < least => Severity::Better,
            _ => Severity::Good,
        };
        Some(Finding {
            name,
            grade,
            is: value.to_string(),
            should: format!("at least {least}"),
            change: format!("sysctl -w {name}={least} (tuning/{script} apply)"),
        })
    };
    let files = with_reserve(wanted);
    let backlog = u64::from(config.server.backlog);
    // A quarter of all may be connecting at a time, after a restart.
    let connecting = (wanted / 4).clamp(1_024, 262_144);
    let backlog_script = "backlog-and-syn-queue.sh";
    [
        at_least("fs.file-max", facts.file_max, files, wanted, "descriptors.sh"),
        at_least("fs.nr_open", facts.nr_open, table_files, 0, "descriptors.sh"),
        at_least("net.core.somaxconn", facts.somaxconn, backlog, 0, backlog_script),
        at_least("net.ipv4.tcp_max_syn_backlog", facts.syn_backlog, connecting, 0, backlog_script),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Every packet looks its connection up. With more connections than entries it
/// walks a chain, and each step of it misses the cache.
fn established(wanted: u64, facts: &Facts) -> Option<Finding> {
    let entries = facts.established_entries?.unsigned_abs();
    let least = wanted.next_power_of_two();
    Some(Finding {
        name: "net.ipv4.tcp_ehash_entries",
        grade: if entries < wanted { Severity::Better } else { Severity::Good },
        is: entries.to_string(),
        should: format!("at least {least}, one for each connection"),
        change: format!(
            "boot with thash_entries={least}, or sysctl -w \
             net.ipv4.tcp_child_ehash_entries={least} and start in a new network namespace"
        ),
    })
}

fn tcp_buffers(wanted: u64, facts: &Facts) -> Vec<Finding> {
    let script = "tuning/tcp-memory-and-buffers.sh apply";
    let mut findings = Vec::new();
    if let Some([relaxed, saving, refusing]) = facts.tcp_mem_pages {
        // A page each way while everybody speaks, and half of that to spare.
        // Beyond a third of the memory the kernel's own default is the better one.
        let pages = (wanted + wanted / 2).min(facts.memory_bytes / 3 / 4_096);
        findings.push(Finding {
            name: "net.ipv4.tcp_mem",
            grade: if refusing < pages { Severity::Better } else { Severity::Good },
            is: format!("{relaxed} {saving} {refusing}"),
            should: format!("at least {pages} pages in the third"),
            change: format!(
                "sysctl -w net.ipv4.tcp_mem=\"{} {} {pages}\" ({script})",
                pages / 2,
                pages / 3 * 2
            ),
        });
    }
    let first_bytes =
        [("net.ipv4.tcp_rmem", facts.tcp_rmem_bytes), ("net.ipv4.tcp_wmem", facts.tcp_wmem_bytes)];
    for (name, bytes) in first_bytes {
        let Some([least, first, most]) = bytes else { continue };
        // What a peer can leave with us before we read; matters in multitudes.
        let is_large = 16_384 < first && 100_000 <= wanted;
        findings.push(Finding {
            name,
            grade: if is_large { Severity::Better } else { Severity::Good },
            is: format!("{least} {first} {most}"),
            should: "at most 16384 in the second".to_owned(),
            change: format!("sysctl -w {name}=\"4096 16384 4194304\" ({script})"),
        });
    }
    findings
}

fn ports(config: &Config, facts: &Facts) -> Option<Finding> {
    let (low, high) = facts.port_range?;
    let clients = config.server.addresses();
    let mut listening: Vec<u16> =
        clients.iter().chain([&config.server.admin_listen]).map(SocketAddr::port).collect();
    listening.dedup();
    let is_reserved = |port: &u16| facts.reserved_ports.iter().any(|range| range.contains(port));
    let exposed: Vec<u16> = listening
        .iter()
        .copied()
        .filter(|port| (low..=high).contains(port) && !is_reserved(port))
        .collect();
    let list = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let reserved = facts.reserved_ports.iter().map(|range| match (range.start(), range.end()) {
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start}-{end}"),
    });
    let all: Vec<String> = reserved.chain(exposed.iter().map(u16::to_string)).collect();
    Some(Finding {
        name: "listen ports",
        grade: if exposed.is_empty() { Severity::Good } else { Severity::Better },
        is: if exposed.is_empty() {
            format!("{} cannot be taken as source ports ({low} to {high})", list(&listening))
        } else {
            format!("{} may be taken as source ports ({low} to {high})", list(&exposed))
        },
        should: "outside of net.ipv4.ip_local_port_range, or reserved".to_owned(),
        change: format!(
            "sysctl -w net.ipv4.ip_local_reserved_ports={} \
             (tuning/port-range-and-reserved-ports.sh apply)",
            all.join(",")
        ),
    })
}

fn conntrack(wanted: u64, facts: &Facts) -> Option<Finding> {
    let (max, tracked) = facts.conntrack?;
    let least = wanted * 2;
    let grade = match max {
        // Entries mean that rules are in force and connections are counted.
        max if max < wanted && tracked != 0 => Severity::Blocks,
        max if max < least => Severity::Better,
        _ => Severity::Good,
    };
    Some(Finding {
        name: "net.netfilter.nf_conntrack_max",
        grade,
        is: format!("{max}, {tracked} in use"),
        should: format!("at least {least}: each reconnect leaves an entry for a while"),
        change: format!(
            "sysctl -w net.netfilter.nf_conntrack_max={least} (tuning/conntrack.sh apply)"
        ),
    })
}

/// Files beside connections: logs, rings, other programs.
fn with_reserve(connections: u64) -> u64 {
    connections + connections / 16 + 4_096
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine made for a million.
    fn good() -> Facts {
        Facts {
            kernel: (6, 1),
            io_uring: Ok(()),
            features: Vec::new(),
            cores: (0..8).collect(),
            descriptors_max: 2_097_152,
            cpu_quota: None,
            locked_bytes_max: Some(64 << 20),
            memory_bytes: 16 << 30,
            file_max: Some(4_194_304),
            nr_open: Some(2_097_152),
            somaxconn: Some(65_535),
            syn_backlog: Some(262_144),
            established_entries: Some(1_048_576),
            tcp_mem_pages: Some([786_432, 1_048_576, 1_572_864]),
            tcp_rmem_bytes: Some([4_096, 16_384, 4_194_304]),
            tcp_wmem_bytes: Some([4_096, 16_384, 4_194_304]),
            port_range: Some((32_768, 60_999)),
            reserved_ports: Vec::new(),
            conntrack: None,
        }
    }

    /// All that is not good about `facts`, for a million connections.
    #[track_caller]
    fn check(facts: &Facts, want: &[(&str, Severity)]) -> Vec<Finding> {
        let mut findings = examine(&Config::default(), facts);
        findings.retain(|finding| finding.grade != Severity::Good);
        let got: Vec<_> = findings.iter().map(|one| (one.name, one.grade)).collect();
        assert_eq!(got, want, "{findings:?}");
        findings
    }

    #[test]
    fn a_machine_made_for_it_has_nothing_to_change() {
        check(&good(), &[]);
        let findings = examine(&Config::default(), &good());
        assert!(findings.iter().all(|finding| finding.change.is_empty()), "{findings:?}");
    }

    #[test]
    fn what_nothing_can_replace_blocks() {
        check(&Facts { kernel: (6, 0), ..good() }, &[("kernel", Severity::Blocks)]);
        let refused = Err("io_uring is switched off".to_owned());
        let found =
            check(&Facts { io_uring: refused, ..good() }, &[("io_uring", Severity::Blocks)]);
        assert_eq!(found[0].is, "io_uring is switched off");
        let small = Facts { memory_bytes: 2 << 30, tcp_mem_pages: None, ..good() };
        check(&small, &[("memory", Severity::Blocks)]);
        let tight = Facts { memory_bytes: 4_200 << 20, tcp_mem_pages: None, ..good() };
        check(&tight, &[("memory", Severity::Better)]);
    }

    #[test]
    fn what_the_kernel_lacks_blocks_where_nothing_goes_without() {
        let lacks = |name, needed| {
            let advice = "boot another kernel".to_owned();
            let features = vec![Feature { name, present: false, needed, advice }];
            Facts { features, ..good() }
        };
        check(&lacks("a request", true), &[("a request", Severity::Blocks)]);
        let found = check(&lacks("a convenience", false), &[("a convenience", Severity::Better)]);
        assert_eq!(found[0].change, "boot another kernel");
        // A table for each shard is a convenience where one is enough for all.
        check(&lacks(ring::OWN_TABLES, false), &[(ring::OWN_TABLES, Severity::Better)]);
        let few = Facts { descriptors_max: 20_000, ..lacks(ring::OWN_TABLES, false) };
        check(&few, &[(ring::OWN_TABLES, Severity::Blocks)]);
        // Without any ring that is all there is to say.
        let io_uring = Err("io_uring is switched off".to_owned());
        let none = Facts { io_uring, ..lacks("a request", true) };
        check(&none, &[("io_uring", Severity::Blocks)]);
    }

    #[test]
    fn few_descriptors_take_many_tables_until_no_number_of_them_is_enough() {
        check(&Facts { descriptors_max: 20_000, ..good() }, &[]);
        let none = Facts { descriptors_max: 1_024, ..good() };
        check(&none, &[("shards and descriptors", Severity::Blocks)]);
        let too_few = Facts { descriptors_max: 100, ..good() };
        check(&too_few, &[("shards and descriptors", Severity::Blocks)]);
    }

    #[test]
    fn a_quota_says_how_many_shards_there_are_and_why() {
        let quota = |millicpus| Facts {
            cpu_quota: Some(server::CpuQuota { millicpus, file: "/x/cpu.max".into() }),
            ..good()
        };
        let found = examine(&Config::default(), &quota(1_500));
        let finding = found.iter().find(|finding| finding.name == "CPU quota").unwrap();
        assert_eq!(finding.grade, Severity::Good);
        assert_eq!(finding.is, "2 shards; /x/cpu.max allows 1.5 of 8 CPUs");
        let mut more = Config::default();
        more.server.shards = 8;
        let found = examine(&more, &quota(1_500));
        let finding = found.iter().find(|finding| finding.name == "CPU quota").unwrap();
        assert_eq!(finding.grade, Severity::Better);
        check(&quota(8_000), &[]);
    }

    const LOCKED: (&str, Severity) = ("locked memory (RLIMIT_MEMLOCK)", Severity::Blocks);

    #[test]
    fn locked_memory_counts_by_shard() {
        check(&Facts { locked_bytes_max: Some((4 << 20) - 1), ..good() }, &[LOCKED]);
        check(&Facts { locked_bytes_max: Some(4 << 20), ..good() }, &[]);
        check(&Facts { locked_bytes_max: None, ..good() }, &[]);
        // Later kernels count the rings, too.
        let later = Facts { kernel: (6, 14), locked_bytes_max: Some(4 << 20), ..good() };
        let found = check(&later, &[LOCKED]);
        assert!(found[0].change.contains("LimitMEMLOCK=6208K"), "{:?}", found[0]);
    }

    #[test]
    fn low_ceilings_have_the_command_that_raises_them() {
        let low = Facts {
            file_max: Some(999_999),
            nr_open: Some(1_048_576),
            somaxconn: Some(4_095),
            syn_backlog: Some(1_024),
            ..good()
        };
        let found = check(
            &low,
            &[
                ("fs.file-max", Severity::Blocks),
                ("fs.nr_open", Severity::Better),
                ("net.core.somaxconn", Severity::Better),
                ("net.ipv4.tcp_max_syn_backlog", Severity::Better),
            ],
        );
        assert!(found[2].change.starts_with("sysctl -w net.core.somaxconn=4096 "));
        check(&Facts { file_max: Some(1_000_000), ..good() }, &[("fs.file-max", Severity::Better)]);
    }

    #[test]
    fn each_connection_wants_an_entry_of_its_own() {
        let found = check(
            &Facts { established_entries: Some(262_144), ..good() },
            &[("net.ipv4.tcp_ehash_entries", Severity::Better)],
        );
        assert!(found[0].change.starts_with("boot with thash_entries=1048576,"));
        check(&Facts { established_entries: Some(-1_048_576), ..good() }, &[]);
    }

    #[test]
    fn tcp_memory_is_for_a_page_each_way() {
        let mem = |pages, gibibytes: u64| Facts {
            tcp_mem_pages: Some([1, 2, pages]),
            memory_bytes: gibibytes << 30,
            ..good()
        };
        check(&mem(1_499_999, 64), &[TCP_MEM]);
        check(&mem(1_500_000, 64), &[]);
        // Where that would be more than a third of the memory, a third will do.
        check(&mem(524_287, 6), &[TCP_MEM]);
        check(&mem(524_288, 6), &[]);
        let wide = Some([4_096, 131_072, 6_291_456]);
        let found = Facts { tcp_rmem_bytes: wide, ..good() };
        check(&found, &[("net.ipv4.tcp_rmem", Severity::Better)]);
    }

    const TCP_MEM: (&str, Severity) = ("net.ipv4.tcp_mem", Severity::Better);

    #[test]
    fn a_port_among_source_ports_is_to_be_reserved_beside_those_that_are() {
        let wide = Facts { port_range: Some((1_024, 65_535)), ..good() };
        let exposed = Facts { reserved_ports: vec![7_000..=7_001, 8_001..=8_001], ..wide.clone() };
        let found = check(&exposed, &[("listen ports", Severity::Better)]);
        assert!(found[0].change.contains("=7000-7001,8001,8000 "), "{}", found[0].change);
        check(&Facts { reserved_ports: vec![7_999..=8_001], ..wide }, &[]);
    }

    #[test]
    fn conntrack_blocks_only_where_it_tracks() {
        let name = "net.netfilter.nf_conntrack_max";
        check(&Facts { conntrack: Some((999_999, 1)), ..good() }, &[(name, Severity::Blocks)]);
        check(&Facts { conntrack: Some((999_999, 0)), ..good() }, &[(name, Severity::Better)]);
        check(&Facts { conntrack: Some((1_999_999, 1)), ..good() }, &[(name, Severity::Better)]);
        check(&Facts { conntrack: Some((2_000_000, 1)), ..good() }, &[]);
    }

    #[test]
    fn what_is_not_there_is_not_judged() {
        let bare = Facts {
            file_max: None,
            nr_open: None,
            somaxconn: None,
            syn_backlog: None,
            established_entries: None,
            tcp_mem_pages: None,
            tcp_rmem_bytes: None,
            tcp_wmem_bytes: None,
            port_range: None,
            ..good()
        };
        assert_eq!(examine(&Config::default(), &bare).len(), 5);
    }
}
