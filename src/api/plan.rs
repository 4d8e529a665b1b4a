//! From a call to questions.
//!
//! Invariants: a question's index in the list is where its answer stands in the list of
//! answers; a request leads to a bounded number of questions, and what it publishes is copied
//! once, for however many channels.
//!
//! Deliberately absent: how questions travel, and what the call is answered (`answers`).

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use super::block_change::{block_change, block_page};
use super::control_calls::ask_control;
use super::dead_letters::{self, ConversationOfLetters, DeadLettersChangeCall, DeadLettersView};
use super::operator_calls;
use super::questions::Questions;
use crate::auth::{ApiKey, ApiScope};
use crate::base::limits::{
    API_QUESTION_BYTES, API_READ_QUESTIONS, API_REQUEST_QUESTIONS_MAX, API_SHARED_READ_QUESTIONS,
    HISTORY_ANSWER_MAX,
};
use crate::base::{ClientId, RoomId, UserHash};
use crate::room::{
    ChannelKey, HistoryPage, HistoryQuery, HistoryRemoval, Namespace, RetractRight, RoomOp,
};
use crate::session::{
    CONVERSATION_NAMESPACE, ChannelKind, INBOX_NAMESPACE, NameKey, ServerChat, ServerHistory,
    ServerPublish, conversation, resolve,
};
use crate::shard::{ChannelsWanted, ServerAsk, ServerOp, UserOp, UserQuestion};
use crate::store::ReadOrder;
use crate::wire::api::{
    ApiCall, ApiChatCall, ApiClose, ApiField, ApiMessage, ApiMethod, ApiOperatorCall,
    ApiOperatorMethod, ApiRequestError, ApiUserCall, ApiUserOp,
};
use crate::wire::chat::{ChannelSince, ChatPlace, ChatRequest};
use crate::wire::{ErrorCode, Payload, Position};

/// How a backend closes connections unless it says otherwise: clients do not come back by
/// themselves.
pub const FORCED_CLOSE: (u16, &str) = (3503, "force disconnect");

/// Who calls, and what its names mean.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'c> {
    /// The key that it has shown.
    pub key: &'c ApiKey,
    /// The key for names.
    pub names: NameKey,
    /// The rules of channels.
    pub namespaces: &'c [Namespace],
    /// When it calls, Unix seconds.
    pub now_unix_s: u64,
}

/// A channel that a call names.
struct Target<'c, 'n> {
    room: RoomId,
    channel_key: ChannelKey,
    kind: ChannelKind<'n>,
    rules: &'c Namespace,
}

/// A channel whose history is asked for, and its question, or why it is not asked.
pub type AskedHistory = (Box<str>, Result<usize, ErrorCode>);

/// What a call comes to. Numbers are indexes of questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiPlan {
    /// It is refused.
    Error(ApiRequestError),
    /// To publish.
    Publish(usize),
    /// The same for each channel of a broadcast.
    Broadcast(Vec<Result<usize, ErrorCode>>),
    /// To presence.
    Presence(usize),
    /// To presence_stats.
    PresenceStats(usize),
    /// To history.
    History(usize),
    /// To history_remove.
    HistoryRemove(usize),
    /// To info.
    Info,
    /// To channels.
    Channels(usize),
    /// To a call about the connections of a user.
    User(ApiMethod, Box<str>, usize),
    /// To a call about who is kept out, by index of the change.
    Block(ApiMethod, usize),
    /// To a chat method.
    Chat(ApiMethod, usize),
    /// To chat.history: channels, each with its question, or why it is not asked.
    Histories(Vec<AskedHistory>),
    /// To a method of operators' programs that cores answer.
    Operator(ApiOperatorMethod, usize),
    /// To a method about the server itself, by index of what is asked of the control thread.
    Control(ApiOperatorMethod, usize),
    /// To dead_letters.list.
    DeadLetters(usize, Box<DeadLettersView>),
    /// To a method that changes dead letters.
    ChangeDeadLetters(usize, DeadLettersChangeCall),
    /// To blocks.
    Blocks {
        /// The page's index.
        index: usize,
        /// How many it has at most.
        limit: usize,
    },
    /// To batch.
    Batch(Vec<ApiPlan>),
}

/// What is published: copied from the body once.
struct SharedMessage {
    data: Payload,
    tags: Vec<(Box<str>, Box<str>)>,
    idempotency_key: Option<Box<str>>,
    /// What its data counts for, until its first channel has paid.
    data_cost: Cell<usize>,
}

impl From<ApiMessage<'_>> for SharedMessage {
    fn from(message: ApiMessage<'_>) -> SharedMessage {
        let ApiMessage { data, tags, idempotency_key } = message;
        let data_cost =
            Cell::new((data.bytes.len() / API_QUESTION_BYTES).min(API_REQUEST_QUESTIONS_MAX - 1));
        SharedMessage { data: data.to_payload(), tags, idempotency_key, data_cost }
    }
}

