//! The flight recorder: the last slow or failed events of each core.
//!
//! A core writes an event with plain stores, and whoever asks reads them without it:
//! of a core that hangs one sees what went wrong before.
//!
//! Nothing in an event names a person but the room, of which the first bytes are
//! kept: the client is there as a keyed hash, its program as a class.
//!
//! Deliberately absent: what is slow, and who asks.

use std::array;

use super::labels::{
    Agent, CloseReason, DeliveryOutcome, HandshakeOutcome, LaneKind, PublishResult, Segment,
    StoreFailure,
};
use super::record::SeqRecord;

/// Events that a core keeps of each layer: what goes wrong often must not take the place
/// of what went wrong once.
pub const FLIGHTS_PER_LAYER_MAX: usize = 128;

/// Bytes of a room's name that are kept.
pub const FLIGHT_ROOM_BYTES_MAX: usize = 24;

/// Time, cause and class and length, trace, client, value, stages, place, room.
const WORDS: usize = FIXED_WORDS + FLIGHT_ROOM_BYTES_MAX / 8;

/// All but the room.
const FIXED_WORDS: usize = 8;

/// A stage that was not measured.
const NO_STAGE: u32 = u32::MAX;

/// Which of the three promises of the product an event breaks, or which part of the
/// server is ill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// That connections live.
    Connection,
    /// That messages arrive.
    Reachability,
    /// That they arrive soon.
    Latency,
    /// A core's loop and its lanes.
    Core,
    /// What is kept on disk.
    Store,
}

impl Layer {
    /// All of them.
    pub const ALL: [Layer; 5] =
        [Layer::Connection, Layer::Reachability, Layer::Latency, Layer::Core, Layer::Store];

    /// What a query says.
    pub const fn word(self) -> &'static str {
        match self {
            Layer::Connection => "connection",
            Layer::Reachability => "reachability",
            Layer::Latency => "latency",
            Layer::Core => "core",
            Layer::Store => "store",
        }
    }
}

/// What happened, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlightCause {
    /// A message was slow, most of it here.
    SlowMessage(Segment),
    /// A message did not reach a recipient.
    FailedMessage(DeliveryOutcome),
    /// A message was not taken.
    RefusedMessage(PublishResult),
    /// A connection ended as it should not.
    Closed(CloseReason),
    /// An upgrade came to nothing.
    HandshakeFailed(HandshakeOutcome),
    /// A turn of the core's loop was long.
    Stall,
    /// The store did not do what it was asked.
    StoreFailure(StoreFailure),
    /// There was no room in the lane to another core.
    LaneFull(LaneKind),
    /// A client was sent away because its prefix is blocked.
    Quarantined,
}

/// What a query says for each kind of cause.
pub const KINDS: [&str; 9] = [
    "slow_message",
    "failed_message",
    "refused_message",
    "closed",
    "handshake_failed",
    "stall",
    "store_failure",
    "lane_full",
    "quarantined",
];

impl FlightCause {
    /// The kind and the reason, as numbers.
    const fn numbers(self) -> (u8, u8) {
        match self {
            FlightCause::SlowMessage(segment) => (0, segment as u8),
            FlightCause::FailedMessage(outcome) => (1, outcome as u8),
            FlightCause::RefusedMessage(result) => (2, result as u8),
            FlightCause::Closed(reason) => (3, reason as u8),
            FlightCause::HandshakeFailed(outcome) => (4, outcome as u8),
            FlightCause::Stall => (5, 0),
            FlightCause::StoreFailure(failure) => (6, failure as u8),
            FlightCause::LaneFull(lane) => (7, lane as u8),
            FlightCause::Quarantined => (8, 0),
        }
    }

