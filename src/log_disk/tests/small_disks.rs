//! File systems that are full at any page, or read only: made in a mount namespace, where that is
//! allowed.

use std::process::{Command, Output};

use super::*;

const DIR: &str = "LOG_SMALL_DISK";

/// Runs these tests behind commands of a shell that may mount something at `$LOG_SMALL_DISK`.
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

/// What runs in there: a log takes what it can, begins other lives, and goes on when something is
/// let go.
#[test]
fn child_on_a_full_disk() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let Ok(mut files) = LogFiles::take(Path::new(&dir)) else { return println!("refused") };
    let mut core = match open(&mut files, OPTIONS, lives(1)) {
        Ok(core) => core,
        Err(error) => {
            assert_eq!(error, LogOpenError::Full, "{:?}", files.failure());
            return println!("refused");
        }
    };
    let mut commands = Vec::new();
    let mut taken = 0;
    while taken < 200 && append(&mut core, &mut files, &mut commands).is_ok() {
        taken += 1;
        assert_eq!(core.tail().sequence, taken);
    }
    for life in 2..4 {
        drop(core);
        core = match open(&mut files, OPTIONS, lives(life)) {
            Ok(core) => core,
            Err(error) => {
                assert_eq!(error, LogOpenError::Full);
                return println!("taken {taken}, and no room for another life");
            }
        };
        assert_eq!(core.last().sequence, taken);
        check(&core, &mut files);
    }
    // With room for nothing to be let go, the log is what it is.
    for _ in 0..40 {
        core.let_go(core.tail(), &mut commands);
        run_all(&mut core, &mut files, &mut commands);
        match append(&mut core, &mut files, &mut commands) {
            Ok(()) => taken += 1,
            Err(error) => assert!(matches!(error, AppendError::Full | AppendError::Busy)),
        }
    }
    println!("taken {taken}");
}

fn append(
    core: &mut LogCore,
    files: &mut LogFiles,
    commands: &mut Vec<LogCommand>,
) -> Result<(), AppendError> {
    let mut batch = batch(core.last().sequence + 1);
    let appended = core.append(core.last(), &mut batch, AppendSync::Now, commands);
    run_all(core, files, commands);
    assert_eq!(core.state(), LogState::Serving, "a full disk ends no life: {:?}", files.failure());
    appended.map(|_| ())
}

#[test]
fn a_disk_that_is_full_at_any_page_loses_nothing() {
    let mut all = 0;
    for kib in (4..1_400).step_by(52) {
        let script = format!(
            "mount -t tmpfs -o size={kib}k none \"$LOG_SMALL_DISK\"; \
             exec \"$0\" log_disk::tests::small_disks::child_on_a_full_disk --exact --nocapture"
        );
        let Some(output) = in_namespace(&script) else { return };
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{kib} KiB: {told}{errors}");
        all += usize::from(told.contains("taken"));
        assert!(told.contains("taken") || told.contains("refused"), "{kib} KiB: {told}");
    }
    assert!(10 < all, "{all} logs had room for something");
}

/// What runs in there.
#[test]
fn child_on_a_read_only_disk() {
    let Ok(dir) = std::env::var(DIR) else { return };
    match LogFiles::take(Path::new(&dir)) {
        Ok(mut files) => {
            open(&mut files, OPTIONS, lives(1)).unwrap();
        }
        Err(error) => println!("refused: {error}"),
    }
}

#[test]
fn a_disk_that_is_read_only_is_refused_with_a_sentence() {
    let child =
        "\"$0\" log_disk::tests::small_disks::child_on_a_read_only_disk --exact --nocapture";
    let script = format!(
        "mount -t tmpfs -o size=4m none \"$LOG_SMALL_DISK\"; {child}; \
         mount -o remount,ro \"$LOG_SMALL_DISK\"; {child}"
    );
    let Some(output) = in_namespace(&script) else { return };
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    let refusals: Vec<&str> = told.lines().filter(|line| line.contains("refused: ")).collect();
    assert_eq!(refusals.len(), 1, "{told}");
    assert!(refusals[0].contains("Read-only file system"), "{told}");
}
