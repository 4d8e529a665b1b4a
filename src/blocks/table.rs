//! All blocks by hash: whether who connects is kept out, and why: the user, the user's older
//! tokens, the token, the address. A copy shares nearly all of its memory with the one before:
//! a change makes a few hundred entries anew.
//!
//! Invariants: a question looks into one small hash table for each of the user, the user's tokens
//! and the token; an address into one for each length of prefix in use, of which there are at most
//! 138; a block that has ended holds for nobody, whether it was removed or not.
//!
//! Deliberately absent: names. Two of them with the same hash would be blocked together: at 64
//! keyed bits that happens to nobody.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashTable;

use super::address::AddressRange;
use super::entry::BlockTerms;
use crate::base::{TokenHash, UserHash};
use crate::metrics::BlockKind;

/// Parts of which a change copies one.
const PARTS: usize = 256;

/// What a block is about, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKey {
    /// A user.
    User(UserHash),
    /// The tokens of a user that are from before a time.
    UserTokens(UserHash),
    /// One token.
    Token(TokenHash),
    /// Addresses.
    Address(AddressRange),
}

impl BlockKey {
    /// Its kind.
    pub fn kind(self) -> BlockKind {
        match self {
            BlockKey::User(_) => BlockKind::User,
            BlockKey::UserTokens(_) => BlockKind::UserTokens,
            BlockKey::Token(_) => BlockKind::Token,
            BlockKey::Address(_) => BlockKind::Address,
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockKinds(u8);

impl BlockKinds {
    /// Adds a kind.
    pub fn insert(&mut self, kind: BlockKind) {
        self.0 |= 1 << kind as u8;
    }

    /// Whether a kind is in it.
    pub fn contains(self, kind: BlockKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether there is one that is about something else than an address.
    pub fn has_names(self) -> bool {
        self.0 & !(1 << BlockKind::Address as u8) != 0
    }

    /// Whether there is one that is about tokens.
    pub fn has_tokens(self) -> bool {
        self.contains(BlockKind::UserTokens) || self.contains(BlockKind::Token)
    }

    /// Those of both.
    pub fn joined(self, other: BlockKinds) -> BlockKinds {
        BlockKinds(self.0 | other.0)
    }
}

/// What is known of the token that a connection has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenStamp {
    /// Which it is; `TokenHash::NONE` where it does not say.
    pub id: TokenHash,
    /// When it was issued, Unix seconds; 0 where it does not say: it may be from any time.
    pub issued_unix_s: u32,
}

impl TokenStamp {
    /// No token: nothing of it can be revoked.
    pub const NO_TOKEN: TokenStamp = TokenStamp { id: TokenHash::NONE, issued_unix_s: u32::MAX };
}

/// See the module.
#[derive(Clone, Debug)]
pub struct BlockTable {
    users: HashParts,
    user_tokens: HashParts,
    tokens: HashParts,
    /// One for each length of prefix in use, of one family.
    addresses: Vec<Arc<PrefixTable>>,
}

/// Blocks by 64 bits of hash.
#[derive(Clone, Debug)]
struct HashParts {
    parts: Vec<Arc<HashTable<(u64, BlockTerms)>>>,
    count: usize,
}

/// Blocked ranges of one length.
#[derive(Clone, Debug)]
struct PrefixTable {
    is_v6: bool,
    bits: u8,
    ranges: HashTable<(AddressRange, BlockTerms)>,
}

impl Default for BlockTable {
    fn default() -> BlockTable {
        let none = || HashParts { parts: vec![Arc::default(); PARTS], count: 0 };
        BlockTable { users: none(), user_tokens: none(), tokens: none(), addresses: Vec::new() }
    }
}

impl BlockTable {
    /// Whether it is about no user and no token.
    pub fn has_no_names(&self) -> bool {
        self.users.count + self.user_tokens.count + self.tokens.count == 0
    }

    /// Whether it is about addresses.
    pub fn has_addresses(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// From now on this holds.
    pub fn set(&mut self, key: BlockKey, terms: Option<BlockTerms>) {
        match key {
            BlockKey::User(user) => self.users.set(user.bits(), terms),
            BlockKey::UserTokens(user) => self.user_tokens.set(user.bits(), terms),
            BlockKey::Token(token) => self.tokens.set(token.bits(), terms),
            BlockKey::Address(range) => self.set_address(range, terms),
        }
    }

    /// Why this user does not come in with this token; `None` when they may.
    pub fn refusal(&self, now_unix_s: u64, user: UserHash, token: TokenStamp) -> Option<BlockKind> {
        let holds = |terms: &BlockTerms| terms.holds(now_unix_s);
        if user != UserHash::NOBODY {
            if self.users.find(user.bits()).is_some_and(|terms| holds(&terms)) {
                return Some(BlockKind::User);
            }
            let is_from_before =
                |terms: BlockTerms| token.issued_unix_s < terms.issued_before_unix_s;
            let terms = self.user_tokens.find(user.bits()).filter(holds);
            if terms.is_some_and(is_from_before) {
                return Some(BlockKind::UserTokens);
            }
        }
        let is_revoked = token.id != TokenHash::NONE
            && self.tokens.find(token.id.bits()).is_some_and(|terms| holds(&terms));
        is_revoked.then_some(BlockKind::Token)
    }

    /// Whether nobody comes in from there.
    pub fn refuses_address(&self, now_unix_s: u64, address: IpAddr) -> bool {
        let is_blocked = |table: &Arc<PrefixTable>| {
            let terms = table.find(AddressRange::of(address, table.bits));
            terms.is_some_and(|terms| terms.holds(now_unix_s))
        };
        self.addresses.iter().filter(|table| table.is_v6 == address.is_ipv6()).any(is_blocked)
    }

    fn set_address(&mut self, range: AddressRange, terms: Option<BlockTerms>) {
        let (is_v6, bits) = (range.first().is_ipv6(), range.bits());
        let mut tables = self.addresses.iter();
        let known = tables.position(|table| table.is_v6 == is_v6 && table.bits == bits);
        let place = known.unwrap_or_else(|| {
            let ranges = HashTable::new();
            self.addresses.push(Arc::new(PrefixTable { is_v6, bits, ranges }));
            self.addresses.len() - 1
        });
        let table = Arc::make_mut(&mut self.addresses[place]);
        table.set(range, terms);
        if table.ranges.is_empty() {
            self.addresses.swap_remove(place);
        }
    }
}

impl HashParts {
    /// Other bits than those by which a table finds an entry.
    fn place(hash: u64) -> usize {
        (hash >> 40) as usize % PARTS
    }

    fn find(&self, hash: u64) -> Option<BlockTerms> {
        if self.count == 0 {
            return None;
        }
        let found = self.parts[HashParts::place(hash)].find(hash, |(one, _)| *one == hash);
        found.map(|(_, terms)| *terms)
    }

    fn set(&mut self, hash: u64, terms: Option<BlockTerms>) {
        let part = Arc::make_mut(&mut self.parts[HashParts::place(hash)]);
        self.count -= part.len();
        if let Ok(entry) = part.find_entry(hash, |(one, _)| *one == hash) {
            entry.remove();
        }
        if let Some(terms) = terms {
            part.insert_unique(hash, (hash, terms), |(one, _)| *one);
        }
        self.count += part.len();
    }
}

impl PrefixTable {
    /// Peers choose where they come from and not what is blocked, so this needs no key.
    fn hash(range: AddressRange) -> u64 {
        let bits = match range.first() {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 ^ (v6.to_bits() as u64).rotate_left(32),
        };
        let mixed = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ mixed >> 32
    }

    fn find(&self, range: AddressRange) -> Option<BlockTerms> {
        let found = self.ranges.find(PrefixTable::hash(range), |(one, _)| *one == range);
        found.map(|(_, terms)| *terms)
    }

    fn set(&mut self, range: AddressRange, terms: Option<BlockTerms>) {
        let hash = PrefixTable::hash(range);
        if let Ok(entry) = self.ranges.find_entry(hash, |(one, _)| *one == range) {
            entry.remove();
        }
        if let Some(terms) = terms {
            let hash_of = |(one, _): &(AddressRange, BlockTerms)| PrefixTable::hash(*one);
            self.ranges.insert_unique(hash, (range, terms), hash_of);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::{Prng, RoomId};

    const NOW: u64 = 1_000;

    const FOREVER: BlockTerms = BlockTerms { until_unix_s: 0, issued_before_unix_s: 0 };

    fn user(n: u64) -> UserHash {
        UserHash::of_inbox(RoomId(u128::from(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))))
    }

    fn stamp(id: u64, issued_unix_s: u32) -> TokenStamp {
        TokenStamp { id: TokenHash::from_bits(id), issued_unix_s }
    }

    #[test]
    fn each_kind_refuses_whom_it_is_about_and_nobody_else() {
        let mut table = BlockTable::default();
        assert!(table.has_no_names() && !table.has_addresses());
        assert_eq!(table.refusal(NOW, user(1), stamp(7, 50)), None);
        table.set(BlockKey::User(user(1)), Some(FOREVER));
        let before = BlockTerms { until_unix_s: 0, issued_before_unix_s: 50 };
        table.set(BlockKey::UserTokens(user(2)), Some(before));
        table.set(BlockKey::Token(TokenHash::from_bits(7)), Some(FOREVER));
        assert!(!table.has_no_names());
        for (who, token, want) in [
            (user(1), stamp(0, 99), Some(BlockKind::User)),
            (user(1), TokenStamp::NO_TOKEN, Some(BlockKind::User)),
            (user(2), stamp(0, 49), Some(BlockKind::UserTokens)),
            (user(2), stamp(0, 0), Some(BlockKind::UserTokens)),
            (user(2), stamp(0, 50), None),
            (user(2), TokenStamp::NO_TOKEN, None),
            (user(2), stamp(7, 50), Some(BlockKind::Token)),
            (user(3), stamp(7, 0), Some(BlockKind::Token)),
            (user(3), stamp(8, 0), None),
            (UserHash::NOBODY, TokenStamp::NO_TOKEN, None),
        ] {
            assert_eq!(table.refusal(NOW, who, token), want, "{who:?} {token:?}");
        }
    }

    #[test]
    fn a_block_ends_to_the_second() {
        let mut table = BlockTable::default();
        let ends = BlockTerms { until_unix_s: 1_000, issued_before_unix_s: 0 };
        table.set(BlockKey::User(user(1)), Some(ends));
        table.set(BlockKey::Address(AddressRange::parse("10.0.0.0/8").unwrap()), Some(ends));
        let address = "10.1.2.3".parse().unwrap();
        assert!(table.refuses_address(999, address) && !table.refuses_address(1_000, address));
        assert!(table.refusal(999, user(1), TokenStamp::NO_TOKEN).is_some());
        assert!(table.refusal(1_000, user(1), TokenStamp::NO_TOKEN).is_none());
    }

    #[test]
    fn ranges_of_all_lengths_are_found_by_what_is_in_them() {
        let mut table = BlockTable::default();
        let ranges = ["10.0.0.0/8", "203.0.113.64/26", "198.51.100.7", "2001:db8::/32", "fe80::1"];
        let range = |text: &str| AddressRange::parse(text).unwrap();
        ranges.iter().for_each(|text| table.set(BlockKey::Address(range(text)), Some(FOREVER)));
        for (address, want) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("203.0.113.64", true),
            ("203.0.113.127", true),
            ("203.0.113.128", false),
            ("203.0.113.63", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("fe80::1", true),
            ("a00::1", false),
        ] {
            assert_eq!(table.refuses_address(NOW, address.parse().unwrap()), want, "{address}");
        }
        ranges.iter().for_each(|text| table.set(BlockKey::Address(range(text)), None));
        assert!(!table.has_addresses());
    }

    #[test]
    fn a_table_is_its_model_and_copies_stay_as_they_were() {
        let (mut prng, mut table) = (Prng::from_seed(3), BlockTable::default());
        let mut model = BTreeMap::new();
        let mut copies = Vec::new();
        for step in 0..20_000 {
            let n = prng.below(3_000);
            let terms = (prng.below(3) != 0)
                .then(|| BlockTerms { until_unix_s: step + 2_000, issued_before_unix_s: 0 });
            table.set(BlockKey::User(user(n)), terms);
            match terms {
                Some(terms) => model.insert(n, terms),
                None => model.remove(&n),
            };
            if step % 2_000 == 0 {
                copies.push((table.clone(), model.clone()));
            }
        }
        copies.push((table, model));
        for (table, model) in copies {
            assert_eq!(table.users.count, model.len());
            for n in 0..3_000 {
                assert_eq!(table.users.find(user(n).bits()), model.get(&n).copied());
            }
        }
    }
}