    fn from_numbers(kind: u8, reason: u8) -> Option<FlightCause> {
        fn of<T: Copy>(all: &[T], reason: u8) -> Option<T> {
            all.get(usize::from(reason)).copied()
        }
        Some(match kind {
            0 => FlightCause::SlowMessage(of(Segment::ALL, reason)?),
            1 => FlightCause::FailedMessage(of(DeliveryOutcome::ALL, reason)?),
            2 => FlightCause::RefusedMessage(of(PublishResult::ALL, reason)?),
            3 => FlightCause::Closed(of(CloseReason::ALL, reason)?),
            4 => FlightCause::HandshakeFailed(of(HandshakeOutcome::ALL, reason)?),
            5 => FlightCause::Stall,
            6 => FlightCause::StoreFailure(of(StoreFailure::ALL, reason)?),
            7 => FlightCause::LaneFull(of(LaneKind::ALL, reason)?),
            8 => FlightCause::Quarantined,
            9.. => return None,
        })
    }

    /// The kind, as a query says it.
    pub const fn kind(self) -> &'static str {
        KINDS[self.numbers().0 as usize]
    }

    /// The reason, in the words of the metric that counts it.
    pub const fn reason(self) -> &'static str {
        match self {
            FlightCause::SlowMessage(segment) => segment.word(),
            FlightCause::FailedMessage(outcome) => outcome.word(),
            FlightCause::RefusedMessage(result) => result.word(),
            FlightCause::Closed(reason) => reason.word(),
            FlightCause::HandshakeFailed(outcome) => outcome.word(),
            FlightCause::Stall => "turn",
            FlightCause::StoreFailure(failure) => failure.word(),
            FlightCause::LaneFull(lane) => lane.word(),
            FlightCause::Quarantined => "refused",
        }
    }

    /// Which promise it breaks.
    pub const fn layer(self) -> Layer {
        match self {
            FlightCause::SlowMessage(_) => Layer::Latency,
            FlightCause::FailedMessage(_) | FlightCause::RefusedMessage(_) => Layer::Reachability,
            FlightCause::Closed(_) | FlightCause::HandshakeFailed(_) | FlightCause::Quarantined => {
                Layer::Connection
            }
            FlightCause::Stall | FlightCause::LaneFull(_) => Layer::Core,
            FlightCause::StoreFailure(_) => Layer::Store,
        }
    }
}

/// How long the pieces of a message's way took, in us, as far as they were measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageDurations {
    /// From the sender's clock to the home of the room.
    pub p2b_us: Option<u32>,
    /// Within the home.
    pub queue_us: Option<u32>,
    /// From there to the reader's socket.
    pub b2c_us: Option<u32>,
    /// From there to its acknowledgement.
    pub consume_us: Option<u32>,
}

/// What a core records.
#[derive(Clone, Copy, Debug)]
pub struct FlightRecord<'a> {
    /// When it happened.
    pub unix_ms: u64,
    /// What, and why.
    pub cause: FlightCause,
    /// The message's trace; 0 for none.
    pub trace_id: u128,
    /// The channel; empty for none. What is too long is cut.
    pub room: &'a str,
    /// What kind of program the client is.
    pub agent: Agent,
    /// The client, as a keyed hash; 0 for none.
    pub client_hash: u64,
    /// How long it took, or what else there is to say in us.
    pub value_us: u64,
    /// The pieces of that.
    pub stages: StageDurations,
}

impl FlightRecord<'_> {
    /// That this happened, and nothing else.
    pub fn new(unix_ms: u64, cause: FlightCause) -> FlightRecord<'static> {
        FlightRecord {
            unix_ms,
            cause,
            trace_id: 0,
            room: "",
            agent: Agent::None,
            client_hash: 0,
            value_us: 0,
            stages: StageDurations::default(),
        }
    }
}

/// An event as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// When it happened.
    pub unix_ms: u64,
    /// What, and why.
    pub cause: FlightCause,
    /// The message's trace; 0 for none.
    pub trace_id: u128,
    /// The channel's first bytes; empty for none.
    pub room: String,
    /// What kind of program the client is.
    pub agent: Agent,
    /// The client, as a keyed hash; 0 for none.
    pub client_hash: u64,
    /// How long it took, in us.
    pub value_us: u64,
    /// The pieces of that.
    pub stages: StageDurations,
}

