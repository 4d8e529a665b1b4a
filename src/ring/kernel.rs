//! The `Io` over the kernel: what completions mean for connections.
//!
//! A connection is closed in three steps. It is marked as leaving; when all
//! requests that name its descriptor are with the kernel, the socket is shut
//! down and closed; when the kernel has answered them all, `Event::Gone` tells
//! the core, and the slot is free.
//!
//! Deliberately absent: `unsafe`, system calls other than through `uring` and
//! `socket`.

mod acceptors;
mod counters;
mod errno;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::base::{
    Action, ConnId, DisconnectReason, Event, Io, MonotonicMs, MonotonicUs, ShardId, TcpLiveness,
    Timestamps, trim_queue,
};
use crate::clock;
use crate::metrics::{AcceptFailure, MetricsWriter};

use super::conns::{ConnPhase, ConnTable, NONE, PendingOps, QueuePosition};
use super::queue::SlotList;
use super::socket;
use super::uring::{Completion, SendProgress, Uring};
use super::user_data::{RequestKind, UserData};
use super::waker::Waker;
use super::{IoSetupError, Options};
use acceptors::{Accepted, Acceptors};
use counters::RingCounters;
use errno::disconnect_reason;

/// Most buffers that a connection gets in one turn. A message that fits into them is received whole
/// before the next connection has its turn, so few messages are partially received.
const SERVED_BUFFERS_MAX: u8 = 16;

/// The sockets of one core over one io_uring. It belongs to the thread that made it.
pub struct KernelIo {
    uring: Uring,
    conns: ConnTable,
    acceptors: Acceptors,
    /// Connections that wait for a receive buffer.
    queue: SlotList,
    /// Connections to be closed as soon as no waiting request names their
    /// descriptor: a number that is closed may be another's socket at once.
    leaving: Vec<ConnId>,
    /// Events that wait for the next `reap`.
    gone: VecDeque<(ConnId, DisconnectReason)>,
    waker: Waker,
    watch: Watch,
    /// The wakers of the other cores, by number.
    neighbours: Arc<[Waker]>,
    started: Instant,
    counters: RingCounters,
    /// What of the counters the metrics have already.
    written: RingCounters,
    metrics: Rc<MetricsWriter>,
    /// Whether the last `reap` left no event.
    is_drained: bool,
}

/// Whether a poll of the waker is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    /// One is.
    Set,
    /// None is.
    Unset,
}

impl KernelIo {
    /// An `Io` for the calling thread, which writes what it counts with
    /// `metrics`. A refusal says what to do about it.
    pub fn new(options: &Options, metrics: Rc<MetricsWriter>) -> Result<KernelIo, IoSetupError> {
        let mut uring = Uring::new(options)?;
        let address = uring.address();
        KernelIo::over(uring, address, options, metrics)
    }

    /// One that neighbours wake through `address`.
    fn over(
        uring: Uring,
        address: Option<RawFd>,
        options: &Options,
        metrics: Rc<MetricsWriter>,
    ) -> Result<KernelIo, IoSetupError> {
        let waker = Waker::new(address)
            .map_err(|error| IoSetupError::from_step("eventfd", "event descriptors", error))?;
        Ok(KernelIo {
            uring,
            conns: ConnTable::new(options.connections_max),
            acceptors: Acceptors::default(),
            queue: SlotList::default(),
            leaving: Vec::new(),
            gone: VecDeque::new(),
            waker,
            watch: Watch::Unset,
            neighbours: Arc::new([]),
            started: clock::now(),
            counters: RingCounters::default(),
            written: RingCounters::default(),
            metrics,
            is_drained: false,
        })
    }

    /// Accepts peers of `listener`, from the next `submit` until `Action::StopAccepting`.
    pub fn listen(&mut self, listener: TcpListener) {
        self.acceptors.add(listener);
    }

