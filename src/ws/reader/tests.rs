use super::*;

const MESSAGE_BYTES_MAX: u32 = 1_000;
const SERVER: Rules = Rules { role: Role::Server, message_bytes_max: MESSAGE_BYTES_MAX };
const CLIENT: Rules = Rules { role: Role::Client, message_bytes_max: MESSAGE_BYTES_MAX };
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What a reader gave, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Fault(Fault),
}

impl From<Incoming<'_>> for Got {
    fn from(incoming: Incoming<'_>) -> Got {
        match incoming {
            Incoming::Text(text) => Got::Text(text.to_owned()),
            Incoming::Binary(bytes) => Got::Binary(bytes.to_vec()),
            Incoming::Ping(bytes) => Got::Ping(bytes.to_vec()),
            Incoming::Pong(bytes) => Got::Pong(bytes.to_vec()),
            Incoming::Close(said) => Got::Close(said.map(|(code, why)| (code, why.to_owned()))),
        }
    }
}

fn text(text: &str) -> Got {
    Got::Text(text.to_owned())
}

/// Feeds the parts to a fresh reader, up to the first fault.
fn read<'a>(rules: Rules, parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Got>, Reader) {
    let (mut reader, mut got) = (Reader::new(), Vec::new());
    for part in parts {
        let mut bytes = part.to_vec();
        let mut input = Input::new(&mut bytes);
        loop {
            match reader.next(&mut input, rules) {
                Ok(Some(incoming)) => got.push(Got::from(incoming)),
                Ok(None) => break,
                Err(fault) => {
                    got.push(Got::Fault(fault));
                    return (got, reader);
                }
            }
        }
        assert!(input.is_empty(), "nothing is left behind");
        assert!(reader.kept_bytes() <= Reader::kept_bytes_max(rules));
    }
    (got, reader)
}

/// The stream gives `want`, whole, in two parts at every place, byte by byte;
/// and if it ends between messages, the reader owns nothing.
#[track_caller]
fn check(rules: Rules, stream: &[u8], want: &[Got]) {
    let (got, reader) = read(rules, [stream]);
    assert_eq!(got, want, "whole");
    let owned_bytes = reader.kept_bytes();
    for cut in 0..=stream.len() {
        let (before, after) = stream.split_at(cut);
        assert_eq!(read(rules, [before, after]).0, want, "cut={cut}");
    }
    let (got, reader) = read(rules, stream.chunks(1));
    assert_eq!(got, want, "byte by byte");
    if matches!(got.last(), Some(Got::Fault(_))) {
        return;
    }
    assert_eq!(owned_bytes == 0, reader.kept_bytes() == 0);
}

/// A client's frame: `first` is the opcode and the bits above it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = unmasked(first, payload);
    let header_bytes = frame.len() - payload.len();
    frame[1] |= 0x80;
    mask::apply(&mut frame[header_bytes..], MASK, 0);
    frame.splice(header_bytes..header_bytes, MASK);
    frame
}

/// A server's frame. Written from the RFC's figure, not with our encoder.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(len as u8),
        len @ 126..65_536 => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

#[test]
fn a_reader_is_a_pointer_wide() {
    assert_eq!(size_of::<Reader>(), size_of::<usize>());
}

#[test]
fn the_frames_of_the_rfc() {
    let hello = [text("Hello")];
    check(CLIENT, &[0x81, 5, 0x48, 0x65, 0x6c, 0x6c, 0x6f], &hello);
    let masked_hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    check(SERVER, &masked_hello, &hello);
    check(CLIENT, &[0x01, 3, 0x48, 0x65, 0x6c, 0x80, 2, 0x6c, 0x6f], &hello);
    let ping = [0x89, 5, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    check(CLIENT, &ping, &[Got::Ping(b"Hello".to_vec())]);
    let pong = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    check(SERVER, &pong, &[Got::Pong(b"Hello".to_vec())]);
    let bytes = vec![7; 256];
    check(CLIENT, &[&[0x82, 0x7e, 1, 0], &bytes[..]].concat(), &[Got::Binary(bytes)]);
}

#[test]
fn a_message_of_64_kib_is_read_however_it_comes() {
    let rules = Rules { message_bytes_max: 65_536, ..SERVER };
    let bytes: Vec<u8> = (0..65_536u32).map(|n| (n % 251) as u8).collect();
    let stream = masked(0x82, &bytes);
    let want = [Got::Binary(bytes)];
    assert_eq!(read(rules, [&stream[..]]).0, want);
    for part_bytes in [1, 7, 1_448, 4_096, 65_535] {
        assert_eq!(read(rules, stream.chunks(part_bytes)).0, want, "{part_bytes}");
    }
}
