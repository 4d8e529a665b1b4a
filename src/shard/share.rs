//! Who said more than its share of a turn is served on in later turns.
//!
//! Deliberately absent: in what order (`postponed`).

use bytes::BytesMut;

use super::Shard;
use super::conn::Stage;
use super::postponed::{Piece, Share};
use crate::base::limits::{TURN_POSTPONED_COUNT_MAX, TURN_SHARE_COUNT_MAX};
use crate::base::{ConnId, Now};
use crate::session::{Fault, HeldCommands};
use crate::ws::Input;

impl Shard {
    /// Everybody who waits is served a share, until all have had theirs or the turn's is
    /// used up: who was not served goes first in the next one.
    pub(super) fn serve_postponed(&mut self, now: Now) {
        self.shares.renew();
        let mut left = TURN_POSTPONED_COUNT_MAX;
        for _ in 0..self.postponed.len() {
            if left == 0 {
                return;
            }
            let Some(id) = self.postponed.next() else { return };
            self.scribe.work_on(self.id.0, id);
            left -= self.serve_share(now, id, left.min(TURN_SHARE_COUNT_MAX));
        }
    }

    /// Received bytes wait behind what waits already.
    pub(super) fn postpone(&mut self, now: Now, id: ConnId, bytes: &[u8]) {
        let admission = self.count_bytes(now, id, bytes.len());
        self.postponed.push(id, Piece::Bytes(BytesMut::from(bytes), admission));
        while self.postponed.is_over(id) {
            self.serve_share(now, id, TURN_SHARE_COUNT_MAX);
        }
    }

    /// The peer sends nothing more; all that it sent before counts.
    pub(super) fn on_ended(&mut self, now: Now, id: ConnId) {
        if self.postponed.waits(id) {
            self.postponed.push(id, Piece::Ended);
        } else {
            self.end(now, id, Fault::PeerEnded);
        }
    }

    /// What commands waited for is there. They are served within the share of this turn, and
    /// go on before what came later.
    pub(super) fn take_up_again(&mut self, now: Now, id: ConnId, held: HeldCommands) {
        let mut share = self.shares.of(id);
        let before = share.left();
        self.serve_held(now, id, held, &mut share);
        self.shares.spend_all(id, before - share.left());
    }

    fn serve_held(&mut self, now: Now, id: ConnId, held: HeldCommands, share: &mut Share) {
        let resumed = self
            .with_session(now, id, |session, cx, out| session.resume(cx, held, share.left(), out));
        let (served_count, left) = resumed.unwrap_or((0, None));
        share.spend(served_count);
        if let Some(left) = left {
            self.postponed.put_back(id, Piece::Held(left));
        }
    }

    /// Serves so much of what waits of a connection; how much it was.
    fn serve_share(&mut self, now: Now, id: ConnId, count_max: usize) -> usize {
        let mut share = Share::of(count_max);
        while !share.is_used_up()
            && let Some(piece) = self.postponed.take(id)
        {
            self.serve_piece(now, id, piece, &mut share);
        }
        count_max - share.left()
    }

    fn serve_piece(&mut self, now: Now, id: ConnId, piece: Piece, share: &mut Share) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        match (conn.stage_mut(), piece) {
            (Stage::Open(reader, _), Piece::Bytes(mut bytes, admission)) => {
                let reader = std::mem::take(reader);
                self.on_frames(now, id, reader, &mut bytes, admission, share);
            }
            (Stage::Open(..), Piece::Commands(rest, given, admission)) => {
                if let Some(fault) = self.on_commands(now, id, &rest, given, admission, share) {
                    self.end(now, id, fault);
                }
                if let Some(cut) = share.take_cut() {
                    self.postponed.put_back(id, cut);
                }
            }
            (Stage::Open(..), Piece::Held(held)) => self.serve_held(now, id, held, share),
            (Stage::Closing(closing), Piece::Bytes(mut bytes, _)) => {
                let reader = std::mem::take(&mut closing.reader);
                self.on_last_frames(id, reader, Input::new(&mut bytes));
            }
            (Stage::Open(..) | Stage::Closing(_), Piece::Ended) => {
                self.end(now, id, Fault::PeerEnded);
            }
            (Stage::Closing(_), Piece::Commands(..) | Piece::Held(_))
            | (
                Stage::Upgrading(_) | Stage::Shut,
                Piece::Bytes(..) | Piece::Commands(..) | Piece::Held(_) | Piece::Ended,
            ) => (),
        }
    }
}
