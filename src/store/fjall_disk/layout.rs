//! The store's directory: what lies where, who may use it, how full it is.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use xxhash_rust::xxh3::xxh3_64;

use super::super::OpenError;

/// The database of a store's directory.
pub fn db_dir(dir: &Path) -> PathBuf {
    dir.join("db")
}

/// The log of a store's directory.
pub fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// The sorted messages of a store's directory.
pub fn messages_dir(dir: &Path) -> PathBuf {
    dir.join("messages")
}

/// An empty directory to sort messages into; what an earlier try left is gone, also one that had
/// its name already.
pub fn fresh_messages_dir(dir: &Path) -> Result<PathBuf, OpenError> {
    let new_dir = dir.join("messages.new");
    for old in [&messages_dir(dir), &new_dir] {
        match fs::remove_dir_all(old) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io_open_fault(dir, &error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(new_dir)
}

/// Sorted messages are complete, and get their name.
pub fn adopt_messages(dir: &Path, new_dir: &Path) -> Result<(), OpenError> {
    fs::rename(new_dir, messages_dir(dir))
        .and_then(|()| File::open(dir)?.sync_all())
        .map_err(|error| io_open_fault(dir, &error))
}

/// Whether the directory is one, and may be used.
pub fn check_dir(dir: &Path) -> Result<(), OpenError> {
    let found = fs::metadata(dir).map_err(|error| io_open_fault(dir, &error))?;
    if !found.is_dir() {
        return Err(OpenError::NotADirectory(dir.to_path_buf()));
    }
    let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::access(dir, all).map_err(|error| io_open_fault(dir, &error.into()))
}

/// Refuses a directory with anything in it.
pub fn check_empty(dir: &Path) -> Result<(), OpenError> {
    let mut entries = fs::read_dir(dir).map_err(|error| io_open_fault(dir, &error))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => {
            let what = "it is not empty, and a new store is to be made in it".to_owned();
            Err(OpenError::System { dir: dir.to_path_buf(), what })
        }
    }
}

/// Whether there is a database.
pub fn exists(dir: &Path, db_dir: &Path) -> Result<bool, OpenError> {
    db_dir.try_exists().map_err(|error| io_open_fault(dir, &error))
}

/// An empty directory to make a database in; what an earlier try left is gone.
pub fn fresh_dir(dir: &Path) -> Result<PathBuf, OpenError> {
    let new_dir = dir.join("db.new");
    match fs::remove_dir_all(&new_dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_open_fault(dir, &error)),
        Ok(()) | Err(_) => Ok(new_dir),
    }
}

const DAMAGE_MARK: &str = "damage-was-met";

/// A damaged block was read: the next start must not pass over it. Best effort,
/// since the disk is what fails.
pub fn remember_damage(dir: &Path) {
    let mark = dir.join(DAMAGE_MARK);
    if !mark.exists() {
        drop(File::create(mark));
    }
}

/// Whether a damaged block was read before this start.
pub fn damage_was_met(dir: &Path) -> bool {
    dir.join(DAMAGE_MARK).exists()
}

/// The damaged database was left.
pub fn forget_damage(dir: &Path) -> Result<(), OpenError> {
    match fs::remove_file(dir.join(DAMAGE_MARK)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_open_fault(dir, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A damaged database, or log, makes room for another one, under a name that is free.
pub fn put_aside(dir: &Path, damaged: &Path) -> Result<(), OpenError> {
    let own = damaged.file_name().unwrap_or_default().to_string_lossy();
    let names = (1..1_000).map(|number| dir.join(format!("{own}.damaged-{number}")));
    let mut free = names.filter(|name| !name.exists());
    let name = free.next().ok_or_else(|| OpenError::System {
        dir: dir.to_path_buf(),
        what: format!("too many names like {own}.damaged-1 are taken in it"),
    })?;
    fs::rename(damaged, name)
        .and_then(|()| File::open(dir)?.sync_all())
        .map_err(|error| io_open_fault(dir, &error))
}

/// A finished database takes its place.
pub fn adopt(dir: &Path, new_dir: &Path) -> Result<(), OpenError> {
    fs::rename(new_dir, db_dir(dir))
        .and_then(|()| File::open(dir)?.sync_all())
        .map_err(|error| io_open_fault(dir, &error))
}

/// Whether another process has the database open. Asked before anything in it is
/// touched; fjall takes the same lock a moment later.
pub fn check_lock(dir: &Path, db_dir: &Path) -> Result<(), OpenError> {
    let lock = match File::options().read(true).write(true).open(db_dir.join("lock")) {
        Ok(lock) => lock,
        // fjall makes one.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_open_fault(dir, &error)),
    };
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(dir.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(io_open_fault(dir, &error)),
    }
}

/// Bytes that are free to a user without privileges.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
    let system = rustix::fs::statvfs(dir)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// Names this start of the machine. Where the system does not tell, the same
/// number always: a power cut goes unnoticed then.
pub fn boot() -> u64 {
    let id = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    xxh3_64(&id).max(1)
}

/// Bytes that a directory's files take, their holes not counted.
pub fn used_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        // Tables come and go meanwhile.
        let Ok(entry) = entry else { continue };
        let Ok(found) = entry.metadata() else { continue };
        bytes += match found.is_dir() {
            true => used_bytes(&entry.path()).unwrap_or(0),
            false => found.blocks() * 512,
        };
    }
    Ok(bytes)
}

/// The sentence for an error of the operating system.
pub fn io_open_fault(dir: &Path, error: &io::Error) -> OpenError {
    let dir = dir.to_path_buf();
    match error.kind() {
        ErrorKind::NotFound => OpenError::Missing(dir),
        ErrorKind::NotADirectory => OpenError::NotADirectory(dir),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly(dir),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => OpenError::NoSpace(dir),
        _ => OpenError::System { dir, what: error.to_string() },
    }
}
