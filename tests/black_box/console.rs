//! The operators' console as a browser's page, a stranger and another site meet it.

mod backend_and_blocks;
mod dead_letters;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{ADMIN_TOKEN, Peer, Server, Settings, run, until};

/// One answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).expect("it is JSON")
    }

    /// The value of a header, by its name in lower case.
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// What a request says of itself, in order.
type Headers = Vec<(&'static str, String)>;

/// A page of the console in a browser: what it sends, as long as a test does not change it.
struct Page<'s> {
    server: &'s Server,
    host: String,
    cookie: String,
    csrf: String,
}

impl Page<'_> {
    fn new(server: &Server) -> Page<'_> {
        let host = format!("127.0.0.1:{}", server.admin_port);
        Page { server, host, cookie: String::new(), csrf: String::new() }
    }

    /// A page of somebody who has signed in.
    #[track_caller]
    fn signed_in<'s>(server: &'s Server, token: &str) -> Page<'s> {
        let mut page = Page::new(server);
        let answer = page.sign_in(token);
        let cookie = answer.header("set-cookie").expect("there is a cookie");
        page.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        page.csrf = answer.json()["csrf"].as_str().expect("there is a number").to_owned();
        page
    }

    #[track_caller]
    fn sign_in(&self, token: &str) -> Answer {
        self.send("POST", "session", &json!({ "token": token }).to_string())
    }

    #[track_caller]
    fn read(&self, path: &str) -> Value {
        self.send("GET", path, "").json()
    }

    #[track_caller]
    fn act(&self, body: &Value) -> Answer {
        self.send("POST", "acts", &body.to_string())
    }

    /// As the page sends it.
    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send_with(method, path, body, |_| ())
    }

    /// With other headers: `change` gets those that the page would send.
    #[track_caller]
    fn send_with(
        &self,
        method: &str,
        path: &str,
        body: &str,
        change: impl FnOnce(&mut Headers),
    ) -> Answer {
        let mut headers = vec![
            ("host", self.host.clone()),
            ("content-type", "application/json".to_owned()),
            ("sec-fetch-site", "same-origin".to_owned()),
        ];
        if method != "GET" {
            headers.push(("origin", format!("http://{}", self.host)));
            headers.push(("x-csrf-token", self.csrf.clone()));
        }
        if !self.cookie.is_empty() {
            headers.push(("cookie", self.cookie.clone()));
        }
        change(&mut headers);
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        ask(
            self.server,
            &format!(
                "{method} /console/api/{path} HTTP/1.1\r\n{lines}content-length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
    }
}

/// Sets a header that is there.
fn set(headers: &mut Headers, name: &str, value: &str) {
    for (_, old) in headers.iter_mut().filter(|(key, _)| *key == name) {
        value.clone_into(old);
    }
}

#[track_caller]
fn ask(server: &Server, request: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", server.admin_port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(90))).expect("a timeout can be set");
    stream.write_all(request.as_bytes()).expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it comes, and is a text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("it has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.expect("a status"), head: head.to_owned(), body: body.to_owned() }
}

/// A table of the configuration for a new operator, and their token.
fn operator(name: &str, role: &str) -> (Vec<String>, String) {
    let made = run(&["operator-token", "--name", name, "--role", role]);
    let table = String::from_utf8(made.stdout).expect("it is a text");
    let told = String::from_utf8(made.stderr).expect("it is a text");
    let token = told.lines().find_map(|line| line.split_once("shown this once: "));
    let token = token.expect("it is told").1.to_owned();
    (table.lines().skip(1).map(str::to_owned).collect(), token)
}

fn with_operator(settings: Settings, lines: &[String]) -> Settings {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    settings.with_table("[[admin.operators]]", &lines)
}

#[test]
fn a_token_becomes_a_session_that_ends_at_logout_and_at_a_restart() {
    let mut server = Server::start(Settings::new());
    let stranger = Page::new(&server);
    let refused = stranger.sign_in("wrong-wrong-wrong-wrong");
    assert_eq!((refused.status, refused.header("set-cookie")), (401, None), "{refused:?}");
    let begun = stranger.sign_in(ADMIN_TOKEN);
    let cookie = begun.header("set-cookie").expect("there is one").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/console", "Max-Age=28800"] {
        assert!(cookie.split("; ").any(|one| one == part), "{cookie}");
    }
    assert!(!cookie.contains(ADMIN_TOKEN) && !begun.body.contains(ADMIN_TOKEN));
    assert_eq!(begun.header("cache-control"), Some("no-store"));
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    let session = page.read("session");
    assert_eq!((&session["operator"], &session["role"]), (&json!("admin"), &json!("act")));
    assert_eq!(session["csrf"], page.csrf);
    assert_eq!(page.send("DELETE", "session", "").status, 204);
    assert_eq!(page.send("GET", "overview", "").status, 401);
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    let kept = (page.cookie.clone(), page.csrf.clone());
    server.signal("TERM");
    server.wait();
    server.start_again();
    let (cookie, csrf) = kept;
    let page = Page { cookie, csrf, ..Page::new(&server) };
    assert_eq!(page.send("GET", "overview", "").status, 401);
    assert!(!server.log().contains(ADMIN_TOKEN), "{}", server.log());
}

#[test]
fn nothing_is_shown_or_done_for_who_is_not_signed_in() {
    let server = Server::start(Settings::new());
    let _someone = Peer::member(server.address(), "ann-of-the-secret-room", "room:secret");
    let stranger = Page::new(&server);
    for path in [
        "session",
        "overview",
        "tenants",
        "rooms",
        "flights",
        "conns",
        "alerts",
        "quarantine",
        "blocks",
        "dead-letters",
        "audit",
        "none",
    ] {
        let answer = stranger.send("GET", path, "");
        let want = if path == "none" { 404 } else { 401 };
        assert_eq!(answer.status, want, "{path}: {answer:?}");
        assert!(!answer.body.contains("secret"), "{answer:?}");
    }
    let body = json!({ "act": "block_user", "user": "ann" });
    assert_eq!(stranger.act(&body).status, 401);
    assert_eq!(server.metric("chat_blocks"), 0.0);
}

#[test]
fn pages_of_other_sites_and_ports_are_refused_though_the_browser_sends_the_cookie() {
    let server = Server::start(Settings::new());
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    let other = format!("http://127.0.0.1:{}", server.port);
    let act = json!({ "act": "quarantine", "prefix": "~bot~python" }).to_string();
    let status = |change: &dyn Fn(&mut Headers)| {
        page.send_with("POST", "acts", &act, |headers| change(headers)).status
    };
    assert_eq!(status(&|headers| set(headers, "origin", &other)), 403);
    assert_eq!(status(&|headers| set(headers, "origin", "null")), 403);
    assert_eq!(status(&|headers| headers.retain(|(name, _)| *name != "origin")), 403);
    assert_eq!(status(&|headers| set(headers, "sec-fetch-site", "same-site")), 403);
    assert_eq!(status(&|headers| set(headers, "sec-fetch-site", "cross-site")), 403);
    assert_eq!(status(&|headers| set(headers, "content-type", "text/plain")), 415);
    assert_eq!(status(&|headers| set(headers, "x-csrf-token", &"0".repeat(64))), 403);
    assert_eq!(status(&|headers| headers.retain(|(name, _)| *name != "x-csrf-token")), 403);
    // A name that a stranger let point here: the page and the host are one origin to a browser.
    let rebound = |headers: &mut Headers| {
        set(headers, "host", "evil.example");
        set(headers, "origin", "http://evil.example");
    };
    assert_eq!(status(&rebound), 421);
    let read = page.send_with("GET", "overview", "", |headers| {
        set(headers, "sec-fetch-site", "same-site");
    });
    assert_eq!(read.status, 403);
    assert_eq!(page.read("quarantine")["prefixes"], json!([]));
    assert_eq!(status(&|_| ()), 204);
    assert_eq!(page.read("quarantine")["prefixes"][0]["prefix"], "~bot~python");
}

#[test]
fn a_sample_has_each_core_and_who_asks_at_once_gets_the_same() {
    let server = Server::start(Settings::new());
    let _ann = Peer::member(server.address(), "ann", "room:1");
    let _bob = Peer::member(server.address(), "bob", "room:1");
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    let wanted = until(|| {
        let sample = page.read("overview");
        let connections = sample["cores"]["connections"].as_array()?;
        let sum: i64 = connections.iter().filter_map(Value::as_i64).sum();
        (connections.len() == 2 && sum == 2).then_some(sample)
    });
    let sample = wanted.expect("two connections are seen");
    assert_eq!((&sample["readiness"], &sample["drain"]), (&json!("ready"), &Value::Null));
    let columns = sample["cores"].as_object().expect("there are some");
    assert!(columns.values().all(|column| column.as_array().is_some_and(|all| all.len() == 2)));
    let times: Vec<Value> = (0..2).map(|_| page.read("overview")["now_unix_ms"].clone()).collect();
    let sampled: Vec<u64> = times.iter().filter_map(Value::as_u64).collect();
    assert!(sampled[1] == sampled[0] || 1_000 <= sampled[1] - sampled[0], "{sampled:?}");
}

#[test]
fn the_largest_rooms_come_first_in_pages() {
    let server = Server::start(Settings::new());
    let _peers: Vec<Peer> = (0..6)
        .map(|number| {
            let mut peer = Peer::user(server.address(), &format!("user-{number}"));
            // The room with the number n has six less n of them.
            for room in 0..=(5 - number) {
                let channel = format!("room:{room}");
                let reply = peer.call(json!({ "subscribe": { "channel": channel } }));
                assert!(reply["subscribe"].is_object(), "{reply}");
            }
            peer
        })
        .collect();
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    let rooms = page.read("rooms?page=0");
    let found: Vec<(String, u64)> = rooms["rooms"]
        .as_array()
        .expect("it is a list")
        .iter()
        .map(|room| {
            let channel = room["channel"].as_str().unwrap_or_default().to_owned();
            (channel, room["members"].as_u64().unwrap_or_default())
        })
        .collect();
    let want: Vec<(String, u64)> = (0..6).map(|room| (format!("room:{room}"), 6 - room)).collect();
    assert_eq!(found, want);
    assert_eq!((&rooms["pages"], &rooms["silent_cores"]), (&json!(1), &json!([])));
    assert_eq!(page.read("rooms?page=3")["rooms"], json!([]));
    assert_eq!(page.send("GET", "rooms?page=4", "").status, 400);
    assert_eq!(page.read("rooms")["made_unix_ms"], rooms["made_unix_ms"], "it is kept for a while");
}

#[test]
fn who_may_look_may_not_act_and_both_are_written_down_by_name() {
    let (ann, ann_token) = operator("ann", "see");
    let (ben, ben_token) = operator("ben", "act");
    let settings = with_operator(with_operator(Settings::new(), &ann), &ben);
    let server = Server::start(settings.with("[server]", "log_format = \"json\""));
    let looks = Page::signed_in(&server, &ann_token);
    assert_eq!(looks.read("session")["role"], "see");
    assert_eq!(looks.act(&json!({ "act": "block_user", "user": "eve" })).status, 403);
    let acts = Page::signed_in(&server, &ben_token);
    assert_eq!(acts.act(&json!({ "act": "block_user", "user": "eve", "seconds": 60 })).status, 204);
    assert_eq!(server.metric("chat_blocks"), 1.0);
    assert_eq!(acts.act(&json!({ "act": "unblock_user", "user": "eve" })).status, 204);
    assert_eq!(server.metric("chat_blocks"), 0.0);
    assert_eq!(acts.act(&json!({ "act": "release", "prefix": "~none~python" })).status, 404);
    let audit = looks.read("audit");
    let told = |list: &str| -> Vec<(String, String, String, String)> {
        let word = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let rows = audit[list].as_array().expect("it is a list").iter();
        rows.map(|one| {
            (word(one, "event"), word(one, "actor"), word(one, "target"), word(one, "outcome"))
        })
        .collect()
    };
    let row = |event: &str, actor: &str, target: &str, outcome: &str| {
        (event.to_owned(), actor.to_owned(), target.to_owned(), outcome.to_owned())
    };
    assert_eq!(
        told("acts"),
        [
            row("prefix.released", "ben", "~none~python", "refused"),
            row("user.unblocked", "ben", "eve", "done"),
            row("user.blocked", "ben", "eve", "done"),
            row("operator.signed_in", "ben", "", "done"),
            row("operator.signed_in", "ann", "", "done"),
        ]
    );
    assert_eq!(told("refusals"), [row("request.refused", "ann", "", "refused")]);
    // The same stands in the log, with fields that stay.
    server.wait_for_log("\"event\":\"user.blocked\"", 1);
    let log = server.log();
    let line = log.lines().find(|line| line.contains("\"user.blocked\"")).expect("it is there");
    let line: Value = serde_json::from_str(line).expect("it is JSON");
    assert_eq!((&line["actor"], &line["via"]), (&json!("ben"), &json!("console")));
    assert_eq!((&line["subject"], &line["outcome"]), (&json!("eve"), &json!("done")));
    assert_eq!(line["from"], "127.0.0.1");
    assert!(!log.contains(&ann_token) && !log.contains(&ben_token));
}

#[test]
fn what_a_backend_does_is_written_down_by_its_keys_name() {
    let api_port = crate::common::free_port();
    let listen = format!("listen = \"127.0.0.1:{api_port}\"");
    // The SHA-256 of "abc".
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let key = [
        "name = \"shop\"",
        &format!("sha256 = \"{hash}\""),
        "scopes = [\"blocks\", \"publish\"]",
        "channels = [\"*\"]",
    ];
    let settings = Settings::new().with_table("[api]", &[&listen]).with_table("[[api.keys]]", &key);
    let server = Server::start(settings);
    let call = |method: &str, key: &str, body: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", api_port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(90))).expect("a timeout can be set");
        let request = format!(
            "POST /api/{method} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it comes, and is a text");
        answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()).expect("a status")
    };
    assert_eq!(call("block_user", "abc", r#"{"user":"eve"}"#), 200);
    assert_eq!(call("disconnect", "abc", r#"{"user":"eve"}"#), 403);
    assert_eq!(call("publish", "abc", r#"{"channel":"room:1","data":{}}"#), 200);
    assert_eq!(call("block_user", "wrong", r#"{"user":"ann"}"#), 401);
    let audit = Page::signed_in(&server, ADMIN_TOKEN).read("audit");
    let told = |list: &str| -> Vec<[Value; 4]> {
        let rows = audit[list].as_array().expect("it is a list").iter();
        rows.map(|one| ["event", "actor", "target", "outcome"].map(|name| one[name].clone()))
            .collect()
    };
    let row = |texts: [&str; 4]| texts.map(Value::from);
    assert_eq!(
        told("calls"),
        [
            row(["user.disconnected", "shop", "eve", "refused"]),
            row(["user.blocked", "shop", "eve", "done"]),
        ]
    );
    assert_eq!(told("refusals"), [row(["credential.refused", "", "", "refused"])]);
}

#[test]
fn an_operators_token_is_good_for_debug_by_their_role() {
    let (ann, ann_token) = operator("ann", "see");
    let server = Server::start(with_operator(Settings::new(), &ann));
    let status = |method: &str, path: &str, token: &str| {
        server.ask(method, path, Some(token)).expect("it answers").0
    };
    assert_eq!(status("GET", "/debug/quarantine", &ann_token), 200);
    assert_eq!(status("POST", "/debug/quarantine?prefix=~bot~python", &ann_token), 403);
    assert_eq!(status("POST", "/debug/quarantine?prefix=~bot~python", ADMIN_TOKEN), 204);
    assert_eq!(status("DELETE", "/debug/quarantine/~none~python", ADMIN_TOKEN), 404);
    let audit = Page::signed_in(&server, ADMIN_TOKEN).read("audit");
    let row = |list: &str, at: usize| {
        let one = &audit[list][at];
        ["event", "actor", "via", "target", "outcome"].map(|name| one[name].clone())
    };
    let by =
        |event, actor, target, outcome| [event, actor, "debug", target, outcome].map(Value::from);
    assert_eq!(row("acts", 1), by("prefix.released", "admin", "~none~python", "refused"));
    assert_eq!(row("acts", 2), by("prefix.quarantined", "admin", "~bot~python", "done"));
    assert_eq!(row("refusals", 0), by("request.refused", "ann", "", "refused"));
}

/// A program in the place of Alertmanager, which gives this answer to whoever asks; its port, and
/// what it was asked first.
fn alertmanager(body: &'static str) -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has one").port();
    let (told, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1)
            {
                head.push(byte[0]);
            }
            // Whoever wanted to know may be gone.
            let _ = told.send(String::from_utf8_lossy(&head).into_owned());
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (port, asked)
}

#[test]
fn what_fires_is_what_alertmanager_says() {
    let off = Server::start(Settings::new());
    let page = Page::signed_in(&off, ADMIN_TOKEN);
    assert_eq!(page.read("alerts"), json!({ "state": "off", "alerts": [], "more": 0 }));
    let (port, asked) = alertmanager(
        r#"[{"labels":{"alertname":"ChatCoreLate","severity":"warning","core":"<1>"},
            "annotations":{"summary":"late"},"startsAt":"2026-11-30T08:00:00.000Z"}]"#,
    );
    let line = format!("alertmanager_url = \"http://127.0.0.1:{port}/\"");
    let server = Server::start(Settings::new().with("[admin]", line));
    let alerts = Page::signed_in(&server, ADMIN_TOKEN).read("alerts");
    let alert = &alerts["alerts"][0];
    assert_eq!((&alerts["state"], &alert["name"]), (&json!("good"), &json!("ChatCoreLate")));
    assert_eq!(
        (&alert["labels"], &alert["since"]),
        (&json!({ "core": "<1>" }), &json!("2026-11-30T08:00:00.000Z"))
    );
    let head = asked.recv_timeout(Duration::from_secs(90)).expect("it was asked");
    let path = "GET /api/v2/alerts?active=true&silenced=false&inhibited=false HTTP/1.1\r\n";
    assert!(head.starts_with(path), "{head}");
    let (port, _) = alertmanager("<html>");
    let line = format!("alertmanager_url = \"http://127.0.0.1:{port}\"");
    let server = Server::start(Settings::new().with("[admin]", line));
    assert_eq!(Page::signed_in(&server, ADMIN_TOKEN).read("alerts")["state"], "unreachable");
}

#[test]
fn a_block_ends_the_connections_that_it_is_about() {
    let server = Server::start(Settings::new());
    let mut eve = Peer::member(server.address(), "eve", "room:1");
    let mut ann = Peer::member(server.address(), "ann", "room:1");
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    assert_eq!(page.act(&json!({ "act": "block_user", "user": "eve" })).status, 204);
    assert_eq!(eve.closed().0, 3_503);
    assert_eq!(page.act(&json!({ "act": "disconnect_user", "user": "ann" })).status, 204);
    assert_eq!(ann.closed().0, 3_503);
    for (body, field) in [
        (json!({ "act": "block_user" }), "user"),
        (json!({ "act": "block_address", "address": "everywhere" }), "address"),
        (json!({ "act": "drain", "instance": "another" }), "instance"),
    ] {
        let answer = page.act(&body);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.starts_with(&format!("{field} ")), "{answer:?}");
    }
}

#[test]
fn a_reload_ends_the_sessions_of_who_is_an_operator_no_more() {
    let (ann, token) = operator("ann", "see");
    let server = Server::start(with_operator(Settings::new(), &ann));
    let page = Page::signed_in(&server, &token);
    let admin = Page::signed_in(&server, ADMIN_TOKEN);
    assert_eq!(page.send("GET", "overview", "").status, 200);
    server.rewrite_config(Settings::new());
    server.signal("HUP");
    server.wait_for_log("keys were read again", 1);
    assert_eq!(page.send("GET", "overview", "").status, 401);
    assert_eq!(page.sign_in(&token).status, 401);
    let audit = admin.read("audit");
    assert_eq!(audit["acts"][0]["event"], "keys.reloaded");
    assert_eq!(
        (&audit["acts"][0]["via"], &audit["acts"][0]["from"]),
        (&json!("signal"), &Value::Null)
    );
}

#[test]
fn a_drain_begins_at_the_console_and_its_progress_is_seen() {
    let mut server = Server::start(Settings::new());
    let _ann = Peer::member(server.address(), "ann", "room:1");
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    let instance = page.read("session")["instance"].clone();
    assert_eq!(page.act(&json!({ "act": "drain", "instance": instance })).status, 204);
    let draining = until(|| {
        let answer = page.send("GET", "overview", "");
        let sample: Value = serde_json::from_str(&answer.body).ok()?;
        (!sample["drain"].is_null()).then_some(sample)
    });
    // Ann's client answers nothing, so the drain takes all of its time.
    let sample = draining.expect("it is seen");
    assert_eq!(
        (&sample["readiness"], &sample["drain"]["over_ms"]),
        (&json!("draining"), &json!(2_000))
    );
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().contains("draining for up to 2000 ms (an operator)"), "{}", server.log());
}

#[test]
fn who_guesses_waits_at_debug_too_and_the_right_token_is_let_in() {
    let server = Server::start(Settings::new());
    let page = Page::new(&server);
    let wrong = "wrong-wrong-wrong-wrong";
    let seen: Vec<u16> = (0..12).map(|_| page.sign_in(wrong).status).collect();
    assert!(seen[..10].iter().all(|&status| status == 401), "{seen:?}");
    assert!(seen[10..].iter().all(|&status| status == 429), "{seen:?}");
    assert!(page.sign_in(wrong).header("retry-after").is_some());
    assert_eq!(server.ask("GET", "/debug/tasks", Some(wrong)).expect("it answers").0, 429);
    assert_eq!(page.sign_in(ADMIN_TOKEN).status, 200);
    let admin = Page::signed_in(&server, ADMIN_TOKEN);
    let refusals = admin.read("audit")["refusals"].clone();
    assert_eq!(refusals.as_array().map(Vec::len), Some(14), "{refusals}");
    assert_eq!((&refusals[0]["via"], &refusals[1]["via"]), (&json!("debug"), &json!("console")));
    assert_eq!(
        (&refusals[0]["event"], &refusals[0]["reason"]),
        (&json!("credential.refused"), &json!("token"))
    );
}

#[test]
fn bodies_and_paths_have_their_bounds() {
    let server = Server::start(Settings::new());
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    assert_eq!(page.send("POST", "acts", &"x".repeat(5_000)).status, 413);
    assert_eq!(page.send("POST", "acts", "not json").status, 400);
    assert_eq!(page.send("PUT", "acts", "{}").status, 405);
    assert_eq!(page.send("GET", "conns?sort=worst", "").status, 400);
    let moved = ask(&server, "GET /console HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/console/")));
    let absent = ask(&server, "GET /console/ HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(absent.status, 404);
    assert!(absent.body.contains("admin.console_dir"), "{absent:?}");
}

#[test]
fn the_page_is_served_with_a_strict_policy_where_it_is_installed() {
    let dir = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(dir.path().join("index.html"), "<!doctype html>").expect("it can be written");
    let line = format!("console_dir = \"{}\"", dir.path().display());
    let server = Server::start(Settings::new().with("[admin]", line));
    let page = ask(&server, "GET /console/ HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!((page.status, page.body.as_str()), (200, "<!doctype html>"));
    let policy = page.header("content-security-policy").expect("there is one");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    // A link of another site leads to the page, which shows nothing before its own requests.
    let linked = "GET /console/ HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: cross-site\r\n\r\n";
    assert_eq!(ask(&server, linked).status, 200);
    let rebound = "GET /console/ HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    assert_eq!(ask(&server, rebound).status, 421);
}
