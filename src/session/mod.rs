//! One peer's conversation, from greeting to goodbye.
#![forbid(unsafe_code)]

mod options;

pub use options::Options;
