//! One core of a world: a shard over a scripted `Io` and slow lanes, which takes its turns
//! as the server's cores do (`rookery::shard::turn`).
//!
//! What stands between shard and world here is faults and observers: a turn is seen from
//! both sides, and a mutation changes it on purpose.
//!
//! Deliberately absent: the order of a turn.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use rookery::base::limits::{LANE_COMMANDS_MAX, LANE_TRACE_EVENTS_MAX};
use rookery::base::{
    Action, ConnId, Csprng, Event, Io, MonotonicMs, Prng, ShardId, TcpLiveness, Timestamps,
};
use rookery::lane::{self, LaneLimits, LaneSender, Mailbox};
use rookery::metrics::{Cells, Exposition, Threads};
use rookery::ring::SimulatedIo;
use rookery::room::RoomEvent;
use rookery::session::NameKey;
use rookery::shard::{
    Gap, Lanes, Shard, ShardCommand, ShardMessage, ShardSetup, TraceEvent, TraceEvents,
};
use rookery::store::{StoreReply, StoreRequest};

use crate::checkers::{Sends, SimCounters, check_trace_events};
use crate::client::Client;
use crate::digest::Digest;
use crate::lane::{CoreMesh, LaneId};
use crate::mutation::{Mutation, Mutator};
use crate::scenario::{Scenario, keys};
use crate::store::Store;
use crate::violation::{CheckResult, Checker, demand};

/// One core.
pub struct Core {
    /// What the server runs.
    pub shard: Shard,
    /// Its sockets.
    pub io: SimulatedIo,
    /// Which of its connections have a send in flight.
    pub sends: Sends,
    /// Kept between turns for its capacity only.
    pub work: Vec<Action>,
    /// Its lanes from and to the control thread.
    pub control: ControlLanes,
    /// It takes no turn before.
    pub stalled_until: MonotonicMs,
}

/// Both ends of the lanes between a core and the control thread, which a world plays.
pub struct ControlLanes {
    commands: (LaneSender<ShardCommand>, Mailbox<ShardCommand>),
    trace_events: (LaneSender<TraceEvent>, Mailbox<TraceEvent>),
}

impl ControlLanes {
    /// No commands, and nothing is told.
    pub fn new() -> ControlLanes {
        ControlLanes {
            commands: alone(LANE_COMMANDS_MAX),
            trace_events: alone(LANE_TRACE_EVENTS_MAX),
        }
    }

    /// Sends a command.
    pub fn order(&mut self, order: ShardCommand) {
        assert!(self.commands.0.push(order).is_ok(), "a lane holds all commands of a world");
    }

    fn take_command(&mut self) -> Option<ShardCommand> {
        let mut order = None;
        self.commands.1.take_from(0, 1, &mut |next| {
            order = Some(next);
            None
        });
        order
    }

    /// Carries trace events to the control thread.
    fn carry(&mut self, trace_events: &mut TraceEvents) -> Vec<TraceEvent> {
        let dropped_count = trace_events.take_dropped();
        self.trace_events.0.post_or_drop(trace_events.waiting(), dropped_count);
        let mut carried = Vec::new();
        self.trace_events.1.take(
            LANE_TRACE_EVENTS_MAX,
            &mut |_, note| carried.push(note),
            &mut |_| (),
        );
        carried
    }
}

/// A lane of single items.
fn alone<T>(items_max: usize) -> (LaneSender<T>, Mailbox<T>) {
    let limits = LaneLimits { batches_max: items_max, batch_items_max: 1 };
    let (mut senders, mailbox) = lane::mailbox(1, limits);
    (senders.remove(0), mailbox)
}

