//! The end of the space that a store may use.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::kept;
use crate::common::{Peer, Server};

/// Far more than fits.
const PUBLISHES_MAX: usize = 1_000;

const REFUSED_COUNT: usize = 20;
const BETWEEN_REFUSALS: Duration = Duration::from_millis(100);

const TRIES_MAX: usize = 500;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

#[test]
fn a_full_store_refuses_messages_and_goes_on_with_the_rest() {
    let settings = kept()
        .with("[store]", "reserve_bytes = 1048576")
        .with("[store]", "disk_bytes_max = 6291456")
        .with("[[namespaces]]", "history_bytes_max = 1073741824");
    let server = Server::start(settings);
    let mut anna = Peer::member(server.address(), "anna", "room:1");
    // What no compression makes small: space that is kept twice comes back.
    let mut random = 1_u64;
    let mut text = || {
        let mut text = String::new();
        while text.len() < 30_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text += &format!("{random:x}");
        }
        text
    };
    let (mut kept_count, mut refused_count) = (0, 0);
    for _ in 0..PUBLISHES_MAX {
        let publish = json!({ "publish": { "channel": "room:1", "data": { "text": text() } } });
        let reply = anna.call(publish);
        match reply["publish"].is_object() {
            true => {
                kept_count += 1;
                refused_count = 0;
            }
            false => {
                // Full for good, and not for a moment.
                thread::sleep(BETWEEN_REFUSALS);
                let want =
                    json!({ "code": 100, "message": "internal server error", "temporary": true });
                assert_eq!(reply["error"], want);
                refused_count += 1;
            }
        }
        if refused_count == REFUSED_COUNT {
            break;
        }
    }
    assert_eq!(refused_count, REFUSED_COUNT, "{kept_count} were kept");
    assert!(0 < kept_count);
    server.wait_for_page("/ready", "ready\nthe store is full: messages are refused\n");
    assert!(0.0 < server.metric("chat_store_refused_total{cause=\"full\"}"));

    let ask = json!({ "history": { "channel": "room:1", "limit": 1, "reverse": true } });
    let history = answered(&mut anna, &ask);
    assert_eq!(history["history"]["publications"][0]["offset"], json!(kept_count), "{history}");
    let ack = json!({ "method": "chat.ack", "data": { "channel": "room:1", "offset": 1 } });
    let reply = answered(&mut anna, &json!({ "rpc": ack }));
    assert!(reply["rpc"].is_object(), "{reply}");
}

/// The answer to a command that is given again while the error is a temporary one:
/// a room is read anew after a message was refused.
#[track_caller]
fn answered(peer: &mut Peer, command: &Value) -> Value {
    for _ in 0..TRIES_MAX {
        let reply = peer.call(command.clone());
        if reply["error"]["temporary"] != json!(true) {
            return reply;
        }
        thread::sleep(BETWEEN_TRIES);
    }
    panic!("{command} was not answered in time");
}
