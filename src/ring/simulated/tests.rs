//! A scripted world keeps the promises of `Io`, and equal seeds make equal worlds.

use super::*;
use crate::base::Prng;

/// A core that sends back what comes and closes when the peer has ended.
#[derive(Default)]
struct Echo {
    conns: Vec<Conn>,
    work: Vec<Action>,
}

struct Conn {
    id: ConnId,
    waiting: Vec<u8>,
    sending: bool,
    ended: bool,
    gone: Option<DisconnectReason>,
}

impl Echo {
    fn handle(&mut self, event: Event<'_>) {
        let (id, change): (ConnId, &dyn Fn(&mut Conn)) = match &event {
            Event::Accepted(id) => {
                let (waiting, gone) = (Vec::new(), None);
                let (sending, ended) = (false, false);
                self.conns.push(Conn { id: *id, waiting, sending, ended, gone });
                return;
            }
            Event::Connected(_) => panic!("nobody asked for one"),
            Event::Received(id, bytes) => (*id, &|conn| conn.waiting.extend(bytes.iter())),
            Event::Sent(id) => (*id, &|conn| conn.sending = false),
            Event::Ended(id) => (*id, &|conn| conn.ended = true),
            Event::Gone(id, reason) => (*id, &|conn| conn.gone = Some(*reason)),
        };
        let conn = self.conns.iter_mut().find(|conn| conn.id == id && conn.gone.is_none());
        change(conn.expect("events only of a connection that was accepted and is not gone"));
    }

    fn turn(&mut self, io: &mut SimulatedIo, max: usize) -> usize {
        let events = io.reap(max, &mut |event| self.handle(event));
        for conn in self.conns.iter_mut().filter(|conn| conn.gone.is_none()) {
            if !conn.sending && !conn.waiting.is_empty() {
                conn.sending = true;
                let bytes = Bytes::from(std::mem::take(&mut conn.waiting));
                self.work.push(Action::Send(conn.id, bytes));
            } else if conn.ended && !conn.sending {
                self.work.push(Action::Close(conn.id));
            }
        }
        io.submit(&mut self.work);
        events
    }
}

/// Lets everything happen that can happen, reading or not.
fn run(io: &mut SimulatedIo, echo: &mut Echo) {
    loop {
        while echo.turn(io, 7) > 0 {}
        match io.next_due() {
            Some(due) if io.now.tick < due => {
                io.set_now(Timestamps::at(due, due.0));
            }
            Some(_) => {}
            None => return,
        }
    }
}

fn check_streams(seed: u64, fault_profile: FaultProfile) {
    let mut io = SimulatedIo::new(seed, fault_profile);
    let mut script = Prng::from_seed(seed ^ 0xECC0);
    let mut echo = Echo::default();
    let peers: Vec<SimulatedPeer> = (0..5).map(|_| io.peer_connect()).collect();
    let mut said = vec![Vec::new(); peers.len()];
    let mut heard = vec![Vec::new(); peers.len()];
    for _ in 0..40 {
        let who = script.below(peers.len() as u64) as usize;
        let len = script.below(3_000) as usize;
        let bytes: Vec<u8> = (0..len).map(|_| script.draw() as u8).collect();
        io.peer_send(peers[who], &bytes);
        said[who].extend_from_slice(&bytes);
        echo.turn(&mut io, 3);
        let later = io.now.tick.plus_ms(script.below(20));
        io.set_now(Timestamps::at(later, later.0));
        let reader = script.below(peers.len() as u64) as usize;
        heard[reader].extend(io.peer_read(peers[reader]));
    }
    peers.iter().for_each(|peer| io.peer_half_close(*peer));
    for _ in 0..1_000 {
        run(&mut io, &mut echo);
        for (peer, heard) in peers.iter().zip(&mut heard) {
            heard.extend(io.peer_read(*peer));
        }
    }
    assert!(heard == said, "a stream differs, seed {seed}");
    assert!(peers.iter().all(|peer| io.peer_state(*peer) == PeerState::Closed));
    assert!(
        echo.conns.iter().all(|conn| conn.gone == Some(DisconnectReason::Closed)),
        "seed {seed}"
    );
    assert!(io.live.is_empty());
}

