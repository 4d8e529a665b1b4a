//! A server of the tests' configuration.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{fs, thread};

use tempfile::TempDir;

use super::process::{BINARY, Running, command, fetch, free_port, until};
use super::settings::{ADMIN_TOKEN, Settings};

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
        Server::start_by(command(BINARY), settings)
    }

    /// Starts it by a command that becomes the binary when it is given its arguments.
    #[track_caller]
    pub fn start_by(command: Command, settings: Settings) -> Server {
        let home = Home::new(&settings);
        let log = home.log();
        let mut server = home.begin(command, log.into());
        server.wait_until_ready();
        server
    }

    /// Starts it with another log than the file that `log` reads.
    #[track_caller]
    pub fn start_with_log(settings: Settings, log: impl Into<Stdio>) -> Server {
        let mut server = Server::begin_with_log(settings, log);
        server.wait_until_ready();
        server
    }

    /// The same, and does not wait.
    #[track_caller]
    pub fn begin_with_log(settings: Settings, log: impl Into<Stdio>) -> Server {
        Home::new(&settings).begin(command(BINARY), log.into())
    }

    /// The line with which it does not start.
    #[track_caller]
    pub fn refused(settings: Settings) -> String {
        let log = Server::refused_by(command(BINARY), settings);
        log.lines().last().unwrap_or_default().to_owned()
    }

    /// All that it says when it does not start, by a command that becomes the binary.
    #[track_caller]
    pub fn refused_by(command: Command, settings: Settings) -> String {
        let home = Home::new(&settings);
        let log = home.log();
        let mut server = home.begin(command, log.into());
        assert_eq!(server.wait().code(), Some(1), "{}", server.log());
        server.log()
    }

    /// Begins again after its end, with the same configuration and folder.
    #[track_caller]
    pub fn start_again(&mut self) {
        let log = self.folder.path().join("log");
        let log = File::options().append(true).open(log).expect("it is there");
        self.child = serve(command(BINARY), self.folder.path(), log.into());
        self.wait_until_ready();
    }

    /// The line that says where it listens.
    #[track_caller]
    pub fn start_line(&self) -> String {
        let line = until(|| {
            self.log().lines().find(|line| line.contains("listening on ")).map(str::to_owned)
        });
        line.unwrap_or_else(|| panic!("it does not say where it listens:\n{}", self.log()))
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
        fs::write(&file, settings.render(port, free_port(), folder.path()))
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

    /// The status and body of a page of diagnostics, with the tests' token.
    #[track_caller]
    pub fn debug(&self, method: &str, path: &str) -> (u16, String) {
        let (status, body) = self.ask(method, path, Some(ADMIN_TOKEN)).expect("it answers");
        (status, String::from_utf8(body).expect("it is a text"))
    }

    /// The JSON of a page of diagnostics.
    #[track_caller]
    pub fn evidence(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.debug("GET", path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("it is JSON")
    }

    /// Waits until the JSON of a page of diagnostics is as wanted, and returns it.
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
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
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
        fs::write(self.folder.path().join("rookery.toml"), text).expect("it can be written");
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Sends a signal by the kernel's own tool, as an operator would.
    pub fn signal(&self, name: &str) {
        self.child.signal(name);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.child
            .wait()
            .unwrap_or_else(|| panic!("the server did not end in time:\n{}", self.log()))
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        let is_ready = until(|| {
            if let Some(status) = self.child.ended() {
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

/// A folder with a configuration; nothing runs yet.
struct Home {
    folder: TempDir,
    port: u16,
    admin_port: u16,
}

impl Home {
    #[track_caller]
    fn new(settings: &Settings) -> Home {
        let (port, admin_port) = (free_port(), free_port());
        // Some of those who become the binary are another user by then.
        let all_may_read = fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().permissions(all_may_read).tempdir();
        let folder = folder.expect("a temporary folder can be made");
        fs::create_dir(folder.path().join("store")).expect("it can be made");
        let text = settings.render(port, admin_port, folder.path());
        fs::write(folder.path().join("rookery.toml"), text).expect("it can be written");
        Home { folder, port, admin_port }
    }

    fn log(&self) -> File {
        File::create(self.folder.path().join("log")).expect("it can be made")
    }

    #[track_caller]
    fn begin(self, command: Command, log: Stdio) -> Server {
        let Home { folder, port, admin_port } = self;
        let child = serve(command, folder.path(), log);
        Server { child, folder, port, admin_port }
    }
}

#[track_caller]
fn serve(mut command: Command, folder: &Path, log: Stdio) -> Running {
    command.args(["serve", "--config"]).arg(folder.join("rookery.toml"));
    Running::start(command.stdout(Stdio::null()).stderr(log))
}
