//! The namespaces that there are when the operator lists none.
//!
//! Deliberately absent: what each setting of one means (`lists`).

use crate::base::limits;
use crate::room::{Namespace, Permission};

/// What holds when the operator lists none.
pub(super) fn standard_namespaces() -> Vec<Namespace> {
    let with_history = Namespace {
        see_history: Permission::Subscribers,
        history_count_max: 10_000,
        history_bytes_max: 16 << 20,
        ..Namespace::default()
    };
    let room = Namespace {
        name: "room".to_owned(),
        publish: Permission::Subscribers,
        see_presence: Permission::Subscribers,
        presence: true,
        join_leave: true,
        ..with_history.clone()
    };
    let news =
        Namespace { name: "news".to_owned(), subscribe: Permission::Users, ..with_history.clone() };
    let inbox = Namespace {
        name: "@".to_owned(),
        subscribe: Permission::Nobody,
        publish: Permission::Token,
        members_max: limits::CHANNELS_PER_CONNECTION_MAX as u32,
        ..with_history.clone()
    };
    let talk = Namespace {
        name: "dm".to_owned(),
        subscribe: Permission::Users,
        publish: Permission::Users,
        see_presence: Permission::Subscribers,
        presence: true,
        members_max: limits::CHANNELS_PER_CONNECTION_MAX as u32,
        ..with_history
    };
    vec![room, news, inbox, talk]
}
