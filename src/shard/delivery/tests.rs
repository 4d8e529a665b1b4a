//! The flush queue with connections, without sessions and rooms.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::base::{Csprng, Prng, RoomId, Timestamps};
use crate::metrics::Cells;
use crate::room::{RoomEvent, timing};
use crate::session::NameKey;
use crate::shard::Options;
use crate::shard::fanout::{Fanout, SubscriberClass};
use crate::shard::home_rooms::HomeRooms;
use crate::shard::observe::Observer;
use crate::wire::{Payload, Publication};

/// The part, and what it is lent.
struct World {
    connections: Connections,
    queue: FlushQueue,
    fanout: Fanout,
    home: HomeRooms,
    observer: Observer,
    ids: Csprng,
    now: Timestamps,
}

impl World {
    fn new(connections_count: u32, outbox_bytes_max: u32) -> World {
        let (own, names, now) = (ShardId(0), NameKey([1, 2]), Timestamps::default());
        let mut options = Options::default();
        options.session.outbox_bytes_max = outbox_bytes_max;
        options.session.control_bytes_max = outbox_bytes_max;
        let metrics = Rc::new(Cells::new().claim());
        let ids = || Csprng::from_key([1; 16]);
        let mut connections = Connections::new(now.tick, (own, 1), 0, Rc::clone(&metrics));
        (0..connections_count).for_each(|slot| connections.accept(now.tick, id(slot)));
        World {
            connections,
            queue: FlushQueue::new(own, &options.session, &metrics),
            fanout: Fanout::default(),
            home: HomeRooms::new(now, &options, names, ids()),
            observer: Observer::new(&options, names, &metrics),
            ids: ids(),
            now,
        }
    }

