//! What a core says about itself now and then: numbers that cost a system call, or a
//! look at every lane, and need not be those of this very turn.

use std::sync::Arc;

use super::cpu_time;
use super::descriptor_table::TableUse;
use crate::base::MonotonicMs;
use crate::metrics::{Counter, Gauge, MetricsWriter};

/// Between two looks, in ms; a fraction of what any scraper waits.
const INTERVAL_MS: u64 = 250;

/// The longest sleep of a core, in ms: one that has nothing to do still shows that it
/// is alive, well before a rule calls it hung.
pub(super) const SLEEP_MS_MAX: u64 = 1_000;

/// What is looked at.
pub(super) struct PulseInputs {
    /// Connections of the ring.
    pub connections: u32,
    /// Messages in the lanes to this core.
    pub messages: usize,
    /// Bytes that the outboxes of its connections may hold together.
    pub outbox_bytes_max: u64,
}

/// When and what a core told last.
pub(super) struct LastPulse {
    table: Arc<TableUse>,
    /// This core's part of the memory that the process may use.
    memory_bytes: u64,
    due: MonotonicMs,
    counted: u32,
    busy_ns: u64,
}

impl LastPulse {
    /// For a core with this table and part of the memory.
    pub fn new(table: Arc<TableUse>, memory_bytes: u64) -> LastPulse {
        LastPulse { table, memory_bytes, due: MonotonicMs(0), counted: 0, busy_ns: 0 }
    }

    /// Whether it is time to look again.
    pub fn is_due(&self, now: MonotonicMs) -> bool {
        self.due <= now
    }

    /// Tells.
    pub fn beat(&mut self, now: MonotonicMs, reading: &PulseInputs, metrics: &MetricsWriter) {
        self.due = now.plus_ms(INTERVAL_MS);
        let grown = i64::from(reading.connections) - i64::from(self.counted);
        self.counted = reading.connections;
        self.table.grow(grown);
        metrics.set(Gauge::FdSlotsUsed, self.table.used());
        metrics.set(Gauge::FdSlotsLimit, self.table.limit());
        metrics.set(Gauge::MailboxDepth, reading.messages as u64);
        let may_wait = reading.outbox_bytes_max.min(self.memory_bytes);
        metrics.set(Gauge::SendQueueLimitBytes, may_wait);
        let busy_ns = cpu_time::of_thread_ns();
        metrics.add(Counter::Busy, busy_ns.saturating_sub(self.busy_ns));
        self.busy_ns = busy_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Cells, Exposition, ScrapeScope, Threads};

    #[test]
    fn cores_of_one_table_show_all_of_it() {
        let table = TableUse::new(10, 100);
        let cells = vec![Cells::new(), Cells::new()];
        let writers: Vec<MetricsWriter> = cells.iter().map(Cells::claim).collect();
        let mut pulses = [LastPulse::new(Arc::clone(&table), 500), LastPulse::new(table, 500)];
        let mut beat = |core: usize, at: u64, connections: u32| {
            let reading = PulseInputs { connections, messages: 3, outbox_bytes_max: 1_000 };
            assert!(pulses[core].is_due(MonotonicMs(at)));
            pulses[core].beat(MonotonicMs(at), &reading, &writers[core]);
            assert!(!pulses[core].is_due(MonotonicMs(at + INTERVAL_MS - 1)));
        };
        beat(0, 0, 7);
        beat(1, 0, 5);
        beat(0, INTERVAL_MS, 2);
        let text = Exposition::new(Threads::of_cores(cells)).text(ScrapeScope::Summed);
        for line in [
            "chat_fd_slots_used{core=\"0\"} 17",
            "chat_fd_slots_used{core=\"1\"} 22",
            "chat_fd_slots_limit{core=\"0\"} 100",
            "chat_core_mailbox_depth{core=\"0\"} 3",
            "chat_send_queue_limit_bytes{core=\"1\"} 500",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
        assert!(!text.contains("chat_core_busy_seconds_total{core=\"0\"} 0\n"), "{text}");
    }
}
