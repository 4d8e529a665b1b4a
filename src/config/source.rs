//! Texts that settings come from.
//!
//! Deliberately absent: reading them.

use std::io;
use std::path::Path;

/// Reads a file that a setting names.
pub type LoadFile<'a> = &'a mut dyn FnMut(&Path) -> io::Result<Vec<u8>>;

/// A file that was read.
#[derive(Clone, Debug)]
pub struct File {
    /// What it is called in mistakes.
    pub name: String,
    /// What is in it.
    pub text: String,
}
