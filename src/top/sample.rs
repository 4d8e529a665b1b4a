//! What a server answered at one moment.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::reader::{ReadingError, Readings};
use crate::base::plain;

/// Letters of what the server says of itself that are kept.
const WORDS_CHARS_MAX: usize = 64;

/// The cores that a page of tasks may have.
const CORES_MAX: usize = 4_096;

/// What was answered, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminAnswer {
    /// `/metrics` with [`super::FAMILIES`].
    pub metrics: String,
    /// `/metrics?core=each` with [`super::FAMILIES_OF_CORES`]; empty from a server that does
    /// not know them.
    pub metrics_of_cores: String,
    /// `/ready`, whatever its status.
    pub ready: String,
    /// `/debug/tasks`, where a token was given and taken.
    pub tasks: Option<String>,
    /// The time of day there, if whoever asks knows it, being on the same host.
    pub now_unix_ms: Option<u64>,
}

/// Why an answer says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleError {
    /// A page of metrics is none.
    Metrics(ReadingError),
    /// Its metrics are not a chat server's.
    Stranger,
    /// The page of tasks is none.
    Tasks,
}

impl fmt::Display for SampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SampleError::Metrics(error) => error.fmt(f),
            SampleError::Stranger => {
                f.write_str("it is no rookery: it has no chat_active_connections")
            }
            SampleError::Tasks => f.write_str("its page of tasks is none"),
        }
    }
}

/// Whether new clients are welcome, and why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServerState {
    /// Not all cores listen yet.
    Starting,
    /// All is well.
    Ready,
    /// Ready, and messages are refused.
    StoreFull,
    /// Nothing is kept.
    StoreBroken,
    /// Clients are let go.
    Draining,
    /// What it says is not known here.
    Other(String),
    /// It was not asked.
    #[default]
    Unknown,
}

impl ServerState {
    /// What `/ready` says.
    fn read(text: &str) -> ServerState {
        let mut lines = text.lines();
        match (lines.next().unwrap_or_default(), lines.next().unwrap_or_default()) {
            ("starting", _) => ServerState::Starting,
            ("draining", _) => ServerState::Draining,
            ("ready", "") => ServerState::Ready,
            ("ready", more) if more.starts_with("the store is full") => ServerState::StoreFull,
            (first, _) if first.starts_with("the store is broken") => ServerState::StoreBroken,
            ("", _) => ServerState::Unknown,
            (first, _) => ServerState::Other(words(first)),
        }
    }

    /// In a word or two.
    pub fn name(&self) -> &str {
        match self {
            ServerState::Starting => "starting",
            ServerState::Ready => "ready",
            ServerState::StoreFull => "ready, store full",
            ServerState::StoreBroken => "store broken",
            ServerState::Draining => "draining",
            ServerState::Other(words) => words,
            ServerState::Unknown => "state unknown",
        }
    }
}

/// What a core's turn is doing, as `/debug/tasks` says it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CoreTask {
    /// Which core.
    pub core: u64,
    /// The phase of its turn.
    pub phase: String,
    /// For how long.
    pub for_s: f64,
    /// Requests of its ring under way.
    pub ring_operations: u64,
    /// Timers.
    pub timers: u64,
    /// Questions to other cores that are not answered.
    pub questions_open: u64,
    /// Questions to the store that are not answered.
    pub store_requests: u64,
    /// The client and the room that it works for, where it works for some.
    pub busy_with: String,
}

impl CoreTask {
    fn read(line: &Value) -> Option<CoreTask> {
        let count = |name: &str| line[name].as_u64().unwrap_or_default();
        let busy_with = ["client", "room_id"].iter().filter_map(|name| {
            Some(format!(
                "{} {}",
                name.trim_end_matches("_id"),
                words(line["busy_with"][*name].as_str()?)
            ))
        });
        Some(CoreTask {
            core: line["core"].as_u64()?,
            phase: words(line["phase"].as_str()?),
            for_s: line["for_seconds"].as_f64().unwrap_or_default(),
            ring_operations: count("ring_operations"),
            timers: count("timers"),
            questions_open: count("questions_open"),
            store_requests: count("store_requests"),
            busy_with: busy_with.collect::<Vec<_>>().join(", "),
        })
    }
}

/// A server at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// When it was asked, by the clock of whoever asks.
    pub at_ms: u64,
    pub(super) readings: Readings,
    pub(super) state: ServerState,
    /// Empty without a token.
    pub(super) tasks: Vec<CoreTask>,
    /// The time of day at the server, as well as it is known: the newest tick of a core is a
    /// second old at most, unless all of them hang.
    pub(super) now_unix_s: f64,
    /// When each core's loop turned last, by the server's clock, and since when it says so, by
    /// the clock of whoever asks: two clocks need not agree.
    ticks: BTreeMap<u64, (f64, u64)>,
}

impl Sample {
    /// What was answered, if it can be understood.
    pub fn read(answer: &AdminAnswer, at_ms: u64) -> Result<Sample, SampleError> {
        let mut readings = Readings::default();
        readings.read(&answer.metrics).map_err(SampleError::Metrics)?;
        readings.read(&answer.metrics_of_cores).map_err(SampleError::Metrics)?;
        readings.sum("chat_active_connections").ok_or(SampleError::Stranger)?;
        let (tasks, tasks_unix_ms) = match &answer.tasks {
            Some(text) => tasks(text).ok_or(SampleError::Tasks)?,
            None => (Vec::new(), None),
        };
        let ticks = readings.by("chat_core_last_tick_timestamp_seconds", "core");
        let ticks = ticks.into_iter().filter_map(|(core, tick)| Some((core.parse().ok()?, tick)));
        let ticks: BTreeMap<u64, (f64, u64)> =
            ticks.map(|(core, tick)| (core, (tick, at_ms))).collect();
        let newest = ticks.values().map(|(tick, _)| *tick).fold(0.0, f64::max);
        let known = tasks_unix_ms.or(answer.now_unix_ms).map(|now_ms| now_ms as f64 / 1e3);
        let now_unix_s = known.unwrap_or(newest);
        let state = ServerState::read(&answer.ready);
        Ok(Sample { at_ms, readings, state, tasks, now_unix_s, ticks })
    }

