//! Bytes of the system's generator.
//!
//! Deliberately absent: generators of cores; each gets its own, seeded from here.

use std::io;

use aws_lc_rs::rand;

/// Bytes of the system's generator. Asked here and not on the cores: what it needs to
/// open, where the kernel is old, would have a number that their tables do not have.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("no random bytes"))?;
    Ok(bytes)
}
