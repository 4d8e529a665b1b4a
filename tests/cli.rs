//! The binary as an operator uses it: arguments and files in, text and an exit
//! code out.

mod common;

use std::fs::{self, File};
use std::path::Path;

use common::{Running, binary, free_port, run, until};
use rookery::auth::{Algorithm, KeyMaterial, KeySpec, Keys};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it writes UTF-8")
}

/// That the exit code is `code`, and stdout and stderr hold the words.
#[track_caller]
fn check(arguments: &[&str], code: i32, out: &[&str], err: &[&str]) -> String {
    let output = run(arguments);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let all = format!("{arguments:?}\n{stdout}\n{stderr}");
    assert_eq!(output.status.code(), Some(code), "{all}");
    out.iter().for_each(|word| assert!(stdout.contains(word), "no {word:?}: {all}"));
    err.iter().for_each(|word| assert!(stderr.contains(word), "no {word:?}: {all}"));
    assert!(!all.contains("panicked"), "{all}");
    stdout
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("it can be written");
    path.to_str().expect("a plain path").to_owned()
}

#[test]
fn wrong_use_is_2_and_help_is_0() {
    check(&[], 2, &[], &["Usage"]);
    check(&["sing"], 2, &[], &["sing"]);
    check(&["serve", "--lisen", "x"], 2, &[], &["--listen"]);
    check(&["serve", "--dev", "--config", "x"], 2, &[], &["--dev"]);
    check(&["--help"], 0, &["check-config", "doctor", "top"], &[]);
    check(&["serve", "-h"], 0, &["--connections-max"], &[]);
    check(&["serve", "--help"], 0, &["--session-ping-interval-ms"], &[]);
    check(&["version"], 0, &[concat!("rookery ", env!("CARGO_PKG_VERSION"))], &[]);
}

#[test]
fn completions_know_the_flags() {
    for shell in ["bash", "zsh", "fish"] {
        check(&["completions", shell], 0, &["check-config", "ring-recv-buffers"], &[]);
    }
}

#[test]
fn every_mistake_of_every_source_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write(folder.path(), "r.toml", "[server]\nshard = 1\n[ws]\npath = \"x\"\n");
    let mut command = binary(["check-config", "--config", &file, "--backlog", "-5"]);
    let output = command.env("ROOKERY_SESSION_INSECURE", "perhaps").output().expect("it runs");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for words in [
        "r.toml:2:1: server.shard: there is no such setting; is it `server.shards`?",
        "r.toml:4:8: ws.path: it must begin with a slash",
        "ROOKERY_SESSION_INSECURE: session.insecure: it must be true or false",
        "--backlog: server.backlog: it must be a whole number from 16 to 65535",
    ] {
        assert!(stderr.contains(words), "no {words:?} in {stderr}");
    }
    assert_eq!(stderr.lines().count(), 4, "{stderr}");
}

#[test]
fn a_file_that_is_not_there_is_1_with_its_path() {
    for command in ["serve", "check-config", "print-config", "token", "doctor"] {
        check(&[command, "--config", "/nowhere/r.toml"], 1, &[], &["/nowhere/r.toml"]);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = "[[auth.keys]]\nalgorithm = \"HS256\"\nsecret_file = \"missing\"\n";
    let file = write(folder.path(), "r.toml", key);
    check(&["serve", "--config", &file], 2, &[], &["auth.keys[0]", "missing"]);
}

#[test]
fn what_nobody_could_use_is_not_served() {
    check(&["serve"], 2, &[], &["auth.keys", "--dev"]);
    check(&["check-config"], 2, &[], &["auth.keys", "--dev"]);
    check(&["check-config", "--session-anonymous", "true"], 0, &["good"], &[]);
    check(&["check-config", "--session-insecure", "true"], 0, &["good"], &["session.insecure"]);
    check(&["check-config", "--dev"], 0, &["good"], &[]);
}

#[test]
fn the_printed_configuration_hides_secrets_and_keeps_the_rest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = "a-secret-that-must-not-be-seen-anywhere";
    write(folder.path(), "key", secret);
    let file = write(
        folder.path(),
        "r.toml",
        &format!(
            "[server]\ndrain_ms = 7\n[[auth.keys]]\nalgorithm = \"HS256\"\nsecret = \"{secret}\"\n\
             [[auth.keys]]\nkid = \"b\"\nalgorithm = \"HS256\"\nsecret_file = \"key\"\n"
        ),
    );
    let words = ["drain_ms = 7", "backlog = 99", "secret_file = \"key\"", "(set)"];
    let printed = check(&["print-config", "--config", &file, "--backlog", "99"], 0, &words, &[]);
    assert!(!printed.contains(secret), "{printed}");
    check(&["print-config", "--format", "markdown"], 0, &["# Settings", "## [[auth.keys]]"], &[]);
}

#[test]
fn the_shipped_example_is_good() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rookery.toml");
    check(&["print-config", "--config", path], 0, &["[server]"], &[]);
}

