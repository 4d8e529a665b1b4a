//! The control thread's part in diagnostics: it carries an operator's questions to
//! the cores and their findings back, keeps the quarantine, and writes leaks down.
//!
//! Deliberately absent: HTTP, and what a core looks at.

mod blocklist;
mod claims;
mod leak;
mod quarantine;
mod room_rankings;
mod scans;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::cores::CoreHandles;
use super::executor::CoreEvent;
use super::operator_acts::OperatorActs;
#[cfg(feature = "faults")]
use crate::admin::QuestionError;
use crate::admin::{AnswerSender, OperatorQuestion};
use crate::base::MonotonicMs;
use crate::console::OperatorAct;
use crate::metrics::{Cells, Gauge};
use crate::session::QuarantineOptions;
use crate::wire::api::ApiDeadLetterFate;

use blocklist::Blocklist;
use claims::ClaimWatch;
use leak::LeakWatch;
use room_rankings::RoomRankings;
use scans::{ConnsQuestion, CoreFindings, PrefixShare, Scans};

/// Between two looks at what nobody tells by itself.
const WATCH_MS: u64 = 1_000;

/// What it is made of.
pub(super) struct DiagnosticsSetup {
    pub questions: mpsc::Receiver<OperatorQuestion>,
    pub core_events: mpsc::Receiver<CoreEvent>,
    pub quarantine: QuarantineOptions,
    pub cells: Vec<Arc<Cells>>,
    pub instance: Arc<str>,
    pub evidence_dir: Option<PathBuf>,
    pub leak_hold_ms: u64,
}

/// Everything of the control thread's that concerns diagnostics.
pub(super) struct Diagnostics {
    setup: DiagnosticsSetup,
    began: Instant,
    blocklist: Blocklist,
    scans: Scans,
    rankings: RoomRankings,
    leak: LeakWatch,
    claims: ClaimWatch,
    watch_at: Instant,
}

/// What happened that diagnostics have to do something about.
pub(super) enum DiagnosticsTask {
    Question(OperatorQuestion),
    CoreEvent(CoreEvent),
    Time,
}

impl Diagnostics {
    pub fn new(setup: DiagnosticsSetup) -> Diagnostics {
        let now = Instant::now();
        Diagnostics {
            began: now,
            blocklist: Blocklist::new(setup.quarantine.clone(), setup.cells.len()),
            scans: Scans::new(setup.cells.len()),
            rankings: RoomRankings::new(setup.cells.len()),
            leak: LeakWatch::default(),
            claims: ClaimWatch::default(),
            watch_at: now + Duration::from_millis(WATCH_MS),
            setup,
        }
    }

    /// Waits until there is something to do.
    pub async fn wait(&mut self) -> DiagnosticsTask {
        let deadlines = [self.scans.until(), self.rankings.until()];
        let until = deadlines.into_iter().flatten().fold(self.watch_at, Instant::min);
        tokio::select! {
            Some(question) = self.setup.questions.recv() => DiagnosticsTask::Question(question),
            Some(event) = self.setup.core_events.recv() => DiagnosticsTask::CoreEvent(event),
            () = tokio::time::sleep_until(until) => DiagnosticsTask::Time,
        }
    }