impl<'c> Caller<'c> {
    /// The channel of a call: one that the key covers, in a namespace that exists.
    fn target<'n>(&self, channel: &'n str, scope: ApiScope) -> Result<Target<'c, 'n>, ErrorCode> {
        // First: who may not ask learns nothing of what exists.
        if !self.key.scopes.contains(scope) || !self.key.covers(channel) {
            return Err(ErrorCode::PermissionDenied);
        }
        let resolved = resolve(self.namespaces, channel);
        let (namespace, kind) = resolved.ok_or(ErrorCode::UnknownChannel)?;
        let rules = &self.namespaces[usize::from(namespace)];
        let (tenant, channel) = (Arc::from(&*self.key.tenant), Arc::from(channel));
        Ok(Target {
            room: self.names.room(&tenant, &channel),
            channel_key: ChannelKey { tenant, channel, namespace },
            kind,
            rules,
        })
    }

    /// A channel in which a user may be.
    fn users_target<'n>(&self, channel: &'n str, user: &str) -> Result<Target<'c, 'n>, ErrorCode> {
        let target = self.target(channel, ApiScope::Connections)?;
        if target.kind.admits(user) { Ok(target) } else { Err(ErrorCode::PermissionDenied) }
    }

    /// Publishes a message in a channel.
    fn publish(
        &self,
        channel: &str,
        message: &SharedMessage,
        questions: &mut Questions,
    ) -> Result<usize, ErrorCode> {
        let Target { room, channel_key, rules, .. } = self.target(channel, ApiScope::Publish)?;
        // What stands in a conversation is said by one of the two.
        if rules.name == CONVERSATION_NAMESPACE {
            return Err(ErrorCode::NotAvailable);
        }
        if (rules.data_bytes_max as usize) < message.data.bytes.len() {
            return Err(ErrorCode::LimitExceeded);
        }
        let publish = ServerPublish {
            channel_key,
            data: message.data.clone(),
            tags: message.tags.clone(),
            id: message.idempotency_key.clone(),
        };
        let op = ServerOp::Publish(Box::new(publish));
        let ask = ServerAsk::Room(room, op);
        let index = questions.ask_for(ask, 1 + message.data_cost.get())?;
        message.data_cost.set(0);
        Ok(index)
    }

    /// Asks who is in a channel.
    fn presence(
        &self,
        channel: &str,
        op: RoomOp,
        questions: &mut Questions,
    ) -> Result<usize, ErrorCode> {
        let target = self.target(channel, ApiScope::Presence)?;
        if !target.rules.presence {
            return Err(ErrorCode::NotAvailable);
        }
        questions.ask(target.room, ServerOp::Room(op))
    }

    /// Asks what was said in a channel.
    fn history(
        &self,
        channel: &str,
        query: HistoryQuery,
        questions: &mut Questions,
    ) -> Result<usize, ErrorCode> {
        let Target { room, channel_key, rules, .. } = self.target(channel, ApiScope::History)?;
        if !rules.keeps_history() {
            return Err(ErrorCode::NotAvailable);
        }
        // A key reacts to nothing.
        let reader = UserHash::NOBODY;
        let page = HistoryPage { channel_key: Some(channel_key), query, reader };
        questions.ask(room, ServerOp::Room(RoomOp::History(Box::new(page))))
    }

    /// Removes what was said in a channel.
    fn remove_history(&self, channel: &str, questions: &mut Questions) -> Result<usize, ErrorCode> {
        let target = self.target(channel, ApiScope::HistoryRemove)?;
        let Target { room, channel_key, kind, rules } = target;
        if !rules.keeps_history() {
            return Err(ErrorCode::NotAvailable);
        }
        let parties = match kind {
            ChannelKind::Conversation(users) => {
                Some(users.map(|user| self.names.inbox(&channel_key.tenant, user)))
            }
            ChannelKind::Open | ChannelKind::Inbox(_) | ChannelKind::Listed(_) => None,
        };
        let removal = HistoryRemoval { channel_key, parties };
        questions.ask(room, ServerOp::Room(RoomOp::RemoveHistory(Box::new(removal))))
    }

    /// Does or reads something as a user. Whether that user may is for the session to say.
    fn chat(
        &self,
        call: ApiChatCall<'_>,
        questions: &mut Questions,
    ) -> Result<ApiPlan, ApiRequestError> {
        if !self.key.scopes.contains(ApiScope::Chat) {
            return Err(ApiRequestError::Code(ErrorCode::PermissionDenied));
        }
        let user = &*call.user;
        if let ChatRequest::History { channels, limit, reverse } = call.request {
            let order = if reverse { ReadOrder::NewestFirst } else { ReadOrder::OldestFirst };
            let of_all = HistoryQuery { limit, since: None, order };
            let asked = self.histories(user, &channels, of_all, questions);
            return asked.map(ApiPlan::Histories).map_err(ApiRequestError::Code);
        }
        let channel = match call.request.into_place() {
            ChatPlace::Channel(channel) => channel,
            ChatPlace::Inbox => Cow::Owned(format!("{INBOX_NAMESPACE}{user}")),
            ChatPlace::Conversation(to) => {
                Cow::Owned(conversation(user, &to).ok_or(ApiRequestError::Unfit(ApiField::To))?)
            }
            ChatPlace::Several => unreachable!("it is a question for each channel"),
        };
        let target = self.target(&channel, ApiScope::Chat).map_err(ApiRequestError::Code)?;
        let (method, data) = (call.method.method(), call.data.0);
        let alone = if method.has_long_answer() { API_READ_QUESTIONS } else { 1 };
        let cost = (alone + data.len() / API_QUESTION_BYTES).min(API_REQUEST_QUESTIONS_MAX);
        let right = if call.as_moderator { RetractRight::Moderator } else { RetractRight::Author };
        let chat = ServerChat {
            tenant: self.key.tenant.clone(),
            user: user.into(),
            method,
            data: data.into(),
            right,
        };
        let ask = ServerAsk::Room(target.room, ServerOp::Chat(Box::new(chat)));
        let index = questions.ask_for(ask, cost).map_err(ApiRequestError::Code)?;
        Ok(ApiPlan::Chat(ApiMethod::Chat(call.method), index))
    }

    /// Asks what was said in several channels, as a user. Each answers for itself.
    fn histories(
        &self,
        user: &str,
        channels: &[ChannelSince<'_>],
        of_all: HistoryQuery,
        questions: &mut Questions,
    ) -> Result<Vec<AskedHistory>, ErrorCode> {
        let cost = if channels.len() == 1 { API_READ_QUESTIONS } else { API_SHARED_READ_QUESTIONS };
        if API_REQUEST_QUESTIONS_MAX < questions.cost() + channels.len() * cost {
            return Err(ErrorCode::LimitExceeded);
        }
        let share = HISTORY_ANSWER_MAX / (channels.len() as u32).max(1);
        let mut ask = |one: &ChannelSince<'_>| {
            let target = self.target(&one.channel, ApiScope::Chat)?;
            let since = one.since.as_ref().map(|(offset, epoch)| Position::read(*offset, epoch));
            let history = ServerHistory {
                tenant: self.key.tenant.clone(),
                user: user.into(),
                channel: (&*one.channel).into(),
                query: HistoryQuery { since, limit: of_all.limit.min(share), ..of_all },
            };
            let ask = ServerAsk::Room(target.room, ServerOp::History(Box::new(history)));
            questions.ask_for(ask, cost)
        };
        let asked = channels.iter().map(|one| ((&*one.channel).into(), ask(one)));
        Ok(asked.collect())
    }

    /// Asks the connections of a user.
    fn user(&self, call: ApiUserCall<'_>, questions: &mut Questions) -> Result<ApiPlan, ErrorCode> {
        if !self.key.scopes.contains(ApiScope::Connections) {
            return Err(ErrorCode::PermissionDenied);
        }
        let ApiUserCall { user, client, op } = call;
        let method = op.method();
        let op = match op {
            ApiUserOp::Connections => UserOp::List,
            ApiUserOp::Disconnect { kept, close } => closing(kept, close),
            ApiUserOp::Subscribe { channel, info } => {
                let Target { room, channel_key, .. } = self.users_target(&channel, &user)?;
                let chan_info = info.map(|info| Arc::new(info.to_payload()));
                UserOp::Subscribe { room, channel_key, chan_info }
            }
            ApiUserOp::Unsubscribe { channel } => {
                let Target { room, kind, .. } = self.users_target(&channel, &user)?;
                // Each connection is in its user's personal channel, and hears of direct
                // messages there.
                if matches!(kind, ChannelKind::Inbox(_)) {
                    return Err(ErrorCode::NotAvailable);
                }
                UserOp::Unsubscribe { room, channel: channel.into() }
            }
            ApiUserOp::Refresh { expire_at_unix_s } => UserOp::ExpireAt(expire_at_unix_s),
        };
        let user: Box<str> = user.into();
        let tenant = self.key.tenant.clone();
        let index = questions.ask_user(UserQuestion { tenant, user: user.clone(), client, op })?;
        Ok(ApiPlan::User(method, user, index))
    }
}

