//! The control thread's part in diagnostics: it carries an operator's questions to
//! the cores and their findings back, keeps the quarantine, and writes leaks down.
//!
//! Invariants: one look is under way at a time, and it ends at its deadline, whoever
//! has answered by then; a core that takes no commands gets none, and is told who is
//! blocked when it does again.
//!
//! Deliberately absent: HTTP, and what a core looks at.

mod leak;
mod quarantine;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::core_lanes::CoreCommand;
use super::cores::CoreHandles;
use super::dump;
use super::executor::CoreEvent;
use crate::admin::{
    self, AnswerSender, BlockedPrefixRow, ConnectionRow, ConnectionsAnswer, OperatorQuestion,
    QuestionError, Sort, tasks_report,
};
use crate::base::MonotonicMs;
use crate::clock::unix_ms;
use crate::metrics::{Cells, Gauge};
use crate::session::{Prefix, QuarantineOptions};
use crate::shard::{ConnectionInfo, ScanRequest, ScanResult, ShardCommand, TopBy};
use crate::wire::Encoding;

use leak::LeakWatch;
use quarantine::{BlockedBy, PREFIXES_MAX, Quarantine, SuspectResult};

/// How long cores may take to answer.
const LOOK_MS_MAX: u64 = 2_000;

/// Between two looks at what nobody tells by itself.
const WATCH_MS: u64 = 1_000;

/// What it is made of.
pub(super) struct DiagnosticsSetup {
    pub questions: mpsc::Receiver<OperatorQuestion>,
    pub core_events: mpsc::Receiver<CoreEvent>,
    pub quarantine: QuarantineOptions,
    pub cells: Vec<Arc<Cells>>,
    pub instance: Arc<str>,
    pub evidence_dir: Option<PathBuf>,
    pub leak_hold_ms: u64,
}

/// Everything of the control thread's that concerns diagnostics.
pub(super) struct Diagnostics {
    setup: DiagnosticsSetup,
    began: Instant,
    quarantine: Quarantine,
    /// By core: whether it knows who is blocked.
    told: Vec<bool>,
    /// Prefixes whose share is to be counted.
    suspects: VecDeque<Prefix>,
    /// A question that waits for a count under way.
    next: Option<ConnsQuestion>,
    looking: Option<Looking>,
    scan_id: u64,
    leak: LeakWatch,
    watch_at: Instant,
}

struct ConnsQuestion {
    sort: Sort,
    count: usize,
    answer: AnswerSender<ConnectionsAnswer>,
}

/// A look under way.
struct Looking {
    scan_id: u64,
    until: Instant,
    /// Cores that have not answered.
    silent: Vec<u16>,
    purpose: Purpose,
}

enum Purpose {
    Conns { question: ConnsQuestion, found: ConnectionsAnswer },
    Share { prefix: Prefix, having: u64, all: u64 },
}

/// What happened that `Diagnostics` has to do something about.
pub(super) enum DiagnosticsTask {
    Question(OperatorQuestion),
    CoreEvent(CoreEvent),
    Time,
}

impl Diagnostics {
    pub fn new(setup: DiagnosticsSetup) -> Diagnostics {
        let now = Instant::now();
        Diagnostics {
            began: now,
            quarantine: Quarantine::new(setup.quarantine.clone()),
            told: vec![true; setup.cells.len()],
            suspects: VecDeque::new(),
            next: None,
            looking: None,
            scan_id: 0,
            leak: LeakWatch::default(),
            watch_at: now + Duration::from_millis(WATCH_MS),
            setup,
        }
    }

    /// Waits until there is something to do.
    pub async fn wait(&mut self) -> DiagnosticsTask {
        let until = self.looking.as_ref().map_or(self.watch_at, |one| one.until.min(self.watch_at));
        tokio::select! {
            Some(question) = self.setup.questions.recv() => DiagnosticsTask::Question(question),
            Some(event) = self.setup.core_events.recv() => DiagnosticsTask::CoreEvent(event),
            () = tokio::time::sleep_until(until) => DiagnosticsTask::Time,
        }
    }

    /// Does what there is to do. Waits for nobody.
    pub fn act(&mut self, cores: &mut CoreHandles, commands: DiagnosticsTask) {
        match commands {
            DiagnosticsTask::Question(question) => self.on_question(cores, question),
            DiagnosticsTask::CoreEvent(CoreEvent::EarlyPanic(prefix)) => self.on_panic(&prefix),
            DiagnosticsTask::CoreEvent(CoreEvent::Looked { core, scan_id, found, peers }) => {
                self.on_found(core, scan_id, found, peers);
            }
            DiagnosticsTask::Time => self.on_time(),
        }
        self.begin_scan(cores);
        self.tell(cores);
    }

