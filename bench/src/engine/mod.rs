//! Runs a scenario against a server: threads with rings of their own, stages
//! that all of them go through together, and an outcome.
//!
//! Invariants: a connection belongs to one thread; a stage begins when every
//! thread has ended the one before, or when nothing has moved for so long that
//! waiting would only hide that the run has failed.
//!
//! Deliberately absent: what a load does (`loads`), what is done with the
//! outcome (`report`).

mod client_codec;
mod peer;
mod retry;
mod scan;
mod target;
mod worker;

use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rookery::base::Io;
use rookery::base::limits::SHARDS_MAX;
use rookery::metrics::Cells;
use rookery::ring::{self, KernelIo};

pub use target::{Target, TargetParseError};

use crate::clock::Clock;
use crate::loads::{SharedProgress, Shown, Stage};
use crate::outcome::{LoadCounters, Outcome, RampPoint};
use crate::process::{Process, Sample};
use crate::scenario::{Load, Scenario, ScenarioError};
use crate::stats::Latency;
use client_codec::ClientCodec;
use worker::{Found, Worker, WorkerSetup};

/// How often the board is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Looks at the server while connections come in.
const RAMP_POINTS: u64 = 20;

/// Threads need little: their connections are on the heap.
const STACK_BYTES: usize = 512 << 10;

/// How a scenario is run, whatever it is.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Signs tokens; without it clients are anonymous.
    pub secret: Option<String>,
    /// The server's process, to be looked at.
    pub server: Option<Process>,
    /// Cores for the threads in turn; empty leaves them to the scheduler.
    pub cores: Vec<usize>,
    /// How long nothing may move before a stage counts as failed.
    pub standstill_ms: u64,
}

impl Default for Setting {
    fn default() -> Setting {
        Setting { secret: None, server: None, cores: Vec::new(), standstill_ms: 20_000 }
    }
}

/// Why there is no outcome.
#[derive(Debug)]
pub enum RunError {
    /// The scenario contradicts itself.
    Scenario(ScenarioError),
    /// More threads than a run may have.
    Threads,
    /// A thread could not have what it needs.
    Thread(String),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RunError::Scenario(impossible) => impossible.fmt(f),
            RunError::Threads => write!(f, "more than {SHARDS_MAX} threads"),
            RunError::Thread(why) => write!(f, "a thread could not begin: {why}"),
        }
    }
}

impl std::error::Error for RunError {}

/// Whoever watches a run.
pub trait Watcher {
    /// How far the run is; called many times a second, and at the end of each stage.
    fn moved(&mut self, scenario: &Scenario, stage: Stage, shown: Shown);
}

/// Runs a scenario from the first connection to the last answer.
pub fn run(
    scenario: &Scenario,
    target: &Target,
    setting: &Setting,
    watcher: &mut dyn Watcher,
) -> Result<(Outcome, Vec<String>), RunError> {
    scenario.check().map_err(RunError::Scenario)?;
    if SHARDS_MAX < scenario.threads {
        return Err(RunError::Threads);
    }
    let shared_progress = Arc::new(SharedProgress::new(scenario.threads, scenario.spoken_rooms()));
    let clock = Clock::start();
    let server_start = look(setting);
    let shared = Arc::new(scenario.clone());
    let threads: Vec<_> = (0..scenario.threads)
        .map(|thread| {
            let (scenario, shared_progress) = (Arc::clone(&shared), Arc::clone(&shared_progress));
            let (target, setting) = (target.clone(), setting.clone());
            let build = thread::Builder::new().name(format!("load-{thread}"));
            let body = move || {
                let found =
                    work(scenario, thread, Arc::clone(&shared_progress), clock, &target, &setting);
                if found.is_err() {
                    shared_progress.abandon();
                }
                found
            };
            build.stack_size(STACK_BYTES).spawn(body).expect("threads below their limit")
        })
        .collect();
    let mut coordinator = Coordinator {
        scenario,
        shared_progress: &shared_progress,
        clock,
        setting,
        ended: 0,
        ramp: Vec::new(),
        watcher,
    };
    let passed = coordinator.coordinate();
    coordinator.begin(Stage::Over);
    let ramp = coordinator.ramp;
    let found: Result<Vec<Found>, String> =
        threads.into_iter().map(|thread| thread.join().expect("a worker does not panic")).collect();
    let found = found.map_err(RunError::Thread)?;
    Ok(put_together(scenario, target, found, passed, ramp, server_start))
}

