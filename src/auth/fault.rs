//! Why tokens are not accepted, and what a client can do about it.

use std::fmt;

/// Why a token is not accepted. Safe to log: nothing of the token is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Not three parts of base64 with a JSON header, or too long.
    Malformed,
    /// Signed in a way that no key serves, `none` among them.
    Algorithm,
    /// Names a key that is not configured.
    UnknownKey,
    /// No key signed exactly this.
    Signature,
    /// Its time is over; a fresh token mends that.
    Expired,
    /// Its time comes within minutes; most often a clock that is a little wrong.
    NotYet,
    /// Made for the other of the two purposes: to connect, or to subscribe.
    Kind,
    /// Made for another audience.
    Audience,
    /// Made by another issuer.
    Issuer,
    /// A claim is missing, of another type than it must be, or beyond its limit, as is a
    /// time that counts milliseconds.
    Claims,
}

/// What mends a token's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRecovery {
    /// A fresh token of the same kind.
    FreshToken,
    /// The same token, a little later.
    RetryLater,
    /// Nothing that the client could do.
    None,
}

impl TokenError {
    /// What a client can do about it.
    pub fn recovery(self) -> TokenRecovery {
        match self {
            TokenError::Expired => TokenRecovery::FreshToken,
            TokenError::NotYet => TokenRecovery::RetryLater,
            TokenError::Malformed
            | TokenError::Algorithm
            | TokenError::UnknownKey
            | TokenError::Signature
            | TokenError::Kind
            | TokenError::Audience
            | TokenError::Issuer
            | TokenError::Claims => TokenRecovery::None,
        }
    }

    /// A word for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            TokenError::Malformed => "malformed",
            TokenError::Algorithm => "algorithm",
            TokenError::UnknownKey => "unknown_key",
            TokenError::Signature => "signature",
            TokenError::Expired => "expired",
            TokenError::NotYet => "not_yet",
            TokenError::Kind => "kind",
            TokenError::Audience => "audience",
            TokenError::Issuer => "issuer",
            TokenError::Claims => "claims",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenError::Malformed => "not a token: three parts of base64url with dots between them",
            TokenError::Algorithm => "the token is signed with an algorithm that no key serves",
            TokenError::UnknownKey => "the token names a key id that is not configured",
            TokenError::Signature => "no configured key made the token's signature",
            TokenError::Expired => "the token has expired",
            TokenError::NotYet => "the token is not valid yet",
            TokenError::Kind => {
                "the token is for a subscription where one for a connection is needed, or the \
                 other way round"
            }
            TokenError::Audience => "the token is made for another audience",
            TokenError::Issuer => "the token is made by another issuer",
            TokenError::Claims => "a claim of the token is missing, of the wrong type or too large",
        })
    }
}

impl std::error::Error for TokenError {}
