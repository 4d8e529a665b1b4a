//! What a load does, as a value: everything that chance or the command line
//! decides is in here, so a run can be described, printed, and run again.
//!
//! Connections are numbered from 0 over all threads, and threads have them in
//! that order. The active ones come first, so a few of them among very many are
//! all on the first thread, and no other thread has to be awake in time for
//! them. The others sit in rooms of `room_members` and do what idle clients do.
//!
//! Deliberately absent: sockets, time, results.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

use rookery::base::Prng;
use serde::{Deserialize, Serialize};

/// Connections that one source address gives to one destination: the width of
/// Linux's default range of local ports is 28,232.
pub const CONNECTIONS_PER_SOURCE_MAX: u32 = 14_000;

/// Seconds of a day, as a ceiling for every duration that a scenario names.
pub const DURATION_MS_MAX: u64 = 86_400_000;

/// One load, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// Everything random follows from it.
    pub seed: u64,
    /// What happens.
    pub load: Load,
    /// How the connections speak.
    pub format: WireFormat,
    /// All of them, idle and active.
    pub connections: u32,
    /// Those that send, or receive what is measured.
    pub active: u32,
    /// Members of each room of idle connections.
    pub room_members: u32,
    /// Bytes of a message's data.
    pub data_bytes: u32,
    /// Without chat: a connection is in when a first frame of so many bytes came
    /// back, so that it takes as many round trips as with chat; 0 for at once.
    #[serde(default)]
    pub greeting_bytes: u32,
    /// Client threads; each has its own ring.
    pub threads: u16,
    /// Upgrades, connects and subscribes under way at a time, over all threads.
    pub handshakes_max: u32,
}

/// The kinds of loads. Times are of the measured part, after everyone is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// Everyone comes and stays.
    Connect {
        /// How long they stay before each of them has to answer.
        hold_ms: u64,
    },
    /// Each active connection publishes into a room of its own and waits for
    /// its own message.
    Echo {
        /// How fast.
        pace: Pace,
        /// For how long.
        measure_ms: u64,
    },
    /// All active connections share one room; the first few of them publish.
    Fanout {
        /// How many of the active ones publish.
        publishers: u32,
        /// How fast.
        pace: Pace,
        /// For how long.
        measure_ms: u64,
    },
    /// All drop at once; their rooms go on talking; all come back and recover.
    /// Active connections stay: each talks to itself in a room of its own, before
    /// the storm and until all others are back.
    Storm {
        /// Messages of each room that everyone misses.
        missed: u32,
        /// Messages a second over all active connections.
        per_s: u32,
        /// How long they talk before the storm.
        calm_ms: u64,
    },
    /// Echoes at a steady rate while connections come and go.
    Soak {
        /// Messages a second over all.
        per_s: u32,
        /// Connections a second that drop and come back.
        churn_per_s: u32,
        /// For how long.
        measure_ms: u64,
    },
}

/// When the next message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// As soon as fewer than so many are on their way.
    Closed {
        /// Messages that not everyone has received yet.
        outstanding: u32,
    },
    /// At fixed times, whatever the server does.
    Open {
        /// Messages a second over all publishers.
        per_s: u32,
    },
}

/// What is inside the WebSocket frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireFormat {
    /// The chat protocol in text frames.
    Json,
    /// The chat protocol in binary frames.
    Protobuf,
    /// Binary frames of 8 bytes sequence number, 8 bytes time and padding, as
    /// the floor takes them.
    Plain,
}

/// What a connection is in this scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// In a room, silent.
    Listener,
    /// In a room, and speaks in it.
    Publisher,
}

/// Why a scenario cannot be run. All of it is the caller's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScenarioError {
    /// A number that must be above zero.
    Zero(&'static str),
    /// More active connections, or publishers, than there are to choose from.
    TooMany(&'static str),
    /// Data too short for the time that it carries, or longer than a frame may be.
    DataBytes,
    /// Longer than a day.
    Duration,
    /// A window is kept by one thread, so that has all publishers.
    Publishers,
    /// Plain frames have one sequence: a single publisher, no recovery, no rooms.
    Plain,
}

impl std::fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ScenarioError::Zero(what) => write!(f, "{what} must be at least 1"),
            ScenarioError::TooMany(what) => {
                write!(f, "more {what} than connections to choose from")
            }
            ScenarioError::DataBytes => {
                let (least, most) = (Scenario::DATA_BYTES_MIN, Scenario::DATA_BYTES_MAX);
                write!(f, "a message takes {least} to {most} bytes of data")
            }
            ScenarioError::Duration => write!(f, "a load takes at most {DURATION_MS_MAX} ms"),
            ScenarioError::Publishers => {
                f.write_str("with a window, all publishers must fit on the first thread")
            }
            ScenarioError::Plain => {
                f.write_str("plain framing knows connect, echo, and fanout with one publisher")
            }
        }
    }
}

