//! The links that were used: each works once, also over restarts.
//!
//! Invariant: a link that was used is refused until it has expired.
//!
//! Deliberately absent: the meaning of a link (`message::silence`).

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Most links in the list: far more than people follow in four hours.
const LINKS_MAX: usize = 10_000;

/// Most bytes of the file: as many links, each with its expiry.
const BYTES_MAX: u64 = LINKS_MAX as u64 * 64;

/// The links that were used and have not expired.
#[derive(Debug)]
pub struct UsedLinks {
    path: PathBuf,
    /// The expiry of each, in seconds since 1970, by its signature.
    until_s: BTreeMap<String, u64>,
}

/// The result of using a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkUse {
    /// It is used now.
    Now,
    /// It was used already.
    Before,
    /// Too many were.
    Full,
}

impl UsedLinks {
    /// Reads the file. A file that cannot be read counts as empty.
    pub fn open(dir: &Path) -> UsedLinks {
        let path = dir.join("links.used");
        let mut text = String::new();
        if let Ok(file) = fs::File::open(&path) {
            // A file that is no text counts as empty.
            let _ = file.take(BYTES_MAX).read_to_string(&mut text);
        }
        let line = |line: &str| {
            let (until_s, signature) = line.split_once(' ')?;
            Some((signature.to_owned(), until_s.parse().ok()?))
        };
        UsedLinks { path, until_s: text.lines().filter_map(line).take(LINKS_MAX).collect() }
    }

    /// Whether a link was used.
    pub fn has(&self, signature: &str) -> bool {
        self.until_s.contains_key(signature)
    }

    /// Uses a link with this expiry.
    pub fn take(&mut self, signature: &str, until_s: u64, now_s: u64) -> LinkUse {
        self.until_s.retain(|_, until_s| now_s <= *until_s);
        if self.has(signature) {
            return LinkUse::Before;
        }
        if self.until_s.len() >= LINKS_MAX {
            return LinkUse::Full;
        }
        self.until_s.insert(signature.to_owned(), until_s);
        LinkUse::Now
    }

    /// Makes a link usable again, because its use has failed.
    pub fn give_back(&mut self, signature: &str) {
        self.until_s.remove(signature);
    }

    /// The content of the file, with its path.
    pub fn written(&self) -> (PathBuf, String) {
        let lines =
            self.until_s.iter().map(|(signature, until_s)| format!("{until_s} {signature}\n"));
        (self.path.clone(), lines.collect())
    }
}

/// Writes the file: whole, or not at all.
pub fn write((path, text): (PathBuf, String)) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_used_once_also_over_restarts_and_forgotten_after_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut links = UsedLinks::open(dir.path());
        assert_eq!(links.take("a", 100, 10), LinkUse::Now);
        assert_eq!(links.take("a", 100, 10), LinkUse::Before);
        assert_eq!(links.take("b", 200, 10), LinkUse::Now);
        links.give_back("b");
        assert_eq!(links.take("b", 200, 10), LinkUse::Now);
        write(links.written()).unwrap();
        let mut links = UsedLinks::open(dir.path());
        assert!(links.has("a") && links.has("b"));
        assert_eq!(links.take("c", 300, 101), LinkUse::Now);
        assert!(!links.has("a") && links.has("b"), "the time of a is over");
    }

    #[test]
    fn they_are_bounded_and_a_broken_file_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("links.used"), b"100 a\nnonsense\nx b\n200 ").unwrap();
        let mut links = UsedLinks::open(dir.path());
        assert_eq!(links.take("a", 100, 10), LinkUse::Before);
        for index in 0..LINKS_MAX + 5 {
            links.take(&format!("n{index}"), 100, 10);
        }
        assert_eq!(links.take("one more", 100, 10), LinkUse::Full);
        assert_eq!(links.take("one more", 200, 101), LinkUse::Now);
        fs::write(dir.path().join("links.used"), [0xff, 0xfe]).unwrap();
        assert!(!UsedLinks::open(dir.path()).has("a"));
    }
}
