//! A world: cores, lanes, clients and a store, from a seed; chaos, calm, and a drain.
//!
//! Deliberately absent: what a core does in a turn, and what goes wrong between cores and
//! world (`core`).

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use rookery::base::{MonotonicMs, Prng, ShardId, Timestamps, panic_scope};
use rookery::metrics::Exposition;
use rookery::session::NameKey;
use rookery::shard::{self, ShardCommand, ShardMessage};

use crate::backend::Backend;
use crate::callers::ApiCallers;
use crate::checkers::{SimCounters, check_counters, check_empty, check_membership, check_turn};
use crate::client::Client;
use crate::client_context::ClientContext;
use crate::core::{Core, WatchedIo, WatchedLanes, cores};
use crate::digest::Digest;
use crate::lane::CoreMesh;
use crate::member_view::MemberCheck;
use crate::mutation::{Mutation, Mutator};
use crate::on_disk::OnDisk;
use crate::oracle::Oracle;
use crate::presence::SaidPresence;
use crate::scenario::{Scenario, USERS};
use crate::store::{Store, WatchedDisk};
use crate::summary::{Summary, Trace};
use crate::violation::{CheckResult, Checker, Violation, demand};

/// How long a drain is given, and how long it may take at most.
const DRAIN_MS: u64 = 500;
const DRAINED_MS_MAX: u64 = 5_000;

/// How long everything under way may take to arrive: some lanes carry one message
/// at a time, and what waits for a user is sent again and again.
const QUIET_MS_MAX: u64 = 600_000;

/// How long something may wait for a user who is there when nothing else happens.
const WAITING_MS_MAX: u64 = 60_000;

/// One step of the calm.
const CALM_STEP_MS: u64 = 20;

/// How long after the chaos a presence list may change: a grace, and the second after
/// which a large room tells its numbers, twice, because the first notice may be lost.
const ATTENDANCE_MS: u64 = 3_500;

/// In so many steps a question that was just asked has reached its room.
const ANSWER_STEPS: u64 = 10;

/// In the calm of a world with a store: how long clients come back, and how long it
/// takes at least, so that what failed is read again.
const RETURN_MS: u64 = 3_000;
const STORE_CALM_MS: u64 = 7_000;

/// How long rooms on disk stay in memory without members.
const STORE_REST_MS: u64 = 35_000;

/// What the clients of a world are at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Chaos,
    Calm,
    Drain,
}

struct World<'s> {
    scenario: &'s Scenario,
    trace: Trace,
    phase: Phase,
    prng: Prng,
    now: Timestamps,
    cores: Vec<Core>,
    lanes: CoreMesh,
    clients: Vec<Client>,
    oracle: Oracle,
    /// What cores have said to the presence feed.
    said: SaidPresence,
    counters: SimCounters,
    mutator: RefCell<Mutator>,
    exposition: Exposition,
    lines_count: u64,
    steps_count: u64,
    store: Option<Store>,
    /// The application's backend, if the world has one.
    backend: Option<Backend>,
    /// Who calls the server API.
    callers: ApiCallers,
    /// Messages that were answered before the last crash.
    answered_before: u64,
    crashes_count: u64,
    /// Clients that are cut off come back until then.
    open_until: MonotonicMs,
    /// Whether presence lists are held against what their readers know.
    look: MemberCheck,
    /// What came to cores and left them.
    digest: RefCell<Digest>,
}

/// Lets a world happen. A panic of a core is an objection like any other.
pub fn run(scenario: &Scenario, mutator: Mutator, trace: Trace) -> Result<Summary, Violation> {
    quiet_panics();
    let ran =
        panic::catch_unwind(AssertUnwindSafe(|| World::new(scenario, mutator, trace).run_steps()));
    ran.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation { checker: Checker::Panics, text: text.unwrap_or_default() })
    })
}

/// Panics that end one session only are part of every world, and are not shown.
pub fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if panic_scope().is_none() {
                shown(info);
            }
        }));
    });
}