/// A core's sockets for one turn: events and actions are seen, and perhaps changed.
pub struct WatchedIo<'w> {
    /// The sockets.
    pub io: &'w mut SimulatedIo,
    /// The core whose they are.
    pub core: usize,
    /// Which connections have a send in flight.
    pub sends: &'w mut Sends,
    /// Events that a turn takes.
    pub events_max: usize,
    /// Whether everybody is being let go.
    pub is_draining: bool,
    /// Counted by hand.
    pub counters: &'w mut SimCounters,
    /// Changes what is seen.
    pub mutator: &'w RefCell<Mutator>,
    /// Is told all of it.
    pub digest: &'w RefCell<Digest>,
    /// Who is at the other ends.
    pub clients: &'w mut [Client],
    /// The first thing that is wrong.
    pub verdict: CheckResult,
}

impl Io for WatchedIo<'_> {
    fn now(&self) -> Timestamps {
        self.io.now()
    }

    fn reap(&mut self, max: usize, on_event: &mut dyn FnMut(Event<'_>)) -> usize {
        let WatchedIo { io, sends, counters, is_draining, .. } = self;
        let (mut mutator, mut digest) = (self.mutator.borrow_mut(), self.digest.borrow_mut());
        io.reap(max.min(self.events_max), &mut |event| {
            digest.event(&event);
            match &event {
                Event::Accepted(_) => {
                    counters.accepted += u64::from(!mutator.applies(Mutation::ForgetAccepted));
                }
                Event::Sent(conn) => {
                    sends.over(*conn);
                    let forgets = mutator.applies(Mutation::ForgetOutcome);
                    counters.outcomes_forgotten += u64::from(forgets);
                }
                Event::Gone(conn, _) => {
                    sends.over(*conn);
                    if *is_draining && mutator.applies(Mutation::KeepGone) {
                        return;
                    }
                }
                Event::Received(_, bytes) => {
                    if mutator.holds(Mutation::LosePongs) && is_pong(bytes) {
                        return;
                    }
                }
                Event::Connected(_) | Event::Ended(_) => (),
            }
            on_event(event);
        })
    }

    fn is_drained(&self) -> bool {
        self.io.is_drained() || self.mutator.borrow().holds(Mutation::JudgeUnread)
    }

    fn tcp_liveness(&mut self, id: ConnId) -> TcpLiveness {
        let mutator = self.mutator.borrow();
        if mutator.holds(Mutation::JudgeUnread) || mutator.holds(Mutation::LosePongs) {
            return TcpLiveness::default();
        }
        self.io.tcp_liveness(id)
    }

    fn address(&mut self, id: ConnId) -> Option<IpAddr> {
        self.io.address(id)
    }

    fn wake(&mut self, neighbour: ShardId) {
        self.io.wake(neighbour);
    }

    fn submit(&mut self, work: &mut Vec<Action>) {
        spoil(work, &mut self.mutator.borrow_mut());
        for action in work.iter() {
            self.digest.borrow_mut().action(action);
            match action {
                Action::Send(conn, bytes) => {
                    let given = self.sends.given(*conn);
                    self.verdict = std::mem::replace(&mut self.verdict, Ok(())).and(given);
                    if says_stale(bytes) {
                        let (io, core) = (&*self.io, self.core);
                        let mut clients = self.clients.iter_mut();
                        if let Some(client) = clients.find(|one| one.has(*conn, core, io)) {
                            client.told_to_go(io.now().tick);
                        }
                    }
                }
                Action::Close(_) | Action::PaceAccepting { .. } | Action::StopAccepting => (),
            }
        }
        match self.verdict {
            Ok(()) => self.io.submit(work),
            // The world ends with this turn.
            Err(_) => work.clear(),
        }
    }
}

