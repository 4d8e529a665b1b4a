//! Why a part of a round did not succeed, in words that are safe to show.

use std::fmt;
use std::io;

use crate::ws::client::ClientHandshakeError;

/// Characters of what a server says that are told on.
const WORDS_CHARS_MAX: usize = 120;

/// Why a part did not succeed.
#[derive(Debug)]
pub enum ProbeError {
    /// No connection, or no TLS.
    Dial(io::Error),
    /// There is no token.
    Token(String),
    /// The answer was no upgrade.
    Upgrade(ClientHandshakeError),
    /// The connection ended without a word.
    Lost(io::Error),
    /// The server closed it.
    Closed {
        /// Why, in RFC 6455 or docs/PROTOCOL.md; 1005 for none.
        code: u16,
        /// In its words.
        reason: String,
    },
    /// A command was answered with an error.
    Refused {
        /// See docs/PROTOCOL.md.
        code: u32,
        /// In its words.
        message: String,
    },
    /// What came is not the protocol.
    Malformed,
    /// The round's time was over.
    Late,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Escaped: a server, or what stands in its place, may say anything.
        let short =
            |words: &str| format!("{:?}", words.chars().take(WORDS_CHARS_MAX).collect::<String>());
        match self {
            ProbeError::Dial(error) => write!(f, "no connection: {error}"),
            ProbeError::Token(why) => write!(f, "no token: {why}"),
            ProbeError::Upgrade(ClientHandshakeError::Status(status)) => {
                write!(f, "no upgrade: HTTP status {status}")
            }
            ProbeError::Upgrade(why) => write!(f, "no upgrade: {why:?}"),
            ProbeError::Lost(error) => write!(f, "the connection was lost: {error}"),
            ProbeError::Closed { code, reason } => {
                write!(f, "closed with {code} {}", short(reason))
            }
            ProbeError::Refused { code, message } => {
                write!(f, "refused with {code} {}", short(message))
            }
            ProbeError::Malformed => f.write_str("what came is not the protocol"),
            ProbeError::Late => f.write_str("it took too long"),
        }
    }
}
