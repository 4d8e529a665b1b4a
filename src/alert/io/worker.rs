//! Carries inputs into the core, and what it says to the disk, to robots and to whoever
//! waits, in this order.
//!
//! Invariant: nothing that the core says is done before what it keeps is on the disk, or the
//! disk has refused.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::{task, time};

use super::actions::act_and_write;
use super::client::Client;
use super::clock::now;
use super::envelope::{Envelope, Served};
use super::journal::Journal;
use super::log::tell;
use super::lookup::find_out;
use super::send::send;
use crate::alert::core::counts::Count;
use crate::alert::core::record::Record;
use crate::alert::core::stats::Stats;
use crate::alert::core::{Core, Deed, Input, Output, Reply, Ticket};
use crate::alert::message::Settings;
use crate::base::Tick;

/// Inputs that the core takes before the disk is waited for.
const TURN_MAX: usize = 64;

/// How long what is under way is waited for at the end, in ms.
pub(super) const STOP_MS_MAX: u64 = 12_000;

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

/// What the settings say now, or what is wrong with them.
pub(super) type Reread = Result<Settings, String>;

pub(super) struct Bridge {
    pub(super) core: Core,
    /// Away only while it is written.
    pub(super) journal: Option<Journal>,
    pub(super) mend_at: Tick,
    pub(super) tickets: BTreeMap<Ticket, oneshot::Sender<Served>>,
    pub(super) inbox: mpsc::Sender<Envelope>,
    pub(super) inputs: mpsc::Receiver<Envelope>,
    pub(super) client: watch::Sender<Client>,
    pub(super) stats: watch::Sender<Arc<Stats>>,
    pub(super) settings: watch::Sender<Arc<Settings>>,
    pub(super) reloaded_ms: u64,
}

impl Bridge {
    pub(super) fn idle_ms(&self) -> u64 {
        let idle_ms = self.core.idle_ms(now());
        if self.is_broken() { idle_ms.min(MEND_MS) } else { idle_ms }
    }

    fn is_broken(&self) -> bool {
        self.journal.as_ref().is_none_or(Journal::is_broken)
    }

    /// Takes what has arrived, keeps what is to be kept, and does the rest.
    pub(super) async fn turn(&mut self, mut arrived: Vec<Envelope>) {
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
    pub(super) async fn settle(
        &mut self,
        out: Vec<Output>,
        waiting: Vec<(Ticket, oneshot::Sender<Served>)>,
    ) {
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
    pub(super) fn change(&mut self, read: Reread) -> Option<Envelope> {
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
    pub(super) async fn stop(&mut self) -> Ended {
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
