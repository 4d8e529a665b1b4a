//! Peers that acknowledge nothing any more, or take nothing: the kernel gives them up, and
//! its reason is told whatever was under way.

use socket2::{SockFilter, SockRef};

use super::*;

/// What the kernel waits for these peers.
const USER_TIMEOUT: Duration = Duration::from_secs(2);

/// More than the buffers of both sockets hold.
const LARGE_BYTES: usize = 30_000_000;

/// A world whose kernel soon gives up, and a peer of it.
fn with_peer_of_little_time() -> (World, TcpStream, ConnId) {
    let listener = listener("127.0.0.1:0".parse().unwrap(), 1_024, PortUse::Alone).unwrap();
    SockRef::from(&listener).set_tcp_user_timeout(Some(USER_TIMEOUT)).unwrap();
    let mut world = World::over(&small(), listener);
    let peer = TcpStream::connect(world.addr).unwrap();
    let id = world.accept(1)[0];
    (world, peer, id)
}

/// Drops all that comes for `peer` before its kernel looks at it: nothing is acknowledged,
/// and nobody says so.
fn fall_silent(peer: &TcpStream) {
    let drop_all = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
    SockRef::from(peer).attach_filter(&[drop_all]).unwrap();
}

fn is_over(world: &World) -> bool {
    world.seen.iter().any(|seen| matches!(seen, Seen::Ended(_) | Seen::Gone(..)))
}

#[test]
fn who_acknowledges_nothing_is_given_up_in_time() {
    let (mut world, peer, id) = with_peer_of_little_time();
    fall_silent(&peer);
    world.work.push(Action::Send(id, Bytes::from_static(b"are you there?")));
    world.until("the end", is_over);
    let seen = &world.seen[1..];
    assert_eq!(seen, [Seen::Sent(id), Seen::Gone(id, DisconnectReason::TimedOut)]);
}

#[test]
fn who_acknowledges_nothing_of_what_fills_its_socket_is_given_up_in_time() {
    let (mut world, peer, id) = with_peer_of_little_time();
    fall_silent(&peer);
    world.work.push(Action::Send(id, Bytes::from(pattern(LARGE_BYTES))));
    world.until("the end", is_over);
    assert_eq!(world.seen[1..], [Seen::Gone(id, DisconnectReason::TimedOut)]);
    assert!(0 < world.io.counters.bytes_out, "a part had left before");
}

#[test]
fn who_takes_nothing_is_given_up_in_time() {
    let (mut world, peer, id) = with_peer_of_little_time();
    world.work.push(Action::Send(id, Bytes::from(pattern(LARGE_BYTES))));
    world.until("the end", is_over);
    assert_eq!(world.seen[1..], [Seen::Gone(id, DisconnectReason::TimedOut)]);
    drop(peer);
}

#[test]
fn who_resets_amid_a_send_was_not_silent() {
    let (mut world, peer, id) = with_peer(&small());
    world.work.push(Action::Send(id, Bytes::from(pattern(LARGE_BYTES))));
    world.until("a part", |world| 0 < world.io.counters.sends_short);
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    world.until("the end", is_over);
    assert_eq!(world.seen[1..], [Seen::Gone(id, DisconnectReason::Reset)]);
}

#[test]
fn who_is_back_in_time_gets_all_that_was_sent() {
    let (mut world, mut peer, id) = with_peer(&small());
    fall_silent(&peer);
    let bytes = pattern(LARGE_BYTES);
    world.work.push(Action::Send(id, Bytes::from(bytes.clone())));
    world.until("a part", |world| 0 < world.io.counters.sends_short);
    SockRef::from(&peer).detach_filter().unwrap();
    let reader = thread::spawn(move || {
        let mut all = vec![0; LARGE_BYTES];
        peer.read_exact(&mut all).map(|()| all)
    });
    world.until("all", |world| world.has(&Seen::Sent(id)));
    assert!(reader.join().unwrap().unwrap() == bytes);
}

#[test]
fn a_given_up_connection_says_what_was_heard_last_on_the_way() {
    for errno in [libc::ECONNRESET, libc::EPIPE] {
        assert_eq!(disconnect_reason(errno), DisconnectReason::Reset);
    }
    for errno in [libc::ETIMEDOUT, libc::EHOSTUNREACH, libc::ENETUNREACH, libc::EACCES] {
        assert_eq!(disconnect_reason(errno), DisconnectReason::TimedOut);
    }
}
