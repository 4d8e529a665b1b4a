//! The fields of the calls of the server API.
//!
//! Deliberately absent: which call has which (`requests`).

use crate::wire::chat::Field;
use crate::wire::json_fields::FieldName;

macro_rules! fields {
    ($($field:ident = $name:literal),+ $(,)?) => {
        /// A field of a call. Closed, so that what an error says about it is one of these
        /// words and nothing of the peer's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is the field of that name")]
        pub enum ApiField {
            $($field),+
        }

        impl FieldName for ApiField {
            type Error = ApiFieldError;

            const ALL: &'static [ApiField] = &[$(ApiField::$field),+];
            const WHOLE: ApiField = ApiField::Body;

            fn name(self) -> &'static str {
                match self {
                    $(ApiField::$field => $name),+
                }
            }

            fn index(self) -> usize {
                self as usize
            }

            fn wrong(self) -> ApiFieldError {
                ApiFieldError(self)
            }
        }
    };
}

// `Body` is a body that is no object.
fields! {
    Body = "body",
    Channel = "channel",
    Channels = "channels",
    Data = "data",
    B64Data = "b64data",
    Tags = "tags",
    IdempotencyKey = "idempotency_key",
    SkipHistory = "skip_history",
    Limit = "limit",
    Since = "since",
    Offset = "offset",
    Epoch = "epoch",
    Reverse = "reverse",
    Commands = "commands",
    User = "user",
    Client = "client",
    Session = "session",
    Expression = "expression",
    Whitelist = "whitelist",
    Disconnect = "disconnect",
    Code = "code",
    Reason = "reason",
    Info = "info",
    B64Info = "b64info",
    RecoverSince = "recover_since",
    Override = "override",
    Expired = "expired",
    ExpireAt = "expire_at",
    Pattern = "pattern",
    Uid = "uid",
    IssuedBefore = "issued_before",
    Address = "address",
    Kind = "kind",
    Of = "of",
    After = "after",
    To = "to",
    Id = "id",
    Traceparent = "traceparent",
    SentAtMs = "sent_at_ms",
    TtlS = "ttl_s",
    TookMs = "took_ms",
    Value = "value",
    Offsets = "offsets",
    AsModerator = "as_moderator",
    Member = "member",
    Role = "role",
    MuteS = "mute_s",
    By = "by",
    Prefix = "prefix",
    HoldS = "hold_s",
    Instance = "instance",
}

/// This field of a call is missing, or out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiFieldError(pub ApiField);

/// A field of a chat method's data stands in a call under the same name.
impl From<Field> for ApiField {
    fn from(field: Field) -> ApiField {
        match field {
            Field::Data => ApiField::Data,
            Field::Channel => ApiField::Channel,
            Field::Id => ApiField::Id,
            Field::Traceparent => ApiField::Traceparent,
            Field::SentAtMs => ApiField::SentAtMs,
            Field::To => ApiField::To,
            Field::TtlS => ApiField::TtlS,
            Field::Offset => ApiField::Offset,
            Field::TookMs => ApiField::TookMs,
            Field::After => ApiField::After,
            Field::Limit => ApiField::Limit,
            Field::Value => ApiField::Value,
            Field::Offsets => ApiField::Offsets,
            Field::Channels => ApiField::Channels,
            Field::Reverse => ApiField::Reverse,
            Field::Member => ApiField::Member,
            Field::Role => ApiField::Role,
            Field::MuteS => ApiField::MuteS,
        }
    }
}

impl ApiField {
    /// Its name in a call.
    pub fn name(self) -> &'static str {
        FieldName::name(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_chat_keeps_its_name() {
        for field in Field::ALL {
            assert_eq!(ApiField::from(field).name(), field.name());
        }
    }
}
