//! Input of connections beyond their share of a turn, which waits for later turns, and whose
//! turn it is then.
//!
//! A thousand commands may come in one message, and a thousand pings in one segment, within
//! every quota and on many connections at once. Served at once they would make one long turn,
//! in which everybody else waits for all of them. So a connection is served its share of a
//! turn, and the rest of its bytes waits, in order, for its share of the next one. All
//! waiting connections together have a bound in each turn, too, and take turns.
//!
//! What waits is bounded by connection and by shard. Beyond that the oldest of a connection
//! is served in the turn in which more comes: nothing is refused that a quota allows.
//!
//! Invariants: a connection is in `order` exactly once while it has a line, and in a line
//! is at least one piece; `bytes` is the sum over all lines.
//!
//! Deliberately absent: how pieces are served.

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;

use crate::base::ConnId;
use crate::base::limits::{
    POSTPONED_BYTES_MAX, POSTPONED_PER_CONNECTION_BYTES_MAX, TURN_SHARE_COUNT_MAX,
};
use crate::session::{HeldCommands, QuotaDecision};

/// The waiting input of all connections.
#[derive(Debug, Default)]
pub struct Postponed {
    lines: BTreeMap<ConnId, Line>,
    order: VecDeque<ConnId>,
    bytes: usize,
}

/// The waiting input of one connection, oldest first.
#[derive(Debug, Default)]
struct Line {
    pieces: VecDeque<PostponedInput>,
    bytes: usize,
}

/// The share of this turn that connections have used. A connection that sends one command at
/// a time has no entry.
#[derive(Debug, Default)]
pub struct TurnQuotas {
    used: BTreeMap<ConnId, usize>,
}

impl TurnQuotas {
    /// The rest of a connection's share.
    pub fn of(&self, id: ConnId) -> TurnQuota {
        let used = if self.used.is_empty() { None } else { self.used.get(&id) };
        TurnQuota::of(TURN_SHARE_COUNT_MAX - used.copied().unwrap_or(0))
    }

    /// A connection has used `count` more of it.
    pub fn spend(&mut self, id: ConnId, count: usize) {
        if 1 < count {
            self.spend_all(id, count);
        }
    }

    /// The same, with an entry for a single command, too.
    pub fn spend_all(&mut self, id: ConnId, count: usize) {
        let used = self.used.entry(id).or_default();
        *used = TURN_SHARE_COUNT_MAX.min(*used + count);
    }

    /// A turn ends.
    pub fn renew(&mut self) {
        self.used.clear();
    }
}

/// One piece of waiting input.
#[derive(Debug)]
pub enum PostponedInput {
    /// Received bytes, and whether they were within the quota.
    Bytes(BytesMut, QuotaDecision),
    /// The rest of a message, the number of its commands that were served, and the same.
    Commands(BytesMut, usize, QuotaDecision),
    /// Commands that waited for an answer that has come.
    Held(HeldCommands),
    /// The peer has closed its sending side.
    Ended,
}

/// The rest of a connection's share of this turn.
#[derive(Debug)]
pub struct TurnQuota {
    left: usize,
    /// The message in which it was used up.
    cut: Option<PostponedInput>,
}

impl TurnQuota {
    /// A share of `count` commands or control frames.
    pub fn of(count: usize) -> TurnQuota {
        TurnQuota { left: count, cut: None }
    }

    /// The rest.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Uses `count` of it; a message without commands costs as much as a command.
    pub fn spend(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count.max(1));
    }

    /// It was used up in the middle of a message.
    pub fn cut(&mut self, rest: PostponedInput) {
        self.left = 0;
        self.cut = Some(rest);
    }

    /// Takes the rest of the message that was cut.
    pub fn take_cut(&mut self) -> Option<PostponedInput> {
        self.cut.take()
    }

    /// True when what follows has to wait.
    pub fn is_used_up(&self) -> bool {
        self.left == 0
    }
}

impl PostponedInput {
    fn len(&self) -> usize {
        match self {
            PostponedInput::Bytes(bytes, _) | PostponedInput::Commands(bytes, ..) => bytes.len(),
            PostponedInput::Held(held) => held.message().len(),
            PostponedInput::Ended => 0,
        }
    }
}

impl Postponed {
    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Connections that wait.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Waiting bytes of all connections.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when input of this connection waits, so that later input has to wait, too.
    pub fn waits(&self, id: ConnId) -> bool {
        !self.lines.is_empty() && self.lines.contains_key(&id)
    }

    /// True when more input of this connection waits than is allowed.
    pub fn is_over(&self, id: ConnId) -> bool {
        self.lines.get(&id).is_some_and(|line| {
            POSTPONED_PER_CONNECTION_BYTES_MAX < line.bytes || POSTPONED_BYTES_MAX < self.bytes
        })
    }

