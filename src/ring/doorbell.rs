//! Waking a sleeping core: by its own ring, by another thread, by its deadline.
//!
//! Who has a ring of its own wakes by a message from ring to ring, which leaves with
//! everything else of its turn and costs no system call; every other thread, and
//! where the kernel passes no messages everybody, writes to an eventfd.
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
/// Costs a system call only when the core sleeps. Whoever leaves something for
/// the core rings afterwards; the core looks at everything after it woke.
#[derive(Clone, Debug)]
pub struct Waker {
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    /// An eventfd. The ring's poll for it answers each write, so nobody reads it;
    /// its 64 bits last for 500 years of a write a nanosecond.
    file: File,
    /// The ring of the core, where it takes messages. A number like any other: should
    /// it be somebody else's by then, the message fails or wakes that one for nothing.
    ring: Option<RawFd>,
    /// Set by ringing; a core does not fall asleep over it.
    rung: AtomicBool,
    /// Set while the core sleeps or is about to.
    asleep: AtomicBool,
}

impl Waker {
    /// For the core behind `ring`, if that takes messages.
    pub(super) fn new(ring: Option<RawFd>) -> io::Result<Waker> {
        // SAFETY: no memory is involved; the call makes a descriptor or fails.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open, new, and nobody else's.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let (rung, asleep) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Waker { bell: Arc::new(Bell { file, ring, rung, asleep }) })
    }

    /// Makes the core take another turn, however deeply it sleeps.
    pub fn ring(&self) {
        if self.touch() {
            self.be_loud();
        }
    }

    /// Rings without a sound. True when the core sleeps, and whoever is told so has to
    /// wake it: nobody else will.
    #[must_use]
    pub(super) fn touch(&self) -> bool {
        self.bell.rung.store(true, Ordering::SeqCst);
        // Read first: most of the time the core is awake, and a read does not
        // take the cache line away from it.
        self.bell.asleep.load(Ordering::SeqCst) && self.bell.asleep.swap(false, Ordering::SeqCst)
    }

    /// Wakes the core by a system call.
    pub(super) fn be_loud(&self) {
        // Fails only when the counter is at 2^64 - 1, and then it is loud enough.
        let _ = (&self.bell.file).write(&1u64.to_ne_bytes());
    }

    /// The ring that a message wakes the core through.
    pub(super) fn ring_descriptor(&self) -> Option<RawFd> {
        self.bell.ring
    }

    /// Tells ringers to be loud from here on. False, and quiet again, when
    /// somebody rang since the core woke up: then it must not sleep.
    pub(super) fn fall_asleep(&self) -> bool {
        self.bell.asleep.store(true, Ordering::SeqCst);
        let rung = self.bell.rung.swap(false, Ordering::SeqCst);
        if rung {
            self.bell.asleep.store(false, Ordering::SeqCst);
        }
        !rung
    }

    /// Everything that was left for the core before this is seen by the turn
    /// that follows.
    pub(super) fn wake_up(&self) {
        self.bell.asleep.store(false, Ordering::SeqCst);
        self.bell.rung.swap(false, Ordering::SeqCst);
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.bell.file.as_raw_fd()
    }

    /// How many system calls it took to wake the core.
    #[cfg(test)]
    pub(super) fn loud_count(&self) -> u64 {
        let mut count = [0; 8];
        match std::io::Read::read_exact(&mut &self.bell.file, &mut count) {
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
    fn a_core_does_not_sleep_over_a_ring() {
        let doorbell = Waker::new(None).unwrap();
        doorbell.ring();
        assert!(!doorbell.fall_asleep());
        assert!(doorbell.fall_asleep(), "one ring makes one turn");
        doorbell.wake_up();
        doorbell.ring();
        doorbell.wake_up();
        assert!(doorbell.fall_asleep(), "what was rung before waking is seen by that turn");
    }

    #[test]
    fn only_a_sleeping_core_costs_a_system_call() {
        let doorbell = Waker::new(None).unwrap();
        doorbell.ring();
        doorbell.wake_up();
        assert!(doorbell.fall_asleep());
        doorbell.ring();
        doorbell.ring();
        assert_eq!(doorbell.loud_count(), 1);
    }
}
