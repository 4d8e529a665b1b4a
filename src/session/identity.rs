//! The identity of a connected peer, with the content of its tokens: name, expiry, tenant and
//! permissions.
//!
//! Most peers have a name and nothing else, so rare fields are in a box of their own.
//!
//! Deliberately absent: checking tokens (`auth`), and permissions (`rights`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::backlog::{Backlog, Backlogs, DeferredSubscribes};
use super::pending_histories::{PendingHistories, TakenPage};
use super::rights::Identity;
use crate::auth::{Capability, PermissionSet, allowed};
use crate::base::{MonotonicMs, RoomId};
use crate::blocks::TokenStamp;
use crate::hook::HookHeaders;
use crate::metrics::Tenant;
use crate::room::RoomReply;
use crate::wire::{ClientInfo, Payload};

/// The identity of a connected peer.
#[derive(Debug)]
pub struct Peer {
    /// Its public identity.
    info: Arc<ClientInfo>,
    /// The end of the connection token, Unix seconds; 0 for never. 32 bits last until 2106.
    expires_unix_s: u32,
    identity: Identity,
    /// The time of its upgrade.
    started_at: StartTime24,
    /// What not every peer has.
    extra: Option<Box<Extra>>,
}

/// What a peer with a token has, in few bytes.
#[derive(Debug)]
struct Extra {
    /// Which token it is.
    token: TokenStamp,
    /// Absent for most peers.
    rare: Option<Box<Rare>>,
}

/// The time of a beginning in three bytes, because every idle connection has one. Ages above 49
/// days begin again at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartTime24([u8; 3]);

impl StartTime24 {
    /// The granularity of ages.
    const GRANULE_MS: u64 = 256;

    /// It began then.
    pub fn new(at: MonotonicMs) -> StartTime24 {
        let [first, second, third, ..] = (at.0 / StartTime24::GRANULE_MS).to_le_bytes();
        StartTime24([first, second, third])
    }

    /// The age, to a granule.
    pub fn age_ms(self, now: MonotonicMs) -> u64 {
        let [first, second, third] = self.0;
        let at = u32::from_le_bytes([first, second, third, 0]);
        let granules = ((now.0 / StartTime24::GRANULE_MS) as u32).wrapping_sub(at) & 0xff_ffff;
        u64::from(granules) * StartTime24::GRANULE_MS
    }
}

/// The rare fields of tokens.
#[derive(Debug, Default)]
struct Rare {
    /// The tenant that its names are of; empty for the only one.
    tenant: Arc<str>,
    /// The tenant that it is counted for.
    counted_as: Option<Tenant>,
    /// Permissions by channel of the connection token.
    caps: Vec<Capability>,
    /// The content of subscription tokens, by room.
    channels: BTreeMap<RoomId, ChannelExtra>,
    /// Commands that wait for rooms' answers to subscribes.
    backlogs: Backlogs,
    /// Subscribes that were refused for a while.
    deferred: DeferredSubscribes,
    /// Histories of several channels of which rooms have yet to answer.
    histories: PendingHistories,
    /// Rooms in which the backend is asked about its messages.
    publishing: Vec<RoomId>,
    /// What its token or its backend says of it for hooks.
    meta: Option<Arc<[u8]>>,
    /// Headers of its upgrade that hooks get.
    headers: Option<Arc<HookHeaders>>,
}

/// The content of a subscription token, apart from the channel.
#[derive(Debug)]
pub struct ChannelExtra {
    /// The channel's name, for the push about its end.
    pub channel: Box<str>,
    /// Information that is added to messages of this peer there.
    pub chan_info: Option<Arc<Payload>>,
    /// Its end, Unix seconds.
    pub expires_unix_s: Option<u64>,
    /// Which token it is; `NO_TOKEN` where the server or a backend has said it.
    pub token: TokenStamp,
}

