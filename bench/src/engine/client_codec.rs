//! What a client sends, and how it reads: the three framings behind one set of
//! words.
//!
//! Deliberately absent: sockets, and what the load does with what is read.

use bytes::{Bytes, BytesMut};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rookery::wire::client::put_command;
use rookery::wire::{ConnectRequest, Encoding, RawData, Request, SubscribeRequest, separate};
use rookery::ws::client::{
    ClientHandshakeError, parse_upgrade_response, put_masked_frame, upgrade_request,
};
use rookery::ws::{Opcode, Subprotocol};
use serde::Serialize;

use crate::scenario::{Scenario, WireFormat};

/// Hexadecimal digits of the time in a message, and of its number.
const TIME_DIGITS: usize = 16;
const NUMBER_DIGITS: usize = 8;

/// A day: no load is longer, so no token ends before its load.
const TOKEN_S: u64 = 2 * 86_400;

/// Any 16 bytes in base64 will do: nothing here stands between the two ends.
const KEY: &str = "cm9va2VyeS1iZW5jaC1rZQ==";

/// Builds everything that one thread's connections say.
pub struct ClientCodec {
    format: WireFormat,
    upgrade: Bytes,
    pong: Bytes,
    prove: Bytes,
    greeting: Bytes,
    signing: Option<EncodingKey>,
    token_expires_s: u64,
    mask: [u8; 4],
    /// One message's data; only time and number change.
    data: Vec<u8>,
    scratch: BytesMut,
}

/// Where a connection goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery<'a> {
    /// The last message it saw.
    pub offset: u64,
    /// The stream.
    pub epoch: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
}

impl ClientCodec {
    /// `host` and `path` as in the URL; `secret` signs tokens by HS256.
    pub fn new(
        scenario: &Scenario,
        host: &str,
        path: &str,
        secret: Option<&str>,
        unix_s: u64,
    ) -> ClientCodec {
        let subprotocol = match scenario.format {
            WireFormat::Protobuf => Subprotocol::Protobuf,
            WireFormat::Json | WireFormat::Plain => Subprotocol::None,
        };
        let upgrade = upgrade_request(host, path, KEY, subprotocol, &[]);
        let mask = (scenario.seed as u32 | 0x0101_0101).to_be_bytes();
        let mut codec = ClientCodec {
            format: scenario.format,
            upgrade: upgrade.into(),
            pong: Bytes::new(),
            prove: Bytes::new(),
            greeting: Bytes::new(),
            signing: secret.map(|secret| EncodingKey::from_secret(secret.as_bytes())),
            token_expires_s: unix_s + TOKEN_S,
            mask,
            data: padding(scenario.format, scenario.data_bytes as usize),
            scratch: BytesMut::new(),
        };
        codec.pong = codec.commands(&[(0, Request::Pong)]);
        codec.prove = match codec.encoding() {
            Some(_) => Bytes::new(),
            None => codec.control(Opcode::Ping, b"prove"),
        };
        let greeting = vec![b'.'; scenario.greeting_bytes as usize];
        codec.greeting = codec.frame(Opcode::Binary, &greeting);
        codec
    }

    /// The request that begins a connection.
    pub fn upgrade(&self) -> Bytes {
        self.upgrade.clone()
    }

    /// Whether the answer to it is whole, and how long it is.
    pub fn read_upgrade(&self, head: &[u8]) -> Result<Option<usize>, ClientHandshakeError> {
        parse_upgrade_response(head, KEY)
    }

    /// How the chat protocol is encoded; `None` where there is none.
    pub fn encoding(&self) -> Option<Encoding> {
        match self.format {
            WireFormat::Json => Some(Encoding::Json),
            WireFormat::Protobuf => Some(Encoding::Protobuf),
            WireFormat::Plain => None,
        }
    }

    /// What a connection without chat says first.
    pub fn greeting(&self) -> Bytes {
        self.greeting.clone()
    }

    /// Connect and subscribe in one frame, as the SDKs do it: ids 1 and 2.
    pub fn join(&mut self, user: &str, channel: &str, recovery: Option<Recovery<'_>>) -> Bytes {
        let token = self.token(user);
        let connect = ConnectRequest {
            token: token.into(),
            name: "rookery-bench".into(),
            ..ConnectRequest::default()
        };
        let mut subscribe = SubscribeRequest {
            channel: channel.into(),
            recoverable: true,
            positioned: true,
            ..SubscribeRequest::default()
        };
        if let Some(recovery) = recovery {
            subscribe.recover = true;
            subscribe.offset = recovery.offset;
            subscribe.epoch = recovery.epoch.into();
        }
        self.commands(&[(1, Request::Connect(connect)), (2, Request::Subscribe(subscribe))])
    }

