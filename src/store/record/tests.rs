//! Records read back equal, are small, and other bytes are errors and never panics.

use super::*;
use crate::base::{Csprng, Prng};

fn payload(text: &'static str, is_json: bool) -> Payload {
    Payload { bytes: Bytes::from_static(text.as_bytes()), is_json }
}

fn bare() -> Publication {
    Publication {
        offset: 9,
        data: payload("{\"text\":\"hello\"}", true),
        info: None,
        chan_info: None,
        tags: Vec::new(),
        time_unix_ms: 1_700_000_000_123,
        trace: None,
    }
}

fn full() -> Publication {
    let tag = |name: &str, value: &str| (Box::from(name), Box::from(value));
    let info = ClientInfo {
        user: "ann".into(),
        client: ClientId(0xfedc),
        conn_info: Some(Box::new(payload("{}", true))),
    };
    Publication {
        info: Some(Arc::new(info)),
        chan_info: Some(Arc::new(payload("\0\u{1}", false))),
        tags: vec![
            tag("id", "0a1b2c3d-0000-4fff-8000-0123456789ab"),
            tag("traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"),
            tag("sent_at_ms", "1700000000000"),
            tag("0A1B2C3D-0000-4fff-8000-0123456789ab", ""),
            tag("", "ü-and-something-that-is-no-identity-"),
        ],
        trace: Trace::parse("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"),
        ..bare()
    }
}

fn traced() -> Publication {
    Publication { trace: Some(Trace::made(&mut Csprng::from_key([1; 16]))), ..bare() }
}

fn named() -> Publication {
    let id: Box<str> = "0a1b2c3d-0000-4fff-8000-0123456789ab".into();
    let trace = Trace::of_uuid(&id);
    Publication { tags: vec![("id".into(), id)], trace, ..bare() }
}

/// Reads back equal, and every cut is garbled or something shorter.
fn check<T: PartialEq + std::fmt::Debug>(
    value: &T,
    bytes: &[u8],
    take: &dyn Fn(&[u8]) -> Result<T, DecodeError>,
) {
    assert_eq!(take(bytes).as_ref(), Ok(value));
    for len in 0..bytes.len() {
        assert_ne!(take(&bytes[..len]).as_ref(), Ok(value), "cut at {len}");
    }
    let mut other = bytes.to_vec();
    other[0] += 7;
    assert_eq!(take(&other), Err(DecodeError), "of another version");
}

