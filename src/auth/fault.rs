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
    /// Its time is over; the one fault that a fresh token mends.
    Expired,
    /// Its time has not come; most often a clock that is wrong.
    NotYet,
    /// Made for another audience.
    Audience,
    /// Made by another issuer.
    Issuer,
    /// A claim is missing, of another type than it must be, or beyond its limit.
    Claims,
}

impl Fault {
    /// Whether a fresh token of the same kind would do: all others are wrong for good.
    pub fn is_expired(self) -> bool {
        match self {
            Fault::Expired => true,
            Fault::Malformed
            | Fault::Algorithm
            | Fault::UnknownKey
            | Fault::Signature
            | Fault::NotYet
            | Fault::Audience
            | Fault::Issuer
            | Fault::Claims => false,
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
            Fault::Audience => "the token is made for another audience",
            Fault::Issuer => "the token is made by another issuer",
            Fault::Claims => "a claim of the token is missing, of the wrong type or too large",
        })
    }
}

impl std::error::Error for Fault {}
