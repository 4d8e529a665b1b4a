//! The newest messages of a stream in memory, for late-comers and short recoveries: how many are
//! kept, and whether all behind a position are still here.
//!
//! Deliberately absent: the disk, and who may read what is here.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::HistoryQuery;
use super::options::WindowLimits;
use crate::base::Timestamps;
use crate::base::limits::{HISTORY_ANSWER_BYTES_MAX, RECOVERY_BYTES_MAX};
use crate::store::{MessageChange, ReadOrder};
use crate::wire::{Epoch, Position, Publication, chat};

/// The last messages of a room, limited by count, bytes and age.
///
/// Invariants: offsets in `publications` are consecutive and end at `head`; `bytes` is
/// the sum of the costs in `publications`; `edits` has the offsets of the edits in
/// `publications` that say words.
#[derive(Debug)]
pub struct HistoryWindow {
    publications: VecDeque<Arc<Publication>>,
    bytes: usize,
    head: u64,
    epoch: Epoch,
    /// When the first message was said, Unix ms; 0 where nobody knows.
    created_unix_ms: u64,
    edits: BTreeSet<u64>,
}

impl HistoryWindow {
    /// A stream that begins now.
    pub fn new(epoch: Epoch) -> HistoryWindow {
        assert!(epoch != Epoch::FOREIGN, "a stream has an epoch of its own");
        let (publications, edits) = (VecDeque::new(), BTreeSet::new());
        HistoryWindow { publications, bytes: 0, head: 0, epoch, created_unix_ms: 0, edits }
    }

    /// The end of a stream that goes on: its newest messages, without a hole.
    pub fn restored(
        epoch: Epoch,
        created_unix_ms: u64,
        head: u64,
        tail: &[Arc<Publication>],
    ) -> HistoryWindow {
        let mut window =
            HistoryWindow { head: head - tail.len() as u64, ..HistoryWindow::new(epoch) };
        tail.iter().for_each(|publication| window.put(publication));
        assert_eq!(window.head, head, "the tail ends at the head");
        HistoryWindow { created_unix_ms, ..window }
    }

    /// Whether nothing was said in it yet.
    pub fn is_silent(&self) -> bool {
        self.head == 0
    }

    /// Whether no message of it is here.
    pub fn is_empty(&self) -> bool {
        self.publications.is_empty()
    }

    /// When its first message was said, Unix ms; 0 where nobody knows.
    pub fn created_unix_ms(&self) -> u64 {
        self.created_unix_ms
    }

    /// The offset that the next message gets.
    pub fn next_offset(&self) -> u64 {
        self.head + 1
    }

    /// Where the stream ends now.
    pub fn position(&self) -> Position {
        Position { offset: self.head, epoch: self.epoch }
    }

    /// The offset of the oldest message here; above the head when there is none.
    pub fn first_offset(&self) -> u64 {
        self.next_offset() - self.publications.len() as u64
    }

    /// The message at a place.
    pub fn at(&self, offset: u64) -> Option<&Arc<Publication>> {
        let index = offset.checked_sub(self.first_offset())?;
        self.publications.get(usize::try_from(index).ok()?)
    }

    /// Takes the next message and drops what the limits no longer allow.
    pub fn push(&mut self, publication: &Arc<Publication>, limits: WindowLimits) {
        self.put(publication);
        while limits.count_max < self.publications.len() || limits.bytes_max < self.bytes {
            self.drop_oldest();
        }
    }

    /// Puts something else in the place of a message, if it is here.
    pub fn replace(&mut self, left: &Arc<Publication>) {
        let index = left.offset.checked_sub(self.first_offset());
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(place) = index.and_then(|index| self.publications.get_mut(index)) {
            self.bytes = self.bytes - place.cost_bytes() + left.cost_bytes();
            *place = Arc::clone(left);
        }
    }

    /// A message here is changed by one that comes next, or is not here any more.
    pub fn change(&mut self, change: &MessageChange) {
        self.replace(&change.replacement);
        if let Some(edit) = change.superseded {
            self.end_edit(edit);
        }
    }

    /// The words of edits go that are outlived: whose messages are not kept from before
    /// `first_offset`, or are too old.
    pub fn end_edits(&mut self, now: Timestamps, first_offset: u64, age_ms_max: u64) {
        let oldest_unix_ms = now.unix_ms.saturating_sub(age_ms_max);
        let outlived = |offset: &u64| {
            let edit = self.at(*offset);
            edit.is_some_and(|edit| chat::is_outlived(edit, first_offset, oldest_unix_ms))
        };
        let outlived: Vec<u64> = self.edits.iter().copied().filter(outlived).collect();
        outlived.into_iter().for_each(|edit| self.end_edit(edit));
    }

    fn end_edit(&mut self, offset: u64) {
        if let Some(edit) = self.at(offset) {
            let left = Arc::new(chat::superseded(edit));
            self.replace(&left);
        }
        self.edits.remove(&offset);
    }

