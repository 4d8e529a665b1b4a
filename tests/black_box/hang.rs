//! The binary on a disk that hangs: syncs that never return, a storage thread that stands
//! still, files that nobody can read to their end. Signals are heard all the same.
//!
//! One of the files outside `src/ring` with `unsafe`: a test holds one of a server's threads.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::common::{
    Peer, Running, Server, Settings, binary, fetch, free_port, idle_bridge, until,
};
use crate::seccomp::{self, Outcome};

/// The binary where syncs never return.
fn on_a_disk_that_hangs(arguments: &[&str], log: &Path) -> Command {
    let syncs = [libc::SYS_fsync, libc::SYS_fdatasync];
    let mut command = seccomp::without(binary(arguments.iter().copied()), &syncs, Outcome::Hangs);
    command.stdout(Stdio::null()).stderr(fs::File::create(log).expect("it can be made"));
    command
}

#[test]
fn a_server_whose_store_does_not_open_is_alive_and_ends_by_one_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (port, log) = (free_port(), folder.path().join("log"));
    let store = folder.path().join("store").display().to_string();
    let admin = format!("127.0.0.1:{port}");
    let places = ["--listen", "127.0.0.1:0", "--admin-listen", &admin, "--store-dir", &store];
    let arguments = [&["serve", "--dev", "--connections-max", "1000"], &places[..]].concat();
    let mut server = Running::start(&mut on_a_disk_that_hangs(&arguments, &log));
    let said = || fs::read_to_string(&log).unwrap();
    let alive = until(|| fetch(port, "/health").filter(|(status, _)| *status == 200));
    assert!(alive.is_some(), "{}", said());
    assert_eq!(fetch(port, "/ready"), Some((503, "starting\n".to_owned())));
    assert_eq!(fetch(port, "/metrics").map(|(status, _)| status), Some(200));
    // Keys are read again when it has started, and not instead.
    server.signal("HUP");
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0), "{}", said());
    assert!(said().contains("the start is given up (SIGTERM)"), "{}", said());
    assert!(!said().contains("listening on"), "{}", said());
}

/// The thread of a process with this name.
fn thread_of(pid: u32, name: &str) -> libc::pid_t {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let found = tasks.map(|task| task.unwrap()).find(|task| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    });
    found.expect("it has such a thread").file_name().to_str().unwrap().parse().unwrap()
}

/// Lets a thread stand still until its process ends.
fn hold(thread: libc::pid_t) {
    // SAFETY: no memory is involved; the calls change what the kernel does with a thread
    // of a child of ours.
    let outcome = unsafe {
        libc::ptrace(libc::PTRACE_SEIZE, thread, 0, 0)
            | libc::ptrace(libc::PTRACE_INTERRUPT, thread, 0, 0)
    };
    assert_eq!(outcome, 0, "{}", io::Error::last_os_error());
    assert!(!has_ended(thread), "it stands still");
}

/// What is new of a thread that is held: whether it has ended.
fn has_ended(thread: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: the kernel writes one `c_int` during the call.
    let outcome = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
    assert_eq!(outcome, thread, "{}", io::Error::last_os_error());
    !libc::WIFSTOPPED(status)
}

#[test]
fn a_server_whose_store_does_not_close_says_so_and_ends_by_a_second_signal() {
    let durable = [
        "name = \"kept\"",
        "subscribe = \"users\"",
        "publish = \"subscribers\"",
        "history_count_max = 100",
    ];
    let mut server = Server::start(Settings::new().with_table("[[namespaces]]", &durable));
    let mut ann = Peer::member(server.address(), "ann", "kept:1");
    let reply = ann.call(json!({ "publish": { "channel": "kept:1", "data": "hello" } }));
    assert!(reply["publish"].is_object(), "{reply}");
    drop(ann);
    let store = thread_of(server.pid(), "store");
    hold(store);
    server.signal("TERM");
    server.wait_for_log("everybody has left", 1);
    server.wait_for_log("the next signal ends it at once", 1);
    // Whoever looks after it sees that it is there.
    assert_eq!(server.page("/health"), "alive\n");
    assert_eq!(server.metric("chat_draining"), 1.0);
    server.signal("HUP");
    server.signal("TERM");
    // A thread that is held is gone when whoever holds it has heard so.
    assert!(has_ended(store));
    assert_eq!(server.wait().code(), Some(143));
}

/// Lets a thread stand still in its next call of this number, for so long. `before` happens when
/// that is sure.
fn delay_next(thread: libc::pid_t, call: libc::c_long, by: Duration, before: impl FnOnce()) {
    hold(thread);
    let ask = |request, data: libc::c_int| {
        // SAFETY: no memory is involved.
        let outcome = unsafe { libc::ptrace(request, thread, 0, data) };
        assert_eq!(outcome, 0, "{}", io::Error::last_os_error());
    };
    // Otherwise the kernel does not say which call it is.
    ask(libc::PTRACE_SETOPTIONS, libc::PTRACE_O_TRACESYSGOOD);
    let mut before = Some(before);
    loop {
        ask(libc::PTRACE_SYSCALL, 0);
        if let Some(before) = before.take() {
            before();
        }
        assert!(!has_ended(thread), "it stops at each call");
        let mut at = std::mem::MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
        let bytes = size_of_val(&at);
        // SAFETY: the kernel writes at most so many bytes; all zeros are a value of this type.
        let info = unsafe {
            let got = libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, thread, bytes, at.as_mut_ptr());
            assert!(0 < got, "{}", io::Error::last_os_error());
            at.assume_init()
        };
        // SAFETY: where it is the beginning of a call, this is what the kernel wrote.
        let is_it =
            info.op == libc::PTRACE_SYSCALL_INFO_ENTRY && unsafe { info.u.entry.nr } == call as u64;
        if is_it {
            std::thread::sleep(by);
            return ask(libc::PTRACE_DETACH, 0);
        }
    }
}

