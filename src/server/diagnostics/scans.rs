//! Scans of all connections, which each core does for itself: for the worst connections that an
//! operator asks for, and for the share that a suspected prefix has.
//!
//! Invariant: one scan is in progress at a time, and it ends at its deadline, whoever has
//! answered by then.
//!
//! Deliberately absent: what a core looks at (`shard`), and what follows from a share
//! (`blocklist`).

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::admin::{AnswerSender, ConnectionRow, ConnectionsAnswer, QuestionError, Sort};
use crate::server::core_lanes::CoreCommand;
use crate::server::cores::CoreHandles;
use crate::session::Prefix;
use crate::shard::{ConnectionInfo, ScanRequest, ScanResult, ShardCommand, TopBy};
use crate::wire::Encoding;

/// How long cores may take to answer.
const SCAN_MS_MAX: u64 = 2_000;

/// An operator asks for the worst connections.
pub(super) struct ConnsQuestion {
    pub sort: Sort,
    pub count: usize,
    pub answer: AnswerSender<ConnectionsAnswer>,
}

/// How many of all connections have a prefix.
pub(super) struct PrefixShare {
    pub prefix: Prefix,
    pub having: u64,
    pub all: u64,
}

/// What one core found.
pub(super) struct CoreFindings {
    pub core: u16,
    pub scan_id: u64,
    pub found: ScanResult,
    /// The other ends of the sockets, in the order of what was found.
    pub peers: Vec<Option<SocketAddr>>,
}

/// The scan in progress, and the question that waits for it.
pub(super) struct Scans {
    cores_count: u16,
    waiting: Option<ConnsQuestion>,
    in_progress: Option<ScanInProgress>,
    scan_id: u64,
}

struct ScanInProgress {
    scan_id: u64,
    until: Instant,
    /// Cores that have not answered.
    silent: Vec<u16>,
    purpose: Purpose,
}

enum Purpose {
    Conns { question: ConnsQuestion, found: ConnectionsAnswer },
    CountPrefix(PrefixShare),
}

impl Scans {
    /// No scan is in progress.
    pub fn new(cores_count: usize) -> Scans {
        Scans { cores_count: cores_count as u16, waiting: None, in_progress: None, scan_id: 0 }
    }

    /// When the scan in progress ends at the latest.
    pub fn until(&self) -> Option<Instant> {
        self.in_progress.as_ref().map(|scan| scan.until)
    }

    /// An operator asks. One question at a time is taken.
    pub fn ask(&mut self, question: ConnsQuestion) {
        let is_busy =
            self.waiting.is_some() || self.in_progress.as_ref().is_some_and(|scan| scan.is_asked());
        if is_busy {
            let _ = question.answer.send(Err(QuestionError::Busy));
        } else {
            self.waiting = Some(question);
        }
    }

    /// Begins the next scan, if one waits and none is in progress. Gives the share of a suspect
    /// at once where no core can be asked.
    pub fn begin(
        &mut self,
        cores: &mut CoreHandles,
        take_suspect: impl FnOnce() -> Option<Prefix>,
    ) -> Option<PrefixShare> {
        if self.in_progress.is_some() {
            return None;
        }
        let (request, purpose) = if let Some(question) = self.waiting.take() {
            let by = match question.sort {
                Sort::Age => TopBy::Age,
                Sort::Pending => TopBy::Pending,
                Sort::Tasks => TopBy::Tasks,
            };
            let request = ScanRequest::Top(by, question.count);
            (request, Purpose::Conns { question, found: ConnectionsAnswer::default() })
        } else {
            let prefix = take_suspect()?;
            let request = ScanRequest::CountPrefix(prefix.clone());
            (request, Purpose::CountPrefix(PrefixShare { prefix, having: 0, all: 0 }))
        };
        self.scan_id += 1;
        let scan_id = self.scan_id;
        let mut asked_count = 0;
        let silent: Vec<u16> = (0..self.cores_count).collect();
        for &core in &silent {
            let command = CoreCommand::Shard(ShardCommand::Scan(scan_id, request.clone()));
            asked_count += usize::from(cores.try_send(usize::from(core), command));
        }
        let until = Instant::now() + Duration::from_millis(SCAN_MS_MAX);
        self.in_progress = Some(ScanInProgress { scan_id, until, silent, purpose });
        if asked_count == 0 { self.finish() } else { None }
    }

    /// A core has finished its part. Gives the share of a suspect when all have.
    pub fn on_finished(&mut self, findings: CoreFindings) -> Option<PrefixShare> {
        let CoreFindings { core, scan_id, found, peers } = findings;
        // Another id is that of a scan that ended without this core.
        let scan = self.in_progress.as_mut().filter(|scan| scan.scan_id == scan_id)?;
        scan.silent.retain(|&other| other != core);
        match (&mut scan.purpose, found) {
            (Purpose::Conns { found: answer, .. }, ScanResult::Top(infos, all)) => {
                answer.connections += all;
                let rows = infos.into_iter().zip(peers).map(|(info, peer)| row(core, info, peer));
                answer.conns.extend(rows);
            }
            (Purpose::CountPrefix(share), ScanResult::CountPrefix { having, all }) => {
                share.having += having;
                share.all += all;
            }
            (Purpose::Conns { .. }, ScanResult::CountPrefix { .. })
            | (Purpose::CountPrefix(_), ScanResult::Top(..)) => {
                unreachable!("a scan has one purpose")
            }
        }
        if scan.silent.is_empty() { self.finish() } else { None }
    }

    /// Ends a scan whose deadline has passed.
    pub fn on_time(&mut self, now: Instant) -> Option<PrefixShare> {
        self.in_progress.as_ref().filter(|scan| scan.until <= now)?;
        self.finish()
    }

    /// Answers with what there is.
    fn finish(&mut self) -> Option<PrefixShare> {
        let scan = self.in_progress.take()?;
        match scan.purpose {
            Purpose::Conns { question, mut found } => {
                found.conns.sort_by_key(|conn| {
                    Reverse(match question.sort {
                        Sort::Age => conn.age_ms,
                        Sort::Pending => conn.outbox_bytes,
                        Sort::Tasks => conn.tasks.into(),
                    })
                });
                found.silent = scan.silent;
                // Whoever asked may be gone.
                let _ = question.answer.send(Ok(found));
                None
            }
            Purpose::CountPrefix(share) => Some(share),
        }
    }
}

impl ScanInProgress {
    /// Whether an operator asked for it.
    fn is_asked(&self) -> bool {
        matches!(&self.purpose, Purpose::Conns { .. })
    }
}

fn row(core: u16, info: ConnectionInfo, peer: Option<SocketAddr>) -> ConnectionRow {
    ConnectionRow {
        core,
        client: info.client.map(|client| client.to_string()),
        user: info.user,
        tenant: info.tenant,
        age_ms: info.age_ms,
        encoding: match info.encoding {
            Encoding::Json => "json",
            Encoding::Protobuf => "protobuf",
        },
        user_agent: info.agent.word(),
        channels_count: info.channels_count,
        outbox_bytes: info.outbox_bytes as u64,
        sends_in_flight: info.sends_in_flight,
        tasks: info.tasks,
        peer,
    }
}
