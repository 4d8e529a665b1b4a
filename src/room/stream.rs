//! What a room remembers of what was said: nothing, the last messages in memory, or all
//! that its namespace wants, on disk. The three are told apart here for what each knows of
//! itself.
//!
//! Deliberately absent: decisions about questions (`one`).

use super::Namespace;
use super::kept::DurableStream;
use super::room_context::RoomContext;
use super::silence::is_awaited;
use super::window::Window;
use crate::base::{RoomId, Timestamps};
use crate::wire::{Epoch, Position};

/// How long a room whose messages are on disk stays in memory when nobody is there.
const REST_MS: u64 = 30_000;

/// What a room remembers of what was said.
#[derive(Debug)]
pub(super) enum RoomStream {
    /// Nothing; messages have no offsets.
    None,
    /// The last messages, in memory.
    Memory(Window),
    /// All that the namespace wants, on disk.
    Durable(Box<DurableStream>),
}

impl RoomStream {
    /// One that begins with this epoch, unless the store knows another one.
    pub fn of(rules: &Namespace, epoch: Epoch) -> RoomStream {
        match (rules.keeps_history(), rules.is_durable()) {
            (false, _) => RoomStream::None,
            (true, false) => RoomStream::Memory(Window::new(epoch)),
            (true, true) => RoomStream::Durable(Box::new(DurableStream::new(epoch))),
        }
    }

    /// What is in memory of it.
    pub fn window(&self) -> Option<&Window> {
        match self {
            RoomStream::None => None,
            RoomStream::Memory(window) => Some(window),
            RoomStream::Durable(kept) => Some(kept.window()),
        }
    }

    /// The same as one on disk, if it is.
    pub fn kept(&self) -> Option<&DurableStream> {
        match self {
            RoomStream::None | RoomStream::Memory(_) => None,
            RoomStream::Durable(kept) => Some(kept),
        }
    }

    /// The same, to change.
    pub fn kept_mut(&mut self) -> Option<&mut DurableStream> {
        match self {
            RoomStream::None | RoomStream::Memory(_) => None,
            RoomStream::Durable(kept) => Some(kept),
        }
    }

    /// The offset that the next message gets.
    pub fn next_offset(&self) -> u64 {
        match self {
            RoomStream::None => 0,
            RoomStream::Memory(window) => window.next_offset(),
            RoomStream::Durable(kept) => kept.next_offset(),
        }
    }

    /// Drops what is too old in memory. Returns when the next message will be.
    pub fn expire(&mut self, now: Timestamps, rules: &Namespace) -> Option<u64> {
        match self {
            RoomStream::None => None,
            RoomStream::Memory(window) => window.expire(now, rules.window_limits()),
            RoomStream::Durable(kept) => kept.expire(now, rules.window_limits()),
        }
    }

    /// Whether nothing is under way.
    pub fn is_at_rest(&self) -> bool {
        match self {
            RoomStream::None | RoomStream::Memory(_) => true,
            RoomStream::Durable(kept) => kept.is_at_rest(),
        }
    }

    /// How long it stays when the last member has left; its ids are remembered for
    /// `ids_ms`, by the room alone.
    pub fn stays_ms(&self, rules: &Namespace, ids_ms: u64) -> u64 {
        match self {
            RoomStream::None => 0,
            RoomStream::Memory(window) if window.is_silent() => 0,
            RoomStream::Memory(_) => rules.history_age_ms_max.max(ids_ms),
            RoomStream::Durable(kept) if kept.is_silent() => 0,
            RoomStream::Durable(_) => REST_MS,
        }
    }

    /// Whether its messages in memory are all that there is of them.
    pub fn lives_in_memory(&self) -> bool {
        match self {
            RoomStream::Memory(_) => true,
            RoomStream::None | RoomStream::Durable(_) => false,
        }
    }

    /// Where the stream of a room ends, as clients are told.
    pub fn told_position(&self, room: RoomId, cx: &RoomContext<'_>) -> Option<Position> {
        let window = self.window()?;
        if !window.is_silent() {
            return Some(window.position());
        }
        // Its first message has its time, and may not be kept yet.
        let first = self.kept().and_then(DurableStream::silent_until_unix_ms);
        let until_unix_ms = first.unwrap_or(cx.now.unix_ms);
        let silence = cx.epochs.silence();
        let epoch = silence.epoch(until_unix_ms, room, cx.rules, self.losses_count());
        Some(Position { offset: 0, epoch })
    }

    /// A client's position as one of this stream: one that was given in silence is
    /// behind what its client saw of the stream that began then. Foreign if it is of none.
    pub fn known_position(&self, room: RoomId, since: Position, cx: &RoomContext<'_>) -> Position {
        let (Some(window), false) = (self.window(), since.epoch.is_stream()) else {
            return since;
        };
        let (silence, losses_count) = (cx.epochs.silence(), self.losses_count());
        let fits = if window.is_silent() {
            silence.knows(cx.now, room, cx.rules, losses_count, since)
        } else {
            let given = silence.since_unix_ms(since.epoch, room, cx.rules, losses_count);
            let (born_unix_ms, age_ms) = (window.born_unix_ms(), cx.rules.history_age_ms_max);
            given.is_some_and(|given| is_awaited(given, born_unix_ms, age_ms))
        };
        let epoch = if fits { window.position().epoch } else { Epoch::FOREIGN };
        Position { epoch, ..since }
    }

    /// How often the store had lost what was not synced when it was read.
    fn losses_count(&self) -> u32 {
        self.kept().map_or(0, DurableStream::losses_count)
    }
}
