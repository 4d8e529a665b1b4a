//! Frames and messages: those of RFC 6455, every cut of a stream, limits, and each fault.

use super::*;
use crate::ws::Role;

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
    Fault(FrameError),
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
        let mut input = ReadBuffer::new(&mut bytes);
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

#[track_caller]
fn check_fault(rules: Rules, stream: &[u8], want: FrameError) {
    check(rules, stream, &[Got::Fault(want)]);
}

#[test]
fn messages_and_control_frames_mix_as_the_rfc_allows() {
    let stream = [
        masked(0x81, b"one"),
        masked(0x01, "zw\u{f6}".as_bytes()),
        masked(0x89, b"ping"),
        masked(0x00, b""),
        masked(0x8a, b""),
        masked(0x80, "lf \u{1f426}".as_bytes()),
        masked(0x82, b""),
        masked(0x02, b""),
        masked(0x80, b""),
        masked(0x81, b""),
        masked(0x88, b""),
    ];
    let want = [
        text("one"),
        Got::Ping(b"ping".to_vec()),
        Got::Pong(Vec::new()),
        text("zw\u{f6}lf \u{1f426}"),
        Got::Binary(Vec::new()),
        Got::Binary(Vec::new()),
        text(""),
        Got::Close(None),
    ];
    check(SERVER, &stream.concat(), &want);
}

#[test]
fn each_rule_of_the_frame_header_has_its_fault() {
    for bit in [0x10, 0x20, 0x40] {
        check_fault(SERVER, &masked(0x81 | bit, b"x"), FrameError::ReservedBits);
        check_fault(SERVER, &masked(0x89 | bit, b"x"), FrameError::ReservedBits);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        check_fault(SERVER, &masked(0x80 | opcode, b"x"), FrameError::ReservedOpcode);
        check_fault(CLIENT, &unmasked(opcode, b"x"), FrameError::ReservedOpcode);
    }
    for opcode in [0x81, 0x82, 0x88, 0x89, 0x8a] {
        check_fault(SERVER, &unmasked(opcode, b""), FrameError::MaskMissing);
        check_fault(CLIENT, &masked(opcode, b""), FrameError::MaskUnexpected);
    }
    for opcode in [8, 9, 10] {
        check_fault(SERVER, &masked(opcode, b""), FrameError::ControlFragmented);
    }
    check_fault(SERVER, &masked(0x80, b"x"), FrameError::ContinuationUnexpected);
    check_fault(SERVER, &masked(0x00, b"x"), FrameError::ContinuationUnexpected);
    for second in [0x01, 0x02, 0x81, 0x82] {
        let stream = [masked(0x01, b"a"), masked(second, b"b")].concat();
        check_fault(SERVER, &stream, FrameError::MessageInterrupted);
    }
    let after_the_last = [masked(0x81, b"a"), masked(0x80, b"b")].concat();
    check(SERVER, &after_the_last, &[text("a"), Got::Fault(FrameError::ContinuationUnexpected)]);
}

#[test]
fn a_length_has_one_form() {
    check_fault(CLIENT, &[0x82, 126, 0, 0], FrameError::LengthNotMinimal);
    check_fault(CLIENT, &[0x82, 126, 0, 125], FrameError::LengthNotMinimal);
    check_fault(CLIENT, &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], FrameError::LengthNotMinimal);
    check_fault(CLIENT, &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], FrameError::LengthOutOfRange);
    check_fault(
        CLIENT,
        &[[0x82, 127].as_slice(), &[0xff; 8]].concat(),
        FrameError::LengthOutOfRange,
    );
    let longest = [[0x82, 127, 0x7f].as_slice(), &[0xff; 7]].concat();
    check_fault(CLIENT, &longest, FrameError::MessageTooLong);
}

#[test]
fn limits_hold_to_the_byte_and_at_the_header() {
    let max = MESSAGE_BYTES_MAX as usize;
    check(SERVER, &masked(0x82, &vec![1; max]), &[Got::Binary(vec![1; max])]);
    let long = masked(0x82, &vec![1; max + 1]);
    check_fault(SERVER, &long, FrameError::MessageTooLong);
    check_fault(SERVER, &long[..8], FrameError::MessageTooLong);

    let first = masked(0x02, &vec![1; max - 1]);
    let fits = [&first[..], &masked(0x80, &[1])].concat();
    check(SERVER, &fits, &[Got::Binary(vec![1; max])]);
    let passes = [&first[..], &masked(0x80, &[1; 2])[..6]].concat();
    check_fault(SERVER, &passes, FrameError::MessageTooLong);
    // Another fragment of a full message must be empty.
    let full = [&first[..], &masked(0x00, &[1]), &masked(0x00, &[]), &masked(0x80, &[])].concat();
    check(SERVER, &full, &[Got::Binary(vec![1; max])]);

    check(SERVER, &masked(0x89, &[1; 125]), &[Got::Ping(vec![1; 125])]);
    check_fault(SERVER, &masked(0x89, &[1; 126]), FrameError::ControlTooLong);
    // A control frame is no part of the message around it.
    let around = [&first[..], &masked(0x89, &[1; 125]), &masked(0x80, &[1])].concat();
    check(SERVER, &around, &[Got::Ping(vec![1; 125]), Got::Binary(vec![1; max])]);
    let none = Rules { message_bytes_max: 0, ..SERVER };
    check(none, &masked(0x81, b""), &[text("")]);
    check_fault(none, &masked(0x81, b"x"), FrameError::MessageTooLong);
}

