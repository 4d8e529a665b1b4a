//! The process as its operator sees it: start, pages, signals, exit codes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use tempfile::TempDir;

/// Nothing here takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

const UPGRADE: &str = "GET /connection/websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const TOKEN: &str = "a-token-that-only-the-tests-of-the-process-know";

/// A server of the development configuration, on ports of the kernel's choice.
struct Server {
    child: Child,
    log: BufReader<ChildStderr>,
    start: String,
    /// With what it keeps; goes with it.
    _folder: TempDir,
    clients: SocketAddr,
    admin: SocketAddr,
}

impl Server {
    /// With these settings on top, as environment variables.
    fn start(settings: &[(&str, &str)]) -> Server {
        Server::start_as(Command::new(env!("CARGO_BIN_EXE_rookery")), settings)
    }

    /// By a command that becomes the binary.
    fn start_as(command: Command, settings: &[(&str, &str)]) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let mut child = configured(command, &folder, settings).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let start = line_with(&mut log, "listening on ");
        let clients = named(&start)[0];
        let admin = start.split(" (admin ").nth(1).unwrap().split(')').next().unwrap();
        let admin = admin.parse().unwrap();
        Server { child, log, start, _folder: folder, clients, admin }
    }

    /// The status line and body of an admin page.
    fn page(&self, target: &str) -> String {
        page_at(self.admin, target)
    }

    /// The value of a sample.
    #[track_caller]
    fn sample(&self, series: &str) -> f64 {
        let page = self.page("/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("{series} ")));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
    }

    /// A peer that asked for an upgrade, and the first line of the answer.
    fn upgrade(&self) -> (TcpStream, String) {
        let mut stream = self.knock();
        let status = answer_of(&mut stream);
        (stream, status)
    }

    /// A peer that asks for an upgrade.
    fn knock(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.clients).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(UPGRADE.as_bytes()).unwrap();
        stream
    }

    /// What the kernel says about each thread that serves peers.
    fn shard_threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let all = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")));
        all.map(Result::unwrap).filter(|status| status.starts_with("Name:\tshard-")).collect()
    }

    /// Of the main thread.
    fn descriptors_in_use(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn line_with(&mut self, part: &str) -> String {
        line_with(&mut self.log, part)
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// CPU time that the process has had, in hundredths of a second.
    fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name in parentheses, which may contain anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

fn page_at(admin: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The same page with the admin token.
fn page_as_operator(admin: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The first line of an HTTP answer, when the whole head has come.
fn answer_of(stream: &mut TcpStream) -> String {
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

fn configured(mut command: Command, folder: &TempDir, settings: &[(&str, &str)]) -> Command {
    command.args(["serve", "--dev"]).stderr(Stdio::piped());
    command.env("ROOKERY_SERVER_LISTEN", "127.0.0.1:0");
    command.env("ROOKERY_SERVER_ADMIN_LISTEN", "127.0.0.1:0");
    command.env("ROOKERY_SERVER_CONNECTIONS_MAX", "15000");
    command.env("ROOKERY_STORE_DIR", folder.path().join("store"));
    command.envs(settings.iter().copied());
    command
}

/// Reads the log until a line contains `part`.
#[track_caller]
fn line_with(log: &mut impl BufRead, part: &str) -> String {
    let mut seen = String::new();
    for line in log.lines() {
        let line = line.unwrap();
        if line.contains(part) {
            return line;
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("the log ended without {part:?}:\n{seen}");
}

/// The one line with which a server does not start.
#[track_caller]
fn refusal(settings: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let command = Command::new(env!("CARGO_BIN_EXE_rookery"));
    let output = configured(command, &folder, settings).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    text.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn pages_answer_and_peers_are_upgraded() {
    let server = Server::start(&[("ROOKERY_SERVER_SHARDS", "2")]);
    assert!(server.start.contains("2 shards") && server.start.contains("15000 connections"));
    assert!(server.page("/health").ends_with("alive\n"));
    assert!(server.page("/ready").ends_with("ready\n"));
    assert!(server.page("/nothing").starts_with("HTTP/1.1 404 "));
    let (_peer, status) = server.upgrade();
    assert_eq!(status, "HTTP/1.1 101 Switching Protocols");
    assert_eq!(server.sample("chat_conn_accepted_total"), 1.0);
    assert_eq!(server.sample("chat_handshake_duration_seconds_count{outcome=\"ok\"}"), 1.0);
    assert!(server.page("/metrics?core=each").contains("chat_rooms{core=\"1\"} 0\n"));
}

#[test]
fn each_shard_can_have_a_descriptor_table_of_its_own() {
    let settings = [
        ("ROOKERY_SERVER_SHARDS", "5"),
        ("ROOKERY_SERVER_DESCRIPTOR_TABLE", "per-shard"),
        // A store opens files of its own when it likes.
        ("ROOKERY_NAMESPACES", "[{ name = 'room' }]"),
    ];
    let mut server = Server::start(&settings);
    assert!(server.start.contains("a descriptor table for each shard"), "{}", server.start);
    let before = server.descriptors_in_use();
    let peers: Vec<_> = (0..50).map(|_| server.upgrade()).collect();
    assert!(peers.iter().all(|(_, status)| status.contains(" 101 ")));
    assert_eq!(server.descriptors_in_use(), before, "connections are in the shards' tables only");
    drop(peers);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn each_shard_stays_on_its_cpu() {
    let server = Server::start(&[("ROOKERY_SERVER_SHARDS", "4")]);
    let threads = server.shard_threads();
    assert!(4 <= threads.len(), "{threads:?}");
    let cpus: BTreeSet<u16> = threads
        .iter()
        .flat_map(|status| status.lines())
        .filter_map(|line| line.strip_prefix("Cpus_allowed_list:\t"))
        .map(|list| list.parse().expect("one CPU"))
        .collect();
    let there = thread::available_parallelism().unwrap().get();
    assert_eq!(cpus.len(), there.min(4), "{cpus:?} of {there}");
}

#[test]
fn where_descriptors_are_few_those_who_fit_are_served_and_the_others_told_so() {
    let mut command = Command::new("prlimit");
    command.args(["--nofile=256:256", env!("CARGO_BIN_EXE_rookery")]);
    let settings = [("ROOKERY_SERVER_SHARDS", "1"), ("ROOKERY_SERVER_DESCRIPTOR_TABLE", "shared")];
    let server = Server::start_as(command, &settings);
    let places = server.start.split("for up to ").nth(1).and_then(|rest| rest.split(' ').next());
    let places: usize = places.and_then(|number| number.parse().ok()).expect("it says how many");
    assert!((1..256).contains(&places), "{}", server.start);
    let mut inside: Vec<_> = (0..places).map(|_| server.upgrade()).collect();
    assert!(inside.iter().all(|(_, status)| status.contains(" 101 ")));
    // More than there are descriptors for, as many at a time as can be told so.
    for _ in 0..10 {
        let mut crowd: Vec<TcpStream> = (0..30).map(|_| server.knock()).collect();
        assert!(crowd.iter_mut().all(|peer| answer_of(peer).contains(" 503 ")));
    }
    assert_eq!(server.sample("chat_active_connections{protocol=\"json\"}"), places as f64);
    assert_eq!(server.sample("chat_conn_rejected_total{reason=\"no_room\"}"), 300.0);
    // Who leaves makes room; the server may see it a moment later.
    drop(inside.pop());
    let again = (0..1_000).map(|_| server.upgrade()).find(|(_, status)| status.contains(" 101 "));
    assert!(again.is_some());
}

#[test]
fn the_first_signal_drains() {
    let mut server = Server::start(&[("ROOKERY_SERVER_SHARDS", "2")]);
    let (mut peer, _) = server.upgrade();
    server.signal("TERM");
    server.line_with("draining");
    assert!(server.page("/ready").ends_with("draining\n"));
    assert!(server.page("/health").ends_with("alive\n"));
    let mut frame = [0; 4];
    peer.read_exact(&mut frame).unwrap();
    assert_eq!((frame[0], u16::from_be_bytes([frame[2], frame[3]])), (0x88, 3001));
    peer.write_all(&[0x88, 0x82, 0, 0, 0, 0, frame[2], frame[3]]).unwrap();
    assert_eq!(server.exit_code(), Some(0));
    assert!(TcpStream::connect(server.clients).is_err(), "nobody listens any more");
}

#[test]
fn the_second_signal_ends_at_once() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut server = Server::start(&[]);
        let _peer_that_never_leaves = server.upgrade();
        server.signal("TERM");
        server.line_with("draining");
        server.signal(name);
        assert_eq!(server.exit_code(), Some(code));
    }
}

#[test]
fn a_hang_up_reads_the_keys_again() {
    let mut server = Server::start(&[]);
    server.signal("HUP");
    server.line_with("keys were read again");
    assert!(server.page("/ready").ends_with("ready\n"));
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let want = format!("address {address} is taken by another process");
    for shards in ["1", "3"] {
        let settings = [("ROOKERY_SERVER_SHARDS", shards), ("ROOKERY_SERVER_LISTEN", &address)];
        let refusal = refusal(&settings);
        assert!(refusal.contains(&want), "{refusal}");
    }
    let refusal = refusal(&[("ROOKERY_SERVER_ADMIN_LISTEN", &address)]);
    assert!(refusal.contains(&want), "{refusal}");
}

#[test]
fn two_servers_do_not_share_a_port() {
    let first = Server::start(&[("ROOKERY_SERVER_SHARDS", "2")]);
    let address = first.clients.to_string();
    let settings = [("ROOKERY_SERVER_SHARDS", "2"), ("ROOKERY_SERVER_LISTEN", &address)];
    assert!(refusal(&settings).contains("is taken by another process"));
}

/// That an address is reached, at most after a connection or two was told to wait.
fn reaches(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, PATIENCE).is_ok()
}

#[test]
fn all_addresses_are_those_of_both_families() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // a machine without IPv6
    }
    for shards in ["1", "2"] {
        let server = Server::start(&[
            ("ROOKERY_SERVER_SHARDS", shards),
            ("ROOKERY_SERVER_LISTEN", "[::]:0"),
            ("ROOKERY_SERVER_ADMIN_LISTEN", "[::]:0"),
            ("ROOKERY_ADMIN_TOKEN", TOKEN),
        ]);
        for port in [server.clients.port(), server.admin.port()] {
            for host in ["127.0.0.1", "::1"] {
                let address = SocketAddr::new(host.parse().unwrap(), port);
                assert!(reaches(address), "{address} with {shards} shards");
            }
        }
        // Who comes by IPv4 is shown with that address.
        let mut peer = TcpStream::connect(("127.0.0.1", server.clients.port())).unwrap();
        peer.write_all(UPGRADE.as_bytes()).unwrap();
        assert_eq!(answer_of(&mut peer), "HTTP/1.1 101 Switching Protocols");
        let own = peer.local_addr().unwrap().to_string();
        let admin = SocketAddr::new("127.0.0.1".parse().unwrap(), server.admin.port());
        let page = page_as_operator(admin, "/debug/conns");
        assert!(page.contains(&own), "{own} in {page}");
        // A second server that wants either family is told.
        for taken in ["127.0.0.1", "[::]"] {
            let taken = format!("{taken}:{}", server.clients.port());
            let refusal = refusal(&[("ROOKERY_SERVER_LISTEN", &taken)]);
            assert!(refusal.contains("is taken by another process"), "{taken}: {refusal}");
        }
    }
}

/// The addresses of the line that says where it listens.
fn named(start: &str) -> Vec<SocketAddr> {
    let (addresses, _) = start.split_once(" (admin ").unwrap();
    let (_, addresses) = addresses.split_once("listening on ").unwrap();
    addresses.split(" and ").map(|address| address.parse().unwrap()).collect()
}

/// A peer of an address, and the first line of its answer.
fn upgraded_at(address: SocketAddr) -> (TcpStream, String) {
    let mut peer = TcpStream::connect(address).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.write_all(UPGRADE.as_bytes()).unwrap();
    let answer = answer_of(&mut peer);
    (peer, answer)
}

#[test]
fn each_shard_listens_on_each_address_until_the_drain() {
    let list = "[{ address = '127.0.0.2:0' }, { address = '127.0.0.3:0' }]";
    for (shards, table) in [("1", "shared"), ("2", "shared"), ("3", "per-shard")] {
        let table = ("ROOKERY_SERVER_DESCRIPTOR_TABLE", table);
        let shards = ("ROOKERY_SERVER_SHARDS", shards);
        let mut server = Server::start(&[shards, table, ("ROOKERY_LISTENERS", list)]);
        let addresses = named(&server.start);
        let hosts: Vec<String> = addresses.iter().map(|one| one.ip().to_string()).collect();
        assert_eq!(hosts, ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        let peers: Vec<_> =
            (0..4).flat_map(|_| addresses.iter().copied().map(upgraded_at)).collect();
        assert!(peers.iter().all(|(_, status)| status.contains(" 101 ")), "{shards:?}");
        assert_eq!(server.sample("chat_conn_accepted_total"), 12.0);
        drop(peers);
        server.signal("TERM");
        assert_eq!(server.exit_code(), Some(0));
        for address in &addresses {
            assert!(TcpStream::connect(address).is_err(), "{address} is shut");
        }
        // The next one has the same ports at once.
        let again = addresses[1..].iter().map(|one| format!("{{ address = '{one}' }}"));
        let again = format!("[{}]", again.collect::<Vec<_>>().join(", "));
        let first = addresses[0].to_string();
        let settings =
            [shards, table, ("ROOKERY_LISTENERS", &*again), ("ROOKERY_SERVER_LISTEN", &first)];
        let server = Server::start(&settings);
        assert_eq!(named(&server.start), addresses);
        // Whoever comes too late is told which one it is.
        let third = format!("[{{ address = '{}' }}]", addresses[2]);
        let refusal = refusal(&[shards, table, ("ROOKERY_LISTENERS", &third)]);
        let want = format!("the address {} is taken by another process", addresses[2]);
        assert!(refusal.contains(&want), "{refusal}");
    }
}

#[test]
fn an_address_of_another_machine_is_named() {
    let list = "[{ address = '192.0.2.7:0' }]";
    for shards in ["1", "2"] {
        let refusal = refusal(&[("ROOKERY_SERVER_SHARDS", shards), ("ROOKERY_LISTENERS", list)]);
        assert!(refusal.contains("cannot listen on 192.0.2.7:0: "), "{refusal}");
    }
}

/// Runs the binary in a mount namespace of its own behind a command of the shell.
fn behind(change: &str) -> Command {
    let script = format!("{change} && exec {} \"$@\"", env!("CARGO_BIN_EXE_rookery"));
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]);
    command
}

#[test]
fn a_container_without_sys_proc_or_dev_has_a_server_all_the_same() {
    if !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|one| one.success()) {
        return; // only root may do so
    }
    for change in [
        "umount -l /sys",
        "mount -t tmpfs none /sys",
        "umount -l /proc",
        "mount -t tmpfs none /dev && : >/dev/null",
        "unset HOME TZ PATH",
        "umask 077",
    ] {
        let server = Server::start_as(behind(change), &[("ROOKERY_SERVER_SHARDS", "2")]);
        assert_eq!(server.upgrade().1, "HTTP/1.1 101 Switching Protocols", "{change}");
    }
}

#[test]
fn the_first_process_of_a_container_ends_by_its_signals() {
    for (name, code) in [("TERM", 0), ("INT", 0)] {
        let mut command = Command::new("unshare");
        let own = ["--user", "--map-root-user", "--pid", "--fork"];
        let binary = env!("CARGO_BIN_EXE_rookery");
        let script = format!("echo pid $$ >&2; exec {binary} \"$@\"");
        command.args(own).args(["sh", "-c", &script, "sh"]);
        if !Command::new("unshare").args(own).arg("true").status().is_ok_and(|one| one.success()) {
            return; // user namespaces are switched off
        }
        let mut server = Server::start_as(command, &[("ROOKERY_SERVER_SHARDS", "1")]);
        // `unshare` waits for it, and is not it: its one child is.
        let parent = server.child.id();
        let children =
            fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        let kill = format!("kill -{name} {}", children.trim());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        assert_eq!(server.exit_code(), Some(code), "SIG{name}");
    }
}

/// A control group with a CPU quota, where this process may make one. Goes with its value.
struct QuotaGroup(std::path::PathBuf);

impl QuotaGroup {
    fn new(quota_us: u32) -> Option<QuotaGroup> {
        let tops = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"];
        let name = format!("rookery-test-{}", std::process::id());
        tops.iter().find_map(|top| {
            let group = QuotaGroup(std::path::Path::new(top).join(&name));
            fs::create_dir(&group.0).ok()?;
            let one = fs::write(group.0.join("cpu.cfs_quota_us"), quota_us.to_string());
            let two = || fs::write(group.0.join("cpu.max"), format!("{quota_us} 100000"));
            one.or_else(|_| two()).ok()?;
            Some(group)
        })
    }
}

impl Drop for QuotaGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0); // only a group without processes can be removed
    }
}

