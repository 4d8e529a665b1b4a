//! Tries a route out: one message by each of its robots, without the queue.

use std::io;

use super::client::Client;
use super::clock::now;
use super::send::send;
use crate::alert::core::Request;
use crate::alert::core::answer::Answer;
use crate::alert::message::Settings;
use crate::alert::message::{self, Attempt, Draft};
use crate::alert::model::pending::{Line, Pending, Story};
use crate::alert::model::snapshot::Evidence;
use crate::alert::options::Channel;

/// What became of the message of one robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The robot.
    pub robot: String,
    /// The chat that it speaks in.
    pub chat: String,
    /// Whether the message stands there.
    pub is_sent: bool,
    /// What to do when it does not.
    pub words: String,
}

/// Sends a harmless message by every robot of a route, the fallback's included.
/// `Ok(None)` when there is no such route.
pub fn try_route(settings: &Settings, name: &str) -> Result<Option<Vec<Tried>>, String> {
    let options = &settings.options;
    let Some((route, true)) = options.route(name) else { return Ok(None) };
    let client = Client::new(options).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error: io::Error| error.to_string())?;
    let at = now().unix_ms;
    let mut pending = Pending { since_ms: at, ..Pending::default() };
    let alert = message::sample(at);
    let line = Line::new(alert, Story::Firing);
    pending.merge("test".to_owned(), line);
    let evidence = Evidence::new();
    let chats = route.chats.iter().chain(Some(&route.fallback).filter(|chat| !chat.is_empty()));
    let mut tried = Vec::new();
    for chat in chats {
        for robot in options.robots.iter().filter(|robot| robot.chat == *chat) {
            let draft = Draft {
                pending: &pending,
                evidence: &evidence,
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
            let is_program = robot.channel == Channel::Webhook;
            let request = Request {
                message: 0,
                robot: robot.name.clone(),
                channel: robot.channel,
                url: message::url(robot, at),
                bearer: if is_program { robot.token.value.clone() } else { String::new() },
                body: message::body(part, robot, route.language, Attempt::First, "test"),
                id: "test".to_owned(),
            };
            let answer = runtime.block_on(send(&client, &request, options));
            tried.push(Tried {
                robot: robot.name.clone(),
                chat: chat.clone(),
                is_sent: answer == Answer::Delivered,
                words: answer.words(),
            });
        }
    }
    Ok(Some(tried))
}
