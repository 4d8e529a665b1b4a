//! Limits of this process (getrlimit(2)), as numbers: no limit is the largest.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is no limit.
pub(super) const UNLIMITED: u64 = u64::MAX;

/// The soft and the hard limit.
pub(super) fn limits(resource: Resource) -> (u64, u64) {
    let Rlimit { current, maximum } = getrlimit(resource);
    (current.unwrap_or(UNLIMITED), maximum.unwrap_or(UNLIMITED))
}

/// Makes both of them this one.
pub(super) fn set_limits(resource: Resource, limit: u64) -> io::Result<()> {
    let limit = (limit != UNLIMITED).then_some(limit);
    Ok(setrlimit(resource, Rlimit { current: limit, maximum: limit })?)
}
