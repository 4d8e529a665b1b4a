//! The control thread: starts the cores, serves the admin pages, and turns signals into commands (a
//! drain, the end of one that takes too long). It never makes a core wait.
//!
//! | signal | what happens |
//! |---|---|
//! | SIGTERM, SIGINT | the first drains, or gives a start up; the second ends at once |
//! | SIGHUP | keys are read again; when that fails, the old ones stay |
//!
//! Invariant: a signal is handled whatever the server is doing, so what may hang with a
//! disk, which is opening and closing the store and reading files, is done on a thread
//! beside this one.

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Sender, UnboundedSender, channel, unbounded_channel};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time;

use super::api::ServerApi;
use super::api_control::ControlLink;
use super::blocks::OpenedBlocks;
use super::console_feed::{ConsoleFeed, StopCause};
use super::cores::{ControlChannels, CoreHandles};
use super::descriptor_table::TableUse;
use super::diagnostics::{self, Diagnostics};
use super::hook_lane::HookSender;
use super::hooks::BackendHooks;
use super::operator_acts::OperatorActs;
use super::plan::{StartPlan, TableKind};
use super::presence::{self, PresenceSetup};
use super::presence_keeper::FeedLink;
use super::process::Process;
use super::reload::Reloading;
use super::storage::StoreStatus;
use super::traces::{Collector, ExporterTask, OtlpResource, TRACE_EVENT_LANE};
use super::{ServerEnd, ServerSetup, StartError};
use crate::admin::{
    self, AdminListener, AdminState, CpuProfiles, DiagnosticsState, OperatorQuestion, Readiness,
    StoreState,
};
use crate::clock::unix_ms;
use crate::lane::{self, Mailbox};
use crate::metrics::{Cells, Exposition, Gauge, SharedMetricsWriter, Tenants, Threads};
use crate::room::Namespace;
use crate::shard::{ServerAnswer, ShardCommand, TraceEvent};
use crate::signals::{SignalRequest, Signals};

/// Findings of all cores that wait for the control thread.
const CORE_EVENTS_MAX: usize = 1_024;

/// What the shards' drain leaves of `drain_ms` for the last answers.
const DRAIN_MARGIN_MS: u64 = 1_000;

/// How long the end of all threads may take until that is told, in ms.
const ENDING_MS_TOLD: u64 = 5_000;

/// The life of the server, until it ends by itself or somebody insists.
pub(super) async fn run(setup: ServerSetup, plan: StartPlan) -> Result<ServerEnd, StartError> {
    let signals = Signals::listen().map_err(StartError::Signals)?;
    let mut insistence = Signals::listen().map_err(StartError::Signals)?;
    let insists = async {
        insistence.stop().await;
        insistence.stop().await
    };
    tokio::select! {
        ended = live(setup, plan, signals) => ended,
        signal = insists => Ok(ServerEnd::Signal(signal.number())),
    }
}

/// What the control thread shows of the server, and what it is asked.
struct Shown {
    readiness: watch::Sender<Readiness>,
    console: ConsoleFeed,
    threads: Threads,
    instance: Arc<str>,
    metrics: SharedMetricsWriter,
    diagnostics: Diagnostics,
    pages: JoinHandle<()>,
    /// Where the control thread is asked.
    asked: Sender<OperatorQuestion>,
}

impl Shown {
    /// What programs of operators ask of the control thread.
    fn control_link(&self) -> ControlLink {
        ControlLink {
            instance: Arc::clone(&self.instance),
            questions: self.asked.clone(),
            readiness: self.readiness.subscribe(),
            drain: self.console.drain(),
            threads: self.threads.clone(),
        }
    }
}

