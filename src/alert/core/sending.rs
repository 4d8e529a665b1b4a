//! Gives the next part of a message to a robot.
//!
//! Invariant: a part is marked as being sent, on the disk, before it is sent.
//!
//! Deliberately absent: which message, and which robot (`dispatch`).

use super::call::Call;
use super::output::{CoreOutput, SendRequest};
use super::parts::Parts;
use crate::alert::message::{self, Attempt};
use crate::alert::options::{Language, Messenger};

/// Gives the next part of a message to a robot.
pub(super) fn send(parts: &mut Parts, id: u64, robot: usize, call: &mut Call<'_>) {
    let options = call.options();
    if parts.queue.sending(id).is_none() {
        return;
    }
    let robot = parts.senders.send(robot, call);
    let Some(sending) = parts.queue.hand_over(id, &robot.name) else { return };
    let language =
        options.route(&sending.chat_queue.route).map_or(Language::En, |(route, _)| route.language);
    let part_id = format!("{id:x}-{}", sending.sent);
    let part = &sending.parts[sending.sent];
    let attempt = if sending.again { Attempt::Again } else { Attempt::First };
    let is_program = robot.channel == Messenger::Webhook;
    let request = SendRequest {
        message: id,
        robot: robot.name.clone(),
        channel: robot.channel,
        url: message::url(robot, call.now().unix_ms),
        bearer: if is_program { robot.token.value.clone() } else { String::new() },
        body: message::body(part, robot, language, attempt, &part_id),
        id: part_id,
    };
    parts.queue.keep_message(id, call);
    call.push(CoreOutput::Send(request));
}
