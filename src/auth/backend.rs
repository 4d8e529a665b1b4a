//! What a backend answers of a peer, or of one of its subscriptions, in the place of a token: the
//! same claims by the same names, but `user` for `sub`.
//!
//! Deliberately absent: signatures. It came over a connection that was opened to the backend.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::claims::{CapJson, UnixSeconds, allow, cap, name, name_or_empty};
use super::subscribe_options::{
    OverridesJson, PositionJson, SubsJson, SubscribeData, SubscribeOptions, SubscribeOptionsJson,
    UnsupportedClaims, data, info,
};
use super::{CAPS_MAX, Capability, PermissionSet, TokenError};
use crate::base::limits;

/// What a backend says of a peer or of a subscription. The default is what it says by saying
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendGrant {
    /// `user`; empty for an anonymous peer.
    pub user: Box<str>,
    /// `tenant`; empty for the only one.
    pub tenant: Box<str>,
    /// `expired`: it ends now.
    pub is_expired: bool,
    /// `expire_at`: when it ends unless it is refreshed.
    pub expires_at_unix_s: Option<u64>,
    /// `info`, `data`, `override` and `recover_since`.
    pub options: SubscribeOptions,
    /// `channels`: those that the server subscribes the peer to.
    pub channels: Vec<Box<str>>,
    /// `subs`: the same, with options, by name.
    pub subs: Vec<(Box<str>, SubscribeOptions)>,
    /// `meta`: one JSON value without line feeds, for later hooks.
    pub meta: Option<Box<[u8]>>,
    /// `caps`: rights by channel.
    pub caps: Vec<Capability>,
    /// `allow`: rights in the channel.
    pub allow: PermissionSet,
    /// What it says beside, and is not supported.
    pub unsupported: UnsupportedClaims,
}

#[derive(serde::Deserialize)]
struct GrantJson<'a> {
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
    tenant: Option<Cow<'a, str>>,
    expired: Option<bool>,
    expire_at: Option<UnixSeconds>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    b64info: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    b64data: Option<Cow<'a, str>>,
    #[serde(rename = "override")]
    overrides: Option<OverridesJson>,
    #[serde(borrow)]
    recover_since: Option<PositionJson<'a>>,
    channels: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    subs: Option<SubsJson<'a>>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    caps: Option<Vec<CapJson<'a>>>,
    allow: Option<Vec<Cow<'a, str>>>,
}

/// Reads what a backend says. Data for a client may be as long as the answer.
pub fn read_grant(json: &RawValue) -> Result<BackendGrant, TokenError> {
    let json: GrantJson<'_> = serde_json::from_str(json.get()).map_err(|_| TokenError::Claims)?;
    let channels = json.channels.unwrap_or_default();
    let subs = json.subs.unwrap_or_default().0;
    let caps = json.caps.unwrap_or_default();
    if channels.len().max(subs.len()) > limits::CHANNELS_PER_CONNECTION_MAX || CAPS_MAX < caps.len()
    {
        return Err(TokenError::Claims);
    }
    let mut unsupported = UnsupportedClaims::default();
    let (overrides, recover_since) = (json.overrides, json.recover_since);
    let own = SubscribeOptionsJson { overrides, recover_since, ..SubscribeOptionsJson::default() };
    let options = SubscribeOptions {
        info: info(json.info, said(json.b64info))?,
        data: data(json.data, said(json.b64data), usize::MAX)?,
        ..own.read(&mut unsupported)?
    };
    let mut option = |(channel, options): (Cow<'_, str>, SubscribeOptionsJson<'_>)| {
        let (b64info, b64data) = (said(options.b64info), said(options.b64data));
        let options = SubscribeOptionsJson { b64info, b64data, ..options };
        Ok((name(channel)?, options.read(&mut unsupported)?))
    };
    Ok(BackendGrant {
        user: name_or_empty(json.user)?,
        tenant: name_or_empty(json.tenant)?,
        is_expired: json.expired.unwrap_or(false),
        expires_at_unix_s: json.expire_at.map(UnixSeconds::checked).transpose()?.flatten(),
        options,
        channels: channels.into_iter().map(name).collect::<Result<_, _>>()?,
        subs: subs.into_iter().map(&mut option).collect::<Result<_, _>>()?,
        meta: info(json.meta, None)?,
        caps: caps.into_iter().map(cap).collect::<Result<_, _>>()?,
        allow: allow(&json.allow.unwrap_or_default())?,
        unsupported,
    })
}

/// Reads application data, in place or in base64.
pub fn read_data(
    json: Option<&RawValue>,
    b64: Option<Cow<'_, str>>,
) -> Result<Option<SubscribeData>, TokenError> {
    data(json, said(b64), usize::MAX)
}

/// Some backends write a text that they do not mean as an empty one.
fn said(text: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    text.filter(|text| !text.is_empty())
}
