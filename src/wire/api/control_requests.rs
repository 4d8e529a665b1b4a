//! What an operator's program asks about the server itself: which kinds of clients are kept out for a
//! while, and that it lets all of its clients go.
//!
//! Deliberately absent: which kinds of programs there are (`session`), and doing it (`server`).

use std::borrow::Cow;

use super::fields::{ApiField, ApiFieldError};
use crate::base::limits::{NAME_BYTES_MAX, PREFIX_PART_BYTES_MAX, QUARANTINE_S_MAX};
use crate::wire::json_fields::JsonFields;

type Fields<'a> = JsonFields<'a, ApiField>;

/// The longest name of a kind of program.
pub(super) const CLASS_BYTES_MAX: usize = 16;

/// A call about the server itself.
#[derive(Debug, PartialEq, Eq)]
pub enum ApiControlCall<'a> {
    /// To list kinds of clients that are kept out.
    Quarantined,
    /// To keep a kind of clients out.
    Quarantine {
        /// Which.
        prefix: Cow<'a, str>,
        /// For so long, in s; `None` for the configured time.
        hold_s: Option<u64>,
    },
    /// To let it in again.
    Release {
        /// Which.
        prefix: Cow<'a, str>,
    },
    /// To let all clients go, and to end.
    Drain {
        /// The server that is meant, so that nobody drains another one.
        instance: Cow<'a, str>,
    },
    /// To see how far that is.
    DrainStatus,
}

/// A call of `quarantine.set`.
pub(super) fn quarantine<'a>(fields: &Fields<'a>) -> Result<ApiControlCall<'a>, ApiFieldError> {
    let hold_s = fields.number(ApiField::HoldS, 1..=QUARANTINE_S_MAX)?;
    Ok(ApiControlCall::Quarantine { prefix: prefix(fields)?, hold_s })
}

/// A call of `quarantine.lift`.
pub(super) fn release<'a>(fields: &Fields<'a>) -> Result<ApiControlCall<'a>, ApiFieldError> {
    Ok(ApiControlCall::Release { prefix: prefix(fields)? })
}

/// A call of `drain.start`.
pub(super) fn drain<'a>(fields: &Fields<'a>) -> Result<ApiControlCall<'a>, ApiFieldError> {
    let is_name = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len());
    Ok(ApiControlCall::Drain { instance: fields.needed_text(ApiField::Instance, is_name)? })
}

/// Tenant, beginning of a user's name, and kind of program, with `~` between them.
fn prefix<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, ApiFieldError> {
    fields.needed_text(ApiField::Prefix, is_prefix)
}

fn is_prefix(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(4, '~').collect();
    let [tenant, user, class] = parts[..] else { return false };
    let is_part = |part: &str| {
        let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || b"._=".contains(&letter);
        part.len() <= PREFIX_PART_BYTES_MAX && part.bytes().all(is_plain)
    };
    let is_class = (1..=CLASS_BYTES_MAX).contains(&class.len())
        && class.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
    is_part(tenant) && is_part(user) && is_class
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api::{
        ApiCall, ApiMethod, ApiOperatorCall, ApiOperatorMethod, ApiRequestError, parse_call,
    };

    #[track_caller]
    fn check(method: ApiOperatorMethod, body: &str, want: Result<ApiControlCall<'_>, ApiField>) {
        let want = want.map(|call| ApiCall::Operator(ApiOperatorCall::Control(call)));
        let want = want.map_err(ApiRequestError::Field);
        assert_eq!(parse_call(ApiMethod::Operator(method), body.as_bytes()), want, "{body}");
    }

    #[test]
    fn a_quarantine_is_about_a_kind_of_clients_and_has_an_end() {
        let set = ApiOperatorMethod::QuarantineSet;
        let quarantine = |prefix: &'static str, hold_s| {
            Ok(ApiControlCall::Quarantine { prefix: prefix.into(), hold_s })
        };
        check(set, r#"{"prefix":"~bot~python"}"#, quarantine("~bot~python", None));
        check(
            set,
            r#"{"prefix":"a=2Fb~x.y_z~go","hold_s":86400}"#,
            quarantine("a=2Fb~x.y_z~go", Some(86_400)),
        );
        let long = format!("{}~~go", "a".repeat(PREFIX_PART_BYTES_MAX + 1));
        for wrong in ["", "~", "a~b", "a~b~", "a~b~C", "a~b~go~", "a-b~~go", "~a b~go", &long] {
            check(set, &format!(r#"{{"prefix":"{wrong}"}}"#), Err(ApiField::Prefix));
        }
        check(set, r#"{"prefix":"~~go","hold_s":86401}"#, Err(ApiField::HoldS));
        check(set, r#"{"prefix":"~~go","hold_s":0}"#, Err(ApiField::HoldS));
        let lift = ApiOperatorMethod::QuarantineLift;
        let release = ApiControlCall::Release { prefix: "~~go".into() };
        check(lift, r#"{"prefix":"~~go"}"#, Ok(release));
        check(lift, "{}", Err(ApiField::Prefix));
        check(ApiOperatorMethod::QuarantineList, "{}", Ok(ApiControlCall::Quarantined));
    }

    #[test]
    fn who_drains_names_the_server() {
        let start = ApiOperatorMethod::DrainStart;
        let drain = ApiControlCall::Drain { instance: "node-1".into() };
        check(start, r#"{"instance":"node-1"}"#, Ok(drain));
        check(start, "{}", Err(ApiField::Instance));
        check(start, r#"{"instance":""}"#, Err(ApiField::Instance));
        check(ApiOperatorMethod::DrainStatus, "null", Ok(ApiControlCall::DrainStatus));
    }
}
