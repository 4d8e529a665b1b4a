//! A client that waits for its answers: one connection, one thread, JSON.
//!
//! For what the engine is not made for: somebody who behaves badly, and a bystander
//! whose every answer is timed.
//!
//! Deliberately absent: what is said, and why.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rookery::ws::client::{parse_upgrade_response, put_masked_frame, upgrade_request};
use rookery::ws::{Incoming, Opcode, ReadBuffer, Reader, Role, Rules, Subprotocol};
use serde_json::{Value, json};

use crate::clock::unix_ms;
use crate::engine::Target;

/// Any 16 bytes in base64.
const KEY: &str = "cm9va2VyeS1iZW5jaC1rZQ==";

/// Nothing stands between the two ends that a mask would protect.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// Histories and recoveries may be long.
const RULES: Rules = Rules { role: Role::Client, message_bytes_max: 32 << 20 };

/// Bytes that one read takes.
const READ_BYTES: usize = 64 << 10;

/// How long an answer may take before the connection counts as lost.
const ANSWER: Duration = Duration::from_secs(60);

/// Why a connection is of no more use.
#[derive(Debug)]
pub enum ConnectionError {
    /// The server closed it with this code; 1005 for none.
    Closed(u16),
    /// Nothing came in time; the connection may still be good.
    Late,
    /// The socket, or what came over it.
    Broken(String),
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> ConnectionError {
        ConnectionError::Broken(error.to_string())
    }
}

impl std::fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConnectionError::Closed(code) => write!(f, "closed with {code}"),
            ConnectionError::Late => f.write_str("nothing came in time"),
            ConnectionError::Broken(why) => write!(f, "broken: {why}"),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    reader: Reader,
    /// Bytes that came and are not read yet.
    pending: Vec<u8>,
    /// Messages that came and were not asked for yet.
    messages: VecDeque<Value>,
    last_id: u32,
    /// Whether bytes were sent as they are.
    has_sent_raw: bool,
    /// The code of a close frame, behind all messages before it.
    closed: Option<u16>,
}

impl Client {
    /// Connects and upgrades; no command is sent yet.
    pub fn upgrade(target: &Target) -> Result<Client, ConnectionError> {
        let mut stream = TcpStream::connect(target.addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        let request = upgrade_request(&target.host, &target.path, KEY, Subprotocol::None, &[]);
        stream.write_all(&request)?;
        let mut head = Vec::new();
        loop {
            match parse_upgrade_response(&head, KEY) {
                Ok(Some(used)) => {
                    let pending = head.split_off(used);
                    return Ok(Client {
                        stream,
                        reader: Reader::new(),
                        pending,
                        messages: VecDeque::new(),
                        last_id: 0,
                        has_sent_raw: false,
                        closed: None,
                    });
                }
                Ok(None) => read_more(&mut stream, &mut head)?,
                Err(refused) => {
                    return Err(ConnectionError::Broken(format!("no upgrade: {refused:?}")));
                }
            }
        }
    }

    /// Connects as a user, with a token that the secret signs.
    pub fn connect(target: &Target, user: &str, secret: &str) -> Result<Client, ConnectionError> {
        let mut client = Client::upgrade(target)?;
        let token = token(user, secret);
        let reply = client.ask(json!({ "connect": { "token": token } }))?;
        if reply["connect"].is_object() {
            Ok(client)
        } else {
            Err(ConnectionError::Broken(format!("not let in: {reply}")))
        }
    }

    /// Sends commands in one message; the id of the first. The others follow it.
    pub fn say(&mut self, commands: &[Value]) -> Result<u32, ConnectionError> {
        let first = self.last_id + 1;
        let mut lines = Vec::with_capacity(commands.len());
        for command in commands {
            self.last_id += 1;
            let mut command = command.clone();
            command["id"] = json!(self.last_id);
            lines.push(command.to_string());
        }
        self.send(Opcode::Text, lines.join("\n").as_bytes())?;
        Ok(first)
    }

    /// Sends one frame.
    pub fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), ConnectionError> {
        let mut frame = BytesMut::new();
        put_masked_frame(&mut frame, opcode, payload, MASK);
        Ok(self.stream.write_all(&frame)?)
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        self.has_sent_raw = true;
        Ok(self.stream.write_all(bytes)?)
    }

