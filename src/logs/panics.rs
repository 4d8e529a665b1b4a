//! Panics as lines, instead of the standard library's words on stderr, which wait for
//! whoever reads it.

use std::any::Any;
use std::panic::{self, PanicHookInfo};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

use super::flush;
use crate::base::panic_scope;

/// Panics that end less than the process and are written; the metrics count them all.
const LINES_MAX: u32 = 100;

/// From here on, a panic that is contained is one line, and any other one is a
/// line and the end of the process: state that nobody trusts serves nobody.
pub fn end_on_panic() {
    panic::set_hook(Box::new(|panic| {
        if let Some(what) = panic_scope() {
            return tell(&format!("{what} panicked and was closed"), panic);
        }
        tracing::error!("the server panicked and ends: {}", cause(panic));
        flush();
        process::abort();
    }));
}

/// From here on, a panic is one line. What it ends is decided where it is caught.
pub fn tell_panics() {
    panic::set_hook(Box::new(|panic| tell("a panic", panic)));
}

fn tell(what: &str, panic: &PanicHookInfo<'_>) {
    static LINES: AtomicU32 = AtomicU32::new(0);
    if LINES.fetch_add(1, Relaxed) < LINES_MAX {
        tracing::error!("{what}: {}", cause(panic));
    }
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
    fn a_panic_is_named_by_words_of_the_source_only() {
        let secret = "token";
        let formatted: Box<dyn Any + Send> = Box::new(format!("cannot read {secret}"));
        assert_eq!(words(&*formatted), "(a message with data)");
        let literal: Box<dyn Any + Send> = Box::new("lent = returned");
        assert_eq!(words(&*literal), "lent = returned");
    }
}
