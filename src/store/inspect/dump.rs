//! All that a channel's messages have, for whoever shows them or takes them to another store.
//!
//! Deliberately absent: how it is written down, and what comes in again (`loading`).

use std::ops::ControlFlow;

use crate::base::RoomId;
use crate::wire::Publication;

use super::super::disk::{Disk, DiskError, StoreKeyspace};
use super::super::key;
use super::super::messages::{ReactionTotals, ReadOrder};
use super::super::record::{self, ChannelRecord};
use super::{Inspection, LossKind, walk_channel};

/// Why a channel is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpError {
    /// There is none of that name.
    Unknown,
    /// The disk says no.
    Disk(DiskError),
}

/// What a user reacted to a message with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenReaction {
    /// The user.
    pub user: Box<str>,
    /// With what.
    pub value: Box<str>,
}

impl<D: Disk> Inspection<D> {
    /// Shows the messages of a channel, oldest first, each with who reacted to it, and returns
    /// what is lost between them. Reactions that cannot be read are left out: `check` tells.
    pub fn dump(
        &self,
        tenant: &str,
        channel: &str,
        on_message: &mut dyn FnMut(&Publication, &[GivenReaction]),
    ) -> Result<Vec<(u64, u64, LossKind)>, DumpError> {
        let channels = self.channels(&mut |_| {}).map_err(DumpError::Disk)?;
        let is_it =
            |record: &ChannelRecord| &*record.tenant == tenant && &*record.channel == channel;
        let found = channels.iter().find(|(_, record)| is_it(record));
        let (room, record) = found.ok_or(DumpError::Unknown)?;
        let mut failed = Ok(());
        let walk = walk_channel(&self.disk, *room, record, &mut |message| match self
            .reactions_to(*room, message.offset)
        {
            Ok(reactions) => on_message(message, &reactions),
            Err(fault) => failed = Err(fault),
        });
        let walk = walk.map_err(DumpError::Disk)?;
        failed.map_err(DumpError::Disk)?;
        Ok(walk.losses().to_vec())
    }

    /// Who reacted to a message, in the order in which its totals name the values: made again in
    /// that order, they are the same.
    fn reactions_to(&self, room: RoomId, offset: u64) -> Result<Vec<GivenReaction>, DiskError> {
        let place = key::message(room, offset);
        let totals = match self.disk.get(StoreKeyspace::ReactionTotals, &place) {
            Ok(None) => return Ok(Vec::new()),
            Ok(Some(bytes)) => record::take_reaction_totals(&bytes).unwrap_or_default(),
            Err(DiskError::Damaged) => ReactionTotals::default(),
            Err(fault) => return Err(fault),
        };
        let mut found = Vec::new();
        let range = key::reactions_to(room, offset);
        let scanned = self.disk.scan(
            StoreKeyspace::Reactions,
            &range,
            ReadOrder::OldestFirst,
            &mut |_, value| {
                if let Ok((value, user)) = record::take_reaction(value) {
                    found.push(GivenReaction { user, value });
                }
                ControlFlow::Continue(())
            },
        );
        if let Err(fault @ (DiskError::Full | DiskError::Broken)) = scanned {
            return Err(fault);
        }
        let rank = |value: &str| totals.iter().position(|(known, _)| known == value);
        found.sort_by_key(|reaction| rank(&reaction.value).unwrap_or(usize::MAX));
        Ok(found)
    }
}