/// Events of each layer since the beginning, in the order of `Layer::ALL`.
pub(super) type FlightCounts = [usize; Layer::ALL.len()];

/// The places of one core's events, by layer. The oldest of a layer gives way to its newest.
#[derive(Debug)]
pub(super) struct FlightRecorder([Box<[SeqRecord<WORDS>]>; Layer::ALL.len()]);

impl FlightRecorder {
    pub fn new() -> FlightRecorder {
        FlightRecorder(array::from_fn(|_| {
            (0..FLIGHTS_PER_LAYER_MAX).map(|_| SeqRecord::new()).collect()
        }))
    }

    /// For the one writer of these places, who keeps the counts: the next event.
    pub fn note(&self, counts: &mut FlightCounts, flight: &FlightRecord<'_>) {
        let layer = flight.cause.layer() as usize;
        self.0[layer][counts[layer] % FLIGHTS_PER_LAYER_MAX].write(&encode(flight));
        counts[layer] = counts[layer].wrapping_add(1);
    }

    /// What is there, in no order. What is being written at this moment is not.
    pub fn read(&self) -> Vec<RecordedEvent> {
        self.0.iter().flatten().filter_map(|record| decode(&record.read()?)).collect()
    }
}

fn encode(flight: &FlightRecord<'_>) -> [u64; WORDS] {
    let (kind, reason) = flight.cause.numbers();
    let room = flight.room.floor_char_boundary(FLIGHT_ROOM_BYTES_MAX);
    let room = &flight.room.as_bytes()[..room];
    let mut text = [0; FLIGHT_ROOM_BYTES_MAX];
    text[..room.len()].copy_from_slice(room);
    let small = [kind, reason, flight.agent as u8, room.len() as u8, 0, 0, 0, 0];
    let StageDurations { p2b_us, queue_us, b2c_us, consume_us } = flight.stages;
    let pair = |one: Option<u32>, other: Option<u32>| {
        u64::from(one.unwrap_or(NO_STAGE)) << 32 | u64::from(other.unwrap_or(NO_STAGE))
    };
    let mut words = [0; WORDS];
    words[..FIXED_WORDS].copy_from_slice(&[
        flight.unix_ms,
        u64::from_le_bytes(small),
        (flight.trace_id >> 64) as u64,
        flight.trace_id as u64,
        flight.client_hash,
        flight.value_us,
        pair(p2b_us, queue_us),
        pair(b2c_us, consume_us),
    ]);
    let (eights, _) = text.as_chunks::<8>();
    for (word, eight) in words[FIXED_WORDS..].iter_mut().zip(eights) {
        *word = u64::from_le_bytes(*eight);
    }
    words
}

