//! Silences by links in a chat: they cannot be forged, expire, and silence one group for four hours
//! at most.
//!
//! Deliberately absent: identities. Anybody in the chat can use a link; the name on its form is no
//! proof.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::link::LinkPurpose;
use super::signature;
use crate::alert::model::alert::Pairs;
use crate::alert::model::text;
use crate::alert::options::Options;

/// The longest silence of a link, in minutes.
pub const MINUTES_MAX: u64 = 240;

/// Most bytes of a link's payload; a group with longer labels has no link.
const PAYLOAD_BYTES_MAX: usize = 1_024;

/// The content of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceGrant {
    /// Its expiry, in seconds since 1970.
    #[serde(rename = "u")]
    pub until_s: u64,
    /// The labels of the alerts that it silences.
    #[serde(rename = "m")]
    pub matchers: Pairs,
}

/// Why a link, or its form, is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceError {
    /// Its signature is wrong.
    Forged,
    /// It has expired.
    Expired,
    /// It was used before.
    Used,
    /// Too many were used in the last hours.
    TooMany,
    /// No name, or no time between one minute and four hours.
    Form,
}

impl SilenceError {
    /// The text on the page.
    pub fn words(self) -> &'static str {
        match self {
            SilenceError::Forged => "this link was not made by this bridge",
            SilenceError::Used => "this link was used already; take one from a newer message",
            SilenceError::TooMany => "too many links were used; try again later",
            SilenceError::Expired => "this link is too old; take one from a newer message",
            SilenceError::Form => "a name, and a time from 1 to 240 minutes, are needed",
        }
    }
}

/// The link that silences a group; `None` when links are off, or when the group has no labels, or
/// too many.
pub fn link(options: &Options, group_labels: &Pairs, now_s: u64) -> Option<String> {
    let key = &options.silence_key.value;
    let known_by = group_labels.iter().filter(|(_, value)| !value.is_empty());
    let matchers: Pairs = known_by.map(|(name, value)| (name.clone(), value.clone())).collect();
    if key.is_empty() || options.silence_url.is_empty() || matchers.is_empty() {
        return None;
    }
    let grant = SilenceGrant { until_s: now_s + options.silence_link_s, matchers };
    let json = serde_json::to_string(&grant).expect("texts and numbers become JSON");
    let payload = BASE64_URL_SAFE_NO_PAD.encode(json);
    if payload.len() > PAYLOAD_BYTES_MAX {
        return None;
    }
    let signature = signature::link(key, LinkPurpose::Silence.word(), &payload);
    let base = options.silence_url.trim_end_matches('/');
    Some(format!("{base}/v1/silence?d={payload}&s={signature}"))
}

/// Checks a link. Returns its content.
pub fn grant(
    key: &str,
    payload: &str,
    signature: &str,
    now_s: u64,
) -> Result<SilenceGrant, SilenceError> {
    let is_ours = !key.is_empty()
        && payload.len() <= PAYLOAD_BYTES_MAX
        && signature::is_link(key, LinkPurpose::Silence.word(), payload, signature);
    if !is_ours {
        return Err(SilenceError::Forged);
    }
    let json = BASE64_URL_SAFE_NO_PAD.decode(payload).map_err(|_| SilenceError::Forged)?;
    let grant: SilenceGrant = serde_json::from_slice(&json).map_err(|_| SilenceError::Forged)?;
    if grant.until_s < now_s { Err(SilenceError::Expired) } else { Ok(grant) }
}

/// A silence that a user requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilenceRequest {
    /// The name of the user.
    pub who: String,
    /// The duration, in minutes.
    pub minutes: u64,
}

/// Parses the fields of the form.
pub fn request(who: &str, minutes: &str) -> Result<SilenceRequest, SilenceError> {
    let who = text::of_operator(who, 64);
    let minutes: u64 = minutes.parse().map_err(|_| SilenceError::Form)?;
    let fits = !who.is_empty() && (1..=MINUTES_MAX).contains(&minutes);
    if fits { Ok(SilenceRequest { who, minutes }) } else { Err(SilenceError::Form) }
}

/// The body for Alertmanager's `POST /api/v2/silences`.
pub fn body(grant: &SilenceGrant, request: &SilenceRequest, now_s: u64) -> String {
    let matchers: Vec<serde_json::Value> = grant
        .matchers
        .iter()
        .map(|(name, value)| {
            serde_json::json!({"name": name, "value": value, "isRegex": false, "isEqual": true})
        })
        .collect();
    serde_json::json!({
        "matchers": matchers,
        "startsAt": rfc3339(now_s),
        "endsAt": rfc3339(now_s + request.minutes * 60),
        "createdBy": request.who,
        "comment": "from the link in a message of the alert bridge",
    })
    .to_string()
}

fn rfc3339(unix_s: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(unix_s as i64);
    let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        let mut options = Options {
            silence_url: "https://bridge.example/".to_owned(),
            silence_link_s: 100,
            ..Options::default()
        };
        options.silence_key.value = "0123456789abcdef".to_owned();
        options
    }

    fn labels(pairs: &[(&str, &str)]) -> Pairs {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn parts(link: &str) -> (String, String) {
        let query = link.strip_prefix("https://bridge.example/v1/silence?d=").unwrap();
        let (payload, signature) = query.split_once("&s=").unwrap();
        (payload.to_owned(), signature.to_owned())
    }

    #[test]
    fn a_link_allows_its_group_for_its_time() {
        let group = labels(&[("alertname", "A\"<b>"), ("tenant_id", "")]);
        let (payload, signature) = parts(&link(&options(), &group, 1_000).unwrap());
        let key = "0123456789abcdef";
        let granted = grant(key, &payload, &signature, 1_100).unwrap();
        assert_eq!(granted.matchers, labels(&[("alertname", "A\"<b>")]));
        assert_eq!(grant(key, &payload, &signature, 1_101), Err(SilenceError::Expired));
        assert_eq!(grant("", &payload, &signature, 1_000), Err(SilenceError::Forged));
        assert_eq!(grant(key, "x", &signature, 1_000), Err(SilenceError::Forged));
    }

    #[test]
    fn nothing_that_would_silence_everything_has_a_link() {
        assert_eq!(link(&options(), &Pairs::new(), 0), None);
        assert_eq!(link(&options(), &labels(&[("a", "")]), 0), None);
        let long = "x".repeat(PAYLOAD_BYTES_MAX);
        assert_eq!(link(&options(), &labels(&[("a", &long)]), 0), None);
        let keyless = Options { silence_key: Default::default(), ..options() };
        assert_eq!(link(&keyless, &labels(&[("a", "b")]), 0), None);
    }

    #[test]
    fn four_hours_are_the_most() {
        assert_eq!(request("anna", "240").unwrap().minutes, 240);
        assert_eq!(request("<b>anna\n", "5").unwrap().who, "＜b＞anna");
        for (who, minutes) in [("anna", "241"), ("anna", "0"), ("anna", "-1"), ("", "5"), ("a", "")]
        {
            assert_eq!(request(who, minutes), Err(SilenceError::Form), "{who} {minutes}");
        }
        let grant = SilenceGrant { until_s: 0, matchers: labels(&[("alertname", "A")]) };
        let body = body(&grant, &request("anna", "240").unwrap(), 1_700_000_000);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["startsAt"], "2023-11-14T22:13:20Z");
        assert_eq!(body["endsAt"], "2023-11-15T02:13:20Z");
        assert_eq!(
            (&body["createdBy"], &body["matchers"][0]["value"]),
            (&"anna".into(), &"A".into())
        );
    }
}
