//! The process as its operator sees it: start, pages, signals, exit codes.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, pipe};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::common::{BINARY, Peer, Server, Settings, command, fetch, signal, upgrade_request};

/// Nothing here takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many shards.
fn shards(count: usize) -> Settings {
    Settings::new().with("[server]", format!("shards = {count}"))
}

/// A peer that asks for an upgrade.
#[track_caller]
fn knock(address: SocketAddr) -> Peer {
    let mut peer = Peer::silent(address);
    peer.send_raw(upgrade_request("/connection/websocket").as_bytes());
    peer
}

/// The first line of the answer.
#[track_caller]
fn answer_of(peer: &mut Peer) -> String {
    peer.read_head().lines().next().unwrap_or_default().to_owned()
}

/// A peer that asked for an upgrade, and the first line of the answer.
#[track_caller]
fn upgrade(address: SocketAddr) -> (Peer, String) {
    let mut peer = knock(address);
    let status = answer_of(&mut peer);
    (peer, status)
}

/// What the kernel says about each thread that serves peers.
fn shard_threads(server: &Server) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let all = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")));
    all.map(Result::unwrap).filter(|status| status.starts_with("Name:\tshard-")).collect()
}

/// Of the main thread.
fn descriptors_in_use(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// CPU time that the process has had, in hundredths of a second.
fn cpu_ticks(server: &Server) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    // After the name in parentheses, which may contain anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The addresses of the line that says where it listens.
fn named(start: &str) -> Vec<SocketAddr> {
    let (addresses, _) = start.split_once(" (admin ").unwrap();
    let (_, addresses) = addresses.split_once("listening on ").unwrap();
    addresses.split(" and ").map(|address| address.parse().unwrap()).collect()
}

#[test]
fn pages_answer_and_peers_are_upgraded() {
    let server = Server::start(shards(2));
    let start = server.start_line();
    assert!(start.contains("2 shards") && start.contains("15000 connections"), "{start}");
    assert_eq!(server.page("/health"), "alive\n");
    assert_eq!(server.page("/ready"), "ready\n");
    assert_eq!(fetch(server.admin_port, "/nothing").unwrap().0, 404);
    let (_peer, status) = upgrade(server.address());
    assert_eq!(status, "HTTP/1.1 101 Switching Protocols");
    assert_eq!(server.metric("chat_conn_accepted_total"), 1.0);
    assert_eq!(server.metric("chat_handshake_duration_seconds_count{outcome=\"ok\"}"), 1.0);
    assert!(server.page("/metrics?core=each").contains("chat_rooms{core=\"1\"} 0\n"));
}

#[test]
fn each_shard_can_have_a_descriptor_table_of_its_own() {
    let own = "descriptor_table = \"per-shard\"";
    let mut server = Server::start(shards(5).with("[server]", own));
    let start = server.start_line();
    assert!(start.contains("a descriptor table for each shard"), "{start}");
    let before = descriptors_in_use(&server);
    let peers: Vec<_> = (0..50).map(|_| upgrade(server.address())).collect();
    assert!(peers.iter().all(|(_, status)| status.contains(" 101 ")));
    // Whoever asked whether it is ready may have gone meanwhile.
    let after = descriptors_in_use(&server);
    assert!(after <= before, "connections are in the shards' tables only: {before}, {after}");
    drop(peers);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn each_shard_stays_on_its_cpu() {
    let server = Server::start(shards(4));
    let threads = shard_threads(&server);
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
    let mut limited = command("prlimit");
    limited.args(["--nofile=256:256", BINARY]);
    let settings = shards(1).with("[server]", "descriptor_table = \"shared\"");
    let server = Server::start_by(limited, settings);
    let start = server.start_line();
    let places = start.split("for up to ").nth(1).and_then(|rest| rest.split(' ').next());
    let places: usize = places.and_then(|number| number.parse().ok()).expect("it says how many");
    assert!((1..256).contains(&places), "{start}");
    let mut inside: Vec<_> = (0..places).map(|_| upgrade(server.address())).collect();
    assert!(inside.iter().all(|(_, status)| status.contains(" 101 ")));
    // More than there are descriptors for, as many at a time as can be told so.
    for _ in 0..10 {
        let mut crowd: Vec<Peer> = (0..30).map(|_| knock(server.address())).collect();
        assert!(crowd.iter_mut().all(|peer| answer_of(peer).contains(" 503 ")));
    }
    assert_eq!(server.metric("chat_active_connections{protocol=\"json\"}"), places as f64);
    assert_eq!(server.metric("chat_conn_rejected_total{reason=\"no_room\"}"), 300.0);
    // Who leaves makes room; the server may see it a moment later.
    drop(inside.pop());
    let mut tries = (0..1_000).map(|_| upgrade(server.address()));
    assert!(tries.any(|(_, status)| status.contains(" 101 ")));
}

/// With more time for a drain than the test has.
fn patient() -> Settings {
    shards(2).with("[server]", "drain_ms = 60000")
}

#[test]
fn the_first_signal_drains() {
    let mut server = Server::start(patient());
    let (mut peer, _) = upgrade(server.address());
    server.signal("TERM");
    server.wait_for_log("draining", 1);
    assert_eq!(fetch(server.admin_port, "/ready").unwrap().1, "draining\n");
    assert_eq!(server.page("/health"), "alive\n");
    assert_eq!(peer.closed().0, 3001);
    assert_eq!(server.wait().code(), Some(0));
    assert!(TcpStream::connect(server.address()).is_err(), "nobody listens any more");
}

#[test]
fn the_second_signal_ends_at_once() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut server = Server::start(patient());
        let _peer_that_never_leaves = upgrade(server.address());
        server.signal("TERM");
        server.wait_for_log("draining", 1);
        server.signal(name);
        assert_eq!(server.wait().code(), Some(code));
    }
}