/// From the first core to the last.
async fn live(
    mut setup: ServerSetup,
    plan: StartPlan,
    mut signals: Signals,
) -> Result<ServerEnd, StartError> {
    let admin = AdminListener::bind(setup.options.admin_listen).await.map_err(StartError::Admin)?;
    let admin_address = admin.address().map_err(|error| {
        StartError::Admin(admin::AdminListenerError::Listen(setup.options.admin_listen, error))
    })?;
    let (server_answers, answers) = unbounded_channel();
    let api_keys = Arc::clone(&setup.secrets.api_keys);
    let mut api = ServerApi::bind(&setup.api, api_keys, answers, plan.cores.len() as u16).await?;
    let pages_shown = pages_shown(&setup, admin_address, api.address());
    let (mut shown, control_channels, trace_events) =
        show(&mut setup, &plan, (admin, admin_address), server_answers);
    let (backend, metrics) = (mem::take(&mut setup.hooks), shown.metrics.clone());
    let (senders, mut hooks) = BackendHooks::new(backend, plan.cores.len() as u16, metrics)?;
    let feed = (setup.presence.take(), shown.metrics.clone());
    if let (Some(presence), Some(store)) = (&feed.0, &mut setup.store) {
        store.options.telling = Some(presence.telling());
    }
    let collector = collector(&setup).map_err(StartError::Collector)?;
    let starting = start_cores(&setup, &plan, control_channels, senders, feed);
    let mut is_reload_wanted = false;
    let started = tokio::select! {
        started = starting => Some(started?),
        () = stopped_meanwhile(&mut signals, &mut is_reload_wanted) => None,
    };
    // Nobody was let in, so nobody has to leave.
    let Some(Started { mut cores, addresses, blocks, link }) = started else {
        return Ok(ServerEnd::Drained);
    };
    let exporter_task = ExporterTask::begin(trace_events, collector, shown.metrics.clone());
    shown.readiness.send_replace(Readiness::Ready);
    announce(&plan, &addresses, admin_address);
    pages_shown.iter().for_each(|shown| tracing::info!("{shown}"));
    let blocks = blocks.keep(cores.names(), api.asks(), shown.metrics.clone());
    let namespaces: Arc<[Namespace]> = setup.shard.room.namespaces.clone().into();
    let rules = (cores.names(), Arc::clone(&namespaces));
    let acts = OperatorActs::new(blocks.clone(), api.asks(), setup.console.alerts.take(), rules);
    api.serve(
        &setup.api,
        (cores.names(), blocks, link),
        shown.control_link(),
        namespaces,
        (shown.metrics.clone(), shown.console.audit()),
    );

    let mut reloading = Reloading::new(setup.reload);
    if is_reload_wanted {
        reloading.begin();
    }
    let asked = (&mut api, &mut hooks);
    let cause = serve(&mut shown, &mut cores, asked, &mut signals, &acts, reloading).await;
    let Shown { readiness, console, metrics, diagnostics, pages, .. } = shown;
    // A drain takes no questions.
    drop((diagnostics, acts));
    let listener = api.end_calls();
    readiness.send_replace(Readiness::Draining);
    console.on_drain(cause, setup.options.drain_ms).await;
    metrics.set(Gauge::Draining, 1);
    let ended = drain(&mut cores, &mut signals, setup.options.drain_ms, cause).await;
    exporter_task.end().await;
    if let ServerEnd::Drained = ended {
        end(cores).await;
    }
    pages.abort();
    listener.iter().for_each(JoinHandle::abort);
    Ok(ended)
}

/// Cores that listen, and what was opened for them.
struct Started {
    cores: CoreHandles,
    addresses: Vec<SocketAddr>,
    blocks: OpenedBlocks,
    link: Option<FeedLink>,
}

/// Opens what is kept, and starts the cores.
async fn start_cores(
    setup: &ServerSetup,
    plan: &StartPlan,
    control_channels: ControlChannels,
    senders: Vec<HookSender>,
    (presence, metrics): (Option<PresenceSetup>, SharedMetricsWriter),
) -> Result<Started, StartError> {
    let blocks = OpenedBlocks::open(setup.blocks_dir.clone()).await?;
    let feed = presence::start(presence, plan.cores.len() as u16, metrics).await?;
    let link = feed.as_ref().map(|feed| feed.link.clone());
    let senders = (senders, feed);
    let mut cores =
        CoreHandles::start(setup, plan, control_channels, blocks.list(), senders).await?;
    let addresses = cores.listen(setup, plan).await?;
    Ok(Started { cores, addresses, blocks, link })
}

