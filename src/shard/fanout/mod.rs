//! Fan-out: the channels of one shard with their subscribers, and the messages of a turn,
//! encoded once for each class of subscriber.
//!
//! Invariant: a buffer begins for a channel that exists. A channel may end before its buffer,
//! when its last subscriber leaves in the same turn: then the buffer is dropped, and no
//! subscriber has lost anything.
//!
//! Deliberately absent: connections and their outboxes (`delivery`).

mod buffer;
mod channels;
mod deltas;
mod filters;
mod frames;

use std::sync::Arc;

pub use buffer::FanoutBuffer;
pub use channels::{Channel, Channels, Subscriber, SubscriberClass};
pub use filters::FilteredFrames;
pub use frames::{opcode, put_message};

use buffer::FanoutBuffers;
use deltas::DeltaBases;
use filters::Filters;
use frames::Recipients;

use super::messages::Gap;
use crate::base::RoomId;
use crate::room::{MemberReplacement, RoomEvent};
use crate::session::SubscriberSlot;
use crate::wire::{self, Push, TagFilter};

/// The channels of one shard, and their messages of this turn.
#[derive(Debug, Default)]
pub struct Fanout {
    channels: Channels,
    filters: Filters,
    deltas: DeltaBases,
    buffers: FanoutBuffers,
}

impl Fanout {
    /// Takes an event of a room's home for all subscribers of its channel.
    pub fn on_room_event(&mut self, event: RoomEvent) {
        match event {
            RoomEvent::Published(room, publication, timing) => {
                let Some(channel) = self.channels.of(room) else { return };
                let buffer = self.buffers.of(channel, &self.filters);
                let delta = buffer.has_deltas().then(|| self.deltas.advance(room, &publication));
                buffer.append_publication(&channel.name, &publication, delta.flatten().as_deref());
                buffer.push_timing(timing);
            }
            RoomEvent::Joined(room, info, chan_info) => {
                let push = Push::Join { info: &info, chan_info: chan_info.as_deref() };
                self.append_to_channel(room, push, Recipients::JoinLeave);
            }
            RoomEvent::Left(room, info, chan_info) => {
                let push = Push::Leave { info: &info, chan_info: chan_info.as_deref() };
                self.append_to_channel(room, push, Recipients::JoinLeave);
            }
            RoomEvent::MemberReplaced(room, replacement) => {
                let MemberReplacement { joined, joined_chan_info, left, left_chan_info } =
                    *replacement;
                let join = Push::Join { info: &joined, chan_info: joined_chan_info.as_deref() };
                self.append_to_channel(room, join, Recipients::JoinLeave);
                let leave = Push::Leave { info: &left, chan_info: left_chan_info.as_deref() };
                self.append_to_channel(room, leave, Recipients::JoinLeave);
            }
            RoomEvent::Typing(room, info) => {
                let Some(channel) = self.channels.of(room) else { return };
                let data = wire::chat::typing(&channel.name, &info);
                self.append_to_channel(room, Push::Message { data: &data }, Recipients::All);
            }
            RoomEvent::MembershipSummary(room, data) => {
                let push = Push::Message { data: &data };
                self.append_to_channel(room, push, Recipients::JoinLeave);
            }
            RoomEvent::Notice(room, data) => {
                self.append_to_channel(room, Push::Message { data: &data }, Recipients::All);
            }
            // These are for one session, or are not passed on.
            RoomEvent::Reply(..)
            | RoomEvent::Lost(_)
            | RoomEvent::Replaced(_)
            | RoomEvent::Expelled(..) => (),
        }
    }

    /// Appends a message to the buffer of a channel that has subscribers on this shard.
    fn append_to_channel(&mut self, room: RoomId, push: Push<'_>, recipients: Recipients) {
        let Some(channel) = self.channels.of(room) else { return };
        self.buffers.of(channel, &self.filters).append(&channel.name, push, recipients);
    }

    /// Adds the connection in `slot` to the subscribers of a channel, for all publications or for
    /// those that match a filter.
    pub fn add(
        &mut self,
        room: RoomId,
        name: Arc<str>,
        (slot, class): (u32, SubscriberClass),
        filter: Option<Arc<TagFilter>>,
    ) -> SubscriberSlot {
        if class.takes_deltas {
            self.deltas.reset(room);
        }
        let subscriber = match filter {
            None => Subscriber::new(slot, class),
            Some(filter) => {
                self.filters.insert(room, slot, class, filter);
                Subscriber::filtered(slot, class)
            }
        };
        self.channels.add(room, name, subscriber)
    }

    /// Frees the seat of the connection in `slot`. Whose seat took its place, is returned.
    pub fn remove(&mut self, slot: u32, place: SubscriberSlot) -> Option<(RoomId, Subscriber)> {
        let room = self.channels.at(place.channel).map(|channel| channel.room);
        let moved = self.channels.remove(slot, place);
        if let Some(room) = room {
            self.filters.remove(room, slot);
            if self.channels.of(room).is_none() {
                self.deltas.reset(room);
            }
        }
        moved
    }

