//! How the server is, as far as pages tell it: values that others change.
//!
//! Deliberately absent: who decides that (`server`).

/// Whether new clients are welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not all cores listen yet.
    Starting,
    /// Every core listens.
    Ready,
    /// The listeners are closed; connections leave.
    Draining,
}

/// What the store takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// There is none: no namespace keeps anything on disk.
    Absent,
    /// Messages, and everything else.
    Good,
    /// No messages, until there is space again; all else goes on.
    Full,
    /// Nothing, until it is read again after a failed write.
    Broken,
}
