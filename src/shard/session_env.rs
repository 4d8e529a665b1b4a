//! What all sessions of a shard share: the operator's word, keys, chance, traces, and the one
//! outcome into which they decide.
//!
//! Invariant: the outcome is empty whenever a session begins to decide: whatever the last one
//! decided was carried out.
//!
//! Deliberately absent: the sessions, and what becomes of what they decide.

use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;

use super::options::Options;
use super::server_questions::ServerOp;
use crate::auth::Keys;
use crate::base::{
    ConnId, Csprng, MonotonicMs, PanicError, RandomSources, RoomId, SealKey, SealPurpose,
    Timestamps, UserHash, catch_panic,
};
use crate::blocks::BlockTable;
use crate::metrics::{Agent, BlockKind, Counter, MetricsWriter};
use crate::room::RoomOp;
use crate::session::{
    AskedRooms, CommandError, Context, CoreLoad, CorePace, Effect, NameKey, OutputCounts,
    PeerIdentity, Prefix, Session, SessionOutput, Tracer,
};
use crate::wire::Encoding;

/// What sessions share.
pub struct SessionEnv {
    options: Arc<Options>,
    /// For tokens.
    keys: Arc<Keys>,
    /// Prefixes of clients that are blocked.
    blocked_prefixes: Arc<[Prefix]>,
    /// Who is kept out.
    blocks: BlockTable,
    /// For positions from which their owners may recover.
    own_positions: SealKey,
    /// What the core has to do, as of the beginning of the turn.
    load: CoreLoad,
    names: NameKey,
    random: RandomSources,
    /// Traces that begin here, and clients' clocks.
    tracer: Tracer,
    /// Kept between decisions for its capacity only.
    outcome: SessionOutput,
    metrics: Rc<MetricsWriter>,
}

impl SessionEnv {
    /// No prefix is blocked, and the core has nothing to do.
    pub fn new(
        options: Arc<Options>,
        (keys, blocks): (Arc<Keys>, BlockTable),
        names: NameKey,
        random: RandomSources,
        metrics: Rc<MetricsWriter>,
    ) -> SessionEnv {
        SessionEnv {
            keys,
            blocked_prefixes: Arc::default(),
            blocks,
            own_positions: SealKey::derive(names.0, SealPurpose::OwnPosition),
            load: CoreLoad::default(),
            names,
            random,
            tracer: Tracer::new(options.tracing.tracer.clone()),
            outcome: SessionOutput::new(Encoding::Json),
            options,
            metrics,
        }
    }

    /// A session of a connection that was just upgraded.
    pub fn open(
        &mut self,
        now: Timestamps,
        id: ConnId,
        agent: Agent,
        ping_s: Option<u32>,
    ) -> Session {
        let (cx, _) = self.split(now, id);
        Session::open(&cx, agent, ping_s)
    }

    /// When a session wants to be woken, if it does.
    pub fn next_timer(
        &mut self,
        now: Timestamps,
        id: ConnId,
        session: &Session,
    ) -> Option<MonotonicMs> {
        let (cx, _) = self.split(now, id);
        let at = session.next_timer(&cx);
        (at != MonotonicMs(u64::MAX)).then_some(at)
    }

    /// Lets a session decide; a panic stays inside it. What it decided waits to be taken.
    pub fn decide<T>(
        &mut self,
        now: Timestamps,
        id: ConnId,
        encoding: Encoding,
        session: &mut Session,
        decide: impl FnOnce(&mut Session, &mut Context<'_>, &mut SessionOutput) -> T,
    ) -> Result<T, PanicError> {
        if let Some(who) = session.who() {
            self.metrics.work_for(who.client);
        }
        let (mut cx, out) = self.split(now, id);
        out.begin(encoding);
        let decided = catch_panic("a session", || decide(session, &mut cx, out));
        if decided.is_err() {
            self.metrics.add(Counter::Panics, 1);
        }
        decided
    }

    /// Lets a session go. What that leads to waits to be taken.
    pub fn leave(
        &mut self,
        now: Timestamps,
        id: ConnId,
        encoding: Encoding,
        session: &mut Session,
    ) {
        self.assert_empty();
        self.tracer.forget(id);
        let (cx, out) = self.split(now, id);
        out.begin(encoding);
        session.leave(&cx, out);
    }

    /// Takes the messages for the client, if there are any.
    pub fn take_messages(&mut self) -> Option<BytesMut> {
        self.outcome.take_messages()
    }

    /// Takes what the shard has to do.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.outcome.take_effects()
    }

