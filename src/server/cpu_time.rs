//! What the clocks of a thread and of the process say about the CPU time that they took.
//!
//! Deliberately absent: the time of day, and how long something took.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// CPU time of this thread, in ns.
pub(super) fn of_thread_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
}

/// CPU time of all threads together, in ns.
pub(super) fn of_process_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime))
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
