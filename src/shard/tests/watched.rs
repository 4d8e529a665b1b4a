//! What a shard says of its work and of its connections to whoever looks.

use super::*;

#[test]
fn whose_work_a_core_does_is_there_before_it_is_done() {
    let mut world = World::new(2, |_| ());
    let room = world.channel_of(0);
    let (near, far) = (world.join_room(0, &room), world.join_room(1, &room));
    let client_of = |world: &World, peer: Peer| {
        let session =
            world.shards[peer.0].sessions().connections().session(id(peer)).expect("it is open");
        session.who().map(|who| who.client)
    };
    let busy = |world: &World, core: usize| world.cells[core].read_pulse().current_work;
    // Within the turn, when the message was read and its room was not asked yet.
    let client = client_of(&world, near);
    world.queue(near, &frame(&format!(r#"{{"id":7,"publish":{{"channel":"{room}","data":1}}}}"#)));
    let want = CurrentWork { connection: Some((0, id(near))), client, room: None };
    assert_eq!(busy(&world, 0), want);
    // A question of another core: the room, and whose question it is there.
    world.settle();
    let (publish, connection) =
        (format!(r#"{{"id":8,"publish":{{"channel":"{room}","data":2}}}}"#), id(far));
    world.queue(far, &frame(&publish));
    world.turn(1);
    let mut messages = Vec::new();
    world.shards[1].post(&mut |_, mail| messages.append(mail));
    for message in messages {
        world.shards[0].on_message(world.now, ShardId(1), message);
    }
    let want = CurrentWork { connection: Some((1, connection)), client: None, room: Some(room) };
    assert_eq!(busy(&world, 0), want);
    world.turn(0);
    assert_eq!(busy(&world, 1).room, None, "it waits for the other");
}

#[test]
fn rooms_that_are_named_after_people_are_told_by_their_hash() {
    let world = World::new(1, |_| ());
    for (name, is_told) in [("room:1", true), ("@ann", false), ("dm#ann,bob", false)] {
        work_in(world.shards[0].metrics(), Some(name), RoomId(7 << 64 | 9));
        let room = world.cells[0].read_pulse().current_work.room.expect("there is one");
        assert_eq!(room == name, is_told, "{room}");
        assert_eq!(room.starts_with('~'), !is_told, "{room}");
    }
}

/// Lets a shard look, and says in how many turns it was done.
fn look(world: &mut World, look: ScanRequest) -> (usize, ScanResult) {
    let mut out = Vec::new();
    world.shards[0].on_shard_command(world.now, ShardCommand::Scan(7, look), &mut out);
    for turns in 1.. {
        world.turn(0);
        if let Some((scan_id, found)) = world.shards[0].take_scan_result() {
            assert_eq!(scan_id, 7);
            return (turns, found);
        }
        assert_eq!(world.shards[0].next_wake(), Some(MonotonicMs(0)), "it goes on at once");
    }
    unreachable!("a look ends")
}

#[test]
fn a_look_at_many_connections_takes_several_turns() {
    let mut world = World::new(1, |options| {
        options.connections_max = 20_000;
        options.handshakes_max = 20_000;
    });
    let ann = world.join_room(0, "room:1");
    world.pass(1_000);
    let bob = world.join(0);
    for _ in 0..9_000 {
        world.accept(0);
    }
    let (turns, found) = look(&mut world, ScanRequest::Top(TopBy::Age, 1));
    let ScanResult::Top(sights, all) = found else { panic!("{found:?}") };
    assert_eq!((turns, all, sights.len()), (3, 2, 1), "those that are upgraded, the oldest");
    assert_eq!((sights[0].conn, sights[0].channels_count), (id(ann), 1));
    assert!((700..1_300).contains(&sights[0].age_ms), "{}", sights[0].age_ms);
    let (_, found) = look(&mut world, ScanRequest::Top(TopBy::Tasks, 5));
    let ScanResult::Top(sights, _) = found else { panic!("{found:?}") };
    let seen: Vec<ConnId> = sights.iter().map(|sight| sight.conn).collect();
    assert!(seen.len() == 2 && seen.contains(&id(bob)), "{seen:?}");
    // Without pings an idle connection waits for nothing but bytes.
    assert!(sights.iter().all(|sight| sight.tasks <= 2), "{sights:?}");
    let nobody = Prefix::of("", "", Agent::None);
    let (_, found) = look(&mut world, ScanRequest::CountPrefix(nobody));
    assert!(matches!(found, ScanResult::CountPrefix { having: 2, all: 2 }), "{found:?}");
    let (_, found) = look(&mut world, ScanRequest::CountPrefix(Prefix::of("", "ann", Agent::None)));
    assert!(matches!(found, ScanResult::CountPrefix { having: 0, all: 2 }), "{found:?}");
}

#[test]
fn what_waits_for_a_reader_makes_it_the_worst() {
    let mut world = World::new(1, |_| ());
    let [ann, bob] = [0, 0].map(|_| world.join_room(0, "room:1"));
    world.peers.get_mut(&bob).unwrap().stuck = true;
    for n in 3..6 {
        world.say(ann, &publish("room:1", n));
    }
    let (_, found) = look(&mut world, ScanRequest::Top(TopBy::Pending, 2));
    let ScanResult::Top(sights, _) = found else { panic!("{found:?}") };
    assert_eq!((sights[0].conn, sights[0].sends_in_flight), (id(bob), 1));
    assert!(sights[1].outbox_bytes < sights[0].outbox_bytes, "{sights:?}");
}

#[test]
fn a_panic_soon_after_the_upgrade_is_told_and_a_late_one_is_not() {
    let mut world = World::new(1, |options| options.quarantine.early_ms_max = 1_000);
    let early = world.join(0);
    world.say(early, r#"{"id":9,"rpc":{"method":"chat.panic","data":{}}}"#);
    assert_eq!(world.shards[0].take_early_panics(), [Prefix::of("", "", Agent::None)]);
    let late = world.join(0);
    world.pass(1_300);
    world.say(late, r#"{"id":9,"rpc":{"method":"chat.panic","data":{}}}"#);
    assert_eq!(world.shards[0].take_early_panics(), []);
    let held = [Prefix::of("", "", Agent::None)];
    let mut out = Vec::new();
    world.shards[0].on_shard_command(
        world.now,
        ShardCommand::BlockedPrefixes(held.into()),
        &mut out,
    );
    let third = world.upgrade(0);
    world.say(third, r#"{"id":1,"connect":{}}"#);
    world.check_closed(third, 3510);
    world.shards[0].on_shard_command(world.now, ShardCommand::BlockedPrefixes([].into()), &mut out);
    world.join(0);
}

#[test]
fn the_largest_rooms_are_found_largest_first() {
    let mut world = World::new(1, |_| ());
    for (room, members) in [("room:1", 1), ("room:2", 3), ("room:3", 2)] {
        for _ in 0..members {
            world.join_room(0, room);
        }
    }
    let mut out = Vec::new();
    world.shards[0].on_shard_command(world.now, ShardCommand::RankRooms(7), &mut out);
    assert_eq!(world.shards[0].next_wake(), Some(MonotonicMs(0)), "it goes on at once");
    world.turn(0);
    let (scan_id, ranking) = world.shards[0].take_room_ranking().expect("one turn is enough");
    let found: Vec<(&str, u32)> = ranking
        .largest
        .rooms()
        .iter()
        .map(|room| (&*room.channel_key.channel, room.members_count))
        .collect();
    assert_eq!((scan_id, ranking.rooms_count), (7, 3));
    assert_eq!(found, [("room:2", 3), ("room:3", 2), ("room:1", 1)]);
    assert!(world.shards[0].take_room_ranking().is_none(), "it is told once");
}
