//! What a token says of a subscription beside who may have it: information for others, data for
//! the client, and what holds in the place of the namespace's settings.
//!
//! Deliberately absent: who may subscribe (`permissions`), and claims of the whole token
//! (`claims`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::TokenError;
use crate::base::json_depth;
use crate::base::limits::{self, INFO_BYTES_MAX};

/// What a token says of a subscription. The default is what holds without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// `info` or `b64info`: one JSON value without line feeds, which others see as `chan_info`.
    pub info: Option<Box<[u8]>>,
    /// `data` or `b64data`: what the client is told when it is in.
    pub data: Option<SubscribeData>,
    /// `override`: what holds in the place of the namespace's settings.
    pub overrides: SubscribeOverrides,
    /// `recover_since`: a position from which the user may recover, also one who may not read the
    /// history.
    pub recover_since: Option<GrantedPosition>,
}

/// A position in a token, as the server API told it to the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedPosition {
    /// Offset: what is behind it may be recovered.
    pub offset: u64,
    /// Epoch, as it was told; at most [`limits::EPOCH_BYTES_MAX`] bytes.
    pub epoch: Box<str>,
}

/// Data of an application in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeData {
    /// The data.
    pub bytes: Box<[u8]>,
    /// Whether it is one JSON value without line feeds.
    pub is_json: bool,
}

/// What holds for one subscription in the place of its namespace's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOverrides {
    /// Whether join and leave messages are delivered unasked.
    pub push_join_leave: Option<bool>,
    /// Whether it can recover without having asked for that.
    pub recovery: Option<bool>,
    /// Whether its position is watched unasked.
    pub positioning: Option<bool>,
}

/// A claim that means something to the servers that tokens are made for, and nothing here.
/// Closed: what tokens have beyond it is their applications' own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsupportedClaim {
    /// `override.presence`: members are listed or not by namespace.
    OverridePresence,
    /// `override.join_leave`: members are told of or not by namespace.
    OverrideJoinLeave,
}

/// A set of unsupported claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnsupportedClaims(u8);

impl UnsupportedClaim {
    /// All of them.
    pub const ALL: [UnsupportedClaim; 2] =
        [UnsupportedClaim::OverridePresence, UnsupportedClaim::OverrideJoinLeave];
}

impl UnsupportedClaims {
    /// Adds one.
    pub(super) fn insert(&mut self, claim: UnsupportedClaim) {
        self.0 |= 1 << claim as u8;
    }

    /// Adds all of another set.
    pub fn extend(&mut self, others: UnsupportedClaims) {
        self.0 |= others.0;
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = UnsupportedClaim> {
        UnsupportedClaim::ALL.into_iter().filter(move |&claim| self.0 & 1 << claim as u8 != 0)
    }
}

/// The options as they stand in a token.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct SubscribeOptionsJson<'a> {
    #[serde(borrow)]
    pub info: Option<&'a RawValue>,
    pub b64info: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    pub b64data: Option<Cow<'a, str>>,
    #[serde(rename = "override")]
    pub overrides: Option<OverridesJson>,
    pub recover_since: Option<PositionJson<'a>>,
}

/// A position as it stands in a token.
#[derive(serde::Deserialize)]
pub(super) struct PositionJson<'a> {
    offset: u64,
    epoch: Cow<'a, str>,
}

impl PositionJson<'_> {
    fn read(self) -> Result<GrantedPosition, TokenError> {
        let fits = self.epoch.len() <= limits::EPOCH_BYTES_MAX;
        let granted = GrantedPosition { offset: self.offset, epoch: self.epoch.into() };
        if fits { Ok(granted) } else { Err(TokenError::Claims) }
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct OverridesJson {
    presence: Option<Switch>,
    join_leave: Option<Switch>,
    force_push_join_leave: Option<Switch>,
    force_recovery: Option<Switch>,
    force_positioning: Option<Switch>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Switch {
    value: bool,
}

impl SubscribeOptionsJson<'_> {
    /// The options, and adds what is not supported to `unsupported`.
    pub fn read(self, unsupported: &mut UnsupportedClaims) -> Result<SubscribeOptions, TokenError> {
        let overrides = self.overrides.unwrap_or_default();
        if overrides.presence.is_some() {
            unsupported.insert(UnsupportedClaim::OverridePresence);
        }
        if overrides.join_leave.is_some() {
            unsupported.insert(UnsupportedClaim::OverrideJoinLeave);
        }
        let value = |switch: Option<Switch>| switch.map(|switch| switch.value);
        Ok(SubscribeOptions {
            info: info(self.info, self.b64info)?,
            data: data(self.data, self.b64data, INFO_BYTES_MAX)?,
            overrides: SubscribeOverrides {
                push_join_leave: value(overrides.force_push_join_leave),
                recovery: value(overrides.force_recovery),
                positioning: value(overrides.force_positioning),
            },
            recover_since: self.recover_since.map(PositionJson::read).transpose()?,
        })
    }
}

/// `subs`: options by channel. A channel that appears twice is refused, as a claim is.
#[derive(Default)]
pub(super) struct SubsJson<'a>(pub(super) BTreeMap<Cow<'a, str>, SubscribeOptionsJson<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for SubsJson<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<SubsJson<'a>, D::Error> {
        from.deserialize_map(SubsVisitor(PhantomData))
    }
}

struct SubsVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for SubsVisitor<'a> {
    type Value = SubsJson<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("options by channel")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SubsJson<'a>, A::Error> {
        let mut subs = BTreeMap::new();
        while let Some((channel, options)) = map.next_entry()? {
            match subs.entry(channel) {
                Entry::Vacant(place) => place.insert(options),
                Entry::Occupied(_) => return Err(A::Error::custom("a channel twice")),
            };
        }
        Ok(SubsJson(subs))
    }
}

/// JSON in place, or in base64.
pub(super) fn info(
    json: Option<&RawValue>,
    b64: Option<Cow<'_, str>>,
) -> Result<Option<Box<[u8]>>, TokenError> {
    match data(json, b64, INFO_BYTES_MAX)? {
        None => Ok(None),
        Some(data) if data.is_json => Ok(Some(data.bytes)),
        // It goes into JSON frames of other clients as it stands.
        Some(_) => Err(TokenError::Claims),
    }
}

/// JSON in place, or anything in base64; at most so many bytes.
pub(super) fn data(
    json: Option<&RawValue>,
    b64: Option<Cow<'_, str>>,
    bytes_max: usize,
) -> Result<Option<SubscribeData>, TokenError> {
    use base64::Engine as _;
    let (bytes, is_json) = match (json, b64) {
        (None, None) => return Ok(None),
        (Some(json), _) => (Cow::Borrowed(json.get().as_bytes()), true),
        (None, Some(b64)) => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(b64.as_bytes());
            let decoded = decoded.map_err(|_| TokenError::Claims)?;
            let is_json = serde_json::from_slice::<&RawValue>(&decoded).is_ok();
            (Cow::Owned(decoded), is_json)
        }
    };
    if !is_json {
        let fits = bytes.len() <= bytes_max;
        let data = SubscribeData { bytes: bytes.into_owned().into(), is_json };
        return if fits { Ok(Some(data)) } else { Err(TokenError::Claims) };
    }
    // Inside a JSON string they are escaped, so these only lay it out.
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let bytes: Box<[u8]> = bytes.iter().copied().filter(|byte| !is_break(byte)).collect();
    let fits = bytes.len() <= bytes_max && json_depth(&bytes) <= limits::DATA_LEVELS_MAX;
    if fits { Ok(Some(SubscribeData { bytes, is_json })) } else { Err(TokenError::Claims) }
}
