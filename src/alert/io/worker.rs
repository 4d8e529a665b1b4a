//! Passes inputs to the core, and carries out its outputs: first writes, then sends and replies.
//!
//! Invariant: no output of the core is carried out before its records are on the disk, or the disk
//! has failed.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::{task, time};

use super::actions::run_and_audit;
use super::client::Client;
use super::clock::now;
use super::envelope::{Envelope, InputOutcome};
use super::journal::Journal;
use super::log::log_warning;
use super::lookup::fetch_snapshots;
use super::send::send;
use super::shared::SharedStateWriter;
use crate::alert::core::counts::Count;
use crate::alert::core::record::JournalRecord;
use crate::alert::core::{ActionRun, Core, CoreInput, CoreOutput, CoreReply, ReplyId};
use crate::alert::message::BridgeSettings;
use crate::base::MonotonicMs;
use crate::signals::{SignalRequest, Signals};

/// Most inputs before a write.
const TURN_MAX: usize = 64;

/// How long messages in flight are waited for at the end, in ms.
pub(super) const STOP_MS_MAX: u64 = 12_000;

/// Time until a failed write is retried, in ms.
const RETRY_MS: u64 = 1_000;

/// How the bridge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeEnd {
    /// A signal ended it, and no message was in flight.
    Quiet,
    /// A signal ended it, and a message was in flight: it will be sent as a possible repetition.
    UnderWay,
}

/// The result of a reload of the settings.
pub(super) type SettingsReload = Result<BridgeSettings, String>;

/// Whether the changes are on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SaveResult {
    Kept,
    NotKept,
}

/// See the module.
pub(super) struct Bridge {
    core: Core,
    /// `None` only during a write.
    journal: Option<Journal>,
    retry_at: MonotonicMs,
    waiting_replies: BTreeMap<ReplyId, oneshot::Sender<InputOutcome>>,
    inbox: mpsc::Sender<Envelope>,
    inputs: mpsc::Receiver<Envelope>,
    shared: SharedStateWriter,
    reloaded_ms: u64,
}

impl Bridge {
    /// Restores a bridge, and carries out the outputs of that.
    pub(super) async fn start(
        journal: Journal,
        records: Vec<JournalRecord>,
        (inbox, inputs): (mpsc::Sender<Envelope>, mpsc::Receiver<Envelope>),
        shared: SharedStateWriter,
    ) -> Bridge {
        let mut out = Vec::new();
        let core = Core::load(now(), shared.settings(), records, &mut out);
        let mut bridge = Bridge {
            core,
            journal: Some(journal),
            retry_at: MonotonicMs(0),
            waiting_replies: BTreeMap::new(),
            inbox,
            inputs,
            shared,
            reloaded_ms: now().unix_ms,
        };
        bridge.settle(out, Vec::new()).await;
        bridge
    }

    /// Runs until a signal ends it. SIGHUP requests a reload of the settings by `wanted`; its
    /// result comes by `read`.
    pub(super) async fn run(
        &mut self,
        mut signals: Signals,
        wanted: SyncSender<()>,
        mut read: mpsc::Receiver<SettingsReload>,
    ) -> BridgeEnd {
        loop {
            let mut arrived = Vec::new();
            let idle = Duration::from_millis(self.idle_ms());
            tokio::select! {
                request = signals.next() => match request {
                    SignalRequest::Stop(_) => return self.stop().await,
                    // One pending reload is enough.
                    SignalRequest::Reload => drop(wanted.try_send(())),
                },
                Some(settings) = read.recv() => arrived.extend(self.change(settings)),
                envelope = self.inputs.recv() => arrived.extend(envelope),
                () = time::sleep(idle) => {}
            }
            self.turn(arrived).await;
        }
    }

    fn idle_ms(&self) -> u64 {
        let idle_ms = self.core.idle_ms(now());
        if self.is_broken() { idle_ms.min(RETRY_MS) } else { idle_ms }
    }

    fn is_broken(&self) -> bool {
        self.journal.as_ref().is_none_or(Journal::is_broken)
    }

    /// Handles inputs, writes the records, and carries out the other outputs.
    async fn turn(&mut self, mut arrived: Vec<Envelope>) {
        while arrived.len() < TURN_MAX
            && let Ok(envelope) = self.inputs.try_recv()
        {
            arrived.push(envelope);
        }
        let mut out = Vec::new();
        let mut waiting = Vec::new();
        if arrived.is_empty() {
            self.core.handle(now(), CoreInput::Woken, &mut out);
        }
        for Envelope { input, reply } in arrived {
            waiting.extend(reply);
            self.core.handle(now(), input, &mut out);
        }
        self.settle(out, waiting).await;
    }

    /// Writes first, then carries out everything else.
    async fn settle(
        &mut self,
        out: Vec<CoreOutput>,
        waiting: Vec<(ReplyId, oneshot::Sender<InputOutcome>)>,
    ) {
        self.waiting_replies.extend(waiting);
        let mut records = Vec::new();
        let mut rest = Vec::new();
        for output in out {
            match output {
                CoreOutput::Keep(record) => records.push(*record),
                other => rest.push(other),
            }
        }
        let saved = self.keep(records).await;
        for output in rest {
            self.act(output, saved);
        }
        let at = now();
        let mut stats = self.core.stats(at);
        (stats.disk_ok, stats.reloaded_ms) = (!self.is_broken(), self.reloaded_ms);
        self.shared.show(stats);
    }

