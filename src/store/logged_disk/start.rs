//! Opening: the log, what follows it, and what stands between them.
//!
//! Deliberately absent: what is done with changes afterwards.

use super::super::changes_log::{ChangesError, GroupReader};
use super::super::disk::DiskError;
use super::super::follower::LogFollower;
use super::super::message_runs::MessageRuns;
use super::layers::ActiveLayer;
use super::progress::Progress;
use super::{LogPort, LoggedDisk, LoggedOpenError};
use crate::log::{
    LogCore, LogDisk as _, LogOpenError, LogPosition, PageBuffer, ReadPlanError, open, open_behind,
};

/// Bytes that are read at a time when groups are read again.
const READ_BYTES: usize = 1 << 20;

impl<P: LogPort, F: LogFollower, R: MessageRuns> LoggedDisk<P, F, R> {
    /// Opens the log and reads what is behind follower and runs. Nothing is under way.
    pub(super) fn begin(&mut self) -> Result<(), LoggedOpenError> {
        self.log = None;
        self.active = ActiveLayer::default();
        self.frozen = None;
        self.commands.clear();
        let lives = self.port.lives().map_err(LoggedOpenError::Disk)?;
        let known = self.follower.applied().map_err(LoggedOpenError::Disk)?;
        let sorted = self.messages.begin().map_err(LoggedOpenError::Disk)?;
        let log = match open(self.port.disk(), self.setup.options, lives) {
            Err(damage @ LogOpenError::Damaged { .. }) => {
                self.open_behind_damage(damage, known.unwrap_or(0).min(sorted))?
            }
            log => log.map_err(LoggedOpenError::Log)?,
        };
        let (first, last) = (log.first().sequence, log.last().sequence);
        let applied = known.unwrap_or(first - 1);
        let had = applied.min(sorted);
        let gap = if last < applied {
            Some(LoggedOpenError::LogTooShort(last, applied))
        } else if last < sorted {
            Some(LoggedOpenError::LogTooShortForRuns(last, sorted))
        } else if applied + 1 < first {
            Some(LoggedOpenError::FollowerTooShort(first, applied))
        } else if sorted + 1 < first {
            Some(LoggedOpenError::RunsTooShort(first, sorted))
        } else {
            None
        };
        if let Some(gap) = gap {
            return Err(gap);
        }
        self.progress = Progress { applied, checkpoint: first - 1, ..Progress::default() };
        self.log = Some(log);
        self.failure = None;
        // What the follower had of it may be in a cache only.
        self.make_checkpoint();
        let log_id = self.setup.log_id;
        match known {
            Some(_) => self.read_behind(had, GroupReader::new(log_id)),
            None => self.read_behind(first - 1, GroupReader::within(log_id)),
        }
    }

    /// Opens a log of which something is damaged, where that has no batch that the follower or runs
    /// lack.
    fn open_behind_damage(
        &mut self,
        damage: LogOpenError,
        had: u64,
    ) -> Result<LogCore, LoggedOpenError> {
        // What it has may be in a cache only, and the log forgets it.
        self.follower.sync().map_err(LoggedOpenError::Disk)?;
        let lives = self.port.lives().map_err(LoggedOpenError::Disk)?;
        let log = open_behind(self.port.disk(), self.setup.options, lives, had);
        let log = log.map_err(LoggedOpenError::Log)?;
        tracing::warn!(
            "the store's log: {damage}; database and runs have that, and nothing is lost"
        );
        self.counts.note_damage();
        Ok(log)
    }

    /// Reads everything behind a sequence, and gives it to the follower.
    fn read_behind(
        &mut self,
        mut after: u64,
        mut groups: GroupReader,
    ) -> Result<(), LoggedOpenError> {
        loop {
            let log = self.log.as_ref().expect("it is open");
            let plan = match log.read_plan(LogPosition::of_file(after), READ_BYTES) {
                Ok(plan) => plan,
                Err(ReadPlanError::NotYet) => return Ok(()),
                Err(ReadPlanError::Gone | ReadPlanError::Damaged) => {
                    return Err(LoggedOpenError::Changes(ChangesError::Damaged));
                }
            };
            let mut pages = PageBuffer::zeroed(plan.pages());
            let read = self.port.disk().read(plan.segment(), plan.page(), pages.bytes_mut());
            read.map_err(|_| LoggedOpenError::Disk(DiskError::Damaged))?;
            let batches = plan.batches(pages.bytes());
            for sealed in batches.map_err(|_| LoggedOpenError::Disk(DiskError::Damaged))? {
                after += 1;
                let Some(group) = groups.next(sealed).map_err(LoggedOpenError::Changes)? else {
                    continue;
                };
                let mut changes = group.changes().map_err(LoggedOpenError::Changes)?;
                self.wait_for_readers().map_err(LoggedOpenError::Disk)?;
                let absorbed = self.absorb(&mut changes, group.last, group.disk_bytes());
                absorbed.map_err(LoggedOpenError::Disk)?;
            }
        }
    }
}
