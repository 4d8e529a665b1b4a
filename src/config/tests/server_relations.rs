//! What settings demand of each other, and where that is said.

use super::*;

#[test]
fn settings_must_fit_each_other() {
    let text = "\
[session]
pong_ms_max = 25000
outbox_bytes_max = 4096
bytes_burst = 4096

[ring]
submission_entries = 1024
completion_entries = 512

[server]
listen = \"0.0.0.0:9000\"
admin_listen = \"127.0.0.1:9000\"

[ws]
path = \"chat\"
origins = [\"https://a/\", \"b\"]

[[namespaces]]
name = \"a b\"
data_bytes_max = 65537

[[namespaces]]
name = \"x\"
force_recovery = true

[[namespaces]]
name = \"x\"
history_count_max = 1
history_bytes_max = 1024

[[namespaces]]
name = \"dm\"
history_count_max = 100
window_bytes_max = 1024
recover_count_max = 99

[[namespaces]]
name = \"m\"
durability = \"memory\"
history_count_max = 1000001
history_bytes_max = 1073741825

[store]
dir = \"\"
disk_bytes_max = 1048576
reserve_bytes = 1048576
";
    Case::file(text).mistakes(&[
        "r.toml:2:15: session.pong_ms_max: 25000 must be less than session.ping_interval_ms, \
         which is 25000",
        "r.toml:3:20: session.outbox_bytes_max: 4096 must be at least ws.message_bytes_max, \
         which is 65536: one message would be too much",
        "r.toml:4:15: session.bytes_burst: 4096 must be at least ws.message_bytes_max, which is \
         65536: one message would be too much",
        "r.toml:8:22: ring.completion_entries: 512 must be at least ring.submission_entries, \
         which is 1024",
        "r.toml:12:16: server.admin_listen: 127.0.0.1:9000 is where clients connect \
         (0.0.0.0:9000); take another port",
        "r.toml:15:8: ws.path: it must begin with a slash, without spaces, `?` and `#`",
        "r.toml:16:11: ws.origins: \"https://a/\" is no origin: it ends with the host or the \
         port, without a slash",
        "r.toml:16:11: ws.origins: \"b\" is no origin: it begins with `https://` or `http://`",
        "r.toml:18:1: namespaces[0].name: it may have letters, digits, `-`, `_` and `.` of ASCII \
         only, or be `@`",
        "r.toml:18:1: namespaces[0].data_bytes_max: 65537 must be at most ws.message_bytes_max, \
         which is 65536",
        "r.toml:22:1: namespaces[1].force_recovery: it needs history_count_max above 0",
        "r.toml:26:1: namespaces[2].name: there are two namespaces \"x\"",
        "r.toml:26:1: namespaces[2].history_bytes_max: 1024 must be at least data_bytes_max, \
         which is 65536",
        "r.toml:31:1: namespaces[3].window_bytes_max: 1024 must be at least data_bytes_max, which \
         is 65536",
        "r.toml:31:1: namespaces[3].recover_count_max: 99 must be at least 100, which are in \
         memory anyway",
        "r.toml:31:1: namespaces[3].name: conversations of two need the namespace \"@\": a direct \
         message waits in its reader's personal channel until it is acknowledged",
        "r.toml:37:1: namespaces[4].history_count_max: 1000001 must be at most 1000000 where \
         durability is \"memory\"",
        "r.toml:37:1: namespaces[4].history_bytes_max: 1073741825 must be at most 1073741824 where \
         durability is \"memory\"",
        "r.toml:44:7: store.dir: it must name a directory: there are namespaces with messages on \
         disk",
        "r.toml:45:18: store.disk_bytes_max: 1048576 must be above store.reserve_bytes, which is \
         1048576: no message would be taken",
    ]);
}

#[test]
fn what_is_kept_says_whether_there_is_a_store() {
    let text = "\
[store]
dir = \"data\"
interval_ms = 20
[[namespaces]]
name = \"a\"
history_count_max = 5
history_age_ms_max = 7000
[[namespaces]]
name = \"b\"
durability = \"interval\"
history_count_max = 6
history_bytes_max = 1099511627776
[[namespaces]]
name = \"c\"
durability = \"memory\"
history_count_max = 7
[[namespaces]]
name = \"d\"
";
    let config = Case::file(text).good();
    let store = config.store().expect("there are messages on disk");
    assert_eq!((store.dir.to_str(), store.interval_ms), (Some("data"), 20));
    let rules = |durability, count_max| Retention {
        durability,
        count_max,
        bytes_max: 1 << 20,
        age_ms_max: 30 * 86_400_000,
        channel_ms_max: 60 * 86_400_000,
        has_rosters: false,
    };
    let want = [
        Retention { age_ms_max: 7_000, channel_ms_max: 14_000, ..rules(Durability::Fsync, 5) },
        Retention { bytes_max: 1 << 40, ..rules(Durability::Interval, 6) },
        rules(Durability::Memory, 7),
        rules(Durability::Memory, 0),
    ];
    assert_eq!(config.retention(), want);
    assert_eq!(
        config.warnings(),
        [
            "namespaces[1]: durability is \"interval\" in \"b\": a power cut can take the last 20 ms \
          of messages that were answered"
        ]
    );
    // What the directory of no store is set to does not count.
    let memory = "[store]\ndir = \"\"\nignore_damage = true\n[[namespaces]]\nname = \"a\"\n\
                  history_count_max = 1\ndurability = \"memory\"\n";
    let config = Case::file(memory).good();
    assert!(config.store().is_none() && config.warnings().is_empty());
}

#[test]
fn a_damaged_store_is_opened_only_when_told_and_that_is_warned_about() {
    assert!(!Case::default().good().store().expect("messages are kept").ignore_damage);
    let config = Case::default().flag("store.ignore_damage", "true").good();
    assert!(config.store().expect("messages are kept").ignore_damage);
    assert!(config.warnings()[0].starts_with("store.ignore_damage is true"));
}

#[test]
fn a_relation_names_the_place_of_the_value_that_was_given() {
    Case::default()
        .flag("session.ping_interval_ms", "5000")
        .mistakes(&["--session-ping-interval-ms: session.pong_ms_max: 8000 must be less than \
         session.ping_interval_ms, which is 5000"]);
    Case::default().flag("session.ping_interval_ms_max", "20000").mistakes(&[
        "--session-ping-interval-ms-max: session.ping_interval_ms_max: 20000 must be \
         at least session.ping_interval_ms, which is 25000",
    ]);
    Case::default().flag("session.ping_interval_ms_max", "40000").good();
    // No pings, no pongs to wait for.
    Case::default().flag("session.ping_interval_ms", "0").good();
}

#[test]
fn a_wrong_setting_is_not_blamed_twice() {
    Case::default().flag("session.ping_interval_ms", "x").flag("session.pong_ms_max", "60000").mistakes(
        &["--session-ping-interval-ms: session.ping_interval_ms: it must be a whole number from 0 \
           to 3600000 ms, and is \"x\""],
    );
}
