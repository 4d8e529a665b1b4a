//! Waking a sleeping core: by its own ring, by another thread, by its deadline.
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
pub struct Doorbell {
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    /// An eventfd. The ring's poll for it answers each write, so nobody reads it;
    /// its 64 bits last for 500 years of a write a nanosecond.
    file: File,
    /// Set by ringing; a core does not fall asleep over it.
    rung: AtomicBool,
    /// Set while the core sleeps or is about to.
    asleep: AtomicBool,
}

impl Doorbell {
    pub(super) fn new() -> io::Result<Doorbell> {
        // SAFETY: no memory is involved; the call makes a descriptor or fails.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open, new, and nobody else's.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let (rung, asleep) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Doorbell { bell: Arc::new(Bell { file, rung, asleep }) })
    }

    /// Makes the core take another turn, however deeply it sleeps.
    pub fn ring(&self) {
        self.bell.rung.store(true, Ordering::SeqCst);
        // Read first: most of the time the core is awake, and a read does not
        // take the cache line away from it.
        if self.bell.asleep.load(Ordering::SeqCst) && self.bell.asleep.swap(false, Ordering::SeqCst)
        {
            // Fails only when the counter is at 2^64 - 1, and then it is loud enough.
            let _ = (&self.bell.file).write(&1u64.to_ne_bytes());
        }
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
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_core_does_not_sleep_over_a_ring() {
        let doorbell = Doorbell::new().unwrap();
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
        let doorbell = Doorbell::new().unwrap();
        let count = |doorbell: &Doorbell| {
            let mut count = [0; 8];
            (&doorbell.bell.file).read_exact(&mut count).unwrap();
            u64::from_ne_bytes(count)
        };
        doorbell.ring();
        doorbell.wake_up();
        assert!(doorbell.fall_asleep());
        doorbell.ring();
        doorbell.ring();
        assert_eq!(count(&doorbell), 1);
    }
}
