//! One io_uring with everything that it may still touch: the only place that
//! hands memory to the kernel. One of the files that may say `unsafe`.
//!
//! Invariants: what a request points at stays here, unmoved, until the kernel
//! has answered the request finally; a submit never brings more completions
//! than the completion queue has room for, so only receives can make it overflow, and
//! for those the kernel ends the multishot; so can accepts, a few, which the kernel
//! keeps, and messages of neighbours, one of each for each sleep, and the kernel keeps or
//! refuses those.
//!
//! Deliberately absent: the meaning of a completion for its connection.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use bytes::Bytes;
use io_uring::squeue::{Entry, Flags};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, types};
use socket2::SockAddr;

use crate::base::{Slab, trim_queue};

use super::buffers::{self, Buffers};
use super::socket;
use super::user_data::{RequestKind, UserData};
use super::{IoSetupError, Options};

/// How often a ring that ends may find no completion before it rather loses the memory
/// that it lent.
const QUIESCE_ROUNDS: usize = 1_000;

/// Most consecutive calls for more completions before a turn begins.
const GATHER_ROUNDS: usize = 256;

/// How a send begins: it is tried, and where there is no room the kernel waits for some.
const AT_ONCE: u16 = 0;

/// How a send begins that has found no room just now: the kernel waits for some at first
/// (`IORING_RECVSEND_POLL_FIRST`, Linux 5.19).
const POLL_FIRST: u16 = 1;

/// The kernel's answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Completion {
    pub token: UserData,
    pub result: i32,
    pub flags: u32,
}

impl Completion {
    /// Whether the same request will be answered again.
    pub fn more(self) -> bool {
        cqueue::more(self.flags)
    }

    /// Number of requests that this is the last answer to.
    fn ends_count(self) -> u64 {
        match self.token.kind() {
            // Not counted as under way: the one is answered only when it failed, the
            // other is no request of this ring.
            RequestKind::Wake | RequestKind::Woken => 0,
            RequestKind::Accept
            | RequestKind::Receive
            | RequestKind::Send
            | RequestKind::Connect
            | RequestKind::Bell
            | RequestKind::NoReply => u64::from(!self.more()),
        }
    }

    /// True when an answer that brings bytes left others in the socket.
    pub fn leaves_bytes(self) -> bool {
        0 < self.result && cqueue::sock_nonempty(self.flags)
    }

    /// The receive buffer that the answer came in.
    pub fn buffer(self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

/// The progress of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendProgress {
    Whole,
    Partial,
}

/// How a ring ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quiesced {
    /// Whether the kernel has answered all requests.
    pub is_complete: bool,
    /// What the kernel had under way when it was told to cancel all, summed up: it
    /// goes through that again for each request that it cancels.
    pub swept: u64,
}

/// The bytes of one send, with the number that has left.
struct Outgoing {
    bytes: Bytes,
    sent: usize,
}

/// All memory that the kernel may access while requests are in flight.
struct Lent {
    sends: Slab<Outgoing>,
    targets: Slab<SockAddr>,
    buffers: Buffers,
}

/// A ring, its queues, and the memory of its requests.
pub(super) struct Uring {
    ring: IoUring,
    lent: ManuallyDrop<Lent>,
    /// Completions that were taken out of the queue early.
    stash: VecDeque<Completion>,
    /// Number of those with a receive buffer.
    stashed_buffers: usize,
    /// Receives that will take a buffer when they reach the kernel.
    promised_buffers: usize,
    /// Requests that the kernel had no room for yet.
    waiting: VecDeque<Entry>,
    /// Requests without their final answer.
    under_way: u64,
    /// Requests since the beginning.
    begun: u64,
    /// System calls since the beginning.
    pub submits: u64,
    /// Requests that found the submission queue full.
    pub queue_full: u64,
    /// Turns that found the completion queue overflown.
    pub overflows: u64,
}

