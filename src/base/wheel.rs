//! A timing wheel for very many deadlines.
//!
//! Deliberately absent: cancelling: owners keep the deadline that counts, and ignore an entry
//! that fires early.

use super::MonotonicMs;

const LEVELS: usize = 4;
const SPOKES: usize = 64;
const SPOKE_BITS: u32 = 6;

/// Entries that an empty spoke keeps memory for. There are 64 of them in each wheel, and
/// several wheels on each shard.
const SPOKE_ENTRIES_KEPT: usize = 64;

/// Deadlines by the million: a hierarchical timing wheel (Varghese and Lauck,
/// 1987) of four levels with 64 spokes each.
///
/// Setting costs the same whatever waits already, an entry is its key and its
/// deadline and nothing else, and there is no cancelling: owners keep the real
/// deadline themselves, and an entry that fires early is set again.
///
/// Deadlines are rounded up to `granularity_ms`. What lies beyond the last
/// level waits on its last spoke and is looked at again from there.
#[derive(Debug)]
pub struct Wheel<K> {
    spokes: Vec<Vec<(u32, K)>>,
    granularity_ms: u64,
    phase_ms: u64,
    turned: u64,
    len: usize,
}

impl<K: Copy> Wheel<K> {
    /// A wheel that stands at `now`. Its granules begin `phase_ms` before the
    /// multiples of `granularity_ms`, so that several wheels need not fire together.
    pub fn new(now: MonotonicMs, granularity_ms: u64, phase_ms: u64) -> Wheel<K> {
        assert!(phase_ms < granularity_ms);
        let spokes = (0..LEVELS * SPOKES).map(|_| Vec::new()).collect();
        let turned = now.plus_ms(phase_ms).0 / granularity_ms;
        Wheel { spokes, granularity_ms, phase_ms, turned, len: 0 }
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lets `key` fire at `deadline`, never early, and late by less than one
    /// granule plus the time until the wheel is turned.
    pub fn set(&mut self, deadline: MonotonicMs, key: K) {
        let shifted = deadline.plus_ms(self.phase_ms);
        let granule = shifted.0.div_ceil(self.granularity_ms).max(self.turned + 1);
        self.place(granule, key);
        self.len += 1;
    }

    fn place(&mut self, granule: u64, key: K) {
        let reach = 1u64 << (SPOKE_BITS * LEVELS as u32);
        let nearest = granule.min(self.turned + reach - 1);
        let ahead = nearest ^ self.turned;
        let level = match ahead {
            0 => 0,
            _ => ((63 - ahead.leading_zeros()) / SPOKE_BITS).min(LEVELS as u32 - 1),
        };
        let spoke = (nearest >> (level * SPOKE_BITS)) as usize % SPOKES;
        self.spokes[level as usize * SPOKES + spoke].push((granule as u32, key));
    }

    /// Turns the wheel to `now` and gives every key whose deadline has passed
    /// to `fire`, at most `max` of them; the rest fires at the next call.
    /// Returns how many fired.
    pub fn turn(&mut self, now: MonotonicMs, max: usize, mut fire: impl FnMut(K)) -> usize {
        let until = now.plus_ms(self.phase_ms).0 / self.granularity_ms;
        let mut fired = 0;
        while self.turned < until && fired < max {
            if self.len == 0 {
                self.turned = until;
                break;
            }
            let next = self.turned + 1;
            // A level's spoke comes down when the level below wraps.
            for level in (1..LEVELS as u32).rev() {
                if next & ((1 << (level * SPOKE_BITS)) - 1) == 0 {
                    self.turned = next - 1;
                    self.lower(level, next);
                }
            }
            let spoke = &mut self.spokes[next as usize % SPOKES];
            while fired < max
                && let Some((_, key)) = spoke.pop()
            {
                fired += 1;
                self.len -= 1;
                fire(key);
            }
            if !spoke.is_empty() {
                break;
            }
            if spoke.capacity() > SPOKE_ENTRIES_KEPT {
                *spoke = Vec::new(); // a burst's memory is not kept for ever
            }
            self.turned = next;
        }
        fired
    }

    /// Re-places all entries of the spoke that `next` reaches on `level`.
    fn lower(&mut self, level: u32, next: u64) {
        let spoke = (next >> (level * SPOKE_BITS)) as usize % SPOKES;
        let index = level as usize * SPOKES + spoke;
        if self.spokes[index].is_empty() {
            return;
        }
        let entries = std::mem::take(&mut self.spokes[index]);
        let before = self.turned;
        for (granule, key) in entries {
            // Kept as the low 32 bits; the wheel's own position gives the rest back.
            let whole = next + u64::from(granule.wrapping_sub(next as u32));
            self.turned = next;
            self.place(whole, key);
        }
        self.turned = before;
    }

    /// When `turn` should be called next: no later than the first deadline, and
    /// at most one round of the first level ahead. `None` when nothing waits.
    pub fn next(&self) -> Option<MonotonicMs> {
        if self.len == 0 {
            return None;
        }
        let ahead = (1..=SPOKES as u64).find(|ahead| {
            let granule = self.turned + ahead;
            granule.is_multiple_of(SPOKES as u64)
                || !self.spokes[granule as usize % SPOKES].is_empty()
        });
        let granules = ahead.expect("64 steps cross a multiple of 64");
        Some(MonotonicMs((self.turned + granules) * self.granularity_ms - self.phase_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    /// A model (a sorted list of deadlines) beside the wheel.
    #[test]
    fn fires_once_never_early_and_at_most_a_granule_late() {
        for seed in 0..40 {
            let mut prng = Prng::from_seed(seed);
            let granularity_ms = 1 + prng.below(20);
            let mut now = MonotonicMs(prng.below(1 << 40));
            let phase_ms = prng.below(granularity_ms);
            let mut wheel = Wheel::new(now, granularity_ms, phase_ms);
            let mut due: Vec<Option<MonotonicMs>> = Vec::new();
            for _ in 0..500 {
                let ahead_bits = prng.below(30);
                let deadline = now.plus_ms(prng.below(1 << ahead_bits));
                wheel.set(deadline, due.len());
                due.push(Some(deadline));
                let step_bits = prng.below(14);
                now = now.plus_ms(prng.below(1 << step_bits));
                let mut fired = Vec::new();
                while wheel.turn(now, 3, |key| fired.push(key)) == 3 {}
                for key in fired {
                    let deadline = due[key].take().expect("fired once");
                    assert!(deadline <= now, "early, seed {seed}");
                }
                let late = due.iter().flatten().filter(|d| d.0 + 2 * granularity_ms < now.0);
                assert_eq!(late.count(), 0, "late, seed {seed}");
                assert_eq!(wheel.len(), due.iter().flatten().count());
                let first = due.iter().flatten().min();
                if let (Some(first), Some(next)) = (first, wheel.next()) {
                    let limit = MonotonicMs(first.0.max(now.0) + 2 * granularity_ms);
                    assert!(next <= limit, "would sleep too long, seed {seed}");
                }
            }
        }
    }

    #[test]
    fn an_empty_wheel_jumps() {
        let mut wheel: Wheel<u8> = Wheel::new(MonotonicMs(0), 1, 0);
        assert_eq!(wheel.turn(MonotonicMs(u64::MAX / 2), 10, |_| ()), 0);
        assert_eq!(wheel.next(), None);
    }
}
