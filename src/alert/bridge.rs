//! The process: carries inputs into the core, and what it says to the disk, to robots
//! and to whoever waits, in this order.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tokio::task::{self, JoinSet};
use tokio::time;

use super::answer::{self, Answer};
use super::client::{Ask, Client, Failed, NoClient, Way};
use super::core::{Core, Deed, Input, Output, Reply, Request, Settings, Ticket, Trouble, Verdict};
use super::core_snapshot::{self, CoreSnapshot};
use super::counts::{Count, Stats};
use super::evidence::{self, Evidence, Question, Snapshot};
use super::journal::{self, Journal, Opened};
use super::options::Options;
use super::pages::{self, Desk, Envelope, Served};
use super::record::Record;
use super::used::UsedLinks;
use super::{audit, outlive, pair_pages, text};
use crate::base::{Now, Tick};
use crate::listener::{Listener, remedy};
use crate::outbound::ExchangeAnswer;
use crate::runtime::control_runtime;
use crate::signals::{SignalRequest, Signals};

/// Inputs that wait for the core.
const INBOX_MAX: usize = 256;

/// Inputs that the core takes before the disk is waited for.
const TURN_MAX: usize = 64;

/// How long a robot may take to answer, in ms.
const ROBOT_MS_MAX: u64 = 10_000;

/// How long what can be found out is waited for, in ms.
const EVIDENCE_MS_MAX: u64 = 2_000;

/// Bytes of an answer of Prometheus or of an instance.
const EVIDENCE_BYTES_MAX: usize = 4 << 20;

/// How long an action may take, in ms.
const ACTION_MS_MAX: u64 = 30_000;

/// How long what is under way is waited for at the end, in ms.
const STOP_MS_MAX: u64 = 12_000;

/// How long the last of it may take to be kept, in ms.
const STOP_MARGIN_MS: u64 = 3_000;

/// How often Alertmanager is asked what it inhibits: so often in the time that such an
/// alert may outlive its cause, and at least every so many ms.
const INHIBITED_PARTS: u64 = 30;
const INHIBITED_MS_MAX: u64 = 10_000;

/// How soon a queue that could not be written is tried again, in ms.
const MEND_MS: u64 = 1_000;

/// How the bridge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A signal ended it, and nothing was under way any more.
    Quiet,
    /// A signal ended it, and something was: it will be told as perhaps a repetition.
    UnderWay,
}

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

/// The clocks, now. The tick begins with the process.
#[expect(clippy::disallowed_methods, reason = "the bridge's own process reads its clocks here")]
pub(super) fn now() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let start = START.get_or_init(Instant::now);
    Now {
        tick: Tick(start.elapsed().as_millis() as u64),
        unix_ms: unix.as_millis() as u64,
        ..Now::default()
    }
}

