//! The promise of an answer: what was answered is there after `kill -9`, once, in
//! order, and in the place that was named.
//!
//! Authors publish without a pause, readers recover at each return, and the server
//! is killed at random moments. `CRASHES` says how often; `CRASH_SEED` repeats the
//! same moments, as far as the machine allows.

#[path = "../common/mod.rs"]
mod common;

mod client;
mod full;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use client::{Client, Ended};
use common::{Server, Settings};
use serde_json::{Value, json};

const ROOMS_COUNT: usize = 4;
const AUTHORS_COUNT: usize = 8;

/// Publishes of one author that are on their way at a time.
const PIPELINE: usize = 8;

/// The longest time between two crashes, in ms.
const LIFE_MS_MAX: u64 = 300;

/// How long nothing may come back from a server that lives.
const PATIENCE_MS: u64 = 20_000;

/// What was answered: by author and number, the room and the offset.
type Answered = BTreeMap<(usize, u64), (usize, u64)>;

fn room(index: usize) -> String {
    format!("kept:{index}")
}

fn settings() -> Settings {
    Settings::new()
        .with("[[namespaces]]", "name = \"kept\"")
        .with("[[namespaces]]", "history_count_max = 10000000")
        .with("[[namespaces]]", "history_age_ms_max = 86400000")
        .with("[[namespaces]]", "history_bytes_max = 1073741824")
        .with("[[namespaces]]", "recover_count_max = 1000000")
        .with("[[namespaces]]", "publish = \"users\"")
        .with("[[namespaces]]", "see_history = \"users\"")
        .with("[[namespaces]]", "durability = \"fsync\"")
        .with("[session]", "commands_burst = 100000")
}

/// Says things until it is told to stop, and goes on where it was cut off. Returns
/// what was answered.
fn author(number: usize, address: SocketAddr, stop: &AtomicBool) -> Answered {
    let mut answered = Answered::new();
    let mut unanswered: Vec<u64> = Vec::new();
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) || !unanswered.is_empty() {
        let Ok(mut client) = Client::connect(address, &format!("author{number}")) else {
            thread::yield_now();
            continue;
        };
        // Whether what was cut off is there, only its id tells.
        let again = std::mem::take(&mut unanswered);
        let ended =
            say(number, &mut client, stop, again, &mut next, &mut answered, &mut unanswered);
        if ended == Ok(()) {
            break;
        }
    }
    assert!(unanswered.is_empty(), "everything is answered in the end");
    answered
}

