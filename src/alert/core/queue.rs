//! The queue: pending alerts by chat queue, chat queues that wait for their snapshots, and messages
//! in flight.
//!
//! Invariants: a chat queue has one message at a time; each change is written in the same call; an
//! alert leaves with a message that was delivered whole, or is returned to the caller.
//!
//! Deliberately absent: robots (`senders`), and whether an alert has changed (`known`).

use std::collections::BTreeMap;

use super::call::Call;
use super::record::{JournalRecord, RecordKey, RecordValue, Sending};
use crate::alert::model::alert::{Alert, WebhookPayload};
use crate::alert::model::pending::{AlertLine, ChatQueue, QueuedAlerts, merge};
use crate::alert::options::Options;

/// A chat queue whose message waits for its snapshots.
#[derive(Debug)]
pub(super) struct AwaitedSnapshot {
    pub(super) chat_queue: ChatQueue,
    pub(super) chat: String,
    pub(super) robot: String,
}

/// A message in flight, with the robot that is sending it.
#[derive(Debug)]
struct InFlightMessage {
    sending: Sending,
    robot: Option<String>,
}

/// The part of a notification for one chat queue.
pub(super) struct QueueUpdate {
    /// Changed alerts, by fingerprint.
    pub(super) lines: Vec<(String, AlertLine)>,
    /// Number of other alerts that fire unchanged.
    pub(super) still: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct AlertQueue {
    pending: BTreeMap<ChatQueue, QueuedAlerts>,
    awaiting: BTreeMap<u64, AwaitedSnapshot>,
    messages: BTreeMap<u64, InFlightMessage>,
    /// Alerts by chat that were dropped since its last message.
    dropped: BTreeMap<String, u64>,
    next_id: u64,
}

impl AlertQueue {
    /// An empty queue. Ids count up from `first_id`.
    pub(super) fn new(first_id: u64) -> AlertQueue {
        AlertQueue {
            pending: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            messages: BTreeMap::new(),
            dropped: BTreeMap::new(),
            next_id: first_id,
        }
    }

    /// Restores pending alerts of the last run.
    pub(super) fn restore_pending(&mut self, chat_queue: ChatQueue, pending: QueuedAlerts) {
        self.pending.insert(chat_queue, pending);
    }

    /// Restores a message that was in flight in the last run.
    pub(super) fn restore_message(&mut self, id: u64, sending: Sending) {
        self.pass_id(id);
        self.messages.insert(id, InFlightMessage { sending, robot: None });
    }

    /// Appends all records that the journal needs to restore this part.
    pub(super) fn records(&self, all: &mut Vec<JournalRecord>) {
        let mut keep = |key, value| all.push(JournalRecord { key, value: Some(value) });
        for (chat_queue, pending) in &self.pending {
            keep(RecordKey::Pending(chat_queue.clone()), RecordValue::Pending(pending.clone()));
        }
        for (id, message) in &self.messages {
            keep(RecordKey::Message(*id), RecordValue::Message(message.sending.clone()));
        }
    }

    /// Returns an id that nothing else has.
    pub(super) fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Marks an id as taken.
    pub(super) fn pass_id(&mut self, id: u64) {
        self.next_id = self.next_id.max(id + 1);
    }

    /// Requeues or resumes messages that were in flight in the last run, whose answers are lost.
    pub(super) fn resume(&mut self, call: &mut Call<'_>) {
        let ids: Vec<u64> = self.messages.keys().copied().collect();
        for id in ids {
            let Some(message) = self.messages.get_mut(&id) else { continue };
            let sending = &mut message.sending;
            let is_unconfirmed = std::mem::take(&mut sending.is_leaving);
            if sending.sent == 0 {
                sending.pending.unconfirmed |= is_unconfirmed;
                self.requeue(id, call);
            } else {
                sending.again |= is_unconfirmed;
                self.keep_message(id, call);
            }
        }
    }

