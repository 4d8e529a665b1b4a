//! `rookery probe` beside the real server, and beside what else may listen there.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;
use tungstenite::handshake::derive_accept_key;

use crate::common::{Running, Server, Settings, binary, fetch, free_port, run, until};

fn url(port: u16) -> String {
    format!("ws://127.0.0.1:{port}/connection/websocket")
}

/// One round with the server's own key, and what it says.
fn once(server: &Server, more: &[&str]) -> (Option<i32>, String) {
    let (url, config) = (url(server.port), server.folder().join("rookery.toml"));
    let config = config.display().to_string();
    let mut arguments = vec!["probe", "--once", "--server", &url, "--config", &config];
    arguments.extend(more);
    said(&run(&arguments))
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).expect("it writes UTF-8"))
}

#[test]
fn two_clients_chat_through_the_server() {
    let server = Server::start(Settings::new());
    let (code, words) = once(&server, &[]);
    assert_eq!(code, Some(0), "{words}");
    let mut rest = words.as_str();
    for part in ["handshake", "connect", "subscribe", "publish", "deliver", ", ok\n"] {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part} in {words}"));
        rest = &rest[at + part.len()..];
    }
    // Both have gone.
    server.wait_for_metric("chat_active_connections{protocol=\"json\"}", 0.0);
    assert_eq!(server.metric("chat_conn_closed_total{reason=\"normal\"}"), 2.0);
}

#[test]
fn the_part_that_fails_is_named() {
    let quiet = ["name = \"quiet\"", "subscribe = \"users\"", "publish = \"nobody\""];
    let server = Server::start(Settings::new().with_table("[[namespaces]]", &quiet));
    let check = |more: &[&str], want: &str| {
        let (code, words) = once(&server, more);
        assert!(code == Some(1) && words.contains(want), "{more:?}: {code:?} {words}");
    };
    let token = server.folder().join("token");
    fs::write(&token, "nonsense\n").unwrap();
    check(&["--token-file", token.to_str().unwrap()], "connect FAILED: closed with 3500");
    check(&["--channel", "closed:1"], "subscribe FAILED: refused with 103");
    check(&["--channel", "quiet:1"], "publish FAILED: refused with 103");
    let other = format!("ws://127.0.0.1:{}/elsewhere", server.port);
    let (code, words) = said(&run(&["probe", "--once", "--server", &other]));
    assert!(code == Some(1) && words.contains("handshake FAILED: no upgrade: HTTP status 404"));
    let (code, words) = said(&run(&["probe", "--once", "--server", &url(free_port())]));
    assert!(code == Some(1) && words.contains("handshake FAILED: no connection"), "{words}");
}

#[test]
fn wrong_use_is_said_before_anybody_is_asked() {
    for (arguments, want) in [
        (&["--server", "http://a/"][..], "ws://"),
        (&["--server", "ws://a/", "--server", "ws://a:80/b"], "twice"),
        (&["--server", "ws://a/", "--channel", ""], "not a channel"),
        (&["--server", "ws://a/", "--interval-s", "1"], "--limit-ms"),
        (&["--server", "ws://a/", "--config", "/nowhere.toml"], "/nowhere.toml"),
        (&[], "--server"),
    ] {
        let (code, words) = said(&run(&[&["probe", "--once"], arguments].concat()));
        assert!(code == Some(2) && words.contains(want), "{arguments:?}: {code:?} {words}");
    }
}

