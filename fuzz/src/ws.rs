//! WebSocket from bytes nobody would send: frames however they are cut, and upgrade requests.

use rookery::ws::{
    self, FrameError, HEAD_BYTES_MAX, Incoming, Options, ReadBuffer, Reader, Role, Rules,
    close_code_is_valid,
};

const MESSAGE_BYTES_MAX: u32 = 512;

/// One byte chooses the role, one how the rest is cut. Whatever the bytes are:
/// no panic, no memory over the limit, no message over the limit, and the same
/// messages and fault however they are cut.
pub fn ws_reader(bytes: &[u8]) {
    let [choice, seed, stream @ ..] = bytes else { return };
    let role = if choice % 2 == 0 { Role::Server } else { Role::Client };
    let rules = Rules { role, message_bytes_max: MESSAGE_BYTES_MAX };
    let whole = read(rules, std::iter::once(stream));
    let in_bytes = read(rules, stream.chunks(1));
    let in_parts = read(rules, Parts { rest: stream, state: u32::from(*seed) });
    assert_eq!(whole, in_bytes);
    assert_eq!(whole, in_parts);
}

/// Any head: no panic, never a wait behind the limit, and a longer input never
/// takes back what a shorter one was answered.
pub fn ws_upgrade(bytes: &[u8]) {
    let options = Options::default();
    let answer = ws::upgrade(bytes, &options);
    match &answer {
        Ok(None) => assert!(bytes.len() < HEAD_BYTES_MAX),
        Ok(Some(granted)) => {
            assert!(granted.used <= bytes.len().min(HEAD_BYTES_MAX));
            assert!(granted.response.starts_with(b"HTTP/1.1 101 "));
            assert!(granted.response.ends_with(b"\r\n\r\n"));
            let name = granted.user_agent.as_deref().unwrap_or_default();
            assert!(name.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            assert_eq!(ws::upgrade(&bytes[..granted.used - 1], &options), Ok(None));
        }
        Err(refusal) => assert!(refusal.response().starts_with(b"HTTP/1.1 ")),
    }
    let first = (0..=bytes.len()).map(|end| ws::upgrade(&bytes[..end], &options));
    let first = first.take(600).find(|answer| *answer != Ok(None));
    if let Some(first) = first {
        assert_eq!(first, answer);
    }
}

type Got = (Vec<String>, Option<FrameError>);

fn read<'a>(rules: Rules, parts: impl Iterator<Item = &'a [u8]>) -> Got {
    let (mut reader, mut got) = (Reader::new(), Vec::new());
    for part in parts {
        let mut bytes = part.to_vec();
        let mut input = ReadBuffer::new(&mut bytes);
        loop {
            match reader.next(&mut input, rules) {
                Ok(Some(incoming)) => {
                    check(incoming);
                    got.push(format!("{incoming:?}"));
                }
                Ok(None) => break,
                Err(fault) => {
                    assert!(close_code_is_valid(fault.close_code()));
                    return (got, Some(fault));
                }
            }
        }
        assert!(input.is_empty());
        assert!(reader.kept_bytes() <= Reader::kept_bytes_max(rules));
    }
    (got, None)
}

fn check(incoming: Incoming<'_>) {
    match incoming {
        Incoming::Text(text) => assert!(text.len() <= MESSAGE_BYTES_MAX as usize),
        Incoming::Binary(bytes) => assert!(bytes.len() <= MESSAGE_BYTES_MAX as usize),
        Incoming::Ping(bytes) | Incoming::Pong(bytes) => assert!(bytes.len() <= 125),
        Incoming::Close(None) => {}
        Incoming::Close(Some((code, reason))) => {
            assert!(close_code_is_valid(code) && reason.len() <= 123);
        }
    }
}

/// Parts of 1 to 16 bytes, drawn from a seed.
struct Parts<'a> {
    rest: &'a [u8],
    state: u32,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let bytes = 1 + (self.state >> 28) as usize;
        let (part, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.rest = rest;
        Some(part)
    }
}
