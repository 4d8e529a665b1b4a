//! Opening the store of a directory: a new one, one that is whole, and one that goes on without
//! what is damaged.
//!
//! Deliberately absent: files (`store_disk`), what is damaged (`inspect`), and what is copied
//! (`salvage`).

use std::path::Path;

use super::disk::{Disk, DiskError, SuspectedLoss};
use super::fjall_disk::{BackgroundThreads, FjallDisk, log_dir, messages_dir};
use super::inspect::{CheckFinding, Inspection};
use super::log_reading::LogFinding;
use super::salvage::{Salvaged, salvage};
use super::store_disk::{
    FORMAT_WITHOUT_LOG, PartialStore, StoreDisk, open_partial, open_whole, put_format,
};
use super::{OpenError, Options};

/// Opens the store of a directory, which must exist, and makes one in it when there is none. A
/// damaged one is opened only when the options say so, without what is damaged.
pub fn open(options: &Options) -> Result<StoreDisk, OpenError> {
    FjallDisk::make_if_missing(options)?;
    let dir = &options.dir;
    if options.ignore_damage {
        leave_damage(options)?;
    } else if FjallDisk::damage_was_met(dir) {
        let what = "what it keeps does not match its checksums".to_owned();
        return Err(OpenError::Damaged { dir: dir.clone(), what });
    }
    open_whole(options)
}

/// Looks through everything, and goes on without what is damaged, if anything is.
fn leave_damage(options: &Options) -> Result<(), OpenError> {
    let found = Inspection::open(options, BackgroundThreads::None);
    let is_whole = match found.map(|store| store.check(&mut |_| {})) {
        Ok(Ok(totals)) => totals.findings_count == 0,
        Ok(Err(_)) | Err(OpenError::Damaged { .. }) => false,
        Err(fault) => return Err(fault),
    };
    if is_whole {
        return Ok(());
    }
    let salvaged = go_on_without(options, &mut |finding| {
        tracing::warn!("the store goes on without something: {finding}");
    })?;
    let Salvaged { channels_count, messages_count, .. } = salvaged;
    tracing::warn!(channels_count, messages_count, "the store was damaged, and is copied");
    Ok(())
}

/// What can be read of a damaged store.
struct Readable {
    disk: Box<dyn Disk>,
    suspected_loss: SuspectedLoss,
    /// What is wrong with the log, or with runs.
    findings: Vec<LogFinding>,
}

/// Copies what can be read into a new database, which takes the place of the old one; that stays as
/// `db.damaged-<number>`, and so do its log and its runs, of which all that is whole is copied. The
/// next start makes others. For a store that is told to go on without what is damaged.
pub fn go_on_without(
    options: &Options,
    on_finding: &mut dyn FnMut(CheckFinding),
) -> Result<Salvaged, OpenError> {
    let dir = &options.dir;
    let readable = open_readable(options).map_err(OpenError::of_what_is_left)?;
    let (new, new_dir) = FjallDisk::beside(options)?;
    let salvaged = copy(readable, options, (new, dir), on_finding)?;
    FjallDisk::replace_by(dir, &new_dir)?;
    // Behind the database: in front of one without a log's id they count for nothing.
    FjallDisk::put_aside(dir, &log_dir(dir))?;
    FjallDisk::put_aside(dir, &messages_dir(dir))?;
    Ok(salvaged)
}

/// Copies what can be read into a new store in another directory, which must be empty. The old one
/// stays as it is.
pub fn salvage_to(
    options: &Options,
    new_dir: &Path,
    on_finding: &mut dyn FnMut(CheckFinding),
) -> Result<Salvaged, OpenError> {
    let new_options = Options { dir: new_dir.to_path_buf(), ..options.clone() };
    FjallDisk::check_empty(new_dir)?;
    let readable = match FjallDisk::has_log(&options.dir)? {
        true => open_readable(options).map_err(OpenError::of_what_is_left)?,
        // Its journal is not cut: that is for a store that goes on.
        false => Readable {
            disk: Box::new(FjallDisk::open_existing(options, BackgroundThreads::None)?),
            suspected_loss: SuspectedLoss::None,
            findings: Vec::new(),
        },
    };
    FjallDisk::make_if_missing(&new_options)?;
    let new = FjallDisk::open_existing(&new_options, BackgroundThreads::One)?;
    let salvaged = copy(readable, options, (new, new_dir), on_finding)?;
    let mut made = open_whole(&new_options)?;
    made.close().map_err(|fault| copy_fault(new_dir, fault))?;
    Ok(salvaged)
}

/// Copies what can be read into a database, for a store in this directory.
fn copy(
    readable: Readable,
    options: &Options,
    (mut new, dir): (FjallDisk, &Path),
    on_finding: &mut dyn FnMut(CheckFinding),
) -> Result<Salvaged, OpenError> {
    let Readable { disk, suspected_loss, findings } = readable;
    let log_findings_count = findings.len() as u64;
    findings.into_iter().map(CheckFinding::Log).for_each(&mut *on_finding);
    let old = Inspection::of(disk, options).map_err(OpenError::of_what_is_left)?;
    let salvaged = salvage(&old, &mut new, suspected_loss, on_finding);
    let salvaged = salvaged.and_then(|salvaged| {
        put_format(&mut new, FORMAT_WITHOUT_LOG)?;
        new.sync().map(|()| salvaged)
    });
    // Both locks go before their directories do.
    drop((old, new));
    let salvaged = salvaged.map_err(|fault| copy_fault(dir, fault))?;
    let findings_count = salvaged.findings_count + log_findings_count;
    Ok(Salvaged { findings_count, ..salvaged })
}

fn copy_fault(dir: &Path, fault: DiskError) -> OpenError {
    let dir = dir.to_path_buf();
    match fault {
        DiskError::Full => OpenError::NoSpace(dir),
        DiskError::Broken | DiskError::Damaged => {
            OpenError::System { dir, what: "copying it failed".into() }
        }
    }
}

/// Opens as much of a damaged store as there is.
fn open_readable(options: &Options) -> Result<Readable, OpenError> {
    let dir = &options.dir;
    if !FjallDisk::has_log(dir)? {
        let suspected_loss = FjallDisk::cut_damage(options)?;
        let disk = Box::new(FjallDisk::open_existing(options, BackgroundThreads::None)?);
        return Ok(Readable { disk, suspected_loss, findings: Vec::new() });
    }
    let PartialStore { disk, findings } = open_partial(options)?;
    let suspected_loss = suspected_loss(&findings);
    Ok(Readable { disk: Box::new(disk), suspected_loss, findings })
}

/// A commit writes what it changes; which channels one wrote that is gone nobody knows.
fn suspected_loss(findings: &[LogFinding]) -> SuspectedLoss {
    match findings.iter().any(LogFinding::is_loss) {
        true => SuspectedLoss::AllChannels,
        false => SuspectedLoss::None,
    }
}
