//! Examples of slow messages: which one it was, kept beside the bucket it fell into.

use super::labels::Agent;
use super::record::SeqRecord;

/// Bytes of a room's name that an example keeps. With the trace and the agent's class
/// it stays below the 128 characters beyond which Prometheus drops an example silently.
pub(super) const ROOM_BYTES_MAX: usize = 24;

/// A bucket keeps its example so long at least: a stall that hits everybody must not
/// make each of a million deliveries write down who it was.
const FRESH_MS: u64 = 1_000;

/// One message of the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemplar<'a> {
    /// Its trace.
    pub trace_id: u128,
    /// The channel; what is too long is cut.
    pub room: &'a str,
    /// What kind of program the client is.
    pub agent: Agent,
}

/// An example as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredExemplar {
    pub value_us: u64,
    pub unix_ms: u64,
    pub trace_id: u128,
    pub room: String,
    pub agent: Agent,
}

/// A bucket's place for an example.
#[derive(Debug)]
pub(super) struct ExemplarSlot(SeqRecord<WORDS>);

/// Value, time, trace, room's length and agent, room.
const WORDS: usize = 5 + ROOM_BYTES_MAX / 8;

/// Whether an example found room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExemplarResult {
    Kept,
    /// There is a fresh one already.
    Dropped,
}

impl ExemplarSlot {
    pub fn new() -> ExemplarSlot {
        ExemplarSlot(SeqRecord::new())
    }

    /// For the one writer of these cells.
    pub fn note<'a>(
        &self,
        value_us: u64,
        unix_ms: u64,
        example: impl FnOnce() -> Exemplar<'a>,
    ) -> ExemplarResult {
        // The writer alone writes, so what it reads holds still.
        if self.0.read().is_some_and(|words| unix_ms.abs_diff(words[1]) < FRESH_MS) {
            return ExemplarResult::Dropped;
        }
        let Exemplar { trace_id, room, agent } = example();
        let room = &room.as_bytes()[..room.floor_char_boundary(ROOM_BYTES_MAX)];
        let mut text = [0; ROOM_BYTES_MAX];
        text[..room.len()].copy_from_slice(room);
        let mut words = [0; WORDS];
        words[..5].copy_from_slice(&[
            value_us,
            unix_ms,
            (trace_id >> 64) as u64,
            trace_id as u64,
            (agent as u64) << 8 | room.len() as u64,
        ]);
        let (eights, _) = text.as_chunks::<8>();
        for (word, eight) in words[5..].iter_mut().zip(eights) {
            *word = u64::from_le_bytes(*eight);
        }
        self.0.write(&words);
        ExemplarResult::Kept
    }

    /// For any thread.
    pub fn read(&self) -> Option<StoredExemplar> {
        let words = self.0.read()?;
        let room: Vec<u8> = words[5..].iter().flat_map(|word| word.to_le_bytes()).collect();
        let length = usize::from(words[4] as u8).min(ROOM_BYTES_MAX);
        Some(StoredExemplar {
            value_us: words[0],
            unix_ms: words[1],
            trace_id: u128::from(words[2]) << 64 | u128::from(words[3]),
            room: String::from_utf8_lossy(&room[..length]).into_owned(),
            agent: Agent::from_number((words[4] >> 8) as u8),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(room: &str, want: &str) {
        let place = ExemplarSlot::new();
        let trace_id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
        let example = || Exemplar { trace_id, room, agent: Agent::Python };
        assert_eq!(place.note(1, 2, example), ExemplarResult::Kept);
        let room = want.to_owned();
        let want = StoredExemplar { value_us: 1, unix_ms: 2, trace_id, room, agent: Agent::Python };
        assert_eq!(place.read(), Some(want));
    }

    #[test]
    fn an_example_comes_back_as_it_was_or_cut() {
        check("", "");
        check("room:lobby", "room:lobby");
        check("123456789012345678901234", "123456789012345678901234");
        check("1234567890123456789012345", "123456789012345678901234");
        check("12345678901234567890123\u{e9}", "12345678901234567890123");
        check("a\"\\\n\u{1f600}", "a\"\\\n\u{1f600}");
    }

    #[test]
    fn a_fresh_example_stays() {
        let place = ExemplarSlot::new();
        let one = || Exemplar { trace_id: 1, room: "", agent: Agent::None };
        assert_eq!(place.read(), None);
        assert_eq!(place.note(1, 50_000, one), ExemplarResult::Kept);
        let asked = || -> Exemplar<'_> { panic!("nobody is asked for what is not kept") };
        assert_eq!(place.note(2, 50_000 + FRESH_MS - 1, asked), ExemplarResult::Dropped);
        assert_eq!(place.note(3, 50_000 + FRESH_MS, one), ExemplarResult::Kept);
        // A clock that was put back does not keep the old one for ever.
        assert_eq!(place.note(4, 10_000, one), ExemplarResult::Kept);
        assert_eq!(place.read().map(|kept| kept.value_us), Some(4));
    }
}