#[test]
fn what_goes_in_comes_back_whole_and_in_order() {
    for seed in 0..100 {
        check_streams(seed, FaultProfile { window_bytes: 1_000, ..FaultProfile::rough() });
    }
    check_streams(0, FaultProfile::calm());
}

#[test]
fn resets_end_connections_once_and_streams_are_cut_short_only() {
    let mut ended = [0, 0];
    for seed in 0..100 {
        let fault_profile = FaultProfile { resets_per_10_000: 300, ..FaultProfile::rough() };
        let mut io = SimulatedIo::new(seed, fault_profile);
        let mut echo = Echo::default();
        let said: Vec<u8> = (0..=255).collect();
        let peers: Vec<SimulatedPeer> = (0..10).map(|_| io.peer_connect()).collect();
        for peer in &peers {
            io.peer_send(*peer, &said);
        }
        io.peer_reset(peers[0]);
        run(&mut io, &mut echo);
        for peer in &peers {
            io.peer_half_close(*peer);
        }
        run(&mut io, &mut echo);
        for peer in &peers {
            assert!(said.starts_with(&io.peer_read(*peer)), "seed {seed}");
            ended[usize::from(io.peer_state(*peer) == PeerState::Reset)] += 1;
        }
        assert!(echo.conns.iter().all(|conn| conn.gone.is_some()), "seed {seed}");
    }
    assert!(ended.iter().all(|count| *count > 50), "both ends must happen: {ended:?}");
}

#[test]
fn equal_seeds_tell_equal_stories() {
    let story = |seed| {
        let mut io = SimulatedIo::new(seed, FaultProfile::rough());
        let peers: Vec<SimulatedPeer> = (0..3).map(|_| io.peer_connect()).collect();
        peers.iter().for_each(|peer| io.peer_send(*peer, &[7; 500]));
        let mut story = String::new();
        for ms in 0..100 {
            io.set_now(Timestamps::at(MonotonicMs(ms), ms));
            io.reap(10, &mut |event| story += &format!("{ms} {event:?}\n"));
        }
        story
    };
    assert_eq!(story(5), story(5));
    assert_ne!(story(5), story(6));
}

#[test]
fn a_send_waits_for_a_peer_that_does_not_read() {
    let mut io = SimulatedIo::new(1, FaultProfile { window_bytes: 10, ..FaultProfile::calm() });
    let mut echo = Echo::default();
    let peer = io.peer_connect();
    io.peer_send(peer, &[1; 25]);
    run(&mut io, &mut echo);
    assert!(echo.conns[0].sending);
    for expected in [10, 10, 5] {
        assert_eq!(io.peer_read(peer).len(), expected);
        run(&mut io, &mut echo);
    }
    assert!(!echo.conns[0].sending);
}

#[test]
fn who_is_not_accepted_yet_is_refused_when_accepting_stops() {
    let mut io = SimulatedIo::new(1, FaultProfile::rough());
    let mut echo = Echo::default();
    let (early, id) = (io.peer_connect(), ConnId { slot: 0, generation: 0 });
    run(&mut io, &mut echo);
    assert_eq!(io.conn_of(early), Some(id));
    let waiting = io.peer_connect();
    io.submit(&mut vec![Action::StopAccepting]);
    let late = io.peer_connect();
    run(&mut io, &mut echo);
    let states = [early, waiting, late].map(|peer| io.peer_state(peer));
    assert_eq!(states, [PeerState::Open, PeerState::Refused, PeerState::Refused]);
    io.submit(&mut vec![Action::Close(id), Action::Close(id)]);
    run(&mut io, &mut echo);
    assert_eq!(io.peer_state(early), PeerState::Closed);
    assert_eq!(io.conn_of(early), None);
}
