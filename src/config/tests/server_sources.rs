//! What the file, the environment and flags say, and which of them wins.

use super::*;

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
            SettingKind::Count { min, max } => {
                let below = min.checked_sub(1).map_or("-1".to_owned(), |count| count.to_string());
                (vec![min.to_string(), max.to_string()], vec![below, (max + 1).to_string()])
            }
            SettingKind::Integer { min, max } => (
                vec![min.to_string(), max.to_string()],
                vec![(min - 1).to_string(), (max + 1).to_string()],
            ),
            SettingKind::Power { min, max } => (
                vec![min.to_string(), max.to_string()],
                vec![(min / 2).to_string(), (max * 2).to_string(), (min + 1).to_string()],
            ),
            SettingKind::Switch => {
                (vec!["true".to_owned(), "false".to_owned()], vec!["1".to_owned()])
            }
            SettingKind::Word(words) => {
                (words.iter().map(|&word| word.to_owned()).collect(), vec!["x".to_owned()])
            }
            SettingKind::Text { bytes_max } | SettingKind::Secret { bytes_max } => {
                (vec!["/".repeat(bytes_max)], vec!["/".repeat(bytes_max + 1), "/\u{1}".to_owned()])
            }
            SettingKind::Address => (vec!["[::1]:7".to_owned()], vec!["localhost:1".to_owned()]),
            SettingKind::Texts { .. } => {
                (vec!["*,*".to_owned(), String::new()], vec!["\u{7f}".to_owned()])
            }
            SettingKind::Numbers { max, .. } => {
                (vec!["0, 1".to_owned(), max.to_string()], vec![(max + 1).to_string()])
            }
        };
        for text in good {
            let case = Case::default().env(&row.env(), &text);
            let own = |mistakes: Vec<ConfigError>| {
                let other = |why: &ConfigErrorKind| {
                    matches!(why, ConfigErrorKind::Relation(_) | ConfigErrorKind::File { .. })
                };
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
            assert!(matches!(mistakes[0].why, ConfigErrorKind::Form { .. }), "{mistakes:?}");
            assert_eq!(mistakes[0].place, SourceLocation::Env(row.env()));
        }
    }
}

#[test]
fn every_setting_goes_where_it_is_read() {
    fn check<T: Default>(rows: &[SettingRow<T>]) {
        for (index, row) in rows.iter().enumerate() {
            let mut to = T::default();
            let before: Vec<SettingValue> = rows.iter().map(|row| (row.read)(&to)).collect();
            let value = match row.kind {
                SettingKind::Count { min, max } => {
                    // The most may not fit the field; the test must see that.
                    let given = SettingValue::Count(max);
                    (row.write)(&mut to, given.clone());
                    assert_eq!((row.read)(&to), given, "{}", row.key);
                    SettingValue::Count(if before[index] == SettingValue::Count(min) {
                        max
                    } else {
                        min
                    })
                }
                SettingKind::Integer { min, max } => {
                    SettingValue::Integer(if before[index] == SettingValue::Integer(min) {
                        max
                    } else {
                        min
                    })
                }
                SettingKind::Power { min, max } => {
                    SettingValue::Count(if before[index] == SettingValue::Count(min) {
                        max
                    } else {
                        min
                    })
                }
                SettingKind::Switch => {
                    SettingValue::Switch(before[index] == SettingValue::Switch(false))
                }
                SettingKind::Word(words) => {
                    let other = words
                        .iter()
                        .find(|&&word| before[index] != SettingValue::Text(word.into()));
                    SettingValue::Text((*other.expect("two words")).to_owned())
                }
                SettingKind::Text { .. } | SettingKind::Secret { .. } => {
                    SettingValue::Text("/other".to_owned())
                }
                SettingKind::Address => SettingValue::Text("10.1.2.3:4".to_owned()),
                SettingKind::Texts { .. } => SettingValue::Texts(vec!["https://a".to_owned()]),
                SettingKind::Numbers { .. } => SettingValue::Numbers(vec![3, 1]),
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
    let all = |name: fn(&SettingRow<Config>) -> String| {
        let names: std::collections::BTreeSet<String> = SETTINGS.iter().map(name).collect();
        names.len()
    };
    assert_eq!(all(|row| row.key.to_owned()), SETTINGS.len());
    assert_eq!(all(SettingRow::env), SETTINGS.len());
    assert_eq!(all(SettingRow::flag), SETTINGS.len());
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
    assert!(
        mistakes.iter().all(|mistake| matches!(mistake.why, ConfigErrorKind::Syntax(_))),
        "{mistakes:?}"
    );
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
    let want = Namespace { publish: Permission::Users, ..Namespace::default() };
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
        if !matches!(row.kind, SettingKind::Secret { .. }) {
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
                    matches!(key, crate::auth::KeyMaterial::Secret(key) if key == SECRET.as_bytes())
                );
                assert_eq!(
                    config.admin.ready,
                    crate::admin::AdminToken::new(SECRET.as_bytes()).ok()
                );
                assert_eq!(config.server.listen.to_string(), "127.0.0.1:81");
                assert_eq!(config.server.descriptor_table, DescriptorTable::Shared);
            }
        }
    }
    // A secret of any bytes keeps all of them.
    let binary = b"\xef\xbb\xbf\xff 0123456789abcdef";
    let config = Case::file(text).with("token", SECRET.as_bytes()).with("key", binary).good();
    let key = &config.auth.keys[0].material;
    assert!(matches!(key, crate::auth::KeyMaterial::Secret(key) if key == binary));
}
