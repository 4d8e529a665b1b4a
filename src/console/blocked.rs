//! Who is kept out, in pages: which blocks a page asks for, and what it shows of them.
//!
//! Invariant: a page has at most `PAGE_ROWS`, and says whether there are others behind them.
//!
//! Deliberately absent: the list itself (`blocks`), and who changes it.

use serde_json::{Value, json};

use super::largest_rooms::PAGE_ROWS;
use crate::base::limits::BLOCK_NAME_BYTES_MAX;
use crate::blocks::{BlockPage, BlockScope, BlockTarget, BlockTerms};
use crate::metrics::BlockKind;

/// Which blocks an operator wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedQuery {
    kind: BlockKind,
    page: BlockPage,
}

/// Why there is no such page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedQueryError {
    /// This field is out of its range.
    Field(&'static str),
}

impl BlockedQuery {
    /// Those of a kind, of all tenants, behind the one of this tenant and name; from the first on
    /// where both are empty.
    pub fn behind(kind: &str, tenant: &str, name: &str) -> Result<BlockedQuery, BlockedQueryError> {
        let wrong = BlockedQueryError::Field;
        let kind = BlockTarget::kind_named(kind).ok_or(wrong("kind"))?;
        if BLOCK_NAME_BYTES_MAX < tenant.len() {
            return Err(wrong("tenant"));
        }
        let fits = name.len() <= BLOCK_NAME_BYTES_MAX;
        let behind = fits.then(|| BlockTarget::named(kind, tenant.into(), name)).flatten();
        let behind = behind.ok_or(wrong("after"))?;
        // One more than is shown says whether there are others.
        let page = BlockPage { behind, scope: BlockScope::Kind, limit: PAGE_ROWS + 1 };
        Ok(BlockedQuery { kind, page })
    }

    /// What is asked of the list.
    pub fn page(&self) -> &BlockPage {
        &self.page
    }

    /// What is shown of what the list has, as JSON.
    pub fn answer(&self, found: &BlockedRows) -> Value {
        let unix_ms = |unix_s: u32| (unix_s != 0).then(|| u64::from(unix_s) * 1_000);
        let rows = found.0.iter().take(PAGE_ROWS).map(|(target, terms)| {
            json!({
                "tenant": target.tenant(),
                "name": target.name(),
                "until_unix_ms": unix_ms(terms.until_unix_s),
                "issued_before_unix_ms": unix_ms(terms.issued_before_unix_s),
            })
        });
        let rows: Vec<Value> = rows.collect();
        json!({ "kind": self.kind.word(), "blocks": rows, "more": PAGE_ROWS < found.0.len() })
    }
}

/// Blocks that the list has, in its order.
#[derive(Clone, Debug, Default)]
pub struct BlockedRows(pub Vec<(BlockTarget, BlockTerms)>);

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> BlockTarget {
        BlockTarget::User { tenant: "acme".into(), user: name.into() }
    }

    #[test]
    fn a_query_is_of_one_kind_and_names_the_field_that_is_wrong() {
        let query = BlockedQuery::behind("user", "acme", "eve").unwrap();
        let page = BlockPage { behind: user("eve"), scope: BlockScope::Kind, limit: PAGE_ROWS + 1 };
        assert_eq!(query.page(), &page);
        let long = "x".repeat(BLOCK_NAME_BYTES_MAX + 1);
        for (kind, tenant, name, field) in [
            ("room", "", "", "kind"),
            ("", "", "", "kind"),
            ("user", &*long, "", "tenant"),
            ("user", "", &*long, "after"),
            ("address", "", "here", "after"),
        ] {
            assert_eq!(
                BlockedQuery::behind(kind, tenant, name),
                Err(BlockedQueryError::Field(field))
            );
        }
    }

    #[test]
    fn a_page_says_whether_there_are_others() {
        let query = BlockedQuery::behind("user", "", "").unwrap();
        let terms = BlockTerms { until_unix_s: 7, issued_before_unix_s: 0 };
        let of = |count: usize| {
            let rows = (0..count).map(|n| (user(&format!("u{n:02}")), terms)).collect();
            query.answer(&BlockedRows(rows))
        };
        assert_eq!(of(0), json!({ "kind": "user", "blocks": [], "more": false }));
        assert_eq!(of(PAGE_ROWS)["more"], false);
        let over = of(PAGE_ROWS + 1);
        assert_eq!(
            (over["blocks"].as_array().map(Vec::len), &over["more"]),
            (Some(25), &json!(true))
        );
        let row = json!({
            "tenant": "acme", "name": "u00", "until_unix_ms": 7_000, "issued_before_unix_ms": null,
        });
        assert_eq!(over["blocks"][0], row);
    }
}
