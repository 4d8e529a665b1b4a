//! The control thread: starts the cores, serves the admin pages, and turns
//! signals into orders. It never makes a core wait.
//!
//! | signal | what happens |
//! |---|---|
//! | SIGTERM, SIGINT | the first drains, or gives a start up; the second ends at once |
//! | SIGHUP | keys are read again; when that fails, the old ones stay |
//!
//! Invariant: a signal is heard in whatever the server is doing, so what may hang with a
//! disk, which is opening and closing the store and reading files, is done on a thread
//! beside this one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time;

use super::core_lanes::{ERRAND_LANE, Errand, NEIGHBOUR_LANE};
use super::descriptor_table::TableUse;
use super::evidence::{self, Desk};
use super::executor::{self, Finding, Go, NoExecutor, NoListener, Part, Report, Thread};
use super::plan::{Plan, Table};
use super::process::{Process, memory_limit_bytes};
use super::pulse::Pulse;
use super::reload::Reloading;
use super::storage::{self, Doorbells, Storage, Voice};
use super::traces::{Collector, Identity, NOTE_LANE, Telling};
use super::{Ended, Fault, Setup};
use crate::admin::{self, CpuProfiles, Evidence, Listener, Readiness, StoreState, View};
use crate::base::{Csprng, ShardId};
use crate::lane::{self, LaneSender};
use crate::metrics::{Cells, Exposition, Gauge, Tenants, Threads};
use crate::ring::{self, Doorbell, PortUse};
use crate::session::{NameKey, namespace_of};
use crate::shard::{Note, Order};
use crate::signals::{SignalRequest, Signals, StopSignal};
use crate::store::{self, Engine, FjallDisk};

/// Of the errands that wait for one core, so many may be questions: what must be done finds
/// room behind them.
const QUESTIONS_WAITING_MAX: usize = ERRAND_LANE.batches_max / 2;

/// Findings of all cores that wait for the control thread.
const FINDINGS_MAX: usize = 1_024;

/// Reports that wait for the control thread, for each core; it sends three.
const REPORTS_MAX: usize = 3;

/// A core takes its orders in each turn, so room comes soon.
const ORDER_RETRY_MS: u64 = 5;

/// Times that an order is offered to a core before it counts as hung.
const ORDER_TRIES_MAX: u32 = 200;

/// How long the sockets of a server that was killed may stand in the way, in ms. Its
/// process is gone before the kernel has taken its rings apart, with what they hold.
const PORT_WAIT_MS_MAX: u64 = 3_000;

/// Between two looks whether the port is free, in ms.
const PORT_RETRY_MS: u64 = 10;

/// What the shards' drain leaves of `drain_ms` for the last answers.
const DRAIN_MARGIN_MS: u64 = 1_000;

/// How long the end of all threads may take until that is told, in ms.
const ENDING_MS_TOLD: u64 = 5_000;

/// All cores, as the control thread sees them.
pub(super) struct Cores {
    cores: Vec<Core>,
    stop: Arc<AtomicBool>,
    store: Option<Store>,
}

/// The storage thread, and how it is told to begin.
struct Store {
    storage: Storage,
    go: mpsc::SyncSender<Doorbells>,
}

struct Core {
    thread: Thread,
    go: mpsc::SyncSender<Go>,
    reports: Receiver<Report>,
    errands: LaneSender<Errand>,
    doorbell: Option<Doorbell>,
}

/// The life of the server, until it ends by itself or somebody insists.
pub(super) async fn run(setup: Setup, plan: Plan) -> Result<Ended, Fault> {
    let signals = Signals::listen().map_err(Fault::Signals)?;
    let mut insistence = Signals::listen().map_err(Fault::Signals)?;
    let insists = async {
        insistence.stop().await;
        insistence.stop().await
    };
    tokio::select! {
        ended = live(setup, plan, signals) => ended,
        signal = insists => Ok(Ended::Signal(signal.number())),
    }
}

