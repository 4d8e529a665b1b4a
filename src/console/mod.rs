//! The operator console, as far as it is decided: who is let in, what a request may do, what it
//! asks for, what is written down of it, and what one sample of the server looks like.
//!
//! | file | |
//! |---|---|
//! | `operators` | names, tokens and roles, as the configuration has them |
//! | `sessions` | who is signed in, until when |
//! | `origin` | hosts and origins that a page of ours can have |
//! | `access` | from the head of a request to who asks, or why not |
//! | `act` | what an operator does, out of the body of a request |
//! | `audit` | what was done and refused, and the last of both |
//! | `measures`, `sample` | the numbers of all cores at one moment, as JSON |
//! | `firing_alerts` | what fires now, out of an answer of Alertmanager |
//! | `largest_rooms` | rooms by their members, in pages |
//! | `blocked` | who is kept out, in pages |
//! | `dead_letters` | dead letters of all tenants, in pages |
//! | `recent` | an answer that is good for a while, for whoever asks meanwhile |
//!
//! Invariants: nobody is let in but by a token or a session that began with one; each answer has
//! a bound that does not grow with connections, rooms or users.
//!
//! Deliberately absent: HTTP (`admin`), and who does what an operator wants (`server`).
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod access;
mod act;
mod audit;
mod blocked;
mod dead_letters;
mod firing_alerts;
mod largest_rooms;
mod measures;
mod operators;
mod origin;
mod recent;
mod sample;
mod sessions;

pub use access::{AccessError, AccessKind, ConsoleAccess, RequestHead, SignIn};
pub use act::{ActError, NamedLetters, OperatorAct};
pub use audit::{AuditAction, AuditEvent, AuditOutcome, AuditTrail, AuditVia, EVENTS_MAX};
pub use blocked::{BlockedQuery, BlockedQueryError, BlockedRows};
pub use dead_letters::{DeadLetterRow, DeadLetterRows, DeadLettersWanted, DeadLettersWantedError};
pub use firing_alerts::{ALERTS_MAX, AlertsAnswer, AlertsAnswerError, FiringAlert, FiringAlerts};
pub use largest_rooms::{LargestRooms, PAGE_ROWS, ROOMS_MAX, RoomRow};
pub use operators::{ADMIN, OPERATORS_MAX, Operator, OperatorRole, Operators};
pub use origin::{ORIGINS_MAX, PageOrigin};
pub use recent::Recent;
pub use sample::{SAMPLE_MS_MIN, ServerFacts, sample, tenants};
pub use sessions::{COOKIE, SESSION_MS_MAX, SessionSecrets, SessionView};
