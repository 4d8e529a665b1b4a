//! A shard that is late: nobody is ended for what the shard did not do in time.

use super::*;
use crate::base::limits::{IDLE_TURN_PINGS_MAX, PEERS_PER_LATE_TURN_MAX, PEERS_PER_TURN_MAX};
use crate::session::CorePace;

const SUSPICIONS: &str = "chat_pong_suspicions_total{outcome=";

/// A world of one shard with so many clients that are pinged each second, and have 0.3 s
/// to answer.
fn pinged(count: usize) -> (World, Vec<Peer>) {
    let mut world = World::new(1, |options| {
        options.connections_max = 10_000;
        options.handshakes_max = 10_000;
        (options.session.ping_interval_ms, options.session.pong_ms_max) = (1_000, 300);
    });
    let peers = (0..count).map(|_| world.join(0)).collect();
    (world, peers)
}

/// Pings that clients have read, and answer.
fn answer(world: &mut World, peers: &[Peer]) -> usize {
    let mut answered = 0;
    for &peer in peers {
        let seen = world.take(peer);
        assert!(seen.iter().all(|text| text == "{}"), "{seen:?}");
        answered += seen.len();
        if !seen.is_empty() {
            world.say(peer, "{}");
        }
    }
    answered
}

fn closed(world: &World, peers: &[Peer]) -> usize {
    let is_closed =
        |peer: &&Peer| world.peers[*peer].seen.last().is_some_and(|text| text == "close 3012");
    peers.iter().filter(is_closed).count()
}

#[test]
fn a_shard_that_stood_still_for_long_ends_nobody_who_answers() {
    let (mut world, peers) = pinged(50);
    for _ in 0..20 {
        world.pass(100);
        answer(&mut world, &peers);
        // Nothing is read or sent meanwhile: the answers wait, and so do the pings.
        world.now = world.now.plus_ms(1_500);
        world.settle();
        assert_eq!(world.shards[0].sessions().env().pace(), CorePace::FarBehind);
        answer(&mut world, &peers);
    }
    assert_eq!(closed(&world, &peers), 0);
    world.check(&format!("{SUSPICIONS}\"closed\"}}"), 0);
    world.pass(700);
    assert_eq!(
        world.shards[0].sessions().env().pace(),
        CorePace::OnTime,
        "all is as before within a second"
    );
    world.join(0);
}

#[test]
fn a_turn_sends_so_many_pings_and_the_rest_in_the_next() {
    let (mut world, peers) = pinged(1_000);
    world.now = world.now.plus_ms(1_100);
    let mut turns = Vec::new();
    while turns.iter().sum::<usize>() < 1_000 {
        assert!(world.shards[0].next_wake().unwrap() <= world.now.tick, "it goes on at once");
        world.turn(0);
        turns.push(peers.iter().map(|peer| world.take(*peer).len()).sum::<usize>());
    }
    assert_eq!(turns.len(), 4);
    assert!(turns.iter().all(|pings| *pings <= IDLE_TURN_PINGS_MAX), "{turns:?}");
}

#[test]
fn a_crowd_that_is_silent_all_at_once_is_spared_and_a_few_are_not() {
    let (mut world, peers) = pinged(40);
    let (few, others) = peers.split_at(3);
    for _ in 0..30 {
        world.pass(100);
        answer(&mut world, others);
    }
    assert_eq!(closed(&world, few), 3);
    // Then the network between them and the shard.
    world.pass(5_000);
    assert_eq!(closed(&world, others), 0);
    world.check(&format!("{SUSPICIONS}\"closed\"}}"), 3);
    for &peer in others {
        world.take(peer);
        world.say(peer, "{}");
    }
    world.pass(2_000);
    assert_eq!(closed(&world, others), 0);
}

#[test]
fn a_crowd_cannot_stay_for_ever_by_its_silence() {
    let (mut world, peers) = pinged(40);
    world.pass(290_000);
    assert_eq!(closed(&world, &peers), 0);
    world.pass(25_000);
    assert_eq!(closed(&world, &peers), 40);
}

#[test]
fn a_late_shard_takes_few_peers_and_then_none_for_a_while() {
    let (mut world, _peers) = pinged(50);
    let told = |world: &mut World, ms| {
        world.now = world.now.plus_ms(ms);
        let mut out = Vec::new();
        world.shards[0].finish_turn(world.now, &mut out);
        let told = out.iter().find_map(|action| match action {
            Action::PaceAccepting { peers_per_turn_max, from } => {
                Some((*peers_per_turn_max, *from))
            }
            Action::Send(..) | Action::Close(_) | Action::StopAccepting => None,
        });
        out.into_iter().for_each(|action| world.act(0, action));
        told
    };
    assert_eq!(told(&mut world, 1), None);
    let (late, from) = told(&mut world, 1_200).unwrap();
    assert_eq!((late, from), (PEERS_PER_LATE_TURN_MAX, world.now.tick.plus_ms(100)));
    let (most, from) = (0..100).find_map(|_| told(&mut world, 10)).unwrap();
    assert!(most == PEERS_PER_TURN_MAX && from <= world.now.tick, "{most} from {from:?}");
    world.check("chat_accept_rests_total", 1);
}

#[test]
fn who_comes_to_a_shard_that_is_far_behind_is_told_when_to_come_back() {
    let (mut world, _peers) = pinged(2);
    world.now = world.now.plus_ms(2_500);
    world.turn(0);
    let late = world.accept(0);
    world.turn(0);
    assert!(world.peers[&late].http.starts_with(b"HTTP/1.1 503"));
    let text = String::from_utf8(world.peers[&late].http.clone()).unwrap();
    assert!(text.contains("Retry-After: 10\r\n"), "{text}");
    world.check("chat_conn_rejected_total{reason=\"late\"}", 1);
}

#[test]
fn clients_choose_a_shorter_interval_by_their_address() {
    for (query, want) in [("", 25), ("?ping_s=10", 10), ("?a=b&ping_s=17&c", 15), ("?ping_s=x", 25)]
    {
        let mut world = World::new(1, |options| options.session.ping_interval_ms = 25_000);
        let peer = world.upgrade_at(0, &format!("/connection/websocket{query}"));
        world.say(peer, r#"{"id":1,"connect":{}}"#);
        let seen = world.take(peer);
        assert!(seen[0].contains(&format!(r#""ping":{want},"#)), "{query}: {seen:?}");
    }
}
