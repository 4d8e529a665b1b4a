//! What the kernel says about a server process: memory, CPU time, and the
//! memory that its cgroup is charged for.
//!
//! TCP sockets themselves (slab `TCP`) are charged to nobody, because the
//! kernel makes them while it handles a packet; they are counted for the whole
//! machine, and shown apart.
//!
//! Deliberately absent: when to look, and what the numbers mean.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// One look at a process. What this machine does not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// CPU time of all its threads, kernel time included.
    pub cpu_ns: u64,
    /// Resident memory (VmRSS).
    pub resident_bytes: u64,
    /// The part of it that no other process has (Private_Clean and Private_Dirty).
    pub private_bytes: Option<u64>,
    /// Charged to its cgroup, user and kernel, without the page cache. Only
    /// when the process has a cgroup that is not ours.
    pub charged_bytes: Option<u64>,
    /// Objects and bytes of the machine's TCP sockets.
    pub tcp_slab: Option<Slab>,
    /// What all cores of the machine were busy for since it started, whoever it was:
    /// programs, kernel, and interrupts.
    #[serde(default)]
    pub machine_busy_ns: Option<u64>,
}

/// A row of /proc/slabinfo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slab {
    /// In use.
    pub objects: u64,
    /// Bytes of all its pages.
    pub bytes: u64,
}

/// A process that is looked at more than once.
#[derive(Clone, Debug)]
pub struct Process {
    pid: u32,
    cgroup: Option<Cgroup>,
}

/// Where a process's memory is charged.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cgroup {
    V1(PathBuf),
    V2(PathBuf),
}

impl Process {
    /// Finds the process and its cgroup.
    pub fn find(pid: u32) -> io::Result<Process> {
        let theirs = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let ours = fs::read_to_string("/proc/self/cgroup")?;
        let cgroup =
            Cgroup::of(&theirs).filter(|cgroup| Cgroup::of(&ours).as_ref() != Some(cgroup));
        Ok(Process { pid, cgroup })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Looks at it now. An error means that it has ended.
    pub fn sample(&self) -> io::Result<Sample> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid));
        let private = rollup.ok().and_then(|text| {
            Some(kibibytes(&text, "Private_Clean:")? + kibibytes(&text, "Private_Dirty:")?)
        });
        Ok(Sample {
            cpu_ns: self.cpu_ns()?,
            resident_bytes: kibibytes(&status, "VmRSS:").unwrap_or(0),
            private_bytes: private,
            charged_bytes: self.cgroup.as_ref().and_then(Cgroup::charged_bytes),
            tcp_slab: tcp_slab(),
            machine_busy_ns: machine_busy_ns(),
        })
    }

    /// The time of its first thread, where the kernel keeps scheduler statistics.
    pub fn main_thread_cpu_ns(&self) -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{0}/task/{0}/schedstat", self.pid))?;
        schedstat_ns(&text)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no time of a thread"))
    }

    /// The time of all its threads. In nanoseconds where the kernel keeps
    /// scheduler statistics, in hundredths of a second elsewhere.
    pub fn cpu_ns(&self) -> io::Result<u64> {
        let mut exact_ns = 0;
        let mut is_exact = true;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            // A thread may end between the listing and the look.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                is_exact = false;
                continue;
            };
            exact_ns += schedstat_ns(&text).unwrap_or(0);
        }
        if is_exact && 0 < exact_ns {
            return Ok(exact_ns);
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        Ok(stat_cpu_ns(&stat).unwrap_or(0))
    }
}

impl Cgroup {
    /// From the text of /proc/PID/cgroup: the memory controller of version 1
    /// where it is mounted, else the one hierarchy of version 2.
    fn of(text: &str) -> Option<Cgroup> {
        let mut unified = None;
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(number), Some(controllers), Some(path)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let path = path.trim_start_matches('/');
            if controllers.split(',').any(|controller| controller == "memory") {
                return Some(Cgroup::V1(Path::new(V1_MEMORY).join(path)));
            }
            if number == "0" && controllers.is_empty() {
                unified = Some(Cgroup::V2(Path::new(V2).join(path)));
            }
        }
        unified
    }

    fn charged_bytes(&self) -> Option<u64> {
        let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let (all, stat, file) = match self {
            Cgroup::V1(path) => (path.join("memory.usage_in_bytes"), path, "total_cache"),
            Cgroup::V2(path) => (path.join("memory.current"), path, "file"),
        };
        let stat = fs::read_to_string(stat.join("memory.stat")).ok()?;
        Some(number(all)?.saturating_sub(row(&stat, file).unwrap_or(0)))
    }
}

