//! Configurations as operators write them, good and bad.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::table::{KEYS, NAMESPACES, SETTINGS};
use super::*;
use crate::auth::Algorithm;
use crate::server::DescriptorTable;
use crate::store::{Durability, Retention};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[derive(Default)]
struct Case {
    sources: Sources,
    files: BTreeMap<String, Vec<u8>>,
}

impl Case {
    fn file(text: &str) -> Case {
        let file = Some(File { name: "r.toml".to_owned(), text: text.to_owned() });
        Case { sources: Sources { file, ..Sources::default() }, ..Case::default() }
    }

    fn env(mut self, name: &str, value: &str) -> Case {
        self.sources.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, key: &'static str, value: &str) -> Case {
        self.sources.flags.push((key, value.to_owned()));
        self
    }

    fn with(mut self, path: &str, bytes: &[u8]) -> Case {
        self.files.insert(path.to_owned(), bytes.to_vec());
        self
    }

    fn resolve(&self) -> Result<Config, Vec<Mistake>> {
        resolve(&self.sources, &mut |path: &Path| {
            let bytes = self.files.get(path.to_str().expect("a plain path"));
            bytes.cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        })
    }

    #[track_caller]
    fn good(&self) -> Config {
        self.resolve().unwrap_or_else(|mistakes| panic!("{}", lines(&mistakes).join("\n")))
    }

    /// The mistakes as the operator reads them.
    #[track_caller]
    fn mistakes(&self, want: &[&str]) {
        let mistakes = self.resolve().err().unwrap_or_default();
        assert_eq!(lines(&mistakes), want);
    }
}

fn lines(mistakes: &[Mistake]) -> Vec<String> {
    mistakes.iter().map(Mistake::to_string).collect()
}

#[test]
fn nothing_at_all_is_the_defaults() {
    let config = Case::default().good();
    let default = Config::default();
    for row in SETTINGS {
        assert_eq!((row.read)(&config), (row.read)(&default), "{}", row.key);
    }
    let names: Vec<&str> =
        config.shard.room.namespaces.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["room", "news", "@", "dm"]);
    assert!(config.is_useless().is_some());
}

#[test]
fn a_message_is_as_long_by_default_as_the_limits_that_were_set_have_room_for() {
    let check = |file: &str, want: u32| {
        assert_eq!(Case::file(file).good().shard.ws.message_bytes_max, want, "{file}");
    };
    check("", 262_144);
    check("[session]\noutbox_bytes_max = 65536\n", 65_536);
    check("[session]\nbytes_burst = 100000\n", 100_000);
    check("[session]\nbytes_burst = 100000\nbytes_per_s = 0\n", 262_144);
    check("[session]\nbytes_burst = 200000\n[ws]\nmessage_bytes_max = 131072\n", 131_072);
}

#[test]
fn the_later_source_wins() {
    let file = "[server]\ndrain_ms = 1\nbacklog = 100\nshards = 2\n";
    let case = Case::file(file)
        .env("ROOKERY_SERVER_DRAIN_MS", "2")
        .env("ROOKERY_SERVER_BACKLOG", "2_00")
        .env("HOME", "/root")
        .env("ROOKERY_TEST_PORTS", "nobody's")
        .flag("server.drain_ms", "3");
    let config = case.good();
    let server = config.server;
    assert_eq!((server.drain_ms, server.backlog, server.shards), (3, 200, 2));
}