    /// One message into a channel.
    pub fn publish(&mut self, id: u32, channel: &str, time_ns: u64, number: u64) -> Bytes {
        let mut data = std::mem::take(&mut self.data);
        let frame = if self.format == WireFormat::Plain {
            data[..8].copy_from_slice(&number.to_le_bytes());
            data[8..16].copy_from_slice(&time_ns.to_le_bytes());
            self.frame(Opcode::Binary, &data)
        } else {
            put_hex(&mut data[1..=TIME_DIGITS], time_ns);
            put_hex(&mut data[1 + TIME_DIGITS..][..NUMBER_DIGITS], number);
            let raw = RawData { bytes: (&data[..]).into(), is_json: true };
            self.commands(&[(id, Request::Publish { channel: channel.into(), data: raw })])
        };
        self.data = data;
        frame
    }

    /// Something that a living server answers.
    pub fn prove(&mut self, id: u32) -> Bytes {
        match self.encoding() {
            Some(_) => self.commands(&[(id, Request::Ping)]),
            None => self.prove.clone(),
        }
    }

    /// The answer to the server's ping, the same for everyone.
    pub fn pong(&self) -> Bytes {
        self.pong.clone()
    }

    /// A masked control frame.
    pub fn control(&mut self, opcode: Opcode, payload: &[u8]) -> Bytes {
        self.frame(opcode, payload)
    }

    fn token(&self, user: &str) -> String {
        let Some(key) = &self.signing else { return String::new() };
        let claims = Claims { sub: user, exp: self.token_expires_s };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key);
        token.expect("two claims that are text and number, and a secret, make a token")
    }

    fn commands(&mut self, commands: &[(u32, Request<'_>)]) -> Bytes {
        let Some(encoding) = self.encoding() else { return Bytes::new() };
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        for (index, (id, request)) in commands.iter().enumerate() {
            if 0 < index {
                separate(encoding, &mut payload);
            }
            put_command(encoding, *id, request, &mut payload);
        }
        let opcode = match encoding {
            Encoding::Json => Opcode::Text,
            Encoding::Protobuf => Opcode::Binary,
        };
        let frame = self.frame(opcode, &payload);
        self.scratch = payload;
        frame
    }

    fn frame(&self, opcode: Opcode, payload: &[u8]) -> Bytes {
        let mut frame =
            BytesMut::with_capacity(rookery::ws::FRAME_HEADER_BYTES_MAX + payload.len());
        put_masked_frame(&mut frame, opcode, payload, self.mask);
        frame.freeze()
    }
}

/// What a message carries besides its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When it should have been sent, by the clock of the run.
    pub time_ns: u64,
    /// Which one it is in its room.
    pub number: u64,
}

/// Reads what `ClientCodec::publish` wrote; `None` for anything else.
pub fn stamp(format: WireFormat, data: &[u8]) -> Option<Stamp> {
    if format == WireFormat::Plain {
        let (number, rest) = data.split_first_chunk()?;
        let (time, _) = rest.split_first_chunk()?;
        return Some(Stamp {
            time_ns: u64::from_le_bytes(*time),
            number: u64::from_le_bytes(*number),
        });
    }
    let digits = data.strip_prefix(b"\"")?;
    let time_ns = hex(digits.get(..TIME_DIGITS)?)?;
    let number = hex(digits.get(TIME_DIGITS..TIME_DIGITS + NUMBER_DIGITS)?)?;
    Some(Stamp { time_ns, number })
}

/// A JSON string of the wanted length, or as many bytes.
fn padding(format: WireFormat, bytes: usize) -> Vec<u8> {
    let mut data = vec![b'.'; bytes];
    if format != WireFormat::Plain {
        data[0] = b'"';
        data[bytes - 1] = b'"';
    }
    data
}

