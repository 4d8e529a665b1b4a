//! What keeps the tree easy to enter, held by parsing it: who may use whom, what stays pure,
//! how long functions are, what files and types are called, where links lead.
//!
//! What breaks a rule today stands in `tests/tidy/exceptions.txt`, which only gets shorter:
//! a line that is not needed any more is a mistake, too.

#[path = "tidy/arrows.rs"]
mod arrows;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/fields.rs"]
mod fields;
#[path = "tidy/headers.rs"]
mod headers;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/parts.rs"]
mod parts;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/unused.rs"]
mod unused;

use std::collections::BTreeSet;

/// What is wrong in one place: the rule, and the place, as in the list of exceptions.
type Finding = (&'static str, String);

#[test]
fn the_tree_is_tidy_but_for_the_exceptions() {
    let files = source::all();
    let mut found: BTreeSet<Finding> = BTreeSet::new();
    found.extend(arrows::findings(&files));
    found.extend(circles::findings(&files));
    found.extend(shape::findings(&files));
    found.extend(shape::text_findings(&source::texts()));
    found.extend(headers::findings(&source::texts()));
    found.extend(fields::findings(&files));
    found.extend(names::findings(&files));
    found.extend(unused::findings(&files));
    found.extend(links::findings());
    found.extend(parts::findings());
    found.extend(arrows::table_findings(include_str!("../ARCHITECTURE.md")));
    let text = include_str!("tidy/exceptions.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let listed: BTreeSet<(&str, &str)> =
        lines.map(|line| line.split_once('\t').expect("a rule, a tab, and a place")).collect();
    let is_listed = |one: &&Finding| listed.contains(&(one.0, one.1.as_str()));
    let new: Vec<String> = found
        .iter()
        .filter(|one| !is_listed(one))
        .map(|(rule, place)| format!("{rule}\t{place}"))
        .collect();
    let is_found =
        |one: &&(&str, &str)| found.iter().any(|(rule, place)| (*rule, place.as_str()) == **one);
    let over: Vec<String> = listed
        .iter()
        .filter(|one| !is_found(one))
        .map(|(rule, place)| format!("{rule}\t{place}"))
        .collect();
    assert!(new.is_empty(), "against the rules:\n{}", new.join("\n"));
    assert!(over.is_empty(), "not against the rules any more:\n{}", over.join("\n"));
}

/// Every rule finds what it is for, so that a tidy tree means something.
#[test]
fn each_rule_sees_what_it_forbids() {
    let text = r#"
        use crate::{base::limits, shard::{self, Shard}};
        use super::rooms::Rooms;
        fn path() { let _ = super::super::ring::probe(); std::thread::yield_now(); }
        fn flag(is_on: bool) {}
        fn wild(x: Option<u8>) { match x { None => (), _ => () } }
        fn open(x: u8) { match x { 0 | 1..=9 => (), _ => () } }
        impl Foreign for Twice { fn asked(is_asked: bool) {} }
        fn danger() { unsafe { core::hint::unreachable_unchecked() } }
        pub struct Twice;
        fn told() -> Result<(), Vec<Twice>> {}
        #[cfg(test)] mod tests { fn unseen(flag: bool) { crate::server::run() } }
    "#;
    let file = source::File::parse("src/room/example.rs", text);
    let other = source::File::parse("src/ws/other.rs", "//! Header.\npub enum Twice {}");
    let files = [file, other];
    let mut found = arrows::findings(&files);
    found.extend(shape::findings(&files));
    found.extend(names::findings(&files));
    let rules: BTreeSet<&str> = found.iter().map(|(rule, _)| *rule).collect();
    let wanted = [
        "arrow",
        "inner-arrow",
        "pure",
        "unsafe",
        "bool-parameter",
        "catch-all",
        "type-name",
        "error-name",
    ];
    assert_eq!(rules, BTreeSet::from(wanted), "{found:?}");
    let arrows: Vec<&str> =
        found.iter().filter(|(rule, _)| *rule == "arrow").map(|(_, place)| &**place).collect();
    assert_eq!(arrows, ["src/room/example.rs: ring", "src/room/example.rs: shard"]);
    let room = "//! Header.\nuse super::super::io::{self, X};\nuse super::queue;\nuse crate::base;\n\
                use crate::alert::Y;\nuse crate::runtime::Z;\nfn act() { tokio::spawn(x) }";
    let found = arrows::findings(&[source::File::parse("src/alert/core/dispatch.rs", room)]);
    let place = |used: &str| format!("src/alert/core/dispatch.rs: {used}");
    let wanted = [
        ("arrow", place("alert")),
        ("arrow", place("alert/io")),
        ("arrow", place("runtime")),
        ("pure", place("tokio")),
    ];
    assert_eq!(found, wanted);
    let text =
        "//! Header.\nuse super::{messages::RoomOp, rooms::Rooms};\nuse crate::room::room::Room;";
    let order = |path: &str| arrows::findings(&[source::File::parse(path, text)]);
    let place = |place: &str| ("inner-arrow", place.to_owned());
    // Two steps up lead to the module, and not one.
    assert_eq!(
        order("src/room/durable_stream/example.rs"),
        [place("src/room/durable_stream/example.rs: room")]
    );
    let wanted = ["src/room/stream.rs: room", "src/room/stream.rs: rooms"].map(place);
    assert_eq!(order("src/room/stream.rs"), wanted);
    assert_eq!(order("src/room/room_set.rs"), [place("src/room/room_set.rs: rooms")]);
    let text = "//! Header.\nuse super::queue::Line;\nuse crate::store::salvage;";
    let file = source::File::parse("src/store/engine/budget.rs", text);
    let wanted = ["salvage", "queue"].map(|used| format!("src/store/engine/budget.rs: {used}"));
    let found: Vec<String> =
        arrows::findings(&[file]).into_iter().map(|(_, place)| place).collect();
    assert_eq!(found.iter().collect::<BTreeSet<_>>(), wanted.iter().collect());
    let alone = source::File::parse("src/signals.rs", "//! Header.\nuse crate::server::run;");
    let found = arrows::findings(&[alone]);
    assert_eq!(found, [("arrow", "src/signals.rs: server".to_owned())]);
    let open = "//! Header.\nstruct Open { pub count: u32 }\n\
                impl Open { fn more(&mut self) { self.count += 1 } }\n\
                struct Value { pub count: u32 }\nimpl Value { fn twice(&self) -> u32 { 2 } }\n\
                struct Part { count: u32 }\nimpl Part { fn more(&mut self) { self.count += 1 } }";
    let elsewhere = "//! Header.\nimpl Value { fn set(&mut self) {} }";
    let found = fields::findings(&[source::File::parse("src/shard/open.rs", open)]);
    assert_eq!(found, [("visible-field", "src/shard/open.rs: Open".to_owned())]);
    let files = [("open", open), ("elsewhere", elsewhere)]
        .map(|(name, text)| source::File::parse(&format!("src/store/{name}.rs"), text));
    let wanted =
        ["Open", "Value"].map(|name| ("visible-field", format!("src/store/open.rs: {name}")));
    assert_eq!(fields::findings(&files), wanted);
    let round = [
        source::File::parse("src/ws/one.rs", "//! Header.\nuse super::{two, three::Three};"),
        source::File::parse("src/ws/two.rs", "//! Header.\nuse crate::ws::one::One;"),
        source::File::parse("src/ws/three.rs", "//! Header."),
    ];
    assert_eq!(circles::findings(&round), [("circle", "src/ws: one two".to_owned())]);
    let tested = "//! Header.\npub fn alone() { used() }\npub fn used() {}\n\
                  #[cfg(test)] pub fn of_tests() {}\nimpl Named for Alone { fn given() {} }\n\
                  #[cfg(test)] mod tests { fn check() { alone(); of_tests(); } }";
    let found = unused::findings(&[source::File::parse("src/ws/tested.rs", tested)]);
    assert_eq!(found, [("used-by-tests-only", "src/ws/tested.rs: alone".to_owned())]);
    let long = format!("//! Header.\nfn long() {{\n{}}}", "    call();\n".repeat(70));
    let found = shape::findings(&[source::File::parse("src/ws/long.rs", &long)]);
    assert_eq!(found, [("long-function", "src/ws/long.rs: long".to_owned())]);
    each_name_is_seen();
    let found = shape::findings(&[source::File::parse("src/ws/mod.rs", "//! Header.")]);
    assert_eq!(found, [("catch-all-lint", "src/ws/mod.rs".to_owned())]);
    let map = include_str!("../ARCHITECTURE.md");
    for (row, wrong, module) in [
        ("[`ws`](src/ws) | base |", "[`ws`](src/ws) | base, wire |", "ws"),
        ("[`wire`](src/wire) | base | yes |", "[`wire`](src/wire) | base | no |", "wire"),
        ("[`auth`]", "[`keys`]", "auth"),
    ] {
        assert!(map.contains(row), "{row}");
        let found = arrows::table_findings(&map.replace(row, wrong));
        assert!(
            found.contains(&("arrow-table", format!("ARCHITECTURE.md: {module}"))),
            "{found:?}"
        );
    }
    let parts = "| | part | what it knows |\n|---|---|---|\n| `ws` | `reader` over `lost` | x |\n\
                 | | `upgrade` (`src/server/plan.rs`) | `x` |\n| `sim/src` | `client`, `mask` | x |\n";
    let wanted = ["ws: lost", "sim/src: mask"];
    let wanted = wanted.map(|place| ("part", format!("ARCHITECTURE.md: {place}")));
    assert_eq!(parts::parts_findings(parts), wanted);
    let tables = "| a | b |\n|---|---|\n| 1 | 2 |\n\n| cut | off |\n\n```\n| in code |\n```\n";
    assert_eq!(links::lone_rows(tables), [5]);
    let lines = |count: usize| format!("//! Header.\n{}", "call();\n".repeat(count - 1));
    let texts = [
        ("src/ws/short.rs", lines(600)),
        ("tests/long.rs", lines(601)),
        ("src/ws/short/tests.rs", "use super::*;\n//! Late.".to_owned()),
    ];
    let texts = texts.map(|(path, text)| (path.to_owned(), text));
    let wanted = [("long-file", "tests/long.rs"), ("header", "src/ws/short/tests.rs")];
    let wanted = wanted.map(|(rule, place)| (rule, place.to_owned()));
    assert_eq!(shape::text_findings(&texts), wanted);
    let header = "//! Header.\n//!\n//! Deliberately absent: a (`room`), b (`inbox`), c\n//! (`ids`), \
                  d (`shard::pinger`).\n\n// (`nothing`)\n";
    let found = headers::findings(&[("src/room/inbox_order.rs".to_owned(), header.to_owned())]);
    assert_eq!(found, [("absent-part", "src/room/inbox_order.rs: ids".to_owned())]);
}

/// Names that macros make, and errors in all their places.
#[track_caller]
fn each_name_is_seen() {
    let made = "//! Header.\nlabel! {\n/// About.\nMade { /// A value.\nOne = \"one\", }\n}";
    let files = [("one", made), ("two", "//! Header.\npub struct Made;")]
        .map(|(name, text)| source::File::parse(&format!("src/ws/{name}.rs"), text));
    let wanted = ("type-name", "Made: src/ws/one.rs src/ws/two.rs".to_owned());
    assert_eq!(names::findings(&files), [wanted]);
    let results = "//! Header.\n\
        type Kept = Result<u8, crate::ws::Trouble>;\n\
        impl Part { fn more(&self) -> std::result::Result<(), Arc<Message>> { \
            let read: Result<Vec<u8>, u64> = self.read(); } }\n\
        fn good() -> Result<Result<u8, Box<dyn Error>>, (u8, D::Error)> { Ok::<_, FrameError>(0) }";
    let found = names::findings(&[source::File::parse("src/ws/results.rs", results)]);
    let wanted = ["Trouble", "Message", "u64"]
        .map(|name| ("error-name", format!("src/ws/results.rs: {name}")));
    assert_eq!(found, wanted);
}
