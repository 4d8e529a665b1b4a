//! A backend that keeps a table of who is there, by the two rules of docs/PRESENCE_FEED.md.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::hooks::backend::read_request;

/// What it does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Keeps what they say, and answers.
    Takes,
    /// Keeps what every second one says, and closes the connection without an answer: it was killed
    /// in between.
    TakesAndDies,
    /// Answers with 503.
    Refuses,
    /// Answers nothing.
    Hangs,
    /// Is not there: whoever connects is cut off.
    Gone,
}

/// A running backend. Ends with the process.
pub struct FeedBackend {
    address: SocketAddr,
    mode: Arc<AtomicU8>,
    bodies: Receiver<Value>,
    epoch: Option<String>,
    /// By user: the number of its last event, and where it is, if it is there.
    users: BTreeMap<String, (u64, Option<BTreeSet<String>>)>,
    /// By channel: the number of its last event, and whether somebody is in it.
    channels: BTreeMap<String, (u64, bool)>,
    received: BTreeMap<u64, Value>,
    repeated_count: usize,
    /// What was told for the first time and not waited for yet, in a few words.
    words: Vec<String>,
}

impl FeedBackend {
    pub fn start() -> FeedBackend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (tell, bodies) = channel();
        let mode = Arc::new(AtomicU8::new(Mode::Takes as u8));
        let seen = Arc::clone(&mode);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let (tell, mode) = (tell.clone(), Arc::clone(&seen));
                thread::spawn(move || serve(stream, number, &mode, &tell));
            }
        });
        FeedBackend {
            address,
            mode,
            bodies,
            epoch: None,
            users: BTreeMap::new(),
            channels: BTreeMap::new(),
            received: BTreeMap::new(),
            repeated_count: 0,
            words: Vec::new(),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/presence", self.address)
    }

    pub fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, SeqCst);
    }

    /// Reads what has come, or waits for the next request.
    fn read(&mut self) -> bool {
        match self.bodies.recv_timeout(Duration::from_millis(100)) {
            Ok(body) => {
                self.apply(&body);
                true
            }
            Err(_) => false,
        }
    }

    fn apply(&mut self, body: &Value) {
        let epoch = body["epoch"].as_str().expect("an epoch").to_owned();
        assert!(self.epoch.get_or_insert(epoch.clone()) == &epoch, "nothing was damaged");
        for event in body["events"].as_array().expect("events") {
            let number = event["number"].as_u64().expect("a number");
            match self.received.insert(number, event.clone()) {
                Some(before) => {
                    assert_eq!(before, *event, "a number means one event");
                    self.repeated_count += 1;
                }
                None => {
                    let before = self.received.len() as u64;
                    assert_eq!(number, before, "numbers have no holes");
                    self.apply_new(number, event);
                }
            }
        }
    }

    fn apply_new(&mut self, number: u64, event: &Value) {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let (user, channel) = (text("user"), text("channel"));
        let kind = event["event"].as_str().expect("a word");
        if user.is_empty() {
            let known = self.channels.entry(channel.clone()).or_default();
            assert_eq!(known.1, kind == "vacated", "{event}");
            *known = (number, kind == "occupied");
            return self.words.push(format!("{}{channel}", if known.1 { '+' } else { '-' }));
        }
        if kind == "message_waits" {
            let (from, count) = (text("from"), &event["count"]);
            return self.words.push(format!("{user}: {count} of {from} in {channel}"));
        }
        if kind == "dead_letter" {
            let (offset, reason) = (&event["offset"], text("reason"));
            self.users.entry(user.clone()).or_default().0 = number;
            return self.words.push(format!("{user}: {offset} in {channel} is dead by {reason}"));
        }
        let known = self.users.entry(user.clone()).or_default();
        let previous = event["previous"].as_u64().unwrap_or(0);
        if kind == "connected" {
            assert!(known.1.is_none() && previous == 0, "{event}");
            *known = (number, Some(BTreeSet::new()));
            return self.words.push(format!("+{user}"));
        }
        assert_eq!(previous, known.0, "{event}");
        known.0 = number;
        let channels = known.1.as_mut().expect("the user is connected");
        let word = match kind {
            "disconnected" => {
                assert!(channels.is_empty(), "{event}");
                known.1 = None;
                format!("-{user}")
            }
            "subscribed" => {
                assert!(channels.insert(channel.clone()), "{event}");
                format!("{user}+{channel}")
            }
            "unsubscribed" => {
                assert!(channels.remove(&channel), "{event}");
                format!("{user}-{channel}")
            }
            other => panic!("{other}"),
        };
        self.words.push(word);
    }

    /// Waits until exactly this was told.
    #[track_caller]
    pub fn wait_for(&mut self, words: &[&str]) {
        for _ in 0..200 {
            if words.len() <= self.words.len() {
                break;
            }
            self.read();
        }
        assert_eq!(self.words, words);
        self.words.clear();
    }

    /// What was told is not waited for.
    pub fn take_words(&mut self) {
        self.words.clear();
    }

    /// Who is there with which channels, and which channels are occupied.
    pub fn tables(&self) -> (BTreeMap<String, Vec<String>>, BTreeSet<String>) {
        let users = self.users.iter().filter_map(|(name, (_, channels))| {
            Some((name.clone(), channels.as_ref()?.iter().cloned().collect()))
        });
        let occupied = self.channels.iter().filter(|(_, known)| known.1);
        (users.collect(), occupied.map(|(name, _)| name.clone()).collect())
    }

    /// Waits until these are there, and nobody else.
    #[track_caller]
    pub fn wait_for_table(&mut self, users: &BTreeMap<String, Vec<String>>) {
        let want = (users.clone(), users.values().flatten().cloned().collect());
        for _ in 0..200 {
            while self.read() {}
            if self.tables() == want {
                return;
            }
        }
        assert_eq!(self.tables(), want);
    }

    /// The number of the last event.
    pub fn last_number(&self) -> u64 {
        self.received.keys().next_back().copied().unwrap_or(0)
    }

    pub fn received_count(&self) -> usize {
        self.received.len()
    }

    pub fn repeated_count(&self) -> usize {
        self.repeated_count
    }
}

fn serve(mut stream: TcpStream, number: usize, mode: &AtomicU8, tell: &Sender<Value>) {
    let is = |wanted: Mode| mode.load(SeqCst) == wanted as u8;
    if is(Mode::Gone) {
        return;
    }
    let Some(asked) = read_request(&mut stream) else { return };
    if is(Mode::Hangs) {
        let _ = stream.read(&mut [0]);
    } else if is(Mode::Refuses) {
        let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    } else if is(Mode::Takes) || number.is_multiple_of(2) {
        let _ = tell.send(asked.body);
        if is(Mode::Takes) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        }
    }
}
