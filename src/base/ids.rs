//! Identities that every layer uses: shards, connections, rooms, users, and client sessions.
//!
//! Deliberately absent: how names are hashed, and the key for it (`session::names`).

use std::fmt;

/// The core that owns a piece of state. Dense and 0-based; not a CPU number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// A connection slot on one shard.
///
/// `generation` changes each time the slot is reused, so whatever arrives late
/// for the previous tenant (a completion, a message) is recognised and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// Index into the shard's connections, dense.
    pub slot: u32,
    /// How often the slot was used before, modulo 2^24.
    pub generation: u32,
}

impl ConnId {
    /// No connection: for questions to which nobody waits for the answer.
    pub const NOBODY: ConnId = ConnId { slot: u32::MAX, generation: u32::MAX };
}

/// A room's name and tenant, already hashed with the server's key.
///
/// 128 bits of a keyed hash: nobody without the key can choose two names that
/// collide, and by chance it does not happen (2^64 rooms for even odds).
///
/// Packed to the alignment of a word: at that of `u128`, sixteen bytes, every
/// session would carry up to eight of padding for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(Rust, packed(8))]
pub struct RoomId(pub u128);

impl RoomId {
    /// For hash tables: the id is a hash already.
    pub fn fold(self) -> u64 {
        self.0 as u64
    }

    /// What clients call the room in pushes where names are too long for them: 1 to 2^21, three
    /// bytes in Protobuf. Two rooms may have the same.
    ///
    /// Clients see these bits, and learn nothing by them: hash tables take other ones, and which
    /// shard is a room's home hangs on those above, as a product's upper bits do on all of a factor.
    pub fn compact(self) -> u32 {
        1 + ((self.0 >> 64) as u32 & ((1 << RoomId::COMPACT_BITS) - 1))
    }

    const COMPACT_BITS: u32 = 21;
}

/// A user: tenant and name, hashed with the server's key. All connections of one share
/// what one user may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserHash(u64);

impl UserHash {
    /// Who has no name: each of its connections is somebody else.
    pub const NOBODY: UserHash = UserHash(0);

    /// The user of this personal channel.
    pub const fn of_inbox(inbox: RoomId) -> UserHash {
        let hash = inbox.0 as u64;
        UserHash(if hash == 0 { 1 } else { hash })
    }

    /// Its bits, for keys of what is kept by user.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// A token: tenant and its own id, hashed with the server's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHash(u64);

impl TokenHash {
    /// A token that has no id.
    pub const NONE: TokenHash = TokenHash(0);

    /// From the bits of a keyed hash.
    pub const fn from_bits(hash: u64) -> TokenHash {
        TokenHash(hash)
    }

    /// Its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// One client session, as SDKs see it: shown as a version 4 UUID (RFC 9562, 5.4).
/// Packed as `RoomId` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(Rust, packed(8))]
pub struct ClientId(pub u128);

impl ClientId {
    /// Length of the textual form in bytes.
    pub const TEXT_BYTES: usize = 36;

    /// Any 128 bits become an identity; version and variant bits are overwritten.
    pub fn from_random(bits: u128) -> ClientId {
        let versioned = bits & !(0xf << 76) | 0x4 << 76;
        ClientId(versioned & !(0x3 << 62) | 0x2 << 62)
    }

    /// From its textual form, in either case; `None` for anything else.
    pub fn parse(text: &str) -> Option<ClientId> {
        let mut bits = 0;
        for (place, letter) in text.chars().enumerate() {
            if matches!(place, 8 | 13 | 18 | 23) {
                (letter == '-').then_some(())?;
            } else {
                bits = bits << 4 | u128::from(letter.to_digit(16)?);
            }
        }
        (text.len() == Self::TEXT_BYTES).then_some(ClientId(bits))
    }

    /// Lower-case hexadecimal with dashes, without allocation.
    pub fn text(self) -> [u8; Self::TEXT_BYTES] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
        let mut text = [b'-'; Self::TEXT_BYTES];
        for (byte, place) in { self.0 }.to_be_bytes().into_iter().zip(PLACES) {
            text[place] = HEX[usize::from(byte >> 4)];
            text[place + 1] = HEX[usize::from(byte & 0xf)];
        }
        text
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).expect("hexadecimal is ASCII"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_reads_as_a_version_4_uuid() {
        let text = ClientId::from_random(u128::MAX).to_string();
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(ClientId::from_random(0).to_string(), "00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn a_client_id_is_read_from_its_text_and_from_nothing_else() {
        let id = ClientId::from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        let text = id.to_string();
        assert_eq!(ClientId::parse(&text), Some(id));
        assert_eq!(ClientId::parse(&text.to_uppercase()), Some(id));
        let (short, long, bare) = (&text[1..], format!("{text}0"), text.replace('-', "0"));
        for wrong in ["", short, &long, &bare, &text.replace('a', "g"), &text.replace("23", "é")] {
            assert_eq!(ClientId::parse(wrong), None, "{wrong}");
        }
    }
}
