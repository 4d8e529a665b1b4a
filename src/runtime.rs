//! The runtime of the thread that controls a process: of the server, the bridge, the probe.
//!
//! Invariant: what may hang with a disk runs on threads that were made at the start and
//! stay. A process that may have no more threads (`pids.max` of a control group, TasksMax,
//! `ulimit -u`) reloads, answers and drains all the same; asking for the first thread only
//! when there is something to do would panic there, and end it.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use tokio::runtime::{Builder, Runtime};

/// As many things may hang before the next one waits: a file that is read again, a
/// profile, what is written down, the end.
const WAITING_THREADS: usize = 4;

/// Longer than any process.
const KEEP_ALIVE: Duration = Duration::from_secs(1 << 30);

/// One that only waits.
const TRIAL_STACK_BYTES: usize = 64 << 10;

/// The process may have fewer threads than it needs.
#[derive(Debug)]
struct ThreadLimitError {
    threads: usize,
    threads_needed: usize,
    error: io::Error,
}

impl fmt::Display for ThreadLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it needs {} threads more, and may have {}: {}; raise what limits them (pids.max of \
             its control group, TasksMax of the unit, --pids-limit of the container, `ulimit -u`)",
            self.threads_needed, self.threads, self.error
        )
    }
}

impl std::error::Error for ThreadLimitError {}

/// A runtime whose blocking threads are there already. `others` is how many threads the
/// process will begin besides: where it may not have them, that is told here.
pub(crate) fn control_runtime(others: usize) -> io::Result<Runtime> {
    try_threads(others + WAITING_THREADS)?;
    let runtime =
        Builder::new_current_thread().enable_all().thread_keep_alive(KEEP_ALIVE).build()?;
    let held: Vec<_> = (0..WAITING_THREADS)
        .map(|_| {
            let (hold, held) = mpsc::channel::<()>();
            // Each waits until all have been asked for, so that none does the work of two.
            drop(runtime.spawn_blocking(move || held.recv()));
            hold
        })
        .collect();
    drop(held);
    Ok(runtime)
}

/// Whether the system lets this process have so many threads more.
fn try_threads(threads_needed: usize) -> io::Result<()> {
    let mut begun: Vec<(mpsc::Sender<()>, JoinHandle<()>)> = Vec::with_capacity(threads_needed);
    let mut outcome = Ok(());
    for threads in 0..threads_needed {
        let (hold, held) = mpsc::channel::<()>();
        let wait = move || held.recv().unwrap_or_default();
        match thread::Builder::new().stack_size(TRIAL_STACK_BYTES).spawn(wait) {
            Ok(thread) => begun.push((hold, thread)),
            Err(error) => {
                let few = ThreadLimitError { threads, threads_needed, error };
                outcome = Err(io::Error::other(few));
                break;
            }
        }
    }
    for (hold, thread) in begun {
        drop(hold);
        drop(thread.join()); // it cannot have panicked
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_limits_threads_is_named_with_the_numbers() {
        let error = io::Error::from(io::ErrorKind::WouldBlock);
        let told = ThreadLimitError { threads: 3, threads_needed: 12, error }.to_string();
        assert!(told.starts_with("it needs 12 threads more, and may have 3: "), "{told}");
        assert!(told.contains("pids.max") && told.contains("TasksMax"), "{told}");
    }
}
