//! The methods of the server API.
//!
//! Deliberately absent: who may call which (`api`), and paths (`server`).

use crate::wire::chat::Method;

/// A method. Closed: what is no method is answered as an unknown one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of that name")]
pub enum ApiMethod {
    Publish,
    Broadcast,
    Presence,
    PresenceStats,
    History,
    HistoryRemove,
    Info,
    Channels,
    Connections,
    Disconnect,
    Subscribe,
    Unsubscribe,
    Refresh,
    BlockUser,
    UnblockUser,
    RevokeToken,
    InvalidateUserTokens,
    BlockAddress,
    UnblockAddress,
    Blocks,
    Batch,
    Chat(ApiChatMethod),
    Operator(ApiOperatorMethod),
}

/// A method for programs of operators. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of that name")]
pub enum ApiOperatorMethod {
    ConnectionsList,
    RoomsTop,
    DeadLettersList,
    DeadLettersRequeue,
    DeadLettersDrop,
    QuarantineList,
    QuarantineSet,
    QuarantineLift,
    DrainStart,
    DrainStatus,
}

impl ApiOperatorMethod {
    fn name(self) -> &'static str {
        match self {
            ApiOperatorMethod::ConnectionsList => "connections.list",
            ApiOperatorMethod::RoomsTop => "rooms.top",
            ApiOperatorMethod::DeadLettersList => "dead_letters.list",
            ApiOperatorMethod::DeadLettersRequeue => "dead_letters.requeue",
            ApiOperatorMethod::DeadLettersDrop => "dead_letters.drop",
            ApiOperatorMethod::QuarantineList => "quarantine.list",
            ApiOperatorMethod::QuarantineSet => "quarantine.set",
            ApiOperatorMethod::QuarantineLift => "quarantine.lift",
            ApiOperatorMethod::DrainStart => "drain.start",
            ApiOperatorMethod::DrainStatus => "drain.status",
        }
    }
}

/// A chat method that backends call as a user. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of that name")]
pub enum ApiChatMethod {
    Publish,
    Send,
    Retract,
    Edit,
    React,
    Read,
    Ack,
    Receipts,
    Rooms,
    Join,
    Leave,
    Invite,
    Kick,
    SetRole,
    Roster,
    Mute,
    Members,
    Typing,
    Reactions,
    History,
}

impl ApiChatMethod {
    /// The same, as clients call it.
    pub fn method(self) -> Method {
        match self {
            ApiChatMethod::Publish => Method::Publish,
            ApiChatMethod::Send => Method::Send,
            ApiChatMethod::Retract => Method::Retract,
            ApiChatMethod::Edit => Method::Edit,
            ApiChatMethod::React => Method::React,
            ApiChatMethod::Read => Method::Read,
            ApiChatMethod::Ack => Method::Ack,
            ApiChatMethod::Receipts => Method::Receipts,
            ApiChatMethod::Rooms => Method::Rooms,
            ApiChatMethod::Join => Method::Join,
            ApiChatMethod::Leave => Method::Leave,
            ApiChatMethod::Invite => Method::Invite,
            ApiChatMethod::Kick => Method::Kick,
            ApiChatMethod::SetRole => Method::SetRole,
            ApiChatMethod::Roster => Method::Roster,
            ApiChatMethod::Mute => Method::Mute,
            ApiChatMethod::Members => Method::Members,
            ApiChatMethod::Typing => Method::Typing,
            ApiChatMethod::Reactions => Method::Reactions,
            ApiChatMethod::History => Method::History,
        }
    }

    /// Whether a backend may say that it moderates: it does so by the user's own right or role otherwise.
    pub fn may_moderate(self) -> bool {
        match self {
            ApiChatMethod::Retract
            | ApiChatMethod::Invite
            | ApiChatMethod::Kick
            | ApiChatMethod::SetRole => true,
            ApiChatMethod::Publish
            | ApiChatMethod::Send
            | ApiChatMethod::Edit
            | ApiChatMethod::React
            | ApiChatMethod::Read
            | ApiChatMethod::Ack
            | ApiChatMethod::Receipts
            | ApiChatMethod::Rooms
            | ApiChatMethod::Join
            | ApiChatMethod::Leave
            | ApiChatMethod::Roster
            | ApiChatMethod::Mute
            | ApiChatMethod::Members
            | ApiChatMethod::Typing
            | ApiChatMethod::Reactions
            | ApiChatMethod::History => false,
        }
    }

    /// Its name, which is that of clients.
    fn name(self) -> &'static str {
        match self {
            ApiChatMethod::Publish => "chat.publish",
            ApiChatMethod::Send => "chat.send",
            ApiChatMethod::Retract => "chat.retract",
            ApiChatMethod::Edit => "chat.edit",
            ApiChatMethod::React => "chat.react",
            ApiChatMethod::Read => "chat.read",
            ApiChatMethod::Ack => "chat.ack",
            ApiChatMethod::Receipts => "chat.receipts",
            ApiChatMethod::Rooms => "chat.rooms",
            ApiChatMethod::Join => "chat.join",
            ApiChatMethod::Leave => "chat.leave",
            ApiChatMethod::Invite => "chat.invite",
            ApiChatMethod::Kick => "chat.kick",
            ApiChatMethod::SetRole => "chat.set_role",
            ApiChatMethod::Roster => "chat.roster",
            ApiChatMethod::Mute => "chat.mute",
            ApiChatMethod::Members => "chat.members",
            ApiChatMethod::Typing => "chat.typing",
            ApiChatMethod::Reactions => "chat.reactions",
            ApiChatMethod::History => "chat.history",
        }
    }
}

