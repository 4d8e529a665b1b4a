//! The bytes of what a user is in a group.

use super::fields::{RecordFields, put_number};
use super::{DecodeError, VERSION};
use crate::wire::chat::GroupRole;

/// A member of a group, or who is invited; the key has the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// What the user is.
    pub role: GroupRole,
    /// Since when, Unix ms.
    pub since_unix_ms: u64,
    /// Until when the user has muted the group, Unix ms; 0 where it has not.
    pub muted_until_unix_ms: u64,
}

impl MemberRecord {
    /// Its bytes. Those of a mute are there where there is one.
    pub fn put(&self) -> Vec<u8> {
        let number = match self.role {
            GroupRole::Invited => 0,
            GroupRole::Member => 1,
            GroupRole::Admin => 2,
            GroupRole::Owner => 3,
        };
        let mut to = vec![VERSION, number];
        put_number(&mut to, self.since_unix_ms);
        if self.muted_until_unix_ms != 0 {
            put_number(&mut to, self.muted_until_unix_ms);
        }
        to
    }

    /// The record of these bytes.
    pub fn take(bytes: &[u8]) -> Result<MemberRecord, DecodeError> {
        let mut from = RecordFields::versioned(bytes, VERSION)?;
        let role = match from.byte()? {
            0 => GroupRole::Invited,
            1 => GroupRole::Member,
            2 => GroupRole::Admin,
            3 => GroupRole::Owner,
            _ => return Err(DecodeError),
        };
        let since_unix_ms = from.number()?;
        let muted_until_unix_ms = match from.end() {
            Ok(()) => 0,
            Err(DecodeError) => match from.number()? {
                0 => return Err(DecodeError),
                until_unix_ms => until_unix_ms,
            },
        };
        from.end()?;
        Ok(MemberRecord { role, since_unix_ms, muted_until_unix_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_reads_back_and_other_bytes_are_none() {
        for role in GroupRole::ALL {
            let record = MemberRecord { role, since_unix_ms: 300, muted_until_unix_ms: 0 };
            let bytes = record.put();
            assert_eq!(MemberRecord::take(&bytes), Ok(record));
            for len in 0..bytes.len() {
                assert_eq!(MemberRecord::take(&bytes[..len]), Err(DecodeError));
            }
            assert_eq!(MemberRecord::take(&[&bytes[..], &[0]].concat()), Err(DecodeError));
            let muted = MemberRecord { muted_until_unix_ms: 500, ..record };
            let longer = muted.put();
            assert_eq!(MemberRecord::take(&longer), Ok(muted));
            assert_eq!(longer[..bytes.len()], bytes);
            assert_eq!(MemberRecord::take(&longer[..longer.len() - 1]), Err(DecodeError));
            assert_eq!(MemberRecord::take(&[&longer[..], &[1]].concat()), Err(DecodeError));
        }
        assert_eq!(MemberRecord::take(&[VERSION, 4, 0]), Err(DecodeError));
    }
}
