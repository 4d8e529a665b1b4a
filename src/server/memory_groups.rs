//! Control groups that limit this process's memory.

use std::path::{Path, PathBuf};

/// The folders of our memory group and those above it, in both versions of control groups,
/// from `/proc/self/cgroup`. A container may see its own group as the root.
pub fn memory_groups(groups: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let root = match controllers {
            "" => Path::new("/sys/fs/cgroup"),
            "memory" => Path::new("/sys/fs/cgroup/memory"),
            _ => continue,
        };
        let own = root.join(path.trim_start_matches('/'));
        let above = own.ancestors().take_while(|folder| folder.starts_with(root));
        folders.extend(above.map(Path::to_owned));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_are_looked_at_up_to_their_root() {
        let folders = memory_groups("4:memory:/a/b\n3:cpuset:/c\n0::/d\n");
        let want = ["memory/a/b", "memory/a", "memory", "d", ""]
            .map(|end| Path::new("/sys/fs/cgroup").join(end));
        assert_eq!(folders, want);
        assert!(memory_groups("nonsense").is_empty());
    }
}
