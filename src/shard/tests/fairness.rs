//! What one peer does at its worst costs others nothing that has no bound.

use super::*;
use crate::base::limits::{
    PARTIAL_MESSAGES_BYTES_MAX, POSTPONED_PER_CONNECTION_BYTES_MAX, TURN_POSTPONED_COUNT_MAX,
    TURN_SHARE_COUNT_MAX,
};

impl World {
    /// Feeds a peer's bytes in pieces as a ring does.
    fn feed_in_pieces(&mut self, peer: Peer, bytes: &[u8]) {
        for piece in bytes.chunks(2_048) {
            self.feed(peer, piece);
        }
    }
}

fn control(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    put_masked_frame(&mut frame, opcode, payload, [7; 4]);
    frame.to_vec()
}

#[test]
fn a_flood_of_control_frames_is_answered_to_the_quota_and_then_ends() {
    for opcode in [Opcode::Ping, Opcode::Pong] {
        let mut world = World::new(1, |options| options.session.outbox_bytes_max = 1 << 20);
        let flooder = world.join_room(0, "room:1");
        let ann = world.join_room(0, "room:1");
        world.take(flooder);
        for _ in 0..40 {
            world.feed_in_pieces(flooder, &control(opcode, b"").repeat(100));
            world.settle();
        }
        assert_eq!(world.take(flooder).last().map(String::as_str), Some("close 3013"));
        world.say(ann, &publish("room:1", 9));
        assert!(world.take(ann).iter().any(|text| text.contains(r#""id":9,"publish""#)));
    }
}

#[test]
fn a_stranger_may_ping_a_little_and_is_then_sent_away() {
    let mut world = World::new(1, |_| ());
    let stranger = world.upgrade(0);
    world.feed_in_pieces(stranger, &control(Opcode::Ping, b"").repeat(100));
    world.settle();
    assert_eq!(world.take(stranger).last().map(String::as_str), Some("close 3013"));
}

#[test]
fn fragments_of_nothing_are_counted() {
    let mut world = World::new(1, |_| ());
    let flooder = world.join_room(0, "room:1");
    // The beginning of a text message, and continuations without a byte.
    let mut begun = vec![0x01, 0x80, 1, 2, 3, 4];
    for _ in 0..2_000 {
        begun.extend([0x00, 0x80, 1, 2, 3, 4]);
    }
    for _ in 0..20 {
        world.feed_in_pieces(flooder, &begun[6..]);
        world.feed_in_pieces(flooder, &begun[..6]);
        world.settle();
    }
    assert!(world.take(flooder).last().is_some_and(|text| text.starts_with("close ")));
}

#[test]
fn half_messages_have_a_bound_for_all_together_and_the_largest_goes() {
    const EACH: usize = 60_000;
    let count = PARTIAL_MESSAGES_BYTES_MAX / EACH + 20;
    let mut world = World::new(1, |options| {
        options.connections_max = 10_000;
        options.handshakes_max = 10_000;
        options.ws.message_bytes_max = 64 << 10;
        options.session.bytes_burst = u32::MAX;
    });
    let small = world.join_room(0, "room:1");
    let text = frame(&format!("{{\"id\":9,\"ping\":{{\"x\":\"{}\"}}}}", "y".repeat(2_000)));
    world.feed(small, &text[..1_000]);
    let half = frame(&"x".repeat(64_000));
    let peers: Vec<Peer> = (0..count).map(|_| world.join_room(0, "room:2")).collect();
    for &peer in &peers {
        world.feed_in_pieces(peer, &half[..EACH]);
        world.settle();
        assert!(world.shards[0].audit().partial_messages_bytes <= PARTIAL_MESSAGES_BYTES_MAX);
    }
    let mut closed = 0;
    for &peer in &peers {
        closed += usize::from(world.take(peer).iter().any(|text| text == "close 3013"));
    }
    assert!((1..60).contains(&closed), "{closed} of {count}");
    world.feed(small, &text[1_000..]);
    world.settle();
    assert!(world.take(small).iter().any(|text| text.contains(r#""id":9"#)), "the small one stays");
    for peer in peers.into_iter().chain([small]) {
        world.shards[0].on_event(world.now, Event::Gone(id(peer), DisconnectReason::Reset));
    }
    world.settle();
    assert_eq!(world.shards[0].audit().partial_messages_bytes, 0);
}

/// The messages that a connect command brings are in one frame.
#[test]
fn a_connect_recovers_no_more_than_the_outbox_holds() {
    const OUTBOX: usize = 200_000;
    let keys = Keys::build(&[key()]).unwrap();
    let mut world = World::with_keys(2, keys, |options| {
        options.session.outbox_bytes_max = OUTBOX as u32;
        // Whose epoch has no seal.
        options.room.namespaces[0].see_history = Permission::Subscribers;
    });
    let channels: Vec<String> = (0..60).map(|n| format!("room:{n}")).collect();
    let author = world.join(0);
    let data = "z".repeat(1_000);
    let mut subs = Vec::new();
    for (channel, id) in channels.iter().zip((10..).step_by(20)) {
        world.say(author, &format!(r#"{{"id":{id},"subscribe":{{"channel":"{channel}"}}}}"#));
        let subscribed = world.take(author).join("");
        let at = subscribed.find(r#""epoch":""#).unwrap() + 9;
        let epoch = subscribed[at..].split('"').next().unwrap();
        subs.push(format!(r#""{channel}":{{"recover":true,"epoch":"{epoch}","offset":0}}"#));
        for more in 1..=10 {
            let publish = format!(r#""publish":{{"channel":"{channel}","data":"{data}"}}"#);
            world.say(author, &format!(r#"{{"id":{},{publish}}}"#, id + more));
        }
    }
    let new = NewToken { user: "ann", channels: &channels, ..NewToken::default() };
    let token = sign(&key(), &ClaimRequirements::default(), &new).unwrap();
    let subs = subs.join(",");
    let peer = world.upgrade(0);
    world.say(peer, &format!(r#"{{"id":1,"connect":{{"token":"{token}","subs":{{{subs}}}}}}}"#));
    let answer = world.take(peer).into_iter().find(|text| text.contains(r#""connect""#)).unwrap();
    assert!((OUTBOX / 2..2 * OUTBOX).contains(&answer.len()), "{} bytes", answer.len());
    assert!(answer.contains(r#""recovered":true"#) && answer.contains(r#""was_recovering":true"#));
}

/// So many commands in one message, numbered from 1,000 on.
fn batch(count: usize, request: &str) -> String {
    let lines = (1_000..1_000 + count).map(|id| format!(r#"{{"id":{id},{request}}}"#));
    lines.collect::<Vec<_>>().join("\n")
}

/// Ids of the answers, in the order in which they came.
fn answered(seen: &[String]) -> Vec<u64> {
    let lines = seen.iter().flat_map(|text| text.lines());
    let ids = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    ids.filter_map(|reply| reply["id"].as_u64()).filter(|id| 1_000 <= *id).collect()
}

#[test]
fn who_says_a_thousand_things_at_once_is_served_a_share_in_each_turn() {
    const COUNT: usize = 600;
    let mut world = World::new(1, |options| options.session.outbox_bytes_max = 1 << 20);
    let crowd: Vec<Peer> = (0..20).map(|_| world.join(0)).collect();
    let ben = world.join(0);
    let text = frame(&batch(COUNT, r#""ping":{}"#));
    for &peer in &crowd {
        text.chunks(4_096).for_each(|piece| world.queue(peer, piece));
    }
    world.queue(ben, &frame(&batch(1, r#""ping":{}"#)));
    world.turn(0);
    assert_eq!(answered(&world.take(ben)), [1_000], "one thing is answered in its turn");
    let mut firsts: Vec<Vec<u64>> = crowd.iter().map(|&peer| answered(&world.take(peer))).collect();
    let sum: usize = firsts.iter().map(Vec::len).sum();
    let share = crowd.len() * TURN_SHARE_COUNT_MAX + TURN_POSTPONED_COUNT_MAX;
    assert!(firsts.iter().all(|ids| !ids.is_empty()) && sum <= share, "{sum} of {share}");
    assert_eq!(world.shards[0].next_wake(), Some(MonotonicMs(0)), "it goes on at once");
    world.settle();
    for (first, &peer) in firsts.iter_mut().zip(&crowd) {
        first.extend(answered(&world.take(peer)));
        let all: Vec<u64> = (1_000..1_000 + COUNT as u64).collect();
        assert_eq!(*first, all, "each once and in order");
    }
    assert_eq!(world.shards[0].audit().postponed_bytes, 0);
}

#[test]
fn small_messages_of_one_turn_share_it() {
    let mut world = World::new(1, |_| ());
    let heavy = world.join(0);
    for _ in 0..20 {
        world.queue(heavy, &frame(&batch(10, r#""ping":{}"#)));
    }
    world.turn(0);
    let first = answered(&world.take(heavy)).len();
    assert!(first <= 2 * TURN_SHARE_COUNT_MAX + 10, "{first}");
    world.settle();
    assert_eq!(first + answered(&world.take(heavy)).len(), 200);
}

#[test]
fn a_message_is_too_long_however_many_turns_it_takes() {
    let mut world = World::new(1, |options| options.session.commands_per_s = 0);
    let heavy = world.join(0);
    world.say(heavy, &batch(1_025, r#""ping":{}"#));
    world.check_closed(heavy, 3501);
}

#[test]
fn who_goes_behind_many_commands_has_said_them() {
    let mut world = World::new(1, |options| options.session.outbox_bytes_max = 1 << 20);
    let ann = world.join_room(0, "room:1");
    let ben = world.join_room(0, "room:1");
    world.queue(ben, &frame(&batch(200, r#""publish":{"channel":"room:1","data":7}"#)));
    world.queue(ben, &control(Opcode::Ping, b"last"));
    let shard = &mut world.shards[0];
    shard.on_event(world.now, Event::Ended(id(ben)));
    world.settle();
    let seen = world.take(ann).join("\n");
    assert_eq!(seen.matches(r#""data":7"#).count(), 200);
    assert!(world.peers[&ben].gone);
}

#[test]
fn what_waits_has_a_bound_and_is_served_beyond_it() {
    let mut world = World::new(1, |options| {
        options.session.commands_per_s = 0;
        options.session.bytes_per_s = 0;
        options.session.outbox_bytes_max = 1 << 20;
    });
    let heavy = world.join(0);
    let text = frame(&batch(40, &format!(r#""ping":{{"x":"{}"}}"#, "y".repeat(100))));
    for _ in 0..100 {
        world.queue(heavy, &text);
        let waiting = world.shards[0].audit().postponed_bytes;
        assert!(waiting <= POSTPONED_PER_CONNECTION_BYTES_MAX, "{waiting}");
    }
    world.settle();
    assert_eq!(answered(&world.take(heavy)).len(), 4_000);
    world.queue(heavy, &text.repeat(3));
    world.shards[0].on_event(world.now, Event::Gone(id(heavy), DisconnectReason::Reset));
    assert_eq!(world.shards[0].audit().postponed_bytes, 0);
}

#[test]
fn what_waits_for_an_answer_is_served_by_shares_too() {
    let mut world = World::new(2, |options| options.session.outbox_bytes_max = 1 << 20);
    let channel = world.channel_of(1);
    let heavy = world.join(0);
    let subscribe = format!(r#"{{"id":9,"subscribe":{{"channel":"{channel}"}}}}"#);
    world.queue(heavy, &frame(&subscribe));
    let presence = format!(r#""presence_stats":{{"channel":"{channel}"}}"#);
    for turn in 0..20 {
        world.queue(heavy, &frame(&batch(10, &presence)));
        world.turn(0);
        assert!(world.take(heavy).is_empty(), "turn {turn}: the subscribe is not answered");
    }
    let mut request = Vec::new();
    world.shards[0].post(&mut |_, messages| request.append(messages));
    request.into_iter().for_each(|message| world.carry(0, 1, message));
    world.turn(1);
    let mut answers = Vec::new();
    world.shards[1].post(&mut |_, messages| answers.append(messages));
    answers.into_iter().for_each(|message| world.carry(1, 0, message));
    let mut asked = Vec::new();
    world.turn(0);
    world.shards[0].post(&mut |_, messages| asked.append(messages));
    assert!((1..=2 * TURN_SHARE_COUNT_MAX).contains(&asked.len()), "{}", asked.len());
    asked.into_iter().for_each(|message| world.carry(0, 1, message));
    world.settle();
    assert_eq!(answered(&world.take(heavy)).len(), 200);
}