    /// Lets `change` work with the queue at a moment of observation.
    fn with<T>(
        &mut self,
        change: impl FnOnce(&mut FlushQueue, &mut Connections, &mut Observing<'_>) -> T,
    ) -> T {
        let World { connections, queue, fanout, home, observer, ids, now } = self;
        let (rooms, channels) = (home.rooms(), fanout.channels());
        let mut observing = observer.observing(*now, rooms, channels, ids);
        change(queue, connections, &mut observing)
    }

    /// The end of a turn: what is given to each connection.
    fn finish(&mut self) -> Vec<(ConnId, Bytes)> {
        let mut out = Vec::new();
        let now = self.now.tick;
        self.with(|queue, connections, observing| {
            queue.seal_or_hold(connections, now);
            queue.send_all(connections, &mut out, observing);
        });
        let sends = out.into_iter().map(|action| match action {
            Action::Send(id, bytes) => (id, bytes),
            other => panic!("{other:?}"),
        });
        sends.collect()
    }

    fn sent(&mut self, id: ConnId) -> Option<FanoutBatch> {
        let options = session::Options::default();
        self.queue.on_sent(&mut self.connections, self.now.tick, &options, id)
    }
}

fn id(slot: u32) -> ConnId {
    ConnId { slot, generation: 0 }
}

/// A list of words for each connection beside the queue.
#[test]
fn each_connection_is_told_everything_in_order_by_one_send_at_a_time() {
    let (mut world, mut prng) = (World::new(20, 1 << 20), Prng::from_seed(11));
    let mut told: BTreeMap<ConnId, (Vec<u8>, Vec<String>)> = BTreeMap::new();
    let mut in_flight = Vec::new();
    for step in 0..20_000 {
        let who = id(prng.below(20) as u32);
        let word = format!("<{step}>");
        let (queue, connections) = (&mut world.queue, &mut world.connections);
        match prng.below(10) {
            0..5 => queue.append_messages(connections, who, word.as_bytes().into()),
            5 => queue.push_control(connections, who, word.clone().into()),
            6 => {
                queue.mark_dirty(connections, who);
                continue;
            }
            7 => {
                for (id, bytes) in world.finish() {
                    assert!(!in_flight.contains(&id), "one send in flight");
                    in_flight.push(id);
                    told.entry(id).or_default().0.extend_from_slice(&bytes);
                }
                continue;
            }
            _ => {
                if !in_flight.is_empty() {
                    let at = prng.below(in_flight.len() as u64) as usize;
                    assert!(world.sent(in_flight.swap_remove(at)).is_none());
                }
                continue;
            }
        }
        told.entry(who).or_default().1.push(word);
    }
    while !in_flight.is_empty() || 0 < world.queue.len() {
        for id in std::mem::take(&mut in_flight) {
            assert!(world.sent(id).is_none());
        }
        for (id, bytes) in world.finish() {
            in_flight.push(id);
            told.entry(id).or_default().0.extend_from_slice(&bytes);
        }
    }
    assert!(world.queue.totals().bytes() == 0 && !world.queue.has_slow());
    for (id, (bytes, words)) in told {
        let mut rest = &bytes[..];
        for word in words {
            let at = rest.windows(word.len()).position(|part| part == word.as_bytes());
            let at = at.unwrap_or_else(|| panic!("{id:?} was not told {word} in order"));
            rest = &rest[at + word.len()..];
        }
    }
}

/// One has nothing else waiting, one a send in flight, and one so much that nothing fits.
#[test]
fn a_channel_is_heard_by_who_has_room_for_it() {
    let (mut world, room) = (World::new(3, 300), RoomId(1));
    for slot in 0..3 {
        world.fanout.add(room, "c".into(), (slot, SubscriberClass::ALL[0]), None);
    }
    for (slot, bytes) in [(1, 5), (2, 299)] {
        let frame = vec![b'x'; bytes].into();
        world.queue.push_control(&mut world.connections, id(slot), frame);
    }
    assert_eq!(world.finish().len(), 2);
    let publication = Publication {
        offset: 0,
        data: Payload { bytes: Bytes::from_static(b"{}"), is_json: true },
        info: None,
        chan_info: None,
        tags: Vec::new(),
        time_unix_ms: 0,
        trace: None,
    };
    world.fanout.on_room_event(RoomEvent::Published(room, Arc::new(publication), timing()));
    let buffer = world.fanout.take(room).expect("somebody is in it");
    let World { connections, queue, fanout, home, observer, ids, now } = &mut world;
    let (rooms, channels) = (home.rooms(), fanout.channels());
    let mut observing = observer.observing(*now, rooms, channels, ids);
    let channel = fanout.channels().of(room).expect("it has seats");
    let mut out = Vec::new();
    queue.flush(connections, channel, buffer, Some(&mut out), &mut observing);
    assert!(matches!(out[..], [Action::Send(first, _)] if first == id(0)), "{out:?}");
    assert_eq!(queue.totals().publications_count(), 2);
    assert_eq!((queue.batches_count(), queue.take_slow()), (1, vec![id(2)]));
    assert!(world.sent(id(0)).is_none(), "another has yet to leave");
    assert!(world.sent(id(1)).is_none(), "what was in flight is not of the channel");
    let sends = world.finish();
    assert_eq!(sends.iter().map(|send| send.0).collect::<Vec<_>>(), [id(1)]);
    let batch = world.sent(id(1)).expect("it was the last");
    assert_eq!((batch.recipients, batch.failed), (3, 1));
    assert_eq!((world.queue.totals().publications_count(), world.queue.batches_count()), (0, 0));
}

/// Nobody is told of it, and nothing is kept.
#[test]
fn who_goes_leaves_nothing_behind() {
    let mut world = World::new(2, 1 << 10);
    for slot in 0..2 {
        world.queue.append_messages(&mut world.connections, id(slot), "hello".as_bytes().into());
    }
    assert_eq!(world.finish().len(), 2);
    world.queue.append_messages(&mut world.connections, id(0), "again".as_bytes().into());
    world.with(|queue, connections, observing| {
        queue.forget_waiting(connections, id(0), observing);
        queue.abandon(connections, id(0), observing);
        let conn = connections.remove(id(0)).expect("it was there");
        queue.on_gone(conn, observing);
    });
    assert_eq!(world.finish(), []);
    assert!(world.sent(id(0)).is_none(), "a late completion finds nobody");
    assert!(world.sent(id(1)).is_none());
    assert_eq!((world.queue.len(), world.queue.totals().bytes()), (0, 0));
}