impl<'s> World<'s> {
    fn new(scenario: &'s Scenario, mutator: Mutator, trace: Trace) -> World<'s> {
        let mut prng = Prng::from_seed(scenario.seed ^ 0x5EED);
        let now = Timestamps::at(MonotonicMs(1), 1_700_000_000_000);
        let store = scenario.store.as_ref().map(|one| {
            let namespaces = &scenario.options.room.namespaces;
            Store::open(WatchedDisk::new(one.seed), one, namespaces, scenario.shards_count)
        });
        let names = store.as_ref().map_or(NameKey([scenario.seed, 2]), Store::names);
        let (cores, exposition) = cores(scenario, names, now, &mut prng);
        let has_hooks = !scenario.options.session.hooks.asked.is_empty();
        World {
            scenario,
            trace,
            phase: Phase::Chaos,
            now,
            lanes: CoreMesh::new(scenario.shards_count),
            clients: (0..scenario.clients_count)
                .map(|index| {
                    let prng = Prng::from_seed(prng.draw());
                    match scenario.profiles.get(index) {
                        Some(&(profile, user)) => Client::with_profile(index, prng, profile, user),
                        None => Client::new(index, prng),
                    }
                })
                .collect(),
            cores,
            prng,
            oracle: Oracle::new(scenario),
            said: SaidPresence::new(usize::from(scenario.shards_count)),
            counters: SimCounters::default(),
            mutator: RefCell::new(mutator),
            exposition,
            lines_count: 0,
            steps_count: 0,
            store,
            backend: has_hooks.then(|| Backend::new(scenario.seed)),
            callers: ApiCallers::new(scenario.seed),
            answered_before: 0,
            crashes_count: 0,
            open_until: MonotonicMs(0),
            look: MemberCheck::None,
            digest: RefCell::default(),
        }
    }

    fn run_steps(mut self) -> Result<Summary, Violation> {
        for step in 0..self.scenario.steps_count {
            let pause = self.prng.percent(3);
            let pass_ms = self.prng.below(if pause { 400 } else { 30 });
            self.step(pass_ms)?;
            self.disturb_store()?;
            self.call_api();
            if step % 8 == 0 {
                self.check_borders()?;
            }
            if step % 64 == 0 {
                self.check_counters()?;
            }
        }
        self.calm()?;
        self.drain()?;
        if let Some(store) = &mut self.store {
            self.digest.get_mut().join(store.disk().digest());
        }
        Ok(Summary {
            accepted: self.counters.accepted,
            published: self.oracle.answered_count(),
            messages: self.lanes.all_received_count(),
            crashes: self.crashes_count,
            served_steps_max: self.counters.served_steps_max,
            endings: self.counters.endings,
            ended_at: self.now.tick,
            digest: self.digest.borrow().value(),
        })
    }

    /// Clients only read from here on, and everything under way arrives.
    fn calm(&mut self) -> CheckResult {
        self.phase = Phase::Calm;
        self.clients.iter_mut().for_each(Client::settle_down);
        let end = self.now.tick.plus_ms(QUIET_MS_MAX);
        let mut steps_min = 50;
        if let Some(store) = &mut self.store {
            store.settle_down();
            self.open_until = self.now.tick.plus_ms(RETURN_MS);
            steps_min = STORE_CALM_MS / CALM_STEP_MS;
        }
        let mut waits_since = None;
        for step in 0.. {
            self.step(CALM_STEP_MS)?;
            if steps_min < step && self.is_quiet() {
                let Some(user) = self.waiting_user() else { break };
                let since = *waits_since.get_or_insert(self.now.tick);
                demand!(
                    self.now.tick.ms_since(since) < WAITING_MS_MAX,
                    Checker::Waiting,
                    "something waits for {user} for ever"
                )?;
            }
            demand!(self.now.tick < end, Checker::Answers, "it never gets quiet")?;
        }
        self.check_attendance()?;
        self.check_borders()?;
        self.check_counters()?;
        self.check_store()?;
        self.clients.iter().try_for_each(|client| client.check_complete(&self.oracle))
    }

    /// Graces end, and large rooms tell their numbers. Then whoever knows a presence list
    /// asks for it again.
    fn check_attendance(&mut self) -> CheckResult {
        for look in [MemberCheck::First, MemberCheck::Second] {
            for _ in 0..ATTENDANCE_MS / CALM_STEP_MS {
                self.step(CALM_STEP_MS)?;
            }
            self.look = look;
            for index in 0..self.clients.len() {
                let Some(core) = self.clients[index].core() else { continue };
                let (client, mut cx) = self.cx(index, core);
                client.ask_who_is_in(&mut cx);
            }
            let end = self.now.tick.plus_ms(QUIET_MS_MAX);
            for step in 0.. {
                self.step(CALM_STEP_MS)?;
                if ANSWER_STEPS <= step && self.is_quiet() {
                    break;
                }
                demand!(self.now.tick < end, Checker::Answers, "it never gets quiet")?;
            }
            self.look = MemberCheck::None;
        }
        Ok(())
    }

    /// A user who is there, and for whom something waits all the same.
    fn waiting_user(&mut self) -> Option<&'static str> {
        let store = self.store.as_mut()?;
        let names = store.names();
        let mut present = self.clients.iter().filter_map(Client::present_user);
        let found = OnDisk::read(store.disk());
        present.find(|user| found.waits_for(names.inbox("", user)))
    }

