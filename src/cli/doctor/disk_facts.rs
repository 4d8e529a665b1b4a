//! The disk of the store: its file system, its devices, and how long a page takes to be durable.
//!
//! What is written for that is a file without a name, which goes with this process, whatever
//! becomes of it.
//!
//! Deliberately absent: what it means (`disk_findings`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::{ReadWriteFlags, pwritev2};

use crate::clock;
use crate::log::{PAGE_BYTES, PageBuffer};
use crate::log_disk::FileAccess;

/// Pages that have their blocks before anything is measured, as the store's log has them.
const FILE_PAGES: u32 = 256;

/// Writes that are measured, in less than this time if the disk is slow.
const WRITES_MAX: usize = 400;
const MEASURING_TIME_MAX: Duration = Duration::from_millis(1_500);

/// Devices below devices that are looked at.
const DEVICE_DEPTH_MAX: u32 = 8;

/// What there is of the store's disk.
#[derive(Clone, Debug)]
pub(super) struct DiskFacts {
    /// The store's directory.
    pub(super) dir: PathBuf,
    /// The file system's name, as the kernel has it.
    pub(super) file_system: Option<String>,
    /// The devices under it, below partitions and mappings; none where that cannot be told.
    pub(super) devices: Vec<Device>,
    /// How long writes took, or why nothing could be written.
    pub(super) writes: Result<SyncedWrites, String>,
}

/// A device, by its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// Its name.
    pub(super) name: String,
    /// Its cache; `None` where the kernel does not say.
    pub(super) write_cache: Option<WriteCache>,
    /// Whether it makes a single write durable without a flush of all others.
    pub(super) has_fua: Option<bool>,
}

/// What the kernel makes of a device's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteCache {
    /// It loses what was not flushed.
    Back,
    /// What it has answered is durable.
    Through,
}

/// Pages that were written and synced one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SyncedWrites {
    /// How they were written.
    pub(super) access: FileAccess,
    /// How many.
    pub(super) count: usize,
    /// Half of them took at most so long, in us.
    pub(super) p50_us: u64,
    /// 99 of 100 took at most so long, in us.
    pub(super) p99_us: u64,
}

impl DiskFacts {
    /// Looks at the disk of this directory, and writes to it.
    pub(super) fn read(dir: &Path) -> DiskFacts {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mount = fs::canonicalize(dir).ok().and_then(|dir| mount_of(&mounts, &dir));
        let number = device_number(dir, mount.as_ref().map(|mount| mount.source.as_str()));
        DiskFacts {
            dir: dir.to_owned(),
            file_system: mount.map(|mount| mount.file_system),
            devices: number.map_or_else(Vec::new, |number| devices(Path::new("/sys"), number)),
            writes: measure(dir).map_err(|error| error.to_string()),
        }
    }
}

/// What is mounted somewhere.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    file_system: String,
    source: String,
}

/// The last mount among those that reach deepest, which hides the others.
fn mount_of(mounts: &str, dir: &Path) -> Option<Mount> {
    let lines = mounts.lines().filter_map(|line| {
        let (before, behind) = line.split_once(" - ")?;
        let point = PathBuf::from(before.split(' ').nth(4)?.replace("\\040", " "));
        let mut words = behind.split(' ');
        let (file_system, source) = (words.next()?.to_owned(), words.next()?.to_owned());
        dir.starts_with(&point).then_some((point, Mount { file_system, source }))
    });
    lines.max_by_key(|(point, _)| point.components().count()).map(|(_, mount)| mount)
}

/// The device of a file's blocks. File systems that are not on one device have a number of their own,
/// and perhaps a device that they were mounted from.
fn device_number(dir: &Path, source: Option<&str>) -> Option<(u32, u32)> {
    let number = |device: u64| (libc::major(device), libc::minor(device));
    let of_file = number(fs::metadata(dir).ok()?.dev());
    if of_file.0 != 0 {
        return Some(of_file);
    }
    let source = source.filter(|source| source.starts_with("/dev/"))?;
    Some(number(fs::metadata(source).ok()?.rdev()))
}

/// The devices that a device is made of, or itself.
fn devices(sys: &Path, (major, minor): (u32, u32)) -> Vec<Device> {
    let link = sys.join(format!("dev/block/{major}:{minor}"));
    let mut found = Vec::new();
    if let Ok(folder) = fs::canonicalize(link) {
        add_devices(&folder, DEVICE_DEPTH_MAX, &mut found);
    }
    found
}

fn add_devices(folder: &Path, depth: u32, found: &mut Vec<Device>) {
    // A partition has no queue; the device has, whose folder it lies in.
    let is_partition = folder.join("partition").exists();
    let folder = folder.parent().filter(|_| is_partition).unwrap_or(folder);
    let slaves = fs::read_dir(folder.join("slaves"));
    let slaves = slaves.into_iter().flatten().flatten();
    let slaves: Vec<PathBuf> =
        slaves.filter_map(|slave| fs::canonicalize(slave.path()).ok()).collect();
    if !slaves.is_empty() && depth != 0 {
        slaves.iter().for_each(|slave| add_devices(slave, depth - 1, found));
        return;
    }
    let queue = |name: &str| fs::read_to_string(folder.join("queue").join(name)).ok();
    let write_cache = queue("write_cache").and_then(|text| match text.trim() {
        "write back" => Some(WriteCache::Back),
        "write through" => Some(WriteCache::Through),
        _ => None,
    });
    let has_fua = queue("fua").map(|text| text.trim() == "1");
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let device = Device { name, write_cache, has_fua };
    if !found.contains(&device) {
        found.push(device);
    }
}