    /// Moves what is queued for a chat or route that no longer exists to where a notification for
    /// that route would go now.
    pub(super) fn reroute(&mut self, call: &mut Call<'_>) {
        let options = call.options();
        let is_here = |message: &InFlightMessage| {
            message.robot.is_some() || options.channel(&message.sending.chat).is_some()
        };
        let stale = self.messages.iter().filter(|(_, message)| !is_here(message));
        let stale: Vec<u64> = stale.map(|(id, _)| *id).collect();
        for id in stale {
            // Delivered parts are not sent again.
            if let Some(message) = self.messages.get_mut(&id) {
                take_delivered(&mut message.sending);
            }
            self.requeue(id, call);
        }
        let lost = self.pending.keys().filter(|chat_queue| !leads_somewhere(chat_queue, options));
        let lost: Vec<ChatQueue> = lost.cloned().collect();
        for chat_queue in lost {
            if self.is_awaiting(&chat_queue) {
                continue; // it is told in a moment
            }
            let Some(pending) = self.pending.remove(&chat_queue) else { continue };
            call.forget(RecordKey::Pending(chat_queue.clone()));
            let Some((route, _)) = options.route(&chat_queue.route) else { continue };
            for chat in &route.chats {
                let chat_queue = ChatQueue {
                    route: route.name.clone(),
                    chat: chat.clone(),
                    ..chat_queue.clone()
                };
                self.put_back(chat_queue, pending.clone(), call);
            }
        }
    }

    /// Merges alerts that waited before in front of those that wait now.
    pub(super) fn put_back(
        &mut self,
        chat_queue: ChatQueue,
        mut before: QueuedAlerts,
        call: &mut Call<'_>,
    ) {
        if let Some(newer) = self.pending.remove(&chat_queue) {
            before.still = newer.still;
            before.truncated = before.truncated.max(newer.truncated);
            before.truncated_critical |= newer.truncated_critical;
            before.unacknowledged_s = before.unacknowledged_s.max(newer.unacknowledged_s);
            before.words.extend(newer.words);
            before.unconfirmed |= newer.unconfirmed;
            for (fingerprint, line) in newer.lines {
                merge(&mut before.lines, fingerprint, line);
            }
        }
        self.set(chat_queue, before, call);
    }

    /// Returns the alerts of a message that could not be sent to their queue.
    pub(super) fn requeue(&mut self, id: u64, call: &mut Call<'_>) {
        let Some(sending) = self.finish(id, call) else { return };
        self.put_back(sending.chat_queue, sending.pending, call);
    }

    /// Sets the pending alerts of a chat queue.
    fn set(&mut self, chat_queue: ChatQueue, pending: QueuedAlerts, call: &mut Call<'_>) {
        if pending.is_empty() {
            self.pending.remove(&chat_queue);
            call.forget(RecordKey::Pending(chat_queue));
            return;
        }
        call.keep(RecordKey::Pending(chat_queue.clone()), RecordValue::Pending(pending.clone()));
        self.pending.insert(chat_queue, pending);
    }

    /// Adds the changes of a notification to a chat queue. True when something waited there
    /// already.
    pub(super) fn add(
        &mut self,
        chat_queue: ChatQueue,
        update: QueueUpdate,
        payload: &WebhookPayload,
        unknown_route: &str,
        call: &mut Call<'_>,
    ) -> bool {
        let was_there = self.pending.contains_key(&chat_queue);
        let pending = self.pending.entry(chat_queue.clone()).or_insert_with(|| QueuedAlerts {
            group_labels: payload.group_labels.clone(),
            since_ms: call.now().unix_ms,
            external_url: payload.external_url.clone(),
            ..QueuedAlerts::default()
        });
        pending.still = update.still;
        pending.truncated = pending.truncated.max(payload.truncated);
        pending.truncated_critical |= payload.truncated_critical;
        unknown_route.clone_into(&mut pending.unknown_route);
        for (fingerprint, line) in update.lines {
            merge(&mut pending.lines, fingerprint, line);
        }
        call.keep(RecordKey::Pending(chat_queue), RecordValue::Pending(pending.clone()));
        was_there
    }

