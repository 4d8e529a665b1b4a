//! The questions that one request leads to.
//!
//! Invariants: a question's index in the list is where its answer stands in the list of answers;
//! a request leads to a bounded number of questions.
//!
//! Deliberately absent: which call asks what (`plan`), and how questions travel.

use std::mem;
use std::sync::Arc;

use crate::base::RoomId;
use crate::base::limits::{API_READ_QUESTIONS, API_REQUEST_QUESTIONS_MAX, API_USER_QUESTIONS};
use crate::blocks::{BlockChange, BlockPage, BlockStorage, BlockTarget, BlockTerms};
use crate::room::RoomOp;
use crate::shard::{BlocksUpdate, ServerAsk, ServerOp, UserOp, UserQuestion};
use crate::wire::ErrorCode;
use crate::wire::api::{ApiDrainStatus, ApiQuarantinedPrefix};

/// A question to a room, or to the connections of a user.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked, and of whom.
    pub ask: ServerAsk,
    /// As how many questions it counts.
    pub cost: usize,
}

/// What a request asks of the list of who is kept out.
#[derive(Debug, Default)]
pub struct BlockAsks {
    /// Changes, in order.
    pub changes: Vec<BlockChange>,
    /// Pages, as of behind the changes.
    pub pages: Vec<BlockPage>,
}

/// The answers to it.
#[derive(Clone, Debug, Default)]
pub struct BlockReplies {
    /// What became of each change.
    pub changes: Vec<Result<BlockStorage, ErrorCode>>,
    /// The pages.
    pub pages: Vec<Vec<(BlockTarget, BlockTerms)>>,
}

/// What a request asks of the control thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAsk {
    /// Which kinds of clients are kept out.
    Quarantined,
    /// To keep a kind of clients out.
    Quarantine {
        /// Which.
        prefix: Box<str>,
        /// For so long; the configured time for none.
        hold_ms: Option<u64>,
    },
    /// To let it in again.
    Release {
        /// Which.
        prefix: Box<str>,
    },
    /// To let all clients go, and to end.
    Drain {
        /// The server that is meant.
        instance: Box<str>,
    },
    /// How far that is.
    DrainStatus,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlReply {
    /// It is done.
    Done,
    /// These kinds of clients are kept out.
    Quarantined(Vec<ApiQuarantinedPrefix>),
    /// So far it is.
    Drain(ApiDrainStatus),
}

/// Why it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlError {
    /// There is none of that name.
    Missing,
    /// There is no room for one more.
    Full,
    /// It is asked too much, or takes no questions any more: nothing was done.
    Busy,
    /// It could not, or nobody knows.
    Failed,
}

/// Either.
pub type ControlOutcome = Result<ControlReply, ControlError>;

/// The questions of one request, which have a bound.
#[derive(Debug, Default)]
pub struct Questions {
    list: Vec<Question>,
    cost: usize,
    /// What the request changes of who is kept out, and what of it it wants to see. Calls have
    /// a bound.
    blocks: BlockAsks,
    /// What it asks of the control thread.
    control: Vec<ControlAsk>,
}

impl Questions {
    /// Whether there is none for cores.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// As how many questions they count.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// That all cores keep out who is blocked. It counts for nothing: whoever asks has a bound.
    pub fn ask_blocks(&mut self, update: BlocksUpdate) {
        self.list.push(Question { ask: ServerAsk::Blocks(Arc::new(update)), cost: 0 });
    }

    /// Takes what is asked of the list of who is kept out; `None` for nothing.
    pub fn take_block_asks(&mut self) -> Option<BlockAsks> {
        let asks = mem::take(&mut self.blocks);
        (!asks.changes.is_empty() || !asks.pages.is_empty()).then_some(asks)
    }

    /// One more change of that list; its index. Calls have a bound.
    pub(super) fn change_blocks(&mut self, change: BlockChange) -> usize {
        self.blocks.changes.push(change);
        self.blocks.changes.len() - 1
    }

    /// One more page of that list, if there is room; its index.
    pub(super) fn ask_page(&mut self, page: BlockPage) -> Result<usize, ErrorCode> {
        if API_REQUEST_QUESTIONS_MAX < self.cost + API_READ_QUESTIONS {
            return Err(ErrorCode::LimitExceeded);
        }
        self.cost += API_READ_QUESTIONS;
        self.blocks.pages.push(page);
        Ok(self.blocks.pages.len() - 1)
    }

    /// One more for the control thread, if there is room; its index.
    pub(super) fn ask_control(&mut self, ask: ControlAsk) -> Result<usize, ErrorCode> {
        if API_REQUEST_QUESTIONS_MAX < self.cost + API_READ_QUESTIONS {
            return Err(ErrorCode::LimitExceeded);
        }
        self.cost += API_READ_QUESTIONS;
        self.control.push(ask);
        Ok(self.control.len() - 1)
    }

    /// Takes what is asked of the control thread, in order.
    pub fn take_control_asks(&mut self) -> Vec<ControlAsk> {
        mem::take(&mut self.control)
    }

    /// All of them, in order.
    pub fn into_list(self) -> Vec<Question> {
        self.list
    }

    /// One more, if there is room; its index.
    pub fn ask(&mut self, room: RoomId, op: ServerOp) -> Result<usize, ErrorCode> {
        let is_short = matches!(op, ServerOp::Publish(_) | ServerOp::Room(RoomOp::PresenceStats));
        self.ask_for(ServerAsk::Room(room, op), if is_short { 1 } else { API_READ_QUESTIONS })
    }

    /// The same about the connections of a user.
    pub fn ask_user(&mut self, question: UserQuestion) -> Result<usize, ErrorCode> {
        let cost = match question.op {
            UserOp::List | UserOp::Page(_) => API_READ_QUESTIONS,
            UserOp::Close { .. }
            | UserOp::Subscribe { .. }
            | UserOp::Unsubscribe { .. }
            | UserOp::ExpireAt(_) => API_USER_QUESTIONS,
        };
        self.ask_for(ServerAsk::User(Arc::new(question)), cost)
    }

    /// One more that counts for so much, if there is room; its index.
    pub(super) fn ask_for(&mut self, ask: ServerAsk, cost: usize) -> Result<usize, ErrorCode> {
        if API_REQUEST_QUESTIONS_MAX < self.cost + cost {
            return Err(ErrorCode::LimitExceeded);
        }
        self.cost += cost;
        self.list.push(Question { ask, cost });
        Ok(self.list.len() - 1)
    }
}