impl Default for Extra {
    fn default() -> Extra {
        Extra { token: TokenStamp::NO_TOKEN, rare: None }
    }
}

impl Rare {
    fn is_plain(&self) -> bool {
        let Rare { tenant, counted_as, caps, channels, backlogs, deferred, histories, .. } = self;
        let is_told = self.meta.is_none() && self.headers.is_none();
        let is_nobodys = tenant.is_empty() && counted_as.is_none();
        let asks_nothing = backlogs.is_empty()
            && deferred.is_empty()
            && histories.is_empty()
            && self.publishing.is_empty();
        is_nobodys && is_told && caps.is_empty() && channels.is_empty() && asks_nothing
    }
}

impl Peer {
    /// A peer with the content of its token.
    pub fn new(
        info: ClientInfo,
        expires_unix_s: Option<u64>,
        tenant: Box<str>,
        counted_as: Option<Tenant>,
        caps: Vec<Capability>,
        started_at: StartTime24,
    ) -> Peer {
        let plain = tenant.is_empty() && caps.is_empty();
        let tenant = Arc::from(tenant);
        let rare = Rare { tenant, counted_as, caps, ..Rare::default() };
        let rare = (!plain).then(|| Box::new(rare));
        let extra = rare.is_some().then(|| Box::new(Extra { rare, ..Extra::default() }));
        let named = !info.user.is_empty();
        let identity = if named { Identity::User } else { Identity::Anonymous };
        let mut peer =
            Peer { info: Arc::new(info), expires_unix_s: 0, identity, started_at, extra };
        peer.set_expiry(expires_unix_s);
        peer
    }

    /// Its public identity.
    pub fn info(&self) -> &Arc<ClientInfo> {
        &self.info
    }

    /// The time of its upgrade.
    pub fn started_at(&self) -> StartTime24 {
        self.started_at
    }

    /// The end of the connection token, Unix seconds.
    pub fn expires_unix_s(&self) -> Option<u64> {
        (self.expires_unix_s != 0).then_some(u64::from(self.expires_unix_s))
    }

    /// Replaces the content of the former token.
    pub fn renew(
        &mut self,
        expires_unix_s: Option<u64>,
        conn_info: Option<Box<Payload>>,
        caps: Vec<Capability>,
    ) {
        self.set_expiry(expires_unix_s);
        self.set_info(conn_info);
        self.set_caps(caps);
    }

    /// Replaces what others are told of it.
    pub fn set_info(&mut self, conn_info: Option<Box<Payload>>) {
        if self.info.conn_info != conn_info {
            self.info = Arc::new(ClientInfo { conn_info, ..(*self.info).clone() });
        }
    }

    /// Replaces its permissions by channel.
    pub fn set_caps(&mut self, caps: Vec<Capability>) {
        if !caps.is_empty() || self.rare().is_some() {
            self.rare_or_new().caps = caps;
        }
        self.tidy();
    }

    /// Replaces the end of the token; one after 2106 is then.
    pub fn set_expiry(&mut self, expires_unix_s: Option<u64>) {
        let end = expires_unix_s.map(|end| u32::try_from(end).unwrap_or(u32::MAX).max(1));
        self.expires_unix_s = end.unwrap_or(0);
    }

    /// Whether it has a name.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The tenant that its names are of; empty for the only one.
    pub fn tenant(&self) -> &str {
        self.rare().map_or("", |rare| &rare.tenant)
    }

    /// The tenant that it is counted for, where there are tenants.
    pub fn counted_as(&self) -> Option<Tenant> {
        self.rare()?.counted_as
    }

    /// The same, shared.
    pub fn shared_tenant(&self) -> Arc<str> {
        self.rare().map_or_else(Arc::default, |rare| Arc::clone(&rare.tenant))
    }

    /// What its token or its backend says of it for hooks.
    pub fn meta(&self) -> Option<&Arc<[u8]>> {
        self.rare()?.meta.as_ref()
    }