/// From the first core to the last.
async fn live(mut setup: Setup, plan: Plan, mut signals: Signals) -> Result<Ended, Fault> {
    let admin = Listener::bind(setup.options.admin_listen).await.map_err(Fault::Admin)?;
    let admin_address = admin
        .address()
        .map_err(|error| Fault::Admin(admin::Fault::Listen(setup.options.admin_listen, error)))?;
    let cells: Vec<Arc<Cells>> = plan.cores.iter().map(|_| Cells::new()).collect();
    let (readiness, seen) = watch::channel(Readiness::Starting);
    let store_cells = setup.store.as_ref().map(|_| Cells::of_store());
    let (process, ledger) = Cells::of_process();
    ledger.set(Gauge::ConnLimit, u64::from(plan.connections_max));
    let began_unix_ms = unix_ms();
    let tenants = Arc::new(Tenants::with(&setup.shard.session.metrics_tenants));
    setup.shard.session.tenants = Arc::clone(&tenants);
    let (cores, store) = (cells.clone(), store_cells.clone());
    let threads = Threads { cores, store, process, tenants, began_unix_ms };
    let tables = tables(&plan);
    let facts = Process::new(ledger.clone(), Arc::clone(&tables[0]), began_unix_ms);
    let exposition = Arc::new(Exposition::new(threads.clone()));
    let (store_state, store) = watch::channel(StoreState::Absent);
    let (admin_token, token) = watch::channel(setup.secrets.admin_token.take());
    let (asked, questions) = channel(admin::QUESTIONS_MAX);
    let (found, findings) = channel(FINDINGS_MAX);
    let instance = instance(&setup, admin_address);
    let mut desk = Desk::new(evidence::Setup {
        questions,
        findings,
        quarantine: setup.shard.quarantine.clone(),
        cells: cells.clone(),
        instance: Arc::clone(&instance),
        evidence_dir: setup.evidence.dir.clone(),
        leak_hold_ms: setup.evidence.leak_hold_ms,
    });
    let profile = Arc::new(Semaphore::new(1));
    let cpu_profiles = match plan.table {
        Table::Shared => CpuProfiles::Possible,
        Table::PerShard => CpuProfiles::Impossible,
    };
    let evidence = Evidence { token, instance, threads, questions: asked, profile, cpu_profiles };
    let pages = tokio::spawn(admin.serve(View {
        exposition,
        ledger: ledger.clone(),
        refresh: Arc::new(move || facts.refresh()),
        readiness: seen,
        store,
        evidence,
    }));

    let voice = store_cells.map(|cells| Voice { cells, state: store_state });
    let collector = collector(&setup).map_err(Fault::Collector)?;
    let (senders, notes) = lane::mailbox(plan.cores.len() as u16, NOTE_LANE);
    let starting = async {
        let mut cores = Cores::start(&setup, &plan, cells, voice, tables, senders, &found).await?;
        let addresses = cores.listen(&setup, &plan).await?;
        Ok((cores, addresses))
    };
    let mut is_reload_wanted = false;
    let started = tokio::select! {
        started = starting => Some(started?),
        () = stopped_meanwhile(&mut signals, &mut is_reload_wanted) => None,
    };
    // Nobody was let in, so nobody has to leave.
    let Some((mut cores, addresses)) = started else { return Ok(Ended::Drained) };
    let telling = Telling::begin(notes, collector, ledger.clone());
    readiness.send_replace(Readiness::Ready);
    announce(&plan, &addresses, admin_address);

    let mut reloading = Reloading::new(setup.reload);
    if is_reload_wanted {
        reloading.begin();
    }
    let signal = loop {
        tokio::select! {
            request = signals.next() => match request {
                SignalRequest::Stop(signal) => break signal,
                SignalRequest::Reload => reloading.begin(),
            },
            read = reloading.done() => match read {
                Ok(secrets) => {
                    cores.order(&Order::Keys(secrets.keys)).await;
                    admin_token.send_replace(secrets.admin_token);
                    ledger.set(Gauge::ConfigReloaded, unix_ms());
                    ledger.set(Gauge::ConfigReloadGood, 1);
                    tracing::info!("keys were read again and are in use");
                }
                Err(why) => {
                    ledger.set(Gauge::ConfigReloadGood, 0);
                    tracing::error!("keys stay as they were: {why}");
                }
            },
            errands = desk.wait() => desk.act(&mut cores, errands),
        }
    };
    // A drain takes no questions.
    drop(desk);
    readiness.send_replace(Readiness::Draining);
    ledger.set(Gauge::Draining, 1);
    let ended = drain(&mut cores, &mut signals, setup.options.drain_ms, signal).await;
    telling.end().await;
    if let Ended::Drained = ended {
        end(cores).await;
    }
    pages.abort();
    Ok(ended)
}

/// Until a signal says that a start is not to go on. Keys that are to be read again are
/// read when it is over.
async fn stopped_meanwhile(signals: &mut Signals, is_reload_wanted: &mut bool) {
    let signal = loop {
        match signals.next().await {
            SignalRequest::Stop(signal) => break signal,
            SignalRequest::Reload => *is_reload_wanted = true,
        }
    };
    tracing::info!("the start is given up ({})", signal.name());
}

