//! Requests to an application's backend: a POST of JSON, signed where there is a secret:
//! `X-Rookery-Signature: t=<Unix seconds>,v1=<HMAC-SHA256 over "<t>." and the body, in hexadecimal>`.
//!
//! Deliberately absent: what is asked (`hook_client`) or told (`presence_client`), and the answer.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, USER_AGENT};

use crate::clock::unix_ms;

/// The header with the signature.
const SIGNATURE_HEADER: &str = "x-rookery-signature";

/// The key of a secret; `None` for an empty one, by which nothing is signed.
pub(super) fn signing_key(secret: &[u8]) -> Option<hmac::Key> {
    (!secret.is_empty()).then(|| hmac::Key::new(hmac::HMAC_SHA256, secret))
}

/// A request with this body, signed now.
pub(super) fn post(
    key: Option<&hmac::Key>,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let mut builder = Request::builder()
        .method("POST")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("rookery/", env!("CARGO_PKG_VERSION")));
    if let Some(key) = key {
        builder = builder.header(SIGNATURE_HEADER, signature(key, unix_ms() / 1_000, &body));
    }
    builder.body(Full::new(body))
}

/// The value of the header with the signature.
fn signature(key: &hmac::Key, unix_s: u64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{unix_s}.").as_bytes());
    context.update(body);
    let mut text = format!("t={unix_s},v1=");
    for byte in context.sign().as_ref() {
        write!(text, "{byte:02x}").expect("a text takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_documentation() {
        // As `printf '1700000000.{"client":"a"}' | openssl dgst -sha256 -hmac secret` says.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        assert_eq!(
            signature(&key, 1_700_000_000, br#"{"client":"a"}"#),
            "t=1700000000,v1=01e53acd6cbb103ea36d41c69c1deb17fcfde80585223a602a0102c8e7a79174"
        );
    }
}
