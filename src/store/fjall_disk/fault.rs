//! Errors of fjall and of the system in the disk's words.
//!
//! Deliberately absent: what is done about them.

use std::path::{Path, PathBuf};

use super::super::OpenError;
use super::super::disk::DiskError;
use super::layout;

/// What a database that does not open again means for the disk.
pub fn reopen_fault(fault: &OpenError) -> DiskError {
    tracing::error!("the store could not be read again: {fault}");
    match fault {
        OpenError::Damaged { .. } | OpenError::Unreadable { .. } => DiskError::Damaged,
        OpenError::NoSpace(_) | OpenError::ConversionSpace { .. } => DiskError::Full,
        OpenError::Missing(_)
        | OpenError::NotADirectory(_)
        | OpenError::ReadOnly(_)
        | OpenError::Locked(_)
        | OpenError::Newer { .. }
        | OpenError::System { .. } => DiskError::Broken,
    }
}

/// The disk's word for an error of the system.
pub fn io_fault(error: &std::io::Error) -> DiskError {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskError::Full,
        _ => DiskError::Broken,
    }
}

/// The words of the system stand in the log: nobody else has them, and who mends a disk
/// needs them. While it is broken they come with each try to read it again.
pub fn unwritten(error: fjall::Error) -> DiskError {
    tracing::error!("the store could not write: {error:?}");
    disk_fault(error)
}

/// The disk's word for an error of fjall.
pub fn disk_fault(error: fjall::Error) -> DiskError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            io_fault(&error)
        }
        fjall::Error::Storage(_)
        | fjall::Error::JournalRecovery(_)
        | fjall::Error::Decompress(_)
        | fjall::Error::InvalidTrailer
        | fjall::Error::InvalidTag(_)
        | fjall::Error::Unrecoverable => DiskError::Damaged,
        _ => DiskError::Broken,
    }
}

/// The sentence for a database that does not open.
pub fn open_fault(dir: &Path, error: fjall::Error) -> OpenError {
    let dir = dir.to_path_buf();
    match error {
        fjall::Error::Locked => OpenError::Locked(dir),
        fjall::Error::InvalidVersion(_)
        | fjall::Error::Storage(fjall::LsmError::InvalidVersion(_)) => {
            OpenError::Newer { dir, found: None }
        }
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            io_error_in_database(dir, &error)
        }
        error => match disk_fault_is_damage(&error) {
            true => OpenError::Damaged { dir, what: format!("its tables do not open ({error:?})") },
            false => OpenError::System { dir, what: format!("{error:?}") },
        },
    }
}

/// The directory is there, and its database, too: where files are missing in that, or end too
/// early, it is damaged.
fn io_error_in_database(dir: PathBuf, error: &std::io::Error) -> OpenError {
    use std::io::ErrorKind;
    let what = match error.kind() {
        ErrorKind::NotFound | ErrorKind::AlreadyExists => "a file of its database is missing",
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            "a file of its database is not as it was written"
        }
        _ => return layout::io_open_fault(&dir, error),
    };
    OpenError::Damaged { dir, what: format!("{what} ({error})") }
}

fn disk_fault_is_damage(error: &fjall::Error) -> bool {
    matches!(
        error,
        fjall::Error::Storage(_)
            | fjall::Error::JournalRecovery(_)
            | fjall::Error::Decompress(_)
            | fjall::Error::InvalidTrailer
            | fjall::Error::InvalidTag(_)
            | fjall::Error::Unrecoverable
    )
}