/// What all cores of the machine were busy for since it started; `None` where /proc/stat has
/// no such row.
pub fn machine_busy_ns() -> Option<u64> {
    fs::read_to_string("/proc/stat").ok().as_deref().and_then(busy_ns)
}

const V1_MEMORY: &str = "/sys/fs/cgroup/memory";
const V1_CPU: &str = "/sys/fs/cgroup/cpu";
const V2: &str = "/sys/fs/cgroup";

/// Makes a memory cgroup, so that a child can be charged apart. Gives the file
/// that takes the child's process number, or why there is none.
pub fn make_cgroup(name: &str) -> io::Result<OwnCgroup> {
    let root = if Path::new(V1_MEMORY).join("memory.usage_in_bytes").exists() {
        Path::new(V1_MEMORY)
    } else {
        Path::new(V2)
    };
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let parent = match Cgroup::of(&own) {
        // Below our own group, which the limits that we live under include.
        Some(Cgroup::V1(path)) => path,
        // Version 2 has no processes in inner groups, so the child's is a sibling.
        Some(Cgroup::V2(path)) => path.parent().unwrap_or(root).to_path_buf(),
        None => root.to_path_buf(),
    };
    let path = parent.join(name);
    fs::create_dir(&path)?;
    let group = OwnCgroup { path };
    if !group.counts_memory() {
        let kind = io::ErrorKind::Unsupported;
        return Err(io::Error::new(kind, "cgroups of this machine do not count memory"));
    }
    Ok(group)
}

/// A cgroup that is removed with this value; its processes must have ended.
#[derive(Debug)]
pub struct OwnCgroup {
    path: PathBuf,
}

impl OwnCgroup {
    /// Whoever writes its process number in here, is inside.
    pub fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    fn counts_memory(&self) -> bool {
        ["memory.usage_in_bytes", "memory.current"].iter().any(|file| self.path.join(file).exists())
    }
}

impl Drop for OwnCgroup {
    fn drop(&mut self) {
        // One that still has a process stays; it harms nobody.
        let _ = fs::remove_dir(&self.path);
    }
}

/// A cgroup that holds processes to a part of one core. Removed with this value; its
/// processes must have ended.
#[derive(Debug)]
pub struct CpuQuota {
    path: PathBuf,
}

/// Over which a quota is counted, in us. The kernel's own default.
const QUOTA_PERIOD_US: u32 = 100_000;

impl CpuQuota {
    /// Makes it, of version 1 or 2, whichever counts CPU time here.
    pub fn make(name: &str) -> io::Result<CpuQuota> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        for path in [cpu_parent(&own), Some(PathBuf::from(V2))].into_iter().flatten() {
            let quota = CpuQuota { path: path.join(name) };
            if fs::create_dir(&quota.path).is_ok()
                && ["cpu.cfs_quota_us", "cpu.max"].iter().any(|f| quota.path.join(f).exists())
            {
                return Ok(quota);
            }
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "cgroups of this machine hold no CPU time"))
    }

    /// Lets all threads of a process have so much of one core, from now on.
    pub fn hold(&self, pid: u32, percent: u32) -> io::Result<()> {
        let quota_us = QUOTA_PERIOD_US / 100 * percent;
        let first = self.path.join("cpu.cfs_quota_us");
        if first.exists() {
            fs::write(self.path.join("cpu.cfs_period_us"), QUOTA_PERIOD_US.to_string())?;
            fs::write(first, quota_us.to_string())?;
        } else {
            fs::write(self.path.join("cpu.max"), format!("{quota_us} {QUOTA_PERIOD_US}"))?;
        }
        fs::write(self.path.join("cgroup.procs"), pid.to_string())
    }
}

impl Drop for CpuQuota {
    fn drop(&mut self) {
        // One that still has a process stays; it harms nobody.
        let _ = fs::remove_dir(&self.path);
    }
}

/// Our own group of the CPU controller of version 1.
fn cpu_parent(own: &str) -> Option<PathBuf> {
    own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let counts = controllers.split(',').any(|controller| controller == "cpu");
        counts.then(|| Path::new(V1_CPU).join(path.trim_start_matches('/')))
    })
}

