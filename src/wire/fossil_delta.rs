//! The difference between two byte strings in the format of Fossil, which clients apply to the
//! data of the publication before (<https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki>).
//!
//! Differences of texts are texts: nothing is cut inside of a character.
//!
//! Deliberately absent: applying one, which only clients do, and what the base is (`shard`).

/// Bytes that have to be the same to be worth a copy.
const BLOCK_BYTES: usize = 16;

/// The format's digits, six bits each.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// What makes `target` of `base`; `None` where that is not shorter than `target` itself. The time
/// it takes grows with the length of both, whatever is in them.
pub fn fossil_delta(base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    if base.len() < BLOCK_BYTES || target.len() < BLOCK_BYTES {
        return None;
    }
    let blocks = Blocks::of(base);
    let mut delta = Vec::with_capacity(64);
    put_number(target.len(), &mut delta);
    delta.push(b'\n');
    // What is in front of `told` is in the delta.
    let (mut told, mut at) = (0, 0);
    let mut hash = RollingHash::of(target);
    while at + BLOCK_BYTES <= target.len() {
        let copy = blocks.find(base, target, at, hash).and_then(|from| {
            let before = same_before(&base[..from], &target[told..at]);
            let behind = same_behind(&base[from..], &target[at..]);
            let (start, end) = whole_characters(target, at - before, at + behind);
            (start + BLOCK_BYTES <= end).then(|| (start..end, from + start - at))
        });
        match copy {
            Some((part, from)) => {
                put_literal(&target[told..part.start], &mut delta);
                put_number(part.len(), &mut delta);
                delta.push(b'@');
                put_number(from, &mut delta);
                delta.push(b',');
                (told, at) = (part.end, part.end);
                hash = RollingHash::of(&target[at..]);
            }
            None => {
                hash.roll(target, at);
                at += 1;
            }
        }
        if target.len() <= delta.len() {
            return None;
        }
    }
    put_literal(&target[told..], &mut delta);
    put_number(checksum(target) as usize, &mut delta);
    delta.push(b';');
    (delta.len() < target.len()).then_some(delta)
}

/// Where each block of the base begins, by its hash. Of blocks with one hash, the first.
struct Blocks {
    /// One more than the number of the block; 0 for none.
    numbers: Vec<u32>,
    shift: u32,
}

impl Blocks {
    fn of(base: &[u8]) -> Blocks {
        let count = base.len() / BLOCK_BYTES;
        let bits = (2 * count).next_power_of_two().trailing_zeros().max(1);
        let mut blocks = Blocks { numbers: vec![0; 1 << bits], shift: 32 - bits };
        for number in (0..count).rev() {
            let slot = blocks.slot(RollingHash::of(&base[number * BLOCK_BYTES..]));
            blocks.numbers[slot] = number as u32 + 1;
        }
        blocks
    }

    fn slot(&self, hash: RollingHash) -> usize {
        (hash.0.wrapping_mul(0x9E37_79B1) >> self.shift) as usize
    }

    /// Where the block of `target` at this place is in the base.
    fn find(&self, base: &[u8], target: &[u8], at: usize, hash: RollingHash) -> Option<usize> {
        let from = (self.numbers[self.slot(hash)] as usize).checked_sub(1)? * BLOCK_BYTES;
        (base[from..from + BLOCK_BYTES] == target[at..at + BLOCK_BYTES]).then_some(from)
    }
}

/// A hash of as many bytes as a block has.
#[derive(Clone, Copy)]
struct RollingHash(u32);

impl RollingHash {
    const FACTOR: u32 = 0x0100_0193;

    /// That of the first block, or of nothing where there is none.
    fn of(bytes: &[u8]) -> RollingHash {
        let block = bytes.get(..BLOCK_BYTES).unwrap_or_default();
        RollingHash(block.iter().fold(0, |hash, &byte| {
            u32::wrapping_add(hash.wrapping_mul(Self::FACTOR), u32::from(byte))
        }))
    }

    /// From the block at this place to the next one, if there is one.
    fn roll(&mut self, bytes: &[u8], at: usize) {
        const HIGHEST: u32 = RollingHash::FACTOR.wrapping_pow(BLOCK_BYTES as u32 - 1);
        if let Some(&next) = bytes.get(at + BLOCK_BYTES) {
            let rest = self.0.wrapping_sub(u32::from(bytes[at]).wrapping_mul(HIGHEST));
            self.0 = rest.wrapping_mul(Self::FACTOR).wrapping_add(u32::from(next));
        }
    }
}

