//! The answers to calls as schemas: what `write_answer` writes.
//!
//! Deliberately absent: HTTP and its statuses.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};

use super::method::{ApiChatMethod, ApiMethod};
use super::operator_schemas::operator_result;
use super::schema_parts::{
    AnswerMembers, any_text, anything, count, flag, list, map, named, number, word,
};
use crate::base::limits::{
    API_BLOCKS_LISTED_MAX, API_CALLS_MAX, API_CHANNELS_MAX, HISTORY_ANSWER_MAX,
    HISTORY_CHANNELS_MAX, PAGE_MAX, REACTION_KINDS_MAX, REACTION_OFFSETS_MAX,
};
use crate::wire::ErrorCode;
use crate::wire::chat::GroupRole;

/// The name of an error's schema in the document.
const ERROR: &str = "Error";

/// The name of a publication's schema in the document.
const PUBLICATION: &str = "Publication";

/// The name of the schema of who is in a channel.
const CLIENT_INFO: &str = "ClientInfo";

/// Codes that answers have.
const CODES: [ErrorCode; 9] = [
    ErrorCode::Internal,
    ErrorCode::UnknownChannel,
    ErrorCode::PermissionDenied,
    ErrorCode::MethodNotFound,
    ErrorCode::LimitExceeded,
    ErrorCode::BadRequest,
    ErrorCode::NotAvailable,
    ErrorCode::TooManyRequests,
    ErrorCode::UnrecoverablePosition,
];

/// The name of a method's result in the document; a batch has replies instead.
fn result_name(method: ApiMethod) -> String {
    format!("{}Result", method.title())
}

/// The result of a call: what stands at `result`, and in a batch under the method's name.
fn result_schema(method: ApiMethod) -> Schema {
    let members = AnswerMembers::default();
    let members = match method {
        ApiMethod::Publish => members.perhaps("offset", offset()).perhaps("epoch", epoch()),
        ApiMethod::Broadcast => {
            let each = either([result_of(ApiMethod::Publish), error()]);
            members.always("responses", list(0..=API_CHANNELS_MAX, each))
        }
        ApiMethod::Presence => members.always("presence", map(named(CLIENT_INFO))),
        ApiMethod::PresenceStats => {
            members.always("num_clients", count()).always("num_users", count())
        }
        ApiMethod::History => {
            let publications = list(0..=HISTORY_ANSWER_MAX as usize, named(PUBLICATION));
            let members = members.always("publications", publications);
            members.always("offset", offset()).always("epoch", epoch())
        }
        ApiMethod::Info => members.always("nodes", list(1..=1, node())),
        ApiMethod::Channels => {
            let channel = AnswerMembers::default().always("num_clients", count());
            members.always("channels", map(channel.object()))
        }
        ApiMethod::Connections => members.always("connections", map(connection())),
        ApiMethod::HistoryRemove
        | ApiMethod::Disconnect
        | ApiMethod::Subscribe
        | ApiMethod::Unsubscribe
        | ApiMethod::Refresh => members,
        ApiMethod::BlockUser
        | ApiMethod::UnblockUser
        | ApiMethod::RevokeToken
        | ApiMethod::InvalidateUserTokens
        | ApiMethod::BlockAddress
        | ApiMethod::UnblockAddress => {
            let durable = flag().description(Some("Whether it outlives the server."));
            members.always("durable", durable)
        }
        ApiMethod::Blocks => {
            let blocks = list(0..=API_BLOCKS_LISTED_MAX, block());
            members.always("blocks", blocks).perhaps("next", any_text())
        }
        ApiMethod::Batch => unreachable!("a batch has replies, and no result"),
        ApiMethod::Chat(method) => chat(method, members),
        ApiMethod::Operator(method) => operator_result(method, members),
    };
    members.object().into()
}

