//! What a backend removed of the channels of a world: whoever asks later is shown none of it, and
//! the disk shows none of it. What was said while a removal was under way may be gone, or not.
//!
//! Deliberately absent: asking (`remover`).

use std::collections::BTreeMap;

use rookery::session::NameKey;
use rookery::store::{Disk, StoreKeyspace};

use crate::on_disk::{OnDisk, entries, offset_at, room_at};
use crate::publication::is_silent;
use crate::violation::{CheckResult, Checker, demand};

/// Where the streams of a channel ended, as far as anybody was told, by epoch.
pub type Heads = BTreeMap<String, u64>;

/// What was removed, by channel.
#[derive(Debug, Default)]
pub struct RemovalOracle(BTreeMap<&'static str, Removals>);

#[derive(Debug, Default)]
struct Removals {
    /// Those under way.
    open_count: u32,
    /// When the last one was over, whatever became of it, Unix ms.
    ended_unix_ms: u64,
    /// By epoch: what stands up to there was gone at this moment.
    gone: BTreeMap<String, (u64, u64)>,
}

impl RemovalOracle {
    /// A removal is asked for.
    pub fn asks(&mut self, channel: &'static str) {
        self.0.entry(channel).or_default().open_count += 1;
    }

    /// It is over, and nobody knows what became of it.
    pub fn ended(&mut self, channel: &'static str, now_unix_ms: u64) {
        let removals = self.0.entry(channel).or_default();
        removals.open_count -= 1;
        removals.ended_unix_ms = now_unix_ms;
    }

    /// It is done: all is gone that had been told when it was asked for.
    pub fn done(&mut self, channel: &'static str, heads: Heads, moment: u64, now_unix_ms: u64) {
        self.ended(channel, now_unix_ms);
        let removals = self.0.entry(channel).or_default();
        for (epoch, head) in heads {
            let gone = removals.gone.entry(epoch).or_default();
            if gone.0 < head {
                *gone = (head, moment);
            }
        }
    }

    /// Whether anything may have been removed of a channel.
    pub fn touched(&self, channel: &str) -> bool {
        self.0.contains_key(channel)
    }

    /// Whether a message may have been removed that somebody wanted to say then.
    pub fn may_have_removed(&self, channel: &str, asked_unix_ms: u64) -> bool {
        self.0.get(channel).is_some_and(|removals| {
            removals.open_count != 0 || asked_unix_ms <= removals.ended_unix_ms
        })
    }

    /// The message at this place is shown to somebody who asked at `asked`.
    pub fn check_shown(&self, channel: &str, epoch: &str, offset: u64, asked: u64) -> CheckResult {
        let gone = self.0.get(channel).and_then(|removals| removals.gone.get(epoch));
        let is_gone = gone.is_some_and(|(last, moment)| offset <= *last && *moment < asked);
        demand!(
            !is_gone,
            Checker::Removed,
            "{channel}: {offset} is shown to who asked at {asked}, and was removed: {gone:?}"
        )
    }

    /// The disk shows nothing of it.
    pub fn check_disk(&self, disk: &impl Disk, names: NameKey) -> CheckResult {
        if self.0.is_empty() {
            return Ok(());
        }
        let found = OnDisk::read(disk);
        for (channel, last) in self.removed() {
            let first = found.messages.get(&names.room("", channel));
            let first = first.and_then(|messages| messages.first_key_value());
            demand!(
                first.is_none_or(|(first, _)| last < *first),
                Checker::Removed,
                "{channel}: {first:?} is on disk, and all up to {last} was removed"
            )?;
        }
        Ok(())
    }

    /// In time, nothing is left of it, shown or not.
    pub fn check_cleared(&self, disk: &impl Disk, names: NameKey) -> CheckResult {
        for (channel, last) in self.removed() {
            let room = names.room("", channel);
            for (space, at) in [
                (StoreKeyspace::Messages, 0),
                (StoreKeyspace::ReactionTotals, 0),
                (StoreKeyspace::Pending, 16),
                (StoreKeyspace::Dead, 16),
            ] {
                let left = entries(disk, space)
                    .into_iter()
                    .find(|(key, _)| room_at(key, at) == room && offset_at(key, at + 16) <= last);
                demand!(
                    left.is_none(),
                    Checker::Removed,
                    "{channel}: {space:?} has something of what was removed up to {last}"
                )?;
            }
        }
        Ok(())
    }

    /// Of each channel, the last offset that was removed of its stream on disk, which has one epoch
    /// where the last moments are never lost.
    fn removed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().filter_map(|(channel, removals)| {
            let streams = removals.gone.iter().filter(|(epoch, _)| !is_silent(epoch));
            Some((*channel, streams.map(|(_, (last, _))| *last).max()?))
        })
    }
}