#[test]
fn every_setting_takes_both_ends_of_its_range_from_every_source() {
    for row in SETTINGS {
        let (good, bad): (Vec<String>, Vec<String>) = match row.kind {
            Kind::Count { min, max } => {
                let below = min.checked_sub(1).map_or("-1".to_owned(), |count| count.to_string());
                (vec![min.to_string(), max.to_string()], vec![below, (max + 1).to_string()])
            }
            Kind::Integer { min, max } => (
                vec![min.to_string(), max.to_string()],
                vec![(min - 1).to_string(), (max + 1).to_string()],
            ),
            Kind::Power { min, max } => (
                vec![min.to_string(), max.to_string()],
                vec![(min / 2).to_string(), (max * 2).to_string(), (min + 1).to_string()],
            ),
            Kind::Switch => (vec!["true".to_owned(), "false".to_owned()], vec!["1".to_owned()]),
            Kind::Word(words) => {
                (words.iter().map(|&word| word.to_owned()).collect(), vec!["x".to_owned()])
            }
            Kind::Text { bytes_max } | Kind::Secret { bytes_max } => {
                (vec!["/".repeat(bytes_max)], vec!["/".repeat(bytes_max + 1), "/\u{1}".to_owned()])
            }
            Kind::Address => (vec!["[::1]:7".to_owned()], vec!["localhost:1".to_owned()]),
            Kind::Texts { .. } => {
                (vec!["*,*".to_owned(), String::new()], vec!["\u{7f}".to_owned()])
            }
            Kind::Numbers { max, .. } => {
                (vec!["0, 1".to_owned(), max.to_string()], vec![(max + 1).to_string()])
            }
        };
        for text in good {
            let case = Case::default().env(&row.env(), &text);
            let own = |mistakes: Vec<Mistake>| {
                let other = |why: &Why| matches!(why, Why::Relation(_) | Why::File { .. });
                mistakes.into_iter().filter(|one| !other(&one.why)).count()
            };
            // At its ends a setting need not fit the defaults of the others.
            assert_eq!(case.resolve().err().map_or(0, own), 0, "{} = {text}", row.key);
            let same = Case::default().flag(row.key, &text);
            assert_eq!(same.resolve().err().map_or(0, own), 0, "--{} {text}", row.flag());
        }
        for text in bad {
            let mistakes = Case::default().env(&row.env(), &text).resolve().unwrap_err();
            assert_eq!(mistakes.len(), 1, "{} = {text}", row.key);
            assert_eq!(mistakes[0].key, row.key);
            assert!(matches!(mistakes[0].why, Why::Form { .. }), "{mistakes:?}");
            assert_eq!(mistakes[0].place, Place::Env(row.env()));
        }
    }
}

#[test]
fn every_setting_goes_where_it_is_read() {
    fn check<T: Default>(rows: &[Row<T>]) {
        for (index, row) in rows.iter().enumerate() {
            let mut to = T::default();
            let before: Vec<Value> = rows.iter().map(|row| (row.read)(&to)).collect();
            let value = match row.kind {
                Kind::Count { min, max } => {
                    // The most may not fit the field; the test must see that.
                    let given = Value::Count(max);
                    (row.write)(&mut to, given.clone());
                    assert_eq!((row.read)(&to), given, "{}", row.key);
                    Value::Count(if before[index] == Value::Count(min) { max } else { min })
                }
                Kind::Integer { min, max } => {
                    Value::Integer(if before[index] == Value::Integer(min) { max } else { min })
                }
                Kind::Power { min, max } => {
                    Value::Count(if before[index] == Value::Count(min) { max } else { min })
                }
                Kind::Switch => Value::Switch(before[index] == Value::Switch(false)),
                Kind::Word(words) => {
                    let other =
                        words.iter().find(|&&word| before[index] != Value::Text(word.into()));
                    Value::Text((*other.expect("two words")).to_owned())
                }
                Kind::Text { .. } | Kind::Secret { .. } => Value::Text("/other".to_owned()),
                Kind::Address => Value::Text("10.1.2.3:4".to_owned()),
                Kind::Texts { .. } => Value::Texts(vec!["https://a".to_owned()]),
                Kind::Numbers { .. } => Value::Numbers(vec![3, 1]),
            };
            (row.write)(&mut to, value.clone());
            for (other, row) in rows.iter().enumerate() {
                let want = if other == index { &value } else { &before[other] };
                assert_eq!((row.read)(&to), *want, "{}", row.key);
            }
        }
    }
    check(SETTINGS);
    check(NAMESPACES);
    check(KEYS);
}