/// What clients are answered, too.
fn chat(method: ApiChatMethod, members: AnswerMembers) -> AnswerMembers {
    match method {
        ApiChatMethod::Publish | ApiChatMethod::Send | ApiChatMethod::Edit => members
            .always("channel", any_text())
            .always("offset", offset())
            .perhaps("epoch", epoch())
            .always("id", any_text()),
        ApiChatMethod::Retract
        | ApiChatMethod::React
        | ApiChatMethod::Read
        | ApiChatMethod::Ack
        | ApiChatMethod::Join
        | ApiChatMethod::Leave
        | ApiChatMethod::Invite
        | ApiChatMethod::Kick
        | ApiChatMethod::SetRole
        | ApiChatMethod::Mute
        | ApiChatMethod::Typing => members,
        ApiChatMethod::Receipts => {
            let receipt = AnswerMembers::default().always("user", any_text());
            page(members, "receipts", markers(receipt))
        }
        ApiChatMethod::Rooms => {
            let room = AnswerMembers::default().always("channel", any_text());
            let room = markers(room.always("head", offset())).always("unread", count());
            let room = room.perhaps("last", named(PUBLICATION)).perhaps("role", role());
            let room = room.perhaps("muted_until", muted_until());
            page(members, "rooms", room)
        }
        ApiChatMethod::Roster => {
            let member = AnswerMembers::default().always("user", any_text());
            let member = member.always("role", role());
            let since = count().description(Some("Unix milliseconds."));
            let member = member.always("since", since).perhaps("muted_until", muted_until());
            page(members, "members", member)
        }
        ApiChatMethod::Members => {
            let next =
                any_text().description(Some("The next `after`; none: this is the last page."));
            let clients = list(0..=PAGE_MAX as usize, named(CLIENT_INFO));
            members.always("members", clients).perhaps("next", next)
        }
        ApiChatMethod::Reactions => {
            let total =
                AnswerMembers::default().always("value", any_text()).always("count", count());
            let message = AnswerMembers::default()
                .always("offset", offset())
                .always("totals", list(0..=REACTION_KINDS_MAX, total.object()))
                .perhaps("own", any_text().description(Some("That of the user.")));
            members.always("messages", list(0..=REACTION_OFFSETS_MAX, message.object()))
        }
        ApiChatMethod::History => {
            members.always("channels", list(1..=HISTORY_CHANNELS_MAX, channel_history()))
        }
    }
}

/// What a user is in a group.
fn role() -> ObjectBuilder {
    word(GroupRole::ALL.map(GroupRole::word))
}

/// Until when a group is muted.
fn muted_until() -> ObjectBuilder {
    count().description(Some("Unix milliseconds; none: it is not muted."))
}

/// What was said in a channel, or why that is not told.
fn channel_history() -> ObjectBuilder {
    let code = ObjectBuilder::new().schema_type(Type::Integer);
    let refused = AnswerMembers::default()
        .always("code", code)
        .always("message", any_text())
        .perhaps("temporary", flag());
    let of_stream = list(0..=PAGE_MAX as usize, named(PUBLICATION));
    AnswerMembers::default()
        .always("channel", any_text())
        .perhaps("publications", of_stream)
        .perhaps("offset", offset())
        .perhaps("epoch", epoch())
        .perhaps("error", refused.object())
        .perhaps("truncated", flag().description(Some("It has no place in this answer.")))
        .object()
}

/// How far a user is.
fn markers(members: AnswerMembers) -> AnswerMembers {
    members.always("delivered", offset()).always("read", offset())
}

fn page(members: AnswerMembers, of: &str, each: AnswerMembers) -> AnswerMembers {
    let next = any_text().description(Some("The next `after`; none: this is the last page."));
    members.always(of, list(0..=PAGE_MAX as usize, each.object())).perhaps("next", next)
}

/// The whole answer to a call that was made.
pub fn answer_schema(method: ApiMethod) -> Schema {
    let told = if method == ApiMethod::Batch { replies() } else { result_of(method) };
    either([told, error()])
}

/// The whole answer to a question for a page of the presence feed's state.
pub fn state_answer_schema() -> Schema {
    let page = |of: &str, entry: ObjectBuilder| {
        let next = any_text().description(Some("The next `after`; none: this is the last page."));
        let result = AnswerMembers::default()
            .always("epoch", any_text().pattern(Some("^[0-9a-f]{16}$")))
            .always("number", count().description(Some("The page is the truth at this number.")))
            .always(of, list(0..=PAGE_MAX as usize, entry))
            .perhaps("next", next);
        AnswerMembers::default().always("result", result.object()).object().into()
    };
    let entry = |name: &str| {
        let since = count().description(Some("Unix milliseconds."));
        let number = count().description(Some("That of the last event about it."));
        AnswerMembers::default()
            .always(name, any_text())
            .always("number", number)
            .always("since", since)
    };
    let channels = ArrayBuilder::new().items(any_text());
    let users = page("users", entry("user").always("channels", channels).object());
    either([users, page("channels", entry("channel").object()), error()])
}

