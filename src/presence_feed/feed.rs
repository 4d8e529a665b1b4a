//! The feed as one value: what its owner does in a pass, in order.
//!
//! ```text
//! take(fact)…  tick()  advance()  take_write() → the disk → on_synced() or on_write_failed()
//!              then take_unneeded(), batch() and pages, all of what is on the disk
//! begin_again()  some time after a write that failed
//! ```
//!
//! Deliberately absent: who is there (`table`), and what is told (`log`).

use std::sync::Arc;

use super::channels::ChannelName;
use super::event::{ChannelState, UserState};
use super::fact::{PeerConn, PresenceFact, UserKey};
use super::graces::Graces;
use super::group_waits::GroupQueue;
use super::log::{FeedLog, FeedWrite};
use super::queue::{BatchLimits, FeedBatch};
use super::record::{FeedRecord, PAYLOAD_START, read_payload};
use super::table::PresenceTable;
use super::told::ToldMessages;
use crate::base::{ConnId, MonotonicMs, ShardId, Timestamps, find_records};

/// Bytes of the events of one batch.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// Users that are looked at in one pass because a grace is over.
const PASS_GRACES_MAX: usize = 16_384;

/// Members of groups that are looked at in one pass because something was said.
const PASS_MEMBERS_MAX: usize = 16_384;

/// Users or channels whose state is written in one pass.
const PASS_STATES_MAX: usize = 4_096;

/// Bytes of one page, except that one entry is always in it.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// Behind who has no name, and before everybody who has one.
const UNNAMED_LAST: PeerConn = PeerConn { shard: ShardId(u16::MAX), conn: ConnId::NOBODY };

/// What an operator may set, and what bounds the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedOptions {
    /// How long a user may be away until that is told, in ms.
    pub grace_ms: u64,
    /// The same for who was there when the server ended, in ms.
    pub restart_grace_ms: u64,
    /// Bytes of events that are not acknowledged.
    pub queue_bytes_max: usize,
    /// Events of one batch.
    pub batch_events_max: usize,
    /// Subscriptions that are told of.
    pub subscriptions_max: usize,
    /// Bytes of events after which the next segment begins, unless the state has more.
    pub segment_bytes_min: u64,
}

/// See the module.
#[derive(Debug)]
pub struct PresenceFeed {
    options: FeedOptions,
    table: PresenceTable,
    log: FeedLog,
    /// Whose members are to be looked at.
    said_in_groups: GroupQueue,
    /// As long as those who were there before the start may come back.
    told: ToldMessages,
    /// What of the state is written into the current segment next.
    next_state: NextState,
    restart: Option<RestartGrace>,
    /// Passes of shards that have ended.
    passes_count: u64,
}

/// How far the state is written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NextState {
    /// Users behind this one are next.
    Users(Option<UserKey>),
    /// Channels behind this one are next.
    Channels(Option<ChannelName>),
    /// All is written.
    Done,
}

/// Of those who were there before a start, who does not come back is told.
#[derive(Clone, Debug)]
struct RestartGrace {
    until: MonotonicMs,
    /// Users up to this one were looked at.
    after: Option<UserKey>,
}

/// A page of the state, in the order of names: all that there is between `after` of the question
/// and `next`, at this number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage<T> {
    /// For which numbers hold.
    pub epoch: u64,
    /// All events up to this one are in it, and no other.
    pub number: u64,
    /// What there is.
    pub entries: Vec<T>,
    /// Behind which name there is more.
    pub next: Option<Arc<str>>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedCounts {
    /// Users in the table, those without a name among them.
    pub users: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Channels that somebody is in.
    pub channels: usize,
    /// Events that are not acknowledged.
    pub queued: usize,
    /// What they cost.
    pub queued_bytes: usize,
    /// When the oldest of them was decided, Unix ms.
    pub oldest_unix_ms: Option<u64>,
    /// Events that were dropped.
    pub lost: u64,
    /// The number of the last event.
    pub last_number: u64,
    /// Passes of shards that have ended.
    pub passes: u64,
}

impl PresenceFeed {
    /// A feed with a new log, to which `epoch` belongs.
    pub fn new(options: FeedOptions, epoch: u64) -> PresenceFeed {
        let mut feed = PresenceFeed::empty(options, epoch);
        feed.begin_segment();
        feed
    }

    fn empty(options: FeedOptions, epoch: u64) -> PresenceFeed {
        let graces = Graces::new(options.grace_ms, options.restart_grace_ms);
        PresenceFeed {
            table: PresenceTable::new(graces, options.subscriptions_max),
            told: ToldMessages::default(),
            log: FeedLog::new(epoch, options.queue_bytes_max, options.segment_bytes_min),
            said_in_groups: GroupQueue::default(),
            next_state: NextState::Done,
            restart: None,
            passes_count: 0,
            options,
        }
    }

