//! From the whole payload of a message or a control frame to a valid value.
//!
//! Deliberately absent: fragments, masks, and what a message means.

use simdutf8::basic::from_utf8;

use super::{FrameError, close_code_is_valid};

/// One message, or one control frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole message of text.
    Text(&'a str),
    /// A whole message of bytes.
    Binary(&'a [u8]),
    /// To be answered with a pong of the same bytes.
    Ping(&'a [u8]),
    /// Answers a ping, or came unasked.
    Pong(&'a [u8]),
    /// The peer's part of the closing handshake: what follows it is to be
    /// thrown away. Code and reason, when it gave them.
    Close(Option<(u16, &'a str)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageKind {
    Text,
    Binary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ControlKind {
    Close,
    Ping,
    Pong,
}

pub(super) fn message(kind: MessageKind, payload: &[u8]) -> Result<Incoming<'_>, FrameError> {
    match kind {
        MessageKind::Text => {
            from_utf8(payload).map(Incoming::Text).map_err(|_| FrameError::TextNotUtf8)
        }
        MessageKind::Binary => Ok(Incoming::Binary(payload)),
    }
}

pub(super) fn control(signal: ControlKind, payload: &[u8]) -> Result<Incoming<'_>, FrameError> {
    match signal {
        ControlKind::Close => close(payload).map(Incoming::Close),
        ControlKind::Ping => Ok(Incoming::Ping(payload)),
        ControlKind::Pong => Ok(Incoming::Pong(payload)),
    }
}

fn close(payload: &[u8]) -> Result<Option<(u16, &str)>, FrameError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (code, reason) = payload.split_first_chunk().ok_or(FrameError::CloseTooShort)?;
    let code = u16::from_be_bytes(*code);
    if !close_code_is_valid(code) {
        return Err(FrameError::CloseCodeInvalid);
    }
    let reason = from_utf8(reason).map_err(|_| FrameError::ReasonNotUtf8)?;
    Ok(Some((code, reason)))
}
