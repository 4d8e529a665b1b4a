//! All cores and the storage thread, as the control thread sees them: how they start and
//! listen, how they get commands, and how they end.
//!
//! Invariants: cores listen one after the other, and only when all of them and the store
//! exist; a core that hangs keeps the control thread from nothing.
//!
//! Deliberately absent: when a server drains or reads its keys again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, UnboundedSender, channel};
use tokio::task::spawn_blocking;
use tokio::time;

use super::blocks::block_table;
use super::core_lanes::{COMMAND_LANE, CoreCommand, NEIGHBOUR_LANE};
use super::descriptor_table::TableUse;
use super::executor::{
    self, CoreError, CoreEvent, CoreReport, CoreSetup, ListenError, StartListening, Thread,
};
use super::hook_lane::HookSender;
use super::plan::StartPlan;
use super::presence::{self, FeedEnds, PresenceSender, PresenceThread, StartedFeed};
use super::process::memory_limit_bytes;
use super::pulse::LastPulse;
use super::random::random;
use super::storage::{self, Storage, StoreEnds, StoreStatus};
use super::store_notices::StoreNotices;
use super::wakers::Wakers;
use super::{ServerSetup, StartError};
use crate::base::{Csprng, ShardId};
use crate::blocks::BlockList;
use crate::lane::{self, LaneSender};
use crate::metrics::Cells;
use crate::ring::{self, PortUse, Waker};
use crate::session::{NameKey, namespace_of};
use crate::shard::{self, ServerAnswer, ShardCommand, TraceEvent};
use crate::store::{self, Engine, StoreDisk};

/// Questions among the commands that wait for one core: what must be done finds room behind
/// them.
const QUESTIONS_WAITING_MAX: usize = COMMAND_LANE.batches_max / 2;

/// Reports that wait for the control thread, for each core; it sends three.
const REPORTS_MAX: usize = 3;

/// A core takes its commands in each turn, so room comes soon.
const SEND_RETRY_MS: u64 = 5;

/// Times that a command is offered to a core before it counts as hung.
const SEND_TRIES_MAX: u32 = 200;

/// How long the sockets of a server that was killed may stand in the way, in ms. Its
/// process is gone before the kernel has taken its rings apart, with what they hold.
const PORT_WAIT_MS_MAX: u64 = 3_000;

/// Between two looks whether the port is free, in ms.
const PORT_RETRY_MS: u64 = 10;

/// All cores, as the control thread sees them.
pub(super) struct CoreHandles {
    cores: Vec<Core>,
    names: NameKey,
    stop: Arc<AtomicBool>,
    store: Option<Store>,
    presence: Option<PresenceThread>,
}

/// What cores and store tell the control thread with.
pub(super) struct ControlChannels {
    /// By core.
    pub cells: Vec<Arc<Cells>>,
    /// The state of the store, if there is one.
    pub store_status: Option<StoreStatus>,
    /// One for all cores, or one for each.
    pub tables: Vec<Arc<TableUse>>,
    /// By core.
    pub trace_events: Vec<LaneSender<TraceEvent>>,
    pub core_events: Sender<CoreEvent>,
    pub server_answers: UnboundedSender<Vec<ServerAnswer>>,
}

/// The storage thread, and how it is told to begin.
struct Store {
    storage: Storage,
    go: mpsc::SyncSender<Wakers>,
}

struct Core {
    thread: Thread,
    go: mpsc::SyncSender<StartListening>,
    reports: Receiver<CoreReport>,
    commands: LaneSender<CoreCommand>,
    waker: Option<Waker>,
}

