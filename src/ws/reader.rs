//! Reading frames: one connection's bytes in, whole messages out, wherever they were cut. What of a
//! text has come is checked to be UTF-8 before the rest has.
//!
//! Deliberately absent: sockets, time-outs, and how much all connections keep together.

use std::mem;

use simdutf8::compat;

use super::header::{self, FragmentPlace, Frame, FramePart, PartialMessage, Rules};
use super::incoming::{self, ControlKind, MessageKind};
use super::{FRAME_HEADER_BYTES_MAX, FrameError, Incoming, mask};

/// Received bytes, and how far they have been read. Payloads are unmasked where
/// they lie.
#[derive(Debug)]
pub struct ReadBuffer<'b> {
    rest: &'b mut [u8],
    small_frames_count: usize,
}

impl<'b> ReadBuffer<'b> {
    /// Nothing read yet.
    pub fn new(bytes: &'b mut [u8]) -> ReadBuffer<'b> {
        ReadBuffer { rest: bytes, small_frames_count: 0 }
    }

    /// Fragments so far that brought next to nothing of a message that is not whole yet:
    /// each costs a header's work, and none is handed out.
    pub fn small_frames_count(&self) -> usize {
        self.small_frames_count
    }

    /// What is still to be read, as it was received.
    pub fn into_rest(self) -> &'b mut [u8] {
        self.rest
    }

    /// Bytes that are still to be read.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// True when all was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, bytes: usize) -> &'b mut [u8] {
        let (taken, rest) = mem::take(&mut self.rest).split_at_mut(bytes);
        self.rest = rest;
        taken
    }
}

/// A fragment with less is a crumb. Whoever cuts messages into pieces makes larger ones.
const SMALL_FRAME_BYTES_MAX: usize = 128;

/// Turns one connection's bytes into messages, however they were cut.
///
/// Between messages it owns nothing and is a pointer wide. A frame that lies
/// whole in the input is handed out from there; only what is incomplete at the
/// end of the input is kept. So memory follows what a peer sent, not what its
/// headers announce, and stays within `kept_bytes_max`.
#[derive(Debug, Default)]
pub struct Reader {
    unfinished: Option<Box<Unfinished>>,
}

/// What one input left for the next.
#[derive(Debug, Default)]
struct Unfinished {
    /// The frame that the input ended in.
    cut: Cut,
    /// The kind of the message whose fragments come.
    message: Option<MessageKind>,
    /// Its bytes so far, unmasked.
    message_bytes: Vec<u8>,
    /// How many of them are known to be whole characters.
    checked_bytes: usize,
    /// A cut control frame's bytes so far, unmasked.
    control_bytes: Vec<u8>,
    /// What the last call handed out, to be given up at the next.
    handed_out: HandedOut,
}

/// Where in a frame the input ended.
#[derive(Debug, Default)]
enum Cut {
    /// Between two frames.
    #[default]
    Nowhere,
    /// In the header: its bytes so far.
    Header([u8; FRAME_HEADER_BYTES_MAX], usize),
    /// In the payload, of which so many bytes came.
    Payload(Frame, usize),
}

#[derive(Debug, Default)]
enum HandedOut {
    #[default]
    Nothing,
    Message,
    Control,
}

