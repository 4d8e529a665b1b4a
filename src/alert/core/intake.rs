//! Takes notifications: makes room, runs actions, and updates the queue of each chat.
//!
//! Deliberately absent: sending (`dispatch`).

use std::collections::BTreeMap;

use super::call::Call;
use super::counts::Count;
use super::known::{Known, fires_in, known, note};
use super::output::{BridgeWarning, CoreReply};
use super::parts::{GivenUp, Parts, give_up};
use super::queue::QueueUpdate;
use super::watchdog::WatchdogChange;
use crate::alert::model::alert::{Alert, WebhookPayload};
use crate::alert::model::pending::{AlertLine, ChatQueue, QueuedAlerts, Transition};
use crate::alert::model::sent_state::{AlertChange, AlertState};
use crate::alert::options::{Options, Route};

/// Takes a notification, or refuses it when there is no room.
pub(super) fn notified(
    parts: &mut Parts,
    name: &str,
    payload: &WebhookPayload,
    call: &mut Call<'_>,
) -> CoreReply {
    let Some((route, is_known)) = call.options().route(name) else {
        parts.counts.add(Count::Full, 1);
        return CoreReply::Full;
    };
    let fitting = fitting(payload, route.chats.len(), call.options());
    let payload = fitting.as_ref().unwrap_or(payload);
    if !make_room(parts, payload, route, call) {
        parts.counts.add(Count::Full, 1);
        return CoreReply::Full;
    }
    if !is_known {
        parts.counts.add(Count::Unrouted, 1);
        call.warn(BridgeWarning::Route);
    }
    let actions = act(parts, payload, route, call);
    let chat_queue = |chat: &String| ChatQueue {
        route: route.name.clone(),
        chat: chat.clone(),
        group_key: payload.group_key.clone(),
    };
    for chat in &route.chats {
        let unknown = if is_known { "" } else { name };
        take(
            parts,
            chat_queue(chat),
            payload,
            &Extras { unknown_route: unknown, actions: &actions },
            call,
        );
    }
    if !route.escalation.is_empty() && !route.chats.contains(&route.escalation) {
        take_escalated(parts, chat_queue(&route.escalation), payload, call);
    }
    parts.counts.add(Count::Kept, 1);
    CoreReply::Kept
}

/// Queues the alert that the watchdog is silent, or is heard again. When there is no room for it,
/// the queue is full of alerts that say the same.
pub(super) fn watchdog_changed(parts: &mut Parts, change: WatchdogChange, call: &mut Call<'_>) {
    let options = call.options();
    let name = match options.deadman_route.as_str() {
        "" => options.route("").map_or("", |(route, _)| route.name.as_str()),
        name => name,
    };
    notified(parts, name, &change.payload(call.now()), call);
}

/// The part of a notification that fits into half of the queue, with the rest as a count; `None`
/// when all of it fits. A notification that never fits would be refused for ever.
fn fitting(payload: &WebhookPayload, chats: usize, options: &Options) -> Option<WebhookPayload> {
    let alerts_max = (options.alerts_max / 2 / chats.max(1)).max(1);
    let bytes_max = options.bytes_max / 2 / chats.max(1);
    let mut bytes = 0;
    let fits = |alert: &&Alert| {
        bytes += alert.bytes();
        bytes <= bytes_max
    };
    let count = payload.alerts.iter().take(alerts_max).take_while(fits).count().max(1);
    let over = payload.alerts.get(count..)?;
    if over.is_empty() {
        return None;
    }
    let mut fitting = payload.clone();
    fitting.truncated += over.len() as u64;
    fitting.truncated_critical |= over.iter().any(Alert::is_critical);
    fitting.alerts.truncate(count);
    Some(fitting)
}

/// Whether there is room. Critical alerts make room by dropping the oldest warnings.
fn make_room(
    parts: &mut Parts,
    payload: &WebhookPayload,
    route: &Route,
    call: &mut Call<'_>,
) -> bool {
    let options = call.options();
    let chats = route.chats.len();
    let (mut alerts, mut bytes) = parts.queue.size();
    alerts += payload.alerts.len() * chats;
    bytes += payload.alerts.iter().map(Alert::bytes).sum::<usize>() * chats;
    let fits = |alerts, bytes| alerts <= options.alerts_max && bytes <= options.bytes_max;
    if fits(alerts, bytes) {
        return true;
    }
    if !payload.alerts.iter().any(Alert::is_critical) {
        return false;
    }
    for chat_queue in parts.queue.oldest_warnings() {
        let Some(pending) = parts.queue.drop_queue(&chat_queue, call) else { continue };
        alerts -= pending.lines.len();
        bytes -= pending.bytes();
        give_up(parts, &chat_queue, pending.lines.len(), GivenUp::Dropped, call);
        if fits(alerts, bytes) {
            return true;
        }
    }
    false
}

