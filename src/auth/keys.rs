//! The keys that tokens are checked with, and the check of a token's signature.
//!
//! Invariant: a key serves one algorithm, so a token cannot choose how it is checked.
//!
//! Deliberately absent: files, and key sets by URL.

use std::fmt;

use jsonwebtoken::{DecodingKey, crypto};

use super::claims::{
    ChannelClaims, ClaimRequirements, Claims, connection_claims, subscription_claims,
};
use super::{KEYS_MAX, TOKEN_BYTES_MAX, TokenError};

/// How a token is signed. A key serves exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All there are, in the order of the documentation.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::Rs256,
        Algorithm::Es256,
        Algorithm::EdDsa,
    ];

    /// As RFC 7518 and RFC 8037 spell it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name. `none` is no algorithm.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|one| one.name() == name)
    }

    pub(super) fn upstream(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::Hs384 => jsonwebtoken::Algorithm::HS384,
            Algorithm::Hs512 => jsonwebtoken::Algorithm::HS512,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }

    /// Bytes of an HMAC's output, which a secret should have too (RFC 7518, 3.2).
    fn digest_bytes(self) -> Option<usize> {
        match self {
            Algorithm::Hs256 => Some(32),
            Algorithm::Hs384 => Some(48),
            Algorithm::Hs512 => Some(64),
            Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa => None,
        }
    }
}

/// What a key is made of.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyMaterial {
    /// For HMAC: who can check a token can also make one.
    Secret(Vec<u8>),
    /// The same of any length, where nobody relies on it: anyone may do anything there.
    ShortSecret(Vec<u8>),
    /// For the others: a public key to check with, a private one to sign with.
    Pem(String),
}

impl KeyMaterial {
    /// Whether it signs what it checks.
    pub fn is_secret(&self) -> bool {
        match self {
            KeyMaterial::Secret(_) | KeyMaterial::ShortSecret(_) => true,
            KeyMaterial::Pem(_) => false,
        }
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyMaterial::Secret(_) | KeyMaterial::ShortSecret(_) => "Secret(…)",
            KeyMaterial::Pem(_) => "Pem(…)",
        })
    }
}

/// One key as the operator gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Its name; tokens that carry one are checked against this key alone.
    pub kid: Option<String>,
    /// What it serves.
    pub algorithm: Algorithm,
    /// What it is.
    pub material: KeyMaterial,
}

/// A key that works and yet is not good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakKey {
    /// Bytes of the secret.
    pub bytes: usize,
    /// Bytes it should have.
    pub bytes_wanted: usize,
}

impl KeySpec {
    /// Below this a secret can be guessed from one token, so it is refused.
    pub const SECRET_BYTES_MIN: usize = 16;

    /// Takes a secret of any length: for servers on which anyone may do anything, such as those
    /// against which SDKs are tested.
    pub fn accept_short_secret(&mut self) {
        if let KeyMaterial::Secret(secret) = &mut self.material {
            self.material = KeyMaterial::ShortSecret(std::mem::take(secret));
        }
    }

    /// Whether the secret is shorter than the algorithm deserves.
    pub fn weakness(&self) -> Option<WeakKey> {
        let bytes_wanted = self.algorithm.digest_bytes()?;
        match &self.material {
            KeyMaterial::Secret(secret) | KeyMaterial::ShortSecret(secret) => {
                let bytes = secret.len();
                (bytes < bytes_wanted).then_some(WeakKey { bytes, bytes_wanted })
            }
            KeyMaterial::Pem(_) => None,
        }
    }
}

/// A key that cannot be used. Nothing of its material is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    /// Which key, counted from 0 as they were given.
    pub index: usize,
    /// Why it cannot be used.
    pub trouble: KeyErrorKind,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyErrorKind {
    /// More keys than `KEYS_MAX`.
    TooMany,
    /// Another key before it has the same key id.
    KidTwice,
    /// An empty key id.
    KidEmpty,
    /// A secret for an algorithm that needs a PEM, or the other way round.
    WrongKind(Algorithm),
    /// A PEM where a secret belongs: whoever has the public key could sign.
    PemAsSecret,
    /// A secret below `SECRET_BYTES_MIN`; its length.
    TooShort(usize),
    /// A private key where the public one is enough.
    Private,
    /// Not a public key for this algorithm.
    Unusable(Algorithm),
    /// An RSA key outside 2048 to 8192 bits; its bits.
    RsaBits(usize),
}

