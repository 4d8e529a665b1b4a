//! A client that says what a test wants, in the protocol and beside it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(20);
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// How a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Text frames.
    Json,
    /// Binary frames.
    Protobuf,
}

/// RFC 6455, 5.2; a plain number, because tests use those that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    pub const CONTINUATION: Opcode = Opcode(0);
    pub const TEXT: Opcode = Opcode(1);
    pub const BINARY: Opcode = Opcode(2);
    pub const CLOSE: Opcode = Opcode(8);
    pub const PING: Opcode = Opcode(9);
    pub const PONG: Opcode = Opcode(10);
}

/// One frame of the server, or the end of the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A frame; the server never fragments.
    Frame(Opcode, Vec<u8>),
    /// The socket ended.
    End,
}

/// A raw peer: it speaks no more of the protocol than a test makes it.
pub struct Peer {
    /// The socket itself, for what only a stranger would do.
    pub stream: TcpStream,
    pending: Vec<u8>,
    /// Objects of a JSON frame that are not yet given out.
    objects: Vec<Value>,
    next_id: u32,
}

impl Peer {
    /// A socket, and nothing said yet.
    #[track_caller]
    pub fn silent(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(WAIT)).expect("a timeout can be set");
        stream.set_write_timeout(Some(WAIT)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("an option can be set");
        Peer { stream, pending: Vec::new(), objects: Vec::new(), next_id: 0 }
    }

    /// A WebSocket, and no command yet.
    #[track_caller]
    pub fn upgraded(address: SocketAddr, encoding: Encoding) -> Peer {
        let mut peer = Peer::silent(address);
        let query = match encoding {
            Encoding::Json => "",
            Encoding::Protobuf => "?format=protobuf",
        };
        peer.send_raw(upgrade_request(&format!("/connection/websocket{query}")).as_bytes());
        let head = peer.read_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }

    /// A user, let in.
    #[track_caller]
    pub fn user(address: SocketAddr, name: &str) -> Peer {
        let mut peer = Peer::upgraded(address, Encoding::Json);
        let reply = peer.call(json!({ "connect": { "token": token(json!({ "sub": name })) } }));
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        peer
    }

    /// A user in a room.
    #[track_caller]
    pub fn member(address: SocketAddr, name: &str, channel: &str) -> Peer {
        let mut peer = Peer::user(address, name);
        let reply = peer.call(json!({ "subscribe": { "channel": channel } }));
        assert!(reply["subscribe"].is_object(), "{reply}");
        peer
    }

    /// A user, let in, who speaks Protobuf.
    #[track_caller]
    pub fn protobuf_user(address: SocketAddr, name: &str) -> Peer {
        let mut peer = Peer::upgraded(address, Encoding::Protobuf);
        let connect = protobuf_field(1, token(json!({ "sub": name })).as_bytes());
        let reply = peer.call_protobuf(&[&[0x08, 1][..], &protobuf_field(4, &connect)].concat());
        assert_eq!(reply[..3], [0x08, 1, 0x2a], "no connect result: {reply:02x?}");
        peer
    }

    /// One command of these bytes, and the one reply in the frame that comes next.
    #[track_caller]
    pub fn call_protobuf(&mut self, command: &[u8]) -> Vec<u8> {
        self.send_raw(&masked(Opcode::BINARY, &delimited(command)));
        let Frame::Frame(Opcode::BINARY, payload) = self.frame() else { panic!("a reply") };
        // A reply of these tests is short: its length takes one byte or two.
        let head = if payload[0] < 0x80 { 1 } else { 2 };
        payload[head..].to_vec()
    }

    /// Any bytes. A server that has hung up may answer them with a reset, which
    /// the next read sees.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// One whole text message.
    pub fn send_text(&mut self, text: &str) {
        self.send_raw(&masked(Opcode::TEXT, text.as_bytes()));
    }

    /// One command, with the next id.
    pub fn send(&mut self, mut command: Value) -> u32 {
        self.next_id += 1;
        command["id"] = json!(self.next_id);
        self.send_text(&command.to_string());
        self.next_id
    }

    /// One command, and its reply; pushes and pings in between are dropped.
    #[track_caller]
    pub fn call(&mut self, command: Value) -> Value {
        let id = self.send(command);
        loop {
            let object = self.object();
            if object["id"] == json!(id) {
                return object;
            }
        }
    }

