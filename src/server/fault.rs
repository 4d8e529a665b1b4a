//! How a server ends: why it did not start, or how it stopped, each with its exit code.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::locked::{locked_bytes, locked_bytes_max};
use super::plan::{PlanError, StartPlan};
use crate::record_file::RecordFileError;
use crate::store::OpenError;
use crate::{admin, ring};

/// How a server that had started came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerEnd {
    /// After a signal, everybody left in time.
    Drained,
    /// After a signal, the drain time passed with peers left.
    TimePassed,
    /// A second signal came, with this number.
    Signal(i32),
}

impl ServerEnd {
    /// The exit code of the process: 0 after a drain, whoever was left;
    /// 128 and the signal's number (130, 143) when a second one cut it short.
    pub fn exit_code(self) -> u8 {
        match self {
            ServerEnd::Drained | ServerEnd::TimePassed => 0,
            ServerEnd::Signal(signal) => 128 + signal as u8, // signals end at 64
        }
    }
}

/// Why a server did not start. Displays as one sentence for the operator.
#[derive(Debug)]
pub enum StartError {
    /// The options ask for what the machine does not have.
    Unfit(PlanError),
    /// The list of CPUs is not readable.
    Cores,
    /// `RLIMIT_NOFILE`.
    Limits(io::Error),
    /// The control thread's runtime.
    Runtime(io::Error),
    /// Signal handlers.
    Signals(io::Error),
    /// The system's generator of random bytes.
    Random(io::Error),
    /// The admin listener.
    Admin(admin::AdminListenerError),
    /// The server API's listener.
    Api(SocketAddr, io::Error),
    /// io_uring.
    Ring(ring::IoSetupError),
    /// `RLIMIT_MEMLOCK`.
    LockedMemory {
        /// What it is.
        limit_bytes: u64,
        /// What all shards take.
        needed_bytes: u64,
        /// How many they are.
        shards: usize,
    },
    /// The store's directory.
    Store(OpenError),
    /// The directory of blocks.
    Blocks(RecordFileError),
    /// The directory of the presence feed.
    Presence(RecordFileError),
    /// The storage thread.
    Storage(io::Error),
    /// The address of the collector of spans.
    Collector(String),
    /// The certificates of the application's backend.
    Hooks(String),
    /// A core's thread.
    Executor(String),
    /// A descriptor table of a shard's own.
    Table(io::Error),
    /// Another process listens there.
    InUse(SocketAddr),
    /// The kernel refuses the address for another reason.
    Listen(SocketAddr, io::Error),
}

