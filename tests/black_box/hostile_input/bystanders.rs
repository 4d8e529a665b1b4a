//! Who asks for little is served while one user asks by many connections for as much as it
//! can.

use serde_json::{Value, json};

use crate::common::{Opcode, Peer, Server, Settings, masked};

/// Connections of the user who asks for too much, and questions of each at a time.
const CONNECTIONS: usize = 6;
const QUESTIONS: usize = 200;

/// Messages of somebody who asks for little.
const MESSAGES: usize = 20;

/// Attempts: the machine may let the bystander speak only when all is over.
const BATCHES_MAX: usize = 20;

/// A room with more messages than memory holds, each question for which reads the disk.
fn server() -> Server {
    let settings = Settings::new()
        .with("[server]", "shards = 1")
        .with("[session]", "answer_bytes_per_s = 0")
        .with("[[namespaces]]", "durability = \"interval\"")
        .with("[[namespaces]]", "window_count_max = 4");
    Server::start(settings)
}

/// Everything that a connection was told, up to the answers to `count` questions.
fn told(peer: &mut Peer, count: usize) -> Vec<Value> {
    let (mut told, mut answers) = (Vec::new(), 0);
    while answers < count {
        let object = peer.object();
        answers += usize::from(object["id"].is_u64());
        told.push(object);
    }
    told
}

/// So many commands in one write.
fn send_many(peer: &mut Peer, count: usize, command: &Value) {
    let commands = (0..count).map(|n| {
        let mut command = command.clone();
        command["id"] = json!(1_000 + n);
        masked(Opcode::TEXT, command.to_string().as_bytes())
    });
    peer.send_raw(&commands.collect::<Vec<_>>().concat());
}

#[test]
fn a_bystander_speaks_while_one_user_asks_by_many_connections() {
    let server = server();
    let mut bystander = Peer::member(server.address(), "bob", "room:talk");
    let mut author = Peer::member(server.address(), "cat", "room:long");
    for number in 0..250 {
        let data = json!({ "number": number, "filler": "x".repeat(200) });
        let reply = author.call(json!({ "publish": { "channel": "room:long", "data": data } }));
        assert!(reply["publish"].is_object(), "{reply}");
    }
    let mut greedy: Vec<Peer> = (0..CONNECTIONS)
        .map(|_| {
            let mut peer = Peer::member(server.address(), "eve", "room:long");
            peer.call(json!({ "subscribe": { "channel": "room:talk" } }));
            peer
        })
        .collect();
    let question = json!({ "history": { "channel": "room:long", "limit": 250 } });
    for round in 0..BATCHES_MAX {
        let message = json!({ "publish": { "channel": "room:talk", "data": { "round": round } } });
        greedy.iter_mut().for_each(|peer| send_many(peer, QUESTIONS, &question));
        send_many(&mut bystander, MESSAGES, &message);
        let own = told(&mut bystander, MESSAGES);
        let refused = own.iter().find(|one| one["error"].is_object());
        assert_eq!(refused, None, "who asks for little is not refused");
        let mut is_ahead = false;
        for peer in &mut greedy {
            let told = told(peer, QUESTIONS);
            let wrong = told.iter().find(|one| {
                one["id"].is_u64() && one["history"].is_null() && one["error"]["code"] != 111
            });
            assert_eq!(wrong, None, "each question is answered, or refused for now");
            let last = told.iter().rposition(|one| one["history"].is_object()).unwrap_or(0);
            let said =
                told[..last].iter().filter(|one| one["push"]["pub"]["data"]["round"] == round);
            is_ahead |= said.count() == MESSAGES;
        }
        if is_ahead {
            return;
        }
    }
    panic!(
        "one user's questions by {CONNECTIONS} connections are all answered before others speak"
    );
}
