//! The server API: bodies of HTTP requests to calls, answers to bodies. Methods, fields and
//! errors are those of Centrifugo's server API (its documentation, "Server API walkthrough"),
//! so that its clients work unchanged.
//!
//! Deliberately absent: HTTP, keys, and what a call means.

mod answer_schemas;
mod answers;
mod block_requests;
mod chat_requests;
mod control_requests;
mod fields;
mod method;
mod operator_answers;
mod operator_requests;
mod operator_schemas;
mod request_schemas;
mod requests;
mod schema_parts;
mod state_request;
#[cfg(test)]
mod tests;
mod user_requests;

pub use answer_schemas::{answer_schema, error_schema, named_schemas, state_answer_schema};
pub use answers::{ApiAnswer, ApiBlock, ApiChannelAnswer, ApiConnection, ApiNode, write_answer};
pub use block_requests::{ApiBlockCall, ApiBlockKind, ApiBlockOp, ApiBlockTarget, ApiBlocksPage};
pub use chat_requests::{ApiChatCall, ApiChatData};
pub use control_requests::ApiControlCall;
pub use fields::ApiField;
pub use method::{ApiChatMethod, ApiMethod, ApiOperatorMethod};
pub use operator_answers::{
    ApiDeadLetter, ApiDrainStatus, ApiKnownConnection, ApiOperatorAnswer, ApiQuarantinedPrefix,
    ApiRankedRoom,
};
pub use operator_requests::{
    ApiConnectionsPage, ApiDeadLetterFate, ApiDeadLettersChange, ApiDeadLettersPage,
    ApiOperatorCall, ApiRoomMeasure, ApiRoomsPage,
};
pub use request_schemas::{request_schema, state_request_schema};
pub use requests::{ApiCall, ApiMessage, ApiRequestError, parse_call};
pub use state_request::{ApiStateCall, ApiStateKind, parse_state_call};
pub use user_requests::{ApiClose, ApiUserCall, ApiUserOp};
