//! Pages of who is there, for backends that have missed something.
//!
//! Deliberately absent: HTTP and keys (`api_listener`), and what is in a page (`presence_feed`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time;

use super::presence_keeper::{FeedAsk, FeedLink, StateKind, StatePage, StateQuestion};
use crate::auth::{ApiKey, ApiScope};
use crate::presence_feed::{ChannelState, FeedPage, UserState};
use crate::wire::ErrorCode;
use crate::wire::api::{ApiStateCall, ApiStateKind};

/// How long the feed may take for a page: its disk may be slow.
const PAGE_MS_MAX: u64 = 5_000;

/// The body of an answer.
#[derive(Serialize)]
struct StateAnswer<'a> {
    result: StateResult<'a>,
}

#[derive(Serialize)]
struct StateResult<'a> {
    epoch: String,
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Vec<UserJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<ChannelJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct UserJson<'a> {
    user: &'a str,
    number: u64,
    since: u64,
    channels: Vec<&'a str>,
}

#[derive(Serialize)]
struct ChannelJson<'a> {
    channel: &'a str,
    number: u64,
    since: u64,
}

/// The body that answers a call, with what the key covers. Whether there is a feed is nothing for
/// a key without the right.
pub(super) async fn state_body(
    link: Option<&FeedLink>,
    key: &ApiKey,
    call: ApiStateCall<'_>,
) -> Result<Bytes, ErrorCode> {
    let ApiStateCall { of, after, limit } = call;
    let (scope, of) = match of {
        ApiStateKind::Users => (ApiScope::Connections, StateKind::Users),
        ApiStateKind::Channels => (ApiScope::Channels, StateKind::Channels),
    };
    if !key.scopes.contains(scope) {
        return Err(ErrorCode::PermissionDenied);
    }
    let link = link.ok_or(ErrorCode::NotAvailable)?;
    let (done, page) = oneshot::channel();
    let (tenant, after) = (Arc::from(&*key.tenant), Arc::from(&*after));
    let entries_max = limit as usize;
    link.ask(FeedAsk::State(StateQuestion { tenant, of, after, entries_max, done }));
    let page = time::timeout(Duration::from_millis(PAGE_MS_MAX), page).await;
    // It did not answer in time, has ended, or has a disk that fails.
    let page = page.ok().and_then(Result::ok).flatten().ok_or(ErrorCode::Internal)?;
    Ok(body_of(&page, key))
}

fn body_of(page: &StatePage, key: &ApiKey) -> Bytes {
    let result = match page {
        StatePage::Users(page) => {
            let users = page.entries.iter().map(|state| user_json(state, key)).collect();
            StateResult { users: Some(users), ..of_page(page) }
        }
        StatePage::Channels(page) => {
            let covered = page.entries.iter().filter(|state| key.covers(&state.channel));
            let channels = covered.map(channel_json).collect();
            StateResult { channels: Some(channels), ..of_page(page) }
        }
    };
    serde_json::to_vec(&StateAnswer { result }).expect("it is texts and numbers").into()
}

fn user_json<'a>(state: &'a UserState, key: &ApiKey) -> UserJson<'a> {
    let names = state.channels.iter().map(|name| &**name);
    UserJson {
        user: &state.user,
        number: state.number,
        since: state.since_unix_ms,
        channels: names.filter(|name| key.covers(name)).collect(),
    }
}

fn channel_json(state: &ChannelState) -> ChannelJson<'_> {
    ChannelJson { channel: &state.channel, number: state.number, since: state.since_unix_ms }
}

fn of_page<T>(page: &FeedPage<T>) -> StateResult<'_> {
    StateResult {
        epoch: format!("{:016x}", page.epoch),
        number: page.number,
        users: None,
        channels: None,
        next: page.next.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::SecretHash;

    fn key(channels: &str) -> ApiKey {
        ApiKey {
            name: "shop".into(),
            hash: SecretHash::of(b"key"),
            scopes: [ApiScope::Connections].into_iter().collect(),
            tenant: "".into(),
            channels: vec![channels.into()],
        }
    }

    #[test]
    fn a_page_has_its_number_and_the_channels_that_the_key_covers() {
        let ann = UserState {
            tenant: "".into(),
            user: "ann".into(),
            number: 7,
            since_unix_ms: 1_700,
            channels: vec!["room:1".into(), "staff:1".into()],
        };
        let page = FeedPage { epoch: 10, number: 9, entries: vec![ann], next: Some("ann".into()) };
        assert_eq!(
            body_of(&StatePage::Users(page), &key("room:*")),
            "{\"result\":{\"epoch\":\"000000000000000a\",\"number\":9,\"users\":[{\"user\":\"ann\",\
             \"number\":7,\"since\":1700,\"channels\":[\"room:1\"]}],\"next\":\"ann\"}}"
        );
        let channel = |name: &str| ChannelState {
            tenant: "".into(),
            channel: name.into(),
            number: 3,
            since_unix_ms: 4,
        };
        let entries = vec![channel("room:1"), channel("staff:1")];
        let page = FeedPage { epoch: 10, number: 9, entries, next: None };
        assert_eq!(
            body_of(&StatePage::Channels(page), &key("staff:*")),
            "{\"result\":{\"epoch\":\"000000000000000a\",\"number\":9,\"channels\":[{\"channel\":\
             \"staff:1\",\"number\":3,\"since\":4}]}}"
        );
    }
}
