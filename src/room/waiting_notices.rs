//! What was said in a group, for members who are away: who tells that a message waits hears of it,
//! and knows who is there.
//!
//! The first message in a quiet group is told at once. What is said within the next second is told
//! together, so that a busy group costs no more than one look at its members a second.
//!
//! Deliberately absent: who is away, and who was told already (`presence_feed`).

use std::sync::Arc;

use super::UnmetInGroup;
use super::requests::ChannelKey;
use super::room_context::RoomContext;
use super::roster::Roster;
use crate::base::MonotonicMs;
use crate::wire::{ClientInfo, Publication};

/// Time between two that are told, in ms.
const INTERVAL_MS: u64 = 1_000;

/// See the module. In rooms that are no groups it is empty, and takes a word.
#[derive(Debug, Default)]
pub(super) struct WaitingNotices(Option<Box<Gathered>>);

/// What was said since something was told, a moment ago.
#[derive(Debug)]
struct Gathered {
    tell_at: MonotonicMs,
    said: Option<Said>,
}

#[derive(Debug)]
struct Said {
    from: Option<Arc<ClientInfo>>,
    offset: u64,
    count: u64,
}

impl WaitingNotices {
    /// Tells or gathers a message.
    pub fn add(
        &mut self,
        channel_key: &ChannelKey,
        roster: &mut Roster,
        message: &Publication,
        cx: &mut RoomContext<'_>,
    ) {
        let (from, offset) = (message.info.clone(), message.offset);
        if let Some(gathered) = &mut self.0 {
            let count = 1 + gathered.said.as_ref().map_or(0, |said| said.count);
            gathered.said = Some(Said { from, offset, count });
            return;
        }
        self.tell(channel_key, roster, Said { from, offset, count: 1 }, cx);
    }

    /// Tells what was gathered, when it is due.
    pub fn tell_gathered(
        &mut self,
        channel_key: &ChannelKey,
        roster: &mut Roster,
        cx: &mut RoomContext<'_>,
    ) {
        let Some(gathered) = self.0.take_if(|gathered| gathered.tell_at <= cx.now.tick) else {
            return;
        };
        if let Some(said) = gathered.said {
            self.tell(channel_key, roster, said, cx);
        }
    }

    fn tell(
        &mut self,
        channel_key: &ChannelKey,
        roster: &mut Roster,
        Said { from, offset, count }: Said,
        cx: &mut RoomContext<'_>,
    ) {
        let ChannelKey { tenant, channel, .. } = channel_key;
        let members = roster.unmuted(cx.now.unix_ms);
        let from = Arc::from(from.as_ref().map_or("", |info| &*info.user));
        let (tenant, channel) = (Arc::clone(tenant), Arc::clone(channel));
        cx.out.find_members(UnmetInGroup { tenant, channel, from, offset, count, members });
        let tell_at = cx.now.tick.plus_ms(INTERVAL_MS);
        cx.timers.set_redelivery(tell_at, cx.slot);
        self.0 = Some(Box::new(Gathered { tell_at, said: None }));
    }
}