impl Uring {
    pub fn new(options: &Options) -> Result<Uring, IoSetupError> {
        assert!(options.recv_buffers.is_power_of_two() && options.recv_buffers <= 1 << 15);
        assert!(options.submission_entries <= options.completion_entries);
        let ring = IoUring::builder()
            .setup_cqsize(options.completion_entries)
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .dontfork()
            .build(options.submission_entries)
            .map_err(|error| {
                IoSetupError::from_step("io_uring_setup", "deferred task work", error)
            })?;
        if !ring.params().is_feature_nodrop() || !ring.params().is_feature_ext_arg() {
            return Err(IoSetupError::TooOld { feature: "lossless completion queue" });
        }
        let unmapped = |error| IoSetupError::from_step("mmap", "receive buffers", error);
        let buffers =
            Buffers::new(options.recv_buffers, options.recv_buffer_bytes).map_err(unmapped)?;
        // SAFETY: the buffers move into `lent`, which `drop` frees only when no
        // request is under way any more. Moving them does not move the mappings.
        unsafe { buffers.register(&ring.submitter()) }.map_err(|error| {
            IoSetupError::from_step("io_uring_register", "provided buffer rings", error)
        })?;
        let (sends, targets) = (Slab::default(), Slab::default());
        let lent = Lent { sends, targets, buffers };
        Ok(Uring {
            ring,
            lent: ManuallyDrop::new(lent),
            stash: VecDeque::new(),
            stashed_buffers: 0,
            promised_buffers: 0,
            waiting: VecDeque::new(),
            under_way: 0,
            begun: 0,
            submits: 0,
            queue_full: 0,
            overflows: 0,
        })
    }

    /// Gives back what completions and requests that had to wait have left. The kernel
    /// looks at neither: it has copies.
    pub fn trim(&mut self) {
        trim_queue(&mut self.stash);
        trim_queue(&mut self.waiting);
    }

    /// Accepts one peer of `listener`.
    pub fn accept(&mut self, token: UserData, listener: RawFd) {
        let (addr, len) = (std::ptr::null_mut(), std::ptr::null_mut());
        let accept = opcode::Accept::new(types::Fd(listener), addr, len).flags(libc::SOCK_CLOEXEC);
        self.push(accept.build(), token);
    }

    /// Receives into the shared buffers until the peer ends or none is left.
    pub fn receive(&mut self, token: UserData, fd: RawFd) {
        self.push(opcode::RecvMulti::new(types::Fd(fd), buffers::GROUP).build(), token);
    }

    /// Receives once, into one shared buffer.
    pub fn receive_once(&mut self, token: UserData, fd: RawFd) {
        let len = self.lent.buffers.buffer_bytes() as u32; // made of one
        let receive = opcode::Recv::new(types::Fd(fd), std::ptr::null_mut(), len);
        let receive = receive.buf_group(buffers::GROUP).build();
        self.push(receive.flags(Flags::BUFFER_SELECT), token);
        self.promised_buffers += 1;
    }

    /// Buffers that the kernel has, has not filled, and will not fill for a receive
    /// that is about to reach it. One that it filled is known by its completion, so
    /// this takes all of those out of the queue. Without those that it keeps because
    /// the queue has overflown: whoever counts on too many buffers then is told so
    /// by thousands of completions later.
    pub fn unclaimed(&mut self) -> usize {
        self.make_room(self.ring.params().cq_entries() as usize);
        let buffers = &self.lent.buffers;
        let taken = buffers.lent() as usize + self.stashed_buffers + self.promised_buffers;
        buffers.count().saturating_sub(taken)
    }

    /// Sends `bytes`, or as many of them as the socket has room for. They stay here until
    /// `forget_send`.
    pub fn send(&mut self, token: UserData, fd: RawFd, bytes: Bytes) -> u32 {
        let index = self.lent.sends.insert(Outgoing { bytes, sent: 0 });
        self.push_send(token, fd, index, AT_ONCE);
        index
    }