    /// All channels.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// The channels that a gap is about: room, name, and slots of the subscribers' connections.
    /// `is_home` tells whether the home of a room is the shard that the gap came from.
    pub fn subscribers_of(
        &self,
        gap: Gap,
        is_home: impl Fn(RoomId) -> bool,
    ) -> Vec<(RoomId, Arc<str>, Vec<u32>)> {
        let rooms = match gap {
            Gap::Rooms(rooms) => rooms,
            Gap::All => {
                let all = self.channels.iter().map(|(_, one)| one.room);
                all.filter(|&room| is_home(room)).collect()
            }
        };
        let hit = rooms.into_iter().filter_map(|room| {
            let channel = self.channels.of(room)?;
            let slots = channel.subscribers().iter().map(|subscriber| subscriber.slot()).collect();
            Some((room, Arc::clone(&channel.name), slots))
        });
        hit.collect()
    }

    /// Takes the buffer of a channel.
    pub fn take(&mut self, room: RoomId) -> Option<FanoutBuffer> {
        self.buffers.take(room)
    }

    /// Takes all buffers, in the order in which they were begun.
    pub fn take_all(&mut self) -> Vec<FanoutBuffer> {
        self.buffers.take_all()
    }

    /// Frees the spare capacity that a large turn has left.
    pub fn trim(&mut self) {
        self.buffers.trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::timing;
    use crate::wire::{Payload, Publication, RawData};

    fn data() -> Arc<Payload> {
        Arc::new(Payload { bytes: bytes::Bytes::from_static(b"{}"), is_json: true })
    }

    fn publish(fanout: &mut Fanout, data: Payload, tags: Vec<(Box<str>, Box<str>)>) {
        let (offset, time_unix_ms) = (1, 1);
        let (info, chan_info, trace) = (None, None, None);
        let said = Publication { offset, data, info, chan_info, tags, time_unix_ms, trace };
        fanout.on_room_event(RoomEvent::Published(RoomId(1), Arc::new(said), timing()));
    }

    fn add(fanout: &mut Fanout, slot: u32, wants_join_leave: bool) -> SubscriberSlot {
        let class = SubscriberClass { wants_join_leave, ..SubscriberClass::ALL[0] };
        fanout.add(RoomId(1), "c".into(), (slot, class), None)
    }

    #[test]
    fn join_and_leave_go_to_those_who_want_them() {
        let mut fanout = Fanout::default();
        fanout.on_room_event(RoomEvent::Notice(RoomId(1), data()));
        assert!(fanout.take(RoomId(1)).is_none(), "nobody is there");
        add(&mut fanout, 1, false);
        add(&mut fanout, 2, true);
        fanout.on_room_event(RoomEvent::MembershipSummary(RoomId(1), data()));
        let [plain, _, curious, ..] = fanout.take(RoomId(1)).expect("it speaks").finish();
        assert!(plain.is_empty() && !curious.is_empty());
        fanout.on_room_event(RoomEvent::Notice(RoomId(1), data()));
        let [plain, _, curious, ..] = fanout.take(RoomId(1)).expect("it speaks").finish();
        assert!(!plain.is_empty() && plain == curious);
    }

    #[test]
    fn what_is_said_to_a_channel_that_ends_is_heard_by_nobody() {
        let mut fanout = Fanout::default();
        let place = add(&mut fanout, 1, false);
        fanout.on_room_event(RoomEvent::Notice(RoomId(1), data()));
        assert_eq!(fanout.remove(1, place), None);
        let left: Vec<RoomId> = fanout.take_all().iter().map(FanoutBuffer::room).collect();
        assert_eq!(left, [RoomId(1)]);
        assert!(fanout.channels().of(RoomId(1)).is_none());
    }

    /// Whoever has a filter hears what matches it, and all that is no publication.
    #[test]
    fn a_subscriber_with_a_filter_has_frames_of_its_own() {
        let mut fanout = Fanout::default();
        let class = SubscriberClass::ALL[0];
        let filter =
            RawData { bytes: br#"{"cmp":"eq","key":"kind","val":"a"}"#.into(), is_json: true };
        let filter = Arc::new(TagFilter::read(&filter).unwrap());
        let place = fanout.add(RoomId(1), "c".into(), (7, class), Some(Arc::clone(&filter)));
        add(&mut fanout, 8, false);
        let said = |fanout: &mut Fanout, kind: &str| {
            publish(fanout, (*data()).clone(), vec![("kind".into(), kind.into())]);
        };
        for (kinds, count) in [("aa", 2), ("ab", 1), ("baab", 2), ("aba", 2), ("abb", 1)] {
            kinds.split("").filter(|kind| !kind.is_empty()).for_each(|kind| {
                said(&mut fanout, kind);
            });
            let mut buffer = fanout.take(RoomId(1)).expect("it speaks");
            let filtered = buffer.take_filtered().expect("one has a filter");
            let all = buffer.finish();
            let (frames, publications_count) = filtered.of(7, &all).expect("one matches");
            assert_eq!(publications_count, count, "{kinds}");
            assert_eq!(filtered.of(8, &all), None, "it has none");
            let whole = &all[class.index()];
            assert_eq!(frames.len() * kinds.len(), whole.len() * count as usize);
            let is_copied = !whole.as_ptr_range().contains(&frames.as_ptr());
            assert_eq!(is_copied, ["aba", "abb"].contains(&kinds), "{kinds}");
        }
        said(&mut fanout, "b");
        let mut buffer = fanout.take(RoomId(1)).expect("it speaks");
        let filtered = buffer.take_filtered().expect("it is there");
        assert_eq!(filtered.of(7, &buffer.finish()), None);
        fanout.on_room_event(RoomEvent::Notice(RoomId(1), data()));
        let mut buffer = fanout.take(RoomId(1)).expect("it speaks");
        let filtered = buffer.take_filtered().expect("it is there");
        let (_, count) = filtered.of(7, &buffer.finish()).expect("for all");
        assert_eq!(count, 0);
        // Whoever has left has no filter, and nobody else pays for it.
        fanout.remove(7, place);
        said(&mut fanout, "a");
        assert!(fanout.take(RoomId(1)).expect("it speaks").take_filtered().is_none());
    }

    /// Whoever comes has no base: the next publication is in full for all who take deltas.
    #[test]
    fn a_delta_is_to_what_all_of_its_readers_have() {
        let mut fanout = Fanout::default();
        let with = SubscriberClass { takes_deltas: true, ..SubscriberClass::ALL[0] };
        let place = fanout.add(RoomId(1), "c".into(), (7, with), None);
        add(&mut fanout, 8, false);
        let text = |n: u32| format!(r#"{{"n":{n},"text":"{}"}}"#, "the same ".repeat(20));
        let say = |fanout: &mut Fanout, n| {
            let bytes = bytes::Bytes::from(text(n));
            publish(fanout, Payload { bytes, is_json: true }, Vec::new());
            let frames = fanout.take(RoomId(1)).expect("it speaks").finish();
            let plain = String::from_utf8_lossy(&frames[0]).into_owned();
            assert!(plain.contains(&format!(r#""data":{}"#, text(n))), "{plain}");
            let with = String::from_utf8_lossy(&frames[with.index()]).into_owned();
            let escaped = text(n).replace('"', r#"\""#);
            let is_whole = with.contains(&format!(r#""data":"{escaped}""#));
            assert_ne!(is_whole, with.contains(r#""delta":true"#), "{with}");
            is_whole
        };
        assert!(say(&mut fanout, 1));
        assert!(!say(&mut fanout, 2) && !say(&mut fanout, 3));
        fanout.add(RoomId(1), "c".into(), (9, with), None);
        assert!(say(&mut fanout, 4) && !say(&mut fanout, 5));
        fanout.remove(7, place);
        assert!(!say(&mut fanout, 6));
    }

    #[test]
    fn a_channel_is_called_by_its_number_for_those_who_know_it() {
        let mut fanout = Fanout::default();
        let plain = SubscriberClass { wants_join_leave: true, ..SubscriberClass::ALL[0] };
        let compact = SubscriberClass { compacts_channel: true, ..plain };
        fanout.add(RoomId(1), "c".into(), (7, plain), None);
        fanout.add(RoomId(1), "c".into(), (8, compact), None);
        let bytes = bytes::Bytes::from_static(b"{}");
        publish(&mut fanout, Payload { bytes, is_json: true }, Vec::new());
        let client = crate::base::ClientId(1);
        let info = crate::wire::ClientInfo { user: "ann".into(), client, conn_info: None };
        let (info, data) = (Arc::new(info), data());
        fanout.on_room_event(RoomEvent::Joined(RoomId(1), Arc::clone(&info), None));
        fanout.on_room_event(RoomEvent::Left(RoomId(1), info, None));
        fanout.on_room_event(RoomEvent::Notice(RoomId(1), data));
        let frames = fanout.take(RoomId(1)).expect("it speaks").finish();
        let count = |class: SubscriberClass, what: &str| {
            String::from_utf8_lossy(&frames[class.index()]).matches(what).count()
        };
        // A notice is for the client, whatever channel it is of.
        let number = format!(r#"{{"push":{{"id":{},"#, RoomId(1).compact());
        assert_eq!((count(plain, r#""channel":"c""#), count(plain, &number)), (4, 0));
        assert_eq!((count(compact, r#""channel":"c""#), count(compact, &number)), (1, 3));
    }

    #[test]
    fn a_gap_names_who_may_have_missed_something() {
        let mut fanout = Fanout::default();
        add(&mut fanout, 1, false);
        add(&mut fanout, 2, true);
        let here = [(RoomId(1), "c".into(), vec![1, 2])];
        assert_eq!(fanout.subscribers_of(Gap::All, |_| true), here);
        assert_eq!(fanout.subscribers_of(Gap::All, |_| false), []);
        let some = Gap::Rooms(vec![RoomId(7), RoomId(1)]);
        assert_eq!(fanout.subscribers_of(some, |_| false), here);
    }
}
