//! What changes the store. Each reads all that it needs before it plans its first
//! write, so that a refusal leaves nothing behind.
//!
//! Deliberately absent: which write is next (`queue`), and when all of them are on the disk.

pub(super) mod append;
pub(super) mod change;
pub(super) mod markers;
pub(super) mod pending;
pub(super) mod reaction;