    /// Sends what is left of a send whose last answer was final, as soon as there is room.
    pub fn send_rest(&mut self, token: UserData, fd: RawFd, index: u32) {
        self.push_send(token, fd, index, POLL_FIRST);
    }

    /// Deliberately absent: `MSG_WAITALL`. A send that has to take all takes the error of its
    /// socket, too, when that comes in the middle, and is answered with the bytes that had
    /// left: nobody learns then why the connection ended. So what has no room is a rest.
    fn push_send(&mut self, token: UserData, fd: RawFd, index: u32, ioprio: u16) {
        let outgoing = &self.lent.sends[index];
        let rest = &outgoing.bytes[outgoing.sent..];
        // The kernel takes a length of 32 bits; more is sent as a rest.
        let len = rest.len().min(1 << 30) as u32;
        let send = opcode::Send::new(types::Fd(fd), rest.as_ptr(), len)
            .ioprio(ioprio)
            .flags(libc::MSG_NOSIGNAL);
        self.push(send.build(), token);
    }

    /// Notes that `count` more bytes of a send have left. The kernel must have given its final
    /// answer.
    pub fn sent(&mut self, index: u32, count: usize) -> SendProgress {
        let outgoing = &mut self.lent.sends[index];
        outgoing.sent += count;
        assert!(outgoing.sent <= outgoing.bytes.len());
        if outgoing.sent == outgoing.bytes.len() {
            SendProgress::Whole
        } else {
            SendProgress::Partial
        }
    }

    /// Frees the bytes of a send. The kernel must have given its final answer.
    pub fn forget_send(&mut self, index: u32) {
        let outgoing = self.lent.sends.remove(index);
        assert!(outgoing.is_some(), "a send is forgotten once");
    }

    /// Connects to `target`. The address stays here until `forget_target`.
    pub fn connect(&mut self, token: UserData, fd: RawFd, target: SocketAddr) -> u32 {
        let index = self.lent.targets.insert(target.into());
        let target = &self.lent.targets[index];
        let connect = opcode::Connect::new(types::Fd(fd), target.as_ptr().cast(), target.len());
        self.push(connect.build(), token);
        index
    }

    /// Frees an address. The kernel must have answered the connect.
    pub fn forget_target(&mut self, index: u32) {
        let target = self.lent.targets.remove(index);
        assert!(target.is_some(), "an address is forgotten once");
    }

    /// Cancels the request that `target` names; it is answered with an error.
    pub fn cancel(&mut self, target: UserData) {
        self.push(
            opcode::AsyncCancel::new(target.0).build(),
            UserData::plain(RequestKind::NoReply, 0),
        );
    }

    /// Polls `fd`: `token` is answered each time that it is written to.
    pub fn watch(&mut self, token: UserData, fd: RawFd) {
        let poll = opcode::PollAdd::new(types::Fd(fd), libc::POLLIN as u32).multi(true);
        self.push(poll.build(), token);
    }

    /// Wakes the core behind another ring. Answered only when that failed.
    pub fn wake(&mut self, token: UserData, ring: RawFd) {
        self.queue(message_to(ring).flags(Flags::SKIP_SUCCESS).user_data(token.0));
    }

    /// The descriptor that other rings send messages to; `None` where the kernel does
    /// not pass them on, which shows when a ring sends one to itself.
    pub fn address(&mut self) -> Option<RawFd> {
        let own = self.ring.as_raw_fd();
        self.push(message_to(own), UserData::plain(RequestKind::NoReply, 0));
        self.submit();
        let (mut sent, mut came) = (false, false);
        while let Some(done) = self.next() {
            sent |= done.token.kind() == RequestKind::NoReply && 0 <= done.result;
            came |= done.token.kind() == RequestKind::Woken;
        }
        (sent && came).then_some(own)
    }

    pub fn buffers(&mut self) -> &mut Buffers {
        &mut self.lent.buffers
    }

