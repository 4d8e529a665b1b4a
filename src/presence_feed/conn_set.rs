//! Connections of one user, or of one user in one channel, each with the pass of its shard in which
//! it was last heard of.
//!
//! Deliberately absent: passes (`passes`), and what follows when a set is empty (`table`).

use smallvec::SmallVec;

use super::fact::PeerConn;
use crate::base::ShardId;

/// See the module. Most users have one connection.
#[derive(Debug, Default)]
pub(super) struct ConnSet(SmallVec<[SeenConn; 1]>);

#[derive(Clone, Copy, Debug)]
struct SeenConn {
    conn: PeerConn,
    pass: u32,
}

impl ConnSet {
    /// A connection is there, as is said in this pass of its shard.
    pub fn insert(&mut self, conn: PeerConn, pass: u32) {
        match self.0.iter_mut().find(|seen| seen.conn == conn) {
            Some(seen) => seen.pass = pass,
            None => self.0.push(SeenConn { conn, pass }),
        }
    }

    /// A connection is not there any more. True when it was.
    pub fn remove(&mut self, conn: PeerConn) -> bool {
        let found = self.0.iter().position(|seen| seen.conn == conn);
        found.is_some_and(|index| {
            self.0.swap_remove(index);
            true
        })
    }

    /// Connections of a shard that were not heard of in this pass are not there any more. True
    /// when there were some.
    pub fn remove_unseen(&mut self, shard: ShardId, pass: u32) -> bool {
        let before_count = self.0.len();
        self.0.retain(|seen| seen.conn.shard != shard || seen.pass == pass);
        self.0.len() < before_count
    }

    /// Whether none is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ConnId;

    fn conn(shard: u16, generation: u32) -> PeerConn {
        PeerConn { shard: ShardId(shard), conn: ConnId { slot: 5, generation } }
    }

    #[test]
    fn a_connection_is_there_once_however_often_it_is_said() {
        let mut set = ConnSet::default();
        set.insert(conn(0, 1), 0);
        set.insert(conn(0, 1), 0);
        assert!(!set.remove(conn(0, 2)) && !set.remove(conn(1, 1)));
        assert!(set.remove(conn(0, 1)) && set.is_empty());
        assert!(!set.remove(conn(0, 1)));
    }

    #[test]
    fn who_was_not_heard_of_in_a_pass_is_not_there() {
        let mut set = ConnSet::default();
        set.insert(conn(0, 1), 0);
        set.insert(conn(1, 1), 0);
        set.insert(conn(0, 2), 0);
        set.insert(conn(0, 2), 1);
        assert!(set.remove_unseen(ShardId(0), 1));
        assert!(!set.remove_unseen(ShardId(0), 1));
        assert!(set.remove(conn(1, 1)) && set.remove(conn(0, 2)) && set.is_empty());
    }
}
