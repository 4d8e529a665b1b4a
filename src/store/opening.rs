//! Opening the store of a directory: a new one, one that is whole, and one that goes on without
//! what is damaged.
//!
//! Deliberately absent: files (`fjall_disk`), what is damaged (`inspect`), and what is copied
//! (`salvage`).

use super::disk::{Disk, DiskError};
use super::fjall_disk::{BackgroundThreads, FjallDisk};
use super::inspect::{CheckFinding, Inspection};
use super::salvage::{Salvaged, salvage};
use super::{OpenError, Options};

/// Opens the store of a directory, which must exist, and makes one in it when there is none. A
/// damaged one is opened only when the options say so, without what is damaged.
pub fn open(options: &Options) -> Result<FjallDisk, OpenError> {
    FjallDisk::make_if_missing(options)?;
    let dir = &options.dir;
    if options.ignore_damage {
        leave_damage(options)?;
    } else if FjallDisk::damage_was_met(dir) {
        let what = "blocks of its tables do not match their checksums".to_owned();
        return Err(OpenError::Damaged { dir: dir.clone(), what });
    }
    FjallDisk::open_existing(options, BackgroundThreads::One)
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

/// Copies what can be read into a new database, which takes the place of the old one; that
/// stays as `db.damaged-<number>`. For a store that is told to go on without what is damaged.
pub fn go_on_without(
    options: &Options,
    on_finding: &mut dyn FnMut(CheckFinding),
) -> Result<Salvaged, OpenError> {
    let dir = &options.dir;
    let suspected_loss = FjallDisk::cut_damage(options)?;
    let old = Inspection::open(options, BackgroundThreads::None)?;
    let (mut new, new_dir) = FjallDisk::beside(options)?;
    let salvaged = salvage(&old, &mut new, suspected_loss, on_finding);
    let salvaged = salvaged.and_then(|salvaged| new.sync().map(|()| salvaged));
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
