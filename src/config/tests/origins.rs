//! Which pages may connect.

use super::*;

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