fn closing(kept: Vec<ClientId>, close: ApiClose<'_>) -> UserOp {
    let ApiClose { code, reason } = close;
    let is_usual = code.is_none() && reason.is_empty();
    let reason = if is_usual { FORCED_CLOSE.1.into() } else { reason.into() };
    UserOp::Close { code: code.unwrap_or(FORCED_CLOSE.0), reason, kept: kept.into() }
}

/// Which questions a call leads to; they are added to the list.
pub fn plan(
    caller: &Caller<'_>,
    call: Result<ApiCall<'_>, ApiRequestError>,
    questions: &mut Questions,
) -> ApiPlan {
    let planned = match call {
        Err(error) => return ApiPlan::Error(error),
        Ok(ApiCall::Publish { channel, message }) => {
            caller.publish(&channel, &message.into(), questions).map(ApiPlan::Publish)
        }
        Ok(ApiCall::Broadcast { channels, message }) => {
            let message = message.into();
            let mut publish = |channel: &Cow<'_, str>| caller.publish(channel, &message, questions);
            Ok(ApiPlan::Broadcast(channels.iter().map(&mut publish).collect()))
        }
        Ok(ApiCall::Presence { channel }) => {
            caller.presence(&channel, RoomOp::Presence, questions).map(ApiPlan::Presence)
        }
        Ok(ApiCall::PresenceStats { channel }) => {
            caller.presence(&channel, RoomOp::PresenceStats, questions).map(ApiPlan::PresenceStats)
        }
        Ok(ApiCall::History { channel, limit, since, reverse }) => {
            let order = if reverse { ReadOrder::NewestFirst } else { ReadOrder::OldestFirst };
            let query = HistoryQuery { limit, since, order };
            caller.history(&channel, query, questions).map(ApiPlan::History)
        }
        Ok(ApiCall::HistoryRemove { channel }) => {
            caller.remove_history(&channel, questions).map(ApiPlan::HistoryRemove)
        }
        Ok(ApiCall::Info) => match caller.key.scopes.contains(ApiScope::Info) {
            true => Ok(ApiPlan::Info),
            false => Err(ErrorCode::PermissionDenied),
        },
        Ok(ApiCall::Channels { pattern }) => {
            let asked =
                operator_calls::channels(caller.key, &pattern, ChannelsWanted::All, questions);
            asked.map(ApiPlan::Channels)
        }
        Ok(ApiCall::User(call)) => caller.user(call, questions),
        Ok(ApiCall::Block(call)) => {
            let method = call.method;
            match block_change(caller.key, caller.now_unix_s, call) {
                Ok(change) => Ok(ApiPlan::Block(method, questions.change_blocks(change))),
                Err(error) => return ApiPlan::Error(error),
            }
        }
        Ok(ApiCall::Blocks(call)) => match block_page(caller.key, &call) {
            Ok(page) => {
                let limit = page.limit;
                questions.ask_page(page).map(|index| ApiPlan::Blocks { index, limit })
            }
            Err(error) => return ApiPlan::Error(error),
        },
        Ok(ApiCall::Chat(call)) => {
            return caller.chat(call, questions).unwrap_or_else(ApiPlan::Error);
        }
        Ok(ApiCall::Operator(call)) => operator(caller, call, questions),
        Ok(ApiCall::Batch(calls)) => Ok(ApiPlan::Batch(
            calls.into_iter().map(|call| plan(caller, call, questions)).collect(),
        )),
    };
    planned.unwrap_or_else(|code| ApiPlan::Error(ApiRequestError::Code(code)))
}

