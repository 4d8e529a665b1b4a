//! Blocks as records of a file, of which the last one about a target counts.
//!
//! Invariant: whatever is cut off or changed of a file's bytes, the records that are whole are
//! read, and no other.
//!
//! Deliberately absent: the file.

use std::borrow::Cow;

use super::entry::{BlockChange, BlockTarget, BlockTerms};
use crate::base::limits::BLOCK_NAME_BYTES_MAX;
use crate::base::{FoundRecords, find_records, put_record};

/// With what each record begins, so that the search for whole ones is fast.
const PAYLOAD_START: &[u8] = b"{\"kind\":";

/// A record as it stands in the file.
#[derive(serde::Serialize, serde::Deserialize)]
struct RecordJson<'a> {
    /// The word of its kind, also in metrics.
    kind: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    tenant: Cow<'a, str>,
    name: Cow<'a, str>,
    /// Blocked, or not any more.
    blocked: bool,
    #[serde(default)]
    until_unix_s: u32,
    #[serde(default)]
    issued_before_unix_s: u32,
}

/// What was read of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadRecords {
    /// In the order in which they were written.
    pub changes: Vec<BlockChange>,
    /// Damaged bytes before the last whole record. Those behind it are of a write that did not
    /// end, and were never confirmed.
    pub damaged_bytes: usize,
}

/// Appends a record.
pub fn write_record(target: &BlockTarget, terms: Option<BlockTerms>, out: &mut Vec<u8>) {
    let BlockTerms { until_unix_s, issued_before_unix_s } = terms.unwrap_or_default();
    let record = RecordJson {
        kind: target.kind().word().into(),
        tenant: target.tenant().into(),
        name: target.name(),
        blocked: terms.is_some(),
        until_unix_s,
        issued_before_unix_s,
    };
    let payload = serde_json::to_vec(&record).expect("it is texts and numbers");
    put_record(&payload, out);
}

/// Reads all records that are whole.
pub fn read_records(bytes: &[u8]) -> ReadRecords {
    let FoundRecords { records, damaged_bytes } = find_records(bytes, PAYLOAD_START, change_of);
    ReadRecords { changes: records, damaged_bytes }
}

/// The change that a record says.
fn change_of(payload: &[u8]) -> Option<BlockChange> {
    let json: RecordJson<'_> = serde_json::from_slice(payload).ok()?;
    let fits = |text: &str| text.len() <= BLOCK_NAME_BYTES_MAX;
    if !fits(&json.tenant) || !fits(&json.name) || json.name.is_empty() {
        return None;
    }
    let kind = BlockTarget::kind_named(&json.kind)?;
    let target = BlockTarget::named(kind, json.tenant.into(), &json.name)?;
    let RecordJson { until_unix_s, issued_before_unix_s, .. } = json;
    let terms = json.blocked.then_some(BlockTerms { until_unix_s, issued_before_unix_s });
    Some(BlockChange { target, terms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::AddressRange;

    fn changes() -> Vec<BlockChange> {
        let terms = |until_unix_s, issued_before_unix_s| {
            Some(BlockTerms { until_unix_s, issued_before_unix_s })
        };
        let (tenant, user) = (Box::<str>::from("acme"), Box::<str>::from("安娜 \"\\\n"));
        let bare = BlockTarget::User { tenant: "".into(), user: "anna".into() };
        vec![
            BlockChange { target: bare.clone(), terms: terms(0, 0) },
            BlockChange {
                target: BlockTarget::UserTokens { tenant: tenant.clone(), user: user.clone() },
                terms: terms(7, u32::MAX),
            },
            BlockChange { target: BlockTarget::Token { tenant, id: user }, terms: terms(9, 0) },
            BlockChange {
                target: BlockTarget::Address(AddressRange::parse("2001:db8::/48").unwrap()),
                terms: terms(u32::MAX, 0),
            },
            BlockChange { target: bare, terms: None },
        ]
    }

    /// All records, and where each begins and ends.
    fn written() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut bounds) = (Vec::new(), vec![0]);
        for change in changes() {
            write_record(&change.target, change.terms, &mut bytes);
            bounds.push(bytes.len());
        }
        (bytes, bounds)
    }

    #[test]
    fn after_every_cut_the_whole_records_are_read() {
        let (bytes, bounds) = written();
        for end in 0..=bytes.len() {
            let whole = bounds.iter().filter(|&&bound| bound <= end).count() - 1;
            let want = ReadRecords { changes: changes()[..whole].to_vec(), damaged_bytes: 0 };
            assert_eq!(read_records(&bytes[..end]), want, "cut at {end}");
        }
    }

    #[test]
    fn behind_a_damaged_record_the_others_are_read() {
        let (bytes, bounds) = written();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x21;
            let hit = bounds.iter().filter(|&&bound| bound <= at).count() - 1;
            let mut want = changes();
            want.remove(hit);
            let is_last = hit == want.len();
            let damaged_bytes = if is_last { 0 } else { bounds[hit + 1] - bounds[hit] };
            let want = ReadRecords { changes: want, damaged_bytes };
            assert_eq!(read_records(&damaged), want, "byte {at}");
        }
    }

    #[test]
    fn what_no_record_says_is_not_read() {
        let mut bytes = Vec::new();
        for payload in [
            r#"{"kind":"planet","name":"earth","blocked":true}"#,
            r#"{"kind":"address","name":"everywhere","blocked":true}"#,
            r#"{"kind":"user","blocked":true}"#,
        ] {
            put_record(payload.as_bytes(), &mut bytes);
        }
        assert_eq!(read_records(&bytes), ReadRecords { changes: vec![], damaged_bytes: 0 });
    }
}
