//! The input and output of one core: actions in, events out, as `base::Io` says.
//!
//! There are two of them here: over the kernel, by one io_uring a core (`kernel` over `uring`),
//! which `server` uses, and over a scripted world (`simulated`) for tests and the simulator,
//! which puts a third around it that watches. Whoever has an `Io` repeats one turn
//! (`shard::turn`): `reap` what happened, decide, `submit` what follows, and sleep when a turn
//! found nothing.
//!
//! Invariants: events of one connection come in the order in which they
//! happened; `Event::Gone` comes once, last, and only when the kernel has given
//! back all that was lent for the connection; receive buffers lent = returned.
//!
//! Deliberately absent: what the bytes mean, time-outs of peers (but for the kernel's,
//! set on listeners), fairness (but who waits for a receive buffer is served in turn).

mod buffers;
mod conns;
mod kernel;
mod kernel_features;
mod queue;
mod setup_error;
pub mod simulated;
mod socket;
mod uring;
mod user_data;
mod waker;

pub use kernel::{KernelIo, moment};
pub use kernel_features::{Feature, OWN_TABLES, probe};
pub use setup_error::IoSetupError;
pub use simulated::SimulatedIo;
pub use socket::{PortUse, listener, steer_by_cpu, unshare_descriptor_table};
pub use waker::Waker;

/// The sizes of one core's ring. Memory is `recv_buffers * recv_buffer_bytes`,
/// 64 B a submission entry, 16 B a completion entry, and 16 B a connection.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of receive buffers that all connections of the core share; a power of two.
    pub recv_buffers: u16,
    /// Most bytes of one receive.
    pub recv_buffer_bytes: u32,
    /// Requests that fit into one system call; a power of two.
    pub submission_entries: u32,
    /// Completions that the kernel can leave before it needs memory of its own;
    /// a power of two, at least as large as `submission_entries`.
    pub completion_entries: u32,
    /// Most connections of this core. When it is reached, accepting stops until one ends.
    pub connections_max: u32,
}

impl Options {
    /// Bytes that the kernel counts as locked for a ring of this size (since Linux 6.14, and before
    /// 5.12): its queues, and the ring of its buffers, each in whole pages.
    pub fn locked_bytes(&self) -> u64 {
        const PAGE: u64 = 4_096;
        // A submission entry has 64 B and an index of 4, a completion entry 16, a buffer 16.
        let submissions = u64::from(self.submission_entries) * 64;
        let indexes =
            u64::from(self.submission_entries) * 4 + u64::from(self.completion_entries) * 16;
        let buffers = u64::from(self.recv_buffers) * 16;
        // The heads of the queues share the page of what follows, or take one more.
        [submissions, indexes + PAGE, buffers]
            .map(|bytes| bytes.next_multiple_of(PAGE))
            .iter()
            .sum()
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            recv_buffers: 1_024,
            recv_buffer_bytes: 4_096,
            submission_entries: 4_096,
            completion_entries: 16_384,
            connections_max: 1_000_000,
        }
    }
}
