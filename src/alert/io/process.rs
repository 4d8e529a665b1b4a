//! The process: what it opens, what runs in it, and how it ends.
//!
//! Deliberately absent: what is done with an input (`worker`).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::{task, time};

use super::client::{Client, ClientSetupError};
use super::journal::{self, Journal, OpenedJournal};
use super::lookup::watch_inhibited;
use super::pages::{self, PageState};
use super::peer;
use super::shared::shared_state;
use super::used_links::UsedLinks;
use super::worker::{Bridge, BridgeEnd, STOP_MS_MAX, SettingsReload};
use crate::alert::message::BridgeSettings;
use crate::http_server::{HttpServer, remedy};
use crate::runtime::control_runtime;
use crate::signals::Signals;

/// Inputs that wait for the core.
const INBOX_MAX: usize = 256;

/// How long the last of it may take to be kept, in ms.
const STOP_MARGIN_MS: u64 = 3_000;

/// Why it cannot run.
#[derive(Debug)]
pub enum BridgeError {
    /// There is no runtime, or no signals.
    System(io::Error),
    /// It cannot listen there.
    Listen(SocketAddr, io::Error),
    /// There is no queue.
    Queue(journal::JournalError),
    /// There is no client.
    Client(ClientSetupError),
}

impl fmt::Display for BridgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BridgeError::System(error) => write!(f, "the system refuses: {error}"),
            BridgeError::Listen(address, error) => {
                write!(f, "cannot listen on {address}: {}", remedy(*address, error))
            }
            BridgeError::Queue(fault) => fault.fmt(f),
            BridgeError::Client(fault) => fault.fmt(f),
        }
    }
}

/// Reads the settings again; what is wrong with them, if something is.
pub type SettingsReader = Box<dyn FnMut() -> Result<BridgeSettings, String> + Send>;

/// Runs until SIGTERM or SIGINT; SIGHUP reads the settings again.
pub fn run(
    settings: BridgeSettings,
    read_settings: SettingsReader,
) -> Result<BridgeEnd, BridgeError> {
    // The other one reads the settings again.
    let runtime = control_runtime(1).map_err(BridgeError::System)?;
    let ended = runtime.block_on(async {
        let signals = Signals::listen().map_err(BridgeError::System)?;
        let second_signal = Signals::listen().map_err(BridgeError::System)?;
        tokio::select! {
            ended = serve(settings, read_settings, signals) => ended,
            () = overdue(second_signal) => Ok(BridgeEnd::UnderWay),
        }
    });
    // An action that hangs, or a disk, is nothing to wait for.
    runtime.shutdown_background();
    ended
}

/// Until the end is overdue: by its own time, or because somebody insists. Whatever the
/// bridge waits for, such as a queue on a disk that hangs, this is heard.
async fn overdue(mut second_signal: Signals) {
    second_signal.stop().await;
    let limit = Duration::from_millis(STOP_MS_MAX + STOP_MARGIN_MS);
    let _ = time::timeout(limit, second_signal.stop()).await; // either way it is over
    tracing::warn!("cut off; what is under way is told again after the next start");
}

/// Reads settings again on a thread beside, since a file may lie on something that hangs.
/// Whoever asks meanwhile is heard when that one is read.
fn settings_thread(
    mut read_settings: SettingsReader,
) -> io::Result<(SyncSender<()>, mpsc::Receiver<SettingsReload>)> {
    let (wanted, wishes) = sync_channel(1);
    let (results, read) = mpsc::channel(1);
    thread::Builder::new().name("settings".to_owned()).spawn(move || {
        while wishes.recv().is_ok() && results.blocking_send(read_settings()).is_ok() {}
    })?;
    Ok((wanted, read))
}

async fn serve(
    settings: BridgeSettings,
    read_settings: SettingsReader,
    signals: Signals,
) -> Result<BridgeEnd, BridgeError> {
    let (wanted, read) = settings_thread(read_settings).map_err(BridgeError::System)?;
    let (mut bridge, beside) = open(settings).await?;
    let ended = bridge.run(signals, wanted, read).await;
    for task in beside {
        task.abort();
    }
    Ok(ended)
}

/// Opens the files and the listeners; what works, and what runs beside it.
async fn open(
    settings: BridgeSettings,
) -> Result<(Bridge, Vec<task::JoinHandle<()>>), BridgeError> {
    let settings = Arc::new(settings);
    let client = Client::new(&settings.options).map_err(BridgeError::Client)?;
    let dir = settings.options.dir.clone();
    let opened = task::spawn_blocking(move || (Journal::open(&dir), UsedLinks::open(&dir)));
    let (opened, links) = opened.await.expect("opening does not panic");
    let OpenedJournal { journal, records, damaged_bytes } = opened.map_err(BridgeError::Queue)?;
    if damaged_bytes > 0 {
        tracing::error!(
            "{damaged_bytes} bytes of the queue were damaged; the rest is used, and a copy lies \
             in queue.damaged"
        );
    }
    let (inbox, inputs) = mpsc::channel(INBOX_MAX);
    let (writer, shared) = shared_state(Arc::clone(&settings), client);
    let page_state = PageState::new(inbox.clone(), shared.clone(), links);
    let mut beside = listen(&settings, page_state).await?;
    beside.push(tokio::spawn(watch_inhibited(inbox.clone(), shared.clone())));
    beside.push(tokio::spawn(peer::poll_peer(inbox.clone(), shared)));
    let bridge = Bridge::start(journal, records, (inbox, inputs), writer).await;
    Ok((bridge, beside))
}

async fn listen(
    settings: &BridgeSettings,
    page_state: PageState,
) -> Result<Vec<task::JoinHandle<()>>, BridgeError> {
    let options = &settings.options;
    let bind = async |address| {
        let listener = HttpServer::bind(address).await;
        listener.map_err(|error| BridgeError::Listen(address, error))
    };
    let mut pages = Vec::new();
    if let Some(address) = options.silence_listen {
        let listener = bind(address).await?;
        let at = listener.address().map_err(BridgeError::System)?;
        tracing::info!("pages for silences on {at}");
        pages.push(tokio::spawn(listener.serve(pages::public(page_state.clone()), pages::LIMITS)));
    }
    let listener = bind(options.listen).await?;
    let at = listener.address().map_err(BridgeError::System)?;
    tracing::info!(
        "the alert bridge listens on {at}, with {} routes and {} robots",
        options.routes.len(),
        options.robots.len()
    );
    pages.push(tokio::spawn(listener.serve(pages::all(page_state), pages::LIMITS)));
    Ok(pages)
}
