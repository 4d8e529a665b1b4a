//! The bare ring: a server that upgrades, and then does with frames the least
//! that the load's shape needs. What it costs is the floor under any server on
//! the same ring; what a chat server costs more is its own doing.
//!
//! A frame is sent by itself, also when several wait for one connection: this
//! is the single send that gathering is compared with.
//!
//! Deliberately absent: the chat protocol, tokens, limits for peers other than
//! our own load generator.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use bytes::{Bytes, BytesMut};
use rookery::base::limits::TURN_EVENTS_MAX;
use rookery::base::{Action, ConnId, Event, Io, Slots};
use rookery::metrics::Cells;
use rookery::ring::{self, KernelIo, PortUse};
use rookery::ws::{self, Incoming, Opcode, ReadBuffer, Reader, Role, Rules, put_frame};

const BACKLOG: i32 = 65_535;

const RULES: Rules = Rules { role: Role::Server, message_bytes_max: 64 << 10 };

/// What the floor does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Nothing.
    Hold,
    /// Sends it back.
    Echo,
    /// Sends it to every connection of the shard, in a send of its own for each.
    Fanout,
}

/// What the floor is told.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Rings, each with a thread, a listener, and a descriptor table.
    pub shards: u16,
    /// What it does.
    pub mode: Mode,
}

/// A floor that runs until its process ends.
#[derive(Debug)]
pub struct Floor {
    /// Where it listens.
    pub addr: SocketAddr,
    shards: Vec<JoinHandle<()>>,
}

impl Floor {
    /// Starts all shards; when this returns, they listen. A port of 0 is chosen
    /// by the kernel, and needs a single shard.
    pub fn start(options: Options) -> Result<Floor, String> {
        if options.listen.port() == 0 && options.shards != 1 {
            return Err("several shards need a port that they can share".to_owned());
        }
        let (started, starts) = mpsc::channel();
        let mut shards = Vec::new();
        for shard in 0..options.shards {
            let started = started.clone();
            let body = move || {
                let outcome = begin(options);
                let answer = outcome.as_ref().map(|(_, addr)| *addr).map_err(String::clone);
                let _ = started.send(answer);
                drop(started);
                if let Ok((io, _)) = outcome {
                    serve(io, options.mode);
                }
            };
            let name = format!("floor-{shard}");
            let built = thread::Builder::new().name(name).stack_size(512 << 10).spawn(body);
            shards.push(built.map_err(|error| error.to_string())?);
        }
        drop(started);
        let mut addr = options.listen;
        for _ in 0..options.shards {
            addr = starts.recv().map_err(|_| "a shard ended at its start".to_owned())??;
        }
        Ok(Floor { addr, shards })
    }

    /// Waits for ever: only the end of the process ends a floor.
    pub fn wait(self) {
        for shard in self.shards {
            shard.join().expect("a floor's shard does not panic");
        }
    }
}

/// A shard's ring, listening.
fn begin(options: Options) -> Result<(KernelIo, SocketAddr), String> {
    if 1 < options.shards {
        ring::unshare_descriptor_table().map_err(|error| error.to_string())?;
    }
    let listener = ring::listener(options.listen, BACKLOG, PortUse::Shared)
        .map_err(|error| format!("{}: {error}", options.listen))?;
    let addr = listener.local_addr().map_err(|error| error.to_string())?;
    let metrics = Rc::new(Cells::new().claim());
    let mut io = KernelIo::new(&ring_options(options.shards), metrics)
        .map_err(|refusal| refusal.to_string())?;
    io.listen(listener);
    Ok((io, addr))
}

/// Many shards share a machine: 0.3 MB of buffers each, as the server has them.
fn ring_options(shards: u16) -> ring::Options {
    let whole = ring::Options::default();
    if shards <= 4 {
        return whole;
    }
    ring::Options { recv_buffers: 128, recv_buffer_bytes: 2_048, ..whole }
}

fn serve(mut io: KernelIo, mode: Mode) {
    let mut shard = Shard { mode, peers: Slots::default(), heads: BTreeMap::new() };
    let mut work = Vec::new();
    loop {
        let reaped = io.reap(TURN_EVENTS_MAX, &mut |event| shard.handle(event, &mut work));
        let acted = !work.is_empty();
        io.submit(&mut work);
        if reaped == 0 && !acted {
            io.park(None);
        }
    }
}

/// One connection.
struct Peer {
    id: ConnId,
    is_upgraded: bool,
    is_sending: bool,
    reader: Reader,
    waiting: VecDeque<Bytes>,
}