/// What listens in a server's place, and does this with each connection beside the others.
fn stranger(does: impl Fn(TcpStream) + Copy + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || does(stream));
        }
    });
    port
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn whatever_listens_there_a_round_ends_and_says_so_in_plain_letters() {
    let check = |port: u16, want: &str| {
        let url = url(port);
        let arguments = ["probe", "--once", "--server", &url, "--limit-ms", "700"];
        let (code, words) = said(&run(&arguments));
        assert!(code == Some(1) && words.contains(want), "{want}: {code:?} {words}");
        assert!(!words.trim_end().contains(|letter: char| letter.is_control()), "{words:?}");
    };
    // Holds what it takes, and never says anything.
    check(stranger(std::mem::forget), "handshake FAILED: it took too long");
    check(stranger(drop), "handshake FAILED: the connection was lost");
    // A head without an end.
    let endless = |mut stream: TcpStream| while stream.write_all(&[b'a'; 4_096]).is_ok() {};
    check(stranger(endless), "handshake FAILED: no upgrade: Malformed");
    let busy = |mut stream: TcpStream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 503 Busy\r\n\r\n");
    };
    check(stranger(busy), "handshake FAILED: no upgrade: HTTP status 503");
    let upgraded = |then: &'static [u8]| {
        move |mut stream: TcpStream| {
            let head = head(&mut stream);
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
            let accept = derive_accept_key(key.unwrap().as_bytes());
            let answer = format!(
                "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(then));
            // Until the other end goes.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    };
    // A close whose reason would paint the terminal.
    let close = b"\x88\x07\x0b\xb8\x1b[31m";
    check(stranger(upgraded(close)), "connect FAILED: closed with 3000 \"\\u{1b}[31m\"");
    check(stranger(upgraded(b"\x81\x02]]")), "connect FAILED: what came is not the protocol");
    // A message of four gigabytes is announced.
    let huge = b"\x81\x7f\x00\x00\x00\x01\x00\x00\x00\x00";
    check(stranger(upgraded(huge)), "connect FAILED: what came is not the protocol");
    let error = b"\x81\x2e{\"id\":1,\"error\":{\"code\":9,\"message\":\"\\u0007\"}}";
    check(stranger(upgraded(error)), "connect FAILED: refused with 9 \"\\u{7}\"");
    check(stranger(upgraded(b"")), "connect FAILED: it took too long");
}

/// The probe that goes on.
struct Watch {
    child: Running,
    port: u16,
    folder: TempDir,
}

impl Watch {
    fn start(arguments: &[&str]) -> Watch {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let listen = format!("127.0.0.1:{port}");
        let mut command = binary(["probe", "--interval-s", "1", "--limit-ms", "1000"]);
        command.args(["--listen", &listen]).args(arguments);
        let child = Running::start(command.stdout(log.try_clone().unwrap()).stderr(log));
        Watch { child, port, folder }
    }

    #[track_caller]
    fn page(&self) -> String {
        fetch(self.port, "/metrics").expect("it answers").1
    }

    #[track_caller]
    fn wait_for(&self, line: &str) {
        let has = |page: &str| page.lines().any(|one| one == line);
        let found = until(|| fetch(self.port, "/metrics").filter(|(_, page)| has(page)));
        assert!(found.is_some(), "no {line} in {}\n{}", self.page(), self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

#[test]
fn the_page_follows_the_server() {
    let mut server = Server::start(Settings::new());
    let config = server.folder().join("rookery.toml");
    let (url, name) = (url(server.port), format!("127.0.0.1:{}", server.port));
    let mut probe = Watch::start(&["--server", &url, "--config", config.to_str().unwrap()]);
    let success = |value: u8| format!("chat_probe_success{{server=\"{name}\"}} {value}");
    probe.wait_for(&success(1));
    server.signal("KILL");
    server.wait();
    probe.wait_for(&success(0));
    let page = probe.page();
    for stage in ["handshake", "deliver"] {
        let line = format!("chat_probe_duration_seconds{{server=\"{name}\",stage=\"{stage}\"}} 0");
        assert!(page.lines().any(|one| one == line), "{page}");
    }
    let failed = |count: u8| {
        format!("chat_probe_rounds_total{{outcome=\"handshake\",server=\"{name}\"}} {count}")
    };
    // Told once, however often it fails.
    probe.wait_for(&failed(2));
    server.start_again();
    probe.wait_for(&success(1));
    let log = probe.log();
    assert_eq!(log.matches("nobody can chat with").count(), 1, "{log}");
    assert_eq!(log.matches("two clients could chat with").count(), 2, "{log}");
    probe.child.signal("TERM");
    assert_eq!(probe.child.exit_code(), Some(0));
}

/// Who has no token cannot chat, so a page that still said so would be wrong.
#[test]
fn a_probe_without_its_token_fails_and_says_so_once() {
    let server = Server::start(Settings::new());
    let (url, name) = (url(server.port), format!("127.0.0.1:{}", server.port));
    let token = server.folder().join("token");
    let probe = Watch::start(&["--server", &url, "--token-file", token.to_str().unwrap()]);
    let success = |value: u8| format!("chat_probe_success{{server=\"{name}\"}} {value}");
    probe.wait_for(&success(0));
    probe.wait_for(&format!("chat_probe_rounds_total{{outcome=\"connect\",server=\"{name}\"}} 2"));
    assert_eq!(probe.log().matches("nobody can chat with").count(), 1, "{}", probe.log());
    assert!(probe.log().contains("connect: no token: "), "{}", probe.log());
    let config = server.folder().join("rookery.toml").display().to_string();
    let made = run(&["token", "--config", &config, "--user", "anna"]);
    fs::write(&token, made.stdout).unwrap();
    probe.wait_for(&success(1));
    fs::remove_file(&token).unwrap();
    probe.wait_for(&success(0));
}

/// TLS in front of a server, as a proxy has it.
const TLS_PROXY: &str = r#"
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)

def pipe(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass

def serve(raw):
    try:
        client = context.wrap_socket(raw, server_side=True)
    except OSError:
        return
    server = socket.create_connection(("127.0.0.1", int(sys.argv[3])))
    threading.Thread(target=pipe, args=(server, client), daemon=True).start()
    pipe(client, server)

while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

struct Proxy {
    port: u16,
    _child: Running,
}

impl Proxy {
    fn start(server: &Server) -> Proxy {
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
        let mut command = Command::new("python3");
        command.args(["-c", TLS_PROXY]);
        command.args(["cert", "private"].map(|part| keys.join(format!("loopback.{part}.pem"))));
        command.arg(server.port.to_string()).stdout(Stdio::piped());
        let mut child = Running::start(&mut command);
        let mut line = String::new();
        BufReader::new(child.stdout()).read_line(&mut line).unwrap();
        Proxy { port: line.trim().parse().unwrap(), _child: child }
    }
}

#[test]
fn tls_is_verified() {
    let server = Server::start(Settings::new());
    let proxy = Proxy::start(&server);
    let config = server.folder().join("rookery.toml").display().to_string();
    let url = format!("wss://127.0.0.1:{}/connection/websocket", proxy.port);
    let known = ["probe", "--once", "--server", &url, "--config", &config];
    let (code, words) = said(&run(&known));
    assert!(code == Some(1) && words.contains("handshake FAILED: no connection"), "{words}");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/loopback.cert.pem");
    let (code, words) = said(&run(&[&known[..], &["--ca-file", file]].concat()));
    assert_eq!(code, Some(0), "{words}");
    let (code, words) = said(&run(&[&known[..], &["--ca-file", "/nowhere.pem"]].concat()));
    assert!(code == Some(1) && words.contains("/nowhere.pem"), "{words}");
}