    /// All is quiet: the disk has what it should, and readers have all of it.
    fn check_store(&mut self) -> CheckResult {
        let Some(store) = &mut self.store else { return Ok(()) };
        let names = store.names();
        self.oracle.check_disk(store.disk(), names, self.now.unix_ms)?;
        self.oracle.durable_oracle.removals.check_cleared(store.disk(), names)?;
        self.callers.check_disk(store.disk(), names)?;
        let found = OnDisk::read(store.disk());
        for channel in self.scenario.channels() {
            if let Some(head) = found.head(names.room("", channel)) {
                self.clients.iter().try_for_each(|client| client.check_head(channel, head))?;
            }
        }
        let session = &self.scenario.options.session;
        for user in &USERS[1..] {
            let clients = self.clients.iter().filter(|client| client.present_user() == Some(user));
            let count = clients.count();
            demand!(
                count <= 1 || !session.is_single_session(""),
                Checker::Singles,
                "{user} is here {count} times"
            )?;
        }
        Ok(())
    }

    /// A backend removes what was said somewhere, or changes a group, or not.
    fn call_api(&mut self) {
        let World { scenario, store, callers, oracle, cores, .. } = self;
        let names = store.as_ref().map_or(NameKey([scenario.seed, 2]), Store::names);
        for (core, order) in callers.act(scenario, names, oracle) {
            cores[core].control.order(order);
        }
    }

    /// What happens to the disk, or to the whole process.
    fn disturb_store(&mut self) -> CheckResult {
        let (Some(store), Some(scenario)) = (&mut self.store, &self.scenario.store) else {
            return Ok(());
        };
        if self.prng.below(1_000) < scenario.squeezes_per_1_000 {
            store.squeeze(self.now.tick, scenario, &mut self.prng);
        }
        if self.prng.below(1_000) < scenario.crashes_per_1_000 {
            self.crash()?;
        }
        Ok(())
    }

    /// The process ends in the middle of a step, and begins again some time later.
    fn crash(&mut self) -> CheckResult {
        let (Some(mut store), Some(scenario)) = (self.store.take(), &self.scenario.store) else {
            return Ok(());
        };
        self.now = self.now.plus_ms(self.prng.below(20));
        let is_torn = self.prng.percent(50);
        if is_torn {
            store.tear_next();
            // Nobody reads its answer.
            store.turn(self.now, scenario, &mut self.prng, &mut Mutator::new(Mutation::None, 0))?;
        }
        let index = self.prng.below(scenario.crashes.len() as u64) as usize;
        let crash = scenario.crashes[index];
        let mut disk = store.crash(crash);
        self.mutator.get_mut().change_disk(&mut disk);
        self.crashes_count += 1;
        if self.trace == Trace::Printed {
            println!("{:>6} the process ends: {crash:?}", self.now.tick.0);
        }
        self.cut_off()?;
        let pause_ms = self.prng.below(1_500);
        self.now = self.now.plus_ms(pause_ms);
        let namespaces = &self.scenario.options.room.namespaces;
        let mut store = Store::open(disk, scenario, namespaces, self.scenario.shards_count);
        let names = store.names();
        (self.cores, self.exposition) = cores(self.scenario, names, self.now, &mut self.prng);
        self.oracle.check_disk(store.disk(), names, self.now.unix_ms)?;
        self.callers.check_disk(store.disk(), names)?;
        self.store = Some(store);
        self.backend.as_mut().into_iter().for_each(Backend::forget);
        self.callers.forget(&mut self.oracle, self.now.unix_ms);
        self.lanes = CoreMesh::new(self.scenario.shards_count);
        self.said = SaidPresence::new(self.cores.len());
        self.answered_before = self.oracle.answered_count();
        self.counters = SimCounters {
            endings: std::mem::take(&mut self.counters.endings),
            ..SimCounters::default()
        };
        Ok(())
    }

    /// Clients lose their connections; some read first what was on its way to them.
    fn cut_off(&mut self) -> CheckResult {
        for index in 0..self.clients.len() {
            let Some(core) = self.clients[index].core() else { continue };
            if self.prng.percent(50) {
                let (client, mut cx) = self.cx(index, core);
                client.read(&mut cx)?;
            }
            self.clients[index].cut_off(self.now.tick);
        }
        Ok(())
    }