    /// Removes an alert that was held because its cause had just ended. True when there was one.
    pub(super) fn remove_held(
        &mut self,
        chat_queue: &ChatQueue,
        alert: &Alert,
        call: &mut Call<'_>,
    ) -> bool {
        let Some(pending) = self.pending.get_mut(chat_queue) else { return false };
        let is_held =
            pending.lines.get(&alert.fingerprint).is_some_and(|line| line.held_until_ms > 0);
        if !is_held {
            return false;
        }
        pending.lines.remove(&alert.fingerprint);
        if pending.lines.is_empty() {
            self.pending.remove(chat_queue);
            call.forget(RecordKey::Pending(chat_queue.clone()));
        } else {
            call.keep(
                RecordKey::Pending(chat_queue.clone()),
                RecordValue::Pending(pending.clone()),
            );
        }
        true
    }

    /// Removes alerts that were sent already. Returns them, with the rest of the queue without its
    /// alerts.
    pub(super) fn remove_sent(
        &mut self,
        chat_queue: &ChatQueue,
        is_sent: impl Fn(&String, &AlertLine) -> bool,
        call: &mut Call<'_>,
    ) -> Option<(BTreeMap<String, AlertLine>, QueuedAlerts)> {
        let pending = self.pending.get_mut(chat_queue)?;
        let over: BTreeMap<String, AlertLine> = pending
            .lines
            .iter()
            .filter(|(fingerprint, line)| is_sent(fingerprint, line))
            .map(|(fingerprint, line)| (fingerprint.clone(), line.clone()))
            .collect();
        if over.is_empty() {
            return None;
        }
        pending.lines.retain(|fingerprint, _| !over.contains_key(fingerprint));
        let rest = QueuedAlerts { lines: BTreeMap::new(), ..pending.clone() };
        let left = pending.clone();
        self.set(chat_queue.clone(), left, call);
        Some((over, rest))
    }

    /// The newest line about an alert that is pending or in flight.
    pub(super) fn line(&self, chat_queue: &ChatQueue, fingerprint: &str) -> Option<&AlertLine> {
        let under_way = || {
            let mut messages =
                self.messages.values().filter(|one| one.sending.chat_queue == *chat_queue);
            messages.find_map(|message| message.sending.pending.lines.get(fingerprint))
        };
        let pending =
            self.pending.get(chat_queue).and_then(|pending| pending.lines.get(fingerprint));
        pending.or_else(under_way)
    }

    /// Releases held alerts whose time is over.
    pub(super) fn release(&mut self, call: &mut Call<'_>) {
        for (chat_queue, pending) in &mut self.pending {
            if let Some(released) = pending.released(call.now().unix_ms) {
                *pending = released;
                call.keep(
                    RecordKey::Pending(chat_queue.clone()),
                    RecordValue::Pending(pending.clone()),
                );
            }
        }
    }

    /// Notes that a message of this chat queue may have been delivered.
    pub(super) fn mark_unconfirmed(&mut self, chat_queue: &ChatQueue, call: &mut Call<'_>) {
        let Some(pending) = self.pending.get_mut(chat_queue).filter(|pending| !pending.unconfirmed)
        else {
            return;
        };
        pending.unconfirmed = true;
        call.keep(RecordKey::Pending(chat_queue.clone()), RecordValue::Pending(pending.clone()));
    }

    /// Doubles the size of the next pieces, after a refusal had reduced it.
    pub(super) fn widen(&mut self, chat_queue: ChatQueue, call: &mut Call<'_>) {
        if let Some(rest) = self.pending.get_mut(&chat_queue)
            && rest.piece_max > 0
        {
            rest.piece_max = rest.piece_max.saturating_mul(2);
            call.keep(RecordKey::Pending(chat_queue), RecordValue::Pending(rest.clone()));
        }
    }

