//! Who is there: users with their connections and channels, and since when somebody is away.
//!
//! Invariants: a user is in the table from the moment when it is told as connected until it is told
//! as disconnected; one without connections is away, and so is a subscription; a user who was
//! told, its subscriptions and its channels are what the events of the log lead to.
//!
//! Deliberately absent: numbers and records (`log`), and whole pages (`feed`).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::channels::{ChannelName, ChannelTable};
use super::conn_set::ConnSet;
use super::event::{ChannelState, FeedEvent, FeedNews, LastTold, UserState};
use super::fact::{
    AwayFor, DeadLetterNotice, GoneReason, Leaving, PeerConn, UserKey, WaitingMessage,
};
use super::graces::Graces;
use super::group_waits::ToldMembers;
use super::held::HeldMessages;
use super::log::{EventSubject, FeedLog};
use super::passes::Passes;
use crate::base::{MonotonicMs, ShardId, Timestamps};

/// See the module.
#[derive(Debug)]
pub(super) struct PresenceTable {
    users: BTreeMap<UserKey, PresentUser>,
    channels: ChannelTable,
    subscriptions_count: usize,
    subscriptions_max: usize,
    /// A subscription had no room.
    is_overfull: bool,
    graces: Graces,
    passes: Passes,
    told_members: ToldMembers,
}

#[derive(Debug, Default)]
struct PresentUser {
    conns: ConnSet,
    away: Option<Box<Away>>,
    /// `None` for who has no name.
    told: Option<LastTold>,
    subscriptions: BTreeMap<Arc<str>, Subscribed>,
    held: HeldMessages,
}

#[derive(Debug)]
struct Away {
    until: MonotonicMs,
    reason: GoneReason,
}

#[derive(Debug, Default)]
struct Subscribed {
    conns: ConnSet,
    away_until: Option<MonotonicMs>,
}

impl PresentUser {
    /// What events about it are about.
    fn subject(&self, key: &UserKey) -> EventSubject {
        let previous = self.told.map_or(0, |told| told.number);
        EventSubject { tenant: Arc::clone(&key.tenant), user: Arc::clone(&key.user), previous }
    }

    /// Tells something of it, unless it has no name.
    fn tell(&mut self, key: &UserKey, unix_ms: u64, news: FeedNews, log: &mut FeedLog) {
        if !key.is_named() {
            return;
        }
        let number = log.tell_change(unix_ms, self.subject(key), news);
        let since_unix_ms = self.told.map_or(unix_ms, |told| told.since_unix_ms);
        self.told = Some(LastTold { number, since_unix_ms });
    }

    /// Its subscriptions have no connections any more, where this is the last one.
    fn leave_channels(&mut self, until: MonotonicMs, left: impl Fn(&mut ConnSet) -> bool) -> bool {
        let mut is_out = false;
        for subscribed in self.subscriptions.values_mut() {
            if left(&mut subscribed.conns) && subscribed.conns.is_empty() {
                subscribed.away_until = Some(until);
                is_out = true;
            }
        }
        is_out
    }
}

impl PresenceTable {
    /// Nobody is there.
    pub fn new(graces: Graces, subscriptions_max: usize) -> PresenceTable {
        PresenceTable {
            users: BTreeMap::new(),
            channels: ChannelTable::default(),
            subscriptions_count: 0,
            subscriptions_max,
            is_overfull: false,
            graces,
            passes: Passes::default(),
            told_members: ToldMembers::default(),
        }
    }

    /// A connection is there.
    pub fn connect(&mut self, now: Timestamps, key: &UserKey, conn: PeerConn, log: &mut FeedLog) {
        let pass = self.passes.of(conn.shard);
        let user = match self.users.get_mut(key) {
            Some(user) => user,
            None => {
                self.told_members.forget(key);
                self.users.entry(key.clone()).or_default()
            }
        };
        user.conns.insert(conn, pass);
        if user.away.take().is_some() && !user.held.is_empty() {
            user.held.hold_until(self.graces.end(AwayFor::Reload, now.tick));
            self.graces.begin(AwayFor::Reload, now.tick, key.clone());
        }
        if user.told.is_none() {
            user.tell(key, now.unix_ms, FeedNews::Connected, log);
        }
    }

