//! Whether direct messages come to their readers in the order of their conversations: an
//! acknowledgement covers all earlier ones, so one that is passed over is lost.
//!
//! Deliberately absent: what a message says, and whether it waits as it should
//! (`durable_oracle`).

use std::collections::{BTreeMap, BTreeSet};

use rookery::session::NameKey;
use rookery::store::Disk;

use crate::durable_oracle::DurableOracle;
use crate::on_disk::OnDisk;
use crate::violation::{CheckResult, Checker, demand};

/// A conversation, and one of its two users.
type Reader = (&'static str, &'static str);

/// What came to whom.
#[derive(Debug, Default)]
pub struct InboxOracle {
    /// Offsets.
    seen: BTreeMap<Reader, BTreeSet<u64>>,
    /// Messages that were passed over when a later one came.
    passed_over: BTreeMap<(Reader, u64), u64>,
}

impl InboxOracle {
    /// A connection of a user was brought the message at this offset.
    pub fn brought(
        &mut self,
        channel: &'static str,
        user: &'static str,
        offset: u64,
        known: &DurableOracle,
    ) {
        let reader = (channel, user);
        let seen = self.seen.entry(reader).or_default();
        seen.insert(offset);
        self.passed_over.remove(&(reader, offset));
        let first = known.acknowledged(channel, user) + 1;
        let earlier = (first..offset).filter(|earlier| {
            !seen.contains(earlier)
                && known.is_whole(channel, *earlier)
                && known.author_at(channel, *earlier).is_some_and(|author| author != user)
        });
        for one in earlier {
            self.passed_over.entry((reader, one)).or_insert(offset);
        }
    }

    /// What was passed over was given up, or waits still, unless it is so old that dead letters
    /// of then may be gone.
    pub fn check_disk(
        &self,
        disk: &impl Disk,
        names: NameKey,
        known: &DurableOracle,
        now_unix_ms: u64,
    ) -> CheckResult {
        if self.passed_over.is_empty() {
            return Ok(());
        }
        let found = OnDisk::read(disk);
        for (((channel, user), offset), by) in &self.passed_over {
            let place = (names.inbox("", user), names.room("", channel), *offset);
            let is_there = found.pending.contains(&place) || found.dead.contains(&place);
            demand!(
                is_there || !known.is_kept(channel, *offset, now_unix_ms),
                Checker::InOrder,
                "{channel}: {offset} never came to {user}, who was brought {by}"
            )?;
        }
        Ok(())
    }
}
