//! Everything at once: alerts that a chat refuses, beginnings that are corrected, groups of
//! hundreds, robots that throttle, fail and lose answers, and kills of the bridge between.
//! Every alert is told, or put aside and told of; no end is missing; what was told twice
//! says that it may be a repetition.
//!
//! `make alert-storm` does it with 1,000 alerts, and says how long critical ones took.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::world::{Alert, World, wait_for};
use crate::{names, told};

/// Alerts in `make test`, and the variable that asks for more.
const ALERTS: usize = 160;
const ALERTS_VARIABLE: &str = "ROOKERY_STORM_ALERTS";

/// Alerts of a group, and of each twentieth one.
const EACH: usize = 5;
const GIANT: usize = 60;

const BEGINNINGS: [&str; 3] =
    ["2026-01-01T10:00:20Z", "2026-01-01T10:00:05Z", "2026-01-01T10:00:40Z"];
const END: &str = "2026-01-01T10:05:00Z";

#[expect(clippy::disallowed_methods, reason = "robots and test read the same clock")]
fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64()
}

/// What was given to the bridge.
#[derive(Default)]
struct Given {
    /// When each alert was kept, in seconds since 1970.
    at_s: BTreeMap<String, f64>,
    ended: BTreeSet<String>,
}

impl Given {
    fn alert(&self, index: usize, beginning: usize) -> Alert {
        let poison = if index % 29 == 11 { "poison-" } else { "" };
        let mut alert = Alert::firing(&format!("n-{poison}{index}-"));
        alert.starts_at = BEGINNINGS[beginning % BEGINNINGS.len()];
        alert.severity = if index.is_multiple_of(3) { "warning" } else { "critical" };
        alert
    }

    /// One group: it begins, its beginning is corrected, and some of it ends.
    fn group(&mut self, world: &World, group: usize, from: usize, count: usize) {
        let key = format!("g{group}");
        let all = |given: &Given, beginning| -> Vec<Alert> {
            (from..from + count).map(|index| given.alert(index, beginning)).collect()
        };
        world.bridge.keep("page", &key, &all(self, group));
        for alert in all(self, group) {
            self.at_s.insert(alert.annotations[0].1.clone(), now_s());
        }
        if group.is_multiple_of(2) {
            world.bridge.keep("page", &key, &all(self, group + 1));
        }
        if group.is_multiple_of(3) {
            let mut over = all(self, group + 1);
            for alert in over.iter_mut().step_by(2) {
                alert.ends_at = END;
                self.ended.insert(alert.annotations[0].1.clone());
            }
            world.bridge.keep("page", &key, &over);
        }
    }
}

/// Names in messages, or parts of messages, that say that something is over.
fn recovered(messages: &[String]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for message in messages {
        let mut is_over = false;
        for line in message.lines() {
            if line.contains("recovered") {
                is_over = true;
            } else if line.contains(", since ") || line.contains(" firing ") {
                is_over = false;
            }
            if is_over {
                all.extend(names(line));
            }
        }
    }
    all
}

#[test]
fn everything_at_once_loses_nothing() {
    let asked = std::env::var(ALERTS_VARIABLE).ok().and_then(|count| count.parse().ok());
    let count: usize = asked.unwrap_or(ALERTS);
    let mut world = World::new(1.0, "rate_count = 18\nrate_window_s = 1\npause_s = 1\n");
    let faults = ["blocked", "500", "reset", "lost-answer", "blocked"];
    let mut given = Given::default();
    let (mut group, mut from) = (0, 0);
    world.robots.refuse("*", "poison");
    while from < count {
        let size = if group % 20 == 4 { GIANT } else { EACH }.min(count - from);
        given.group(&world, group, from, size);
        if group % 10 == 6 {
            world.robots.fault("*", faults[group / 10 % faults.len()], 1);
        }
        if group % 10 == 9 {
            world.bridge.kill_and_restart();
            world.robots.refuse("*", "poison");
        }
        (group, from) = (group + 1, from + size);
    }
    let refused = |world: &World| world.bridge.get("/v1/refused/all").1;
    let is_told = |name: &String, told: &BTreeMap<String, (u32, u32)>, refused: &str| {
        told.contains_key(name) || refused.contains(name.as_str())
    };
    wait_for("every alert to be told or put aside", || {
        let (told, refused) = (told_per_message(&world), refused(&world));
        given.at_s.keys().all(|name| is_told(name, &told, &refused))
    });
    wait_for("the queue to be empty", || world.bridge.metric("chatalert_queue_depth") == 0.0);
    let put_aside = refused(&world);
    for name in given.at_s.keys() {
        let is_poison = name.contains("poison");
        assert!(is_poison || !put_aside.contains(name.as_str()), "{name} was put aside");
    }
    let over = recovered(&world.robots.messages());
    for name in given.ended.iter().filter(|name| !name.contains("poison")) {
        assert!(over.contains(name), "the end of {name} is not told");
    }
    if asked.is_some() {
        say_how_long(&world, &given);
    }
}

fn told_per_message(world: &World) -> BTreeMap<String, (u32, u32)> {
    told(&world.robots)
}

/// What critical alerts took, from the answer to Alertmanager to the chat.
fn say_how_long(world: &World, given: &Given) {
    let mut first_s: BTreeMap<String, f64> = BTreeMap::new();
    for (at_s, text) in world.robots.timed_messages() {
        for name in names(&text) {
            let first = first_s.entry(name).or_insert(at_s);
            *first = first.min(at_s);
        }
    }
    let index = |name: &str| name.trim_end_matches('-').rsplit('-').next()?.parse::<usize>().ok();
    let critical = given
        .at_s
        .iter()
        .filter(|(name, _)| index(name).is_some_and(|index| index % 3 != 0))
        .filter_map(|(name, at_s)| Some(first_s.get(name)? - at_s));
    let mut took_s: Vec<f64> = critical.collect();
    took_s.sort_by(f64::total_cmp);
    let slowest_s = took_s.last().copied().unwrap_or_default();
    println!(
        "{} alerts, {} critical ones in a chat: median {:.1} s, slowest {slowest_s:.1} s",
        given.at_s.len(),
        took_s.len(),
        took_s.get(took_s.len() / 2).copied().unwrap_or_default(),
    );
    assert!(slowest_s < 60.0, "a critical alert took {slowest_s} s");
}
