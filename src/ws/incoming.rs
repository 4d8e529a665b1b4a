//! From the whole payload of a message or a control frame to a valid value.
//!
//! Deliberately absent: fragments, masks, and what a message means.

use simdutf8::basic::from_utf8;

use super::{Fault, close_code_is_valid};

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
pub(super) enum Kind {
    Text,
    Binary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Close,
    Ping,
    Pong,
}

pub(super) fn message(kind: Kind, payload: &[u8]) -> Result<Incoming<'_>, Fault> {
    match kind {
        Kind::Text => from_utf8(payload).map(Incoming::Text).map_err(|_| Fault::TextNotUtf8),
        Kind::Binary => Ok(Incoming::Binary(payload)),
    }
}

pub(super) fn control(signal: Signal, payload: &[u8]) -> Result<Incoming<'_>, Fault> {
    match signal {
        Signal::Close => close(payload).map(Incoming::Close),
        Signal::Ping => Ok(Incoming::Ping(payload)),
        Signal::Pong => Ok(Incoming::Pong(payload)),
    }
}

fn close(payload: &[u8]) -> Result<Option<(u16, &str)>, Fault> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (code, reason) = payload.split_first_chunk().ok_or(Fault::CloseTooShort)?;
    let code = u16::from_be_bytes(*code);
    if !close_code_is_valid(code) {
        return Err(Fault::CloseCodeInvalid);
    }
    let reason = from_utf8(reason).map_err(|_| Fault::ReasonNotUtf8)?;
    Ok(Some((code, reason)))
}