    /// The feed whose log has these segments, oldest first. A log that is damaged goes on with
    /// `new_epoch`. Returns how many bytes are damaged, too.
    pub fn read(
        options: FeedOptions,
        new_epoch: u64,
        segments: impl IntoIterator<Item = (u64, Vec<u8>)>,
    ) -> (PresenceFeed, usize) {
        let mut feed = PresenceFeed::empty(options, new_epoch);
        let mut damaged_bytes = 0;
        for (id, bytes) in segments {
            let found = find_records(&bytes, PAYLOAD_START, read_payload);
            damaged_bytes += found.damaged_bytes;
            found.records.into_iter().for_each(|record| feed.restore(record));
            feed.log.restore_segment(id);
        }
        if damaged_bytes != 0 {
            feed.log.set_epoch(new_epoch);
        }
        feed.begin_segment();
        (feed, damaged_bytes)
    }

    fn restore(&mut self, record: FeedRecord) {
        let PresenceFeed { table, log, told, .. } = self;
        match record {
            FeedRecord::Segment { epoch, next_number, acknowledged } => {
                log.restore_numbers(epoch, next_number, acknowledged);
            }
            FeedRecord::Event(event) => {
                if log.restore_event(event.clone()) {
                    table.restore_event(&event);
                    told.restore(&event);
                }
            }
            FeedRecord::Acknowledged(number) => log.restore_acknowledged(number),
            FeedRecord::User(state) => table.restore_user(state),
            FeedRecord::Channel(state) => table.restore_channel(state),
            FeedRecord::Whole => (),
        }
    }

    /// Cores listen from now on: those who were told as connected may come back.
    pub fn begin(&mut self, now: Timestamps) {
        let until = now.tick.plus_ms(self.options.restart_grace_ms);
        self.table.end_restore(until);
        self.restart = Some(RestartGrace { until, after: None });
    }

    /// Takes what a shard, a home or the store says.
    pub fn take(&mut self, now: Timestamps, fact: PresenceFact) {
        let PresenceFeed { table, log, told, said_in_groups, passes_count, .. } = self;
        match fact {
            PresenceFact::Connected { user, conn } => table.connect(now, &user, conn, log),
            PresenceFact::Gone { user, conn, reason, away_for } => {
                table.disconnect(now, &user, conn, (reason, away_for));
            }
            PresenceFact::Entered { user, conn, channel } => {
                table.enter(now, &user, (conn, &channel), log);
            }
            PresenceFact::Left { user, conn, channel, leaving } => {
                table.leave(now, &user, (conn, &channel, leaving), log);
            }
            PresenceFact::MessageWaits(message) => table.wait(now, message, log),
            PresenceFact::SaidInGroup(said) => {
                if said_in_groups.push(said).is_err() {
                    log.lose_notice();
                }
            }
            PresenceFact::StoredMessageWaits(message) => {
                if !told.has(&message) {
                    table.wait(now, message, log);
                }
            }
            PresenceFact::DeadLetter(notice) => table.give_up(now, notice, log),
            PresenceFact::PassBegan(shard) => table.begin_pass(shard),
            PresenceFact::PassEnded(shard) => {
                *passes_count += 1;
                table.end_pass(now, shard);
            }
        }
    }

    /// Ends graces that are over, and looks at members of groups, so many in one pass.
    pub fn tick(&mut self, now: Timestamps) {
        let PresenceFeed { table, log, told, said_in_groups, restart, .. } = self;
        let mut left = PASS_MEMBERS_MAX;
        while 0 < left
            && let Some(message) = said_in_groups.next()
        {
            table.wait_in_group(now, message, log);
            left -= 1;
        }
        let mut left = PASS_GRACES_MAX;
        while 0 < left && table.end_grace(now, log) {
            left -= 1;
        }
        if let Some(grace) = restart.as_mut().filter(|grace| grace.until <= now.tick) {
            grace.after = table.end_restart(now, grace.after.as_ref(), PASS_GRACES_MAX, log);
            if grace.after.is_none() {
                *restart = None;
                told.forget();
            }
        }
        log.tell_lost_notices(now.unix_ms);
    }