    fn now(&self) -> MonotonicMs {
        MonotonicMs(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    #[cfg_attr(
        not(feature = "faults"),
        expect(unused_variables, reason = "only a demonstration commands something at once")
    )]
    fn on_question(&mut self, cores: &mut CoreHandles, question: OperatorQuestion) {
        let now = self.now();
        match question {
            OperatorQuestion::Conns { sort, count, answer } => {
                let is_busy = self.next.is_some()
                    || self.looking.as_ref().is_some_and(|one| one.is_for_operator());
                if is_busy {
                    let _ = answer.send(Err(QuestionError::Busy));
                } else {
                    self.next = Some(ConnsQuestion { sort, count, answer });
                }
            }
            OperatorQuestion::Held(answer) => {
                let lines = self.quarantine.blocked().iter().map(|blocked| BlockedPrefixRow {
                    prefix: blocked.prefix.to_string(),
                    left_ms: blocked.until.ms_since(now),
                    held_ms: now.ms_since(blocked.since),
                    by: match blocked.by {
                        BlockedBy::Server => "server",
                        BlockedBy::Operator => "operator",
                    },
                });
                let _ = answer.send(Ok(lines.collect()));
            }
            OperatorQuestion::Hold { prefix, hold_ms, answer } => {
                let _ = answer.send(self.block(now, &prefix, hold_ms));
            }
            OperatorQuestion::Lift { prefix, answer } => {
                let prefix = Prefix::parse(&prefix);
                let lifted = prefix.is_some_and(|prefix| self.quarantine.unblock(&prefix));
                if lifted {
                    self.told.fill(false);
                    tracing::info!("a client prefix is let in again: an operator said so");
                }
                let _ = answer.send(if lifted { Ok(()) } else { Err(QuestionError::Unknown) });
            }
            #[cfg(feature = "faults")]
            OperatorQuestion::Block { core, block_ms, answer } => {
                let given = cores.try_send(usize::from(core), CoreCommand::Block { block_ms });
                let _ = answer.send(if given { Ok(()) } else { Err(QuestionError::Unknown) });
            }
        }
    }

    fn block(
        &mut self,
        now: MonotonicMs,
        prefix: &str,
        hold_ms: Option<u64>,
    ) -> Result<(), QuestionError> {
        let prefix = Prefix::parse(prefix).ok_or(QuestionError::Malformed)?;
        let hold_ms = hold_ms.unwrap_or(self.setup.quarantine.hold_ms);
        match self.quarantine.block(now, prefix, hold_ms, BlockedBy::Operator) {
            SuspectResult::Blocked => {
                self.told.fill(false);
                tracing::info!("a client prefix is blocked: an operator said so");
                Ok(())
            }
            SuspectResult::Full | SuspectResult::Spared | SuspectResult::Forgotten => {
                Err(QuestionError::Full)
            }
        }
    }

    fn on_panic(&mut self, prefix: &Prefix) {
        let is_suspect = self.quarantine.on_panic(self.now(), prefix);
        if is_suspect && self.suspects.len() < PREFIXES_MAX && !self.suspects.contains(prefix) {
            self.suspects.push_back(prefix.clone());
        }
    }

    fn on_found(
        &mut self,
        core: u16,
        scan_id: u64,
        found: ScanResult,
        peers: Vec<Option<SocketAddr>>,
    ) {
        let Some(looking) = self.looking.as_mut().filter(|one| one.scan_id == scan_id) else {
            return; // it came too late
        };
        looking.silent.retain(|&other| other != core);
        match (&mut looking.purpose, found) {
            (Purpose::Conns { found: answer, .. }, ScanResult::Top(sights, all)) => {
                answer.connections += all;
                let lines =
                    sights.into_iter().zip(peers).map(|(sight, peer)| line(core, sight, peer));
                answer.conns.extend(lines);
            }
            (
                Purpose::Share { having, all, .. },
                ScanResult::CountPrefix { having: more, all: of },
            ) => {
                *having += more;
                *all += of;
            }
            (Purpose::Conns { .. }, ScanResult::CountPrefix { .. })
            | (Purpose::Share { .. }, ScanResult::Top(..)) => {
                unreachable!("the ticket is another's")
            }
        }
        if looking.silent.is_empty() {
            self.end_scan();
        }
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if self.looking.as_ref().is_some_and(|looking| looking.until <= now) {
            self.end_scan();
        }
        if now < self.watch_at {
            return;
        }
        self.watch_at = now + Duration::from_millis(WATCH_MS);
        let now = self.now();
        if self.quarantine.expire(now) {
            self.told.fill(false);
            tracing::info!("a client prefix is let in again: its time is over");
        }
        let busiest = self.setup.cells.iter().map(|cells| cells.gauge(Gauge::ConnTasksMax)).max();
        if self.leak.on_sample(now, self.setup.leak_hold_ms, busiest.unwrap_or(0)) {
            self.write_leak();
        }
    }

