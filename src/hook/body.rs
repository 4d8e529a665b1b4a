//! The body of a request to a backend: JSON as Centrifugo's proxies send it.
//!
//! Data that is JSON stands in place, and anything else in base64, with `encoding` saying which.
//!
//! Deliberately absent: headers, and where the request goes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use super::request::{HookAsker, HookQuestion, HookRequest};
use crate::wire::{Encoding, Payload};

/// All members that bodies have; those that a question does not have are left out.
#[derive(Default, Serialize)]
struct BodyJson<'a> {
    client: &'a str,
    transport: &'static str,
    protocol: &'static str,
    encoding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    tenant: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64data: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "<[Box<str>]>::is_empty")]
    channels: &'a [Box<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
}

/// The body of a request.
pub fn write_body(request: &HookRequest) -> Vec<u8> {
    let HookRequest { asker, question } = request;
    let HookAsker { client, encoding, user, tenant, meta, headers: _ } = asker;
    let client = client.to_string();
    let mut body = BodyJson {
        client: &client,
        transport: "websocket",
        protocol: match encoding {
            Encoding::Json => "json",
            Encoding::Protobuf => "protobuf",
        },
        encoding: "json",
        user: Some(user),
        tenant,
        meta: meta.as_deref().and_then(|meta| serde_json::from_slice(meta).ok()),
        ..BodyJson::default()
    };
    match question {
        HookQuestion::Connect(question) => {
            body.user = None;
            (body.name, body.version) = (&question.name, &question.version);
            body.channels = &question.channels;
            put_data(question.data.as_ref(), &mut body);
        }
        HookQuestion::Refresh => (),
        HookQuestion::Rpc { method, data } => {
            body.method = Some(method);
            put_data(Some(data), &mut body);
        }
        HookQuestion::Subscribe { channel, data } => {
            body.channel = Some(channel);
            put_data(data.as_ref(), &mut body);
        }
        HookQuestion::Publish { channel, data } => {
            body.channel = Some(channel);
            put_data(Some(data), &mut body);
        }
        HookQuestion::SubRefresh { channel } => body.channel = Some(channel),
    }
    serde_json::to_vec(&body).expect("texts and checked JSON can be written")
}

fn put_data<'a>(data: Option<&'a Payload>, body: &mut BodyJson<'a>) {
    let Some(data) = data.filter(|data| !data.bytes.is_empty()) else { return };
    body.data = if data.is_json { serde_json::from_slice(&data.bytes).ok() } else { None };
    if body.data.is_none() {
        body.encoding = "binary";
        body.b64data = Some(STANDARD.encode(&data.bytes));
    }
}
