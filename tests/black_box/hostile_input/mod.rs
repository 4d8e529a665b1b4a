//! What a peer or an operator can do wrong, through real sockets: each mistake
//! gets its answer, and costs nobody else anything.
//!
//! Where it could cost others something there is a witness in the same server: a
//! member of a room, connected before, that must still be served afterwards.

mod bystanders;
mod commands;
mod counted;
mod frames;
mod logged;
mod operators;
/// Built only with the feature `faults`, whose rpc panics on purpose.
#[cfg(feature = "faults")]
mod panics;
mod quotas;
mod tokens;
mod upgrades;

use serde_json::{Value, json};

use crate::common::{Peer, Server};

/// A user who was there before, and expects to be served as if nothing happened.
struct Witness {
    peer: Peer,
    said: u64,
}

impl Witness {
    fn of(server: &Server) -> Witness {
        Witness { peer: Peer::member(server.address(), "witness", "room:witness"), said: 0 }
    }

    /// Says something, and gets it and its answer.
    #[track_caller]
    fn check(&mut self) {
        self.said += 1;
        let id = self.peer.send(json!({
            "publish": { "channel": "room:witness", "data": { "said": self.said } }
        }));
        let (mut answered, mut heard) = (false, false);
        while !(answered && heard) {
            let object = self.peer.object();
            if object["id"] == json!(id) {
                assert!(object["publish"].is_object(), "{object}");
                answered = true;
            } else if !object["push"]["pub"].is_null() {
                assert_eq!(object["push"]["pub"]["data"], json!({ "said": self.said }));
                assert_eq!(object["push"]["pub"]["offset"], json!(self.said));
                heard = true;
            }
        }
    }
}

/// The error code of the answer to a command of a user in `room:here`.
#[track_caller]
fn check_refused(peer: &mut Peer, command: Value, want: u64) {
    let reply = peer.call(command.clone());
    assert_eq!(reply["error"]["code"], json!(want), "{command}: {reply}");
    assert!(reply["error"]["message"].is_string(), "{reply}");
}
