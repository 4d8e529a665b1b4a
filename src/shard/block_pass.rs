//! Blocks that are new: who is in and may not be is let go, and subscriptions end whose tokens are
//! revoked, by a pass through all connections, a part in each turn; and newcomers from addresses
//! that are blocked are sent away.
//!
//! A pass asks what holds when it looks, and not what was new when it was asked for. Whoever comes
//! in after that is asked by its session, or as a newcomer.
//!
//! Invariants: a turn looks at so many slots, and ends so many connections, however many there
//! are; a block is confirmed when a pass that began behind it has ended, so that nobody is in then
//! whom it keeps out.
//!
//! Deliberately absent: what is blocked (`blocks`).

use std::net::IpAddr;
use std::sync::Arc;

use super::conn::ConnStage;
use super::connections::Cursor;
use super::server_questions::BlocksUpdate;
use super::sessions::Sessions;
use super::turn_context::TurnContext;
use super::upgrades;
use crate::base::ConnId;
use crate::blocks::BlockKinds;
use crate::metrics::BlockKind;
use crate::session::{Fault, ServerAct};
use crate::ws::UpgradeError;

/// Slots that one turn looks at: some hash tables for each, well below 1 ms.
const SLOTS: u32 = 4_096;

/// The same where each costs a system call.
const ADDRESS_SLOTS: u32 = 1_024;

/// What one turn does about those that it finds: 1 for a connection, and 1 for each of its
/// channels, which it leaves.
const WORK: usize = 256;

/// Tokens of channels that it looks at as long as it takes to leave one.
const LOOKS: usize = 16;

/// Where a peer is.
pub type AddressOf<'a> = dyn FnMut(ConnId) -> Option<IpAddr> + 'a;

/// See the module.
#[derive(Debug, Default)]
pub struct BlockPass {
    /// Whose addresses nobody has looked at.
    newcomers: Vec<ConnId>,
    running: Option<Pass>,
    waiting: Questions,
}

/// Those who wait for the end of a pass.
#[derive(Debug, Default)]
struct Questions {
    ids: Vec<u32>,
    /// What is new.
    kinds: BlockKinds,
}

#[derive(Debug)]
struct Pass {
    cursor: Cursor,
    questions: Questions,
}

impl BlockPass {
    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.ids.is_empty() && self.newcomers.is_empty()
    }

    /// A socket came; where from is looked at before anything is sent.
    pub fn on_accepted(&mut self, sessions: &Sessions, id: ConnId) {
        if sessions.env().blocks().has_addresses() {
            self.newcomers.push(id);
        }
    }

    /// From now on this is blocked; that nobody is in whom it keeps out is confirmed under this
    /// id.
    pub fn ask(&mut self, sessions: &mut Sessions, id: u32, update: &Arc<BlocksUpdate>) {
        sessions.env_mut().set_blocks(update.table.clone());
        self.waiting.ids.push(id);
        self.waiting.kinds = self.waiting.kinds.joined(update.added);
    }

    /// Looks at newcomers, and at the next few connections. Returns what is confirmed.
    pub fn step(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        address_of: &mut AddressOf<'_>,
    ) -> Vec<u32> {
        for id in std::mem::take(&mut self.newcomers) {
            look_at_address(sessions, cx, id, address_of);
        }
        let mut pass = match self.running.take() {
            Some(pass) => pass,
            None if self.waiting.ids.is_empty() => return Vec::new(),
            None => {
                let questions = std::mem::take(&mut self.waiting);
                Pass { cursor: Cursor::default(), questions }
            }
        };
        if pass.questions.kinds.is_empty() || pass.step(sessions, cx, address_of) {
            return pass.questions.ids;
        }
        self.running = Some(pass);
        Vec::new()
    }
}

impl Pass {
    /// Whether it has seen all connections.
    fn step(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        address_of: &mut AddressOf<'_>,
    ) -> bool {
        let kinds = self.questions.kinds;
        let looks_at_addresses = kinds.contains(BlockKind::Address);
        let slots_count = if looks_at_addresses { ADDRESS_SLOTS } else { SLOTS };
        let end = sessions.connections().end_of_step(self.cursor, slots_count);
        let mut work_left = WORK;
        while 0 < work_left {
            let next = sessions.connections().next(&mut self.cursor, end);
            let Some((id, conn)) = next else { return sessions.connections().span() <= end };
            let ConnStage::Open(_, session) = conn.stage() else {
                if looks_at_addresses {
                    look_at_address(sessions, cx, id, address_of);
                }
                continue;
            };
            let work = 1 + session.channels_count();
            let who = session.who().filter(|_| kinds.has_names());
            let tokens_count = who.map_or(0, |who| who.channel_extras_count);
            let block = who.and_then(|who| sessions.env().block_of(cx.now, &who));
            let is_ended = match block {
                Some(kind) => {
                    sessions.end(cx, id, Fault::Blocked(kind));
                    true
                }
                None => looks_at_addresses && look_at_address(sessions, cx, id, address_of),
            };
            if is_ended {
                work_left = work_left.saturating_sub(work);
            } else if kinds.has_tokens() && tokens_count != 0 {
                let ended_count = end_revoked(sessions, cx, id);
                work_left = work_left.saturating_sub(tokens_count.div_ceil(LOOKS) + ended_count);
            }
        }
        false
    }
}

/// Ends the subscriptions of a connection whose tokens are revoked. Returns how many ended.
fn end_revoked(sessions: &mut Sessions, cx: &mut TurnContext<'_>, id: ConnId) -> usize {
    let ended = sessions.with_session(cx, id, |session, cx, out| {
        let before = session.channels_count();
        // Only what begins may have no room.
        session
            .on_server_act(cx, ServerAct::EndRevoked, out)
            .map(|()| before - session.channels_count())
    });
    ended.map_or(0, |ended| ended.unwrap_or(0))
}

/// Ends a connection from an address that is blocked. Whether it did.
fn look_at_address(
    sessions: &mut Sessions,
    cx: &mut TurnContext<'_>,
    id: ConnId,
    address_of: &mut AddressOf<'_>,
) -> bool {
    let Some(conn) = sessions.connections().get(id) else { return false };
    let is_upgrading = match conn.stage() {
        ConnStage::Upgrading(_) => true,
        ConnStage::Open(..) => false,
        ConnStage::Closing(_) | ConnStage::Shut => return false,
    };
    let now_unix_s = cx.now.unix_s();
    let blocks = sessions.env().blocks();
    if !address_of(id).is_some_and(|address| blocks.refuses_address(now_unix_s, address)) {
        return false;
    }
    match is_upgrading {
        true => upgrades::refuse(sessions, cx, id, UpgradeError::Blocked),
        false => sessions.end(cx, id, Fault::Blocked(BlockKind::Address)),
    }
    true
}
