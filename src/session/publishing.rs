//! Publishing, by commands of the protocol and by chat methods.
//!
//! Deliberately absent: parsing (`commands`, `chat_commands`), and offsets (`room`).

use std::sync::Arc;

use super::command_out::CommandOut;
use super::hook_replies::refuse;
use super::peer_permissions::{ChannelTarget, CommandResult, PeerPermissions};
use super::tracer::TracedMessage;
use super::{AskedPublish, CommandError, Context, HookThen, namespace_of};
use crate::auth::PermissionSet;
use crate::base::{ClientId, Csprng};
use crate::hook::{Hook, HookQuestion, HookReply, HookResult, PublishTerms};
use crate::metrics::{ChatType, PublishResult};
use crate::room::{ChangeAction, ChangeRequest, IdSource, PublishMode, RoomOp, RoomPublish};
use crate::wire::chat::ChatMessage;
use crate::wire::{ErrorCode, ID_TAG, Payload, RawData, TRACE_TAG};

/// A message to publish.
pub(super) struct PublishArgs<'r> {
    data: &'r RawData<'r>,
    tags: Vec<(Box<str>, Box<str>)>,
    id_source: IdSource,
    /// Outside of conversations, where it is always `PublishMode::Send`.
    mode: PublishMode,
    /// In conversations; 0 for as long as may be.
    ttl_ms: u64,
    /// By the client's clock.
    sent_at_unix_ms: Option<u64>,
    /// The message that is edited.
    edits: Option<u64>,
}

impl<'r> PublishArgs<'r> {
    /// From a publish of the protocol, which has only data.
    pub fn plain(data: &'r RawData<'r>) -> PublishArgs<'r> {
        PublishArgs {
            data,
            tags: Vec::new(),
            id_source: IdSource::Server,
            mode: PublishMode::Publish,
            ttl_ms: 0,
            sent_at_unix_ms: None,
            edits: None,
        }
    }

    /// From a chat method. A message without an id gets one.
    pub fn of_chat(said: &'r ChatMessage<'r>, ttl_ms: u64, ids: &mut Csprng) -> PublishArgs<'r> {
        PublishArgs {
            data: &said.data,
            tags: tags(said, ids),
            id_source: if said.id.is_some() { IdSource::Client } else { IdSource::Server },
            mode: PublishMode::Post,
            ttl_ms,
            sent_at_unix_ms: said.sent_at_ms,
            edits: None,
        }
    }

    /// The same as an edit of the message at this offset.
    pub fn editing(self, offset: u64) -> PublishArgs<'r> {
        PublishArgs { edits: Some(offset), ..self }
    }
}

/// The parts of a message, apart from author and channel.
pub(super) struct PublishParts {
    pub data: Payload,
    pub tags: Vec<(Box<str>, Box<str>)>,
    pub chan_info: Option<Arc<Payload>>,
    pub id_source: IdSource,
    pub mode: PublishMode,
    pub sent_at_unix_ms: Option<u64>,
}

/// Publishes a message, if the peer may.
pub(super) fn publish(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    target: &ChannelTarget<'_, '_>,
    args: PublishArgs<'_>,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    if (target.rules.data_bytes_max as usize) < args.data.bytes.len() {
        return Err(ErrorCode::LimitExceeded.into());
    }
    // A backend is not asked about what a backend says.
    let asks = target.rules.publish_hook
        && cx.options.hooks.asks(Hook::Publish)
        && permissions.is_client();
    let alone = permissions.check(cx, target, target.rules.publish, PermissionSet::PUBLISH);
    if asks {
        permissions.check_granted(cx, target, target.rules.publish)?;
    } else {
        alone?;
    }
    if args.edits.is_some() && !target.rules.keeps_history() {
        return Err(ErrorCode::NotAvailable.into());
    }
    let peer = permissions.peer();
    let user = &*peer.info().user;
    let mode = match target.kind.other_than(user) {
        None => args.mode,
        // It will be pending for its reader, so its namespace must keep a history.
        Some(_) if !target.rules.keeps_history() => {
            return Err(ErrorCode::NotAvailable.into());
        }
        Some(other) => {
            let (from, to) = (permissions.inbox(cx, user), permissions.inbox(cx, other));
            PublishMode::Send { from, to, ttl_ms: args.ttl_ms }
        }
    };
    let parts = PublishParts {
        data: args.data.to_payload(),
        tags: args.tags,
        chan_info: peer.channel(target.room).and_then(|extra| extra.chan_info.clone()),
        id_source: args.id_source,
        mode,
        sent_at_unix_ms: args.sent_at_unix_ms,
    };
    let publish = room_publish(cx, permissions, target, parts);
    let wanted = match args.edits {
        None => RoomOp::Publish(Box::new(publish)),
        Some(offset) => {
            RoomOp::Change(Box::new(ChangeRequest { offset, action: ChangeAction::Edit, publish }))
        }
    };
    if asks {
        let alone = alone.map_err(CommandError::code);
        ask_about_publish(permissions, target, wanted, alone, reply);
    } else {
        reply.send_request(target.room, wanted);
    }
    Ok(())
}

/// Asks the backend about a message. Later commands of its author about the channel wait.
fn ask_about_publish(
    permissions: PeerPermissions<'_>,
    target: &ChannelTarget<'_, '_>,
    mut op: RoomOp,
    otherwise: Result<(), ErrorCode>,
    reply: &mut CommandOut<'_>,
) {
    let Some(publish) = published(&mut op) else { return };
    let (channel, data) = (Box::from(target.channel), publish.data.clone());
    let (id, room, namespace) = (reply.id(), target.room, target.namespace());
    let asked = AskedPublish { id, room, namespace, op, otherwise };
    let question = HookQuestion::Publish { channel, data };
    reply.ask_backend(permissions.peer(), question, HookThen::Publish(Box::new(asked)));
}

