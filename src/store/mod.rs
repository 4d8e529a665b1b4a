//! Messages that survive: the store's letters, its decisions, and its thread.
//!
//! Shards ask by `Request` and are told by `Reply`; `letter.rs` and `options.rs`
//! are values only, which rooms and shards speak, too.
//!
//! Deliberately absent: who is subscribed, what clients may do, sockets.
#![forbid(unsafe_code)]

mod letter;
mod options;

pub use letter::{
    Addressee, Append, Birth, Burial, Cause, Conversation, ConversationsPage, Due, Failure, Job,
    Mark, Marks, MarksPage, Open, Opened, Order, Outcome, PendingPage, Range, Reached, Reply,
    Request, Retraction, Round, Ticket, Try,
};
pub use options::{Durability, Options, Retention};
