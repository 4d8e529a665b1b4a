//! Wakers: a sleeping core is woken by the ring of another core, by another thread, or by its
//! deadline.
//!
//! A core wakes another one by a message from ring to ring, which is submitted with the rest of its
//! turn and costs no system call; other threads write to an eventfd, and so do cores where the
//! kernel passes no messages.
//!
//! One of the files that may say `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Wakes one core from any thread.
///
/// Costs a system call only when the core sleeps. Whoever leaves something for the core
/// notifies it afterwards; the core looks at everything after it woke.
#[derive(Clone, Debug)]
pub struct Waker {
    state: Arc<WakerState>,
}

#[derive(Debug)]
struct WakerState {
    /// An eventfd. The ring's poll for it answers each write, so nobody reads it;
    /// its 64 bits last for 500 years of a write a nanosecond.
    file: File,
    /// The ring of the core, where it takes messages. A number like any other: should
    /// it be somebody else's by then, the message fails or wakes that one for nothing.
    ring: Option<RawFd>,
    /// Set by `notify`; a core does not fall asleep over it.
    notified: AtomicBool,
    /// Set while the core sleeps or is about to.
    parked: AtomicBool,
}

impl Waker {
    /// For the core with this ring, if it takes messages.
    pub(super) fn new(ring: Option<RawFd>) -> io::Result<Waker> {
        // SAFETY: no memory is involved; the call makes a descriptor or fails.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open, new, and nobody else's.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let (notified, parked) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Waker { state: Arc::new(WakerState { file, ring, notified, parked }) })
    }

    /// Makes the core take another turn, also when it sleeps.
    pub fn notify(&self) {
        if self.set_notified() {
            self.wake_by_eventfd();
        }
    }

    /// Notifies without a system call. True when the core sleeps, and whoever is told so has
    /// to wake it: nobody else will.
    #[must_use]
    pub(super) fn set_notified(&self) -> bool {
        self.state.notified.store(true, Ordering::SeqCst);
        // Read first: most of the time the core is awake, and a read does not
        // take the cache line away from it.
        self.state.parked.load(Ordering::SeqCst) && self.state.parked.swap(false, Ordering::SeqCst)
    }

    /// Wakes the core by a system call.
    pub(super) fn wake_by_eventfd(&self) {
        // Fails only when the counter is at 2^64 - 1, and then the core is woken already.
        let _ = (&self.state.file).write(&1u64.to_ne_bytes());
    }

    /// The ring that a message wakes the core through.
    pub(super) fn ring_descriptor(&self) -> Option<RawFd> {
        self.state.ring
    }

    /// From here on whoever notifies the core wakes it, too. False, and no longer so, when
    /// somebody notified it since it woke up: then it must not sleep.
    pub(super) fn prepare_park(&self) -> bool {
        self.state.parked.store(true, Ordering::SeqCst);
        let notified = self.state.notified.swap(false, Ordering::SeqCst);
        if notified {
            self.state.parked.store(false, Ordering::SeqCst);
        }
        !notified
    }

    /// Every item that was put into a lane before this is seen by the next turn.
    pub(super) fn unpark(&self) {
        self.state.parked.store(false, Ordering::SeqCst);
        self.state.notified.swap(false, Ordering::SeqCst);
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.state.file.as_raw_fd()
    }

    /// Number of system calls that it took to wake the core.
    #[cfg(test)]
    pub(super) fn eventfd_writes_count(&self) -> u64 {
        let mut count = [0; 8];
        match std::io::Read::read_exact(&mut &self.state.file, &mut count) {
            Ok(()) => u64::from_ne_bytes(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => panic!("{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_was_notified_does_not_sleep() {
        let waker = Waker::new(None).unwrap();
        waker.notify();
        assert!(!waker.prepare_park());
        assert!(waker.prepare_park(), "one notify makes one turn");
        waker.unpark();
        waker.notify();
        waker.unpark();
        assert!(waker.prepare_park(), "what was notified before waking is seen by that turn");
    }

    #[test]
    fn only_a_sleeping_core_costs_a_system_call() {
        let waker = Waker::new(None).unwrap();
        waker.notify();
        waker.unpark();
        assert!(waker.prepare_park());
        waker.notify();
        waker.notify();
        assert_eq!(waker.eventfd_writes_count(), 1);
    }
}
