//! What a call is answered, from what its questions led to.
//!
//! Deliberately absent: which questions these are (`plan`), and how an answer is written
//! (`wire::api`).

use super::control_calls::told_control;
use super::dead_letters::{told_change, told_page};
use super::operator_calls::{protocol_of, told_connections, told_rooms};
use super::plan::{ApiPlan, AskedHistory};
use super::questions::{BlockReplies, ControlOutcome};
use crate::blocks::{BlockStorage, BlockTarget, BlockTerms};
use crate::room::RoomReply;
use crate::session::{chat_data, histories_data};
use crate::shard::{CoresReply, ServerReply, UserConnection};
use crate::wire::ErrorCode;
use crate::wire::api::{
    ApiAnswer, ApiBlock, ApiChannelAnswer, ApiChatMethod, ApiConnection, ApiMethod, ApiNode,
    ApiRequestError,
};

/// What a request led to.
#[derive(Clone, Debug, Default)]
pub struct ApiReplies {
    /// The answers to its questions, in their order.
    pub questions: Vec<ServerReply>,
    /// What became of what it asks of the list of who is kept out.
    pub blocks: BlockReplies,
    /// What the control thread says.
    pub control: Vec<ControlOutcome>,
}

/// What a call is answered, from what it led to; `node` is asked where a call is about the
/// server.
pub fn answer<'a>(
    plan: &'a ApiPlan,
    all_replies: &'a ApiReplies,
    node: &dyn Fn() -> ApiNode,
) -> ApiAnswer<'a> {
    let replies = &all_replies.questions;
    let failed = |reply: &RoomReply| ApiAnswer::Error(ApiRequestError::Code(code_of(reply)));
    match plan {
        ApiPlan::Error(error) => ApiAnswer::Error(*error),
        ApiPlan::Publish(index) => match published(of_room(&replies[*index])) {
            Ok(position) => ApiAnswer::Published(position),
            Err(code) => ApiAnswer::Error(ApiRequestError::Code(code)),
        },
        ApiPlan::Broadcast(channels) => {
            let outcome = |channel: &Result<usize, ErrorCode>| {
                channel.and_then(|index| published(of_room(&replies[index])))
            };
            ApiAnswer::Broadcast(channels.iter().map(outcome).collect())
        }
        ApiPlan::Presence(index) => {
            let reply = of_room(&replies[*index]);
            let RoomReply::Presence(clients) = reply else { return failed(reply) };
            ApiAnswer::Presence(clients)
        }
        ApiPlan::PresenceStats(index) => {
            let reply = of_room(&replies[*index]);
            let RoomReply::PresenceStats { clients, users } = reply else { return failed(reply) };
            ApiAnswer::PresenceStats { clients_count: *clients, users_count: *users }
        }
        ApiPlan::History(index) => {
            let reply = of_room(&replies[*index]);
            let RoomReply::History(publications, position) = reply else { return failed(reply) };
            ApiAnswer::History(publications, *position)
        }
        ApiPlan::HistoryRemove(index) => {
            let reply = of_room(&replies[*index]);
            let RoomReply::Done = reply else { return failed(reply) };
            ApiAnswer::Done(ApiMethod::HistoryRemove)
        }
        ApiPlan::Info => ApiAnswer::Info(node()),
        ApiPlan::Channels(index) => by_cores(ApiMethod::Channels, "", &replies[*index]),
        ApiPlan::Operator(method, index) => {
            by_cores(ApiMethod::Operator(*method), "", &replies[*index])
        }
        ApiPlan::Control(method, index) => told_control(*method, &all_replies.control[*index]),
        ApiPlan::DeadLetters(index, view) => {
            told_or_failed(&replies[*index], |reply| told_page(view, reply))
        }
        ApiPlan::ChangeDeadLetters(index, call) => {
            told_or_failed(&replies[*index], |reply| told_change(*call, reply))
        }
        ApiPlan::User(method, user, index) => by_cores(*method, user, &replies[*index]),
        ApiPlan::Block(method, index) => match all_replies.blocks.changes[*index] {
            Ok(storage) => {
                let is_durable = storage == BlockStorage::Disk;
                ApiAnswer::Blocked { method: *method, is_durable }
            }
            Err(code) => ApiAnswer::Error(ApiRequestError::Code(code)),
        },
        ApiPlan::Histories(channels) => histories(channels, replies),
        ApiPlan::Chat(method, index) => as_user(*method, of_room(&replies[*index])),
        ApiPlan::Blocks { index, limit } => blocks(&all_replies.blocks.pages[*index], *limit),
        ApiPlan::Batch(plans) => {
            ApiAnswer::Batch(plans.iter().map(|plan| answer(plan, all_replies, node)).collect())
        }
    }
}

