//! Processes of the binary: how they are started, asked and ended, and ports for them.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

/// The path of the binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_rookery");

const POLL: Duration = Duration::from_millis(10);
const POLLS_MAX: usize = 2_000;

/// Asks until there is an answer; `None` when there is none in time.
pub fn until<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..POLLS_MAX {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        thread::sleep(POLL);
    }
    None
}

/// The binary with these arguments, which settings of whoever runs the tests do not reach.
pub fn binary<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = command(BINARY);
    command.args(arguments);
    command
}

/// A program that may become the binary, without those settings.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROOKERY_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    binary(arguments.iter().copied()).output().expect("the binary can be started")
}

/// A process that ends with its value.
pub struct Running(Child);

impl Running {
    /// Starts it.
    #[track_caller]
    pub fn start(command: &mut Command) -> Running {
        Running(command.spawn().expect("it can be started"))
    }

    /// What the kernel calls it.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// What it writes, where that is a pipe and nobody has it yet.
    #[track_caller]
    pub fn stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().expect("it is a pipe")
    }

    /// Sends a signal by the kernel's own tool, as an operator would.
    pub fn signal(&self, name: &str) {
        signal(self.0.id(), name);
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("it is our child")
    }

    /// Waits for its end; `None` when that does not come in time.
    pub fn wait(&mut self) -> Option<ExitStatus> {
        until(|| self.ended())
    }

    /// Waits for its end, and says with which code; none where a signal ended it.
    #[track_caller]
    pub fn exit_code(&mut self) -> Option<i32> {
        self.wait().expect("it ends in time").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a process a signal by the kernel's own tool, as an operator would.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill works");
}

/// Status and body of a page on this machine.
pub fn fetch(port: u16, path: &str) -> Option<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    Some((status, body.unwrap_or_default()))
}

/// A port nobody listens on, below the usual range of source ports, so that no
/// client takes it in between. Tests of one process never get the same one.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let (low, high) = std::env::var("ROOKERY_TEST_PORTS")
        .ok()
        .and_then(|range| {
            let (low, high) = range.split_once('-')?;
            Some((low.parse::<u16>().ok()?, high.parse::<u16>().ok()?))
        })
        .unwrap_or((20_000, 29_999));
    // Processes that run at the same time begin at different places.
    let count = u32::from(high - low) + 1;
    let start = (std::process::id() * 97) % count;
    for _ in 0..count {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = low + u16::try_from((start + step) % count).expect("it is below the range");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free from {low} to {high}");
}
