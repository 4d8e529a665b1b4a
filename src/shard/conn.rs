use crate::base::{ConnId, Soon, Tick};
use crate::session::{Fault, Outbox, Session};
use crate::wire::Encoding;
use crate::ws::Reader;

/// One connection, from its first byte to its last.
#[derive(Debug)]
pub struct Conn {
    /// Which tenant of its slot this is.
    pub generation: u32,
    /// How it speaks and since when, once upgraded.
    pub birth: Birth,
    /// Its place on the turn's list of those with something to send.
    pub listed: Listed,
    /// When its earliest timer fires.
    pub wake_at: Soon,
    /// What waits for its socket.
    pub outbox: Outbox,
    /// What it may do.
    pub stage: Stage,
}

/// How a connection speaks, and when it was upgraded, in four bytes: every idle
/// connection has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth(u32);

impl Birth {
    /// Ages are told to this: 2^31 of them are eight years.
    const GRANULE_MS: u64 = 128;

    /// Upgraded now, and speaks so.
    pub fn new(encoding: Encoding, now: Tick) -> Birth {
        Birth(Birth::granule(now) << 1 | u32::from(encoding == Encoding::Protobuf))
    }

    /// How it speaks.
    pub fn encoding(self) -> Encoding {
        if self.0 & 1 == 0 { Encoding::Json } else { Encoding::Protobuf }
    }

    /// How long ago it was upgraded, to a granule.
    pub fn age_ms(self, now: Tick) -> u64 {
        let granules = Birth::granule(now).wrapping_sub(self.0 >> 1) & (u32::MAX >> 1);
        u64::from(granules) * Birth::GRANULE_MS
    }

    fn granule(now: Tick) -> u32 {
        (now.0 / Birth::GRANULE_MS) as u32 & (u32::MAX >> 1)
    }
}

/// A place on the turn's list; `NOWHERE` when nothing is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed(pub u32);

impl Listed {
    /// Not on the list.
    pub const NOWHERE: Listed = Listed(u32::MAX);
}

/// Each stage holds exactly what it may touch.
#[derive(Debug)]
pub enum Stage {
    /// HTTP until the head is whole.
    Upgrading(Box<Upgrading>),
    /// A session talks.
    Open(Reader, Session),
    /// We said goodbye, or are about to; only the peer's goodbye matters.
    Closing(Box<Closing>),
    /// The plane was asked to end it; `Gone` will follow.
    Shut,
}

/// A head that is not whole yet.
#[derive(Debug)]
pub struct Upgrading {
    /// When the socket came.
    pub since: Tick,
    /// What came of the head, when it was cut; usually nothing.
    pub head: Vec<u8>,
}

/// A connection on its way out.
#[derive(Debug)]
pub struct Closing {
    /// For the peer's close frame.
    pub reader: Reader,
    /// When patience ends.
    pub deadline: Tick,
    /// What is waited for, beyond the last byte having left.
    pub goodbye: Goodbye,
}

/// Whose turn it is in the closing handshake (RFC 6455, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// The peer has yet to say it.
    Awaited,
    /// Nothing more will come that matters; what waits still leaves.
    Said,
    /// Patience is over; what has not left will not.
    Overdue,
}

impl Conn {
    /// A socket that just came.
    pub fn accepted(id: ConnId, now: Tick) -> Conn {
        Conn {
            generation: id.generation,
            birth: Birth::new(Encoding::Json, now),
            listed: Listed::NOWHERE,
            wake_at: Soon::NEVER,
            outbox: Outbox::default(),
            stage: Stage::Upgrading(Box::new(Upgrading { since: now, head: Vec::new() })),
        }
    }
}

/// What is waited for after a session ended this way; `None` when the socket is
/// gone already.
pub fn goodbye(fault: Fault) -> Option<Goodbye> {
    match fault {
        Fault::Broken => None,
        Fault::PeerClosed(_) | Fault::PeerEnded => Some(Goodbye::Said),
        Fault::Frame(_)
        | Fault::WrongOpcode
        | Fault::BadRequest
        | Fault::InvalidToken
        | Fault::Refused(_)
        | Fault::Stale
        | Fault::Expired
        | Fault::Slow
        | Fault::InsufficientState
        | Fault::NoPong
        | Fault::Replaced
        | Fault::Quarantined
        | Fault::TooManyRequests
        | Fault::TooManyErrors
        | Fault::Shutdown { .. }
        | Fault::Panicked => Some(Goodbye::Awaited),
    }
}

/// Idle connections are what a server of this kind is full of: a field more in
/// here is megabytes there.
const _: () = assert!(size_of::<Option<Conn>>() <= 128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bytes_tell_the_encoding_and_the_age() {
        for encoding in Encoding::ALL {
            for since in [0, 127, 128, 1 << 30, (1 << 38) - 128, (1 << 38) + 5] {
                let birth = Birth::new(encoding, Tick(since));
                assert_eq!(birth.encoding(), encoding);
                for age_ms in [0, 1_000, 86_400_000, 1 << 37] {
                    let told = birth.age_ms(Tick(since + age_ms));
                    assert!(told.abs_diff(age_ms) < Birth::GRANULE_MS, "{told} and {age_ms}");
                }
            }
        }
    }
}
