//! What the users of a world react to messages with, as values.
//!
//! Deliberately absent: what of it was answered (`reaction_oracle`).

use std::collections::BTreeMap;

/// What users react with.
pub const VALUES: [&str; 3] = ["👍", "no", "\"q\""];

/// A value, or none.
pub type Reaction = Option<&'static str>;

/// What is certain of a channel when somebody asks for it, by offset and user: the user's
/// reaction, and how often it had been asked for.
pub type Known = BTreeMap<(u64, &'static str), (u64, Reaction)>;
