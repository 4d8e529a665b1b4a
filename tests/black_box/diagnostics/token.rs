//! Who may see the diagnostics.

use std::fs;
use std::process::Command;

use crate::common::{ADMIN_TOKEN, Peer, Server, Settings, run, until};

const PAGES: [(&str, &str); 6] = [
    ("GET", "/debug/snapshot"),
    ("GET", "/debug/tasks"),
    ("GET", "/debug/conns"),
    ("GET", "/debug/profile?seconds=1"),
    ("GET", "/debug/quarantine"),
    ("POST", "/debug/quarantine?prefix=~~none"),
];

#[test]
fn without_the_token_there_is_nothing_to_see_and_the_other_pages_are_open() {
    let server = Server::start(Settings::new());
    let _someone = Peer::member(server.address(), "ann-of-the-secret-room", "room:secret");
    for (method, page) in PAGES {
        for token in [None, Some("wrong-wrong-wrong-wrong")] {
            let (status, body) = server.ask(method, page, token).unwrap();
            let body = String::from_utf8(body).unwrap();
            // Some wrong tokens, and the address has to wait.
            assert!([401, 429].contains(&status), "{page}: {status} {body}");
            assert!(!body.contains("ann") && !body.contains("secret"), "{body}");
        }
    }
    for page in ["/metrics", "/health", "/ready"] {
        assert_eq!(server.ask("GET", page, None).unwrap().0, 200);
        assert!(!server.page(page).contains("ann-of"), "{page}");
    }
}

#[test]
fn the_right_token_is_let_in_whatever_others_on_the_address_tried() {
    let server = Server::start(Settings::new());
    let status = |token| server.ask("GET", "/debug/tasks", Some(token)).unwrap().0;
    let wrong = "wrong-wrong-wrong-wrong";
    let seen: Vec<u16> = (0..30).map(|_| status(wrong)).collect();
    assert!(seen[..10].iter().all(|status| *status == 401), "{seen:?}");
    assert!(seen[10..].iter().all(|status| *status == 429), "{seen:?}");
    assert_eq!(status(ADMIN_TOKEN), 200);
    // That it was right is no fresh start for those who guess.
    assert_eq!((status(wrong), status(ADMIN_TOKEN)), (429, 200));
}

#[test]
fn without_a_token_in_the_settings_the_door_is_shut_and_says_how_to_open_it() {
    let server = Server::start(Settings::new().without("[admin]", "token"));
    for token in [None, Some(ADMIN_TOKEN)] {
        let (status, body) = server.ask("GET", "/debug/tasks", token).unwrap();
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, 403, "{body}");
        assert!(
            body.contains("admin.token_file") && body.contains("ROOKERY_ADMIN_TOKEN"),
            "{body}"
        );
        assert_eq!(body.lines().count(), 1, "one sentence: {body}");
    }
}

#[test]
fn a_token_in_a_file_is_read_again_with_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "the-first-token-of-two\n").unwrap();
    let line = format!("token_file = \"{}\"", file.display());
    let server = Server::start(Settings::new().without("[admin]", "token").with("[admin]", line));
    let status = |token| server.ask("GET", "/debug/tasks", Some(token)).unwrap().0;
    assert_eq!((status("the-first-token-of-two"), status("the-other-token-of-two")), (200, 401));
    fs::write(&file, "the-other-token-of-two").unwrap();
    server.signal("HUP");
    server.wait_for_log("keys were read again", 1);
    assert_eq!((status("the-first-token-of-two"), status("the-other-token-of-two")), (401, 200));
    // A file that cannot be a token changes nothing.
    fs::write(&file, "short").unwrap();
    server.signal("HUP");
    server.wait_for_log("keys stay as they were", 1);
    assert_eq!(status("the-other-token-of-two"), 200);
    assert!(!server.log().contains("token-of-two"), "{}", server.log());
}

#[test]
fn a_file_that_became_a_pipe_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "the-first-token-of-two").unwrap();
    let line = format!("token_file = \"{}\"", file.display());
    let settings = Settings::new().without("[admin]", "token").with("[admin]", line);
    let mut server = Server::start(settings);
    let status = |server: &Server, token| server.ask("GET", "/debug/tasks", Some(token)).unwrap().0;
    // A pipe would be waited for as long as nobody writes to it, so none is read.
    fs::remove_file(&file).unwrap();
    let made = Command::new("mkfifo").arg(&file).status();
    assert!(made.is_ok_and(|made| made.success()), "mkfifo works");
    server.signal("HUP");
    assert_eq!(server.page("/health"), "alive\n");
    assert_eq!(status(&server, "the-first-token-of-two"), 200);
    // A file is there again.
    fs::remove_file(&file).unwrap();
    fs::write(&file, "the-other-token-of-two").unwrap();
    server.signal("HUP");
    let is_new = until(|| (status(&server, "the-other-token-of-two") == 200).then_some(()));
    assert!(is_new.is_some());
    server.signal("HUP");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_token_is_neither_a_flag_nor_printed() {
    let help = run(&["serve", "--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("--admin-token-file") && !help.contains("--admin-token "), "{help}");
    let given = run(&["print-config", "--dev"]);
    let printed = String::from_utf8(given.stdout).unwrap();
    assert!(printed.contains("# token = \"…\" (set)"), "{printed}");
    assert!(!printed.contains("rookery-development-admin-token"), "{printed}");
    let refused = run(&["check-config", "--admin-token", "a-token-in-the-list-of-processes"]);
    assert_eq!(refused.status.code(), Some(2));
}
