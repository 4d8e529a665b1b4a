//! The writes of the store, a file for each kind; `Engine` calls them. Each reads all that it needs
//! before it adds to the batch, so that a refusal leaves nothing behind.
//!
//! Deliberately absent: the order of writes (`queue`), and commits.

pub(super) mod append;
pub(super) mod change;
pub(super) mod dead_letters;
pub(super) mod history_removal;
pub(super) mod markers;
pub(super) mod pending;
pub(super) mod reaction;
pub(super) mod roster;
