//! From the payload of a token to valid claims: each one is checked and bounded here.
//!
//! Deliberately absent: signatures, which are checked before (`keys`).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, Visitor};
use serde_json::value::RawValue;

use super::subscribe_options::{
    OverridesJson, PositionJson, SubsJson, SubscribeOptions, SubscribeOptionsJson,
    UnsupportedClaims, info,
};
use super::{CAP_CHANNELS_MAX, CAPS_MAX, Capability, PatternKind, PermissionSet, TokenError};
use crate::base::limits;

/// What a token must say beside being signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimRequirements {
    /// One of its audiences.
    pub audience: Option<String>,
    /// Its issuer.
    pub issuer: Option<String>,
    /// By how much the clocks may differ; at most `LEEWAY_S_MAX`.
    pub leeway_s: u64,
}

/// What a connection token says. The default is what holds without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `sub`; empty for an anonymous peer.
    pub user: Box<str>,
    /// When the connection ends unless it is refreshed: `expire_at`, else `exp`.
    pub expires_at_unix_s: Option<u64>,
    /// `jti`, by which it can be revoked; empty for none.
    pub id: Box<str>,
    /// `iat`; `None` where it does not say when it was issued.
    pub issued_unix_s: Option<u64>,
    /// `info` or `b64info`: one JSON value without line feeds.
    pub info: Option<Box<[u8]>>,
    /// `channels`: those that the server subscribes the peer to.
    pub channels: Vec<Box<str>>,
    /// `subs`: the same, with options, by name.
    pub subs: Vec<(Box<str>, SubscribeOptions)>,
    /// `meta`: one JSON value without line feeds, for the backend's hooks, which clients never see.
    pub meta: Option<Box<[u8]>>,
    /// `tenant`; empty for the only one.
    pub tenant: Box<str>,
    /// `caps`: rights by channel. The first entry that covers a channel decides.
    pub caps: Vec<Capability>,
    /// What it says beside, and is not supported.
    pub unsupported: UnsupportedClaims,
}

/// What a subscription token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelClaims {
    /// `sub`: the user that the connection must have.
    pub user: Box<str>,
    /// `channel`: the channel it is for.
    pub channel: Box<str>,
    /// `client`: the connection it is for, where a backend still says so.
    pub client: Option<Box<str>>,
    /// When the subscription ends unless it is refreshed: `expire_at`, else `exp`.
    pub expires_at_unix_s: Option<u64>,
    /// `jti`, by which it can be revoked; empty for none.
    pub id: Box<str>,
    /// `iat`; `None` where it does not say when it was issued.
    pub issued_unix_s: Option<u64>,
    /// `info`, `data`, `override` and `recover_since`.
    pub options: SubscribeOptions,
    /// `tenant`; the connection must have the same.
    pub tenant: Box<str>,
    /// `allow`, and always to subscribe: that is what such a token is for.
    pub allow: PermissionSet,
    /// What it says beside, and is not supported.
    pub unsupported: UnsupportedClaims,
}

/// The last second of the year 9999. What is beyond it counts milliseconds: of today, they
/// are seven times as many.
const UNIX_S_MAX: u64 = 253_402_300_799;

/// A token that becomes valid within this time is worth waiting for.
const NOT_YET_S_MAX: u64 = 300;

/// Reads the claims of a connection token whose signature was good.
pub(super) fn connection_claims(
    payload: &[u8],
    requirements: &ClaimRequirements,
    now_unix_s: u64,
) -> Result<Claims, TokenError> {
    let claims = parse(payload)?;
    // What opens one channel, or is for one connection, opens no connection.
    if claims.channel.is_some() || claims.client.is_some() || claims.allow.is_some() {
        return Err(TokenError::Kind);
    }
    let expires_at_unix_s = claims.check(requirements, now_unix_s)?;
    let channels = claims.channels.unwrap_or_default();
    let subs = claims.subs.unwrap_or_default().0;
    if channels.len().max(subs.len()) > limits::CHANNELS_PER_CONNECTION_MAX {
        return Err(TokenError::Claims);
    }
    let caps = claims.caps.unwrap_or_default();
    if caps.len() > CAPS_MAX {
        return Err(TokenError::Claims);
    }
    let mut unsupported = UnsupportedClaims::default();
    let mut options = |(channel, options): (Cow<'_, str>, SubscribeOptionsJson<'_>)| {
        Ok((name(channel)?, options.read(&mut unsupported)?))
    };
    let subs = subs.into_iter().map(&mut options).collect::<Result<_, _>>()?;
    Ok(Claims {
        user: name_or_empty(claims.sub)?,
        expires_at_unix_s,
        id: id(claims.jti),
        issued_unix_s: claims.iat.map(|iat| iat.0),
        info: info(claims.info, claims.b64info)?,
        channels: channels.into_iter().map(name).collect::<Result<_, _>>()?,
        subs,
        meta: info(claims.meta, None)?,
        tenant: name_or_empty(claims.tenant)?,
        caps: caps.into_iter().map(cap).collect::<Result<_, _>>()?,
        unsupported,
    })
}

