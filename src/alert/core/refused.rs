//! The list of alerts that a chat refused for their content, until a user decides about each.
//!
//! Invariant: a refused alert is in the list until it is sent, dropped by a user, or a week old.
//!
//! Deliberately absent: finding them in a message, and the notice (`blame`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::Call;
use super::record::{JournalRecord, RecordKey, RecordValue, RefusedMessage};

/// Most entries. Beyond it the oldest is dropped, and counted.
const REFUSED_MAX: usize = 500;

/// How long an entry stays, in ms.
const REFUSED_MS_MAX: u64 = 7 * 86_400_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RefusedList {
    /// By id.
    all: BTreeMap<u64, Arc<RefusedMessage>>,
}

impl RefusedList {
    /// Restores an entry of the last run.
    pub(super) fn restore(&mut self, id: u64, refused: RefusedMessage) {
        self.all.insert(id, Arc::new(refused));
    }

    /// Appends all records that the journal needs to restore this part.
    pub(super) fn records(&self, all: &mut Vec<JournalRecord>) {
        let record = |(id, refused): (&u64, &Arc<RefusedMessage>)| JournalRecord {
            key: RecordKey::Refused(*id),
            value: Some(RecordValue::Refused(Box::new(refused.as_ref().clone()))),
        };
        all.extend(self.all.iter().map(record));
    }

    /// All entries, by id.
    pub(super) fn all(&self) -> Vec<(u64, Arc<RefusedMessage>)> {
        self.all.iter().map(|(id, one)| (*id, Arc::clone(one))).collect()
    }

    /// One entry.
    pub(super) fn get(&self, id: u64) -> Option<&RefusedMessage> {
        self.all.get(&id).map(Arc::as_ref)
    }

    /// Whether any entry has not been reported to its chat.
    pub(super) fn has_unnotified(&self) -> bool {
        self.all.values().any(|refused| !refused.is_notified)
    }

    /// The entries that have not been reported, by chat.
    pub(super) fn unnotified(&self) -> BTreeMap<String, Vec<u64>> {
        let mut chats: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (id, refused) in self.all.iter().filter(|(_, refused)| !refused.is_notified) {
            chats.entry(refused.chat.clone()).or_default().push(*id);
        }
        chats
    }

    /// Adds an entry in the place of an earlier one for the same alert. Returns the entries that
    /// have no room any more.
    pub(super) fn add(
        &mut self,
        id: u64,
        mut refused: RefusedMessage,
        call: &mut Call<'_>,
    ) -> Vec<RefusedMessage> {
        let is_same = |old: &RefusedMessage| {
            (&old.chat_queue, &old.chat) == (&refused.chat_queue, &refused.chat)
                && old.pending.lines.keys().eq(refused.pending.lines.keys())
        };
        let same = self.all.iter().find(|(_, old)| is_same(old)).map(|(id, _)| *id);
        if let Some(old) = same.and_then(|id| self.remove(id, call)) {
            // A reminder of an alert that was reported as refused is not reported again.
            let fires = |one: &RefusedMessage| one.pending.lines.values().any(|l| l.alert.firing);
            refused.is_notified = old.is_notified && fires(&old) == fires(&refused);
        }
        let mut over = Vec::new();
        while self.all.len() >= REFUSED_MAX {
            let Some((&first, _)) = self.all.first_key_value() else { break };
            over.extend(self.remove(first, call));
        }
        call.keep(RecordKey::Refused(id), RecordValue::Refused(Box::new(refused.clone())));
        self.all.insert(id, Arc::new(refused));
        over
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, id: u64, call: &mut Call<'_>) -> Option<RefusedMessage> {
        let refused = self.all.remove(&id)?;
        call.forget(RecordKey::Refused(id));
        Some(Arc::unwrap_or_clone(refused))
    }

    /// Marks these as reported to their chat.
    pub(super) fn mark_notified(&mut self, about: &[u64], call: &mut Call<'_>) {
        for id in about {
            let Some(refused) = self.all.get_mut(id) else { continue };
            Arc::make_mut(refused).is_notified = true;
            let value = RecordValue::Refused(Box::new(refused.as_ref().clone()));
            call.keep(RecordKey::Refused(*id), value);
        }
    }

    /// Removes old entries.
    pub(super) fn prune(&mut self, call: &mut Call<'_>) {
        let now_ms = call.now().unix_ms;
        let is_old = |one: &RefusedMessage| now_ms.saturating_sub(one.at_ms) > REFUSED_MS_MAX;
        let old = self.all.iter().filter(|(_, one)| is_old(one));
        let old: Vec<u64> = old.map(|(id, _)| *id).collect();
        for id in old {
            self.remove(id, call);
        }
    }
}
