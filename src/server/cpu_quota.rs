//! How much CPU time the control groups above this process allow. Pure: what the files
//! say is handed in.
//!
//! A container that may use two CPUs of sixty-four sees all of them in its affinity mask;
//! only its quota says what it gets. Sixty-four shards in it would each run for a
//! thirty-second of the time, and stand still together when the quota is used up.
//!
//! Both versions of control groups are understood, each where it is mounted, from the
//! own group up to the top that can be seen: each of them may have a quota, and the
//! least one counts. A container often sees its own group only, as the top.
//!
//! Deliberately absent: weights and shares (`cpu.weight`, `cpu.shares`), which count only
//! while others want the same CPU, and the affinity mask, which is a list of CPUs.

use std::path::{Path, PathBuf};

/// The period where a group does not say one, in us.
const PERIOD_US: u64 = 100_000;

/// Groups that are looked at above one; deeper trees are nobody's.
const DEPTH_MAX: usize = 64;

/// What a group allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuQuota {
    /// Thousandths of a CPU, more than none.
    pub millicpus: u64,
    /// The file that says so.
    pub file: PathBuf,
}

impl CpuQuota {
    /// CPUs that can be busy at a time, on average: rounded up, and at least one.
    pub fn cpus(&self) -> usize {
        usize::try_from(self.millicpus.div_ceil(1_000)).unwrap_or(usize::MAX).max(1)
    }

    /// As people write it: `1.5`.
    pub fn shown(&self) -> String {
        let text = format!("{}.{:03}", self.millicpus / 1_000, self.millicpus % 1_000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// What a group counted of its quota since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QuotaPeriods {
    /// Periods of the quota in which a process of the group ran.
    pub all: u64,
    /// Those in which the quota was used up.
    pub throttled: u64,
}

impl QuotaPeriods {
    /// Where the group of a quota counts.
    pub fn file(quota: &CpuQuota) -> PathBuf {
        quota.file.with_file_name("cpu.stat")
    }

    /// Out of that file; both versions have the same names in it.
    pub fn read(text: &str) -> Option<QuotaPeriods> {
        let number = |name: &str| {
            let mut rows = text.lines().filter_map(|line| line.split_once(' '));
            rows.find(|(key, _)| *key == name)?.1.trim().parse().ok()
        };
        Some(QuotaPeriods { all: number("nr_periods")?, throttled: number("nr_throttled")? })
    }
}

/// The least quota that holds, if any. `groups` is `/proc/self/cgroup`, `mounts` is
/// `/proc/self/mountinfo`, and `read` gives the text of a file if there is one.
pub(super) fn least(
    groups: &str,
    mounts: &str,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Option<CpuQuota> {
    let all = hierarchies(groups, mounts);
    let quotas = all.iter().flat_map(|(version, own, top)| {
        let above = own.ancestors().take_while(move |folder| folder.starts_with(top));
        above.take(DEPTH_MAX).filter_map(move |folder| quota_of(*version, folder, read))
    });
    quotas.min_by_key(|quota| quota.millicpus)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The hierarchies that may have quotas: the own group's folder of each, and the top one.
fn hierarchies(groups: &str, mounts: &str) -> Vec<(Version, PathBuf, PathBuf)> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let Some((version, root, point)) = mount(line) else { continue };
        let group = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, group) = (parts.next()?, parts.next()?);
            let is_it = match version {
                Version::One => controllers.split(',').any(|one| one == "cpu"),
                Version::Two => controllers.is_empty(),
            };
            is_it.then_some(group)
        });
        // A group outside of what is mounted is seen as the top of it, or not at all.
        let inside = group.and_then(|group| Path::new(group).strip_prefix(&root).ok());
        let is_plain = |path: &&Path| !path.components().any(|part| part.as_os_str() == "..");
        let own = inside.filter(is_plain).map_or_else(|| point.clone(), |path| point.join(path));
        found.push((version, own, point));
    }
    found
}

