//! The namespaces that there are when the operator lists none.
//!
//! Deliberately absent: what each setting of one means (`lists`).

use crate::base::limits;
use crate::room::{Namespace, Who};

/// What holds when the operator lists none.
pub(super) fn standard_namespaces() -> Vec<Namespace> {
    let with_history = Namespace {
        see_history: Who::Subscribers,
        history_count_max: 10_000,
        history_bytes_max: 16 << 20,
        ..Namespace::default()
    };
    let room = Namespace {
        name: "room".to_owned(),
        publish: Who::Subscribers,
        see_presence: Who::Subscribers,
        presence: true,
        join_leave: true,
        ..with_history.clone()
    };
    let news = Namespace { name: "news".to_owned(), subscribe: Who::Users, ..with_history.clone() };
    let inbox = Namespace {
        name: "@".to_owned(),
        subscribe: Who::Nobody,
        publish: Who::Token,
        members_max: limits::CHANNELS_PER_CONNECTION_MAX as u32,
        ..with_history.clone()
    };
    let talk = Namespace {
        name: "dm".to_owned(),
        subscribe: Who::Users,
        publish: Who::Users,
        see_presence: Who::Subscribers,
        presence: true,
        members_max: limits::CHANNELS_PER_CONNECTION_MAX as u32,
        ..with_history
    };
    vec![room, news, inbox, talk]
}