    fn cx(&mut self, index: usize, core: usize) -> (&mut Client, ClientContext<'_>) {
        let cx = ClientContext {
            now: self.now,
            step: self.steps_count,
            io: &mut self.cores[core].io,
            oracle: &mut self.oracle,
            counters: &mut self.counters,
            trace: self.trace,
            latency_ms_max: self.scenario.fault_profile.latency_ms_max,
            channels: self.scenario.channels(),
            chats: self.store.is_some(),
            acknowledges: self.phase != Phase::Chaos,
            join_leave_scope: self.scenario.options.room.namespaces[0].join_leave_of,
            look: self.look,
        };
        (&mut self.clients[index], cx)
    }

    /// All cores let everybody go, and forget in time what was.
    fn drain(&mut self) -> CheckResult {
        self.phase = Phase::Drain;
        for core in &mut self.cores {
            core.control.order(ShardCommand::Drain { over_ms: DRAIN_MS });
        }
        let end = self.now.tick.plus_ms(DRAINED_MS_MAX);
        while !self.cores.iter().all(|core| core.shard.is_drained()) && self.now.tick < end {
            self.step(20)?;
        }
        // Some lanes carry one message at a time: rooms are told first, and rest then.
        let end = self.now.tick.plus_ms(QUIET_MS_MAX);
        while !self.is_quiet() && self.now.tick < end {
            self.step(CALM_STEP_MS)?;
        }
        let namespaces = &self.scenario.options.room.namespaces;
        let of = |stored: bool| {
            let those =
                namespaces.iter().filter(|one| one.keeps_history() && one.is_durable() == stored);
            those.map(|one| one.history_age_ms_max).max().unwrap_or_default()
        };
        let (age_ms, stored_age_ms) = (of(false), of(true));
        let rest_ms = if self.store.is_some() { STORE_REST_MS } else { 0 };
        let step_ms = if self.store.is_some() { 500 } else { 100 };
        let end = self.now.tick.plus_ms(2 * age_ms + rest_ms + 5_000);
        while self.now.tick < end {
            self.step(step_ms)?;
        }
        for core in &self.cores {
            check_empty(&core.shard.audit(), core.shard.connections_count())?;
        }
        // Rooms on disk are gone, and what wakes them to drop old messages is not.
        let end = end.plus_ms(stored_age_ms);
        while self.now.tick < end {
            self.step(10_000)?;
        }
        self.check_counters()?;
        for core in &self.cores {
            check_empty(&core.shard.audit(), core.shard.connections_count())?;
            let wake = core.shard.next_wake();
            demand!(wake.is_none(), Checker::Emptiness, "a timer is left at {wake:?}")?;
        }
        Ok(())
    }

    /// Some time passes; then each core takes a turn, and clients act and read.
    fn step(&mut self, pass_ms: u64) -> CheckResult {
        self.now = self.now.plus_ms(pass_ms);
        self.steps_count += 1;
        for core in &mut self.cores {
            core.io.set_now(self.now);
        }
        let first = self.prng.below(self.cores.len() as u64) as usize;
        for offset in 0..self.cores.len() {
            let at = (first + offset) % self.cores.len();
            if self.phase == Phase::Chaos && self.prng.below(1_000) < self.scenario.stalls_per_1_000
            {
                let stall_ms = self.prng.below(self.scenario.stall_ms_max);
                self.cores[at].stalled_until = self.now.tick.plus_ms(stall_ms);
            }
            if self.cores[at].stalled_until <= self.now.tick {
                self.turn(at)?;
            }
        }
        if let (Some(store), Some(scenario)) = (&mut self.store, &self.scenario.store) {
            store.turn(self.now, scenario, &mut self.prng, self.mutator.get_mut())?;
        }
        (0..self.clients.len()).try_for_each(|index| self.visit(index))?;
        match self.phase {
            Phase::Chaos => {
                self.clients.iter().try_for_each(|client| client.check_served(self.steps_count))
            }
            Phase::Calm | Phase::Drain => Ok(()),
        }
    }

    /// One client reads, and perhaps does something.
    fn visit(&mut self, index: usize) -> CheckResult {
        let client = &mut self.clients[index];
        let acts = self.prng.percent(25) || client.floods();
        if client.wants_in(self.now) && (self.phase == Phase::Chaos || acts) {
            if self.phase != Phase::Calm || self.now.tick < self.open_until {
                let core = self.prng.below(self.cores.len() as u64) as usize;
                self.lines_count += 1;
                client.knock(core, self.lines_count, &mut self.cores[core].io);
            }
            return Ok(());
        }
        let Some(core) = client.core() else { return Ok(()) };
        let is_chaos = self.phase == Phase::Chaos;
        let trace = self.trace;
        let now = self.now;
        let (client, mut cx) = self.cx(index, core);
        client.read(&mut cx)?;
        if is_chaos
            && acts
            && client.core().is_some()
            && let Some(action) = client.act(&mut cx)
            && trace == Trace::Printed
        {
            println!("{:>6} client {index} at core {core}: {action:?}", now.tick.0);
        }
        Ok(())
    }

