//! Locked memory: what shards need, what the process may have, and making the most of it.
//!
//! glommio starts no executor below 512 KiB of `RLIMIT_MEMLOCK`, whoever asks, and
//! kernels from 6.14 on count every ring's queues against it. The count is the user's,
//! over all processes, so what is enough can only be said beside what others hold.
//!
//! Deliberately absent: refusing what may work. Only the kernel knows what is locked.

use std::fs;

use rustix::process::Resource;

use super::plan::StartPlan;
use super::rlimits::{UNLIMITED, limits, set_limits};
use crate::ring;

/// What glommio wants to see before it starts an executor.
const EXECUTOR_BYTES_MIN: u64 = 512 << 10;

/// What three rings of glommio's take, with the memory that each of them registers.
const EXECUTOR_BYTES: u64 = 3 * (64 << 10) + 3 * (12 << 10);

/// The capability to lock memory without a limit.
const CAP_IPC_LOCK: u32 = 14;

/// The capability to raise limits, which the server does.
const CAP_SYS_RESOURCE: u32 = 24;

/// What the kernel counts for one shard with such a ring.
pub fn shard_locked_bytes(ring: &ring::Options) -> u64 {
    (ring.locked_bytes() + EXECUTOR_BYTES).max(EXECUTOR_BYTES_MIN)
}

/// What the kernel counts for all shards of a plan; `whole` is the ring of a shard that
/// has a core for itself.
pub(super) fn locked_bytes(plan: &StartPlan, whole: &ring::Options) -> u64 {
    plan.cores.len() as u64 * shard_locked_bytes(&plan.ring(whole))
}

/// The hard `RLIMIT_MEMLOCK`; `None` where it does not count for this process.
pub fn locked_bytes_max() -> Option<u64> {
    let (_, hard) = limits(Resource::Memlock);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let counts = counts(capabilities(&status), hard);
    (hard != UNLIMITED && counts).then_some(hard)
}

/// glommio asks for the limit only, whatever the process may lock.
fn counts(capabilities: u64, hard_bytes: u64) -> bool {
    let has = |capability: u32| capabilities & (1 << capability) != 0;
    let is_enough = has(CAP_IPC_LOCK) && EXECUTOR_BYTES_MIN <= hard_bytes;
    !has(CAP_SYS_RESOURCE) && !is_enough
}

/// The limit in bytes that is left, with which the executors could not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LockedLimitError(pub u64);

/// Raises the limit to what it may be, and further where the process has the right to and
/// needs it.
pub(super) fn raise(needed_bytes: u64) -> Result<(), LockedLimitError> {
    let (soft, hard) = limits(Resource::Memlock);
    let (low, target) = (hard < needed_bytes, needed_bytes.max(hard));
    if low && set_limits(Resource::Memlock, target).is_ok() {
        return Ok(());
    }
    if soft < hard && set_limits(Resource::Memlock, hard).is_err() {
        return if soft < EXECUTOR_BYTES_MIN { Err(LockedLimitError(soft)) } else { Ok(()) };
    }
    if hard < EXECUTOR_BYTES_MIN { Err(LockedLimitError(hard)) } else { Ok(()) }
}

fn capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_takes_its_queues_and_its_executor() {
        let whole = ring::Options::default();
        // 256 KiB of submissions, 16 + 256 of indexes and completions, 4 for heads, 16 of
        // buffers, beside glommio's.
        assert_eq!(shard_locked_bytes(&whole), (256 + 272 + 4 + 16 + 228) << 10);
        let small = ring::Options { submission_entries: 8, recv_buffers: 16, ..whole };
        assert_eq!(shard_locked_bytes(&small), EXECUTOR_BYTES_MIN);
    }

    #[test]
    fn capabilities_are_read_from_their_line() {
        assert_eq!(capabilities("Name:\tx\nCapEff:\t0000000000004000\n"), 1 << CAP_IPC_LOCK);
        assert_eq!(capabilities(""), 0);
    }

    #[test]
    fn who_may_lock_all_needs_a_limit_for_an_executor_all_the_same() {
        let (lock, raise) = (1 << CAP_IPC_LOCK, 1 << CAP_SYS_RESOURCE);
        assert!(counts(0, 64 << 10) && counts(0, 64 << 20));
        assert!(counts(lock, EXECUTOR_BYTES_MIN - 1) && !counts(lock, EXECUTOR_BYTES_MIN));
        assert!(!counts(raise, 0) && !counts(lock | raise, 0));
    }
}