    fn put(&mut self, publication: &Arc<Publication>) {
        assert_eq!(publication.offset, self.next_offset(), "offsets are consecutive");
        if self.head == 0 {
            self.created_unix_ms = publication.time_unix_ms;
        }
        self.head = publication.offset;
        if chat::edited_offset(publication).is_some() && !chat::is_superseded(publication) {
            self.edits.insert(publication.offset);
        }
        self.publications.push_back(Arc::clone(publication));
        self.bytes += publication.cost_bytes();
    }

    /// Drops what is too old. Returns when the next message will be, in Unix ms.
    pub fn expire(&mut self, now: Timestamps, limits: WindowLimits) -> Option<u64> {
        while let Some(oldest) = self.publications.front() {
            let end = oldest.time_unix_ms.saturating_add(limits.age_ms_max);
            if now.unix_ms < end {
                return Some(end);
            }
            self.drop_oldest();
        }
        self.publications.shrink_to(0);
        None
    }

    /// Messages up to this offset are removed. Where the stream ends stays.
    pub fn remove_up_to(&mut self, last: u64) {
        assert!(last <= self.head, "what is removed was said before");
        while self.publications.front().is_some_and(|oldest| oldest.offset <= last) {
            self.drop_oldest();
        }
        self.publications.shrink_to(0);
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.publications.pop_front() {
            self.bytes -= oldest.cost_bytes();
            self.edits.remove(&oldest.offset);
        }
        debug_assert!(!self.publications.is_empty() || self.bytes == 0);
    }

    /// Everything behind `since`, or `None` when some of it is gone, or is more than a
    /// subscription recovers, or `since` is of another stream.
    pub fn missed(&self, since: Position) -> Option<Vec<Arc<Publication>>> {
        if since.epoch != self.epoch || self.head < since.offset {
            return None;
        }
        let count = usize::try_from(self.head - since.offset).ok()?;
        let first = self.publications.len().checked_sub(count)?;
        let missed = self.publications.range(first..);
        let mut bytes = 0;
        let fits = missed.clone().all(|one| {
            bytes += one.cost_bytes();
            bytes <= RECOVERY_BYTES_MAX
        });
        fits.then(|| missed.cloned().collect())
    }

    /// A part of what is kept, or `None` when `since` is of another stream.
    pub fn read(&self, query: HistoryQuery) -> Option<Vec<Arc<Publication>>> {
        if query.since.is_some_and(|since| since.epoch != self.epoch) {
            return None;
        }
        let limit = query.limit as usize;
        let since = query.since.map(|since| since.offset);
        let picked = match query.order {
            ReadOrder::OldestFirst => {
                let first = since.map_or(0, |offset| self.index_behind(offset));
                pick(self.publications.range(first..), limit)
            }
            ReadOrder::NewestFirst => {
                let end = since.map_or(self.publications.len(), |offset| {
                    self.index_behind(offset.saturating_sub(1))
                });
                pick(self.publications.range(..end).rev(), limit)
            }
        };
        Some(picked)
    }

    /// The index in `publications` of the first message with an offset above `offset`.
    fn index_behind(&self, offset: u64) -> usize {
        let behind = self.head.saturating_sub(offset);
        self.publications.len().saturating_sub(usize::try_from(behind).unwrap_or(usize::MAX))
    }
}

