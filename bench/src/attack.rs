//! One user who does the worst it can, in one of several ways: what a server has to bear
//! without its other users noticing.
//!
//! A round is a burst on all of its connections, one right behind the other, and then what
//! came back is read. Who was closed comes back in the next round. An attack ends when its
//! time is over.
//!
//! Deliberately absent: bystanders, and what it does to them (`report::bystander`).

use std::collections::BTreeMap;
use std::time::Duration;

use clap::ValueEnum;
use rookery::ws::Opcode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::blocking::{Client, ConnectionError};
use crate::clock::Clock;
use crate::engine::Target;

/// Commands of one burst: within what a message may hold, above every quota.
const BURST: usize = 400;

/// Control frames of one burst.
const FRAMES: usize = 2_000;

/// Conversations that are made before the attack begins: as many as one user may begin at
/// once.
const CONVERSATIONS: usize = 250;

/// Messages that a history or a recovery brings, and bytes of each.
const MESSAGES: usize = 300;
const MESSAGE_BYTES: usize = 2_000;

/// How long a round listens on each connection for what comes back.
const LISTEN: Duration = Duration::from_millis(1);

/// Somebody who was refused waits this long: it is an attack on the server, not on the
/// machine's loopback.
const AGAIN: Duration = Duration::from_millis(20);

/// The ways. Closed: each is a row of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Attack {
    /// `chat.rooms` with many conversations.
    Conversations,
    /// `history` of many long messages.
    History,
    /// Subscribes with recovery, and unsubscribes.
    Recovery,
    /// `chat.ack` and `chat.read`.
    Acks,
    /// Control frames, which are answered.
    Pings,
    /// Answers to pings that nobody sent.
    Pongs,
    /// Messages of which only the first half comes.
    HalfMessages,
    /// Rooms that tell who comes and goes, entered and left.
    Joins,
    /// Connections that are made and dropped.
    Connects,
}

impl Attack {
    /// All of them, in the order of the report.
    pub const ALL: [Attack; 9] = [
        Attack::Conversations,
        Attack::History,
        Attack::Recovery,
        Attack::Acks,
        Attack::Pings,
        Attack::Pongs,
        Attack::HalfMessages,
        Attack::Joins,
        Attack::Connects,
    ];

    /// On the command line.
    pub fn word(self) -> &'static str {
        match self {
            Attack::Conversations => "conversations",
            Attack::History => "history",
            Attack::Recovery => "recovery",
            Attack::Acks => "acks",
            Attack::Pings => "pings",
            Attack::Pongs => "pongs",
            Attack::HalfMessages => "half-messages",
            Attack::Joins => "joins",
            Attack::Connects => "connects",
        }
    }

    /// Connections of the one user that it takes.
    pub fn connections(self) -> u16 {
        match self {
            Attack::Conversations
            | Attack::History
            | Attack::Recovery
            | Attack::Acks
            | Attack::Pings
            | Attack::Pongs
            | Attack::Joins
            | Attack::Connects => 18,
            // Each can hold one half.
            Attack::HalfMessages => 500,
        }
    }

    /// Whether a connection is of no use after a burst.
    fn is_over_after_a_burst(self) -> bool {
        self == Attack::Connects
    }

    /// What each connection does first.
    fn enter(self, client: &mut Client) -> Result<(), ConnectionError> {
        match self {
            Attack::History | Attack::Recovery | Attack::Acks => {
                client.ask(json!({ "subscribe": { "channel": ROOM } })).map(drop)
            }
            Attack::Conversations
            | Attack::Pings
            | Attack::Pongs
            | Attack::HalfMessages
            | Attack::Joins
            | Attack::Connects => Ok(()),
        }
    }

    /// What has to be there before it can begin.
    fn prepare(self, client: &mut Client) -> Result<(), ConnectionError> {
        match self {
            Attack::Conversations => patiently(client, CONVERSATIONS, |n| {
                let data =
                    json!({ "to": format!("nobody-{n}"), "data": "x".repeat(MESSAGE_BYTES) });
                json!({ "rpc": { "method": "chat.send", "data": data } })
            }),
            Attack::History | Attack::Recovery => {
                client.ask(json!({ "subscribe": { "channel": ROOM } }))?;
                patiently(
                    client,
                    MESSAGES,
                    |_| json!({ "publish": { "channel": ROOM, "data": "x".repeat(MESSAGE_BYTES) } }),
                )
            }
            Attack::Acks => {
                client.ask(json!({ "subscribe": { "channel": ROOM } }))?;
                patiently(client, 1, |_| json!({ "publish": { "channel": ROOM, "data": "x" } }))
            }
            Attack::Pings
            | Attack::Pongs
            | Attack::HalfMessages
            | Attack::Joins
            | Attack::Connects => Ok(()),
        }
    }

    /// One burst; how many commands and frames that were.
    fn burst(self, client: &mut Client, epoch: &str) -> Result<u64, ConnectionError> {
        let recovery = json!({
            "channel": ROOM, "recover": true, "epoch": epoch, "offset": 0, "positioned": true,
        });
        let channel = json!({ "channel": ROOM });
        match self {
            Attack::Conversations => say(
                client,
                BURST,
                |_| json!({ "rpc": { "method": "chat.rooms", "data": { "limit": 1_000 } } }),
            ),
            Attack::History => {
                say(client, BURST, |_| json!({ "history": { "channel": ROOM, "limit": 1_000 } }))
            }
            Attack::Recovery => say(client, BURST, |n| match n % 2 {
                0 => json!({ "unsubscribe": channel }),
                _ => json!({ "subscribe": recovery }),
            }),
            Attack::Acks => say(client, BURST, |n| {
                let method = if n % 2 == 0 { "chat.ack" } else { "chat.read" };
                json!({ "rpc": { "method": method, "data": { "channel": ROOM, "offset": 1 } } })
            }),
            Attack::Pings => frames(client, Opcode::Ping, b""),
            Attack::Pongs => frames(client, Opcode::Text, b"{}"),
            Attack::HalfMessages => {
                // Fragments of a message that never ends: each brings 100 bytes more.
                let mut fragment = vec![0x01, 0x80 | 100, 0, 0, 0, 0];
                fragment.resize(106, b' ');
                if client.has_sent_raw() {
                    fragment[0] = 0;
                }
                client.send_raw(&fragment)?;
                Ok(1)
            }
            Attack::Joins => say(client, BURST, |n| match n % 2 {
                0 => json!({ "subscribe": { "channel": JOINED } }),
                _ => json!({ "unsubscribe": { "channel": JOINED } }),
            }),
            Attack::Connects => Ok(0),
        }
    }
}

