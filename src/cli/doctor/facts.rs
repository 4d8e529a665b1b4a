//! What this machine is: everything that the findings are made from.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use crate::metrics::Cells;
use crate::ring;
use crate::server;

/// One look at the machine. What cannot be read is `None`: the kernel or the
/// container has no such thing.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Major and minor version.
    pub(super) kernel: (u32, u32),
    /// Whether a ring can be made, or what the kernel says against it.
    pub(super) io_uring: Result<(), String>,
    /// What of the kernel a ring needs or would use.
    pub(super) features: Vec<ring::Feature>,
    /// CPUs that the process may use.
    pub(super) cores: Vec<usize>,
    /// What of their time control groups allow.
    pub(super) cpu_quota: Option<server::CpuQuota>,
    /// `RLIMIT_NOFILE`, the hard one: the server raises the soft one itself.
    pub(super) descriptors_max: u64,
    /// `RLIMIT_MEMLOCK`; `None` where it does not count for this process.
    pub(super) locked_bytes_max: Option<u64>,
    /// What may still be used, by the machine and by each control group.
    pub(super) memory_bytes: u64,
    /// `fs.file-max`.
    pub(super) file_max: Option<u64>,
    /// `fs.nr_open`.
    pub(super) nr_open: Option<u64>,
    /// `net.core.somaxconn`.
    pub(super) somaxconn: Option<u64>,
    /// `net.ipv4.tcp_max_syn_backlog`.
    pub(super) syn_backlog: Option<u64>,
    /// `net.ipv4.tcp_ehash_entries`, since Linux 6.1. Below zero in a network
    /// namespace that shares the first one's table.
    pub(super) established_entries: Option<i64>,
    /// `net.ipv4.tcp_mem`.
    pub(super) tcp_mem_pages: Option<[u64; 3]>,
    /// `net.ipv4.tcp_rmem`.
    pub(super) tcp_rmem_bytes: Option<[u64; 3]>,
    /// `net.ipv4.tcp_wmem`.
    pub(super) tcp_wmem_bytes: Option<[u64; 3]>,
    /// `net.ipv4.ip_local_port_range`.
    pub(super) port_range: Option<(u16, u16)>,
    /// `net.ipv4.ip_local_reserved_ports`.
    pub(super) reserved_ports: Vec<RangeInclusive<u16>>,
    /// `net.netfilter.nf_conntrack_max` and `_count`, where it is loaded.
    pub(super) conntrack: Option<(u64, u64)>,
}

impl Facts {
    /// Reads /proc and /sys, and tries a ring.
    pub(super) fn read() -> Facts {
        let sysctl = |name: &str| text(format!("/proc/sys/{}", name.replace('.', "/")));
        let number = |name: &str| sysctl(name).and_then(|text| text.parse().ok());
        let three = |name: &str| sysctl(name).and_then(|text| numbers(&text)?.try_into().ok());
        let host_limits = server::host_limits().ok();
        Facts {
            kernel: sysctl("kernel.osrelease").and_then(|text| version(&text)).unwrap_or((0, 0)),
            io_uring: try_ring(),
            features: ring::probe(),
            cores: host_limits.as_ref().map_or_else(|| vec![0], |limits| limits.cores.clone()),
            cpu_quota: host_limits.as_ref().and_then(|limits| limits.cpu_quota.clone()),
            descriptors_max: host_limits.map_or(0, |limits| limits.descriptors_max),
            locked_bytes_max: server::locked_bytes_max(),
            memory_bytes: memory_bytes(),
            file_max: number("fs.file-max"),
            nr_open: number("fs.nr_open"),
            somaxconn: number("net.core.somaxconn"),
            syn_backlog: number("net.ipv4.tcp_max_syn_backlog"),
            established_entries: sysctl("net.ipv4.tcp_ehash_entries")
                .and_then(|text| text.parse().ok()),
            tcp_mem_pages: three("net.ipv4.tcp_mem"),
            tcp_rmem_bytes: three("net.ipv4.tcp_rmem"),
            tcp_wmem_bytes: three("net.ipv4.tcp_wmem"),
            port_range: sysctl("net.ipv4.ip_local_port_range").and_then(|text| {
                let [low, high] = numbers(&text)?.try_into().ok()?;
                Some((low, high))
            }),
            reserved_ports: sysctl("net.ipv4.ip_local_reserved_ports")
                .and_then(|text| port_ranges(&text))
                .unwrap_or_default(),
            conntrack: number("net.netfilter.nf_conntrack_max")
                .zip(number("net.netfilter.nf_conntrack_count")),
        }
    }
}

/// A ring of our own is the only probe that asks for exactly what we need.
fn try_ring() -> Result<(), String> {
    let small = ring::Options {
        recv_buffers: 16,
        submission_entries: 64,
        completion_entries: 128,
        connections_max: 1,
        ..ring::Options::default()
    };
    let io = ring::KernelIo::new(&small, Cells::new().claim().into());
    io.map(drop).map_err(|refusal| refusal.to_string())
}

fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn numbers<T: FromStr>(text: &str) -> Option<Vec<T>> {
    text.split_whitespace().map(|word| word.parse().ok()).collect()
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|letter: char| !letter.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn port_ranges(text: &str) -> Option<Vec<RangeInclusive<u16>>> {
    let range = |part: &str| {
        let (start, end) = part.split_once('-').unwrap_or((part, part));
        Some(start.trim().parse().ok()?..=end.trim().parse().ok()?)
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(range).collect()
}

/// The least of what the machine has and what each control group above us leaves.
fn memory_bytes() -> u64 {
    let machine = text("/proc/meminfo").and_then(|text| field(&text, "MemAvailable:"));
    let machine = machine.map_or(u64::MAX, |kibibytes| kibibytes << 10);
    let groups = text("/proc/self/cgroup").unwrap_or_default();
    server::memory_groups(&groups)
        .iter()
        .filter_map(|folder| left_in(folder))
        .fold(machine, u64::min)
}

/// The number behind a name, in files of names and numbers.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn left_in(folder: &Path) -> Option<u64> {
    let number = |name: &str| text(folder.join(name)).and_then(|text| text.parse::<u64>().ok());
    let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let used = number("memory.current").or_else(|| number("memory.usage_in_bytes"))?;
    // Pages of files that nobody needs are given back when memory is short.
    let stat = text(folder.join("memory.stat")).unwrap_or_default();
    let cache = field(&stat, "inactive_file ").unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cache)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_up_to_the_minor_version() {
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(version("6.1-rc3"), Some((6, 1)));
        assert_eq!(version("6"), None);
    }

    #[test]
    fn ports_are_read_as_the_kernel_lists_them() {
        assert_eq!(port_ranges(""), Some(vec![]));
        assert_eq!(port_ranges("8000-8001,9000"), Some(vec![8_000..=8_001, 9_000..=9_000]));
        assert_eq!(port_ranges("x"), None);
    }

    #[test]
    fn names_in_front_of_numbers_are_whole() {
        let text = "MemFree: 1 kB\nMemAvailable:   77 kB\ntotal_inactive_file 5\ninactive_file 6";
        assert_eq!(field(text, "MemAvailable:"), Some(77));
        assert_eq!(field(text, "inactive_file "), Some(6));
        assert_eq!(field(text, "none"), None);
    }

    #[test]
    fn this_machine_can_be_read() {
        let facts = Facts::read();
        assert!((4, 0) < facts.kernel && 0 < facts.memory_bytes && 0 < facts.descriptors_max);
        assert!(!facts.cores.is_empty() && facts.somaxconn.is_some());
    }
}
