//! Processes that end between any two commands, threads that read, and files that are left over.

use super::*;

/// All batches are sorted and merged by a set that ends before its command `kill`, and by the one
/// that is opened behind it.
fn world(kill: usize) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("messages");
    let mut files = RunFiles::take(&dir).unwrap();
    let mut set = RunSet::open(&mut files, OPTIONS).unwrap();
    let (done, error) = go_on(&mut set, &mut files, 23, kill);
    assert_eq!(error, None);
    let before = set.sorted();
    drop((set, files));
    let mut files = RunFiles::take(&dir).unwrap();
    let mut set = RunSet::open(&mut files, OPTIONS).unwrap();
    assert!(before <= set.sorted(), "kill {kill}");
    check(set.view(), &mut files);
    let (_, error) = go_on(&mut set, &mut files, 23, usize::MAX);
    assert_eq!((error, set.sorted()), (None, 23), "kill {kill}");
    check(set.view(), &mut files);
    let listed = set.view().runs().map(|run| format!("run-{}", run.info().id.0));
    let mut wanted: Vec<String> = listed.chain(["manifest".to_owned()]).collect();
    wanted.sort();
    assert_eq!(names(&dir), wanted, "kill {kill}");
    done < kill
}

#[test]
fn nothing_is_missing_and_no_file_is_left_after_an_end_before_any_command() {
    let mut kill = 0;
    while !world(kill) {
        kill += 1;
    }
    assert!(50 < kill, "{kill} commands");
}

#[test]
fn views_are_read_by_other_threads_while_their_runs_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = RunFiles::take(&dir.path().join("messages")).unwrap();
    let mut set = RunSet::open(&mut files, OPTIONS).unwrap();
    std::thread::scope(|scope| {
        for last in (5..60).step_by(5) {
            let view = set.view().clone();
            let mut reader = files.another();
            scope.spawn(move || check(&view, &mut reader));
            assert_eq!(go_on(&mut set, &mut files, last, usize::MAX).1, None);
        }
    });
    assert_eq!(go_on(&mut set, &mut files, 0, usize::MAX).1, None);
    let runs = set.view().runs().count();
    assert_eq!(names(&dir.path().join("messages")).len(), 1 + runs, "what they had has gone");
    check(set.view(), &mut files);
}

#[test]
fn what_has_another_name_is_no_run_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = RunFiles::take(dir.path()).unwrap();
    for name in ["run-007", "run-", "run-x", "run-1.old", "note"] {
        std::fs::write(dir.path().join(name), "x").unwrap();
    }
    assert_eq!(files.runs().unwrap(), []);
    let mut set = RunSet::open(&mut files, OPTIONS).unwrap();
    assert_eq!(go_on(&mut set, &mut files, 3, usize::MAX).1, None);
    assert_eq!(names(dir.path()).len(), 5 + 2);
}

#[test]
fn runs_without_a_manifest_are_refused_and_a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = RunFiles::take(dir.path()).unwrap();
    let mut set = RunSet::open(&mut files, OPTIONS).unwrap();
    assert_eq!(go_on(&mut set, &mut files, 3, usize::MAX).1, None);
    let manifest = dir.path().join("manifest");
    let bytes = std::fs::read(&manifest).unwrap();
    std::fs::remove_file(&manifest).unwrap();
    let open = |files: &mut RunFiles| RunSet::open(files, OPTIONS).err();
    assert_eq!(open(&mut files), Some(RunSetOpenError::NoManifest));
    std::fs::write(&manifest, bytes).unwrap();
    assert_eq!(open(&mut files), None);
    let id = set.view().runs().next().unwrap().info().id;
    let path = dir.path().join(format!("run-{}", id.0));
    std::fs::remove_file(&path).unwrap();
    let error = open(&mut RunFiles::take(dir.path()).unwrap());
    assert!(matches!(error, Some(RunSetOpenError::Run(run, _)) if run == id), "{error:?}");
}

#[test]
fn a_failure_says_of_which_file_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = RunFiles::take(dir.path()).unwrap();
    let run = crate::runs::RunId(9);
    assert_eq!(files.run(&RunCommand::Sync { run }), Err(RunDiskError::Missing));
    assert!(files.failure().unwrap().contains("run-9"));
    assert_eq!(files.run(&RunCommand::Remove { run }), Ok(()), "it is gone");
    assert!(0 < files.free_bytes().unwrap());
}
