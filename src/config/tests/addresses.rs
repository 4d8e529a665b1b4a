//! Where the server listens.

use super::*;

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