/// The low digits of a number.
fn put_hex(place: &mut [u8], number: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (index, digit) in place.iter_mut().rev().enumerate() {
        *digit = DIGITS[(number >> (4 * index)) as usize & 0xf];
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Load;
    use rookery::wire::commands;
    use rookery::ws::{self, Incoming, ReadBuffer, Reader, Role, Rules};

    const RULES: Rules = Rules { role: Role::Server, message_bytes_max: 64 << 10 };

    fn scenario(format: WireFormat, data_bytes: u32) -> Scenario {
        Scenario {
            seed: 3,
            load: Load::Connect { hold_ms: 1 },
            format,
            connections: 1,
            active: 0,
            room_members: 1,
            data_bytes,
            greeting_bytes: 40,
            threads: 1,
            handshakes_max: 1,
        }
    }

    fn codec(format: WireFormat, data_bytes: u32) -> ClientCodec {
        ClientCodec::new(
            &scenario(format, data_bytes),
            "h:1",
            "/connection/websocket",
            Some("s"),
            9,
        )
    }

    /// What a server reads out of one frame.
    fn heard(frame: &[u8], look: impl FnOnce(Incoming<'_>)) {
        let mut bytes = frame.to_vec();
        let mut input = ReadBuffer::new(&mut bytes);
        let mut reader = Reader::new();
        look(reader.next(&mut input, RULES).unwrap().unwrap());
        assert!(input.is_empty());
    }

    fn payload(incoming: Incoming<'_>) -> Vec<u8> {
        match incoming {
            Incoming::Text(text) => text.as_bytes().to_vec(),
            Incoming::Binary(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_grants_the_upgrade_and_the_client_sees_it() {
        for format in [WireFormat::Json, WireFormat::Protobuf, WireFormat::Plain] {
            let codec = codec(format, 128);
            let options = ws::Options::default();
            let granted = ws::upgrade(&codec.upgrade(), &options).unwrap().unwrap();
            let used = codec.read_upgrade(&granted.response).unwrap();
            assert_eq!(used, Some(granted.response.len()));
            assert_eq!(
                granted.format == ws::PayloadFormat::Protobuf,
                format == WireFormat::Protobuf
            );
        }
    }

    #[test]
    fn connect_and_subscribe_share_a_frame() {
        for (format, encoding) in
            [(WireFormat::Json, Encoding::Json), (WireFormat::Protobuf, Encoding::Protobuf)]
        {
            let recovery = Recovery { offset: 7, epoch: "e" };
            let frame = codec(format, 128).join("me", "room:1", Some(recovery));
            heard(&frame, |incoming| {
                let payload = payload(incoming);
                let all: Vec<_> = commands(encoding, &payload).map(Result::unwrap).collect();
                assert_eq!(all.iter().map(|command| command.id).collect::<Vec<_>>(), [1, 2]);
                assert!(matches!(&all[0].request, Request::Connect(c) if !c.token.is_empty()));
                let Request::Subscribe(subscribe) = &all[1].request else { panic!("{all:?}") };
                assert_eq!((&*subscribe.channel, subscribe.offset), ("room:1", 7));
                assert!(subscribe.recover);
            });
        }
    }

    #[test]
    fn a_message_has_its_length_and_gives_back_its_stamp() {
        for format in [WireFormat::Json, WireFormat::Protobuf, WireFormat::Plain] {
            for data_bytes in [Scenario::DATA_BYTES_MIN, 128, Scenario::DATA_BYTES_MAX] {
                let stamped = Stamp { time_ns: u64::MAX - 5, number: 0xdead_beef };
                let mut codec = codec(format, data_bytes);
                let frame = codec.publish(3, "room:1", stamped.time_ns, stamped.number);
                heard(&frame, |incoming| {
                    let payload = payload(incoming);
                    let data = match codec.encoding() {
                        None => payload.clone(),
                        Some(encoding) => {
                            let command = commands(encoding, &payload).next().unwrap().unwrap();
                            let Request::Publish { data, .. } = command.request else { panic!() };
                            assert!(data.is_json);
                            data.bytes.into_owned()
                        }
                    };
                    assert_eq!(data.len(), data_bytes as usize);
                    assert_eq!(stamp(format, &data), Some(stamped));
                });
            }
        }
        assert_eq!(stamp(WireFormat::Json, b"{}"), None);
        assert_eq!(stamp(WireFormat::Plain, b"short"), None);
        assert_eq!(stamp(WireFormat::Json, b"\"0123456789abcdeX01234567\""), None);
    }
}