/// What the settings say now, or what is wrong with them.
type Reread = Result<Settings, String>;

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
    let pair = pair_pages::ask_other(
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

/// Asks Alertmanager again and again what it inhibits.
async fn watch_inhibited(
    inbox: mpsc::Sender<Envelope>,
    settings: watch::Receiver<Arc<Settings>>,
    client: watch::Receiver<Client>,
) {
    loop {
        let (base, outlive_s) = {
            let options = &settings.borrow().options;
            (options.alertmanager_url.clone(), options.outlive_s)
        };
        let pause_ms = (outlive_s * 1_000 / INHIBITED_PARTS).clamp(500, INHIBITED_MS_MAX);
        time::sleep(Duration::from_millis(pause_ms)).await;
        if base.is_empty() || outlive_s == 0 {
            continue;
        }
        let client = client.borrow().clone();
        let body = look(&client, &outlive::url(&base), Way::Usual, "").await;
        let Some(inhibited) = body.and_then(|body| outlive::read(&body)) else { continue };
        let envelope = Envelope { input: Input::Inhibited(inhibited), reply: None };
        if inbox.send(envelope).await.is_err() {
            return;
        }
    }
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

struct Bridge {
    core: Core,
    /// Away only while it is written.
    journal: Option<Journal>,
    mend_at: Tick,
    tickets: BTreeMap<Ticket, oneshot::Sender<Served>>,
    inbox: mpsc::Sender<Envelope>,
    inputs: mpsc::Receiver<Envelope>,
    client: watch::Sender<Client>,
    stats: watch::Sender<Arc<Stats>>,
    settings: watch::Sender<Arc<Settings>>,
    reloaded_ms: u64,
}

impl Bridge {
    fn idle_ms(&self) -> u64 {
        let idle_ms = self.core.idle_ms(now());
        if self.is_broken() { idle_ms.min(MEND_MS) } else { idle_ms }
    }

    fn is_broken(&self) -> bool {
        self.journal.as_ref().is_none_or(Journal::is_broken)
    }

    /// Takes what has arrived, keeps what is to be kept, and does the rest.
    async fn turn(&mut self, mut arrived: Vec<Envelope>) {
        while arrived.len() < TURN_MAX
            && let Ok(envelope) = self.inputs.try_recv()
        {
            arrived.push(envelope);
        }
        let mut out = Vec::new();
        let mut waiting = Vec::new();
        if arrived.is_empty() {
            self.core.handle(now(), Input::Woken, &mut out);
        }
        for Envelope { input, reply } in arrived {
            waiting.extend(reply);
            self.core.handle(now(), input, &mut out);
        }
        self.settle(out, waiting).await;
    }

    /// The disk first, then everything else.
    async fn settle(&mut self, out: Vec<Output>, waiting: Vec<(Ticket, oneshot::Sender<Served>)>) {
        self.tickets.extend(waiting);
        let mut records = Vec::new();
        let mut rest = Vec::new();
        for output in out {
            match output {
                Output::Keep(record) => records.push(*record),
                other => rest.push(other),
            }
        }
        let is_kept = self.keep(records).await;
        for output in rest {
            self.act(output, is_kept);
        }
        let at = now();
        let mut stats = self.core.stats(at);
        (stats.disk_ok, stats.reloaded_ms) = (!self.is_broken(), self.reloaded_ms);
        self.stats.send_replace(Arc::new(stats));
    }

    /// Whether all that changed is on the disk.
    async fn keep(&mut self, records: Vec<Record>) -> bool {
        let Some(mut journal) = self.journal.take() else { return false };
        let was_broken = journal.is_broken();
        if records.is_empty() && !was_broken {
            self.journal = Some(journal);
            return true;
        }
        if was_broken && now().tick < self.mend_at {
            self.journal = Some(journal);
            return false;
        }
        let all = journal.wants_all().then(|| self.core.records());
        let written = task::spawn_blocking(move || {
            let result = match all {
                Some(all) => journal.rewrite(&all),
                None => journal.append(&records),
            };
            (journal, result)
        });
        let (journal, result) = written.await.expect("writing does not panic");
        self.journal = Some(journal);
        match result {
            Ok(()) if was_broken => tracing::info!("the queue can be written again"),
            Ok(()) => {}
            Err(error) => {
                if !was_broken {
                    tracing::error!(
                        "the queue cannot be written: {error}; notifications are refused (503) \
                         until it can, and told all the same"
                    );
                }
                self.mend_at = now().tick.plus_ms(MEND_MS);
                return false;
            }
        }
        true
    }

    fn act(&mut self, output: Output, is_kept: bool) {
        match output {
            Output::Keep(_) => unreachable!("it was taken out before"),
            Output::Reply(ticket, reply) => {
                let served = match (reply, is_kept) {
                    (Reply::Full, _) => Served::Full,
                    (Reply::Unknown, _) => Served::Unknown,
                    (Reply::Pair(answer), _) => Served::Pair(answer),
                    (Reply::Kept, true) => Served::Kept,
                    (Reply::Kept, false) => Served::Unkept,
                };
                if served == Served::Unkept {
                    self.count(Count::Unkept);
                }
                if let Some(sender) = self.tickets.remove(&ticket) {
                    // Whoever asked may have left.
                    let _ = sender.send(served);
                }
            }
            Output::Ask(id, questions) => {
                let client = self.client.borrow().clone();
                let token = self.settings.borrow().options.instances_token.value.clone();
                self.later(
                    async move { Input::Found(id, find_out(client, questions, token).await) },
                );
            }
            Output::Send(request) => {
                let client = self.client.borrow().clone();
                let settings = Arc::clone(&self.settings.borrow());
                self.later(async move {
                    let answer = send(&client, &request, &settings.options).await;
                    Input::Answered { message: request.message, robot: request.robot, answer }
                });
            }
            Output::Do(deed) => self.act_on(deed),
            Output::Tell(trouble) => tell(&trouble),
        }
    }

    fn count(&self, count: Count) {
        let _ = self.inbox.try_send(Envelope { input: Input::Happened(count), reply: None });
    }

    /// Does something beside, and brings what it becomes to the core.
    fn later(&self, work: impl Future<Output = Input> + Send + 'static) {
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let input = work.await;
            // The other end goes with the process.
            let _ = inbox.send(Envelope { input, reply: None }).await;
        });
    }

    fn act_on(&self, deed: Deed) {
        let client = self.client.borrow().clone();
        let options = &self.settings.borrow().options;
        let (dir, token) = (options.dir.clone(), options.instances_token.value.clone());
        tokio::spawn(async move { act_and_write(client, deed, dir, token).await });
    }

    /// Takes settings that were read again; what is wrong keeps the old ones.
    fn change(&mut self, read: Reread) -> Option<Envelope> {
        let changed = read.and_then(|settings| {
            let client = Client::new(&settings.options).map_err(|error| error.to_string())?;
            Ok((settings, client))
        });
        match changed {
            Ok((settings, client)) => {
                let before = self.settings.borrow().clone();
                let (old, new) = (&before.options, &settings.options);
                if (&old.dir, old.listen, old.silence_listen)
                    != (&new.dir, new.listen, new.silence_listen)
                {
                    tracing::warn!("addresses and the directory change at the next start only");
                }
                tracing::info!("the settings were read again");
                let settings = Arc::new(settings);
                self.reloaded_ms = now().unix_ms;
                self.client.send_replace(client);
                self.settings.send_replace(Arc::clone(&settings));
                Some(Envelope { input: Input::Changed(settings), reply: None })
            }
            Err(mistakes) => {
                tracing::error!("the settings stay as they were: {mistakes}");
                None
            }
        }
    }

    /// Begins nothing more, and waits for what robots have in their hands, so that it
    /// is known at the next start.
    async fn stop(&mut self) -> Ended {
        tracing::info!("ending; what waits is told after the next start");
        self.turn(vec![Envelope { input: Input::Stopping, reply: None }]).await;
        let wait = async {
            while !self.core.is_quiet() {
                let Some(envelope) = self.inputs.recv().await else { break };
                self.turn(vec![envelope]).await;
            }
        };
        match time::timeout(Duration::from_millis(STOP_MS_MAX), wait).await {
            Ok(()) => Ended::Quiet,
            Err(_) => Ended::UnderWay,
        }
    }
}

