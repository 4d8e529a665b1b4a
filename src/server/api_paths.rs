//! Where the methods of the server API are: those of other servers right below `/api/`, and those of
//! our own below `/api/v1/`.
//!
//! Deliberately absent: what stands beside the methods (`openapi`).

use crate::wire::api::ApiMethod;

/// Before the names of methods that other servers have, too.
const METHODS_PATH: &str = "/api/";

/// Before those of our own that stand in no other server's API.
const OWN_METHODS_PATH: &str = "/api/v1/";

/// The path of a method.
pub(super) fn path_of(method: ApiMethod) -> String {
    format!("{}{}", before(method), method.name())
}

/// The method at a path.
pub(super) fn method_at(path: &str) -> Option<ApiMethod> {
    let (_, name) = path.rsplit_once('/')?;
    ApiMethod::from_name(name).filter(|&method| path_of(method) == path)
}

fn before(method: ApiMethod) -> &'static str {
    match method {
        ApiMethod::Chat(_) | ApiMethod::Operator(_) => OWN_METHODS_PATH,
        ApiMethod::Publish
        | ApiMethod::Broadcast
        | ApiMethod::Presence
        | ApiMethod::PresenceStats
        | ApiMethod::History
        | ApiMethod::HistoryRemove
        | ApiMethod::Info
        | ApiMethod::Channels
        | ApiMethod::Connections
        | ApiMethod::Disconnect
        | ApiMethod::Subscribe
        | ApiMethod::Unsubscribe
        | ApiMethod::Refresh
        | ApiMethod::BlockUser
        | ApiMethod::UnblockUser
        | ApiMethod::RevokeToken
        | ApiMethod::InvalidateUserTokens
        | ApiMethod::BlockAddress
        | ApiMethod::UnblockAddress
        | ApiMethod::Blocks
        | ApiMethod::Batch => METHODS_PATH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api::ApiChatMethod;

    #[test]
    fn a_method_stands_at_its_path_and_nowhere_else() {
        for method in ApiMethod::ALL {
            assert_eq!(method_at(&path_of(method)), Some(method));
        }
        let send = ApiMethod::Chat(ApiChatMethod::Send);
        assert_eq!(path_of(send), "/api/v1/chat.send");
        for path in ["/api/chat.send", "/api/v1/publish", "/publish", "publish", "/api/", ""] {
            assert_eq!(method_at(path), None, "{path}");
        }
    }
}
