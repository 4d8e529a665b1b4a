//! The key that a call of the server API shows.
//!
//! Deliberately absent: what the key may do (`api`), and what its refusal is answered
//! (`api_listener`).

use axum::extract::Request;
use axum::http::{HeaderMap, header};

use crate::auth::{ApiKey, ApiKeys};

/// The header with the key.
const KEY_HEADER: &str = "x-api-key";

/// Before the key in `Authorization`, as some clients send it.
const AUTHORIZATION_PREFIX: &[u8] = b"apikey ";

/// Why a request has no key that counts.
pub(super) enum CallerKeyError {
    /// It stands in the URL, and so in logs.
    InUrl,
    /// There is none, or a wrong one.
    Unknown,
}

impl CallerKeyError {
    /// Its word in audit events.
    pub fn word(&self) -> &'static str {
        match self {
            CallerKeyError::InUrl => "key_in_address",
            CallerKeyError::Unknown => "key",
        }
    }

    /// What the peer is told.
    pub fn text(&self) -> &'static str {
        match self {
            CallerKeyError::InUrl => "the key belongs into the header X-API-Key\n",
            CallerKeyError::Unknown => "no key, or a wrong one: X-API-Key\n",
        }
    }
}

/// The key that a request shows.
pub(super) fn caller_key<'k>(
    keys: &'k ApiKeys,
    request: &Request,
) -> Result<&'k ApiKey, CallerKeyError> {
    if request.uri().query().is_some_and(|query| query.contains("api_key")) {
        return Err(CallerKeyError::InUrl);
    }
    shown_key(request.headers()).and_then(|shown| keys.find(shown)).ok_or(CallerKeyError::Unknown)
}

/// The key of a request.
fn shown_key(headers: &HeaderMap) -> Option<&[u8]> {
    let own = headers.get(KEY_HEADER).map(|value| value.as_bytes());
    let other = || {
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let prefix = value.get(..AUTHORIZATION_PREFIX.len())?;
        let is_key = prefix.eq_ignore_ascii_case(AUTHORIZATION_PREFIX);
        is_key.then_some(&value[AUTHORIZATION_PREFIX.len()..])
    };
    own.or_else(other)
}
