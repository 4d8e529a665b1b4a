//! Links in messages that allow one thing to anybody who has them, until they expire. They are
//! signed, so they cannot be forged, or used for another purpose.
//!
//! Deliberately absent: identities. Anybody in the chat can use a link.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::signature;
use crate::alert::options::Options;

/// Bytes of a link's payload; what is longer has no link.
const PAYLOAD_BYTES_MAX: usize = 1_024;

/// The purpose of a link. A link for one is invalid for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// To silence a group.
    Silence,
    /// To list the alerts that a chat refused.
    Refused,
    /// To acknowledge a group.
    Acknowledge,
}

impl LinkPurpose {
    /// The word that is signed with the payload.
    pub fn word(self) -> &'static str {
        match self {
            LinkPurpose::Silence => "silence",
            LinkPurpose::Refused => "refused",
            LinkPurpose::Acknowledge => "acknowledge",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Allowed<T> {
    #[serde(rename = "u")]
    until_s: u64,
    #[serde(rename = "w")]
    what: T,
}

/// Why a link is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// Its signature is wrong.
    Forged,
    /// It has expired.
    Expired,
}

/// Makes a link for `what`; `None` when links are off, or `what` is too long.
pub fn link(
    options: &Options,
    purpose: LinkPurpose,
    what: &impl Serialize,
    now_s: u64,
) -> Option<String> {
    let key = &options.silence_key.value;
    if key.is_empty() || options.silence_url.is_empty() {
        return None;
    }
    let allowed = Allowed { until_s: now_s + options.silence_link_s, what };
    let json = serde_json::to_string(&allowed).expect("texts and numbers become JSON");
    let payload = BASE64_URL_SAFE_NO_PAD.encode(json);
    if payload.len() > PAYLOAD_BYTES_MAX {
        return None;
    }
    let signature = signature::link(key, purpose.word(), &payload);
    let base = options.silence_url.trim_end_matches('/');
    Some(format!("{base}/v1/{}?d={payload}&s={signature}", purpose.word()))
}

/// Checks a link. Returns its content.
pub fn read<T: DeserializeOwned>(
    key: &str,
    purpose: LinkPurpose,
    payload: &str,
    signature: &str,
    now_s: u64,
) -> Result<T, LinkError> {
    let is_ours = !key.is_empty()
        && payload.len() <= PAYLOAD_BYTES_MAX
        && signature::is_link(key, purpose.word(), payload, signature);
    if !is_ours {
        return Err(LinkError::Forged);
    }
    let json = BASE64_URL_SAFE_NO_PAD.decode(payload).map_err(|_| LinkError::Forged)?;
    let allowed: Allowed<T> = serde_json::from_slice(&json).map_err(|_| LinkError::Forged)?;
    if allowed.until_s < now_s { Err(LinkError::Expired) } else { Ok(allowed.what) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_for_one_thing_and_for_its_time() {
        let mut options = Options {
            silence_url: "https://bridge.example/".to_owned(),
            silence_link_s: 100,
            ..Options::default()
        };
        let chat = "ops".to_owned();
        assert_eq!(link(&options, LinkPurpose::Refused, &chat, 0), None, "there is no key");
        let key = "0123456789abcdef";
        key.clone_into(&mut options.silence_key.value);
        let link = link(&options, LinkPurpose::Refused, &chat, 1_000).unwrap();
        let query = link.strip_prefix("https://bridge.example/v1/refused?d=").unwrap();
        let (payload, sign) = query.split_once("&s=").unwrap();
        let at = |purpose, now_s| read::<String>(key, purpose, payload, sign, now_s);
        assert_eq!(at(LinkPurpose::Refused, 1_100), Ok(chat));
        assert_eq!(at(LinkPurpose::Refused, 1_101), Err(LinkError::Expired));
        assert_eq!(at(LinkPurpose::Silence, 1_000), Err(LinkError::Forged));
        let other = read::<String>("another key", LinkPurpose::Refused, payload, sign, 1_000);
        assert_eq!(other, Err(LinkError::Forged));
    }
}