impl CoreHandles {
    /// Starts all threads; none listens yet.
    pub async fn start(
        setup: &ServerSetup,
        plan: &StartPlan,
        control_channels: ControlChannels,
        blocks: &BlockList,
        (hooks, feed): (Vec<HookSender>, Option<StartedFeed>),
    ) -> Result<CoreHandles, StartError> {
        let ControlChannels {
            cells,
            store_status,
            tables,
            trace_events,
            core_events,
            server_answers,
        } = control_channels;
        let FeedEnds { thread: presence, mut senders, store: store_feed } = presence::ends(feed);
        let shards_count = plan.cores.len() as u16; // the plan keeps it below `SHARDS_MAX`
        let name_key = random().map_err(StartError::Random)?;
        let store_cells = store_status.as_ref().map(|store_status| Arc::clone(&store_status.cells));
        let (mut names, mut store, mut store_ends) = (NameKey::from_bytes(name_key), None, None);
        if let Some(store_status) = store_status {
            names = look_into_store(opener(setup, name_key)).await?;
            let feed = (store_feed, names);
            let started = Store::start(setup, name_key, store_status, shards_count, feed)?;
            (store, store_ends) = (Some(started.0), Some(started.1));
        }
        let mut store_ends = store_ends.into_iter().flatten();
        let blocks = block_table(blocks, names);
        let stop = Arc::new(AtomicBool::new(false));
        let (shard, ring) = (Arc::new(shard_options(setup, plan)), plan.ring(&setup.ring));
        let memory_bytes = memory_limit_bytes().unwrap_or(u64::MAX) / u64::from(shards_count);
        let mut cores = Vec::new();
        let neighbours = lane::mesh(shards_count, NEIGHBOUR_LANE);
        let ends = neighbours.into_iter().zip(trace_events).zip(cells).zip(hooks);
        for (index, (((neighbours, trace_events), cells), hooks)) in ends.enumerate() {
            let (go, gone) = mpsc::sync_channel(1);
            let (sender, reports) = channel(REPORTS_MAX);
            let (mut commands, taken) = lane::mailbox(1, COMMAND_LANE);
            let thread = executor::start(CoreSetup {
                id: ShardId(index as u16),
                shards_count,
                cpu: plan.cores[index],
                cells,
                ring: ring.clone(),
                shard: Arc::clone(&shard),
                keys: Arc::clone(&setup.secrets.keys),
                blocks: blocks.clone(),
                names,
                seed: u64::from_ne_bytes(random().map_err(StartError::Random)?),
                ids: Csprng::from_key(random().map_err(StartError::Random)?),
                table: plan.table,
                neighbours,
                store: store_ends.next(),
                trace_events,
                store_cells: store_cells.clone().filter(|_| index == 0),
                commands: taken,
                start_listening: gone,
                reports: sender,
                core_events: core_events.clone(),
                server_answers: server_answers.clone(),
                hooks,
                presence: senders.next(),
                stop: Arc::clone(&stop),
                pulse: LastPulse::new(Arc::clone(&tables[index % tables.len()]), memory_bytes),
            });
            let thread = thread.map_err(StartError::Executor)?;
            cores.push(Core { thread, go, reports, commands: commands.remove(0), waker: None });
        }
        Ok(CoreHandles { cores, names, stop, store, presence })
    }

    /// The key for names that all of them have.
    pub fn names(&self) -> NameKey {
        self.names
    }

    /// Total cores.
    pub fn count(&self) -> usize {
        self.cores.len()
    }

    /// Whether a core takes an errand at the moment.
    pub fn has_room(&self, core: usize) -> bool {
        let room = self.cores.get(core).map_or(0, |core| core.commands.room_batches_count());
        COMMAND_LANE.batches_max - room < QUESTIONS_WAITING_MAX
    }

    /// Lets all cores listen, one after the other: steering counts listeners in
    /// the order in which they began. Returns where.
    pub async fn listen(
        &mut self,
        setup: &ServerSetup,
        plan: &StartPlan,
    ) -> Result<Vec<SocketAddr>, StartError> {
        let options = &setup.options;
        let mut wakers = Vec::new();
        for index in 0..self.cores.len() {
            let core = &mut self.cores[index];
            let waker = match core.reports.recv().await {
                Some(CoreReport::Made(Ok(waker))) => waker,
                Some(CoreReport::Made(Err(refusal))) => {
                    return Err(StartError::ring(refusal, plan, &setup.ring));
                }
                Some(CoreReport::Listening(_) | CoreReport::Drained) => {
                    unreachable!("`Made` comes first")
                }
                // Its thread has let go of all that it was given, so it is at its end.
                None => {
                    return Err(match executor::why_ended(self.cores.remove(index).thread) {
                        CoreError::Rings(refusal) => StartError::ring(refusal, plan, &setup.ring),
                        CoreError::Other(why) => StartError::Executor(why),
                    });
                }
            };
            core.waker = Some(waker.clone());
            wakers.push(waker);
        }
        let wakers: Arc<[Waker]> = wakers.into();
        let shards = self.cores.len() as u16;
        let mut addresses = options.addresses();
        let port_use = if shards == 1 { PortUse::Alone } else { PortUse::Shared };
        for &address in addresses.iter().filter(|address| address.port() != 0) {
            wait_for_port(address).await.map_err(|error| StartError::listen(address, error))?;
        }
        for (index, core) in self.cores.iter_mut().enumerate() {
            let last = index + 1 == usize::from(shards);
            let go = StartListening {
                wakers: Arc::clone(&wakers),
                addresses,
                backlog: options.backlog,
                port_use,
                steer: (last && plan.steers).then_some(shards),
            };
            // A core that is gone is found out by its missing report.
            let _ = core.go.send(go);
            // Ports of the kernel's choice are those of the first core for all.
            addresses = match core.reports.recv().await {
                Some(CoreReport::Listening(Ok(addresses))) => addresses,
                Some(CoreReport::Listening(Err(why))) => {
                    return Err(match why {
                        ListenError::Table(error) => StartError::Table(error),
                        ListenError::Listen(address, error) => StartError::listen(address, error),
                    });
                }
                Some(CoreReport::Made(_) | CoreReport::Drained) => {
                    unreachable!("`Listening` comes second")
                }
                None => {
                    return Err(StartError::Executor("a core ended while it started".to_owned()));
                }
            };
        }
        self.begin_threads(&wakers);
        Ok(addresses)
    }

