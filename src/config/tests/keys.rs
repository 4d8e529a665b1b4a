//! Keys for tokens.

use super::*;

#[test]
fn keys_come_from_the_file_from_files_and_from_the_environment() {
    let text = format!(
        "[auth]\naudience = \"chat\"\nleeway_s = 5\n\
         [[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\n\
         [[auth.keys]]\nalgorithm = \"HS512\"\nsecret_file = \"key\"\n\
         [[auth.keys]]\nkid = \"c\"\nalgorithm = \"EdDSA\"\npem_file = \"ed.pem\"\n"
    );
    let pem = include_bytes!("../../../tests/keys/ed.public.pem");
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
    assert_eq!(config.auth.requirements.audience.as_deref(), Some("chat"));
    assert!(!config.keys().is_empty() && config.is_useless().is_none());
    assert_eq!(
        config.warnings(),
        ["auth.keys[1]: the secret has 32 bytes; HS512 should have at least 64"]
    );
    let list = format!("[{{ algorithm = \"HS256\", secret = \"{SECRET}\" }}]");
    assert_eq!(case.env("ROOKERY_AUTH_KEYS", &list).good().auth.keys.len(), 1);
}

/// The suites of SDKs sign with a secret of six bytes.
#[test]
fn a_short_secret_is_for_servers_that_let_anyone_do_anything() {
    let key = "[[auth.keys]]\nalgorithm = \"HS256\"\nsecret = \"secret\"\n";
    Case::file(key).mistakes(&[
        "r.toml:1:1: auth.keys[0]: the secret has 6 bytes; 16 are the least that is accepted",
    ]);
    let config = Case::file(&format!("[session]\ninsecure = true\n{key}")).good();
    assert!(config.auth.keys[0].material.is_secret() && !config.keys().is_empty());
    assert!(config.warnings().iter().any(|one| one.contains("has 6 bytes")));
    let env = Case::file(key).env("ROOKERY_SESSION_INSECURE", "true");
    assert_eq!(env.good().auth.keys.len(), 1);
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
fn a_public_key_may_begin_with_a_mark_of_its_encoding() {
    let pem = include_str!("../../../tests/keys/ed.public.pem");
    let text = "[[auth.keys]]\nalgorithm = 'EdDSA'\npem_file = 'key'\n";
    for pem in [format!("\u{feff}{pem}"), pem.replace('\n', "\r\n"), pem.trim().to_owned()] {
        assert_eq!(Case::file(text).with("key", pem.as_bytes()).good().auth.keys.len(), 1);
    }
}
