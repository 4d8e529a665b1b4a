//! Files of a folder that use each other in a circle, so that none of them is read alone.
//!
//! Deliberately absent: modules, which `arrows` keeps apart.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::arrows::{paths_of, place_of};
use super::source::File;

/// Folders whose files use each other in no circle. The list only gets longer.
const ORDERED: &str = "bench/src bench/src/engine bench/src/loads bench/src/report sim/src \
                       src/admin src/admin/console_pages src/admin/debug src/alert src/alert/core \
                       src/alert/io src/alert/io/pages src/alert/message src/alert/model src/auth \
                       src/base src/cli src/cli/doctor src/config src/config/bridge \
                       src/config/server src/console src/lane src/http_server src/log src/log_disk \
                       src/logs \
                       src/metrics src/outbound src/probe src/ring src/ring/kernel \
                       src/ring/simulated src/room src/room/store_client src/runs src/runs_disk src/server \
                       src/server/diagnostics src/server/traces src/session src/shard \
                       src/shard/delivery src/shard/fanout src/shard/liveness src/shard/observe \
                       src/shard/outbox src/store src/store/engine src/store/engine/reads \
                       src/store/engine/upkeep src/store/engine/writes src/store/fjall_disk \
                       src/store/inspect src/store/record src/top src/wire src/wire/chat src/ws";

/// The files of a folder and the folders in it, each with those that it uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Who uses itself by way of others.
pub fn findings(files: &[File]) -> Vec<Finding> {
    let mut found = Vec::new();
    for folder in ORDERED.split_whitespace() {
        let uses = uses_in(folder, files);
        let circle: Vec<&str> =
            uses.keys().map(String::as_str).filter(|name| reaches_itself(name, &uses)).collect();
        if !circle.is_empty() {
            found.push(("circle", format!("{folder}: {}", circle.join(" "))));
        }
    }
    found
}

fn uses_in(folder: &str, files: &[File]) -> Uses {
    let (_, inner) = folder.split_once("src").expect("a folder of sources");
    let above: Vec<&str> = inner.split('/').filter(|part| !part.is_empty()).collect();
    let mut uses = Uses::new();
    for file in files {
        let Some(rest) = file.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'))
        else {
            continue;
        };
        let name = rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs");
        // These name the others, and so lie above them.
        if ["mod", "lib", "main"].contains(&name) {
            continue;
        }
        let used = uses.entry(name.to_owned()).or_default();
        for path in paths_of(file) {
            let at = place_of(file, &path);
            let is_here = at.len() > above.len() && at.iter().zip(&above).all(|(a, b)| a == b);
            if is_here && at[above.len()] != name {
                used.insert(at[above.len()].clone());
            }
        }
    }
    uses
}

fn reaches_itself(name: &str, uses: &Uses) -> bool {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&String> = uses[name].iter().collect();
    while let Some(next) = open.pop() {
        if next == name {
            return true;
        }
        if seen.insert(next) {
            open.extend(uses.get(next).into_iter().flatten());
        }
    }
    false
}