impl fmt::Display for KeyErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyErrorKind::TooMany => write!(f, "more than {KEYS_MAX} keys"),
            KeyErrorKind::KidTwice => f.write_str("another key has the same key id"),
            KeyErrorKind::KidEmpty => f.write_str("the key id is empty; leave it out instead"),
            KeyErrorKind::WrongKind(algorithm) => {
                let wanted = if algorithm.digest_bytes().is_some() { "a secret" } else { "a PEM" };
                write!(f, "{} needs {wanted}", algorithm.name())
            }
            KeyErrorKind::PemAsSecret => {
                f.write_str("a PEM is no secret: everyone who has it could sign tokens")
            }
            KeyErrorKind::TooShort(bytes) => write!(
                f,
                "the secret has {bytes} bytes; {} are the least that is accepted",
                KeySpec::SECRET_BYTES_MIN
            ),
            KeyErrorKind::Private => {
                f.write_str("this is a private key; the server needs only the public one")
            }
            KeyErrorKind::Unusable(algorithm) => {
                write!(f, "not a PEM of a public key for {}", algorithm.name())
            }
            KeyErrorKind::RsaBits(bits) => {
                write!(f, "an RSA key of {bits} bits; it must have 2048 to 8192")
            }
        }
    }
}

/// The keys in use. Immutable: new keys are a new value.
#[derive(Debug, Default)]
pub struct Keys {
    keys: Vec<Key>,
    requirements: ClaimRequirements,
}

#[derive(Debug)]
struct Key {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    check: DecodingKey,
}

impl Keys {
    /// All keys or all that is wrong with them. Without a key no token is good.
    pub fn build(specs: &[KeySpec]) -> Result<Keys, Vec<KeyError>> {
        let mut keys = Vec::with_capacity(specs.len().min(KEYS_MAX));
        let mut faults = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            if index == KEYS_MAX {
                faults.push(KeyError { index, trouble: KeyErrorKind::TooMany });
                break;
            }
            let mut refuse = |trouble| faults.push(KeyError { index, trouble });
            match spec.kid.as_deref() {
                Some("") => refuse(KeyErrorKind::KidEmpty),
                Some(_) if specs[..index].iter().any(|other| other.kid == spec.kid) => {
                    refuse(KeyErrorKind::KidTwice);
                }
                Some(_) | None => {}
            }
            match decoding_key(spec) {
                Ok(check) => {
                    let kid = spec.kid.as_deref().map(Box::from);
                    keys.push(Key { kid, algorithm: spec.algorithm, check });
                }
                Err(trouble) => refuse(trouble),
            }
        }
        if faults.is_empty() {
            Ok(Keys { keys, requirements: ClaimRequirements::default() })
        } else {
            Err(faults)
        }
    }

    /// The same keys, for tokens that meet these demands too.
    pub fn requiring(self, requirements: ClaimRequirements) -> Keys {
        assert!(
            requirements.leeway_s <= super::LEEWAY_S_MAX,
            "the configuration bounds the leeway"
        );
        Keys { requirements, ..self }
    }

    /// Whether there is no key, so that no token can be good.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What a connection token says, if it is good now.
    pub fn connection(&self, token: &str, now_unix_s: u64) -> Result<Claims, TokenError> {
        let payload = self.payload(token)?;
        connection_claims(&payload, &self.requirements, now_unix_s)
    }

    /// What a subscription token says, if it is good now. That it speaks of the
    /// right user and channel is the caller's to check.
    pub fn subscription(&self, token: &str, now_unix_s: u64) -> Result<ChannelClaims, TokenError> {
        let payload = self.payload(token)?;
        subscription_claims(&payload, &self.requirements, now_unix_s)
    }

    /// The claims as JSON text; whoever made them had one of the keys.
    fn payload(&self, token: &str) -> Result<Vec<u8>, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        let header = Header::parse(header)?;
        let payload = decode_part(payload)?;
        // Checked here once, so that an error of the library below can only
        // mean that the key does not fit.
        decode_part(signature)?;
        let verified_by = |key: &Key| {
            crypto::verify(signature, message.as_bytes(), &key.check, key.algorithm.upstream())
                .unwrap_or(false)
        };
        let is_good = match &header.kid {
            Some(kid) => {
                let named = |key: &&Key| key.kid.as_deref() == Some(&**kid);
                let key = self.keys.iter().find(named).ok_or(TokenError::UnknownKey)?;
                if key.algorithm != header.algorithm {
                    return Err(TokenError::Algorithm);
                }
                verified_by(key)
            }
            None => {
                let fitting = self.keys.iter().filter(|key| key.algorithm == header.algorithm);
                let mut fitting = fitting.peekable();
                fitting.peek().ok_or(TokenError::Algorithm)?;
                fitting.any(verified_by)
            }
        };
        if is_good { Ok(payload) } else { Err(TokenError::Signature) }
    }
}