impl Peer {
    fn send(&mut self, frame: Bytes, work: &mut Vec<Action>) {
        if self.is_sending {
            self.waiting.push_back(frame);
        } else {
            self.is_sending = true;
            work.push(Action::Send(self.id, frame));
        }
    }

    fn sent(&mut self, work: &mut Vec<Action>) {
        self.is_sending = false;
        match self.waiting.pop_front() {
            Some(frame) => self.send(frame, work),
            // A burst's memory is not kept for ever.
            None => self.waiting = VecDeque::new(),
        }
    }
}

struct Shard {
    mode: Mode,
    peers: Slots<Peer>,
    /// Requests that came in pieces, by slot.
    heads: BTreeMap<u32, Vec<u8>>,
}

impl Shard {
    fn handle(&mut self, event: Event<'_>, work: &mut Vec<Action>) {
        match event {
            Event::Accepted(id) => {
                let (is_upgraded, is_sending) = (false, false);
                let peer = Peer {
                    id,
                    is_upgraded,
                    is_sending,
                    reader: Reader::new(),
                    waiting: VecDeque::new(),
                };
                self.peers.insert(id.slot, peer);
            }
            Event::Connected(_) => unreachable!("a floor does not connect"),
            Event::Received(id, bytes) => match self.peers.at(id.slot) {
                Some(peer) if peer.is_upgraded => self.on_frames(id, bytes, work),
                Some(_) => self.on_head(id, bytes, work),
                None => {}
            },
            Event::Sent(id) => {
                if let Some(peer) = self.peers.at_mut(id.slot) {
                    peer.sent(work);
                }
            }
            Event::Ended(id) => work.push(Action::Close(id)),
            Event::Gone(id, _) => {
                self.peers.remove(id.slot);
                self.heads.remove(&id.slot);
            }
        }
    }

    fn on_head(&mut self, id: ConnId, bytes: &mut [u8], work: &mut Vec<Action>) {
        let mut kept = self.heads.remove(&id.slot).unwrap_or_default();
        kept.extend_from_slice(bytes);
        match ws::upgrade(&kept, &ws::Options::default()) {
            Ok(None) => {
                self.heads.insert(id.slot, kept);
            }
            Ok(Some(granted)) => {
                let peer = self.peers.at_mut(id.slot).expect("it has just sent its request");
                peer.is_upgraded = true;
                peer.send(granted.response.into(), work);
                if granted.used < kept.len() {
                    self.on_frames(id, &mut kept[granted.used..], work);
                }
            }
            Err(_) => work.push(Action::Close(id)),
        }
    }

    fn on_frames(&mut self, id: ConnId, bytes: &mut [u8], work: &mut Vec<Action>) {
        let mut input = ReadBuffer::new(bytes);
        let peer = self.peers.at_mut(id.slot).expect("it has just sent a frame");
        let mut reader = std::mem::take(&mut peer.reader);
        loop {
            match reader.next(&mut input, RULES) {
                Ok(None) => break,
                Ok(Some(Incoming::Binary(payload))) => self.on_payload(id, payload, work),
                Ok(Some(Incoming::Ping(payload))) => {
                    let peer = self.peers.at_mut(id.slot).expect("as above");
                    peer.send(frame(Opcode::Pong, payload), work);
                }
                Ok(Some(Incoming::Pong(_) | Incoming::Text(_))) => {}
                Ok(Some(Incoming::Close(_))) | Err(_) => {
                    work.push(Action::Close(id));
                    break;
                }
            }
        }
        if let Some(peer) = self.peers.at_mut(id.slot) {
            peer.reader = reader;
        }
    }

    fn on_payload(&mut self, id: ConnId, payload: &[u8], work: &mut Vec<Action>) {
        match self.mode {
            Mode::Hold => {}
            Mode::Echo => {
                let peer = self.peers.at_mut(id.slot).expect("it has just sent a frame");
                peer.send(frame(Opcode::Binary, payload), work);
            }
            Mode::Fanout => {
                let frame = frame(Opcode::Binary, payload);
                let slots: Vec<u32> = self.peers.iter().map(|(slot, _)| slot).collect();
                for slot in slots {
                    let peer = self.peers.at_mut(slot).expect("listed just now");
                    if peer.is_upgraded {
                        peer.send(frame.clone(), work);
                    }
                }
            }
        }
    }
}

fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(ws::FRAME_HEADER_BYTES_MAX + payload.len());
    put_frame(&mut out, opcode, payload);
    out.freeze()
}
