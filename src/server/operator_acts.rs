//! What operators change of who is in and who is kept out, by the ways that backends have: changes
//! of the list of blocks, and questions to all cores. And what they ask of others: which alerts
//! fire.
//!
//! Invariant: the control thread waits for none of it, and whoever asked is answered in time, also
//! when a core hangs.
//!
//! Deliberately absent: who may do it (`console`), and quarantine, which diagnostics have.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio::time;

use super::alert_source::AlertSource;
use super::api_calls::ApiRequest;
use super::blocks::BlockRequest;
use crate::admin::{AnswerSender, QuestionError};
use crate::api::{BlockAsks, BlockReplies, FORCED_CLOSE, Questions};
use crate::base::UserHash;
use crate::blocks::BlockChange;
use crate::console::{AlertsAnswer, BlockedQuery, BlockedRows};
use crate::shard::{UserOp, UserQuestion};
use crate::wire::ErrorCode;

/// For the answers of all cores. The admin listener ends an exchange after ten seconds.
const ANSWER_MS_MAX: u64 = 5_000;

/// The ways.
pub(super) struct OperatorActs {
    blocks: Sender<BlockRequest>,
    asks: Sender<ApiRequest>,
    /// Where it is asked what fires; none where nobody said so.
    alerts: Option<Arc<AlertSource>>,
}

impl OperatorActs {
    pub fn new(
        blocks: Sender<BlockRequest>,
        asks: Sender<ApiRequest>,
        alerts: Option<AlertSource>,
    ) -> OperatorActs {
        OperatorActs { blocks, asks, alerts: alerts.map(Arc::new) }
    }

    /// Tells what fires.
    pub fn tell_alerts(&self, answer: AnswerSender<AlertsAnswer>) {
        let Some(alerts) = self.alerts.clone() else {
            let _ = answer.send(Ok(AlertsAnswer::Off)); // it may be gone
            return;
        };
        tokio::spawn(async move {
            let _ = answer.send(Ok(alerts.ask().await)); // it may be gone
        });
    }

    /// Tells some of who is kept out.
    pub fn tell_blocked(&self, query: &BlockedQuery, answer: AnswerSender<BlockedRows>) {
        let asks = BlockAsks { pages: vec![query.page().clone()], ..BlockAsks::default() };
        self.ask_blocks(asks, answer, |told| {
            told.pages.into_iter().next().map(BlockedRows).ok_or(QuestionError::Failed)
        });
    }

    /// Changes who is kept out.
    pub fn block(&self, change: BlockChange, answer: AnswerSender<()>) {
        let asks = BlockAsks { changes: vec![change], ..BlockAsks::default() };
        self.ask_blocks(asks, answer, |told| match told.changes.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err(ErrorCode::LimitExceeded)) => Err(QuestionError::Full),
            Some(Err(_)) | None => Err(QuestionError::Failed),
        });
    }

    /// Asks the list of who is kept out, and answers with what `read` makes of its reply.
    fn ask_blocks<T: Send + 'static>(
        &self,
        asks: BlockAsks,
        answer: AnswerSender<T>,
        read: impl FnOnce(BlockReplies) -> Result<T, QuestionError> + Send + 'static,
    ) {
        let (done, told) = oneshot::channel();
        if self.blocks.try_send(BlockRequest { asks, done }).is_err() {
            let _ = answer.send(Err(QuestionError::Busy)); // it may be gone
            return;
        }
        answer_in_time(answer, async move { told.await.map_or(Err(QuestionError::Failed), read) });
    }

    /// Closes all connections of a user, whose clients do not come back by themselves.
    pub fn disconnect(&self, tenant: Box<str>, user: Box<str>, answer: AnswerSender<()>) {
        let (code, reason) = FORCED_CLOSE;
        let op = UserOp::Close { code, reason: reason.into(), kept: [].into() };
        let mut questions = Questions::default();
        let question = UserQuestion { tenant, user, client: None, op };
        questions.ask_user(question).expect("a request may ask as much");
        let (done, answered) = oneshot::channel();
        let request = ApiRequest { asker: UserHash::NOBODY, questions, done };
        if self.asks.try_send(request).is_err() {
            let _ = answer.send(Err(QuestionError::Busy)); // it may be gone
            return;
        }
        answer_in_time(answer, async move {
            match answered.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) => Err(QuestionError::Busy),
                Err(_) => Err(QuestionError::Failed),
            }
        });
    }
}

/// Answers with what comes of it, or that nobody knows.
fn answer_in_time<T: Send + 'static>(
    answer: AnswerSender<T>,
    outcome: impl Future<Output = Result<T, QuestionError>> + Send + 'static,
) {
    tokio::spawn(async move {
        let in_time = time::timeout(Duration::from_millis(ANSWER_MS_MAX), outcome).await;
        let _ = answer.send(in_time.unwrap_or(Err(QuestionError::Failed))); // it may be gone
    });
}
