//! File systems that are full at any page, or read only: made in a mount namespace, where that is
//! allowed.

use std::process::{Command, Output};

use super::*;

const DIR: &str = "RUNS_SMALL_DISK";

/// Runs these tests behind commands of a shell that may mount something at `$RUNS_SMALL_DISK`.
/// `None` where user namespaces are switched off.
fn in_namespace(script: &str) -> Option<Output> {
    let own = ["--user", "--map-root-user", "--mount"];
    let may = Command::new("unshare").args(own).arg("true").status();
    if !may.is_ok_and(|one| one.success()) {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let this = std::env::current_exe().unwrap();
    let mut unshare = Command::new("unshare");
    unshare.args(own).args(["sh", "-ec", script, this.to_str().unwrap()]);
    Some(unshare.env(DIR, dir.path()).output().unwrap())
}

/// What runs in there: a set takes what has room, and all that it took is there.
#[test]
fn child_on_a_full_disk() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let dir = Path::new(&dir).join("messages");
    let Ok(mut files) = RunFiles::take(&dir) else { return println!("refused") };
    let mut set = match RunSet::open(&mut files, OPTIONS) {
        Ok(set) => set,
        Err(error) => {
            assert_eq!(error, RunSetOpenError::Disk(RunDiskError::Full));
            return println!("refused");
        }
    };
    let (_, error) = go_on(&mut set, &mut files, 40, usize::MAX);
    assert!(error.is_none_or(|error| error == RunDiskError::Full), "{:?}", files.failure());
    check(set.view(), &mut files);
    // A few tries more: each is another file, and what could not be written goes.
    for _ in 0..4 {
        go_on(&mut set, &mut files, 40, usize::MAX);
        assert!(!set.has_ended());
        check(set.view(), &mut files);
    }
    let sorted = set.sorted();
    let set = RunSet::open(&mut files, OPTIONS).unwrap();
    assert_eq!(set.sorted(), sorted);
    check(set.view(), &mut files);
    println!("sorted {sorted}, {}", if error.is_some() { "full" } else { "had room" });
}

#[test]
fn a_disk_that_is_full_at_any_page_loses_nothing() {
    let (mut full, mut had_room) = (0, 0);
    for kib in (4..18_400).step_by(920) {
        let script = format!(
            "mount -t tmpfs -o size={kib}k none \"$RUNS_SMALL_DISK\"; \
             exec \"$0\" runs_disk::tests::small_disks::child_on_a_full_disk --exact --nocapture"
        );
        let Some(output) = in_namespace(&script) else { return };
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{kib} KiB: {told}{errors}");
        full += usize::from(told.contains("full"));
        had_room += usize::from(told.contains("had room"));
        assert!(told.contains("sorted") || told.contains("refused"), "{kib} KiB: {told}");
    }
    assert!(5 < full && 0 < had_room, "{full} were full, and {had_room} had room");
}

/// What runs in there.
#[test]
fn child_on_a_read_only_disk() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let dir = Path::new(&dir).join("messages");
    match RunFiles::take(&dir) {
        Ok(mut files) => {
            let mut set = RunSet::open(&mut files, OPTIONS).unwrap();
            go_on(&mut set, &mut files, 9, usize::MAX);
            println!("written");
        }
        Err(error) => println!("refused: {error}"),
    }
}

#[test]
fn a_disk_that_is_read_only_is_refused_with_a_sentence() {
    let child =
        "\"$0\" runs_disk::tests::small_disks::child_on_a_read_only_disk --exact --nocapture";
    let script = format!(
        "mount -t tmpfs -o size=4m none \"$RUNS_SMALL_DISK\"; {child}; \
         mount -o remount,ro \"$RUNS_SMALL_DISK\"; {child}"
    );
    let Some(output) = in_namespace(&script) else { return };
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("written") && told.contains("Read-only file system"), "{told}");
}
