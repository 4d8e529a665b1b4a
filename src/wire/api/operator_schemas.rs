//! Calls of operators' programs and their results as schemas.
//!
//! Deliberately absent: HTTP and its statuses.

use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema};

use super::control_requests::CLASS_BYTES_MAX;
use super::fields::ApiField;
use super::method::ApiOperatorMethod;
use super::operator_requests::ApiRoomMeasure;
use super::schema_parts::{
    AnswerMembers, CallFields, any_of, any_text, client, count, flag, list, name, number, pattern,
    text, user, word,
};
use crate::base::limits::{
    API_CONNECTION_CHANNELS_MAX, API_CONNECTIONS_PAGE_DEFAULT, API_CONNECTIONS_PAGE_MAX,
    API_DEAD_LETTERS_PAGE_DEFAULT, API_DEAD_LETTERS_PAGE_MAX, API_ROOMS_PAGE_DEFAULT,
    API_ROOMS_PAGE_MAX, NAME_BYTES_MAX, PREFIX_PART_BYTES_MAX, QUARANTINE_S_MAX,
};

/// The body of a call.
pub(super) fn operator_request(method: ApiOperatorMethod) -> Schema {
    let fields = CallFields::default();
    match method {
        ApiOperatorMethod::ConnectionsList => {
            let after = any_of([client(), word([""])]);
            let limit = limit(API_CONNECTIONS_PAGE_DEFAULT, API_CONNECTIONS_PAGE_MAX);
            fields
                .needed(ApiField::User, user())
                .optional(ApiField::Client, any_of([client(), word([""])]))
                .optional(ApiField::After, after)
                .optional(ApiField::Limit, limit)
                .object()
                .into()
        }
        ApiOperatorMethod::DeadLettersList => {
            let after = any_of([place(), word([""])]);
            let limit = limit(API_DEAD_LETTERS_PAGE_DEFAULT, API_DEAD_LETTERS_PAGE_MAX);
            fields
                .optional(ApiField::User, user())
                .optional(ApiField::After, after)
                .optional(ApiField::Limit, limit)
                .object_or_null()
        }
        ApiOperatorMethod::DeadLettersRequeue => {
            let ttl_s = number(1..=u64::MAX)
                .description(Some("How long they wait; none: as long as they may."));
            conversation(fields).optional(ApiField::TtlS, ttl_s).object().into()
        }
        ApiOperatorMethod::DeadLettersDrop => conversation(fields).object().into(),
        ApiOperatorMethod::QuarantineList | ApiOperatorMethod::DrainStatus => {
            fields.object_or_null()
        }
        ApiOperatorMethod::QuarantineSet => {
            let hold_s = number(1..=QUARANTINE_S_MAX)
                .description(Some("Seconds; none: as long as the server itself would."));
            let fields = fields.needed(ApiField::Prefix, prefix());
            fields.optional(ApiField::HoldS, hold_s).object().into()
        }
        ApiOperatorMethod::QuarantineLift => {
            fields.needed(ApiField::Prefix, prefix()).object().into()
        }
        ApiOperatorMethod::DrainStart => {
            let instance = text(1..=NAME_BYTES_MAX)
                .description(Some("The `uid` that `info` tells, so that nobody drains another."));
            fields.needed(ApiField::Instance, instance).object().into()
        }
        ApiOperatorMethod::RoomsTop => {
            let by = word(ApiRoomMeasure::ALL.map(ApiRoomMeasure::name))
                .description(Some("What comes first; `num_clients` where nothing is said."));
            let after = CallFields::default()
                .needed(ApiField::Value, number(0..=u64::MAX))
                .needed(ApiField::Channel, name())
                .object()
                .description(Some("The `next` of the page before."));
            fields
                .optional(ApiField::By, by)
                .optional(ApiField::Pattern, pattern())
                .optional(ApiField::After, after)
                .optional(ApiField::Limit, limit(API_ROOMS_PAGE_DEFAULT, API_ROOMS_PAGE_MAX))
                .object_or_null()
        }
    }
}

/// Dead letters of a conversation.
fn conversation(fields: CallFields) -> CallFields {
    let offset =
        number(1..=u64::MAX).description(Some("This one alone; none: all, up to 100 in a call."));
    let channel = name().description(Some("A conversation of two."));
    fields.needed(ApiField::Channel, channel).optional(ApiField::Offset, offset)
}

