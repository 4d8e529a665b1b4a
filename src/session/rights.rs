//! Permissions of a peer in a channel, by the rule of the namespace, the peer's identity, its
//! subscription, and its tokens.
//!
//! Deliberately absent: tokens (`auth`), and refusals.

use crate::room::Permission;

/// The facts that a permission depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Whether it has a name.
    pub identity: Identity,
    /// Whether it is subscribed.
    pub standing: MembershipStatus,
    /// Whether its tokens grant it.
    pub grant: TokenGrant,
}

/// Whether the peer has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It has the name of its token.
    User,
    /// It is anonymous.
    Anonymous,
}

/// Whether the peer is subscribed to the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipStatus {
    /// It is in the channel.
    Subscribed,
    /// It is not, or not yet.
    Outside,
}

/// Whether a token grants the permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenGrant {
    /// It does.
    Given,
    /// No token grants it.
    Silent,
}

/// Decides whether a peer has a permission.
pub fn may(who: Permission, subject: Subject) -> bool {
    if who == Permission::Nobody {
        return false;
    }
    let named = subject.identity == Identity::User;
    let inside = subject.standing == MembershipStatus::Subscribed;
    let granted = subject.grant == TokenGrant::Given;
    granted
        || match who {
            Permission::Nobody | Permission::Token => false,
            Permission::Subscribers => inside,
            Permission::Users => named,
            Permission::Anyone => true,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are `who`; columns: stranger, user, anonymous subscriber, token.
    #[test]
    fn the_table_of_rights() {
        use Identity::{Anonymous, User};
        use MembershipStatus::{Outside, Subscribed};
        use TokenGrant::{Given, Silent};
        let columns = [
            (Anonymous, Outside, Silent),
            (User, Outside, Silent),
            (Anonymous, Subscribed, Silent),
            (Anonymous, Outside, Given),
        ];
        for (who, want) in [
            (Permission::Nobody, [false, false, false, false]),
            (Permission::Token, [false, false, false, true]),
            (Permission::Subscribers, [false, false, true, true]),
            (Permission::Users, [false, true, false, true]),
            (Permission::Anyone, [true, true, true, true]),
        ] {
            let got = columns
                .map(|(identity, standing, grant)| may(who, Subject { identity, standing, grant }));
            assert_eq!(got, want, "{who:?}");
        }
    }
}
