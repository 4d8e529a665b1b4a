//! How connections end: by silence, by a drain, by a panic, and with a goodbye.

use super::*;

#[test]
fn a_panic_ends_one_session_and_its_neighbours_notice_nothing() {
    let mut world = World::new(2, |_| ());
    let [ann, bob] = [0, 0].map(|_| world.join_room(0, "room:1"));
    world.say(bob, r#"{"id":9,"rpc":{"method":"chat.panic","data":{}}}"#);
    world.check_closed(bob, 1011);
    world.say(ann, &publish("room:1", 3));
    assert!(world.take(ann).iter().any(|text| text.contains(r#""pub":"#)));
}

#[test]
fn commands_out_of_place_end_the_connection() {
    let upgraded = |world: &mut World| {
        let peer = world.join(0);
        world.take(peer);
        peer
    };
    let mut world = World::new(1, |_| ());
    for text in [r#"{"id":2,"connect":{}}"#, "{", "[]", "", r#"{"id":-1}"#] {
        let peer = upgraded(&mut world);
        world.say(peer, text);
        world.check_closed(peer, 3501);
    }
    let peer = upgraded(&mut world);
    let mut binary = BytesMut::new();
    put_masked_frame(&mut binary, Opcode::Binary, b"{}", [0; 4]);
    world.feed(peer, &binary);
    world.check_closed(peer, 1003);
}

#[test]
fn who_is_silent_is_closed_in_each_stage() {
    let mut world = World::new(1, |options| options.session.ping_interval_ms = 25_000);
    let mute = world.accept(0);
    let half = world.accept(0);
    world.feed(half, b"GET /connection/websocket HTTP/1.1\r\nHost: ");
    let pinged = world.join(0);
    world.pass(11_000);
    for peer in [mute, half] {
        assert!(world.peers[&peer].http.starts_with(b"HTTP/1.1 408"), "answered in HTTP");
        assert!(world.peers[&peer].gone);
    }
    world.pass(32_000);
    let seen = world.take(pinged);
    assert_eq!(seen, ["{}", "{}", "close 3012"]);
}

#[test]
fn a_drain_catches_up_with_its_time() {
    let mut world = World::new(1, |options| {
        options.connections_max = 1_000;
        options.handshakes_max = 1_000;
    });
    let peers: Vec<Peer> = (0..700).map(|_| world.join(0)).collect();
    let mut out = Vec::new();
    world.shards[0].on_shard_command(world.now, ShardCommand::Drain { over_ms: 1_000 }, &mut out);
    // A core that is busy takes a turn every 100 ms, and two in a row.
    for _ in 0..5 {
        world.now.tick = world.now.tick.plus_ms(100);
        world.turn(0);
        world.turn(0);
    }
    let told = peers.iter().filter(|&&peer| !world.peers[&peer].seen.is_empty()).count();
    assert_eq!(told, 700, "after half of the time everybody knows");
}

#[test]
fn a_drain_says_goodbye_to_everybody_and_then_all_is_empty() {
    let mut world = World::new(2, |_| ());
    let peers: Vec<Peer> = (0..90).map(|n| world.join_room(n % 2, "room:1")).collect();
    let mut out = Vec::new();
    for shard in &mut world.shards {
        shard.on_shard_command(world.now, ShardCommand::Drain { over_ms: 1_000 }, &mut out);
    }
    assert_eq!(out, [Action::StopAccepting, Action::StopAccepting]);
    world.pass(100);
    for &peer in &peers {
        world.check_closed(peer, 3001);
        let mut bye = BytesMut::new();
        put_masked_frame(&mut bye, Opcode::Close, &3001u16.to_be_bytes(), [9; 4]);
        world.feed(peer, &bye);
        assert!(world.peers[&peer].gone);
    }
    assert!(world.shards.iter().all(Shard::is_drained));
    world.pass(700_000);
    for shard in &world.shards {
        assert!(
            shard.home().rooms().is_empty()
                && shard.sessions().fanout().channels().subscribers_count() == 0
        );
    }
}

/// Both in the same moment: one of them stays, whichever.
#[test]
fn of_two_connections_of_one_user_one_stays() {
    let keys = Keys::build(&[key()]).unwrap();
    let mut world = World::with_keys(2, keys, |options| {
        options.session.insecure = false;
        options.session.single_session_tenants = vec![String::new()];
    });
    let connect = connect_with(&NewToken { user: "ann", ..NewToken::default() });
    let peers = [world.upgrade(0), world.upgrade(1)];
    peers.iter().for_each(|&peer| world.queue(peer, &frame(&connect)));
    world.settle();
    let is_told_to_go =
        |world: &World, peer: &Peer| world.peers[peer].seen.iter().any(|text| text == "close 3503");
    assert_eq!(peers.iter().filter(|peer| is_told_to_go(&world, peer)).count(), 1);
    let stays = *peers.iter().find(|peer| !is_told_to_go(&world, peer)).unwrap();
    world.take(stays);
    let newer = world.upgrade(0);
    world.say(newer, &connect);
    world.check_closed(stays, 3503);
    assert!(world.take(newer)[0].contains(r#""connect":{"#));
}

/// One frame had no place, later ones had: they would leave a gap before the end, whatever
/// the connection ends for.
#[test]
fn who_ends_with_a_gap_in_what_it_was_to_hear_hears_no_more() {
    let mut world = World::new(2, |_| ());
    let channel = world.channel_of(1);
    let ben = world.join_room(1, &channel);
    let ann = world.join_room(0, &channel);
    let newcomers = [world.join(0), world.join(0), world.join(0)];
    world.take(ann);
    world.peers.get_mut(&ann).unwrap().stuck = true;
    let publish = |bytes: usize| {
        let data = "x".repeat(bytes);
        frame(&format!(r#"{{"id":9,"publish":{{"channel":"{channel}","data":"{data}"}}}}"#))
    };
    world.feed(ben, &publish(5));
    let subscribe = frame(&format!(r#"{{"id":2,"subscribe":{{"channel":"{channel}"}}}}"#));
    newcomers.iter().for_each(|&newcomer| world.queue(newcomer, &subscribe));
    let room_requests = world.posted(0);
    assert_eq!(room_requests.len(), newcomers.len());
    // The second finds no room behind the first, and the third does. Whoever comes has all
    // that was said before handed out.
    let mut messages = Vec::new();
    for (request, bytes) in room_requests.into_iter().zip([3_000, 3_000, 6]) {
        world.queue(ben, &publish(bytes));
        world.turn(1);
        world.carry(0, 1, request);
        messages.append(&mut world.posted(1));
    }
    messages.into_iter().for_each(|message| world.carry(1, 0, message));
    world.queue(ann, &[0x81, 0x00]); // no mask
    world.turn(0);
    let inbox = world.peers.get_mut(&ann).unwrap();
    (inbox.stuck, inbox.in_flight) = (false, false);
    world.shards[0].on_event(world.now, Event::Sent(id(ann)));
    world.settle();
    assert_eq!(world.take(ann), ["close 1002"]);
}

#[test]
fn patience_with_a_goodbye_is_not_cut_short_by_an_older_timer() {
    let mut world = World::new(1, |options| {
        options.session.ping_interval_ms = 3_000;
        options.session.close_ms_max = 20_000;
    });
    let ann = world.join(0);
    world.say(ann, "{");
    world.check_closed(ann, 3501);
    world.pass(19_000);
    assert!(!world.peers[&ann].gone);
    world.pass(2_000);
    assert!(world.peers[&ann].gone);
}
