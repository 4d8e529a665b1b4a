//! Whoever reads the log may be slow, gone, or out of space: what serves goes on, signals
//! are answered, and what could not be said is counted.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::json;
use tempfile::TempDir;

use crate::common::{
    BINARY, Peer, Running, Server, Settings, binary, command, fetch, free_port, idle_bridge, until,
};

/// What a pipe holds (pipe(7)).
const PIPE_BYTES: usize = 65_536;

/// A pipe in which nothing more finds room.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().expect("a pipe can be made");
    writer.write_all(&vec![b'\n'; PIPE_BYTES]).expect("it has room for that");
    (reader, writer)
}

fn full_disk() -> Stdio {
    File::options().write(true).open("/dev/full").expect("it is there").into()
}

/// Two people talk, with a word that nobody has said before.
#[track_caller]
fn people_can_chat(server: &Server, word: &str) {
    let mut ann = Peer::member(server.address(), "ann", "room:1");
    let mut bob = Peer::member(server.address(), "bob", "room:1");
    let reply = ann.call(json!({ "publish": { "channel": "room:1", "data": word } }));
    assert!(reply["publish"].is_object(), "{reply}");
    assert_eq!(bob.publication().0, json!(word));
}

fn lost(port: u16, reason: &str) -> f64 {
    let (status, page) = fetch(port, "/metrics").expect("it answers");
    assert_eq!(status, 200);
    let series = format!("chat_log_lines_lost_total{{reason=\"{reason}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().expect("a number")
}

/// Until the process has said something that it could not write.
#[track_caller]
fn until_lost(port: u16, reason: &str, say: impl Fn()) {
    let is_lost = until(|| {
        say();
        (lost(port, reason) > 0.0).then_some(())
    });
    assert!(is_lost.is_some(), "nothing was lost because of {reason}");
}

#[test]
fn a_server_whose_log_reader_is_gone_serves_reloads_and_drains() {
    let (reader, writer) = pipe().unwrap();
    let mut server = Server::start_with_log(Settings::new(), writer);
    drop(reader);
    until_lost(server.admin_port, "failed", || server.signal("HUP"));
    people_can_chat(&server, "gone");
    assert_eq!(server.page("/health"), "alive\n");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_server_whose_log_disk_is_full_serves_reloads_and_drains() {
    let mut server = Server::start_with_log(Settings::new(), full_disk());
    assert!(lost(server.admin_port, "failed") > 0.0);
    server.signal("HUP");
    people_can_chat(&server, "full");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

/// A shell that becomes the binary after this.
fn shell(script: &str) -> Command {
    let mut shell = command("sh");
    shell.args(["-c", &format!("{script} exec \"$0\" \"$@\""), BINARY]);
    shell
}

#[test]
fn a_server_that_began_without_stderr_serves_and_drains() {
    let mut server = Server::start_by(shell("exec 2>&-;"), Settings::new());
    server.signal("HUP");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

/// The log's file is as long as `ulimit -f` allows, and a rotator asks for a new one as
/// it asks others. Nothing is kept on the disk, which has the same limit.
#[test]
fn a_server_whose_log_may_not_grow_serves_reloads_and_drains() {
    let mut server = Server::start_by(shell("ulimit -f 0;"), Settings::new());
    for name in ["USR1", "USR2"] {
        until_lost(server.admin_port, "failed", || server.signal(name));
    }
    server.signal("HUP");
    assert!(lost(server.admin_port, "failed") > 0.0);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_reader_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed() {
    let (reader, writer) = full_pipe();
    let mut server = Server::start_with_log(Settings::new(), writer);
    people_can_chat(&server, "before");
    // A line about a configuration with long mistakes is as long as lines may be, and 64 of them fill
    // the queue.
    let long = "x".repeat(200);
    let mistakes: String = (0..90).map(|n| format!("mistake_{n}{long} = {n}\n")).collect();
    fs::write(server.folder().join("rookery.toml"), format!("[server]\n{mistakes}")).unwrap();
    until_lost(server.admin_port, "full", || server.signal("HUP"));
    people_can_chat(&server, "meanwhile");
    assert_eq!(server.page("/health"), "alive\n");
    let lines = thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map(|line| line.expect("it is a text"));
        lines.filter(|line| !line.is_empty()).collect::<Vec<String>>()
    });
    server.wait_for_metric("chat_config_last_reload_successful", 0.0);
    // The last words come, too.
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let lines = lines.join().unwrap();
    assert!(lines[0].contains("listening on"), "{}", lines[0]);
    assert!(lines.iter().all(|line| line.len() < 17_000));
    let missed = lines.iter().find(|line| line.contains("log lines were lost"));
    assert!(missed.is_some_and(|line| line.contains("nobody read them in time")), "{missed:?}");
    assert!(lines.last().is_some_and(|line| line.contains("everybody has left")), "{lines:?}");
}

#[test]
fn a_server_ends_though_nobody_reads_its_last_words() {
    let (reader, writer) = full_pipe();
    let mut server = Server::start_with_log(Settings::new(), writer);
    people_can_chat(&server, "last");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    drop(reader);
}

/// What stays beside the server.
struct Beside {
    child: Running,
    port: u16,
    _folder: TempDir,
}

impl Beside {
    fn bridge(log: impl Into<Stdio>) -> Beside {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = idle_bridge(folder.path(), port);
        Beside::start(&["alert-bridge", "run", "--config", &config], folder, port, log.into())
    }

    fn probe(log: impl Into<Stdio>) -> Beside {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let nobody = format!("ws://127.0.0.1:{}/connection/websocket", free_port());
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["probe", "--server", &nobody, "--listen", &listen];
        Beside::start(&arguments, folder, port, log.into())
    }

    fn start(arguments: &[&str], folder: TempDir, port: u16, log: Stdio) -> Beside {
        let mut command = binary(arguments.iter().copied());
        let child = Running::start(command.stdout(Stdio::null()).stderr(log));
        let one = Beside { child, port, _folder: folder };
        let alive = until(|| fetch(port, "/health").filter(|(status, _)| *status == 200));
        assert!(alive.is_some(), "{arguments:?} does not answer");
        one
    }

    fn signal(&self, name: &str) {
        self.child.signal(name);
    }

    /// Ends by SIGTERM, and well.
    #[track_caller]
    fn ends(mut self) {
        self.signal("TERM");
        assert_eq!(self.child.exit_code(), Some(0));
    }
}

#[test]
fn a_bridge_goes_on_whatever_becomes_of_its_log() {
    let (reader, writer) = pipe().unwrap();
    let bridge = Beside::bridge(writer);
    drop(reader);
    until_lost(bridge.port, "failed", || bridge.signal("HUP"));
    bridge.ends();
    let bridge = Beside::bridge(full_disk());
    bridge.signal("HUP");
    until_lost(bridge.port, "failed", || ());
    bridge.ends();
    let (_reader, writer) = full_pipe();
    let bridge = Beside::bridge(writer);
    bridge.signal("HUP");
    assert_eq!(fetch(bridge.port, "/ready").unwrap().0, 200);
    bridge.ends();
}

#[test]
fn a_probe_goes_on_whatever_becomes_of_its_log() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let probe = Beside::probe(writer);
    until_lost(probe.port, "failed", || ());
    probe.ends();
    let (_reader, writer) = full_pipe();
    let probe = Beside::probe(writer);
    let rounds = || fetch(probe.port, "/metrics").filter(|(_, page)| page.contains("success{"));
    assert!(until(rounds).is_some(), "it goes its rounds");
    probe.ends();
}

/// The answer to a body that is no notification.
fn refused(port: u16, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /v1/notify/page HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn what_a_peer_makes_a_bridge_say_is_escaped_and_comes_at_a_rate() {
    const TRIES: usize = 600;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let bridge = Beside::bridge(File::create(&log).unwrap());
    for at in 0..TRIES {
        let body = format!("{{\"\u{1b}[2J\\nERROR forged-{at}\": \u{7f}\u{202e} }}");
        let answer = refused(bridge.port, &body);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let said = || fs::read_to_string(&log).unwrap().matches("a notification was refused").count();
    let all_counted =
        until(|| (said() + lost(bridge.port, "rate") as usize == TRIES).then_some(()));
    assert!(all_counted.is_some(), "{} and {}", said(), lost(bridge.port, "rate"));
    assert!(lost(bridge.port, "rate") > 0.0);
    let text = fs::read_to_string(&log).unwrap();
    assert!(!text.contains(|letter: char| letter != '\n' && letter.is_control()), "{text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("ERROR")), "{text:?}");
    // When it is quiet again, it says how many there were.
    let told = until(|| {
        let text = fs::read_to_string(&log).unwrap();
        text.contains("more lines like the last of").then_some(())
    });
    assert!(told.is_some());
    bridge.ends();
}

/// A command whose output nobody wants any more.
#[track_caller]
fn check_closed_output(arguments: &[&str], folder: &Path) {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let errors = folder.join("errors");
    let status = binary(arguments.iter().copied())
        .stdout(writer)
        .stderr(File::create(&errors).unwrap())
        .status()
        .unwrap();
    let said = fs::read_to_string(&errors).unwrap();
    assert_eq!((status.code(), &*said), (Some(0), ""), "{arguments:?}");
}

#[test]
fn a_command_whose_reader_has_read_enough_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["--version"],
        &["version"],
        &["completions", "bash"],
        &["print-config", "--dev"],
        &["token", "--dev", "--user", "ann"],
    ] {
        check_closed_output(arguments, folder.path());
    }
}
