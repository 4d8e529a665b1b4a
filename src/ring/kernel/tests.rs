//! A ring over the kernel, against real sockets of this machine: bytes, ends, sleep, and what
//! is lent and given back.

mod quiesce;
mod scarcity;
mod silent;
mod wakes;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use super::super::uring::Quiesced;
use super::*;
use crate::base::limits::PEERS_PER_TURN_MAX;
use crate::metrics::Cells;
use crate::ring::{PortUse, listener};

/// What a core saw, with the bytes of one connection joined.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Accepted(ConnId),
    Connected(ConnId),
    Received(ConnId, Vec<u8>),
    Sent(ConnId),
    Ended(ConnId),
    Gone(ConnId, DisconnectReason),
}

/// An `Io`, a listener, and everything that happened.
struct World {
    io: KernelIo,
    addr: SocketAddr,
    work: Vec<Action>,
    seen: Vec<Seen>,
    /// Sends back what comes.
    echoes: bool,
}

/// How long a test waits for the next thing that must come.
const PATIENCE_MS: u64 = 20_000;

fn small() -> Options {
    Options {
        recv_buffers: 8,
        recv_buffer_bytes: 64,
        submission_entries: 8,
        completion_entries: 8,
        connections_max: 1_000,
    }
}

impl World {
    fn new(options: &Options) -> World {
        let listener = listener("127.0.0.1:0".parse().unwrap(), 1_024, PortUse::Alone).unwrap();
        World::over(options, listener)
    }

    fn over(options: &Options, listener: TcpListener) -> World {
        let mut io = KernelIo::new(options, Rc::new(Cells::new().claim())).unwrap();
        let addr = listener.local_addr().unwrap();
        io.listen(listener);
        World { io, addr, work: Vec::new(), seen: Vec::new(), echoes: false }
    }

    fn turn(&mut self) -> usize {
        let (seen, work, echoes) = (&mut self.seen, &mut self.work, self.echoes);
        let events = self.io.reap(64, &mut |event| {
            seen.push(match event {
                Event::Accepted(id) => Seen::Accepted(id),
                Event::Connected(id) => Seen::Connected(id),
                Event::Received(id, bytes) => {
                    assert!(!bytes.is_empty());
                    if echoes {
                        work.push(Action::Send(id, Bytes::copy_from_slice(bytes)));
                    }
                    Seen::Received(id, bytes.to_vec())
                }
                Event::Sent(id) => Seen::Sent(id),
                Event::Ended(id) => Seen::Ended(id),
                Event::Gone(id, reason) => Seen::Gone(id, reason),
            });
        });
        self.io.submit(work);
        events
    }

    /// Turns until `done` holds.
    fn until(&mut self, what: &str, done: impl Fn(&World) -> bool) {
        let patience = |world: &World| world.io.now().tick.plus_ms(PATIENCE_MS);
        let mut deadline = patience(self);
        while !done(self) {
            assert!(self.io.now().tick < deadline, "{what} did not come: {:?}", self.seen);
            match self.turn() {
                0 if !done(self) => self.io.park(Some(deadline)),
                0 => (),
                // An emulated machine is slow, and gets on.
                1.. => deadline = patience(self),
            }
        }
    }

    fn accept(&mut self, count: usize) -> Vec<ConnId> {
        self.until("peers", |world| world.accepted().len() >= count);
        self.accepted()
    }

    fn accepted(&self) -> Vec<ConnId> {
        let ids = self.seen.iter().filter_map(|seen| match seen {
            Seen::Accepted(id) => Some(*id),
            _ => None,
        });
        ids.collect()
    }

    fn received(&self, id: ConnId) -> Vec<u8> {
        let mut all = Vec::new();
        for seen in &self.seen {
            if let Seen::Received(from, bytes) = seen
                && *from == id
            {
                all.extend_from_slice(bytes);
            }
        }
        all
    }

    fn count(&self, what: &Seen) -> usize {
        self.seen.iter().filter(|seen| *seen == what).count()
    }

    fn has(&self, what: &Seen) -> bool {
        self.count(what) > 0
    }
}

