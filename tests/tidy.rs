//! ARCHITECTURE.md's arrows, and the tidiness of the tree, as tests.

use std::fs;
use std::path::Path;

/// Who may name whom. A missing edge is a decision, not an oversight; adding
/// one is a line in docs/decisions/.
const MAY_USE: &[(&str, &str)] = &[
    ("base", ""),
    ("metrics", "base"),
    ("logs", "base"),
    ("ring", "base metrics"),
    ("ws", "base"),
    ("wire", "base"),
    ("auth", "base"),
    ("store", "base metrics wire"),
    ("room", "base metrics wire store"),
    ("session", "base metrics ws wire auth room store"),
    ("shard", "base metrics ws wire auth session room store"),
    ("listener", ""),
    ("trust", ""),
    ("outbound", "trust"),
    ("admin", "base metrics listener"),
    ("server", "base metrics ring ws wire auth session room store shard admin logs"),
    ("alert", "base listener outbound logs"),
    ("probe", "ws wire listener trust logs"),
    (
        "config",
        "base metrics ring ws wire auth session room store shard admin server alert outbound \
         logs",
    ),
    (
        "cli",
        "base metrics ring ws wire auth session room store shard admin server alert probe config \
         outbound logs",
    ),
];

/// These decide and never act.
const PURE: &str = "base ws wire auth session room shard config";
const ACTS: &str = "Instant::now SystemTime HashMap std::net std::fs std::thread glommio tokio";

/// The only files that may say `unsafe`.
const MAY_BE_UNSAFE: &str = "src/ring/";

#[test]
fn dependencies_point_down() {
    let mut errors = Vec::new();
    for entry in fs::read_dir("src").unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_name().unwrap().to_str().unwrap();
        match MAY_USE.iter().find(|(name, _)| *name == module) {
            Some((_, allowed)) => walk(&path, &mut |file, line| {
                errors.extend(fault(module, allowed, line).map(|why| format!("{file}: {why}")));
            }),
            None => assert!(path.is_file(), "{module} has no row in MAY_USE"),
        }
    }
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn unsafe_stays_in_the_ring() {
    let mut errors = Vec::new();
    for root in ["src", "bench/src", "sim/src"] {
        walk(Path::new(root), &mut |file, line| {
            let says_so = line.contains("allow(unsafe_code)") || line.contains("unsafe {");
            if says_so && !file.starts_with(MAY_BE_UNSAFE) {
                errors.push(format!("{file}: unsafe outside {MAY_BE_UNSAFE}"));
            }
        });
    }
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

fn fault(module: &str, allowed: &str, line: &str) -> Option<String> {
    let has = |list: &str, word: &str| list.split(' ').any(|item| item == word);
    for path in line.split("crate::").skip(1) {
        // `crate::{a, b::c}` names several.
        let names = path.strip_prefix('{').map_or(path, |group| group.trim_end_matches(['}', ';']));
        let many = names.len() != path.len();
        for used in names.split(',').take(if many { usize::MAX } else { 1 }) {
            let used = used.trim().split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            if used != module && !has(allowed, used) {
                return Some(format!("{module} may not use {used}"));
            }
        }
    }
    let code = line.split("//").next().unwrap_or_default();
    let act = ACTS.split(' ').find(|act| has(PURE, module) && code.contains(act))?;
    // An address is a value; opening a socket is the act.
    if act == "std::net" && (code.contains("SocketAddr") || code.contains("IpAddr")) {
        return None;
    }
    Some(format!("{act} in a pure module"))
}

fn walk(dir: &Path, on_line: &mut dyn FnMut(&str, &str)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, on_line);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            text.lines().for_each(|line| on_line(path.to_str().unwrap(), line));
        }
    }
}
