//! Operators: their names, what they may, and the hashes of their tokens.
//!
//! Invariant: how long it takes to compare a token tells nothing of those that are known.
//!
//! Deliberately absent: settings, and the admin token itself, which comes as an operator, too.

use crate::auth::SecretHash;

/// Operators of one server, beside the one who has the admin token.
pub const OPERATORS_MAX: usize = 32;

/// The name of whoever has the admin token. No other operator may be called so.
pub const ADMIN: &str = "admin";

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperatorRole {
    /// Look.
    See,
    /// Look, and change something.
    Act,
}

impl OperatorRole {
    /// All of them, the least first.
    pub const ALL: [OperatorRole; 2] = [OperatorRole::See, OperatorRole::Act];

    /// Its word in settings and answers.
    pub fn name(self) -> &'static str {
        match self {
            OperatorRole::See => "see",
            OperatorRole::Act => "act",
        }
    }

    /// The role of this word.
    pub fn from_name(name: &str) -> Option<OperatorRole> {
        OperatorRole::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Somebody who runs the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// What the audit trail calls them.
    pub name: Box<str>,
    /// The hash of their token.
    pub token: SecretHash,
    /// What they may do.
    pub role: OperatorRole,
}

impl Operator {
    /// Whoever has the admin token.
    pub fn admin(token: &[u8]) -> Operator {
        Operator { name: ADMIN.into(), token: SecretHash::of(token), role: OperatorRole::Act }
    }
}

/// All operators of a server.
#[derive(Clone, Debug, Default)]
pub struct Operators(Vec<Operator>);

impl Operators {
    /// These, with names and tokens that are all different; whoever has the admin token among
    /// them.
    pub fn new(operators: Vec<Operator>) -> Operators {
        assert!(operators.len() <= OPERATORS_MAX + 1, "the configuration allows no more");
        Operators(operators)
    }

    /// Whether there is none, so that nobody is let in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token this is. All are compared, whoever it is.
    pub fn find(&self, shown: &[u8]) -> Option<&Operator> {
        let hash = SecretHash::of(shown);
        let is_it = |operator: &&Operator| operator.token.is(&hash);
        self.0.iter().fold(None, |found, operator| Some(operator).filter(is_it).or(found))
    }

    /// The operator who had this name and token, if that is still so.
    pub fn still(&self, name: &str, token: &SecretHash) -> Option<&Operator> {
        self.0.iter().find(|operator| *operator.name == *name && operator.token.is(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(name: &str, token: &str, role: OperatorRole) -> Operator {
        Operator { name: name.into(), token: SecretHash::of(token.as_bytes()), role }
    }

    #[test]
    fn an_operator_is_found_by_their_token_and_by_nothing_else() {
        let operators = Operators::new(vec![
            operator("ann", "token of ann", OperatorRole::See),
            operator(ADMIN, "token of all", OperatorRole::Act),
        ]);
        let found = |shown: &str| operators.find(shown.as_bytes()).map(|one| &*one.name);
        assert_eq!(found("token of ann"), Some("ann"));
        assert_eq!(found("token of all"), Some(ADMIN));
        for wrong in ["", "token of an", "token of ann ", "TOKEN OF ANN", "ann"] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
        assert!(Operators::default().is_empty() && Operators::default().find(b"").is_none());
    }

    #[test]
    fn who_has_another_token_now_is_not_who_they_were() {
        let ann = operator("ann", "first", OperatorRole::See);
        let now = Operators::new(vec![operator("ann", "second", OperatorRole::Act)]);
        assert_eq!(now.still("ann", &ann.token), None);
        let second = SecretHash::of(b"second");
        assert_eq!(now.still("ann", &second).map(|one| one.role), Some(OperatorRole::Act));
        assert_eq!(now.still("ben", &second), None);
    }

    #[test]
    fn a_role_is_one_of_its_words() {
        for role in OperatorRole::ALL {
            assert_eq!(OperatorRole::from_name(role.name()), Some(role));
        }
        assert_eq!(OperatorRole::from_name("admin"), None);
        assert!(OperatorRole::See < OperatorRole::Act);
    }
}