    /// One core takes a turn.
    fn turn(&mut self, at: usize) -> CheckResult {
        let World { scenario, cores, lanes, clients, counters, mutator, digest, backend, .. } =
            self;
        let (callers, oracle) = (&mut self.callers, &mut self.oracle);
        let Core { shard, io, sends, work, control, .. } = &mut cores[at];
        let known = backend.as_mut().map(|backend| backend.take(at, self.now.tick));
        if let Some(returns) = known.filter(|returns| !returns.is_empty()) {
            control.order(ShardCommand::Hooks(returns));
        }
        digest.borrow_mut().turn(self.now.tick, at);
        let mut io = WatchedIo {
            io,
            core: at,
            sends,
            events_max: scenario.turn.events_max,
            is_draining: self.phase == Phase::Drain,
            counters,
            mutator,
            digest,
            clients,
            verdict: Ok(()),
        };
        let mut lanes = WatchedLanes {
            core: at,
            now: self.now,
            scenario,
            is_chaos: self.phase == Phase::Chaos,
            lanes,
            store: self.store.as_mut(),
            control,
            prng: &mut self.prng,
            mutator,
            digest,
            lost: Vec::new(),
            verdict: Ok(()),
        };
        let turned = shard::turn(self.now, shard, &mut io, &mut lanes, work);
        let (seen, carried, lost) = (io.verdict, lanes.verdict, lanes.lost);
        self.said.take(at, self.steps_count, shard, mutator.get_mut());
        callers.on_answers(at, shard.take_server_answers(), oracle, self.now.unix_ms)?;
        let calls = shard.take_hook_calls();
        match backend {
            Some(backend) => backend.ask(at, self.now.tick, calls),
            None => assert!(calls.is_empty(), "nobody is asked"),
        }
        for event in lost {
            shard.on_event_lost(self.now, &event);
        }
        if self.trace == Trace::Printed && !turned.is_idle() {
            println!("{:>6} core {at}: {turned:?}", self.now.tick.0);
        }
        check_turn(scenario.turn, turned.events_count, turned.messages_count)?;
        seen.and(carried)
    }

    /// True when nothing is under way anywhere.
    fn is_quiet(&mut self) -> bool {
        let lanes = self.lanes.all_waiting_count() == 0;
        let sockets = self.cores.iter().all(|core| core.io.next_due().is_none());
        let mut messages_count = 0;
        for core in &mut self.cores {
            core.shard.post(&mut |_, messages| messages_count += messages.len());
            messages_count += core.shard.store_requests().len();
        }
        let store = self.store.as_mut().is_none_or(Store::is_quiet);
        let backend = self.backend.as_ref().is_none_or(Backend::is_quiet);
        let callers = self.callers.is_quiet();
        lanes && sockets && store && backend && callers && messages_count == 0
    }

    /// What holds between turns, at every border.
    fn check_borders(&mut self) -> CheckResult {
        self.lanes.check()?;
        let audits: Vec<_> = self.cores.iter().map(|core| core.shard.audit()).collect();
        for (core, audit) in audits.iter().enumerate() {
            self.said.check(core, &audit.present)?;
        }
        let mut mail = Vec::new();
        for (from, core) in self.cores.iter_mut().enumerate() {
            core.shard.post(&mut |to, messages| mail.push((from, to, messages.clone())));
        }
        let in_lanes = self.lanes.in_lanes();
        let mut under_way: Vec<(ShardId, ShardId, &ShardMessage)> =
            self.lanes.on_the_way().collect();
        under_way.extend(in_lanes.iter().map(|(from, to, message)| (*from, *to, message)));
        for (from, to, messages) in &mail {
            let writer = ShardId(*from as u16);
            under_way.extend(messages.iter().map(|message| (writer, *to, message)));
        }
        check_membership(&audits, &under_way)
    }

    fn check_counters(&mut self) -> CheckResult {
        self.counters.published_seen = self.oracle.answered_count() - self.answered_before;
        let audits: Vec<_> = self.cores.iter().map(|core| core.shard.audit()).collect();
        let in_lanes = self.lanes.all_waiting_count() as u64;
        check_counters(&self.exposition, &audits, &self.counters, in_lanes)
    }
}
