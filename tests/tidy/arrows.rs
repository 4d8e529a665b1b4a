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
    ("clock", ""),
    ("signals", ""),
    ("lane", "base"),
    ("log", "base"),
    ("log_disk", "log"),
    ("runs", "base log"),
    ("runs_disk", "log log_disk runs"),
    ("logs", "base signals clock"),
    ("ring", "base metrics clock"),
    ("ws", "base"),
    ("wire", "base"),
    ("blocks", "base metrics"),
    ("auth", "base"),
    ("hook", "base metrics wire auth"),
    ("presence_feed", "base"),
    ("store", "base metrics wire log log_disk runs runs_disk clock"),
    ("room", "base metrics wire store"),
    ("session", "base metrics blocks ws wire auth hook room store"),
    ("shard", "base metrics blocks ws wire auth hook presence_feed session room store"),
    ("api", "base blocks wire auth store room session shard"),
    ("console", "base metrics blocks auth"),
    ("http_server", ""),
    ("record_file", ""),
    ("runtime", ""),
    ("tls_roots", ""),
    ("outbound", "tls_roots clock"),
    ("admin", "base metrics http_server console clock"),
    (
        "server",
        "base metrics ring blocks ws wire auth hook presence_feed session room store shard api console http_server record_file admin outbound logs runtime signals lane clock",
    ),
    ("alert", "base http_server record_file outbound logs runtime signals clock"),
    ("probe", "ws wire http_server tls_roots logs runtime"),
    ("top", "base"),
    (
        "config",
        "base metrics ring ws wire auth hook presence_feed session room store shard console admin server alert outbound \
         logs",
    ),
    (
        "cli",
        "base metrics ring ws wire auth session room store shard console admin server alert probe top config \
         outbound log log_disk logs signals clock",
    ),
];

/// The rooms of a module, and all that each of them may name.
const ROOMS: &[(&str, &str)] = &[
    ("alert/options", "outbound"),
    ("alert/model", "alert/options"),
    ("alert/message", "alert/options alert/model"),
    ("alert/core", "alert/options alert/model alert/message base outbound"),
    (
        "alert/io",
        "alert/options alert/model alert/message alert/core base http_server record_file outbound \
         logs runtime signals clock",
    ),
];

/// Modules and folders whose files stand in an order: each may name only those before it, so
/// what decides about everything stands at the end, and nobody below it knows it.
const ORDERS: &[(&str, &str)] = &[
    (
        "session",
        "hook_ask backlog clocks fault load names options ping_timer client_prefix rights open_commands \
         context outcome pending_histories quota position_seal identity subscriptions heartbeat tracer tokens \
         peer_permissions answers command_out hook_replies presence publishing server_publish reactions rosters chat_commands server_chat commands connect \
         asked_connect awaiting_connect state hook_refresh subscribing refresh server_acts hook_outcomes command_order histories serving machine",
    ),
    (
        "shard",
        "options messages hooks connection_page top_rooms server_questions turn_counts batches outbox conn connections fanout \
         presence_facts pinger postponed partial_messages session_env home_rooms observe setup mesh \
         liveness turn_context delivery sessions upgrades room_events inbound judge drain block_pass \
         user_scan presence_pass room_scan ranking_scan audit shard turn",
    ),
    (
        "log",
        "position batch page two_places manifest manifest_writer disk options read_plan segments segment_pool window \
         scan survey machine opening",
    ),
    (
        "runs",
        "entry disk block index trailer writer entry_sorter run cursor run_scan view manifest merge_plan job jobs survey set opening pace",
    ),
    (
        "store",
        "fault change messages options log_activity value_arena disk key load_position record engine loading simulated changes_log follower \
         message_layer message_runs layered_messages logged_disk log_reading log_sizes log_port fjall_disk sorted_runs \
         store_messages conversion store_disk inspect salvage opening",
    ),
    (
        "store/engine",
        "append_gate budget heads losses dead_letter_scan setup staged boot ids channels recent_direct health \
         reads queue writes upkeep",
    ),
    (
        "alert/core",
        "answer inhibited counts pair_messages questions sender record input output stats call \
         actions notification_log queue refused escalation senders watchdog pair parts known sending \
         blame acknowledge answers peer intake dispatch",
    ),
    (
        "room",
        "options requests messages message_timing output dedup users user_rates members typing \
         history_window silence memory_reactions store_client epochs room_timers room_context \
         message_ids own_writes pending_messages pending_removals roster durable_stream stream conversation inbox_order inbox \
         membership_events presence receipts changes reaction_notices waiting_notices reactions decision reading \
         room_memory reopening history room_messages room room_table room_set request_order \
         message_requests mutes roster_changes history_removal dead_letters abandoned single_sessions rooms",
    ),
];