/// What was found by reading on to the end of a frame.
enum Found<'b> {
    /// The input ended before the frame did.
    Nothing,
    /// A fragment, and more of its message will come.
    Fragment,
    /// These lie in the input.
    Message(MessageKind, &'b [u8]),
    Control(ControlKind, &'b [u8]),
    /// These lie in `Unfinished`.
    KeptMessage(MessageKind),
    KeptControl(ControlKind),
}

impl Reader {
    /// Owns nothing yet.
    pub fn new() -> Reader {
        Reader::default()
    }

    /// The next message in `input`. To be called until it gives `None`: then the
    /// input is used up, and what the last message occupied is given back.
    ///
    /// After a fault, or a `Close`, the connection's bytes mean nothing more.
    pub fn next<'s, 'b: 's>(
        &'s mut self,
        input: &mut ReadBuffer<'b>,
        rules: Rules,
    ) -> Result<Option<Incoming<'s>>, FrameError> {
        self.give_up_handed_out();
        let found = loop {
            match self.read_frame(input, rules)? {
                Found::Fragment => {}
                found @ (Found::Nothing
                | Found::Message(..)
                | Found::Control(..)
                | Found::KeptMessage(_)
                | Found::KeptControl(_)) => break found,
            }
        };
        let kept = || self.unfinished.as_deref().expect("the frame just read was kept");
        let incoming = match found {
            Found::Nothing | Found::Fragment => return Ok(None),
            Found::Message(kind, payload) => incoming::message(kind, payload)?,
            Found::Control(signal, payload) => incoming::control(signal, payload)?,
            Found::KeptMessage(kind) => incoming::message(kind, &kept().message_bytes)?,
            Found::KeptControl(signal) => incoming::control(signal, &kept().control_bytes)?,
        };
        Ok(Some(incoming))
    }

    /// Bytes that wait for the rest of their message, with all that surrounds
    /// them. 0 between messages.
    pub fn kept_bytes(&self) -> usize {
        self.unfinished.as_ref().map_or(0, |kept| {
            size_of::<Unfinished>() + kept.message_bytes.capacity() + kept.control_bytes.capacity()
        })
    }

    /// What `kept_bytes` never passes.
    pub fn kept_bytes_max(rules: Rules) -> usize {
        size_of::<Unfinished>() + rules.message_bytes_max as usize + header::CONTROL_BYTES_MAX
    }

    fn give_up_handed_out(&mut self) {
        let Some(kept) = &mut self.unfinished else { return };
        match mem::take(&mut kept.handed_out) {
            HandedOut::Nothing => {}
            HandedOut::Message => kept.message = None,
            HandedOut::Control => kept.control_bytes = Vec::new(),
        }
        if kept.message.is_none() && matches!(kept.cut, Cut::Nowhere) {
            self.unfinished = None;
        }
    }

    fn read_frame<'b>(
        &mut self,
        input: &mut ReadBuffer<'b>,
        rules: Rules,
    ) -> Result<Found<'b>, FrameError> {
        let Some((frame, seen_bytes)) = self.read_header(input, rules)? else {
            return Ok(Found::Nothing);
        };
        let missing_bytes = frame.payload_bytes - seen_bytes;
        let payload = input.take(missing_bytes.min(input.len()));
        if let Some(mask) = frame.mask {
            mask::apply(payload, mask, seen_bytes);
        }
        let has_begun = self.unfinished.as_ref().is_some_and(|kept| kept.message.is_some());
        let is_whole = payload.len() == frame.payload_bytes;
        match frame.part {
            FramePart::Control(signal) if is_whole => return Ok(Found::Control(signal, payload)),
            FramePart::Data(kind, FragmentPlace::Last) if is_whole && !has_begun => {
                return Ok(Found::Message(kind, payload));
            }
            FramePart::Control(_) | FramePart::Data(..) => {}
        }

        let is_cut = payload.len() < missing_bytes;
        let kept = self.unfinished.get_or_insert_default();
        match frame.part {
            FramePart::Control(_) => {
                kept.control_bytes.reserve_exact(missing_bytes);
                kept.control_bytes.extend_from_slice(payload);
            }
            FramePart::Data(kind, place) => {
                let still_to_come_bytes_max = match place {
                    FragmentPlace::Last => missing_bytes,
                    FragmentPlace::NotLast => {
                        rules.message_bytes_max as usize - kept.message_bytes.len()
                    }
                };
                kept.append(kind, payload, still_to_come_bytes_max)?;
            }
        }
        if is_cut {
            kept.cut = Cut::Payload(frame, seen_bytes + payload.len());
            return Ok(Found::Nothing);
        }
        match frame.part {
            FramePart::Control(signal) => {
                kept.handed_out = HandedOut::Control;
                Ok(Found::KeptControl(signal))
            }
            FramePart::Data(_, FragmentPlace::NotLast) => {
                input.small_frames_count +=
                    usize::from(frame.payload_bytes < SMALL_FRAME_BYTES_MAX);
                Ok(Found::Fragment)
            }
            FramePart::Data(kind, FragmentPlace::Last) => {
                kept.handed_out = HandedOut::Message;
                Ok(Found::KeptMessage(kind))
            }
        }
    }

    /// The frame that the input stands in, and how much of its payload came
    /// with earlier inputs.
    fn read_header(
        &mut self,
        input: &mut ReadBuffer<'_>,
        rules: Rules,
    ) -> Result<Option<(Frame, usize)>, FrameError> {
        if input.is_empty() {
            return Ok(None);
        }
        let Some(kept) = &mut self.unfinished else {
            return match header::parse(input.rest, None, rules)? {
                Some((frame, header_bytes)) => {
                    input.take(header_bytes);
                    Ok(Some((frame, 0)))
                }
                None => {
                    self.unfinished.get_or_insert_default().keep_header([0; _], 0, input);
                    Ok(None)
                }
            };
        };
        let (mut bytes, len) = match mem::take(&mut kept.cut) {
            Cut::Payload(frame, seen_bytes) => return Ok(Some((frame, seen_bytes))),
            Cut::Header(bytes, len) => (bytes, len),
            Cut::Nowhere => ([0; _], 0),
        };
        let added = input.len().min(FRAME_HEADER_BYTES_MAX - len);
        bytes[len..len + added].copy_from_slice(&input.rest[..added]);
        let begun =
            kept.message.map(|kind| PartialMessage { kind, bytes: kept.message_bytes.len() });
        match header::parse(&bytes[..len + added], begun, rules)? {
            Some((frame, header_bytes)) => {
                input.take(header_bytes - len);
                Ok(Some((frame, 0)))
            }
            None => {
                kept.keep_header(bytes, len, input);
                Ok(None)
            }
        }
    }
}

impl Unfinished {
    /// Keeps all of `input` behind the `len` bytes of a header that came before.
    /// The header is still incomplete with it, so it fits.
    fn keep_header(
        &mut self,
        mut bytes: [u8; FRAME_HEADER_BYTES_MAX],
        len: usize,
        input: &mut ReadBuffer<'_>,
    ) {
        let part = input.take(input.len());
        bytes[len..len + part.len()].copy_from_slice(part);
        self.cut = Cut::Header(bytes, len + part.len());
    }

    /// Adds to the message. Text that cannot become UTF-8 any more is refused at
    /// once; no byte is looked at twice but those of a cut character.
    fn append(
        &mut self,
        kind: MessageKind,
        part: &[u8],
        room_bytes_max: usize,
    ) -> Result<(), FrameError> {
        self.message = Some(kind);
        let (len, capacity) = (self.message_bytes.len(), self.message_bytes.capacity());
        if capacity - len < part.len() {
            // Doubling, but never beyond what the message may become.
            let more = part.len().max(len.min(room_bytes_max));
            self.message_bytes.reserve_exact(more);
        }
        self.message_bytes.extend_from_slice(part);
        match kind {
            MessageKind::Binary => Ok(()),
            MessageKind::Text => {
                let checked = compat::from_utf8(&self.message_bytes[self.checked_bytes..]);
                self.checked_bytes += match checked {
                    Ok(text) => text.len(),
                    Err(error) if error.error_len().is_none() => error.valid_up_to(),
                    Err(_) => return Err(FrameError::TextNotUtf8),
                };
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