    /// The pending alerts of a chat queue.
    pub(super) fn pending(&self, chat_queue: &ChatQueue) -> Option<&QueuedAlerts> {
        self.pending.get(chat_queue)
    }

    /// Chat queues that could be sent now: they have no message in flight, are not held, and do not
    /// back off.
    pub(super) fn ready(&self, now_ms: u64) -> impl Iterator<Item = (&ChatQueue, &QueuedAlerts)> {
        self.pending
            .iter()
            .filter(move |(_, pending)| {
                !pending.is_held() && !pending.attempts.is_backing_off(now_ms)
            })
            .filter(|(chat_queue, _)| !self.is_busy(chat_queue))
    }

    /// Whether a chat queue has a message in flight, or waits for its snapshots.
    fn is_busy(&self, chat_queue: &ChatQueue) -> bool {
        self.is_awaiting(chat_queue)
            || self.messages.values().any(|message| message.sending.chat_queue == *chat_queue)
    }

    fn is_awaiting(&self, chat_queue: &ChatQueue) -> bool {
        self.awaiting.values().any(|awaiting| awaiting.chat_queue == *chat_queue)
    }

    /// A message waits for its snapshots. Returns the id of the message.
    pub(super) fn await_snapshots(&mut self, awaiting: AwaitedSnapshot) -> u64 {
        let id = self.take_id();
        self.awaiting.insert(id, awaiting);
        id
    }

    /// The snapshots have come, or are given up.
    pub(super) fn take_awaited(&mut self, id: u64) -> Option<AwaitedSnapshot> {
        self.awaiting.remove(&id)
    }

    /// Takes the alerts of the next message of a chat queue: at most `alerts_max`, or all for 0.
    /// The rest stays pending.
    pub(super) fn take_piece(
        &mut self,
        chat_queue: &ChatQueue,
        alerts_max: usize,
        call: &mut Call<'_>,
    ) -> Option<QueuedAlerts> {
        let mut waiting = self.pending.remove(chat_queue)?;
        if alerts_max > 0 {
            waiting.piece_max = match waiting.piece_max {
                0 => alerts_max,
                max => max.min(alerts_max),
            };
        }
        let (piece, rest) = waiting.split();
        self.set(chat_queue.clone(), rest, call);
        Some(piece)
    }

    /// Takes the number of alerts of a chat that were dropped since the last call.
    pub(super) fn take_dropped(&mut self, chat: &str) -> u64 {
        self.dropped.remove(chat).unwrap_or(0)
    }

    /// Adds a message. It is written when its first part is sent.
    pub(super) fn start(&mut self, id: u64, sending: Sending) {
        self.messages.insert(id, InFlightMessage { sending, robot: None });
    }

    /// A message in flight.
    pub(super) fn sending(&self, id: u64) -> Option<&Sending> {
        self.messages.get(&id).map(|message| &message.sending)
    }

    /// The same, mutable.
    pub(super) fn sending_mut(&mut self, id: u64) -> Option<&mut Sending> {
        self.messages.get_mut(&id).map(|message| &mut message.sending)
    }

    /// Messages in flight that no robot is sending now.
    pub(super) fn begun(&self, now_ms: u64) -> Vec<u64> {
        self.messages
            .iter()
            .filter(|(_, message)| message.robot.is_none())
            .filter(|(_, message)| !message.sending.pending.attempts.is_backing_off(now_ms))
            .map(|(id, _)| *id)
            .collect()
    }

    /// A robot begins to send the next part.
    pub(super) fn hand_over(&mut self, id: u64, robot: &str) -> Option<&Sending> {
        let message = self.messages.get_mut(&id)?;
        message.robot = Some(robot.to_owned());
        message.sending.is_leaving = true;
        Some(&message.sending)
    }

