//! Signatures of messages to DingTalk and of links in messages, and the comparison of secrets.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

/// Bytes of a link's signature, which is truncated to be short.
const LINK_BYTES: usize = 16;

fn mac(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

/// The `sign` of a DingTalk robot, before it is escaped for a URL.
pub fn dingtalk(secret: &str, unix_ms: u64) -> String {
    let tag = mac(secret.as_bytes(), format!("{unix_ms}\n{secret}").as_bytes());
    BASE64_STANDARD.encode(tag)
}

/// The signature of a link's payload for a purpose.
pub fn link(key: &str, purpose: &str, payload: &str) -> String {
    let tag = mac(key.as_bytes(), format!("{purpose}\n{payload}").as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&tag.as_ref()[..LINK_BYTES])
}

/// Checks the signature of a link, in constant time.
pub fn is_link(key: &str, purpose: &str, payload: &str, signature: &str) -> bool {
    let want = link(key, purpose, payload);
    verify_slices_are_equal(want.as_bytes(), signature.as_bytes()).is_ok()
}

/// Compares secrets. Its time depends neither on where they differ nor on the length of the wanted
/// one.
pub fn is_secret(wanted: &str, given: &[u8]) -> bool {
    let one = mac(b"secret", wanted.as_bytes());
    let other = mac(b"secret", given);
    !wanted.is_empty() && verify_slices_are_equal(one.as_ref(), other.as_ref()).is_ok()
}

/// A keyed hash of a room's name, which only shows whether two rooms are the same.
pub fn room(key: &str, room: &str) -> String {
    let tag = mac(key.as_bytes(), format!("room\n{room}").as_bytes());
    tag.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dingtalk_signs_as_its_documentation_does() {
        for (unix_ms, secret, want) in [
            (1_700_000_000_000, "SECtest", "aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g="),
            (1_577_262_236_757, "this is secret", "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="),
        ] {
            assert_eq!(dingtalk(secret, unix_ms), want);
        }
    }

    #[test]
    fn a_secret_is_the_same_or_it_is_not() {
        assert!(is_secret("a token", b"a token"));
        for given in ["", "a toke", "a token ", "A token"] {
            assert!(!is_secret("a token", given.as_bytes()), "{given:?}");
        }
        assert!(!is_secret("", b""), "no secret is nobody's");
    }

    #[test]
    fn a_link_with_any_bit_changed_is_not_ours() {
        let signature = link("key", "silence", "payload");
        assert!(is_link("key", "silence", "payload", &signature));
        assert!(!is_link("key", "refused", "payload", &signature));
        assert!(!is_link("other", "silence", "payload", &signature));
        assert!(!is_link("key", "silence", "payloae", &signature));
        assert!(!is_link("key", "silence", "payload", &signature[..signature.len() - 1]));
        assert!(!is_link("key", "silence", "payload", ""));
        for at in 0..signature.len() {
            let mut wrong = signature.clone().into_bytes();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            assert!(
                !is_link("key", "silence", "payload", std::str::from_utf8(&wrong).unwrap()),
                "{at}"
            );
        }
    }

    #[test]
    fn rooms_are_hashed_with_the_key() {
        assert_eq!(room("k", "r42"), room("k", "r42"));
        assert_ne!(room("k", "r42"), room("l", "r42"));
        assert_eq!(room("k", "r42").len(), 12);
    }
}