/// How many bytes at the ends are the same.
fn same_before(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// How many bytes at the beginnings are the same.
fn same_behind(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// The part without characters of UTF-8 that are not whole in it.
fn whole_characters(target: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    let is_inside = |at: usize| target.get(at).is_some_and(|&byte| byte & 0xC0 == 0x80);
    while start < end && is_inside(start) {
        start += 1;
    }
    while start < end && is_inside(end) {
        end -= 1;
    }
    (start, end)
}

fn put_literal(literal: &[u8], delta: &mut Vec<u8>) {
    if !literal.is_empty() {
        put_number(literal.len(), delta);
        delta.push(b':');
        delta.extend_from_slice(literal);
    }
}

fn put_number(number: usize, delta: &mut Vec<u8>) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(6).max(1);
    delta.extend((0..digits).rev().map(|digit| DIGITS[number >> (6 * digit) & 63]));
}

/// The sum of all words of four bytes, of which the last is filled with zeros.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.chunks(4).fold(0_u32, |sum, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        sum.wrapping_add(u32::from_be_bytes(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    /// What a client does, by the description of the format.
    fn apply(base: &[u8], delta: &[u8]) -> Vec<u8> {
        fn number(delta: &mut &[u8]) -> (usize, u8) {
            let mut number = 0;
            loop {
                let (&byte, rest) = delta.split_first().expect("it is terminated");
                *delta = rest;
                match DIGITS.iter().position(|&digit| digit == byte) {
                    Some(digit) => number = number << 6 | digit,
                    None => return (number, byte),
                }
            }
        }
        let mut rest = delta;
        let (length, end) = number(&mut rest);
        assert_eq!(end, b'\n');
        let mut target = Vec::new();
        loop {
            match number(&mut rest) {
                (count, b'@') => {
                    let (from, end) = number(&mut rest);
                    assert_eq!(end, b',');
                    target.extend_from_slice(&base[from..from + count]);
                }
                (count, b':') => {
                    target.extend_from_slice(&rest[..count]);
                    rest = &rest[count..];
                }
                (sum, b';') => {
                    assert!(rest.is_empty());
                    assert_eq!((sum as u32, length), (checksum(&target), target.len()));
                    return target;
                }
                (_, other) => panic!("there is no command {other}"),
            }
        }
    }

    #[test]
    fn a_small_change_of_a_long_text_is_short() {
        let text = |count: u32, name: &str| {
            format!(
                r#"{{"count":{count},"text":"{}","name":"{name}"}}"#,
                "long and dull ".repeat(40)
            )
        };
        let (base, target) = (text(1, "anna"), text(20_000, "ben"));
        let delta = fossil_delta(base.as_bytes(), target.as_bytes()).expect("it is shorter");
        assert!(delta.len() < 60, "{}", String::from_utf8_lossy(&delta));
        assert_eq!(apply(base.as_bytes(), &delta), target.as_bytes());
        // As the reference implementation writes it.
        let delta = fossil_delta(&[b'a'; 64], &[b'a'; 64]).unwrap();
        assert_eq!(delta, b"10\n10@0,M5XOG;".to_vec().as_slice());
    }

    #[test]
    fn what_is_not_worth_it_is_none() {
        assert_eq!(fossil_delta(b"", b""), None);
        assert_eq!(fossil_delta(b"short", b"short"), None);
        assert_eq!(fossil_delta(&[1; 500], &[2; 500]), None);
    }

    /// Pieces of the base in any order, with noise between them, also of several bytes a
    /// character.
    #[test]
    fn whatever_is_applied_gives_the_target_and_texts_stay_texts() {
        let mut prng = Prng::from_seed(7);
        let mut shorter = 0;
        for _ in 0..3_000 {
            let letters: Vec<char> = "abcdé日𝄞 ".chars().collect();
            let mut text = |most: u64| -> String {
                let length = prng.below(most);
                (0..length).map(|_| letters[prng.below(letters.len() as u64) as usize]).collect()
            };
            let (base, noise) = (text(400), [text(30), text(30), text(30)]);
            let characters: Vec<char> = base.chars().collect();
            let mut target = String::new();
            for noise in noise {
                let from = prng.below(characters.len() as u64 + 1) as usize;
                let count = prng.below((characters.len() - from) as u64 + 1) as usize;
                target.extend(&characters[from..from + count]);
                target.push_str(&noise);
            }
            if let Some(delta) = fossil_delta(base.as_bytes(), target.as_bytes()) {
                shorter += 1;
                assert!(delta.len() < target.len());
                assert_eq!(apply(base.as_bytes(), &delta), target.as_bytes());
                assert!(std::str::from_utf8(&delta).is_ok(), "{base} {target}");
            }
        }
        assert!(500 < shorter, "{shorter}");
    }
}
