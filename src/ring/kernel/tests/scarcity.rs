//! Many connections receive at once, and there are few buffers.

use super::*;

const PEERS: usize = 300;

/// Queues that hold what all peers cause, so that only buffers are scarce.
fn scarce() -> Options {
    Options { submission_entries: 1_024, completion_entries: 4_096, ..small() }
}

fn crowd(world: &mut World) -> (Vec<TcpStream>, Vec<ConnId>) {
    let peers = (0..PEERS).map(|_| TcpStream::connect(world.addr).unwrap()).collect();
    (peers, world.accept(PEERS))
}

fn pieces(world: &World) -> u64 {
    world.seen.iter().filter(|seen| matches!(seen, Seen::Received(..))).count() as u64
}

#[test]
fn a_receive_that_found_no_buffer_is_not_repeated_before_there_is_one() {
    let mut world = World::new(&scarce());
    let (mut peers, ids) = crowd(&mut world);
    let bytes = pattern(500);
    let calls_before = world.io.uring.submits;
    for peer in &mut peers {
        peer.write_all(&bytes).unwrap();
    }
    world.until("all bytes", |world| {
        pieces(world) >= 8 * PEERS as u64 && ids.iter().all(|id| world.received(*id) == bytes)
    });
    // Each connection meets the empty ring once, and seldom again: then it waits
    // for a buffer, and the buffer for it.
    let (empty, pieces) = (world.io.counters.buffers_empty, pieces(&world));
    assert!(PEERS as u64 / 2 < empty, "the test must meet an empty buffer ring: {empty}");
    assert!(empty <= 2 * PEERS as u64, "{empty} receives in vain for {pieces} pieces");
    let calls = world.io.uring.submits - calls_before;
    assert!(calls <= pieces, "{calls} system calls for {pieces} pieces");
}

#[test]
fn who_waits_for_a_buffer_is_served_in_turn() {
    let mut world = World::new(&scarce());
    let (mut peers, ids) = crowd(&mut world);
    // One peer has a hundred times as much to say as each of the others.
    peers[0].write_all(&pattern(50_000)).unwrap();
    for peer in &mut peers[1..] {
        peer.write_all(&pattern(500)).unwrap();
    }
    world.until("the bytes of the many", |world| {
        ids[1..].iter().all(|id| world.received(*id).len() == 500)
    });
    let ahead = world.received(ids[0]).len();
    assert!(ahead < 5_000, "the greedy one got {ahead} bytes while others waited for 500");
    world.until("the bytes of the one", |world| world.received(ids[0]).len() == 50_000);
    assert!(world.received(ids[0]) == pattern(50_000));
}

#[test]
fn what_is_received_in_pieces_is_whole_before_others_begin() {
    let mut world = World::new(&scarce());
    let (mut peers, ids) = crowd(&mut world);
    for peer in &mut peers {
        peer.write_all(&pattern(500)).unwrap();
    }
    let is_partial = |world: &World, id: &ConnId| (1..500).contains(&world.received(*id).len());
    world.until("all bytes", |world| {
        let partial = ids.iter().filter(|id| is_partial(world, id)).count();
        assert!(partial <= 2 * 8, "{partial} connections share 8 buffers");
        ids.iter().all(|id| world.received(*id).len() == 500)
    });
}

#[test]
fn who_leaves_while_it_waits_is_forgotten_and_its_successor_is_not() {
    let mut world = World::new(&scarce());
    let (mut peers, ids) = crowd(&mut world);
    for peer in &mut peers {
        peer.write_all(&pattern(500)).unwrap();
    }
    world.until("an empty buffer ring", |world| 0 < world.io.counters.buffers_empty);
    let (leaving, staying) = ids.split_at(PEERS / 2);
    world.work.extend(leaving.iter().map(|id| Action::Close(*id)));
    let mut later: Vec<TcpStream> =
        leaving.iter().map(|_| TcpStream::connect(world.addr).unwrap()).collect();
    for peer in &mut later {
        peer.write_all(&pattern(300)).unwrap();
    }
    world.accept(PEERS + leaving.len());
    let successors = world.accepted().split_off(PEERS);
    world.until("all bytes", |world| {
        staying.iter().all(|id| world.received(*id) == pattern(500))
            && successors.iter().all(|id| world.received(*id) == pattern(300))
            && leaving.iter().all(|id| world.has(&Seen::Gone(*id, DisconnectReason::Closed)))
    });
    assert_eq!(world.io.connections(), PEERS as u32);
}

#[test]
fn a_core_sleeps_when_the_crowd_has_been_served() {
    let mut world = World::new(&scarce());
    let (mut peers, ids) = crowd(&mut world);
    for peer in &mut peers {
        peer.write_all(&pattern(100)).unwrap();
    }
    world.until("all bytes", |world| ids.iter().all(|id| world.received(*id).len() == 100));
    while 0 < world.turn() {}
    let before = world.io.uring.submits;
    let deadline = world.io.now().tick.plus_ms(50);
    while world.io.now().tick < deadline {
        world.turn();
        world.io.park(Some(deadline));
    }
    let calls = world.io.uring.submits - before;
    assert!(calls < 20, "{calls} system calls while nothing happened");
    // And every one of them is still heard.
    for peer in &mut peers {
        peer.write_all(&pattern(50)).unwrap();
    }
    world.until("more bytes", |world| ids.iter().all(|id| world.received(*id).len() == 150));
}