fn look(setting: &Setting) -> Option<Sample> {
    setting.server.as_ref().and_then(|server| server.sample().ok())
}

fn put_together(
    scenario: &Scenario,
    target: &Target,
    found: Vec<Found>,
    passed: Passed,
    ramp: Vec<RampPoint>,
    server_start: Option<Sample>,
) -> (Outcome, Vec<String>) {
    let (mut tally, mut latency, mut calm) =
        (LoadCounters::default(), Latency::new(), Latency::new());
    let mut error_messages = passed.error_messages;
    for part in found {
        tally.add(&part.tally);
        latency.add(&part.latency);
        calm.add(&part.calm);
        error_messages.extend(part.error_messages);
    }
    let deliveries_per_latency =
        tally.delivered.checked_div(latency.count()).unwrap_or_default() as u32;
    let outcome = Outcome {
        scenario: scenario.clone(),
        target: target.to_string(),
        tally,
        connect_ms: passed.connect_ns / 1_000_000,
        measure_ns: passed.measure_ns,
        latency: latency.summary(),
        calm: (0 < calm.count()).then(|| calm.summary()),
        deliveries_per_latency,
        recover_ms: passed.recover_ns.map(|ns| ns / 1_000_000),
        server_start,
        server_before: passed.before,
        server_after: passed.after,
        ramp,
    };
    (outcome, error_messages)
}

/// One thread, from nothing.
fn work(
    scenario: Arc<Scenario>,
    thread: u16,
    shared_progress: Arc<SharedProgress>,
    clock: Clock,
    target: &Target,
    setting: &Setting,
) -> Result<Found, String> {
    if let Some(core) = setting.cores.get(usize::from(thread) % setting.cores.len().max(1)) {
        core_affinity::set_for_current(core_affinity::CoreId { id: *core });
    }
    if 1 < scenario.threads {
        // Before the ring is made: a ring that another table holds open would
        // keep the sockets of its requests alive.
        ring::unshare_descriptor_table().map_err(|error| error.to_string())?;
    }
    let connections = scenario.of_thread(thread).len() as u32;
    let metrics = Rc::new(Cells::new().claim());
    let mut io = KernelIo::new(&ring_options(connections), metrics)
        .map_err(|refusal| refusal.to_string())?;
    let unix_s = io.now().unix_s();
    let secret = setting.secret.as_deref();
    let codec = ClientCodec::new(&scenario, &target.host, &target.path, secret, unix_s);
    let given = WorkerSetup { scenario, thread, shared_progress, clock, to: target.addr, codec };
    Ok(Worker::new(given).run(&mut io))
}

/// Few connections get large buffers, for as many frames in a receive as there
/// are; many get small ones, because there are many threads of them.
fn ring_options(connections: u32) -> ring::Options {
    let (recv_buffers, recv_buffer_bytes) =
        if connections <= 4_096 { (64, 64 << 10) } else { (256, 4_096) };
    ring::Options {
        recv_buffers,
        recv_buffer_bytes,
        submission_entries: 1_024,
        completion_entries: 8_192,
        // One more for each that leaves while it comes back.
        connections_max: connections.saturating_mul(2),
    }
}

/// Takes all threads through the stages.
struct Coordinator<'a> {
    scenario: &'a Scenario,
    shared_progress: &'a SharedProgress,
    clock: Clock,
    setting: &'a Setting,
    ended: u64,
    ramp: Vec<RampPoint>,
    watcher: &'a mut dyn Watcher,
}

/// What only the conductor knows.
#[derive(Default)]
struct Passed {
    connect_ns: u64,
    measure_ns: u64,
    recover_ns: Option<u64>,
    before: Option<Sample>,
    after: Option<Sample>,
    error_messages: Vec<String>,
}

