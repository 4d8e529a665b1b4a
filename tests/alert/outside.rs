//! The ways to what the bridge asks: proxies, and credentials in addresses.

use std::net::TcpListener;

use crate::proxy::Proxy;
use crate::world::{Alert, Bridge, Robots, wait_for};

/// A name that nothing resolves: only a proxy leads there.
const NOWHERE: &str = "robot.chat.invalid";

fn named(robots: &Robots, scheme: &str) -> (String, String) {
    let url = robots.url("/cgi-bin/webhook/send");
    let address = url.split("//").nth(1).and_then(|rest| rest.split('/').next()).expect("a host");
    let named = url.replace(address, NOWHERE);
    assert!(named.starts_with(&format!("{scheme}://")));
    (named, address.to_owned())
}

#[track_caller]
fn is_told(bridge: &mut Bridge, robots: &Robots) {
    bridge.start();
    bridge.keep("page", "g", &[Alert::firing("n-1-")]);
    wait_for("the message", || robots.messages().len() == 1);
}

#[test]
fn a_proxy_of_the_environment_leads_to_robots_with_its_password() {
    let robots = Robots::start(60.0, false);
    let (url, there) = named(&robots, "http");
    let proxy = Proxy::start(&there, Some("Basic bWU6cEBzcw=="));
    let with_password = format!("http://me:p%40ss@{}", proxy.address());
    let mut bridge = Bridge::write(&url, "", "").with_env(&[("http_proxy", &with_password)]);
    is_told(&mut bridge, &robots);
    let head = proxy.heads().remove(0);
    let line = format!("POST http://{NOWHERE}/cgi-bin/webhook/send?key=K");
    assert!(head.starts_with(&line), "{head}");
    assert!(head.contains(&format!("host: {NOWHERE}\r\n")), "{head}");
    for text in [bridge.log(), bridge.everything_written()] {
        assert!(!text.contains("p@ss") && !text.contains("p%40ss"), "{text}");
    }
}

#[test]
fn what_speaks_tls_is_reached_by_connect_and_certificates_are_still_verified() {
    let robots = Robots::start(60.0, true);
    let url = robots.url("/cgi-bin/webhook/send");
    let there = url["https://".len()..].split('/').next().expect("a host").to_owned();
    let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/loopback.cert.pem");
    for (ca_file, want) in [(ca, "sent"), ("", "it cannot be reached")] {
        let proxy = Proxy::start(&there, None);
        let lines = format!("proxy = \"{}\"\n", proxy.address());
        let bridge = Bridge::write(&url, &format!("[tls]\nca_file = \"{ca_file}\"\n"), &lines);
        let (_, stdout, stderr) = bridge.command(&["test", "--route", "page"]);
        assert!(stdout.lines().all(|line| line.ends_with(want)), "{stdout} {stderr}");
        let heads = proxy.heads();
        assert!(heads.iter().all(|head| head.starts_with(&format!("CONNECT {there} "))));
        assert_eq!(heads.len(), 2);
    }
}

#[test]
fn a_proxy_of_the_environment_is_asked_for_tls_and_a_refusal_is_said() {
    let proxy = Proxy::start("127.0.0.1:1", Some("Basic nobody has this"));
    let url = format!("https://{NOWHERE}/cgi-bin/webhook/send");
    let mut bridge = Bridge::write(&url, "", "").with_env(&[("HTTPS_PROXY", &proxy.url())]);
    bridge.start();
    bridge.keep("page", "g", &[Alert::firing("n-1-")]);
    wait_for("the proxy to be asked", || !proxy.heads().is_empty());
    assert!(proxy.heads()[0].starts_with(&format!("CONNECT {NOWHERE}:443 HTTP/1.1\r\n")));
    wait_for("its refusal", || bridge.log().contains("the proxy does not lead there (407)"));
}

#[test]
fn settings_win_over_the_environment_and_a_robot_over_both() {
    // Whoever asks this one gets no answer that counts.
    let dead = Proxy::start("127.0.0.1:1", Some("Basic nobody has this"));
    let robots = Robots::start(60.0, false);
    let (named, there) = named(&robots, "http");
    let good = Proxy::start(&there, None);
    let env = [("http_proxy", dead.url())];
    let env: Vec<(&str, &str)> = env.iter().map(|(name, url)| (*name, url.as_str())).collect();
    let straight = robots.url("/cgi-bin/webhook/send");
    let through = |proxy: &Proxy| format!("proxy = \"{}\"\n", proxy.url());
    let section = |line: &str| format!("[bridge]\n{line}");
    let excepted = format!("{}no_proxy = [\".chat.invalid:81\"]\n", through(&good));
    for (url, bridge_line, robot_line) in [
        (&named, section(&through(&good)), String::new()),
        (&named, section(&through(&dead)), through(&good)),
        (&named, section(&excepted), String::new()),
        (&straight, section("proxy = \"none\"\n"), String::new()),
        (&straight, String::new(), "proxy = \"none\"\n".to_owned()),
    ] {
        let bridge = Bridge::write(url, &bridge_line, &robot_line).with_env(&env);
        let (code, stdout, stderr) = bridge.command(&["test", "--route", "page"]);
        assert_eq!(code, 0, "{bridge_line} {robot_line}: {stdout} {stderr}");
    }
    assert!(dead.heads().is_empty());
}

