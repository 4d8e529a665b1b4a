//! Dead letters of all tenants, in pages: which page is asked for, and what is shown of it.
//!
//! Invariant: a page has at most `PAGE_ROWS`; what a message says is on none.
//!
//! Deliberately absent: reading and changing them (`server`).

use serde_json::{Value, json};

use super::largest_rooms::PAGE_ROWS;
use crate::base::DeadLetterPlace;
use crate::base::limits::NAME_BYTES_MAX;

/// Which dead letters an operator wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLettersWanted {
    reader: Option<(Box<str>, Box<str>)>,
    after: Option<DeadLetterPlace>,
}

/// Why there is no such page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLettersWantedError {
    /// This field is out of its range.
    Field(&'static str),
}

/// One of them, without what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterRow {
    /// The tenant whose conversation it is; empty for the only one.
    pub tenant: Box<str>,
    /// The conversation.
    pub channel: Box<str>,
    /// The message's offset there.
    pub offset: u64,
    /// For whom it was.
    pub user: Box<str>,
    /// Why it was given up, as a word.
    pub cause: &'static str,
    /// When, Unix ms.
    pub at_unix_ms: u64,
    /// How often it was sent.
    pub tries_count: u16,
}

/// Some of them, in the order of their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterRows {
    /// At most `PAGE_ROWS`.
    pub rows: Vec<DeadLetterRow>,
    /// The place that the next page comes behind; `None` where this is the last.
    pub next: Option<DeadLetterPlace>,
}

impl DeadLettersWanted {
    /// Those of this user of a tenant, or of all where the user is empty; behind the place that a
    /// page before gave, or from the first on.
    pub fn behind(
        tenant: &str,
        user: &str,
        after: &str,
    ) -> Result<DeadLettersWanted, DeadLettersWantedError> {
        let wrong = DeadLettersWantedError::Field;
        // Without a user there are those of all tenants: a page is of one, or of all.
        let is_alone = user.is_empty() && !tenant.is_empty();
        if NAME_BYTES_MAX < tenant.len() || is_alone {
            return Err(wrong("tenant"));
        }
        if NAME_BYTES_MAX < user.len() {
            return Err(wrong("user"));
        }
        let reader = (!user.is_empty()).then(|| (tenant.into(), user.into()));
        let after = match after {
            "" => None,
            text => Some(DeadLetterPlace::parse(text).ok_or(wrong("after"))?),
        };
        Ok(DeadLettersWanted { reader, after })
    }

    /// Whose they are: a tenant and a user; `None` for those of all.
    pub fn reader(&self) -> Option<(&str, &str)> {
        self.reader.as_ref().map(|(tenant, user)| (&**tenant, &**user))
    }

    /// The place that they are behind.
    pub fn after(&self) -> Option<DeadLetterPlace> {
        self.after
    }
}

impl DeadLetterRows {
    /// As JSON.
    pub fn answer(&self) -> Value {
        let rows = self.rows.iter().take(PAGE_ROWS).map(|row| {
            json!({
                "tenant": &*row.tenant,
                "channel": &*row.channel,
                "offset": row.offset,
                "user": &*row.user,
                "cause": row.cause,
                "at_unix_ms": row.at_unix_ms,
                "tries": row.tries_count,
            })
        });
        let rows: Vec<Value> = rows.collect();
        json!({ "dead_letters": rows, "next": self.next.map(DeadLetterPlace::text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RoomId;

    const PLACE: DeadLetterPlace = DeadLetterPlace { inbox: RoomId(1), room: RoomId(2), offset: 3 };

    #[test]
    fn a_page_is_of_all_or_of_one_reader_and_names_the_field_that_is_wrong() {
        let all = DeadLettersWanted::behind("", "", "").unwrap();
        assert_eq!((all.reader(), all.after()), (None, None));
        let one = DeadLettersWanted::behind("acme", "<b>", &PLACE.text()).unwrap();
        assert_eq!((one.reader(), one.after()), (Some(("acme", "<b>")), Some(PLACE)));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let longest = &long[1..];
        assert!(DeadLettersWanted::behind(longest, longest, "").is_ok());
        for (tenant, user, after, field) in [
            (&*long, "ann", "", "tenant"),
            ("acme", "", "", "tenant"),
            ("", &*long, "", "user"),
            ("", "", "7", "after"),
        ] {
            let refused = DeadLettersWanted::behind(tenant, user, after);
            assert_eq!(refused, Err(DeadLettersWantedError::Field(field)));
        }
    }

    #[test]
    fn a_page_has_a_bound_and_says_where_the_next_begins() {
        let row = DeadLetterRow {
            tenant: "acme".into(),
            channel: "dm#ann,bob".into(),
            offset: 7,
            user: "bob".into(),
            cause: "tries",
            at_unix_ms: 1_000,
            tries_count: 5,
        };
        let rows = DeadLetterRows { rows: vec![row; PAGE_ROWS + 1], next: Some(PLACE) };
        let told = rows.answer();
        assert_eq!(told["dead_letters"].as_array().map(Vec::len), Some(PAGE_ROWS));
        assert_eq!(told["next"], PLACE.text());
        let want = json!({
            "tenant": "acme", "channel": "dm#ann,bob", "offset": 7, "user": "bob", "cause": "tries",
            "at_unix_ms": 1_000, "tries": 5,
        });
        assert_eq!(told["dead_letters"][0], want);
        let none = json!({ "dead_letters": [], "next": null });
        assert_eq!(DeadLetterRows::default().answer(), none);
    }
}
