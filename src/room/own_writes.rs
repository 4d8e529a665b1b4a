//! Whoever says something and then asks what was said finds it there.
//!
//! A message that is kept on disk has its place when the store has it, and memory knows
//! nothing of it before; a message that is changed may have to be read first. What one
//! connection asks behind a message or a change of its own waits for that, and of others'
//! only for direct messages, which their reader may have been shown. This is the list of changes
//! whose message is being read; what waits behind messages that the store was given is with these
//! (`pending_messages`).
//!
//! Deliberately absent: the messages of others, which were not answered either, and what
//! needs no order (members, subscriptions, how far somebody is).

use super::messages::{ReplyTo, RoomRequest};
use crate::base::{ConnId, ShardId};

/// Changes whose message is being read, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct OwnWrites(Vec<ChangeRead>);

/// A change whose message is being read.
#[derive(Debug)]
struct ChangeRead {
    /// Who asked for it.
    by: (ShardId, ReplyTo),
    /// What the same connection asked behind it, and wants to find it done.
    behind: Vec<(ShardId, RoomRequest)>,
}

impl OwnWrites {
    /// The message of a change is being read.
    pub fn begin_read(&mut self, by: (ShardId, ReplyTo)) {
        self.0.push(ChangeRead { by, behind: Vec::new() });
    }

    /// It has been read, or will not be. Returns what waits for that.
    pub fn end_read(&mut self, by: (ShardId, ReplyTo)) -> Vec<(ShardId, RoomRequest)> {
        let index = self.0.iter().position(|read| read.by == by);
        let index = index.expect("what ends has begun");
        self.0.remove(index).behind
    }

    /// What waits behind the latest of this connection.
    pub fn behind_latest(
        &mut self,
        shard: ShardId,
        conn: ConnId,
    ) -> Option<&mut Vec<(ShardId, RoomRequest)>> {
        let mut reads = self.0.iter_mut().rev();
        let latest = reads.find(|read| (read.by.0, read.by.1.conn) == (shard, conn))?;
        Some(&mut latest.behind)
    }

    /// What waits behind this command.
    pub fn behind(&mut self, by: &(ShardId, ReplyTo)) -> Option<&mut Vec<(ShardId, RoomRequest)>> {
        self.0.iter_mut().find(|read| read.by == *by).map(|read| &mut read.behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RoomId;
    use crate::room::RoomOp;

    #[test]
    fn what_is_asked_behind_a_read_comes_back_with_its_end() {
        let by = |slot, id| {
            let conn = ConnId { slot, generation: 0 };
            (ShardId(0), ReplyTo { conn, id, ..ReplyTo::NOBODY })
        };
        let mut own = OwnWrites::default();
        own.begin_read(by(1, 1));
        own.begin_read(by(1, 2));
        assert!(own.behind_latest(ShardId(0), by(2, 1).1.conn).is_none(), "nobody else's");
        let (shard, reply_to) = by(1, 3);
        let request = RoomRequest { room: RoomId(1), reply_to, op: RoomOp::Presence };
        own.behind_latest(shard, reply_to.conn).unwrap().push((shard, request));
        assert!(own.end_read(by(1, 1)).is_empty());
        assert!(own.behind(&by(1, 1)).is_none());
        assert_eq!(own.end_read(by(1, 2)).len(), 1, "behind the latest");
    }
}
