//! A simulated lane from one core to another, which delays letters and may be full.
//!
//! Invariants: letters arrive in the order in which they were sent; sent = received + waiting,
//! unless a mutation loses one.

use std::collections::VecDeque;

use rookery::base::{Prng, Tick};
use rookery::shard::Letter;

use crate::scenario::LaneWeather;

/// A bounded queue from one core to another: late, and in order.
#[derive(Debug, Default)]
pub struct Lane {
    letters: VecDeque<Posted>,
    /// Letters that the writer put in.
    pub sent: u64,
    /// Letters that the reader took out.
    pub received: u64,
}

/// A letter on its way.
#[derive(Debug)]
pub struct Posted {
    /// When it arrives.
    pub due: Tick,
    /// The how manieth of its lane.
    pub serial: u64,
    /// What it says.
    pub letter: Letter,
}

impl Lane {
    /// Moves letters from the front into the lane while it has room.
    pub fn post(
        &mut self,
        now: Tick,
        weather: LaneWeather,
        prng: &mut Prng,
        letters: &mut Vec<Letter>,
    ) {
        let room = weather.letters_max.saturating_sub(self.letters.len());
        let count = room.min(letters.len());
        for letter in letters.drain(..count) {
            let due = now.plus_ms(prng.below(weather.delay_ms_max + 1));
            // Never before what was posted earlier.
            let due = self.letters.back().map_or(due, |before| due.max(before.due));
            self.sent += 1;
            self.letters.push_back(Posted { due, serial: self.sent, letter });
        }
    }

    /// The next letter that has arrived.
    pub fn take(&mut self, now: Tick) -> Option<Posted> {
        self.letters.front().filter(|first| first.due <= now)?;
        let taken = self.letters.pop_front()?;
        self.received += 1;
        Some(taken)
    }

    /// What is under way.
    pub fn waiting(&self) -> impl Iterator<Item = &Letter> {
        self.letters.iter().map(|posted| &posted.letter)
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Loses the letter that would arrive next; for mutations only.
    pub fn lose(&mut self) -> bool {
        self.letters.pop_front().is_some()
    }
}
