//! Damage that a scan of a room goes past: whether the room's last message may be in it.
//!
//! A message that is no replacement is the newest of its room when it is said. So where a run has
//! one, all that older runs have of the room has lower offsets.
//!
//! Deliberately absent: what is missing before the end. Whoever reads sees that.

use std::collections::BTreeMap;

use crate::runs::{EntryKind, FoundEntry, LogRange, RoomRange};

/// What a scan of one room met.
#[derive(Debug, Default)]
pub(super) struct PassedDamage {
    /// By the end of a run in the log: offsets that cannot be read. Few: a scan tells those of a
    /// run together.
    damaged: Vec<(u64, RoomRange)>,
    /// The highest offset that was read.
    last: u64,
    /// By the begin of a run in the log: the highest offset at which it has no replacement. As
    /// many as there are runs.
    said: BTreeMap<u64, u64>,
}

impl PassedDamage {
    /// An entry was read.
    pub fn on_entry(&mut self, found: &FoundEntry) {
        let offset = found.entry.key.offset;
        self.last = self.last.max(offset);
        if found.entry.kind == EntryKind::Message {
            let said = self.said.entry(found.log.first).or_default();
            *said = offset.max(*said);
        }
    }

    /// These offsets of a run cannot be read.
    pub fn on_damage(&mut self, log: LogRange, range: RoomRange) {
        self.damaged.push((log.last, range));
    }

    /// Whether something that cannot be read may stand behind all that was read.
    pub fn may_be_the_end(&self) -> bool {
        self.damaged.iter().any(|(log_last, range)| {
            let mut newer = self.said.range(log_last + 1..).map(|(_, offset)| *offset);
            let is_before_last = range.last < self.last;
            !is_before_last && !newer.any(|said| range.first <= said)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RoomId;
    use crate::runs::{EntryKey, StoredEntry};

    fn entry(offset: u64, kind: EntryKind, log: (u64, u64)) -> FoundEntry {
        let key = EntryKey { room: RoomId(1), offset };
        let entry = StoredEntry { key, kind, value: Vec::new() };
        FoundEntry { entry, log: LogRange { first: log.0, last: log.1 } }
    }

    #[track_caller]
    fn check(entries: &[FoundEntry], damaged: (u64, u64), may_be_the_end: bool) {
        let mut passed = PassedDamage::default();
        let (first, last) = damaged;
        let range = RoomRange { room: RoomId(1), first, last };
        passed.on_damage(LogRange { first: 1, last: 9 }, range);
        entries.iter().for_each(|entry| passed.on_entry(entry));
        assert_eq!(passed.may_be_the_end(), may_be_the_end);
    }

    #[test]
    fn the_end_is_known_where_something_was_said_behind_the_damage() {
        let (message, replacement) = (EntryKind::Message, EntryKind::Replacement);
        check(&[], (1, u64::MAX), true);
        check(&[entry(7, message, (1, 9))], (3, 6), false);
        check(&[entry(2, message, (1, 9))], (3, 6), true);
        // Newer ones end what older runs can have, unless they only replace.
        check(&[entry(7, message, (10, 12))], (3, u64::MAX), false);
        check(&[entry(7, replacement, (10, 12))], (3, u64::MAX), true);
        check(&[entry(2, message, (10, 12))], (3, u64::MAX), true);
        check(&[entry(7, message, (1, 9))], (3, u64::MAX), true);
    }
}