    /// A connection is gone, with its subscriptions.
    pub fn disconnect(
        &mut self,
        now: Timestamps,
        key: &UserKey,
        conn: PeerConn,
        (reason, away_for): (GoneReason, AwayFor),
    ) {
        let Some(user) = self.users.get_mut(key) else { return };
        if !user.conns.remove(conn) {
            return;
        }
        let until = self.graces.end(away_for, now.tick);
        let is_out = user.leave_channels(until, |conns| conns.remove(conn));
        if user.conns.is_empty() {
            user.away = Some(Box::new(Away { until, reason }));
        }
        if is_out || user.away.is_some() {
            self.graces.begin(away_for, now.tick, key.clone());
        }
    }

    /// A connection is in a channel.
    pub fn enter(
        &mut self,
        now: Timestamps,
        key: &UserKey,
        (conn, name): (PeerConn, &Arc<str>),
        log: &mut FeedLog,
    ) {
        // Who is in a channel is connected, also where that fact was lost.
        self.connect(now, key, conn, log);
        let pass = self.passes.of(conn.shard);
        let user = self.users.get_mut(key).expect("it is connected");
        if !user.subscriptions.contains_key(name) {
            if self.subscriptions_max <= self.subscriptions_count {
                self.is_overfull = true;
                return;
            }
            self.subscriptions_count += 1;
            let channel = (Arc::clone(&key.tenant), Arc::clone(name));
            self.channels.enter(channel, now.unix_ms, log);
            user.tell(key, now.unix_ms, FeedNews::Subscribed(Arc::clone(name)), log);
        }
        let subscribed = user.subscriptions.entry(Arc::clone(name)).or_default();
        subscribed.conns.insert(conn, pass);
        subscribed.away_until = None;
    }

    /// A connection is in a channel no more.
    pub fn leave(
        &mut self,
        now: Timestamps,
        key: &UserKey,
        (conn, name, leaving): (PeerConn, &Arc<str>, Leaving),
        log: &mut FeedLog,
    ) {
        let Some(user) = self.users.get_mut(key) else { return };
        let Some(subscribed) = user.subscriptions.get_mut(name) else { return };
        if !subscribed.conns.remove(conn) || !subscribed.conns.is_empty() {
            return;
        }
        match leaving {
            Leaving::ForGood => self.end_subscription(now, key, name, log),
            Leaving::ForNow => {
                subscribed.away_until = Some(self.graces.end(AwayFor::Reload, now.tick));
                self.graces.begin(AwayFor::Reload, now.tick, key.clone());
            }
        }
    }

    /// A message found nobody.
    pub fn wait(&mut self, now: Timestamps, message: WaitingMessage, log: &mut FeedLog) {
        let key = message.user.clone();
        let untold = match self.users.get_mut(&key) {
            None => Some(message),
            Some(user) => {
                let until = self.graces.end(AwayFor::Reload, now.tick);
                self.graces.begin(AwayFor::Reload, now.tick, key.clone());
                user.held.hold(message, until)
            }
        };
        if let Some(message) = untold {
            self.tell_notice(now.unix_ms, &key, FeedNews::MessageWaits(message), log);
        }
    }

    /// Messages of a group wait for a member: it is told of the first of them alone, until it was
    /// here.
    pub fn wait_in_group(&mut self, now: Timestamps, message: WaitingMessage, log: &mut FeedLog) {
        let untold = match self.users.get_mut(&message.user) {
            None => Some(message),
            Some(user) => match &user.away {
                // It hears of them.
                None => None,
                Some(away) => user.held.hold(message, away.until),
            },
        };
        if let Some(message) = untold
            && self.told_members.insert(&message.user, &message.channel)
        {
            let key = message.user.clone();
            self.tell_notice(now.unix_ms, &key, FeedNews::MessageWaits(message), log);
        }
    }

    /// A message was given up.
    pub fn give_up(&mut self, now: Timestamps, notice: DeadLetterNotice, log: &mut FeedLog) {
        let key = notice.user.clone();
        self.tell_notice(now.unix_ms, &key, FeedNews::DeadLetter(notice), log);
    }

