use bytes::{Bytes, BytesMut};

use super::channels::{Channel, Kind};
use crate::base::RoomId;
use crate::wire::{self, Encoding, Message};
use crate::ws::{self, Opcode};

/// What one channel says in one turn: the frames of each kind of subscriber lie
/// in one buffer, so that whoever is in the channel gets one slice of it.
#[derive(Debug)]
pub struct Gathering {
    /// Which channel.
    pub room: RoomId,
    frames: [Option<BytesMut>; Kind::COUNT],
    /// Publications among the frames, each in every kind.
    pub publications_count: u64,
}

/// Who hears a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every subscriber.
    All,
    /// Those who want to know who comes and goes.
    NewsOfMembers,
}

impl Gathering {
    /// Nothing said yet. Only kinds that the channel has now are served: a new
    /// subscriber ends the gathering before it sits down.
    pub fn begin(channel: &Channel) -> Gathering {
        let frames = channel.kinds().map(|present| present.then(BytesMut::new));
        Gathering { room: channel.room, frames, publications_count: 0 }
    }

    /// Adds one message for all subscribers of the audience.
    pub fn say(&mut self, message: &Message<'_>, audience: Audience) {
        for (kind, frames) in Kind::ALL.iter().zip(&mut self.frames) {
            let hears = match audience {
                Audience::All => true,
                Audience::NewsOfMembers => kind.news_of_members,
            };
            if let Some(frames) = frames
                && hears
            {
                put_message(kind.encoding, message, frames);
            }
        }
    }

    /// The frames of each kind, ready to be shared.
    pub fn finish(self) -> [Bytes; Kind::COUNT] {
        self.frames.map(|frames| frames.map_or_else(Bytes::new, BytesMut::freeze))
    }
}

/// One message in a frame of its own.
pub fn put_message(encoding: Encoding, message: &Message<'_>, out: &mut BytesMut) {
    let start = ws::begin_frame(out);
    wire::encode(encoding, message, out);
    ws::finish_frame(out, start, opcode(encoding));
}

/// How frames of an encoding are marked.
pub fn opcode(encoding: Encoding) -> Opcode {
    match encoding {
        Encoding::Json => Opcode::Text,
        Encoding::Protobuf => Opcode::Binary,
    }
}