    /// Writes the changes.
    async fn keep(&mut self, records: Vec<JournalRecord>) -> SaveResult {
        let Some(mut journal) = self.journal.take() else { return SaveResult::NotKept };
        let was_broken = journal.is_broken();
        if records.is_empty() && !was_broken {
            self.journal = Some(journal);
            return SaveResult::Kept;
        }
        if was_broken && now().tick < self.retry_at {
            self.journal = Some(journal);
            return SaveResult::NotKept;
        }
        let all = journal.needs_rewrite().then(|| self.core.records());
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
                self.retry_at = now().tick.plus_ms(RETRY_MS);
                return SaveResult::NotKept;
            }
        }
        SaveResult::Kept
    }

    fn act(&mut self, output: CoreOutput, saved: SaveResult) {
        match output {
            CoreOutput::Keep(_) => unreachable!("it was taken out before"),
            CoreOutput::Reply(reply_id, reply) => {
                let outcome = match (reply, saved) {
                    (CoreReply::Full, _) => InputOutcome::Full,
                    (CoreReply::Unknown, _) => InputOutcome::Unknown,
                    (CoreReply::Pair(answer), _) => InputOutcome::Pair(answer),
                    (CoreReply::Kept, SaveResult::Kept) => InputOutcome::Kept,
                    (CoreReply::Kept, SaveResult::NotKept) => InputOutcome::Unkept,
                };
                if outcome == InputOutcome::Unkept {
                    self.count(Count::Unkept);
                }
                if let Some(sender) = self.waiting_replies.remove(&reply_id) {
                    // The caller may have left.
                    let _ = sender.send(outcome);
                }
            }
            CoreOutput::Ask(id, questions) => {
                let client = self.shared.client();
                let token = self.shared.settings().options.instances_token.value.clone();
                self.later(async move {
                    CoreInput::Found(id, fetch_snapshots(client, questions, token).await)
                });
            }
            CoreOutput::Send(request) => {
                let client = self.shared.client();
                let settings = self.shared.settings();
                self.later(async move {
                    let answer = send(&client, &request, &settings.options).await;
                    CoreInput::Answered { message: request.message, robot: request.robot, answer }
                });
            }
            CoreOutput::Do(run) => self.run_action(run),
            CoreOutput::Warn(warning) => log_warning(&warning),
        }
    }

    fn count(&self, count: Count) {
        let _ = self.inbox.try_send(Envelope { input: CoreInput::Happened(count), reply: None });
    }

    /// Runs a task, and passes its result to the core.
    fn later(&self, work: impl Future<Output = CoreInput> + Send + 'static) {
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let input = work.await;
            // The receiver ends with the process.
            let _ = inbox.send(Envelope { input, reply: None }).await;
        });
    }

    fn run_action(&self, run: ActionRun) {
        let client = self.shared.client();
        let settings = self.shared.settings();
        let options = &settings.options;
        let (dir, token) = (options.dir.clone(), options.instances_token.value.clone());
        tokio::spawn(async move { run_and_audit(client, run, dir, token).await });
    }

    /// Takes reloaded settings; when they are wrong, the old ones stay.
    fn change(&mut self, read: SettingsReload) -> Option<Envelope> {
        let changed = read.and_then(|settings| {
            let client = Client::new(&settings.options).map_err(|error| error.to_string())?;
            Ok((settings, client))
        });
        match changed {
            Ok((settings, client)) => {
                let before = self.shared.settings();
                let (old, new) = (&before.options, &settings.options);
                if (&old.dir, old.listen, old.silence_listen)
                    != (&new.dir, new.listen, new.silence_listen)
                {
                    tracing::warn!("addresses and the directory change at the next start only");
                }
                tracing::info!("the settings were read again");
                let settings = Arc::new(settings);
                self.reloaded_ms = now().unix_ms;
                self.shared.change(Arc::clone(&settings), client);
                Some(Envelope { input: CoreInput::Changed(settings), reply: None })
            }
            Err(mistakes) => {
                tracing::error!("the settings stay as they were: {mistakes}");
                None
            }
        }
    }

    /// Begins no message any more, and waits for those in flight, so that their outcome is known at
    /// the next start.
    async fn stop(&mut self) -> BridgeEnd {
        tracing::info!("ending; what waits is told after the next start");
        self.turn(vec![Envelope { input: CoreInput::Stopping, reply: None }]).await;
        let wait = async {
            while !self.core.is_quiet() {
                let Some(envelope) = self.inputs.recv().await else { break };
                self.turn(vec![envelope]).await;
            }
        };
        match time::timeout(Duration::from_millis(STOP_MS_MAX), wait).await {
            Ok(()) => BridgeEnd::Quiet,
            Err(_) => BridgeEnd::UnderWay,
        }
    }
}