    fn tell_notice(&mut self, unix_ms: u64, key: &UserKey, news: FeedNews, log: &mut FeedLog) {
        let user = self.users.get_mut(key);
        let none = || EventSubject {
            tenant: Arc::clone(&key.tenant),
            user: Arc::clone(&key.user),
            previous: 0,
        };
        let subject = user.as_ref().map_or_else(none, |user| user.subject(key));
        let number = log.tell_notice(unix_ms, subject, news);
        if let Some(told) = user.and_then(|user| user.told.as_mut())
            && let Some(number) = number
        {
            told.number = number;
        }
    }

    fn end_subscription(
        &mut self,
        now: Timestamps,
        key: &UserKey,
        name: &Arc<str>,
        log: &mut FeedLog,
    ) {
        let user = self.users.get_mut(key).expect("it is subscribed");
        user.subscriptions.remove(name);
        user.tell(key, now.unix_ms, FeedNews::Unsubscribed(Arc::clone(name)), log);
        self.subscriptions_count -= 1;
        let channel = (Arc::clone(&key.tenant), Arc::clone(name));
        self.channels.leave(&channel, now.unix_ms, log);
    }

    /// Looks at one user whose grace is over. False when there is none.
    pub fn end_grace(&mut self, now: Timestamps, log: &mut FeedLog) -> bool {
        let Some(key) = self.graces.next_due(now.tick) else { return false };
        self.look_at(now, &key, log);
        true
    }

    /// Tells what is over of a user.
    fn look_at(&mut self, now: Timestamps, key: &UserKey, log: &mut FeedLog) {
        let Some(user) = self.users.get_mut(key) else { return };
        if user.away.is_none() {
            user.held.settle(now.tick);
        }
        let is_gone = user.away.as_ref().is_some_and(|away| away.until <= now.tick);
        let is_over = |subscribed: &Subscribed| {
            is_gone || subscribed.away_until.is_some_and(|until| until <= now.tick)
        };
        let over = user.subscriptions.iter().filter(|(_, subscribed)| is_over(subscribed));
        let over: Vec<Arc<str>> = over.map(|(name, _)| Arc::clone(name)).collect();
        over.iter().for_each(|name| self.end_subscription(now, key, name, log));
        if is_gone {
            self.end_user(now, key, log);
        }
    }

    /// A user is told as gone.
    fn end_user(&mut self, now: Timestamps, key: &UserKey, log: &mut FeedLog) {
        let mut user = self.users.remove(key).expect("it was away");
        let away = user.away.take().expect("it was away");
        user.tell(key, now.unix_ms, FeedNews::Disconnected(away.reason), log);
        let mut subject = user.subject(key);
        for message in user.held.into_messages() {
            self.told_members.insert(key, &message.channel);
            let news = FeedNews::MessageWaits(message);
            if let Some(number) = log.tell_notice(now.unix_ms, subject.clone(), news) {
                subject.previous = number;
            }
        }
    }

    /// A shard begins to say all that is there.
    pub fn begin_pass(&mut self, shard: ShardId) {
        self.passes.begin(shard);
    }

    /// It has said all: what was not heard of is not there.
    pub fn end_pass(&mut self, now: Timestamps, shard: ShardId) {
        let pass = self.passes.of(shard);
        let until = self.graces.end(AwayFor::Reload, now.tick);
        for (key, user) in &mut self.users {
            let mut is_out = user.leave_channels(until, |conns| conns.remove_unseen(shard, pass));
            if user.conns.remove_unseen(shard, pass) && user.conns.is_empty() {
                user.away = Some(Box::new(Away { until, reason: GoneReason::UNKNOWN }));
                is_out = true;
            }
            if is_out {
                self.graces.begin(AwayFor::Reload, now.tick, key.clone());
            }
        }
    }

    /// Whether shards are to say all that is there: subscriptions had no room, and have some now.
    pub fn take_overfull(&mut self) -> bool {
        let has_room = self.subscriptions_count < self.subscriptions_max / 8 * 7;
        has_room && std::mem::take(&mut self.is_overfull)
    }

