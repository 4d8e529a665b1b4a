//! A backend that publishes by the server API as fast as it is answered: some connections, each
//! of which has one call under way.
//!
//! Deliberately absent: other methods, and TLS: the API's listener has none.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::stats::{Latency, Summary};

/// Channels that each connection publishes into, one after the other.
const CHANNELS: u32 = 100;

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(60);

/// What the load is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The listener of the server API.
    pub api: SocketAddr,
    /// A key with the scope `publish`.
    pub key: String,
    /// Connections, each with a thread.
    pub connections: u32,
    /// Messages in one call: 1 is `publish`, more are a `batch`.
    pub batch: u32,
    /// Bytes of each message's data.
    pub data_bytes: u32,
    /// For how long.
    pub for_ms: u64,
}

/// What became of it.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Messages that were answered with their place, or at least without an error.
    pub published: u64,
    /// Messages that were refused.
    pub refused: u64,
    /// Published a second.
    pub per_s: f64,
    /// Of calls.
    pub latency: Summary,
}

/// Publishes until the time is over.
pub fn run(options: &Options) -> Result<Outcome, String> {
    let clock = Clock::start();
    let ended = thread::scope(|scope| {
        let publish = |n: u32| scope.spawn(move || Publisher::new(options, n)?.run(options));
        let threads: Vec<_> = (0..options.connections).map(publish).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().expect("a publisher does not panic")
        };
        threads.into_iter().map(join).collect::<Result<Vec<Counted>, io::Error>>()
    });
    let ended = ended.map_err(|error| format!("{}: {error}", options.api))?;
    let seconds = clock.ns() as f64 / 1e9;
    let mut all = Counted::default();
    for one in &ended {
        all.published += one.published;
        all.refused += one.refused;
        all.latency.add(&one.latency);
    }
    Ok(Outcome {
        published: all.published,
        refused: all.refused,
        per_s: all.published as f64 / seconds,
        latency: all.latency.summary(),
    })
}

/// What one connection has counted.
#[derive(Default)]
struct Counted {
    published: u64,
    refused: u64,
    latency: Latency,
}

/// One connection, with the requests that it sends in turn.
struct Publisher {
    stream: TcpStream,
    requests: Vec<Vec<u8>>,
    answer: Vec<u8>,
}

impl Publisher {
    fn new(options: &Options, n: u32) -> io::Result<Publisher> {
        let stream = TcpStream::connect(options.api)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let text = "x".repeat(options.data_bytes.saturating_sub(2) as usize);
        let publish =
            |channel: u32| json!({ "channel": format!("room:{n}-{channel}"), "data": text });
        let requests = match options.batch {
            0 | 1 => (0..CHANNELS).map(|at| request(options, "publish", &publish(at))).collect(),
            batch => {
                let calls: Vec<Value> =
                    (0..batch).map(|at| json!({ "publish": publish(at % CHANNELS) })).collect();
                vec![request(options, "batch", &json!({ "commands": calls }))]
            }
        };
        Ok(Publisher { stream, requests, answer: Vec::new() })
    }

    fn run(mut self, options: &Options) -> io::Result<Counted> {
        let mut counted = Counted::default();
        let clock = Clock::start();
        for at in (0..self.requests.len()).cycle() {
            let began_ns = clock.ns();
            if options.for_ms * 1_000_000 <= began_ns {
                break;
            }
            self.stream.write_all(&self.requests[at])?;
            let answer = self.answer()?;
            counted.latency.record(clock.ns() - began_ns);
            let all = answer["replies"].as_array().map_or(1, Vec::len) as u64;
            let refused = match answer["replies"].as_array() {
                Some(replies) => replies.iter().filter(|one| one["error"].is_object()).count(),
                None => usize::from(!answer["result"].is_object()),
            };
            counted.refused += refused as u64;
            counted.published += all - refused as u64;
        }
        Ok(counted)
    }

    /// The body of the next answer.
    fn answer(&mut self) -> io::Result<Value> {
        let unlike = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        self.answer.clear();
        let body_at = loop {
            let end = self.answer.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(at) => break at + 4,
                None if HEAD_BYTES_MAX < self.answer.len() => return Err(unlike("a long head")),
                None => self.read()?,
            }
        };
        let head = String::from_utf8_lossy(&self.answer[..body_at]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: Option<usize> = length.and_then(|text| text.trim().parse().ok());
        let length = length.ok_or_else(|| unlike("an answer without a length"))?;
        while self.answer.len() < body_at + length {
            self.read()?;
        }
        serde_json::from_slice(&self.answer[body_at..]).map_err(|_| unlike("no JSON"))
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.answer.extend_from_slice(&buffer[..read]);
                    return Ok(());
                }
                // Whoever measures lets it rest meanwhile (SIGSTOP).
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn request(options: &Options, method: &str, body: &Value) -> Vec<u8> {
    let (api, key, body) = (options.api, &options.key, body.to_string());
    let length = body.len();
    format!(
        "POST /api/{method} HTTP/1.1\r\nhost: {api}\r\nx-api-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
