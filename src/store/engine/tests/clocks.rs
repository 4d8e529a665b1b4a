//! Clocks that jump: what they would let expire stays until they are believed.

use super::waiting::{BOB, DM, EXPIRES, direct};
use super::*;

const YEAR_MS: u64 = 365 * 86_400_000;
const HOUR_MS: u64 = 3_600_000;

/// What could expire: messages and ids of a channel that keeps little for long, and a message that
/// waits for its reader.
fn filled() -> Bench<SimulatedDisk> {
    let mut bench = Bench::new();
    for offset in 1..=3 {
        assert!(matches!(bench.ask(append(ROOM, "few:a", offset)), StoreResult::Appended));
    }
    bench.ask(direct(DM, "dm#ann,bob", 1, BOB));
    bench
}

impl<D: Disk> Bench<D> {
    /// Messages, and those that wait.
    fn stored(&self) -> (usize, usize) {
        (self.count(StoreKeyspace::Messages), self.count(StoreKeyspace::Pending))
    }

    /// The engine's turns of so long, as its thread takes them: where it wants one, and at least
    /// one a minute.
    fn watch(&mut self, ms: u64) {
        let end = self.now + ms;
        let mut turns_count = 0;
        while self.now < end {
            turns_count += 1;
            assert!(turns_count <= 100 + ms / 500, "nothing is due all the time");
            let wake = self.engine.next_wake_unix_ms().unwrap_or(u64::MAX);
            assert!(wake <= self.now + 60_000, "a clock that is doubted is looked at");
            self.now = wake.clamp(self.now + 10, self.now + 60_000).min(end);
            assert!(self.answers().is_empty());
        }
    }
}

#[test]
fn a_clock_that_jumps_and_comes_back_lets_nothing_expire() {
    let mut bench = filled();
    bench.now += YEAR_MS;
    bench.watch(50_000);
    assert_eq!(bench.stored(), (4, 1));
    assert!(bench.engine.doubted_jump_ms().is_some());
    bench.now -= YEAR_MS;
    bench.pass(1_000);
    assert_eq!((bench.stored(), bench.engine.doubted_jump_ms()), ((4, 1), None));
    // And they expire when it is time.
    assert!(bench.now < EXPIRES);
    bench.pass(60_000);
    assert_eq!(bench.stored().0, 1, "those of the channel that keeps little");
    bench.pass(EXPIRES);
    assert_eq!(bench.stored().1, 0);
}

#[test]
fn a_clock_that_stays_where_it_jumped_to_is_believed_after_an_hour() {
    let mut bench = filled();
    bench.now += YEAR_MS;
    bench.watch(50_000);
    assert_eq!(bench.stored(), (4, 1));
    bench.watch(HOUR_MS);
    bench.pass(2_000);
    assert_eq!((bench.stored(), bench.engine.doubted_jump_ms()), ((1, 0), None));
}

/// A store that was not in use for a year, or whose machine has another clock now.
#[test]
fn a_start_a_year_later_is_a_jump_also_after_a_crash() {
    for crash in [Some(Crash::PowerCut), None] {
        let mut bench = filled();
        bench.pass(1_000);
        let now = bench.now + YEAR_MS;
        let mut bench = match crash {
            Some(crash) => bench.crash(crash),
            None => Bench::over(bench.engine.close().unwrap()),
        };
        bench.now = now;
        bench.watch(50_000);
        assert_eq!(bench.stored(), (4, 1), "{crash:?}");
        bench.watch(HOUR_MS + 60_000);
        bench.pass(2_000);
        assert_eq!(bench.stored(), (1, 0), "{crash:?}");
    }
}

/// What rests until a time of the wrong clock does not rest until that comes.
#[test]
fn a_clock_that_was_wrong_for_long_is_set_right_and_messages_expire_in_time() {
    let mut bench = Bench::new();
    let right = bench.now;
    bench.now += YEAR_MS;
    bench.pass(1_000);
    bench.now = right;
    bench.ask(append(ROOM, "few:a", 1));
    bench.pass(70_000);
    assert_eq!(bench.stored().0, 0);
}