    /// When a grace is over next.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        self.graces.next_wake()
    }

    /// An event was read: what it says is so.
    pub fn restore_event(&mut self, event: &FeedEvent) {
        let FeedEvent { number, at_unix_ms, tenant, user, news, .. } = event;
        let (number, since_unix_ms) = (*number, *at_unix_ms);
        let channel = |name: &Arc<str>| (Arc::clone(tenant), Arc::clone(name));
        let key = UserKey { tenant: Arc::clone(tenant), user: Arc::clone(user), unnamed: None };
        match news {
            FeedNews::Disconnected(_) => drop(self.users.remove(&key)),
            FeedNews::Connected | FeedNews::Subscribed(_) | FeedNews::Unsubscribed(_) => {
                let user = self.users.entry(key).or_default();
                let since_unix_ms = user.told.map_or(since_unix_ms, |told| told.since_unix_ms);
                user.told = Some(LastTold { number, since_unix_ms });
                if let FeedNews::Subscribed(name) = news {
                    user.subscriptions.entry(Arc::clone(name)).or_default();
                } else if let FeedNews::Unsubscribed(name) = news {
                    user.subscriptions.remove(name);
                }
            }
            FeedNews::MessageWaits(_) | FeedNews::DeadLetter(_) => {
                if let Some(told) = self.users.get_mut(&key).and_then(|user| user.told.as_mut()) {
                    told.number = number;
                }
            }
            FeedNews::Occupied(name) => {
                let (tenant, channel) = channel(name);
                let state = ChannelState { tenant, channel, number, since_unix_ms };
                self.channels.restore(state);
            }
            FeedNews::Vacated(name) => self.channels.restore_vacated(&channel(name)),
            FeedNews::NoticesLost(_) => (),
        }
    }

    /// A record of a user was read.
    pub fn restore_user(&mut self, state: UserState) {
        let UserState { tenant, user, number, since_unix_ms, channels } = state;
        let subscriptions = channels.into_iter().map(|name| (name, Subscribed::default()));
        let present = PresentUser {
            told: Some(LastTold { number, since_unix_ms }),
            subscriptions: subscriptions.collect(),
            ..PresentUser::default()
        };
        self.users.insert(UserKey { tenant, user, unnamed: None }, present);
    }

    /// A record of a channel was read.
    pub fn restore_channel(&mut self, state: ChannelState) {
        self.channels.restore(state);
    }

    /// All was read. Whoever was told as connected is away until this time.
    pub fn end_restore(&mut self, until: MonotonicMs) {
        for (key, user) in &mut self.users {
            user.away = Some(Box::new(Away { until, reason: GoneReason::RESTARTED }));
            for (name, subscribed) in &mut user.subscriptions {
                subscribed.away_until = Some(until);
                self.subscriptions_count += 1;
                self.channels.restore_user((Arc::clone(&key.tenant), Arc::clone(name)));
            }
        }
    }

    /// Looks at some users behind one, after the grace of a start. Returns the last of them, unless
    /// there are no more; then channels that nobody came back to are told, too.
    pub fn end_restart(
        &mut self,
        now: Timestamps,
        after: Option<&UserKey>,
        count_max: usize,
        log: &mut FeedLog,
    ) -> Option<UserKey> {
        let range = self.users.range::<UserKey, _>((bound(after), Bound::Unbounded));
        let some: Vec<UserKey> = range.take(count_max).map(|(key, _)| key.clone()).collect();
        some.iter().for_each(|key| self.look_at(now, key, log));
        if some.len() < count_max {
            self.channels.vacate_empty(now.unix_ms, log);
            return None;
        }
        some.into_iter().next_back()
    }

    /// Users behind one that were told as connected, in order, each with its key.
    pub fn users_behind(
        &self,
        after: Option<&UserKey>,
    ) -> impl Iterator<Item = (&UserKey, Option<UserState>)> {
        let range = self.users.range::<UserKey, _>((bound(after), Bound::Unbounded));
        range.map(|(key, user)| {
            let state = user.told.map(|LastTold { number, since_unix_ms }| UserState {
                tenant: Arc::clone(&key.tenant),
                user: Arc::clone(&key.user),
                number,
                since_unix_ms,
                channels: user.subscriptions.keys().map(Arc::clone).collect(),
            });
            (key, state)
        })
    }

    /// Channels behind one, in order.
    pub fn channels_behind(
        &self,
        after: Option<&ChannelName>,
    ) -> impl Iterator<Item = ChannelState> {
        self.channels.behind(after)
    }

    /// How many users, subscriptions and channels there are.
    pub fn counts(&self) -> [usize; 3] {
        [self.users.len(), self.subscriptions_count, self.channels.len()]
    }
}

fn bound(after: Option<&UserKey>) -> Bound<&UserKey> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}
