//! Maps the kernel's error numbers to the end of a connection.
//!
//! Deliberately absent: those of accepting (`acceptors`).

use crate::base::DisconnectReason;

/// How a connection ended whose request failed so. One that the kernel gave up, because
/// nothing was acknowledged in time, has as its error the last one of the way, if there was
/// any: nobody answers to the address, or a router's ICMP (`sk_err_soft`). While a
/// connection lives it fails for none of those.
pub fn disconnect_reason(errno: i32) -> DisconnectReason {
    match errno {
        libc::ETIMEDOUT
        | libc::EHOSTUNREACH
        | libc::ENETUNREACH
        | libc::EHOSTDOWN
        | libc::ENONET
        | libc::ECONNREFUSED
        | libc::ENOPROTOOPT
        | libc::EOPNOTSUPP
        | libc::EPROTO
        | libc::EACCES => DisconnectReason::TimedOut,
        _ => DisconnectReason::Reset,
    }
}
