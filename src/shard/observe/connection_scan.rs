//! Scans over all connections of a shard, a few slots in each turn: for the top connections by
//! some measure, and for the number of connections with a prefix.
//!
//! Invariant: one turn looks at no more than `SCAN_SLOTS` slots, however many
//! connections there are.
//!
//! Deliberately absent: the requester of a scan, and sockets.

use crate::base::{ClientId, ConnId, Timestamps};
use crate::metrics::Agent;
use crate::session::{self, PeerIdentity, Prefix};
use crate::shard::conn::{ConnStage, Connection};
use crate::shard::connections::{Connections, Cursor};
use crate::wire::Encoding;

/// Slots that one turn looks at: below 1 ms also without optimisation, and a million
/// connections in 250 turns.
const SCAN_SLOTS: u32 = 4_096;

/// Largest number of connections in one result.
pub const SCAN_RESULTS_MAX: usize = 100;

/// The request of a scan.
#[derive(Clone, Debug)]
pub enum ScanRequest {
    /// The top connections, and their largest number.
    Top(TopBy, usize),
    /// The number of connections with this prefix.
    CountPrefix(Prefix),
}

/// The measure by which connections are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopBy {
    /// Age.
    Age,
    /// Bytes in the outbox.
    Pending,
    /// Open tasks.
    Tasks,
}

/// The result of a scan.
#[derive(Clone, Debug)]
pub enum ScanResult {
    /// The top connections in order, and the number of connections that were scanned.
    Top(Vec<ConnectionInfo>, u64),
    /// The number of connections with the prefix.
    CountPrefix {
        /// Connections with the prefix.
        having: u64,
        /// All open connections.
        all: u64,
    },
}

/// One connection, for operators.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Its id.
    pub conn: ConnId,
    /// Its client id; none before it is connected.
    pub client: Option<ClientId>,
    /// Its user; empty for an anonymous one.
    pub user: String,
    /// Its tenant; empty where there is only one.
    pub tenant: String,
    /// Its user agent.
    pub agent: Agent,
    /// Time since the upgrade.
    pub age_ms: u64,
    /// Its encoding.
    pub encoding: Encoding,
    /// Active and pending subscriptions.
    pub channels_count: usize,
    /// Bytes in its outbox and in flight.
    pub outbox_bytes: usize,
    /// Sends that the kernel has not finished.
    pub sends_in_flight: u32,
    /// Open tasks of the connection.
    pub tasks: u32,
}

/// The running scan, and the result of the last one until it is taken.
#[derive(Debug, Default)]
pub struct ConnectionScan {
    running: Option<ScanState>,
    found: Option<(u64, ScanResult)>,
}

/// A running scan.
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
    /// Begins a scan. It replaces a running one, which gets no result.
    pub fn begin(&mut self, scan_id: u64, request: ScanRequest) {
        let (cursor, worst) = (Cursor::default(), Vec::new());
        self.running = Some(ScanState { scan_id, request, cursor, worst, having: 0, all: 0 });
    }

    /// Whether a scan is running.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Scans the next slots; at the end the result waits to be taken.
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

    /// Takes the result of a finished scan, with its id.
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

/// The information about one connection, unless it is gone.
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

/// Open tasks of a connection: its receive, a send in flight, its timer, and each request
/// that a room has not answered. An idle connection has two.
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
