//! What one user who does the worst it can costs the others: the time of a bystander's
//! publish, beside the same on a quiet server.
//!
//! The server has the limits that it has when nobody sets any, keeps messages on disk, and
//! has a core for itself. The attacker is a process of the lowest priority, so that it is
//! not the bystander's own core that it takes.
//!
//! Deliberately absent: the attacks themselves (`attack`).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::child::{Kept, Purpose, SECRET, Server};
use super::figure::FigureName;
use super::measure::{Bench, CLIENT_CORE, Cores};
use crate::attack::Attack;
use crate::blocking::{Client, Ended};
use crate::clock::Clock;
use crate::stats::{Latency, Summary};

/// Where the bystander talks to itself.
const CHANNEL: &str = "room:bystander";

/// Messages that a room keeps, and connections that may come.
const COUNT_MAX: u32 = 10_000;
const CONNECTIONS: u32 = 2_000;

/// What the attack command says when it begins.
pub const BEGUN: &str = "begun";

/// An attack goes on for longer than anybody measures; it is ended before.
const ATTACK_MS: u64 = 600_000;

impl Bench {
    /// One attack after the other, each on a server of its own, and each behind a time
    /// in which the same server was quiet.
    pub(super) fn bystander(&mut self, _: u64) -> Result<(), String> {
        for attack in Attack::ALL {
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
        let failed = |ended: Ended| format!("{}: the bystander is {ended}", attack.word());
        let mut bystander = Client::connect(&server.target, "ben", SECRET).map_err(failed)?;
        bystander.ask(json!({ "subscribe": { "channel": CHANNEL } })).map_err(failed)?;
        let quiet = self.publish_times(&mut bystander).map_err(failed)?;
        let attacker = Attacker::start(attack, &server)?;
        let attacked = self.publish_times(&mut bystander).map_err(failed);
        drop(attacker);
        let attacked = attacked?;
        let ms = |summary: &Summary| summary.p99_ns as f64 / 1e6;
        eprintln!(
            "{}: p99 {:.3} ms of {}, quiet {:.3} ms of {}",
            attack.word(),
            ms(&attacked),
            attacked.count,
            ms(&quiet),
            quiet.count
        );
        self.value(FigureName::Bystander(attack), ms(&attacked));
        self.floor(FigureName::Bystander(attack), ms(&quiet));
        Ok(())
    }

    /// The bystander's own thread, on the core that is not the server's: a core that this
    /// thread were bound to would be the one of every later server, too.
    fn publish_times(&self, bystander: &mut Client) -> Result<Summary, Ended> {
        let measure = Duration::from_millis(self.sizes.measure_ms);
        thread::scope(|scope| {
            let body = || {
                if Cores::Apart.are_apart() {
                    core_affinity::set_for_current(core_affinity::CoreId { id: CLIENT_CORE });
                }
                publish_times(bystander, measure)
            };
            scope.spawn(body).join().expect("a bystander does not panic")
        })
    }
}

/// One message after the other, each a moment after the last one was answered.
fn publish_times(bystander: &mut Client, measure: Duration) -> Result<Summary, Ended> {
    let clock = Clock::start();
    let mut latency = Latency::new();
    while clock.elapsed() < measure {
        let sent_ns = clock.ns();
        let publish = json!({ "publish": { "channel": CHANNEL, "data": { "text": "hello" } } });
        let reply = bystander.ask(publish)?;
        if reply["error"].is_object() {
            return Err(Ended::Broken(format!("refused: {reply}")));
        }
        latency.record(clock.ns() - sent_ns);
        thread::sleep(PAUSE);
    }
    Ok(latency.summary())
}

/// A person types slower, and a quota is far above it.
const PAUSE: Duration = Duration::from_millis(10);

/// A process that attacks until this value goes.
struct Attacker(Child);

impl Attacker {
    /// Starts it, and waits until it has what it needs.
    fn start(attack: Attack, server: &Server) -> Result<Attacker, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new("nice");
        command.args(["-n", "19"]);
        if Cores::Apart.are_apart() {
            command.args(["taskset", "-c", &CLIENT_CORE.to_string()]);
        }
        command
            .arg(own)
            .args(["attack", attack.word(), "--url", &server.target.to_string()])
            .args(["--secret", SECRET, "--for-ms", &ATTACK_MS.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("nice: {error}"))?;
        let stdout = child.stdout.take().expect("it was asked for");
        let attacker = Attacker(child);
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        if read.is_ok() && line.trim() == BEGUN {
            Ok(attacker)
        } else {
            Err(format!("{}: the attack did not begin", attack.word()))
        }
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
