//! The alert bridge: from Alertmanager's webhook to the group chats of people, and
//! nothing lost on the way. A process of its own: it must speak when the server cannot.
//!
//! Decisions are apart from actions, in submodules of which each uses only those above it:
//!
//! | room | what it is for |
//! |---|---|
//! | `options` | what an operator may set |
//! | `model` | what the bridge speaks of: alerts, what waits, what was told |
//! | `message` | what stands in a message, and what each kind of robot takes |
//! | `core` | takes what comes in and says what is to be kept, asked, sent and done |
//! | `io` | does it: a queue on the disk, an HTTP client, pages |
//!
//! Invariants: what was answered with 200 is on the disk; that a message leaves is on
//! the disk before it leaves; nothing that a stranger wrote reaches a chat with a
//! meaning; tokens are in no log, error, metric or file of the bridge's own.
//!
//! Deliberately absent: the chat server.
#![forbid(unsafe_code)]

mod core;
mod io;
mod message;
mod model;
mod options;

pub use io::{BridgeEnd, BridgeError, TrialResult, run, try_route};
pub use message::template::{Templates, built_in as built_in_templates, name as template_name};
pub use message::{BridgeSettings, check as check_template};
pub use options::{
    AlertAction, Language, Messenger, Options, Person, Robot, Route, STANDARD, Secret,
};
