//! A server that has a quarter of a core, with many live connections, and a storm of
//! connects as fast as they are let in: who is closed, how many get in, and when all is
//! as before.
//!
//! The live ones connect while the server has all that it can get; then its cgroup holds
//! it, before the storm, during it, and afterwards.
//!
//! Deliberately absent: how the server copes.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::child::{Purpose, SECRET, Server};
use super::figure::FigureName;
use super::measure::{Bench, Cores, shards_for};
use crate::blocking::{Client, ConnectionError};
use crate::clock::Clock;
use crate::engine::{self, Setting};
use crate::outcome::Outcome;
use crate::process::CpuQuota;
use crate::progress::Silent;
use crate::scenario::{Load, Scenario};
use crate::stats::median;

/// The part of one core that the server has.
const QUOTA_PERCENT: u32 = 25;

/// Connections that one step of the storm asks for, and how many of them at a time.
const STEP: u32 = 1_000;
const HANDSHAKES: u32 = 512;

/// How long the live ones may take to come in.
const RAMP: Duration = Duration::from_secs(120);

/// How long newcomers are watched behind the storm.
const RECOVERY: Duration = Duration::from_secs(20);

/// Newcomers before the storm, and in a row behind it.
const NEWCOMERS: usize = 9;
const IN_A_ROW: usize = 3;

/// Between two looks, or two newcomers.
const LOOK: Duration = Duration::from_millis(100);

impl Bench {
    pub(super) fn pressure(&mut self, round: u64) -> Result<(), String> {
        let (pressed, storm_ms) = (self.sizes.pressed, self.sizes.pressure_ms);
        let kind = self.kind_for(pressed + 4 * STEP, None, Purpose::Pressure);
        let server = self.start(&kind, Cores::Any, 1.max(shards_for(pressed)))?;
        let quota = CpuQuota::make(&format!("rookery-bench-cpu-{}", server.process.pid()))
            .map_err(|error| format!("no cgroup with a CPU quota: {error}"))?;
        // Looking before and behind the storm takes time, too.
        let hold_ms = storm_ms + 2 * RECOVERY.as_millis() as u64;
        let live = self.scenario(Load::Connect { hold_ms }, pressed, 0, round);
        let storm = self.scenario(Load::Connect { hold_ms: 0 }, STEP, 0, round + 1_000);
        let storm = Scenario { handshakes_max: HANDSHAKES, ..storm };
        let pressed_by = |server: &Server| -> Result<Storm, String> {
            wait_until_in(server, pressed)?;
            quota.hold(server.process.pid(), QUOTA_PERCENT).map_err(|error| error.to_string())?;
            let before_ms = newcomers(server, NEWCOMERS)?;
            let (connected, connects_per_s) = rage(server, &storm, storm_ms)?;
            let recovery_s = recover(server, median(&before_ms).unwrap_or_default())?;
            Ok(Storm { connected, connects_per_s, recovery_s })
        };
        let (outcome, storm) = thread::scope(|scope| {
            let storm = scope.spawn(|| pressed_by(&server));
            let outcome = run(&server, &live);
            (outcome, storm.join().expect("a storm does not panic"))
        });
        let (storm, (outcome, error_messages)) = (storm?, outcome?);
        // Closed connections are what is counted here, and no fault of the run.
        let closed = u64::from(pressed).saturating_sub(outcome.tally.answered);
        let first = error_messages.first().map(String::as_str).unwrap_or_default();
        eprintln!("  {} connected meanwhile, {closed} closed {first}", storm.connected);
        self.value(FigureName::PressureConnects, storm.connects_per_s);
        self.value(FigureName::PressureRecovery, storm.recovery_s);
        self.value(FigureName::PressureClosed, closed as f64);
        self.measured.outcomes.push(outcome);
        Ok(())
    }
}

/// What a storm did.
struct Storm {
    connected: u64,
    connects_per_s: f64,
    recovery_s: f64,
}

/// A load whose closed connections are no fault; what went wrong with the first few.
fn run(server: &Server, scenario: &Scenario) -> Result<(Outcome, Vec<String>), String> {
    let setting = Setting { secret: Some(SECRET.to_owned()), ..Setting::default() };
    let ran = engine::run(scenario, &server.target, &setting, &mut Silent);
    ran.map_err(|failure| failure.to_string())
}

fn wait_until_in(server: &Server, connections: u32) -> Result<(), String> {
    let clock = Clock::start();
    while clock.elapsed() < RAMP {
        if f64::from(connections) <= server.metric("chat_subscriptions")? {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
    Err("the live connections did not come in".to_owned())
}

/// Connects for so long; how many got in, in all and a second. Who is refused is asked
/// to come again: that is how a server slows down, and no fault.
fn rage(server: &Server, step: &Scenario, storm_ms: u64) -> Result<(u64, f64), String> {
    let clock = Clock::start();
    let mut connected = 0;
    let mut seed = step.seed;
    while clock.elapsed() < Duration::from_millis(storm_ms) {
        seed += 1;
        let step = Scenario { seed, ..step.clone() };
        connected += run(server, &step)?.0.tally.answered;
    }
    Ok((connected, connected as f64 / clock.elapsed().as_secs_f64()))
}

/// How long each of a few takes to be in a room and to be answered there, in ms.
fn newcomers(server: &Server, count: usize) -> Result<Vec<f64>, String> {
    let one = |_| newcomer(server).map_err(|ended| format!("a newcomer is {ended}"));
    (0..count).map(one).collect()
}

fn newcomer(server: &Server) -> Result<f64, ConnectionError> {
    thread::sleep(LOOK);
    let clock = Clock::start();
    let mut client = Client::connect(&server.target, "newcomer", SECRET)?;
    for command in [
        json!({ "subscribe": { "channel": "room:newcomers" } }),
        json!({ "publish": { "channel": "room:newcomers", "data": "here" } }),
    ] {
        let reply = client.ask(command)?;
        if reply["error"].is_object() {
            return Err(ConnectionError::Broken(format!("refused: {reply}")));
        }
    }
    Ok(clock.elapsed().as_secs_f64() * 1e3)
}

/// Seconds until a few newcomers in a row take at most twice what they took before.
fn recover(server: &Server, before_ms: f64) -> Result<f64, String> {
    let clock = Clock::start();
    let mut in_a_row = 0;
    let mut since_s = 0.0;
    while clock.elapsed() < RECOVERY {
        if in_a_row == 0 {
            since_s = clock.elapsed().as_secs_f64();
        }
        in_a_row = match newcomer(server) {
            Ok(ms) if ms <= 2.0 * before_ms => in_a_row + 1,
            Ok(_) | Err(_) => 0,
        };
        if in_a_row == IN_A_ROW {
            return Ok(since_s);
        }
    }
    let patience_s = RECOVERY.as_secs();
    Err(format!("newcomers are not served as before (in {before_ms:.1} ms) after {patience_s} s"))
}
