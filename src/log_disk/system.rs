//! What a file system can do and is asked to do, for files that are written past the page cache and
//! manifests in two places.
//!
//! Deliberately absent: which files there are.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::io::{Errno, ReadWriteFlags, pwritev2};

use crate::log::{ManifestPlace, PageBuffer};

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// Past the page cache.
    Direct,
    /// Through it: the file system has no direct writes.
    Buffered,
}

impl fmt::Display for FileAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileAccess::Direct => "written past the page cache",
            FileAccess::Buffered => {
                "the file system takes no direct writes, so they go through the page cache; what is \
                 answered is synced all the same"
            }
        })
    }
}

impl FileAccess {
    /// Whether the file system takes direct writes, tried with a file that is removed again.
    pub fn probe(path: &Path) -> io::Result<FileAccess> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let direct = options.custom_flags(libc::O_DIRECT).open(path);
        let page = PageBuffer::zeroed(1);
        let written = direct.and_then(|file| file.write_all_at(page.bytes(), 0));
        let access = match written {
            Ok(()) => Ok(FileAccess::Direct),
            // `open` says so, or the write.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(FileAccess::Buffered),
            // Files are read where nothing can be written; what is wrong is said by whoever writes.
            Err(error) if is_without_room(&error) => Ok(FileAccess::Direct),
            Err(error) => Err(error),
        };
        let _ = fs::remove_file(path);
        access
    }

    /// Opens files to be read and written.
    pub fn open_options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        if self == FileAccess::Direct {
            options.custom_flags(libc::O_DIRECT);
        }
        options
    }
}

/// Whether that is for want of space.
pub fn is_without_room(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Makes a directory where there is none, in one that there is, with its name durable.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(dir)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new(".")))
}

/// Makes names durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Files of a directory whose names are a prefix and a number, as `path` writes it, with their
/// bytes, in order. What has another name is none.
pub fn numbered_files<N: Copy + Ord + std::str::FromStr>(
    dir: &Path,
    prefix: &str,
    name: impl Fn(N) -> String,
) -> io::Result<Vec<(N, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let number = file_name.to_str().and_then(|name| name.strip_prefix(prefix));
        let number = number.and_then(|number| number.parse().ok());
        // Numbers that are written in another way name no file of ours.
        if let Some(number) = number.filter(|number| *name(*number) == *file_name) {
            found.push((number, entry.metadata()?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Writes all of it. Interrupted calls go on.
pub fn write_at(file: &File, bytes: &[u8], at: u64, flags: ReadWriteFlags) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        let rest = [IoSlice::new(&bytes[written..])];
        match pwritev2(file, &rest, at + written as u64, flags) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What stands in a place of so many bytes of a manifest; nothing where there is no file.
pub fn read_place(path: &Path, place: ManifestPlace, place_bytes: usize) -> io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let mut bytes = vec![0; place_bytes];
    let mut filled = 0;
    while filled < bytes.len() {
        let at = at_place(place, place_bytes) + filled as u64;
        match file.read_at(&mut bytes[filled..], at)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Writes a place of a manifest, and makes it durable, with the name of a file that is new.
pub fn write_place(dir: &Path, path: &Path, place: ManifestPlace, bytes: &[u8]) -> io::Result<()> {
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
    write_at(&file, bytes, at_place(place, bytes.len()), ReadWriteFlags::empty())?;
    file.sync_all()?;
    if is_new { sync_dir(dir) } else { Ok(()) }
}

fn at_place(place: ManifestPlace, place_bytes: usize) -> u64 {
    match place {
        ManifestPlace::First => 0,
        ManifestPlace::Second => place_bytes as u64,
    }
}