fn say(
    number: usize,
    client: &mut Client,
    stop: &AtomicBool,
    mut again: Vec<u64>,
    next: &mut u64,
    answered: &mut Answered,
    unanswered: &mut Vec<u64>,
) -> Result<(), Ended> {
    loop {
        let is_last = stop.load(Ordering::Relaxed);
        let batch: Vec<u64> = if again.is_empty() {
            let first = *next;
            *next += PIPELINE as u64;
            (first..*next).collect()
        } else {
            std::mem::take(&mut again)
        };
        unanswered.extend(&batch);
        for n in &batch {
            let to = (*n as usize * 7 + number) % ROOMS_COUNT;
            let data = json!({ "author": number, "n": n });
            let id = format!("{number}-{n}");
            client.send(
                *n as u32 + 10,
                &json!({ "rpc": { "method": "chat.publish",
                    "data": { "channel": room(to), "data": data, "id": id } } }),
            )?;
        }
        while !unanswered.is_empty() {
            let reply = client.reply()?;
            let n = reply["id"].as_u64().expect("replies have ids") - 10;
            let data = &reply["rpc"]["data"];
            let Some(offset) = data["offset"].as_u64() else {
                // Temporary: the store was read anew. It is said again.
                assert_eq!(reply["error"]["temporary"], json!(true), "{reply}");
                return Err(Ended);
            };
            unanswered.retain(|other| *other != n);
            let to = (n as usize * 7 + number) % ROOMS_COUNT;
            answered.insert((number, n), (to, offset));
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Listens to a room through all crashes; sees every message once and in order.
fn reader(index: usize, address: SocketAddr, until: &AtomicU64) -> u64 {
    let mut seen = 0;
    let mut epoch = String::new();
    while seen < until.load(Ordering::Relaxed) {
        let Ok(mut client) = Client::connect(address, &format!("reader{index}")) else {
            thread::yield_now();
            continue;
        };
        let _: Result<(), Ended> = listen(index, &mut client, &mut seen, &mut epoch, until);
    }
    seen
}

fn listen(
    index: usize,
    client: &mut Client,
    seen: &mut u64,
    epoch: &mut String,
    until: &AtomicU64,
) -> Result<(), Ended> {
    let recover = !epoch.is_empty();
    let subscribe = json!({ "subscribe": { "channel": room(index), "recover": recover,
        "offset": *seen, "epoch": *epoch } });
    client.send(2, &subscribe)?;
    let reply = client.reply()?;
    let result = &reply["subscribe"];
    if !result.is_object() {
        assert_eq!(reply["error"]["temporary"], json!(true), "{reply}");
        return Err(Ended);
    }
    if recover && *seen == 0 && result["recovered"] != json!(true) {
        // The epoch of a channel without a message is not on the disk: who saw nothing
        // is told that its stream is gone, and misses nothing of the one that began.
        assert_ne!(result["epoch"], json!(*epoch), "a stream that lives is recovered");
        result["epoch"].as_str().unwrap_or_default().clone_into(epoch);
        return Err(Ended);
    }
    if recover {
        assert_eq!(result["recovered"], json!(true), "{index}: behind {seen}: {reply}");
        // Who subscribed in silence has its epoch, with a time and a sum in it, until the
        // next subscribe is answered with that of the stream.
        let was_silent = epoch.len() == 32;
        let is_same = result["epoch"] == json!(*epoch);
        assert!(is_same || was_silent, "{index}: a stream has one epoch: {epoch}, {reply}");
    } else {
        *seen = result["offset"].as_u64().unwrap_or_default();
    }
    result["epoch"].as_str().unwrap_or_default().clone_into(epoch);
    for publication in result["publications"].as_array().into_iter().flatten() {
        *seen += 1;
        assert_eq!(publication["offset"], json!(*seen), "recovered in order, once");
    }
    while *seen < until.load(Ordering::Relaxed) {
        let publication = client.publication()?;
        *seen += 1;
        assert_eq!(publication["offset"], json!(*seen), "told in order, once");
    }
    Ok(())
}

/// All messages of a room, from its history.
fn read_all(client: &mut Client, index: usize) -> Result<Vec<Value>, Ended> {
    let mut all: Vec<Value> = Vec::new();
    client.send(3, &json!({ "history": { "channel": room(index), "limit": 0 } }))?;
    let reply = client.reply()?;
    let position = reply["history"].clone();
    assert!(position.is_object(), "{reply}");
    loop {
        let since = json!({ "offset": all.len(), "epoch": position["epoch"] });
        let request =
            json!({ "history": { "channel": room(index), "limit": 1000, "since": since } });
        client.send(4, &request)?;
        let page = client.reply()?;
        assert!(page["history"].is_object(), "{page}");
        let page = page["history"]["publications"].as_array().cloned().unwrap_or_default();
        if page.is_empty() {
            let head = position["offset"].as_u64().unwrap_or_default();
            assert_eq!(all.len() as u64, head, "{index}: the history ends at the head");
            return Ok(all);
        }
        all.extend(page);
    }
}

fn check(rooms: &[Vec<Value>], answered: &Answered) {
    for (index, all) in rooms.iter().enumerate() {
        let mut said = BTreeMap::new();
        for (place, message) in (1u64..).zip(all) {
            assert_eq!(message["offset"], json!(place), "{index}: no hole and no repeat");
            let data = &message["data"];
            let key = (data["author"].as_u64(), data["n"].as_u64());
            assert!(said.insert(key, place).is_none(), "{index}: {key:?} is there twice");
        }
    }
    for (&(author, n), &(index, offset)) in answered {
        let message = rooms[index].get(offset as usize - 1);
        let data = message.map(|message| message["data"].clone());
        assert_eq!(data, Some(json!({ "author": author, "n": n })), "{index}: at {offset}");
    }
}

#[test]
fn what_was_answered_survives_any_moment() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let crashes = number("CRASHES").unwrap_or(20);
    let mut random = number("CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("CRASH_SEED={random}");
    let mut server = Server::start(settings());
    let address = server.address();
    let stop = AtomicBool::new(false);
    let heads: Vec<AtomicU64> = (0..ROOMS_COUNT).map(|_| AtomicU64::new(u64::MAX)).collect();
    thread::scope(|scope| {
        let authors: Vec<_> = (0..AUTHORS_COUNT)
            .map(|number| {
                scope.spawn({
                    let stop = &stop;
                    move || author(number, address, stop)
                })
            })
            .collect();
        let readers: Vec<_> = heads
            .iter()
            .enumerate()
            .map(|(index, until)| scope.spawn(move || reader(index, address, until)))
            .collect();
        for _ in 0..crashes {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // The moment of the crash is what is random here; nothing waits for it.
            thread::sleep(Duration::from_millis((random >> 33) % LIFE_MS_MAX));
            server.signal("KILL");
            server.wait();
            server.start_again();
        }
        stop.store(true, Ordering::Relaxed);
        let mut answered = Answered::new();
        for author in authors {
            answered.extend(author.join().expect("an author ends well"));
        }
        assert!(!answered.is_empty(), "something was answered");
        let mut client = Client::connect(address, "judge").expect("the server lives");
        let rooms: Vec<Vec<Value>> = (0..ROOMS_COUNT)
            .map(|index| read_all(&mut client, index).expect("the server lives"))
            .collect();
        check(&rooms, &answered);
        for (until, all) in heads.iter().zip(&rooms) {
            until.store(all.len() as u64, Ordering::Relaxed);
        }
        // One word more in each room, for readers that wait for a message.
        for index in 0..ROOMS_COUNT {
            let data = json!({ "channel": room(index), "data": "the end" });
            client
                .send(9, &json!({ "rpc": { "method": "chat.publish", "data": data } }))
                .and_then(|()| client.reply())
                .expect("the server lives");
        }
        for (reader, all) in readers.into_iter().zip(&rooms) {
            let seen = reader.join().expect("a reader sees all in order");
            assert!(all.len() as u64 <= seen, "a reader sees all: {seen}");
        }
        println!("{} answered, {crashes} crashes", answered.len());
    });
}