/// Where the attacker talks, and where it comes and goes.
const ROOM: &str = "room:attacked";
const JOINED: &str = "room:crowd";

/// How an attack is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which one.
    pub attack: Attack,
    /// On whom.
    pub target: Target,
    /// Signs the attacker's token.
    pub secret: String,
    /// For how long.
    pub for_ms: u64,
}

/// What became of it.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Commands and frames that were sent.
    pub sent: u64,
    /// Messages that came back.
    pub answered: u64,
    /// Errors among these.
    pub refused: u64,
    /// Ends of connections, by what they were.
    pub ended: BTreeMap<String, u64>,
}

/// Prepares, says so by calling `begun`, and attacks until the time is over.
pub fn run(options: &Options, begun: impl FnOnce()) -> Result<Outcome, String> {
    let Options { attack, target, secret, for_ms } = options;
    let connect = || {
        let mut client = Client::connect(target, "mallory", secret)?;
        attack.enter(&mut client).map(|()| client)
    };
    let mut first = connect().map_err(|ended| ended.to_string())?;
    attack.prepare(&mut first).map_err(|ended| format!("preparing: {ended}"))?;
    let reply = first.ask(json!({ "history": { "channel": ROOM, "limit": 0 } }));
    let epoch = reply.map_err(|ended| ended.to_string())?["history"]["epoch"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let mut clients: Vec<Option<Client>> = vec![Some(first)];
    clients.resize_with(attack.connections().into(), || None);
    begun();
    let clock = Clock::start();
    let mut outcome = Outcome::default();
    while clock.elapsed() < Duration::from_millis(*for_ms) {
        let ended_before: u64 = outcome.ended.values().sum();
        for slot in &mut clients {
            if slot.is_none() {
                match connect() {
                    Ok(client) => *slot = Some(client),
                    Err(ended) => outcome.note(&ended),
                }
            }
        }
        for slot in &mut clients {
            let Some(client) = slot else { continue };
            match attack.is_over_after_a_burst() {
                true => {
                    outcome.sent += 1;
                    *slot = None;
                }
                false => match attack.burst(client, &epoch) {
                    Ok(sent) => outcome.sent += sent,
                    // What came before that says why.
                    Err(ConnectionError::Broken(_)) => {}
                    Err(ended) => {
                        outcome.note(&ended);
                        *slot = None;
                    }
                },
            }
        }
        for slot in &mut clients {
            let Some(client) = slot else { continue };
            match client.drain(LISTEN) {
                Ok((answered, refused)) => {
                    outcome.answered += answered;
                    outcome.refused += refused;
                }
                Err(ended) => {
                    outcome.note(&ended);
                    *slot = None;
                }
            }
        }
        if ended_before != outcome.ended.values().sum::<u64>() {
            std::thread::sleep(AGAIN);
        }
    }
    Ok(outcome)
}

impl Outcome {
    fn note(&mut self, ended: &ConnectionError) {
        *self.ended.entry(ended.to_string()).or_default() += 1;
    }
}

fn say(
    client: &mut Client,
    count: usize,
    command: impl Fn(usize) -> Value,
) -> Result<u64, ConnectionError> {
    let commands: Vec<Value> = (0..count).map(command).collect();
    client.say(&commands)?;
    Ok(count as u64)
}

fn frames(client: &mut Client, opcode: Opcode, payload: &[u8]) -> Result<u64, ConnectionError> {
    for _ in 0..FRAMES {
        client.send(opcode, payload)?;
    }
    Ok(FRAMES as u64)
}

/// One command after the other, each again until it is not refused as temporary.
fn patiently(
    client: &mut Client,
    count: usize,
    command: impl Fn(usize) -> Value,
) -> Result<(), ConnectionError> {
    const TRIES_MAX: usize = 500;
    for n in 0..count {
        for _ in 0..TRIES_MAX {
            let reply = client.ask(command(n))?;
            if reply["error"]["temporary"] != json!(true) {
                break;
            }
            std::thread::sleep(AGAIN);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_has_its_own_word() {
        let mut words: Vec<_> = Attack::ALL.iter().map(|attack| attack.word()).collect();
        for attack in Attack::ALL {
            assert_eq!(Attack::from_str(attack.word(), true), Ok(attack));
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Attack::ALL.len());
    }
}
