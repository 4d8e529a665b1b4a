//! Filters over the tags of publications, as clients send them with a subscription (`tf`): a tree
//! of comparisons, read once and bounded before it is in memory.
//!
//! Deliberately absent: who may have one (`session`), and who is served by one (`shard`).

use std::cmp::Ordering;

use super::json_values::JsonText;
use super::protobuf_in::ProtobufReader;
use super::types::{CommandParseError, RawData};
use crate::base::json_depth;
use crate::base::limits::{TAG_FILTER_BYTES_MAX, TAG_FILTER_LEVELS_MAX};

/// A filter over the tags of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagFilter {
    /// Of one tag.
    Tag(Box<str>, TagTest),
    /// All of these hold.
    All(Box<[TagFilter]>),
    /// One of these holds.
    Any(Box<[TagFilter]>),
    /// This does not hold.
    Not(Box<TagFilter>),
}

/// What is asked of one tag. Closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagTest {
    /// It is there.
    Exists,
    /// It is not there.
    Missing,
    /// It is one of these.
    In(Box<[Box<str>]>),
    /// It is none of these, or not there.
    NotIn(Box<[Box<str>]>),
    /// It begins so.
    StartsWith(Box<str>),
    /// It ends so.
    EndsWith(Box<str>),
    /// This is in it.
    Contains(Box<str>),
    /// It is a number below this.
    Below(Decimal),
    /// It is a number up to this.
    UpTo(Decimal),
    /// It is a number above this.
    Above(Decimal),
    /// It is a number from this on.
    From(Decimal),
}

/// A decimal number of any length, compared without rounding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    is_negative: bool,
    /// Without zeros in front.
    whole: Box<str>,
    /// Without zeros behind.
    fraction: Box<str>,
}

impl TagFilter {
    /// What a client sent, in its encoding.
    pub fn read(raw: &RawData<'_>) -> Result<TagFilter, CommandParseError> {
        if TAG_FILTER_BYTES_MAX < raw.bytes.len() {
            return Err(CommandParseError::Limit);
        }
        if raw.is_json {
            // Each level of the tree is an object in a list.
            if 2 * TAG_FILTER_LEVELS_MAX < json_depth(&raw.bytes) {
                return Err(CommandParseError::Limit);
            }
            let node: NodeJson<'_> =
                serde_json::from_slice(&raw.bytes).map_err(|_| CommandParseError::Json)?;
            node.into_parts().filter()
        } else {
            Parts::parse(&raw.bytes, TAG_FILTER_LEVELS_MAX)?.filter()
        }
    }

    /// Whether a publication with these tags is for the subscriber.
    pub fn matches(&self, tags: &[(Box<str>, Box<str>)]) -> bool {
        match self {
            TagFilter::Tag(key, test) => {
                let tag = tags.iter().find(|(name, _)| name == key).map(|(_, text)| &**text);
                test.holds(tag)
            }
            TagFilter::All(nodes) => nodes.iter().all(|node| node.matches(tags)),
            TagFilter::Any(nodes) => nodes.iter().any(|node| node.matches(tags)),
            TagFilter::Not(node) => !node.matches(tags),
        }
    }
}

impl TagTest {
    fn holds(&self, tag: Option<&str>) -> bool {
        let is_listed = |list: &[Box<str>]| list.iter().any(|one| Some(&**one) == tag);
        let order = |to: &Decimal| Some(Decimal::parse(tag?)?.order(to));
        match self {
            TagTest::Exists => tag.is_some(),
            TagTest::Missing => tag.is_none(),
            TagTest::In(list) => is_listed(list),
            TagTest::NotIn(list) => !is_listed(list),
            TagTest::StartsWith(part) => tag.is_some_and(|tag| tag.starts_with(&**part)),
            TagTest::EndsWith(part) => tag.is_some_and(|tag| tag.ends_with(&**part)),
            TagTest::Contains(part) => tag.is_some_and(|tag| tag.contains(&**part)),
            TagTest::Below(to) => order(to).is_some_and(Ordering::is_lt),
            TagTest::UpTo(to) => order(to).is_some_and(Ordering::is_le),
            TagTest::Above(to) => order(to).is_some_and(Ordering::is_gt),
            TagTest::From(to) => order(to).is_some_and(Ordering::is_ge),
        }
    }
}

