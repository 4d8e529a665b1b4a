//! The bodies of calls as schemas: what the readers beside this file take, and nothing else.
//! The tests hold both against each other, at each bound and one beyond it.
//!
//! What a schema cannot say stands in its description: how deep data may be, when a time is over,
//! what an address is, and that a call of a batch has one method.
//!
//! Deliberately absent: which names and places exist.

use serde_json::json;
use utoipa::openapi::schema::{
    AllOfBuilder, ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};

use super::block_requests::ApiBlockKind;
use super::fields::ApiField;
use super::method::{ApiChatMethod, ApiMethod};
use super::operator_schemas::operator_request;
use super::schema_parts::{
    CallFields, any_of, any_text, anything, base64, client, flag, line, list, map, name, nothing,
    number, pattern, short_base64, text, time, user, word,
};
use crate::base::limits::{
    API_BLOCKS_LISTED_DEFAULT, API_BLOCKS_LISTED_MAX, API_CALLS_MAX, API_CHANNELS_MAX,
    API_TAGS_MAX, API_WHITELIST_MAX, BLOCK_NAME_BYTES_MAX, CLOSE_CODES_OF_OTHERS,
    CLOSE_REASON_BYTES_MAX, DATA_LEVELS_MAX, HISTORY_ANSWER_MAX, HISTORY_CHANNELS_MAX,
    INFO_BYTES_MAX, MESSAGE_ID_BYTES_MAX, MUTE_S_MAX, NAME_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX,
    REACTION_BYTES_MAX, REACTION_OFFSETS_MAX,
};
use crate::wire::chat::{GroupRole, OWN_TAGS};

/// The body of a call.
pub fn request_schema(method: ApiMethod) -> Schema {
    let fields = CallFields::default();
    match method {
        ApiMethod::Publish => message(fields.needed(ApiField::Channel, channel())),
        ApiMethod::Broadcast => {
            message(fields.needed(ApiField::Channels, list(1..=API_CHANNELS_MAX, channel())))
        }
        ApiMethod::Presence | ApiMethod::PresenceStats | ApiMethod::HistoryRemove => {
            fields.needed(ApiField::Channel, channel()).object().into()
        }
        ApiMethod::History => history(fields),
        ApiMethod::Info => fields.object_or_null(),
        ApiMethod::Channels => fields.optional(ApiField::Pattern, pattern()).object_or_null(),
        ApiMethod::Connections => {
            let expression = word([""]).description(Some("Filters are not served."));
            about(fields).optional(ApiField::Expression, expression).object().into()
        }
        ApiMethod::Disconnect => {
            let whitelist =
                list(0..=API_WHITELIST_MAX, client()).description(Some("Connections that stay."));
            let fields = about(fields).optional(ApiField::Whitelist, whitelist);
            fields.optional(ApiField::Disconnect, disconnect()).object().into()
        }
        ApiMethod::Subscribe => subscribe(fields),
        ApiMethod::Unsubscribe => {
            about(fields).needed(ApiField::Channel, channel()).object().into()
        }
        ApiMethod::Refresh => refresh(fields),
        ApiMethod::BlockUser => until(fields.needed(ApiField::User, user())).object().into(),
        ApiMethod::UnblockUser => fields.needed(ApiField::User, user()).object().into(),
        ApiMethod::RevokeToken => {
            let uid = text(1..=BLOCK_NAME_BYTES_MAX).description(Some("The token's `jti`."));
            until(fields.needed(ApiField::Uid, uid)).object().into()
        }
        ApiMethod::InvalidateUserTokens => {
            let channel = word([""]).description(Some("Subscription tokens are met anyway."));
            let before = time()
                .description(Some("Unix seconds: tokens whose `iat` is before. None or 0: now."));
            let fields = until(fields.needed(ApiField::User, user()));
            let fields = fields.optional(ApiField::IssuedBefore, before);
            fields.optional(ApiField::Channel, channel).object().into()
        }
        ApiMethod::BlockAddress => {
            until(fields.needed(ApiField::Address, address())).object().into()
        }
        ApiMethod::UnblockAddress => fields.needed(ApiField::Address, address()).object().into(),
        ApiMethod::Blocks => blocks(fields),
        ApiMethod::Batch => fields.needed(ApiField::Commands, commands()).object().into(),
        ApiMethod::Chat(method) => chat(method, fields).object().into(),
        ApiMethod::Operator(method) => operator_request(method),
    }
}

