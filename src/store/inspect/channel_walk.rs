//! The messages of one channel at rest, in their order, and what is lost between them.
//!
//! A damaged block of a database is met once and ends a scan, so a walk goes from both ends and then
//! asks for what lies between, one by one. Scans of runs go past damage, and end with it only where
//! the end may be lost.
//!
//! Deliberately absent: what is said about a loss, and what is copied.

use std::ops::ControlFlow;

use super::LossKind;
use crate::base::RoomId;
use crate::store::disk::{Disk, DiskError, StoreKeyspace};
use crate::store::key;
use crate::store::messages::ReadOrder;
use crate::store::record::{self, ChannelRecord};
use crate::wire::Publication;

/// How far a walk through a channel came.
pub(in crate::store) struct ChannelWalk {
    next: u64,
    good_count: u64,
    losses: Vec<(u64, u64, LossKind)>,
}

impl ChannelWalk {
    /// The last offset that was met, or is lost.
    pub fn last(&self) -> u64 {
        self.next - 1
    }

    /// Messages that are whole.
    pub fn good_count(&self) -> u64 {
        self.good_count
    }

    /// Offsets that have no message, from and to, in their order.
    pub fn losses(&self) -> &[(u64, u64, LossKind)] {
        &self.losses
    }

    /// Takes a message; `why` is asked where some before it are missing.
    fn take(
        &mut self,
        key: &[u8],
        value: &[u8],
        why: &dyn Fn(u64) -> LossKind,
        on_message: &mut dyn FnMut(&Publication),
    ) {
        let Some((_, offset)) = key::message_of(key) else { return };
        if self.next < offset {
            self.lose_up_to(offset, why(self.next));
        }
        match record::take_message(value, offset) {
            Ok((publication, _)) => {
                self.good_count += 1;
                self.next = offset.saturating_add(1);
                on_message(&publication);
            }
            Err(record::DecodeError) => {
                self.lose_up_to(offset.saturating_add(1), LossKind::Damaged)
            }
        }
    }

    /// Everything below `end` that was not met is lost; neighbours are one loss.
    fn lose_up_to(&mut self, end: u64, loss: LossKind) {
        if end <= self.next {
            return;
        }
        let (first, last) = (self.next, end - 1);
        self.next = end;
        match self.losses.last_mut() {
            Some((_, before, of)) if *before + 1 == first && *of == loss => *before = last,
            Some(_) | None => self.losses.push((first, last, loss)),
        }
    }
}

/// The messages of a channel in their order, and the offsets between them that
/// have none.
pub(in crate::store) fn walk_channel<D: Disk>(
    disk: &D,
    room: RoomId,
    record: &ChannelRecord,
    on_message: &mut dyn FnMut(&Publication),
) -> Result<ChannelWalk, DiskError> {
    let mut walked = ChannelWalk { next: record.first, good_count: 0, losses: Vec::new() };
    // Some disks go on behind damage.
    let why = |offset: u64| match disk.get(StoreKeyspace::Messages, &key::message(room, offset)) {
        Ok(_) => LossKind::Missing,
        Err(_) => LossKind::Damaged,
    };
    let range = key::messages(room, record.first, u64::MAX);
    let forwards =
        disk.scan(StoreKeyspace::Messages, &range, ReadOrder::OldestFirst, &mut |key, value| {
            walked.take(key, value, &why, on_message);
            ControlFlow::Continue(())
        });
    match forwards {
        Ok(()) => {
            if walked.next <= record.head {
                walked.lose_up_to(record.head.saturating_add(1), why(walked.next));
            }
            return Ok(walked);
        }
        Err(DiskError::Damaged) => {}
        Err(fault) => return Err(fault),
    }
    // Where does the good part at the end begin?
    let (mut begin, mut end) = (None, record.head);
    let range = key::messages(room, walked.next, u64::MAX);
    let backwards =
        disk.scan(StoreKeyspace::Messages, &range, ReadOrder::NewestFirst, &mut |key, _| {
            let Some((_, offset)) = key::message_of(key) else { return ControlFlow::Break(()) };
            end = end.max(offset);
            begin = Some(offset);
            ControlFlow::Continue(())
        });
    if let Err(fault @ (DiskError::Full | DiskError::Broken)) = backwards {
        return Err(fault);
    }
    for offset in walked.next..begin.unwrap_or(end.saturating_add(1)) {
        let key = key::message(room, offset);
        match disk.get(StoreKeyspace::Messages, &key) {
            Ok(Some(value)) => walked.take(&key, &value, &why, on_message),
            Ok(None) => walked.lose_up_to(offset + 1, LossKind::Missing),
            Err(DiskError::Damaged) => walked.lose_up_to(offset + 1, LossKind::Damaged),
            Err(fault) => return Err(fault),
        }
    }
    if begin.is_none() && end < walked.next {
        // What is damaged is the end itself: nobody knows how far it went.
        walked.lose_up_to(walked.next + 1, LossKind::Damaged);
    }
    let range = key::messages(room, walked.next, u64::MAX);
    match disk.scan(StoreKeyspace::Messages, &range, ReadOrder::OldestFirst, &mut |key, value| {
        walked.take(key, value, &why, on_message);
        ControlFlow::Continue(())
    }) {
        Ok(()) | Err(DiskError::Damaged) => Ok(walked),
        Err(fault) => Err(fault),
    }
}
