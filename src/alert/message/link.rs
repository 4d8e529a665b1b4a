//! Links in messages that allow one thing to whoever has them, for a while: signed, so
//! that they cannot be forged, and each kind apart from the others.
//!
//! Deliberately absent: who may. Whoever is in the chat can.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::signature;
use crate::alert::options::Options;

/// Bytes of a link's payload; what is longer has no link.
const PAYLOAD_BYTES_MAX: usize = 1_024;

/// What a link is for. One of a kind is worth nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// To silence a group.
    Silence,
    /// To look at what a chat refused.
    Refused,
    /// To take care of a group.
    Acknowledge,
}

impl LinkPurpose {
    /// The word that is signed with its payload.
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
    /// It was not made here, or was changed.
    Forged,
    /// Its time is over.
    Expired,
}

/// A link that allows `what`; `None` where links are off, or `what` is too long for one.
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

/// What a link allows, if it does.
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
