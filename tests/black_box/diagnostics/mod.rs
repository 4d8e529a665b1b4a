//! What the server keeps when something is wrong, as an operator sees it: the real
//! binary, and nothing but its admin listener.

/// Needs a core that stands still and sessions that panic.
#[cfg(feature = "faults")]
mod broken;
mod conns;
mod profile;
mod snapshot;
mod token;
