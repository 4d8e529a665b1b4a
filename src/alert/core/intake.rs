//! What comes in: notifications, the watchdog, and what is done about alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::counts::Count;
use super::questions;
use super::record::{Key, Value};
use super::{Core, Deed, Output, Reply, Trouble, Verdict, forget, keep};
use crate::alert::model::alert::{Alert, Pairs, Payload};
use crate::alert::model::pending::{Lane, Line, Pending, Story};
use crate::alert::model::told::{Change, State};
use crate::alert::options::{Action, Options, Route};
use crate::base::Now;

/// The alert of a watchdog that is not heard.
const SILENT_ALERT: &str = "ChatAlertPathSilent";

/// The group of that alert.
pub(super) const SILENT_KEY: &str = "deadman";

/// Where an alert's last state is known from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It waits, or is under way.
    Waiting(State),
    /// It has arrived.
    Told(State),
}

impl Known {
    fn state(self) -> State {
        match self {
            Known::Waiting(state) | Known::Told(state) => state,
        }
    }
}

/// What of a notification fits into half of all the room that there is, the rest counted;
/// `None` when all of it does. One that never fits would be refused for ever.
fn fitting(payload: &Payload, chats: usize, options: &Options) -> Option<Payload> {
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

impl Core {
    /// Takes a notification, or has no room for it.
    pub(super) fn notified(
        &mut self,
        now: Now,
        name: &str,
        payload: &Payload,
        out: &mut Vec<Output>,
    ) -> Reply {
        let settings = Arc::clone(&self.settings);
        let options = &settings.options;
        let Some((route, is_known)) = options.route(name) else {
            self.counts.add(Count::Full, 1);
            return Reply::Full;
        };
        let fitting = fitting(payload, route.chats.len(), options);
        let payload = fitting.as_ref().unwrap_or(payload);
        if !self.make_room(payload, route, options, out) {
            self.counts.add(Count::Full, 1);
            return Reply::Full;
        }
        if !is_known {
            self.counts.add(Count::Unrouted, 1);
            out.push(Output::Tell(Trouble::Route));
        }
        let actions = self.act(now, payload, route, options, out);
        for chat in &route.chats {
            let lane = Lane {
                route: route.name.clone(),
                chat: chat.clone(),
                group_key: payload.group_key.clone(),
            };
            let unknown = if is_known { "" } else { name };
            self.take(now, lane, payload, unknown, &actions, out);
        }
        if !route.escalation.is_empty() && !route.chats.contains(&route.escalation) {
            let lane = Lane {
                route: route.name.clone(),
                chat: route.escalation.clone(),
                group_key: payload.group_key.clone(),
            };
            self.take_escalated(now, lane, payload, out);
        }
        self.counts.add(Count::Kept, 1);
        Reply::Kept
    }

    /// The watchdog is heard.
    pub(super) fn beat(&mut self, now: Now, out: &mut Vec<Output>) {
        self.heard = now;
        if let Some(since_ms) = self.silent_since_ms.take() {
            out.push(forget(Key::Deadman));
            self.tell_silence(now, since_ms, false, out);
        }
    }

    /// Whether the watchdog is heard often enough.
    pub(super) fn watch(&mut self, now: Now, out: &mut Vec<Output>) {
        let deadman_ms = self.settings.options.deadman_s * 1_000;
        let is_silent = now.tick.ms_since(self.heard.tick) > deadman_ms;
        if deadman_ms == 0 || !is_silent || self.silent_since_ms.is_some() {
            return;
        }
        self.silent_since_ms = Some(now.unix_ms);
        out.push(keep(Key::Deadman, Value::Deadman(now.unix_ms)));
        out.push(Output::Tell(Trouble::Silent));
        self.counts.add(Count::Silent, 1);
        self.tell_silence(now, now.unix_ms, true, out);
    }

    fn tell_silence(&mut self, now: Now, since_ms: u64, firing: bool, out: &mut Vec<Output>) {
        let pairs = |pairs: &[(&str, &str)]| -> Pairs {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let alert = Alert {
            firing,
            labels: pairs(&[
                ("alertname", SILENT_ALERT),
                ("severity", "critical"),
                ("layer", "meta"),
            ]),
            annotations: pairs(&[
                (
                    "summary",
                    "ChatWatchdog is not heard: nobody is watching 看门狗失联，监控链路可能已中断",
                ),
                (
                    "description",
                    "The page ChatWatchdog of the runbooks: look at Prometheus, Alertmanager, and the way from there to the bridge",
                ),
            ]),
            starts_ms: since_ms,
            ends_ms: if firing { 0 } else { now.unix_ms },
            generator_url: String::new(),
            fingerprint: "deadman".to_owned(),
        };
        let payload =
            Payload { group_key: SILENT_KEY.to_owned(), alerts: vec![alert], ..Payload::default() };
        let route = self.settings.options.deadman_route.clone();
        let name = match route.as_str() {
            "" => self.settings.options.route("").map(|(route, _)| route.name.clone()),
            _ => Some(route),
        };
        // With no room for this, the queue is full of what tells the same.
        self.notified(now, &name.unwrap_or_default(), &payload, out);
    }

    /// What one chat has to be told of a notification.
    pub(super) fn take(
        &mut self,
        now: Now,
        lane: Lane,
        payload: &Payload,
        unknown_route: &str,
        actions: &BTreeMap<String, String>,
        out: &mut Vec<Output>,
    ) {
        let mut changed: Vec<(String, Line)> = Vec::new();
        let mut still = 0;
        let mut waits = false;
        for alert in &payload.alerts {
            let known = self.known(&lane, &alert.fingerprint);
            match (State::from(alert).since(known.map(Known::state)), known) {
                (Change::Same, Some(Known::Waiting(_))) => waits = true,
                (Change::Same, Some(Known::Told(_)) | None) => still += u64::from(alert.firing),
                (Change::Begun | Change::Ended, _) => {
                    let story = if alert.firing { Story::Firing } else { Story::Recovered };
                    let action = actions.get(&alert.fingerprint).cloned().unwrap_or_default();
                    if !alert.firing && self.ends_held(now, &lane, alert, out) {
                        continue;
                    }
                    let held_until_ms =
                        if alert.firing { self.held_until_ms(now, alert) } else { 0 };
                    let line = Line { alert: alert.clone(), story, action, held_until_ms };
                    changed.push((alert.fingerprint.clone(), line));
                }
            }
        }
        if changed.is_empty() && !waits && still > 0 && self.is_reminder(now, &lane) {
            let firing = payload.alerts.iter().filter(|alert| alert.firing);
            changed.extend(
                firing.map(|alert| {
                    (alert.fingerprint.clone(), Line::new(alert.clone(), Story::Still))
                }),
            );
            still = 0;
        }
        if changed.is_empty() {
            self.counts.add(Count::Repeated, 1);
            return;
        }
        if self.pending.contains_key(&lane) {
            self.counts.add(Count::Merged, 1);
        }
        let pending = self.pending.entry(lane.clone()).or_insert_with(|| Pending {
            group_labels: payload.group_labels.clone(),
            since_ms: now.unix_ms,
            external_url: payload.external_url.clone(),
            ..Pending::default()
        });
        pending.still = still;
        pending.truncated = pending.truncated.max(payload.truncated);
        pending.truncated_critical |= payload.truncated_critical;
        unknown_route.clone_into(&mut pending.unknown_route);
        for (fingerprint, line) in changed {
            pending.merge(fingerprint, line);
        }
        out.push(keep(Key::Pending(lane), Value::Pending(pending.clone())));
    }

    /// Whether a lane knows an alert that fires, or hears of one in a moment.
    pub(super) fn fires_in(&self, lane: &Lane, fingerprint: &str) -> bool {
        self.known(lane, fingerprint).is_some_and(|known| known.state().firing)
    }

    /// Until when an alert that fires only outlives its cause; 0 when it is told.
    fn held_until_ms(&self, now: Now, alert: &Alert) -> u64 {
        let outlive_ms = self.settings.options.outlive_s * 1_000;
        self.inhibited.held_until_ms(&alert.fingerprint, now.unix_ms, outlive_ms)
    }

    /// What only outlived its cause is over, too, and was never told: nor is its end.
    fn ends_held(&mut self, now: Now, lane: &Lane, alert: &Alert, out: &mut Vec<Output>) -> bool {
        self.inhibited.forget(&alert.fingerprint);
        let Some(pending) = self.pending.get_mut(lane) else { return false };
        let is_held =
            pending.lines.get(&alert.fingerprint).is_some_and(|line| line.held_until_ms > 0);
        if !is_held {
            return false;
        }
        pending.lines.remove(&alert.fingerprint);
        match pending.lines.is_empty() {
            true => {
                self.pending.remove(lane);
                out.push(forget(Key::Pending(lane.clone())));
            }
            false => {
                let value = Value::Pending(pending.clone());
                out.push(keep(Key::Pending(lane.clone()), value));
            }
        }
        let line = Line::new(alert.clone(), Story::Recovered);
        let lines = BTreeMap::from([(alert.fingerprint.clone(), line)]);
        self.note(now, lane, &lines, &Pending::default(), out);
        self.counts.add(Count::Outlived, 1);
        true
    }

    /// What is known of an alert in a lane.
    fn known(&self, lane: &Lane, fingerprint: &str) -> Option<Known> {
        let told = self.told.get(lane).and_then(|told| told.states.get(fingerprint)).copied();
        let waiting = |pending: &Pending| {
            let line = pending.lines.get(fingerprint)?;
            Some(Known::Waiting(State::from(&line.alert).after(told)))
        };
        let under_way = || {
            let mut messages = self.messages.values().filter(|one| one.sending.lane == *lane);
            messages.find_map(|message| waiting(&message.sending.pending))
        };
        let pending = self.pending.get(lane).and_then(waiting);
        pending.or_else(under_way).or(told.map(Known::Told))
    }

    /// What comes again unchanged is a reminder of Alertmanager's, unless it comes so
    /// soon that it is a retry, or another Alertmanager's.
    fn is_reminder(&self, now: Now, lane: &Lane) -> bool {
        let within_ms = self.settings.options.same_within_s * 1_000;
        self.told.get(lane).is_some_and(|told| now.unix_ms.saturating_sub(told.at_ms) >= within_ms)
    }

    /// Whether there is room; what is critical takes that of the oldest warnings.
    fn make_room(
        &mut self,
        payload: &Payload,
        route: &Route,
        options: &Options,
        out: &mut Vec<Output>,
    ) -> bool {
        let chats = route.chats.len();
        let (mut alerts, mut bytes) = self.waiting();
        alerts += payload.alerts.len() * chats;
        bytes += payload.alerts.iter().map(Alert::bytes).sum::<usize>() * chats;
        let fits = |alerts, bytes| alerts <= options.alerts_max && bytes <= options.bytes_max;
        if fits(alerts, bytes) {
            return true;
        }
        if !payload.alerts.iter().any(Alert::is_critical) {
            return false;
        }
        let busy = |lane: &Lane| self.gathering.values().any(|gathering| gathering.lane == *lane);
        let mut warnings: Vec<(u64, Lane)> = self
            .pending
            .iter()
            .filter(|(lane, pending)| !pending.is_critical() && !busy(lane))
            .map(|(lane, pending)| (pending.since_ms, lane.clone()))
            .collect();
        warnings.sort_unstable();
        for (_, lane) in warnings {
            let Some(pending) = self.pending.remove(&lane) else { continue };
            alerts -= pending.lines.len();
            bytes -= pending.bytes();
            out.push(forget(Key::Pending(lane.clone())));
            *self.dropped.entry(lane.chat.clone()).or_default() += pending.lines.len() as u64;
            self.give_up(&lane, pending.lines.len(), Count::Dropped, out);
            if fits(alerts, bytes) {
                return true;
            }
        }
        false
    }

    /// Alerts that wait or are under way, and their bytes.
    fn waiting(&self) -> (usize, usize) {
        let under_way = self.messages.values().map(|message| &message.sending.pending);
        self.pending.values().chain(under_way).fold((0, 0), |(alerts, bytes), pending| {
            (alerts + pending.lines.len(), bytes + pending.bytes())
        })
    }

    /// What is done about alerts that begin; words about it, by fingerprint.
    fn act(
        &mut self,
        now: Now,
        payload: &Payload,
        route: &Route,
        options: &Options,
        out: &mut Vec<Output>,
    ) -> BTreeMap<String, String> {
        let mut words: BTreeMap<String, String> = BTreeMap::new();
        let Some(chat) = route.chats.first().filter(|chat| self.may_tell(now, chat)) else {
            return words;
        };
        let lane = Lane {
            route: route.name.clone(),
            chat: chat.clone(),
            group_key: payload.group_key.clone(),
        };
        for alert in payload.alerts.iter().filter(|alert| alert.firing) {
            let known = self.known(&lane, &alert.fingerprint).map(Known::state);
            let begins = State::from(alert).since(known) == Change::Begun
                && self.held_until_ms(now, alert) == 0;
            let name = alert.label("alertname");
            for action in options.actions.iter().filter(|action| begins && action.alert == name) {
                let verdict = self.verdict(now, action, alert, options, out);
                let said = match verdict {
                    Verdict::Done => format!("{}: done", action.name),
                    Verdict::DryRun => format!("{}: would be done, dry run", action.name),
                    Verdict::TooSoon => format!("{}: not again so soon", action.name),
                    Verdict::UnknownInstance => format!("{}: not on this instance", action.name),
                };
                let words = words.entry(alert.fingerprint.clone()).or_default();
                if !words.is_empty() {
                    words.push_str("; ");
                }
                words.push_str(&said);
            }
        }
        words
    }

    fn verdict(
        &mut self,
        now: Now,
        action: &Action,
        alert: &Alert,
        options: &Options,
        out: &mut Vec<Output>,
    ) -> Verdict {
        let instance = questions::instance(alert, options);
        let last_ms = self.acted_ms.get(&action.name).copied();
        let is_soon =
            last_ms.is_some_and(|ms| now.unix_ms.saturating_sub(ms) < action.interval_s * 1_000);
        let (verdict, count) = match instance {
            None => (Verdict::UnknownInstance, Count::ActedNowhere),
            Some(_) if is_soon => (Verdict::TooSoon, Count::ActedTooSoon),
            Some(_) if action.dry_run => (Verdict::DryRun, Count::ActedDry),
            Some(_) => (Verdict::Done, Count::Acted),
        };
        if matches!(verdict, Verdict::Done | Verdict::DryRun) {
            self.acted_ms.insert(action.name.clone(), now.unix_ms);
            out.push(keep(Key::Action(action.name.clone()), Value::Action(now.unix_ms)));
        }
        self.counts.add(count, 1);
        let url = match (verdict, instance) {
            (Verdict::Done, Some(instance)) => format!("http://{instance}{}", action.path),
            _ => String::new(),
        };
        out.push(Output::Do(Deed {
            action: action.name.clone(),
            alert: action.alert.clone(),
            instance: alert.label("instance").to_owned(),
            url,
            post: action.post,
            verdict,
        }));
        verdict
    }
}
