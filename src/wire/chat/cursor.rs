//! Where the next page of members begins, as a text that means nothing to clients.

use crate::base::{ConnId, ShardId};

/// The member that a page ended with.
pub(super) type MemberCursor = (ShardId, ConnId);

/// Four digits for the shard, eight each for the slot and its generation.
const TEXT_BYTES: usize = 20;

pub(super) fn text((shard, conn): MemberCursor) -> String {
    format!("{:04x}{:08x}{:08x}", shard.0, conn.slot, conn.generation)
}

/// `None` for what `text` never gave.
pub(super) fn parse(text: &str) -> Option<MemberCursor> {
    let is_ours = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != TEXT_BYTES || !text.bytes().all(is_ours) {
        return None;
    }
    let shard = u16::from_str_radix(&text[..4], 16).ok()?;
    let slot = u32::from_str_radix(&text[4..12], 16).ok()?;
    let generation = u32::from_str_radix(&text[12..], 16).ok()?;
    Some((ShardId(shard), ConnId { slot, generation }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_reads_back_from_its_text() {
        for (shard, slot, generation) in [(0, 0, 0), (7, 1, 2), (u16::MAX, u32::MAX, u32::MAX)] {
            let member = (ShardId(shard), ConnId { slot, generation });
            assert_eq!(parse(&text(member)), Some(member));
        }
    }

    #[test]
    fn nothing_else_is_a_member() {
        let good = text((ShardId(1), ConnId { slot: 2, generation: 3 }));
        let longer = format!("{good}0");
        for wrong in ["", "1", &good[1..], &longer, "0000000000000000000g", "日本語日本語ab"]
        {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        assert_eq!(parse("000A0000000000000000"), None);
        assert_eq!(parse("+0010000000000000000"), None);
    }
}