/// Ends all threads. That takes as long as the store's last sync.
async fn end(cores: Cores) {
    let mut ending = spawn_blocking(move || cores.stop());
    let late = Duration::from_millis(ENDING_MS_TOLD);
    let ended = match time::timeout(late, &mut ending).await {
        Ok(ended) => ended,
        Err(_) => {
            tracing::warn!("the store is still being closed; the next signal ends it at once");
            ending.await
        }
    };
    ended.expect("it does not panic");
}

/// Until every core is empty, or the time has passed.
async fn drain(
    cores: &mut Cores,
    signals: &mut Signals,
    drain_ms: u64,
    signal: StopSignal,
) -> Ended {
    tracing::info!("draining for up to {drain_ms} ms ({})", signal.name());
    let everybody_leaves = async {
        cores.order(&Order::Drain { over_ms: drain_ms }).await;
        cores.drained().await;
    };
    let limit = Duration::from_millis(drain_ms + DRAIN_MARGIN_MS);
    let reloads = async {
        loop {
            match signals.next().await {
                // Whoever insists is heard by `run`.
                SignalRequest::Stop(_) => (),
                SignalRequest::Reload => tracing::warn!("keys are not read again during a drain"),
            }
        }
    };
    tokio::select! {
        () = everybody_leaves => {
            tracing::info!("everybody has left");
            Ended::Drained
        }
        () = time::sleep(limit) => {
            tracing::warn!("the drain time is over; the rest is cut off");
            Ended::TimePassed
        }
        () = reloads => unreachable!("it has no end"),
    }
}

fn announce(plan: &Plan, addresses: &[SocketAddr], admin: SocketAddr) {
    let table = match plan.table {
        Table::Shared => "one descriptor table",
        Table::PerShard => "a descriptor table for each shard",
    };
    let steered = if plan.steers { ", peers steered by CPU" } else { "" };
    let addresses = addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" and ");
    tracing::info!(
        "listening on {addresses} (admin {admin}) with {} shards for up to {} connections, {} a \
         shard; {table}{steered}",
        plan.cores.len(),
        plan.connections_max,
        plan.connections_per_shard,
    );
}

impl Cores {
    /// Starts all threads; none listens yet.
    async fn start(
        setup: &Setup,
        plan: &Plan,
        cells: Vec<Arc<Cells>>,
        voice: Option<Voice>,
        tables: Vec<Arc<TableUse>>,
        notes: Vec<LaneSender<Note>>,
        findings: &Sender<Finding>,
    ) -> Result<Cores, Fault> {
        let shards_count = plan.cores.len() as u16; // the plan keeps it below `SHARDS_MAX`
        let name_key = random().map_err(Fault::Random)?;
        let mut names = NameKey::from_bytes(name_key);
        let (mut store, mut lanes_to_store) = (None, Vec::new());
        let store_cells = voice.as_ref().map(|voice| Arc::clone(&voice.cells));
        if let Some(voice) = voice {
            let (key, is_weak) = look_into_store(opener(setup, name_key)).await?;
            names = NameKey::from_bytes(key);
            if is_weak {
                tracing::warn!(
                    "the store's key for names was made by an older version, and whoever knows \
                     a client's id of its first run can work it out and aim rooms at one core; \
                     only a new store has another"
                );
            }
            let (go, doorbells) = mpsc::sync_channel(1);
            let (storage, lanes) =
                storage::start(opener(setup, name_key), voice, shards_count, doorbells)
                    .map_err(Fault::Storage)?;
            store = Some(Store { storage, go });
            lanes_to_store = lanes;
        }
        let mut lanes_to_store = lanes_to_store.into_iter();
        let stop = Arc::new(AtomicBool::new(false));
        let mut shard = setup.shard.clone();
        shard.connections_max = plan.connections_per_shard;
        shard.shards_per_core = plan.shards_per_core();
        shard.tracing.tracer.exports = !setup.options.otlp_endpoint.is_empty();
        let (shard, ring) = (Arc::new(shard), plan.ring(&setup.ring));
        let memory_bytes = memory_limit_bytes().unwrap_or(u64::MAX) / u64::from(shards_count);
        let mut cores = Vec::new();
        let neighbours = lane::mesh(shards_count, NEIGHBOUR_LANE);
        let ends = neighbours.into_iter().zip(notes).zip(cells);
        for (index, ((neighbours, notes), cells)) in ends.enumerate() {
            let (go, gone) = mpsc::sync_channel(1);
            let (sender, reports) = channel(REPORTS_MAX);
            let (mut errands, taken) = lane::mailbox(1, ERRAND_LANE);
            let thread = executor::start(Part {
                id: ShardId(index as u16),
                shards_count,
                cpu: plan.cores[index],
                cells,
                ring: ring.clone(),
                shard: Arc::clone(&shard),
                keys: Arc::clone(&setup.secrets.keys),
                names,
                seed: u64::from_ne_bytes(random().map_err(Fault::Random)?),
                ids: Csprng::from_key(random().map_err(Fault::Random)?),
                table: plan.table,
                neighbours,
                store: lanes_to_store.next(),
                notes,
                store_cells: store_cells.clone().filter(|_| index == 0),
                errands: taken,
                go: gone,
                reports: sender,
                findings: findings.clone(),
                stop: Arc::clone(&stop),
                pulse: Pulse::new(Arc::clone(&tables[index % tables.len()]), memory_bytes),
            });
            let thread = thread.map_err(Fault::Executor)?;
            cores.push(Core { thread, go, reports, errands: errands.remove(0), doorbell: None });
        }
        Ok(Cores { cores, stop, store })
    }

