//! What operators change of who is in and who is kept out, and of dead letters, by the ways that
//! backends have: changes of the list of blocks, and questions to cores. And what they ask of
//! others: which alerts fire.
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
use crate::api::{
    BlockAsks, BlockReplies, FORCED_CLOSE, Questions, ask_for_letters, ask_to_change_letters,
    reader_of,
};
use crate::base::UserHash;
use crate::blocks::BlockChange;
use crate::clock::unix_ms;
use crate::console::{
    AlertsAnswer, BlockedQuery, BlockedRows, DeadLetterRow, DeadLetterRows, DeadLettersWanted,
    NamedLetters, PAGE_ROWS,
};
use crate::room::{DeadLettersReply, Namespace, RoomReply};
use crate::session::NameKey;
use crate::shard::{ServerReply, UserOp, UserQuestion};
use crate::store::{ChangedDeadLetters, DeadLetterEntry};
use crate::wire::ErrorCode;
use crate::wire::api::{ApiDeadLetterFate, ApiDeadLettersChange};

/// For the answers of all cores. The admin listener ends an exchange after ten seconds.
const ANSWER_MS_MAX: u64 = 5_000;

/// The ways.
pub(super) struct OperatorActs {
    blocks: Sender<BlockRequest>,
    asks: Sender<ApiRequest>,
    /// Where it is asked what fires; none where nobody said so.
    alerts: Option<Arc<AlertSource>>,
    names: NameKey,
    /// The rules of channels.
    namespaces: Arc<[Namespace]>,
}

impl OperatorActs {
    pub fn new(
        blocks: Sender<BlockRequest>,
        asks: Sender<ApiRequest>,
        alerts: Option<AlertSource>,
        (names, namespaces): (NameKey, Arc<[Namespace]>),
    ) -> OperatorActs {
        OperatorActs { blocks, asks, alerts: alerts.map(Arc::new), names, namespaces }
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
        self.ask_cores(questions, answer, |_| Ok(()));
    }

    /// Tells some of the dead letters.
    pub fn tell_letters(&self, wanted: &DeadLettersWanted, answer: AnswerSender<DeadLetterRows>) {
        let names = self.names;
        let questions = ask_for_letters(names, wanted.reader(), wanted.after(), PAGE_ROWS);
        self.ask_cores(questions, answer, move |replies| match letters_told(replies)? {
            DeadLettersReply::Page(found, next) => {
                let rows = found.into_iter().map(|one| letter_row(names, &one)).collect();
                Ok(DeadLetterRows { rows, next })
            }
            DeadLettersReply::Changed(_) => Err(QuestionError::Failed),
        });
    }

    /// Lets dead letters of a conversation wait again, or forgets them.
    pub fn change_letters(
        &self,
        letters: &NamedLetters,
        fate: ApiDeadLetterFate,
        answer: AnswerSender<()>,
    ) {
        let NamedLetters { tenant, channel, offset } = letters;
        let change = ApiDeadLettersChange { channel: (&**channel).into(), offset: *offset, fate };
        let rules = (self.names, &*self.namespaces);
        let Ok(questions) = ask_to_change_letters(rules, unix_ms() / 1_000, tenant, &change) else {
            // Only conversations have some.
            let _ = answer.send(Err(QuestionError::Unknown)); // it may be gone
            return;
        };
        self.ask_cores(questions, answer, |replies| match letters_told(replies)? {
            DeadLettersReply::Changed(changed) => change_outcome(changed),
            DeadLettersReply::Page(..) => Err(QuestionError::Failed),
        });
    }

    /// Asks cores, and answers with what `read` makes of their replies.
    fn ask_cores<T: Send + 'static>(
        &self,
        questions: Questions,
        answer: AnswerSender<T>,
        read: impl FnOnce(Vec<ServerReply>) -> Result<T, QuestionError> + Send + 'static,
    ) {
        let (done, answered) = oneshot::channel();
        let request = ApiRequest { asker: UserHash::NOBODY, questions, done };
        if self.asks.try_send(request).is_err() {
            let _ = answer.send(Err(QuestionError::Busy)); // it may be gone
            return;
        }
        answer_in_time(answer, async move {
            match answered.await {
                Ok(Ok(replies)) => read(replies),
                Ok(Err(_)) => Err(QuestionError::Busy),
                Err(_) => Err(QuestionError::Failed),
            }
        });
    }
}

/// What a room says of dead letters.
fn letters_told(replies: Vec<ServerReply>) -> Result<DeadLettersReply, QuestionError> {
    match replies.into_iter().next() {
        Some(ServerReply::Room(RoomReply::DeadLetters(told))) => Ok(told),
        // Nothing is kept here.
        Some(ServerReply::Room(RoomReply::Rejected(ErrorCode::NotAvailable))) => {
            Err(QuestionError::Unknown)
        }
        Some(ServerReply::Room(RoomReply::Rejected(ErrorCode::TooManyRequests))) => {
            Err(QuestionError::Busy)
        }
        Some(_) | None => Err(QuestionError::Failed),
    }
}

/// What became of those that were named.
fn change_outcome(changed: ChangedDeadLetters) -> Result<(), QuestionError> {
    match (changed.counts.into_iter().sum::<u64>(), changed.empty_count) {
        (0, 0) => Err(QuestionError::Unknown),
        (0, _) => Err(QuestionError::Empty),
        _ => Ok(()),
    }
}

fn letter_row(names: NameKey, one: &DeadLetterEntry) -> DeadLetterRow {
    DeadLetterRow {
        tenant: (&*one.tenant).into(),
        channel: (&*one.channel).into(),
        offset: one.place.offset,
        user: reader_of(names, one).into(),
        cause: one.cause.word(),
        at_unix_ms: one.at_unix_ms,
        tries_count: one.tries_count,
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
