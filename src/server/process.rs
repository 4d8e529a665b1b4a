//! What the process as a whole takes, read from the system when a scrape asks.
//!
//! What is read again and again stays open: at the limit of descriptors, when these
//! numbers matter most, nothing can be opened. Nothing is counted by walking a folder,
//! which takes seconds where a million descriptors are in it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rustix::process::Resource;

use super::cpu_quota::QuotaPeriods;
use super::descriptor_table::TableUse;
use super::memory_groups::memory_groups;
use super::rlimits::{UNLIMITED, limits};
use super::{CpuQuota, cpu_time};
use crate::logs::{self, LogLoss};
use crate::metrics::{Counter, Gauge, LostLine, SharedMetricsWriter};

/// Bytes of `/proc/self/stat`, which has 52 numbers.
const STAT_BYTES_MAX: usize = 2_048;

/// Who reads, and what for.
pub(super) struct Process {
    metrics: SharedMetricsWriter,
    stat: Option<File>,
    page_bytes: u64,
    /// CPUs that the process may run on.
    cpus: u64,
    table: Arc<TableUse>,
}

impl Process {
    /// Writes down what does not change, too.
    pub fn new(metrics: SharedMetricsWriter, table: Arc<TableUse>, now_unix_ms: u64) -> Process {
        metrics.set(Gauge::BuildInfo, 1);
        metrics.set(Gauge::StartTime, now_unix_ms);
        metrics.set(Gauge::ConfigReloaded, now_unix_ms);
        metrics.set(Gauge::ConfigReloadGood, 1);
        let stat = File::open("/proc/self/stat").ok();
        let page_bytes = rustix::param::page_size() as u64;
        let cpus = core_affinity::get_core_ids().map_or(1, |cores| cores.len() as u64);
        let process = Process { metrics, stat, page_bytes, cpus, table };
        process.refresh();
        process
    }

    /// What is true now. What cannot be read stays as it was.
    pub fn refresh(&self) {
        let metrics = &self.metrics;
        metrics.set_total(Counter::ProcessCpu, cpu_time::of_process_ns());
        let mut text = [0; STAT_BYTES_MAX];
        if let Some(length) = self.stat.as_ref().and_then(|stat| stat.read_at(&mut text, 0).ok())
            && let Some(stat) = Stat::read(&text[..length])
        {
            metrics.set(Gauge::Threads, stat.threads);
            metrics.set(Gauge::VirtualBytes, stat.virtual_bytes);
            metrics.set(Gauge::ResidentBytes, stat.resident_pages * self.page_bytes);
        }
        // Kernels before 6.2 do not say how many descriptors there are. The cores know
        // theirs, where they share the table.
        let open = fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
        metrics.set(Gauge::OpenFds, if open == 0 { self.table.used() } else { open });
        let (soft, _) = limits(Resource::Nofile);
        metrics.set(Gauge::MaxFds, if soft == UNLIMITED { 0 } else { soft });
        if let Some(limit) = memory_limit_bytes() {
            metrics.set(Gauge::MemoryLimit, limit);
        }
        for (label, why) in [
            (LostLine::Full, LogLoss::Full),
            (LostLine::Failed, LogLoss::Failed),
            (LostLine::Rate, LogLoss::Rate),
        ] {
            metrics.set_total(Counter::LogLinesLost(label), logs::lost(why));
        }
        if let Ok(quota) = super::cpu_quota_now() {
            self.look_at_cpu(quota.as_ref());
        }
        self.look_at_heap();
    }

    /// What the process may have of the CPUs' time, and whether that is used up.
    fn look_at_cpu(&self, quota: Option<&CpuQuota>) {
        let all = self.cpus * 1_000;
        let allowed = quota.map_or(all, |quota| quota.millicpus.min(all));
        self.metrics.set(Gauge::CpuLimit, allowed);
        let text = quota.and_then(|quota| fs::read_to_string(QuotaPeriods::file(quota)).ok());
        if let Some(periods) = text.and_then(|text| QuotaPeriods::read(&text)) {
            self.metrics.set_total(Counter::CpuPeriods, periods.all);
            self.metrics.set_total(Counter::CpuPeriodsThrottled, periods.throttled);
        }
    }

    /// The allocator's numbers are those of its last epoch until it is told to count.
    fn look_at_heap(&self) {
        use tikv_jemalloc_ctl::{epoch, stats};
        if epoch::advance().is_ok()
            && let (Ok(allocated), Ok(resident)) =
                (stats::allocated::read(), stats::resident::read())
        {
            self.metrics.set(Gauge::HeapAlloc, allocated as u64);
            self.metrics.set(Gauge::HeapResident, resident as u64);
        }
    }
}

/// What is used of `/proc/self/stat` (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read(text: &[u8]) -> Option<Stat> {
        let text = str::from_utf8(text).ok()?;
        // The program's name may have spaces and parentheses; the third field follows.
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Stat { threads: field(20)?, virtual_bytes: field(23)?, resident_pages: field(24)? })
    }
}

/// The least of what the machine has and what each control group above us allows.
pub(super) fn memory_limit_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok()?;
    let machine = machine.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine: u64 = machine.split_whitespace().next()?.parse().ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let allowed = memory_groups(&groups).into_iter().filter_map(|folder| {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let text = read("memory.max").or_else(|| read("memory.limit_in_bytes"))?;
        text.trim().parse::<u64>().ok()
    });
    Some(allowed.fold(machine << 10, u64::min))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 3 1 0 0 20 0 5 0 88 4096 2 1844";
        let want = Stat { threads: 5, virtual_bytes: 4_096, resident_pages: 2 };
        assert_eq!(Stat::read(text.as_bytes()), Some(want));
        assert_eq!(Stat::read(b"7 (a) S 1"), None);
        assert_eq!(Stat::read(b"\xff"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let (cells, metrics) = crate::metrics::Cells::of_process();
        let table = TableUse::new(3, 100);
        Process::new(metrics, table, 1_700_000_000_000);
        let exposition = crate::metrics::Exposition::new(crate::metrics::Threads {
            process: cells,
            ..crate::metrics::Threads::of_cores(Vec::new())
        });
        let text = exposition.text(crate::metrics::ScrapeScope::Summed);
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        for name in [
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_virtual_memory_bytes ",
            "process_threads ",
            "process_open_fds ",
            "chat_memory_limit_bytes ",
            "chat_cpu_limit_cores ",
        ] {
            assert!(0.0 < value(name), "{name} in\n{text}");
        }
        assert!(value("process_resident_memory_bytes ") < value("chat_memory_limit_bytes "));
    }
}
