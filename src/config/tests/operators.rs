//! Operators of the console, and where it is.

use super::*;
use crate::console::OperatorRole;

const HASHES: [&str; 2] = [
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

fn operator(name: &str, sha256: &str, role: &str) -> String {
    format!("[[admin.operators]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\nrole = \"{role}\"\n")
}

#[test]
fn operators_are_those_of_the_list_and_whoever_has_the_admin_token() {
    let [first, second] = HASHES;
    let text = format!(
        "[admin]\ntoken = \"{SECRET}\"\n{}{}",
        operator("ann", first, "see"),
        operator("ben-2", second, "act")
    );
    let case = Case::file(&text);
    let config = case.good();
    let operators = config.operators();
    let found = |shown: &[u8]| operators.find(shown).map(|one| (one.name.to_string(), one.role));
    // The first hash is that of "abc", the second that of nothing.
    assert_eq!(found(b"abc"), Some(("ann".to_owned(), OperatorRole::See)));
    assert_eq!(found(b""), Some(("ben-2".to_owned(), OperatorRole::Act)));
    assert_eq!(found(SECRET.as_bytes()), Some(("admin".to_owned(), OperatorRole::Act)));
    assert!(Case::file("").good().operators().is_empty());
    let again = Case::file(&toml(&config)).good();
    assert_eq!(again.admin.entries, config.admin.entries);
    let list = format!("[{{ name = \"eve\", sha256 = \"{first}\", role = \"see\" }}]");
    let entries = case.env("ROOKERY_ADMIN_OPERATORS", &list).good().admin.entries;
    assert_eq!((entries.len(), entries[0].name.as_str()), (1, "eve"));
}

#[test]
fn what_is_no_operator_is_named() {
    let [first, second] = HASHES;
    let text = [
        operator("ann", first, "see"),
        operator("ann", second, "see"),
        operator("ben", first, "see"),
        operator("admin", second, "act"),
        operator("a b", second, "act"),
        operator("eve", "abc", "act"),
        operator("eve", second, "root"),
    ];
    Case::file(&text.concat()).mistakes(&[
        "r.toml:5:1: admin.operators[1]: \"ann\" is there twice",
        "r.toml:9:1: admin.operators[2]: another operator has the same sha256",
        "r.toml:13:1: admin.operators[3]: admin is whoever has the admin token; choose another name",
        "r.toml:17:1: admin.operators[4]: the name \"a b\" may have letters, digits, `-`, `_` and \
         `.` only",
        "r.toml:21:1: admin.operators[5]: sha256 must be the 64 hexadecimal letters that `rookery \
         operator-token` prints",
        "r.toml:25:1: admin.operators[6]: \"root\" is no role; there are see, act",
    ]);
}

#[test]
fn the_console_is_at_origins_and_asks_an_address() {
    let text = "[admin]\nconsole_origins = [\"https://Ops.example.org\"]\n\
                alertmanager_url = \"http://127.0.0.1:9093/alerts/\"\n";
    let config = Case::file(text).good();
    assert_eq!(config.console_origins().len(), 1);
    let url = config.alertmanager().expect("there is one");
    let path = "/alerts/api/v2/alerts?active=true&silenced=false&inhibited=false";
    assert_eq!((url.authority(), url.path()), ("127.0.0.1:9093", path));
    assert!(Case::file("").good().alertmanager().is_none());
    for (line, key) in [
        ("console_origins = [\"ops.example.org\"]", "admin.console_origins"),
        ("console_origins = [\"https://ops.example.org/console\"]", "admin.console_origins"),
        ("alertmanager_url = \"127.0.0.1:9093\"", "admin.alertmanager_url"),
        ("alertmanager_url = \"ftp://a\"", "admin.alertmanager_url"),
    ] {
        let mistakes =
            Case::file(&format!("[admin]\n{line}\n")).resolve().err().unwrap_or_default();
        assert_eq!(mistakes.len(), 1, "{line}");
        assert!(mistakes[0].to_string().contains(key), "{}", mistakes[0]);
    }
}

#[test]
fn an_address_that_may_have_a_password_is_not_printed() {
    let text = "[admin]\nalertmanager_url = \"http://ann:secret-word@127.0.0.1:9093\"\n";
    let config = Case::file(text).good();
    assert!(!toml(&config).contains("secret-word"));
    assert!(!format!("{config:?}").contains("secret-word"));
}
