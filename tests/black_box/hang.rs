//! The binary on a disk that hangs: syncs that never return, a storage thread that stands
//! still, files that nobody can read to their end. Signals are heard all the same.
//!
//! One of the files outside `src/ring` with `unsafe`: a child takes a seccomp filter upon
//! itself before it becomes the binary, and a test holds one of a server's threads.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::common::{Peer, Running, Server, Settings, fetch, free_port, signal, until};
use serde_json::json;

/// What the filter's instructions are made of (linux/filter.h, linux/bpf_common.h).
const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The binary where syncs never return: each is shown to a supervisor (seccomp_unotify(2)),
/// which is the process itself and never looks.
fn on_a_disk_that_hangs(arguments: &[&str], log: &Path) -> Command {
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    let filter = [
        step(LOAD_WORD, 0, 0),
        step(JUMP_IF_EQUAL, 2, libc::SYS_fsync as u32),
        step(JUMP_IF_EQUAL, 1, libc::SYS_fdatasync as u32),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        step(RETURN, 0, libc::SECCOMP_RET_USER_NOTIF),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(fs::File::create(log).expect("it can be made"));
    let take_filter = move || {
        let program =
            libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        // SAFETY: the kernel copies `len` instructions during the second call, and
        // does not write to them; `filter` outlives it.
        let supervisor = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
                &raw const program,
            )
        };
        if supervisor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: no memory is involved. Syncs fail at once where nobody supervises, so
        // the descriptor, which is this process's, stays open in the binary.
        let kept = unsafe { libc::fcntl(supervisor as libc::c_int, libc::F_SETFD, 0) };
        if kept == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec it makes three system calls and nothing else:
    // no lock, no allocation.
    unsafe { command.pre_exec(take_filter) };
    command
}

fn end_of(child: &mut Child) -> ExitStatus {
    until(|| child.try_wait().expect("it is our child")).expect("it ends")
}

#[test]
fn a_server_whose_store_does_not_open_is_alive_and_ends_by_one_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (port, log) = (free_port(), folder.path().join("log"));
    let store = folder.path().join("store").display().to_string();
    let admin = format!("127.0.0.1:{port}");
    let places = ["--listen", "127.0.0.1:0", "--admin-listen", &admin, "--store-dir", &store];
    let arguments = [&["serve", "--dev", "--connections-max", "1000"], &places[..]].concat();
    let mut server = Running(on_a_disk_that_hangs(&arguments, &log).spawn().unwrap());
    let said = || fs::read_to_string(&log).unwrap();
    let alive = until(|| fetch(port, "/health").filter(|(status, _)| *status == 200));
    assert!(alive.is_some(), "{}", said());
    assert_eq!(fetch(port, "/ready"), Some((503, "starting\n".to_owned())));
    assert_eq!(fetch(port, "/metrics").map(|(status, _)| status), Some(200));
    // Keys are read again when it has started, and not instead.
    signal(server.0.id(), "HUP");
    signal(server.0.id(), "TERM");
    assert_eq!(end_of(&mut server.0).code(), Some(0), "{}", said());
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

/// The configuration of a bridge with one robot, which is not there.
fn bridge_config(folder: &Path, port: u16) -> String {
    fs::write(folder.join("token"), "a-token").unwrap();
    let config = folder.join("bridge.toml");
    let text = format!(
        "[bridge]\nlisten = \"127.0.0.1:{port}\"\ndir = \"{}\"\n\
         [[robots]]\nname = \"one\"\nchannel = \"webhook\"\nchat = \"ops\"\n\
         url = \"http://127.0.0.1:{}/hook\"\ntoken_file = \"token\"\n\
         [[routes]]\nname = \"page\"\nchats = [\"ops\"]\n",
        folder.join("queue").display(),
        free_port()
    );
    fs::write(&config, text).unwrap();
    config.display().to_string()
}

#[test]
fn a_bridge_whose_queue_hangs_ends_by_a_second_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (port, log) = (free_port(), folder.path().join("log"));
    let config = bridge_config(folder.path(), port);
    let arguments = ["alert-bridge", "run", "--config", &config];
    let mut bridge = Running(on_a_disk_that_hangs(&arguments, &log).spawn().unwrap());
    let waits = until(|| {
        let tasks = fs::read_dir(format!("/proc/{}/task", bridge.0.id())).ok()?;
        let mut states =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("syscall")).ok());
        let number = |state: &String| state.split(' ').next().map(str::to_owned);
        let syncs = [libc::SYS_fsync, libc::SYS_fdatasync].map(|call| Some(call.to_string()));
        states.any(|state| syncs.contains(&number(&state))).then_some(())
    });
    assert!(waits.is_some(), "no thread waits for the disk");
    signal(bridge.0.id(), "TERM");
    let told = || fs::read_to_string(&log).unwrap();
    // The same signal twice is one where the first was not taken yet.
    let ended = until(|| {
        signal(bridge.0.id(), "INT");
        bridge.0.try_wait().expect("it is our child")
    });
    let ended = ended.unwrap_or_else(|| panic!("it does not end: {}", told()));
    assert_eq!((ended.code(), ended.signal()), (Some(0), None), "{}", told());
    assert!(told().contains("cut off"), "{}", told());
}

#[test]
fn a_bridge_whose_settings_cannot_be_read_to_their_end_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (port, log) = (free_port(), folder.path().join("log"));
    let config = bridge_config(folder.path(), port);
    let mut bridge = Running(
        Command::new(env!("CARGO_BIN_EXE_rookery"))
            .args(["alert-bridge", "run", "--config", &config])
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap(),
    );
    let ready = || fetch(port, "/ready").filter(|(status, _)| *status == 200);
    assert!(until(ready).is_some(), "it is ready");
    fs::remove_file(&config).unwrap();
    assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
    for _ in 0..3 {
        signal(bridge.0.id(), "HUP");
        assert!(ready().is_some(), "it is ready while nobody writes its settings");
    }
    signal(bridge.0.id(), "TERM");
    assert_eq!(end_of(&mut bridge.0).code(), Some(0), "{}", fs::read_to_string(&log).unwrap());
}