impl std::error::Error for ScenarioError {}

impl Scenario {
    /// Quotes around a time of 16 and a number of 8 hexadecimal digits.
    pub const DATA_BYTES_MIN: u32 = 26;
    /// Below the 64 KiB that a frame may have, with room for names.
    pub const DATA_BYTES_MAX: u32 = 60_000;

    /// Every later calculation relies on what is checked here.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let above_zero = [
            ("connections", self.connections),
            ("room members", self.room_members),
            ("threads", u32::from(self.threads)),
            ("handshakes", self.handshakes_max),
        ];
        if let Some((what, _)) = above_zero.iter().find(|(_, number)| *number == 0) {
            return Err(ScenarioError::Zero(what));
        }
        if self.connections < self.active {
            return Err(ScenarioError::TooMany("active connections"));
        }
        if self.connections < u32::from(self.threads) {
            return Err(ScenarioError::TooMany("threads"));
        }
        if !(Self::DATA_BYTES_MIN..=Self::DATA_BYTES_MAX).contains(&self.data_bytes) {
            return Err(ScenarioError::DataBytes);
        }
        self.load.check(self.active)?;
        let rooms = self.connections.div_ceil(self.room_members);
        if matches!(self.load, Load::Soak { .. }) && rooms < self.active {
            return Err(ScenarioError::TooMany("active rooms"));
        }
        if self.has_own_thread() && self.connections - self.active < u32::from(self.threads) - 1 {
            return Err(ScenarioError::TooMany("threads"));
        }
        if self.of_thread(0).len() < self.publishers() as usize && self.load.is_windowed() {
            return Err(ScenarioError::Publishers);
        }
        let plain = match self.load {
            Load::Connect { .. } | Load::Echo { .. } => true,
            Load::Fanout { publishers, .. } => publishers == 1,
            Load::Storm { .. } | Load::Soak { .. } => false,
        };
        if self.format == WireFormat::Plain && !plain { Err(ScenarioError::Plain) } else { Ok(()) }
    }

    /// The connections of one thread.
    pub fn of_thread(&self, thread: u16) -> Range<u32> {
        let cut = |n: u16, first: u32, threads: u16| {
            let connections = u64::from(self.connections - first);
            first + (connections * u64::from(n) / u64::from(threads)) as u32
        };
        match thread {
            0 if self.has_own_thread() => 0..self.active,
            1.. if self.has_own_thread() => {
                let cut = |n| cut(n, self.active, self.threads - 1);
                cut(thread - 1)..cut(thread)
            }
            _ => cut(thread, 0, self.threads)..cut(thread + 1, 0, self.threads),
        }
    }

    /// Whether the active connections have the first thread for themselves: who
    /// measures a storm must not be part of it.
    fn has_own_thread(&self) -> bool {
        matches!(self.load, Load::Storm { .. }) && 0 < self.active && 1 < self.threads
    }

    /// Whether a connection stays when all others drop.
    pub fn stays(&self, connection: u32) -> bool {
        matches!(self.load, Load::Storm { .. }) && connection < self.active
    }

    /// What a connection does.
    pub fn role(&self, connection: u32) -> Role {
        let is_first_of_room =
            |first: u32| connection.wrapping_sub(first).is_multiple_of(self.room_members);
        let is_publisher = match self.load {
            Load::Connect { .. } => false,
            Load::Echo { .. } => connection < self.active,
            Load::Fanout { publishers, .. } => connection < publishers,
            Load::Storm { .. } => connection < self.active || is_first_of_room(self.active),
            Load::Soak { .. } => {
                is_first_of_room(0) && connection / self.room_members < self.active
            }
        };
        if is_publisher { Role::Publisher } else { Role::Listener }
    }

    /// Which room a connection is in.
    pub fn room(&self, connection: u32) -> u32 {
        match self.load {
            Load::Echo { .. } | Load::Storm { .. } if connection < self.active => connection,
            Load::Fanout { .. } if connection < self.active => 0,
            Load::Echo { .. } | Load::Storm { .. } => {
                self.active + (connection - self.active) / self.room_members
            }
            Load::Fanout { .. } => 1 + (connection - self.active) / self.room_members,
            Load::Connect { .. } | Load::Soak { .. } => connection / self.room_members,
        }
    }

    /// Rooms that are spoken in: those below this number.
    pub fn spoken_rooms(&self) -> u32 {
        match self.load {
            Load::Connect { .. } => 0,
            Load::Echo { .. } | Load::Soak { .. } => self.active,
            Load::Fanout { .. } => 1,
            Load::Storm { .. } => {
                self.active + (self.connections - self.active).div_ceil(self.room_members)
            }
        }
    }

    /// All that publish.
    pub fn publishers(&self) -> u32 {
        match self.load {
            Load::Fanout { publishers, .. } => publishers,
            Load::Connect { .. } | Load::Echo { .. } | Load::Storm { .. } | Load::Soak { .. } => {
                self.spoken_rooms()
            }
        }
    }

    /// The room of a connection, if anyone speaks in it.
    pub fn hears(&self, connection: u32) -> Option<u32> {
        Some(self.room(connection)).filter(|room| *room < self.spoken_rooms())
    }

    /// The channel of a room. The seed is in it, so two scenarios on one server
    /// do not meet.
    pub fn channel(&self, room: u32) -> String {
        format!("room:{:x}-{room}", self.seed)
    }

    /// Who a connection is.
    pub fn user(&self, connection: u32) -> String {
        format!("u{connection}")
    }

    /// Where a connection comes from: an address of 127.0.0.0/8 that the seed
    /// chooses, another one for each attempt, so that ports in TIME_WAIT are
    /// left alone. `None` for a server that is not on loopback.
    pub fn source(&self, connection: u32, attempt: u32, to: SocketAddr) -> Option<SocketAddr> {
        let IpAddr::V4(destination) = to.ip() else { return None };
        if !destination.is_loopback() {
            return None;
        }
        let sources = self.connections.div_ceil(CONNECTIONS_PER_SOURCE_MAX);
        let nth = connection % sources + attempt * sources;
        let first = Prng::from_seed(self.seed).below(1 << 22) as u32;
        // 127.64.0.0 to 127.127.255.255: never 127.0.0.1, which servers listen on.
        let address = Ipv4Addr::from(0x7f40_0000 | first.wrapping_add(nth) & 0x3f_ffff);
        Some(SocketAddr::new(IpAddr::V4(address), 0))
    }
}