/// The body of a question for a page of the presence feed's state.
pub fn state_request_schema() -> Schema {
    let of = word(["users", "channels"]).description(Some("What the page has."));
    let after = text(0..=NAME_BYTES_MAX)
        .description(Some("Behind this name. None or an empty one: from the first."));
    let limit = number(1..=u64::from(PAGE_MAX))
        .description(Some(format!("Entries of the page; {PAGE_DEFAULT} where it is not said.")));
    CallFields::default()
        .needed(ApiField::Of, of)
        .optional(ApiField::After, after)
        .optional(ApiField::Limit, limit)
        .object()
        .into()
}

fn channel() -> ObjectBuilder {
    name().description(Some("The name of a channel, in UTF-8, without control characters."))
}

fn address() -> ObjectBuilder {
    any_text()
        .max_length(Some(BLOCK_NAME_BYTES_MAX))
        .format(Some(SchemaFormat::Custom("address-range".to_owned())))
        .description(Some(
            "An address, or a range that begins with its first address and has at least 8 bits \
             (IPv6: 16) in common.",
        ))
        .examples(["203.0.113.7", "203.0.113.0/24", "2001:db8::/48"])
}

/// What is published, beside where.
fn message(fields: CallFields) -> Schema {
    let key = line(1..=MESSAGE_ID_BYTES_MAX).description(Some(
        "A message that is published again in the same channel with the same key within five \
         minutes has the place that it had.",
    ));
    let skip_history = flag().enum_values(Some([false])).description(Some("Is refused."));
    let fields = fields
        .optional(ApiField::Data, data())
        .optional(ApiField::B64Data, base64().description(Some("Any bytes, instead of `data`.")))
        .optional(ApiField::Tags, tags())
        .optional(ApiField::IdempotencyKey, key)
        .optional(ApiField::SkipHistory, skip_history);
    let as_json =
        CallFields::default().present(ApiField::Data).optional(ApiField::B64Data, word([""]));
    let as_bytes = CallFields::default()
        .needed(ApiField::B64Data, any_text().min_length(Some(1)))
        .optional(ApiField::Data, nothing());
    both(fields, any_of([as_json.object(), as_bytes.object()]))
}

/// What holds where the fields are right, and one of these holds, too.
fn both(fields: CallFields, rules: Schema) -> Schema {
    AllOfBuilder::new().item(fields.object()).item(rules).into()
}

fn data() -> ObjectBuilder {
    anything().description(Some(format!(
        "Any JSON, `null` too, that nests up to {DATA_LEVELS_MAX} levels."
    )))
}

fn tags() -> ObjectBuilder {
    let is_free = format!("^(?!(?:{})$)", OWN_TAGS.join("|"));
    map(text(0..=NAME_BYTES_MAX))
        .property_names(Some(text(1..=NAME_BYTES_MAX).pattern(Some(is_free))))
        .max_properties(Some(API_TAGS_MAX))
        .description(Some("Those that the server makes itself are refused."))
}

fn history(fields: CallFields) -> Schema {
    let limit = number(0..=i32::MAX as u64).minimum(Some(-1)).description(Some(format!(
        "None or 0: the position alone. -1: as many as one answer holds, {HISTORY_ANSWER_MAX} at \
         most."
    )));
    let since = CallFields::default()
        .optional(ApiField::Offset, number(0..=u64::MAX))
        .optional(ApiField::Epoch, any_text());
    let reverse = flag().description(Some("Newest first."));
    fields
        .needed(ApiField::Channel, channel())
        .optional(ApiField::Limit, limit)
        .optional(ApiField::Since, since.object().description(Some("Messages behind this one.")))
        .optional(ApiField::Reverse, reverse)
        .object()
        .into()
}

/// Which connections a call is about.
fn about(fields: CallFields) -> CallFields {
    let client = any_of([client(), word([""])]);
    let session = word([""]).description(Some("Is of transports that are not served."));
    fields
        .needed(ApiField::User, user())
        .optional(ApiField::Client, client)
        .optional(ApiField::Session, session)
}

/// How connections are closed.
fn disconnect() -> ObjectBuilder {
    let (min, max) = CLOSE_CODES_OF_OTHERS.into_inner();
    let usual = number(0..=0);
    let code = any_of([number(u64::from(min)..=u64::from(max)), usual]);
    CallFields::default()
        .optional(ApiField::Code, code)
        .optional(ApiField::Reason, line(0..=CLOSE_REASON_BYTES_MAX))
        .object()
        .description(Some("The close frame; 3503, \"force disconnect\" where nothing is said."))
}

