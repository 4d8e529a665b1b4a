//! Commands of the protocol that do not change the session: publishes, and questions about rooms.
//!
//! Deliberately absent: subscriptions (`subscribing`), tokens (`refresh`), and chat's methods
//! (`chat_commands`).

use super::command_out::CommandOut;
use super::open_commands::OpenCommandCount;
use super::peer_permissions::{CommandResult, PeerPermissions};
use super::presence::{history_page, presence};
use super::publishing::{self, PublishArgs};
use super::quota::Quota;
use super::{Context, HookThen, QuotaDecision, chat_commands};
use crate::base::limits::HISTORY_ANSWER_MAX;
use crate::hook::{Hook, HookQuestion};
use crate::room::{HistoryQuery, RoomOp};
use crate::store::ReadOrder;
use crate::wire::chat::{ChatRequest, Method};
use crate::wire::{self, Answer, ErrorCode, HistoryRequest, Position, RawData, Request};

/// The prefix of chat methods.
const CHAT_PREFIX: &str = "chat.";

/// The cost of a command for rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandLoad {
    /// Nothing.
    Free,
    /// A request with a short answer.
    Short,
    /// A request whose answer may be long.
    Long,
}

impl CommandLoad {
    /// The cost of this command.
    pub fn of(request: &Request<'_>) -> CommandLoad {
        match request {
            Request::Subscribe(request) if request.recover => CommandLoad::Long,
            Request::History(_) | Request::Presence { .. } => CommandLoad::Long,
            Request::Rpc { method, .. } if has_long_answer(method) => CommandLoad::Long,
            Request::Ping
            | Request::Pong
            | Request::Connect(_)
            | Request::Unknown
            | Request::Refresh { .. }
            | Request::Unsubscribe { .. } => CommandLoad::Free,
            Request::Subscribe(_)
            | Request::Rpc { .. }
            | Request::Publish { .. }
            | Request::PresenceStats { .. }
            | Request::Send { .. }
            | Request::SubRefresh { .. } => CommandLoad::Short,
        }
    }

    /// Whether a command is refused for now: too many are unanswered, or the quota of long answers
    /// is used up.
    pub fn admission(
        self,
        cx: &Context<'_>,
        request: &Request<'_>,
        open_commands: OpenCommandCount,
        quota: &mut Quota,
    ) -> QuotaDecision {
        match self {
            CommandLoad::Free => QuotaDecision::Served,
            CommandLoad::Short | CommandLoad::Long if open_commands.is_full() => {
                QuotaDecision::Throttled
            }
            CommandLoad::Short => QuotaDecision::Served,
            CommandLoad::Long => match quota.on_long_question(cx.now.tick, cx.options) {
                QuotaDecision::Served => {
                    quota.on_further(cx.now.tick, cx.options, further_questions(request))
                }
                QuotaDecision::Throttled => QuotaDecision::Throttled,
            },
        }
    }
}

/// A chat method, by its whole name.
pub(super) fn chat_method(name: &str) -> Option<Method> {
    Method::named(name.strip_prefix(CHAT_PREFIX)?)
}

/// How many questions a command asks beyond the first, which it was counted as when it came.
fn further_questions(request: &Request<'_>) -> usize {
    let Request::Rpc { method, data } = request else { return 0 };
    let channels = chat_method(method).filter(|method| *method == Method::History);
    match channels.map(|method| method.read(&data.bytes)) {
        Some(Ok(ChatRequest::History { channels, .. })) => channels.len().saturating_sub(1),
        Some(Ok(_) | Err(_)) | None => 0,
    }
}

fn has_long_answer(method: &str) -> bool {
    chat_method(method).is_some_and(Method::has_long_answer)
}

/// A command of a connected peer.
pub(super) fn serve(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    request: &Request<'_>,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    match request {
        Request::Publish { channel, data } => publish(cx, permissions, channel, data, reply),
        Request::Presence { channel } => {
            presence(cx, permissions, channel, RoomOp::Presence, reply)
        }
        Request::PresenceStats { channel } => {
            presence(cx, permissions, channel, RoomOp::PresenceStats, reply)
        }
        Request::History(request) => history(cx, permissions, request, reply),
        Request::Ping => {
            reply.answer(Answer::Ping);
            Ok(())
        }
        Request::Rpc { method, data } => match method.strip_prefix(CHAT_PREFIX) {
            Some(name) => chat_rpc(cx, permissions, name, &data.bytes, reply),
            None => application_rpc(cx, permissions, method, data, reply),
        },
        Request::Send { data } => send(cx, permissions, data, reply),
        Request::Unknown => Err(ErrorCode::MethodNotFound.into()),
        // These change the session, or are served before a command gets here.
        Request::Subscribe(_)
        | Request::Unsubscribe { .. }
        | Request::Refresh { .. }
        | Request::SubRefresh { .. }
        | Request::Connect(_)
        | Request::Pong => Ok(()),
    }
}

fn publish(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    data: &RawData<'_>,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = permissions.target(cx, channel)?;
    if data.bytes.is_empty() {
        return Err(ErrorCode::BadRequest.into());
    }
    publishing::publish(cx, permissions, &target, PublishArgs::plain(data), reply)
}

fn history(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    request: &HistoryRequest<'_>,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let query = HistoryQuery {
        limit: u32::try_from(request.limit).unwrap_or(HISTORY_ANSWER_MAX),
        since: request.since.as_ref().map(|(offset, epoch)| Position::read(*offset, epoch)),
        order: if request.reverse { ReadOrder::NewestFirst } else { ReadOrder::OldestFirst },
    };
    let (room, page) = history_page(cx, permissions, &request.channel, query, reply.user())?;
    reply.send_request(room, RoomOp::History(Box::new(page)));
    Ok(())
}

fn chat_rpc(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    name: &str,
    data: &[u8],
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    match name {
        #[cfg(any(test, feature = "faults"))]
        "panic" => panic!("asked for by a test"),
        name => chat_commands::serve(cx, permissions, name, data, reply),
    }
}

/// A method of the application, which its backend answers.
fn application_rpc(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    method: &str,
    data: &RawData<'_>,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    if !cx.options.hooks.asks(Hook::Rpc) {
        return Err(ErrorCode::NotAvailable.into());
    }
    let question = HookQuestion::Rpc { method: Box::from(method), data: data.to_payload() };
    let then = HookThen::Answer { id: reply.id() };
    reply.ask_backend(permissions.peer(), question, then);
    Ok(())
}

/// A message without an answer: `{"method": …, "data": …}` is served like an rpc of chat, and
/// anything else is dropped.
fn send(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    data: &RawData<'_>,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    match wire::chat::call(&data.bytes) {
        Some((method, data)) => match method.strip_prefix(CHAT_PREFIX) {
            Some(name) => chat_rpc(cx, permissions, name, data, &mut reply.without_answer()),
            None => Err(ErrorCode::NotAvailable.into()),
        },
        None => Ok(()),
    }
}