/// Runs the actions of alerts that begin. Returns a text about them, by fingerprint.
fn act(
    parts: &mut Parts,
    payload: &WebhookPayload,
    route: &Route,
    call: &mut Call<'_>,
) -> BTreeMap<String, String> {
    let options = call.options();
    let mut words: BTreeMap<String, String> = BTreeMap::new();
    let may_send = |chat: &&String| parts.pair.may_send(call.now(), options, chat);
    let Some(chat) = route.chats.first().filter(may_send) else { return words };
    let chat_queue = ChatQueue {
        route: route.name.clone(),
        chat: chat.clone(),
        group_key: payload.group_key.clone(),
    };
    for alert in payload.alerts.iter().filter(|alert| alert.firing) {
        let known = known(parts, &chat_queue, &alert.fingerprint).map(Known::state);
        let begins = AlertState::from(alert).since(known) == AlertChange::Begun
            && held_until_ms(parts, alert, call) == 0;
        let name = alert.label("alertname");
        for action in options.actions.iter().filter(|action| begins && action.alert == name) {
            let verdict = parts.actions.act(action, alert, call);
            parts.counts.add(verdict.count(), 1);
            let words = words.entry(alert.fingerprint.clone()).or_default();
            if !words.is_empty() {
                words.push_str("; ");
            }
            words.push_str(&verdict.words(&action.name));
        }
    }
    words
}

/// The rest of a notification, beside its alerts.
struct Extras<'a> {
    /// The route that was requested, when it does not exist.
    unknown_route: &'a str,
    /// Texts about actions, by fingerprint of the alert.
    actions: &'a BTreeMap<String, String>,
}

/// Queues the changes of a notification for one chat.
fn take(
    parts: &mut Parts,
    chat_queue: ChatQueue,
    payload: &WebhookPayload,
    extras: &Extras<'_>,
    call: &mut Call<'_>,
) {
    let mut update = QueueUpdate { lines: Vec::new(), still: 0 };
    let mut waits = false;
    for alert in &payload.alerts {
        let known = known(parts, &chat_queue, &alert.fingerprint);
        match (AlertState::from(alert).since(known.map(Known::state)), known) {
            (AlertChange::Same, Some(Known::Waiting(_))) => waits = true,
            (AlertChange::Same, Some(Known::Sent(_)) | None) => {
                update.still += u64::from(alert.firing)
            }
            (AlertChange::Begun | AlertChange::Ended, Some(_) | None) => {
                let transition =
                    if alert.firing { Transition::Firing } else { Transition::Recovered };
                let action = extras.actions.get(&alert.fingerprint).cloned().unwrap_or_default();
                if !alert.firing && ends_held(parts, &chat_queue, alert, call) {
                    continue;
                }
                let held_until_ms =
                    if alert.firing { held_until_ms(parts, alert, call) } else { 0 };
                let line = AlertLine { alert: alert.clone(), transition, action, held_until_ms };
                update.lines.push((alert.fingerprint.clone(), line));
            }
        }
    }
    let is_unchanged = update.lines.is_empty() && !waits && update.still > 0;
    if is_unchanged && parts.notification_log.is_reminder(&chat_queue, call) {
        let firing = payload.alerts.iter().filter(|alert| alert.firing);
        let still = |alert: &Alert| {
            (alert.fingerprint.clone(), AlertLine::new(alert.clone(), Transition::Still))
        };
        update.lines.extend(firing.map(still));
        update.still = 0;
    }
    if update.lines.is_empty() {
        parts.counts.add(Count::Repeated, 1);
        return;
    }
    if parts.queue.add(chat_queue, update, payload, extras.unknown_route, call) {
        parts.counts.add(Count::Merged, 1);
    }
}

/// Queues for the escalation chat the end of alerts that it was told of.
fn take_escalated(
    parts: &mut Parts,
    chat_queue: ChatQueue,
    payload: &WebhookPayload,
    call: &mut Call<'_>,
) {
    let ends = |alert: &&Alert| !alert.firing && fires_in(parts, &chat_queue, &alert.fingerprint);
    let alerts: Vec<Alert> = payload.alerts.iter().filter(ends).cloned().collect();
    if alerts.is_empty() {
        return;
    }
    let payload = WebhookPayload {
        group_key: payload.group_key.clone(),
        group_labels: payload.group_labels.clone(),
        external_url: payload.external_url.clone(),
        alerts,
        ..WebhookPayload::default()
    };
    let extras = Extras { unknown_route: "", actions: &BTreeMap::new() };
    take(parts, chat_queue, &payload, &extras, call);
}

/// The time until which a firing alert is held because its cause has just ended; 0 when it is not
/// held.
fn held_until_ms(parts: &Parts, alert: &Alert, call: &Call<'_>) -> u64 {
    let outlive_ms = call.options().outlive_s * 1_000;
    parts.inhibited.held_until_ms(&alert.fingerprint, call.now().unix_ms, outlive_ms)
}

/// A held alert has ended: neither its beginning nor its end is sent.
fn ends_held(
    parts: &mut Parts,
    chat_queue: &ChatQueue,
    alert: &Alert,
    call: &mut Call<'_>,
) -> bool {
    parts.inhibited.forget(&alert.fingerprint);
    if !parts.queue.remove_held(chat_queue, alert, call) {
        return false;
    }
    let line = AlertLine::new(alert.clone(), Transition::Recovered);
    let lines = BTreeMap::from([(alert.fingerprint.clone(), line)]);
    note(parts, chat_queue, &lines, &QueuedAlerts::default(), call);
    parts.counts.add(Count::Outlived, 1);
    true
}
