//! Assigns pending alerts to robots, in the order in which they are sent.
//!
//! Deliberately absent: the outcomes of sends (`answers`).

use super::acknowledge::escalate;
use super::blame::tell_refused;
use super::call::Call;
use super::counts::Count;
use super::output::{BridgeWarning, CoreOutput};
use super::parts::Parts;
use super::peer::pass_turns;
use super::queue::AwaitedSnapshot;
use super::record::Sending;
use super::sending::send;
use super::{inhibited, questions};
use crate::alert::message::{self, MessageInput};
use crate::alert::model::pending::{ChatQueue, QueuedAlerts, Transition};
use crate::alert::model::snapshot::{Snapshots, Source};
use crate::alert::options::Messenger;

/// Most alerts in one message to a program.
const PROGRAM_ALERTS_MAX: usize = 1_000;

/// What is sent first, and how long the robots of a chat may be paused before its fallback is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Critical,
    Other,
}

impl Urgency {
    fn of(pending: &QueuedAlerts) -> Urgency {
        if pending.is_critical() { Urgency::Critical } else { Urgency::Other }
    }

    fn fallback_after_ms(self) -> u64 {
        match self {
            Urgency::Critical => 5_000,
            Urgency::Other => 60_000,
        }
    }
}

/// Gives a message to every robot that is ready.
pub(super) fn dispatch(parts: &mut Parts, call: &mut Call<'_>) {
    let now_ms = call.now().unix_ms;
    parts.senders.settle(now_ms);
    parts.queue.release(call);
    pass_turns(parts, call);
    escalate(parts, call);
    if !parts.senders.is_any_ready(now_ms) {
        return;
    }
    tell_refused(parts, call);
    // Messages in flight are finished first.
    for id in parts.queue.begun(now_ms) {
        let Some(sending) = parts.queue.sending(id) else { continue };
        let robot = parts.senders.ready(&sending.chat, &sending.chat_queue.group_key, now_ms);
        if let Some(robot) = robot {
            send(parts, id, robot, call);
        }
    }
    for (urgency, chat_queue) in in_order(parts, call) {
        if !parts.senders.is_any_ready(now_ms) {
            return;
        }
        if let Some((chat, robot)) = choose(parts, &chat_queue, urgency, call) {
            begin(parts, chat_queue, chat, robot, call);
        }
    }
}

/// Chat queues that this bridge may send now. One that failed by itself goes behind those that were
/// not tried yet, so it delays nobody.
fn in_order(parts: &Parts, call: &Call<'_>) -> Vec<(Urgency, ChatQueue)> {
    let (now, options) = (call.now(), call.options());
    let may_send = |(chat_queue, pending): &(&ChatQueue, &QueuedAlerts)| {
        !parts.pair.is_sent_by_other(chat_queue)
            && (parts.pair.may_send(now, options, &chat_queue.chat)
                || parts.pair.is_unknown_to_other(now, options, chat_queue, pending))
    };
    let mut chat_queues: Vec<(Urgency, u32, u64, ChatQueue)> = parts
        .queue
        .ready(now.unix_ms)
        .filter(may_send)
        .map(|(chat_queue, pending)| {
            (Urgency::of(pending), pending.attempts.count, pending.since_ms, chat_queue.clone())
        })
        .collect();
    chat_queues.sort_unstable();
    chat_queues.into_iter().map(|(urgency, _, _, chat_queue)| (urgency, chat_queue)).collect()
}

/// Chooses the chat and the robot: of the chat queue's own chat, or of its fallback when the robots
/// of the former are paused for too long.
fn choose(
    parts: &Parts,
    chat_queue: &ChatQueue,
    urgency: Urgency,
    call: &Call<'_>,
) -> Option<(String, usize)> {
    let now_ms = call.now().unix_ms;
    if let Some(robot) = parts.senders.ready(&chat_queue.chat, &chat_queue.group_key, now_ms) {
        return Some((chat_queue.chat.clone(), robot));
    }
    let (route, _) = call.options().route(&chat_queue.route)?;
    let shortest_ms = parts.senders.rests_ms(&chat_queue.chat, now_ms);
    // Short pauses that follow each other count as a long one.
    let since_ms = parts.queue.pending(chat_queue).map_or(now_ms, |pending| pending.since_ms);
    let waited_ms = now_ms.saturating_sub(since_ms);
    let may_wait =
        shortest_ms == 0 || shortest_ms.saturating_add(waited_ms) <= urgency.fallback_after_ms();
    if route.fallback.is_empty() || may_wait {
        return None;
    }
    let robot = parts.senders.ready(&route.fallback, &chat_queue.group_key, now_ms)?;
    Some((route.fallback.clone(), robot))
}

