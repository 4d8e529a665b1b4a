//! One core: its `Io`, its shard, its ends of the lanes, and the loop of its turns.
//!
//! `shard::turn` has the order of a turn. When one found nothing, the core sleeps until
//! its `Io` has something, its next deadline passes, or its waker is notified.
//!
//! Everything that several threads use by descriptor (wakers, and the
//! runtime of the control thread) is made before descriptor tables split, so
//! that its number means the same in all tables; what belongs to one core
//! (listener, connections) is made afterwards and is in its own table only.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Receiver;

use core_affinity::CoreId;
use glommio::{CpuSet, LocalExecutorBuilder, Placement};
use tokio::sync::mpsc::{Sender, UnboundedSender};

use super::core_lanes::{CoreCommand, CoreLanes, Neighbours};
use super::hook_lane::HookSender;
use super::plan::TableKind;
use super::presence::PresenceSender;
use super::pulse::{LastPulse, PulseInputs, SLEEP_MS_MAX};
use super::storage::StoreEnds;
use crate::auth::Keys;
use crate::base::{Action, Csprng, Io as _, MonotonicMs, ShardId, trim_list};
use crate::blocks::BlockTable;
use crate::clock;
use crate::lane::{LaneSender, Mailbox};
use crate::metrics::{
    Cells, CoreWork, Counter, DeadLetterReason, FlightCause, FlightRecord, Gauge, Histogram,
    MetricsWriter, TurnPhase,
};
use crate::ring::{self, IoSetupError, KernelIo, PortUse, Waker};
use crate::session::NameKey;
use crate::shard::{
    self, EarlyPanic, RoomRanking, ScanResult, ServerAnswer, Shard, TraceEvent, TurnCounts,
};

/// glommio's own I/O needs next to nothing here: the sockets are in our ring.
const EXECUTOR_IO_BYTES: usize = 64 << 10;

/// Entries of glommio's own rings.
const EXECUTOR_RING_ENTRIES: usize = 32;

/// A turn that takes longer is observed as a stall.
const STALL_US_MIN: u64 = 1_000;

/// One that takes longer than this is noted down, too: people notice.
const STALL_US_NOTED: u64 = 25_000;

/// Lateness that gets a line in the log, and how often it gets one at most.
const LATE_MS_NOTED: u64 = 250;
const LATE_TOLD_MS: u64 = 60_000;

/// What one core begins with.
pub(super) struct CoreSetup {
    pub id: ShardId,
    pub shards_count: u16,
    pub cpu: usize,
    pub cells: Arc<Cells>,
    pub ring: ring::Options,
    pub shard: Arc<shard::Options>,
    pub keys: Arc<Keys>,
    pub blocks: BlockTable,
    pub names: NameKey,
    /// For jitter, and nothing that others see.
    pub seed: u64,
    pub ids: Csprng,
    pub table: TableKind,
    pub neighbours: Neighbours,
    pub store: Option<StoreEnds>,
    pub trace_events: LaneSender<TraceEvent>,
    /// The storage thread's numbers, for the one core that counts on.
    pub store_cells: Option<Arc<Cells>>,
    pub commands: Mailbox<CoreCommand>,
    pub start_listening: Receiver<StartListening>,
    pub reports: Sender<CoreReport>,
    pub core_events: Sender<CoreEvent>,
    /// Bounded by the questions that the control thread has asked.
    pub server_answers: UnboundedSender<Vec<ServerAnswer>>,
    pub hooks: HookSender,
    /// `None` where nobody is told who is there.
    pub presence: Option<PresenceSender>,
    pub stop: Arc<AtomicBool>,
    pub pulse: LastPulse,
}

/// Starts listening; sent when every core has its waker.
pub(super) struct StartListening {
    pub wakers: Arc<[Waker]>,
    pub addresses: Vec<SocketAddr>,
    pub backlog: u16,
    pub port_use: PortUse,
    /// Set for the one core that attaches the program for all.
    pub steer: Option<u16>,
}

