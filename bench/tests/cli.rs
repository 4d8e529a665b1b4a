//! The binary as somebody who measures uses it: a load against a server of its
//! own, a file, an exit code.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rookery_bench::outcome::Outcome;

const BINARY: &str = env!("CARGO_BIN_EXE_rookery-bench");

/// A bare ring in a process of its own.
struct Floor {
    child: Child,
    url: String,
}

impl Floor {
    fn start(mode: &str) -> Floor {
        let mut command = Command::new(BINARY);
        command.args(["floor", "--listen", "127.0.0.1:0", "--mode", mode]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("the floor listens on ").expect("it says where");
        let url = format!("ws://{address}");
        Floor { child, url }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs the binary to its end, which must have this exit code.
#[track_caller]
fn run(arguments: &[&str], code: i32) -> Output {
    let output = Command::new(BINARY).args(arguments).stdin(Stdio::null()).output().unwrap();
    let all = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {all}");
    output
}

fn outcome(file: &Path) -> Outcome {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn a_run_writes_what_it_found_and_can_be_run_again() {
    // Made by the binary, and what an earlier run left there is not mistaken for it.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-cli");
    drop(fs::remove_dir_all(&folder));
    let [first, again] = ["first.json", "again.json"].map(|name| folder.join(name));
    let floor = Floor::start("echo");
    let pid = floor.child.id().to_string();
    let place = ["--url", &floor.url, "--pid", &pid, "--json"];
    let load = "echo --plain -n 30 --active 5 --measure-ms 100 --rate 500 --seed 7 --threads 2";
    let load: Vec<&str> = load.split(' ').chain(place).chain([first.to_str().unwrap()]).collect();
    let output = run(&load, 0);
    assert!(text(&output.stdout).contains("30"), "{output:?}");

    let found = outcome(&first);
    assert_eq!((found.tally.live, found.tally.answered), (30, 30));
    assert_eq!((found.tally.published, found.tally.delivered), (50, 50));
    assert!(found.target.starts_with(&floor.url), "{}", found.target);
    assert_eq!(found.scenario.seed, 7);
    for sample in [found.server_start, found.server_before, found.server_after] {
        let sample = sample.expect("the process was named");
        assert!(0 < sample.resident_bytes && 0 < sample.cpu_ns, "{sample:?}");
    }

    let names = [first.to_str().unwrap(), again.to_str().unwrap()];
    run(&["again", names[0], "--url", &floor.url, "--json", names[1]], 0);
    let repeated = outcome(&again);
    assert_eq!(repeated.scenario, found.scenario);
    assert_eq!((repeated.tally.published, repeated.tally.delivered), (50, 50));
    assert_eq!(repeated.server_after, None, "nobody named the process");
}

#[test]
fn a_run_that_went_wrong_is_1_and_one_that_cannot_be_is_2() {
    // No port that the kernel would give to another test.
    let nobody = "ws://127.0.0.1:1";
    let output = run(&["connect", "--plain", "-n", "2", "--hold-ms", "1", "--url", nobody], 1);
    assert!(text(&output.stderr).contains("FAULT: "), "{output:?}");
    for wrong in [
        &["connect", "-n", "0"][..],
        &["connect", "--url", "http://nowhere"],
        &["connect", "--pid", "4194305"],
        &["again", "/nowhere/run.json"],
        &["report", "--only", "nothing"],
        &["dance"],
    ] {
        run(wrong, 2);
    }
}

#[test]
fn progress_is_a_bar_on_a_terminal_and_lines_elsewhere() {
    let floor = Floor::start("echo");
    let load = format!("{BINARY} connect --plain -n 20 --hold-ms 300 --url {}", floor.url);
    let arguments: Vec<&str> = load.split(' ').skip(1).collect();
    let lines = text(&run(&arguments, 0).stderr);
    assert!(lines.contains(" s  connected ") && lines.contains(" s  answered "), "{lines}");
    assert!(!lines.contains('\x1b') && !lines.contains('\r'), "{lines:?}");

    // A terminal of util-linux's making.
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &load, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::null());
    let output = terminal.output().unwrap();
    let bar = text(&output.stdout);
    assert!(output.status.success() && bar.contains("\x1b[") && bar.contains("/20"), "{bar:?}");
    assert!(!bar.contains(" s  connected "), "{bar:?}");
}
