//! Questions of `/debug` and of the console that only the control thread can answer, and how a
//! page waits for its answer.
//!
//! Deliberately absent: how cores are asked (`server`).

use std::net::SocketAddr;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;

use crate::console::{
    AlertsAnswer, AuditOutcome, BlockedQuery, BlockedRows, DeadLetterRows, DeadLettersWanted,
    LargestRooms, OperatorAct,
};

/// Questions that wait for the control thread.
pub const QUESTIONS_MAX: usize = 8;

/// Connections of each core in one answer.
pub const CONNS_MAX: usize = 100;

/// What makes a connection bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// It is old.
    Age,
    /// Much waits for it.
    Pending,
    /// It has much under way.
    Tasks,
}

/// Where an answer goes. Whoever asked may be gone.
pub type AnswerSender<T> = oneshot::Sender<Result<T, QuestionError>>;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionError {
    /// Another question is under way.
    Busy,
    /// There is no room for one more.
    Full,
    /// There is no such thing.
    Unknown,
    /// What it is about is there, and nothing of what it said is kept.
    Empty,
    /// It cannot be understood.
    Malformed,
    /// It could not be done, or nobody knows.
    Failed,
}

/// What an operator wants, and only the control thread can give.
#[derive(Debug)]
pub enum OperatorQuestion {
    /// The worst connections of each core.
    Conns {
        /// What makes a connection one of the worst.
        sort: Sort,
        /// Connections of each core.
        count: usize,
        /// Where the answer goes.
        answer: AnswerSender<ConnectionsAnswer>,
    },
    /// The largest rooms of all cores.
    LargestRooms(AnswerSender<LargestRooms>),
    /// Which kinds of clients are in quarantine.
    ListQuarantined(AnswerSender<Vec<BlockedPrefixRow>>),
    /// Blocks somebody.
    BlockPrefix {
        /// The prefix, as it was written.
        prefix: String,
        /// For how long; the configured time for none.
        hold_ms: Option<u64>,
        /// Where the answer goes.
        answer: AnswerSender<()>,
    },
    /// Lets somebody in again.
    UnblockPrefix {
        /// The prefix, as it was written.
        prefix: String,
        /// Where the answer goes.
        answer: AnswerSender<()>,
    },
    /// Some of who is kept out.
    Blocked {
        /// Which.
        query: BlockedQuery,
        /// Where the answer goes.
        answer: AnswerSender<BlockedRows>,
    },
    /// Some of the dead letters.
    DeadLetters {
        /// Which.
        wanted: DeadLettersWanted,
        /// Where the answer goes.
        answer: AnswerSender<DeadLetterRows>,
    },
    /// What fires now.
    FiringAlerts(AnswerSender<AlertsAnswer>),
    /// Does what an operator wants.
    Act {
        /// What that is.
        act: OperatorAct,
        /// Where the answer goes.
        answer: AnswerSender<()>,
    },
    /// Keeps a core from its work, for a demonstration.
    #[cfg(feature = "faults")]
    BlockCore {
        /// The core.
        core: u16,
        /// How long it stands still.
        block_ms: u64,
        /// Where the answer goes.
        answer: AnswerSender<()>,
    },
}

/// Worst first, over all cores that answered.
#[derive(Clone, Debug, Default)]
pub struct ConnectionsAnswer {
    /// The connections.
    pub conns: Vec<ConnectionRow>,
    /// Cores that did not answer in time.
    pub silent: Vec<u16>,
    /// Connections on the cores that answered.
    pub connections: u64,
}

/// One connection, as an operator sees it.
#[derive(Clone, Debug)]
pub struct ConnectionRow {
    /// Its core.
    pub core: u16,
    /// What SDKs call it; none before it is connected.
    pub client: Option<String>,
    /// Who it is; empty for nobody.
    pub user: String,
    /// The tenant that the names are of; empty for the only one.
    pub tenant: String,
    /// Since the upgrade.
    pub age_ms: u64,
    /// The encoding of its messages.
    pub encoding: &'static str,
    /// What kind of program it is.
    pub user_agent: &'static str,
    /// Channels it is in.
    pub channels_count: usize,
    /// What waits for it or is on its way to it.
    pub outbox_bytes: u64,
    /// Sends that the kernel has not finished.
    pub sends_in_flight: u32,
    /// All that has to come back for it.
    pub tasks: u32,
    /// The other end of its socket; none when it is gone.
    pub peer: Option<SocketAddr>,
}

/// A prefix that is blocked.
#[derive(Clone, Debug)]
pub struct BlockedPrefixRow {
    /// The prefix.
    pub prefix: String,
    /// For how long still.
    pub left_ms: u64,
    /// How long it has been so.
    pub held_ms: u64,
    /// `server` or `operator`.
    pub by: &'static str,
}

/// Asks the control thread, and waits for what it says.
pub(super) async fn ask<T>(
    questions: &mpsc::Sender<OperatorQuestion>,
    question: impl FnOnce(AnswerSender<T>) -> OperatorQuestion,
) -> Result<T, Response> {
    let draining = || (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    let (answer, answered) = oneshot::channel();
    match questions.try_send(question(answer)) {
        Ok(()) => (),
        Err(TrySendError::Full(_)) => return Err(refusal(QuestionError::Busy)),
        Err(TrySendError::Closed(_)) => return Err(draining()),
    }
    match answered.await {
        Ok(answer) => answer.map_err(refusal),
        Err(_) => Err(draining()),
    }
}

/// What is written down of an act that was asked for.
pub(super) fn outcome_of(answered: &Result<(), Response>) -> AuditOutcome {
    match answered.as_ref().map_err(Response::status) {
        Ok(()) => AuditOutcome::Done,
        Err(StatusCode::TOO_MANY_REQUESTS) => AuditOutcome::Failed("busy"),
        Err(StatusCode::NOT_FOUND) => AuditOutcome::Refused("unknown"),
        Err(StatusCode::CONFLICT) => AuditOutcome::Refused("full"),
        Err(StatusCode::GONE) => AuditOutcome::Refused("empty"),
        Err(status) if status.is_server_error() => AuditOutcome::Failed("unavailable"),
        Err(_) => AuditOutcome::Refused("malformed"),
    }
}

fn refusal(refused: QuestionError) -> Response {
    let (status, sentence) = match refused {
        QuestionError::Busy => {
            (StatusCode::TOO_MANY_REQUESTS, "another question is under way; ask again\n")
        }
        QuestionError::Full => (StatusCode::CONFLICT, "as many are blocked as can be\n"),
        QuestionError::Unknown => (StatusCode::NOT_FOUND, "there is none of that name\n"),
        QuestionError::Empty => {
            (StatusCode::GONE, "what it said is not kept any more: it can only be dropped\n")
        }
        QuestionError::Failed => {
            (StatusCode::INTERNAL_SERVER_ERROR, "it could not be done; the log says why\n")
        }
        QuestionError::Malformed => (
            StatusCode::BAD_REQUEST,
            "a prefix is tenant~user~class, such as GET /debug/quarantine shows them\n",
        ),
    };
    (status, sentence).into_response()
}