/// What a core tells the control thread while it serves. When there is no room, it is
/// not told: whoever waits for it has a deadline.
#[derive(Debug)]
pub(super) enum CoreEvent {
    /// A session panicked soon after it began.
    EarlyPanic(EarlyPanic),
    /// The largest rooms are found.
    RoomsRanked { core: u16, scan_id: u64, found: RoomRanking },
    /// A look is over.
    ScanFinished {
        core: u16,
        scan_id: u64,
        found: ScanResult,
        /// Who is at the other end, by connection of what was found.
        peers: Vec<Option<SocketAddr>>,
    },
}

/// What a core tells the control thread. Each is sent once, in this order.
#[derive(Debug)]
pub(super) enum CoreReport {
    /// The ring exists.
    Made(Result<Waker, IoSetupError>),
    /// Peers are accepted there.
    Listening(Result<Vec<SocketAddr>, ListenError>),
    /// A drain was begun, and nobody is left.
    Drained,
}

/// Why a core cannot listen.
#[derive(Debug)]
pub(super) enum ListenError {
    /// The descriptor table did not split.
    Table(io::Error),
    /// The address.
    Listen(SocketAddr, io::Error),
}

/// The handle of a core's thread.
pub(super) type Thread = glommio::ExecutorJoinHandle<()>;

/// Starts one core's thread, pinned to its CPU.
pub(super) fn start(setup: CoreSetup) -> Result<Thread, String> {
    let (placement, pin) = placement(setup.cpu);
    let builder = LocalExecutorBuilder::new(placement)
        .name(&format!("shard-{}", setup.id.0))
        .io_memory(EXECUTOR_IO_BYTES)
        .ring_depth(EXECUTOR_RING_ENTRIES);
    let begin = move || {
        if let Some(core) = pin
            && !core_affinity::set_for_current(core)
        {
            tracing::warn!("shard {} is not pinned to CPU {}", setup.id.0, core.id);
        }
        serve(setup)
    };
    builder.spawn(begin).map_err(|error| error.to_string())
}

/// How a thread gets to its CPU: by glommio, which looks the CPU up in /sys and panics
/// without it, or by itself where a container has no /sys.
fn placement(cpu: usize) -> (Placement, Option<CoreId>) {
    match CpuSet::online() {
        Ok(_) => (Placement::Fixed(cpu), None),
        Err(_) => (Placement::Unbound, Some(CoreId { id: cpu })),
    }
}

/// Why a core that never reported has ended.
#[derive(Debug)]
pub(super) enum CoreError {
    /// The kernel refused its rings.
    Rings(IoSetupError),
    /// Anything else, in glommio's words.
    Other(String),
}

/// Asks a thread that is at its end why.
pub(super) fn why_ended(thread: Thread) -> CoreError {
    match thread.join() {
        Ok(()) => CoreError::Other("it ended while it started".to_owned()),
        Err(error) => match error.raw_os_error() {
            Some(errno) => CoreError::Rings(IoSetupError::from_step(
                "an executor's rings",
                "executors",
                io::Error::from_raw_os_error(errno),
            )),
            None => CoreError::Other(error.to_string()),
        },
    }
}

async fn serve(setup: CoreSetup) {
    let reports = setup.reports.clone();
    // The control thread may have given up; then nobody needs to know.
    let report = |report| drop(reports.try_send(report));
    let metrics = Rc::new(setup.cells.claim());
    let mut io = match KernelIo::new(&setup.ring, Rc::clone(&metrics)) {
        Ok(io) => io,
        Err(refusal) => return report(CoreReport::Made(Err(refusal))),
    };
    report(CoreReport::Made(Ok(io.waker())));
    // Blocks the executor, which has nothing else to do yet.
    let Ok(start_listening) = setup.start_listening.recv() else { return };
    let listeners = match open(setup.table, &start_listening) {
        Ok(listeners) => listeners,
        Err(why) => return report(CoreReport::Listening(Err(why))),
    };
    let address = |one: &TcpListener| one.local_addr().expect("a listener has an address");
    let addresses = listeners.iter().map(address).collect();
    listeners.into_iter().for_each(|listener| io.listen(listener));
    io.set_peers(start_listening.wakers);
    report(CoreReport::Listening(Ok(addresses)));

    let shard = Shard::new(shard::ShardSetup {
        id: setup.id,
        shards_count: setup.shards_count,
        options: setup.shard,
        keys: setup.keys,
        blocks: setup.blocks,
        names: setup.names,
        seed: setup.seed,
        ids: setup.ids,
        now: io.now(),
        metrics: Rc::clone(&metrics),
    });
    let core = Core {
        id: setup.id,
        io,
        shard,
        lanes: CoreLanes::new(setup.neighbours, setup.store, setup.trace_events, setup.commands),
        expired: setup.store_cells.map(|cells| Expired { cells, counted: 0 }),
        work: Vec::new(),
        metrics,
        tasks_begun: 0,
        reports: Some(setup.reports),
        core_events: setup.core_events,
        server_answers: setup.server_answers,
        hooks: setup.hooks,
        presence: setup.presence,
        stop: setup.stop,
        pulse: setup.pulse,
        late_told_until: MonotonicMs(0),
    };
    core.run();
}

