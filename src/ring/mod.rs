//! The I/O plane of one core: work in, events out.
//!
//! Implemented twice: over the kernel (one io_uring), and over a scripted world
//! in tests and the simulator.
//!
//! Deliberately absent: what the bytes mean.

use crate::base::{Action, Event, Now};

/// One core's sockets.
pub trait Plane {
    /// What the clocks show; read once a turn.
    fn now(&self) -> Now;

    /// Hands up to `max` finished events to `on_event`, in the order in which
    /// they happened to each connection. Returns how many.
    fn reap(&mut self, max: usize, on_event: &mut dyn FnMut(Event<'_>)) -> usize;

    /// Takes all of `work`, in one submit; what the kernel has no room for waits in here.
    fn submit(&mut self, work: &mut Vec<Action>);
}
