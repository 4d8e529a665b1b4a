//! What `KernelIo` counts during a turn, and writes to the metrics at its end.

use crate::metrics::{AcceptFailure, Counter, MetricsWriter};

/// The counters since the start. They are written once a turn, so that a completion costs only an
/// addition in a warm cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RingCounters {
    pub submits: u64,
    pub completions: u64,
    pub stale: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub sends_short: u64,
    pub buffers_lent: u64,
    pub buffers_empty: u64,
    pub queue_full: u64,
    pub overflows: u64,
    pub no_descriptors: u64,
    pub no_memory: u64,
    pub refused: u64,
}

impl RingCounters {
    /// Counts a peer that could not be accepted.
    pub fn fail_accept(&mut self, why: AcceptFailure) {
        match why {
            AcceptFailure::Descriptors => self.no_descriptors += 1,
            AcceptFailure::Memory => self.no_memory += 1,
            AcceptFailure::Other => self.refused += 1,
        }
    }

    /// Writes the difference to `written`.
    pub fn write_since(&self, written: &RingCounters, metrics: &MetricsWriter) {
        let write = |counter, now: u64, before: u64| metrics.add(counter, now - before);
        write(Counter::RingSubmits, self.submits, written.submits);
        write(Counter::CompletionsReaped, self.completions, written.completions);
        write(Counter::StaleCompletions, self.stale, written.stale);
        write(Counter::BytesIn, self.bytes_in, written.bytes_in);
        write(Counter::BytesOut, self.bytes_out, written.bytes_out);
        write(Counter::SendsShort, self.sends_short, written.sends_short);
        write(Counter::BufferHits, self.buffers_lent, written.buffers_lent);
        write(Counter::BufferMisses, self.buffers_empty, written.buffers_empty);
        write(Counter::RecvBufferEmpty, self.buffers_empty, written.buffers_empty);
        write(Counter::SubmissionFull, self.queue_full, written.queue_full);
        write(Counter::CompletionOverflow, self.overflows, written.overflows);
        let failed = Counter::AcceptFailed;
        write(failed(AcceptFailure::Descriptors), self.no_descriptors, written.no_descriptors);
        write(failed(AcceptFailure::Memory), self.no_memory, written.no_memory);
        write(failed(AcceptFailure::Other), self.refused, written.refused);
    }
}