impl StartError {
    /// The exit code of the process. Supervisors can tell a store that does
    /// not open from all that a later try may bring in order.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Store(fault) => fault.exit_code(),
            StartError::Unfit(_)
            | StartError::Cores
            | StartError::Limits(_)
            | StartError::Runtime(_)
            | StartError::Signals(_)
            | StartError::Random(_)
            | StartError::Admin(_)
            | StartError::Api(..)
            | StartError::Ring(_)
            | StartError::LockedMemory { .. }
            | StartError::Blocks(_)
            | StartError::Presence(_)
            | StartError::Storage(_)
            | StartError::Collector(_)
            | StartError::Hooks(_)
            | StartError::Executor(_)
            | StartError::Table(_)
            | StartError::InUse(_)
            | StartError::Listen(..) => 1,
        }
    }

    /// What a refused ring of a plan means. Where a limit of locked memory counts, it is
    /// what a ring without memory has met.
    pub(super) fn ring(
        refusal: ring::IoSetupError,
        plan: &StartPlan,
        whole: &ring::Options,
    ) -> StartError {
        match (&refusal, locked_bytes_max()) {
            (ring::IoSetupError::NoMemory, Some(limit_bytes)) => StartError::LockedMemory {
                limit_bytes,
                needed_bytes: locked_bytes(plan, whole),
                shards: plan.cores.len(),
            },
            _ => StartError::Ring(refusal),
        }
    }

    pub(super) fn listen(address: SocketAddr, error: io::Error) -> StartError {
        match error.kind() {
            io::ErrorKind::AddrInUse => StartError::InUse(address),
            _ => StartError::Listen(address, error),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Unfit(unfit) => unfit.fmt(f),
            StartError::Cores => {
                f.write_str("the CPUs that this process may use cannot be read; is /proc mounted?")
            }
            StartError::Limits(error) => {
                write!(f, "RLIMIT_NOFILE cannot be raised: {error}")
            }
            StartError::Runtime(error) => write!(f, "the control thread cannot start: {error}"),
            StartError::Signals(error) => write!(f, "signals cannot be handled: {error}"),
            StartError::Random(error) => {
                write!(f, "the system's generator cannot be asked: {error}")
            }
            StartError::Admin(fault) => fault.fmt(f),
            StartError::Api(address, error) if error.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "the address of the server API, {address}, is taken by another process: choose \
                 another port with api.listen, or end that process"
            ),
            StartError::Api(address, error) => {
                let why = admin::remedy(*address, error);
                write!(f, "cannot listen on the address of the server API, {address}: {why}")
            }
            StartError::Ring(refusal) => refusal.fmt(f),
            StartError::LockedMemory { limit_bytes, needed_bytes, shards } => {
                let needed = needed_bytes.div_ceil(1 << 10);
                write!(
                    f,
                    "there is too little memory that may be locked: RLIMIT_MEMLOCK is {} KiB, and \
                     {shards} shards take up to {needed} KiB beside what else this user has \
                     locked; raise it (`ulimit -l {needed}`, LimitMEMLOCK={needed}K in a systemd \
                     unit, --ulimit memlock={} in Docker), or set fewer shards",
                    limit_bytes >> 10,
                    needed << 10
                )
            }
            StartError::Store(fault) => fault.fmt(f),
            StartError::Blocks(fault) | StartError::Presence(fault) => fault.fmt(f),
            StartError::Storage(error) => write!(f, "the storage thread cannot start: {error}"),
            StartError::Collector(why) => write!(f, "tracing.otlp_endpoint cannot be used: {why}"),
            StartError::Hooks(why) => write!(f, "hooks.ca_file: {why}"),
            StartError::Executor(why) => write!(f, "a core's thread cannot start: {why}"),
            StartError::Table(error) => write!(
                f,
                "a shard cannot have a descriptor table of its own ({error}); let the container's \
                 seccomp profile allow unshare, or set descriptor_table to \"shared\""
            ),
            StartError::InUse(address) => write!(
                f,
                "the address {address} is taken by another process: choose another port with \
                 listen, or end that process"
            ),
            StartError::Listen(address, error) => {
                write!(f, "cannot listen on {address}: {}", admin::remedy(*address, error))
            }
        }
    }
}

impl std::error::Error for StartError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(ServerEnd::Drained.exit_code(), 0);
        assert_eq!(ServerEnd::TimePassed.exit_code(), 0);
        assert_eq!(ServerEnd::Signal(libc::SIGINT).exit_code(), 130);
        assert_eq!(ServerEnd::Signal(libc::SIGTERM).exit_code(), 143);
    }

    #[test]
    fn each_fault_is_one_sentence() {
        let address = "127.0.0.1:80".parse().unwrap();
        let in_use = StartError::listen(address, io::ErrorKind::AddrInUse.into());
        assert!(in_use.to_string().starts_with("the address 127.0.0.1:80 is taken"));
        let denied = StartError::listen(address, io::Error::from_raw_os_error(libc::EACCES));
        assert!(denied.to_string().starts_with("cannot listen on 127.0.0.1:80: "));
        let refused = StartError::Ring(ring::IoSetupError::Absent).to_string();
        assert!(refused.contains("io_uring") && !refused.contains('\n'), "{refused}");
        let locked =
            StartError::LockedMemory { limit_bytes: 64 << 10, needed_bytes: 1 << 20, shards: 2 };
        let locked = locked.to_string();
        for word in ["RLIMIT_MEMLOCK is 64 KiB", "ulimit -l 1024", "LimitMEMLOCK=1024K"] {
            assert!(locked.contains(word) && !locked.contains('\n'), "{locked}");
        }
        let table = StartError::Table(io::Error::from_raw_os_error(libc::EPERM)).to_string();
        assert!(table.contains("descriptor_table") && !table.contains('\n'), "{table}");
    }
}
