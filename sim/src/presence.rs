//! What cores say to the presence feed, held against who is there.
//!
//! Deliberately absent: what the feed makes of it, which has a world of its own
//! (`src/presence_feed/tests/world.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use rookery::base::ConnId;
use rookery::presence_feed::{PresenceFact, UserKey};
use rookery::shard::{PresentConn, Shard};

use crate::mutation::{Mutation, Mutator};
use crate::violation::{CheckResult, Checker, demand};

/// After so many steps a core's facts of one turn are lost, and it is told to say anew all that is
/// there.
const STEPS_PER_LOSS: u64 = 61;

/// What all cores have said.
#[derive(Default)]
pub struct SaidPresence(Vec<SaidByCore>);

#[derive(Default)]
struct SaidByCore {
    conns: BTreeMap<ConnId, SaidConn>,
    pass: u32,
    /// Something was lost, and is not said anew yet.
    has_gap: bool,
}

#[derive(Default)]
struct SaidConn {
    is_named: bool,
    /// In which pass it was heard of last.
    pass: u32,
    /// By channel, the same.
    channels: BTreeMap<Arc<str>, u32>,
}

impl SaidPresence {
    /// Nobody has said anything.
    pub fn new(cores_count: usize) -> SaidPresence {
        SaidPresence((0..cores_count).map(|_| SaidByCore::default()).collect())
    }

    /// Takes what a core has said in a turn, or loses it.
    pub fn take(&mut self, core: usize, step: u64, shard: &mut Shard, mutator: &mut Mutator) {
        let said = &mut self.0[core];
        let facts = shard.presence_facts();
        if !facts.is_empty() && mutator.applies(Mutation::LosePresence) {
            facts.remove(0);
        }
        if !facts.is_empty() && step.is_multiple_of(STEPS_PER_LOSS) {
            facts.clear();
            said.has_gap = true;
            shard.say_all_present();
            return;
        }
        facts.drain(..).for_each(|fact| said.take(fact));
    }

    /// Whether a core has said who is there, and nobody else.
    pub fn check(&self, core: usize, present: &[PresentConn]) -> CheckResult {
        let said = &self.0[core];
        if said.has_gap {
            return Ok(());
        }
        let known = said.conns.iter().map(|(&conn, known)| PresentConn {
            conn,
            is_named: known.is_named,
            subscriptions_count: known.channels.len(),
        });
        // Who has no name is told of by channels alone.
        let is_told = |one: &PresentConn| one.is_named || one.subscriptions_count != 0;
        let known: Vec<PresentConn> = known.filter(is_told).collect();
        let present: Vec<PresentConn> = present.iter().copied().filter(is_told).collect();
        demand!(
            known == present,
            Checker::Presence,
            "core {core} has said {known:?} where there are {present:?}"
        )
    }
}

impl SaidByCore {
    fn conn(&mut self, conn: ConnId, user: &UserKey) -> &mut SaidConn {
        let known = self.conns.entry(conn).or_default();
        known.is_named = user.is_named();
        known.pass = self.pass;
        known
    }

    fn take(&mut self, fact: PresenceFact) {
        match fact {
            PresenceFact::Connected { user, conn } => {
                self.conn(conn.conn, &user);
            }
            PresenceFact::Gone { conn, .. } => {
                self.conns.remove(&conn.conn);
            }
            PresenceFact::Entered { user, conn, channel } => {
                let pass = self.pass;
                self.conn(conn.conn, &user).channels.insert(channel, pass);
            }
            PresenceFact::Left { conn, channel, .. } => {
                if let Some(known) = self.conns.get_mut(&conn.conn) {
                    known.channels.remove(&channel);
                }
            }
            PresenceFact::MessageWaits(_)
            | PresenceFact::SaidInGroup(_)
            | PresenceFact::StoredMessageWaits(_)
            | PresenceFact::DeadLetter(_) => (),
            PresenceFact::PassBegan(_) => self.pass += 1,
            PresenceFact::PassEnded(_) => {
                let pass = self.pass;
                self.conns.retain(|_, known| known.pass == pass);
                for known in self.conns.values_mut() {
                    known.channels.retain(|_, heard| *heard == pass);
                }
                self.has_gap = false;
            }
        }
    }
}