/// Serves the admin pages, and makes what cores and store tell them.
fn show(
    setup: &mut ServerSetup,
    plan: &StartPlan,
    (admin, admin_address): (AdminListener, SocketAddr),
    server_answers: UnboundedSender<Vec<ServerAnswer>>,
) -> (Shown, ControlChannels, Mailbox<TraceEvent>) {
    let cells: Vec<Arc<Cells>> = plan.cores.iter().map(|_| Cells::new()).collect();
    let (readiness, seen) = watch::channel(Readiness::Starting);
    let store_cells = setup.store.as_ref().map(|_| Cells::of_store());
    let (process, metrics) = Cells::of_process();
    metrics.set(Gauge::ConnLimit, u64::from(plan.connections_max));
    let began_unix_ms = unix_ms();
    let tenants = Arc::new(Tenants::with(&setup.shard.session.metrics_tenants));
    setup.shard.session.tenants = Arc::clone(&tenants);
    let (cores, store) = (cells.clone(), store_cells.clone());
    let threads = Threads { cores, store, process, tenants, began_unix_ms };
    let tables = tables(plan);
    let facts = Process::new(metrics.clone(), Arc::clone(&tables[0]), began_unix_ms);
    let exposition = Arc::new(Exposition::new(threads.clone()));
    let (store_state, store) = watch::channel(StoreState::Absent);
    let operators = mem::take(&mut setup.secrets.operators);
    let (console, console_setup) = ConsoleFeed::new(&mut setup.console, operators);
    let (asked, questions) = channel(admin::QUESTIONS_MAX);
    let (found, core_events) = channel(CORE_EVENTS_MAX);
    let instance = instance(setup, admin_address);
    let diagnostics = Diagnostics::new(diagnostics::DiagnosticsSetup {
        questions,
        core_events,
        quarantine: setup.shard.quarantine.clone(),
        cells: cells.clone(),
        instance: Arc::clone(&instance),
        evidence_dir: setup.diagnostics.dir.clone(),
        leak_hold_ms: setup.diagnostics.leak_hold_ms,
    });
    let diagnostics_state = DiagnosticsState {
        operators: console.operators(),
        audit: console.audit(),
        instance: Arc::clone(&instance),
        threads: threads.clone(),
        questions: asked.clone(),
        profile: Arc::new(Semaphore::new(1)),
        cpu_profiles: cpu_profiles(plan),
    };
    let pages = tokio::spawn(admin.serve(AdminState {
        exposition,
        metrics: metrics.clone(),
        refresh: Arc::new(move || facts.refresh()),
        readiness: seen,
        store,
        diagnostics: diagnostics_state,
        console: console_setup,
        web: setup.web.take(),
    }));
    let store_status = store_cells.map(|cells| StoreStatus { cells, state: store_state });
    let (senders, trace_events) = lane::mailbox(plan.cores.len() as u16, TRACE_EVENT_LANE);
    let shown = Shown { readiness, console, threads, instance, metrics, diagnostics, pages, asked };
    (
        shown,
        ControlChannels {
            cells,
            store_status,
            tables,
            trace_events: senders,
            core_events: found,
            server_answers,
        },
        trace_events,
    )
}