/// How many descriptors one table of this process may hold.
pub fn descriptors_max() -> u64 {
    const USUAL: u64 = 1_024;
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    parse_descriptors_max(&limits).unwrap_or(USUAL)
}

fn parse_descriptors_max(limits: &str) -> Option<u64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// From the first line of /proc/stat: user, nice, system, irq and softirq; not idle,
/// iowait, and what a hypervisor took.
fn busy_ns(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let ticks = [0, 1, 2, 5, 6].iter().map(|at| fields.get(*at)).sum::<Option<u64>>()?;
    Some(ticks * NS_PER_TICK)
}

/// One tick of /proc/stat and /proc/PID/stat: a hundredth of a second.
const NS_PER_TICK: u64 = 10_000_000;

/// The TCP sockets of the whole machine; only the administrator may look.
fn tcp_slab() -> Option<Slab> {
    parse_slab(&fs::read_to_string("/proc/slabinfo").ok()?, "TCP")
}

fn parse_slab(text: &str, name: &str) -> Option<Slab> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    let (objects, slabs) = line.split_once(": slabdata")?;
    let fields: Vec<u64> =
        objects.split_whitespace().skip(1).map_while(|f| f.parse().ok()).collect();
    let slabs: u64 = slabs.split_whitespace().nth(1)?.parse().ok()?;
    let pages_per_slab = fields.get(4)?;
    Some(Slab { objects: *fields.first()?, bytes: slabs * pages_per_slab * 4_096 })
}

/// `Name:   123 kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    row(text, name).map(|kib| kib * 1_024)
}

/// The number behind a name at the beginning of a line.
fn row(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        if words.next() == Some(name) { words.next()?.parse().ok() } else { None }
    })
}

/// The time on a core, of a thread's schedstat.
fn schedstat_ns(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}

/// `utime` and `stime` of /proc/PID/stat. The command's name may hold anything,
/// so counting begins behind its last parenthesis.
fn stat_cpu_ns(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * NS_PER_TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nRssAnon:\t 7 kB\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(1_234 * 1_024));
        assert_eq!(kibibytes(status, "VmSwap:"), None);
        let slabinfo = "slabinfo - version: 2.1\n\
            TCPv6  26  26 2496 13  8 : tunables 0 0 0 : slabdata  2  2 0\n\
            TCP   100 130 2368 13  8 : tunables 0 0 0 : slabdata 10 10 0\n";
        let slab = Slab { objects: 100, bytes: 10 * 8 * 4_096 };
        assert_eq!(parse_slab(slabinfo, "TCP"), Some(slab));
        let limits = "Limit  Soft  Hard\nMax open files            20000   30000   files\n";
        assert_eq!(parse_descriptors_max(limits), Some(20_000));
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0";
        assert_eq!(stat_cpu_ns(stat), Some(2_000_000_000));
        assert_eq!(stat_cpu_ns("42 (short) S 1"), None);
        let all = "cpu  1 2 4 100 200 8 16 400 0 0\ncpu0 9 9 9 9 9 9 9 9 0 0\n";
        assert_eq!(busy_ns(all), Some(310_000_000));
        assert_eq!(busy_ns("cpu  1 2 4 100 200 8"), None);
    }

    #[test]
    fn the_memory_cgroup_is_found_in_both_versions() {
        let first = "8:pids:/\n4:memory,cpu:/jobs/a\n0::/\n";
        assert_eq!(Cgroup::of(first), Some(Cgroup::V1("/sys/fs/cgroup/memory/jobs/a".into())));
        let second = "0::/user.slice/b\n";
        assert_eq!(Cgroup::of(second), Some(Cgroup::V2("/sys/fs/cgroup/user.slice/b".into())));
        assert_eq!(Cgroup::of("3:cpuset:/\n"), None);
    }

    #[test]
    fn our_own_process_has_memory_and_uses_time() {
        let ours = Process::find(std::process::id()).unwrap();
        let before = ours.sample().unwrap();
        assert!(100_000 < before.resident_bytes && before.charged_bytes.is_none());
        let mut sum = 0u64;
        while ours.cpu_ns().unwrap() < before.cpu_ns + 20_000_000 {
            sum = (0..100_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }
        assert!(before.cpu_ns < ours.sample().unwrap().cpu_ns);
        assert!(Process::find(u32::MAX).is_err());
    }
}
