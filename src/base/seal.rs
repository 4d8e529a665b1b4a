//! A keyed sum over what the server said, so that it knows its own words again when
//! somebody brings them back: SipHash-2-4 with 128 bits, which is a MAC for whoever
//! does not have the key.
//!
//! Deliberately absent: secrecy. What is sealed can be read.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

/// A key for one purpose. What is sealed for one is nothing for another.
#[derive(Clone, Copy)]
pub struct SealKey([u64; 2]);

/// What seals are for. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealPurpose {
    /// From where on a user may recover a stream that it may not read otherwise.
    OwnPosition,
    /// Since when a room was silent.
    SilentRoom,
}

impl SealKey {
    /// The key for a purpose, from the one that the store keeps: it is the same after a
    /// restart, and on all cores.
    pub fn derive(master: [u64; 2], purpose: SealPurpose) -> SealKey {
        let label = match purpose {
            SealPurpose::OwnPosition => "seal of an own position",
            SealPurpose::SilentRoom => "seal of a silent room",
        };
        let mut hasher = SipHasher24::new_with_keys(master[0], master[1]);
        // No name of a room is hashed with such a length before it.
        hasher.write_usize(usize::MAX - 1);
        hasher.write(label.as_bytes());
        let sum = hasher.finish128();
        SealKey([sum.h1, sum.h2])
    }

    /// The sum over these parts, in this order and with these ends.
    pub fn tag(&self, parts: &[&[u8]]) -> u128 {
        let mut hasher = SipHasher24::new_with_keys(self.0[0], self.0[1]);
        for part in parts {
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        hasher.finish128().as_u128()
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_of_its_key_its_purpose_and_each_part() {
        let own = SealKey::derive([1, 2], SealPurpose::OwnPosition);
        let parts: [&[u8]; 2] = [b"ab", b"c"];
        let tag = own.tag(&parts);
        assert_eq!(SealKey::derive([1, 2], SealPurpose::OwnPosition).tag(&parts), tag);
        assert_ne!(SealKey::derive([1, 3], SealPurpose::OwnPosition).tag(&parts), tag);
        assert_ne!(SealKey::derive([1, 2], SealPurpose::SilentRoom).tag(&parts), tag);
        for other in [&[&b"a"[..], b"bc"][..], &[b"abc"], &[b"ab", b"d"], &[b"ab", b"c", b""]] {
            assert_ne!(own.tag(other), tag);
        }
    }
}