/// A world with one accepted peer.
fn with_peer(options: &Options) -> (World, TcpStream, ConnId) {
    let mut world = World::new(options);
    let peer = TcpStream::connect(world.addr).unwrap();
    let id = world.accept(1)[0];
    (world, peer, id)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[test]
fn bytes_come_and_go_and_the_end_is_told_once() {
    let (mut world, mut peer, id) = with_peer(&small());
    peer.write_all(b"hello").unwrap();
    world.until("bytes", |world| world.received(id) == b"hello");
    world.work.push(Action::Send(id, Bytes::from_static(b"welcome")));
    world.until("sent", |world| world.has(&Seen::Sent(id)));
    let mut answer = [0; 7];
    peer.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"welcome");
    world.work.push(Action::Close(id));
    world.work.push(Action::Close(id));
    let gone = Seen::Gone(id, DisconnectReason::Closed);
    world.until("the end", |world| world.has(&gone));
    assert_eq!(peer.read(&mut answer).unwrap(), 0);
    world.work.extend([Action::Close(id), Action::Send(id, Bytes::from_static(b"late"))]);
    world.turn();
    assert_eq!((world.count(&gone), world.io.connections()), (1, 0));
}

#[test]
fn the_other_end_of_a_connection_has_an_address() {
    let (mut world, peer, id) = with_peer(&small());
    assert_eq!(world.io.peer(id), Some(peer.local_addr().unwrap()));
    assert!(2 <= world.io.operations().0, "it accepts and receives");
    let former = ConnId { generation: id.generation + 1, ..id };
    assert_eq!(world.io.peer(former), None);
    world.work.push(Action::Close(id));
    world.until("the end", |world| world.has(&Seen::Gone(id, DisconnectReason::Closed)));
    assert_eq!(world.io.peer(id), None);
}

#[test]
fn a_send_before_a_close_in_one_turn_still_arrives() {
    let (mut world, mut peer, id) = with_peer(&small());
    world.work.push(Action::Send(id, Bytes::from_static(b"last words")));
    world.work.push(Action::Close(id));
    world.until("the end", |world| world.has(&Seen::Gone(id, DisconnectReason::Closed)));
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"last words");
}

#[test]
fn a_half_closed_peer_still_gets_its_answer() {
    let (mut world, mut peer, id) = with_peer(&small());
    peer.write_all(b"question").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    world.until("the peer's end", |world| world.has(&Seen::Ended(id)));
    assert_eq!(world.received(id), b"question");
    world.work.push(Action::Send(id, Bytes::from_static(b"answer")));
    world.until("sent", |world| world.has(&Seen::Sent(id)));
    world.work.push(Action::Close(id));
    world.until("the end", |world| world.has(&Seen::Gone(id, DisconnectReason::Closed)));
    let mut all = Vec::new();
    peer.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"answer");
}

#[test]
fn a_reset_ends_the_connection() {
    let (mut world, peer, id) = with_peer(&small());
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    world.until("the reset", |world| world.has(&Seen::Gone(id, DisconnectReason::Reset)));
    assert_eq!(world.io.connections(), 0);
}

#[test]
fn more_bytes_than_buffers_arrive_in_order() {
    let (mut world, mut peer, id) = with_peer(&small());
    let bytes = pattern(100_000);
    let sent = bytes.clone();
    let writer = thread::spawn(move || peer.write_all(&sent).map(|()| peer));
    world.until("all bytes", |world| world.received(id).len() == 100_000);
    assert!(world.received(id) == bytes);
    assert!(0 < world.io.counters.buffers_empty, "the test must meet an empty buffer ring");
    writer.join().unwrap().unwrap();
}

#[test]
fn a_send_larger_than_the_socket_completes_once_and_in_order() {
    let (mut world, mut peer, id) = with_peer(&small());
    let bytes = pattern(8 << 20);
    world.work.push(Action::Send(id, Bytes::from(bytes.clone())));
    let reader = thread::spawn(move || {
        let mut all = vec![0; 8 << 20];
        peer.read_exact(&mut all).map(|()| all)
    });
    world.until("sent", |world| world.has(&Seen::Sent(id)));
    assert!(reader.join().unwrap().unwrap() == bytes);
    assert_eq!(world.count(&Seen::Sent(id)), 1);
}