    /// Cores listen, and descriptor tables have split.
    fn begin_threads(&self, wakers: &Arc<[Waker]>) {
        if let Some(store) = &self.store {
            let _ = store.go.send(Arc::clone(wakers));
        }
        if let Some(presence) = &self.presence {
            presence.begin(Arc::clone(wakers));
        }
    }

    /// Gives the command to every core. One that does not take its commands hangs,
    /// and must not keep the control thread from the next signal.
    pub async fn send(&mut self, command: &ShardCommand) {
        for (index, core) in self.cores.iter_mut().enumerate() {
            let mut tries = 0;
            while core.commands.room_batches_count() == 0 && tries < SEND_TRIES_MAX {
                time::sleep(Duration::from_millis(SEND_RETRY_MS)).await;
                tries += 1;
            }
            match core.commands.push(CoreCommand::Shard(command.clone())) {
                Ok(()) => core.wake(),
                Err(_) => {
                    tracing::error!("shard {index} hangs: it takes no commands");
                }
            }
        }
    }

    /// Gives a command to one core, if that takes commands at the moment; waits for
    /// nobody.
    pub fn try_send(&mut self, core: usize, command: CoreCommand) -> bool {
        if !self.has_room(core) {
            return false;
        }
        let core = &mut self.cores[core];
        let given = core.commands.push(command).is_ok();
        if given {
            core.wake();
        }
        given
    }

    /// Wakes a core whose lane has room again.
    pub fn wake(&self, core: usize) {
        self.cores.get(core).into_iter().for_each(Core::wake);
    }

    /// Until every core has reported that it is empty.
    pub async fn drained(&mut self) {
        for core in &mut self.cores {
            match core.reports.recv().await {
                // `None` is a core that ended; it is empty, too.
                Some(CoreReport::Drained) | None => (),
                Some(CoreReport::Made(_) | CoreReport::Listening(_)) => {
                    unreachable!("they came at the start")
                }
            }
        }
    }

    /// Ends all threads; only for cores that are empty, so none takes long.
    pub fn stop(self) {
        self.stop.store(true, SeqCst);
        self.cores.iter().for_each(Core::wake);
        for core in self.cores {
            if let Err(error) = core.thread.join() {
                tracing::warn!("a core did not end well: {error}");
            }
        }
        if let Some(store) = self.store {
            store.storage.stop();
        }
        if let Some(presence) = self.presence {
            presence.stop();
        }
    }
}

impl Store {
    /// Starts its thread; the cores get their ends of its lanes.
    fn start(
        setup: &ServerSetup,
        new_name_key: [u8; 16],
        store_status: StoreStatus,
        shards_count: u16,
        (feed, names): (Option<PresenceSender>, NameKey),
    ) -> Result<(Store, Vec<StoreEnds>), StartError> {
        let namespaces = setup.shard.room.namespaces.clone();
        let notices = feed.map(|feed| StoreNotices::new(feed, names, namespaces));
        let open = opener(setup, new_name_key);
        let (go, wakers) = mpsc::sync_channel(1);
        let started = storage::start(open, store_status, shards_count, (wakers, notices));
        let (storage, ends) = started.map_err(StartError::Storage)?;
        Ok((Store { storage, go }, ends))
    }
}

impl Core {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.notify();
        }
    }
}

/// What each shard gets.
fn shard_options(setup: &ServerSetup, plan: &StartPlan) -> shard::Options {
    let mut options = setup.shard.clone();
    options.connections_max = plan.connections_per_shard;
    options.shards_per_core = plan.shards_per_core();
    options.tracing.tracer.exports = !setup.options.otlp_endpoint.is_empty();
    options
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

/// How the storage thread opens the store. The key is for a new one.
fn opener(setup: &ServerSetup, new_name_key: [u8; 16]) -> storage::OpenEngine<StoreDisk> {
    let store = setup.store.as_ref().expect("it is asked for where there is one");
    let (options, retention) = (store.options.clone(), store.retention.clone());
    let namespaces = setup.shard.room.namespaces.clone();
    Box::new(move || {
        let disk = store::open(&options)?;
        // A channel of a namespace that is no more is kept by the rules of none.
        let namespace_of =
            move |channel: &str| namespace_of(&namespaces, channel).unwrap_or(u16::MAX);
        let namespace_of = Box::new(namespace_of);
        Engine::open(disk, store::EngineSetup { options, retention, namespace_of, new_name_key })
    })
}

/// Opens the store and closes it again, so that what is wrong with it is told before
/// anybody listens. Returns its key for names.
async fn look_into_store(open: storage::OpenEngine<StoreDisk>) -> Result<NameKey, StartError> {
    let look = || open().map(|engine| (engine.name_key(), engine.has_weak_name_key()));
    let seen = spawn_blocking(look).await.expect("a panic there ends the process");
    let (key, is_weak) = seen.map_err(StartError::Store)?;
    if is_weak {
        tracing::warn!(
            "the store's key for names was made by an older version, and whoever knows a \
             client's id of its first run can work it out and aim rooms at one core; only a new \
             store has another"
        );
    }
    Ok(NameKey::from_bytes(key))
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