#[test]
fn a_quota_of_half_a_cpu_is_one_shard() {
    // Where no group can be made, what its files would say is tested beside the code.
    let Some(group) = QuotaGroup::new(50_000) else { return };
    let script = format!(
        "echo $$ >{}/cgroup.procs && exec {} \"$@\"",
        group.0.display(),
        env!("CARGO_BIN_EXE_rookery")
    );
    let command = || {
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]);
        command
    };
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let two = ("ROOKERY_SERVER_SHARDS", "2");
    let server = Server::start_as(command(), &[two]);
    assert!(server.start.contains(" with 2 shards "), "who asks for two has two");
    drop(server);
    let server = Server::start_as(command(), &[]);
    assert!(server.start.contains(" with 1 shards "), "{} of {cpus} CPUs", server.start);
    drop(server);
    let told = command().args(["doctor", "--dev"]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let line = told.lines().find(|line| line.contains("CPU quota"));
    let named =
        line.is_some_and(|line| line.contains("allows 0.5 of ") && line.contains("1 shards"));
    assert!(named || cpus == 1, "{told}");
}

#[test]
fn logs_can_be_json() {
    let server = Server::start(&[("ROOKERY_SERVER_LOG_FORMAT", "json")]);
    let line: serde_json::Value = serde_json::from_str(&server.start).unwrap();
    assert_eq!(line["level"], "INFO");
    assert!(line["message"].as_str().unwrap().starts_with("listening on "));
}