fn subscribe(fields: CallFields) -> Schema {
    let info = anything().description(Some(format!(
        "What others in the channel are told of it: any JSON of up to {INFO_BYTES_MAX} bytes."
    )));
    let mut fields = about(fields)
        .needed(ApiField::Channel, channel())
        .optional(ApiField::Info, info)
        .optional(ApiField::B64Info, short_base64(INFO_BYTES_MAX))
        .optional(ApiField::B64Data, word([""]).description(Some("Is not served.")));
    for field in [ApiField::RecoverSince, ApiField::Override, ApiField::Data] {
        fields = fields.optional(field, nothing().description(Some("Is not served.")));
    }
    let as_json = CallFields::default().optional(ApiField::B64Info, word([""]));
    let as_bytes = CallFields::default().optional(ApiField::Info, nothing());
    both(fields, any_of([as_json.object(), as_bytes.object()]))
}

fn refresh(fields: CallFields) -> Schema {
    let expire_at = time().description(Some("Unix seconds; what is over expires at once."));
    let fields = about(fields)
        .optional(ApiField::Expired, flag().description(Some("They expire at once.")))
        .optional(ApiField::ExpireAt, expire_at);
    let at_once = CallFields::default().needed(ApiField::Expired, flag().enum_values(Some([true])));
    let then = CallFields::default().needed(ApiField::ExpireAt, number(1..=u64::from(u32::MAX)));
    both(fields, any_of([at_once.object(), then.object()]))
}

/// Until when somebody is kept out.
fn until(fields: CallFields) -> CallFields {
    let end = time().description(Some("Unix seconds, ahead of now. None or 0: for good."));
    fields.optional(ApiField::ExpireAt, end)
}

/// A page of blocks of one kind.
fn blocks(fields: CallFields) -> Schema {
    let after = text(0..=BLOCK_NAME_BYTES_MAX)
        .description(Some("The `next` of the page before. None or an empty one: from the first."));
    let limit = number(1..=API_BLOCKS_LISTED_MAX as u64)
        .description(Some(format!("{API_BLOCKS_LISTED_DEFAULT}, where nothing is said.")));
    let fields = fields
        .needed(ApiField::Kind, word(ApiBlockKind::ALL.map(ApiBlockKind::name)))
        .optional(ApiField::After, after)
        .optional(ApiField::Limit, limit);
    let of_names = [ApiBlockKind::User, ApiBlockKind::UserTokens, ApiBlockKind::Token];
    let named =
        CallFields::default().needed(ApiField::Kind, word(of_names.map(ApiBlockKind::name)));
    let ranges = CallFields::default()
        .needed(ApiField::Kind, word([ApiBlockKind::Address.name()]))
        .optional(ApiField::After, any_of([address(), word([""])]));
    both(fields, any_of([named.object(), ranges.object()]))
}

