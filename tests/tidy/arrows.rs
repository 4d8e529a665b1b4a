//! Who may use whom, what decides and never acts, and where `unsafe` may be.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};
use syn::{ExprUnsafe, ItemUse, Path, UseTree};

use super::Finding;
use super::source::File;

/// Who may name whom. A missing edge is a decision, not an oversight; adding
/// one is a line in docs/decisions/.
const MAY_USE: &[(&str, &str)] = &[
    ("base", ""),
    ("metrics", "base"),
    ("signals", ""),
    ("lane", "base"),
    ("logs", "base signals"),
    ("ring", "base metrics"),
    ("ws", "base"),
    ("wire", "base"),
    ("auth", "base"),
    ("store", "base metrics wire"),
    ("room", "base metrics wire store"),
    ("session", "base metrics ws wire auth room store"),
    ("shard", "base metrics ws wire auth session room store"),
    ("listener", ""),
    ("runtime", ""),
    ("trust", ""),
    ("outbound", "trust"),
    ("admin", "base metrics listener"),
    (
        "server",
        "base metrics ring ws wire auth session room store shard admin logs runtime signals lane",
    ),
    ("alert", "base listener outbound logs runtime signals"),
    ("probe", "ws wire listener trust logs runtime"),
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
pub const PURE: &str = "base ws wire auth session room shard config";

/// What acts, by the beginning of its path.
const ACTS: &str = "std::net std::fs std::thread std::env::var glommio tokio \
                    std::collections::HashMap std::collections::HashSet std::time::SystemTime \
                    Instant::now SystemTime::now std::time::Instant::now";

/// An address is a value; opening a socket is the act.
const VALUES: &str = "SocketAddr SocketAddrV4 SocketAddrV6 IpAddr Ipv4Addr Ipv6Addr \
                      AddrParseError";

/// The only files that may say `unsafe`.
const MAY_BE_UNSAFE: &str = "src/ring/";

/// What is wrong with paths.
pub fn findings(files: &[File]) -> Vec<Finding> {
    let mut found = BTreeSet::new();
    for file in files {
        let mut paths = Paths::default();
        file.items.iter().for_each(|item| paths.visit_item(item));
        if paths.has_unsafe && !file.path.starts_with(MAY_BE_UNSAFE) {
            found.insert(("unsafe", file.path.clone()));
        }
        let Some(module) = file.module() else { continue };
        let row = MAY_USE.iter().find(|(name, _)| *name == module);
        let (_, allowed) = row.unwrap_or_else(|| panic!("{module} has no row in MAY_USE"));
        for path in &paths.paths {
            if let Some(used) = module_of(file, path)
                && used != module
                && !has(allowed, &used)
            {
                found.insert(("arrow", format!("{}: {used}", file.path)));
            }
            if has(PURE, module)
                && let Some(act) = act_of(path)
            {
                found.insert(("pure", format!("{}: {act}", file.path)));
            }
        }
    }
    found.into_iter().collect()
}

fn has(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|item| item == word)
}

/// The module of `src/` that a path leads to.
fn module_of(file: &File, path: &[String]) -> Option<String> {
    match path.first()?.as_str() {
        "crate" => path.get(1).cloned(),
        "super" => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let mut at: Vec<&str> = file.path.strip_prefix("src/")?.split('/').collect();
            let name = at.pop()?;
            // `mod.rs` is its folder; another file is a module in it.
            let depth = at.len() + usize::from(name != "mod.rs");
            (depth == ups).then(|| path.get(ups).cloned())?
        }
        _ => None,
    }
}

fn act_of(path: &[String]) -> Option<String> {
    let whole = path.join("::");
    let act = ACTS
        .split_whitespace()
        .find(|act| whole == **act || whole.starts_with(&format!("{act}::")))?;
    let last = path.last()?;
    (act != "std::net" || !has(VALUES, last)).then(|| act.to_owned())
}

/// All paths of a file.
#[derive(Default)]
struct Paths {
    paths: Vec<Vec<String>>,
    has_unsafe: bool,
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.tree(&mut Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.paths.push(path.segments.iter().map(|part| part.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_expr_unsafe(&mut self, expression: &'ast ExprUnsafe) {
        self.has_unsafe = true;
        visit::visit_expr_unsafe(self, expression);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let allows = attribute.path().is_ident("allow") || attribute.path().is_ident("expect");
        if allows {
            let _ = attribute.parse_nested_meta(|meta| {
                self.has_unsafe |= meta.path.is_ident("unsafe_code");
                Ok(())
            });
        }
    }
}

impl Paths {
    fn tree(&mut self, before: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(before, &path.tree);
                before.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|one| self.tree(before, one)),
            UseTree::Name(name) => self.leaf(before, &name.ident.to_string()),
            UseTree::Rename(name) => self.leaf(before, &name.ident.to_string()),
            UseTree::Glob(_) => self.leaf(before, "*"),
        }
    }

    fn leaf(&mut self, before: &[String], last: &str) {
        let mut path = before.to_vec();
        path.push(last.to_owned());
        self.paths.push(path);
    }
}