    /// Lets all cores listen, one after the other: steering counts listeners in
    /// the order in which they began. Returns where.
    async fn listen(&mut self, setup: &Setup, plan: &Plan) -> Result<Vec<SocketAddr>, Fault> {
        let options = &setup.options;
        let mut doorbells = Vec::new();
        for index in 0..self.cores.len() {
            let core = &mut self.cores[index];
            let doorbell = match core.reports.recv().await {
                Some(Report::Made(Ok(doorbell))) => doorbell,
                Some(Report::Made(Err(refusal))) => {
                    return Err(Fault::ring(refusal, plan, &setup.ring));
                }
                Some(Report::Listening(_) | Report::Drained) => unreachable!("`Made` comes first"),
                // Its thread has let go of all that it was given, so it is at its end.
                None => {
                    return Err(match executor::why_ended(self.cores.remove(index).thread) {
                        NoExecutor::Rings(refusal) => Fault::ring(refusal, plan, &setup.ring),
                        NoExecutor::Other(why) => Fault::Executor(why),
                    });
                }
            };
            core.doorbell = Some(doorbell.clone());
            doorbells.push(doorbell);
        }
        let doorbells: Arc<[Doorbell]> = doorbells.into();
        let shards = self.cores.len() as u16;
        let mut addresses = options.addresses();
        let port_use = if shards == 1 { PortUse::Alone } else { PortUse::Shared };
        for &address in addresses.iter().filter(|address| address.port() != 0) {
            wait_for_port(address).await.map_err(|error| Fault::listen(address, error))?;
        }
        for (index, core) in self.cores.iter_mut().enumerate() {
            let last = index + 1 == usize::from(shards);
            let go = Go {
                doorbells: Arc::clone(&doorbells),
                addresses,
                backlog: options.backlog,
                port_use,
                steer: (last && plan.steers).then_some(shards),
            };
            // A core that is gone is found out by its missing report.
            let _ = core.go.send(go);
            // Ports of the kernel's choice are those of the first core for all.
            addresses = match core.reports.recv().await {
                Some(Report::Listening(Ok(addresses))) => addresses,
                Some(Report::Listening(Err(why))) => {
                    return Err(match why {
                        NoListener::Table(error) => Fault::Table(error),
                        NoListener::Listen(address, error) => Fault::listen(address, error),
                    });
                }
                Some(Report::Made(_) | Report::Drained) => unreachable!("`Listening` comes second"),
                None => return Err(Fault::Executor("a core ended while it started".to_owned())),
            };
        }
        if let Some(store) = &self.store {
            // Descriptor tables have split by now.
            let _ = store.go.send(doorbells);
        }
        Ok(addresses)
    }

    /// Gives the order to every core. One that does not take its orders hangs,
    /// and must not keep the control thread from the next signal.
    async fn order(&mut self, order: &Order) {
        for (index, core) in self.cores.iter_mut().enumerate() {
            let mut tries = 0;
            while core.errands.room_batches_count() == 0 && tries < ORDER_TRIES_MAX {
                time::sleep(Duration::from_millis(ORDER_RETRY_MS)).await;
                tries += 1;
            }
            match core.errands.push(Errand::Shard(order.clone())) {
                Ok(()) => core.ring(),
                Err(_) => {
                    tracing::error!("shard {index} hangs: it takes no orders");
                }
            }
        }
    }