/// The first of `from` that fit one answer; at least one, so that a client that
/// reads on gets on.
fn pick<'a>(
    from: impl Iterator<Item = &'a Arc<Publication>>,
    limit: usize,
) -> Vec<Arc<Publication>> {
    let mut bytes = 0;
    let fits = from.take(limit).take_while(|publication| {
        let before = bytes;
        bytes += publication.cost_bytes();
        before == 0 || bytes <= HISTORY_ANSWER_BYTES_MAX
    });
    fits.cloned().collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::Payload;

    fn limits() -> WindowLimits {
        WindowLimits { count_max: 4, bytes_max: 1 << 20, age_ms_max: 1_000 }
    }

    fn window(messages: u64) -> HistoryWindow {
        let mut window = HistoryWindow::new(Epoch(7));
        for offset in 1..=messages {
            window.push(&message(offset, offset * 100), limits());
        }
        window
    }

    fn message(offset: u64, time_unix_ms: u64) -> Arc<Publication> {
        let data = Payload { bytes: Bytes::from_static(b"{}"), is_json: true };
        let (info, chan_info, tags, trace) = (None, None, Vec::new(), None);
        Arc::new(Publication { offset, data, info, chan_info, tags, time_unix_ms, trace })
    }

    fn at(offset: u64) -> Position {
        Position { offset, epoch: Epoch(7) }
    }

    #[track_caller]
    fn check_missed(since: Position, want: Option<&[u64]>) {
        let missed = window(6).missed(since);
        let offsets = missed.map(|all| all.iter().map(|one| one.offset).collect::<Vec<_>>());
        assert_eq!(offsets.as_deref(), want);
    }

    #[track_caller]
    fn check_read(limit: u32, since: Option<u64>, order: ReadOrder, want: &[u64]) {
        let query = HistoryQuery { limit, since: since.map(at), order };
        let read = window(6).read(query).unwrap();
        assert_eq!(read.iter().map(|one| one.offset).collect::<Vec<_>>(), want);
    }

    #[test]
    fn recovery_is_whole_or_nothing() {
        check_missed(at(6), Some(&[]));
        check_missed(at(4), Some(&[5, 6]));
        check_missed(at(2), Some(&[3, 4, 5, 6]));
        check_missed(at(1), None);
        check_missed(at(0), None);
        check_missed(at(7), None);
        check_missed(Position { offset: 6, epoch: Epoch(8) }, None);
        assert_eq!(window(0).missed(at(0)), Some(vec![]));
    }

    #[test]
    fn a_stream_goes_on_where_it_ended() {
        let tail: Vec<_> = (5..=6).map(|offset| message(offset, 0)).collect();
        let mut window = HistoryWindow::restored(Epoch(7), 0, 6, &tail);
        assert_eq!((window.first_offset(), window.next_offset()), (5, 7));
        assert_eq!(window.missed(at(4)).map(|all| all.len()), Some(2));
        assert_eq!(window.missed(at(3)), None);
        assert_eq!(window.at(5).map(|one| one.offset), Some(5));
        assert!(window.at(4).is_none() && window.at(7).is_none());
        window.push(&message(7, 0), limits());
        let bytes = window.bytes;
        let left = Publication { data: message(0, 0).data.clone(), ..(*message(6, 9)).clone() };
        window.replace(&Arc::new(left));
        assert_eq!(window.at(6).map(|one| one.time_unix_ms), Some(9));
        window.replace(&message(1, 0));
        assert_eq!(window.bytes, bytes);
        let empty = HistoryWindow::restored(Epoch(7), 0, 6, &[]);
        assert_eq!((empty.first_offset(), empty.next_offset()), (7, 7));
    }

    #[test]
    fn history_is_read_from_both_ends() {
        use ReadOrder::{NewestFirst, OldestFirst};
        check_read(100, None, OldestFirst, &[3, 4, 5, 6]);
        check_read(2, None, OldestFirst, &[3, 4]);
        check_read(0, None, OldestFirst, &[]);
        check_read(100, Some(4), OldestFirst, &[5, 6]);
        check_read(100, Some(0), OldestFirst, &[3, 4, 5, 6]);
        check_read(100, Some(9), OldestFirst, &[]);
        check_read(3, None, NewestFirst, &[6, 5, 4]);
        check_read(100, Some(5), NewestFirst, &[4, 3]);
        check_read(100, Some(3), NewestFirst, &[]);
        check_read(100, Some(0), NewestFirst, &[]);
        let foreign = Position { offset: 1, epoch: Epoch(9) };
        let query = HistoryQuery { limit: 1, since: Some(foreign), order: OldestFirst };
        assert_eq!(window(6).read(query), None);
    }

    #[test]
    fn what_is_removed_is_gone_and_the_stream_goes_on() {
        let mut removed = window(6);
        removed.remove_up_to(6);
        assert_eq!((removed.bytes, removed.is_empty(), removed.position()), (0, true, at(6)));
        assert_eq!(removed.missed(at(6)), Some(vec![]));
        assert_eq!(removed.missed(at(5)), None);
        let all = HistoryQuery { limit: 9, since: None, order: ReadOrder::OldestFirst };
        assert_eq!(removed.read(all), Some(vec![]));
        removed.push(&message(7, 700), limits());
        assert_eq!((removed.first_offset(), removed.missed(at(6)).unwrap().len()), (7, 1));
        assert_eq!(removed.missed(at(5)), None);
        removed.remove_up_to(6);
        assert_eq!(removed.read(all).unwrap().len(), 1, "what came since stays");
    }

    #[test]
    fn an_answer_is_limited_in_bytes_and_never_empty() {
        let large = WindowLimits { bytes_max: usize::MAX, ..limits() };
        let mut window = HistoryWindow::new(Epoch(7));
        for offset in 1..=3 {
            let bytes = Bytes::from(vec![b'1'; HISTORY_ANSWER_BYTES_MAX / 2 + 1]);
            let data = Payload { bytes, is_json: true };
            let publication = Publication { data, ..(*message(offset, 0)).clone() };
            window.push(&Arc::new(publication), large);
        }
        let query = HistoryQuery { limit: 9, since: None, order: ReadOrder::OldestFirst };
        let read = window.read(query).unwrap();
        assert_eq!(read.iter().map(|one| one.offset).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn age_and_bytes_are_limits_too() {
        let mut aged = window(6);
        let now = |unix_ms| Timestamps { unix_ms, ..Timestamps::default() };
        assert_eq!(aged.expire(now(1_299), limits()), Some(1_300));
        assert_eq!(aged.expire(now(1_400), limits()), Some(1_500));
        assert_eq!(aged.missed(at(4)).unwrap().len(), 2);
        assert_eq!(aged.expire(now(9_999), limits()), None);
        assert_eq!(aged.bytes, 0);
        assert_eq!(aged.position(), at(6));

        let small = WindowLimits { bytes_max: 2 * 194, ..limits() };
        let mut heavy = HistoryWindow::new(Epoch(7));
        (1..=3).for_each(|offset| heavy.push(&message(offset, 0), small));
        assert_eq!(heavy.publications.len(), 2);
    }
}
