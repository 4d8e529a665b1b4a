//! What is kept of a secret that is random: its SHA-256. A hash that is made for passwords would
//! protect nothing more: there is nothing to guess.
//!
//! Invariant: how long it takes to compare two hashes tells nothing of them.
//!
//! Deliberately absent: whose secrets they are.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// A SHA-256 of a secret, which is shown and kept instead of the secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; HASH_BYTES]);

impl SecretHash {
    /// Of a secret.
    pub fn of(secret: &[u8]) -> SecretHash {
        let digest = digest::digest(&digest::SHA256, secret);
        SecretHash(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// From 64 hexadecimal letters; `None` for anything else.
    pub fn parse(text: &str) -> Option<SecretHash> {
        if text.len() != 2 * HASH_BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut hash = [0; HASH_BYTES];
        for (byte, at) in hash.iter_mut().zip((0..text.len()).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(SecretHash(hash))
    }

    /// Whether it is the same one, in constant time.
    pub fn is(&self, other: &SecretHash) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_letters() {
        // SHA-256 of "abc": FIPS 180-4, example of NIST.
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(SecretHash::parse(text), Some(SecretHash::of(b"abc")));
        assert_eq!(SecretHash::parse(&text.to_uppercase()), Some(SecretHash::of(b"abc")));
        assert_eq!(SecretHash::of(b"abc").to_string(), text);
        let (short, long) = (&text[1..], format!("{text}0"));
        for wrong in ["", short, &long, &text.replace('b', "g"), &text.replacen("ba", "é", 1)] {
            assert_eq!(SecretHash::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_hash_is_itself_and_no_other() {
        assert!(SecretHash::of(b"abc").is(&SecretHash::of(b"abc")));
        assert!(!SecretHash::of(b"abc").is(&SecretHash::of(b"abd")));
    }
}
