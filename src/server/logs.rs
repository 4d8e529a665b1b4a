//! What the operator reads: one line an event, text or JSON, on stderr.
//!
//! Never in a line: tokens, message bodies, and what a peer sent as it came.
//! Whoever must name something of a peer's writes it through [`Quoted`].

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{self, PanicHookInfo};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt as lines;

use super::options::{LogFormat, LogLevel};
use crate::base::contained;

/// Bytes of a peer's that one line may quote.
const QUOTED_BYTES_MAX: usize = 64;

/// Contained panics that are written; the metrics count them all.
const CONTAINED_LINES_MAX: u32 = 100;

/// Begins to log. A second call, as in tests, changes nothing.
pub fn begin(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let lines = lines().with_max_level(level).with_writer(io::stderr).with_target(false);
    let begun = match format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    drop(begun); // the first subscriber stays
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

/// From here on, a panic that is contained is one line, and any other one is a
/// line and the end of the process: state that nobody trusts serves nobody.
pub fn end_on_panic() {
    panic::set_hook(Box::new(|panic| {
        static CONTAINED_LINES: AtomicU32 = AtomicU32::new(0);
        if let Some(what) = contained() {
            if CONTAINED_LINES.fetch_add(1, Relaxed) < CONTAINED_LINES_MAX {
                tracing::error!("{what} panicked and was closed: {}", cause(panic));
            }
            return;
        }
        tracing::error!("the server panicked and ends: {}", cause(panic));
        process::abort();
    }));
}

/// Where, and what was said if the words were in the source: a formatted
/// message may quote a peer.
fn cause(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(|location| location.to_string()).unwrap_or_default();
    let thread = thread::current();
    format!("{} at {place} in {}", words(panic.payload()), thread.name().unwrap_or("a thread"))
}

fn words(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("(a message with data)")
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

    #[test]
    fn a_panic_is_named_by_words_of_the_source_only() {
        let secret = "token";
        let formatted: Box<dyn Any + Send> = Box::new(format!("cannot read {secret}"));
        assert_eq!(words(&*formatted), "(a message with data)");
        let literal: Box<dyn Any + Send> = Box::new("lent = returned");
        assert_eq!(words(&*literal), "lent = returned");
    }
}