#[test]
fn a_close_ends_a_send_that_the_peer_does_not_read() {
    let (mut world, peer, id) = with_peer(&small());
    world.work.push(Action::Send(id, Bytes::from(pattern(8 << 20))));
    world.turn();
    world.work.push(Action::Close(id));
    world.until("the end", |world| world.has(&Seen::Gone(id, DisconnectReason::Closed)));
    assert!(!world.has(&Seen::Sent(id)));
    drop(peer);
}

#[test]
fn a_rest_is_sent_when_the_kernel_sent_a_part() {
    let (mut world, mut peer, id) = with_peer(&small());
    world.work.push(Action::Send(id, Bytes::from_static(b"abcdef")));
    world.io.submit(&mut world.work);
    let mut whole = world.io.uring.next().unwrap();
    while whole.token.kind() != RequestKind::Send {
        whole = world.io.uring.next().unwrap();
    }
    // As if the kernel had sent two bytes: the other four are sent again.
    let part = Completion { result: 2, ..whole };
    assert_eq!(world.io.dispatch(part, &mut |_| panic!("not sent yet")), 0);
    assert_eq!(world.io.counters.sends_short, 1);
    world.until("sent", |world| world.has(&Seen::Sent(id)));
    let mut all = [0; 10];
    peer.read_exact(&mut all).unwrap();
    assert_eq!(&all, b"abcdefcdef");
}

#[test]
fn more_requests_than_the_queues_hold_all_complete() {
    let mut world = World::new(&small());
    world.echoes = true;
    let mut peers: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(world.addr).unwrap()).collect();
    let ids = world.accept(100);
    for round in 0..5u8 {
        for peer in &mut peers {
            peer.write_all(&[round; 40]).unwrap();
        }
        world.until("all echoes", |world| {
            let sent = world.seen.iter().filter(|seen| matches!(seen, Seen::Sent(_)));
            sent.count() == 100 * (usize::from(round) + 1)
        });
        for peer in &mut peers {
            let mut echo = [0; 40];
            peer.read_exact(&mut echo).unwrap();
            assert_eq!(echo, [round; 40]);
        }
    }
    assert!(0 < world.io.uring.queue_full, "the test must meet a full submission queue");
    assert!(ids.iter().all(|id| world.received(*id).len() == 200));
}

#[test]
fn a_completion_queue_that_overflows_loses_nothing() {
    let options = Options { recv_buffers: 1_024, ..small() };
    let mut world = World::new(&options);
    let mut peers: Vec<TcpStream> =
        (0..50).map(|_| TcpStream::connect(world.addr).unwrap()).collect();
    let ids = world.accept(50);
    for peer in &mut peers {
        peer.write_all(&pattern(640)).unwrap();
    }
    // More receives than the queue has room for, in one system call each.
    world.until("all bytes", |world| ids.iter().all(|id| world.received(*id) == pattern(640)));
    assert!(0 < world.io.uring.overflows, "the test must meet an overflow");
}

#[test]
fn completions_of_a_former_tenant_are_dropped_and_their_buffers_kept() {
    let (mut world, mut peer, id) = with_peer(&small());
    peer.write_all(b"late").unwrap();
    let former = ConnId { generation: id.generation + 1, ..id };
    let late = loop {
        world.io.uring.wait(Some(Duration::from_secs(1)));
        match world.io.uring.next() {
            Some(done) if done.token.kind() == RequestKind::Receive => break done,
            Some(_) | None => {}
        }
    };
    let late = Completion { token: UserData::of(RequestKind::Receive, former), ..late };
    assert_eq!(world.io.dispatch(late, &mut |_| panic!("nobody lives there")), 0);
    let sent = Completion { token: UserData::of(RequestKind::Send, former), ..late };
    assert_eq!(world.io.dispatch(sent, &mut |_| panic!("nobody lives there")), 0);
    assert_eq!((world.io.counters.stale, world.io.uring.buffers().lent()), (2, 0));
    assert_eq!(world.io.connections(), 1);
}

