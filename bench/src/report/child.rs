//! A server as a child process: on a core of its own, in a memory cgroup of its
//! own where the machine allows it, ready when it takes a connection, and ended
//! with the value.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rookery::auth::SecretHash;

use crate::clock::Clock;
use crate::engine::Target;
use crate::floor::Mode;
use crate::process::{OwnCgroup, Process, make_cgroup};

/// How long a server may take to listen.
const READY: Duration = Duration::from_secs(20);

/// Between two looks whether it does.
const LOOK: Duration = Duration::from_millis(20);

/// Which server, and how.
#[derive(Clone, Debug)]
pub enum Kind {
    /// rookery with a configuration for loads.
    Rookery {
        /// The binary.
        binary: PathBuf,
        /// Connections that will come.
        connections: u32,
        /// Where it keeps messages; in memory if not given.
        store: Option<Kept>,
        /// What for.
        purpose: Purpose,
    },
    /// The bare ring.
    Floor {
        /// What it does with a frame.
        mode: Mode,
    },
}

/// What a server of a report is for: which limits and which pings it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One very busy client: without quotas.
    Load,
    /// The same where nothing with a short patience stands before the server.
    Direct,
    /// Strangers: with the limits that it has when nobody sets any.
    Public,
    /// Pings so close together that a late server shows at once.
    Pressure,
}

/// Messages on disk.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The store's folder.
    pub dir: PathBuf,
    /// How many each room keeps.
    pub count_max: u32,
}

/// Where it runs.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Its port on 127.0.0.1; those behind it are for its admin listener and its server API.
    pub port: u16,
    /// Rings.
    pub shards: u16,
    /// The one core that it gets, or all.
    pub core: Option<usize>,
}

impl Placement {
    /// Ports that a server takes.
    pub const PORTS: u16 = 3;
}

/// A server that listens.
pub struct Server {
    /// Where its clients go.
    pub target: Target,
    /// For its memory and its time.
    pub process: Process,
    child: Child,
    config: PathBuf,
    _cgroup: Option<OwnCgroup>,
}

/// Signs the tokens of a report's clients. The server of the report knows it,
/// and listens on loopback only.
pub const SECRET: &str = "a-secret-between-two-processes-of-one-report";

/// What a report's operator signs in with.
const ADMIN_TOKEN: &str = "a-token-between-two-processes-of-one-report";

/// The key of a report's backend.
pub const API_KEY: &str = "a-key-between-two-processes-of-one-report";

impl Server {
    /// Starts it and waits until it listens.
    pub fn start(kind: &Kind, place: Placement) -> Result<Server, String> {
        let name = format!("rookery-bench-{}-{}", std::process::id(), place.port);
        let cgroup = make_cgroup(&name).ok();
        let config = std::env::temp_dir().join(format!("{name}.toml"));
        let (binary, arguments) = command(kind, place, &config)?;
        let child = spawn(&binary, &arguments, cgroup.as_ref(), place.core)?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, place.port));
        let target = Target::parse(&format!("ws://{addr}")).map_err(|flaw| flaw.to_string())?;
        let pid = child.id();
        let mut server = Server {
            target,
            // Known better once the child is in its cgroup.
            process: Process::find(pid).map_err(|error| error.to_string())?,
            child,
            config,
            _cgroup: cgroup,
        };
        server.wait_until_it_listens(addr)?;
        server.process = Process::find(pid).map_err(|error| error.to_string())?;
        Ok(server)
    }

    fn wait_until_it_listens(&mut self, addr: SocketAddr) -> Result<(), String> {
        let clock = Clock::start();
        while clock.elapsed() < READY {
            if TcpStream::connect(addr).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server ended before it listened: {status}"));
            }
            thread::sleep(LOOK);
        }
        Err(format!("nobody listens on {addr} after {} s", READY.as_secs()))
    }

    /// Where it shows what it knows about itself.
    pub fn admin(&self) -> Admin {
        Admin(SocketAddr::from((Ipv4Addr::LOCALHOST, self.target.addr.port() + 1)))
    }

    /// Where backends call.
    pub fn api(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.target.addr.port() + 2))
    }

    /// See [`Admin::metric`].
    pub fn metric(&self, name: &str) -> Result<f64, String> {
        self.admin().metric(name)
    }
}

