//! What the operator wrote, and what the server runs with.
#![forbid(unsafe_code)]