#[test]
fn a_hang_up_reads_the_keys_again() {
    let server = Server::start(shards(2));
    server.signal("HUP");
    server.wait_for_log("keys were read again", 1);
    assert_eq!(server.page("/ready"), "ready\n");
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let want = format!("address {address} is taken by another process");
    for count in [1, 3] {
        let settings = shards(count).with("[server]", format!("listen = \"{address}\""));
        let refusal = Server::refused(settings);
        assert!(refusal.contains(&want), "{refusal}");
    }
    let settings = shards(1).with("[server]", format!("admin_listen = \"{address}\""));
    let refusal = Server::refused(settings);
    assert!(refusal.contains(&want), "{refusal}");
}

#[test]
fn two_servers_do_not_share_a_port() {
    let first = Server::start(shards(2));
    let listen = format!("listen = \"{}\"", first.address());
    let refusal = Server::refused(shards(2).with("[server]", listen));
    assert!(refusal.contains("is taken by another process"), "{refusal}");
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
    for count in [1, 2] {
        let settings = shards(count)
            .with("[server]", "listen = \"[::]:{port}\"")
            .with("[server]", "admin_listen = \"[::]:{admin_port}\"");
        let server = Server::start(settings);
        for port in [server.port, server.admin_port] {
            for host in ["127.0.0.1", "::1"] {
                let address = SocketAddr::new(host.parse().unwrap(), port);
                assert!(reaches(address), "{address} with {count} shards");
            }
        }
        // Who comes by IPv4 is shown with that address.
        let (peer, status) = upgrade(server.address());
        assert_eq!(status, "HTTP/1.1 101 Switching Protocols");
        let own = peer.stream.local_addr().unwrap().to_string();
        let (_, page) = server.debug("GET", "/debug/conns");
        assert!(page.contains(&own), "{own} in {page}");
        // A second server that wants either family is told.
        for taken in ["127.0.0.1", "[::]"] {
            let listen = format!("listen = \"{taken}:{}\"", server.port);
            let refusal = Server::refused(shards(1).with("[server]", listen));
            assert!(refusal.contains("is taken by another process"), "{taken}: {refusal}");
        }
    }
}

