//! Pings, and how many of them one turn may send: a turn in which peers say much sends few.
//!
//! Deliberately absent: when a connection is pinged, which its session decides.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::fanout::put_message;
use crate::base::limits::{IDLE_TURN_PINGS_MAX, TURN_PINGS_MAX};
use crate::metrics::{Counter, MetricsWriter};
use crate::wire::{Encoding, Message};

/// The pings of one shard.
pub struct Pinger {
    /// Peers that came or said something since the last turn's timers fired.
    active_count: usize,
    /// What this turn may send, and what it has.
    sent_max: usize,
    sent_count: usize,
    /// One ping for everybody, by encoding.
    frames: [Bytes; 2],
    metrics: Rc<MetricsWriter>,
}

impl Pinger {
    /// Nobody was heard or pinged.
    pub fn new(metrics: Rc<MetricsWriter>) -> Pinger {
        let frames = Encoding::ALL.map(ping_frame);
        Pinger { active_count: 0, sent_max: 0, sent_count: 0, frames, metrics }
    }

    /// A peer came or said something.
    pub fn note_activity(&mut self) {
        self.active_count += 1;
    }

    /// The timers of a turn begin to fire.
    pub fn begin_turn(&mut self) {
        self.sent_max = match std::mem::take(&mut self.active_count) {
            ..TURN_PINGS_MAX => IDLE_TURN_PINGS_MAX,
            TURN_PINGS_MAX.. => TURN_PINGS_MAX,
        };
        self.sent_count = 0;
    }

    /// How many more pings this turn may send.
    pub fn left(&self) -> usize {
        self.sent_max.saturating_sub(self.sent_count)
    }

    /// One ping.
    pub fn ping(&mut self, encoding: Encoding) -> Bytes {
        self.metrics.add(Counter::Pings, 1);
        self.sent_count += 1;
        self.frames[encoding.index()].clone()
    }
}

fn ping_frame(encoding: Encoding) -> Bytes {
    let mut frame = BytesMut::new();
    put_message(encoding, &Message::Ping, &mut frame);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Cells;

    #[test]
    fn a_turn_in_which_many_are_heard_pings_few() {
        let mut pinger = Pinger::new(Rc::new(Cells::new().claim()));
        assert_eq!(pinger.left(), 0, "no turn has begun");
        for (active_count, want) in
            [(TURN_PINGS_MAX - 1, IDLE_TURN_PINGS_MAX), (TURN_PINGS_MAX, TURN_PINGS_MAX)]
        {
            (0..active_count).for_each(|_| pinger.note_activity());
            pinger.begin_turn();
            assert_eq!(pinger.left(), want);
            assert!(!pinger.ping(Encoding::Json).is_empty());
            assert_eq!(pinger.left(), want - 1);
        }
        (0..TURN_PINGS_MAX).for_each(|_| drop(pinger.ping(Encoding::Protobuf)));
        assert_eq!(pinger.left(), 0);
    }
}