/// Reads the claims of a subscription token whose signature was good.
pub(super) fn subscription_claims(
    payload: &[u8],
    requirements: &ClaimRequirements,
    now_unix_s: u64,
) -> Result<ChannelClaims, TokenError> {
    let claims = parse(payload)?;
    let opens_others = claims.channels.is_some() || claims.subs.is_some() || claims.caps.is_some();
    if claims.channel.is_none() || opens_others {
        return Err(TokenError::Kind);
    }
    let expires_at_unix_s = claims.check(requirements, now_unix_s)?;
    let ClaimsJson { info, b64info, data, b64data, overrides, recover_since, .. } = claims;
    let mut unsupported = UnsupportedClaims::default();
    let options = SubscribeOptionsJson { info, b64info, data, b64data, overrides, recover_since };
    let options = options.read(&mut unsupported)?;
    Ok(ChannelClaims {
        user: name_or_empty(claims.sub)?,
        channel: name(claims.channel.ok_or(TokenError::Kind)?)?,
        client: claims.client.map(name).transpose()?,
        expires_at_unix_s,
        id: id(claims.jti),
        issued_unix_s: claims.iat.map(|iat| iat.0),
        options,
        tenant: name_or_empty(claims.tenant)?,
        unsupported,
        allow: allow(&claims.allow.unwrap_or_default())? | PermissionSet::SUBSCRIBE,
    })
}

/// Both kinds of token. Claims that mean nothing here are skipped; one that
/// appears twice is refused, since two readers could choose differently.
#[derive(serde::Deserialize)]
struct ClaimsJson<'a> {
    #[serde(borrow)]
    sub: Option<Cow<'a, str>>,
    exp: Option<UnixSeconds>,
    nbf: Option<UnixSeconds>,
    iat: Option<UnixSeconds>,
    #[serde(borrow)]
    jti: Option<&'a RawValue>,
    aud: Option<Audiences>,
    iss: Option<Cow<'a, str>>,
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
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    #[serde(borrow)]
    subs: Option<SubsJson<'a>>,
    tenant: Option<Cow<'a, str>>,
    channel: Option<Cow<'a, str>>,
    client: Option<Cow<'a, str>>,
    channels: Option<Vec<Cow<'a, str>>>,
    caps: Option<Vec<CapJson<'a>>>,
    allow: Option<Vec<Cow<'a, str>>>,
}

#[derive(serde::Deserialize)]
pub(super) struct CapJson<'a> {
    #[serde(borrow)]
    channels: Option<Vec<Cow<'a, str>>>,
    #[serde(rename = "match")]
    how: Option<Cow<'a, str>>,
    allow: Option<Vec<Cow<'a, str>>>,
}

impl ClaimsJson<'_> {
    /// Whether the token is for here and now; when what it stands for ends.
    fn check(
        &self,
        requirements: &ClaimRequirements,
        now_unix_s: u64,
    ) -> Result<Option<u64>, TokenError> {
        let times = [self.exp, self.nbf, self.iat, self.expire_at];
        if times.iter().flatten().any(|time| UNIX_S_MAX < time.0) {
            return Err(TokenError::Claims);
        }
        let is_over = |end: u64| now_unix_s >= end.saturating_add(requirements.leeway_s);
        if let Some(UnixSeconds(exp)) = self.exp
            && is_over(exp)
        {
            return Err(TokenError::Expired);
        }
        if let Some(UnixSeconds(nbf)) = self.nbf
            && now_unix_s.saturating_add(requirements.leeway_s) < nbf
        {
            // Waiting for it is no way out where that takes hours.
            let is_soon = nbf - now_unix_s <= NOT_YET_S_MAX;
            return Err(if is_soon { TokenError::NotYet } else { TokenError::Claims });
        }
        if let Some(wanted) = &requirements.audience
            && !self.aud.as_ref().is_some_and(|aud| aud.0.contains(wanted))
        {
            return Err(TokenError::Audience);
        }
        if let Some(wanted) = &requirements.issuer
            && self.iss.as_deref() != Some(wanted)
        {
            return Err(TokenError::Issuer);
        }
        match self.expire_at {
            None => Ok(self.exp.map(|exp| exp.0)),
            Some(UnixSeconds(0)) => Ok(None),
            Some(UnixSeconds(end)) if is_over(end) => Err(TokenError::Expired),
            Some(UnixSeconds(end)) => Ok(Some(end)),
        }
    }
}