/// A kind of clients.
fn prefix() -> ObjectBuilder {
    let part = format!("[0-9A-Za-z._=]{{0,{PREFIX_PART_BYTES_MAX}}}");
    any_text().pattern(Some(format!("^{part}~{part}~[a-z_]{{1,{CLASS_BYTES_MAX}}}$"))).description(
        Some(
            "Tenant, name of the user up to the first `:` or `-`, and kind of program; other \
             bytes than these as `=XX`.",
        ),
    )
}

/// A place among dead letters.
fn place() -> ObjectBuilder {
    any_text().pattern(Some("^[0-9a-f]{80}$")).description(Some("The `next` of the page before."))
}

fn limit(usual: usize, max: usize) -> ObjectBuilder {
    number(1..=max as u64).description(Some(format!("{usual}, where nothing is said.")))
}

/// The result of a call.
pub(super) fn operator_result(method: ApiOperatorMethod, members: AnswerMembers) -> AnswerMembers {
    match method {
        ApiOperatorMethod::ConnectionsList => {
            let connections = list(0..=API_CONNECTIONS_PAGE_MAX, known_connection());
            let next = any_text().description(Some("The next `after`; none: this is the last."));
            members.always("connections", connections).perhaps("next", next)
        }
        ApiOperatorMethod::DeadLettersList => {
            let letter = AnswerMembers::default()
                .always("channel", any_text())
                .always("offset", count())
                .always("user", any_text().description(Some("Whom it did not reach.")))
                .always("cause", word(["tries", "expired"]))
                .always("at", count().description(Some("Unix milliseconds.")))
                .always("tries", count());
            let letters = list(0..=API_DEAD_LETTERS_PAGE_MAX, letter.object());
            let next = any_text().description(Some("The next `after`; none: this is the last."));
            members.always("dead_letters", letters).perhaps("next", next)
        }
        ApiOperatorMethod::DeadLettersRequeue => {
            let empty = count().description(Some("Those that stay, as what they said is gone."));
            changed(members).always("empty", empty)
        }
        ApiOperatorMethod::DeadLettersDrop => changed(members),
        ApiOperatorMethod::QuarantineSet
        | ApiOperatorMethod::QuarantineLift
        | ApiOperatorMethod::DrainStart => members,
        ApiOperatorMethod::QuarantineList => {
            let prefix = AnswerMembers::default()
                .always("prefix", any_text())
                .always("by", word(["server", "operator"]))
                .always("held_ms", count())
                .always("left_ms", count());
            members.always("prefixes", ArrayBuilder::new().items(prefix.object()))
        }
        ApiOperatorMethod::DrainStatus => {
            let began = count().description(Some("Unix milliseconds; none: it does not drain."));
            members
                .always("state", word(["starting", "ready", "draining"]))
                .always("num_clients", count())
                .perhaps("began", began)
                .perhaps("limit_ms", count().description(Some("Then the rest is cut off.")))
        }
        ApiOperatorMethod::RoomsTop => {
            let per_min = count().description(Some("In the last minute, about."));
            let room = AnswerMembers::default()
                .always("channel", any_text())
                .always("num_clients", count())
                .always("messages_per_min", per_min);
            let next = AnswerMembers::default()
                .always("value", count())
                .always("channel", any_text())
                .object()
                .description(Some("The next `after`; none: this is the last page."));
            members
                .always("rooms", list(0..=API_ROOMS_PAGE_MAX, room.object()))
                .perhaps("next", next)
        }
    }
}

fn changed(members: AnswerMembers) -> AnswerMembers {
    let more = flag().description(Some("Whether there may be more of them."));
    members.always("count", count()).always("more", more)
}

fn known_connection() -> ObjectBuilder {
    let address = any_text().description(Some("The other end of its socket."));
    let agent = any_text().description(Some("The kind of its program."));
    let channels: ArrayBuilder = list(0..=API_CONNECTION_CHANNELS_MAX, any_text());
    let channels = channels.description(Some("Some of those that the key covers."));
    AnswerMembers::default()
        .always("client", any_text())
        .perhaps("address", address)
        .always("agent", agent)
        .always("transport", word(["websocket"]))
        .always("protocol", word(["json", "protobuf"]))
        .always("age_ms", count().description(Some("Since its upgrade.")))
        .always("channels", channels)
        .always("channels_count", count().description(Some("All that it is in.")))
        .object()
}
