//! Opening the store of a directory: a new one, one that is whole, and one that goes on without
//! what is damaged.
//!
//! Deliberately absent: files (`store_disk`), what is damaged (`inspect`), and what is copied
//! (`salvage`).

use super::disk::{Disk, DiskError, SuspectedLoss};
use super::fjall_disk::{BackgroundThreads, FjallDisk};
use super::inspect::{CheckFinding, Inspection};
use super::logged_disk::GapRule;
use super::salvage::{Salvaged, salvage};
use super::store_disk::{FORMAT_WITHOUT_LOG, StoreDisk, open_logged, open_whole, put_format};
use super::{OpenError, Options};

/// Opens the store of a directory, which must exist, and makes one in it when there is none. A
/// damaged one is opened only when the options say so, without what is damaged.
pub fn open(options: &Options) -> Result<StoreDisk, OpenError> {
    FjallDisk::make_if_missing(options)?;
    let dir = &options.dir;
    if options.ignore_damage {
        leave_damage(options)?;
    } else if FjallDisk::damage_was_met(dir) {
        let what = "blocks of its tables do not match their checksums".to_owned();
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
    /// The log's id and its last batch, if it goes on.
    log: Option<(u64, u64)>,
}

/// Copies what can be read into a new database, which takes the place of the old one; that
/// stays as `db.damaged-<number>`, and so does a log that does not open. For a store that is told
/// to go on without what is damaged.
pub fn go_on_without(
    options: &Options,
    on_finding: &mut dyn FnMut(CheckFinding),
) -> Result<Salvaged, OpenError> {
    let dir = &options.dir;
    let Readable { disk, suspected_loss, log } = open_readable(options)?;
    let old = Inspection::of(disk, options)?;
    let (mut new, new_dir) = FjallDisk::beside(options)?;
    let salvaged = salvage(&old, &mut new, suspected_loss, on_finding);
    let salvaged = salvaged.and_then(|salvaged| {
        match log {
            Some((id, last)) => new.set_log(id, last)?,
            None => put_format(&mut new, FORMAT_WITHOUT_LOG)?,
        }
        new.sync().map(|()| salvaged)
    });
    // Both locks go before their directories do.
    drop((old, new));
    let salvaged = salvaged.map_err(|fault| match fault {
        DiskError::Full => OpenError::NoSpace(dir.clone()),
        DiskError::Broken | DiskError::Damaged => {
            OpenError::System { dir: dir.clone(), what: "copying it failed".into() }
        }
    })?;
    FjallDisk::replace_by(dir, &new_dir)?;
    Ok(salvaged)
}

/// Opens as much of a damaged store as there is.
fn open_readable(options: &Options) -> Result<Readable, OpenError> {
    let dir = &options.dir;
    let without_log = |suspected_loss| {
        let disk = FjallDisk::open_existing(options, BackgroundThreads::None)?;
        Ok(Readable { disk: Box::new(disk), suspected_loss, log: None })
    };
    if !FjallDisk::has_log(dir)? {
        return without_log(FjallDisk::cut_damage(options)?);
    }
    match open_logged(options, BackgroundThreads::None, GapRule::Accept) {
        Ok(disk) => {
            let suspected_loss = match disk.has_gap() {
                true => SuspectedLoss::AllChannels,
                false => SuspectedLoss::None,
            };
            let log = Some((disk.log_id(), disk.last_sequence()));
            Ok(Readable { disk: Box::new(disk), suspected_loss, log })
        }
        Err(OpenError::Damaged { what, .. }) => {
            tracing::warn!("the store goes on without its log: {what}");
            FjallDisk::put_log_aside(dir)?;
            without_log(SuspectedLoss::AllChannels)
        }
        Err(fault) => Err(fault),
    }
}
