//! What is blocked, by name, and for how long.
//!
//! Deliberately absent: whether it is, which `list` and `table` know.

use std::borrow::Cow;

use super::address::AddressRange;
use crate::metrics::BlockKind;

/// Whom or what a block is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockTarget {
    /// A user, with whatever token.
    User {
        /// The tenant that the user is of; empty for the only one.
        tenant: Box<str>,
        /// The user.
        user: Box<str>,
    },
    /// The tokens of a user that are from before a time.
    UserTokens {
        /// The tenant that the user is of; empty for the only one.
        tenant: Box<str>,
        /// The user.
        user: Box<str>,
    },
    /// One token.
    Token {
        /// The tenant that the token is for; empty for the only one.
        tenant: Box<str>,
        /// The token's own id (`jti`; RFC 7519, 4.1.7).
        id: Box<str>,
    },
    /// Everybody at these addresses, of whatever tenant.
    Address(AddressRange),
}

impl BlockTarget {
    /// The target of a kind with this name; an empty one comes before all others. `None` where it
    /// is no name of the kind.
    pub fn named(kind: BlockKind, tenant: Box<str>, name: &str) -> Option<BlockTarget> {
        Some(match kind {
            BlockKind::User => BlockTarget::User { tenant, user: name.into() },
            BlockKind::UserTokens => BlockTarget::UserTokens { tenant, user: name.into() },
            BlockKind::Token => BlockTarget::Token { tenant, id: name.into() },
            BlockKind::Address if name.is_empty() => BlockTarget::Address(AddressRange::FIRST),
            BlockKind::Address => BlockTarget::Address(AddressRange::parse(name)?),
        })
    }

    /// The kind of this word, which is that of metrics, too.
    pub fn kind_named(word: &str) -> Option<BlockKind> {
        BlockKind::ALL.iter().copied().find(|kind| kind.word() == word)
    }

    /// Its tenant; empty for the only one, and for addresses.
    pub fn tenant(&self) -> &str {
        match self {
            BlockTarget::User { tenant, .. }
            | BlockTarget::UserTokens { tenant, .. }
            | BlockTarget::Token { tenant, .. } => tenant,
            BlockTarget::Address(_) => "",
        }
    }

    /// Its name, as it is written.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            BlockTarget::User { user: name, .. }
            | BlockTarget::UserTokens { user: name, .. }
            | BlockTarget::Token { id: name, .. } => Cow::Borrowed(name),
            BlockTarget::Address(range) => Cow::Owned(range.to_string()),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> BlockKind {
        match self {
            BlockTarget::User { .. } => BlockKind::User,
            BlockTarget::UserTokens { .. } => BlockKind::UserTokens,
            BlockTarget::Token { .. } => BlockKind::Token,
            BlockTarget::Address(_) => BlockKind::Address,
        }
    }
}

/// Of which blocks there is a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockScope {
    /// Those of one kind and tenant.
    Tenant,
    /// Those of one kind, of all tenants.
    Kind,
}

/// Which blocks somebody wants to see: some of one kind, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockPage {
    /// The one behind which it begins, or the first that there could be; its kind and its tenant
    /// are those that are wanted.
    pub behind: BlockTarget,
    /// Whether those of other tenants are wanted, too.
    pub scope: BlockScope,
    /// How many at most.
    pub limit: usize,
}

/// For how long, and of tokens which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockTerms {
    /// When it ends, Unix seconds; 0 for never. 32 bits last until 2106.
    pub until_unix_s: u32,
    /// Tokens of a user from before this time are blocked, Unix seconds; 0 for other kinds.
    pub issued_before_unix_s: u32,
}

impl BlockTerms {
    /// Whether it holds at this time.
    pub fn holds(self, now_unix_s: u64) -> bool {
        self.until_unix_s == 0 || now_unix_s < u64::from(self.until_unix_s)
    }

    /// What holds as long as either of the two, and for whatever tokens either is about.
    pub fn joined(self, other: BlockTerms) -> BlockTerms {
        let ends = [self.until_unix_s, other.until_unix_s];
        let until_unix_s = if ends.contains(&0) { 0 } else { ends[0].max(ends[1]) };
        let issued_before_unix_s = self.issued_before_unix_s.max(other.issued_before_unix_s);
        BlockTerms { until_unix_s, issued_before_unix_s }
    }
}

/// A change of what is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockChange {
    /// Whom or what it is about.
    pub target: BlockTarget,
    /// Blocked so from now on; `None` for no more.
    pub terms: Option<BlockTerms>,
}

/// Where a change is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockStorage {
    /// On a disk: it outlives the server.
    Disk,
    /// In memory alone.
    Memory,
}
