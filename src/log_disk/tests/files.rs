//! What file systems have to say.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn fill(core: &mut LogCore, files: &mut LogFiles, count: u64) -> Result<(), AppendError> {
    let mut commands = Vec::new();
    for _ in 0..count {
        let mut batch = batch(core.last().sequence + 1);
        let appended = core.append(core.last(), &mut batch, AppendSync::Now, &mut commands);
        run_all(core, files, &mut commands);
        appended?;
        assert_eq!(core.tail(), core.last());
    }
    Ok(())
}

#[test]
fn what_is_written_is_there_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("log");
    for life in 0..12 {
        let mut files = LogFiles::take(&dir).unwrap();
        let mut core = open(&mut files, OPTIONS, lives(life)).unwrap();
        assert_eq!(core.last().sequence, u64::from(life) * 50);
        check(&core, &mut files);
        fill(&mut core, &mut files, 50).unwrap();
        let mut commands = Vec::new();
        core.let_go(LogPosition::of_file(core.last().sequence - 20), &mut commands);
        if life % 2 == 0 {
            core.close(&mut commands);
        }
        run_all(&mut core, &mut files, &mut commands);
        check(&core, &mut files);
    }
    // Three times as much was written.
    assert!(entries(&dir).len() <= 16, "{:?}", entries(&dir));
}

#[test]
fn one_process_has_it_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = LogFiles::take(dir.path()).unwrap();
    let other = first.another();
    let refused = || matches!(LogFiles::take(dir.path()), Err(LogFilesError::InUse(_)));
    assert!(refused());
    drop(first);
    assert!(refused(), "somebody has its files");
    drop(other);
    LogFiles::take(dir.path()).unwrap();
}

#[test]
fn files_of_others_are_no_segments() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["segment-1", "segment-0001", "segment-", "segment-x", "other"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    let mut files = LogFiles::take(dir.path()).unwrap();
    assert_eq!(files.segments(32).unwrap(), []);
    let mut core = open(&mut files, OPTIONS, lives(1)).unwrap();
    fill(&mut core, &mut files, 3).unwrap();
}

#[test]
fn what_is_missing_or_short_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = LogFiles::take(dir.path()).unwrap();
    let mut core = open(&mut files, OPTIONS, lives(1)).unwrap();
    fill(&mut core, &mut files, 60).unwrap();
    let path = dir.path().join("segment-000");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let reopen = |files: &mut LogFiles| open(files, OPTIONS, lives(2)).err();
    assert_eq!(reopen(&mut files), Some(LogOpenError::Missing(SegmentId(0))));
    fs::remove_file(&path).unwrap();
    assert_eq!(reopen(&mut files), Some(LogOpenError::Missing(SegmentId(0))));
    fs::write(&path, &whole).unwrap();
    assert_eq!(reopen(&mut files), None);
    fs::remove_file(dir.path().join("manifest")).unwrap();
    assert_eq!(reopen(&mut files), Some(LogOpenError::NoManifest));
}

/// Root writes whatever the mode says, so the manifest's place is taken by a directory.
#[test]
fn what_cannot_be_written_ends_the_life_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = LogFiles::take(dir.path()).unwrap();
    let mut core = open(&mut files, OPTIONS, lives(1)).unwrap();
    fill(&mut core, &mut files, 2).unwrap();
    let mut commands = Vec::new();
    let manifest = dir.path().join("manifest");
    let bytes = fs::read(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    fs::create_dir(&manifest).unwrap();
    core.close(&mut commands);
    run_all(&mut core, &mut files, &mut commands);
    assert_eq!(core.state(), LogState::Ended);
    let failure = files.failure().unwrap();
    assert!(failure.contains("manifest") && failure.contains("directory"), "{failure}");
    assert_eq!(open(&mut files, OPTIONS, lives(2)).err(), Some(LogOpenError::Disk));
    fs::remove_dir(&manifest).unwrap();
    fs::write(&manifest, bytes).unwrap();
    assert_eq!(open(&mut files, OPTIONS, lives(2)).unwrap().last().sequence, 2);
}

#[test]
fn what_others_must_not_read_they_cannot() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("log");
    let mut files = LogFiles::take(&dir).unwrap();
    open(&mut files, OPTIONS, lives(1)).unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.clone()), 0o700);
    for name in entries(&dir) {
        assert_eq!(mode(dir.join(&name)), 0o600, "{name}");
    }
}

/// On a file system in memory everything works, whether it takes direct writes or not.
#[test]
fn it_works_in_memory() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut files = LogFiles::take(dir.path()).unwrap();
    let access = files.access();
    assert!(matches!(access, FileAccess::Direct | FileAccess::Buffered), "{access:?}");
    let mut core = open(&mut files, OPTIONS, lives(1)).unwrap();
    fill(&mut core, &mut files, 40).unwrap();
    let core = open(&mut files, OPTIONS, lives(2)).unwrap();
    assert_eq!(core.last().sequence, 40);
    check(&core, &mut files);
}
