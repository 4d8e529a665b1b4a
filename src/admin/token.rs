//! The admin token, and a limit on what is said to those who guess. The right one is let in at any
//! time; what makes guessing useless is its length.
//!
//! Deliberately absent: where the token is written, and comparing it, which is done as for all
//! operators (`console`).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::base::MonotonicMs;
use crate::console::Operator;

/// The fewest bytes of a token: 16 of any alphabet are beyond guessing.
pub const TOKEN_BYTES_MIN: usize = 16;

/// Wrong tokens of one address within `TRIES_MS`.
pub const TRIES_MAX: u32 = 10;

/// After so long an address may try again.
pub const TRIES_MS: u64 = 60_000;

/// Addresses whose wrong tokens are remembered.
const ADDRESSES_MAX: usize = 256;

/// What a request must show. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(Box<[u8]>);

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFormatError {
    /// It could be guessed.
    Short(usize),
    /// It would not get through a header.
    Unprintable,
}

impl fmt::Display for TokenFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenFormatError::Short(bytes) => {
                write!(f, "the token has {bytes} bytes; it must have at least {TOKEN_BYTES_MIN}")
            }
            TokenFormatError::Unprintable => {
                f.write_str("the token may have visible characters of ASCII only")
            }
        }
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl AdminToken {
    /// A token, if it can be one.
    pub fn new(text: &[u8]) -> Result<AdminToken, TokenFormatError> {
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(TokenFormatError::Unprintable);
        }
        if text.len() < TOKEN_BYTES_MIN {
            return Err(TokenFormatError::Short(text.len()));
        }
        Ok(AdminToken(text.into()))
    }

    /// It, for a request that shows it.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.0).expect("visible characters of ASCII")
    }

    /// The operator who has it.
    pub fn operator(&self) -> Operator {
        Operator::admin(&self.0)
    }
}

/// Wrong tokens lately, by address; of IPv6 by network of 64 bits, since whoever has one of
/// its addresses has them all (RFC 6177).
#[derive(Debug, Default)]
pub struct FailedAttempts(Vec<Tried>);

#[derive(Debug)]
struct Tried {
    from: IpAddr,
    since: MonotonicMs,
    wrong: u32,
}

impl FailedAttempts {
    /// How many ms an address must wait until it is told again that a token is wrong; 0
    /// for not at all.
    pub fn wait_ms(&self, now: MonotonicMs, from: IpAddr) -> u64 {
        let from = counted_as(from);
        let tried = self.0.iter().find(|tried| tried.from == from && TRIES_MAX <= tried.wrong);
        tried.map_or(0, |tried| TRIES_MS.saturating_sub(now.ms_since(tried.since)))
    }

    /// An address gave a wrong token.
    pub fn count(&mut self, now: MonotonicMs, from: IpAddr) {
        let from = counted_as(from);
        self.0.retain(|tried| now.ms_since(tried.since) < TRIES_MS);
        if let Some(tried) = self.0.iter_mut().find(|tried| tried.from == from) {
            tried.wrong += 1;
            return;
        }
        if self.0.len() == ADDRESSES_MAX {
            let oldest = (0..ADDRESSES_MAX).min_by_key(|&at| self.0[at].since);
            self.0.swap_remove(oldest.expect("there are some"));
        }
        self.0.push(Tried { from, since: now, wrong: 1 });
    }
}

/// The address by which one is counted: of IPv6 the network, and IPv4 is itself however it
/// is written.
fn counted_as(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_token_is_never_printed() {
        let token = AdminToken::new(b"0123456789abcdef").unwrap();
        assert!(!format!("{token:?}").contains("0123"));
        assert_eq!(token.operator(), Operator::admin(b"0123456789abcdef"));
    }

    #[test]
    fn what_can_be_guessed_or_not_be_sent_is_no_token() {
        assert_eq!(AdminToken::new(b"0123456789abcde"), Err(TokenFormatError::Short(15)));
        assert_eq!(AdminToken::new(b""), Err(TokenFormatError::Short(0)));
        for wrong in ["0123456789 abcdef", "0123456789abcdef\n", "0123456789abcdefé"] {
            assert_eq!(AdminToken::new(wrong.as_bytes()), Err(TokenFormatError::Unprintable));
        }
    }

    #[test]
    fn who_guesses_waits_and_nobody_else_does() {
        let address = |last: u8| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        let mut tries = FailedAttempts::default();
        for at in 0..TRIES_MAX {
            assert_eq!(tries.wait_ms(MonotonicMs(at.into()), address(1)), 0);
            tries.count(MonotonicMs(at.into()), address(1));
        }
        assert_eq!(tries.wait_ms(MonotonicMs(1_000), address(1)), TRIES_MS - 1_000);
        assert_eq!(tries.wait_ms(MonotonicMs(1_000), address(2)), 0);
        assert_eq!(tries.wait_ms(MonotonicMs(TRIES_MS), address(1)), 0);
        tries.count(MonotonicMs(TRIES_MS), address(1));
        assert_eq!(tries.wait_ms(MonotonicMs(TRIES_MS), address(1)), 0, "it begins anew");
    }

    #[test]
    fn a_network_of_ipv6_is_one_who_guesses() {
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let mut tries = FailedAttempts::default();
        for at in 0..TRIES_MAX {
            tries.count(MonotonicMs(0), address(&format!("2001:db8:1:2::{at:x}")));
            tries.count(MonotonicMs(0), address("::ffff:192.0.2.1"));
        }
        for (text, waits) in [
            ("2001:db8:1:2:ffff::1", true),
            ("2001:db8:1:3::1", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
        ] {
            assert_eq!(0 < tries.wait_ms(MonotonicMs(1), address(text)), waits, "{text}");
        }
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let mut tries = FailedAttempts::default();
        for at in 0..2 * ADDRESSES_MAX as u64 {
            tries.count(MonotonicMs(at), IpAddr::V4(Ipv4Addr::from_bits(at as u32)));
        }
        assert_eq!(tries.0.len(), ADDRESSES_MAX);
    }
}
