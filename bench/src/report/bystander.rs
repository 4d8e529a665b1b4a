//! What one user who does the worst it can costs the others: the time of a bystander's
//! publish, beside the same on a quiet server.
//!
//! The server has the limits that it has when nobody sets any, keeps messages on disk, and
//! has a core for itself. The attacker runs only while nobody else wants its core
//! (SCHED_IDLE, which waits for nobody's time slice as a nice value does): what it takes of
//! the bystander's own core is not the server's doing. Quiet and attacked times take turns
//! on the same server, so what else the machine does meets both.
//!
//! Deliberately absent: the attacks themselves (`attack`).

use std::io::{BufRead, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::child::{Kept, Purpose, SECRET, Server};
use super::figure::FigureName;
use super::measure::{Bench, CLIENT_CORE, Cores};
use crate::attack::Attack;
use crate::blocking::{Client, ConnectionError};
use crate::clock::Clock;
use crate::stats::{Latency, Summary};

/// Where the bystander talks to itself.
const CHANNEL: &str = "room:bystander";

/// Messages that a room keeps, and connections that may come.
const COUNT_MAX: u32 = 10_000;
const CONNECTIONS: u32 = 2_000;

/// What the attack command says when it begins.
pub const BEGUN: &str = "begun";

/// Quiet and attacked times of one row.
const TURNS: u32 = 5;

/// Before each of them: what was under way is over, or has begun.
const SETTLE: Duration = Duration::from_millis(200);

impl Bench {
    /// One attack after the other, each on a server of its own, and each behind a time
    /// in which the same server was quiet.
    pub(super) fn bystander(&mut self, _: u64) -> Result<(), String> {
        for attack in self.attacks.clone() {
            if let Err(why) = self.attacked(attack) {
                let figure = FigureName::Bystander(attack);
                self.measured.faults.entry(figure).or_default().push(why);
            }
        }
        Ok(())
    }

    fn attacked(&mut self, attack: Attack) -> Result<(), String> {
        let store = self.stores.empty()?;
        let kept = Kept { dir: store.dir().to_owned(), count_max: COUNT_MAX };
        let kind = self.kind_for(CONNECTIONS, Some(kept), Purpose::Public);
        let server = self.start(&kind, Cores::Apart, 1)?;
        let time = self.bystander_time().as_millis().to_string();
        let url = server.target.to_string();
        let words = ["attack", attack.word(), "--url", &url, "--secret", SECRET, "--for-ms", &time];
        let words = words.map(str::to_owned).to_vec();
        let attacker = Attacker::start(attack.word(), words)?;
        self.beside(FigureName::Bystander(attack), attack.word(), &server, attacker)
    }

    /// How long an attacker is to go on.
    pub(super) fn bystander_time(&self) -> Duration {
        (self.turn() + SETTLE) * (2 * TURNS)
    }

    fn turn(&self) -> Duration {
        Duration::from_millis(self.sizes.measure_ms) / TURNS
    }

    /// A bystander's publishes while somebody else does something to the same server, beside
    /// the same while that rests.
    pub(super) fn beside(
        &mut self,
        figure: FigureName,
        name: &str,
        server: &Server,
        attacker: Attacker,
    ) -> Result<(), String> {
        let failed = |ended: ConnectionError| format!("{name}: the bystander is {ended}");
        let mut bystander = Client::connect(&server.target, "ben", SECRET).map_err(failed)?;
        bystander.ask(json!({ "subscribe": { "channel": CHANNEL } })).map_err(failed)?;
        let (mut quiet, mut attacked) = (Latency::new(), Latency::new());
        for _ in 0..TURNS {
            attacker.signal("-STOP")?;
            thread::sleep(SETTLE);
            publish_apart(&mut bystander, self.turn(), &mut quiet).map_err(failed)?;
            attacker.signal("-CONT")?;
            thread::sleep(SETTLE);
            publish_apart(&mut bystander, self.turn(), &mut attacked).map_err(failed)?;
        }
        let outcome = attacker.finish()?;
        eprintln!("{name}: {outcome}");
        let (quiet, attacked) = (quiet.summary(), attacked.summary());
        let ms = |summary: &Summary| summary.p99_ns as f64 / 1e6;
        eprintln!(
            "{name}: p99 {:.3} ms of {}, quiet {:.3} ms of {}",
            ms(&attacked),
            attacked.count,
            ms(&quiet),
            quiet.count
        );
        self.value(figure, ms(&attacked));
        self.floor(figure, ms(&quiet));
        Ok(())
    }
}

/// The bystander's own thread, on the core that is not the server's: a core that this
/// thread were bound to would be the one of every later server, too.
fn publish_apart(
    bystander: &mut Client,
    measure: Duration,
    latency: &mut Latency,
) -> Result<(), ConnectionError> {
    thread::scope(|scope| {
        let body = || {
            if Cores::Apart.are_apart() {
                core_affinity::set_for_current(core_affinity::CoreId { id: CLIENT_CORE });
            }
            publish(bystander, measure, latency)
        };
        scope.spawn(body).join().expect("a bystander does not panic")
    })
}

/// One message after the other, each a moment after the last one was answered.
fn publish(
    bystander: &mut Client,
    measure: Duration,
    latency: &mut Latency,
) -> Result<(), ConnectionError> {
    let clock = Clock::start();
    while clock.elapsed() < measure {
        let sent_ns = clock.ns();
        let publish = json!({ "publish": { "channel": CHANNEL, "data": { "text": "hello" } } });
        let reply = bystander.ask(publish)?;
        if reply["error"].is_object() {
            return Err(ConnectionError::Broken(format!("refused: {reply}")));
        }
        latency.record(clock.ns() - sent_ns);
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// A person types slower, and a quota is far above it.
const PAUSE: Duration = Duration::from_millis(10);

/// A process of this program that attacks, until this value goes at the latest.
pub(super) struct Attacker {
    name: String,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Attacker {
    /// Starts it with these arguments, and waits until it has what it needs.
    pub(super) fn start(name: &str, arguments: Vec<String>) -> Result<Attacker, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]);
        if Cores::Apart.are_apart() {
            command.args(["taskset", "-c", &CLIENT_CORE.to_string()]);
        }
        command.arg(own).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("chrt: {error}"))?;
        let stdout = child.stdout.take().expect("it was asked for");
        let mut attacker =
            Attacker { name: name.to_owned(), child, stdout: BufReader::new(stdout) };
        let mut line = String::new();
        let read = attacker.stdout.read_line(&mut line);
        if read.is_ok() && line.trim() == BEGUN {
            Ok(attacker)
        } else {
            Err(format!("{}: it did not begin", attacker.name))
        }
    }

    /// Lets it rest, or go on.
    fn signal(&self, signal: &str) -> Result<(), String> {
        let kill = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        match kill {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err("the attacker has ended".to_owned()),
            Err(error) => Err(format!("kill: {error}")),
        }
    }

    /// What it did, in one line. One that did nothing was no attack.
    fn finish(mut self) -> Result<String, String> {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).map_err(|error| error.to_string())?;
        let name = &self.name;
        let outcome: Value = serde_json::from_str(&text)
            .map_err(|error| format!("{name}: it did not say what it did: {error}"))?;
        match outcome["sent"].as_u64().or(outcome["published"].as_u64()) {
            Some(1..) => Ok(outcome.to_string()),
            Some(0) | None => Err(format!("{name}: it did nothing: {outcome}")),
        }
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