impl Decimal {
    /// Digits with one point at most, behind a sign or none.
    fn parse(text: &str) -> Option<Decimal> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if digits.len() == digits.matches('.').count() || !is_number(whole) || !is_number(fraction)
        {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let is_zero = whole.is_empty() && fraction.is_empty();
        let is_negative = is_negative && !is_zero;
        Some(Decimal { is_negative, whole: whole.into(), fraction: fraction.into() })
    }

    fn order(&self, to: &Decimal) -> Ordering {
        let size = |one: &Decimal, to: &Decimal| {
            let whole = one.whole.len().cmp(&to.whole.len()).then_with(|| one.whole.cmp(&to.whole));
            whole.then_with(|| one.fraction.cmp(&to.fraction))
        };
        match (self.is_negative, to.is_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => size(self, to),
            (true, true) => size(to, self),
        }
    }
}

/// A node as it stands on the wire.
#[derive(Default)]
struct Parts {
    op: String,
    key: Box<str>,
    cmp: String,
    val: Box<str>,
    vals: Vec<Box<str>>,
    nodes: Vec<Parts>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct NodeJson<'a> {
    #[serde(borrow)]
    op: JsonText<'a>,
    #[serde(borrow)]
    key: JsonText<'a>,
    #[serde(borrow)]
    cmp: JsonText<'a>,
    #[serde(borrow)]
    val: JsonText<'a>,
    #[serde(borrow)]
    vals: Option<Vec<JsonText<'a>>>,
    #[serde(borrow)]
    nodes: Option<Vec<NodeJson<'a>>>,
}

impl NodeJson<'_> {
    fn into_parts(self) -> Parts {
        let NodeJson { op, key, cmp, val, vals, nodes } = self;
        Parts {
            op: op.0.into_owned(),
            key: key.0.into(),
            cmp: cmp.0.into_owned(),
            val: val.0.into(),
            vals: vals.into_iter().flatten().map(|one| one.0.into()).collect(),
            nodes: nodes.into_iter().flatten().map(NodeJson::into_parts).collect(),
        }
    }
}

impl Parts {
    fn parse(message: &[u8], levels_left: usize) -> Result<Parts, CommandParseError> {
        if levels_left == 0 {
            return Err(CommandParseError::Limit);
        }
        let mut parts = Parts::default();
        let mut reader = ProtobufReader { rest: message };
        while let Some((field, value)) = reader.field()? {
            match field {
                1 => parts.op = value.text()?.into_owned(),
                2 => parts.key = value.text()?.into(),
                3 => parts.cmp = value.text()?.into_owned(),
                4 => parts.val = value.text()?.into(),
                5 => parts.vals.push(value.text()?.into()),
                6 => parts.nodes.push(Parts::parse(value.bytes()?, levels_left - 1)?),
                _ => {}
            }
        }
        Ok(parts)
    }

    /// The filter that it is; every part has to have a meaning.
    fn filter(self) -> Result<TagFilter, CommandParseError> {
        let Parts { op, key, cmp, val, vals, nodes } = self;
        let is_plain = cmp.is_empty() && key.is_empty() && val.is_empty() && vals.is_empty();
        let nodes = nodes.into_iter().map(Parts::filter).collect::<Result<Vec<_>, _>>()?;
        match (&*op, nodes.len()) {
            ("", 0) => Ok(TagFilter::Tag(key, test(&cmp, val, vals).ok_or(INVALID)?)),
            ("and", 1..) if is_plain => Ok(TagFilter::All(nodes.into())),
            ("or", 1..) if is_plain => Ok(TagFilter::Any(nodes.into())),
            ("not", 1) if is_plain => {
                let node = nodes.into_iter().next().ok_or(INVALID)?;
                Ok(TagFilter::Not(Box::new(node)))
            }
            _ => Err(INVALID),
        }
    }
}

