//! The worst connections, and what cores are doing.

use serde_json::{Value, json};

use crate::common::{Encoding, Peer, Server, Settings, token};

fn conns(page: &Value) -> &Vec<Value> {
    page["conns"].as_array().expect("a list of connections")
}

#[test]
fn the_worst_connections_of_all_cores_are_named() {
    let server = Server::start(Settings::new());
    let mut peers: Vec<Peer> =
        (0..12).map(|n| Peer::member(server.address(), &format!("user-{n}"), "room:1")).collect();
    peers.push(Peer::upgraded(server.address(), Encoding::Protobuf));
    let page = server.wait_for_evidence("/debug/conns?n=100", |page| conns(page).len() == 13);
    assert_eq!((&page["connections"], &page["silent_cores"]), (&json!(13), &json!([])));
    let named = conns(&page).iter().find(|conn| conn["user"] == json!("user-3")).unwrap();
    assert_eq!(named["client"].as_str().unwrap().len(), 36);
    assert_eq!((&named["encoding"], &named["tenant"]), (&json!("json"), &json!("")));
    assert_eq!((&named["channels"], &named["sends_in_flight"]), (&json!(2), &json!(0)));
    // Its receive and its timer: nothing else is under way.
    assert_eq!((&named["tasks"], &named["outbox_bytes"]), (&json!(2), &json!(0)));
    let own: Vec<String> =
        peers.iter().map(|peer| peer.stream.local_addr().unwrap().to_string()).collect();
    assert!(own.contains(&named["peer"].as_str().unwrap().to_owned()), "{named}");
    let stranger = conns(&page).iter().find(|conn| conn["client"].is_null()).unwrap();
    assert_eq!((&stranger["encoding"], &stranger["user"]), (&json!("protobuf"), &json!("")));

    for (query, want) in [("sort=age&n=1", 1..=2), ("sort=tasks&n=2", 2..=4)] {
        let page = server.evidence(&format!("/debug/conns?{query}"));
        // So many of each core.
        assert!(want.contains(&conns(&page).len()), "{query}: {page}");
    }
    let page = server.evidence("/debug/conns?sort=age&n=100");
    let ages = conns(&page).iter().map(|conn| conn["age_seconds"].as_f64().unwrap());
    assert!(ages.is_sorted_by(|a, b| a >= b), "{page}");
    for wrong in ["sort=worst", "n=0", "n=101"] {
        assert_eq!(server.debug("GET", &format!("/debug/conns?{wrong}")).0, 400, "{wrong}");
    }
}

#[test]
fn a_reader_that_does_not_read_is_first_by_what_waits_for_it() {
    let server = Server::start(Settings::new().with("[session]", "outbox_bytes_max = 16777216"));
    let mut writer = Peer::member(server.address(), "writer", "wide:1");
    let mut slow = Peer::upgraded(server.address(), Encoding::Json);
    slow.call(json!({ "connect": { "token": token(json!({ "sub": "slow" })) } }));
    slow.call(json!({ "subscribe": { "channel": "wide:1" } }));
    let data = "x".repeat(60_000);
    // Until sockets are full, and more waits in the server.
    for _ in 0..200 {
        let said = writer.call(json!({ "publish": { "channel": "wide:1", "data": data } }));
        assert!(said["publish"].is_object(), "{said}");
    }
    let page = server.evidence("/debug/conns?sort=pending");
    let worst = &conns(&page)[0];
    assert_eq!((&worst["user"], &worst["sends_in_flight"]), (&json!("slow"), &json!(1)));
    assert!(100_000 < worst["outbox_bytes"].as_u64().unwrap(), "{worst}");
    assert!(3 <= worst["tasks"].as_u64().unwrap(), "{worst}");
}

#[test]
fn what_each_core_does_is_told_without_asking_it() {
    let server = Server::start(Settings::new());
    let _peers: Vec<Peer> =
        (0..10).map(|n| Peer::member(server.address(), &format!("u{n}"), "room:1")).collect();
    let sum = |page: &Value, key: &str| -> u64 {
        page["cores"].as_array().unwrap().iter().map(|core| core[key].as_u64().unwrap()).sum()
    };
    let page = server.wait_for_evidence("/debug/tasks", |page| {
        sum(page, "connections") == 10 && sum(page, "questions_open") == 0
    });
    let cores = page["cores"].as_array().unwrap();
    assert_eq!(cores.len(), 2);
    // Each connection receives and has a timer; the listeners accept.
    assert!(12 <= sum(&page, "ring_operations") && 10 <= sum(&page, "timers"), "{page}");
    for core in cores {
        assert!(0 < core["turn"].as_u64().unwrap(), "{core}");
        assert!(core["since_unix_ms"].as_u64() <= page["now_unix_ms"].as_u64(), "{core}");
        assert_eq!(core["questions_open_by_core"], json!({}), "{core}");
    }
    server.wait_for_evidence("/debug/tasks", |page| {
        let cores = page["cores"].as_array().unwrap();
        cores.iter().all(|core| core["phase"] == json!("sleeping"))
    });
}

#[test]
fn ages_and_tasks_are_measured() {
    let server = Server::start(Settings::new());
    let mut peer = Peer::user(server.address(), "ann");
    server.wait_for_metric("chat_active_connections{protocol=\"json\"}", 1.0);
    // Of one core it is the oldest, and has its receive and its timer.
    let mut page = String::new();
    for name in ["chat_conn_oldest_age_seconds{", "chat_conn_tasks_max{"] {
        while !page.lines().any(|line| line.starts_with(name) && !line.ends_with(" 0")) {
            page = server.page("/metrics");
        }
    }
    assert!(
        page.lines().any(|line| line.starts_with("chat_conn_tasks_max{") && line.ends_with(" 2")),
        "{page}"
    );
    let sum = |name: &str| -> f64 {
        let lines = page.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    assert!(1.0 <= sum("chat_tasks "), "{page}");
    assert!(1.0 <= sum("chat_tasks_spawned_total "), "{page}");
    peer.send_raw(&crate::common::masked(crate::common::Opcode::CLOSE, &1000_u16.to_be_bytes()));
    peer.read_to_end();
    server.wait_for_metric("chat_conn_up_time_seconds_count{reason=\"normal\"}", 1.0);
}