#[test]
fn a_full_plane_takes_nobody_until_one_leaves() {
    let options = Options { connections_max: 2, ..small() };
    let mut world = World::new(&options);
    let first: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(world.addr).unwrap()).collect();
    let ids = world.accept(2);
    world.turn();
    world.turn();
    let third = TcpStream::connect(world.addr).unwrap();
    world.io.park(Some(world.io.now().tick.plus_ms(20)));
    world.turn();
    assert_eq!(world.accepted().len(), 2);
    world.work.push(Action::Close(ids[0]));
    world.accept(3);
    assert_eq!(world.accepted()[2].slot, ids[0].slot);
    drop((first, third));
}

/// In a thread with a descriptor table of its own, so that a full one hurts
/// nobody else.
#[test]
fn without_descriptors_accepting_rests_and_goes_on() {
    let outcome = thread::spawn(|| {
        socket::unshare_descriptor_table().unwrap();
        let mut world = World::new(&small());
        let mut peers = vec![TcpStream::connect(world.addr).unwrap()];
        let id = world.accept(1)[0];
        peers.push(TcpStream::connect(world.addr).unwrap());
        let mut filler: Vec<OwnedFd> = Vec::new();
        while let Ok(fd) = peers[0].as_fd().try_clone_to_owned() {
            filler.push(fd);
        }
        let (began, before) = (world.io.now().tick, world.io.uring.submits);
        world.until("refusals", |world| 3 <= world.io.counters.no_descriptors);
        let rested_ms = world.io.now().tick.ms_since(began);
        assert!(200 <= rested_ms, "three attempts are two rests apart, not {rested_ms} ms");
        assert!(world.io.uring.submits < before + 30, "resting must not spin");
        assert_eq!(world.accepted().len(), 1);
        filler.truncate(filler.len() - 10);
        world.accept(2);
        assert!(!world.has(&Seen::Gone(id, DisconnectReason::Closed)));
    });
    outcome.join().unwrap();
}

#[test]
fn outgoing_connections_come_up_or_are_unreachable() {
    let mut world = World::new(&small());
    let from = "127.9.8.7:0".parse().unwrap();
    let out = world.io.connect(Some(from), world.addr).unwrap();
    world.until("both ends", |world| {
        world.has(&Seen::Connected(out)) && world.accepted().len() == 1
    });
    world.work.push(Action::Send(out, Bytes::from_static(b"hi")));
    let inner = world.accepted()[0];
    world.until("bytes", |world| world.received(inner) == b"hi");

    let closed = listener("127.0.0.1:0".parse().unwrap(), 1, PortUse::Alone).unwrap();
    let nowhere = closed.local_addr().unwrap();
    drop(closed);
    let lost = world.io.connect(None, nowhere).unwrap();
    world.until("refusal", |world| world.has(&Seen::Gone(lost, DisconnectReason::Unreachable)));
}

#[test]
fn an_outgoing_connection_that_nobody_answers_can_be_closed() {
    let mut world = World::new(&small());
    // One peer fills this backlog; who comes then gets no answer.
    let full = listener("127.0.0.1:0".parse().unwrap(), 0, PortUse::Alone).unwrap();
    let addr = full.local_addr().unwrap();
    let _first = TcpStream::connect(addr).unwrap();
    let pending = world.io.connect(None, addr).unwrap();
    world.turn();
    world.work.push(Action::Close(pending));
    world.until("the end", |world| world.has(&Seen::Gone(pending, DisconnectReason::Closed)));
    assert_eq!(world.io.connections(), 0);
}

#[test]
fn who_waits_in_the_backlog_of_a_stopped_listener_is_refused() {
    let (mut world, peer, id) = with_peer(&small());
    world.work.push(Action::StopAccepting);
    world.turn();
    assert!(TcpStream::connect(world.addr).is_err());
    world.work.push(Action::Send(id, Bytes::from_static(b"still here")));
    world.until("sent", |world| world.has(&Seen::Sent(id)));
    drop(peer);
}

#[test]
fn the_waker_and_the_deadline_end_a_sleep() {
    let mut world = World::new(&small());
    world.turn();
    for _ in 0..3 {
        let waker = world.io.waker();
        let notifier = thread::spawn(move || waker.notify());
        world.io.park(None);
        notifier.join().unwrap();
        world.turn();
    }
    let deadline = world.io.now().tick.plus_ms(30);
    while world.io.now().tick < deadline {
        assert_eq!(world.turn(), 0);
        world.io.park(Some(deadline));
    }
}

