//! Tests a route: sends one message by each of its robots, without the queue.

use std::io;

use super::client::Client;
use super::clock::now;
use super::send::send;
use crate::alert::core::SendRequest;
use crate::alert::core::answer::SendOutcome;
use crate::alert::message::BridgeSettings;
use crate::alert::message::{self, Attempt, MessageInput};
use crate::alert::model::pending::{AlertLine, QueuedAlerts, Transition};
use crate::alert::model::snapshot::Snapshots;
use crate::alert::options::Messenger;

/// The result of one robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialResult {
    /// The robot.
    pub robot: String,
    /// Its chat.
    pub chat: String,
    /// Whether the message was delivered.
    pub is_sent: bool,
    /// What to do when it was not.
    pub words: String,
}

/// Sends a harmless message by every robot of a route, the fallback's included.
/// `Ok(None)` when there is no such route.
pub fn try_route(
    settings: &BridgeSettings,
    name: &str,
) -> Result<Option<Vec<TrialResult>>, String> {
    let options = &settings.options;
    let Some((route, true)) = options.route(name) else { return Ok(None) };
    let client = Client::new(options).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error: io::Error| error.to_string())?;
    let at = now().unix_ms;
    let mut pending = QueuedAlerts { since_ms: at, ..QueuedAlerts::default() };
    let alert = message::sample(at);
    let line = AlertLine::new(alert, Transition::Firing);
    pending.lines.insert("test".to_owned(), line);
    let snapshots = Snapshots::new();
    let chats = route.chats.iter().chain(Some(&route.fallback).filter(|chat| !chat.is_empty()));
    let mut tried = Vec::new();
    for chat in chats {
        for robot in options.robots.iter().filter(|robot| robot.chat == *chat) {
            let draft = MessageInput {
                pending: &pending,
                snapshots: &snapshots,
                route,
                channel: robot.channel,
                instead_of: "",
                dropped: 0,
                outliving: &[],
                group_key: "test",
                now_ms: at,
            };
            let rendered = message::render(&draft, options, &settings.templates);
            let part = &rendered.parts[0];
            let is_program = robot.channel == Messenger::Webhook;
            let request = SendRequest {
                message: 0,
                robot: robot.name.clone(),
                channel: robot.channel,
                url: message::url(robot, at),
                bearer: if is_program { robot.token.value.clone() } else { String::new() },
                body: message::body(part, robot, route.language, Attempt::First, "test"),
                id: "test".to_owned(),
            };
            let answer = runtime.block_on(send(&client, &request, options));
            tried.push(TrialResult {
                robot: robot.name.clone(),
                chat: chat.clone(),
                is_sent: answer == SendOutcome::Delivered,
                words: answer.words(),
            });
        }
    }
    Ok(Some(tried))
}
