//! What programs of operators ask of the control thread by the server API: the way that `/debug` and
//! the console have, too, and how far a drain is, which is told while it goes on.
//!
//! Deliberately absent: who may ask (`api`).

use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::admin::{AnswerSender, OperatorQuestion, QuestionError, Readiness};
use crate::api::{ControlAsk, ControlError, ControlOutcome, ControlReply};
use crate::console::OperatorAct;
use crate::metrics::{Gauge, Protocol, Threads};
use crate::wire::api::{ApiDrainStatus, ApiQuarantinedPrefix};

/// Where it is asked, and what is seen without asking.
#[derive(Clone)]
pub(super) struct ControlLink {
    /// What this server calls itself.
    pub instance: Arc<str>,
    pub questions: mpsc::Sender<OperatorQuestion>,
    pub readiness: watch::Receiver<Readiness>,
    /// When a drain began, Unix ms, and how many ms it may take.
    pub drain: watch::Receiver<Option<(u64, u64)>>,
    pub threads: Threads,
}

impl ControlLink {
    /// Asks, and waits for what comes of it.
    pub async fn ask(&self, ask: ControlAsk) -> ControlOutcome {
        match ask {
            ControlAsk::Quarantined => self.quarantined().await,
            ControlAsk::Quarantine { prefix, hold_ms } => {
                self.act(OperatorAct::Quarantine { prefix, hold_ms }).await
            }
            ControlAsk::Release { prefix } => self.act(OperatorAct::Release { prefix }).await,
            ControlAsk::Drain { instance } if *instance != *self.instance => {
                Err(ControlError::Missing)
            }
            ControlAsk::Drain { .. } => self.begin_drain().await,
            ControlAsk::DrainStatus => Ok(ControlReply::Drain(self.drain_status())),
        }
    }

    async fn quarantined(&self) -> ControlOutcome {
        let rows = self.answer_to(OperatorQuestion::ListQuarantined).await?;
        let rows = rows.into_iter().map(|row| ApiQuarantinedPrefix {
            prefix: row.prefix.into(),
            by: row.by,
            held_ms: row.held_ms,
            left_ms: row.left_ms,
        });
        Ok(ControlReply::Quarantined(rows.collect()))
    }

    async fn act(&self, act: OperatorAct) -> ControlOutcome {
        let asked = self.answer_to(|answer| OperatorQuestion::Act { act, answer }).await;
        asked.map(|()| ControlReply::Done)
    }

    /// One that has begun already is begun.
    async fn begin_drain(&self) -> ControlOutcome {
        // Questions are taken until a drain begins.
        if self.questions.is_closed() {
            return Ok(ControlReply::Done);
        }
        self.act(OperatorAct::Drain).await
    }

    async fn answer_to<T>(
        &self,
        question: impl FnOnce(AnswerSender<T>) -> OperatorQuestion,
    ) -> Result<T, ControlError> {
        let (answer, answered) = oneshot::channel();
        match self.questions.try_send(question(answer)) {
            Ok(()) => (),
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => return Err(ControlError::Busy),
        }
        match answered.await {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(QuestionError::Unknown | QuestionError::Empty | QuestionError::Malformed)) => {
                Err(ControlError::Missing)
            }
            Ok(Err(QuestionError::Full)) => Err(ControlError::Full),
            Ok(Err(QuestionError::Busy)) => Err(ControlError::Busy),
            // A drain has begun before it was its turn.
            Ok(Err(QuestionError::Failed)) | Err(_) => Err(ControlError::Failed),
        }
    }

    fn drain_status(&self) -> ApiDrainStatus {
        let drain = *self.drain.borrow();
        let state = match *self.readiness.borrow() {
            Readiness::Starting => "starting",
            Readiness::Ready => "ready",
            Readiness::Draining => "draining",
        };
        let count = |&protocol: &Protocol| -> u64 {
            let cores = self.threads.cores.iter();
            cores.map(|cells| cells.gauge(Gauge::Connections(protocol))).sum()
        };
        let clients_count = Protocol::ALL.iter().map(count).sum();
        ApiDrainStatus { state, clients_count, drain }
    }
}