impl ApiMethod {
    /// All of them.
    pub const ALL: [ApiMethod; 51] = [
        ApiMethod::Publish,
        ApiMethod::Broadcast,
        ApiMethod::Presence,
        ApiMethod::PresenceStats,
        ApiMethod::History,
        ApiMethod::HistoryRemove,
        ApiMethod::Info,
        ApiMethod::Channels,
        ApiMethod::Connections,
        ApiMethod::Disconnect,
        ApiMethod::Subscribe,
        ApiMethod::Unsubscribe,
        ApiMethod::Refresh,
        ApiMethod::BlockUser,
        ApiMethod::UnblockUser,
        ApiMethod::RevokeToken,
        ApiMethod::InvalidateUserTokens,
        ApiMethod::BlockAddress,
        ApiMethod::UnblockAddress,
        ApiMethod::Blocks,
        ApiMethod::Batch,
        ApiMethod::Chat(ApiChatMethod::Publish),
        ApiMethod::Chat(ApiChatMethod::Send),
        ApiMethod::Chat(ApiChatMethod::Retract),
        ApiMethod::Chat(ApiChatMethod::Edit),
        ApiMethod::Chat(ApiChatMethod::React),
        ApiMethod::Chat(ApiChatMethod::Read),
        ApiMethod::Chat(ApiChatMethod::Ack),
        ApiMethod::Chat(ApiChatMethod::Receipts),
        ApiMethod::Chat(ApiChatMethod::Rooms),
        ApiMethod::Chat(ApiChatMethod::Join),
        ApiMethod::Chat(ApiChatMethod::Leave),
        ApiMethod::Chat(ApiChatMethod::Invite),
        ApiMethod::Chat(ApiChatMethod::Kick),
        ApiMethod::Chat(ApiChatMethod::SetRole),
        ApiMethod::Chat(ApiChatMethod::Roster),
        ApiMethod::Chat(ApiChatMethod::Mute),
        ApiMethod::Chat(ApiChatMethod::Members),
        ApiMethod::Chat(ApiChatMethod::Typing),
        ApiMethod::Chat(ApiChatMethod::Reactions),
        ApiMethod::Chat(ApiChatMethod::History),
        ApiMethod::Operator(ApiOperatorMethod::ConnectionsList),
        ApiMethod::Operator(ApiOperatorMethod::RoomsTop),
        ApiMethod::Operator(ApiOperatorMethod::DeadLettersList),
        ApiMethod::Operator(ApiOperatorMethod::DeadLettersRequeue),
        ApiMethod::Operator(ApiOperatorMethod::DeadLettersDrop),
        ApiMethod::Operator(ApiOperatorMethod::QuarantineList),
        ApiMethod::Operator(ApiOperatorMethod::QuarantineSet),
        ApiMethod::Operator(ApiOperatorMethod::QuarantineLift),
        ApiMethod::Operator(ApiOperatorMethod::DrainStart),
        ApiMethod::Operator(ApiOperatorMethod::DrainStatus),
    ];

    /// Its name in the path of a request, and in a batch.
    pub fn name(self) -> &'static str {
        match self {
            ApiMethod::Publish => "publish",
            ApiMethod::Broadcast => "broadcast",
            ApiMethod::Presence => "presence",
            ApiMethod::PresenceStats => "presence_stats",
            ApiMethod::History => "history",
            ApiMethod::HistoryRemove => "history_remove",
            ApiMethod::Info => "info",
            ApiMethod::Channels => "channels",
            ApiMethod::Connections => "connections",
            ApiMethod::Disconnect => "disconnect",
            ApiMethod::Subscribe => "subscribe",
            ApiMethod::Unsubscribe => "unsubscribe",
            ApiMethod::Refresh => "refresh",
            ApiMethod::BlockUser => "block_user",
            ApiMethod::UnblockUser => "unblock_user",
            ApiMethod::RevokeToken => "revoke_token",
            ApiMethod::InvalidateUserTokens => "invalidate_user_tokens",
            ApiMethod::BlockAddress => "block_address",
            ApiMethod::UnblockAddress => "unblock_address",
            ApiMethod::Blocks => "blocks",
            ApiMethod::Batch => "batch",
            ApiMethod::Chat(chat) => chat.name(),
            ApiMethod::Operator(operator) => operator.name(),
        }
    }

    /// Its name as a part of others: the same without a dot.
    pub fn title(self) -> String {
        if let ApiMethod::Chat(chat) = self {
            return format!("Chat{chat:?}");
        }
        if let ApiMethod::Operator(operator) = self {
            return format!("{operator:?}");
        }
        format!("{self:?}")
    }

    /// The method of this name.
    pub fn from_name(name: &str) -> Option<ApiMethod> {
        ApiMethod::ALL.into_iter().find(|method| method.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_found_by_its_name_and_a_chat_method_is_that_of_clients() {
        for method in ApiMethod::ALL {
            assert_eq!(ApiMethod::from_name(method.name()), Some(method));
            assert!(method.title().bytes().all(|byte| byte.is_ascii_alphanumeric()));
            if let ApiMethod::Chat(chat) = method {
                let name = chat.name().strip_prefix("chat.").unwrap();
                assert_eq!(Method::named(name), Some(chat.method()));
            }
        }
        assert_eq!(ApiMethod::from_name("chat.nothing"), None);
    }
}