impl Coordinator<'_> {
    fn coordinate(&mut self) -> Passed {
        let mut passed = Passed::default();
        self.stage(Stage::Ramp, 0, &mut passed);
        passed.connect_ns = self.clock.ns();
        passed.before = look(self.setting);
        let measured: &[Stage] = match self.scenario.load {
            Load::Storm { .. } => &[Stage::Measure, Stage::Drop, Stage::Talk, Stage::Return],
            Load::Connect { .. } | Load::Echo { .. } | Load::Fanout { .. } | Load::Soak { .. } => {
                &[Stage::Measure]
            }
        };
        for stage in measured {
            let began_ns = self.begin(*stage);
            self.stage(*stage, self.planned_ns(*stage), &mut passed);
            let took_ns = match self.scenario.load {
                // The hold ends by the clock, not by the last delivery.
                Load::Connect { .. } => self.clock.ns() - began_ns,
                Load::Echo { .. }
                | Load::Fanout { .. }
                | Load::Storm { .. }
                | Load::Soak { .. } => {
                    self.shared_progress.shown().last_ns.saturating_sub(began_ns)
                }
            };
            passed.measure_ns = took_ns;
            if *stage == Stage::Return {
                passed.recover_ns = Some(took_ns);
            }
        }
        passed.after = look(self.setting);
        self.begin(Stage::Prove);
        self.stage(Stage::Prove, 0, &mut passed);
        passed
    }

    fn planned_ns(&self, stage: Stage) -> u64 {
        1_000_000
            * match self.scenario.load {
                Load::Connect { hold_ms } => hold_ms,
                Load::Echo { measure_ms, .. }
                | Load::Fanout { measure_ms, .. }
                | Load::Soak { measure_ms, .. } => measure_ms,
                Load::Storm { calm_ms, .. } if stage == Stage::Measure => calm_ms,
                Load::Storm { .. } => 0,
            }
    }

    fn begin(&mut self, stage: Stage) -> u64 {
        let now_ns = self.clock.ns();
        self.shared_progress.begin(stage, now_ns);
        now_ns
    }

    /// Waits until all threads have ended the stage.
    fn stage(&mut self, stage: Stage, planned_ns: u64, passed: &mut Passed) {
        self.ended += 1;
        let began_ns = self.clock.ns();
        let (mut moved_ns, mut progress) = (began_ns + planned_ns, 0);
        while !self.shared_progress.all_ended(self.ended) && !self.shared_progress.is_abandoned() {
            thread::sleep(LOOK);
            let shown = self.look_at(stage);
            let now_ns = self.clock.ns();
            if shown.progress != progress {
                progress = shown.progress;
                moved_ns = now_ns.max(began_ns + planned_ns);
            }
            let standstill_ms = self.setting.standstill_ms;
            if moved_ns + standstill_ms * 1_000_000 < now_ns {
                passed
                    .error_messages
                    .push(format!("{stage:?}: nothing moved for {standstill_ms} ms"));
                self.give_up_stage();
                return;
            }
        }
        // A stage may be over before it was looked at.
        self.look_at(stage);
    }

    /// How far the stage is; whoever watches is told.
    fn look_at(&mut self, stage: Stage) -> Shown {
        let shown = self.shared_progress.shown();
        self.watcher.moved(self.scenario, stage, shown);
        if stage == Stage::Ramp {
            self.note_ramp(shown.live);
        }
        shown
    }

    /// Threads that have not ended the stage will not; later stages count on.
    fn give_up_stage(&mut self) {
        self.shared_progress.end_for_all(self.ended);
    }

    fn note_ramp(&mut self, live: u64) {
        let step = u64::from(self.scenario.connections).div_ceil(RAMP_POINTS);
        if self.setting.server.is_none() || live < step * (self.ramp.len() as u64 + 1) {
            return;
        }
        if let Some(sample) = look(self.setting) {
            self.ramp.push(RampPoint {
                connections: live,
                resident_bytes: sample.resident_bytes,
                charged_bytes: sample.charged_bytes,
            });
        }
    }
}

/// Threads that a number of connections needs where each descriptor table ends
/// at `descriptors`.
pub fn threads_for(connections: u32, descriptors: u64) -> u16 {
    // The process's own files, the ring's, and connections that leave while
    // others come.
    const SPARE: u64 = 500;
    let each = descriptors.saturating_sub(SPARE).max(1);
    u64::from(connections).div_ceil(each).clamp(1, u64::from(SHARDS_MAX)) as u16
}