/// What a token says about how it is signed.
struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
}

impl Header {
    fn parse(part: &str) -> Result<Header, TokenError> {
        #[derive(serde::Deserialize)]
        struct HeaderJson {
            alg: String,
            kid: Option<String>,
            crit: Option<serde::de::IgnoredAny>,
        }
        let json = decode_part(part)?;
        let header: HeaderJson =
            serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)?;
        // What must be understood is not (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let algorithm = Algorithm::from_name(&header.alg).ok_or(TokenError::Algorithm)?;
        Ok(Header { algorithm, kid: header.kid })
    }
}

/// One part of a token; padding and stray last bits are refused, so that each
/// token has one spelling.
fn decode_part(part: &str) -> Result<Vec<u8>, TokenError> {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    if part.is_empty() {
        return Err(TokenError::Malformed);
    }
    engine.decode(part).map_err(|_| TokenError::Malformed)
}

fn decoding_key(spec: &KeySpec) -> Result<DecodingKey, KeyErrorKind> {
    let algorithm = spec.algorithm;
    let is_hmac = algorithm.digest_bytes().is_some();
    match &spec.material {
        KeyMaterial::Secret(secret) if is_hmac => {
            if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
                return Err(KeyErrorKind::PemAsSecret);
            }
            if secret.len() < KeySpec::SECRET_BYTES_MIN {
                return Err(KeyErrorKind::TooShort(secret.len()));
            }
            Ok(DecodingKey::from_secret(secret))
        }
        KeyMaterial::ShortSecret(secret) if is_hmac => Ok(DecodingKey::from_secret(secret)),
        KeyMaterial::Pem(pem) if !is_hmac => public_key(algorithm, pem.as_bytes()),
        KeyMaterial::Secret(_) | KeyMaterial::ShortSecret(_) | KeyMaterial::Pem(_) => {
            Err(KeyErrorKind::WrongKind(algorithm))
        }
    }
}

/// A public key that the library takes and that can verify something.
fn public_key(algorithm: Algorithm, pem: &[u8]) -> Result<DecodingKey, KeyErrorKind> {
    let unusable = KeyErrorKind::Unusable(algorithm);
    if pem.windows(12).any(|window| window == b"PRIVATE KEY-") {
        return Err(KeyErrorKind::Private);
    }
    let key = match algorithm {
        Algorithm::Rs256 => DecodingKey::from_rsa_pem(pem),
        Algorithm::Es256 => DecodingKey::from_ec_pem(pem),
        Algorithm::EdDsa => DecodingKey::from_ed_pem(pem),
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => return Err(unusable),
    };
    let key = key.map_err(|_| unusable)?;
    let der = key.try_get_as_bytes().map_err(|_| unusable)?;
    // The library looks closer only when it verifies; a key that can never
    // verify is better found at the start.
    let is_usable = match algorithm {
        // An uncompressed point of P-256; P-384's is longer.
        Algorithm::Es256 => der.len() == 65 && der[0] == 4,
        Algorithm::EdDsa => der.len() == 32,
        Algorithm::Rs256 => {
            let components =
                crypto::aws_lc::DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
            let (modulus, _) = components(der).map_err(|_| unusable)?;
            let bits =
                modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros()) as usize;
            if !(2_048..=8_192).contains(&bits) {
                return Err(KeyErrorKind::RsaBits(bits));
            }
            true
        }
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => false,
    };
    if is_usable { Ok(key) } else { Err(unusable) }
}
