//! What the facts of the store's disk mean. Pure.

use std::path::Path;

use super::disk_facts::{Device, DiskFacts, SyncedWrites, WriteCache};
use super::findings::{Finding, Severity};
use crate::log_disk::FileAccess;

/// What an answer that waits for the disk may take, in us: half of them, and 99 of 100.
const P50_US_MAX: u64 = 5_000;
const P99_US_MAX: u64 = 25_000;

/// No device that keeps what it answers is as quick, system call included.
const P50_US_MIN: u64 = 8;

/// Looks at the disk of the store.
pub(super) fn examine_disk(facts: &DiskFacts) -> Vec<Finding> {
    let is_memory = is_memory(facts);
    let mut findings = vec![file_system(facts)];
    match &facts.writes {
        Err(error) => findings.push(unwritable(&facts.dir, error)),
        Ok(writes) if !is_memory => {
            findings.push(direct_writes(writes.access));
            findings.push(synced_writes(writes));
        }
        Ok(_) => {}
    }
    if !is_memory {
        findings.push(write_cache(&facts.devices));
    }
    for finding in findings.iter_mut().filter(|finding| finding.grade == Severity::Good) {
        finding.change.clear();
    }
    findings
}

fn is_memory(facts: &DiskFacts) -> bool {
    matches!(facts.file_system.as_deref(), Some("tmpfs" | "ramfs"))
}

fn file_system(facts: &DiskFacts) -> Finding {
    let is_memory = is_memory(facts);
    let name = facts.file_system.as_deref().unwrap_or("unknown");
    let dir = facts.dir.display();
    Finding {
        name: "store.dir: file system",
        grade: if is_memory { Severity::Better } else { Severity::Good },
        is: match is_memory {
            true => format!("{name}, which is memory: {dir} is gone with the machine"),
            false => format!("{name}, {dir}"),
        },
        should: "on a disk".to_owned(),
        change: "store.dir on a disk, unless all that is kept may be lost".to_owned(),
    }
}

fn unwritable(dir: &Path, error: &str) -> Finding {
    Finding {
        name: "store.dir: synced writes",
        grade: Severity::Better,
        is: format!("not measured: {error}"),
        should: "a directory that the server's user may write to, with a few MiB free".to_owned(),
        change: format!("make {}, and run this as the server's user", dir.display()),
    }
}

fn direct_writes(access: FileAccess) -> Finding {
    let (grade, is) = match access {
        FileAccess::Direct => (Severity::Good, "yes"),
        FileAccess::Buffered => (Severity::Better, "no: they go through the page cache"),
    };
    Finding {
        name: "store.dir: direct writes",
        grade,
        is: is.to_owned(),
        should: "yes".to_owned(),
        change: "a file system that has them, as ext4 or XFS; what is answered is durable all the \
                 same"
            .to_owned(),
    }
}

fn synced_writes(writes: &SyncedWrites) -> Finding {
    let SyncedWrites { count, p50_us, p99_us, .. } = *writes;
    let is_slow = P50_US_MAX < p50_us || P99_US_MAX < p99_us;
    let is_too_quick = p50_us < P50_US_MIN;
    let should = match is_too_quick {
        true => format!("at least {P50_US_MIN} us: what is as quick may not be durable"),
        false => format!("p50 at most {}, p99 at most {}", ms(P50_US_MAX), ms(P99_US_MAX)),
    };
    Finding {
        name: "store.dir: synced writes",
        grade: if is_slow || is_too_quick { Severity::Better } else { Severity::Good },
        is: format!("p50 {}, p99 {} ({count} writes of 4 KiB)", ms(p50_us), ms(p99_us)),
        should,
        change: match is_too_quick {
            true => "ask whoever runs the disk whether it answers syncs before it keeps them",
            false => "a disk with power-loss protection, or durability = \"interval\"",
        }
        .to_owned(),
    }
}

/// A write-back cache is no fault: the kernel flushes it. It says what a sync costs.
fn write_cache(devices: &[Device]) -> Finding {
    let one = |device: &Device| {
        let cache = match (device.write_cache, device.has_fua) {
            (None, _) => "unknown",
            (Some(WriteCache::Through), _) => "write-through: what is answered is durable",
            (Some(WriteCache::Back), Some(true)) => {
                "write-back with FUA: a write can be synced alone"
            }
            (Some(WriteCache::Back), Some(false) | None) => {
                "write-back without FUA: each sync flushes all of it"
            }
        };
        format!("{} {cache}", device.name)
    };
    let all: Vec<String> = devices.iter().map(one).collect();
    Finding {
        name: "store.dir: cache of the device",
        grade: Severity::Good,
        is: if all.is_empty() {
            "unknown: no device is to be seen".to_owned()
        } else {
            all.join("; ")
        },
        should: "known".to_owned(),
        change: String::new(),
    }
}