/// A core's lanes for one turn: what they carry is late, perhaps changed, and perhaps lost.
pub struct WatchedLanes<'w> {
    /// The core whose they are.
    pub core: usize,
    /// What the clocks show.
    pub now: Timestamps,
    /// How lanes and the store behave.
    pub scenario: &'w Scenario,
    /// Whether lanes lose what they may lose.
    pub is_chaos: bool,
    /// All lanes.
    pub lanes: &'w mut CoreMesh,
    /// The store, if the world has one.
    pub store: Option<&'w mut Store>,
    /// From and to the control thread.
    pub control: &'w mut ControlLanes,
    /// Decides what is late and lost.
    pub prng: &'w mut Prng,
    /// Changes what is carried.
    pub mutator: &'w RefCell<Mutator>,
    /// Is told how much it was.
    pub digest: &'w RefCell<Digest>,
    /// Joins and leaves that were lost.
    pub lost: Vec<RoomEvent>,
    /// The first thing that is wrong.
    pub verdict: CheckResult,
}

impl Lanes for WatchedLanes<'_> {
    fn take_messages(
        &mut self,
        on_message: &mut dyn FnMut(ShardId, ShardMessage),
        wake: &mut dyn FnMut(ShardId),
    ) -> usize {
        let shards = self.lanes.cores_count();
        let first = self.prng.below(shards as u64) as usize;
        let messages_max = self.scenario.turn.messages_max;
        let mut messages = 0;
        for from in (first..shards).chain(0..first) {
            let mut before = self.lanes.received_count(from, self.core);
            while messages < messages_max || self.mutator.borrow_mut().applies(Mutation::GreedyTurn)
            {
                let taken = self.lanes.take(from, self.core, self.now.tick);
                let Some(mut posted) = taken else { break };
                before += 1;
                if self.verdict.is_ok() {
                    self.verdict = demand!(
                        posted.serial == before,
                        Checker::Lanes,
                        "message {} where {before} comes next",
                        posted.serial
                    );
                }
                self.mutator.borrow().restore_reply_to(&mut posted.message);
                on_message(ShardId(from as u16), posted.message);
                messages += 1;
            }
        }
        self.lanes.name_unblocked(self.core, wake);
        self.digest.borrow_mut().messages(messages);
        messages
    }

    fn take_replies(&mut self, on_reply: &mut dyn FnMut(StoreReply)) -> usize {
        let Some(store) = &mut self.store else { return 0 };
        let replies = store.take(self.core, self.now.tick);
        let replies_count = replies.len();
        replies.into_iter().for_each(on_reply);
        self.digest.borrow_mut().replies(replies_count);
        replies_count
    }

    fn take_command(&mut self) -> Option<ShardCommand> {
        self.control.take_command()
    }

    fn post_messages(&mut self, to: ShardId, messages: &mut Vec<ShardMessage>) -> usize {
        let fault_profile = self.scenario.lanes;
        if self.is_chaos && self.prng.below(1_000) < fault_profile.losses_per_1_000 {
            lose_events(messages, &mut self.lost);
        }
        let mut mutator = self.mutator.borrow_mut();
        mutator.change(to, messages);
        mutator.change_reply_tos(ShardId(self.core as u16), messages);
        let (core, to) = (self.core, usize::from(to.0));
        let waiting_count = messages.len();
        self.lanes.post(
            LaneId { from: core, to },
            self.now.tick,
            fault_profile,
            self.prng,
            messages,
        );
        if self.lanes.may_lose(core, to) && mutator.applies(Mutation::LoseInLane) {
            self.lanes.lose(core, to);
        }
        waiting_count - messages.len()
    }

    fn post_requests(&mut self, requests: &mut Vec<StoreRequest>) -> usize {
        let (Some(store), Some(scenario)) = (&mut self.store, &self.scenario.store) else {
            assert!(requests.is_empty(), "rooms on disk need a store");
            return 0;
        };
        self.mutator.borrow_mut().change_requesters(requests);
        let waiting_count = requests.len();
        store.post(self.core, self.now.tick, scenario, self.prng, requests);
        waiting_count - requests.len()
    }

    fn post_trace_events(&mut self, trace_events: &mut TraceEvents) {
        let noted = check_trace_events(self.now, self.control.carry(trace_events));
        self.verdict = std::mem::replace(&mut self.verdict, Ok(())).and(noted);
    }
}