#[test]
fn a_hosted_plane_sleeps_in_its_executor() {
    let builder = glommio::LocalExecutorBuilder::default().io_memory(64 << 10).ring_depth(32);
    let outcome = builder.spawn(|| async {
        let mut world = World::new(&small());
        world.echoes = true;
        let (addr, waker) = (world.addr, world.io.waker());
        let peer = thread::spawn(move || {
            let mut peer = TcpStream::connect(addr).unwrap();
            for round in 0..20u8 {
                peer.write_all(&[round; 10]).unwrap();
                let mut echo = [0; 10];
                peer.read_exact(&mut echo).unwrap();
                assert_eq!(echo, [round; 10]);
            }
            peer.shutdown(Shutdown::Write).unwrap();
            waker.notify();
        });
        let mut turns = 0;
        let over = |seen: &Seen| matches!(seen, Seen::Ended(_));
        while !world.seen.iter().any(over) {
            turns += 1;
            let far = world.io.now().tick.plus_ms(PATIENCE_MS);
            if world.turn() == 0 {
                world.io.park(Some(far));
            }
        }
        peer.join().unwrap();
        assert!(turns < 500, "a hosted ring sleeps instead of turning: {turns}");
        // A deadline wakes it, too.
        let soon = world.io.now().tick.plus_ms(20);
        while world.io.now().tick < soon {
            if world.turn() == 0 {
                world.io.park(Some(soon));
            }
        }
    });
    outcome.unwrap().join().unwrap();
}

#[test]
fn a_storm_is_let_in_by_turns_and_whoever_waits_is_not_lost() {
    let mut world = World::new(&small());
    world.turn();
    let peers: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(world.addr).unwrap()).collect();
    let most = |world: &mut World| {
        let before = world.accepted().len();
        world.turn();
        world.accepted().len() - before
    };
    for _ in 0..3 {
        let came = most(&mut world);
        assert!(came <= usize::from(PEERS_PER_TURN_MAX), "{came} in one turn");
    }
    // Then few, and after a while.
    let from = world.io.now().tick.plus_ms(50);
    world.work.push(Action::PaceAccepting { peers_per_turn_max: 1, from });
    world.turn();
    // What was under way still comes.
    world.turn();
    world.turn();
    let before = world.accepted().len();
    while world.io.now().tick < from {
        world.io.park(None);
        if world.io.now().tick < from {
            world.turn();
            assert_eq!(world.accepted().len(), before, "accepting rests");
        }
    }
    for _ in 0..5 {
        let came = most(&mut world);
        assert!(came <= 1, "{came} in one turn");
    }
    world.accept(100);
    drop(peers);
}

#[test]
fn no_more_are_accepted_than_there_is_room_for() {
    let options = Options { connections_max: 3, ..small() };
    let mut world = World::new(&options);
    let _peers: Vec<TcpStream> = (0..9).map(|_| TcpStream::connect(world.addr).unwrap()).collect();
    let ids = world.accept(3);
    for left in 4..8 {
        world.work.push(Action::Close(world.accepted()[left - 4]));
        world.accept(left);
    }
    assert_eq!(world.io.counters.refused, 0, "nobody was accepted and then closed");
    drop(ids);
}

#[test]
fn what_the_kernel_knows_of_a_silent_peer() {
    let (mut world, mut peer, id) = with_peer(&small());
    peer.write_all(b"hello").unwrap();
    world.until("bytes", |world| world.received(id) == b"hello");
    while 0 < world.turn() {}
    assert!(world.io.is_drained());
    let tcp_liveness = world.io.tcp_liveness(id);
    assert!(!tcp_liveness.has_unread);
    assert!(
        tcp_liveness.heard_ms_ago.unwrap() < 10_000 && tcp_liveness.acknowledged_ms_ago.is_some()
    );
    // No turn is taken: what comes lies in the socket, or its receive has it already.
    for _ in 0..20 {
        peer.write_all(&pattern(1_000)).unwrap();
    }
    world.io.uring.gather(1);
    assert!(world.io.tcp_liveness(id).has_unread, "there are 8 buffers of 64 bytes");
    let former = ConnId { generation: id.generation + 1, ..id };
    assert_eq!(world.io.tcp_liveness(former), TcpLiveness::default());
}
