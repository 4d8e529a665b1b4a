//! What backends ask of rooms, by the server API.

use super::*;
use crate::base::UserHash;
use crate::room::{ChannelKey, RetractRight, RoomOp, RoomReply};
use crate::session::{ServerChat, ServerPublish};
use crate::shard::{ServerAnswer, ServerAsk, ServerOp, ServerQuestion, ServerReply};
use crate::wire::chat::Method;
use crate::wire::{ErrorCode, Payload};

fn publish(channel: &str, id: Option<&str>) -> ServerOp {
    ServerOp::Publish(Box::new(ServerPublish {
        channel_key: ChannelKey { tenant: "".into(), channel: channel.into(), namespace: 0 },
        data: Payload { bytes: "{\"n\":1}".into(), is_json: true },
        tags: vec![("kind".into(), "note".into())],
        id: id.map(Into::into),
    }))
}

/// A chat method in `room:1`, as a user.
fn chat(user: &str, right: RetractRight, method: Method, more: &str) -> ServerOp {
    let data = format!(r#"{{"channel":"room:1"{more}}}"#).into_bytes().into();
    ServerOp::Chat(Box::new(ServerChat {
        tenant: "".into(),
        user: user.into(),
        method,
        data,
        right,
    }))
}

/// Asks the home of a channel, in a turn of its own.
fn asked(world: &mut World, channel: &str, ops: Vec<ServerOp>) -> Vec<ServerAnswer> {
    let room = NAMES.room("", channel);
    let home = usize::from(world.shards[0].mesh().home(room).0);
    let question = |(index, op)| {
        let id = index as u32 + 1;
        ServerQuestion { id, asker: UserHash::NOBODY, ask: ServerAsk::Room(room, op) }
    };
    let questions = ops.into_iter().enumerate().map(question).collect();
    let (now, mut out) = (world.now, Vec::new());
    world.shards[home].on_shard_command(now, ShardCommand::Server(questions), &mut out);
    world.settle();
    world.shards[home].take_server_answers()
}

fn offset(answer: &ServerAnswer) -> u64 {
    match &answer.reply {
        ServerReply::Room(RoomReply::Posted(ack)) => ack.position.offset,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_backend_is_heard_on_every_core_and_answered_once() {
    let mut world = World::new(3, |_| ());
    let peers: Vec<Peer> = (0..3).map(|shard| world.join_room(shard, "room:1")).collect();
    for &peer in &peers {
        world.take(peer);
    }
    let answers =
        asked(&mut world, "room:1", vec![publish("room:1", None), publish("room:1", None)]);
    assert_eq!(answers.iter().map(|one| one.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(answers.iter().map(offset).collect::<Vec<_>>(), [1, 2]);
    for &peer in &peers {
        let seen = world.take(peer);
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(seen[0].contains(r#""data":{"n":1}"#) && seen[0].contains(r#""kind":"note""#));
        assert!(!seen[0].contains(r#""info""#), "the server has no name: {seen:?}");
    }
}

#[test]
fn a_repeated_id_has_its_place_and_nobody_without_a_name_takes_it() {
    let mut world = World::new(2, |_| ());
    let repeated = vec![publish("room:1", Some("k")), publish("room:1", Some("k"))];
    let answers = asked(&mut world, "room:1", repeated);
    assert_eq!(answers.iter().map(offset).collect::<Vec<_>>(), [1, 1]);
    // An anonymous peer with the same id says something of its own.
    let anonymous = world.join_room(0, "room:1");
    world.say(
        anonymous,
        r#"{"id":5,"rpc":{"method":"chat.publish","data":{"channel":"room:1","id":"k","data":1}}}"#,
    );
    let seen = world.take(anonymous).join("\n");
    assert!(seen.contains(r#""offset":2"#), "{seen}");
    let again = asked(&mut world, "room:1", vec![publish("room:1", Some("k"))]);
    assert_eq!(offset(&again[0]), 1);
}

#[test]
fn a_room_that_is_not_there_is_asked_like_any_other() {
    let mut world = World::new(2, |_| ());
    let presence = vec![ServerOp::Room(RoomOp::Presence), ServerOp::Room(RoomOp::PresenceStats)];
    let answers = asked(&mut world, "room:9", presence);
    let ServerReply::Room(RoomReply::Presence(clients)) = &answers[0].reply else {
        panic!("{answers:?}")
    };
    assert!(clients.is_empty());
    let ServerReply::Room(reply) = &answers[1].reply else { panic!("{answers:?}") };
    assert!(matches!(reply, RoomReply::PresenceStats { clients: 0, users: 0 }));
}

#[test]
fn the_limit_of_a_room_counts_for_backends_too() {
    let mut world = World::new(1, |options| options.room.namespaces[0].publish_per_s_max = 3);
    let answers = asked(&mut world, "room:1", vec![publish("room:1", None); 10]);
    let refused = |one: &&ServerAnswer| {
        matches!(one.reply, ServerReply::Room(RoomReply::Rejected(ErrorCode::TooManyRequests)))
    };
    assert_eq!((answers.len(), answers.iter().filter(refused).count()), (10, 7));
}

#[test]
fn a_backend_speaks_as_a_user_and_is_refused_as_one() {
    use RetractRight::{Author, Moderator};
    let mut world = World::new(3, |options| options.room.namespaces[0].data_bytes_max = 20);
    let peers: Vec<Peer> = (0..3).map(|shard| world.join_room(shard, "room:1")).collect();
    for &peer in &peers {
        world.take(peer);
    }
    let long = format!(r#","data":"{}""#, "a".repeat(20));
    let answers = asked(
        &mut world,
        "room:1",
        vec![
            chat("ann", Author, Method::Publish, r#","id":"k","data":1"#),
            chat("ann", Author, Method::Publish, r#","id":"k","data":1"#),
            chat("bob", Moderator, Method::Edit, r#","offset":1,"data":2"#),
            chat("ann", Author, Method::Edit, r#","offset":1,"data":2"#),
            chat("ann", Author, Method::Publish, &long),
            chat("bob", Author, Method::Retract, r#","offset":1"#),
            chat("bob", Moderator, Method::Retract, r#","offset":1"#),
            chat("ann", Author, Method::Read, r#","offset":1"#),
            chat("ann", Author, Method::React, r#","offset":9,"value":"a""#),
        ],
    );
    let told = |one: &ServerAnswer| match &one.reply {
        ServerReply::Room(RoomReply::Posted(ack)) => format!("offset {}", ack.position.offset),
        ServerReply::Room(RoomReply::Rejected(code)) => format!("code {}", code.parts().0),
        ServerReply::Room(RoomReply::InvalidField(field)) => format!("field {}", field.name()),
        ServerReply::Room(RoomReply::Done) => "done".to_owned(),
        other => panic!("{other:?}"),
    };
    let mut by_id: Vec<(u32, String)> = answers.iter().map(|one| (one.id, told(one))).collect();
    by_id.sort_unstable();
    let told: Vec<&str> = by_id.iter().map(|(_, text)| &**text).collect();
    let want = [
        "offset 1",
        "offset 1",
        "code 103",
        "offset 2",
        "code 106",
        "code 103",
        "done",
        "code 108",
        "field offset",
    ];
    assert_eq!(told, want);
    for &peer in &peers {
        let seen = world.take(peer).join("\n");
        assert!(seen.contains(r#""info":{"user":"ann","client":"00000000-0000-"#), "{seen}");
        assert!(seen.contains(r#""info":{"user":"bob""#), "who took it back: {seen}");
    }
}
