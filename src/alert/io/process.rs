//! The process: what it opens, what runs in it, and how it ends.
//!
//! Deliberately absent: what is done with an input (`worker`).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, mpsc, watch};
use tokio::{task, time};

use super::client::{Client, NoClient};
use super::clock::now;
use super::journal::{self, Journal, Opened};
use super::lookup::watch_inhibited;
use super::pages::{self, Desk};
use super::peer;
use super::used::UsedLinks;
use super::worker::{Bridge, Ended, Reread, STOP_MS_MAX};
use crate::alert::core::Core;
use crate::alert::core::stats::Stats;
use crate::alert::message::Settings;
use crate::base::Tick;
use crate::listener::{Listener, remedy};
use crate::runtime::control_runtime;
use crate::signals::{SignalRequest, Signals};

/// Inputs that wait for the core.
const INBOX_MAX: usize = 256;

/// How long the last of it may take to be kept, in ms.
const STOP_MARGIN_MS: u64 = 3_000;

/// Why it cannot run.
#[derive(Debug)]
pub enum Fault {
    /// There is no runtime, or no signals.
    System(io::Error),
    /// It cannot listen there.
    Listen(SocketAddr, io::Error),
    /// There is no queue.
    Queue(journal::Fault),
    /// There is no client.
    Client(NoClient),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::System(error) => write!(f, "the system refuses: {error}"),
            Fault::Listen(address, error) => {
                write!(f, "cannot listen on {address}: {}", remedy(*address, error))
            }
            Fault::Queue(fault) => fault.fmt(f),
            Fault::Client(fault) => fault.fmt(f),
        }
    }
}

/// Reads the settings again; what is wrong with them, if something is.
pub type SettingsReader = Box<dyn FnMut() -> Result<Settings, String> + Send>;

/// Runs until SIGTERM or SIGINT; SIGHUP reads the settings again.
pub fn run(settings: Settings, read_settings: SettingsReader) -> Result<Ended, Fault> {
    // The other one reads the settings again.
    let runtime = control_runtime(1).map_err(Fault::System)?;
    let ended = runtime.block_on(async {
        let signals = Signals::listen().map_err(Fault::System)?;
        let insistence = Signals::listen().map_err(Fault::System)?;
        tokio::select! {
            ended = serve(settings, read_settings, signals) => ended,
            () = overdue(insistence) => Ok(Ended::UnderWay),
        }
    });
    // An action that hangs, or a disk, is nothing to wait for.
    runtime.shutdown_background();
    ended
}

/// Until the end is overdue: by its own time, or because somebody insists. Whatever the
/// bridge waits for, such as a queue on a disk that hangs, this is heard.
async fn overdue(mut insistence: Signals) {
    insistence.stop().await;
    let limit = Duration::from_millis(STOP_MS_MAX + STOP_MARGIN_MS);
    let _ = time::timeout(limit, insistence.stop()).await; // either way it is over
    tracing::warn!("cut off; what is under way is told again after the next start");
}

/// Reads settings again on a thread beside, since a file may lie on something that hangs.
/// Whoever asks meanwhile is heard when that one is read.
fn settings_thread(
    mut read_settings: SettingsReader,
) -> io::Result<(SyncSender<()>, mpsc::Receiver<Reread>)> {
    let (wanted, wishes) = sync_channel(1);
    let (results, read) = mpsc::channel(1);
    thread::Builder::new().name("settings".to_owned()).spawn(move || {
        while wishes.recv().is_ok() && results.blocking_send(read_settings()).is_ok() {}
    })?;
    Ok((wanted, read))
}

async fn serve(
    settings: Settings,
    read_settings: SettingsReader,
    mut signals: Signals,
) -> Result<Ended, Fault> {
    let (wanted, mut read) = settings_thread(read_settings).map_err(Fault::System)?;
    let settings = Arc::new(settings);
    let client = Client::new(&settings.options).map_err(Fault::Client)?;
    let dir = settings.options.dir.clone();
    let opened = task::spawn_blocking(move || (Journal::open(&dir), UsedLinks::open(&dir)));
    let (opened, links) = opened.await.expect("opening does not panic");
    let Opened { journal, records, damaged_bytes } = opened.map_err(Fault::Queue)?;
    if damaged_bytes > 0 {
        tracing::error!(
            "{damaged_bytes} bytes of the queue were damaged; the rest is used, and a copy lies \
             in queue.damaged"
        );
    }
    let (inbox, inputs) = mpsc::channel(INBOX_MAX);
    let (stats, stats_seen) = watch::channel(Arc::new(Stats::default()));
    let (settings_now, settings_seen) = watch::channel(Arc::clone(&settings));
    let (client_now, client_seen) = watch::channel(client);
    let links = Arc::new(Mutex::new(links));
    let desk = Desk {
        inbox: inbox.clone(),
        tickets: Arc::new(AtomicU64::new(0)),
        stats: stats_seen,
        settings: settings_seen,
        client: client_seen,
        links,
        bodies: Arc::new(Semaphore::new(pages::BODIES_MAX)),
        pinged_ms: Arc::new(AtomicU64::new(0)),
    };
    let mut pages = listen(&settings, desk).await?;
    let inhibited =
        watch_inhibited(inbox.clone(), settings_now.subscribe(), client_now.subscribe());
    pages.push(tokio::spawn(inhibited));
    let pair = peer::ask_other(
        inbox.clone(),
        settings_now.subscribe(),
        client_now.subscribe(),
        stats.subscribe(),
    );
    pages.push(tokio::spawn(pair));
    let mut first = Vec::new();
    let core = Core::load(now(), settings, records, &mut first);
    let mut bridge = Bridge {
        core,
        journal: Some(journal),
        mend_at: Tick(0),
        tickets: BTreeMap::new(),
        inbox,
        inputs,
        client: client_now,
        stats,
        settings: settings_now,
        reloaded_ms: now().unix_ms,
    };
    bridge.settle(first, Vec::new()).await;
    let ended = loop {
        let mut arrived = Vec::new();
        let idle = Duration::from_millis(bridge.idle_ms());
        tokio::select! {
            request = signals.next() => match request {
                SignalRequest::Stop(_) => break bridge.stop().await,
                // One that waits is as good as two.
                SignalRequest::Reload => drop(wanted.try_send(())),
            },
            Some(settings) = read.recv() => arrived.extend(bridge.change(settings)),
            envelope = bridge.inputs.recv() => arrived.extend(envelope),
            () = time::sleep(idle) => {}
        }
        bridge.turn(arrived).await;
    };
    for page in pages {
        page.abort();
    }
    Ok(ended)
}

async fn listen(settings: &Settings, desk: Desk) -> Result<Vec<task::JoinHandle<()>>, Fault> {
    let options = &settings.options;
    let bind = async |address| {
        let listener = Listener::bind(address).await;
        listener.map_err(|error| Fault::Listen(address, error))
    };
    let mut pages = Vec::new();
    if let Some(address) = options.silence_listen {
        let listener = bind(address).await?;
        let at = listener.address().map_err(Fault::System)?;
        tracing::info!("pages for silences on {at}");
        pages.push(tokio::spawn(listener.serve(pages::public(desk.clone()), pages::LIMITS)));
    }
    let listener = bind(options.listen).await?;
    let at = listener.address().map_err(Fault::System)?;
    tracing::info!(
        "the alert bridge listens on {at}, with {} routes and {} robots",
        options.routes.len(),
        options.robots.len()
    );
    pages.push(tokio::spawn(listener.serve(pages::all(desk), pages::LIMITS)));
    Ok(pages)
}