    /// A core that says the same time as before says it since then.
    pub fn behind(mut self, before: &Sample) -> Sample {
        for (core, (tick, since_ms)) in &mut self.ticks {
            if let Some((then, then_ms)) = before.ticks.get(core)
                && then == tick
            {
                *since_ms = *then_ms;
            }
        }
        self
    }

    /// How long ago a core's loop turned; nothing of one that has not turned yet.
    pub(super) fn tick_age_s(&self, core: u64) -> Option<f64> {
        let (tick, since_ms) = self.ticks.get(&core).filter(|(tick, _)| 0.0 < *tick)?;
        let seen_s = self.at_ms.saturating_sub(*since_ms) as f64 / 1e3;
        Some((self.now_unix_s - tick).max(seen_s))
    }
}

/// The cores of a page of tasks, and when it was written.
fn tasks(text: &str) -> Option<(Vec<CoreTask>, Option<u64>)> {
    let page: Value = serde_json::from_str(text).ok()?;
    let cores = page["cores"].as_array()?.iter().take(CORES_MAX).map(CoreTask::read);
    Some((cores.collect::<Option<_>>()?, page["now_unix_ms"].as_u64()))
}

/// The beginning of what the server says, as a terminal may show it.
fn words(text: &str) -> String {
    plain(&text.chars().take(WORDS_CHARS_MAX).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_those_of_the_page() {
        for (page, want) in [
            ("starting\n", ServerState::Starting),
            ("ready\n", ServerState::Ready),
            ("draining\n", ServerState::Draining),
            ("ready\nthe store is full: messages are refused\n", ServerState::StoreFull),
            ("the store is broken: nothing is kept\n", ServerState::StoreBroken),
            ("", ServerState::Unknown),
            ("\u{1b}[2Jtired\n", ServerState::Other("\\u{1b}[2Jtired".to_owned())),
        ] {
            assert_eq!(ServerState::read(page), want, "{page:?}");
        }
    }

    #[test]
    fn tasks_of_cores_are_read_and_what_peers_chose_is_escaped() {
        let page = r#"{"now_unix_ms":7,"cores":[{"core":3,"phase":"submit","for_seconds":0.5,
            "ring_operations":6,"timers":11,"questions_open":2,"store_requests":1,
            "busy_with":{"connection":"3.1.1","client":"c","room_id":"房间\u001b[2J"}},
            {"core":4,"phase":"sleeping","busy_with":null}]}"#;
        let (read, now_unix_ms) = tasks(page).expect("it is one");
        assert_eq!(now_unix_ms, Some(7));
        assert_eq!((read[0].core, &*read[0].phase, read[0].ring_operations), (3, "submit", 6));
        assert_eq!(read[0].busy_with, "client c, room 房间\\u{1b}[2J");
        assert_eq!((read[1].core, &*read[1].busy_with), (4, ""));
        for page in ["", "{}", "[]", r#"{"cores":[{"core":1}]}"#, r#"{"cores":[{"phase":"x"}]}"#] {
            assert_eq!(tasks(page), None, "{page}");
        }
    }

    #[test]
    fn who_is_no_chat_server_is_told_so() {
        let check = |metrics: &str, want: Option<&str>| {
            let answer = AdminAnswer { metrics: metrics.to_owned(), ..AdminAnswer::default() };
            let error = Sample::read(&answer, 0).err().map(|error| error.to_string());
            assert_eq!(
                error.as_deref().map(|error| error.contains(want.unwrap_or_default())),
                want.map(|_| true)
            );
        };
        check("chat_active_connections{protocol=\"json\"} 0\n", None);
        check("up 1\n", Some("no rookery"));
        check("<html>\n", Some("line 1"));
    }

    #[test]
    fn a_core_that_says_the_same_time_for_long_is_old_whatever_the_clocks_say() {
        let sample = |tick: &str, at_ms: u64, now_unix_ms: Option<u64>| {
            let metrics = format!(
                "chat_active_connections 0\n\
                 chat_core_last_tick_timestamp_seconds{{core=\"0\"}} {tick}\n\
                 chat_core_last_tick_timestamp_seconds{{core=\"1\"}} 100\n"
            );
            let answer = AdminAnswer { metrics, now_unix_ms, ..AdminAnswer::default() };
            Sample::read(&answer, at_ms).expect("it can be read")
        };
        let first = sample("90", 1_000, None);
        assert_eq!((first.tick_age_s(0), first.tick_age_s(1)), (Some(10.0), Some(0.0)));
        assert_eq!(sample("90", 1_000, Some(103_000)).tick_age_s(1), Some(3.0));
        let second = sample("101", 5_000, None).behind(&first);
        assert_eq!((second.tick_age_s(0), second.tick_age_s(1)), (Some(0.0), Some(4.0)));
        let third = sample("101", 7_500, None).behind(&second);
        assert_eq!((third.tick_age_s(0), third.tick_age_s(1)), (Some(2.5), Some(6.5)));
        assert_eq!((sample("0", 1, None).tick_age_s(0), third.tick_age_s(2)), (None, None));
    }
}
