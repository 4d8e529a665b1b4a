//! An application's backend that answers hooks, or does what a bad one does.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its path.
    pub path: String,
    /// The lines of its head, in lower case.
    pub head: Vec<String>,
    /// Its body, as it was signed.
    pub raw: Vec<u8>,
    /// The same, read.
    pub body: Value,
}

impl Asked {
    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.iter().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| *key == name).map(|(_, value)| value).collect()
    }
}

/// What it does with one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Answers 200 with this JSON.
    Json(Value),
    /// Answers with these bytes and closes.
    Raw(Vec<u8>),
    /// Sends these bytes, waits for the end of the connection, and never ends its answer.
    Hang(Vec<u8>),
    /// Sends a head, and a body without end until nobody takes it. Tells how many bytes it was.
    Endless(Sender<usize>),
}

/// A running backend. Ends with the process.
pub struct Backend {
    address: SocketAddr,
    asked: Receiver<Asked>,
}

impl Backend {
    /// One that answers as `answer` says.
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (tell, asked) = channel();
        let answer = std::sync::Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, tell) = (std::sync::Arc::clone(&answer), tell.clone());
                thread::spawn(move || serve(stream, &*answer, &tell));
            }
        });
        Backend { address, asked }
    }

    /// The lines of `[[hooks.endpoints]]` for a hook.
    pub fn endpoint(&self, hook: &str) -> Vec<String> {
        let url = format!("http://{}/hooks/{hook}", self.address);
        vec![format!("hook = {hook:?}"), format!("url = {url:?}")]
    }

    /// The next request.
    #[track_caller]
    pub fn asked(&self) -> Asked {
        self.asked.recv_timeout(Duration::from_secs(20)).expect("the backend is asked")
    }

    /// Whether none has come.
    pub fn is_left_alone(&self) -> bool {
        self.asked.try_recv().is_err()
    }
}

pub fn serve(mut stream: TcpStream, answer: &dyn Fn(&Asked) -> Answer, tell: &Sender<Asked>) {
    let Some(asked) = read_request(&mut stream) else { return };
    let answer = answer(&asked);
    let _ = tell.send(asked);
    match answer {
        Answer::Json(json) => {
            let body = json.to_string();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes());
        }
        Answer::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
        }
        Answer::Hang(bytes) => {
            let _ = stream.write_all(&bytes);
            let _ = stream.read(&mut [0]);
        }
        Answer::Endless(told) => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let mut sent = 0;
            while sent < 10 << 20 && stream.write_all(b"400\r\n").is_ok() {
                if stream
                    .write_all(&[b' '; 1_024])
                    .and_then(|()| stream.write_all(b"\r\n"))
                    .is_err()
                {
                    break;
                }
                sent += 1_024;
            }
            let _ = told.send(sent);
        }
    }
}

/// The request of a connection.
pub fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 65_536];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
            let head: Vec<String> = head.split("\r\n").map(lower_name).collect();
            let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length?.parse().ok()?;
            if end + 4 + length <= bytes.len() {
                let path = head[0].split(' ').nth(1)?.to_owned();
                let raw = bytes[end + 4..end + 4 + length].to_vec();
                let body = serde_json::from_slice(&raw).ok()?;
                return Some(Asked { path, head, raw, body });
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

fn lower_name(line: &str) -> String {
    match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
        None => line.to_owned(),
    }
}
