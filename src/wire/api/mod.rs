//! The server API: bodies of HTTP requests to calls, answers to bodies. Methods, fields and
//! errors are those of Centrifugo's server API (its documentation, "Server API walkthrough"),
//! so that its clients work unchanged.
//!
//! Deliberately absent: HTTP, keys, and what a call means.

mod answers;
mod block_requests;
mod fields;
mod method;
mod requests;
#[cfg(test)]
mod tests;
mod user_requests;

pub use answers::{ApiAnswer, ApiChannelAnswer, ApiConnection, ApiNode, write_answer};
pub use block_requests::{ApiBlockCall, ApiBlockOp, ApiBlockTarget};
pub use fields::ApiField;
pub use method::ApiMethod;
pub use requests::{ApiCall, ApiMessage, ApiRequestError, parse_call};
pub use user_requests::{ApiClose, ApiUserCall, ApiUserOp};
