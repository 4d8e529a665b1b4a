use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

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

/// Sends a process a signal by the kernel's own tool, as an operator would.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill works");
}

/// A process that ends with its value.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the tests' servers want to see before they show evidence.
pub const ADMIN_TOKEN: &str = "a-token-that-only-the-black-box-tests-know";

/// A configuration with only what a test cares about; the rest is the tests' base.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    added: Vec<(&'static str, String)>,
    removed: Vec<(&'static str, &'static str)>,
    tables: Vec<(&'static str, Vec<String>)>,
}

impl Settings {
    /// The base as it is.
    pub fn new() -> Settings {
        Settings::default()
    }

    /// One line in a table; replaces the base's line with the same key.
    pub fn with(mut self, table: &'static str, line: impl Into<String>) -> Settings {
        self.added.push((table, line.into()));
        self
    }

    /// One more table of a list.
    pub fn with_table(mut self, table: &'static str, lines: &[&str]) -> Settings {
        self.tables.push((table, lines.iter().map(|&line| line.to_owned()).collect()));
        self
    }

    /// Without a line of the base.
    pub fn without(mut self, table: &'static str, key: &'static str) -> Settings {
        self.removed.push((table, key));
        self
    }

    /// The text of the file.
    fn render(&self, port: u16, admin_port: u16, folder: &Path) -> String {
        let mut tables: Vec<(&str, Vec<String>)> = BASE
            .iter()
            .map(|(table, lines)| (*table, lines.iter().map(|line| (*line).to_owned()).collect()))
            .collect();
        let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
        for (table, gone) in &self.removed {
            for (_, lines) in tables.iter_mut().filter(|(name, _)| name == table) {
                lines.retain(|line| key(line) != *gone);
            }
        }
        for (table, line) in &self.added {
            let found = tables.iter_mut().find(|(name, _)| name == table);
            let (_, lines) = found.expect("the base has each table that tests add to");
            lines.retain(|old| key(old) != key(line));
            lines.push(line.clone());
        }
        tables.extend(self.tables.iter().cloned());
        let mut text = String::new();
        for (table, lines) in tables {
            text += &format!("{table}\n{}\n\n", lines.join("\n"));
        }
        text.replace("{port}", &port.to_string())
            .replace("{admin_port}", &admin_port.to_string())
            .replace("{folder}", &folder.display().to_string())
    }
}

/// Tables and lines of the base. A table in brackets twice is one of a list; what
/// a test adds to such a name goes to the first.
const BASE: &[(&str, &[&str])] = &[
    (
        "[server]",
        &[
            "listen = \"127.0.0.1:{port}\"",
            "admin_listen = \"127.0.0.1:{admin_port}\"",
            "shards = 2",
            "connections_max = 15000",
            "drain_ms = 2000",
        ],
    ),
    // Tests send as fast as they can.
    ("[session]", &["commands_per_s = 0", "bytes_per_s = 0", "errors_per_s = 1000"]),
    ("[ws]", &[]),
    ("[admin]", &["token = \"a-token-that-only-the-black-box-tests-know\""]),
    ("[quarantine]", &[]),
    // For namespaces that a test makes durable.
    ("[store]", &["dir = \"{folder}/store\"", "reserve_bytes = 1048576"]),
    (
        "[[auth.keys]]",
        &["algorithm = \"HS256\"", "secret = \"a secret that only the black-box tests know\""],
    ),
    (
        "[[namespaces]]",
        &[
            "name = \"room\"",
            "subscribe = \"users\"",
            "publish = \"subscribers\"",
            "see_presence = \"subscribers\"",
            "see_history = \"subscribers\"",
            "presence = true",
            "join_leave = true",
            "history_count_max = 1000",
            "durability = \"memory\"",
            "data_bytes_max = 32768",
        ],
    ),
    (
        "[[namespaces]]",
        &[
            "name = \"wide\"",
            "subscribe = \"users\"",
            "publish = \"subscribers\"",
            "history_count_max = 1000",
            "durability = \"memory\"",
        ],
    ),
    ("[[namespaces]]", &["name = \"closed\"", "subscribe = \"token\""]),
    ("[[namespaces]]", &["name = \"@\"", "history_count_max = 10", "durability = \"memory\""]),
];

/// The running binary. Ends with its value.
pub struct Server {
    child: Running,
    folder: TempDir,
    /// Where peers connect.
    pub port: u16,
    /// Where operators ask.
    pub admin_port: u16,
}

impl Server {
    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start(settings: Settings) -> Server {
        Server::start_with_log(settings, |folder| {
            File::create(folder.join("log")).expect("it can be made").into()
        })
    }

