//! A pseudo-random generator that can be rerun from its seed.
//!
//! Deliberately absent: draws that nobody may predict (`csprng`).

/// Seeded chance (xorshift64*, Vigna 2016), for schedules and jitter only. A few draws
/// tell its state, and with it all that was drawn and will be: what others see, or what
/// protects something, comes from [`Csprng`](super::Csprng).
#[derive(Clone, Debug)]
pub struct Prng(u64);

/// The multiplier of its last step.
const MULTIPLIER: u64 = 0x2545_F491_4F6C_DD1D;

impl Prng {
    /// Equal seeds give equal draws for ever.
    pub fn from_seed(seed: u64) -> Prng {
        // One round of splitmix64: near seeds must not give near sequences.
        let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Prng((mixed ^ (mixed >> 31)) | 1) // the state must not be zero
    }

    /// 64 even bits.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(MULTIPLIER)
    }

    /// Whether `second` is the draw after `first` of some generator of this kind. Of two
    /// numbers that have nothing to do with each other that is so once in 2^64.
    pub fn follows(first: u64, second: u64) -> bool {
        // The multiplier's inverse, by Newton: each step doubles the bits that are right.
        let inverse = (0..5).fold(MULTIPLIER, |inverse, _| {
            inverse.wrapping_mul(2u64.wrapping_sub(MULTIPLIER.wrapping_mul(inverse)))
        });
        Prng(first.wrapping_mul(inverse)).draw() == second
    }

    /// 128 even bits.
    pub fn draw_u128(&mut self) -> u128 {
        u128::from(self.draw()) << 64 | u128::from(self.draw())
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// True in `chance` of 100 draws.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_repeat_with_the_seed() {
        let mut per_bucket = [0u32; 10];
        let (mut a, mut b) = (Prng::from_seed(7), Prng::from_seed(7));
        for _ in 0..10_000 {
            let drawn = a.below(10);
            assert_eq!(drawn, b.below(10));
            per_bucket[drawn as usize] += 1;
        }
        assert!(per_bucket.iter().all(|&n| 850 < n && n < 1_150), "{per_bucket:?}");
        assert_eq!(a.below(0), 0);
    }

    #[test]
    fn two_draws_give_each_other_away() {
        let mut one = Prng::from_seed(3);
        let (first, second, third) = (one.draw(), one.draw(), one.draw());
        assert!(Prng::follows(first, second) && Prng::follows(second, third));
        assert!(!Prng::follows(first, third) && !Prng::follows(first, second ^ 1));
    }
}