    /// Replaces it.
    pub fn set_meta(&mut self, meta: Option<Box<[u8]>>) {
        if meta.is_some() || self.rare().is_some() {
            self.rare_or_new().meta = meta.map(Arc::from);
        }
        self.tidy();
    }

    /// Headers of its upgrade that hooks get.
    pub fn headers(&self) -> Option<&Arc<HookHeaders>> {
        self.rare()?.headers.as_ref()
    }

    /// Keeps them.
    pub fn keep_headers(&mut self, headers: Option<Arc<HookHeaders>>) {
        if headers.is_some() {
            self.rare_or_new().headers = headers;
        }
    }

    /// The permissions of the connection token in this channel.
    pub fn capability(&self, channel: &str) -> PermissionSet {
        self.rare().map_or(PermissionSet::NONE, |rare| allowed(&rare.caps, channel))
    }

    /// The content of the subscription token, if it has more than the channel.
    pub fn channel(&self, room: RoomId) -> Option<&ChannelExtra> {
        self.rare()?.channels.get(&room)
    }

    /// How many channels have such content.
    pub fn channel_extras_count(&self) -> usize {
        self.rare().map_or(0, |rare| rare.channels.len())
    }

    /// All of it, by room.
    pub fn channel_extras(&self) -> impl Iterator<Item = (RoomId, &ChannelExtra)> {
        let channels = self.rare().into_iter().flat_map(|rare| &rare.channels);
        channels.map(|(&room, said)| (room, said))
    }

    /// Stores the content of a subscription token.
    pub fn remember(&mut self, room: RoomId, said: ChannelExtra) {
        self.rare_or_new().channels.insert(room, said);
    }

    /// Removes it.
    pub fn forget(&mut self, room: RoomId) {
        if let Some(rare) = self.rare_mut() {
            rare.channels.remove(&room);
        }
        self.tidy();
    }

    /// The commands that wait, mutable.
    pub fn backlogs_mut(&mut self) -> &mut Backlogs {
        &mut self.rare_or_new().backlogs
    }

    /// Whether commands may wait for a room's answer.
    pub fn has_backlogs(&self) -> bool {
        self.rare().is_some_and(|rare| !rare.backlogs.is_empty())
    }

    /// Takes the commands that wait for this room, which has answered.
    pub fn take_backlog(&mut self, room: RoomId) -> Option<Backlog> {
        let backlog = self.rare_mut()?.backlogs.take(room);
        self.tidy();
        backlog
    }

    /// Subscribes that were refused for a while, if there are any.
    pub fn deferred(&self) -> Option<&DeferredSubscribes> {
        self.rare().map(|rare| &rare.deferred).filter(|deferred| !deferred.is_empty())
    }

    /// The same, mutable.
    pub fn deferred_mut(&mut self) -> &mut DeferredSubscribes {
        &mut self.rare_or_new().deferred
    }

    /// Removes a channel that was subscribed again, or unsubscribed.
    pub fn forget_deferred(&mut self, room: RoomId) {
        if let Some(rare) = self.rare_mut() {
            rare.deferred.remove(room);
        }
        self.tidy();
    }

    /// Whether as many histories of several channels wait for rooms as may.
    pub fn has_full_histories(&self) -> bool {
        self.rare().is_some_and(|rare| rare.histories.is_full())
    }

    /// What the messages cost that wait for the rest of a history of several channels.
    pub fn held_answer_bytes(&self) -> usize {
        self.rare().map_or(0, |rare| rare.histories.held_bytes())
    }

    /// The histories that wait for rooms, to add one.
    pub fn histories_mut(&mut self) -> &mut PendingHistories {
        &mut self.rare_or_new().histories
    }