#[test]
fn a_close_frame_gives_code_and_reason_or_its_fault() {
    for code in 0..=5_000u16 {
        let payload = [&code.to_be_bytes()[..], "b\u{fc}".as_bytes()].concat();
        let want = match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => {
                Got::Close(Some((code, "b\u{fc}".to_owned())))
            }
            _ => Got::Fault(FrameError::CloseCodeInvalid),
        };
        assert_eq!(read(SERVER, [&masked(0x88, &payload)[..]]).0, [want], "{code}");
    }
    check(SERVER, &masked(0x88, &[3, 232]), &[Got::Close(Some((1000, String::new())))]);
    check_fault(SERVER, &masked(0x88, &[3]), FrameError::CloseTooShort);
    check_fault(SERVER, &masked(0x88, &[3, 232, 0xff]), FrameError::ReasonNotUtf8);
    check_fault(SERVER, &masked(0x88, &[3, 232, 0xe2, 0x82]), FrameError::ReasonNotUtf8);
}

/// Text that is no UTF-8, with the number of bytes after which it can be known.
const NO_UTF8: [(&[u8], usize); 14] = [
    (b"ok\xff", 3),
    (b"\x80", 1),
    (b"\xc0\xaf", 1),
    (b"\xc1\xbf", 1),
    (b"\xe0\x80\xaf", 2),
    (b"\xe0\x9f\xbf", 2),
    (b"\xed\xa0\x80", 2),
    (b"\xed\xbf\xbf", 2),
    (b"\xf0\x80\x80\xaf", 2),
    (b"\xf4\x90\x80\x80", 2),
    (b"\xf5\x80\x80\x80", 1),
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited", 13),
    (b"\xe2\x82x", 3),
    (b"\xf0\x9f\x90\xc2", 4),
];

#[test]
fn text_that_cannot_become_utf8_is_refused_at_the_first_byte_that_shows_it() {
    for (bytes, known_at_bytes) in NO_UTF8 {
        let whole = masked(0x81, bytes);
        let header_bytes = whole.len() - bytes.len();
        let one_by_one: Vec<_> = bytes
            .iter()
            .enumerate()
            .map(|(index, byte)| masked(if index == 0 { 0x01 } else { 0x00 }, &[*byte]))
            .collect();
        // As one frame, and as fragments of a byte each; further bytes never come.
        for known_at in 1..=bytes.len() {
            let in_frame = read(SERVER, whole[..header_bytes + known_at].chunks(1)).0;
            let in_one_part = read(SERVER, [&whole[..header_bytes + known_at]]).0;
            let in_fragments = read(SERVER, [&one_by_one[..known_at].concat()[..]]).0;
            let want = match known_at < known_at_bytes {
                true => Vec::new(),
                false => vec![Got::Fault(FrameError::TextNotUtf8)],
            };
            assert_eq!(in_fragments, want, "{bytes:x?} after {known_at}");
            assert_eq!(in_frame, want, "{bytes:x?} after {known_at}");
            assert_eq!(in_one_part, want, "{bytes:x?} after {known_at}");
        }
        check_fault(SERVER, &whole, FrameError::TextNotUtf8);
        check_fault(SERVER, &one_by_one.concat(), FrameError::TextNotUtf8);
        check(SERVER, &masked(0x82, bytes), &[Got::Binary(bytes.to_vec())]);
    }
}

#[test]
fn text_may_be_cut_within_a_character_but_not_end_there() {
    let bird = "\u{1f426}".as_bytes();
    for cut in 1..bird.len() {
        let stream = [masked(0x01, &bird[..cut]), masked(0x80, &bird[cut..])].concat();
        check(SERVER, &stream, &[text("\u{1f426}")]);
        check_fault(SERVER, &masked(0x81, &bird[..cut]), FrameError::TextNotUtf8);
        let ends = [masked(0x01, &bird[..cut]), masked(0x80, b"")].concat();
        check_fault(SERVER, &ends, FrameError::TextNotUtf8);
    }
}

#[test]
fn memory_follows_what_came_and_not_what_was_announced() {
    let rules = Rules { message_bytes_max: 1 << 20, ..SERVER };
    let stream = masked(0x82, &vec![1; 1 << 20]);
    let (got, reader) = read(rules, [&stream[..15]]);
    assert_eq!(got, []);
    assert!(reader.kept_bytes() < 256, "{}", reader.kept_bytes());
    let (_, reader) = read(rules, stream[..3_000].chunks(100));
    assert!(reader.kept_bytes() < 8_192, "{}", reader.kept_bytes());
    let (_, reader) = read(rules, stream.chunks(1_448));
    assert_eq!(reader.kept_bytes(), 0);
}

/// A million tiny fragments must not copy the message a million times.
#[test]
fn fragments_of_a_byte_grow_the_message_by_doubling() {
    let rules = Rules { message_bytes_max: 1 << 16, ..SERVER };
    let (mut reader, mut growths, mut kept_bytes) = (Reader::new(), 0, 0);
    for index in 0..1 << 16 {
        let mut frame = masked(if index == 0 { 0x02 } else { 0x00 }, &[1]);
        assert_eq!(reader.next(&mut ReadBuffer::new(&mut frame), rules), Ok(None));
        growths += usize::from(mem::replace(&mut kept_bytes, reader.kept_bytes()) != kept_bytes);
    }
    assert!(kept_bytes <= Reader::kept_bytes_max(rules));
    assert!(growths <= 20, "{growths}");
}

mod random;
