//! The process of the bridge: its start, its tasks, and its end.
//!
//! Deliberately absent: the handling of inputs (`worker`).

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
use super::journal::{Journal, OpenedJournal};
use super::lookup::watch_inhibited;
use super::pages::{self, PageState};
use super::peer;
use super::shared::shared_state;
use super::used_links::UsedLinks;
use super::worker::{Bridge, BridgeEnd, STOP_MS_MAX, SettingsReload};
use crate::alert::message::BridgeSettings;
use crate::http_server::{HttpServer, remedy};
use crate::record_file::RecordFileError;
use crate::runtime::control_runtime;
use crate::signals::Signals;

/// Most inputs that wait for the core.
const INBOX_MAX: usize = 256;

/// How much longer the last write may take, in ms.
const STOP_MARGIN_MS: u64 = 3_000;

/// Why the bridge cannot run.
#[derive(Debug)]
pub enum BridgeError {
    /// The system refused a runtime or signals.
    System(io::Error),
    /// It cannot listen there.
    Listen(SocketAddr, io::Error),
    /// The journal cannot be opened.
    Queue(RecordFileError),
    /// The client cannot be made.
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

/// Reads the settings again. The error says what is wrong with them.
pub type SettingsReader = Box<dyn FnMut() -> Result<BridgeSettings, String> + Send>;

/// Runs until SIGTERM or SIGINT; SIGHUP reads the settings again.
pub fn run(
    settings: BridgeSettings,
    read_settings: SettingsReader,
) -> Result<BridgeEnd, BridgeError> {
    // The other thread reads the settings again.
    let runtime = control_runtime(1).map_err(BridgeError::System)?;
    let ended = runtime.block_on(async {
        let signals = Signals::listen().map_err(BridgeError::System)?;
        let second_signal = Signals::listen().map_err(BridgeError::System)?;
        tokio::select! {
            ended = serve(settings, read_settings, signals) => ended,
            () = overdue(second_signal) => Ok(BridgeEnd::UnderWay),
        }
    });
    // An action or a disk that hangs is not waited for.
    runtime.shutdown_background();
    ended
}

/// Waits until the end is overdue: until its time limit, or until a second signal. This works
/// whatever the bridge waits for, such as a disk that hangs.
async fn overdue(mut second_signal: Signals) {
    second_signal.stop().await;
    let limit = Duration::from_millis(STOP_MS_MAX + STOP_MARGIN_MS);
    let _ = time::timeout(limit, second_signal.stop()).await; // either way it is over
    tracing::warn!("cut off; what is under way is told again after the next start");
}

/// Reads settings on a thread of its own, because the disk of the file may hang. A request that
/// comes meanwhile is served afterwards.
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

/// Opens the files and the listeners. Returns the bridge, and the tasks beside it.
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
