//! The figures of the server API: how much a backend publishes, beside users who publish over
//! WebSockets, and what that costs the others.
//!
//! Deliberately absent: the backend itself (`backend`).

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::bystander::Attacker;
use super::child::{API_KEY, Kept, Kind, Purpose, SECRET, Server};
use super::figure::FigureName;
use super::measure::{Bench, Cores};
use crate::backend::{self, Options};
use crate::blocking::{Client, ConnectionError};
use crate::clock::Clock;

/// Connections that publish one message at a time.
const CONNECTIONS: u32 = 32;

/// Messages in a call of the one that publishes many.
const BATCH: u32 = 100;

const DATA_BYTES: u32 = 128;

/// Connections that the server expects.
const CONNECTIONS_MAX: u32 = 2_000;

/// Messages that a room keeps.
const COUNT_MAX: u32 = 10_000;

impl Bench {
    /// A backend with one connection and calls of a hundred, and with a call for each message.
    pub(super) fn api(&mut self, _: u64) -> Result<(), String> {
        let server = self.start(&self.api_kind(None), Cores::Any, 1)?;
        let batch = self.publish(&server, 1, BATCH)?;
        let single = self.publish(&server, CONNECTIONS, 1)?;
        drop(server);
        self.value(FigureName::ApiBatchRate, batch);
        self.value(FigureName::ApiSingleRate, single);
        let others = [
            (FigureName::ApiBatchOthers, "a batch after the other", 1, BATCH),
            (FigureName::ApiSingleOthers, "a message after the other", CONNECTIONS, 1),
        ];
        for (figure, name, connections, batch) in others {
            let server = self.start(&self.api_kind(None), Cores::Apart, 1)?;
            let (api, for_ms) = (server.api(), self.bystander_time().as_millis());
            let arguments = format!(
                "backend --api {api} --key {API_KEY} --for-ms {for_ms} --connections {connections} \
                 --batch {batch}"
            );
            let arguments = arguments.split(' ').map(str::to_owned).collect();
            let attacker = Attacker::start(name, arguments)?;
            self.beside(figure, name, &server, attacker)?;
        }
        Ok(())
    }

    /// The same messages to the disk, by a backend and by as many users.
    pub(super) fn api_durable(&mut self, _: u64) -> Result<(), String> {
        let measure = Duration::from_millis(self.sizes.measure_ms);
        let store = self.stores.empty()?;
        let kept = Kept { dir: store.dir().to_owned(), count_max: COUNT_MAX };
        let server = self.start(&self.api_kind(Some(kept)), Cores::Any, 1)?;
        let users = users(&server, measure).map_err(|ended| format!("a user is {ended}"))?;
        eprintln!("{CONNECTIONS} users: {users:.0} messages/s to the disk");
        let backend = self.publish(&server, CONNECTIONS, 1)?;
        self.value(FigureName::ApiDurableRate, backend);
        self.floor(FigureName::ApiDurableRate, users);
        Ok(())
    }

    fn api_kind(&self, store: Option<Kept>) -> Kind {
        self.kind_for(CONNECTIONS_MAX, store, Purpose::Load)
    }

    /// Messages a second.
    fn publish(&self, server: &Server, connections: u32, batch: u32) -> Result<f64, String> {
        let (api, key, for_ms) = (server.api(), API_KEY.to_owned(), self.sizes.measure_ms);
        let options = Options { api, key, connections, batch, data_bytes: DATA_BYTES, for_ms };
        let outcome = backend::run(&options)?;
        eprintln!(
            "backend, {connections} connections, {batch} in a call: {:.0} messages/s, p99 {:.3} ms",
            outcome.per_s,
            outcome.latency.p99_ns as f64 / 1e6
        );
        match outcome.refused {
            0 => Ok(outcome.per_s),
            refused => Err(format!("{refused} messages were refused")),
        }
    }
}

/// As many users as the backend has connections, each with a thread, and each with one message
/// under way in a room of its own. Messages a second.
fn users(server: &Server, measure: Duration) -> Result<f64, ConnectionError> {
    let clock = Clock::start();
    let published = thread::scope(|scope| {
        let user = |n: u32| scope.spawn(move || user(server, n, measure));
        let threads: Vec<_> = (0..CONNECTIONS).map(user).collect();
        let ended = threads.into_iter().map(|one| one.join().expect("a user does not panic"));
        ended.sum::<Result<u64, ConnectionError>>()
    })?;
    Ok(published as f64 / (clock.ns() as f64 / 1e9))
}

fn user(server: &Server, n: u32, measure: Duration) -> Result<u64, ConnectionError> {
    let mut client = Client::connect(&server.target, &format!("user-{n}"), SECRET)?;
    let channel = format!("room:user-{n}");
    client.ask(json!({ "subscribe": { "channel": channel } }))?;
    let data = "x".repeat(DATA_BYTES as usize - 2);
    let (mut published, clock) = (0, Clock::start());
    while clock.elapsed() < measure {
        let reply = client.ask(json!({ "publish": { "channel": channel, "data": data } }))?;
        if reply["error"].is_object() {
            return Err(ConnectionError::Broken(format!("refused: {reply}")));
        }
        published += 1;
    }
    Ok(published)
}