    /// The robot has finished, whatever the outcome.
    pub(super) fn hand_back(&mut self, id: u64) -> Option<&Sending> {
        let message = self.messages.get_mut(&id)?;
        message.robot = None;
        message.sending.is_leaving = false;
        Some(&message.sending)
    }

    /// Writes a message that has changed.
    pub(super) fn keep_message(&mut self, id: u64, call: &mut Call<'_>) {
        if let Some(message) = self.messages.get(&id) {
            call.keep(RecordKey::Message(id), RecordValue::Message(message.sending.clone()));
        }
    }

    /// Removes a message that is finished or requeued.
    pub(super) fn finish(&mut self, id: u64, call: &mut Call<'_>) -> Option<Sending> {
        let InFlightMessage { sending, .. } = self.messages.remove(&id)?;
        call.forget(RecordKey::Message(id));
        Some(sending)
    }

    /// Retries later: as a whole, merged with newer alerts, when no part was delivered; otherwise
    /// only the missing parts.
    pub(super) fn again(&mut self, id: u64, call: &mut Call<'_>) {
        let Some(sending) = self.sending(id) else { return };
        if sending.sent == 0 {
            self.requeue(id, call);
        } else {
            self.keep_message(id, call);
        }
    }

    /// Whether a notice about refused messages is in flight for a chat.
    pub(super) fn has_refused_notice(&self, chat: &str) -> bool {
        let is_it =
            |one: &InFlightMessage| !one.sending.about.is_empty() && one.sending.chat == chat;
        self.messages.values().any(is_it)
    }

    /// Whether something waits for a robot of this chat.
    pub(super) fn waits_for(&self, chat: &str) -> bool {
        self.pending
            .iter()
            .any(|(chat_queue, pending)| chat_queue.chat == chat && !pending.is_held())
            || self.messages.values().any(|one| one.sending.chat_queue.chat == chat)
    }

    /// Messages about alerts of a chat that no robot is sending now.
    pub(super) fn left_for(&self, chat: &str) -> Vec<u64> {
        self.messages
            .iter()
            .filter(|(_, one)| one.robot.is_none() && one.sending.chat_queue.chat == chat)
            .filter(|(_, one)| one.sending.about.is_empty())
            .map(|(id, _)| *id)
            .collect()
    }

    /// Chat queues whose message a robot is sending now.
    pub(super) fn leaving(&self) -> Vec<ChatQueue> {
        let leaving = self.messages.values().filter(|message| message.robot.is_some());
        leaving.map(|message| message.sending.chat_queue.clone()).collect()
    }

    /// Chat queues with something pending or in flight, twice where both is so.
    pub(super) fn chat_queues(&self) -> impl Iterator<Item = &ChatQueue> {
        let under_way = self.messages.values().map(|message| &message.sending.chat_queue);
        self.pending.keys().chain(under_way)
    }

    /// Chat queues whose message may have been delivered.
    pub(super) fn unconfirmed(&self) -> impl Iterator<Item = &ChatQueue> {
        let unconfirmed = self.pending.iter().filter(|(_, pending)| pending.unconfirmed);
        unconfirmed.map(|(chat_queue, _)| chat_queue)
    }

    /// The number of alerts that are pending or in flight, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let under_way = self.messages.values().map(|message| &message.sending.pending);
        self.pending.values().chain(under_way).fold((0, 0), |(alerts, bytes), pending| {
            (alerts + pending.lines.len(), bytes + pending.bytes())
        })
    }

    /// Chat queues that can be dropped to make room, oldest first: those without critical alerts.
    pub(super) fn oldest_warnings(&self) -> Vec<ChatQueue> {
        let mut warnings: Vec<(u64, &ChatQueue)> = self
            .pending
            .iter()
            .filter(|(chat_queue, pending)| !pending.is_critical() && !self.is_awaiting(chat_queue))
            .map(|(chat_queue, pending)| (pending.since_ms, chat_queue))
            .collect();
        warnings.sort_unstable();
        warnings.into_iter().map(|(_, chat_queue)| chat_queue.clone()).collect()
    }