/// An answer that says what is wrong, with one of these codes.
pub fn error_schema(codes: &[ErrorCode]) -> Schema {
    let code = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .enum_values(Some(codes.iter().map(|code| code.parts().0)));
    let about = AnswerMembers::default().always("code", code).always("message", any_text());
    AnswerMembers::default().always("error", about.object()).object().into()
}

/// What other schemas name.
pub fn named_schemas() -> Vec<(String, Schema)> {
    let results = ApiMethod::ALL.into_iter().filter(|&method| method != ApiMethod::Batch);
    let results = results.map(|method| (result_name(method), result_schema(method)));
    [
        (ERROR.to_owned(), error_schema(&CODES)),
        (PUBLICATION.to_owned(), publication()),
        (CLIENT_INFO.to_owned(), client_info()),
    ]
    .into_iter()
    .chain(results)
    .collect()
}

fn error() -> RefOr<Schema> {
    named(ERROR)
}

fn result_of(method: ApiMethod) -> RefOr<Schema> {
    let result = AnswerMembers::default().always("result", named(&result_name(method)));
    result.object().into()
}

/// One of these, and not two of them.
fn either(schemas: impl IntoIterator<Item = RefOr<Schema>>) -> Schema {
    schemas.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item).into()
}

/// What each call of a batch came to, under its method's name.
fn replies() -> RefOr<Schema> {
    let methods = ApiMethod::ALL.into_iter().filter(|&method| method != ApiMethod::Batch);
    let result = |method: ApiMethod| {
        let under_its_name =
            AnswerMembers::default().always(method.name(), named(&result_name(method)));
        under_its_name.object().into()
    };
    let reply = either(methods.map(result).chain([error()]));
    let replies: ArrayBuilder = list(0..=API_CALLS_MAX, reply);
    AnswerMembers::default().always("replies", replies).object().into()
}

fn offset() -> ObjectBuilder {
    number(0..=u64::MAX)
}

fn epoch() -> ObjectBuilder {
    any_text().pattern(Some("^[0-9a-f]{8}(?:[0-9a-f]{24})?$"))
}

fn publication() -> Schema {
    AnswerMembers::default()
        .always("data", anything().description(Some("JSON as it was; other bytes in base64.")))
        .perhaps("info", named(CLIENT_INFO))
        .perhaps("offset", offset())
        .perhaps("tags", map(any_text()))
        .perhaps("time", count().description(Some("Unix milliseconds.")))
        .object()
        .into()
}

fn client_info() -> Schema {
    AnswerMembers::default()
        .always("user", any_text().description(Some("Empty for who has no name.")))
        .always("client", any_text())
        .perhaps("conn_info", anything())
        .perhaps("chan_info", anything())
        .object()
        .into()
}

fn block() -> ObjectBuilder {
    AnswerMembers::default()
        .always("name", any_text())
        .perhaps("expire_at", count().description(Some("Unix seconds; none: for good.")))
        .perhaps("issued_before", count().description(Some("Unix seconds.")))
        .object()
}

fn node() -> ObjectBuilder {
    AnswerMembers::default()
        .always("uid", any_text())
        .always("name", any_text())
        .always("version", any_text())
        .always("num_clients", count())
        .always("num_subs", count())
        .always("num_channels", count())
        .always("uptime", count().description(Some("Seconds.")))
        .object()
}

fn connection() -> ObjectBuilder {
    let app_name = any_text().description(Some("The kind of its program."));
    AnswerMembers::default()
        .perhaps("app_name", app_name)
        .always("transport", word(["websocket"]))
        .always("protocol", word(["json", "protobuf"]))
        .always("user", any_text())
        .object()
}
