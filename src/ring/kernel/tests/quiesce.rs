//! Rings that end in the middle of their work.

use super::*;

const PEERS: usize = 300;

#[test]
fn what_was_lent_for_a_request_under_way_comes_back() {
    let (mut world, peer, id) = with_peer(&small());
    let bytes = Bytes::from(pattern(8 << 20));
    world.work.push(Action::Send(id, bytes.clone()));
    world.turn();
    drop(world);
    assert!(bytes.is_unique(), "the ring let go of what it sent");
    drop(peer);
}

/// Work is counted instead of time: cancelling all makes the kernel go through
/// everything under way for each request that it ends.
#[test]
fn each_request_ends_by_itself() {
    let mut world = World::new(&Options { connections_max: 1_000, ..small() });
    let mut peers: Vec<TcpStream> =
        (0..PEERS).map(|_| TcpStream::connect(world.addr).unwrap()).collect();
    let ids = world.accept(PEERS);
    // Sends that wait for their peers, and receives that wait for a buffer.
    let bytes = Bytes::from(pattern(8 << 20));
    for (id, peer) in ids.iter().zip(&mut peers).take(20) {
        world.work.push(Action::Send(*id, bytes.clone()));
        peer.write_all(&pattern(500)).unwrap();
    }
    world.until("an empty buffer ring", |world| 0 < world.io.counters.buffers_empty);
    // Connects that nobody answers: one peer fills this backlog.
    let full = listener("127.0.0.1:0".parse().unwrap(), 0, PortUse::Alone).unwrap();
    let addr = full.local_addr().unwrap();
    let _first = TcpStream::connect(addr).unwrap();
    for _ in 0..20 {
        world.io.connect(None, addr).unwrap();
    }
    world.turn();
    world.io.park(Some(world.io.now().tick.plus_ms(5)));
    assert_eq!(world.io.watch, Watch::Set);

    let calls_before = world.io.uring.submits;
    world.io.close_all();
    let quiesce = world.io.uring.quiesce();
    assert_eq!(quiesce, Quiesced { is_complete: true, swept: 0 });
    let calls = world.io.uring.submits - calls_before;
    assert!(calls <= PEERS as u64 / 2, "{calls} system calls for {PEERS} connections");
    drop(peers);
}

#[test]
fn a_request_that_does_not_end_by_itself_is_cancelled() {
    let mut world = World::new(&small());
    let (quiet, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let token = UserData::plain(RequestKind::NoReply, 0);
    world.io.uring.watch(token, std::os::fd::AsRawFd::as_raw_fd(&quiet));
    world.turn();
    world.io.close_all();
    let quiesce = world.io.uring.quiesce();
    assert!(quiesce.is_complete && 0 < quiesce.swept, "{quiesce:?}");
}
