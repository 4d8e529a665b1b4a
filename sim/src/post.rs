//! A message that a client posted by a chat method.
//!
//! Deliberately absent: what became of it; the ledger knows.

/// What a client said with an id.
#[derive(Clone, Debug)]
pub struct Post {
    /// The number that it carries.
    pub number: u64,
    /// By which method.
    pub method: &'static str,
    /// What was sent, to be sent again.
    pub data: String,
    /// Whether its client was told that it is out.
    pub is_answered: bool,
}