#[test]
fn records_read_back_equal() {
    let empty = Publication { data: payload("", false), ..bare() };
    for message in [bare(), full(), traced(), named(), empty] {
        for changes_count in [0, 1, 1 << 40] {
            let (time_unix_ms, total_bytes) = (message.time_unix_ms, 1 << 40);
            let accounting = MessageAccounting { time_unix_ms, total_bytes, changes_count };
            let bytes = put_message(&message, total_bytes, changes_count);
            assert_eq!(take_accounting(&bytes), Ok(accounting));
            let known = (message.clone(), accounting);
            if message.data.bytes.is_empty() {
                assert_eq!(take_message(&bytes, 9), Ok(known));
            } else {
                check(&known, &bytes, &|bytes| take_message(bytes, 9));
            }
        }
    }
    for parties in [None, Some([RoomId(1), RoomId(u128::MAX)])] {
        let channel = ChannelRecord {
            epoch: Epoch(0xdead_beef),
            created_unix_ms: 1_700_000_000_000,
            losses_count: u32::MAX,
            first: 1,
            below_bytes: 0,
            head: u64::MAX,
            total_bytes: 300,
            last_unix_ms: 5,
            removed: None,
            parties,
            tenant: "".into(),
            channel: "room:ü".into(),
        };
        check(&channel, &channel.put(), &ChannelRecord::take);
        // As it was written before anybody asked when a stream began.
        let mut old = channel.put();
        old[0] = VERSION;
        // Behind the numbers of one byte and of ten stand two of one and two bytes.
        let last_at = 5 + 6 + 5 + 1 + 1 + 10 + 2;
        assert_eq!(old.remove(last_at), 5);
        old.drain(5..11);
        let unknown = ChannelRecord { created_unix_ms: 0, last_unix_ms: 0, ..channel };
        assert_eq!(ChannelRecord::take(&old), Ok(unknown.clone()));
        let removed = Some(RemovedHistory { last: 300, left_from: 7 });
        let channel = ChannelRecord { removed, ..unknown };
        check(&channel, &channel.put(), &ChannelRecord::take);
    }
    let marks = ReadMarkers { delivered: 300, read: 299 };
    check(&marks, &put_markers(marks), &take_markers);
    let boot_record = BootRecord { boot_id: u64::MAX, losses_count: 3 };
    check(&boot_record, &boot_record.put(), &BootRecord::take);
    check(&RoomId(77), &put_conversation(RoomId(77)), &take_conversation);
    for id in ["0a1b2c3d-0000-4fff-8000-0123456789ab", "mine", "id"] {
        let (user, id, time_unix_ms) = ("ann".into(), id.into(), 1_700_000_000_123);
        let known = KnownId { user, id, offset: 7, time_unix_ms };
        let bytes = put_id(time_unix_ms, "ann", &known.id);
        check(&known, &bytes, &|bytes| take_id(bytes, 7));
    }
    let message = put_message(&bare(), 1, 0);
    let pending = PendingRecord { tries_count: 300, expires_unix_ms: 1 << 41, message };
    check(&pending, &pending.put(), &PendingRecord::take);
    for cause in [DeadLetterCause::Attempts, DeadLetterCause::Expired] {
        let dead = DeadLetterRecord { cause, at_unix_ms: 5, pending: pending.clone() };
        check(&dead, &dead.put(), &DeadLetterRecord::take);
    }
}

#[test]
fn a_message_takes_little_more_than_its_data() {
    let overhead =
        |message: &Publication| put_message(message, 1 << 30, 0).len() - message.data.bytes.len();
    assert!(overhead(&bare()) <= 16, "{}", overhead(&bare()));
    let mut chat = full();
    chat.tags.truncate(2);
    chat.chan_info = None;
    Arc::make_mut(chat.info.as_mut().unwrap()).conn_info = None;
    // An id, a trace, the author: 24 bytes of key come to these, so 96 hold.
    assert!(overhead(&chat) <= 84, "{}", overhead(&chat));
}

#[test]
fn garbage_is_garbled_and_never_a_panic() {
    let mut prng = Prng::from_seed(5);
    let originals =
        [put_message(&full(), 9, 0), put_message(&bare(), 1, 0), put_conversation(RoomId(4))];
    let mut undecodable_count = 0;
    for round in 0..20_000 {
        let mut bytes = originals[round % originals.len()].clone();
        for _ in 0..=prng.below(4) {
            let at = prng.below(bytes.len() as u64) as usize;
            bytes[at] = prng.draw() as u8;
        }
        bytes.truncate(prng.below(bytes.len() as u64 + 1) as usize);
        undecodable_count += u32::from(take_message(&bytes, 1).is_err());
        let _ = take_accounting(&bytes);
        let _ = ChannelRecord::take(&bytes);
        let _ = take_markers(&bytes);
        let _ = take_conversation(&bytes);
        let _ = PendingRecord::take(&bytes);
        let _ = DeadLetterRecord::take(&bytes);
    }
    assert!(1_000 < undecodable_count);
    // A count of tags beyond the bytes, and a length beyond them.
    let tags = [VERSION, HAS_TAGS, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1];
    assert_eq!(take_message(&tags, 1), Err(DecodeError));
    assert_eq!(take_message(&[VERSION, HAS_INFO, 0, 0, 0xff, 0x7f], 1), Err(DecodeError));
    assert_eq!(take_message(&[VERSION, 1 << 7, 0, 0], 1), Err(DecodeError), "a flag nobody knows");
    assert_eq!(take_markers(&[VERSION, 1, 2]), Err(DecodeError), "read before it arrived");
    assert_eq!(take_markers(&[VERSION, 0x80, 0, 0]), Err(DecodeError), "a longer form of 0");
}
