//! A backend that removes what was said in channels, by the server API.
//!
//! Deliberately absent: what must be gone then (`removal_oracle`).

use std::collections::BTreeMap;

use rookery::base::{Prng, RoomId, UserHash};
use rookery::room::{ChannelKey, HistoryRemoval, RoomOp, RoomReply};
use rookery::session::{NameKey, namespace_of};
use rookery::shard::{
    ServerAnswer, ServerAsk, ServerOp, ServerQuestion, ServerReply, ShardCommand, home,
};

use crate::oracle::Oracle;
use crate::removal_oracle::Heads;
use crate::scenario::{Scenario, parties};

/// Removals that a core has not answered: there is room in its lane for these and others.
const OPEN_MAX: usize = 6;

/// See the module.
pub struct Remover {
    prng: Prng,
    next_id: u32,
    /// Removals under way, by core and number.
    open: BTreeMap<(usize, u32), OpenRemoval>,
}

struct OpenRemoval {
    channel: &'static str,
    /// What had been told of the channel when it was asked for.
    heads: Heads,
}

impl Remover {
    /// Nothing is removed yet.
    pub fn new(seed: u64) -> Remover {
        let prng = Prng::from_seed(seed ^ 0x4E_0FE);
        Remover { prng, next_id: 0, open: BTreeMap::new() }
    }

    /// Perhaps removes what was said in a channel: the core that is asked, and what.
    pub fn act(
        &mut self,
        scenario: &Scenario,
        names: NameKey,
        oracle: &mut Oracle,
    ) -> Option<(usize, ShardCommand)> {
        if scenario.removals_per_1_000 <= self.prng.below(1_000) {
            return None;
        }
        let channels = scenario.channels();
        let channel = channels[self.prng.below(channels.len() as u64) as usize];
        let namespaces = &scenario.options.room.namespaces;
        let namespace = namespace_of(namespaces, channel)?;
        if !namespaces[usize::from(namespace)].keeps_history() {
            return None;
        }
        let room = names.room("", channel);
        let channel_key = ChannelKey { tenant: "".into(), channel: channel.into(), namespace };
        let parties = parties(channel).map(|users| users.map(|user| names.inbox("", user)));
        let removal = Box::new(HistoryRemoval { channel_key, parties });
        self.next_id += 1;
        let question = ServerQuestion {
            id: self.next_id,
            asker: UserHash::of_inbox(RoomId(1)),
            ask: ServerAsk::Room(room, ServerOp::Room(RoomOp::RemoveHistory(removal))),
        };
        let core = usize::from(home(room, scenario.shards_count).0);
        if OPEN_MAX <= self.open.keys().filter(|(at, _)| *at == core).count() {
            return None;
        }
        let heads = oracle.removal_asked(channel);
        self.open.insert((core, self.next_id), OpenRemoval { channel, heads });
        Some((core, ShardCommand::Server(vec![question])))
    }

    /// A core answers.
    pub fn on_answers(
        &mut self,
        core: usize,
        answers: Vec<ServerAnswer>,
        oracle: &mut Oracle,
        now_unix_ms: u64,
    ) {
        for ServerAnswer { id, reply } in answers {
            let open = self.open.remove(&(core, id)).expect("it is answered once");
            let OpenRemoval { channel, heads } = open;
            match reply {
                ServerReply::Room(RoomReply::Done) => {
                    oracle.removal_done(channel, heads, now_unix_ms);
                }
                ServerReply::Room(_) | ServerReply::Cores(_) => {
                    oracle.durable_oracle.removals.ended(channel, now_unix_ms);
                }
            }
        }
    }

    /// Whether everything is answered.
    pub fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }

    /// The process that was asked is gone.
    pub fn forget(&mut self, oracle: &mut Oracle, now_unix_ms: u64) {
        for (_, OpenRemoval { channel, .. }) in std::mem::take(&mut self.open) {
            oracle.durable_oracle.removals.ended(channel, now_unix_ms);
        }
    }
}
