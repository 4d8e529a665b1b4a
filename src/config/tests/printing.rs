//! What is printed, and what is built in.

use super::*;

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
