//! A shard's view of memberships and waiting data, as values that can be compared with those
//! of other shards.
//!
//! Deliberately absent: the comparison, which belongs to tests and the simulator.

use crate::base::{ConnId, RoomId, ShardId};
use crate::session::SubscriberSlot;

use super::conn::ConnStage;
use super::home_rooms::HomeRooms;
use super::inbound::Inbound;
use super::presence_facts::who_is;
use super::sessions::Sessions;

/// A shard's view of all memberships, as values.
///
/// Three places must agree on it: a room's home counts members by shard, a shard's channels
/// have subscribers, and sessions know their slots. Tests and the simulator compare the
/// audits of all shards, and the messages between them. It visits everything, so a server
/// never calls it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Members by shard, of the rooms whose home is this shard.
    pub members: Vec<(RoomId, ShardId, u32)>,
    /// Subscribers in the view of this shard's channels, sorted.
    pub subscribers: Vec<SubscriberRecord>,
    /// Subscribers in the view of this shard's sessions, sorted.
    pub subscriber_slots: Vec<SubscriberRecord>,
    /// Sessions that are open.
    pub sessions_count: u64,
    /// Connections whose upgrade is not finished.
    pub upgrading_count: u64,
    /// Bytes that wait in outboxes.
    pub waiting_bytes: u64,
    /// Publications that wait in outboxes or are in flight.
    pub publications_count: u64,
    /// Fan-out batches in flight, as far as they are tracked.
    pub batches_count: usize,
    /// Rooms whose home is this shard.
    pub rooms_count: usize,
    /// Requests that the store has not answered.
    pub requests_count: usize,
    /// Bytes of incomplete messages.
    pub partial_messages_bytes: usize,
    /// Bytes that wait for a later turn.
    pub postponed_bytes: usize,
    /// Connected peers, by connection.
    pub present: Vec<PresentConn>,
}

/// A connected peer, as the presence feed is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentConn {
    /// The connection.
    pub conn: ConnId,
    /// Whether its user has a name.
    pub is_named: bool,
    /// In how many channels it is.
    pub subscriptions_count: usize,
}

/// One subscriber with its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubscriberRecord {
    /// The room.
    pub room: RoomId,
    /// The connection.
    pub conn: ConnId,
    /// The index of the channel on this shard, and of the subscriber in it.
    pub place: (u32, u32),
}

impl Audit {
    /// Everything that other shards must agree with.
    pub fn of(sessions: &Sessions, home: &HomeRooms, inbound: &Inbound) -> Audit {
        let (rooms, connections) = (home.rooms(), sessions.connections());
        let mut audit = Audit {
            members: rooms.members().collect(),
            rooms_count: rooms.len(),
            requests_count: rooms.requests_count(),
            batches_count: sessions.queue().batches_count(),
            partial_messages_bytes: inbound.partial_messages_bytes(),
            postponed_bytes: sessions.postponed().bytes(),
            ..Audit::default()
        };
        let mut open_count = [0; 2];
        for (id, conn) in connections.iter() {
            audit.waiting_bytes += conn.send().waiting_bytes() as u64;
            audit.publications_count += conn.send().publications_count();
            match conn.stage() {
                ConnStage::Upgrading(_) => audit.upgrading_count += 1,
                ConnStage::Open(_, session) => {
                    audit.sessions_count += 1;
                    open_count[conn.send().encoding().index()] += 1;
                    audit.present.extend(who_is(session).map(|who| PresentConn {
                        conn: id,
                        is_named: !who.user.is_empty(),
                        subscriptions_count: session.subscriber_slots().count(),
                    }));
                    let subscriber_slots = session.subscriber_slots();
                    audit.subscriber_slots.extend(subscriber_slots.map(
                        |(room, SubscriberSlot { channel, index })| SubscriberRecord {
                            room,
                            conn: id,
                            place: (channel, index),
                        },
                    ));
                }
                ConnStage::Closing(_) | ConnStage::Shut => (),
            }
        }
        assert_eq!(open_count, connections.open_count());
        assert_eq!(audit.upgrading_count, u64::from(connections.upgrading_count()));
        for (number, channel) in sessions.fanout().channels().iter() {
            for (index, subscriber) in (0..).zip(channel.subscribers()) {
                let slot = subscriber.slot();
                let nobody = ConnId { slot, generation: u32::MAX };
                let conn = connections.subscriber(slot).map_or(nobody, |(id, _)| id);
                audit.subscribers.push(SubscriberRecord {
                    room: channel.room,
                    conn,
                    place: (number, index),
                });
            }
        }
        audit.present.sort_unstable_by_key(|one| one.conn);
        audit.subscribers.sort_unstable();
        audit.subscriber_slots.sort_unstable();
        audit
    }
}