    /// Drops the pending alerts of a chat queue to make room. The next message of the chat says how
    /// many.
    pub(super) fn drop_queue(
        &mut self,
        chat_queue: &ChatQueue,
        call: &mut Call<'_>,
    ) -> Option<QueuedAlerts> {
        let pending = self.pending.remove(chat_queue)?;
        call.forget(RecordKey::Pending(chat_queue.clone()));
        *self.dropped.entry(chat_queue.chat.clone()).or_default() += pending.lines.len() as u64;
        Some(pending)
    }

    /// Drops everything older than `age_ms_max`. Returns the chat queues, with the number of alerts
    /// of each.
    pub(super) fn expire(
        &mut self,
        age_ms_max: u64,
        call: &mut Call<'_>,
    ) -> Vec<(ChatQueue, usize)> {
        let now_ms = call.now().unix_ms;
        let is_old = |pending: &QueuedAlerts| now_ms.saturating_sub(pending.since_ms) > age_ms_max;
        let chat_queues = self.pending.iter();
        let old = chat_queues
            .filter(|(chat_queue, pending)| is_old(pending) && !self.is_awaiting(chat_queue));
        let old: Vec<ChatQueue> = old.map(|(chat_queue, _)| chat_queue.clone()).collect();
        let mut expired = Vec::new();
        for chat_queue in old {
            let Some(pending) = self.pending.remove(&chat_queue) else { continue };
            call.forget(RecordKey::Pending(chat_queue.clone()));
            expired.push((chat_queue, pending.lines.len()));
        }
        let is_over =
            |message: &InFlightMessage| message.robot.is_none() && is_old(&message.sending.pending);
        let over = self.messages.iter().filter(|(_, message)| is_over(message));
        let over: Vec<u64> = over.map(|(id, _)| *id).collect();
        for id in over {
            let Some(sending) = self.finish(id, call) else { continue };
            let left = sending.parts.len() - sending.sent;
            expired.push((sending.chat_queue, left));
        }
        expired
    }

    /// Whether no robot is sending a message.
    pub(super) fn is_quiet(&self) -> bool {
        self.messages.values().all(|message| message.robot.is_none())
    }

    /// Whether something waits for a robot.
    pub(super) fn waits(&self) -> bool {
        self.pending.len() > self.awaiting.len()
            || self.messages.values().any(|message| message.robot.is_none())
    }

    /// The number of alerts to be sent, and the time since which the oldest waits.
    pub(super) fn depth(&self) -> (u64, Option<u64>) {
        let waiting = self.pending.values().filter(|pending| !pending.is_held());
        let waiting = waiting.chain(self.messages.values().map(|message| &message.sending.pending));
        let oldest_ms = waiting.clone().map(|pending| pending.since_ms).min();
        (waiting.map(|pending| pending.unheld().count() as u64).sum(), oldest_ms)
    }
}

/// Takes the alerts of the delivered parts out of a message.
pub(super) fn take_delivered(sending: &mut Sending) -> BTreeMap<String, AlertLine> {
    let mut arrived = BTreeMap::new();
    for fingerprint in sending.parts.iter().take(sending.sent).flat_map(|part| &part.fingerprints) {
        if let Some(line) = sending.pending.lines.remove(fingerprint) {
            arrived.insert(fingerprint.clone(), line);
        }
    }
    arrived
}

/// Whether the route of a chat queue still has its chat.
fn leads_somewhere(chat_queue: &ChatQueue, options: &Options) -> bool {
    let Some((route, true)) = options.route(&chat_queue.route) else { return false };
    route.chats.contains(&chat_queue.chat) || route.escalation == chat_queue.chat
}