    /// Does what there is to do. Waits for nobody. Breaks where an operator wants the server to let
    /// its clients go, and to end.
    pub fn act(
        &mut self,
        cores: &mut CoreHandles,
        acts: &OperatorActs,
        task: DiagnosticsTask,
    ) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        match task {
            DiagnosticsTask::Question(question) => {
                flow = self.on_question(cores, acts, question);
            }
            DiagnosticsTask::CoreEvent(CoreEvent::EarlyPanic(prefix)) => {
                self.blocklist.on_panic(self.now(), &prefix);
            }
            DiagnosticsTask::CoreEvent(CoreEvent::RoomsRanked { core, scan_id, found }) => {
                self.rankings.on_ranked(core, scan_id, found);
            }
            DiagnosticsTask::CoreEvent(CoreEvent::ScanFinished { core, scan_id, found, peers }) => {
                let share = self.scans.on_finished(CoreFindings { core, scan_id, found, peers });
                self.judge(share);
            }
            DiagnosticsTask::Time => {
                let now = Instant::now();
                self.rankings.on_time(now);
                let share = self.scans.on_time(now);
                self.judge(share);
                self.watch(now);
            }
        }
        let share = self.scans.begin(cores, || self.blocklist.take_suspect());
        self.judge(share);
        self.blocklist.inform(cores);
        flow
    }

    /// Does what an operator wants, or has it done. Whoever asked may be gone.
    fn on_act(
        &mut self,
        acts: &OperatorActs,
        act: OperatorAct,
        answer: AnswerSender<()>,
    ) -> ControlFlow<()> {
        let now = self.now();
        match act {
            OperatorAct::Block(change) => acts.block(change, answer),
            OperatorAct::DisconnectUser { tenant, user } => acts.disconnect(tenant, user, answer),
            OperatorAct::Quarantine { prefix, hold_ms } => {
                let _ = answer.send(self.blocklist.block(now, &prefix, hold_ms));
            }
            OperatorAct::Release { prefix } => {
                let _ = answer.send(self.blocklist.unblock(&prefix));
            }
            OperatorAct::RequeueDeadLetters { letters, ttl_s } => {
                acts.change_letters(&letters, ApiDeadLetterFate::Requeued { ttl_s }, answer);
            }
            OperatorAct::DropDeadLetters(letters) => {
                acts.change_letters(&letters, ApiDeadLetterFate::Dropped, answer);
            }
            OperatorAct::Drain => {
                let _ = answer.send(Ok(()));
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn now(&self) -> MonotonicMs {
        MonotonicMs(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn on_question(
        &mut self,
        cores: &mut CoreHandles,
        acts: &OperatorActs,
        question: OperatorQuestion,
    ) -> ControlFlow<()> {
        let now = self.now();
        // Whoever asked may be gone.
        match question {
            OperatorQuestion::Conns { sort, count, answer } => {
                self.scans.ask(ConnsQuestion { sort, count, answer });
            }
            OperatorQuestion::LargestRooms(answer) => self.rankings.ask(cores, answer),
            OperatorQuestion::ListQuarantined(answer) => {
                let _ = answer.send(Ok(self.blocklist.rows(now)));
            }
            OperatorQuestion::BlockPrefix { prefix, hold_ms, answer } => {
                let _ = answer.send(self.blocklist.block(now, &prefix, hold_ms));
            }
            OperatorQuestion::UnblockPrefix { prefix, answer } => {
                let _ = answer.send(self.blocklist.unblock(&prefix));
            }
            OperatorQuestion::Blocked { query, answer } => acts.tell_blocked(&query, answer),
            OperatorQuestion::DeadLetters { wanted, answer } => acts.tell_letters(&wanted, answer),
            OperatorQuestion::FiringAlerts(answer) => acts.tell_alerts(answer),
            OperatorQuestion::Act { act, answer } => return self.on_act(acts, act, answer),
            #[cfg(feature = "faults")]
            OperatorQuestion::BlockCore { core, block_ms, answer } => {
                let command = super::core_lanes::CoreCommand::Block { block_ms };
                let given = cores.try_send(usize::from(core), command);
                let _ = answer.send(if given { Ok(()) } else { Err(QuestionError::Unknown) });
            }
        }
        ControlFlow::Continue(())
    }

    fn judge(&mut self, share: Option<PrefixShare>) {
        if let Some(share) = share {
            self.blocklist.on_share(self.now(), &share);
        }
    }

    fn watch(&mut self, now: Instant) {
        if now < self.watch_at {
            return;
        }
        self.watch_at = now + Duration::from_millis(WATCH_MS);
        let now = self.now();
        self.blocklist.expire(now);
        let DiagnosticsSetup { cells, leak_hold_ms, instance, evidence_dir, .. } = &self.setup;
        let busiest = cells.iter().map(|cells| cells.gauge(Gauge::ConnTasksMax)).max();
        if self.leak.on_sample(now, *leak_hold_ms, busiest.unwrap_or(0)) {
            leak::write(*leak_hold_ms, instance, cells, evidence_dir.as_deref());
        }
        self.claims.look(cells);
    }
}