#[test]
fn ten_thousand_idle_peers_cost_less_than_a_hundredth_of_a_core() {
    const PEERS: usize = 10_000;
    const WINDOW_S: u64 = 3;
    let (_, hard) = rlimit::Resource::NOFILE.get().unwrap();
    rlimit::Resource::NOFILE.set(hard, hard).unwrap();
    let server = Server::start(&[("ROOKERY_SESSION_CONNECT_MS_MAX", "60000")]);
    let peers: Vec<_> = (0..PEERS).map(|_| server.upgrade()).collect();
    assert!(peers.iter().all(|(_, status)| status.contains(" 101 ")));
    let before = server.cpu_ticks();
    thread::sleep(Duration::from_secs(WINDOW_S)); // the time over which it is measured
    let ticks = server.cpu_ticks() - before;
    assert!(ticks <= WINDOW_S, "{ticks} hundredths of a second in {WINDOW_S} s");
}

/// Nothing that is kept on a disk, so that nothing has begun a thread for it.
const IN_MEMORY: (&str, &str) =
    ("ROOKERY_NAMESPACES", "[{ name = \"room\", durability = \"memory\" }]");

/// Root is held to no limit of threads, so the command is that of a user with no others.
fn held_to_limits(user: &str, program: &str) -> Command {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", program]);
    command
}

