//! The binary where io_uring is refused to it, as Docker's default profile does.

use std::io;
use std::process::{Output, Stdio};

use crate::common::{BINARY, binary, command};
use crate::seccomp::{self, Outcome};

/// Runs the binary where the three system calls of io_uring answer `errno`.
fn run_without_io_uring(errno: i32, arguments: &[&str]) -> Output {
    let calls = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];
    let binary = binary(arguments.iter().copied());
    let mut command = seccomp::without(binary, &calls, Outcome::Fails(errno));
    command.output().expect("the binary can be started")
}

/// That the server says what is wrong in one line, and what to do, and ends with 1.
#[track_caller]
fn check(errno: i32, words: &[&str]) {
    let port = "127.0.0.1:0";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = folder.path().join("store");
    let store = store.to_str().expect("a plain path");
    let places = ["--listen", port, "--admin-listen", port, "--store-dir", store];
    let output = run_without_io_uring(errno, &[&["serve", "--dev"], &places[..]].concat());
    let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let all = format!("{}{}", out.expect("text"), err.expect("text"));
    assert_eq!(output.status.code(), Some(1), "{all}");
    let told: Vec<&str> = all.lines().filter(|line| line.contains("io_uring")).collect();
    assert_eq!(told.len(), 1, "one sentence: {all}");
    words.iter().for_each(|word| assert!(told[0].contains(word), "no {word:?}: {all}"));
    assert!(!all.contains("panicked"), "{all}");
}

#[test]
fn a_seccomp_profile_without_io_uring_is_named() {
    check(libc::EPERM, &["refused to this process", "seccomp profile allow io_uring_setup"]);
}

#[test]
fn a_kernel_without_io_uring_is_named() {
    check(libc::ENOSYS, &["without io_uring", "Linux 6.1 or newer"]);
}

#[test]
fn the_doctor_says_it_too() {
    let output = run_without_io_uring(libc::EPERM, &["doctor", "--dev"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("seccomp profile allow io_uring_setup"), "{text}");
}

/// The binary under limits of its shell: what it said, and whether it served.
fn run_limited(limits: &str, as_nobody: bool) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().display();
    let nobody = match as_nobody {
        true => "setpriv --reuid=65534 --regid=65534 --clear-groups",
        false => "",
    };
    // It is told to end as soon as it is there, so that it always ends.
    let script = format!(
        "chmod 777 {path}; {limits}; exec {nobody} {} serve --dev --listen 127.0.0.1:0 \
         --admin-listen 127.0.0.1:0 --shards 2 --store-dir {path}/store 2>&1",
        BINARY
    );
    let mut child = command("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell can be started");
    let (mut said, mut served) = (String::new(), false);
    for line in io::BufRead::lines(io::BufReader::new(child.stdout.take().expect("it is piped"))) {
        let line = line.expect("text");
        if line.contains("listening on ") {
            served = true;
            let _ = child.kill(); // it may have ended
        }
        said += &(line + "\n");
    }
    let _ = child.wait();
    (served, said)
}

fn is_root() -> bool {
    // The owner of what this process makes.
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    folder.path().metadata().expect("it is there").uid() == 0
}

#[test]
fn too_little_locked_memory_is_named_with_what_is_needed() {
    let users = if is_root() { &[false, true][..] } else { &[false][..] };
    for as_nobody in users {
        for kibibytes in [0, 64, 511, 512, 700] {
            let (served, said) = run_limited(&format!("ulimit -l {kibibytes}"), *as_nobody);
            let named = ["RLIMIT_MEMLOCK", "ulimit -l", "LimitMEMLOCK"];
            assert!(served || named.iter().all(|word| said.contains(word)), "{kibibytes}: {said}");
            assert!(!said.contains("panicked"), "{said}");
        }
        let (served, said) = run_limited("true", *as_nobody);
        assert!(served, "{said}");
    }
}

#[test]
fn too_few_descriptors_are_named() {
    for descriptors in [32, 64, 200] {
        let (served, said) = run_limited(&format!("ulimit -n {descriptors}"), false);
        assert!(served || said.contains("ulimit -n"), "{descriptors}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}