    /// Appends to the waiting input of a connection.
    pub fn push(&mut self, id: ConnId, piece: PostponedInput) {
        let bytes = piece.len();
        self.line(id, bytes).pieces.push_back(piece);
    }

    /// Puts back the rest of a piece that was taken, before all other input of the connection.
    pub fn put_back(&mut self, id: ConnId, piece: PostponedInput) {
        let bytes = piece.len();
        self.line(id, bytes).pieces.push_front(piece);
    }

    /// The connection whose turn it is; it moves to the end.
    pub fn next(&mut self) -> Option<ConnId> {
        let id = self.order.pop_front()?;
        self.order.push_back(id);
        Some(id)
    }

    /// The oldest piece of a connection.
    pub fn take(&mut self, id: ConnId) -> Option<PostponedInput> {
        let line = self.lines.get_mut(&id)?;
        let piece = line.pieces.pop_front().expect("a line has a piece");
        line.bytes -= piece.len();
        self.bytes -= piece.len();
        if line.pieces.is_empty() {
            self.forget(id);
        }
        Some(piece)
    }

    /// Drops the waiting input of a connection.
    pub fn forget(&mut self, id: ConnId) {
        if let Some(line) = self.lines.remove(&id) {
            self.bytes -= line.bytes;
            // It is at the end when its turn has just come.
            if self.order.back() == Some(&id) {
                self.order.pop_back();
            } else {
                self.order.retain(|other| *other != id);
            }
        }
    }

    fn line(&mut self, id: ConnId, more_bytes: usize) -> &mut Line {
        self.bytes += more_bytes;
        let line = self.lines.entry(id).or_insert_with(|| {
            self.order.push_back(id);
            Line::default()
        });
        line.bytes += more_bytes;
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    fn id(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn piece(text: &str) -> PostponedInput {
        PostponedInput::Bytes(BytesMut::from(text.as_bytes()), QuotaDecision::Served)
    }

    #[test]
    fn each_connection_keeps_its_order_and_all_take_turns() {
        let mut postponed = Postponed::default();
        for (slot, text) in [(1, "a"), (1, "b"), (2, "c"), (1, "d")] {
            postponed.push(id(slot), piece(text));
        }
        let mut seen = Vec::new();
        while let Some(next) = postponed.next() {
            match postponed.take(next) {
                Some(PostponedInput::Bytes(bytes, _)) => seen.push((next.slot, bytes[0])),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, [(1, b'a'), (2, b'c'), (1, b'b'), (1, b'd')]);
        assert!(postponed.is_empty() && postponed.bytes() == 0);
    }

    #[test]
    fn a_share_is_for_all_that_comes_in_a_turn() {
        let mut shares = TurnQuotas::default();
        shares.spend(id(1), TURN_SHARE_COUNT_MAX - 1);
        shares.spend(id(2), 1);
        assert_eq!(shares.of(id(1)).left(), 1);
        assert_eq!(shares.of(id(2)).left(), TURN_SHARE_COUNT_MAX);
        shares.spend(id(1), 5);
        assert!(shares.of(id(1)).is_used_up());
        shares.renew();
        assert_eq!(shares.of(id(1)).left(), TURN_SHARE_COUNT_MAX);
    }

    #[test]
    fn what_was_cut_goes_before_what_came_later() {
        let mut postponed = Postponed::default();
        postponed.push(id(1), piece("later"));
        postponed.put_back(id(1), piece("rest"));
        assert!(
            matches!(postponed.take(id(1)), Some(PostponedInput::Bytes(bytes, _)) if bytes == "rest")
        );
        assert!(postponed.waits(id(1)) && !postponed.waits(id(2)));
        postponed.forget(id(1));
        assert!(!postponed.waits(id(1)) && postponed.next().is_none());
    }

    #[test]
    fn bytes_have_a_bound_and_the_sum_is_the_sum() {
        let mut postponed = Postponed::default();
        let half = "x".repeat(POSTPONED_PER_CONNECTION_BYTES_MAX / 2 + 1);
        postponed.push(id(1), piece(&half));
        assert!(!postponed.is_over(id(1)));
        postponed.push(id(1), piece(&half));
        assert!(postponed.is_over(id(1)) && !postponed.is_over(id(2)));
        let mut prng = Prng::from_seed(3);
        for _ in 0..2_000 {
            let who = id(prng.below(9) as u32);
            match prng.below(4) {
                0 => postponed.push(who, piece("xyz")),
                1 => postponed.put_back(who, PostponedInput::Ended),
                2 => drop(postponed.take(who)),
                _ if prng.percent(10) => postponed.forget(who),
                _ => drop(postponed.next()),
            }
            let sum: usize = postponed.lines.values().map(|line| line.bytes).sum();
            assert_eq!(postponed.bytes(), sum);
            assert_eq!(postponed.order.len(), postponed.len());
            assert!(postponed.order.iter().all(|id| postponed.waits(*id)));
        }
    }
}