    /// Begins a connection from `from`, or any address, to `to`. Answered by
    /// `Event::Connected`, or `Event::Gone` with `DisconnectReason::Unreachable`.
    pub fn connect(&mut self, from: Option<SocketAddr>, to: SocketAddr) -> io::Result<ConnId> {
        if self.conns.is_full() {
            return Err(io::Error::other("the ring has as many connections as it may have"));
        }
        let fd = socket::outgoing(from, to)?;
        let id = self.conns.insert(fd, ConnPhase::Connecting);
        let conn = self.conns.at_mut(id).expect("inserted just now");
        conn.under_way.begin(PendingOps::CONNECT);
        conn.in_flight = self.uring.connect(UserData::of(RequestKind::Connect, id), fd, to);
        Ok(id)
    }

    /// Wakes the core of this `Io`; for other threads to keep.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Sets the wakers of the cores whose numbers `wake` is told. Their rings must have been
    /// made before descriptor tables split.
    pub fn set_peers(&mut self, neighbours: Arc<[Waker]>) {
        self.neighbours = neighbours;
    }

    /// Number of connections, including those that connect or close.
    pub fn connections(&self) -> u32 {
        self.conns.len()
    }

    /// The address of a peer. It costs a system call, so it is for few.
    pub fn peer(&mut self, id: ConnId) -> Option<SocketAddr> {
        let conn = self.conns.at_mut(id)?;
        if conn.fd < 0 { None } else { socket::peer(conn.fd) }
    }

    /// Requests without their final answer, and all since the start.
    pub fn operations(&self) -> (u64, u64) {
        self.uring.requests()
    }

    /// Sleeps until there is something to reap, the waker is notified, or `until`
    /// has come. Blocks the thread; a core has nothing else to do.
    pub fn park(&mut self, until: Option<MonotonicMs>) {
        self.settle();
        self.report();
        // While a connection waits for a buffer, one is free, or comes with the completions that
        // are there.
        let idle = self.gone.is_empty() && self.queue.is_empty() && self.leaving.is_empty();
        if !idle || !self.waker.prepare_park() {
            return;
        }
        if self.watch == Watch::Unset {
            self.watch = Watch::Set;
            let fd = self.waker.descriptor();
            self.uring.watch(UserData::plain(RequestKind::Bell, 0), fd);
        }
        let until = earlier(until, self.acceptors.retry_at());
        let limit = until.map(|until| self.wait_until(until));
        self.uring.wait(limit);
        self.waker.unpark();
    }

    fn wait_until(&self, until: MonotonicMs) -> Duration {
        Duration::from_millis(until.0).saturating_sub(self.started.elapsed())
    }

    /// Writes the counters of this turn.
    fn report(&mut self) {
        self.counters.submits = self.uring.submits;
        self.counters.queue_full = self.uring.queue_full;
        self.counters.overflows = self.uring.overflows;
        self.counters.write_since(&self.written, &self.metrics);
        self.written = self.counters;
    }

    fn tick(&self) -> MonotonicMs {
        MonotonicMs(self.started.elapsed().as_millis() as u64)
    }

    /// Frees the spare capacity that a burst of connections has left. To be called now and then.
    pub fn trim(&mut self) {
        trim_queue(&mut self.gone);
        self.uring.trim();
    }

