//! The answer of a backend, read as a whole: a result, an error for the client, or its end.
//!
//! Deliberately absent: what a result means (`session`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::auth::{BackendGrant, SubscribeData, read_data, read_grant};
use crate::base::limits::{
    API_TAGS_MAX, CLOSE_CODES_OF_OTHERS, CLOSE_REASON_BYTES_MAX, NAME_BYTES_MAX,
};
use crate::metrics::Hook;
use crate::wire::{BackendError, Payload, chat};

/// What became of asking a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookReply {
    /// It has answered.
    Result(HookResult),
    /// It refuses the client's command.
    Error(BackendError),
    /// It ends the connection.
    Disconnect(HookDisconnect),
    /// It was not asked: too much is under way.
    Busy,
    /// It did not answer, or what nobody understands.
    Failed,
}

impl HookReply {
    /// Whether there is no answer.
    pub fn is_missing(&self) -> bool {
        matches!(self, HookReply::Busy | HookReply::Failed)
    }
}

/// What a backend answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookResult {
    /// Of a peer or of a subscription; `None` where it says nothing.
    Grant(Option<Box<BackendGrant>>),
    /// The answer of a method.
    Rpc(Payload),
    /// What is to be published.
    Publish(PublishTerms),
}

/// How a message is published that a backend was asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishTerms {
    /// In the place of what the client said.
    pub data: Option<Payload>,
    /// Beside those that the message has.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// It is delivered, and not kept.
    pub skips_history: bool,
}

/// The end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookDisconnect {
    /// The code of the close frame.
    pub code: u16,
    /// Its reason.
    pub reason: Box<str>,
}

/// An answer that means nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookAnswerError {
    /// It is no JSON object with what an answer has.
    Form,
    /// Its error has no code, or a message that cannot be handed on.
    Error,
    /// Its disconnect has a code that is not for backends, or too long a reason.
    Disconnect,
    /// Its result has a member of the wrong type, or beyond a limit.
    Result,
}

impl fmt::Display for HookAnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HookAnswerError::Form => "the answer is no JSON object with a result",
            HookAnswerError::Error => "the error in the answer has no code, or too long a message",
            HookAnswerError::Disconnect => {
                "the disconnect in the answer has no code from 3000 to 4999, or too long a reason"
            }
            HookAnswerError::Result => {
                "a member of the result is of the wrong type, or beyond its limit"
            }
        })
    }
}

#[derive(serde::Deserialize)]
struct AnswerJson<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<ErrorJson>,
    disconnect: Option<DisconnectJson>,
}

#[derive(serde::Deserialize)]
struct ErrorJson {
    #[serde(default)]
    code: u32,
    message: Option<String>,
    temporary: Option<bool>,
}

#[derive(serde::Deserialize)]
struct DisconnectJson {
    #[serde(default)]
    code: u32,
    reason: Option<String>,
}

#[derive(serde::Deserialize)]
struct DataJson<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    b64data: Option<Cow<'a, str>>,
    tags: Option<BTreeMap<String, String>>,
    skip_history: Option<bool>,
}

/// Reads the body of an answer.
pub fn read_answer(hook: Hook, body: &[u8]) -> Result<HookReply, HookAnswerError> {
    // A list would do for an object otherwise.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(HookAnswerError::Form);
    }
    let answer: AnswerJson<'_> = serde_json::from_slice(body).map_err(|_| HookAnswerError::Form)?;
    if let Some(disconnect) = answer.disconnect {
        return Ok(HookReply::Disconnect(read_disconnect(disconnect)?));
    }
    if let Some(error) = answer.error {
        return Ok(HookReply::Error(read_error(error)?));
    }
    let result = answer.result.filter(|result| result.get().starts_with('{'));
    if result.is_none() && answer.result.is_some() {
        return Err(HookAnswerError::Result);
    }
    let result = match hook {
        Hook::Connect | Hook::Refresh | Hook::Subscribe | Hook::SubRefresh => {
            let grant = result.map(read_grant).transpose().map_err(|_| HookAnswerError::Result)?;
            HookResult::Grant(grant.map(Box::new))
        }
        Hook::Rpc => HookResult::Rpc(
            read_publish(result)?
                .data
                .unwrap_or_else(|| Payload { bytes: Bytes::new(), is_json: false }),
        ),
        Hook::Publish => HookResult::Publish(read_publish(result)?),
    };
    Ok(HookReply::Result(result))
}

fn read_disconnect(json: DisconnectJson) -> Result<HookDisconnect, HookAnswerError> {
    let code = u16::try_from(json.code).map_err(|_| HookAnswerError::Disconnect)?;
    let reason = json.reason.unwrap_or_default();
    if !CLOSE_CODES_OF_OTHERS.contains(&code) || CLOSE_REASON_BYTES_MAX < reason.len() {
        return Err(HookAnswerError::Disconnect);
    }
    Ok(HookDisconnect { code, reason: reason.into() })
}

fn read_error(json: ErrorJson) -> Result<BackendError, HookAnswerError> {
    let message = json.message.unwrap_or_default();
    if json.code == 0 || NAME_BYTES_MAX < message.len() {
        return Err(HookAnswerError::Error);
    }
    let is_temporary = json.temporary.unwrap_or(false);
    Ok(BackendError { code: json.code, message: message.into(), is_temporary })
}

fn read_publish(result: Option<&RawValue>) -> Result<PublishTerms, HookAnswerError> {
    let Some(result) = result else { return Ok(PublishTerms::default()) };
    let json: DataJson<'_> =
        serde_json::from_str(result.get()).map_err(|_| HookAnswerError::Result)?;
    let data = read_data(json.data, json.b64data).map_err(|_| HookAnswerError::Result)?;
    let tags = json.tags.unwrap_or_default();
    let is_right = |(name, text): (&String, &String)| {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && text.len() <= NAME_BYTES_MAX;
        fits && !chat::is_own_tag(name)
    };
    if API_TAGS_MAX < tags.len() || !tags.iter().all(is_right) {
        return Err(HookAnswerError::Result);
    }
    Ok(PublishTerms {
        data: data.map(payload),
        tags: tags.into_iter().map(|(name, text)| (name.into(), text.into())).collect(),
        skips_history: json.skip_history.unwrap_or(false),
    })
}

fn payload(data: SubscribeData) -> Payload {
    Payload { bytes: Bytes::from(data.bytes), is_json: data.is_json }
}