#[test]
fn writes_of_the_log_show_and_a_disk_that_is_slow_in_their_time() {
    let kept = Settings::new().with("[[namespaces]]", "durability = \"fsync\"");
    let server = Server::start(kept);
    let mut ann = Peer::member(server.address(), "ann", "room:1");
    let publish = json!({ "publish": { "channel": "room:1", "data": "hello" } });
    let bytes = server.metric("chat_store_log_bytes_total");
    let syncs = server.metric("chat_store_log_sync_seconds_count");
    let batches = server.metric("chat_store_log_batches_total");
    for _ in 0..5 {
        let reply = ann.call(publish.clone());
        assert!(reply["publish"].is_object(), "{reply}");
    }
    // Numbers are shown just before the answer leaves the store.
    let grown = |sample: &str, before: f64| server.metric(sample) - before;
    assert!(5.0 <= grown("chat_store_log_batches_total", batches));
    assert!(5.0 <= grown("chat_store_log_sync_seconds_count", syncs));
    assert!(5.0 * 4_096.0 <= grown("chat_store_log_bytes_total", bytes));
    assert_eq!(server.metric("chat_store_log_failures_total"), 0.0);
    assert!(1.0 <= server.metric("chat_store_log_segments{state=\"used\"}"));
    assert_eq!(server.metric("chat_store_log_unapplied_limit_bytes"), 8.0 * 524_288.0);
    // The database follows by itself.
    server.wait_for_metric("chat_store_log_unapplied_bytes", 0.0);

    // Out of one page: a mark may be written at any time.
    let slow = |server: &Server| {
        let page = server.page("/metrics");
        let value = |sample: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(sample));
            line.expect("it is shown").trim().parse::<f64>().expect("a number")
        };
        value("chat_store_log_sync_seconds_count ")
            - value("chat_store_log_sync_seconds_bucket{le=\"0.25\"} ")
    };
    let before = slow(&server);
    let store = thread_of(server.pid(), "store");
    let by = Duration::from_millis(300);
    delay_next(store, libc::SYS_pwritev2, by, || {
        ann.send(publish.clone());
    });
    // It sees its own messages, too.
    let answers = std::iter::repeat_with(|| ann.object());
    let reply = answers.take(99).find(|object| object["push"].is_null()).expect("it is answered");
    assert!(reply["publish"].is_object(), "{reply}");
    assert_eq!(slow(&server) - before, 1.0);
}

#[test]
fn a_bridge_whose_queue_hangs_ends_by_a_second_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (port, log) = (free_port(), folder.path().join("log"));
    let config = idle_bridge(folder.path(), port);
    let arguments = ["alert-bridge", "run", "--config", &config];
    let mut bridge = Running::start(&mut on_a_disk_that_hangs(&arguments, &log));
    let waits = until(|| {
        let tasks = fs::read_dir(format!("/proc/{}/task", bridge.pid())).ok()?;
        let mut states =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("syscall")).ok());
        let number = |state: &String| state.split(' ').next().map(str::to_owned);
        let syncs = [libc::SYS_fsync, libc::SYS_fdatasync].map(|call| Some(call.to_string()));
        states.any(|state| syncs.contains(&number(&state))).then_some(())
    });
    assert!(waits.is_some(), "no thread waits for the disk");
    bridge.signal("TERM");
    let told = || fs::read_to_string(&log).unwrap();
    // The same signal twice is one where the first was not taken yet.
    let ended = until(|| {
        bridge.signal("INT");
        bridge.ended()
    });
    let ended = ended.unwrap_or_else(|| panic!("it does not end: {}", told()));
    assert_eq!((ended.code(), ended.signal()), (Some(0), None), "{}", told());
    assert!(told().contains("cut off"), "{}", told());
}

#[test]
fn a_bridge_whose_settings_cannot_be_read_to_their_end_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (port, log) = (free_port(), folder.path().join("log"));
    let config = idle_bridge(folder.path(), port);
    let mut command = binary(["alert-bridge", "run", "--config", &config]);
    let mut bridge = Running::start(command.stderr(fs::File::create(&log).unwrap()));
    let ready = || fetch(port, "/ready").filter(|(status, _)| *status == 200);
    assert!(until(ready).is_some(), "it is ready");
    fs::remove_file(&config).unwrap();
    assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
    for _ in 0..3 {
        bridge.signal("HUP");
        assert!(ready().is_some(), "it is ready while nobody writes its settings");
    }
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code(), Some(0), "{}", fs::read_to_string(&log).unwrap());
}