#[test]
fn credentials_in_an_address_are_basic_auth_and_are_never_told() {
    let robots = Robots::start(60.0, false);
    let (_, there) = named(&robots, "http");
    // It stands where the robot does, and shows what it was sent.
    let door = Proxy::start(&there, None);
    let url = format!("http://me:s3cret@{}/cgi-bin/webhook/send", door.address());
    let mut bridge = Bridge::write(&url, "", "");
    is_told(&mut bridge, &robots);
    let head = door.heads().remove(0);
    assert!(head.contains("authorization: Basic bWU6czNjcmV0\r\n"), "{head}");
    assert!(!head.contains("s3cret") && !head.contains("me:"), "{head}");
    robots.fault("*", "500", 1);
    bridge.keep("page", "h", &[Alert::firing("n-2-")]);
    wait_for("the second message", || robots.messages().len() == 2);
    let metrics = bridge.get("/metrics").1;
    for text in [bridge.log(), bridge.everything_written(), metrics] {
        assert!(!text.contains("s3cret") && !text.contains("bWU6czNjcmV0"), "{text}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_without_its_password() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/send", closed.local_addr().expect("it is bound"));
    let check = |more: &str, robot: &str, env: &[(&str, &str)], words: &str| {
        let bridge = Bridge::write(&url, more, robot).with_env(env);
        let (code, _, stderr) = bridge.command(&["check"]);
        assert_eq!(code, 2, "{more} {robot}");
        assert!(stderr.contains(words), "no {words} in {stderr}");
        assert!(!stderr.contains("s3cret"), "{stderr}");
    };
    let socks = [("https_proxy", "socks5://me:s3cret@p:1")];
    check("", "", &socks, "https_proxy: bridge.proxy: a proxy is http:// or https://");
    check("[bridge]\nproxy = \"http://me:s3cret@p/x\"\n", "", &[], "no path");
    check("[bridge]\nno_proxy = [\"a\"]\n", "", &[], "bridge.no_proxy: it is for bridge.proxy");
    check("", "proxy = \"ftp://me:s3cret@p\"\n", &[], "proxy: a proxy is http://");
    check("[prometheus]\nurl = \"ftp://me:s3cret@p\"\n", "", &[], "prometheus.url: it must begin");
    check("[prometheus]\nurl = \"http://me:s3cret@\"\n", "", &[], "prometheus.url: it has no host");
}

#[test]
fn the_watchdog_is_passed_on_to_who_misses_the_bridge_outside() {
    let robots = Robots::start(60.0, false);
    let (_, there) = named(&robots, "http");
    let (proxy, dead) = (Proxy::start(&there, None), Proxy::start("127.0.0.1:1", None));
    let mut bridge = Bridge::write(
        &robots.url("/cgi-bin/webhook/send"),
        "[heartbeat]\nurl_file = \"heartbeat\"\n",
        "proxy = \"none\"\n",
    )
    .with_env(&[("http_proxy", &proxy.url())]);
    // What the robots answer here is 200.
    let address = "http://me:s3cret@switch.invalid/messages?uuid=w0rd";
    std::fs::write(bridge.file("heartbeat"), address).expect("it can be written");
    bridge.start();
    let firing = Alert::payload("watchdog", &[Alert::firing("n-1-")]);
    let over = firing.replace("\"firing\"", "\"resolved\"");
    let beat = |bridge: &Bridge, body: &str| {
        crate::world::post(bridge.address(), "/v1/deadman", "application/json", body).0
    };
    assert_eq!(beat(&bridge, &over), 200);
    assert_eq!(beat(&bridge, &firing), 200);
    assert_eq!(beat(&bridge, &firing), 200);
    let count = |bridge: &Bridge, outcome: &str| {
        bridge.metric(&format!("chatalert_heartbeats_total{{outcome=\"{outcome}\"}}"))
    };
    wait_for("the heartbeat", || count(&bridge, "sent") == 1.0);
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1, "neither a watchdog that is over nor one too many: {heads:?}");
    assert!(heads[0].starts_with("GET http://switch.invalid/messages?uuid=w0rd HTTP/1.1\r\n"));
    assert!(heads[0].contains("authorization: Basic bWU6czNjcmV0\r\n"), "{}", heads[0]);
    std::fs::write(bridge.file("heartbeat"), format!("{}/x-w0rd", dead.url())).expect("it can be");
    bridge.kill_and_restart();
    assert_eq!(beat(&bridge, &firing), 200);
    wait_for("its failure", || count(&bridge, "failed") == 1.0);
    wait_for("a word about it", || bridge.log().contains("the heartbeat outside is not reached"));
    for text in [bridge.log(), bridge.everything_written(), bridge.get("/metrics").1] {
        assert!(!text.contains("w0rd") && !text.contains("s3cret"), "{text}");
    }
}
