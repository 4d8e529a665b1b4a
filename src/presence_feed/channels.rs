//! Channels that somebody is in, by how many users.
//!
//! Invariant: a channel that was told as occupied is here until it is told as vacated.
//!
//! Deliberately absent: who is in them (`table`).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::event::{ChannelState, FeedNews, LastTold};
use super::log::{EventSubject, FeedLog};

/// Tenant and name.
pub(super) type ChannelName = (Arc<str>, Arc<str>);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ChannelTable(BTreeMap<ChannelName, OccupiedChannel>);

#[derive(Debug)]
struct OccupiedChannel {
    /// Users in it, those who are away for a while too. 0 only after a restart.
    users_count: u32,
    told: LastTold,
}

impl ChannelTable {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One user more.
    pub fn enter(&mut self, name: ChannelName, unix_ms: u64, log: &mut FeedLog) {
        let channel = self.0.entry(name).or_insert_with_key(|(tenant, channel)| {
            let news = FeedNews::Occupied(Arc::clone(channel));
            let number = log.tell_change(unix_ms, of_channel(tenant, 0), news);
            OccupiedChannel { users_count: 0, told: LastTold { number, since_unix_ms: unix_ms } }
        });
        channel.users_count += 1;
    }

    /// One user less.
    pub fn leave(&mut self, name: &ChannelName, unix_ms: u64, log: &mut FeedLog) {
        let channel = self.0.get_mut(name).expect("only who came in goes out");
        channel.users_count -= 1;
        if channel.users_count == 0 {
            self.vacate(name, unix_ms, log);
        }
    }

    /// Nobody came back to these.
    pub fn vacate_empty(&mut self, unix_ms: u64, log: &mut FeedLog) {
        let empty = self.0.iter().filter(|(_, channel)| channel.users_count == 0);
        let names: Vec<ChannelName> = empty.map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.vacate(name, unix_ms, log));
    }

    fn vacate(&mut self, name: &ChannelName, unix_ms: u64, log: &mut FeedLog) {
        let Some(OccupiedChannel { told, .. }) = self.0.remove(name) else { return };
        let (tenant, channel) = name;
        let news = FeedNews::Vacated(Arc::clone(channel));
        log.tell_change(unix_ms, of_channel(tenant, told.number), news);
    }

    /// It was told as occupied.
    pub fn restore(&mut self, state: ChannelState) {
        let ChannelState { tenant, channel, number, since_unix_ms } = state;
        let told = LastTold { number, since_unix_ms };
        let occupied = self.0.entry((tenant, channel));
        occupied.or_insert(OccupiedChannel { users_count: 0, told }).told = told;
    }

    /// It was told as vacated.
    pub fn restore_vacated(&mut self, name: &ChannelName) {
        self.0.remove(name);
    }

    /// A user was told to be in it. Where the record of the channel is lost, nobody is told that
    /// it is occupied.
    pub fn restore_user(&mut self, name: ChannelName) {
        let told = LastTold { number: 0, since_unix_ms: 0 };
        self.0.entry(name).or_insert(OccupiedChannel { users_count: 0, told }).users_count += 1;
    }

    /// Some of them behind a name, in order.
    pub fn behind(&self, after: Option<&ChannelName>) -> impl Iterator<Item = ChannelState> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.0.range::<ChannelName, _>((from, Bound::Unbounded));
        range.map(|((tenant, channel), occupied)| ChannelState {
            tenant: Arc::clone(tenant),
            channel: Arc::clone(channel),
            number: occupied.told.number,
            since_unix_ms: occupied.told.since_unix_ms,
        })
    }
}

/// What events about channels are about: their number stands with the channel.
fn of_channel(tenant: &Arc<str>, previous: u64) -> EventSubject {
    EventSubject { tenant: Arc::clone(tenant), previous, ..EventSubject::default() }
}