/// A chat method as a user.
fn chat(method: ApiChatMethod, fields: CallFields) -> CallFields {
    let in_channel = |fields: CallFields| {
        fields.needed(ApiField::User, user()).needed(ApiField::Channel, channel())
    };
    let about = |fields| in_channel(fields).needed(ApiField::Offset, number(1..=u64::MAX));
    let up_to = |fields| in_channel(fields).needed(ApiField::Offset, number(0..=u64::MAX));
    match method {
        ApiChatMethod::Publish => said(in_channel(fields)),
        ApiChatMethod::Send => {
            let ttl_s = number(1..=u64::MAX)
                .description(Some("How long it waits for its reader; none: as long as it may."));
            let fields = fields.needed(ApiField::User, party()).needed(ApiField::To, party());
            said(fields).optional(ApiField::TtlS, ttl_s)
        }
        ApiChatMethod::Edit => said(about(fields)),
        ApiChatMethod::Retract => moderated(about(fields), "A message of somebody else, too."),
        ApiChatMethod::React => {
            let value = line(0..=REACTION_BYTES_MAX)
                .description(Some("None or an empty one takes the reaction back."));
            about(fields).optional(ApiField::Value, value)
        }
        ApiChatMethod::Read => up_to(fields),
        ApiChatMethod::Ack => {
            let took_ms = number(0..=u64::MAX).description(Some("Is left alone."));
            up_to(fields).optional(ApiField::TookMs, took_ms)
        }
        ApiChatMethod::Receipts => page(in_channel(fields)),
        ApiChatMethod::Rooms => page(fields.needed(ApiField::User, user())),
        ApiChatMethod::Join | ApiChatMethod::Leave => in_channel(fields),
        ApiChatMethod::Invite | ApiChatMethod::Kick => of_member(in_channel(fields)),
        ApiChatMethod::SetRole => {
            let roles = [GroupRole::Member, GroupRole::Admin, GroupRole::Owner];
            of_member(in_channel(fields)).needed(ApiField::Role, word(roles.map(GroupRole::word)))
        }
        ApiChatMethod::Roster => page(in_channel(fields)),
        ApiChatMethod::Mute => {
            let mute_s = number(0..=MUTE_S_MAX)
                .description(Some("For so long; none: for good. 0: not any more."));
            in_channel(fields).optional(ApiField::MuteS, mute_s)
        }
        ApiChatMethod::Members => {
            let after = any_text().pattern(Some("^([0-9a-f]{20})?$"));
            let after = after.description(Some("The `next` of the page before."));
            limited(in_channel(fields).optional(ApiField::After, after))
        }
        ApiChatMethod::Typing => in_channel(fields),
        ApiChatMethod::Reactions => {
            let offsets = list(1..=REACTION_OFFSETS_MAX, number(1..=u64::MAX));
            in_channel(fields).needed(ApiField::Offsets, offsets)
        }
        ApiChatMethod::History => {
            let fields = fields.needed(ApiField::User, user());
            limited(fields.needed(ApiField::Channels, histories()))
                .optional(ApiField::Reverse, flag().description(Some("The newest first.")))
        }
    }
}

/// Another user in a group.
fn of_member(fields: CallFields) -> CallFields {
    let member = name().description(Some("Whom it is about."));
    moderated(fields.needed(ApiField::Member, member), "Whatever the user's role in the group is.")
}

/// What a backend may do beyond the user's own right.
fn moderated(fields: CallFields, means: &str) -> CallFields {
    fields.optional(ApiField::AsModerator, flag().description(Some(means)))
}

/// Channels whose history is read, each once: by name, or from a place on.
fn histories() -> ArrayBuilder {
    let epoch = any_text().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    let place = CallFields::default()
        .needed(ApiField::Channel, channel())
        .needed(ApiField::Offset, number(0..=u64::MAX))
        .needed(ApiField::Epoch, epoch);
    let one = any_of([channel(), place.object()]);
    list(1..=HISTORY_CHANNELS_MAX, one).unique_items(true)
}

/// One of the two of a conversation.
fn party() -> ObjectBuilder {
    user().pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f,#]*$"))
}

/// What a user says.
fn said(fields: CallFields) -> CallFields {
    let id = any_text()
        .min_length(Some(1))
        .max_length(Some(MESSAGE_ID_BYTES_MAX))
        .pattern(Some("^[!-~]+$"))
        .description(Some("The same again by the same user is said once."));
    let traceparent = any_text()
        .pattern(Some("^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"))
        .description(Some("W3C Trace Context."));
    fields
        .needed(ApiField::Data, data())
        .optional(ApiField::Id, id)
        .optional(ApiField::Traceparent, traceparent)
        .optional(ApiField::SentAtMs, number(0..=u64::MAX))
}

/// A page of a list.
fn page(fields: CallFields) -> CallFields {
    let after = line(0..=NAME_BYTES_MAX)
        .description(Some("The `next` of the page before. None or an empty one: from the first."));
    limited(fields.optional(ApiField::After, after))
}

/// How much of a list.
fn limited(fields: CallFields) -> CallFields {
    let limit = number(1..=u64::from(PAGE_MAX))
        .description(Some(format!("{PAGE_DEFAULT}, where nothing is said.")));
    fields.optional(ApiField::Limit, limit)
}

fn commands() -> Schema {
    let kinds = [Type::Object, Type::Array, Type::String, Type::Number, Type::Boolean];
    let body = ObjectBuilder::new().schema_type(SchemaType::from_iter(kinds));
    let command = map(body)
        .min_properties(Some(1))
        .max_properties(Some(1))
        .description(Some(
            "One method with its body, as in a request of its own. What is wrong with that is \
             told in its place in the answer.",
        ))
        .examples([json!({ "publish": { "channel": "room:1", "data": { "text": "hello" } } })]);
    list(0..=API_CALLS_MAX, command).into()
}
