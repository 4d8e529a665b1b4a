//! What the log of a store has that its database lacks, where the log does not open: the changes
//! of every commit that is whole, in order, and what is missing between them.
//!
//! Changes are absolute, so those behind a hole say what became of their keys; what only the hole
//! had shows as messages that are not there, or not at all.
//!
//! Deliberately absent: the database, and who is told.

use std::fmt;

use super::changes_log::{ChangesError, GroupReader};
use super::disk::Batch;
use super::logged_disk::LoggedOpenError;
use crate::log::{self, LogDisk, LogGap, LogSurvey, PageBuffer};

/// Something that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFinding {
    /// Batches are not there.
    Missing {
        /// From this sequence,
        first: u64,
        /// up to this one.
        last: u64,
        /// Where they should begin: segment and page; `None` where the log begins behind them.
        place: Option<(u32, u32)>,
        /// Whether something is lost with them.
        kept: KeptElsewhere,
    },
    /// None of it can be read.
    Unreadable(String),
    /// A run of messages behind it cannot be read: its number, and why.
    UnreadableRun(u64, String),
}

impl LogFinding {
    /// Whether something is lost with it.
    pub fn is_loss(&self) -> bool {
        match self {
            LogFinding::Missing { kept: KeptElsewhere::InDatabase, .. } => false,
            LogFinding::Missing { kept: KeptElsewhere::Nowhere, .. }
            | LogFinding::Unreadable(_)
            | LogFinding::UnreadableRun(..) => true,
        }
    }
}

/// Whether the database has what the log lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptElsewhere {
    /// It has all of it: nothing is lost.
    InDatabase,
    /// It does not have all of it.
    Nowhere,
}

/// What a log has behind a database.
#[derive(Debug)]
pub struct LogReading {
    /// Changes of each commit, by the sequence of its last batch.
    pub groups: Vec<(u64, Batch)>,
    /// What is wrong with it.
    pub findings: Vec<LogFinding>,
}

/// Reads what a log has behind the sequence up to which a database has everything, if that is
/// known. Writes nothing.
pub fn read_log(
    disk: &mut impl LogDisk,
    log_id: u64,
    applied: Option<u64>,
) -> Result<LogReading, LoggedOpenError> {
    let surveyed = log::survey(disk, applied.unwrap_or(0)).map_err(LoggedOpenError::Log)?;
    let LogSurvey { first, batches, mut gaps, last } = surveyed;
    let applied = applied.unwrap_or(first - 1);
    let mut found = Vec::new();
    let mut groups = GroupReader::within(log_id);
    let mut before = applied;
    for (sequence, plan) in batches {
        if before + 1 < sequence {
            // What began before the hole has no end.
            groups = GroupReader::within(log_id);
        }
        before = sequence;
        let mut pages = PageBuffer::zeroed(plan.pages());
        let read = disk.read(plan.segment(), plan.page(), pages.bytes_mut());
        let sealed = read.ok().and_then(|()| plan.batches(pages.bytes()).ok());
        let Some(sealed) = sealed.and_then(|batches| batches.into_iter().next()) else {
            // It could be read a moment ago.
            let (segment, page) = (plan.segment(), plan.page());
            gaps.push(LogGap { first: sequence, last: sequence, segment, page });
            groups = GroupReader::within(log_id);
            continue;
        };
        let group = match groups.next(sealed) {
            Ok(group) => group,
            Err(ChangesError::OtherLog) => {
                return Err(LoggedOpenError::Changes(ChangesError::OtherLog));
            }
            Err(ChangesError::Damaged) => {
                groups = GroupReader::within(log_id);
                continue;
            }
        };
        let changes = group.and_then(|group| Some((group.last, group.changes().ok()?)));
        found.extend(changes);
    }
    let mut findings = Vec::new();
    if applied + 1 < first {
        let (kept, place) = (KeptElsewhere::Nowhere, None);
        findings.push(LogFinding::Missing { first: applied + 1, last: first - 1, place, kept });
    }
    findings.extend(gaps.iter().map(|gap| gap_finding(gap, applied)));
    if last < applied {
        let error = LoggedOpenError::LogTooShort(last, applied);
        findings.push(LogFinding::Unreadable(error.to_string()));
    }
    Ok(LogReading { groups: found, findings })
}

fn gap_finding(gap: &LogGap, applied: u64) -> LogFinding {
    let kept = match gap.last <= applied {
        true => KeptElsewhere::InDatabase,
        false => KeptElsewhere::Nowhere,
    };
    let place = Some((gap.segment.0, gap.page));
    LogFinding::Missing { first: gap.first, last: gap.last, place, kept }
}

impl fmt::Display for LogFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last, place, kept) = match self {
            LogFinding::Missing { first, last, place, kept } => (first, last, place, kept),
            LogFinding::Unreadable(why) => {
                return write!(f, "nothing more of the log can be read: {why}");
            }
            LogFinding::UnreadableRun(run, why) => {
                return write!(
                    f,
                    "the messages of run {run} cannot be read: {why}; of which channels they are is \
                     not known, and what it changed of older ones shows as it was before"
                );
            }
        };
        match first == last {
            true => write!(f, "the log's batch {first}")?,
            false => write!(f, "the log's batches {first} to {last}")?,
        }
        match place {
            Some((segment, page)) => write!(f, ": damaged, in segment {segment} from page {page}")?,
            None => f.write_str(": missing, the log begins behind them")?,
        }
        f.write_str(match kept {
            KeptElsewhere::InDatabase => "; the database has what they say, and nothing is lost",
            KeptElsewhere::Nowhere => "; what they say is lost, of which channels is not known",
        })
    }
}
