//! What is found in a store, as a line for people or a JSON object.
//!
//! Invariant: no line has a character that a terminal obeys instead of showing it,
//! whatever was said in a channel.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;

use crate::cli::text::{date, json_line, plain};
use crate::store::{
    CheckFinding, CheckTotals, DeadLetter, GivenReaction, KeptElsewhere, LogFinding, LossKind,
    Salvaged, StoreKeyspace, StoreStats,
};
use crate::wire::{Payload, Publication};

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputForm {
    /// People.
    Text,
    /// Programs: an object on each line.
    Json,
}

impl OutputForm {
    pub(super) fn finding(self, finding: &CheckFinding) -> String {
        match (self, finding) {
            (OutputForm::Text, finding) => plain(&finding.to_string()),
            (OutputForm::Json, CheckFinding::Lost { tenant, channel, first, last, loss }) => {
                let how = match loss {
                    LossKind::Damaged => "damaged",
                    LossKind::Missing => "missing",
                };
                let object = ObjectWriter::new().text("finding", how);
                let object = object.text("tenant", tenant).text("channel", channel);
                object.number("first", *first).number("last", *last).end()
            }
            (OutputForm::Json, CheckFinding::NoContent { tenant, channel, offset }) => {
                let object = ObjectWriter::new().text("finding", "no_content");
                object
                    .text("tenant", tenant)
                    .text("channel", channel)
                    .number("offset", *offset)
                    .end()
            }
            (OutputForm::Json, CheckFinding::Log(LogFinding::Unreadable(why))) => {
                ObjectWriter::new().text("finding", "log_unreadable").text("why", why).end()
            }
            (OutputForm::Json, CheckFinding::Log(LogFinding::UnreadableRun(run, why))) => {
                let object = ObjectWriter::new().text("finding", "run_unreadable");
                object.number("run", *run).text("why", why).end()
            }
            (
                OutputForm::Json,
                CheckFinding::Log(LogFinding::Missing { first, last, place, kept }),
            ) => {
                let is_lost = match kept {
                    KeptElsewhere::InDatabase => "false",
                    KeptElsewhere::Nowhere => "true",
                };
                let object = ObjectWriter::new().text("finding", "log_batches");
                let object = object.number("first", *first).number("last", *last);
                let object = object.raw("lost", is_lost);
                match place {
                    Some((segment, page)) => object
                        .number("segment", (*segment).into())
                        .number("page", (*page).into())
                        .end(),
                    None => object.end(),
                }
            }
            (OutputForm::Json, CheckFinding::Records { space, count }) => {
                let object = ObjectWriter::new().text("finding", "records");
                object.text("of", word(*space)).number("count", *count).end()
            }
        }
    }

    pub(super) fn check_totals(self, check_totals: CheckTotals) -> String {
        let CheckTotals { channels_count, messages_count, findings_count } = check_totals;
        match self {
            OutputForm::Text => {
                let found = match findings_count {
                    0 => "all is well".to_owned(),
                    1.. => counted(findings_count, "finding"),
                };
                let channels = counted(channels_count, "channel");
                format!("{channels}, {}: {found}", counted(messages_count, "message"))
            }
            OutputForm::Json => ObjectWriter::new()
                .number("channels_count", channels_count)
                .number("messages_count", messages_count)
                .number("findings_count", findings_count)
                .end(),
        }
    }

    pub(super) fn salvaged(self, salvaged: Salvaged) -> String {
        let Salvaged { channels_count, messages_count, findings_count } = salvaged;
        match self {
            OutputForm::Text => format!(
                "copied {} and {}: {}",
                counted(channels_count, "channel"),
                counted(messages_count, "message"),
                counted(findings_count, "finding")
            ),
            OutputForm::Json => ObjectWriter::new()
                .number("channels_count", channels_count)
                .number("messages_count", messages_count)
                .number("findings_count", findings_count)
                .end(),
        }
    }

