//! What this kernel offers, asked without a running ring.
#![allow(unsafe_code)]

use std::io;
use std::net::TcpListener;

use io_uring::{IoUring, Probe, opcode};

use super::buffers::Buffers;
use super::setup_error::disabled_by_sysctl;
use super::uring::Uring;
use super::{IoSetupError, Options, socket};

/// A feature of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its description.
    pub name: &'static str,
    /// Whether the kernel has it.
    pub present: bool,
    /// Whether it is required.
    pub needed: bool,
    /// The consequence of its absence, and what to do about it.
    pub advice: String,
}

/// What descriptor tables of shards need.
pub const OWN_TABLES: &str = "own descriptor tables (unshare)";

const NEWER: &str = "boot Linux 6.1 (Debian 12) or newer";

/// Probes everything that the ring needs or would use. It changes nothing.
pub fn probe() -> Vec<Feature> {
    let disabled = disabled_by_sysctl();
    let ring = deferring_ring();
    let mut features = vec![
        Feature {
            name: "kernel.io_uring_disabled = 0",
            present: disabled == 0,
            // With 1, a privileged process may use it; whether this one is, the ring tells.
            needed: disabled == 2,
            advice: "run `sysctl -w kernel.io_uring_disabled=0`".to_owned(),
        },
        Feature {
            name: "io_uring with deferred task work",
            present: ring.is_ok(),
            needed: true,
            advice: ring.as_ref().err().map_or(NEWER.to_owned(), IoSetupError::to_string),
        },
    ];
    let ring = ring.ok();
    features
        .push(needed("provided buffer rings", ring.as_ref().filter(|ring| has_buffer_rings(ring))));
    features.extend(requests(ring.as_ref()));
    features.push(optional(
        "CPU steering (SO_ATTACH_REUSEPORT_CBPF)",
        steers().ok(),
        "peers are spread over the cores by a hash instead of by the core that got the packet",
    ));
    features.push(optional(
        "messages between rings",
        ring.filter(|_| passes_messages()),
        "cores wake each other by a system call instead of through their rings; boot a newer \
         kernel",
    ));
    features.push(optional(
        OWN_TABLES,
        unshares().ok(),
        "the descriptor limit counts for the whole process; let the container's seccomp \
         profile allow unshare, or raise the limit",
    ));
    features
}

/// What a ring needs; `seen` is what shows that it is there.
fn needed<T>(name: &'static str, seen: Option<T>) -> Feature {
    Feature { name, present: seen.is_some(), needed: true, advice: NEWER.to_owned() }
}

fn optional<T>(name: &'static str, seen: Option<T>, advice: &str) -> Feature {
    Feature { name, present: seen.is_some(), needed: false, advice: advice.to_owned() }
}

fn deferring_ring() -> Result<IoUring, IoSetupError> {
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .build(8)
        .map_err(|error| IoSetupError::from_step("io_uring_setup", "deferred task work", error))?;
    let lossless = ring.params().is_feature_nodrop() && ring.params().is_feature_ext_arg();
    if lossless {
        Ok(ring)
    } else {
        Err(IoSetupError::TooOld { feature: "lossless completion queue" })
    }
}

fn has_buffer_rings(ring: &IoUring) -> bool {
    let Ok(buffers) = Buffers::new(8, 64) else { return false };
    // SAFETY: this ring never receives, and the buffers are unregistered before
    // they are dropped.
    let registered = unsafe { buffers.register(&ring.submitter()) };
    registered.is_ok() && ring.submitter().unregister_buf_ring(super::buffers::GROUP).is_ok()
}

/// The requests that the ring makes. Multishot receive and poll have no probe of
/// their own; both are older than deferred task work.
fn requests(ring: Option<&IoUring>) -> Vec<Feature> {
    let mut answers = Probe::new();
    let known = ring.filter(|ring| ring.submitter().register_probe(&mut answers).is_ok());
    let codes = [
        ("io_uring accept", opcode::Accept::CODE),
        ("io_uring receive", opcode::RecvMulti::CODE),
        ("io_uring send", opcode::Send::CODE),
        ("io_uring connect", opcode::Connect::CODE),
        ("io_uring cancel", opcode::AsyncCancel::CODE),
        ("io_uring poll", opcode::PollAdd::CODE),
    ];
    codes.map(|(name, code)| needed(name, known.filter(|_| answers.is_supported(code)))).to_vec()
}

/// As a ring asks it.
fn passes_messages() -> bool {
    let options = Options {
        recv_buffers: 8,
        submission_entries: 8,
        completion_entries: 16,
        ..Options::default()
    };
    Uring::new(&options).is_ok_and(|mut ring| ring.address().is_some())
}

fn steers() -> io::Result<()> {
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener: TcpListener = socket::listener(any, 1, socket::PortUse::Shared)?;
    socket::steer_by_cpu(&listener, 1)
}

/// In a thread of its own, so that the caller keeps its table.
fn unshares() -> io::Result<()> {
    let tried = std::thread::Builder::new().spawn(socket::unshare_descriptor_table)?;
    tried.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_agrees_with_the_ring() {
        let features = probe();
        let complete = features.iter().filter(|f| f.needed).all(|feature| feature.present);
        let options = Options { recv_buffers: 8, ..Options::default() };
        let metrics = std::rc::Rc::new(crate::metrics::Cells::new().claim());
        let io = super::super::KernelIo::new(&options, metrics);
        assert_eq!(complete, io.is_ok(), "{features:?}");
        assert!(features.iter().all(|feature| !feature.advice.is_empty()));
    }
}