#[test]
fn each_shard_listens_on_each_address_until_the_drain() {
    for (count, table) in [(1, "shared"), (2, "shared"), (3, "per-shard")] {
        let settings = || shards(count).with("[server]", format!("descriptor_table = \"{table}\""));
        let also = |settings: Settings, address: &str| {
            settings.with_table("[[listeners]]", &[&format!("address = \"{address}\"")])
        };
        let three = also(also(settings(), "127.0.0.2:0"), "127.0.0.3:0");
        let mut server = Server::start(three);
        let addresses = named(&server.start_line());
        let hosts: Vec<String> = addresses.iter().map(|one| one.ip().to_string()).collect();
        assert_eq!(hosts, ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        let peers: Vec<_> = (0..4).flat_map(|_| addresses.iter().copied().map(upgrade)).collect();
        assert!(peers.iter().all(|(_, status)| status.contains(" 101 ")), "{count} shards");
        assert_eq!(server.metric("chat_conn_accepted_total"), 12.0);
        drop(peers);
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
        for address in &addresses {
            assert!(TcpStream::connect(address).is_err(), "{address} is shut");
        }
        // The next one has the same ports at once.
        let [first, second, third] = [0, 1, 2].map(|index| addresses[index].to_string());
        let again = settings().with("[server]", format!("listen = \"{first}\""));
        let server = Server::start(also(also(again, &second), &third));
        assert_eq!(named(&server.start_line()), addresses);
        // Whoever comes too late is told which one it is.
        let refusal = Server::refused(also(settings(), &third));
        let want = format!("the address {third} is taken by another process");
        assert!(refusal.contains(&want), "{refusal}");
    }
}

#[test]
fn an_address_of_another_machine_is_named() {
    for count in [1, 2] {
        let elsewhere = &["address = \"192.0.2.7:0\""];
        let refusal = Server::refused(shards(count).with_table("[[listeners]]", elsewhere));
        assert!(refusal.contains("cannot listen on 192.0.2.7:0: "), "{refusal}");
    }
}

/// Runs the binary in a mount namespace of its own behind a command of the shell.
fn behind(change: &str) -> Command {
    let script = format!("{change} && exec {BINARY} \"$@\"");
    let mut unshare = command("unshare");
    unshare.args(["--mount", "sh", "-c", &script, "sh"]);
    unshare
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
        let server = Server::start_by(behind(change), shards(2));
        let (_, status) = upgrade(server.address());
        assert_eq!(status, "HTTP/1.1 101 Switching Protocols", "{change}");
    }
}

#[test]
fn the_first_process_of_a_container_ends_by_its_signals() {
    let own = ["--user", "--map-root-user", "--pid", "--fork"];
    if !Command::new("unshare").args(own).arg("true").status().is_ok_and(|one| one.success()) {
        return; // user namespaces are switched off
    }
    for name in ["TERM", "INT"] {
        let mut unshare = command("unshare");
        unshare.args(own).arg(BINARY);
        let mut server = Server::start_by(unshare, shards(1));
        // `unshare` waits for it, and is not it: its one child is.
        let parent = server.pid();
        let children =
            fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        signal(children.trim().parse().expect("one child"), name);
        assert_eq!(server.wait().code(), Some(0), "SIG{name}");
    }
}

/// A control group with a CPU quota, where this process may make one. Goes with its value.
struct QuotaGroup(PathBuf);

