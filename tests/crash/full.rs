//! The promise of an answer where space ends: a full store refuses messages, goes on
//! with everything else, and takes messages again when old ones have expired.
//!
//! `FULL_DIR` is an empty directory on a file system of 64 MiB for the store; without
//! it the store itself is kept small. `FULLS` says how often it fills up.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::common::{Server, Settings};

/// What is to be there for good, and what makes room when it is old.
const KEPT: &str = "kept:1";
const BRIEF: &str = "brief:1";

/// How long a message of `BRIEF` stays, in ms: long enough to fill the store before, also
/// where others use the machine.
const BRIEF_MS: u64 = 30_000;

/// A client that is refused tries again after a while.
const RETRY: Duration = Duration::from_millis(50);

/// Refused so often, the store is full for good: what was kept twice, in journal and
/// table, is kept once by then.
const REFUSALS_MAX: u32 = 40;

/// Characters that make a message of `BRIEF` large.
const FILLER_COUNT: usize = 24_000;

/// How often a client is refused until a full store has room again: for a minute.
const RETRIES_MAX: u32 = 1_200;

fn settings() -> Settings {
    let settings = Settings::new()
        .with("[[namespaces]]", "name = \"kept\"")
        .with("[[namespaces]]", "history_count_max = 1000000")
        .with("[[namespaces]]", "publish = \"users\"")
        .with("[[namespaces]]", "see_history = \"users\"")
        .with("[[namespaces]]", "durability = \"fsync\"")
        .with_table(
            "[[namespaces]]",
            &[
                "name = \"brief\"",
                "publish = \"users\"",
                "see_history = \"users\"",
                "history_count_max = 1000000",
                "history_bytes_max = 1073741824",
                &format!("history_age_ms_max = {BRIEF_MS}"),
            ],
        )
        .with("[session]", "commands_burst = 100000");
    match std::env::var("FULL_DIR") {
        Ok(dir) => settings
            .with("[store]", format!("dir = \"{dir}\""))
            .with("[store]", "reserve_bytes = 41943040"),
        Err(_) => settings.with("[store]", "disk_bytes_max = 8388608"),
    }
}

/// Somebody who fills the store, and remembers what was answered.
struct Author {
    client: Client,
    /// What was answered in `KEPT`, in the order of offsets.
    kept: Vec<u64>,
    epoch: Value,
    next: u64,
    /// The newest of `BRIEF`.
    newest: u64,
    /// Text that no compression makes small.
    random: u64,
}

impl Author {
    fn ask(&mut self, method: &str, data: &Value) -> Value {
        let rpc = json!({ "rpc": { "method": method, "data": data } });
        self.client.send(7, &rpc).and_then(|()| self.client.reply()).expect("the server lives")
    }

    /// Says something that stays. Whether it was taken; a refusal is temporary.
    fn keep(&mut self) -> bool {
        let number = self.next;
        self.next += 1;
        let reply = self.ask("chat.publish", &json!({ "channel": KEPT, "data": number }));
        let Some(offset) = reply["rpc"]["data"]["offset"].as_u64() else {
            return was_refused(&reply);
        };
        self.kept.push(number);
        self.epoch = reply["rpc"]["data"]["epoch"].clone();
        assert_eq!(offset, self.kept.len() as u64, "the next place: {reply}");
        true
    }

    /// Says something large that does not stay.
    fn fill(&mut self) -> bool {
        let mut filler = String::with_capacity(FILLER_COUNT);
        while filler.len() < FILLER_COUNT {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            filler += &format!("{:x}", self.random);
        }
        let reply = self.ask("chat.publish", &json!({ "channel": BRIEF, "data": filler }));
        let Some(offset) = reply["rpc"]["data"]["offset"].as_u64() else {
            return was_refused(&reply);
        };
        self.newest = offset;
        true
    }

    /// Until there is no space.
    fn fill_up(&mut self) {
        let mut refusals = 0;
        while refusals < REFUSALS_MAX {
            if self.fill() && self.keep() {
                refusals = 0;
            } else {
                refusals += 1;
                thread::sleep(RETRY);
            }
        }
    }

    /// All that stays, as the history has it.
    fn read_kept(&mut self) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            let since = json!({ "offset": all.len(), "epoch": self.epoch });
            let request = json!({ "history": { "channel": KEPT, "limit": 1000, "since": since } });
            self.client.send(8, &request).expect("the server lives");
            let page = self.client.reply().expect("the server lives");
            assert!(page["history"].is_object(), "{page}");
            let page = page["history"]["publications"].as_array().cloned().unwrap_or_default();
            if page.is_empty() {
                return all;
            }
            for message in page {
                assert_eq!(message["offset"], json!(all.len() + 1), "no hole and no repeat");
                all.push(message["data"].as_u64().expect("a number"));
            }
        }
    }

    /// Waits until messages are taken again.
    fn wait_for_space(&mut self) {
        let mut refusals = 0;
        while !self.keep() {
            refusals += 1;
            assert!(refusals < RETRIES_MAX, "no space comes back");
            thread::sleep(RETRY);
        }
        println!("space came back after {refusals} tries");
    }
}

/// A full store is nobody's mistake: the client is told to try again.
fn was_refused(reply: &Value) -> bool {
    let error = &reply["error"];
    assert_eq!((&error["code"], &error["temporary"]), (&json!(100), &json!(true)), "{reply}");
    false
}

#[test]
fn a_full_store_goes_on_when_there_is_space_again() {
    let fulls = std::env::var("FULLS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut server = Server::start(settings());
    let connect = |server: &Server| Client::connect(server.address(), "anna").expect("it lives");
    let client = connect(&server);
    let mut anna =
        Author { client, kept: Vec::new(), epoch: Value::Null, next: 0, newest: 0, random: 1 };
    for round in 0..fulls {
        anna.fill_up();
        let head = anna.kept.len();
        println!("round {round}: full with {head} messages that stay");
        assert!(server.page("/ready").contains("the store is full"), "operators see it");
        assert_eq!(anna.read_kept(), anna.kept, "reading goes on");
        let reply = anna.ask("chat.ack", &json!({ "channel": KEPT, "offset": head }));
        assert_eq!(reply["rpc"]["data"], json!({}), "acknowledging goes on: {reply}");
        let newest = anna.newest;
        let reply = anna.ask("chat.retract", &json!({ "channel": BRIEF, "offset": newest }));
        assert_eq!(reply["rpc"]["data"], json!({}), "taking back goes on: {reply}");
        anna.wait_for_space();
        assert!(!server.page("/ready").contains("the store is full"), "operators see that, too");

        anna.fill_up();
        server.signal("KILL");
        server.wait();
        server.start_again();
        anna.client = connect(&server);
        assert_eq!(anna.read_kept(), anna.kept, "what was answered is there");
        anna.wait_for_space();
    }
    assert_eq!(anna.read_kept(), anna.kept, "what was answered is there");
}
