//! A bridge, its robots, and where it lies.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{BINARY, binary, free_port, signal};

const POLL: Duration = Duration::from_millis(30);
const POLLS_MAX: usize = 4_000;

/// Looks until it is so.
#[track_caller]
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..POLLS_MAX {
        if is_so() {
            return;
        }
        thread::sleep(POLL);
    }
    panic!("waited too long for {what}");
}

/// One request; status and body. Status 0 is no answer.
pub fn request(address: &str, head: &str, body: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(address) else { return (0, String::new()) };
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket takes it");
    let length = body.len();
    let text =
        format!("{head}\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    // Whoever refuses a body may not read all of it.
    let _ = stream.write_all(text.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}

/// One POST.
pub fn post(address: &str, path: &str, kind: &str, body: &str) -> (u16, String) {
    request(address, &format!("POST {path} HTTP/1.1\r\ncontent-type: {kind}"), body)
}

/// An alert as Alertmanager tells it.
pub struct Alert {
    name: String,
    /// As Alertmanager says it; empty while it fires.
    pub ends_at: &'static str,
    pub starts_at: &'static str,
    pub severity: &'static str,
    pub annotations: Vec<(&'static str, String)>,
}

impl Alert {
    pub fn firing(name: &str) -> Alert {
        Alert {
            name: name.to_owned(),
            ends_at: "",
            starts_at: "2026-01-01T00:00:00Z",
            severity: "critical",
            annotations: vec![("summary", name.to_owned())],
        }
    }

    pub fn payload(group: &str, alerts: &[Alert]) -> String {
        let alert = |alert: &Alert| {
            let annotations: serde_json::Map<String, Value> = alert
                .annotations
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect();
            let (status, ends_at) = match alert.ends_at {
                "" => ("firing", "0001-01-01T00:00:00Z"),
                ends_at => ("resolved", ends_at),
            };
            json!({
                "status": status, "annotations": annotations, "fingerprint": alert.name,
                "labels": {"alertname": "ChatTest", "severity": alert.severity},
                "startsAt": alert.starts_at, "endsAt": ends_at, "generatorURL": "",
            })
        };
        json!({
            "version": "4", "groupKey": group, "truncatedAlerts": 0, "status": "firing",
            "receiver": "x", "groupLabels": {"alertname": "ChatTest"}, "commonLabels": {},
            "commonAnnotations": {}, "externalURL": "http://127.0.0.1:9093",
            "alerts": alerts.iter().map(alert).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

/// tests/alert/robots.py.
pub struct Robots {
    child: Child,
    address: String,
    is_tls: bool,
}

impl Robots {
    pub fn start(minute_s: f64, is_tls: bool) -> Robots {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
        let mut command = Command::new("python3");
        command
            .arg(format!("{root}/alert/robots.py"))
            .args(["--minute", &minute_s.to_string()])
            .args(["--wecom", "K1", "--wecom", "K2", "--dingtalk", "T1:SECtest:rookery"])
            .stdout(Stdio::piped());
        if is_tls {
            command.arg("--tls").arg(format!("{root}/keys/loopback.cert.pem"));
            command.arg(format!("{root}/keys/loopback.private.pem"));
        }
        let mut child = command.spawn().expect("python3 is there");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().rsplit("//").next().unwrap_or_default().to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{line}");
        Robots { child, address, is_tls }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http{}://{}{path}", if self.is_tls { "s" } else { "" }, self.address)
    }

    /// A fault for so many tries; 0 for none.
    pub fn fault(&self, robot: &str, fault: &str, count: u32) {
        let fault = if count == 0 { "none" } else { fault };
        let body = json!({"robot": robot, "fault": fault, "count": count, "seconds": 0.5});
        let (status, _) =
            post(&self.address, "/control/faults", "application/json", &body.to_string());
        assert_eq!(status, 200);
    }

    /// These robots refuse what has this word in it.
    pub fn refuse(&self, robot: &str, word: &str) {
        let body = json!({"robot": robot, "fault": "word", "word": word});
        let (status, _) =
            post(&self.address, "/control/faults", "application/json", &body.to_string());
        assert_eq!(status, 200);
    }

    fn list(&self, path: &str) -> Vec<Value> {
        let (status, body) = request(&self.address, &format!("GET {path} HTTP/1.1"), "");
        assert_eq!(status, 200);
        serde_json::from_str(&body).expect("a list")
    }

    /// The texts that stand in the chats, with when they arrived, in seconds since 1970.
    pub fn timed_messages(&self) -> Vec<(f64, String)> {
        let timed = |entry: &Value| {
            let text = entry["text"].as_str().unwrap_or_default().to_owned();
            (entry["at"].as_f64().unwrap_or_default(), text)
        };
        self.list("/messages").iter().map(timed).collect()
    }

    /// The texts that stand in the chats.
    pub fn messages(&self) -> Vec<String> {
        let text = |entry: &Value| entry["text"].as_str().unwrap_or_default().to_owned();
        self.list("/messages").iter().map(text).collect()
    }

    /// The codes of all tries.
    pub fn attempts(&self) -> Vec<i64> {
        let code = |entry: &Value| entry["code"].as_i64().unwrap_or_default();
        self.list("/attempts").iter().map(code).collect()
    }
}

impl Drop for Robots {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process, and its folder.
pub struct Bridge {
    child: Option<Child>,
    env: Vec<(String, String)>,
    folder: TempDir,
    address: String,
}

impl Bridge {
    /// A folder with a configuration; nothing runs yet.
    pub fn write(robots_url: &str, more: &str, robot_lines: &str) -> Bridge {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = format!("127.0.0.1:{}", free_port());
        let bridge = Bridge { child: None, env: Vec::new(), folder, address };
        for (name, text) in [
            ("token1", "K1\n"),
            ("token2", "K2"),
            ("ding", "T1"),
            ("sign", "SECtest"),
            ("key", "a key that only the bridge knows"),
        ] {
            fs::write(bridge.file(name), text).expect("it can be written");
        }
        bridge.write_config(&configuration(&bridge.address, robots_url, more, robot_lines));
        bridge
    }

    /// With these variables in its environment.
    pub fn with_env(mut self, variables: &[(&str, &str)]) -> Bridge {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.env.extend(variables.iter().map(owned));
        self
    }

    /// Two that ask each other; the first one first. Nothing runs yet.
    pub fn write_two(robots_url: &str, robot_lines: &str) -> [Bridge; 2] {
        let two = [(); 2].map(|()| Bridge::write(robots_url, "", robot_lines));
        for (index, bridge) in two.iter().enumerate() {
            let more = format!(
                "[peer]\nurl = \"http://{}\"\ntoken_file = \"key\"\nfirst = {}\n\
                 takeover_s = 6\n",
                two[1 - index].address,
                index == 0,
            );
            let text = configuration(&bridge.address, robots_url, &more, robot_lines);
            bridge.write_config(&text);
        }
        two
    }

    /// What its file says, changed.
    pub fn change_config(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.file("bridge.toml")).expect("it is there");
        assert!(text.contains(from), "{text}");
        self.write_config(&text.replace(from, to));
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write_config(&self, text: &str) {
        fs::write(self.file("bridge.toml"), text).expect("it can be written");
    }

    pub fn write_token(&self, token: &str) {
        fs::write(self.file("token1"), token).expect("it can be written");
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    fn binary(&self) -> Command {
        let mut command = binary(["alert-bridge"]);
        command.env("ROOKERY_ALERT_BRIDGE_CONFIG", self.file("bridge.toml"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Another of its commands: code, stdout, stderr.
    pub fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.binary().args(arguments).output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    fn log_file(&self) -> File {
        File::options().create(true).append(true).open(self.file("log")).expect("a file")
    }

    pub fn start(&mut self) {
        let mut command = self.binary();
        command.arg("run").stderr(self.log_file());
        self.spawn(command);
    }

    fn spawn(&mut self, mut command: Command) {
        self.child = Some(command.spawn().expect("it runs"));
        wait_for("the bridge to listen", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "it ended: {}", self.log());
            self.get("/health").0 == 200
        });
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.start();
    }

    /// Without pauses of robots that it remembers.
    pub fn kill_and_restart_forgetting(&mut self) {
        self.kill();
        fs::remove_dir_all(self.file("data")).expect("it is there");
        self.start();
    }

    /// So that the disk is full after so many KiB.
    pub fn restart_with_files_of_at_most(&mut self, kib: u32) {
        self.kill();
        let mut command = Command::new("bash");
        command.arg("-c").arg("trap '' XFSZ; ulimit -S -f \"$0\"; exec \"$@\"");
        command.arg(kib.to_string()).arg(BINARY);
        command.args(["alert-bridge", "run", "--config"]).arg(self.file("bridge.toml"));
        command.stderr(Stdio::null());
        self.spawn(command);
    }

    pub fn allow_files_of_any_size(&self) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        let done = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &id]).status();
        assert!(done.expect("prlimit is there").success());
    }

    pub fn hang_up(&self) {
        signal(self.child.as_ref().expect("it runs").id(), "HUP");
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// What lies in its directory, as text.
    pub fn everything_written(&self) -> String {
        let mut all = String::new();
        for entry in fs::read_dir(self.file("data")).expect("it is there") {
            let bytes = fs::read(entry.expect("an entry").path()).unwrap_or_default();
            all.push_str(&String::from_utf8_lossy(&bytes));
        }
        all
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        request(&self.address, &format!("GET {path} HTTP/1.1"), "")
    }

    pub fn notify(&self, route: &str, group: &str, alerts: &[Alert]) -> u16 {
        let body = Alert::payload(group, alerts);
        post(&self.address, &format!("/v1/notify/{route}"), "application/json", &body).0
    }

    /// As Alertmanager does it: again until it is kept.
    pub fn keep(&self, route: &str, group: &str, alerts: &[Alert]) {
        wait_for("the bridge to keep it", || self.notify(route, group, alerts) == 200);
    }

    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").1;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configuration(address: &str, robots: &str, more: &str, lines: &str) -> String {
    let bridge = format!("listen = \"{address}\"\ndir = \"data\"\noffset_minutes = 0\n");
    // What a test adds to a section stands in it.
    let (bridge, more) = match more.strip_prefix("[bridge]\n") {
        Some(lines) => (format!("{bridge}{lines}"), ""),
        None => (bridge, more),
    };
    let robot = |name: &str, chat: &str, token: &str| {
        format!(
            "[[robots]]\nname = \"{name}\"\nchat = \"{chat}\"\nurl = \"{robots}\"\n\
             token_file = \"{token}\"\n{lines}\n"
        )
    };
    let ding = robots.replace("/cgi-bin/webhook/send", "/robot/send");
    let route =
        |name: &str, chat: &str| format!("[[routes]]\nname = \"{name}\"\nchats = [\"{chat}\"]\n");
    [
        format!("[bridge]\n{bridge}\n[deadman]\nafter_s = 0\n{more}"),
        "[silence]\nalertmanager_url = \"http://{alertmanager}\"\n".to_owned(),
        format!("url = \"http://{address}\"\nkey_file = \"key\"\n"),
        robot("w1", "ops", "token1"),
        robot("w2", "ops", "token2"),
        robot("alone", "one", "token1"),
        format!(
            "[[robots]]\nname = \"d1\"\nchannel = \"dingtalk\"\nchat = \"ding\"\nurl = \"{ding}\"\n\
             token_file = \"ding\"\nsignature_file = \"sign\"\nkeyword = \"rookery\"\n"
        ),
        route("page", "ops"),
        route("one", "one"),
        route("ding", "ding"),
    ]
    .join("\n")
    .replace("{alertmanager}", "127.0.0.1:9")
}

/// A bridge that runs, and its robots.
pub struct World {
    pub bridge: Bridge,
    pub robots: Robots,
    alertmanager: Option<Child>,
}

impl World {
    /// With robots whose minute is so long, and these lines in each of them.
    pub fn new(minute_s: f64, robot_lines: &str) -> World {
        let mut world = World::with(minute_s, robot_lines, "");
        if world.bridge.child.is_none() {
            world.bridge.start();
        }
        world
    }

    /// With more in the configuration, for files that the test writes before it starts it.
    pub fn not_started(more: &str) -> World {
        let robots = Robots::start(60.0, false);
        let bridge = Bridge::write(&robots.url("/cgi-bin/webhook/send"), more, "");
        World { bridge, robots, alertmanager: None }
    }

    /// With more in the configuration. What needs files that are not there is started
    /// by the test.
    pub fn with(minute_s: f64, robot_lines: &str, more: &str) -> World {
        let robots = Robots::start(minute_s, false);
        let url = robots.url("/cgi-bin/webhook/send");
        let mut bridge = Bridge::write(&url, more, robot_lines);
        if !more.contains("templates_dir") {
            bridge.start();
        }
        World { bridge, robots, alertmanager: None }
    }

    /// A real Alertmanager that tells this bridge; its address.
    pub fn start_alertmanager(&mut self) -> String {
        let address = format!("127.0.0.1:{}", free_port());
        let config = format!(
            "route: {{receiver: page, group_by: [alertname, job], group_wait: 0s, \
             group_interval: 1s, repeat_interval: 1h}}\nreceivers:\n- name: page\n  \
             webhook_configs: [{{url: 'http://{}/v1/notify/page', send_resolved: true}}]\n",
            self.bridge.address()
        );
        fs::write(self.bridge.file("alertmanager.yml"), config).expect("it can be written");
        let text = fs::read_to_string(self.bridge.file("bridge.toml")).expect("it is there");
        self.bridge.write_config(&text.replace("127.0.0.1:9\"", &format!("{address}\"")));
        self.bridge.kill_and_restart();
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", self.bridge.file("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", self.bridge.file("am").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stderr(Stdio::null())
            .spawn();
        self.alertmanager = Some(child.expect("prometheus-alertmanager is installed"));
        wait_for("Alertmanager", || self.get_from(&address, "/-/ready").0 == 200);
        address
    }

    pub fn get_from(&self, address: &str, path: &str) -> (u16, String) {
        let (status, body) = request(address, &format!("GET {path} HTTP/1.0"), "");
        (status, body)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.alertmanager.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
