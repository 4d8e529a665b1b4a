//! One connection of a simulated client: how far it is, and what it waits for.
//!
//! Deliberately absent: what the client says and hears (`client`).

use std::collections::{BTreeMap, BTreeSet};

use rookery::base::MonotonicMs;
use rookery::ring::simulated::SimulatedPeer;

use crate::answers::Answers;
use crate::client_codec::ClientCodec;
use crate::violation::{CheckResult, Checker, demand};

/// So many steps of a world at most pass until what is asked for is answered, where cores
/// and lanes take all that comes: a step for each of the ways to its core, to its room's
/// home and back, and three requests to the store (to read the room, to do it, and once more),
/// each with its way there and back, and a slice of what each other requester reads: two
/// who flood, and five cores for themselves.
const SERVED_STEPS_MAX: u64 = 5 + 3 * (2 + 7);

/// One connection of a client.
pub struct ClientConnection {
    /// At which core.
    pub core: usize,
    pub(crate) peer: SimulatedPeer,
    pub(crate) client_codec: ClientCodec,
    /// Different for each connection of the world.
    pub(crate) number: u64,
    pub(crate) stage: Stage,
    pub(crate) next_id: u32,
    pub(crate) answers: Answers,
    /// In which step of the world it asked what is not answered, by id.
    pub(crate) asked_in: BTreeMap<u32, u64>,
    /// Its subscribes right behind an unsubscribe of the same channel.
    pub(crate) renewed: BTreeSet<u32>,
    /// It sent what swallows or cuts its own commands.
    pub(crate) dirty: bool,
    pub(crate) half_closed: bool,
    /// It sent the request for its upgrade.
    asks_upgrade: bool,
    /// When its connect command has reached the core, unless that was answered with an error.
    pub(crate) connects_by: Option<MonotonicMs>,
    /// When the core told it to go.
    pub(crate) told_at: Option<MonotonicMs>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// HTTP.
    Upgrading,
    /// The connect command is under way.
    Connecting,
    /// It may do everything.
    Ready,
    /// One of both said goodbye.
    Leaving,
}

impl ClientConnection {
    /// One that begins now, at this core.
    pub fn new(
        core: usize,
        peer: SimulatedPeer,
        client_codec: ClientCodec,
        number: u64,
    ) -> ClientConnection {
        ClientConnection {
            core,
            peer,
            client_codec,
            number,
            stage: Stage::Upgrading,
            next_id: 1,
            answers: Answers::default(),
            asked_in: BTreeMap::new(),
            renewed: BTreeSet::new(),
            dirty: false,
            half_closed: false,
            asks_upgrade: false,
            connects_by: None,
            told_at: None,
        }
    }

    /// The request for its upgrade is sent.
    pub fn ask_upgrade(&mut self) {
        self.asks_upgrade = true;
    }

    /// Whether it may do everything, and nothing of it is cut or swallowed.
    pub fn is_whole(&self) -> bool {
        self.stage == Stage::Ready && self.is_clean()
    }

    /// Whether nothing of it is cut or swallowed.
    pub fn is_clean(&self) -> bool {
        !self.dirty && !self.half_closed
    }

    /// Whether it has said in time what is missing where a core ends it with this code.
    pub fn has_said(&self, code: u16, pongs_percent: u64) -> bool {
        match code {
            408 => self.asks_upgrade,
            // It was there to be read when the core decided.
            3502 => self.connects_by.is_some_and(|by| Some(by) <= self.told_at),
            3012 => pongs_percent == 100,
            _ => false,
        }
    }

    /// What was asked is answered soon.
    pub fn check_served(&self, index: usize, step: u64) -> CheckResult {
        let late = self.asked_in.iter().find(|(_, asked_in)| SERVED_STEPS_MAX < step - *asked_in);
        let asked = late.and_then(|(id, _)| self.answers.of(*id));
        demand!(
            late.is_none(),
            Checker::Fairness,
            "client {index} waits for {asked:?} since {SERVED_STEPS_MAX} steps"
        )
    }
}