    pub(super) fn stats(self, stats: &StoreStats) -> String {
        let rows = [
            ("channels_count", stats.channels_count),
            ("messages_count", stats.messages_count),
            ("messages_bytes", stats.messages_bytes),
            ("marks_count", stats.markers_count),
            ("reactions_count", stats.reactions_count),
            ("group_members_count", stats.group_members_count),
            ("pending_count", stats.pending_count),
            ("dead_letters_count", stats.dead_count),
            ("disk_used_bytes", stats.capacity.used_bytes),
            ("disk_free_bytes", stats.capacity.free_bytes),
        ];
        match self {
            OutputForm::Text => rows.map(|(name, count)| format!("{name:<20}{count}")).join("\n"),
            OutputForm::Json => {
                let object = rows
                    .into_iter()
                    .fold(ObjectWriter::new(), |object, (name, count)| object.number(name, count));
                object.end()
            }
        }
    }

    /// With who reacted to it, for programs.
    pub(super) fn message(self, message: &Publication, reactions: &[GivenReaction]) -> String {
        match self {
            OutputForm::Text => format!("{}  {}", message.offset, said(message)),
            OutputForm::Json => {
                let object = put_message(ObjectWriter::new(), message);
                match reactions {
                    [] => object.end(),
                    reactions => object.raw("reactions", &reaction_list(reactions)).end(),
                }
            }
        }
    }

    pub(super) fn dead_letter(self, dead_letter: &DeadLetter) -> String {
        let cause = dead_letter.cause.word();
        match self {
            OutputForm::Text => {
                let DeadLetter { offset, tries_count, .. } = dead_letter;
                let name = channel(&dead_letter.tenant, &dead_letter.channel);
                let at = date(dead_letter.at_unix_ms);
                let what = match &dead_letter.publication {
                    Some(message) => said(message),
                    None => "its content cannot be read".to_owned(),
                };
                format!("{name} {offset}  {cause} after {tries_count} tries, {at}  {what}")
            }
            OutputForm::Json => {
                let object = ObjectWriter::new()
                    .text("tenant", &dead_letter.tenant)
                    .text("channel", &dead_letter.channel)
                    .text("cause", cause)
                    .number("at_unix_ms", dead_letter.at_unix_ms)
                    .number("tries_count", dead_letter.tries_count.into())
                    .number("expires_unix_ms", dead_letter.expires_unix_ms);
                match &dead_letter.publication {
                    Some(message) => put_message(object, message).end(),
                    None => object.number("offset", dead_letter.offset).end(),
                }
            }
        }
    }
}

/// A channel's name, for people.
pub(super) fn channel(tenant: &str, name: &str) -> String {
    match tenant {
        "" => plain(name),
        tenant => format!("{} of tenant {}", plain(name), plain(tenant)),
    }
}

/// When, who and what.
fn said(message: &Publication) -> String {
    let who = message.info.as_ref().map_or("", |info| &*info.user);
    let who = if who.is_empty() { "-".to_owned() } else { plain(who) };
    let data = match std::str::from_utf8(&message.data.bytes) {
        Ok(text) => plain(text),
        Err(_) => format!("base64:{}", BASE64_STANDARD.encode(&message.data.bytes)),
    };
    format!("{}  {who}  {data}", date(message.time_unix_ms))
}

fn put_message(object: ObjectWriter, message: &Publication) -> ObjectWriter {
    let Publication { offset, data, info, chan_info, tags, time_unix_ms, trace } = message;
    let mut object = object.number("offset", *offset).number("time_unix_ms", *time_unix_ms);
    if let Some(info) = info {
        object = object.text("user", &info.user).text("client", &info.client.to_string());
        if let Some(conn_info) = &info.conn_info {
            object = object.payload("conn_info", conn_info);
        }
    }
    if let Some(chan_info) = chan_info {
        object = object.payload("chan_info", chan_info);
    }
    if !tags.is_empty() {
        let tags =
            tags.iter().fold(ObjectWriter::new(), |tags, (name, text)| tags.text(name, text));
        object = object.raw("tags", &tags.end());
    }
    if let Some(trace) = trace {
        object = object.text("trace_id", &trace.id.to_string());
    }
    object.payload("data", data)
}