fn spoil(work: &mut Vec<Action>, mutator: &mut Mutator) {
    let send = work.iter().position(|action| matches!(action, Action::Send(..)));
    let Some(index) = send else { return };
    if let Action::Send(conn, bytes) = &work[index] {
        if mutator.applies(Mutation::DoubleSend) {
            work.insert(index, Action::Send(*conn, bytes.clone()));
        } else if mutator.applies(Mutation::FlipByte) {
            let mut other = bytes.to_vec();
            other[0] ^= 0x70;
            work[index] = Action::Send(*conn, Bytes::from(other));
        }
    }
}

/// Whether these are the masked frame of an empty command, which answers a ping.
fn is_pong(bytes: &[u8]) -> bool {
    let is_of = |first: u8, len: u8| {
        bytes.len() == 6 + usize::from(len) && bytes[..2] == [first, 0x80 | len]
    };
    is_of(0x81, 2) || is_of(0x82, 1)
}

/// Whether one of these frames closes the connection because its client did not connect.
fn says_stale(bytes: &[u8]) -> bool {
    let code = 3502u16.to_be_bytes();
    bytes.windows(4).any(|some| some[0] == 0x88 && some[2..] == code)
}

/// What a full lane does: news are lost, answers are not, and where publications
/// were among them stands a gap behind. What was lost of members, their home is told.
fn lose_events(messages: &mut Vec<ShardMessage>, of_members: &mut Vec<RoomEvent>) {
    let mut lost: Option<Gap> = None;
    messages.retain(|message| match message {
        ShardMessage::Event(
            RoomEvent::Reply(..)
            | RoomEvent::Replaced(_)
            | RoomEvent::Expelled(..)
            | RoomEvent::Lost(_),
        )
        | ShardMessage::Request(_)
        | ShardMessage::Gap(_)
        | ShardMessage::ConnectionGone(_) => true,
        ShardMessage::Event(RoomEvent::Typing(..) | RoomEvent::Notice(..)) => false,
        ShardMessage::Event(
            event @ (RoomEvent::Joined(..)
            | RoomEvent::Left(..)
            | RoomEvent::MemberReplaced(..)
            | RoomEvent::MembershipSummary(..)),
        ) => {
            of_members.push(event.clone());
            false
        }
        ShardMessage::Event(RoomEvent::Published(room, ..)) => {
            lost.get_or_insert_with(|| Gap::Rooms(Vec::new())).add(*room);
            false
        }
    });
    messages.extend(lost.map(ShardMessage::Gap));
}

/// The cores of a process that begins.
pub fn cores(
    scenario: &Scenario,
    names: NameKey,
    now: Timestamps,
    prng: &mut Prng,
) -> (Vec<Core>, Exposition) {
    let all_cells: Vec<Arc<Cells>> = (0..scenario.shards_count).map(|_| Cells::new()).collect();
    let keys = keys();
    let cores = (0..scenario.shards_count).zip(&all_cells).map(|(id, cells)| {
        let seed = prng.draw();
        let mut core = Core {
            shard: Shard::new(ShardSetup {
                id: ShardId(id),
                shards_count: scenario.shards_count,
                options: Arc::clone(&scenario.options),
                keys: Arc::clone(&keys),
                blocks: rookery::blocks::BlockTable::default(),
                names,
                seed,
                ids: Csprng::from_key(u128::from(seed).to_le_bytes()),
                now,
                metrics: Rc::new(cells.claim()),
            }),
            io: SimulatedIo::new(prng.draw(), scenario.fault_profile.clone()),
            sends: Sends::default(),
            work: Vec::new(),
            control: ControlLanes::new(),
            stalled_until: MonotonicMs(0),
        };
        core.io.set_now(now);
        core
    });
    (cores.collect(), Exposition::new(Threads::of_cores(all_cells)))
}
