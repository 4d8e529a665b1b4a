//! Hooks as a part of the control thread: it takes what cores ask an application's backend, has
//! it asked, and carries the answers back.
//!
//! Invariant: a core is answered for each of its questions, in time: whatever the backend does.
//!
//! Deliberately absent: which is asked when (`hook_queues`), HTTP (`hook_client`), and what an
//! answer means (`session`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{self, Instant};

use super::StartError;
use super::core_lanes::CoreCommand;
use super::cores::CoreHandles;
use super::hook_client::{Asked, HookBackend, HookCallError, HookClient};
use super::hook_lane::{AskedCall, HookSender, hook_lanes};
use super::hook_queues::{CallEnd, CoreCall, HookQueues, NextCall};
use crate::base::limits::{HOOK_ORDER_ANSWERS_MAX, HOOKS_MAX};
use crate::base::{Bucket, MonotonicMs, Rate};
use crate::hook::{Hook, HookReply};
use crate::lane::Mailbox;
use crate::metrics::{Counter, Gauge, HookMiss, SharedMetricsWriter};
use crate::shard::{HookCall, HookReturn, ShardCommand};

/// A core that has no room for a command takes its commands in each turn, so room comes soon.
const RETRY_MS: u64 = 1;

/// Lines a second about answers that are missing; the metrics count them all.
const LINES: Rate = Rate { per_s: 1, burst: 5 };

/// See the module.
pub(super) struct BackendHooks {
    /// `None` where no hook is asked: sessions ask none then.
    client: Option<Arc<HookClient>>,
    queues: HookQueues,
    calls: Mailbox<AskedCall>,
    woken: Receiver<()>,
    ended: (UnboundedSender<EndedCall>, UnboundedReceiver<EndedCall>),
    /// For cores, oldest first.
    returns: Vec<Vec<HookReturn>>,
    began: Instant,
    metrics: SharedMetricsWriter,
    lines: Bucket,
    /// Some core had no room.
    retries: bool,
}

/// What there is to do.
pub(super) enum HookTask {
    /// To take what cores ask.
    Take,
    /// A backend was asked.
    Ended(EndedCall),
    /// To carry answers to cores.
    Carry,
}

/// A question that was asked.
pub(super) struct EndedCall {
    core: usize,
    id: u32,
    hook: Hook,
    since_ms: u64,
    asked: Asked,
}

impl BackendHooks {
    /// The ends of all cores, and that of the control thread.
    pub fn new(
        backend: HookBackend,
        cores_count: u16,
        metrics: SharedMetricsWriter,
    ) -> Result<(Vec<HookSender>, BackendHooks), StartError> {
        let (senders, calls, woken) = hook_lanes(cores_count);
        let queues = HookQueues::new(&backend.endpoints);
        let is_asked = !backend.endpoints.is_empty();
        let client = is_asked.then(|| HookClient::new(backend).map(Arc::new));
        let client = client.transpose().map_err(StartError::Hooks)?;
        let hooks = BackendHooks {
            client,
            queues,
            calls,
            woken,
            ended: unbounded_channel(),
            returns: (0..cores_count).map(|_| Vec::new()).collect(),
            began: Instant::now(),
            metrics,
            lines: Bucket::full(),
            retries: false,
        };
        Ok((senders, hooks))
    }