fn reaction_list(reactions: &[GivenReaction]) -> String {
    let one = |GivenReaction { user, value }: &GivenReaction| {
        ObjectWriter::new().text("user", user).text("value", value).end()
    };
    format!("[{}]", reactions.iter().map(one).collect::<Vec<String>>().join(","))
}

/// A JSON object in the making.
pub(super) struct ObjectWriter(String);

impl ObjectWriter {
    pub(super) fn new() -> ObjectWriter {
        ObjectWriter(String::from("{"))
    }

    pub(super) fn number(self, key: &str, number: u64) -> ObjectWriter {
        self.raw(key, &number.to_string())
    }

    fn text(self, key: &str, text: &str) -> ObjectWriter {
        self.raw(key, &quoted(text))
    }

    /// JSON as it is; other bytes in base64, under a name that says so.
    fn payload(self, key: &str, payload: &Payload) -> ObjectWriter {
        let json = serde_json::from_slice::<&RawValue>(&payload.bytes).ok();
        match json.filter(|_| payload.is_json) {
            Some(json) => self.raw(key, json.get()),
            None => self.text(&format!("{key}_base64"), &BASE64_STANDARD.encode(&payload.bytes)),
        }
    }

    fn raw(mut self, key: &str, json: &str) -> ObjectWriter {
        if 1 < self.0.len() {
            self.0.push(',');
        }
        self.0 += &format!("{}:{json}", quoted(key));
        self
    }

