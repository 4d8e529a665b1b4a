//! Chance that nobody can guess: identities and keys that others see or that protect us.

use std::fmt;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::Prng;

/// A generator under a key: SipHash-2-4 of a counter, with 128 bits of result, which is a
/// pseudorandom function of whoever does not know the key (Aumasson and Bernstein, 2012).
/// What is drawn says nothing about what else is drawn. Its key comes from the system's
/// generator; a simulation gives one from its seed, so that it repeats.
///
/// Not `Clone`: two of them with one key would give the same identities.
pub struct Csprng {
    key: [u8; 16],
    drawn_count: u64,
}

impl Csprng {
    /// Equal keys give equal draws for ever.
    pub fn from_key(key: [u8; 16]) -> Csprng {
        Csprng { key, drawn_count: 0 }
    }

    /// 128 even bits.
    pub fn draw_u128(&mut self) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u64(self.drawn_count);
        // At a thousand million a second it would last for 500 years.
        self.drawn_count += 1;
        hasher.finish128().as_u128()
    }

    /// 64 even bits.
    pub fn draw(&mut self) -> u64 {
        self.draw_u128() as u64
    }

    /// Another one, whose draws have nothing to do with those of this one.
    pub fn fork(&mut self) -> Csprng {
        Csprng::from_key(self.draw_u128().to_le_bytes())
    }
}

/// Without its key.
impl fmt::Debug for Csprng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csprng").finish_non_exhaustive()
    }
}

/// What a shard decides by chance. The two share no seed: from jitter, which everybody
/// can see, follows nothing about an identity.
#[derive(Debug)]
pub struct RandomSources {
    /// When something happens.
    pub jitter: Prng,
    /// Who and what something is.
    pub ids: Csprng,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn draws_repeat_with_the_key_and_with_nothing_else() {
        let draws = |mut one: Csprng| [one.draw_u128(), one.draw_u128(), one.draw_u128()];
        assert_eq!(draws(Csprng::from_key([7; 16])), draws(Csprng::from_key([7; 16])));
        let mut all: Vec<u128> = Vec::new();
        for bit in 0..128 {
            let mut key = [7; 16];
            key[bit / 8] ^= 1 << (bit % 8);
            all.extend(draws(Csprng::from_key(key)));
        }
        all.extend(draws(Csprng::from_key([7; 16])));
        all.extend(draws(Csprng::from_key([7; 16]).fork()));
        let different: BTreeSet<u128> = all.iter().copied().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn a_million_draws_have_no_repetition_and_even_bits() {
        let mut one = Csprng::from_key(*b"a key for a test");
        let mut ones = [0u32; 128];
        let mut drawn = Vec::with_capacity(1_000_000);
        for _ in 0..1_000_000 {
            let bits = one.draw_u128();
            (0..128).for_each(|at| ones[at] += (bits >> at) as u32 & 1);
            drawn.push(bits);
        }
        drawn.sort_unstable();
        assert!(drawn.windows(2).all(|two| two[0] != two[1]), "a repetition");
        // Five standard deviations of 500 to each side.
        assert!(ones.iter().all(|&count| 497_500 < count && count < 502_500), "{ones:?}");
    }

    #[test]
    fn its_key_is_not_shown() {
        assert_eq!(format!("{:?}", Csprng::from_key([7; 16])), "Csprng { .. }");
    }
}
