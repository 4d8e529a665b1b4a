//! Numbers that rooms draw: epochs of streams that begin, positions in silence, and the
//! spans of messages that go out once more.
//!
//! Deliberately absent: ids of messages, which sessions make.

use super::MessageTiming;
use super::message_timing::ack_key;
use super::silence::SilentEpochs;
use crate::base::{Csprng, RoomId, SealKey, SpanId, Timestamps, Trace};
use crate::metrics::ChatType;
use crate::wire::{Epoch, Publication};

/// What makes numbers for the rooms of a shard.
pub(super) struct Epochs {
    ids: Csprng,
    silence: SilentEpochs,
}

impl Epochs {
    /// `ids` decides all of them; with `silent_key`, positions in silence are known again.
    pub fn new(mut ids: Csprng, silent_key: SealKey) -> Epochs {
        let silence = SilentEpochs::new(silent_key, &mut ids);
        Epochs { ids, silence }
    }

    /// Positions in rooms in which nothing was said.
    pub fn silence(&self) -> &SilentEpochs {
        &self.silence
    }

    /// The epoch of a stream that begins.
    pub fn fresh(&mut self) -> Epoch {
        Epoch((self.ids.draw() as u32).max(1).into())
    }

    /// The timing of a message that is delivered once more, or late: what is
    /// measured begins anew.
    pub fn redelivery_timing(
        &mut self,
        now: Timestamps,
        room: RoomId,
        said: &Publication,
        chat_type: ChatType,
    ) -> MessageTiming {
        let key = ack_key(room, said.offset);
        let trace = said.trace.unwrap_or_else(|| Trace::made(&mut self.ids));
        let span = SpanId::made(&mut self.ids);
        MessageTiming { key, ..MessageTiming::again(now, trace, span, chat_type) }
    }
}