    /// See [`json_line`].
    pub(super) fn end(self) -> String {
        json_line(&(self.0 + "}"))
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text can always be written")
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn word(space: StoreKeyspace) -> &'static str {
    match space {
        StoreKeyspace::Meta => "meta",
        StoreKeyspace::Channels => "channels",
        StoreKeyspace::Messages => "messages",
        StoreKeyspace::Markers => "marks",
        StoreKeyspace::Conversations => "conversations",
        StoreKeyspace::Pending => "pending",
        StoreKeyspace::Dead => "dead_letters",
        StoreKeyspace::Ids => "message_ids",
        StoreKeyspace::ReactionTotals => "reaction_totals",
        StoreKeyspace::Reactions => "reactions",
        StoreKeyspace::GroupMembers => "group_members",
        StoreKeyspace::UserGroups => "user_groups",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::ClientId;
    use crate::wire::ClientInfo;

    fn message(data: &[u8], is_json: bool) -> Publication {
        let info = ClientInfo { user: "a\u{1b}[2J".into(), client: ClientId(7), conn_info: None };
        Publication {
            offset: 5,
            data: Payload { bytes: data.to_vec().into(), is_json },
            info: Some(Arc::new(info)),
            chan_info: None,
            tags: vec![("id".into(), "x\ny".into())],
            time_unix_ms: 1_700_000_000_123,
            trace: None,
        }
    }

    #[track_caller]
    fn check(data: &[u8], is_json: bool, text: &str, json: &str) {
        let message = message(data, is_json);
        let line = OutputForm::Text.message(&message, &[]);
        assert_eq!(line, format!("5  2023-11-14T22:13:20.123Z  a\\u{{1b}}[2J  {text}"));
        let line = OutputForm::Json.message(&message, &[]);
        let head = "{\"offset\":5,\"time_unix_ms\":1700000000123,\"user\":\"a\\u001b[2J\",\
                    \"client\":\"00000000-0000-0000-0000-000000000007\",\
                    \"tags\":{\"id\":\"x\\ny\"},";
        assert_eq!(line, format!("{head}{json}}}"));
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
        assert!(!line.chars().any(char::is_control), "{line}");
    }

    #[test]
    fn a_message_is_one_line_that_no_terminal_obeys() {
        check(br#"{"a":1}"#, true, r#"{"a":1}"#, r#""data":{"a":1}"#);
        check(b"{\n\t\"a\": 1e99 }", true, r#"{\n\t"a": 1e99 }"#, r#""data":{  "a": 1e99 }"#);
        check(
            "\"\u{9b}\u{7f}é\"".as_bytes(),
            true,
            r#""\u{9b}\u{7f}é""#,
            r#""data":"\u009b\u007fé""#,
        );
        check(b"raw\n", false, r"raw\n", r#""data_base64":"cmF3Cg==""#);
        check("\"\u{202e}\"".as_bytes(), true, r#""\u{202e}""#, r#""data":"\u202e""#);
        check(&[0xff, 0], false, "base64:/wA=", r#""data_base64":"/wA=""#);
        check(b"{", true, "{", r#""data_base64":"ew==""#);
    }

    #[test]
    fn findings_name_what_they_are_about() {
        let [tenant, name]: [Arc<str>; 2] = ["acme".into(), "room:\n1".into()];
        let lost = |loss, last| {
            let (tenant, channel) = (tenant.clone(), name.clone());
            CheckFinding::Lost { tenant, channel, first: 4, last, loss }
        };
        let nowhere =
            CheckFinding::NoContent { tenant: "".into(), channel: name.clone(), offset: 9 };
        let records = |count| CheckFinding::Records { space: StoreKeyspace::Markers, count };
        let batches = |last, place, kept| {
            CheckFinding::Log(LogFinding::Missing { first: 7, last, place, kept })
        };
        for (finding, text, json) in [
            (
                batches(9, Some((3, 17)), KeptElsewhere::Nowhere),
                "the log's batches 7 to 9: damaged, in segment 3 from page 17; what they say is lost, of \
                 which channels is not known",
                r#"{"finding":"log_batches","first":7,"last":9,"lost":true,"segment":3,"page":17}"#,
            ),
            (
                batches(7, Some((3, 17)), KeptElsewhere::InDatabase),
                "the log's batch 7: damaged, in segment 3 from page 17; the database has what they say, \
                 and nothing is lost",
                r#"{"finding":"log_batches","first":7,"last":7,"lost":false,"segment":3,"page":17}"#,
            ),
            (
                batches(9, None, KeptElsewhere::Nowhere),
                "the log's batches 7 to 9: missing, the log begins behind them; what they say is lost, of \
                 which channels is not known",
                r#"{"finding":"log_batches","first":7,"last":9,"lost":true}"#,
            ),
            (
                CheckFinding::Log(LogFinding::Unreadable("its log is another store's".into())),
                "nothing more of the log can be read: its log is another store's",
                r#"{"finding":"log_unreadable","why":"its log is another store's"}"#,
            ),
            (
                lost(LossKind::Damaged, 6),
                r#"channel "room:\n1" of tenant "acme": messages 4 to 6 are damaged"#,
                r#"{"finding":"damaged","tenant":"acme","channel":"room:\n1","first":4,"last":6}"#,
            ),
            (
                lost(LossKind::Missing, 4),
                r#"channel "room:\n1" of tenant "acme": message 4 is missing"#,
                r#"{"finding":"missing","tenant":"acme","channel":"room:\n1","first":4,"last":4}"#,
            ),
            (
                nowhere,
                r#"channel "room:\n1": message 9 waits for its reader or is a dead letter, and is nowhere"#,
                r#"{"finding":"no_content","tenant":"","channel":"room:\n1","offset":9}"#,
            ),
            (
                records(3),
                "3 damaged records: what users got and read",
                r#"{"finding":"records","of":"marks","count":3}"#,
            ),
            (
                records(0),
                "an unknown number of records is damaged: what users got and read",
                r#"{"finding":"records","of":"marks","count":0}"#,
            ),
        ] {
            assert_eq!(OutputForm::Text.finding(&finding), text);
            assert_eq!(OutputForm::Json.finding(&finding), json);
        }
    }
}
