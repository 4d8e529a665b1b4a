//! What a room remembers of what was said: nothing, the last messages in memory, or all
//! that its namespace wants, on disk. The three are told apart here for what each knows of
//! itself.
//!
//! Deliberately absent: decisions about questions (`room`).

use super::Namespace;
use super::durable_stream::DurableStream;
use super::history_window::HistoryWindow;
use super::room_context::RoomContext;
use super::silence::is_awaited;
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
    Memory(HistoryWindow),
    /// All that the namespace wants, on disk.
    Durable(Box<DurableStream>),
}

impl RoomStream {
    /// One that begins with this epoch, unless the store knows another one.
    pub fn of(rules: &Namespace, epoch: Epoch) -> RoomStream {
        match (rules.keeps_history(), rules.is_durable()) {
            (false, _) => RoomStream::None,
            (true, false) => RoomStream::Memory(HistoryWindow::new(epoch)),
            (true, true) => RoomStream::Durable(Box::new(DurableStream::new(epoch))),
        }
    }

    /// What is in memory of it.
    pub fn window(&self) -> Option<&HistoryWindow> {
        match self {
            RoomStream::None => None,
            RoomStream::Memory(window) => Some(window),
            RoomStream::Durable(durable) => Some(durable.window()),
        }
    }

    /// The same as one on disk, if it is.
    pub fn durable(&self) -> Option<&DurableStream> {
        match self {
            RoomStream::None | RoomStream::Memory(_) => None,
            RoomStream::Durable(durable) => Some(durable),
        }
    }

    /// The same, to change.
    pub fn durable_mut(&mut self) -> Option<&mut DurableStream> {
        match self {
            RoomStream::None | RoomStream::Memory(_) => None,
            RoomStream::Durable(durable) => Some(durable),
        }
    }

    /// The offset that the next message gets.
    pub fn next_offset(&self) -> u64 {
        match self {
            RoomStream::None => 0,
            RoomStream::Memory(window) => window.next_offset(),
            RoomStream::Durable(durable) => durable.next_offset(),
        }
    }

    /// Drops what is too old in memory. Returns when the next message will be.
    pub fn expire(&mut self, now: Timestamps, rules: &Namespace) -> Option<u64> {
        match self {
            RoomStream::None => None,
            RoomStream::Memory(window) => {
                let next_unix_ms = window.expire(now, rules.window_limits());
                window.end_edits(now, window.first_offset(), rules.history_age_ms_max);
                next_unix_ms
            }
            RoomStream::Durable(durable) => durable.expire(now, rules),
        }
    }

    /// Whether nothing is under way.
    pub fn is_at_rest(&self) -> bool {
        match self {
            RoomStream::None | RoomStream::Memory(_) => true,
            RoomStream::Durable(durable) => durable.is_at_rest(),
        }
    }

    /// How long it stays when the last member has left; its ids are remembered for
    /// `ids_ms`, by the room alone.
    pub fn stays_ms(&self, rules: &Namespace, ids_ms: u64) -> u64 {
        match self {
            RoomStream::None => 0,
            RoomStream::Memory(window) if window.is_silent() => 0,
            RoomStream::Memory(_) => rules.history_age_ms_max.max(ids_ms),
            RoomStream::Durable(durable) if durable.is_silent() => 0,
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
    pub fn client_position(&self, room: RoomId, cx: &RoomContext<'_>) -> Option<Position> {
        let window = self.window()?;
        if !window.is_silent() {
            return Some(window.position());
        }
        // Its first message has its time, and may not be kept yet.
        let first = self.durable().and_then(DurableStream::silent_until_unix_ms);
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
        if since.epoch == Epoch::ANY {
            return Position { epoch: window.position().epoch, ..since };
        }
        let (silence, losses_count) = (cx.epochs.silence(), self.losses_count());
        let fits = if window.is_silent() {
            silence.knows(cx.now, room, cx.rules, losses_count, since.epoch)
        } else {
            let given = silence.since_unix_ms(since.epoch, room, cx.rules, losses_count);
            let (created_unix_ms, age_ms) = (window.created_unix_ms(), cx.rules.history_age_ms_max);
            given.is_some_and(|given| is_awaited(given, created_unix_ms, age_ms))
        };
        let epoch = if fits { window.position().epoch } else { Epoch::FOREIGN };
        Position { epoch, ..since }
    }

    /// How often the store had lost what was not synced when it was read.
    fn losses_count(&self) -> u32 {
        self.durable().map_or(0, DurableStream::losses_count)
    }
}
