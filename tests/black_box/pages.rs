//! Pages that many ask for at once, beside peers that ask for half a page, or for one that
//! they never take: whoever asks is answered in full, and people chat meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::common::{Peer, Server, Settings};

/// Those who ask, and wait for the answer.
const SCRAPERS_COUNT: usize = 200;

/// Those who only take places, of each kind: many times as many as there are.
const OTHERS_COUNT: usize = 150;

fn connect(server: &Server) -> TcpStream {
    let address = SocketAddr::from(([127, 0, 0, 1], server.admin_port));
    let stream = TcpStream::connect(address).expect("it listens");
    let patience = Some(Duration::from_secs(90));
    stream.set_read_timeout(patience).expect("a timeout can be set");
    stream
}

/// Peers that say this and then nothing; they stay until they are dropped.
fn crowd(server: &Server, words: &str) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = connect(server);
        // It may have had to give way at once.
        let _ = stream.write_all(words.as_bytes());
        stream
    };
    (0..OTHERS_COUNT).map(one).collect()
}

/// What a scraper gets.
#[track_caller]
fn check_scrape(mut stream: TcpStream) {
    let ask = "GET /metrics HTTP/1.1\r\nhost: a\r\naccept: application/openmetrics-text\r\n\r\n";
    stream.write_all(ask.as_bytes()).expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it comes, and is a text");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:.200}");
    assert!(answer.ends_with("# EOF\n"), "it is whole");
}

#[test]
fn two_hundred_scrapers_beside_peers_that_take_nothing_are_all_answered() {
    let server = Server::start(Settings::new());
    let mut ann = Peer::member(server.address(), "ann", "room:1");
    let mut bob = Peer::member(server.address(), "bob", "room:1");
    let many = "GET /health HTTP/1.1\r\nhost: a\r\n\r\n".repeat(300);
    let _crowds = [
        crowd(&server, ""),
        crowd(&server, "GET /metrics HTTP/1.1\r\nhost: a\r\nx: "),
        crowd(&server, "GET /metrics?core=each HTTP/1.1\r\nhost: a\r\n\r\n"),
        crowd(&server, &many),
    ];
    thread::scope(|scope| {
        let scrapers: Vec<_> =
            (0..SCRAPERS_COUNT).map(|_| scope.spawn(|| check_scrape(connect(&server)))).collect();
        for number in 0..20 {
            let reply = ann.call(json!({ "publish": { "channel": "room:1", "data": number } }));
            assert!(reply["publish"].is_object(), "{reply}");
            assert_eq!(bob.publication().0, json!(number));
        }
        let health = server.ask("GET", "/health", None).expect("it answers");
        assert_eq!(health, (200, b"alive\n".to_vec()));
        for scraper in scrapers {
            scraper.join().expect("it has all of the page");
        }
    });
    assert_eq!(server.metric("chat_active_connections{protocol=\"json\"}"), 2.0);
}
