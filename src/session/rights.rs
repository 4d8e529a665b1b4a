//! Whether a peer may do something in a channel, by the namespace's rule, who the peer is,
//! whether it is in, and what its tokens say.
//!
//! Deliberately absent: how tokens are read (`auth`), and what is done when it may not.

use crate::room::Permission;

/// What is known about a peer when it asks for something in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// With a name, or without.
    pub identity: Identity,
    /// In the channel or not.
    pub standing: MembershipStatus,
    /// What its tokens say about this.
    pub grant: TokenGrant,
}

/// Whether the peer has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A user of a token.
    User,
    /// Nobody in particular.
    Anonymous,
}

/// Whether the peer is in the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipStatus {
    /// It is in the channel.
    Subscribed,
    /// It is not, or not yet.
    Outside,
}

/// Whether a token allows what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenGrant {
    /// It does.
    Given,
    /// No token speaks of it.
    Silent,
}

/// The one place where rights are decided.
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