/// Version, root and place of a mount, if it is one of control groups with quotas
/// (proc_pid_mountinfo(5)).
fn mount(line: &str) -> Option<(Version, PathBuf, PathBuf)> {
    let (mount, kind) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
    let mut kind = kind.split(' ');
    let (name, options) = (kind.next()?, kind.nth(1).unwrap_or_default());
    match name {
        "cgroup2" => Some((Version::Two, root, point)),
        "cgroup" if options.split(',').any(|one| one == "cpu") => Some((Version::One, root, point)),
        _ => None,
    }
}

/// Spaces, tabs, line feeds and backslashes are written as three octal digits.
fn unescaped(field: &str) -> PathBuf {
    let mut text = field.to_owned();
    for (code, letter) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(code, letter);
    }
    text.into()
}

fn quota_of(
    version: Version,
    folder: &Path,
    read: &dyn Fn(&Path) -> Option<String>,
) -> Option<CpuQuota> {
    let (file, quota_us, period_us) = match version {
        Version::Two => {
            let file = folder.join("cpu.max");
            let text = read(&file)?;
            let mut words = text.split_whitespace();
            // `max` is no number, and no quota.
            let quota_us = words.next()?.parse::<u64>().ok()?;
            (file, quota_us, words.next().map_or(Some(PERIOD_US), |word| word.parse().ok())?)
        }
        Version::One => {
            let file = folder.join("cpu.cfs_quota_us");
            // -1 is no quota.
            let quota_us = read(&file)?.trim().parse::<u64>().ok()?;
            let period = read(&folder.join("cpu.cfs_period_us"));
            (file, quota_us, period.map_or(Some(PERIOD_US), |text| text.trim().parse().ok())?)
        }
    };
    let millicpus = quota_us.saturating_mul(1_000).checked_div(period_us)?;
    (quota_us != 0).then_some(CpuQuota { millicpus: millicpus.max(1), file })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const V2: &str = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    const V1: &str = "\
25 24 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
28 25 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    /// The quota in thousandths, or 0, of a machine with these files.
    #[track_caller]
    fn check(groups: &str, mounts: &str, files: &[(&str, &str)], want: u64, from: &str) {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        let read = |path: &Path| files.get(path.to_str().unwrap()).map(|text| (*text).to_owned());
        let quota = least(groups, mounts, &read);
        let got = quota.as_ref().map_or((0, ""), |quota| {
            (quota.millicpus, quota.file.to_str().expect("it was a text"))
        });
        assert_eq!(got, (want, from));
    }

    #[test]
    fn the_own_group_of_version_two() {
        let file = "/sys/fs/cgroup/a/b/cpu.max";
        for (text, want) in [
            ("150000 100000\n", 1_500),
            ("25000 100000\n", 250),
            ("25000\n", 250),
            ("1 1000000\n", 1),
            ("6400000 100000\n", 64_000),
        ] {
            check("0::/a/b\n", V2, &[(file, text)], want, file);
        }
        for none in ["max 100000\n", "max", "", "0 100000", "100000 0", "-1 100000", "x y"] {
            check("0::/a/b\n", V2, &[(file, none)], 0, "");
        }
    }

    #[test]
    fn every_group_above_counts_and_the_least_one_holds() {
        let (low, mid, top) =
            ("/sys/fs/cgroup/a/b/cpu.max", "/sys/fs/cgroup/a/cpu.max", "/sys/fs/cgroup/cpu.max");
        let files = [(low, "400000 100000"), (mid, "200000 100000"), (top, "max 100000")];
        check("0::/a/b\n", V2, &files, 2_000, mid);
        let files = [(low, "400000 100000"), (mid, "max 100000"), (top, "100000 50000")];
        check("0::/a/b\n", V2, &files, 2_000, top);
        // What lies beside is nobody's.
        check("0::/a/b\n", V2, &[("/sys/fs/cgroup/c/cpu.max", "1000 100000")], 0, "");
    }

    #[test]
    fn the_first_version_and_both_at_a_time() {
        let groups = "4:cpuset:/x\n3:cpu,cpuacct:/a/b\n0::/c\n";
        let quota = "/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us";
        let period = "/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us";
        check(groups, V1, &[(quota, "150000\n"), (period, "50000\n")], 3_000, quota);
        check(groups, V1, &[(quota, "150000\n")], 1_500, quota);
        check(groups, V1, &[(quota, "-1\n"), (period, "100000\n")], 0, "");
        let above = "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us";
        check(groups, V1, &[(quota, "300000"), (above, "100000")], 1_000, above);
        let other = "/sys/fs/cgroup/unified/c/cpu.max";
        check(groups, V1, &[(quota, "300000"), (other, "50000 100000")], 500, other);
        // A controller whose name only begins like it is another one.
        check("3:cpuacct:/a\n", V1, &[("/sys/fs/cgroup/cpuset/a/cpu.cfs_quota_us", "1")], 0, "");
    }

    #[test]
    fn a_container_that_sees_its_own_group_only() {
        // With a namespace of control groups the own group is the root.
        let top = "/sys/fs/cgroup/cpu.max";
        check("0::/\n", V2, &[(top, "200000 100000")], 2_000, top);
        // Without one the mount begins at the group, and /proc names it in full.
        let mounts = "9 8 0:23 /docker/7f /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n";
        let file = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us";
        check("3:cpu:/docker/7f\n", mounts, &[(file, "200000")], 2_000, file);
        let inner = "/sys/fs/cgroup/cpu/in/cpu.cfs_quota_us";
        check(
            "3:cpu:/docker/7f/in\n",
            mounts,
            &[(file, "200000"), (inner, "100000")],
            1_000,
            inner,
        );
        // A group outside of what is mounted, and one above the namespace's root.
        check("3:cpu:/docker/88\n", mounts, &[(file, "200000")], 2_000, file);
        check("0::/../../x\n", V2, &[(top, "200000 100000")], 2_000, top);
        // Places with spaces are written in octal.
        let odd = "9 8 0:23 / /odd\\040place rw - cgroup2 none rw\n";
        check("0::/\n", odd, &[("/odd place/cpu.max", "50000 100000")], 500, "/odd place/cpu.max");
    }

    #[test]
    fn nonsense_is_no_quota() {
        for (groups, mounts) in
            [("", ""), ("x", "y"), ("0::/", " - "), (":::", "1 2 3 4 - cgroup2")]
        {
            check(groups, mounts, &[], 0, "");
        }
    }

    #[test]
    fn what_a_group_counts_stands_beside_its_quota() {
        let two = "usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 40\nnr_throttled 31\n\
            throttled_usec 2400000\nnr_bursts 0\nburst_usec 0\n";
        let one = "nr_periods 7\nnr_throttled 0\nthrottled_time 0\n";
        assert_eq!(QuotaPeriods::read(two), Some(QuotaPeriods { all: 40, throttled: 31 }));
        assert_eq!(QuotaPeriods::read(one), Some(QuotaPeriods { all: 7, throttled: 0 }));
        // Without a quota version two has the times alone.
        for none in ["", "usage_usec 9\n", "nr_periods 7\n", "nr_periods x\nnr_throttled 1\n"] {
            assert_eq!(QuotaPeriods::read(none), None);
        }
        let quota = CpuQuota { millicpus: 250, file: "/sys/fs/cgroup/a/cpu.max".into() };
        assert_eq!(QuotaPeriods::file(&quota), Path::new("/sys/fs/cgroup/a/cpu.stat"));
    }

    #[test]
    fn a_part_of_a_cpu_is_a_whole_shard() {
        let cpus = |millicpus| CpuQuota { millicpus, file: PathBuf::new() }.cpus();
        assert_eq!([1, 250, 1_000, 1_001, 1_500, 2_000].map(cpus), [1, 1, 1, 2, 2, 2]);
        let shown = |millicpus| CpuQuota { millicpus, file: PathBuf::new() }.shown();
        assert_eq!([250, 1_000, 1_500, 20_000].map(shown), ["0.25", "1", "1.5", "20"]);
    }
}