/// A call of an operator's program.
fn operator(
    caller: &Caller<'_>,
    call: ApiOperatorCall<'_>,
    questions: &mut Questions,
) -> Result<ApiPlan, ErrorCode> {
    let &Caller { key, names, now_unix_s, .. } = caller;
    match call {
        ApiOperatorCall::Connections(page) => {
            let index = operator_calls::connections(key, page, questions)?;
            Ok(ApiPlan::Operator(ApiOperatorMethod::ConnectionsList, index))
        }
        ApiOperatorCall::Rooms(page) => {
            let index = operator_calls::rooms(key, page, questions)?;
            Ok(ApiPlan::Operator(ApiOperatorMethod::RoomsTop, index))
        }
        ApiOperatorCall::DeadLetters(page) => {
            let (index, view) = dead_letters::list(key, names, page, questions)?;
            Ok(ApiPlan::DeadLetters(index, Box::new(view)))
        }
        ApiOperatorCall::ChangeDeadLetters(change) => {
            caller.target(&change.channel, ApiScope::DeadLetters)?;
            let place = (&*key.tenant, &*change.channel);
            let of = ConversationOfLetters::of((names, caller.namespaces), place, now_unix_s)?;
            let (index, call) = dead_letters::change(of, now_unix_s, &change, questions)?;
            Ok(ApiPlan::ChangeDeadLetters(index, call))
        }
        ApiOperatorCall::Control(call) => {
            let (method, index) = ask_control(key, call, questions)?;
            Ok(ApiPlan::Control(method, index))
        }
    }
}