/// These decide and never act: modules, and rooms of modules.
const PURE: &str = "base log runs blocks ws wire auth hook presence_feed session room shard api console top config alert/options alert/model \
                    alert/message alert/core";

/// What acts, by the beginning of its path.
const ACTS: &str = "std::net std::fs std::thread std::env::var glommio tokio \
                    std::collections::HashMap std::collections::HashSet std::time::SystemTime \
                    Instant::now SystemTime::now std::time::Instant::now crate::clock";

/// An address is a value; opening a socket is the act.
const VALUES: &str = "SocketAddr SocketAddrV4 SocketAddrV6 IpAddr Ipv4Addr Ipv6Addr \
                      AddrParseError";

/// The only files that may say `unsafe`.
const MAY_BE_UNSAFE: &str = "src/ring/";

/// What is wrong with paths.
pub fn findings(files: &[File]) -> Vec<Finding> {
    let mut found = BTreeSet::new();
    for file in files {
        let paths = Paths::of(file);
        if paths.has_unsafe && !file.path.starts_with(MAY_BE_UNSAFE) {
            found.insert(("unsafe", file.path.clone()));
        }
        let Some(module) = file.module() else { continue };
        let row = MAY_USE.iter().find(|(name, _)| *name == module);
        let (_, allowed) = row.unwrap_or_else(|| panic!("{module} has no row in MAY_USE"));
        for path in &paths.paths {
            let used = place_of(file, path);
            if let Some(used) = used.first().filter(|used| *used != module && !has(allowed, used)) {
                found.insert(("arrow", format!("{}: {used}", file.path)));
            }
            if let Some(used) = wrong_room(file, &used) {
                found.insert(("arrow", format!("{}: {used}", file.path)));
            }
            if let Some(used) = later_file(file, &used) {
                found.insert(("inner-arrow", format!("{}: {used}", file.path)));
            }
            if is_pure(file)
                && let Some(act) = act_of(path)
            {
                found.insert(("pure", format!("{}: {act}", file.path)));
            }
        }
    }
    found.into_iter().collect()
}

/// Rows in which the table of the map (ARCHITECTURE.md) says something else than what is held
/// here, in its columns "may use" and "pure".
pub fn table_findings(map: &str) -> Vec<Finding> {
    let (_, rest) = map.split_once("| module | may use | pure |").expect("the map has a table");
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut told: Vec<(String, BTreeSet<String>, bool)> = rows.map(row_of).collect();
    let mut held: Vec<(String, BTreeSet<String>, bool)> = MAY_USE
        .iter()
        .map(|(module, uses)| {
            let uses = uses.split_whitespace().map(str::to_owned).collect();
            ((*module).to_owned(), uses, has(PURE, module))
        })
        .collect();
    told.sort();
    held.sort();
    let differing =
        |one: &(String, BTreeSet<String>, bool)| !(told.contains(one) && held.contains(one));
    let names: BTreeSet<&str> =
        told.iter().chain(&held).filter(|one| differing(one)).map(|(name, ..)| &**name).collect();
    names.into_iter().map(|name| ("arrow-table", format!("ARCHITECTURE.md: {name}"))).collect()
}