/// Splits the table where asked, and only then makes what is this core's alone.
fn open(
    table: TableKind,
    start_listening: &StartListening,
) -> Result<Vec<TcpListener>, ListenError> {
    match table {
        TableKind::Shared => (),
        TableKind::PerShard => ring::unshare_descriptor_table().map_err(ListenError::Table)?,
    }
    let mut listeners = Vec::new();
    for &address in &start_listening.addresses {
        let listener =
            ring::listener(address, i32::from(start_listening.backlog), start_listening.port_use)
                .map_err(|error| ListenError::Listen(address, error))?;
        if let Some(shards) = start_listening.steer
            && let Err(error) = ring::steer_by_cpu(&listener, shards)
        {
            tracing::warn!(
                "peers of {address} are not steered to the CPU of their packets: {error}"
            );
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

/// One core at work.
struct Core {
    id: ShardId,
    io: KernelIo,
    shard: Shard,
    lanes: CoreLanes,
    expired: Option<Expired>,
    /// Kept between turns for its capacity only.
    work: Vec<Action>,
    metrics: Rc<MetricsWriter>,
    /// What the counter of tasks knows already.
    tasks_begun: u64,
    /// Until the drain was reported.
    reports: Option<Sender<CoreReport>>,
    core_events: Sender<CoreEvent>,
    server_answers: UnboundedSender<Vec<ServerAnswer>>,
    hooks: HookSender,
    presence: Option<PresenceSender>,
    stop: Arc<AtomicBool>,
    pulse: LastPulse,
    /// No line about lateness before.
    late_told_until: MonotonicMs,
}

/// Direct messages that expired in the store: an outcome like others, which one core
/// counts beside its own.
struct Expired {
    cells: Arc<Cells>,
    counted: u64,
}

impl Expired {
    fn take(&mut self) -> u64 {
        let counted = self.cells.counted(Counter::DeadLetters(DeadLetterReason::Expired));
        counted - std::mem::replace(&mut self.counted, counted)
    }
}

impl Core {
    /// Turns while there is something to do, sleeps when there is not.
    ///
    /// The loop is the only task of its executor, and so it sleeps in its own
    /// ring instead of glommio's: decision 0007 says what was lost otherwise.
    fn run(mut self) {
        while !self.stop.load(Relaxed) {
            if self.turn().is_idle() {
                self.metrics.add(Counter::Sleeps, 1);
                self.metrics.enter(TurnPhase::Sleeping);
                let alive = self.io.now().tick.plus_ms(SLEEP_MS_MAX);
                self.io.park(self.shard.next_wake().into_iter().chain([alive]).min());
            }
        }
    }

    /// One turn, and what watches it.
    fn turn(&mut self) -> TurnCounts {
        let began = clock::now();
        let now = self.io.now();
        self.metrics.set(Gauge::LastTick, now.unix_ms);
        self.metrics.begin_turn(now.unix_ms);
        if self.pulse.is_due(now.tick) {
            self.look_around(now.tick);
        }
        let Core { io, shard, lanes, work, .. } = self;
        let turned = shard::turn(now, shard, io, lanes, work);
        let took_us = began.elapsed().as_micros() as u64;
        let metrics = &self.metrics;
        if STALL_US_MIN <= took_us {
            metrics.observe(Histogram::Stall, took_us);
        }
        if STALL_US_NOTED <= took_us {
            let stall = FlightRecord::new(now.unix_ms, FlightCause::Stall);
            metrics.note(&FlightRecord { value_us: took_us, ..stall });
        }
        self.publish_work();
        self.report_drained();
        self.report_findings();
        turned
    }

    /// Tells what need not be told in each turn.
    fn look_around(&mut self, now: MonotonicMs) {
        let look = PulseInputs {
            connections: self.io.connections(),
            messages: self.lanes.waiting_count(),
            outbox_bytes_max: self.shard.outbox_bytes_max(),
        };
        self.pulse.beat(now, &look, &self.metrics);
        self.shard.trim();
        self.io.trim();
        trim_list(&mut self.work);
        self.log_lateness(now);
        if let Some(expired) = &mut self.expired {
            let more = expired.take();
            self.shard.on_expired(more);
        }
    }

    /// A line in the log when the core is late, not more often than each minute.
    fn log_lateness(&mut self, now: MonotonicMs) {
        let lag_ms = self.shard.worst_lag_ms();
        if lag_ms < LATE_MS_NOTED || now < self.late_told_until {
            return;
        }
        self.late_told_until = now.plus_ms(LATE_TOLD_MS);
        tracing::warn!(
            "core {} is late: its pings left up to {lag_ms} ms after their time; it takes fewer \
             newcomers, and closes nobody for being silent, until it is on time again",
            self.id.0
        );
    }

    /// Says what is under way, for those who look at this core from outside.
    fn publish_work(&mut self) {
        let (ring_operations, operations_begun) = self.io.operations();
        let under_way = CoreWork { ring_operations, ..self.shard.under_way() };
        self.metrics.set_work(&under_way);
        self.shard.changed_lanes(&mut |to, open| self.metrics.set_open_requests(to, open));
        let CoreWork { timers, questions, store_requests, .. } = under_way;
        self.metrics.set(Gauge::Tasks, ring_operations + timers + questions + store_requests);
        let begun = operations_begun + self.shard.tasks_begun();
        self.metrics.add(Counter::TasksSpawned, begun - self.tasks_begun);
        self.tasks_begun = begun;
    }

    /// What was found goes to whoever asked, if there is room.
    fn report_findings(&mut self) {
        let answers = self.shard.take_server_answers();
        if !answers.is_empty() {
            // Whoever asked may be gone.
            let _ = self.server_answers.send(answers);
        }
        let calls = self.shard.take_hook_calls();
        if !calls.is_empty() || self.hooks.is_waiting() {
            let io = &mut self.io;
            self.hooks.post(calls, |call| io.peer(call.conn));
        }
        if let Some(presence) = &mut self.presence {
            presence.post(self.shard.presence_facts());
            if presence.take_pass_wish() {
                self.shard.say_all_present();
            }
        }
        for prefix in self.shard.take_early_panics() {
            let _ = self.core_events.try_send(CoreEvent::EarlyPanic(prefix));
        }
        if let Some((scan_id, found)) = self.shard.take_room_ranking() {
            let ranked = CoreEvent::RoomsRanked { core: self.id.0, scan_id, found };
            let _ = self.core_events.try_send(ranked);
        }
        if let Some((scan_id, found)) = self.shard.take_scan_result() {
            let peers = match &found {
                ScanResult::Top(infos, _) => {
                    infos.iter().map(|info| self.io.peer(info.conn)).collect()
                }
                ScanResult::CountPrefix { .. } => Vec::new(),
            };
            let finished = CoreEvent::ScanFinished { core: self.id.0, scan_id, found, peers };
            let _ = self.core_events.try_send(finished);
        }
    }

    fn report_drained(&mut self) {
        if self.reports.is_some() && self.shard.is_drained() {
            let reports = self.reports.take().expect("asked a moment ago");
            // The control thread may have stopped waiting.
            let _ = reports.try_send(CoreReport::Drained);
        }
    }
}