fn tell(trouble: &Trouble) {
    match trouble {
        Trouble::Robot { robot, answer, pause_ms } => match answer {
            Answer::Stranger(_) | Answer::Refused(_) => {
                tracing::error!("robot {robot}: {answer}; next try in {pause_ms} ms");
            }
            Answer::Delivered
            | Answer::TooOften(_)
            | Answer::TooLong(_)
            | Answer::Busy(_)
            | Answer::Unreachable
            | Answer::Doubtful => {
                tracing::warn!("robot {robot}: {answer}; next try in {pause_ms} ms");
            }
        },
        Trouble::Refused { chat, code, id } => {
            tracing::error!("{chat} refused an alert ({code}); it is put aside as number {id}");
        }
        Trouble::Template(fault) => tracing::error!("{fault}; the message was plain"),
        Trouble::GivenUp { chat, count, why } => {
            tracing::error!("{count} alerts for {chat} were given up: {why}");
        }
        Trouble::Route => {
            tracing::warn!("a notification for a route that does not exist took the default one");
        }
        Trouble::SameRole => tracing::error!(
            "peer.first is the same in both bridges; the one that has run for longer is taken for \
             the first one"
        ),
        Trouble::TurnPassed(chats) => tracing::error!(
            "no robot of {} takes anything from here; the other bridge tells what waits",
            chats.join(", ")
        ),
        Trouble::Silent => tracing::error!("the watchdog is not heard"),
    }
}

/// One try. Nothing of the URL may be told: it holds the token.
pub(super) async fn send(client: &Client, request: &Request, options: &Options) -> Answer {
    let robot = options.robots.iter().find(|robot| robot.name == request.robot);
    let ask = Ask {
        url: &request.url,
        way: Way::of_setting(robot.map_or("", |robot| &robot.proxy)),
        json: Some(request.body.clone()),
        post: true,
        bearer: &request.bearer,
        id: if request.channel == super::options::Channel::Webhook { &request.id } else { "" },
        ms_max: ROBOT_MS_MAX,
        bytes_max: 64 << 10,
    };
    match client.ask_in_part(ask).await {
        Ok(answer) => answer::read(request.channel, &answer),
        Err(Failed::ByProxy(status)) => {
            let robot = &request.robot;
            tracing::warn!("robot {robot}: the proxy does not lead there ({status})");
            Answer::Unreachable
        }
        Err(Failed::Unreachable) => Answer::Unreachable,
        Err(Failed::Doubtful) => Answer::Doubtful,
    }
}

enum Piece {
    Exemplar(Snapshot),
    Recorded(Option<Snapshot>, Option<CoreSnapshot>),
    Value(f64),
}