fn decode(words: &[u64; WORDS]) -> Option<RecordedEvent> {
    let [kind, reason, agent, length, ..] = words[1].to_le_bytes();
    let room: Vec<u8> = words[FIXED_WORDS..].iter().flat_map(|word| word.to_le_bytes()).collect();
    let room = &room[..usize::from(length).min(FLIGHT_ROOM_BYTES_MAX)];
    let stage = |half: u64| Some(half as u32).filter(|&us| us != NO_STAGE);
    Some(RecordedEvent {
        unix_ms: words[0],
        cause: FlightCause::from_numbers(kind, reason)?,
        trace_id: u128::from(words[2]) << 64 | u128::from(words[3]),
        room: String::from_utf8_lossy(room).into_owned(),
        agent: Agent::from_number(agent),
        client_hash: words[4],
        value_us: words[5],
        stages: StageDurations {
            p2b_us: stage(words[6] >> 32),
            queue_us: stage(words[6]),
            b2c_us: stage(words[7] >> 32),
            consume_us: stage(words[7]),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every cause there is.
    fn causes() -> Vec<FlightCause> {
        let mut all = vec![FlightCause::Stall, FlightCause::Quarantined];
        all.extend(Segment::ALL.iter().copied().map(FlightCause::SlowMessage));
        all.extend(DeliveryOutcome::ALL.iter().copied().map(FlightCause::FailedMessage));
        all.extend(PublishResult::ALL.iter().copied().map(FlightCause::RefusedMessage));
        all.extend(CloseReason::ALL.iter().copied().map(FlightCause::Closed));
        all.extend(HandshakeOutcome::ALL.iter().copied().map(FlightCause::HandshakeFailed));
        all.extend(StoreFailure::ALL.iter().copied().map(FlightCause::StoreFailure));
        all.extend(LaneKind::ALL.iter().copied().map(FlightCause::LaneFull));
        all
    }

    #[test]
    fn every_cause_is_read_as_it_was_noted() {
        let mut kinds = Vec::new();
        for cause in causes() {
            let (kind, reason) = cause.numbers();
            assert_eq!(FlightCause::from_numbers(kind, reason), Some(cause));
            assert!(KINDS.contains(&cause.kind()) && !cause.reason().is_empty());
            assert!(Layer::ALL.contains(&cause.layer()));
            kinds.push(cause.kind());
        }
        assert!(KINDS.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
        assert_eq!(FlightCause::from_numbers(9, 0), None);
        assert_eq!(FlightCause::from_numbers(3, 200), None);
    }

    #[track_caller]
    fn check_room(room: &str, want: &str) {
        let flight = FlightRecord { room, ..FlightRecord::new(1, FlightCause::Stall) };
        assert_eq!(decode(&encode(&flight)).unwrap().room, want);
    }

    #[test]
    fn a_room_is_cut_between_characters() {
        check_room("", "");
        check_room("room:\"<@all>\"\n", "room:\"<@all>\"\n");
        check_room("123456789012345678901234+", "123456789012345678901234");
        check_room("12345678901234567890123\u{e9}", "12345678901234567890123");
    }

    #[test]
    fn all_of_an_event_comes_back() {
        let stages = StageDurations {
            p2b_us: Some(0),
            queue_us: None,
            b2c_us: Some(u32::MAX - 1),
            consume_us: Some(7),
        };
        let cause = FlightCause::SlowMessage(Segment::B2c);
        let flight = FlightRecord {
            unix_ms: 1_700_000_000_123,
            cause,
            trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            room: "room:1",
            agent: Agent::Python,
            client_hash: u64::MAX,
            value_us: 1_900_000,
            stages,
        };
        let want = RecordedEvent {
            unix_ms: flight.unix_ms,
            cause,
            trace_id: flight.trace_id,
            room: "room:1".to_owned(),
            agent: Agent::Python,
            client_hash: u64::MAX,
            value_us: 1_900_000,
            stages,
        };
        let flights = FlightRecorder::new();
        assert_eq!(flights.read(), []);
        flights.note(&mut FlightCounts::default(), &flight);
        assert_eq!(flights.read(), [want]);
    }

    #[test]
    fn the_newest_take_the_places_of_the_oldest() {
        let flights = FlightRecorder::new();
        let mut counts = FlightCounts::default();
        for unix_ms in 0..FLIGHTS_PER_LAYER_MAX as u64 + 10 {
            flights.note(&mut counts, &FlightRecord::new(unix_ms, FlightCause::Stall));
        }
        let mut times: Vec<u64> = flights.read().iter().map(|one| one.unix_ms).collect();
        times.sort_unstable();
        assert!(times.into_iter().eq(10..FLIGHTS_PER_LAYER_MAX as u64 + 10));
    }

    #[test]
    fn many_of_one_layer_take_no_place_of_anothers() {
        let flights = FlightRecorder::new();
        let mut counts = FlightCounts::default();
        let refused = FlightCause::RefusedMessage(PublishResult::Failed);
        flights.note(&mut counts, &FlightRecord::new(1, refused));
        for cause in
            [FlightCause::SlowMessage(Segment::B2c), FlightCause::Stall, FlightCause::Quarantined]
        {
            (0..10_000).for_each(|at| flights.note(&mut counts, &FlightRecord::new(at, cause)));
        }
        assert_eq!(flights.read().iter().filter(|one| one.cause == refused).count(), 1);
    }
}
