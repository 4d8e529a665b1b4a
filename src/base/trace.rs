//! Trace and span ids (W3C Trace Context), from a client's `traceparent`, a message's UUID, or
//! the server's own draws.
//!
//! Deliberately absent: spans with times, and where they go (`server::traces`).

use std::fmt;
use std::num::NonZeroU64;

use super::Csprng;

/// Which trace something belongs to (W3C Trace Context, 3.2.2.3); never 0.
///
/// Packed as `RoomId` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(Rust, packed(8))]
pub struct TraceId(u128);

/// A piece of a trace (3.2.2.4); never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(NonZeroU64);

/// What is said about the trace of one message, and kept with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The same at every step, and at every try.
    pub id: TraceId,
    /// What the server's own steps belong to: the client's, or the first of a trace
    /// that was made here.
    pub span: SpanId,
    /// Who began it.
    pub origin: Origin,
}

/// Who began a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client, which has a span of its own and may want the trace to be written down.
    Client {
        /// Whether it wants so.
        wishes: bool,
    },
    /// The server, for a message that came without one.
    Server,
}

/// Bytes of a `traceparent` of version 00.
pub const TRACEPARENT_BYTES: usize = 55;

/// Bytes of a UUID in its usual form.
const UUID_BYTES: usize = 36;

/// The flag that asks for the trace to be written down.
const SAMPLED: u8 = 1;

impl TraceId {
    /// An id, unless it is the one that means nothing.
    pub fn new(bits: u128) -> Option<TraceId> {
        (bits != 0).then_some(TraceId(bits))
    }

    /// Its 128 bits, as they go into a record.
    pub fn bits(self) -> u128 {
        self.0
    }

    /// What is evenly spread over all traces: the last seven bytes, which
    /// Trace Context wants to be random.
    pub fn chance(self) -> u64 {
        self.0 as u64 & ((1 << 56) - 1)
    }
}

impl SpanId {
    /// An id, unless it is the one that means nothing.
    pub fn new(bits: u64) -> Option<SpanId> {
        NonZeroU64::new(bits).map(SpanId)
    }

    /// A new one.
    pub fn made(ids: &mut Csprng) -> SpanId {
        SpanId::of(ids.draw())
    }

    /// Its 64 bits.
    pub fn bits(self) -> u64 {
        self.0.get()
    }

    fn of(drawn: u64) -> SpanId {
        SpanId(NonZeroU64::new(drawn).unwrap_or(NonZeroU64::MIN))
    }
}

impl Trace {
    /// The trace of a `traceparent`: `00-` trace id `-` parent id `-` flags, in
    /// lower-case hexadecimal; ids of zeros mean nothing (3.2.2).
    pub fn parse(traceparent: &str) -> Option<Trace> {
        let bytes: &[u8; TRACEPARENT_BYTES] = traceparent.as_bytes().try_into().ok()?;
        let dashes = [2, 35, 52].iter().all(|&at| bytes[at] == b'-');
        if !dashes || number(&bytes[..2])? != 0 {
            return None;
        }
        let id = TraceId::new(number(&bytes[3..35])?)?;
        let span = SpanId::new(number(&bytes[36..52])? as u64)?;
        let wishes = number(&bytes[53..])? as u8 & SAMPLED != 0;
        Some(Trace { id, span, origin: Origin::Client { wishes } })
    }

    /// A new one, for a message that came without.
    pub fn made(ids: &mut Csprng) -> Trace {
        Trace::of_server(TraceId(ids.draw_u128().max(1)))
    }

    /// That of a message whose id is a UUID in its usual form: the same 128 bits, so
    /// that who knows the message finds the trace, and nothing has to be kept.
    pub fn of_uuid(text: &str) -> Option<Trace> {
        let bytes: &[u8; UUID_BYTES] = text.as_bytes().try_into().ok()?;
        let mut digits = [0; 32];
        let mut places = digits.iter_mut();
        for (at, &byte) in bytes.iter().enumerate() {
            match at {
                8 | 13 | 18 | 23 if byte != b'-' => return None,
                8 | 13 | 18 | 23 => (),
                _ => *places.next()? = byte,
            }
        }
        Some(Trace::of_server(TraceId::new(number(&digits)?)?))
    }

    /// One that was made here, as it is known by its id: a record keeps no more.
    pub fn of_server(id: TraceId) -> Trace {
        // One message has it, so its first span needs no chance of its own.
        let folded = (id.0 >> 64) as u64 ^ (id.0 as u64).rotate_left(32);
        Trace { id, span: SpanId::of(folded), origin: Origin::Server }
    }

    /// The client's span, if there is one.
    pub fn parent(self) -> Option<SpanId> {
        match self.origin {
            Origin::Client { .. } => Some(self.span),
            Origin::Server => None,
        }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", { self.0 })
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Lower-case hexadecimal and nothing else.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_as_it_is_written() {
        let trace = Trace::parse(GIVEN).unwrap();
        assert_eq!(trace.id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace.span.to_string(), "b7ad6b7169203331");
        assert_eq!(trace.origin, Origin::Client { wishes: true });
        assert_eq!(trace.parent(), Some(trace.span));
        let wishes = |flags: &str| Trace::parse(&GIVEN.replace("-01", flags)).map(|it| it.origin);
        assert_eq!(wishes("-00"), Some(Origin::Client { wishes: false }));
        assert_eq!(wishes("-03"), Some(Origin::Client { wishes: true }), "others are no matter");
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        for bad in [
            "".to_owned(),
            GIVEN.replace("00-0a", "01-0a"),
            GIVEN.to_uppercase(),
            GIVEN.replace('-', "_"),
            format!("{GIVEN}-00"),
            GIVEN[..54].to_owned(),
            GIVEN.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            GIVEN.replace("b7ad6b7169203331", &"0".repeat(16)),
            GIVEN.replace("b7ad6b71692", "b7ad6b7169é"),
        ] {
            assert_eq!(Trace::parse(&bad), None, "{bad}");
        }
        for cut in 0..GIVEN.len() {
            assert_eq!(Trace::parse(&GIVEN[..cut]), None);
        }
    }

    #[test]
    fn a_message_with_a_uuid_has_its_trace() {
        let id = crate::base::ClientId::from_random(0xabc << 64 | 7);
        let trace = Trace::of_uuid(&id.to_string()).unwrap();
        assert_eq!(trace.id.bits(), { id.0 });
        assert_eq!(trace.origin, Origin::Server);
        let text = id.to_string();
        for bad in ["a-1", &text[1..], &text.replace('-', "_"), &text.replace('4', "é"), "é"] {
            assert_eq!(Trace::of_uuid(bad), None, "{bad}");
        }
        assert_eq!(Trace::of_uuid("00000000-0000-0000-0000-000000000000"), None);
    }

    #[test]
    fn a_trace_that_was_made_is_known_by_its_id() {
        let mut ids = Csprng::from_key([5; 16]);
        let made = Trace::made(&mut ids);
        assert_eq!(Trace::of_server(made.id), made);
        assert_eq!(made.parent(), None);
        assert_ne!(made, Trace::made(&mut ids));
        assert!(TraceId::new(0).is_none() && SpanId::new(0).is_none());
        assert_eq!(Trace::of_server(TraceId(1 << 64 | 1 << 32)).span.bits(), 1);
    }
}