    /// Takes the oldest completion.
    pub fn next(&mut self) -> Option<Completion> {
        if let Some(completion) = self.stash.pop_front() {
            self.stashed_buffers -= usize::from(completion.buffer().is_some());
            return Some(completion);
        }
        let completion = take(&mut self.ring)?;
        self.under_way -= completion.ends_count();
        Some(completion)
    }

    /// Number of completions that can be taken without a system call.
    pub fn ready(&mut self) -> usize {
        self.stash.len() + self.ring.completion().len()
    }

    /// True when the kernel has deferred work, or completions that did not fit into the queue.
    pub fn has_more(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.cq_overflow() || queue.taskrun()
    }

    /// True when every request was submitted.
    pub fn is_flushed(&mut self) -> bool {
        self.waiting.is_empty() && self.ring.submission().is_empty()
    }

    /// Asks the kernel for what it has done, until `wanted` completions are
    /// there or it has no more. Newer kernels do 20 deferred pieces of work a
    /// call; without asking again a turn could never grow with its load.
    pub fn gather(&mut self, wanted: usize) {
        for _ in 0..GATHER_ROUNDS {
            if self.ready() >= wanted || !self.has_more() {
                return;
            }
            if self.ring.submission().cq_overflow() {
                self.overflows += 1;
                self.make_room(self.ring.params().cq_entries() as usize);
            }
            let _ = self.enter(Enter::Work, None);
        }
    }

    /// Submits all requests without waiting. False when the kernel has no room for all of them now.
    pub fn submit(&mut self) -> bool {
        loop {
            self.refill();
            if self.ring.submission().is_empty() {
                return true;
            }
            if !self.enter(Enter::Work, None) {
                return false;
            }
        }
    }

    /// Submits all requests, and waits for a completion, at most `limit`.
    pub fn wait(&mut self, limit: Option<Duration>) {
        self.refill();
        if self.waiting.is_empty() && self.ready() == 0 {
            self.enter(Enter::Wait, limit.map(timespec));
        } else {
            self.submit();
        }
    }

    /// Takes the last answers. Whoever owns the sockets has ended them before, and
    /// cancelled what does not end with its socket, so that each request is
    /// answered by itself: thousands are not cancelled in a time that anybody
    /// would wait for. Only what is left when no more answers come is.
    pub fn quiesce(&mut self) -> Quiesced {
        let (mut silent, mut swept) = (0, 0);
        loop {
            self.submit();
            self.enter(Enter::Work, None);
            let mut answers = 0;
            while let Some(completion) = self.next() {
                answers += 1;
                if completion.token.kind() == RequestKind::Accept && 0 <= completion.result {
                    socket::close(completion.result);
                }
            }
            let is_complete = self.under_way == 0 && self.is_flushed();
            if is_complete || silent == QUIESCE_ROUNDS {
                return Quiesced { is_complete, swept };
            }
            if answers == 0 {
                silent += 1;
                swept += self.under_way;
                self.cancel_all();
            }
        }
    }

    /// Requests without their final answer, and all since the start.
    pub fn requests(&self) -> (u64, u64) {
        (self.under_way, self.begun)
    }

    fn cancel_all(&mut self) {
        self.submits += 1;
        let limit = Some(types::Timespec::new().nsec(1_000_000));
        // It fails when nothing is left, or when the time is over: the caller checks.
        let any = types::CancelBuilder::any();
        let _ = self.ring.submitter().register_sync_cancel(limit, any);
    }

    fn push(&mut self, entry: Entry, token: UserData) {
        self.under_way += 1;
        self.begun += 1;
        self.queue(entry.user_data(token.0));
    }

    fn queue(&mut self, entry: Entry) {
        // SAFETY: what the entries built above point at lies in `lent` and stays
        // there, unmoved, until the final answer: bytes in the heap or static,
        // addresses in a slab's chunk. Descriptors are numbers; a wrong one gives
        // an error and touches no memory of ours.
        let pushed =
            self.waiting.is_empty() && unsafe { self.ring.submission().push(&entry) }.is_ok();
        if !pushed {
            self.push_when_full(entry);
        }
    }

