//! Why tokens are not accepted, and what a client can do about it.

use std::fmt;

/// Why a token is not accepted. Safe to log: nothing of the token is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
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
pub enum Remedy {
    /// A fresh token of the same kind.
    FreshToken,
    /// The same token, a little later.
    Patience,
    /// Nothing that the client could do.
    None,
}

impl Fault {
    /// What a client can do about it.
    pub fn remedy(self) -> Remedy {
        match self {
            Fault::Expired => Remedy::FreshToken,
            Fault::NotYet => Remedy::Patience,
            Fault::Malformed
            | Fault::Algorithm
            | Fault::UnknownKey
            | Fault::Signature
            | Fault::Kind
            | Fault::Audience
            | Fault::Issuer
            | Fault::Claims => Remedy::None,
        }
    }

    /// A word for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Fault::Malformed => "malformed",
            Fault::Algorithm => "algorithm",
            Fault::UnknownKey => "unknown_key",
            Fault::Signature => "signature",
            Fault::Expired => "expired",
            Fault::NotYet => "not_yet",
            Fault::Kind => "kind",
            Fault::Audience => "audience",
            Fault::Issuer => "issuer",
            Fault::Claims => "claims",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Malformed => "not a token: three parts of base64url with dots between them",
            Fault::Algorithm => "the token is signed with an algorithm that no key serves",
            Fault::UnknownKey => "the token names a key id that is not configured",
            Fault::Signature => "no configured key made the token's signature",
            Fault::Expired => "the token has expired",
            Fault::NotYet => "the token is not valid yet",
            Fault::Kind => {
                "the token is for a subscription where one for a connection is needed, or the \
                 other way round"
            }
            Fault::Audience => "the token is made for another audience",
            Fault::Issuer => "the token is made by another issuer",
            Fault::Claims => "a claim of the token is missing, of the wrong type or too large",
        })
    }
}

impl std::error::Error for Fault {}
