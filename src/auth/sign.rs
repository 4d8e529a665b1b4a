//! Making tokens, for development, tests and probes.
//!
//! Deliberately absent: clocks: whoever asks says when the token ends.

use std::fmt;

use jsonwebtoken::{EncodingKey, crypto};
use serde::Serialize;
use serde_json::value::RawValue;

use super::keys::{Algorithm, KeyMaterial, KeySpec};
use super::{ClaimRequirements, TOKEN_BYTES_MAX};

/// A token to be made. For development and tests: in production the backend of
/// an application makes them.
#[derive(Clone, Debug, Default)]
pub struct NewToken<'a> {
    /// `sub`; empty for an anonymous peer.
    pub user: &'a str,
    /// Makes it a subscription token for this channel.
    pub channel: Option<&'a str>,
    /// `channels`: what the server is to subscribe the peer to.
    pub channels: &'a [String],
    /// `exp`; `None` for a token that never ends.
    pub expires_at_unix_s: Option<u64>,
    /// `iat`; `None` for a token that does not say when it was issued.
    pub issued_unix_s: Option<u64>,
    /// `jti`, by which it can be revoked; empty for none.
    pub id: &'a str,
    /// `info`, as JSON text.
    pub info: Option<&'a str>,
    /// `tenant`; empty for the only one.
    pub tenant: &'a str,
}

/// Why no token could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignError {
    /// `info` is not JSON.
    Info,
    /// The key cannot sign: a PEM must be a private key, in PKCS #8.
    Key(Algorithm),
    /// Longer than a server would take.
    TooLong,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignError::Info => f.write_str("the info is not JSON"),
            SignError::Key(algorithm) => write!(
                f,
                "the key cannot sign with {}: it takes a secret for HS256, HS384 and HS512, and \
                 the private key as a PEM in PKCS #8 for the others",
                algorithm.name()
            ),
            SignError::TooLong => {
                write!(f, "the token would be longer than {TOKEN_BYTES_MAX} bytes")
            }
        }
    }
}

impl std::error::Error for SignError {}

/// The signed token, meeting the demands of the server it is for.
pub fn sign(
    spec: &KeySpec,
    requirements: &ClaimRequirements,
    token: &NewToken<'_>,
) -> Result<String, SignError> {
    let info = token.info.map(serde_json::from_str::<&RawValue>).transpose();
    let claims = ClaimsJson {
        sub: token.user,
        channel: token.channel,
        exp: token.expires_at_unix_s,
        iat: token.issued_unix_s,
        jti: token.id,
        info: info.map_err(|_| SignError::Info)?,
        channels: token.channels,
        tenant: token.tenant,
        aud: requirements.audience.as_deref(),
        iss: requirements.issuer.as_deref(),
    };
    let header = HeaderJson { alg: spec.algorithm.name(), typ: "JWT", kid: spec.kid.as_deref() };
    let message = format!("{}.{}", encode_part(&header), encode_part(&claims));
    let unusable = SignError::Key(spec.algorithm);
    let key = encoding_key(spec).ok_or(unusable)?;
    let signature = crypto::sign(message.as_bytes(), &key, spec.algorithm.upstream());
    let signed = format!("{message}.{}", signature.map_err(|_| unusable)?);
    if signed.len() > TOKEN_BYTES_MAX { Err(SignError::TooLong) } else { Ok(signed) }
}

#[derive(Serialize)]
struct HeaderJson<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct ClaimsJson<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    channels: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
}

fn encode_part(part: &impl Serialize) -> String {
    use base64::Engine as _;
    let json = serde_json::to_vec(part).expect("texts and numbers can always be written");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json)
}

fn encoding_key(spec: &KeySpec) -> Option<EncodingKey> {
    match (&spec.material, spec.algorithm) {
        (
            KeyMaterial::Secret(secret) | KeyMaterial::ShortSecret(secret),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512,
        ) => Some(EncodingKey::from_secret(secret)),
        (KeyMaterial::Pem(pem), Algorithm::Rs256) => EncodingKey::from_rsa_pem(pem.as_bytes()).ok(),
        (KeyMaterial::Pem(pem), Algorithm::Es256) => EncodingKey::from_ec_pem(pem.as_bytes()).ok(),
        (KeyMaterial::Pem(pem), Algorithm::EdDsa) => EncodingKey::from_ed_pem(pem.as_bytes()).ok(),
        (
            KeyMaterial::Secret(_) | KeyMaterial::ShortSecret(_),
            Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa,
        )
        | (KeyMaterial::Pem(_), Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512) => None,
    }
}
