//! Sends unacknowledged critical alerts to the escalation chat, and takes acknowledgements.
//!
//! Invariant: the escalation chat is told of the end of each alert that it was told of.
//!
//! Deliberately absent: the list of unacknowledged groups (`escalation`).

use super::call::Call;
use super::counts::Count;
use super::known::fires_in;
use super::parts::Parts;
use crate::alert::model::pending::{ChatQueue, QueuedAlerts};
use crate::alert::model::text;
use crate::alert::options::Language;

/// Prefix of the group keys of messages that say who acknowledged. No group key of Alertmanager
/// begins with it.
const WORDS_KEY: &str = "\u{1}acknowledged ";

/// Queues for the escalation chat what nobody has acknowledged in time.
pub(super) fn escalate(parts: &mut Parts, call: &mut Call<'_>) {
    let options = call.options();
    let due = parts.escalations.due(call.now(), options).into_iter();
    let due: Vec<(ChatQueue, String)> =
        due.filter(|(_, chat)| parts.pair.may_send(call.now(), options, chat)).collect();
    for (key, chat) in due {
        let Some((route, true)) = options.route(&key.route) else { continue };
        let after_s = route.escalate_after_s;
        let Some(mut pending) = parts.escalations.escalate(&key, after_s, call) else { continue };
        let chat_queue = ChatQueue { chat, ..key };
        // The other bridge may have sent them before it failed.
        pending.lines.retain(|fingerprint, _| !fires_in(parts, &chat_queue, fingerprint));
        if !pending.is_empty() {
            parts.counts.add(Count::Escalated, pending.lines.len() as u64);
            parts.queue.put_back(chat_queue, pending, call);
        }
    }
}

/// A user acknowledges a group. False when there is nothing to acknowledge.
pub(super) fn acknowledge(
    parts: &mut Parts,
    route: &str,
    group_key: &str,
    who: &str,
    call: &mut Call<'_>,
) -> bool {
    let key =
        ChatQueue { route: route.to_owned(), chat: String::new(), group_key: group_key.to_owned() };
    let Some(group) = parts.escalations.acknowledge(&key, call) else { return false };
    let Some((route, true)) = call.options().route(route) else { return true };
    let mut names: Vec<String> = group.names().map(|name| text::of_operator(name, 100)).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(5);
    let (who, names) = (text::of_operator(who, 64), names.join(", "));
    let words = match route.language {
        Language::En => format!("{who} takes care of {names}"),
        Language::Zh => format!("{who} 已接手处理：{names}"),
    };
    let second = Some(&route.escalation).filter(|_| group.was_escalated());
    for chat in route.chats.iter().chain(second) {
        let chat_queue = ChatQueue {
            route: key.route.clone(),
            chat: chat.clone(),
            group_key: format!("{WORDS_KEY}{group_key}"),
        };
        let pending = QueuedAlerts {
            words: vec![words.clone()],
            since_ms: call.now().unix_ms,
            ..QueuedAlerts::default()
        };
        parts.queue.put_back(chat_queue, pending, call);
    }
    true
}
