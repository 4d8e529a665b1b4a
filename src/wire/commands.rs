//! One frame of a peer as commands, whichever encoding it has.
//!
//! How many commands one frame may have is decided here, and what both encodings share of a
//! single one in `command_parts`.

use super::json_in::JsonCommands;
use super::protobuf_in::ProtobufCommands;
use super::types::{Command, CommandParseError, Encoding};
use crate::base::limits;

/// The commands of one WebSocket message. After an error it ends: what follows
/// a malformed command cannot be told apart from it.
///
/// A command with several requests counts as the one with the lowest field
/// number in the protocol's schema.
pub fn commands(encoding: Encoding, frame: &[u8]) -> Commands<'_> {
    let source = match encoding {
        Encoding::Json => match simdutf8::basic::from_utf8(frame) {
            Ok(text) => Source::Json(JsonCommands::new(text)),
            Err(_) => Source::NotText,
        },
        Encoding::Protobuf => Source::Protobuf(ProtobufCommands::new(frame)),
    };
    Commands { source, given: 0, is_over: false }
}

/// The same for what is left of a frame of which so many commands were given.
pub fn commands_behind(encoding: Encoding, rest: &[u8], given: usize) -> Commands<'_> {
    Commands { given, ..commands(encoding, rest) }
}

/// See [`commands`].
pub struct Commands<'a> {
    source: Source<'a>,
    /// Commands given so far.
    given: usize,
    is_over: bool,
}

enum Source<'a> {
    Json(JsonCommands<'a>),
    Protobuf(ProtobufCommands<'a>),
    /// A JSON frame that is not UTF-8.
    NotText,
}

impl Commands<'_> {
    /// Bytes of the frame that the commands given so far, and what separates them, take.
    pub fn read_bytes(&self) -> usize {
        match &self.source {
            Source::Json(source) => source.read_bytes(),
            Source::Protobuf(source) => source.read_bytes(),
            Source::NotText => 0,
        }
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, CommandParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = match &mut self.source {
            Source::Json(source) => source.next(),
            Source::Protobuf(source) => source.next(),
            Source::NotText => Some(Err(CommandParseError::Json)),
        };
        let next = match next {
            None if self.given == 0 => Some(Err(CommandParseError::Empty)),
            Some(Ok(_)) if self.given == limits::COMMANDS_PER_MESSAGE_MAX => {
                Some(Err(CommandParseError::Limit))
            }
            next => next,
        };
        self.given += 1;
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}