/// A page of blocks, which has so many at most.
fn blocks(page: &[(BlockTarget, BlockTerms)], limit: usize) -> ApiAnswer<'_> {
    let blocks = page.iter().map(|(target, terms)| ApiBlock {
        name: target.name(),
        until_unix_s: terms.until_unix_s,
        issued_before_unix_s: terms.issued_before_unix_s,
    });
    ApiAnswer::Blocks { blocks: blocks.collect(), is_full: page.len() == limit }
}

/// What was said in several channels.
fn histories<'a>(channels: &[AskedHistory], replies: &[ServerReply]) -> ApiAnswer<'a> {
    let told = channels
        .iter()
        .map(|(channel, asked)| (&**channel, asked.map(|index| of_room(&replies[index]))));
    ApiAnswer::Chat(ApiMethod::Chat(ApiChatMethod::History), histories_data(told))
}

/// What a room says.
fn of_room(reply: &ServerReply) -> &RoomReply {
    match reply {
        ServerReply::Room(reply) => reply,
        ServerReply::Cores(_) => unreachable!("it is a room that was asked"),
    }
}

/// What shards say of what they have.
fn by_cores<'a>(method: ApiMethod, user: &'a str, reply: &'a ServerReply) -> ApiAnswer<'a> {
    match reply {
        ServerReply::Room(reply) => ApiAnswer::Error(ApiRequestError::Code(code_of(reply))),
        ServerReply::Cores(CoresReply::Done) => ApiAnswer::Done(method),
        ServerReply::Cores(CoresReply::LimitExceeded) => {
            ApiAnswer::Error(ApiRequestError::Code(ErrorCode::LimitExceeded))
        }
        ServerReply::Cores(CoresReply::Channels(channels)) => ApiAnswer::Channels(channels),
        ServerReply::Cores(CoresReply::Connections(connections)) => {
            ApiAnswer::Connections(user, connections.iter().map(told).collect())
        }
        ServerReply::Cores(CoresReply::ConnectionPage(page)) => {
            ApiAnswer::Operator(method, told_connections(page))
        }
        ServerReply::Cores(CoresReply::TopRooms(top)) => {
            ApiAnswer::Operator(method, told_rooms(top))
        }
    }
}

fn told(connection: &UserConnection) -> ApiConnection {
    let protocol = protocol_of(connection.encoding);
    ApiConnection { client: connection.client, app_name: connection.agent.word(), protocol }
}

/// Where a message stands that was published; nowhere in a channel that keeps none.
fn published(reply: &RoomReply) -> ApiChannelAnswer {
    let RoomReply::Posted(ack) = reply else { return Err(code_of(reply)) };
    Ok(Some(ack.position).filter(|position| position.offset != 0))
}

/// What a room says to a user for whom a backend asks.
fn as_user<'a>(method: ApiMethod, reply: &RoomReply) -> ApiAnswer<'a> {
    if let RoomReply::InvalidField(field) = reply {
        return ApiAnswer::Error(ApiRequestError::Unfit((*field).into()));
    }
    match chat_data(reply) {
        Some(data) => ApiAnswer::Chat(method, data),
        None => ApiAnswer::Error(ApiRequestError::Code(code_of(reply))),
    }
}

/// Why a room refused.
fn code_of(reply: &RoomReply) -> ErrorCode {
    match reply {
        RoomReply::Rejected(code) | RoomReply::SubscribeRejected(code) => *code,
        RoomReply::InvalidField(_) => ErrorCode::BadRequest,
        RoomReply::Subscribed(_)
        | RoomReply::Unsubscribed
        | RoomReply::Published(_)
        | RoomReply::Presence(_)
        | RoomReply::PresenceStats { .. }
        | RoomReply::History(..)
        | RoomReply::Posted(_)
        | RoomReply::Members(..)
        | RoomReply::Receipts(..)
        | RoomReply::Conversations(..)
        | RoomReply::Reactions(_)
        | RoomReply::Roster(..)
        | RoomReply::DeadLetters(_)
        | RoomReply::Done => ErrorCode::Internal,
    }
}

/// What a room's answer means, or that it is none.
fn told_or_failed<'a>(
    reply: &'a ServerReply,
    told: impl FnOnce(&'a RoomReply) -> Option<ApiAnswer<'a>>,
) -> ApiAnswer<'a> {
    let reply = of_room(reply);
    told(reply).unwrap_or_else(|| ApiAnswer::Error(ApiRequestError::Code(code_of(reply))))
}