    /// Gives back a list that was taken, for its capacity, unless there is something again.
    pub fn keep_effects(&mut self, effects: Vec<Effect>) {
        self.outcome.keep_effects(effects);
    }

    /// What was decided, for whoever counts it.
    pub fn counts_mut(&mut self) -> &mut OutputCounts {
        self.outcome.counts_mut()
    }

    /// What a backend wants of a room, and of which; or how that is refused.
    pub fn asked_rooms(
        &mut self,
        now: Timestamps,
        room: RoomId,
        op: ServerOp,
    ) -> Result<AskedRooms, CommandError> {
        let (mut cx, _) = self.split(now, ConnId::NOBODY);
        let op = match op {
            ServerOp::Chat(chat) => return chat.asked_rooms(&mut cx),
            ServerOp::History(history) => return history.asked_rooms(&cx),
            ServerOp::Publish(publish) => {
                RoomOp::Publish(Box::new(publish.into_room_publish(&mut cx)))
            }
            ServerOp::Room(op) => op,
        };
        Ok(AskedRooms { room, op, told: None })
    }

    /// Everything that was decided must have been taken.
    pub fn assert_empty(&self) {
        assert!(self.outcome.is_empty(), "what a session decides is carried out at once");
    }

    /// Tokens are checked with these from now on.
    pub fn set_keys(&mut self, keys: Arc<Keys>) {
        self.keys = keys;
    }

    /// Clients with these prefixes are let in no more; all others are.
    pub fn set_blocked_prefixes(&mut self, blocked_prefixes: Arc<[Prefix]>) {
        self.blocked_prefixes = blocked_prefixes;
    }

    /// These are kept out from now on; others are not.
    pub fn set_blocks(&mut self, blocks: BlockTable) {
        self.blocks = blocks;
    }

    /// Who is kept out.
    pub fn blocks(&self) -> &BlockTable {
        &self.blocks
    }

    /// Why a peer is kept out, if it is.
    pub fn block_of(&self, now: Timestamps, peer: &PeerIdentity<'_>) -> Option<BlockKind> {
        let user = self.names.user_hash(peer.tenant, peer.user);
        self.blocks.refusal(now.unix_s(), user, peer.token)
    }

    /// What the core has to do in this turn.
    pub fn set_load(&mut self, load: CoreLoad) {
        self.load = load;
    }

    /// How the core keeps its times.
    pub fn pace(&self) -> CorePace {
        self.load.pace
    }

    /// Whose session it is.
    pub fn user_of(&self, session: &Session) -> UserHash {
        session.user_hash(self.names)
    }

    /// For identities.
    pub fn ids(&mut self) -> &mut Csprng {
        &mut self.random.ids
    }

    /// A time below this one, so that not all do the same at once.
    pub fn jitter_below(&mut self, bound_ms: u64) -> u64 {
        self.random.jitter.below(bound_ms)
    }

    /// Frees the spare capacity that a large turn has left.
    pub fn trim(&mut self) {
        self.outcome.trim();
    }

    fn split(&mut self, now: Timestamps, conn: ConnId) -> (Context<'_>, &mut SessionOutput) {
        let SessionEnv {
            options,
            keys,
            blocked_prefixes,
            blocks,
            own_positions,
            load,
            names,
            random,
            tracer,
            outcome,
            metrics: _,
        } = self;
        let (options, rooms, names, load) = (&options.session, &options.room, *names, *load);
        let cx = Context {
            now,
            options,
            rooms,
            keys,
            names,
            own_positions,
            random,
            blocked_prefixes,
            blocks,
            tracer,
            load,
            conn,
        };
        (cx, outcome)
    }
}