impl QuotaGroup {
    fn new(quota_us: u32) -> Option<QuotaGroup> {
        let tops = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"];
        let name = format!("rookery-test-{}", std::process::id());
        tops.iter().find_map(|top| {
            let group = QuotaGroup(Path::new(top).join(&name));
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
    let script = format!("echo $$ >{}/cgroup.procs && exec {BINARY} \"$@\"", group.0.display());
    let held = || {
        let mut shell = command("sh");
        shell.args(["-c", &script, "sh"]);
        shell
    };
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let start = Server::start_by(held(), shards(2)).start_line();
    assert!(start.contains(" with 2 shards "), "who asks for two has two: {start}");
    let start =
        Server::start_by(held(), Settings::new().without("[server]", "shards")).start_line();
    assert!(start.contains(" with 1 shards "), "{start} of {cpus} CPUs");
    let told = held().args(["doctor", "--dev"]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let line = told.lines().find(|line| line.contains("CPU quota"));
    let named =
        line.is_some_and(|line| line.contains("allows 0.5 of ") && line.contains("1 shards"));
    assert!(named || cpus == 1, "{told}");
}

#[test]
fn logs_can_be_json() {
    let server = Server::start(shards(2).with("[server]", "log_format = \"json\""));
    let line: serde_json::Value = serde_json::from_str(&server.start_line()).unwrap();
    assert_eq!(line["level"], "INFO");
    assert!(line["message"].as_str().unwrap().starts_with("listening on "));
}

#[test]
fn ten_thousand_idle_peers_cost_less_than_a_hundredth_of_a_core() {
    const PEERS: usize = 10_000;
    const WINDOW_S: u64 = 3;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let server = Server::start(shards(2).with("[session]", "connect_ms_max = 60000"));
    let peers: Vec<_> = (0..PEERS).map(|_| upgrade(server.address())).collect();
    assert!(peers.iter().all(|(_, status)| status.contains(" 101 ")));
    let before = cpu_ticks(&server);
    thread::sleep(Duration::from_secs(WINDOW_S)); // the time over which it is measured
    let ticks = cpu_ticks(&server) - before;
    assert!(ticks <= WINDOW_S, "{ticks} hundredths of a second in {WINDOW_S} s");
}

/// Root is held to no limit of threads, so the command is that of a user with no others.
fn held_to_limits(user: &str, program: &str) -> Command {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return command(program);
    }
    let mut other_user = command("setpriv");
    other_user.args(["--reuid", user, "--regid", user, "--clear-groups", program]);
    other_user
}

/// What a control group or the system allows was used up by others since the start.
#[test]
fn a_server_that_may_have_no_more_threads_reloads_answers_and_drains() {
    let mut server = Server::start_by(held_to_limits("65532", BINARY), shards(1));
    let mut limit = held_to_limits("65532", "prlimit");
    limit.args(["--nproc=1:1", "--pid", &server.pid().to_string()]);
    assert!(limit.status().unwrap().success());
    server.signal("HUP");
    server.wait_for_log("keys were read again", 1);
    assert_eq!(server.page("/health"), "alive\n");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_server_that_may_have_too_few_threads_says_what_limits_them() {
    let mut limited = command("prlimit");
    // As root the limit is set first, and holds for whom it becomes.
    let held = held_to_limits("65533", BINARY);
    limited.arg("--nproc=4:4").arg(held.get_program()).args(held.get_args());
    let text = Server::refused_by(limited, shards(2));
    assert!(text.contains("threads more") && text.contains("pids.max"), "{text}");
}

/// As after a deploy that removed the old version's directory.
#[test]
fn a_server_whose_directory_is_gone_starts_where_all_paths_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let gone = || {
        let mut shell = command("sh");
        let script = "mkdir \"$1\" && cd \"$1\" && rmdir \"$1\" && shift && exec \"$0\" \"$@\"";
        shell.args(["-c", script, BINARY]).arg(folder.path().join("old"));
        shell
    };
    let kept = || shards(2).with("[[namespaces]]", "durability = \"fsync\"");
    let mut server = Server::start_by(gone(), kept());
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let text = Server::refused_by(gone(), kept().with("[store]", "dir = \"store\""));
    assert!(text.contains("store is relative to the directory"), "{text}");
}

/// The first line comes before the keys are in use, and before anything listens.
#[test]
fn a_reload_that_comes_while_a_server_starts_is_kept_for_later() {
    let (reader, writer) = pipe().unwrap();
    let server = Server::begin_with_log(shards(2).with("[session]", "insecure = true"), writer);
    let mut lines = BufReader::new(reader).lines().map(|line| line.expect("it is text"));
    let first = lines.next().expect("it warns");
    assert!(first.contains("session.insecure"), "{first}");
    server.signal("HUP");
    server.signal("HUP");
    assert!(lines.any(|line| line.contains("keys were read again")));
}

#[test]
fn a_configuration_that_became_a_pipe_holds_no_later_reload_up() {
    let server = Server::start(shards(2));
    let path = server.folder().join("rookery.toml");
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    server.signal("HUP");
    server.wait_for_log("it is a pipe, and no file", 1);
    fs::remove_file(&path).unwrap();
    server.rewrite_config(shards(2));
    server.signal("HUP");
    server.wait_for_log("keys were read again", 1);
}
