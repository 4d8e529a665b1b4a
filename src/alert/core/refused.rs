//! Messages that a chat refused for what stands in them: put aside, one alert each, until
//! somebody decides.
//!
//! Invariant: an alert that was refused is in the list until it is told, dropped by somebody,
//! or a week old.
//!
//! Deliberately absent: finding the one that is to blame, and telling of it (`blame`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::Call;
use super::record::{JournalRecord, RecordKey, RecordValue, RefusedMessage};

/// Messages in the list; over it the oldest is dropped, and counted.
const REFUSED_MAX: usize = 500;

/// How long one stays there, in ms.
const REFUSED_MS_MAX: u64 = 7 * 86_400_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RefusedList {
    /// By number.
    all: BTreeMap<u64, Arc<RefusedMessage>>,
}

impl RefusedList {
    /// What was refused before the process ended.
    pub(super) fn restore(&mut self, id: u64, refused: RefusedMessage) {
        self.all.insert(id, Arc::new(refused));
    }

    /// Everything, as the queue's file would have it.
    pub(super) fn records(&self, all: &mut Vec<JournalRecord>) {
        let record = |(id, refused): (&u64, &Arc<RefusedMessage>)| JournalRecord {
            key: RecordKey::Refused(*id),
            value: Some(RecordValue::Refused(Box::new(refused.as_ref().clone()))),
        };
        all.extend(self.all.iter().map(record));
    }

    /// All of them, by number.
    pub(super) fn all(&self) -> Vec<(u64, Arc<RefusedMessage>)> {
        self.all.iter().map(|(id, one)| (*id, Arc::clone(one))).collect()
    }

    /// One of them.
    pub(super) fn get(&self, id: u64) -> Option<&RefusedMessage> {
        self.all.get(&id).map(Arc::as_ref)
    }

    /// Whether a chat is yet to hear of something that it refused.
    pub(super) fn has_unnotified(&self) -> bool {
        self.all.values().any(|refused| !refused.is_notified)
    }

    /// What chats are yet to hear of, by chat.
    pub(super) fn unnotified(&self) -> BTreeMap<String, Vec<u64>> {
        let mut chats: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (id, refused) in self.all.iter().filter(|(_, refused)| !refused.is_notified) {
            chats.entry(refused.chat.clone()).or_default().push(*id);
        }
        chats
    }

    /// Puts one into the list, in the place of the same one of before. What has no room any
    /// more comes back.
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
            // A reminder of what the chat knows to be refused says nothing new.
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

    /// Takes one out.
    pub(super) fn remove(&mut self, id: u64, call: &mut Call<'_>) -> Option<RefusedMessage> {
        let refused = self.all.remove(&id)?;
        call.forget(RecordKey::Refused(id));
        Some(Arc::unwrap_or_clone(refused))
    }

    /// Their chat knows of these.
    pub(super) fn mark_notified(&mut self, about: &[u64], call: &mut Call<'_>) {
        for id in about {
            let Some(refused) = self.all.get_mut(id) else { continue };
            Arc::make_mut(refused).is_notified = true;
            let value = RecordValue::Refused(Box::new(refused.as_ref().clone()));
            call.keep(RecordKey::Refused(*id), value);
        }
    }

    /// Forgets what is too old.
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