/// A server's admin listener.
#[derive(Clone, Copy, Debug)]
pub struct Admin(SocketAddr);

impl Admin {
    /// A number that the server shows about itself: the series without labels.
    pub fn metric(self, name: &str) -> Result<f64, String> {
        let page = self.get(&format!("/metrics?name[]={name}"), "")?;
        let page = String::from_utf8_lossy(&page);
        number_of(&page, name).ok_or_else(|| format!("{} shows no {name}", self.0))
    }

    /// All that Prometheus would get.
    pub fn compressed_page(self) -> Result<Vec<u8>, String> {
        const LIKES: &str = "accept: application/openmetrics-text; version=1.0.0\r\n\
            accept-encoding: gzip\r\n";
        let page = self.get("/metrics", LIKES)?;
        let is_compressed = String::from_utf8_lossy(&page).contains("content-encoding: gzip");
        if is_compressed { Ok(page) } else { Err(format!("{} did not compress", self.0)) }
    }

    /// Signs an operator in.
    pub fn console(self) -> Result<ConsolePage, String> {
        let headers = format!("content-type: application/json\r\norigin: http://{}\r\n", self.0);
        let body = format!(r#"{{"token":"{ADMIN_TOKEN}"}}"#);
        let answer = self.ask("POST", "/console/api/session", &headers, &body)?;
        let head = String::from_utf8_lossy(&answer);
        let cookie =
            head.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
        let cookie = cookie.ok_or_else(|| format!("{}: no session: {head}", self.0))?.to_owned();
        Ok(ConsolePage { admin: self, cookie })
    }

    fn get(self, path: &str, headers: &str) -> Result<Vec<u8>, String> {
        self.ask("GET", path, headers, "")
    }

    /// Head and body of an answer.
    fn ask(self, method: &str, path: &str, headers: &str, body: &str) -> Result<Vec<u8>, String> {
        let admin = self.0;
        let failed = |error: io::Error| format!("{admin}: {error}");
        let mut stream = TcpStream::connect(admin).map_err(failed)?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {admin}\r\n{headers}content-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut page = Vec::new();
        stream.read_to_end(&mut page).map_err(failed)?;
        Ok(page)
    }
}

/// The console's page in the browser of an operator who has signed in.
#[derive(Clone, Debug)]
pub struct ConsolePage {
    admin: Admin,
    cookie: String,
}

impl ConsolePage {
    /// What the page asks for, such as `overview`. Any answer but 200 is an error.
    pub fn get(&self, what: &str) -> Result<(), String> {
        let path = format!("/console/api/{what}");
        let answer = self.admin.get(&path, &format!("cookie: {}\r\n", self.cookie))?;
        let head = String::from_utf8_lossy(&answer);
        if head.starts_with("HTTP/1.1 200 ") {
            return Ok(());
        }
        Err(format!("{path}: {}", head.lines().next().unwrap_or_default()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.config);
    }
}

/// From the text of a page of metrics.
fn number_of(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

fn command(kind: &Kind, place: Placement, config: &Path) -> Result<(PathBuf, Vec<String>), String> {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match kind {
        Kind::Rookery { binary, connections, store, purpose } => {
            let text = rookery_config(place, *connections, store.as_ref(), *purpose);
            fs::write(config, text).map_err(|error| format!("{}: {error}", config.display()))?;
            let path = config.display().to_string();
            Ok((binary.clone(), words(&["serve", "--config", &path])))
        }
        Kind::Floor { mode } => {
            let own = std::env::current_exe().map_err(|error| error.to_string())?;
            let mode = match mode {
                Mode::Hold => "hold",
                Mode::Echo => "echo",
                Mode::Fanout => "fanout",
            };
            let (listen, shards) = (format!("127.0.0.1:{}", place.port), place.shards.to_string());
            let list = ["floor", "--listen", &listen, "--shards", &shards, "--mode", mode];
            Ok((own, words(&list)))
        }
    }
}

/// Quotas off, where a load is one very busy client; everything else as an
/// operator would have it for rooms with history in memory, or on disk.
fn rookery_config(
    place: Placement,
    connections: u32,
    store: Option<&Kept>,
    purpose: Purpose,
) -> String {
    let Placement { port, shards, core } = place;
    let (admin_port, api) = (port + 1, api_config(port + 2));
    let cores = core.map(|core| core.to_string()).unwrap_or_default();
    // The kernel spreads peers over shards by chance.
    let connections_max = connections + connections / 8 + 1_000;
    let (store, count_max, age_ms_max, durability) = match store {
        None => (String::new(), 1_000, 300_000, "memory"),
        Some(Kept { dir, count_max }) => {
            (format!("[store]\ndir = {dir:?}\n"), *count_max, 86_400_000, "fsync")
        }
    };
    let session = match purpose {
        Purpose::Load | Purpose::Direct => UNLIMITED.to_owned(),
        Purpose::Public => String::new(),
        Purpose::Pressure => format!("{UNLIMITED}{PRESSED}"),
    };
    let proxied = purpose != Purpose::Direct;
    let crowd = match purpose {
        Purpose::Load | Purpose::Direct | Purpose::Pressure => "",
        Purpose::Public => CROWD,
    };
    format!(
        r#"[server]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin_port}"
shards = {shards}
cores = [{cores}]
connections_max = {connections_max}
handshakes_max = 100000
backlog = 65535
steer_by_cpu = false
proxied = {proxied}
log_level = "warn"

[admin]
token = "{ADMIN_TOKEN}"

[session]
{session}
[room]
rooms_max = 10000000

{store}
[[auth.keys]]
algorithm = "HS256"
secret = "{SECRET}"

{api}[[namespaces]]
name = "room"
subscribe = "users"
publish = "subscribers"
see_presence = "subscribers"
see_history = "subscribers"
history_count_max = {count_max}
history_bytes_max = 1073741824
history_age_ms_max = {age_ms_max}
durability = "{durability}"
{crowd}"#
    )
}

/// A listener for one backend.
fn api_config(port: u16) -> String {
    let key = SecretHash::of(API_KEY.as_bytes());
    format!(
        r#"[api]
listen = "127.0.0.1:{port}"

[[api.keys]]
name = "backend"
sha256 = "{key}"
scopes = ["publish"]
channels = ["room:*"]

"#
    )
}

/// For one very busy client.
const UNLIMITED: &str = "commands_per_s = 0
bytes_per_s = 0
connect_ms_max = 60000
upgrade_ms_max = 60000
outbox_bytes_max = 16777216
";

/// Fifty times as often as in life.
const PRESSED: &str = "ping_interval_ms = 1200
pong_ms_max = 1000
";

/// Whoever comes and goes is told, and people write to each other.
const CROWD: &str = r#"presence = true
join_leave = true

[[namespaces]]
name = "@"
publish = "users"
see_history = "subscribers"
history_count_max = 10000

[[namespaces]]
name = "dm"
subscribe = "users"
publish = "users"
see_history = "subscribers"
history_count_max = 10000
"#;

/// A child inherits the core of the thread that starts it, and enters its
/// cgroup before it becomes the server, so all of its memory is charged there.
fn spawn(
    binary: &Path,
    arguments: &[String],
    cgroup: Option<&OwnCgroup>,
    core: Option<usize>,
) -> Result<Child, String> {
    let mut command = match cgroup {
        Some(cgroup) => {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg("echo $$ > \"$0\" && exec \"$@\"").arg(cgroup.procs()).arg(binary);
            shell
        }
        None => Command::new(binary),
    };
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let starter = thread::spawn(move || {
        if let Some(core) = core {
            core_affinity::set_for_current(core_affinity::CoreId { id: core });
        }
        command.spawn()
    });
    let spawned = starter.join().expect("starting a process does not panic");
    spawned.map_err(|error| format!("{}: {error}", binary.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let page = "HTTP/1.1 200 OK\r\n\r\n# TYPE a_total counter\na_total{b=\"c\"} 7\n\
            a_total_more 8\na_total 9\r\n";
        assert_eq!(number_of(page, "a_total"), Some(9.0));
        assert_eq!(number_of(page, "a"), None);
        assert_eq!(number_of(page, "b"), None);
    }
}
