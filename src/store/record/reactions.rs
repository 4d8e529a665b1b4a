//! The bytes of what users react to messages with.

use super::fields::{self, RecordFields, put_bytes, put_number};
use super::{DecodeError, VERSION};
use crate::base::limits::{NAME_BYTES_MAX, REACTION_BYTES_MAX};
use crate::store::messages::ReactionTotals;

/// The bytes of what a user of this name reacts with.
pub fn put_reaction(value: &str, name: &str) -> Vec<u8> {
    let mut to = vec![VERSION];
    put_bytes(&mut to, value.as_bytes());
    to.extend_from_slice(name.as_bytes());
    to
}

/// What a user reacts with, and the name, of these bytes.
pub fn take_reaction(bytes: &[u8]) -> Result<(Box<str>, Box<str>), DecodeError> {
    let mut from = RecordFields::versioned(bytes, VERSION)?;
    let value = take_value(&mut from)?.into();
    let name = fields::text(from.rest())?;
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len());
    if is_name { Ok((value, name.into())) } else { Err(DecodeError) }
}

/// The bytes of a message's totals.
pub fn put_reaction_totals(totals: &ReactionTotals) -> Vec<u8> {
    let mut to = vec![VERSION];
    for (value, count) in totals.iter() {
        put_number(&mut to, count.into());
        put_bytes(&mut to, value.as_bytes());
    }
    to
}

/// The totals of these bytes.
pub fn take_reaction_totals(bytes: &[u8]) -> Result<ReactionTotals, DecodeError> {
    let mut from = RecordFields::versioned(bytes, VERSION)?;
    let mut totals = ReactionTotals::default();
    while from.len() != 0 {
        let count = from.number()?.try_into().map_err(|_| DecodeError)?;
        if !totals.push(take_value(&mut from)?, count) {
            return Err(DecodeError);
        }
    }
    if totals.is_empty() { Err(DecodeError) } else { Ok(totals) }
}

fn take_value<'a>(from: &mut RecordFields<'a>) -> Result<&'a str, DecodeError> {
    let value = fields::text(from.counted()?)?;
    let is_value = (1..=REACTION_BYTES_MAX).contains(&value.len());
    if is_value { Ok(value) } else { Err(DecodeError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reaction_reads_back_and_other_bytes_are_none() {
        let bytes = put_reaction("👍", "ann");
        assert_eq!(take_reaction(&bytes), Ok(("👍".into(), "ann".into())));
        for len in 0..bytes.len() {
            assert_ne!(take_reaction(&bytes[..len]), Ok(("👍".into(), "ann".into())));
        }
        for (value, name) in [("", "ann"), (&"x".repeat(33)[..], "ann"), ("x", "")] {
            assert_eq!(take_reaction(&put_reaction(value, name)), Err(DecodeError));
        }
    }

    #[test]
    fn totals_read_back_and_other_bytes_are_none() {
        let mut totals = ReactionTotals::default();
        assert!(totals.push("👍", 300) && totals.push("no", 1));
        let bytes = put_reaction_totals(&totals);
        assert_eq!(take_reaction_totals(&bytes), Ok(totals.clone()));
        for len in 0..bytes.len() {
            assert_ne!(take_reaction_totals(&bytes[..len]), Ok(totals.clone()));
        }
        let twice = [&bytes[..], &bytes[1..]].concat();
        assert_eq!(take_reaction_totals(&twice), Err(DecodeError), "a value stands once");
        assert_eq!(take_reaction_totals(&[VERSION]), Err(DecodeError), "nobody's are not kept");
    }
}