    /// Everything up to the empty line of an HTTP answer.
    #[track_caller]
    pub fn read_head(&mut self) -> String {
        loop {
            if let Some(end) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.pending.drain(..end + 4).collect();
                return String::from_utf8(head).expect("a head is text");
            }
            assert!(self.fill(), "the connection ended inside a head: {:?}", self.pending);
        }
    }

    /// Everything until the server ends the connection.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.pending)
    }

    /// The next frame.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        loop {
            if let Some((opcode, payload, length)) = split_frame(&self.pending) {
                self.pending.drain(..length);
                return Frame::Frame(opcode, payload);
            }
            if !self.fill() {
                return Frame::End;
            }
        }
    }

    /// The next reply or push in JSON; pings of the server are answered.
    #[track_caller]
    pub fn object(&mut self) -> Value {
        loop {
            if !self.objects.is_empty() {
                let object = self.objects.remove(0);
                if object.as_object().is_some_and(serde_json::Map::is_empty) {
                    self.send_text("{}");
                    continue;
                }
                return object;
            }
            match self.frame() {
                Frame::Frame(Opcode::TEXT, payload) => {
                    let text = String::from_utf8(payload).expect("text frames are UTF-8");
                    let lines = text.split('\n').filter(|line| !line.is_empty());
                    self.objects.extend(
                        lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON")),
                    );
                }
                other => panic!("no text frame: {other:?}"),
            }
        }
    }

    /// The next message of a channel: its data and offset.
    #[track_caller]
    pub fn publication(&mut self) -> (Value, u64) {
        loop {
            let mut object = self.object();
            let publication = &mut object["push"]["pub"];
            if !publication.is_null() {
                let offset = publication["offset"].as_u64().unwrap_or_default();
                return (publication["data"].take(), offset);
            }
        }
    }

    /// The code and reason that the server closes with; other frames are dropped.
    /// Answers the close, and sees the socket end.
    #[track_caller]
    pub fn closed(&mut self) -> (u16, String) {
        loop {
            match self.frame() {
                Frame::Frame(Opcode::CLOSE, payload) => {
                    assert!(payload.len() >= 2, "a close without a code: {payload:?}");
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    let reason = String::from_utf8(payload[2..].to_vec()).expect("UTF-8");
                    self.send_raw(&masked(Opcode::CLOSE, &payload[..2]));
                    assert_eq!(self.frame(), Frame::End, "nothing follows a close");
                    return (code, reason);
                }
                Frame::Frame(..) => (),
                Frame::End => panic!("the connection ended without a close frame"),
            }
        }
    }

    /// Reads once; false at the end, which a reset is, too.
    #[track_caller]
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.pending.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) => match error.kind() {
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => false,
                // The process was stopped and went on: what waits with a limit sees that.
                ErrorKind::Interrupted => self.fill(),
                kind => panic!("nothing came in {WAIT:?}: {kind}"),
            },
        }
    }
}

/// A good request for a WebSocket.
pub fn upgrade_request(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A whole masked frame, as clients must send them.
pub fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame(0x80 | opcode.0, Some(MASK), payload)
}

/// Any frame: the first byte as given, masked or not, the length in its shortest form.
pub fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(bit | u8::try_from(short).expect("it fits")),
        middle @ 126..=65_535 => {
            bytes.push(bit | 126);
            bytes.extend(u16::try_from(middle).expect("it fits").to_be_bytes());
        }
        long => {
            bytes.push(bit | 127);
            bytes.extend(u64::try_from(long).expect("it fits").to_be_bytes());
        }
    }
    bytes.extend(mask.iter().flatten());
    let mask = mask.unwrap_or_default();
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A message behind its length, as Protobuf frames hold them.
fn delimited(message: &[u8]) -> Vec<u8> {
    [&varint(message.len())[..], message].concat()
}

/// A field that has a length.
fn protobuf_field(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &delimited(value)].concat()
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The first frame of `bytes`, if it is whole: opcode, payload, length in all.
fn split_frame(bytes: &[u8]) -> Option<(Opcode, Vec<u8>, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0xf0, 0x80, "the server sends whole frames without extensions");
    assert_eq!(second & 0x80, 0, "the server does not mask");
    let (head, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let payload = bytes.get(head..head + length)?.to_vec();
    Some((Opcode(first & 0x0f), payload, head + length))
}

/// The secret of the tests' configuration.
const SECRET: &str = "a secret that only the black-box tests know";

/// A token with these claims.
pub fn token(claims: Value) -> String {
    signed(claims, SECRET)
}

/// A token signed with any secret.
pub fn signed(claims: Value, secret: &str) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("it can be signed")
}
