//! Hooks, as operators write them.

use super::*;
use crate::hook::Hook;

fn endpoint(hook: &str, more: &str) -> String {
    format!("[[hooks.endpoints]]\nhook = \"{hook}\"\nurl = \"https://u:p@b.example/h\"\n{more}\n")
}

#[test]
fn endpoints_say_which_hooks_sessions_ask() {
    let text = format!(
        "{}{}{}[hooks]\nheaders = [\"Cookie\"]\nclient_headers = [\"X-A\"]\nsecret_file = \"s\"\n\
         [[namespaces]]\nname = \"room\"\npublish_hook = true\n",
        endpoint("refresh", ""),
        endpoint("publish", "on_failure = \"allow\"\ntimeout_ms = 20"),
        endpoint("rpc", ""),
    );
    let config = Case::file(&text).with("s", b"secret\n").good();
    let hooks = &config.shard.session.hooks;
    let asked = Hook::ALL.iter().copied().filter(|&hook| hooks.asks(hook));
    assert_eq!(asked.collect::<Vec<_>>(), [Hook::Refresh, Hook::Rpc, Hook::Publish]);
    let lenient = Hook::ALL.iter().copied().filter(|&hook| hooks.lenient.contains(hook));
    assert_eq!(lenient.collect::<Vec<_>>(), [Hook::Refresh, Hook::Publish]);
    assert!(hooks.keeps_headers);
    assert_eq!(hooks.client_headers, ["x-a"]);
    assert_eq!(config.shard.ws.kept_headers, ["cookie"]);
    let backend = config.hooks();
    assert_eq!(backend.secret, b"secret");
    assert_eq!((backend.endpoints[1].timeout_ms, backend.endpoints[2].at_once_max), (20, 64));
    let printed = toml(&config);
    assert!(!printed.contains("u:p") && printed.contains("hook = \"publish\""), "{printed}");
    let config =
        Case::file(&format!("{}[hooks]\nheaders = [\"a\"]", endpoint("connect", ""))).good();
    assert!(!config.shard.session.hooks.keeps_headers, "nobody wants them later");
    let config = Case::file("[hooks]\nheaders = [\"a\"]").good();
    assert!(config.shard.ws.kept_headers.is_empty() && config.hooks().endpoints.is_empty());
}

#[test]
fn what_cannot_be_meant_is_named() {
    for (text, why) in [
        (endpoint("rpc", "on_failure = \"allow\""), "nothing to allow"),
        (endpoint("connect", "on_failure = \"allow\""), "nothing to allow"),
        (endpoint("rpc", "") + &endpoint("rpc", ""), "twice"),
        (endpoint("none", ""), "none"),
        ("[[hooks.endpoints]]\nhook = \"rpc\"\nurl = \"b.example\"".to_owned(), "url"),
        ("[hooks]\nheaders = [\"a\"]\nclient_headers = [\"A\"]".to_owned(), "twice"),
        ("[hooks]\nheaders = [\"Content-Type\"]".to_owned(), "the request itself"),
        ("[hooks]\nclient_headers = [\"x-rookery-signature\"]".to_owned(), "the request itself"),
        ("[hooks]\naddress_header = \"a b\"".to_owned(), "no name"),
        ("[hooks]\nsecret = \"a\"\nsecret_file = \"b\"".to_owned(), "one of the two"),
        ("[[namespaces]]\nname = \"a\"\nsubscribe_hook = true".to_owned(), "hook = \"subscribe\""),
    ] {
        let mistakes = Case::file(&text).resolve().expect_err(&text);
        let told = lines(&mistakes).join("\n");
        assert!(told.contains(why), "{text}: {told}");
    }
}