/// What a control group or the system allows was used up by others since the start.
#[test]
fn a_server_that_may_have_no_more_threads_reloads_answers_and_drains() {
    let settings = [IN_MEMORY, ("ROOKERY_SERVER_SHARDS", "1")];
    let mut server =
        Server::start_as(held_to_limits("65532", env!("CARGO_BIN_EXE_rookery")), &settings);
    let mut limit = held_to_limits("65532", "prlimit");
    limit.args(["--nproc=1:1", "--pid", &server.child.id().to_string()]);
    assert!(limit.status().unwrap().success());
    server.signal("HUP");
    server.line_with("keys were read again");
    assert!(server.page("/health").ends_with("alive\n"));
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_server_that_may_have_too_few_threads_says_what_limits_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("prlimit");
    // As root the limit is set first, and holds for whom it becomes.
    let held = held_to_limits("65533", env!("CARGO_BIN_EXE_rookery"));
    command.arg("--nproc=4:4").arg(held.get_program()).args(held.get_args());
    let output = configured(command, &folder, &[IN_MEMORY]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("threads more") && text.contains("pids.max"), "{text}");
}

/// As after a deploy that removed the old version's directory.
#[test]
fn a_server_whose_directory_is_gone_starts_where_all_paths_are_whole() {
    let gone = |folder: &TempDir| {
        let mut command = Command::new("sh");
        let script = "mkdir \"$1\" && cd \"$1\" && rmdir \"$1\" && shift && exec \"$0\" \"$@\"";
        command.args(["-c", script, env!("CARGO_BIN_EXE_rookery")]).arg(folder.path().join("old"));
        command
    };
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_as(gone(&folder), &[]);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    let relative = [("ROOKERY_STORE_DIR", "store")];
    let output = configured(gone(&folder), &folder, &relative).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("store is relative to the directory"), "{text}");
}

