//! How far an input is loaded into a channel: what lets a load that ended go on.
//!
//! Deliberately absent: its bytes (`record`), and who loads (`loading`).

/// How far the lines of an input are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadPosition {
    /// Lines.
    pub lines_count: u64,
    /// A sum of all of them, by which they are known again.
    pub digest: [u8; 32],
}
