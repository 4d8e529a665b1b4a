//! How a store starts and ends.
//!
//! A channel whose messages are answered before their sync may lose some of them
//! after they were shown: in a power cut, or when a sync fails. So losses are counted
//! in the store, and such a channel goes on under another epoch.
//!
//! Deliberately absent: the work in between (`engine`).

use std::path::Path;

use super::super::disk::{Batch, Disk, DiskError, StoreKeyspace, SyncMode};
use super::super::record::BootRecord;
use super::super::{FORMAT, OpenError, Options, key};
use super::setup::EngineSetup;

/// What a store remembers of its earlier starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct BootHistory {
    /// The key that names are hashed with.
    pub name_key: [u8; 16],
    /// How often unsynced writes may have been lost.
    pub losses_count: u32,
    /// The time by which things expired last; `None` where nobody wrote it down.
    pub retention_unix_ms: Option<u64>,
}

/// Opens the store on a disk; an empty disk gets a new store.
pub(super) fn begin<D: Disk>(disk: &mut D, setup: &EngineSetup) -> Result<BootHistory, OpenError> {
    let dir = &setup.options.dir;
    let fault = |fault: DiskError| open_fault(dir, fault);
    let name_key = name_key_or_new(disk, dir, setup.new_name_key)?;
    // Writes that a killed process left in the kernel are visible from now on.
    disk.sync().map_err(fault)?;
    let last = last_boot(disk).map_err(fault)?;
    let noted = disk.get(StoreKeyspace::Meta, key::RETENTION_CLOCK).map_err(fault)?;
    let noted = noted.map(|bytes| bytes.try_into().map(u64::from_be_bytes)).transpose();
    let retention_unix_ms = noted.map_err(|_| fault(DiskError::Damaged))?;
    let is_same = [0, disk.boot_id()].contains(&last.boot_id);
    let losses_count = last.losses_count.saturating_add(u32::from(!is_same));
    let boot_record = BootRecord { boot_id: disk.boot_id(), losses_count };
    if boot_record != last {
        put_boot_record(disk, losses_count).map_err(fault)?;
    }
    Ok(BootHistory { name_key, losses_count, retention_unix_ms })
}

/// The key of names and the losses so far, for whoever writes to a store at rest, and syncs what it
/// writes; an empty disk gets a new store.
pub(in super::super) fn open_at_rest<D: Disk>(
    disk: &mut D,
    options: &Options,
    new_name_key: [u8; 16],
) -> Result<([u8; 16], u32), OpenError> {
    let dir = &options.dir;
    let name_key = name_key_or_new(disk, dir, new_name_key)?;
    let last = last_boot(disk).map_err(|fault| open_fault(dir, fault))?;
    Ok((name_key, last.losses_count))
}

fn name_key_or_new<D: Disk>(
    disk: &mut D,
    dir: &Path,
    new_name_key: [u8; 16],
) -> Result<[u8; 16], OpenError> {
    match name_key(disk, dir)? {
        Some(name_key) => Ok(name_key),
        None => create(disk, new_name_key).map_err(|fault| open_fault(dir, fault)),
    }
}

fn last_boot<D: Disk>(disk: &D) -> Result<BootRecord, DiskError> {
    match disk.get(StoreKeyspace::Meta, key::BOOT)? {
        Some(bytes) => BootRecord::take(&bytes).map_err(|_| DiskError::Damaged),
        None => Ok(BootRecord::default()),
    }
}

/// Syncs everything that was answered, and records that nothing was lost, and by which time things
/// expired last, where that is known.
pub(super) fn end<D: Disk>(
    disk: &mut D,
    losses_count: u32,
    retention_unix_ms: u64,
) -> Result<(), DiskError> {
    let mut batch = Batch::default();
    let record = BootRecord { boot_id: 0, losses_count };
    batch.put(StoreKeyspace::Meta, key::BOOT, record.put());
    if retention_unix_ms != 0 {
        let value = retention_unix_ms.to_be_bytes().to_vec();
        batch.put(StoreKeyspace::Meta, key::RETENTION_CLOCK, value);
    }
    disk.commit(&mut batch, SyncMode::Now)
}

/// The key of names in a store of our format; `None` when the disk is empty.
pub(in super::super) fn name_key<D: Disk>(
    disk: &D,
    dir: &Path,
) -> Result<Option<[u8; 16]>, OpenError> {
    let fault = |fault: DiskError| open_fault(dir, fault);
    if format(disk, dir)?.is_none() {
        return Ok(None);
    }
    let name_key = disk.get(StoreKeyspace::Meta, key::NAME_KEY).map_err(fault)?;
    let name_key = name_key.and_then(|bytes| bytes.try_into().ok());
    name_key.map(Some).ok_or_else(|| fault(DiskError::Damaged))
}

/// The format of a store, which we know; `None` when the disk is empty.
pub(in super::super) fn format<D: Disk>(disk: &D, dir: &Path) -> Result<Option<u32>, OpenError> {
    let fault = |fault: DiskError| open_fault(dir, fault);
    let Some(found) = disk.get(StoreKeyspace::Meta, key::FORMAT).map_err(fault)? else {
        return Ok(None);
    };
    match <[u8; 4]>::try_from(&found[..]).map(u32::from_be_bytes).ok() {
        Some(0) => Err(fault(DiskError::Damaged)),
        Some(found @ 1..=FORMAT) => Ok(Some(found)),
        found => Err(OpenError::Newer { dir: dir.to_path_buf(), found }),
    }
}

/// Writes which boot of the machine this is.
pub(super) fn put_boot_record<D: Disk>(disk: &mut D, losses_count: u32) -> Result<(), DiskError> {
    let mut batch = Batch::default();
    let record = BootRecord { boot_id: disk.boot_id(), losses_count };
    batch.put(StoreKeyspace::Meta, key::BOOT, record.put());
    disk.commit(&mut batch, SyncMode::Now)
}

pub(super) fn open_fault(dir: &Path, fault: DiskError) -> OpenError {
    let dir = dir.to_path_buf();
    match fault {
        DiskError::Full => OpenError::NoSpace(dir),
        DiskError::Damaged => OpenError::Damaged { dir, what: "its first records".into() },
        DiskError::Broken => OpenError::System { dir, what: "it cannot be read".into() },
    }
}

fn create<D: Disk>(disk: &mut D, name_key: [u8; 16]) -> Result<[u8; 16], DiskError> {
    let mut batch = Batch::default();
    batch.put(StoreKeyspace::Meta, key::FORMAT, FORMAT.to_be_bytes());
    batch.put(StoreKeyspace::Meta, key::NAME_KEY, name_key);
    disk.commit(&mut batch, SyncMode::Now)?;
    Ok(name_key)
}
