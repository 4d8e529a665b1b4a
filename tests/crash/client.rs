//! A client of a server that may be gone at any moment: that is an answer, too.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::PATIENCE_MS;
use crate::common::{Opcode, masked, token, upgrade_request};

/// The server went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

pub struct Client {
    stream: TcpStream,
    pending: Vec<u8>,
    replies: VecDeque<Value>,
    publications: VecDeque<Value>,
}

impl Client {
    /// Let in as this user.
    pub fn connect(address: SocketAddr, user: &str) -> Result<Client, Ended> {
        let stream = TcpStream::connect(address).map_err(|_| Ended)?;
        let patience = Some(Duration::from_millis(PATIENCE_MS));
        stream.set_read_timeout(patience).map_err(|_| Ended)?;
        stream.set_nodelay(true).map_err(|_| Ended)?;
        let (pending, replies, publications) = Default::default();
        let mut client = Client { stream, pending, replies, publications };
        client.write(upgrade_request("/connection/websocket").as_bytes())?;
        loop {
            if let Some(end) = client.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                client.pending.drain(..end + 4);
                break;
            }
            client.fill()?;
        }
        client.send(1, &json!({ "connect": { "token": token(json!({ "sub": user })) } }))?;
        let reply = client.reply()?;
        assert!(reply["connect"].is_object(), "{reply}");
        Ok(client)
    }

    pub fn send(&mut self, id: u32, command: &Value) -> Result<(), Ended> {
        let mut command = command.clone();
        command["id"] = json!(id);
        self.write(&masked(Opcode::TEXT, command.to_string().as_bytes()))
    }

    /// The next reply.
    pub fn reply(&mut self) -> Result<Value, Ended> {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return Ok(reply);
            }
            self.read()?;
        }
    }

    /// The next message of a channel.
    pub fn publication(&mut self) -> Result<Value, Ended> {
        loop {
            if let Some(publication) = self.publications.pop_front() {
                return Ok(publication);
            }
            self.read()?;
        }
    }

    /// Reads one frame.
    fn read(&mut self) -> Result<(), Ended> {
        loop {
            if let Some((opcode, payload)) = self.split() {
                if opcode != 1 {
                    return Err(Ended);
                }
                let text = String::from_utf8(payload).expect("text is UTF-8");
                for line in text.split('\n') {
                    let object: Value = serde_json::from_str(line).expect("JSON");
                    if object.as_object().is_some_and(serde_json::Map::is_empty) {
                        self.write(&masked(Opcode::TEXT, b"{}"))?;
                    } else if object["id"].is_u64() {
                        self.replies.push_back(object);
                    } else if object["push"]["pub"].is_object() {
                        self.publications.push_back(object["push"]["pub"].clone());
                    } else if object["push"]["unsubscribe"].is_object() {
                        return Err(Ended);
                    }
                }
                return Ok(());
            }
            self.fill()?;
        }
    }

    fn split(&mut self) -> Option<(u8, Vec<u8>)> {
        let (&first, &second) = (self.pending.first()?, self.pending.get(1)?);
        let (head, length) = match second {
            126 => (4, u64::from(u16::from_be_bytes(self.pending.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(self.pending.get(2..10)?.try_into().ok()?)),
            short => (2, u64::from(short)),
        };
        let end = head + usize::try_from(length).expect("it fits");
        let payload = self.pending.get(head..end)?.to_vec();
        self.pending.drain(..end);
        Some((first & 0x0f, payload))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.stream.write_all(bytes).map_err(|_| Ended)
    }

    fn fill(&mut self) -> Result<(), Ended> {
        let mut chunk = [0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Ended),
            Ok(count) => {
                self.pending.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("nothing came in {PATIENCE_MS} ms")
            }
            Err(_) => Err(Ended),
        }
    }
}
