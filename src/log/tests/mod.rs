//! The log over a disk that a seed decides: torn tails, and worlds of many lives.

mod bad_input;
pub mod drive;
mod tails;
mod worlds;

use super::*;
use crate::base::{Csprng, Prng};

/// Small, so that a few batches fill a segment.
const OPTIONS: Options = Options {
    segment_pages: 16,
    segments_max: 12,
    batch_bytes_max: 12_000,
    undurable_pages_max: 8,
};

/// Lives of this seed.
fn lives(prng: &mut Prng) -> Csprng {
    Csprng::from_key(prng.draw_u128().to_le_bytes())
}

/// How often a test is run: as an environment variable says, or so often.
pub fn runs(variable: &str, default: u64) -> std::ops::Range<u64> {
    let number = |name: String| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = number(format!("{variable}_FROM")).unwrap_or(0);
    first..first + number(variable.to_owned()).unwrap_or(default)
}
