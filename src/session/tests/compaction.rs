//! Channels that pushes call by a number.

use std::collections::BTreeMap;

use super::*;

/// What the client is told of this channel, which it subscribes to with these members, and whether
/// pushes are to call it by the number.
fn come_in(harness: &mut SessionHarness, channel: &str, members: &str) -> (String, bool) {
    harness.command(&format!(r#""subscribe":{{"channel":"{channel}"{members}}}"#));
    let room = harness.asked().0;
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    let compact = harness.out.effects().iter().find_map(|effect| match effect {
        Effect::AddSubscriber { wants, .. } => Some(wants.compact),
        _ => None,
    });
    let told = harness.text();
    harness.session.activate(room, SubscriberSlot { channel: 3, index: 4 });
    (told, compact.expect("it is in"))
}

fn harness(channel_compaction: bool) -> SessionHarness {
    let mut harness = SessionHarness::connected();
    harness.rooms.namespaces[0].channel_compaction = channel_compaction;
    harness
}

fn room(channel: &str) -> RoomId {
    NameKey([1, 2]).room("", channel)
}

#[test]
fn a_number_is_for_who_asks_where_the_namespace_has_them() {
    let id = format!(r#""id":{}}}"#, room("room:1").compact());
    for (has, members, is_compact) in [
        (true, r#","flag":1"#, true),
        (true, r#","flag":3"#, true),
        (true, r#","flag":2"#, false),
        (true, "", false),
        (false, r#","flag":1"#, false),
    ] {
        let (told, compact) = come_in(&mut harness(has), "room:1", members);
        assert_eq!((told.contains(&id), compact), (is_compact, is_compact), "{told}");
        assert_eq!(told.matches(r#""id":"#).count(), 1 + usize::from(is_compact), "{told}");
    }
}

#[test]
fn the_second_of_two_channels_with_one_number_keeps_its_name() {
    let mut by_number: BTreeMap<u32, String> = BTreeMap::new();
    let (first, second) = (0..100_000)
        .find_map(|n| {
            let channel = format!("room:{n}");
            let other = by_number.insert(room(&channel).compact(), channel.clone());
            other.map(|other| (other, channel))
        })
        .expect("of 100,000 channels two have the same of 2,097,152 numbers");
    let mut harness = harness(true);
    assert!(come_in(&mut harness, &first, r#","flag":1"#).1);
    let (told, compact) = come_in(&mut harness, &second, r#","flag":1"#);
    assert!(!compact && told.matches(r#""id":"#).count() == 1, "{told}");
    assert!(come_in(&mut harness, "room:another", r#","flag":1"#).1);
}

#[test]
fn in_protobuf_a_number_is_for_programs_that_are_known_to_tell_them_apart() {
    for (name, is_compact) in
        [("python", true), ("go", true), ("js", false), ("an app", false), ("", false)]
    {
        let mut harness = SessionHarness::new();
        harness.rooms.namespaces[0].channel_compaction = true;
        harness.command(&format!(r#""connect":{{"token":"{}","name":"{name}"}}"#, user("ann")));
        harness.encoding = Encoding::Protobuf;
        harness.command(r#""subscribe":{"channel":"room:1","flag":1}"#);
        let room = harness.asked().0;
        harness.answer(room, RoomReply::Subscribed(subscribed(0)));
        let is_told =
            harness.out.effects().iter().any(
                |effect| matches!(effect, Effect::AddSubscriber { wants, .. } if wants.compact),
            );
        assert_eq!(is_told, is_compact, "{name:?}");
    }
}