/// Reserves a robot for a chat queue, and asks for the snapshots.
fn begin(
    parts: &mut Parts,
    chat_queue: ChatQueue,
    chat: String,
    robot: usize,
    call: &mut Call<'_>,
) {
    let Some(pending) = parts.queue.pending(&chat_queue) else { return };
    let questions = questions::plan(pending.lines.iter(), call.options(), call.now().unix_ms);
    let robot = parts.senders.reserve(robot);
    let id = parts.queue.await_snapshots(AwaitedSnapshot { chat_queue, chat, robot });
    if questions.is_empty() {
        found(parts, id, &Snapshots::new(), call);
    } else {
        call.push(CoreOutput::Ask(id, questions));
    }
}

/// The snapshots have come: renders the message, and sends its first part.
pub(super) fn found(parts: &mut Parts, id: u64, snapshots: &Snapshots, call: &mut Call<'_>) {
    let Some(AwaitedSnapshot { chat_queue, chat, robot }) = parts.queue.take_awaited(id) else {
        return;
    };
    let options = call.options();
    let robot = parts.senders.free(&robot);
    // A reload may have removed the robot, the chat or the route.
    let (Some(robot), Some(channel), Some((route, _))) =
        (robot, options.channel(&chat), options.route(&chat_queue.route))
    else {
        return;
    };
    // A program gets everything, in pieces; people get a count of what does not fit.
    let alerts_max = if channel == Messenger::Webhook { PROGRAM_ALERTS_MAX } else { 0 };
    let Some(pending) = parts.queue.take_piece(&chat_queue, alerts_max, call) else { return };
    count_snapshots(parts, &pending, snapshots);
    let outliving = outliving(&parts.inhibited, &pending);
    let input = MessageInput {
        group_key: &chat_queue.group_key,
        outliving: &outliving,
        pending: &pending,
        snapshots,
        route,
        channel,
        instead_of: if chat == chat_queue.chat { "" } else { chat_queue.chat.as_str() },
        dropped: parts.queue.take_dropped(&chat),
        now_ms: call.now().unix_ms,
    };
    let rendered = match pending.lines.is_empty() {
        true => message::of_words(&pending.words, route.language, channel),
        false => message::render(&input, options, &call.settings().templates),
    };
    if let Some(fault) = rendered.fault {
        parts.counts.add(Count::Untemplated, 1);
        call.warn(BridgeWarning::Template(fault));
    }
    let sending =
        Sending { chat_queue, chat, pending, parts: rendered.parts, ..Sending::default() };
    parts.queue.start(id, sending);
    send(parts, id, robot, call);
}

/// Names of inhibited alerts that outlive a cause whose end this message reports.
fn outliving(inhibited: &inhibited::InhibitedAlerts, pending: &QueuedAlerts) -> Vec<String> {
    let over = pending.lines.iter().filter(|(_, line)| line.transition == Transition::Recovered);
    let mut names: Vec<String> = over
        .flat_map(|(fingerprint, line)| inhibited.outliving(fingerprint, line.alert.ends_ms))
        .filter(|(fingerprint, _)| !pending.lines.contains_key(*fingerprint))
        .map(|(_, name)| name.to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn count_snapshots(parts: &mut Parts, pending: &QueuedAlerts, snapshots: &Snapshots) {
    let begun = pending.lines.iter().filter(|(_, line)| line.transition == Transition::Firing);
    for (fingerprint, _) in begun {
        let snapshot = snapshots.get(fingerprint).and_then(|found| found.snapshot.as_ref());
        let count = match snapshot.map(|snapshot| snapshot.source) {
            Some(Source::Exemplar) => Count::FromExemplar,
            Some(Source::Recorder) => Count::FromRecorder,
            None => Count::NoSnapshot,
        };
        parts.counts.add(count, 1);
    }
}