    /// Hands a room's answer to the histories that wait for rooms.
    pub fn take_page(&mut self, room: RoomId, id: u32, reply: RoomReply) -> TakenPage {
        let Some(rare) = self.rare_mut() else { return TakenPage::Foreign(reply) };
        let taken = rare.histories.take(room, id, reply);
        if matches!(taken, TakenPage::Complete(..)) {
            self.tidy();
        }
        taken
    }

    /// The token that it has shown.
    pub fn token(&self) -> TokenStamp {
        self.extra.as_ref().map_or(TokenStamp::NO_TOKEN, |extra| extra.token)
    }

    /// From now on it has shown this one.
    pub fn set_token(&mut self, token: TokenStamp) {
        self.extra.get_or_insert_default().token = token;
        self.tidy();
    }

    fn rare(&self) -> Option<&Rare> {
        self.extra.as_ref()?.rare.as_deref()
    }

    fn rare_mut(&mut self) -> Option<&mut Rare> {
        self.extra.as_mut()?.rare.as_deref_mut()
    }

    fn rare_or_new(&mut self) -> &mut Rare {
        self.extra.get_or_insert_default().rare.get_or_insert_default()
    }

    /// Frees the boxes that are empty.
    fn tidy(&mut self) {
        if let Some(extra) = &mut self.extra {
            extra.rare.take_if(|rare| rare.is_plain());
        }
        let is_empty =
            |extra: &mut Box<Extra>| extra.rare.is_none() && extra.token == TokenStamp::NO_TOKEN;
        self.extra.take_if(is_empty);
    }

    /// Subscriptions whose tokens have ended, with that time, Unix seconds; the first one first.
    pub fn expired(&self, now_unix_s: u64) -> Vec<(RoomId, u64)> {
        let ends =
            (self.channel_extras()).filter_map(|(room, said)| Some((room, said.expires_unix_s?)));
        let mut expired: Vec<_> = ends.filter(|&(_, end)| end <= now_unix_s).collect();
        expired.sort_by_key(|&(_, end)| end);
        expired
    }

    /// Replaces the end of a subscription whose token had one.
    pub fn set_channel_expiry(&mut self, room: RoomId, expires_unix_s: Option<u64>) {
        let said = self.rare_mut().and_then(|rare| rare.channels.get_mut(&room));
        if let Some(said) = said {
            said.expires_unix_s = expires_unix_s;
        }
    }

    /// Whether the backend is asked about a message of this peer in this room.
    pub fn publishes_in(&self, room: RoomId) -> bool {
        self.rare().is_some_and(|rare| rare.publishing.contains(&room))
    }

    /// Whether it is asked about any message of this peer.
    pub fn publishes(&self) -> bool {
        self.rare().is_some_and(|rare| !rare.publishing.is_empty())
    }

    /// The backend is asked about a message: later commands about the room wait.
    pub fn begin_publish(&mut self, room: RoomId) {
        if !self.publishes_in(room) {
            self.rare_or_new().publishing.push(room);
        }
    }

    /// The backend has answered.
    pub fn end_publish(&mut self, room: RoomId) {
        if let Some(rare) = self.rare_mut() {
            rare.publishing.retain(|other| *other != room);
        }
        self.tidy();
    }

    /// The subscription whose token ends first, with that time, Unix seconds.
    pub fn first_expiry(&self) -> Option<(RoomId, u64)> {
        let ends =
            (self.channel_extras()).filter_map(|(room, said)| Some((room, said.expires_unix_s?)));
        ends.min_by_key(|&(_, end)| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_bytes_tell_an_age_for_49_days() {
        for began in [0, 255, 256, 1 << 31, (1 << 32) - 256, (1 << 40) + 77] {
            let started_at = StartTime24::new(MonotonicMs(began));
            for age_ms in [0, 1_000, 86_400_000, 49 * 86_400_000] {
                let told = started_at.age_ms(MonotonicMs(began + age_ms));
                assert!(told.abs_diff(age_ms) < StartTime24::GRANULE_MS, "{told} and {age_ms}");
            }
        }
    }
}