/// A module, what it may use, and whether it is pure as a whole, from a row of the table.
fn row_of(line: &str) -> (String, BTreeSet<String>, bool) {
    let mut cells = line.split('|').skip(1).map(str::trim);
    let mut cell = || cells.next().expect("a row of the table has four cells");
    let (module, uses, pure) = (cell(), cell(), cell());
    // The name stands in backticks, within a link. What stands in brackets is for readers.
    let module = module.split('`').nth(1).unwrap_or(module);
    let uses = uses.split('(').next().unwrap_or_default();
    let uses = uses.split([',', ' ', '–']).filter(|word| !word.is_empty()).map(str::to_owned);
    (module.to_owned(), uses.collect(), pure.starts_with("yes"))
}

/// Whether a file is the root of what decides and never acts.
pub fn is_pure_root(file: &File) -> bool {
    has(PURE, &place(file).join("/"))
}

fn has(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|item| item == word)
}

/// Whether a file decides and never acts.
pub fn is_pure(file: &File) -> bool {
    let is_listed = |place: &str| has(PURE, place);
    file.module().is_some_and(is_listed) || room_of(&place(file)).is_some_and(is_listed)
}

/// What a file of a room may not use of what lies at this place.
fn wrong_room(file: &File, used: &[String]) -> Option<String> {
    let room = room_of(&place(file))?;
    let (_, allowed) = ROOMS.iter().find(|(name, _)| *name == room)?;
    let used = match room_of(used) {
        Some(used) => used.to_owned(),
        // The module's own root names its rooms, and so lies above them.
        None => used.first()?.clone(),
    };
    (used != room && !has(allowed, &used)).then_some(used)
}

/// What a file may not use of what lies at this place, because that stands behind it in the
/// order of their module.
fn later_file(file: &File, used: &[String]) -> Option<String> {
    let own = place(file);
    ORDERS.iter().find_map(|(folder, order)| {
        let folder: Vec<&str> = folder.split('/').collect();
        let inside = |place: &[String]| {
            let is_inside =
                folder.len() < place.len() && place.iter().zip(&folder).all(|(a, b)| a == b);
            is_inside.then(|| place[folder.len()].clone())
        };
        let position = |name: &str| order.split_whitespace().position(|one| one == name);
        // The root of the folder has no place in the order, and neither have tests.
        let own = inside(&own).filter(|own| own != "tests")?;
        let used = inside(used)?;
        let used_position = position(&used)?;
        match position(&own) {
            Some(own) => (own < used_position).then_some(used),
            None => Some("it has no place in the order".to_owned()),
        }
    })
}

/// The room that a place lies in, or is.
fn room_of(place: &[String]) -> Option<&'static str> {
    let [module, room, ..] = place else { return None };
    let name = format!("{module}/{room}");
    ROOMS.iter().map(|(room, _)| *room).find(|room| *room == name)
}

/// The modules that a file is in, and is, from the top of its crate.
fn place(file: &File) -> Vec<String> {
    let below = file.path.split_once("src/").and_then(|(_, path)| path.strip_suffix(".rs"));
    let Some(path) = below else { return Vec::new() };
    // `mod.rs` is its folder; another file is a module in it.
    path.split('/').filter(|part| *part != "mod").map(str::to_owned).collect()
}

/// What a path leads to, from the top of its crate; nothing for another one.
pub fn place_of(file: &File, path: &[String]) -> Vec<String> {
    let Some((first, rest)) = path.split_first() else { return Vec::new() };
    if first == "crate" {
        return rest.to_vec();
    }
    let ups = path.iter().take_while(|part| *part == "super").count();
    let mut at = place(file);
    if ups == 0 || at.len() < ups {
        return Vec::new();
    }
    at.truncate(at.len() - ups);
    at.extend(path[ups..].iter().cloned());
    at
}

fn act_of(path: &[String]) -> Option<String> {
    let whole = path.join("::");
    let act = ACTS
        .split_whitespace()
        .find(|act| whole == **act || whole.starts_with(&format!("{act}::")))?;
    let last = path.last()?;
    (act != "std::net" || !has(VALUES, last)).then(|| act.to_owned())
}

/// All paths of a file, as they are written.
pub fn paths_of(file: &File) -> Vec<Vec<String>> {
    Paths::of(file).paths
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
    fn of(file: &File) -> Paths {
        let mut paths = Paths::default();
        file.items.iter().for_each(|item| paths.visit_item(item));
        paths
    }

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
