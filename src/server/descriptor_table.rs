//! How full a descriptor table is, for the cores that share it and for the process.
//!
//! Invariant: what is used is what was open before any core accepted, and the connections
//! of all cores as they told them last.
//!
//! Deliberately absent: what happens when a table is full; `ring` rests then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How full a descriptor table is. Its cores share this; each adds its own.
#[derive(Debug)]
pub(super) struct TableUse {
    used: AtomicU64,
    limit: u64,
}

impl TableUse {
    /// With what was opened before any core accepts.
    pub fn new(used: u64, limit: u64) -> Arc<TableUse> {
        Arc::new(TableUse { used: AtomicU64::new(used), limit })
    }

    /// Descriptors in use.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Descriptors that the table has room for.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// A core has so many connections more, or fewer.
    pub fn grow(&self, more: i64) {
        self.used.fetch_add(more.cast_unsigned(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_come_and_go() {
        let table = TableUse::new(3, 100);
        table.grow(7);
        table.grow(-2);
        assert_eq!((table.used(), table.limit()), (8, 100));
    }
}
