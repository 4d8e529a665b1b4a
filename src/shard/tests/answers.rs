//! What commands of one client come to, in which order, and in how many sends.

use super::*;

#[test]
fn every_question_has_its_answer() {
    let mut world = World::new(3, |_| ());
    let ann = world.join_room(1, "room:1");
    for (request, want) in [
        (r#""presence":{"channel":"room:1"}"#, r#""presence":{"presence":{""#),
        (r#""presence_stats":{"channel":"room:1"}"#, r#""num_clients":1"#),
        (r#""history":{"channel":"room:1","limit":5}"#, r#""epoch":""#),
        (r#""history":{"channel":"room:none","limit":5}"#, r#""epoch":""#),
        (r#""ping":{}"#, r#""ping":{}"#),
        (r#""subscribe":{"channel":"room:1"}"#, r#""code":105"#),
        (r#""subscribe":{"channel":"none:1"}"#, r#""code":102"#),
        (r#""publish":{"channel":"room:1"}"#, r#""code":107"#),
        (r#""rpc":{"method":"chat.none","data":{}}"#, r#""code":104"#),
        (r#""rpc":{"method":"other","data":{}}"#, r#""code":108"#),
        (r#""rpc":{"method":"chat.typing","data":{"channel":"room:1"}}"#, r#""rpc":{"#),
        (r#""rpc":{"method":"chat.typing","data":{}}"#, r#""code":107"#),
        (r#""unsubscribe":{"channel":"room:1"}"#, r#""unsubscribe":{}"#),
        (r#""unsubscribe":{"channel":"room:1"}"#, r#""unsubscribe":{}"#),
        (r#""none":{}"#, r#""code":104"#),
    ] {
        world.say(ann, &format!(r#"{{"id":7,{request}}}"#));
        let seen = world.take(ann);
        let answer = seen.iter().find(|text| text.contains(r#""id":7"#));
        assert!(answer.is_some_and(|text| text.contains(want)), "{request}: {seen:?}");
    }
}

/// SDKs send connect and what follows in one message.
#[test]
fn commands_behind_a_connect_have_its_subscriptions() {
    let key = key();
    let keys = Keys::build(slice::from_ref(&key)).unwrap();
    let mut world = World::with_keys(2, keys, |options| {
        options.session.insecure = false;
        options.room.namespaces[0].publish = Permission::Subscribers;
    });
    let channels: Vec<String> = (0..6).map(|n| format!("room:{n}")).collect();
    let new = NewToken { user: "ann", channels: &channels, ..NewToken::default() };
    let token = sign(&key, &ClaimRequirements::default(), &new).unwrap();
    let ann = world.upgrade(0);
    let mut message = format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#);
    for (n, channel) in channels.iter().enumerate() {
        let (publish_id, leave_id) = (10 + n, 20 + n);
        message += &format!(
            r#"
{{"id":{publish_id},"publish":{{"channel":"{channel}","data":{n}}}}}
{{"id":{leave_id},"unsubscribe":{{"channel":"{channel}"}}}}"#
        );
    }
    world.say(ann, &message);
    let said = world.take(ann).join("\n");
    for n in 0..channels.len() {
        assert!(said.contains(&format!(r#"{{"id":{},"publish":{{}}}}"#, 10 + n)), "{said}");
        assert!(said.contains(&format!(r#"{{"id":{},"unsubscribe":{{}}}}"#, 20 + n)), "{said}");
    }
    assert_eq!(
        world.shards[0].sessions().fanout().channels().subscribers_count(),
        0,
        "it left all of them"
    );
}

/// Wherever the room lives, and in one frame or in several.
#[test]
fn commands_behind_a_subscribe_take_effect_in_order() {
    for home in 0..2 {
        let mut world = World::new(2, |_| ());
        let channel = world.channel_of(home);
        let ben = world.join_room(1, &channel);
        let ann = world.join(0);
        let command =
            |id: u32, what: &str| format!(r#"{{"id":{id},"{what}":{{"channel":"{channel}"}}}}"#);
        let three = ["subscribe", "unsubscribe", "subscribe"];
        let together: Vec<String> =
            three.iter().zip(10..).map(|(what, id)| command(id, what)).collect();
        let hello = format!(r#"{{"id":13,"publish":{{"channel":"{channel}","data":"hello"}}}}"#);
        world.say(ann, &format!("{}\n{hello}", together.join("\n")));
        let said = world.take(ann).join("\n");
        assert!(!said.contains("error"), "{said}");
        assert!(said.contains(r#""data":"hello""#), "it is in, and hears itself: {said}");
        // In a frame each, before the other core has read any.
        for (what, id) in ["unsubscribe", "subscribe", "unsubscribe", "subscribe"].iter().zip(20..)
        {
            world.queue(ann, &frame(&command(id, what)));
        }
        world.settle();
        let said = world.take(ann).join("\n");
        assert!(!said.contains("error"), "{said}");
        world.take(ben);
        world.say(ben, &publish(&channel, 5));
        assert!(world.take(ann).join("\n").contains(r#""pub""#), "the last command counts");
        world.queue(ann, &frame(&command(30, "unsubscribe")));
        for (what, id) in three.iter().zip(31..) {
            world.queue(ann, &frame(&command(id, what)));
        }
        // And it goes before the answers.
        world.shards[0].on_event(world.now, Event::Gone(id(ann), DisconnectReason::Closed));
        world.settle();
        let members: u32 =
            world.shards[usize::from(home)].home().rooms().members().map(|one| one.2).sum();
        assert_eq!(members, 1, "only ben is left");
    }
}

/// A peer that has sent its commands in one message, up to where the home of
/// the room has not answered yet.
fn half_answered(commands: &[&str]) -> (World, Peer) {
    let mut world = World::new(2, |_| ());
    let far = world.channel_of(1);
    let ann = world.join(0);
    let text = commands.join("\n").replace("far", &far);
    world.queue(ann, &frame(&text));
    world.turn(0);
    (world, ann)
}

const PING_AND_FAR: [&str; 2] =
    [r#"{"id":2,"ping":{}}"#, r#"{"id":3,"subscribe":{"channel":"far"}}"#];

#[test]
fn answers_to_one_message_leave_together_though_rooms_live_elsewhere() {
    let (mut world, ann) = half_answered(&PING_AND_FAR);
    let before = world.peers[&ann].sends_count;
    assert_eq!(world.take(ann), [""; 0], "the first answer waits for the second");
    world.settle();
    let seen = world.take(ann);
    assert!(seen[0].starts_with(r#"{"id":2"#) && seen[1].starts_with(r#"{"id":3"#), "{seen:?}");
    assert_eq!(world.peers[&ann].sends_count, before + 1);
}

#[test]
fn answers_do_not_wait_for_a_home_in_trouble() {
    let (mut world, ann) = half_answered(&PING_AND_FAR);
    let wake = world.shards[0].next_wake().unwrap();
    assert_eq!(wake, world.now.tick.plus_ms(20));
    world.now.tick = wake;
    world.turn(0);
    assert!(world.take(ann)[0].starts_with(r#"{"id":2"#));
    assert!(world.shards[0].next_wake().is_none_or(|next| wake.plus_ms(20) < next));
    world.settle();
    assert!(world.take(ann)[0].starts_with(r#"{"id":3"#));
}

#[test]
fn what_else_a_connection_is_told_does_not_overtake_its_answers() {
    let (mut world, ann) = half_answered(&PING_AND_FAR);
    let mut ping = BytesMut::new();
    put_masked_frame(&mut ping, Opcode::Ping, b"", [1, 2, 3, 4]);
    world.queue(ann, &ping);
    world.turn(0);
    let seen = world.take(ann);
    assert!(seen[0].starts_with(r#"{"id":2"#) && seen[1] == "pong", "{seen:?}");
}

#[test]
fn who_leaves_while_answers_wait_leaves_nothing_behind() {
    let (mut world, ann) = half_answered(&PING_AND_FAR);
    world.shards[0].on_event(world.now, Event::Gone(id(ann), DisconnectReason::Reset));
    world.turn(0);
    assert!(world.shards[0].sessions().queue().len() == 0);
    world.settle();
    assert_eq!(world.shards[1].home().rooms().members().count(), 0, "it was let in, and out again");
}

#[test]
fn long_answers_do_not_pile_up_for_one_who_asks_again_and_again() {
    let mut world = World::new(1, |options| options.session.outbox_bytes_max = 4_096);
    let ann = world.join_room(0, "room:1");
    let long = "x".repeat(1_000);
    for id in 3..6 {
        world.say(
            ann,
            &format!(r#"{{"id":{id},"publish":{{"channel":"room:1","data":"{long}"}}}}"#),
        );
    }
    world.take(ann);
    let history = |id| format!(r#"{{"id":{id},"history":{{"channel":"room:1","limit":9}}}}"#);
    world.say(ann, &(10..30).map(history).collect::<Vec<_>>().join("\n"));
    let seen = world.take(ann);
    let bytes: usize = seen.iter().map(String::len).sum();
    assert!(bytes < 4_096 + 2 * 4_096, "{bytes} B in one turn");
    assert_eq!(seen.len(), 20, "every command has its answer");
    assert!(seen[0].contains(&long) && seen[19].contains(r#""code":111"#), "{}", seen[19]);
}

#[test]
fn pages_that_wait_for_the_last_one_take_room_in_the_outbox() {
    let mut world = World::new(1, |options| options.session.outbox_bytes_max = 4_096);
    let ann = world.join(0);
    let channels: Vec<String> = (1..=9).map(|number| format!("room:{number}")).collect();
    for channel in &channels {
        let data = "x".repeat(1_000);
        world.say(ann, &format!(r#"{{"id":2,"subscribe":{{"channel":"{channel}"}}}}"#));
        world.say(
            ann,
            &format!(r#"{{"id":3,"publish":{{"channel":"{channel}","data":"{data}"}}}}"#),
        );
    }
    world.take(ann);
    let data = serde_json::json!({ "channels": channels });
    world.say(ann, &format!(r#"{{"id":4,"rpc":{{"method":"chat.history","data":{data}}}}}"#));
    let seen = world.take(ann);
    let [answer] = &*seen else { panic!("{seen:?}") };
    let count = |part: &str| answer.matches(part).count();
    let (pages, refusals) = (count(r#""publications":[{"#), count(r#""code":111"#));
    assert_eq!((pages, refusals), (4, 5), "{answer}");
    assert!(answer.len() < 2 * 4_096, "{} B", answer.len());
}
