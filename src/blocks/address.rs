//! Addresses and ranges of them, as one writes them: `203.0.113.7`, `203.0.113.0/24`,
//! `2001:db8::/48`.
//!
//! Deliberately absent: who is at one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The shortest prefixes: a shorter one is rather a mistake, which would keep everybody out.
const V4_BITS_MIN: u8 = 8;
const V6_BITS_MIN: u8 = 16;

/// All addresses that begin with the same bits. An IPv4 address is never written as IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    /// The first address.
    first: IpAddr,
    /// How many bits all have in common.
    bits: u8,
}

impl AddressRange {
    /// Comes before all others.
    pub const FIRST: AddressRange =
        AddressRange { first: IpAddr::V4(Ipv4Addr::UNSPECIFIED), bits: 0 };

    /// From an address, or one with a slash and a number of bits behind it; `None` for anything
    /// else, for a range that does not begin with its first address, and for one that is too
    /// large.
    pub fn parse(text: &str) -> Option<AddressRange> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().ok()?;
        let (bits_min, bits_max) = match first {
            IpAddr::V4(_) => (V4_BITS_MIN, 32),
            IpAddr::V6(_) => (V6_BITS_MIN, 128),
        };
        let bits = match bits {
            None => bits_max,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
            Some(_) => return None,
        };
        let is_range = (bits_min..=bits_max).contains(&bits)
            && first.to_canonical() == first
            && AddressRange::of(first, bits).first == first;
        is_range.then_some(AddressRange { first, bits })
    }

    /// The range of so many bits that this address is in.
    pub fn of(address: IpAddr, bits: u8) -> AddressRange {
        let first = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        AddressRange { first, bits }
    }

    /// Its first address.
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// How many bits its addresses have in common.
    pub fn bits(self) -> u8 {
        self.bits
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_one = match self.first {
            IpAddr::V4(_) => self.bits == 32,
            IpAddr::V6(_) => self.bits == 128,
        };
        match is_one {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}/{}", self.first, self.bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_reads_as_it_is_written() {
        for text in ["203.0.113.7", "203.0.113.0/24", "10.0.0.0/8", "2001:db8::1", "2001:db8::/48"]
        {
            let range = AddressRange::parse(text).expect(text);
            assert_eq!(range.to_string(), text);
            assert_eq!(AddressRange::of(range.first(), range.bits()), range);
        }
        assert_eq!(AddressRange::parse("203.0.113.7/32"), AddressRange::parse("203.0.113.7"));
        assert_eq!(AddressRange::parse("2001:DB8:0::1/128"), AddressRange::parse("2001:db8::1"));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in [
            "",
            "a",
            "203.0.113",
            "203.0.113.7/24",
            "203.0.113.0/33",
            "203.0.113.0/",
            "0.0.0.0/0",
            "10.0.0.0/7",
            "::/0",
            "2001::/15",
            "2001:db8::1/64",
            "2001:db8::/129",
            "::ffff:10.0.0.1",
            "10.0.0.0/+8",
            "10.0.0.0/ 8",
            "10.0.0.0/8/8",
            "10.0.0.1:80",
            "[::1]",
            "10.0.0.0/256",
        ] {
            assert_eq!(AddressRange::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_is_in_the_range_of_its_first_bits() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let range = |text: &str| AddressRange::parse(text).unwrap();
        assert_eq!(AddressRange::of(at("203.0.113.255"), 24), range("203.0.113.0/24"));
        assert_eq!(AddressRange::of(at("203.0.114.0"), 23), range("203.0.114.0/23"));
        assert_eq!(AddressRange::of(at("2001:db8:0:ffff::1"), 48), range("2001:db8::/48"));
        assert_ne!(AddressRange::of(at("2001:db8:1::1"), 48), range("2001:db8::/48"));
        assert_eq!(AddressRange::of(at("10.1.2.3"), 0).first(), at("0.0.0.0"));
        assert_eq!(AddressRange::of(at("2001:db8::1"), 0).first(), at("::"));
    }
}
