//! Tokens to claims: who a peer is, and what its backend lets it do. `session` calls it.
//!
//! A token is a JWT (RFC 7519) signed with one of the `Keys`. Its signature is
//! checked before a claim is looked at, and the time is an input. One pass over
//! the claims copies what a session keeps and nothing else.
//!
//! Invariants: a key serves one algorithm, so a token cannot choose how its
//! signature is checked; nothing of a token or a key is in a `TokenError`, in a
//! `KeyError` or in what `Debug` prints.
//!
//! Deliberately absent: files, HTTP, clocks; encrypted tokens; key sets by URL.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod api_keys;
mod backend;
mod claims;
mod fault;
mod keys;
mod permissions;
mod secret_hash;
mod sign;
mod subscribe_options;
#[cfg(test)]
mod tests;

pub use api_keys::{API_KEYS_MAX, ApiKey, ApiKeys, ApiScope, ApiScopes};
pub use backend::{BackendGrant, read_data, read_grant};
pub use claims::{ChannelClaims, ClaimRequirements, Claims};
pub use fault::{TokenError, TokenRecovery};
pub use keys::{Algorithm, KeyError, KeyErrorKind, KeyMaterial, KeySpec, Keys, WeakKey};
pub use permissions::{Capability, PatternKind, PermissionSet, allowed, channel_matches};
pub use secret_hash::SecretHash;
pub use sign::{NewToken, SignError, sign};
pub use subscribe_options::{
    GrantedPosition, SubscribeData, SubscribeOptions, SubscribeOverrides, UnsupportedClaim,
    UnsupportedClaims,
};

use crate::base::limits;

/// Bytes of one token; a request head could not carry more either.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Keys in use at a time: a token without a key id is tried against each of its
/// algorithm.
pub const KEYS_MAX: usize = 16;

/// Entries of `caps`; each is looked at when a right is asked for.
pub const CAPS_MAX: usize = 32;

/// Channels or patterns in one entry of `caps`.
pub const CAP_CHANNELS_MAX: usize = 64;

/// Seconds by which the clocks of a backend and of this host may differ.
pub const LEEWAY_S_MAX: u64 = 60;

const _: () = {
    // All names that a token can grant fit into one token, so its size is what
    // bounds the memory of its claims.
    assert!(limits::INFO_BYTES_MAX < TOKEN_BYTES_MAX);
    assert!(limits::NAME_BYTES_MAX < limits::INFO_BYTES_MAX);
};
