//! The way for millions of deliveries a second: publications in Protobuf, found
//! in received bytes without a call for each field.
//!
//! It takes frames of one shape only (whole, unmasked, binary, one publication
//! each) and stops before anything else, which the general reader then takes.
//! So it need not judge: what it does not know, is somebody else's.
//!
//! Deliberately absent: errors.

/// One publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its place in the stream.
    pub offset: u64,
    /// What was published.
    pub data: &'a [u8],
    /// Bytes of its whole frame.
    pub frame_bytes: usize,
}

/// FIN and opcode 2 (RFC 6455, 5.2).
const WHOLE_BINARY: u8 = 0x82;

/// Tags of the protocol: field number and wire type.
const REPLY_PUSH: u8 = 4 << 3 | 2;
const PUSH_CHANNEL: u8 = 2 << 3 | 2;
const PUSH_PUB: u8 = 4 << 3 | 2;
const PUB_DATA: u8 = 4 << 3 | 2;
const PUB_OFFSET: u8 = 6 << 3;

/// The publication in the frame at the start of `bytes`; `None` for a frame of
/// another shape, or one that is cut.
#[inline]
pub fn publication(bytes: &[u8]) -> Option<Found<'_>> {
    let (header_bytes, payload_bytes) = match *bytes.get(..4)? {
        [WHOLE_BINARY, length @ 0..=125, ..] => (2, usize::from(length)),
        [WHOLE_BINARY, 126, high, low] => (4, usize::from(u16::from_be_bytes([high, low]))),
        _ => return None,
    };
    let frame_bytes = header_bytes + payload_bytes;
    let mut rest = bytes.get(header_bytes..frame_bytes)?;
    let mut reply = whole(&mut rest)?;
    let mut push = after(&mut reply, REPLY_PUSH)?;
    if !rest.is_empty() || !reply.is_empty() {
        return None;
    }
    after(&mut push, PUSH_CHANNEL)?;
    let mut publication = after(&mut push, PUSH_PUB)?;
    if !push.is_empty() {
        return None;
    }
    let (mut offset, mut data) = (None, None);
    while let Some((tag, behind)) = publication.split_first() {
        publication = behind;
        match *tag {
            PUB_DATA => data = Some(whole(&mut publication)?),
            PUB_OFFSET => offset = Some(varint(&mut publication)?),
            // Numbers of more than four bits have longer tags.
            tag if 0x80 <= tag => return None,
            tag if tag & 7 == 2 => {
                whole(&mut publication)?;
            }
            tag if tag & 7 == 0 => {
                varint(&mut publication)?;
            }
            _ => return None,
        }
    }
    Some(Found { offset: offset?, data: data?, frame_bytes })
}

/// The bytes behind a tag and their length, when it is the next tag.
#[inline]
fn after<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, behind) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    *rest = behind;
    whole(rest)
}

/// The bytes behind their length.
#[inline]
fn whole<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let bytes = varint(rest)?;
    let (taken, behind) = rest.split_at_checked(usize::try_from(bytes).ok()?)?;
    *rest = behind;
    Some(taken)
}

#[inline]
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, byte) in rest.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            *rest = &rest[index + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    use bytes::{Bytes, BytesMut};
    use rookery::base::{ClientId, Prng};
    use rookery::wire::client::publications;
    use rookery::wire::{
        ClientInfo, Encoding, Message, Payload, Publication, PublicationForm, Push, encode,
    };
    use rookery::ws::{Opcode, put_frame};
    use std::sync::Arc;

    fn frame(offset: u64, data: &[u8], from: Option<&str>) -> Vec<u8> {
        let info = from.map(|user| {
            let client = ClientId::from_random(77);
            Arc::new(ClientInfo { user: user.into(), client, conn_info: None })
        });
        let publication = Publication {
            offset,
            data: Payload { bytes: Bytes::copy_from_slice(data), is_json: true },
            info,
            chan_info: None,
            tags: vec![("a".into(), "b".into()); offset as usize % 2],
            time_unix_ms: 1_700_000_000_000,
            trace: None,
        };
        let push = Push::Publication(&publication, PublicationForm::Plain);
        let mut payload = BytesMut::new();
        encode(Encoding::Protobuf, &Message::Push { channel: "room:1", push }, &mut payload);
        let mut frame = BytesMut::new();
        put_frame(&mut frame, Opcode::Binary, &payload);
        frame.to_vec()
    }

    #[test]
    fn it_finds_what_the_general_reader_finds() {
        let mut prng = Prng::from_seed(4);
        for _ in 0..500 {
            let bits = prng.below(60);
            let offset = 1 + prng.below(1 << bits);
            let data = vec![b'1'; 1 + prng.below(400) as usize];
            let from = (prng.below(2) == 0).then_some("user");
            let frame = frame(offset, &data, from);
            let header_bytes = if frame[1] < 126 { 2 } else { 4 };
            let general = publications(Encoding::Protobuf, &frame[header_bytes..]).next();
            let general = general.unwrap().unwrap().unwrap();
            let found = publication(&frame).unwrap();
            assert_eq!((found.offset, found.data), (general.offset, general.data));
            assert_eq!((found.offset, found.frame_bytes), (offset, frame.len()));
        }
    }

    #[test]
    fn a_cut_frame_is_left_alone_and_a_spoiled_one_harms_nobody() {
        let whole = frame(300, b"\"data\"", Some("me"));
        for cut in 0..whole.len() {
            assert_eq!(publication(&whole[..cut]), None, "{cut}");
        }
        let mut prng = Prng::from_seed(8);
        for _ in 0..20_000 {
            let mut spoiled = whole.clone();
            let at = prng.below(spoiled.len() as u64) as usize;
            spoiled[at] = prng.draw() as u8;
            if let Some(found) = publication(&spoiled) {
                assert!(found.frame_bytes <= spoiled.len());
            }
        }
    }

    #[test]
    fn other_frames_are_not_for_it() {
        for payload in [&b"\0"[..], b"\x02\x08\x05", b"", b"\x7f"] {
            for opcode in [Opcode::Binary, Opcode::Text, Opcode::Close] {
                let mut out = BytesMut::new();
                put_frame(&mut out, opcode, payload);
                assert_eq!(publication(&out), None);
            }
        }
    }
}