/// A filter that cannot be right.
const INVALID: CommandParseError = CommandParseError::Limit;

fn test(cmp: &str, val: Box<str>, vals: Vec<Box<str>>) -> Option<TagTest> {
    let has_val = !val.is_empty() && vals.is_empty();
    let number = || Decimal::parse(&val).filter(|_| vals.is_empty());
    Some(match cmp {
        "ex" if val.is_empty() && vals.is_empty() => TagTest::Exists,
        "nex" if val.is_empty() && vals.is_empty() => TagTest::Missing,
        "in" if val.is_empty() && !vals.is_empty() => TagTest::In(vals.into()),
        "nin" if val.is_empty() && !vals.is_empty() => TagTest::NotIn(vals.into()),
        "eq" if has_val => TagTest::In(Box::new([val])),
        "neq" if has_val => TagTest::NotIn(Box::new([val])),
        "sw" if has_val => TagTest::StartsWith(val),
        "ew" if has_val => TagTest::EndsWith(val),
        "ct" if has_val => TagTest::Contains(val),
        "lt" => TagTest::Below(number()?),
        "lte" => TagTest::UpTo(number()?),
        "gt" => TagTest::Above(number()?),
        "gte" => TagTest::From(number()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use prost::Message as _;

    use super::*;
    use crate::wire::client::proto;

    fn json(text: &str) -> Result<TagFilter, CommandParseError> {
        TagFilter::read(&RawData { bytes: Cow::Borrowed(text.as_bytes()), is_json: true })
    }

    fn protobuf(node: &proto::FilterNode) -> Result<TagFilter, CommandParseError> {
        let bytes = Cow::Owned(node.encode_to_vec());
        TagFilter::read(&RawData { bytes, is_json: false })
    }

    /// Both encodings read the same, and it holds for these tags.
    #[track_caller]
    fn check(text: &str, tags: &[(&str, &str)], want: bool) {
        let filter = json(text).expect(text);
        let node: proto::FilterNode = serde_json::from_str(text).unwrap();
        assert_eq!(protobuf(&node).as_ref(), Ok(&filter), "{text}");
        let tags: Vec<(Box<str>, Box<str>)> =
            tags.iter().map(|&(name, tag)| (name.into(), tag.into())).collect();
        assert_eq!(filter.matches(&tags), want, "{text} {tags:?}");
    }

    #[test]
    fn one_tag_is_compared() {
        let tags = [("a", "xyz"), ("n", "10.50")];
        for (cmp, of, want) in [
            ("eq", r#""key":"a","val":"xyz""#, true),
            ("eq", r#""key":"a","val":"xy""#, false),
            ("eq", r#""key":"b","val":"xyz""#, false),
            ("neq", r#""key":"a","val":"xyz""#, false),
            ("neq", r#""key":"b","val":"xyz""#, true),
            ("in", r#""key":"a","vals":["q","xyz"]"#, true),
            ("in", r#""key":"b","vals":["q",""]"#, false),
            ("nin", r#""key":"a","vals":["q"]"#, true),
            ("nin", r#""key":"b","vals":["q"]"#, true),
            ("ex", r#""key":"a""#, true),
            ("nex", r#""key":"a""#, false),
            ("nex", r#""key":"b""#, true),
            ("sw", r#""key":"a","val":"xy""#, true),
            ("ew", r#""key":"a","val":"xy""#, false),
            ("ew", r#""key":"a","val":"yz""#, true),
            ("ct", r#""key":"a","val":"y""#, true),
            ("ct", r#""key":"b","val":"y""#, false),
            ("gt", r#""key":"n","val":"10.5""#, false),
            ("gte", r#""key":"n","val":"10.5""#, true),
            ("lt", r#""key":"n","val":"011""#, true),
            ("lte", r#""key":"n","val":"-1""#, false),
            ("gt", r#""key":"a","val":"1""#, false),
            ("lt", r#""key":"b","val":"1""#, false),
        ] {
            check(&format!(r#"{{"cmp":"{cmp}",{of}}}"#), &tags, want);
        }
    }

    #[test]
    fn comparisons_are_joined() {
        let (yes, no) = (r#"{"cmp":"ex","key":"a"}"#, r#"{"cmp":"ex","key":"b"}"#);
        for (op, nodes, want) in [
            ("and", format!("{yes},{yes}"), true),
            ("and", format!("{yes},{no}"), false),
            ("or", format!("{no},{yes}"), true),
            ("or", format!("{no},{no}"), false),
            ("not", no.to_owned(), true),
            ("not", format!(r#"{{"op":"not","nodes":[{no}]}}"#), false),
        ] {
            check(&format!(r#"{{"op":"{op}","nodes":[{nodes}]}}"#), &[("a", "")], want);
        }
    }

    #[test]
    fn numbers_of_any_length_have_an_order() {
        let long = "9".repeat(60);
        let rising = ["-10", "-9.5", "-0.1", "0", "0.01", "0.1", "2", "10", "10.01", &long];
        for (at, one) in rising.iter().enumerate() {
            for (to, other) in rising.iter().enumerate() {
                let order = Decimal::parse(one).unwrap().order(&Decimal::parse(other).unwrap());
                assert_eq!(order, at.cmp(&to), "{one} {other}");
            }
        }
        for (one, same) in [("0", "-0.0"), ("007.10", "+7.1"), (".5", "0.50"), ("3.", "3")] {
            assert_eq!(Decimal::parse(one), Decimal::parse(same), "{one}");
        }
        for bad in ["", ".", "-", "+", "1.2.3", "1e3", " 1", "0x1", "١", "--1", "1-"] {
            assert_eq!(Decimal::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_has_no_meaning_or_is_too_much_is_refused() {
        let leaf = r#"{"cmp":"ex","key":"a"}"#;
        let nested = |levels: usize| {
            let (open, close) = (r#"{"op":"not","nodes":["#, "]}");
            format!("{}{leaf}{}", open.repeat(levels - 1), close.repeat(levels - 1))
        };
        assert!(json(&nested(TAG_FILTER_LEVELS_MAX)).is_ok());
        let long =
            |bytes: usize| format!(r#"{{"cmp":"ct","key":"a","val":"{}"}}"#, "x".repeat(bytes));
        assert!(json(&long(TAG_FILTER_BYTES_MAX - 100)).is_ok());
        for bad in [
            "{}",
            "[]",
            r#"{"cmp":"xx","key":"a","val":"1"}"#,
            r#"{"cmp":"eq","key":"a"}"#,
            r#"{"cmp":"eq","key":"a","vals":["1"]}"#,
            r#"{"cmp":"in","key":"a","val":"1"}"#,
            r#"{"cmp":"ex","key":"a","val":"1"}"#,
            r#"{"cmp":"gt","key":"a","val":"x"}"#,
            r#"{"op":"and"}"#,
            r#"{"op":"xor","nodes":[{"cmp":"ex","key":"a"}]}"#,
            r#"{"cmp":"ex","key":"a","nodes":[{"cmp":"ex","key":"a"}]}"#,
            r#"{"op":"not","nodes":[{"cmp":"ex","key":"a"},{"cmp":"ex","key":"a"}]}"#,
            &nested(TAG_FILTER_LEVELS_MAX + 1),
            &long(TAG_FILTER_BYTES_MAX),
        ] {
            assert!(json(bad).is_err(), "{bad}");
            if let Ok(node) = serde_json::from_str::<proto::FilterNode>(bad)
                && bad != "[]"
            {
                assert!(protobuf(&node).is_err(), "{bad}");
            }
        }
    }
}
