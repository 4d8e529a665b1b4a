//! All blocks by name, for the one who changes them.
//!
//! Invariants: at most `BLOCKS_MAX`; what revokes tokens is taken back by nothing but its end.
//!
//! Deliberately absent: what a connect asks (`table`), and where the list is kept.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::entry::{BlockChange, BlockPage, BlockScope, BlockTarget, BlockTerms};
use crate::base::limits::BLOCKS_MAX;
use crate::metrics::BlockKind;

/// There is no room for one more block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockListFullError;

/// See the module.
#[derive(Debug, Default)]
pub struct BlockList {
    blocks: BTreeMap<BlockTarget, BlockTerms>,
    /// Where the look for those that have ended goes on.
    looked_until: Option<BlockTarget>,
}

impl BlockList {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&BlockTarget, BlockTerms)> {
        self.blocks.iter().map(|(target, terms)| (target, *terms))
    }

    /// What holds for a target.
    pub fn terms(&self, target: &BlockTarget) -> Option<BlockTerms> {
        self.blocks.get(target).copied()
    }

    /// Some blocks of a kind that hold at this time, in order.
    pub fn page(&self, now_unix_s: u64, page: &BlockPage) -> Vec<(BlockTarget, BlockTerms)> {
        let behind = (Bound::Excluded(&page.behind), Bound::Unbounded);
        let (kind, tenant) = (page.behind.kind(), page.behind.tenant());
        let of_it = |target: &BlockTarget| {
            target.kind() == kind
                && match page.scope {
                    BlockScope::Tenant => target.tenant() == tenant,
                    BlockScope::Kind => true,
                }
        };
        let blocks = self.blocks.range(behind).take_while(|(target, _)| of_it(target));
        let blocks = blocks.filter(|(_, terms)| terms.holds(now_unix_s));
        blocks.take(page.limit).map(|(target, terms)| (target.clone(), *terms)).collect()
    }

    /// What would hold for a target after this change. A user or an address that is blocked again
    /// has the new end; a revoked token, and a user's tokens, stay so at least as long as they
    /// were.
    pub fn changed(&self, change: &BlockChange) -> Result<Option<BlockTerms>, BlockListFullError> {
        let Some(new) = change.terms else { return Ok(None) };
        match (change.target.kind(), self.terms(&change.target)) {
            (_, None) if BLOCKS_MAX <= self.blocks.len() => Err(BlockListFullError),
            (_, None) | (BlockKind::User | BlockKind::Address, Some(_)) => Ok(Some(new)),
            (BlockKind::UserTokens | BlockKind::Token, Some(old)) => Ok(Some(old.joined(new))),
        }
    }

    /// From now on this holds for a target. Returns what held before.
    pub fn set(&mut self, target: BlockTarget, terms: Option<BlockTerms>) -> Option<BlockTerms> {
        match terms {
            Some(terms) => self.blocks.insert(target, terms),
            None => self.blocks.remove(&target),
        }
    }

    /// Looks at up to so many, and removes those that have ended; the next call goes on.
    pub fn expire(&mut self, now_unix_s: u64, count_max: usize) -> Vec<BlockTarget> {
        let from = match self.looked_until.take() {
            Some(target) => Bound::Excluded(target),
            None => Bound::Unbounded,
        };
        let looked: Vec<(&BlockTarget, &BlockTerms)> =
            self.blocks.range((from, Bound::Unbounded)).take(count_max).collect();
        let is_cut = looked.len() == count_max;
        let last = looked.last().filter(|_| is_cut).map(|(target, _)| (*target).clone());
        let is_over = |(_, terms): &(&BlockTarget, &BlockTerms)| !terms.holds(now_unix_s);
        let over: Vec<BlockTarget> =
            looked.into_iter().filter(is_over).map(|(target, _)| target.clone()).collect();
        self.looked_until = last;
        for target in &over {
            self.set(target.clone(), None);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> BlockTarget {
        BlockTarget::User { tenant: "".into(), user: name.into() }
    }

    fn token(id: &str) -> BlockTarget {
        BlockTarget::Token { tenant: "".into(), id: id.into() }
    }

    fn until(until_unix_s: u32) -> BlockTerms {
        BlockTerms { until_unix_s, issued_before_unix_s: 0 }
    }

    fn apply(list: &mut BlockList, target: BlockTarget, terms: Option<BlockTerms>) {
        let change = BlockChange { target, terms };
        let terms = list.changed(&change).unwrap();
        list.set(change.target, terms);
    }

    #[test]
    fn a_user_has_the_newest_end_and_a_token_the_latest() {
        let mut list = BlockList::default();
        for terms in [until(0), until(100), until(50)] {
            apply(&mut list, user("anna"), Some(terms));
            apply(&mut list, token("t"), Some(terms));
        }
        assert_eq!(list.terms(&user("anna")), Some(until(50)));
        assert_eq!(list.terms(&token("t")), Some(until(0)));
        apply(&mut list, user("anna"), None);
        assert_eq!((list.len(), list.terms(&user("anna"))), (1, None));

        let of = BlockTarget::UserTokens { tenant: "".into(), user: "anna".into() };
        let before = |issued_before_unix_s, until_unix_s| {
            Some(BlockTerms { until_unix_s, issued_before_unix_s })
        };
        apply(&mut list, of.clone(), before(70, 100));
        apply(&mut list, of.clone(), before(60, 200));
        assert_eq!(list.terms(&of), before(70, 200));
    }

    #[test]
    fn what_has_ended_goes_whatever_a_look_may_see() {
        for count_max in [1, 2, 3, 100] {
            let mut list = BlockList::default();
            for n in 0..20 {
                apply(&mut list, user(&format!("u{n:02}")), Some(until(100 + n % 3)));
            }
            apply(&mut list, user("for good"), Some(until(0)));
            let mut over: Vec<BlockTarget> = Vec::new();
            for _ in 0..=22 {
                over.extend(list.expire(101, count_max));
            }
            assert_eq!(over.len(), 14, "{count_max}");
            assert_eq!(list.len(), 7);
            assert!(list.iter().all(|(_, terms)| terms.holds(101)));
            assert!(!list.iter().any(|(_, terms)| terms == until(101)));
        }
    }

    #[test]
    fn pages_show_each_block_of_a_kind_and_tenant_once() {
        let mut list = BlockList::default();
        let of = |tenant: &str, user: &str| BlockTarget::User {
            tenant: tenant.into(),
            user: user.into(),
        };
        for name in ["anna", "bob", "carl"] {
            list.set(user(name), Some(until(7)));
            list.set(of("acme", name), Some(until(8)));
            list.set(token(name), Some(until(9)));
        }
        for text in ["10.0.0.0/8", "10.0.0.0/9", "203.0.113.7", "2001:db8::/32"] {
            let range = crate::blocks::AddressRange::parse(text).unwrap();
            list.set(BlockTarget::Address(range), Some(until(0)));
        }
        let all = |kind: BlockKind, tenant: &str, limit: usize| {
            let mut behind = BlockTarget::named(kind, tenant.into(), "").unwrap();
            let mut names = Vec::new();
            loop {
                let page = BlockPage { behind: behind.clone(), scope: BlockScope::Tenant, limit };
                let found = list.page(0, &page);
                let Some((last, _)) = found.last() else { return names };
                behind = last.clone();
                names.extend(found.iter().map(|(target, _)| target.name().into_owned()));
            }
        };
        for limit in 1..=4 {
            for (kind, tenant) in
                [(BlockKind::User, ""), (BlockKind::User, "acme"), (BlockKind::Token, "")]
            {
                assert_eq!(all(kind, tenant, limit), ["anna", "bob", "carl"]);
            }
            assert!(all(BlockKind::UserTokens, "", limit).is_empty());
            assert!(all(BlockKind::Token, "acme", limit).is_empty());
            let addresses = all(BlockKind::Address, "", limit);
            assert_eq!(addresses, ["10.0.0.0/8", "10.0.0.0/9", "203.0.113.7", "2001:db8::/32"]);
        }
    }

    #[test]
    fn a_full_list_takes_what_it_has() {
        let mut list = BlockList::default();
        for n in 0..BLOCKS_MAX {
            list.set(user(&n.to_string()), Some(until(0)));
        }
        let change = |name: &str| BlockChange { target: user(name), terms: Some(until(7)) };
        assert_eq!(list.changed(&change("one more")), Err(BlockListFullError));
        assert_eq!(list.changed(&change("5")), Ok(Some(until(7))));
        list.set(user("5"), None);
        assert_eq!(list.changed(&change("one more")), Ok(Some(until(7))));
    }

    #[test]
    fn a_page_of_all_tenants_has_what_holds_of_one_kind() {
        let mut list = BlockList::default();
        let of = |tenant: &str, user: &str| BlockTarget::User {
            tenant: tenant.into(),
            user: user.into(),
        };
        for (tenant, name, end) in
            [("", "bob", 0), ("", "over", 100), ("acme", "anna", 101), ("zoo", "anna", 0)]
        {
            list.set(of(tenant, name), Some(until(end)));
        }
        list.set(token("t"), Some(until(0)));
        let page = |behind: BlockTarget, limit: usize| {
            let found = list.page(100, &BlockPage { behind, scope: BlockScope::Kind, limit });
            found.into_iter().map(|(target, _)| target).collect::<Vec<_>>()
        };
        let all = [of("", "bob"), of("acme", "anna"), of("zoo", "anna")];
        assert_eq!(page(user(""), 9), all);
        assert_eq!(page(user(""), 2), all[..2]);
        assert_eq!(page(of("acme", "anna"), 9), all[2..]);
    }
}