#[test]
fn keys_variables_and_flags_are_each_one_of_a_kind() {
    let all = |name: fn(&Row<Config>) -> String| {
        let names: std::collections::BTreeSet<String> = SETTINGS.iter().map(name).collect();
        names.len()
    };
    assert_eq!(all(|row| row.key.to_owned()), SETTINGS.len());
    assert_eq!(all(Row::env), SETTINGS.len());
    assert_eq!(all(Row::flag), SETTINGS.len());
    for row in SETTINGS {
        assert!(row.key.contains('.') && row.help.ends_with('.'), "{}", row.key);
    }
}

#[test]
fn all_mistakes_come_at_once_with_their_places() {
    let text = "\
[server]
lisen = \"127.0.0.1:1\"
shards = 300
listen = \"nowhere\"

[sesion]
[session]
ping_interval_ms = \"often\"
insecure = 1

[ws]
origins = [\"https://a\", 7]

[[namespaces]]
name = \"room\"
subscribe = \"everyone\"
histroy_count_max = 5
";
    Case::file(text).flag("server.drain_ms", "-1").mistakes(&[
        "r.toml:2:1: server.lisen: there is no such setting; is it `server.listen`?",
        "r.toml:3:10: server.shards: it must be a whole number from 0 to 256 shards, and is 300",
        "r.toml:4:10: server.listen: it must be an address with a port, such as 127.0.0.1:8000, \
         and is \"nowhere\"",
        "r.toml:6:2: sesion: there is no such setting; is it `session`?",
        "r.toml:8:20: session.ping_interval_ms: it must be a whole number from 0 to 3600000 ms, \
         and is \"often\"",
        "r.toml:9:12: session.insecure: it must be true or false, and is 1",
        "r.toml:12:11: ws.origins: it must be a list of at most 64 texts of at most 255 bytes, \
         and is a list of 2",
        "r.toml:16:13: namespaces[0].subscribe: it must be one of \"nobody\", \"token\", \
         \"subscribers\", \"users\", \"anyone\", and is \"everyone\"",
        "r.toml:17:1: namespaces[0].histroy_count_max: there is no such setting; is it \
         `history_count_max`?",
        "--drain-ms: server.drain_ms: it must be a whole number from 0 to 3600000 ms, and is \"-1\"",
    ]);
}

#[test]
fn what_is_no_toml_says_where_it_ends_to_be() {
    let mistakes = Case::file("[server\nx = 1\ny = = 2\n").resolve().unwrap_err();
    assert!(mistakes.iter().all(|mistake| matches!(mistake.why, Why::Syntax(_))), "{mistakes:?}");
    assert!(mistakes[0].to_string().starts_with("r.toml:1:"), "{}", mistakes[0]);
    let twice = Case::file("[server]\nshards = 1\nshards = 2\n").resolve().unwrap_err();
    assert!(twice[0].to_string().starts_with("r.toml:3:1: "), "{}", twice[0]);
}

#[test]
fn tables_and_lists_are_told_apart() {
    Case::file("server = 1\nnamespaces = 2\n[auth]\nkeys = [3]\n").mistakes(&[
        "r.toml:1:1: server: it must be a table, such as [section]",
        "r.toml:2:1: namespaces: it must be a list of tables, such as [[list]]",
        "r.toml:4:9: auth.keys[0]: it must be a table",
    ]);
    Case::file("[[namespaces]]\npresence = true\n[[auth.keys]]\nkid = \"a\"\n").mistakes(&[
        "r.toml:1:1: namespaces[0]: name is missing",
        "r.toml:3:1: auth.keys[0]: algorithm is missing",
    ]);
}

#[test]
fn a_variable_without_its_section_is_told_and_does_nothing() {
    for (name, meant) in [
        ("ROOKERY_LISTEN", Some("ROOKERY_SERVER_LISTEN")),
        ("ROOKERY_DRAIN_MS", Some("ROOKERY_SERVER_DRAIN_MS")),
        ("ROOKERY_NAMESPACE", Some("ROOKERY_NAMESPACES")),
        ("ROOKERY_KEYS", Some("ROOKERY_AUTH_KEYS")),
        ("ROOKERY_TEST_PORTS", None),
        ("ROOKERY_BENCH_SECRET", None),
        ("ROOKERY_MEMORY_ROOMS", None),
        ("ROOKERY_", None),
        ("LISTEN", None),
    ] {
        let config = Case::default().env(name, "[::]:9").good();
        let told: Vec<_> = config.warnings().into_iter().filter(|one| one.contains(name)).collect();
        let want: Vec<_> = meant
            .map(|meant| format!("{name} is no setting, and does nothing; is it `{meant}`?"))
            .into_iter()
            .collect();
        assert_eq!(told, want, "{name}");
        assert_ne!(config.server.listen.port(), 9);
    }
}

#[test]
fn unknown_variables_of_a_section_are_mistakes() {
    Case::default().env("ROOKERY_SERVER_LISTEM", "x").env("ROOKERY_OTHER", "x").mistakes(&[
        "ROOKERY_SERVER_LISTEM: there is no such setting; is it `ROOKERY_SERVER_LISTEN`?",
    ]);
}

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

#[test]
fn keys_come_from_the_file_from_files_and_from_the_environment() {
    let text = format!(
        "[auth]\naudience = \"chat\"\nleeway_s = 5\n\
         [[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\n\
         [[auth.keys]]\nalgorithm = \"HS512\"\nsecret_file = \"key\"\n\
         [[auth.keys]]\nkid = \"c\"\nalgorithm = \"EdDSA\"\npem_file = \"ed.pem\"\n"
    );
    let pem = include_bytes!("../../tests/keys/ed.public.pem");
    let case =
        Case::file(&text).with("key", format!("{SECRET}\r\n").as_bytes()).with("ed.pem", pem);
    let config = case.good();
    let keys = &config.auth.keys;
    assert_eq!(
        keys.iter().map(|key| key.algorithm).collect::<Vec<_>>(),
        [Algorithm::Hs256, Algorithm::Hs512, Algorithm::EdDsa]
    );
    assert_eq!((keys[0].kid.as_deref(), keys[1].kid.as_deref()), (Some("a"), None));
    assert_eq!(keys[0].material, keys[1].material);
    assert_eq!(config.auth.demands.audience.as_deref(), Some("chat"));
    assert!(!config.keys().is_empty() && config.is_useless().is_none());
    assert_eq!(
        config.warnings(),
        ["auth.keys[1]: the secret has 32 bytes; HS512 should have at least 64"]
    );
    let list = format!("[{{ algorithm = \"HS256\", secret = \"{SECRET}\" }}]");
    assert_eq!(case.env("ROOKERY_AUTH_KEYS", &list).good().auth.keys.len(), 1);
}

#[test]
fn keys_that_cannot_be_used_are_named_without_their_secret() {
    let text = format!(
        "[[auth.keys]]\nalgorithm = \"HS256\"\nsecret = \"short-one\"\n\
         [[auth.keys]]\nalgorithm = \"HS256\"\n\
         [[auth.keys]]\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\npem_file = \"x\"\n\
         [[auth.keys]]\nalgorithm = \"RS256\"\npem_file = \"/nowhere.pem\"\n\
         [[auth.keys]]\nalgorithm = \"RS256\"\nsecret = \"{SECRET}\"\n\
         [[auth.keys]]\nalgorithm = \"HS256\"\nsecret = \"secret\\n\"\n"
    );
    let one_of = "one of secret, secret_file and pem_file must be given, and only one";
    let case = Case::file(&text);
    case.mistakes(&[
        "r.toml:1:1: auth.keys[0]: the secret has 9 bytes; 16 are the least that is accepted",
        &format!("r.toml:4:1: auth.keys[1]: {one_of}"),
        &format!("r.toml:6:1: auth.keys[2]: {one_of}"),
        "r.toml:10:1: auth.keys[3]: /nowhere.pem: entity not found",
        "r.toml:13:1: auth.keys[4]: RS256 needs a PEM",
        &format!("r.toml:16:1: auth.keys[5]: {one_of}"),
        "r.toml:18:10: auth.keys[5].secret: it must be a text of at most 1024 bytes without \
         control characters, and is not",
    ]);
    let debug = format!("{:?}", case.resolve());
    assert!(!debug.contains("short-one") && !debug.contains(SECRET), "{debug}");
}

#[test]
fn lists_end() {
    let namespaces: String = (0..=NAMESPACES_MAX)
        .map(|index| format!("[[namespaces]]\nname = \"n{index}\"\n"))
        .collect();
    Case::file(&namespaces).mistakes(&["r.toml:1:3: namespaces: there can be at most 64"]);
    let keys: String = (0..=crate::auth::KEYS_MAX)
        .map(|_| format!("[[auth.keys]]\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\n"))
        .collect();
    Case::file(&keys).mistakes(&["r.toml:1:8: auth.keys: there can be at most 16"]);
}

#[test]
fn namespaces_in_a_file_replace_the_standard_ones() {
    let config = Case::file("[[namespaces]]\nname = \"\"\npublish = \"users\"\n").good();
    let want = Namespace { publish: Who::Users, ..Namespace::default() };
    assert_eq!(config.shard.room.namespaces, [want]);
    let list = "[{ name = 'a' }, { name = 'b', presence = true }]";
    let config = Case::default().env("ROOKERY_NAMESPACES", list).good();
    assert_eq!(config.shard.room.namespaces.len(), 2);
    assert!(config.shard.room.namespaces[1].presence);
    let wrong = Case::default().env("ROOKERY_NAMESPACES", "[{ nam = 'a' }]").resolve();
    let first = wrong.unwrap_err()[0].to_string();
    assert_eq!(
        first,
        "ROOKERY_NAMESPACES: namespaces[0].nam: there is no such setting; is it `name`?"
    );
}

#[test]
fn an_empty_variable_says_nothing_where_empty_is_no_value() {
    let default = Config::default();
    let mut case = Case::file("[server]\nshards = 3\n[admin]\ntoken = 'a-token-of-the-file'\n");
    for row in SETTINGS {
        if !matches!(row.kind, Kind::Secret { .. }) {
            case = case.env(&row.env(), "");
        }
    }
    for list in ["ROOKERY_NAMESPACES", "ROOKERY_LISTENERS", "ROOKERY_AUTH_KEYS"] {
        case = case.env(list, " ");
    }
    // Empty is a value of this one: there is no store without it.
    case.sources.env.retain(|(name, _)| name != "ROOKERY_STORE_DIR" && name != "ROOKERY_WS_PATH");
    let config = case.good();
    assert_eq!((config.server.shards, config.server.listen), (3, default.server.listen));
    assert_eq!(config.shard.room.namespaces.len(), default.shard.room.namespaces.len());
    // A text may be empty, and then wins over the file.
    assert!(case.env("ROOKERY_ADMIN_TOKEN", "").good().admin.ready.is_none());
    Case::default().env("ROOKERY_SERVER_LISTN", "").mistakes(&[
        "ROOKERY_SERVER_LISTN: there is no such setting; is it `ROOKERY_SERVER_LISTEN`?",
    ]);
}

#[test]
fn what_editors_of_other_systems_leave_behind_is_no_part_of_a_value() {
    let text = "[server]\nshards = 2\n[[auth.keys]]\nalgorithm = 'HS256'\nsecret_file = 'key'\n\
                [admin]\ntoken_file = 'token'\n";
    let mark = "\u{feff}";
    for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("{mark}{text}")] {
        for end in ["", "\n", "\r\n"] {
            for begin in ["", mark] {
                let case = Case::file(&text)
                    .with("key", format!("{begin}{SECRET}{end}").as_bytes())
                    .with("token", format!("{begin}{SECRET}{end}").as_bytes())
                    .env("ROOKERY_SERVER_LISTEN", " 127.0.0.1:81\r")
                    .env("ROOKERY_SERVER_DESCRIPTOR_TABLE", "shared\r");
                let config = case.good();
                let key = &config.auth.keys[0].material;
                assert!(
                    matches!(key, crate::auth::Material::Secret(key) if key == SECRET.as_bytes())
                );
                assert_eq!(config.admin.ready, crate::admin::Token::new(SECRET.as_bytes()).ok());
                assert_eq!(config.server.listen.to_string(), "127.0.0.1:81");
                assert_eq!(config.server.descriptor_table, DescriptorTable::Shared);
            }
        }
    }
    // A secret of any bytes keeps all of them.
    let binary = b"\xef\xbb\xbf\xff 0123456789abcdef";
    let config = Case::file(text).with("token", SECRET.as_bytes()).with("key", binary).good();
    let key = &config.auth.keys[0].material;
    assert!(matches!(key, crate::auth::Material::Secret(key) if key == binary));
}