    /// When `tick` is to be called next, whatever happens.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        let restart = self.restart.as_ref().map(|grace| grace.until);
        let at_once = (!self.said_in_groups.is_empty()).then_some(MonotonicMs(0));
        restart.into_iter().chain(at_once).chain(self.table.next_wake()).min()
    }

    /// Begins a segment where the last one has grown, and writes some of the state.
    pub fn advance(&mut self) {
        if self.log.is_broken() {
            return;
        }
        if self.log.is_grown() {
            self.begin_segment();
        }
        match &self.next_state {
            NextState::Users(after) => {
                let after = after.clone();
                self.next_state = self.write_users(after.as_ref());
            }
            NextState::Channels(after) => {
                let after = after.clone();
                self.next_state = self.write_channels(after.as_ref());
            }
            NextState::Done => (),
        }
    }

    /// Whether some of the state is still to be written.
    pub fn is_writing_state(&self) -> bool {
        self.next_state != NextState::Done
    }

    fn begin_segment(&mut self) {
        self.log.begin_segment();
        self.next_state = NextState::Users(None);
    }

    fn write_users(&mut self, after: Option<&UserKey>) -> NextState {
        let PresenceFeed { table, log, .. } = self;
        let mut last = None;
        for (key, state) in table.users_behind(after).take(PASS_STATES_MAX) {
            if let Some(state) = state {
                log.put_state(&FeedRecord::User(state));
            }
            last = Some(key);
        }
        match last {
            Some(key) => NextState::Users(Some(key.clone())),
            None => NextState::Channels(None),
        }
    }

    fn write_channels(&mut self, after: Option<&ChannelName>) -> NextState {
        let PresenceFeed { table, log, .. } = self;
        let mut last = None;
        for state in table.channels_behind(after).take(PASS_STATES_MAX) {
            last = Some((Arc::clone(&state.tenant), Arc::clone(&state.channel)));
            log.put_state(&FeedRecord::Channel(state));
        }
        if last.is_some() {
            return NextState::Channels(last);
        }
        log.put_whole();
        NextState::Done
    }

    /// Takes what is to be written and synced now.
    pub fn take_write(&mut self) -> Option<FeedWrite> {
        self.log.take_write()
    }

    /// What was taken is on the disk.
    pub fn on_synced(&mut self) {
        self.log.on_synced();
    }

    /// What was taken is not on the disk, or nobody knows. Nothing is to be written until
    /// `begin_again`.
    pub fn on_write_failed(&mut self) {
        self.log.on_write_failed();
    }

    /// After a write that failed: what is not on the disk is written again, into the next segment.
    pub fn begin_again(&mut self) {
        self.begin_segment();
    }

    /// Takes the segments that may be removed.
    pub fn take_unneeded(&mut self) -> Vec<u64> {
        self.log.take_unneeded()
    }

    /// What the backend is told next.
    pub fn batch(&self) -> Option<FeedBatch> {
        let limits =
            BatchLimits { events_max: self.options.batch_events_max, bytes_max: BATCH_BYTES_MAX };
        self.log.queue().batch(self.log.epoch(), limits)
    }

    /// The backend has all up to this number, which a batch had as its last one.
    pub fn on_acknowledged(&mut self, number: u64) {
        self.log.on_acknowledged(number);
    }

    /// Users of a tenant that were told as connected, behind a name. `None` while something that
    /// was decided is not on the disk.
    pub fn users_page(
        &self,
        tenant: &Arc<str>,
        after: &Arc<str>,
        entries_max: usize,
    ) -> Option<FeedPage<UserState>> {
        let (tenant, after) = (Arc::clone(tenant), Arc::clone(after));
        let key = UserKey { tenant, user: after, unnamed: Some(UNNAMED_LAST) };
        let users = self.table.users_behind(Some(&key));
        let users = users.take_while(|(other, _)| other.tenant == key.tenant);
        let cost = |state: &UserState| {
            state.user.len() + state.channels.iter().map(|name| name.len()).sum::<usize>()
        };
        self.page(users.filter_map(|(_, state)| state), entries_max, cost, |state| &state.user)
    }

    /// The same for channels that were told as occupied.
    pub fn channels_page(
        &self,
        tenant: &Arc<str>,
        after: &Arc<str>,
        entries_max: usize,
    ) -> Option<FeedPage<ChannelState>> {
        let name = (Arc::clone(tenant), Arc::clone(after));
        let channels = self.table.channels_behind(Some(&name));
        let channels = channels.take_while(|state| state.tenant == *tenant);
        self.page(channels, entries_max, |state| state.channel.len(), |state| &state.channel)
    }

    fn page<T>(
        &self,
        all: impl Iterator<Item = T>,
        entries_max: usize,
        cost: impl Fn(&T) -> usize,
        name: impl Fn(&T) -> &Arc<str>,
    ) -> Option<FeedPage<T>> {
        if !self.log.is_synced() {
            return None;
        }
        let (mut entries, mut bytes, mut next) = (Vec::new(), 0, None);
        for entry in all {
            bytes += cost(&entry);
            let is_full = entries.len() == entries_max.max(1) || PAGE_BYTES_MAX < bytes;
            if let Some(last) = entries.last().filter(|_| is_full) {
                next = Some(Arc::clone(name(last)));
                break;
            }
            entries.push(entry);
        }
        let number = self.log.queue().next_number() - 1;
        Some(FeedPage { epoch: self.log.epoch(), number, entries, next })
    }

    /// Whether shards are to say all that is there, because subscriptions had no room before.
    pub fn take_pass_wish(&mut self) -> bool {
        self.table.take_overfull()
    }

    /// What is measured.
    pub fn counts(&self) -> FeedCounts {
        let [users, subscriptions, channels] = self.table.counts();
        let queue = self.log.queue();
        let (queued, queued_bytes) = queue.len_and_bytes();
        FeedCounts {
            users,
            subscriptions,
            channels,
            queued,
            queued_bytes,
            oldest_unix_ms: queue.oldest_unix_ms(),
            lost: queue.lost_count(),
            last_number: queue.last_number(),
            passes: self.passes_count,
        }
    }
}