    /// Until there is something to do.
    pub async fn wait(&mut self) -> HookTask {
        let retries = self.retries;
        let again = async {
            match retries {
                true => time::sleep(Duration::from_millis(RETRY_MS)).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(()) = self.woken.recv() => HookTask::Take,
            Some(ended) = self.ended.1.recv() => HookTask::Ended(ended),
            () = again => HookTask::Carry,
        }
    }

    /// Does it. Waits for nobody.
    pub fn act(&mut self, cores: &mut CoreHandles, task: HookTask) {
        match task {
            HookTask::Take => self.take(cores),
            HookTask::Ended(ended) => self.on_ended(ended),
            HookTask::Carry => (),
        }
        Hook::ALL.iter().for_each(|&hook| self.ask_next(hook));
        self.set_gauges();
        self.carry(cores);
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    fn take(&mut self, cores: &CoreHandles) {
        let since_ms = self.now_ms();
        let BackendHooks { calls, queues, returns, .. } = self;
        calls.take(
            HOOKS_MAX * returns.len(),
            &mut |core, AskedCall { call, peer }| {
                let (core, peer) = (usize::from(core), peer.map(|peer| peer.ip()));
                queues.push(CoreCall { core, call, peer, since_ms });
            },
            &mut |core| cores.wake(usize::from(core)),
        );
    }

    /// Asks as many of a hook as may be.
    fn ask_next(&mut self, hook: Hook) {
        let now_ms = self.now_ms();
        while let Some(next) = self.queues.next(hook, now_ms) {
            let (call, miss) = match next {
                NextCall::Ask(call, ms_max) => {
                    self.ask(call, ms_max);
                    continue;
                }
                NextCall::Late(call) => (call, HookMiss::Late),
                NextCall::Skipped(call) => (call, HookMiss::Skipped),
            };
            let reply = self.missed(hook, miss);
            self.returns[call.core].push(HookReturn { id: call.call.id, reply });
        }
    }

    fn set_gauges(&self) {
        let under_way_count: usize =
            Hook::ALL.iter().map(|&hook| self.queues.under_way_count(hook)).sum();
        self.metrics.set(Gauge::HooksUnderWay, under_way_count as u64);
        let suspended = Hook::ALL.iter().filter(|&&hook| self.queues.is_suspended(hook));
        self.metrics.set(Gauge::HooksSuspended, suspended.count() as u64);
    }

    /// Counts a question without an answer.
    fn missed(&self, hook: Hook, miss: HookMiss) -> HookReply {
        self.metrics.add(Counter::HookRequests(hook), 1);
        self.metrics.add(Counter::HookMisses(miss), 1);
        HookReply::Failed
    }

    fn ask(&self, call: CoreCall, ms_max: u64) {
        let CoreCall { core, call, peer, since_ms } = call;
        let client = self.client.clone().expect("sessions ask hooks that have an address");
        let ended = self.ended.0.clone();
        tokio::spawn(async move {
            let HookCall { id, request, .. } = call;
            let hook = request.question.hook();
            let asked = client.ask(&request, peer, ms_max).await;
            // A server that ends waits for nobody.
            let _ = ended.send(EndedCall { core, id, hook, since_ms, asked });
        });
    }

    fn on_ended(&mut self, ended: EndedCall) {
        let EndedCall { core, id, hook, since_ms, asked } = ended;
        let now_ms = self.now_ms();
        let is_gone = asked.as_ref().is_err_and(|failure| failure.is_gone);
        let end = if is_gone { CallEnd::Missing } else { CallEnd::Answered };
        self.queues.on_end(hook, end, now_ms);
        self.metrics.add(Counter::HookTime, now_ms.saturating_sub(since_ms));
        let reply = match asked {
            Ok(reply) => {
                self.metrics.add(Counter::HookRequests(hook), 1);
                reply
            }
            Err(HookCallError { miss, why, .. }) => {
                if self.lines.take(MonotonicMs(now_ms), LINES, 1) {
                    tracing::warn!("the backend has no answer for the hook {}: {why}", hook.word());
                }
                self.missed(hook, miss)
            }
        };
        self.returns[core].push(HookReturn { id, reply });
    }

    /// Carries answers to cores that take some.
    fn carry(&mut self, cores: &mut CoreHandles) {
        self.retries = false;
        for (core, returns) in self.returns.iter_mut().enumerate() {
            while !returns.is_empty() {
                if !cores.has_room(core) {
                    self.retries = true;
                    break;
                }
                let some = returns.drain(..returns.len().min(HOOK_ORDER_ANSWERS_MAX)).collect();
                let given = cores.try_send(core, CoreCommand::Shard(ShardCommand::Hooks(some)));
                assert!(given, "there was room a moment ago");
            }
        }
    }
}
