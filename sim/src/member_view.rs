//! Who is in a channel, by what one reader was told: the presence list that it asked
//! for, and each join and leave behind it.
//!
//! Deliberately absent: who really is there. The same reader asks again when all is
//! quiet, and both answers have to agree.

use std::collections::BTreeSet;

use rookery::room::JoinLeaveScope;
use rookery::wire::client::proto::{ClientInfo, PresenceResult};

use crate::violation::{CheckResult, Checker, demand};

/// Whether a subscription asked to be told of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberEvents {
    /// Who comes and goes.
    Members,
    /// Messages only.
    Messages,
}

/// The list of one channel as one reader keeps it.
#[derive(Debug)]
pub struct MemberView {
    member_events: MemberEvents,
    /// `None` before it asked, and when it was told that the list is another one.
    known: Option<BTreeSet<String>>,
    /// Who was in one of both lists only at the first look.
    uncertain: BTreeSet<String>,
}

impl MemberView {
    /// It is in, and has not asked who else is.
    pub fn new(member_events: MemberEvents) -> MemberView {
        MemberView { member_events, known: None, uncertain: BTreeSet::new() }
    }

    /// Whether it has a list that others can be held to.
    pub fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// The list as the server tells it. Somebody may have left a moment ago whose leaving
    /// is told in numbers later; so what differs at the first look is an error if it
    /// still does at the second.
    pub fn listed(
        &mut self,
        of: JoinLeaveScope,
        channel: &str,
        all: &PresenceResult,
        look: MemberCheck,
    ) -> CheckResult {
        let listed: BTreeSet<String> = all.presence.values().map(|info| name(of, info)).collect();
        let odd: BTreeSet<String> = match &self.known {
            Some(known) => known.symmetric_difference(&listed).cloned().collect(),
            None => BTreeSet::new(),
        };
        match look {
            MemberCheck::None => (),
            MemberCheck::First if !odd.is_empty() => {
                self.uncertain = odd;
                return Ok(());
            }
            MemberCheck::First => self.uncertain.clear(),
            MemberCheck::Second => {
                let wrong = odd.intersection(&self.uncertain).next();
                demand(wrong.is_none(), Checker::MemberView, || {
                    let known = &self.known;
                    format!("{channel}: {known:?} by join and leave, {listed:?} by presence")
                })?;
            }
        }
        self.known = (self.member_events == MemberEvents::Members).then_some(listed);
        Ok(())
    }

    /// Somebody came.
    pub fn joined(&mut self, of: JoinLeaveScope, info: &ClientInfo) {
        if let Some(known) = &mut self.known {
            known.insert(name(of, info));
        }
    }

    /// Somebody left.
    pub fn left(&mut self, of: JoinLeaveScope, info: &ClientInfo) {
        if let Some(known) = &mut self.known {
            known.remove(&name(of, info));
        }
    }

    /// It was told in numbers: the list has to be read anew.
    pub fn is_another(&mut self) {
        self.known = None;
    }
}

/// Whether a presence list is held against what its reader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberCheck {
    /// It is not: news may be under way.
    None,
    /// What differs is remembered.
    First,
    /// What still differs is an error.
    Second,
}

/// As what somebody comes and goes.
fn name(of: JoinLeaveScope, info: &ClientInfo) -> String {
    match of {
        JoinLeaveScope::Users if !info.user.is_empty() => format!("user {}", info.user),
        JoinLeaveScope::Users | JoinLeaveScope::Clients => info.client.clone(),
    }
}