/// Writes a page and waits until it is durable, again and again.
fn measure(dir: &Path) -> io::Result<SyncedWrites> {
    let (file, access) = scratch_file(dir)?;
    let pages = PageBuffer::zeroed(FILE_PAGES);
    file.write_all_at(pages.bytes(), 0)?;
    file.sync_all()?;
    let page = [IoSlice::new(&pages.bytes()[..PAGE_BYTES])];
    let begun = clock::now();
    let mut times = Vec::with_capacity(WRITES_MAX);
    while times.len() < WRITES_MAX && begun.elapsed() < MEASURING_TIME_MAX {
        let at = (times.len() % FILE_PAGES as usize * PAGE_BYTES) as u64;
        let asked = clock::now();
        if pwritev2(&file, &page, at, ReadWriteFlags::DSYNC)? != PAGE_BYTES {
            return Err(ErrorKind::WriteZero.into());
        }
        times.push(asked.elapsed());
    }
    times.sort_unstable();
    let of_100 = |part: usize| {
        let time = times[(times.len() * part).div_ceil(100) - 1];
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
    };
    let (p50_us, p99_us) = (of_100(50), of_100(99));
    Ok(SyncedWrites { access, count: times.len(), p50_us, p99_us })
}

/// A file without a name, with direct writes where the file system has them.
fn scratch_file(dir: &Path) -> io::Result<(File, FileAccess)> {
    let page = PageBuffer::zeroed(1);
    let direct = unnamed_file(dir, libc::O_DIRECT);
    let direct = direct.and_then(|file| file.write_all_at(page.bytes(), 0).map(|()| file));
    match direct {
        Ok(file) => Ok((file, FileAccess::Direct)),
        // `open` says so, or the write.
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            Ok((unnamed_file(dir, 0)?, FileAccess::Buffered))
        }
        Err(error) => Err(error),
    }
}

fn unnamed_file(dir: &Path, flags: i32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    let unnamed = options.clone().custom_flags(libc::O_TMPFILE | flags).open(dir);
    match unnamed {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
            // A file system that knows none, as NFS: the name is gone before anything is written.
            let path = dir.join(format!("doctor-{}", std::process::id()));
            let file = options.create_new(true).custom_flags(flags).open(&path);
            let _ = fs::remove_file(&path);
            file
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_deepest_mount_counts_and_of_two_at_a_place_the_later() {
        let mounts = "22 1 254:0 / / rw - ext4 /dev/root rw\n\
                      30 22 0:25 / /srv/a\\040b rw shared:1 - tmpfs tmpfs rw\n\
                      31 22 0:26 / /srv/chat rw - btrfs /dev/sdb1 rw\n\
                      32 31 0:27 / /srv/chat rw master:1 - overlay overlay rw\n";
        let check = |dir: &str, wanted: (&str, &str)| {
            let found = mount_of(mounts, Path::new(dir)).unwrap();
            assert_eq!((found.file_system.as_str(), found.source.as_str()), wanted, "{dir}");
        };
        check("/var", ("ext4", "/dev/root"));
        check("/srv/a b/store", ("tmpfs", "tmpfs"));
        check("/srv/chat/store", ("overlay", "overlay"));
        check("/srv/chatter", ("ext4", "/dev/root"));
        assert_eq!(mount_of("", Path::new("/")), None);
    }

    /// A disk with a partition, on which a mapping lies with another disk.
    #[test]
    fn devices_are_found_below_partitions_and_mappings() {
        let folder = tempfile::tempdir().unwrap();
        let sys = folder.path();
        let make = |path: &str, text: &str| {
            let path = sys.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        make("block/sda/queue/write_cache", "write back\n");
        make("block/sda/queue/fua", "0\n");
        make("block/sda/sda1/partition", "1\n");
        make("block/nvme0n1/queue/write_cache", "write through\n");
        make("block/nvme0n1/queue/fua", "1\n");
        make("block/dm-0/queue/write_cache", "write back\n");
        make("block/odd/size", "0\n");
        fs::create_dir_all(sys.join("block/dm-0/slaves")).unwrap();
        fs::create_dir_all(sys.join("dev/block")).unwrap();
        symlink(sys.join("block/sda/sda1"), sys.join("block/dm-0/slaves/sda1")).unwrap();
        symlink(sys.join("block/nvme0n1"), sys.join("block/dm-0/slaves/nvme0n1")).unwrap();
        for (number, path) in [("8:1", "sda/sda1"), ("254:0", "dm-0"), ("7:0", "odd")] {
            symlink(sys.join("block").join(path), sys.join("dev/block").join(number)).unwrap();
        }
        let device = |name: &str, write_cache, has_fua| Device {
            name: name.to_owned(),
            write_cache,
            has_fua,
        };
        let sda = device("sda", Some(WriteCache::Back), Some(false));
        let nvme = device("nvme0n1", Some(WriteCache::Through), Some(true));
        assert_eq!(devices(sys, (8, 1)), std::slice::from_ref(&sda));
        let mut both = devices(sys, (254, 0));
        both.sort_by(|one, other| other.name.cmp(&one.name));
        assert_eq!(both, [sda, nvme]);
        assert_eq!(devices(sys, (7, 0)), [device("odd", None, None)]);
        assert_eq!(devices(sys, (0, 99)), []);
    }

    #[test]
    fn a_directory_is_measured_and_nothing_is_left_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let facts = DiskFacts::read(folder.path());
        let writes = facts.writes.unwrap();
        assert!(0 < writes.count && writes.p50_us <= writes.p99_us, "{writes:?}");
        assert!(facts.file_system.is_some());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let facts = DiskFacts::read(Path::new("/proc/nowhere"));
        assert!(facts.writes.unwrap_err().contains("No such file"));
        assert!(DiskFacts::read(Path::new("/proc")).writes.is_err());
    }
}