#[test]
fn a_token_is_taken_by_a_server_with_the_same_configuration() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys");
    let file = write(
        folder.path(),
        "r.toml",
        &format!(
            "[auth]\nissuer = \"app\"\n\
             [[auth.keys]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"0123456789abcdef0123456789abcdef\"\n\
             [[auth.keys]]\nkid = \"b\"\nalgorithm = \"EdDSA\"\npem_file = \"{keys}/ed.public.pem\"\n"
        ),
    );
    let spec = KeySpec {
        kid: Some("a".to_owned()),
        algorithm: Algorithm::Hs256,
        material: KeyMaterial::Secret(b"0123456789abcdef0123456789abcdef".to_vec()),
    };
    let verify = Keys::build(&[spec]).expect("the key is good");
    let base = ["token", "--config", &file, "--user", "ann"];
    let make = |more: &[&str]| check(&[&base[..], more].concat(), 0, &["."], &[]).trim().to_owned();
    let token = make(&["--ttl", "1h", "--info", "{\"a\":1}", "--tenant", "t", "--join", "room:1"]);
    let claims = verify.connection(&token, 0).expect("it is good");
    assert_eq!((&*claims.user, &*claims.tenant, &*claims.channels[0]), ("ann", "t", "room:1"));
    assert!(claims.expires_at_unix_s.is_some());
    let token = make(&["--channel", "room:1", "--ttl", "never"]);
    let claims = verify.subscription(&token, 0).expect("it is good");
    assert_eq!((&*claims.channel, claims.expires_at_unix_s), ("room:1", None));
    make(&["--key", "b", "--private-key", &format!("{keys}/ed.private.pem")]);
    make(&["--private-key", &format!("{keys}/ed.private.pem")]);
    for (more, code, word) in [
        (&["--key", "c"][..], 2, "\"c\""),
        (&["--key", "b"], 1, "cannot sign"),
        (&["--ttl", "soon"], 2, "soon"),
        (&["--info", "{"], 1, "JSON"),
        (&["--private-key", "/nowhere"], 1, "/nowhere"),
        (&["--tenant", "a\nb"], 1, "would not take"),
    ] {
        check(&[&base[..], more].concat(), code, &[], &[word]);
    }
    check(&["token", "--user", "ann"], 2, &[], &["--dev"]);
    check(&["token", "--dev"], 0, &["."], &[]);
}

#[test]
fn the_doctor_says_what_is_there_and_1_when_it_cannot_work() {
    check(&["doctor", "--connections", "10"], 0, &["kernel", "memory", "can work here"], &[]);
    let wanted = ["doctor", "--connections", "100000000", "--json"];
    let output = run(&wanted);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(report["works"], false);
    assert_eq!(report["connections"], 100_000_000);
    let findings = report["findings"].as_array().expect("a list");
    let blocks = findings.iter().find(|finding| finding["grade"] == "blocks").expect("one blocks");
    for key in ["name", "is", "should", "change"] {
        assert!(blocks[key].as_str().is_some_and(|text| !text.is_empty()), "{blocks}");
    }
    check(&["doctor", "--connections", "0"], 2, &[], &["--connections"]);
}

#[test]
fn the_doctor_measures_the_disk_of_a_store_and_leaves_nothing_on_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = folder.path().join("store");
    let settings = |kept: u32| {
        format!(
            "[[auth.keys]]\nalgorithm = \"HS256\"\nsecret = \"{}\"\n[store]\ndir = \"{}\"\n\
             [[namespaces]]\nname = \"chat\"\nhistory_count_max = {kept}\n",
            "s".repeat(40),
            store.display()
        )
    };
    let told = |kept, words: &[&str]| {
        let file = write(folder.path(), "r.toml", &settings(kept));
        check(&["doctor", "--connections", "10", "--config", &file], 0, words, &[])
    };
    told(9, &["store.dir: synced writes", "not measured: No such file or directory"]);
    fs::create_dir(&store).expect("it can be made");
    let text = told(9, &["store.dir: file system", &*store.to_string_lossy()]);
    assert!(text.contains(" writes of 4 KiB)") || text.contains("which is memory"), "{text}");
    assert_eq!(fs::read_dir(&store).expect("it is there").count(), 0);
    assert!(!told(0, &[]).contains("store.dir"), "nothing is kept");
}

#[test]
fn the_development_server_warns_starts_and_drains() {
    let [listen, admin] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("log");
    let mut command = binary(["serve", "--dev", "--listen", &listen, "--admin-listen", &admin]);
    command.args(["--connections-max", "100"]).current_dir(folder.path());
    let mut server = Running::start(command.stderr(File::create(&log).expect("it can be made")));
    let said = || fs::read_to_string(&log).expect("it is text");
    assert!(until(|| said().contains("listening on").then_some(())).is_some(), "{}", said());
    assert!(said().contains("everyone knows its secret"), "{}", said());
    // What it keeps lies where it was started.
    assert!(folder.path().join("rookery-data").is_dir(), "{}", said());
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0), "{}", said());
}
