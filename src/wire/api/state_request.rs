//! A backend's question who is there, by the presence feed (`/api/v1/presence_state`).
//!
//! Deliberately absent: the answer, which only the feed's owner has.

use std::borrow::Cow;

use super::fields::{ApiField, ApiFieldError};
use super::requests::ApiRequestError;
use crate::base::limits::{NAME_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX};
use crate::wire::json_fields::JsonFields;

/// What a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiStateKind {
    /// Users that are connected.
    Users,
    /// Channels that somebody is in.
    Channels,
}

/// A question for a page.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiStateCall<'a> {
    /// Of what.
    pub of: ApiStateKind,
    /// Behind this name; empty for the first page.
    pub after: Cow<'a, str>,
    /// Entries.
    pub limit: u32,
}

/// Reads a body.
pub fn parse_state_call(body: &[u8]) -> Result<ApiStateCall<'_>, ApiRequestError> {
    let fields: JsonFields<'_, ApiField> = JsonFields::of(body)?;
    let of = match &*fields.needed_text(ApiField::Of, |_| true)? {
        "users" => ApiStateKind::Users,
        "channels" => ApiStateKind::Channels,
        _ => return Err(ApiFieldError(ApiField::Of).into()),
    };
    let after = fields.text(ApiField::After, |name| name.len() <= NAME_BYTES_MAX)?;
    let limit = fields.number(ApiField::Limit, 1..=u64::from(PAGE_MAX))?;
    let limit = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(PAGE_DEFAULT);
    Ok(ApiStateCall { of, after: after.unwrap_or_default(), limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_a_kind_and_what_else_it_wants() {
        assert_eq!(
            parse_state_call(br#"{"of":"users"}"#),
            Ok(ApiStateCall { of: ApiStateKind::Users, after: "".into(), limit: PAGE_DEFAULT })
        );
        assert_eq!(
            parse_state_call(br#"{"of":"channels","after":"room:1","limit":1000,"more":[]}"#),
            Ok(ApiStateCall { of: ApiStateKind::Channels, after: "room:1".into(), limit: 1_000 })
        );
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        let long = format!(r#"{{"of":"users","after":"{}"}}"#, "x".repeat(256));
        for (body, field) in [
            ("[]", ApiField::Body),
            ("{}", ApiField::Of),
            (r#"{"of":"people"}"#, ApiField::Of),
            (r#"{"of":7}"#, ApiField::Of),
            (&long, ApiField::After),
            (r#"{"of":"users","limit":0}"#, ApiField::Limit),
            (r#"{"of":"users","limit":1001}"#, ApiField::Limit),
        ] {
            let wrong = Err(ApiRequestError::Field(field));
            assert_eq!(parse_state_call(body.as_bytes()), wrong, "{body}");
        }
    }
}