impl Load {
    /// The word for it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Load::Connect { .. } => "connect",
            Load::Echo { .. } => "echo",
            Load::Fanout { .. } => "fanout",
            Load::Storm { .. } => "storm",
            Load::Soak { .. } => "soak",
        }
    }

    fn is_windowed(self) -> bool {
        matches!(self, Load::Fanout { pace: Pace::Closed { .. }, .. })
    }

    fn check(self, active: u32) -> Result<(), ScenarioError> {
        let (needs_active, pace, duration_ms) = match self {
            Load::Connect { hold_ms } => (0, None, hold_ms),
            Load::Echo { pace, measure_ms } => (1, Some(pace), measure_ms),
            Load::Fanout { publishers, pace, measure_ms } => {
                if publishers == 0 {
                    return Err(ScenarioError::Zero("publishers"));
                }
                if active < publishers {
                    return Err(ScenarioError::TooMany("publishers"));
                }
                (1, Some(pace), measure_ms)
            }
            Load::Storm { per_s, calm_ms, .. } => {
                (0, Some(Pace::Open { per_s }).filter(|_| 0 < active), calm_ms)
            }
            Load::Soak { per_s, measure_ms, .. } => (1, Some(Pace::Open { per_s }), measure_ms),
        };
        if active < needs_active {
            return Err(ScenarioError::Zero("active connections"));
        }
        if DURATION_MS_MAX < duration_ms {
            return Err(ScenarioError::Duration);
        }
        match pace {
            Some(Pace::Closed { outstanding: 0 }) => {
                Err(ScenarioError::Zero("outstanding messages"))
            }
            Some(Pace::Open { per_s: 0 }) => Err(ScenarioError::Zero("messages a second")),
            Some(Pace::Closed { .. } | Pace::Open { .. }) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn scenario(load: Load, connections: u32, active: u32) -> Scenario {
        Scenario {
            seed: 7,
            load,
            format: WireFormat::Protobuf,
            connections,
            active,
            room_members: 10,
            data_bytes: 128,
            greeting_bytes: 0,
            threads: 3,
            handshakes_max: 64,
        }
    }

    const ECHO: Load = Load::Echo { pace: Pace::Closed { outstanding: 1 }, measure_ms: 1 };

    #[test]
    fn every_connection_belongs_to_one_thread() {
        let storm = Load::Storm { missed: 1, per_s: 1, calm_ms: 1 };
        for (load, connections) in
            [ECHO, storm].iter().flat_map(|l| [3, 50, 1_001].map(|n| (*l, n)))
        {
            let scenario = scenario(load, connections, 1);
            let all: Vec<u32> = (0..3).flat_map(|thread| scenario.of_thread(thread)).collect();
            assert_eq!(all, (0..connections).collect::<Vec<_>>());
            let staying = (0..connections).filter(|c| scenario.stays(*c));
            assert!(load == ECHO || staying.eq(scenario.of_thread(0)));
        }
    }

    /// For each load: members of the rooms that are spoken in, members of the
    /// others, publishers.
    #[test]
    fn rooms_and_publishers_are_as_each_load_says() {
        let check = |load, spoken: &[usize], silent_max: usize, publishers: usize| {
            let scenario = scenario(load, 100, 4);
            let mut members: BTreeMap<u32, usize> = BTreeMap::new();
            for connection in 0..100 {
                *members.entry(scenario.room(connection)).or_default() += 1;
            }
            let (heard, unheard): (Vec<_>, Vec<_>) =
                members.into_iter().partition(|(room, _)| *room < scenario.spoken_rooms());
            assert_eq!(heard.iter().map(|(_, count)| *count).collect::<Vec<_>>(), spoken);
            assert!(unheard.iter().all(|(_, count)| *count <= silent_max), "{unheard:?}");
            let speaking = (0..100).filter(|c| scenario.role(*c) == Role::Publisher);
            let speaking: Vec<_> = speaking.map(|c| scenario.hears(c).unwrap()).collect();
            assert_eq!(speaking.len(), publishers);
            assert_eq!(scenario.publishers() as usize, publishers);
            assert_eq!(speaking.iter().max().map_or(0, |room| room + 1), scenario.spoken_rooms());
        };
        let pace = Pace::Open { per_s: 1 };
        check(Load::Connect { hold_ms: 1 }, &[], 10, 0);
        check(ECHO, &[1; 4], 10, 4);
        check(Load::Fanout { publishers: 2, pace, measure_ms: 1 }, &[4], 10, 2);
        let mut storm: Vec<usize> = vec![1; 4];
        storm.extend([10; 9]);
        storm.push(6);
        check(Load::Storm { missed: 1, per_s: 1, calm_ms: 1 }, &storm, 0, 14);
        check(Load::Soak { per_s: 1, churn_per_s: 1, measure_ms: 1 }, &[10; 4], 10, 4);
    }

    #[test]
    fn a_scenario_survives_json_and_decides_the_same_again() {
        let load = Load::Soak { per_s: 5, churn_per_s: 2, measure_ms: 1_000 };
        let before = scenario(load, 100, 3);
        let text = serde_json::to_string(&before).unwrap();
        let after: Scenario = serde_json::from_str(&text).unwrap();
        assert_eq!(before, after);
        let to = "127.0.0.1:1".parse().unwrap();
        for connection in 0..100 {
            assert_eq!(before.source(connection, 1, to), after.source(connection, 1, to));
            assert_eq!(before.channel(connection), after.channel(connection));
        }
    }

    #[test]
    fn no_source_address_is_overloaded_or_used_twice_in_a_row() {
        let scenario = scenario(ECHO, 100_000, 1);
        let to = "127.0.0.1:1".parse().unwrap();
        let mut used: BTreeMap<SocketAddr, u32> = BTreeMap::new();
        for connection in 0..100_000 {
            let from = scenario.source(connection, 0, to).unwrap();
            *used.entry(from).or_default() += 1;
        }
        assert!(used.values().all(|count| *count <= CONNECTIONS_PER_SOURCE_MAX));
        assert!(!used.contains_key(&scenario.source(5, 1, to).unwrap()));
        assert_eq!(scenario.source(0, 0, "192.0.2.1:1".parse().unwrap()), None);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let check = |change: &dyn Fn(&mut Scenario), error| {
            let mut scenario = scenario(ECHO, 100, 10);
            assert_eq!(scenario.check(), Ok(()));
            change(&mut scenario);
            assert_eq!(scenario.check(), Err(error));
        };
        check(&|s| s.connections = 0, ScenarioError::Zero("connections"));
        check(&|s| s.active = 101, ScenarioError::TooMany("active connections"));
        check(&|s| s.active = 0, ScenarioError::Zero("active connections"));
        check(&|s| s.threads = 101, ScenarioError::TooMany("threads"));
        check(&|s| s.data_bytes = 25, ScenarioError::DataBytes);
        check(&|s| s.data_bytes = 60_001, ScenarioError::DataBytes);
        check(
            &|s| s.load = Load::Connect { hold_ms: DURATION_MS_MAX + 1 },
            ScenarioError::Duration,
        );
        let storm = |s: &mut Scenario| {
            s.format = WireFormat::Plain;
            s.load = Load::Storm { missed: 3, per_s: 1, calm_ms: 1 };
        };
        check(&storm, ScenarioError::Plain);
    }
}