    /// Starts it with another log than the file that `log` reads.
    #[track_caller]
    pub fn start_with_log(settings: Settings, log: impl FnOnce(&Path) -> Stdio) -> Server {
        let (port, admin_port) = (free_port(), free_port());
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("store")).expect("it can be made");
        let config = folder.path().join("rookery.toml");
        std::fs::write(&config, settings.render(port, admin_port, folder.path()))
            .expect("it can be written");
        let child = Running(spawn(&config, log(folder.path())));
        let mut server = Server { child, folder, port, admin_port };
        server.wait_until_ready();
        server
    }

    /// Begins again after its end, with the same configuration and folder.
    #[track_caller]
    pub fn start_again(&mut self) {
        let (config, log) =
            (self.folder.path().join("rookery.toml"), self.folder.path().join("log"));
        let log = File::options().append(true).open(log).expect("it is there");
        self.child = Running(spawn(&config, log.into()));
        self.wait_until_ready();
    }

    /// Where peers connect.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Where it keeps messages, if the settings say so.
    pub fn store_dir(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The tests' configuration, where a test needs it in a file.
    pub fn config_for(settings: Settings, folder: &TempDir, port: u16) -> PathBuf {
        let file = folder.path().join("rookery.toml");
        std::fs::write(&file, settings.render(port, free_port(), folder.path()))
            .expect("it can be written");
        file
    }

    /// The body of an admin page.
    #[track_caller]
    pub fn page(&self, path: &str) -> String {
        let (status, body) = self.fetch(path).expect("the admin listener answers");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The value of one sample of /metrics, by everything before the space.
    #[track_caller]
    pub fn metric(&self, sample: &str) -> f64 {
        let page = self.page("/metrics");
        let line = page.lines().find(|line| line.starts_with(&format!("{sample} ")));
        let line = line.unwrap_or_else(|| panic!("no {sample} in\n{page}"));
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
    }

    /// The status and body of a page of the evidence, with the tests' token.
    #[track_caller]
    pub fn debug(&self, method: &str, path: &str) -> (u16, String) {
        let (status, body) = self.ask(method, path, Some(ADMIN_TOKEN)).expect("it answers");
        (status, String::from_utf8(body).expect("it is a text"))
    }

    /// The JSON of a page of the evidence.
    #[track_caller]
    pub fn evidence(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.debug("GET", path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("it is JSON")
    }

    /// Waits until the JSON of a page of the evidence is as wanted, and returns it.
    #[track_caller]
    pub fn wait_for_evidence(
        &self,
        path: &str,
        is_wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let mut last = serde_json::Value::Null;
        let found = until(|| {
            last = self.evidence(path);
            is_wanted(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{path} is {last:#}"))
    }

    /// The status and body of an admin page.
    pub fn ask(&self, method: &str, path: &str, token: Option<&str>) -> Option<(u16, Vec<u8>)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.admin_port));
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(90))).ok()?;
        let token =
            token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8(answer[..end].to_vec()).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_off(end + 4)))
    }

    /// Where the test's own files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until the log has `words`, `times` times.
    #[track_caller]
    pub fn wait_for_log(&self, words: &str, times: usize) {
        let is_logged = until(|| (self.log().matches(words).count() >= times).then_some(()));
        assert!(is_logged.is_some(), "{words:?} was not logged in time");
    }

    /// Waits until a sample of /metrics has this value; a core counts the end of a
    /// connection after the peer has seen it.
    #[track_caller]
    pub fn wait_for_metric(&self, sample: &str, want: f64) {
        let is_so = until(|| (self.metric(sample) == want).then_some(()));
        assert!(is_so.is_some(), "{sample} is {} and not {want}", self.metric(sample));
    }

    /// Waits until an admin page has this body.
    #[track_caller]
    pub fn wait_for_page(&self, path: &str, want: &str) {
        let is_so = until(|| (self.page(path) == want).then_some(()));
        assert!(is_so.is_some(), "{path} is {:?} and not {want:?}", self.page(path));
    }

    /// Another configuration in the place of the one that it began with.
    pub fn rewrite_config(&self, settings: Settings) {
        let text = settings.render(self.port, self.admin_port, self.folder.path());
        std::fs::write(self.folder.path().join("rookery.toml"), text).expect("it can be written");
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Sends a signal by the kernel's own tool, as an operator would.
    pub fn signal(&self, name: &str) {
        signal(self.child.0.id(), name);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let ended = until(|| self.child.0.try_wait().expect("it is our child"));
        ended.unwrap_or_else(|| panic!("the server did not end in time:\n{}", self.log()))
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        let is_ready = until(|| {
            if let Some(status) = self.child.0.try_wait().expect("it is our child") {
                panic!("the server ended at once with {status}:\n{}", self.log());
            }
            self.fetch("/ready").filter(|(status, _)| *status == 200)
        });
        assert!(is_ready.is_some(), "the server was not ready in time:\n{}", self.log());
    }

    fn fetch(&self, path: &str) -> Option<(u16, String)> {
        fetch(self.admin_port, path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

fn spawn(config: &Path, log: Stdio) -> Child {
    Command::new(env!("CARGO_BIN_EXE_rookery"))
        .args(["serve", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the binary can be started")
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rookery"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary can be started")
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