    /// Submits all requests; after that only the kernel's own references use the descriptors of
    /// leaving connections, and they can be closed.
    fn settle(&mut self) {
        self.serve();
        if !self.uring.submit() || self.leaving.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.leaving) {
            let conn = self.conns.at_mut(id).expect("it leaves after it was closed");
            // Requests in flight hold the socket, and are ended by this.
            if conn.under_way.has(PendingOps::CONNECT) {
                self.uring.cancel(UserData::of(RequestKind::Connect, id));
            } else if !conn.under_way.is_empty() {
                socket::shut_down(conn.fd);
            }
            socket::close(conn.fd);
            conn.fd = -1;
            self.release(id);
        }
        self.uring.submit();
    }

    fn leave(&mut self, id: ConnId, reason: DisconnectReason) {
        let conn = self.conns.at_mut(id).expect("only a live connection leaves");
        match conn.phase {
            ConnPhase::Connecting | ConnPhase::Open | ConnPhase::Ended => {
                conn.phase = ConnPhase::Leaving(reason);
                self.leaving.push(id);
            }
            ConnPhase::Leaving(_) => {}
            ConnPhase::Free => unreachable!("a free slot has no connection"),
        }
    }

    /// Announces the end of a leaving connection without requests in flight.
    fn release(&mut self, id: ConnId) {
        let conn = self.conns.at_mut(id).expect("it is released once");
        if let ConnPhase::Leaving(reason) = conn.phase
            && conn.fd < 0
            && conn.under_way.is_empty()
        {
            self.gone.push_back((id, reason));
        }
    }

    fn send(&mut self, id: ConnId, bytes: Bytes) {
        let Some(conn) = self.conns.at_mut(id) else {
            return; // it went while the core decided
        };
        match conn.phase {
            ConnPhase::Open | ConnPhase::Ended => {
                conn.under_way.begin(PendingOps::SEND);
                conn.in_flight =
                    self.uring.send(UserData::of(RequestKind::Send, id), conn.fd, bytes);
            }
            ConnPhase::Leaving(_) => {}
            ConnPhase::Connecting | ConnPhase::Free => {
                panic!("a send needs an established connection")
            }
        }
    }

    /// Shuts down every socket, which ends every request; the ring takes the answers.
    fn close_all(&mut self) {
        self.acceptors.close();
        if self.watch == Watch::Set {
            self.uring.cancel(UserData::plain(RequestKind::Bell, 0));
        }
        for (id, _) in self.conns.live().filter(|(_, conn)| conn.under_way.has(PendingOps::CONNECT))
        {
            self.uring.cancel(UserData::of(RequestKind::Connect, id));
        }
        self.uring.submit();
        for (_, conn) in self.conns.live().filter(|(_, conn)| 0 <= conn.fd) {
            socket::shut_down(conn.fd);
            socket::close(conn.fd);
        }
        self.conns = ConnTable::new(0);
    }

    /// Begins to receive, after those that wait for a buffer.
    fn receive(&mut self, id: ConnId) {
        if self.queue.is_empty() {
            self.receive_always(id);
        } else {
            self.queue.push(&mut self.conns, id);
        }
    }

    fn receive_always(&mut self, id: ConnId) {
        let conn = self.conns.at_mut(id).expect("only a live connection receives");
        conn.under_way.begin(PendingOps::RECEIVE);
        self.uring.receive(UserData::of(RequestKind::Receive, id), conn.fd);
    }

    /// Continues a receive that the kernel has ended with `done`.
    fn receive_again(&mut self, id: ConnId, done: Completion) {
        let conn = self.conns.at_mut(id).expect("only a live connection receives");
        let served = std::mem::take(&mut conn.served);
        if done.result == -libc::ENOBUFS {
            self.counters.buffers_empty += 1;
            self.queue.push(&mut self.conns, id);
        } else if done.leaves_bytes() && (1..SERVED_BUFFERS_MAX).contains(&served) {
            self.receive_once(id, served + 1);
        } else if done.leaves_bytes() {
            self.receive(id);
        } else {
            // It takes no buffer now, so it delays nobody.
            self.receive_always(id);
        }
    }

    /// Receives one buffer, the `served`th of its turn.
    fn receive_once(&mut self, id: ConnId, served: u8) {
        let conn = self.conns.at_mut(id).expect("only a live connection receives");
        conn.under_way.begin(PendingOps::RECEIVE);
        conn.served = served;
        self.uring.receive_once(UserData::of(RequestKind::Receive, id), conn.fd);
    }

    /// Lets waiting connections receive, the oldest first, as many as there are buffers. Each takes
    /// one at a time, and after some of them goes to the end of the queue again, when others wait.
    /// The requests are submitted with the sends of this turn, before the kernel fills buffers for
    /// others.
    fn serve(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        for _ in 0..self.uring.unclaimed() {
            let Some(id) = self.queue.pop(&mut self.conns) else { return };
            self.receive_once(id, 1);
        }
    }

    /// Handles one completion. Returns the number of events.
    fn dispatch(&mut self, done: Completion, on_event: &mut dyn FnMut(Event<'_>)) -> usize {
        self.counters.completions += 1;
        match done.token.kind() {
            RequestKind::Receive => self.on_received(done, on_event),
            RequestKind::Send => self.on_sent(done, on_event),
            RequestKind::Accept => self.on_accepted(done, on_event),
            RequestKind::Connect => self.on_connected(done, on_event),
            RequestKind::Bell => {
                if !done.more() {
                    self.watch = Watch::Unset;
                }
                0
            }
            // The message could not be delivered: its ring is full, or closed.
            RequestKind::Wake => {
                self.neighbours[done.token.id().slot as usize].wake_by_eventfd();
                0
            }
            RequestKind::Woken | RequestKind::NoReply => 0,
        }
    }

    fn on_received(&mut self, done: Completion, on_event: &mut dyn FnMut(Event<'_>)) -> usize {
        let id = done.token.id();
        let Some(conn) = self.conns.at_mut(id) else {
            self.counters.stale += 1;
            self.discard(done);
            return 0;
        };
        if !done.more() {
            conn.under_way.end(PendingOps::RECEIVE);
        }
        if let ConnPhase::Leaving(_) = conn.phase {
            self.discard(done);
            if !done.more() {
                self.release(id);
            }
            return 0;
        }
        let mut events = 0;
        match -done.result {
            ..0 => {
                let (len, index) = (done.result as usize, done.buffer());
                let index = index.expect("received bytes come in a buffer");
                self.counters.bytes_in += len as u64;
                self.counters.buffers_lent += 1;
                on_event(Event::Received(id, self.uring.buffers().lend(index, len)));
                self.uring.buffers().give_back(index);
                events = 1;
            }
            0 => {
                conn.phase = ConnPhase::Ended;
                self.discard(done);
                on_event(Event::Ended(id));
                return 1;
            }
            libc::ENOBUFS | libc::EAGAIN | libc::EINTR | libc::ECANCELED | libc::ENOMEM => {}
            errno => {
                self.discard(done);
                self.leave(id, disconnect_reason(errno));
                return 0;
            }
        }
        // The kernel ends a multishot when buffers or room for completions are
        // missing.
        if !done.more() {
            self.receive_again(id, done);
        }
        events
    }

    /// Returns the buffer of a completion that is not used.
    fn discard(&mut self, done: Completion) {
        if let Some(index) = done.buffer() {
            self.uring.buffers().lend(index, 0);
            self.uring.buffers().give_back(index);
        }
    }

    fn on_sent(&mut self, done: Completion, on_event: &mut dyn FnMut(Event<'_>)) -> usize {
        let id = done.token.id();
        let Some(conn) = self.conns.at_mut(id) else {
            self.counters.stale += 1;
            return 0;
        };
        conn.under_way.end(PendingOps::SEND);
        let index = conn.in_flight;
        let count = done.result.max(0) as usize;
        self.counters.bytes_out += count as u64;
        let progress = self.uring.sent(index, count);
        let leaving = matches!(conn.phase, ConnPhase::Leaving(_));
        let again = 0 < done.result || matches!(-done.result, libc::EAGAIN | libc::EINTR);
        if !leaving && progress == SendProgress::Partial && again {
            self.counters.sends_short += 1;
            conn.under_way.begin(PendingOps::SEND);
            self.uring.send_rest(done.token, conn.fd, index);
            return 0;
        }
        conn.in_flight = NONE;
        self.uring.forget_send(index);
        if leaving {
            self.release(id);
            return 0;
        }
        if progress == SendProgress::Partial {
            self.leave(id, disconnect_reason(-done.result));
            return 0;
        }
        on_event(Event::Sent(id));
        1
    }

    fn on_accepted(&mut self, done: Completion, on_event: &mut dyn FnMut(Event<'_>)) -> usize {
        let now = self.started.elapsed().as_millis() as u64;
        let accepted = self.acceptors.accepted(done, MonotonicMs(now));
        let mut events = 0;
        match accepted {
            Accepted::Peer(fd) if !self.conns.is_full() => {
                let id = self.conns.insert(fd, ConnPhase::Open);
                self.receive(id);
                on_event(Event::Accepted(id));
                events = 1;
            }
            Accepted::Peer(fd) => {
                self.counters.fail_accept(AcceptFailure::Other);
                socket::close(fd);
            }
            Accepted::Nobody => {}
            Accepted::Failed(why) => self.counters.fail_accept(why),
        }
        events
    }

    fn on_connected(&mut self, done: Completion, on_event: &mut dyn FnMut(Event<'_>)) -> usize {
        let id = done.token.id();
        let Some(conn) = self.conns.at_mut(id) else {
            self.counters.stale += 1;
            return 0;
        };
        conn.under_way.end(PendingOps::CONNECT);
        self.uring.forget_target(conn.in_flight);
        conn.in_flight = NONE;
        if let ConnPhase::Leaving(_) = conn.phase {
            self.release(id);
            return 0;
        }
        if done.result < 0 {
            self.leave(id, DisconnectReason::Unreachable);
            return 0;
        }
        conn.phase = ConnPhase::Open;
        self.receive(id);
        on_event(Event::Connected(id));
        1
    }
}

impl Io for KernelIo {
    fn now(&self) -> Timestamps {
        Timestamps { tick: self.tick(), unix_ms: clock::unix_ms(), moment: moment() }
    }

    fn reap(&mut self, max: usize, on_event: &mut dyn FnMut(Event<'_>)) -> usize {
        self.uring.gather(max);
        let mut events = 0;
        while events < max {
            if let Some((id, reason)) = self.gone.pop_front() {
                self.conns.remove(id);
                self.acceptors.resume();
                on_event(Event::Gone(id, reason));
                events += 1;
                continue;
            }
            let Some(done) = self.uring.next() else { break };
            events += self.dispatch(done, on_event);
        }
        assert_eq!(self.uring.buffers().lent(), 0, "buffers lent for an event are back after it");
        self.is_drained = events < max && self.uring.ready() == 0 && !self.uring.has_more();
        events
    }

    fn is_drained(&self) -> bool {
        self.is_drained
    }

    fn tcp_liveness(&mut self, id: ConnId) -> TcpLiveness {
        let Some(conn) = self.conns.at_mut(id).filter(|conn| 0 <= conn.fd) else {
            return TcpLiveness::default();
        };
        let tcp_liveness = socket::tcp_liveness(conn.fd);
        TcpLiveness {
            has_unread: tcp_liveness.has_unread || conn.place == QueuePosition::InLine,
            ..tcp_liveness
        }
    }

    /// Costs no system call of its own where the kernel passes messages between rings.
    fn address(&mut self, id: ConnId) -> Option<IpAddr> {
        self.peer(id).map(|peer| peer.ip())
    }

    fn wake(&mut self, neighbour: ShardId) {
        let waker = &self.neighbours[usize::from(neighbour.0)];
        if !waker.set_notified() {
            return;
        }
        match waker.ring_descriptor() {
            Some(ring) => {
                self.uring.wake(UserData::plain(RequestKind::Wake, neighbour.0.into()), ring)
            }
            None => waker.wake_by_eventfd(),
        }
    }

    fn submit(&mut self, work: &mut Vec<Action>) {
        for action in work.drain(..) {
            match action {
                Action::Send(id, bytes) => self.send(id, bytes),
                Action::Close(id) => {
                    if self.conns.at_mut(id).is_some() {
                        self.leave(id, DisconnectReason::Closed);
                    }
                }
                Action::PaceAccepting { peers_per_turn_max, from } => {
                    self.acceptors.pace(peers_per_turn_max, from);
                }
                Action::StopAccepting => self.acceptors.close(),
            }
        }
        let now = self.tick();
        self.acceptors.arm(&mut self.uring, now, self.conns.room());
        self.settle();
        self.report();
    }
}

impl Drop for KernelIo {
    fn drop(&mut self) {
        self.close_all();
    }
}

fn earlier(a: Option<MonotonicMs>, b: Option<MonotonicMs>) -> Option<MonotonicMs> {
    a.into_iter().chain(b).min()
}

/// The clock that all cores of a process share.
pub fn moment() -> MonotonicUs {
    static BEGAN: LazyLock<Instant> = LazyLock::new(clock::now);
    MonotonicUs(BEGAN.elapsed().as_micros() as u64)
}