/// Carries questions to the cores and reads keys again, until a signal ends that.
async fn serve(
    shown: &mut Shown,
    cores: &mut CoreHandles,
    (api, hooks): (&mut ServerApi, &mut BackendHooks),
    signals: &mut Signals,
    acts: &OperatorActs,
    mut reloading: Reloading,
) -> StopCause {
    let Shown { console, metrics, diagnostics, .. } = shown;
    loop {
        tokio::select! {
            request = signals.next() => match request {
                SignalRequest::Stop(signal) => break StopCause::Signal(signal),
                SignalRequest::Reload => reloading.begin(),
            },
            read = reloading.done() => match read {
                Ok(secrets) => {
                    cores.send(&ShardCommand::Keys(secrets.keys)).await;
                    api.set_keys(secrets.api_keys);
                    metrics.set(Gauge::ConfigReloaded, unix_ms());
                    metrics.set(Gauge::ConfigReloadGood, 1);
                    tracing::info!("keys were read again and are in use");
                    console.on_reload(Some(secrets.operators)).await;
                }
                Err(why) => {
                    metrics.set(Gauge::ConfigReloadGood, 0);
                    tracing::error!("keys stay as they were: {why}");
                    console.on_reload(None).await;
                }
            },
            task = diagnostics.wait() => {
                if diagnostics.act(cores, acts, task).is_break() {
                    break StopCause::Operator;
                }
            }
            task = api.wait() => api.act(cores, task),
            task = hooks.wait() => hooks.act(cores, task),
        }
    }
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
async fn end(cores: CoreHandles) {
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
    cores: &mut CoreHandles,
    signals: &mut Signals,
    drain_ms: u64,
    cause: StopCause,
) -> ServerEnd {
    tracing::info!("draining for up to {drain_ms} ms ({})", cause.name());
    let everybody_leaves = async {
        cores.send(&ShardCommand::Drain { over_ms: drain_ms }).await;
        cores.drained().await;
    };
    let limit = Duration::from_millis(drain_ms + DRAIN_MARGIN_MS);
    let reloads = async {
        loop {
            match signals.next().await {
                // `run` sees who insists.
                SignalRequest::Stop(_) => (),
                SignalRequest::Reload => tracing::warn!("keys are not read again during a drain"),
            }
        }
    };
    tokio::select! {
        () = everybody_leaves => {
            tracing::info!("everybody has left");
            ServerEnd::Drained
        }
        () = time::sleep(limit) => {
            tracing::warn!("the drain time is over; the rest is cut off");
            ServerEnd::TimePassed
        }
        () = reloads => unreachable!("it has no end"),
    }
}

fn announce(plan: &StartPlan, addresses: &[SocketAddr], admin: SocketAddr) {
    let table = match plan.table {
        TableKind::Shared => "one descriptor table",
        TableKind::PerShard => "a descriptor table for each shard",
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

/// What there is for others than clients and scrapes, and where.
fn pages_shown(setup: &ServerSetup, admin: SocketAddr, api: Option<SocketAddr>) -> Vec<String> {
    let api = api.map(|address| format!("the server API is at http://{address}/api"));
    let web = setup.web.as_ref().map(|_| format!("the web chat is at http://{admin}/"));
    let console = setup.console.files.as_ref();
    let console = console.map(|_| format!("the console is at http://{admin}/console/"));
    [api, web, console].into_iter().flatten().collect()
}

/// What the server calls itself in its answers.
fn instance(setup: &ServerSetup, admin: SocketAddr) -> Arc<str> {
    let node = setup.shard.session.node.as_str();
    if node.is_empty() { admin.to_string().into() } else { node.into() }
}

/// Where spans go, if anywhere.
fn collector(setup: &ServerSetup) -> Result<Option<Collector>, String> {
    let endpoint = &setup.options.otlp_endpoint;
    let address = setup.options.addresses()[0];
    let node = setup.shard.session.node.clone();
    if endpoint.is_empty() {
        return Ok(None);
    }
    Collector::new(endpoint, &OtlpResource { node, address }).map(Some)
}

/// Whether the sampler of CPU profiles would write into connections.
fn cpu_profiles(plan: &StartPlan) -> CpuProfiles {
    match plan.table {
        TableKind::Shared => CpuProfiles::Possible,
        TableKind::PerShard => CpuProfiles::Impossible,
    }
}

/// The descriptor tables: one, or one for each shard.
fn tables(plan: &StartPlan) -> Vec<Arc<TableUse>> {
    let count = match plan.table {
        TableKind::Shared => 1,
        TableKind::PerShard => plan.cores.len(),
    };
    let table = |_| TableUse::new(plan.descriptors_at_start(), plan.descriptors_max);
    (0..count).map(table).collect()
}