/// All questions at once; what has not come in time is not there.
async fn find_out(client: Client, questions: Vec<Question>, token: String) -> Evidence {
    let mut asked: JoinSet<(String, Option<Piece>)> = JoinSet::new();
    for question in questions {
        let fingerprint = question.fingerprint;
        if let Some(url) = question.exemplars {
            let (client, fingerprint) = (client.clone(), fingerprint.clone());
            asked.spawn(async move {
                let body = look(&client, &url, Way::Usual, "").await;
                (
                    fingerprint,
                    body.and_then(|body| evidence::of_exemplars(&body)).map(Piece::Exemplar),
                )
            });
        }
        if let Some(url) = question.recorder {
            let (client, fingerprint, token) = (client.clone(), fingerprint.clone(), token.clone());
            let core = question.core;
            asked.spawn(async move {
                let body = look(&client, &url, Way::Direct, &token).await.unwrap_or_default();
                let snapshot = evidence::of_recorder(&body);
                // Where no message is known, a core says what there is to say.
                let core = (!core.is_empty() || snapshot.is_none())
                    .then(|| core_snapshot::of_answer(&body, &core));
                let piece = Piece::Recorded(snapshot, core.flatten());
                (fingerprint, Some(piece))
            });
        }
        if let Some(url) = question.value {
            let (client, labels) = (client.clone(), question.labels);
            asked.spawn(async move {
                let body = look(&client, &url, Way::Usual, "").await;
                let value = body.and_then(|body| evidence::of_value(&body, &labels));
                (fingerprint, value.map(Piece::Value))
            });
        }
    }
    let mut found = Evidence::new();
    let gather = async {
        while let Some(done) = asked.join_next().await {
            let Ok((fingerprint, Some(piece))) = done else { continue };
            let found = found.entry(fingerprint).or_default();
            match piece {
                // What Prometheus says goes before what an instance says of itself.
                Piece::Exemplar(snapshot) => found.snapshot = Some(snapshot),
                Piece::Recorded(snapshot, core) => {
                    found.snapshot = found.snapshot.take().or(snapshot);
                    found.core = core;
                }
                Piece::Value(value) => found.value = Some(value),
            }
        }
    };
    let _ = time::timeout(Duration::from_millis(EVIDENCE_MS_MAX), gather).await;
    found
}

async fn look(client: &Client, url: &str, way: Way<'_>, bearer: &str) -> Option<Vec<u8>> {
    let ask = Ask {
        url,
        way,
        json: None,
        post: false,
        bearer,
        id: "",
        ms_max: EVIDENCE_MS_MAX,
        bytes_max: EVIDENCE_BYTES_MAX,
    };
    match client.ask(ask).await {
        Ok(ExchangeAnswer { status: 200, body, .. }) => Some(body.to_vec()),
        Ok(_) | Err(_) => None,
    }
}

/// Does what is to be done, and writes it down either way: before, so that it is known
/// even when nobody is left to write what became of it, and after.
async fn act_and_write(client: Client, deed: Deed, dir: PathBuf, token: String) {
    let at = now().unix_ms;
    let verdict = match deed.verdict {
        Verdict::Done => "done",
        Verdict::DryRun => "dry_run",
        Verdict::TooSoon => "too_soon",
        Verdict::UnknownInstance => "unknown_instance",
    };
    let fields = json!({
        "action": deed.action, "alert": deed.alert, "verdict": verdict,
        "instance": text::of_operator(&deed.instance, 120),
    });
    write_down(dir.clone(), at, fields.clone()).await;
    if deed.verdict != Verdict::Done {
        return;
    }
    let ask = Ask {
        url: &deed.url,
        // The token is for that listener, and for nobody on the way to it.
        way: Way::Direct,
        json: None,
        post: deed.post,
        bearer: &token,
        id: "",
        ms_max: ACTION_MS_MAX,
        bytes_max: audit::SAVED_BYTES_MAX,
    };
    let mut fields = fields;
    match client.ask(ask).await {
        Ok(ExchangeAnswer { status, body, .. }) => {
            let (into, name) = (dir.clone(), deed.action.clone());
            let saved = task::spawn_blocking(move || audit::save(&into, at, &name, &body)).await;
            fields["status"] = json!(status);
            fields["saved"] = json!(saved.ok().and_then(Result::ok));
        }
        Err(failed) => fields["failed"] = json!(format!("{failed:?}")),
    }
    write_down(dir, now().unix_ms, fields).await;
}

async fn write_down(dir: PathBuf, at: u64, fields: serde_json::Value) {
    let written = task::spawn_blocking(move || audit::write(&dir, at, "action", fields)).await;
    if !matches!(written, Ok(Ok(()))) {
        tracing::error!("the audit log cannot be written");
    }
}
