//! What the operator reads: one line an event, text or JSON, on stderr, of each process
//! that stays (server, alert bridge, probe).
//!
//! Whoever logs never waits and never fails: a line goes into a bounded queue, and a
//! thread of its own writes it. When the reader of stderr is slow or gone, or its disk is
//! full, lines are counted and dropped, and one line says so when lines can be written
//! again.
//!
//! Invariant: nobody but that thread writes to stderr once `begin` was called, and it
//! does so through a descriptor of its own, so that it holds no lock of the standard
//! library's while it waits for a reader.
//!
//! Never in a line: tokens, message bodies, and what a peer sent as it came. Whoever must
//! name something of a peer's writes it through [`Quoted`]; what slips through is escaped
//! in the queue, and no kind of line comes more often than its rate.
//!
//! Deliberately absent: files and their rotation, which are whoever's who starts us.
#![forbid(unsafe_code)]

mod escape;
mod pace;
mod panics;
mod queue;
mod signals;
mod writer;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt as lines;

use crate::base::catch_panic;
use queue::LineQueue;
use writer::Writer;

pub use panics::{end_on_panic, tell_panics};
pub use queue::LogLoss;

/// Bytes of a peer's that one line may quote.
const QUOTED_BYTES_MAX: usize = 64;

/// How long the last lines may take, in ms. A reader that is alive takes them at once,
/// and one that is not must not keep a process from its end.
const FLUSH_MS_MAX: u64 = 1_000;

/// The queue of this process, from `begin` on.
static QUEUE: OnceLock<LineQueue> = OnceLock::new();

/// What a log line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The least important line that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What does not work.
    Error,
    /// What works, but should not stay so.
    Warn,
    /// Start, stop, reload.
    Info,
    /// For those who look for a fault.
    Debug,
}

/// Begins to log. A second call, as in tests, changes nothing. Must come before
/// descriptor tables split: the thread keeps the table of whoever calls.
pub fn begin(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let (queue, waiting) = LineQueue::new(format);
    if QUEUE.set(queue.clone()).is_err() {
        return; // the first one stays
    }
    signals::outlive();
    // Without a descriptor of our own, or without a thread, nobody reads the queue: it
    // fills up, and lines are counted as lost.
    if let Ok(descriptor) = io::stderr().as_fd().try_clone_to_owned() {
        let mut writer = Writer::new(File::from(descriptor), format, queue.clone());
        let named = thread::Builder::new().name("log".to_owned());
        // A mistake of ours in there is no reason to end a server, nor to be silent.
        let mut run = move || catch_panic("the log", || writer.run(&waiting));
        drop(named.spawn(move || while run().is_err() {}));
    }
    let lines = lines().with_max_level(level).with_writer(queue).with_target(false);
    // The subscriber tells its own mistakes on stderr, and panics when it cannot.
    let lines = lines.log_internal_errors(false);
    let begun = match format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    drop(begun);
}

/// Waits until what was said before is written, but not longer than a second. A process
/// calls it last.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(Duration::from_millis(FLUSH_MS_MAX));
    }
}

/// Lines of this process that nobody can read, by why.
pub fn lost(why: LogLoss) -> u64 {
    QUEUE.get().map_or(0, |queue| queue.lost(why))
}

/// A peer's bytes, escaped and cut.
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(QUOTED_BYTES_MAX)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        match self.0.len() - shown.len() {
            0 => Ok(()),
            cut_bytes => write!(f, " and {cut_bytes} bytes more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_sent_is_escaped_and_cut() {
        assert_eq!(Quoted(b"a\n\x1b[2J\"").to_string(), r#""a\n\x1b[2J\"""#);
        assert_eq!(Quoted("é".as_bytes()).to_string(), r#""\xc3\xa9""#);
        let long = Quoted(&[b'x'; 70]).to_string();
        assert!(long.ends_with("x\" and 6 bytes more") && long.len() < 90, "{long}");
    }
}
