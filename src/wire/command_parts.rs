//! What both encodings share of a command: limits on names, and what a command without a
//! request means.
//!
//! Deliberately absent: how a command is written (`json_in`, `protobuf_in`).

use std::borrow::Cow;

use super::types::{Command, CommandParseError, Request};
use crate::base::limits;

/// A command from its parts: no request is a pong, or one that we do not know.
pub(super) fn command(id: u32, request: Option<Request<'_>>) -> Command<'_> {
    let none = if id == 0 { Request::Pong } else { Request::Unknown };
    Command { id, request: request.unwrap_or(none) }
}

/// A name of a channel or method within its limit. Whether it is a good name,
/// and whether it may be empty, is the session's to say.
pub(super) fn name(text: Cow<'_, str>) -> Result<Cow<'_, str>, CommandParseError> {
    if text.len() > limits::NAME_BYTES_MAX { Err(CommandParseError::Limit) } else { Ok(text) }
}
