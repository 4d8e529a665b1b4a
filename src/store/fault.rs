//! Why a store does not open: sentences for the operator.

use std::fmt;
use std::path::PathBuf;

/// Why a store does not open. `Display` says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// There is no such directory.
    Missing(PathBuf),
    /// Something else has that name.
    NotADirectory(PathBuf),
    /// This user may not write there, or the file system is read-only.
    ReadOnly(PathBuf),
    /// Another process has it open.
    Locked(PathBuf),
    /// Written by a later version.
    Newer {
        /// Its directory.
        dir: PathBuf,
        /// Its format, if that can be read.
        found: Option<u32>,
    },
    /// What is there does not match its checksums.
    Damaged {
        /// Its directory.
        dir: PathBuf,
        /// What does not match, as far as it is known.
        what: String,
    },
    /// It is damaged so that nothing of it can be read.
    Unreadable {
        /// Its directory.
        dir: PathBuf,
        /// What does not match.
        what: String,
    },
    /// There is no space even to open it.
    NoSpace(PathBuf),
    /// Its messages are to be sorted, once, and that takes more space than there is.
    ConversionSpace {
        /// Its directory.
        dir: PathBuf,
        /// Bytes that it takes.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The operating system says no.
    System {
        /// Its directory.
        dir: PathBuf,
        /// Its words.
        what: String,
    },
}

impl OpenError {
    /// The same for whoever has tried to read what is left.
    pub(super) fn of_what_is_left(self) -> OpenError {
        match self {
            OpenError::Damaged { dir, what } => OpenError::Unreadable { dir, what },
            OpenError::Missing(_)
            | OpenError::NotADirectory(_)
            | OpenError::ReadOnly(_)
            | OpenError::Locked(_)
            | OpenError::Newer { .. }
            | OpenError::Unreadable { .. }
            | OpenError::NoSpace(_)
            | OpenError::ConversionSpace { .. }
            | OpenError::System { .. } => self,
        }
    }

    /// The exit code of a process that ends for this reason.
    pub fn exit_code(&self) -> u8 {
        match self {
            OpenError::Missing(_) => 10,
            OpenError::NotADirectory(_) => 11,
            OpenError::ReadOnly(_) => 12,
            OpenError::NoSpace(_) | OpenError::ConversionSpace { .. } => 13,
            OpenError::Locked(_) => 14,
            OpenError::Newer { .. } => 15,
            OpenError::Damaged { .. } | OpenError::Unreadable { .. } => 16,
            OpenError::System { .. } => 17,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Missing(dir) => write!(
                f,
                "the store's directory {} does not exist; create it, and let the server's user own it",
                dir.display()
            ),
            OpenError::NotADirectory(dir) => {
                write!(f, "{} is not a directory; the store needs one of its own", dir.display())
            }
            OpenError::ReadOnly(dir) => write!(
                f,
                "the store's directory {} cannot be written to; check its owner, its mode, and \
                 whether the file system is mounted read-only",
                dir.display()
            ),
            OpenError::Locked(dir) => write!(
                f,
                "the store in {} is in use by another process; stop that one first",
                dir.display()
            ),
            OpenError::Newer { dir, found } => {
                write!(
                    f,
                    "the store in {} was written by a later version of rookery",
                    dir.display()
                )?;
                if let Some(found) = found {
                    write!(f, " (format {found}; this one knows {})", super::FORMAT)?;
                }
                f.write_str("; install that version, or use another directory")
            }
            OpenError::Damaged { dir, what } => write!(
                f,
                "the store in {} is damaged: {what}; `rookery store check` tells what can be read, \
                 and the server starts without the rest only when it is told to",
                dir.display()
            ),
            OpenError::Unreadable { dir, what } => write!(
                f,
                "the store in {} is damaged where all of it hangs on: {what}; nothing of it can be \
                 read, so put a backup in place",
                dir.display()
            ),
            OpenError::NoSpace(dir) => {
                write!(f, "no space is left to open the store in {}; free some", dir.display())
            }
            OpenError::ConversionSpace { dir, needed, free } => write!(
                f,
                "the messages of the store in {} are to be sorted into a new form, once, which \
                 takes {needed} bytes for as long as it lasts, and {free} are free; free some",
                dir.display()
            ),
            OpenError::System { dir, what } => {
                write!(f, "the store in {} cannot be opened: {what}", dir.display())
            }
        }
    }
}

impl std::error::Error for OpenError {}
