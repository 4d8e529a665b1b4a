//! The bytes of what a user is in a group.

use super::fields::{RecordFields, put_number};
use super::{DecodeError, VERSION};
use crate::wire::chat::GroupRole;

/// The bytes of a role, and since when its user is there.
pub fn put_group_role(role: GroupRole, since_unix_ms: u64) -> Vec<u8> {
    let number = match role {
        GroupRole::Invited => 0,
        GroupRole::Member => 1,
        GroupRole::Admin => 2,
        GroupRole::Owner => 3,
    };
    let mut to = vec![VERSION, number];
    put_number(&mut to, since_unix_ms);
    to
}

/// The role of these bytes, and since when its user is there.
pub fn take_group_role(bytes: &[u8]) -> Result<(GroupRole, u64), DecodeError> {
    let mut from = RecordFields::versioned(bytes, VERSION)?;
    let role = match from.byte()? {
        0 => GroupRole::Invited,
        1 => GroupRole::Member,
        2 => GroupRole::Admin,
        3 => GroupRole::Owner,
        _ => return Err(DecodeError),
    };
    let since_unix_ms = from.number()?;
    from.end()?;
    Ok((role, since_unix_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_reads_back_and_other_bytes_are_none() {
        for role in GroupRole::ALL {
            let bytes = put_group_role(role, 300);
            assert_eq!(take_group_role(&bytes), Ok((role, 300)));
            for len in 0..bytes.len() {
                assert_eq!(take_group_role(&bytes[..len]), Err(DecodeError));
            }
            assert_eq!(take_group_role(&[&bytes[..], &[0]].concat()), Err(DecodeError));
        }
        assert_eq!(take_group_role(&[VERSION, 4, 0]), Err(DecodeError));
    }
}
