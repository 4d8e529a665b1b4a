//! The time by which things expire: that of the wall clock, unless it jumps ahead.
//!
//! A clock that is suddenly days later may be wrong, and what it lets expire is gone for good. So a
//! jump of more than a day is doubted: time goes on from where it was, and only when the clock has
//! stayed where it is for an hour it is believed. One that goes back is followed at once, since
//! less expires then. The same at a start, beside the time that the store had last.
//!
//! Deliberately absent: what expires, and a clock.

/// A jump ahead of more is doubted, in ms.
const JUMP_MS: u64 = 24 * 3_600_000;

/// For how long a clock must stay where it jumped to, in ms.
const DOUBT_MS: u64 = 3_600_000;

/// More than this counts as nothing of that between two looks, in ms: a machine that slept saw
/// nothing of it.
const LOOK_MS: u64 = 60_000;

/// How much later than the time that is written down it may be, in ms.
const NOTE_MS: u64 = 3_600_000;

/// The time by which things expire.
#[derive(Debug, Default)]
pub(super) struct RetentionClock {
    /// `None` before the first look of a store that has none.
    time_unix_ms: Option<u64>,
    /// The time of the wall clock at the last look.
    seen_unix_ms: u64,
    /// For how long it has stayed where it jumped to; `None` where it is believed.
    doubted_ms: Option<u64>,
    /// The time that the store has written down.
    noted_unix_ms: Option<u64>,
}

impl RetentionClock {
    /// Goes on from the time that the store has written down; `None` where it has none.
    pub fn new(noted_unix_ms: Option<u64>) -> RetentionClock {
        RetentionClock { time_unix_ms: noted_unix_ms, noted_unix_ms, ..RetentionClock::default() }
    }

    /// Looks at the wall clock.
    pub fn advance(&mut self, now_unix_ms: u64) {
        let time_unix_ms = self.time_unix_ms.unwrap_or(now_unix_ms);
        if now_unix_ms <= time_unix_ms.saturating_add(JUMP_MS) {
            self.believe(now_unix_ms);
            return;
        }
        let passed_ms = now_unix_ms.checked_sub(self.seen_unix_ms).filter(|ms| *ms <= JUMP_MS);
        self.seen_unix_ms = now_unix_ms;
        // Another jump: it is doubted anew.
        let Some((passed_ms, doubted_ms)) = passed_ms.zip(self.doubted_ms) else {
            self.doubted_ms = Some(0);
            return;
        };
        let passed_ms = passed_ms.min(LOOK_MS);
        if doubted_ms + passed_ms < DOUBT_MS {
            self.doubted_ms = Some(doubted_ms + passed_ms);
            self.time_unix_ms = Some(time_unix_ms + passed_ms);
        } else {
            self.believe(now_unix_ms);
        }
    }

    fn believe(&mut self, now_unix_ms: u64) {
        self.time_unix_ms = Some(now_unix_ms);
        self.seen_unix_ms = now_unix_ms;
        self.doubted_ms = None;
    }

    /// The time by which things expire, in ms since 1970.
    pub fn time_unix_ms(&self) -> u64 {
        self.time_unix_ms.unwrap_or(0)
    }

    /// By how much the wall clock is ahead of that, in ms, while it is doubted.
    pub fn doubted_jump_ms(&self) -> Option<u64> {
        self.doubted_ms.map(|_| self.seen_unix_ms.saturating_sub(self.time_unix_ms()))
    }

    /// The time of the wall clock at which this is due. One that is doubted is looked at again soon.
    pub fn wall_unix_ms(&self, due_unix_ms: u64) -> u64 {
        match self.doubted_jump_ms() {
            None => due_unix_ms,
            Some(jump_ms) => {
                let look_unix_ms = self.seen_unix_ms.saturating_add(LOOK_MS);
                due_unix_ms.saturating_add(jump_ms).min(look_unix_ms)
            }
        }
    }

    /// The time, where it is to be written down again.
    pub fn take_note(&mut self) -> Option<u64> {
        let time_unix_ms = self.time_unix_ms?;
        if self.noted_unix_ms.is_some_and(|noted| time_unix_ms.abs_diff(noted) < NOTE_MS) {
            return None;
        }
        self.noted_unix_ms = Some(time_unix_ms);
        Some(time_unix_ms)
    }