    /// Gives an errand to one core, if that takes errands at the moment; waits for
    /// nobody.
    pub fn try_order(&mut self, core: usize, errand: Errand) -> bool {
        let Some(core) = self.cores.get_mut(core) else { return false };
        let waiting = ERRAND_LANE.batches_max - core.errands.room_batches_count();
        let given = waiting < QUESTIONS_WAITING_MAX && core.errands.push(errand).is_ok();
        if given {
            core.ring();
        }
        given
    }

    /// Until every core has reported that it is empty.
    async fn drained(&mut self) {
        for core in &mut self.cores {
            match core.reports.recv().await {
                // `None` is a core that ended; it is empty, too.
                Some(Report::Drained) | None => (),
                Some(Report::Made(_) | Report::Listening(_)) => {
                    unreachable!("they came at the start")
                }
            }
        }
    }

    /// Ends all threads; only for cores that are empty, so none takes long.
    fn stop(self) {
        self.stop.store(true, SeqCst);
        self.cores.iter().for_each(Core::ring);
        for core in self.cores {
            if let Err(error) = core.thread.join() {
                tracing::warn!("a core did not end well: {error}");
            }
        }
        if let Some(store) = self.store {
            store.storage.stop();
        }
    }
}

impl Core {
    fn ring(&self) {
        if let Some(doorbell) = &self.doorbell {
            doorbell.ring();
        }
    }
}

/// What the server calls itself in its answers.
fn instance(setup: &Setup, admin: SocketAddr) -> Arc<str> {
    let node = setup.shard.session.node.as_str();
    if node.is_empty() { admin.to_string().into() } else { node.into() }
}

/// Waits until nobody else has the port, for a while. Listeners that share a port
/// would share it with another server, too, so one that is alone tells.
async fn wait_for_port(address: SocketAddr) -> io::Result<()> {
    for _ in 0..PORT_WAIT_MS_MAX / PORT_RETRY_MS {
        match ring::listener(address, 1, PortUse::Alone) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                time::sleep(Duration::from_millis(PORT_RETRY_MS)).await;
            }
            probe => return probe.map(drop),
        }
    }
    ring::listener(address, 1, PortUse::Alone).map(drop)
}

/// Where spans go, if anywhere.
fn collector(setup: &Setup) -> Result<Option<Collector>, String> {
    let endpoint = &setup.options.otlp_endpoint;
    let address = setup.options.addresses()[0];
    let node = setup.shard.session.node.clone();
    if endpoint.is_empty() {
        return Ok(None);
    }
    Collector::new(endpoint, &Identity { node, address }).map(Some)
}

/// How the storage thread opens the store. The key is for a new one.
fn opener(setup: &Setup, new_name_key: [u8; 16]) -> storage::Open<FjallDisk> {
    let store = setup.store.as_ref().expect("it is asked for where there is one");
    let (options, retention) = (store.options.clone(), store.retention.clone());
    let namespaces = setup.shard.room.namespaces.clone();
    Box::new(move || {
        let disk = FjallDisk::open(&options)?;
        // A channel of a namespace that is no more is kept by the rules of none.
        let namespace_of =
            move |channel: &str| namespace_of(&namespaces, channel).unwrap_or(u16::MAX);
        let namespace_of = Box::new(namespace_of);
        Engine::open(disk, store::Setup { options, retention, namespace_of, new_name_key })
    })
}

/// Opens the store and closes it again, so that what is wrong with it is told before
/// anybody listens. Its key for names, and whether that is a weak one.
async fn look_into_store(open: storage::Open<FjallDisk>) -> Result<([u8; 16], bool), Fault> {
    let look = || open().map(|engine| (engine.name_key(), engine.has_weak_name_key()));
    let seen = spawn_blocking(look).await.expect("a panic there ends the process");
    seen.map_err(Fault::Store)
}

/// The descriptor tables: one, or one for each shard.
fn tables(plan: &Plan) -> Vec<Arc<TableUse>> {
    let count = match plan.table {
        Table::Shared => 1,
        Table::PerShard => plan.cores.len(),
    };
    let table = |_| TableUse::new(plan.descriptors_at_start(), plan.descriptors_max);
    (0..count).map(table).collect()
}

/// The wall clock.
#[allow(clippy::disallowed_methods)]
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes of the system's generator. Asked here and not on the cores: what it needs to
/// open, where the kernel is old, would have a number that their tables do not have.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("no random bytes"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_port_that_becomes_free_is_waited_for() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let holder = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = holder.local_addr().unwrap();
            assert!(ring::listener(address, 1, PortUse::Alone).is_err(), "it is taken");
            // This task runs while the other one waits.
            let release = tokio::spawn(async move { drop(holder) });
            wait_for_port(address).await.unwrap();
            release.await.unwrap();
        });
    }
}