/// What a request publishes.
fn published(op: &mut RoomOp) -> Option<&mut RoomPublish> {
    if let RoomOp::Publish(publish) = op {
        Some(publish)
    } else if let RoomOp::Change(change) = op {
        Some(&mut change.publish)
    } else {
        None
    }
}

/// The backend has said whether a message is published, and what, or has not.
pub(super) fn on_publish_reply(
    cx: &Context<'_>,
    asked: AskedPublish,
    hook_reply: HookReply,
    reply: &mut CommandOut<'_>,
) {
    let AskedPublish { id, room, namespace, mut op, otherwise } = asked;
    let rules = &cx.rooms.namespaces[usize::from(namespace)];
    let is_lenient = cx.options.hooks.lenient.contains(Hook::Publish) && otherwise.is_ok();
    let terms = if let HookReply::Result(HookResult::Publish(terms)) = hook_reply {
        terms
    } else if hook_reply.is_missing() && is_lenient {
        PublishTerms::default()
    } else {
        reply.outcome().count_unpublished(rules.chat_type(), result_of(&hook_reply));
        return refuse(id, hook_reply, reply.outcome());
    };
    let Some(publish) = published(&mut op) else { return };
    let is_too_long = |data: &Payload| (rules.data_bytes_max as usize) < data.bytes.len();
    let refusal = if terms.data.as_ref().is_some_and(is_too_long) {
        Some(ErrorCode::LimitExceeded)
    } else if terms.skips_history && rules.keeps_history() {
        // It would be kept.
        Some(ErrorCode::NotAvailable)
    } else {
        None
    };
    if let Some(code) = refusal {
        reply.outcome().count_unpublished(rules.chat_type(), unpublished(code));
        return reply.refuse(code);
    }
    if let Some(data) = terms.data {
        publish.data = data;
    }
    publish.tags.retain(|(name, _)| terms.tags.iter().all(|(said, _)| said != name));
    publish.tags.extend(terms.tags);
    reply.send_request(room, op);
}

/// What a publish counts as that the backend does not let pass.
fn result_of(reply: &HookReply) -> PublishResult {
    match reply {
        HookReply::Error(_) | HookReply::Disconnect(_) => PublishResult::Denied,
        HookReply::Busy => PublishResult::Limited,
        HookReply::Failed | HookReply::Result(_) => PublishResult::Failed,
    }
}

/// A message of a peer, before it has an offset; its trace begins here.
#[inline]
pub(super) fn room_publish(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    target: &ChannelTarget<'_, '_>,
    parts: PublishParts,
) -> RoomPublish {
    let PublishParts { data, tags, chan_info, id_source, mode, sent_at_unix_ms } = parts;
    // The clocks that are known are those of connections.
    let sent_at_unix_ms = sent_at_unix_ms.filter(|_| permissions.is_client());
    let (chat_type, agent) = (target.rules.chat_type(), permissions.agent());
    let traced = TracedMessage { tags: &tags, sent_at_unix_ms, chat_type, agent };
    let (trace, timing) = cx.tracer.begin(cx.now, &mut cx.random.ids, cx.conn, &traced);
    let channel_key = permissions.channel_key_if_needed(target);
    let info = Some(Arc::clone(permissions.peer().info()));
    RoomPublish { channel_key, data, info, chan_info, tags, id_source, mode, trace, timing }
}

/// The tags of a message, in this order. Each message has an id: that of the client, or one that is
/// made here, which is the id of its trace, too, if it came without one.
fn tags(said: &ChatMessage<'_>, ids: &mut Csprng) -> Vec<(Box<str>, Box<str>)> {
    let id = said.id.as_deref().map_or_else(|| made_id(ids), Box::from);
    let mut tags: Vec<(Box<str>, Box<str>)> = vec![(ID_TAG.into(), id)];
    if let Some(traceparent) = &said.traceparent {
        tags.push((TRACE_TAG.into(), Box::from(&**traceparent)));
    }
    if let Some(sent_at_ms) = said.sent_at_ms {
        tags.push(("sent_at_ms".into(), sent_at_ms.to_string().into_boxed_str()));
    }
    tags
}

/// A version 4 UUID, as a client's identity is one.
pub(super) fn made_id(ids: &mut Csprng) -> Box<str> {
    ClientId::from_random(ids.draw_u128()).to_string().into()
}

/// The chat type of a message in a channel.
pub(super) fn chat_type(cx: &Context<'_>, channel: &str) -> ChatType {
    cx.rooms.chat_type(namespace_of(&cx.rooms.namespaces, channel))
}

/// The result of a publish that was refused with this code.
pub(super) fn unpublished(code: ErrorCode) -> PublishResult {
    match code {
        ErrorCode::PermissionDenied | ErrorCode::Unauthorized => PublishResult::Denied,
        ErrorCode::TooManyRequests => PublishResult::Limited,
        ErrorCode::BadRequest | ErrorCode::LimitExceeded | ErrorCode::UnknownChannel => {
            PublishResult::Invalid
        }
        ErrorCode::Internal
        | ErrorCode::MethodNotFound
        | ErrorCode::AlreadySubscribed
        | ErrorCode::NotAvailable
        | ErrorCode::TokenExpired
        | ErrorCode::Expired
        | ErrorCode::UnrecoverablePosition => PublishResult::Failed,
    }
}