    /// What was written down last may not be there.
    pub fn forget_note(&mut self) {
        self.noted_unix_ms = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const HOUR: u64 = 3_600_000;
    const YEAR: u64 = 365 * 24 * HOUR;

    /// Looks for so long, each half minute. Returns where the wall clock is.
    fn look_on(clock: &mut RetentionClock, mut wall: u64, ms: u64) -> u64 {
        for _ in 0..ms / 30_000 {
            wall += 30_000;
            clock.advance(wall);
        }
        wall
    }

    #[test]
    fn a_clock_that_goes_as_it_should_is_followed() {
        let mut clock = RetentionClock::new(None);
        for wall in [NOW, NOW + 1, NOW + 23 * HOUR, NOW + 46 * HOUR, NOW - YEAR, NOW - YEAR + 9] {
            clock.advance(wall);
            assert_eq!((clock.time_unix_ms(), clock.doubted_jump_ms()), (wall, None));
            assert_eq!(clock.wall_unix_ms(wall + 5), wall + 5);
        }
    }

    #[test]
    fn a_jump_of_a_year_counts_when_it_has_stayed_for_an_hour() {
        let mut clock = RetentionClock::new(None);
        clock.advance(NOW);
        clock.advance(NOW + YEAR);
        assert_eq!((clock.time_unix_ms(), clock.doubted_jump_ms()), (NOW, Some(YEAR)));
        // What is due then is due on the wall as much later, but for looks at it.
        assert_eq!(clock.wall_unix_ms(NOW + 5), NOW + YEAR + 5);
        assert_eq!(clock.wall_unix_ms(u64::MAX), NOW + YEAR + LOOK_MS);
        let wall = look_on(&mut clock, NOW + YEAR, HOUR - 30_000);
        assert_eq!(clock.time_unix_ms(), NOW + HOUR - 30_000, "time goes on meanwhile");
        look_on(&mut clock, wall, 30_000);
        assert_eq!((clock.time_unix_ms(), clock.doubted_jump_ms()), (NOW + YEAR + HOUR, None));
    }

    #[test]
    fn one_that_is_set_right_in_time_has_let_nothing_expire() {
        let mut clock = RetentionClock::new(None);
        clock.advance(NOW);
        let wall = look_on(&mut clock, NOW + YEAR, HOUR / 2);
        assert!(clock.time_unix_ms() < NOW + HOUR);
        clock.advance(wall - YEAR);
        assert_eq!((clock.time_unix_ms(), clock.doubted_jump_ms()), (wall - YEAR, None));
        // And the next one is doubted as long.
        look_on(&mut clock, NOW + YEAR, HOUR - 30_000);
        assert!(clock.time_unix_ms() < NOW + 2 * HOUR);
    }

    #[test]
    fn jumps_and_sleep_are_no_proof_for_a_jump() {
        let mut clock = RetentionClock::new(None);
        clock.advance(NOW);
        clock.advance(NOW + YEAR);
        // A machine that sleeps for hours, and one whose clock jumps further.
        for hours in [2, 25, 4, 30, 20] {
            let wall = clock.seen_unix_ms + hours * HOUR;
            clock.advance(wall);
            assert!(clock.time_unix_ms() <= NOW + 5 * LOOK_MS, "{hours}");
        }
    }

    #[test]
    fn a_start_goes_on_from_what_was_written_down() {
        let mut clock = RetentionClock::new(None);
        assert_eq!(clock.take_note(), None, "it has not looked");
        clock.advance(NOW);
        assert_eq!(clock.take_note(), Some(NOW));
        clock.advance(NOW + NOTE_MS - 1);
        assert_eq!(clock.take_note(), None);
        clock.forget_note();
        assert_eq!(clock.take_note(), Some(NOW + NOTE_MS - 1));
        for (later, is_doubted) in [(0, false), (23 * HOUR, false), (25 * HOUR, true)] {
            let mut clock = RetentionClock::new(Some(NOW));
            clock.advance(NOW + later);
            assert_eq!(clock.doubted_jump_ms(), is_doubted.then_some(later), "{later}");
        }
        // It was wrong, and is set right while nothing runs.
        let mut clock = RetentionClock::new(Some(NOW + YEAR));
        clock.advance(NOW);
        assert_eq!(clock.time_unix_ms(), NOW);
    }
}