    /// Begins the next look, if one waits and none is under way.
    fn begin_scan(&mut self, cores: &mut CoreHandles) {
        if self.looking.is_some() {
            return;
        }
        let (look, purpose) = if let Some(question) = self.next.take() {
            let worst = match question.sort {
                Sort::Age => TopBy::Age,
                Sort::Pending => TopBy::Pending,
                Sort::Tasks => TopBy::Tasks,
            };
            let look = ScanRequest::Top(worst, question.count);
            (look, Purpose::Conns { question, found: ConnectionsAnswer::default() })
        } else if let Some(prefix) = self.suspects.pop_front() {
            (ScanRequest::CountPrefix(prefix.clone()), Purpose::Share { prefix, having: 0, all: 0 })
        } else {
            return;
        };
        self.scan_id += 1;
        let scan_id = self.scan_id;
        let mut asked = 0;
        let silent: Vec<u16> = (0..self.told.len() as u16).collect();
        for &core in &silent {
            let order = CoreCommand::Shard(ShardCommand::Scan(scan_id, look.clone()));
            asked += usize::from(cores.try_send(usize::from(core), order));
        }
        let until = Instant::now() + Duration::from_millis(LOOK_MS_MAX);
        self.looking = Some(Looking { scan_id, until, silent, purpose });
        if asked == 0 {
            self.end_scan();
        }
    }

    /// Answers with what there is.
    fn end_scan(&mut self) {
        let Some(looking) = self.looking.take() else { return };
        match looking.purpose {
            Purpose::Conns { question, mut found } => {
                found.conns.sort_by_key(|conn| {
                    std::cmp::Reverse(match question.sort {
                        Sort::Age => conn.age_ms,
                        Sort::Pending => conn.outbox_bytes,
                        Sort::Tasks => conn.tasks.into(),
                    })
                });
                found.silent = looking.silent;
                // Whoever asked may be gone.
                let _ = question.answer.send(Ok(found));
            }
            Purpose::Share { prefix, having, all } => self.judge(&prefix, having, all),
        }
    }

    fn judge(&mut self, prefix: &Prefix, having: u64, all: u64) {
        // Names stand behind the token only, and not in a log.
        match self.quarantine.on_share(self.now(), prefix, having, all) {
            SuspectResult::Blocked => {
                self.told.fill(false);
                tracing::warn!(
                    "a client prefix is blocked for {} s: its sessions panicked soon after \
                     they began; GET /debug/quarantine names it",
                    self.setup.quarantine.hold_ms / 1_000
                );
            }
            SuspectResult::Spared => tracing::warn!(
                "sessions of a client prefix panic soon after they begin, and it stays: {having} \
                 of {all} connections have it"
            ),
            SuspectResult::Full => tracing::warn!(
                "sessions of a client prefix panic soon after they begin, and it stays: \
                 {PREFIXES_MAX} are blocked already"
            ),
            SuspectResult::Forgotten => (),
        }
    }

    /// Tells those cores who is blocked that do not know.
    fn tell(&mut self, cores: &mut CoreHandles) {
        if self.told.iter().all(|told| *told) {
            return;
        }
        let blocked = self.quarantine.blocked().iter().map(|blocked| blocked.prefix.clone());
        let blocked: Arc<[Prefix]> = blocked.collect();
        for (core, told) in self.told.iter_mut().enumerate() {
            if !*told {
                *told = cores.try_send(
                    core,
                    CoreCommand::Shard(ShardCommand::BlockedPrefixes(Arc::clone(&blocked))),
                );
            }
        }
    }

    fn write_leak(&self) {
        tracing::warn!(
            "a connection has had more tasks under way than it should for {} s; \
             GET /debug/conns?sort=tasks names it",
            self.setup.leak_hold_ms / 1_000
        );
        let Some(folder) = self.setup.evidence_dir.clone() else { return };
        let unix_ms = unix_ms();
        let report = tasks_report(&self.setup.instance, unix_ms, &self.setup.cells);
        // A slow disk must not keep the control thread from its signals.
        drop(tokio::task::spawn_blocking(move || {
            match dump::write(&folder, unix_ms, &format!("{report}\n")) {
                Ok(path) => tracing::warn!("what all cores were doing is in {}", path.display()),
                Err(error) => tracing::error!(
                    "what all cores were doing cannot be written to {}: {error}",
                    folder.display()
                ),
            }
        }));
    }
}

impl Looking {
    fn is_for_operator(&self) -> bool {
        matches!(&self.purpose, Purpose::Conns { .. })
    }
}

fn line(core: u16, sight: ConnectionInfo, peer: Option<SocketAddr>) -> admin::ConnectionRow {
    ConnectionRow {
        core,
        client: sight.client.map(|client| client.to_string()),
        user: sight.user,
        tenant: sight.tenant,
        age_ms: sight.age_ms,
        encoding: match sight.encoding {
            Encoding::Json => "json",
            Encoding::Protobuf => "protobuf",
        },
        user_agent: sight.agent.word(),
        channels_count: sight.channels_count,
        outbox_bytes: sight.outbox_bytes as u64,
        sends_in_flight: sight.sends_in_flight,
        tasks: sight.tasks,
        peer,
    }
}