/// A time as RFC 7519 counts it, which allows fractions of a second.
#[derive(Clone, Copy)]
pub(super) struct UnixSeconds(u64);

impl UnixSeconds {
    /// When something ends, where 0 means never.
    pub(super) fn checked(self) -> Result<Option<u64>, TokenError> {
        if UNIX_S_MAX < self.0 {
            Err(TokenError::Claims)
        } else {
            Ok(Some(self.0).filter(|&end| end != 0))
        }
    }
}

impl<'de> Deserialize<'de> for UnixSeconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<UnixSeconds, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = UnixSeconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970")
            }

            fn visit_u64<E: Error>(self, seconds: u64) -> Result<UnixSeconds, E> {
                Ok(UnixSeconds(seconds))
            }

            fn visit_f64<E: Error>(self, seconds: f64) -> Result<UnixSeconds, E> {
                // A cast saturates, so the far future stays there.
                if seconds >= 0.0 { Ok(UnixSeconds(seconds as u64)) } else { Err(E::custom("")) }
            }
        }
        from.deserialize_any(Number)
    }
}

/// `aud` is one text or a list of them.
#[derive(serde::Deserialize)]
#[serde(from = "AudiencesJson")]
struct Audiences(Vec<String>);

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum AudiencesJson {
    One(String),
    Many(Vec<String>),
    /// Nobody may demand an audience, and then it may be anything.
    Other(IgnoredAny),
}

impl From<AudiencesJson> for Audiences {
    fn from(json: AudiencesJson) -> Audiences {
        match json {
            AudiencesJson::One(one) => Audiences(vec![one]),
            AudiencesJson::Many(many) => Audiences(many),
            AudiencesJson::Other(IgnoredAny) => Audiences(Vec::new()),
        }
    }
}

fn parse(payload: &[u8]) -> Result<ClaimsJson<'_>, TokenError> {
    serde_json::from_slice(payload).map_err(|_| TokenError::Claims)
}

/// A name ends up in logs and in other names, so what could cut a line is no name.
pub(super) fn name(text: Cow<'_, str>) -> Result<Box<str>, TokenError> {
    if text.is_empty() { Err(TokenError::Claims) } else { name_or_empty(Some(text)) }
}

pub(super) fn name_or_empty(text: Option<Cow<'_, str>>) -> Result<Box<str>, TokenError> {
    let text = text.unwrap_or_default();
    if text.len() > limits::NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(TokenError::Claims);
    }
    Ok(text.into())
}

/// The id of a token. It is a text (RFC 7519, 4.1.7); who writes a number means its digits, and
/// anything else is none: it names no token.
fn id(jti: Option<&RawValue>) -> Box<str> {
    let Some(jti) = jti.map(RawValue::get) else { return Box::default() };
    match serde_json::from_str::<Cow<'_, str>>(jti) {
        Ok(text) => text.into(),
        Err(_) if jti.bytes().all(|byte| byte.is_ascii_digit()) => jti.into(),
        Err(_) => Box::default(),
    }
}

pub(super) fn cap(cap: CapJson<'_>) -> Result<Capability, TokenError> {
    let pattern_kind = match cap.how.as_deref() {
        None | Some("" | "exact") => PatternKind::Exact,
        Some("wildcard") => PatternKind::Wildcard,
        // A rule that is not understood must not be taken for another.
        Some(_) => return Err(TokenError::Claims),
    };
    let channels = cap.channels.unwrap_or_default();
    if channels.len() > CAP_CHANNELS_MAX {
        return Err(TokenError::Claims);
    }
    let channels = channels.into_iter().map(name).collect::<Result<_, _>>()?;
    Ok(Capability { channels, pattern_kind, allow: allow(&cap.allow.unwrap_or_default())? })
}

pub(super) fn allow(words: &[Cow<'_, str>]) -> Result<PermissionSet, TokenError> {
    let mut each =
        words.iter().map(|word| PermissionSet::from_word(word).ok_or(TokenError::Claims));
    each.try_fold(PermissionSet::NONE, |all, one| Ok(all | one?))
}