fn ms(us: u64) -> String {
    match us {
        0..100 => format!("{us} us"),
        _ => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> DiskFacts {
        let device = |name: &str, write_cache, has_fua| Device {
            name: name.to_owned(),
            write_cache: Some(write_cache),
            has_fua: Some(has_fua),
        };
        DiskFacts {
            dir: "/srv/chat".into(),
            file_system: Some("ext4".to_owned()),
            devices: vec![device("sda", WriteCache::Back, false)],
            writes: Ok(SyncedWrites {
                access: FileAccess::Direct,
                count: 400,
                p50_us: 900,
                p99_us: 4_000,
            }),
        }
    }

    /// The names and grades of what is not good, and all that is said.
    fn check(change: impl FnOnce(&mut DiskFacts), wanted: &[&str], words: &[&str]) {
        let mut facts = good();
        change(&mut facts);
        let findings = examine_disk(&facts);
        let bad = findings.iter().filter(|finding| finding.grade != Severity::Good);
        let bad: Vec<&str> = bad.map(|finding| finding.name).collect();
        assert_eq!(bad, wanted);
        let texts = findings.iter().map(|one| format!("{}: {} {}", one.name, one.is, one.should));
        let text = texts.collect::<Vec<_>>().join("\n");
        for word in words {
            assert!(text.contains(word), "{word} in {text}");
        }
        let has_change = |one: &Finding| one.change.is_empty() == (one.grade == Severity::Good);
        assert!(findings.iter().all(has_change));
    }

    fn writes(facts: &mut DiskFacts, p50_us: u64, p99_us: u64) {
        let access = FileAccess::Direct;
        facts.writes = Ok(SyncedWrites { access, count: 40, p50_us, p99_us });
    }

    #[test]
    fn a_disk_is_told_as_it_is() {
        let words =
            ["ext4, /srv/chat", "p50 0.9 ms, p99 4.0 ms (400 writes", "sda write-back without"];
        check(|_| (), &[], &words);
    }

    #[test]
    fn a_slow_disk_and_one_that_is_too_quick_are_told() {
        let name = "store.dir: synced writes";
        check(|facts| writes(facts, P50_US_MAX, P99_US_MAX), &[], &[]);
        check(|facts| writes(facts, P50_US_MAX + 1, P99_US_MAX), &[name], &["at most 5.0 ms"]);
        check(|facts| writes(facts, P50_US_MAX, P99_US_MAX + 1), &[name], &[]);
        check(|facts| writes(facts, P50_US_MIN, 90), &[], &[]);
        check(|facts| writes(facts, P50_US_MIN - 1, 90), &[name], &["may not be durable"]);
    }

    #[test]
    fn memory_is_called_memory_and_not_judged_as_a_disk() {
        let memory = |facts: &mut DiskFacts| {
            facts.file_system = Some("tmpfs".to_owned());
            facts.devices.clear();
            writes(facts, 1, 1);
        };
        check(memory, &["store.dir: file system"], &["gone with the machine"]);
    }

    #[test]
    fn what_cannot_be_measured_or_told_is_said() {
        let name = "store.dir: synced writes";
        let fail = |facts: &mut DiskFacts| facts.writes = Err("Permission denied".to_owned());
        check(fail, &[name], &["not measured: Permission denied", "sda write-back"]);
        check(|facts| facts.devices.clear(), &[], &["cache of the device: unknown"]);
        check(|facts| facts.devices[0].write_cache = None, &[], &["sda unknown"]);
        check(|facts| facts.file_system = None, &[], &["file system: unknown, /srv/chat"]);
    }

    #[test]
    fn each_cache_and_each_way_of_writing_has_its_word() {
        let fua = |facts: &mut DiskFacts| facts.devices[0].has_fua = Some(true);
        check(fua, &[], &["sda write-back with FUA"]);
        let through = |facts: &mut DiskFacts| {
            let write_cache = Some(WriteCache::Through);
            let name = "nvme0n1".to_owned();
            facts.devices.push(Device { name, write_cache, has_fua: None });
        };
        check(through, &[], &["flushes all of it; nvme0n1 write-through"]);
        let buffered = |facts: &mut DiskFacts| {
            facts.writes.as_mut().unwrap().access = FileAccess::Buffered;
        };
        check(buffered, &["store.dir: direct writes"], &["no: they go through"]);
    }
}