    #[cold]
    fn push_when_full(&mut self, entry: Entry) {
        self.queue_full += 1;
        self.waiting.push_back(entry);
        self.enter(Enter::Submit, None);
        self.refill();
    }

    /// Moves requests that waited into the queue.
    fn refill(&mut self) {
        while let Some(entry) = self.waiting.front() {
            // SAFETY: as in `queue`, from where the entry comes.
            if unsafe { self.ring.submission().push(entry) }.is_err() {
                return;
            }
            self.waiting.pop_front();
        }
    }

    /// Takes completions out of the queue until `room` more fit.
    fn make_room(&mut self, room: usize) {
        let capacity = self.ring.params().cq_entries() as usize;
        if capacity - self.ring.completion().len() >= room {
            return;
        }
        while let Some(completion) = take(&mut self.ring) {
            self.under_way -= completion.ends_count();
            self.stashed_buffers += usize::from(completion.buffer().is_some());
            self.stash.push_back(completion);
        }
    }

    /// The one system call. False when the kernel cannot take the requests now.
    fn enter(&mut self, how: Enter, limit: Option<types::Timespec>) -> bool {
        let queued = self.ring.submission().len();
        self.make_room(queued);
        self.submits += 1;
        let mut args = types::SubmitArgs::new();
        if let Some(limit) = &limit {
            args = args.timespec(limit);
        }
        let (wanted, flags) = match how {
            Enter::Submit => (0, EnterFlags::EXT_ARG),
            Enter::Work => (0, EnterFlags::EXT_ARG | EnterFlags::GETEVENTS),
            Enter::Wait => (1, EnterFlags::EXT_ARG | EnterFlags::GETEVENTS),
        };
        // SAFETY: `args` has the layout that EXT_ARG announces, and it and the
        // time it points at outlive the call. What the queued requests point at
        // is covered by `queue`.
        let outcome = unsafe {
            self.ring.submitter().enter(queued as u32, wanted, flags.bits(), Some(&args))
        };
        if self.is_flushed() {
            self.promised_buffers = 0;
        }
        match outcome.as_ref().map_err(io::Error::raw_os_error) {
            Ok(&taken) => taken > 0 || queued == 0,
            // A signal or the end of the time: the caller checks again in any case.
            Err(Some(libc::EINTR | libc::ETIME)) => true,
            // No memory for requests, or too many completions unseen: later.
            Err(Some(libc::EAGAIN | libc::EBUSY | libc::ENOMEM)) => false,
            Err(_) => panic!("io_uring_enter refused a valid call: {outcome:?}"),
        }
    }
}

/// The purpose of a system call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Enter {
    /// Submit requests.
    Submit,
    /// Submit requests, and let the kernel do its deferred work.
    Work,
    /// The same, and wait for a completion.
    Wait,
}

fn take(ring: &mut IoUring) -> Option<Completion> {
    let entry = ring.completion().next()?;
    let token = UserData(entry.user_data());
    Some(Completion { token, result: entry.result(), flags: entry.flags() })
}

/// A message that wakes the thread that waits at this ring.
fn message_to(ring: RawFd) -> Entry {
    opcode::MsgRingData::new(types::Fd(ring), 0, UserData::plain(RequestKind::Woken, 0).0, None)
        .build()
}

fn timespec(wait: Duration) -> types::Timespec {
    types::Timespec::new().sec(wait.as_secs()).nsec(wait.subsec_nanos())
}

impl Drop for Uring {
    /// Waits for the kernel's answers. Memory that it still uses is leaked and not freed.
    fn drop(&mut self) {
        if self.quiesce().is_complete {
            // SAFETY: dropped once, here, and nothing uses it afterwards. No
            // request is under way, so the kernel looks at none of it.
            unsafe { ManuallyDrop::drop(&mut self.lent) };
        }
    }
}
