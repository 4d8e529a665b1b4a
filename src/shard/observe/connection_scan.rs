//! Looking through all connections of a shard, a few in each turn: for an operator
//! who wants to see the worst of them, and for whoever wants to know how many have
//! something in common.
//!
//! Invariant: one turn looks at no more than `SCAN_SLOTS` slots, however many
//! connections there are.
//!
//! Deliberately absent: who asks, sockets.

use crate::base::{ClientId, ConnId, Timestamps};
use crate::metrics::Agent;
use crate::session::{self, PeerIdentity, Prefix};
use crate::shard::conn::{ConnStage, Connection};
use crate::shard::connections::{Connections, Cursor};
use crate::wire::Encoding;

/// Slots that one turn looks at: below 1 ms also without optimisation, and a million
/// connections in 250 turns.
const SCAN_SLOTS: u32 = 4_096;

/// Connections that one look brings back at most.
pub const SCAN_RESULTS_MAX: usize = 100;

/// What is looked for.
#[derive(Clone, Debug)]
pub enum ScanRequest {
    /// The worst connections, at most so many.
    Top(TopBy, usize),
    /// How many have this prefix.
    CountPrefix(Prefix),
}

/// What makes a connection bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopBy {
    /// It is old.
    Age,
    /// Much waits for it.
    Pending,
    /// It has much under way.
    Tasks,
}

/// What was found.
#[derive(Clone, Debug)]
pub enum ScanResult {
    /// The worst first, and how many connections were looked at.
    Top(Vec<ConnectionInfo>, u64),
    /// So many have the prefix, of so many.
    CountPrefix {
        /// Those.
        having: u64,
        /// All that are open.
        all: u64,
    },
}

/// One connection, as an operator sees it.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Which.
    pub conn: ConnId,
    /// What SDKs call it; none before it is connected.
    pub client: Option<ClientId>,
    /// Who it is; empty for nobody.
    pub user: String,
    /// Whose names those are; empty for the only tenant.
    pub tenant: String,
    /// What its program is.
    pub agent: Agent,
    /// Since the upgrade.
    pub age_ms: u64,
    /// How it speaks.
    pub encoding: Encoding,
    /// Channels that it is in or has asked for.
    pub channels_count: usize,
    /// What waits for it or is on its way to it.
    pub outbox_bytes: usize,
    /// Sends that the kernel has not finished.
    pub sends_in_flight: u32,
    /// All that has to come back for it.
    pub tasks: u32,
}

/// The look under way, and what the last one found until it is taken.
#[derive(Debug, Default)]
pub struct ConnectionScan {
    running: Option<ScanState>,
    found: Option<(u64, ScanResult)>,
}

/// A look under way.
#[derive(Debug)]
struct ScanState {
    scan_id: u64,
    request: ScanRequest,
    cursor: Cursor,
    /// The worst so far, the best of them last.
    worst: Vec<(u64, ConnId)>,
    having: u64,
    all: u64,
}

impl ConnectionScan {
    /// Begins to look. Whoever asked before gets no answer.
    pub fn begin(&mut self, scan_id: u64, request: ScanRequest) {
        let (cursor, worst) = (Cursor::default(), Vec::new());
        self.running = Some(ScanState { scan_id, request, cursor, worst, having: 0, all: 0 });
    }

    /// Whether there is more to look at.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Looks at the next few slots; at the end what was found waits to be taken.
    pub fn step(&mut self, now: Timestamps, connections: &Connections, options: &session::Options) {
        let Some(mut scan) = self.running.take() else { return };
        let end = connections.end_of_step(scan.cursor, SCAN_SLOTS);
        while let Some((id, conn)) = connections.next(&mut scan.cursor, end) {
            scan.look_at(now, options, id, conn);
        }
        if end < connections.span() {
            self.running = Some(scan);
            return;
        }
        let found = match scan.request {
            ScanRequest::Top(..) => {
                let worst = scan.worst.iter();
                let infos = worst.filter_map(|&(_, id)| info(now, connections, options, id));
                ScanResult::Top(infos.collect(), scan.all)
            }
            ScanRequest::CountPrefix(_) => {
                ScanResult::CountPrefix { having: scan.having, all: scan.all }
            }
        };
        self.found = Some((scan.scan_id, found));
    }

    /// What a look found, and which look it was.
    pub fn take_scan_result(&mut self) -> Option<(u64, ScanResult)> {
        self.found.take()
    }
}

impl ScanState {
    fn look_at(
        &mut self,
        now: Timestamps,
        options: &session::Options,
        id: ConnId,
        conn: &Connection,
    ) {
        let ConnStage::Open(_, session) = conn.stage() else { return };
        self.all += 1;
        let (worst, count) = match &self.request {
            ScanRequest::CountPrefix(prefix) => {
                let is_of = |who: PeerIdentity<'_>| prefix.is_of(who.tenant, who.user, who.agent);
                self.having += u64::from(session.who().is_some_and(is_of));
                return;
            }
            ScanRequest::Top(worst, count) => (*worst, (*count).min(SCAN_RESULTS_MAX)),
        };
        let rank = match worst {
            TopBy::Age => session.age_ms(now.tick, options),
            TopBy::Pending => conn.send().bytes() as u64,
            TopBy::Tasks => tasks(conn).into(),
        };
        if self.worst.len() == count {
            match self.worst.last() {
                Some(&(least, _)) if least < rank => _ = self.worst.pop(),
                Some(_) | None => return,
            }
        }
        let place = self.worst.partition_point(|&(other, _)| rank <= other);
        self.worst.insert(place, (rank, id));
    }
}

/// All of one connection, unless it went meanwhile.
fn info(
    now: Timestamps,
    connections: &Connections,
    options: &session::Options,
    id: ConnId,
) -> Option<ConnectionInfo> {
    let conn = connections.get(id)?;
    let session = connections.session(id)?;
    let who = session.who();
    let text =
        |part: fn(PeerIdentity<'_>) -> &str| who.map_or(String::new(), |who| part(who).to_owned());
    Some(ConnectionInfo {
        conn: id,
        client: who.map(|who| who.client),
        user: text(|who| who.user),
        tenant: text(|who| who.tenant),
        agent: session.agent(),
        age_ms: session.age_ms(now.tick, options),
        encoding: conn.send().encoding(),
        channels_count: session.channels_count(),
        outbox_bytes: conn.send().bytes(),
        sends_in_flight: u32::from(conn.send().is_sending()),
        tasks: tasks(conn),
    })
}

/// What still has to come back for a connection: its receive, a send in flight, its
/// timer, and each question that a room has not answered. An idle one has two.
pub fn tasks(conn: &Connection) -> u32 {
    let receive = 1;
    let timer = u32::from(conn.has_timer());
    let send = u32::from(conn.send().is_sending());
    let questions = match conn.stage() {
        ConnStage::Open(_, session) => session.unanswered_count(),
        ConnStage::Upgrading(_) | ConnStage::Closing(_) | ConnStage::Shut => 0,
    };
    receive + timer + send + questions
}