    /// Whether `send_raw` was called before.
    pub fn has_sent_raw(&self) -> bool {
        self.has_sent_raw
    }

    /// The reply to one command; what else comes meanwhile is dropped.
    pub fn ask(&mut self, command: Value) -> Result<Value, ConnectionError> {
        let id = self.say(&[command])?;
        self.reply(id)
    }

    /// The reply to a command that was sent; replies to others are dropped.
    pub fn reply(&mut self, id: u32) -> Result<Value, ConnectionError> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                if message["id"] == json!(id) {
                    return Ok(message);
                }
                continue;
            }
            if let Some(code) = self.closed {
                return Err(ConnectionError::Closed(code));
            }
            self.read()?;
        }
    }

    /// Takes what comes within this time; how many messages that were, and how many of
    /// them were errors.
    pub fn drain(&mut self, patience: Duration) -> Result<(u64, u64), ConnectionError> {
        self.stream.set_read_timeout(Some(patience))?;
        let (mut messages, mut errors) = (0, 0);
        let error = loop {
            for message in self.messages.drain(..) {
                messages += 1;
                errors += u64::from(message["error"].is_object());
            }
            match self.closed {
                Some(code) => break Some(ConnectionError::Closed(code)),
                None => match self.read() {
                    Ok(()) => {}
                    Err(ConnectionError::Late) => break None,
                    Err(error) => break Some(error),
                },
            }
        };
        self.stream.set_read_timeout(Some(ANSWER))?;
        match error {
            Some(error) => Err(error),
            None => Ok((messages, errors)),
        }
    }

    fn read(&mut self) -> Result<(), ConnectionError> {
        read_more(&mut self.stream, &mut self.pending)?;
        let mut bytes = std::mem::take(&mut self.pending);
        let mut pongs = Vec::new();
        let mut input = ReadBuffer::new(&mut bytes);
        loop {
            let incoming = self.reader.next(&mut input, RULES);
            match incoming.map_err(|fault| ConnectionError::Broken(format!("{fault:?}")))? {
                None => break,
                Some(Incoming::Text(text)) => {
                    for line in text.lines() {
                        let message: Value = serde_json::from_str(line)
                            .map_err(|error| ConnectionError::Broken(error.to_string()))?;
                        let is_ping = message.as_object().is_some_and(|ping| ping.is_empty());
                        if is_ping {
                            pongs.push((Opcode::Text, b"{}".to_vec()));
                        } else {
                            self.messages.push_back(message);
                        }
                    }
                }
                Some(Incoming::Ping(payload)) => pongs.push((Opcode::Pong, payload.to_vec())),
                Some(Incoming::Binary(_) | Incoming::Pong(_)) => {}
                Some(Incoming::Close(code)) => {
                    self.closed = Some(code.map_or(1_005, |(code, _)| code));
                    break;
                }
            }
        }
        for (opcode, payload) in pongs {
            self.send(opcode, &payload)?;
        }
        Ok(())
    }
}

/// A token of two claims, good for a day.
pub fn token(user: &str, secret: &str) -> String {
    const DAY_S: u64 = 86_400;
    let claims = json!({ "sub": user, "exp": unix_ms() / 1_000 + DAY_S });
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
    token.expect("two claims and a secret make a token")
}

fn read_more(stream: &mut TcpStream, into: &mut Vec<u8>) -> Result<(), ConnectionError> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(ConnectionError::Broken("the server hung up".to_owned())),
            Ok(read) => {
                into.extend_from_slice(&buffer[..read]);
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                return Err(ConnectionError::Late);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
