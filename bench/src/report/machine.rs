//! What a figure depends on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::process;

/// What a figure depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// As the processor calls itself.
    pub cpu: String,
    /// That this process may use.
    pub cores: usize,
    /// Bytes of main memory.
    pub memory_bytes: u64,
    /// Its release.
    pub kernel: String,
    /// Entries of the table in which each packet's connection is looked up.
    pub tcp_table_entries: u64,
    /// How TCP decides to send.
    pub congestion_control: String,
    /// The file system on which servers kept messages, and its device.
    #[serde(default)]
    pub file_system: String,
}

impl Machine {
    /// Looks at it; `store` is where servers keep messages.
    pub fn look(store: &Path) -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (cpuinfo, meminfo) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let memory = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let memory_kib = memory.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        let entries = read("/proc/sys/net/ipv4/tcp_ehash_entries");
        Machine {
            cpu: cpu.unwrap_or_default().trim_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_kib.unwrap_or(0u64) * 1_024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            tcp_table_entries: entries.trim().parse().map_or(0, i64::unsigned_abs),
            congestion_control: read("/proc/sys/net/ipv4/tcp_congestion_control").trim().to_owned(),
            file_system: file_system(&read("/proc/self/mountinfo"), store),
        }
    }
}

/// Waits until the machine has next to nothing to do, half a minute at most: the kernel takes
/// the sockets of a server that ended down behind its back.
pub fn wait_for_rest() {
    const LOOK: Duration = Duration::from_secs(1);
    const LOOKS_MAX: u32 = 30;
    for _ in 0..LOOKS_MAX {
        let Some(before_ns) = process::machine_busy_ns() else { return };
        std::thread::sleep(LOOK);
        let busy_ns = process::machine_busy_ns().unwrap_or(before_ns) - before_ns;
        if u128::from(busy_ns) < LOOK.as_nanos() / 20 {
            return;
        }
    }
}

/// The type and the device of the file system that a path is on; empty when the
/// table of mounts does not say.
fn file_system(mounts: &str, path: &Path) -> String {
    let path = path.ancestors().find_map(|path| fs::canonicalize(path).ok()).unwrap_or_default();
    let mount = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let point = Path::new(place.split(' ').nth(4)?).to_owned();
        let mut kind = kind.split(' ');
        let name = format!("{} on {}", kind.next()?, kind.next()?);
        path.starts_with(&point).then(|| (point.components().count(), name))
    };
    // Of two mounts at one place, the later one is seen.
    let found = mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth);
    found.map(|(_, name)| name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_above_a_path_has_it() {
        let mounts = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            23 22 0:5 / /proc rw - proc proc rw\n\
            24 22 0:6 / /pro rw - tmpfs none rw\n";
        let check = |path: &str, want: &str| {
            assert_eq!(file_system(mounts, Path::new(path)), want, "{path}");
        };
        check("/proc/self", "proc on proc");
        check("/", "ext4 on /dev/vda");
        check("/no/such/folder", "ext4 on /dev/vda");
        assert_eq!(file_system("", Path::new("/")), "");
    }
}