#[test]
fn a_public_key_may_begin_with_a_mark_of_its_encoding() {
    let pem = include_str!("../../tests/keys/ed.public.pem");
    let text = "[[auth.keys]]\nalgorithm = 'EdDSA'\npem_file = 'key'\n";
    for pem in [format!("\u{feff}{pem}"), pem.replace('\n', "\r\n"), pem.trim().to_owned()] {
        assert_eq!(Case::file(text).with("key", pem.as_bytes()).good().auth.keys.len(), 1);
    }
}

fn addresses(case: &Case) -> Vec<String> {
    case.good().server.addresses().iter().map(ToString::to_string).collect()
}

#[test]
fn one_address_is_enough_and_a_list_takes_its_place() {
    assert_eq!(addresses(&Case::default()), ["0.0.0.0:8000"]);
    let list = "[[listeners]]\naddress = '[::]:8000'\n[[listeners]]\naddress = '10.0.0.1:81'\n";
    assert_eq!(addresses(&Case::file(list)), ["[::]:8000", "10.0.0.1:81"]);
    // Whoever says both means both.
    let both = Case::file(list).flag("server.listen", "127.0.0.1:80");
    assert_eq!(addresses(&both), ["127.0.0.1:80", "[::]:8000", "10.0.0.1:81"]);
    let env = "[{ address = '[::1]:8000' }]";
    assert_eq!(addresses(&Case::default().env("ROOKERY_LISTENERS", env)), ["[::1]:8000"]);
    assert_eq!(addresses(&Case::file(list).env("ROOKERY_LISTENERS", env)), ["[::1]:8000"]);
    assert_eq!(addresses(&Case::file("listeners = []\n")), ["0.0.0.0:8000"]);
    // Two ports of the kernel's choice are two.
    let any = "[[listeners]]\naddress = '[::]:0'\n[[listeners]]\naddress = '[::]:0'\n";
    assert_eq!(addresses(&Case::file(any)), ["[::]:0", "[::]:0"]);
    for case in [Case::file(list), both, Case::file(any)] {
        let printed = toml(&case.good());
        assert_eq!(addresses(&Case::file(&printed)), addresses(&case), "{printed}");
    }
}

