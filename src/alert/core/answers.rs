//! Handles the outcome of a send for its message.
//!
//! Deliberately absent: the state of the robot (`senders`).

use super::answer::SendOutcome;
use super::blame;
use super::call::Call;
use super::counts::Count;
use super::known::note;
use super::parts::Parts;

/// Handles the outcome of a send.
pub(super) fn answered(
    parts: &mut Parts,
    id: u64,
    robot: &str,
    answer: SendOutcome,
    call: &mut Call<'_>,
) {
    let Some(sending) = parts.queue.hand_back(id) else { return };
    let is_plain = sending.pending.plain;
    let channel = call.options().channel(&sending.chat).unwrap_or_default();
    // A short plain text that is too long is refused for another reason.
    let answer = if let SendOutcome::TooLong(code) = answer
        && (is_plain || sending.sent > 0)
    {
        SendOutcome::Refused(code)
    } else {
        answer
    };
    parts.counts.add(Count::of_answer(&answer, channel), 1);
    parts.senders.on_outcome(robot, &answer, call);
    match answer {
        SendOutcome::Delivered => delivered(parts, id, call),
        SendOutcome::Refused(code) => blame::refuse(parts, id, robot, code, call),
        // A filter between us and the robot may reject one message like this.
        SendOutcome::Busy(code) | SendOutcome::Stranger(code) => {
            failed(parts, id, robot, code, call)
        }
        SendOutcome::TooLong(_) => {
            if let Some(sending) = parts.queue.sending_mut(id) {
                sending.pending.plain = true;
            }
            parts.queue.again(id, call);
        }
        SendOutcome::Unconfirmed => {
            if let Some(sending) = parts.queue.sending_mut(id) {
                sending.again |= sending.sent > 0;
                sending.pending.unconfirmed |= sending.sent == 0;
            }
            failed(parts, id, robot, 0, call);
        }
        SendOutcome::TooOften(_) | SendOutcome::Unreachable => parts.queue.again(id, call),
    }
}

/// An attempt failed, perhaps because of the message itself.
fn failed(parts: &mut Parts, id: u64, robot: &str, code: i64, call: &mut Call<'_>) {
    let (ready_ms, delivered_ms) = parts.senders.times(robot);
    let Some(sending) = parts.queue.sending_mut(id) else { return };
    let attempts = sending.pending.attempts;
    sending.pending.attempts = attempts.failed(call.now().unix_ms, ready_ms, delivered_ms);
    match blame::is_poison(parts, id) {
        true => blame::refuse(parts, id, robot, code, call),
        false => parts.queue.again(id, call),
    }
}

fn delivered(parts: &mut Parts, id: u64, call: &mut Call<'_>) {
    let Some(sending) = parts.queue.sending_mut(id) else { return };
    sending.sent += 1;
    sending.again = false;
    if sending.sent < sending.parts.len() {
        parts.queue.keep_message(id, call);
        return;
    }
    let Some(sending) = parts.queue.finish(id, call) else { return };
    if !sending.about.is_empty() {
        parts.refused.mark_notified(&sending.about, call);
        return;
    }
    note(parts, &sending.chat_queue, &sending.pending.lines, &sending.pending, call);
    parts.queue.widen(sending.chat_queue, call);
}
