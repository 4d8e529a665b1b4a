//! Why io_uring cannot be used on a machine, and what its operator can do about it.
//!
//! Deliberately absent: the steps that fail (`probe`, `uring`).

use std::fmt;
use std::io;

/// Why a ring cannot work here. Displays as one sentence: what is missing and
/// what to do about it.
#[derive(Debug)]
pub enum IoSetupError {
    /// `kernel.io_uring_disabled` forbids it.
    Disabled {
        /// The value of the sysctl: 1 for unprivileged processes, 2 for all.
        value: u8,
    },
    /// Allowed by the kernel, refused to this process.
    Forbidden,
    /// The kernel has no io_uring at all.
    Absent,
    /// The kernel's io_uring is older than 6.1.
    TooOld {
        /// The first feature that is missing.
        feature: &'static str,
    },
    /// No memory, or no more that may be locked.
    NoMemory,
    /// The descriptor table is full.
    NoDescriptors,
    /// An unexpected error.
    Unexpected {
        /// The step that failed.
        step: &'static str,
        /// The error of the kernel.
        error: io::Error,
    },
}

impl IoSetupError {
    /// The meaning of a failed `step`; `feature` is what the step needs.
    pub fn from_step(step: &'static str, feature: &'static str, error: io::Error) -> IoSetupError {
        IoSetupError::decide(step, feature, error, disabled_by_sysctl())
    }

    fn decide(
        step: &'static str,
        feature: &'static str,
        error: io::Error,
        disabled: u8,
    ) -> IoSetupError {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => match disabled {
                0 => IoSetupError::Forbidden,
                value => IoSetupError::Disabled { value },
            },
            Some(libc::ENOSYS) => IoSetupError::Absent,
            Some(libc::EINVAL | libc::EOPNOTSUPP) => IoSetupError::TooOld { feature },
            Some(libc::ENOMEM) => IoSetupError::NoMemory,
            Some(libc::EMFILE | libc::ENFILE) => IoSetupError::NoDescriptors,
            _ => IoSetupError::Unexpected { step, error },
        }
    }
}

impl fmt::Display for IoSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IoSetupError::Disabled { value } => write!(
                f,
                "io_uring is switched off by kernel.io_uring_disabled = {value}; \
                 run `sysctl -w kernel.io_uring_disabled=0`"
            ),
            IoSetupError::Forbidden => f.write_str(
                "io_uring is refused to this process, though the kernel has it; let the \
                 container's seccomp profile allow io_uring_setup, io_uring_enter and \
                 io_uring_register",
            ),
            IoSetupError::Absent => f.write_str(
                "this kernel is built without io_uring; boot Linux 6.1 or newer with \
                 CONFIG_IO_URING=y",
            ),
            IoSetupError::TooOld { feature } => write!(
                f,
                "this kernel's io_uring has no {feature}; boot Linux 6.1 (Debian 12) or newer"
            ),
            IoSetupError::NoMemory => f.write_str(
                "the kernel has no memory for the ring; raise RLIMIT_MEMLOCK (`ulimit -l`) and the \
                 control group's memory.max, or set fewer shards or smaller rings",
            ),
            IoSetupError::NoDescriptors => f.write_str(
                "there is no descriptor left for the ring; raise RLIMIT_NOFILE (`ulimit -n`)",
            ),
            IoSetupError::Unexpected { step, error } => write!(
                f,
                "the kernel refused {step} ({error}); run `rookery doctor` for what is missing"
            ),
        }
    }
}

impl std::error::Error for IoSetupError {}

/// `kernel.io_uring_disabled`; kernels before 6.6 do not have it and mean 0.
pub(super) fn disabled_by_sysctl() -> u8 {
    let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(errno: i32, disabled: u8, says: &str) {
        let error = io::Error::from_raw_os_error(errno);
        let sentence = IoSetupError::decide("a step", "a feature", error, disabled).to_string();
        assert!(sentence.contains(says) && !sentence.contains('\n'), "{sentence}");
        assert!(sentence.contains("; "), "says what to do: {sentence}");
    }

    #[test]
    fn each_refusal_is_one_sentence_with_a_way_out() {
        check(libc::ENOSYS, 0, "without io_uring");
        check(libc::EINVAL, 0, "no a feature");
        check(libc::ENOMEM, 0, "RLIMIT_MEMLOCK");
        check(libc::EMFILE, 0, "RLIMIT_NOFILE");
        check(libc::EIO, 0, "a step");
        check(libc::EPERM, 0, "seccomp profile");
        check(libc::EACCES, 0, "seccomp profile");
        check(libc::EPERM, 1, "io_uring_disabled = 1");
        check(libc::EPERM, 2, "io_uring_disabled = 2");
    }
}