#[test]
fn addresses_that_overlap_are_named_with_each_other() {
    let two = |one: &str, other: &str| {
        Case::file(&format!(
            "[[listeners]]\naddress = '{one}'\n[[listeners]]\naddress = '{other}'\n"
        ))
    };
    for (one, other) in [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("127.0.0.1:80", "0.0.0.0:80"),
        ("[::]:80", "0.0.0.0:80"),
        ("[::]:80", "127.0.0.1:80"),
        ("[::1]:80", "[::]:80"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
    ] {
        let mistakes = lines(&two(one, other).resolve().err().unwrap_or_default());
        assert_eq!(mistakes.len(), 1, "{one} {other}: {mistakes:?}");
        assert!(mistakes[0].starts_with("r.toml:3:1: listeners[1].address: "), "{mistakes:?}");
        let why = if one == other { "is there twice" } else { "leave one of them out" };
        assert!(mistakes[0].contains(why), "{mistakes:?}");
    }
    for (one, other) in [
        ("127.0.0.1:80", "127.0.0.1:81"),
        ("127.0.0.1:80", "127.0.0.2:80"),
        ("0.0.0.0:80", "[::1]:80"),
        ("[::1]:80", "127.0.0.1:80"),
    ] {
        assert_eq!(addresses(&two(one, other)), [one, other]);
    }
    let admin = Case::file("[[listeners]]\naddress = '[::]:8001'\n");
    admin.mistakes(&["r.toml:1:1: server.admin_listen: 127.0.0.1:8001 is where clients connect \
                      ([::]:8001); take another port"]);
    Case::file("[[listeners]]\nadress = '[::]:8001'\n").mistakes(&[
        "r.toml:1:1: listeners[0]: address is missing",
        "r.toml:2:1: listeners[0].adress: there is no such setting; is it `address`?",
    ]);
    let many: String =
        (0..17).map(|n| format!("[[listeners]]\naddress = '[::]:{}'\n", 81 + n)).collect();
    Case::file(&many).mistakes(&["r.toml:1:3: listeners: there can be at most 16"]);
}

/// A service called rookery-<section>, in the namespace that the pod runs in.
#[test]
fn what_kubernetes_adds_for_services_is_nobodys_mistake() {
    let sections: std::collections::BTreeSet<&str> =
        SETTINGS.iter().filter_map(|row| row.key.split_once('.')).map(|(name, _)| name).collect();
    for service in sections.iter().map(|name| format!("_{}", name.to_uppercase())).chain([
        String::new(),
        "_NAMESPACES".to_owned(),
        "_AUTH_KEYS".to_owned(),
        "_SERVER_LISTEN".to_owned(),
    ]) {
        let name = |end: &str| format!("ROOKERY{service}{end}");
        let case = Case::default()
            .env(&name("_SERVICE_HOST"), "10.43.7.9")
            .env(&name("_SERVICE_PORT"), "8000")
            .env(&name("_SERVICE_PORT_HTTP"), "8000")
            .env(&name("_PORT"), "tcp://10.43.7.9:8000")
            .env(&name("_PORT_8000_TCP"), "tcp://10.43.7.9:8000")
            .env(&name("_PORT_8000_TCP_PROTO"), "tcp")
            .env(&name("_PORT_8000_TCP_PORT"), "8000")
            .env(&name("_PORT_8000_TCP_ADDR"), "10.43.7.9");
        let config = case.good();
        assert_eq!(config.server.listen, Config::default().server.listen);
    }
    Case::default().env("ROOKERY_SERVER_PORT", "9000").mistakes(&[
        "ROOKERY_SERVER_PORT: there is no such setting; is it `ROOKERY_SERVER_CORES`?",
    ]);
}

/// If one could, a value that an operator gives would be taken for a service's.
#[test]
fn no_setting_has_the_name_of_what_kubernetes_adds() {
    let names = SETTINGS
        .iter()
        .map(Row::env)
        .chain(["ROOKERY_NAMESPACES", "ROOKERY_AUTH_KEYS"].map(str::to_owned));
    for name in names {
        for value in ["tcp://10.43.7.9:8000", "8000", "10.43.7.9", "tcp", "0"] {
            assert!(!service_links::is_service_link(&name, value), "{name}={value}");
        }
    }
}

#[test]
fn origins_of_apps_can_be_listed_and_what_no_browser_sends_cannot() {
    let list = |origin: &str| Case::file(&format!("[ws]\norigins = ['{origin}']\n"));
    for origin in [
        "*",
        "null",
        "file://",
        "FILE://",
        "app://.",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "https://*.example.org",
        "https://Chat.example.org:443",
        "http://[::1]:3000",
    ] {
        assert_eq!(list(origin).good().shard.ws.origins, [origin]);
    }
    for origin in [
        "",
        "Null",
        "file",
        "file:///",
        "file:",
        "http://",
        "://a",
        "https://a/",
        "https://a?b",
        "https://user@a",
        "https://a b",
        "https://bücher.example",
        "https://*.a.*",
    ] {
        let mistakes = list(origin).resolve().err().unwrap_or_default();
        assert_eq!(mistakes.len(), 1, "{origin}");
        assert!(mistakes[0].to_string().contains("ws.origins"), "{origin}");
    }
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let text = "\
[server]
cores = [1, 0]
descriptor_table = \"per-shard\"
[ws]
origins = [\"https://*.example.com\", \"http://[::1]:3000\"]
[session]
node = 'a \"quoted\\ node'
[[namespaces]]
name = \"x\"
see_history = \"anyone\"
[[namespaces]]
name = \"y\"
";
    let config = Case::file(text).good();
    assert_eq!(config.server.descriptor_table, DescriptorTable::PerShard);
    let again = Case::file(&toml(&config)).good();
    for row in SETTINGS {
        assert_eq!((row.read)(&again), (row.read)(&config), "{}", row.key);
    }
    assert_eq!(again.shard.room.namespaces, config.shard.room.namespaces);
    assert_eq!(toml(&again), toml(&config));
}

#[test]
fn secrets_are_not_printed() {
    let text =
        format!("[[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\n");
    let config = Case::file(&text).good();
    let printed = toml(&config);
    assert!(printed.contains("# secret = \"…\" (set)") && printed.contains("kid = \"a\""));
    assert!(!printed.contains(SECRET) && !format!("{config:?}").contains(SECRET));
}

#[test]
fn the_development_configuration_is_good_and_local() {
    let config = Case::file(DEV_TEXT).good();
    assert!(
        config.server.listen.ip().is_loopback() && config.server.admin_listen.ip().is_loopback()
    );
    assert!(config.warnings().is_empty() && config.is_useless().is_none());
    assert!(!config.shard.session.insecure && !config.shard.session.anonymous);
}

#[test]
fn insecure_is_warned_about() {
    let config = Case::file("[session]\ninsecure = true\n").good();
    assert_eq!(config.warnings().len(), 1);
    assert!(config.is_useless().is_none());
}

#[test]
fn what_is_no_address_says_how_to_write_it() {
    for (text, hint) in [
        ("localhost:8000", "names are not looked up"),
        ("chat.example.org:443", "127.0.0.1 (and [::1] in IPv6)"),
        ("8000", "for all addresses write [::]"),
        (":8000", "or 0.0.0.0 for IPv4 only"),
        ("*:8000", "for all addresses"),
        ("0.0.0.0", "the port is missing"),
        ("::1", "the port is missing"),
        ("::1:8000", "the port is missing"),
        ("fe80::1:2:3:4:5:6:8000", "has brackets"),
        ("127.0.0.1:65536", "ports go up to 65535"),
        ("[fe80::1%eth0]:8000", "by its number: [fe80::1%2]:8000"),
        ("unix:/run/chat.sock", "a proxy can listen on one"),
        ("/run/chat.sock", "a proxy can listen on one"),
        ("http://0.0.0.0:8000/", "leave out what it begins with"),
        ("0.0.0.0:8000,[::]:8000", "[[listeners]]"),
        ("224.0.0.1:8000", "a multicast address"),
        ("[ff02::1]:8000", "a multicast address"),
        ("255.255.255.255:8000", "a broadcast address"),
        ("[::ffff:255.255.255.255]:8000", "a broadcast address"),
    ] {
        let mistakes = Case::default().env("ROOKERY_SERVER_LISTEN", text).resolve();
        let told = lines(&mistakes.err().unwrap_or_default());
        assert!(told.len() == 1 && told[0].contains(hint), "{text}: {told:?}");
    }
    for text in ["[fe80::1%2]:8000", "[::ffff:127.0.0.1]:8000", "0.0.0.0:0", "[::]:8000"] {
        Case::default().env("ROOKERY_SERVER_LISTEN", text).good();
    }
}