/// The first line comes before the keys are in use, and before anything listens.
#[test]
fn a_reload_that_comes_while_a_server_starts_is_kept_for_later() {
    let folder = tempfile::tempdir().unwrap();
    let command = Command::new(env!("CARGO_BIN_EXE_rookery"));
    let mut child = configured(command, &folder, &[]).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    line_with(&mut log, "this is the development configuration");
    let kill = format!("kill -HUP {0}; kill -HUP {0}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    line_with(&mut log, "keys were read again");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_configuration_that_became_a_pipe_holds_no_later_reload_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rookery.toml");
    let text = "[session]\ninsecure = true\n";
    fs::write(&path, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
    command.args(["serve", "--config"]).arg(&path).stderr(Stdio::piped());
    command.env("ROOKERY_SERVER_LISTEN", "127.0.0.1:0");
    command.env("ROOKERY_SERVER_ADMIN_LISTEN", "127.0.0.1:0");
    command.env("ROOKERY_SERVER_CONNECTIONS_MAX", "1000");
    command.env(IN_MEMORY.0, IN_MEMORY.1);
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    line_with(&mut log, "listening on ");
    let hang_up = || {
        let kill = format!("kill -HUP {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    };
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    hang_up();
    line_with(&mut log, "it is a pipe, and no file");
    fs::remove_file(&path).unwrap();
    fs::write(&path, text).unwrap();
    hang_up();
    line_with(&mut log, "keys were read again");
    child.kill().unwrap();
    child.wait().unwrap();
}
