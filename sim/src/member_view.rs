//! Who is in each channel, by what one reader was told: the presence list that it asked
//! for, and each join and leave behind it.
//!
//! Deliberately absent: who really is there. The same reader asks again when all is
//! quiet, and both answers have to agree.

use std::collections::{BTreeMap, BTreeSet};

use rookery::room::JoinLeaveScope;
use rookery::wire::client::ClientPush;
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

/// Who is in the channels that one reader is in.
#[derive(Debug, Default)]
pub struct MemberViews(BTreeMap<String, MemberView>);

/// The list of one channel as one reader keeps it.
#[derive(Debug)]
struct MemberView {
    member_events: MemberEvents,
    /// `None` before it asked, and when it was told that the list is another one.
    known: Option<BTreeSet<String>>,
    /// Who was in one of both lists only at the first look.
    uncertain: BTreeSet<String>,
}

impl MemberViews {
    /// It is in this channel, and may ask from now on who else is.
    pub fn begin(&mut self, channel: &str, asked: MemberEvents) {
        let member_events =
            if channel.starts_with("news:") { MemberEvents::Members } else { asked };
        let view = MemberView { member_events, known: None, uncertain: BTreeSet::new() };
        self.0.insert(channel.to_owned(), view);
    }

    /// It is in this channel no more.
    pub fn end(&mut self, channel: &str) {
        self.0.remove(channel);
    }

    /// It is in none.
    pub fn end_all(&mut self) {
        self.0.clear();
    }

    /// Channels with a list that others can be held to.
    pub fn known(&self) -> Vec<String> {
        let known = self.0.iter().filter(|(_, view)| view.known.is_some());
        known.map(|(channel, _)| channel.clone()).collect()
    }

    /// The list of a channel as the server tells it.
    pub fn listed(
        &mut self,
        of: JoinLeaveScope,
        channel: &str,
        all: &PresenceResult,
        look: MemberCheck,
    ) -> CheckResult {
        self.0.get_mut(channel).map_or(Ok(()), |view| view.listed(of, channel, all, look))
    }

    /// Somebody came or went, or many did. True when the list has to be read anew.
    pub fn on_join_leave(&mut self, of: JoinLeaveScope, channel: &str, push: &ClientPush) -> bool {
        let Some(view) = self.0.get_mut(channel) else { return false };
        match push {
            ClientPush::Join(join) => view.joined(of, join),
            ClientPush::Leave(leave) => view.left(of, leave),
            ClientPush::Message(message) if message.starts_with(b"{\"crowd\"") => {
                // It was told in numbers.
                view.known = None;
                return true;
            }
            _ => (),
        }
        false
    }
}

impl MemberView {
    /// The list as the server tells it. Somebody may have left a moment ago whose leaving
    /// is told in numbers later; so what differs at the first look is an error if it
    /// still does at the second.
    fn listed(
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
                let known = &self.known;
                demand!(
                    wrong.is_none(),
                    Checker::MemberView,
                    "{channel}: {known:?} by join and leave, {listed:?} by presence"
                )?;
            }
        }
        self.known = (self.member_events == MemberEvents::Members).then_some(listed);
        Ok(())
    }

    /// Somebody came.
    fn joined(&mut self, of: JoinLeaveScope, info: &ClientInfo) {
        if let Some(known) = &mut self.known {
            known.insert(name(of, info));
        }
    }

    /// Somebody left.
    fn left(&mut self, of: JoinLeaveScope, info: &ClientInfo) {
        if let Some(known) = &mut self.known {
            known.remove(&name(of, info));
        }
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
