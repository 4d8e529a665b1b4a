//! Messages: what stands in them, in which order, in how many parts, and in the form
//! that each kind of robot takes.
//!
//! Invariant: no part is larger than its robot takes, counted as the robot counts; the
//! parts are few; an alert stands in one of them, as a whole or as a line, or is counted
//! as left out, by severity. What is critical is the last to become a count.

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use super::evidence::{Evidence, Found, Source};
use super::link::{self, Purpose};
use super::options::{Channel, Language, Options, Robot, Route};
use super::outlive::NAMES_MAX;
use super::payload::Alert;
use super::pending::{Line, Pending, Story};
use super::people::{self, Mentions};
use super::template::{self, Block, Templates};
use super::{signature, silence, text};

/// Parts of one message to people, and to a program.
const PARTS_MAX: usize = 3;
const PROGRAM_PARTS_MAX: usize = 12;

/// Alerts of one message that are shown with all that is known of them.
const WHOLE_MAX: usize = 60;

/// Alerts of one message that are shown at all; more than its parts hold.
const SHOWN_MAX: usize = 1_200;

/// What is kept free for a keyword, and for the words that it is sent again.
const SPARE_BYTES: usize = 200;

const SUMMARY_CHARS_MAX: usize = 300;
const DESCRIPTION_CHARS_MAX: usize = 600;
const LABEL_CHARS_MAX: usize = 120;
const NAME_CHARS_MAX: usize = 100;
const STRANGER_CHARS_MAX: usize = 80;
const LABELS_MAX: usize = 12;

/// One part, as it leaves; kept until the robot has confirmed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// For DingTalk and programs.
    pub title: String,
    /// What is read.
    pub text: String,
    /// A text without mark-up, which is how WeCom calls mobile numbers.
    pub is_plain: bool,
    /// Whom it calls by number.
    pub mobiles: Vec<String>,
    /// Whom it calls by id or name.
    pub ids: Vec<String>,
    /// The alerts in it, by fingerprint.
    pub fingerprints: Vec<String>,
    /// The same for programs.
    pub alerts: Vec<Said>,
}

/// An alert, for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    name: String,
    story: String,
    severity: String,
    summary: String,
    labels: Vec<String>,
    fingerprint: String,
}

/// What a message is made of.
pub struct Draft<'a> {
    /// What is to be told.
    pub pending: &'a Pending,
    /// What was found out.
    pub evidence: &'a Evidence,
    /// How.
    pub route: &'a Route,
    /// By which kind of robot.
    pub channel: Channel,
    /// The chat that should have been told, when this is its fallback.
    pub instead_of: &'a str,
    /// Alerts of this chat that were given up since the last message.
    pub dropped: u64,
    /// The group that it is about.
    pub group_key: &'a str,
    /// What outlives a cause whose end this tells.
    pub outliving: &'a [String],
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
}

/// A message in parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// At least one.
    pub parts: Vec<Part>,
    /// What was wrong with the template, if it could not be used.
    pub fault: Option<template::Fault>,
}

#[derive(Serialize)]
struct View<'a> {
    m: &'a MessageView,
    a: &'a AlertView,
}

#[derive(Clone, Debug, Default, Serialize)]
struct MessageView {
    status: &'static str,
    critical: bool,
    name: String,
    group: Vec<String>,
    firing: usize,
    recovered: usize,
    part: usize,
    parts: usize,
    mentions: String,
    notes: Vec<String>,
    still: u64,
    more: u64,
    silence_url: Option<String>,
    ack_url: Option<String>,
    alertmanager_url: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct AlertView {
    name: String,
    story: &'static str,
    severity: String,
    instance: String,
    layer: String,
    tenant: String,
    summary: String,
    description: String,
    labels: Vec<String>,
    started: String,
    ended: String,
    duration: String,
    value: Option<String>,
    snapshot: Option<SnapshotView>,
    core: Option<CoreView>,
    runbook_url: Option<String>,
    dashboard_url: Option<String>,
    graph_url: Option<String>,
    action: String,
}

#[derive(Clone, Debug, Serialize)]
struct SnapshotView {
    trace_id: String,
    room_id: String,
    user_agent: String,
    seconds: String,
    source: &'static str,
}

/// A core whose turn does not end, or on which something went wrong.
#[derive(Clone, Debug, Default, Serialize)]
struct CoreView {
    number: String,
    phase: String,
    seconds: String,
    connection: String,
    client: String,
    room_id: String,
    recent: Vec<String>,
}

/// Makes a message of what is to be told.
pub fn render(draft: &Draft<'_>, options: &Options, templates: &Templates) -> Rendered {
    let lines = in_order(draft.pending);
    let mentions = mentions(draft, options, &lines);
    let message = message_view(draft, options, &lines, &mentions);
    let shown = &lines[..lines.len().min(SHOWN_MAX)];
    let alerts: Vec<AlertView> = shown
        .iter()
        .map(|(fingerprint, line)| alert_view(fingerprint, line, draft, options))
        .collect();
    let name = template::name(&draft.route.template, draft.route.language, draft.channel);
    let (mut texts, fault) = match draft.pending.plain {
        true => (plain(draft, &message, &alerts, None), None),
        false => match with_template(draft, &message, &lines, &alerts, templates, &name) {
            Ok(texts) => (texts, None),
            Err(fault) => (plain(draft, &message, &alerts, Some(&fault)), Some(fault)),
        },
    };
    let title = title(draft.route.language, &message);
    let count = texts.len();
    let mut parts = Vec::new();
    for (index, (text, members)) in texts.drain(..).enumerate() {
        let mut part = Part { title: title.clone(), text, ..Part::default() };
        if count > 1 {
            part.title = format!("{title} ({}/{count})", index + 1);
        }
        if index == 0 && draft.channel != Channel::Wecom {
            part.mobiles.clone_from(&mentions.mobiles);
            part.ids.clone_from(&mentions.ids);
        }
        for member in members {
            part.fingerprints.push(lines[member].0.clone());
            let (fingerprint, line) = lines[member];
            part.alerts.push(said(fingerprint, line, &alerts[member], draft.pending.plain));
        }
        parts.push(part);
    }
    if draft.channel == Channel::Wecom && !mentions.mobiles.is_empty() {
        parts.push(Part {
            text: title.clone(),
            title,
            is_plain: true,
            mobiles: mentions.mobiles,
            ..Part::default()
        });
    }
    Rendered { parts, fault }
}

/// Critical before others, what begins before what ends, older before newer.
fn in_order(pending: &Pending) -> Vec<(&String, &Line)> {
    let mut lines: Vec<(&String, &Line)> = pending.lines.iter().collect();
    lines.sort_by_key(|(_, line)| line.rank());
    lines
}

/// Only what is critical, and only when it begins, calls anybody.
fn mentions(draft: &Draft<'_>, options: &Options, lines: &[(&String, &Line)]) -> Mentions {
    if !draft.route.mentions {
        return Mentions::default();
    }
    let begun = lines.iter().map(|(_, line)| line);
    let critical = begun.filter(|line| line.story == Story::Firing && line.alert.is_critical());
    let people = people::called(critical.map(|line| &line.alert), options, draft.now_ms);
    people::mentions(draft.channel, &people)
}

fn message_view(
    draft: &Draft<'_>,
    options: &Options,
    lines: &[(&String, &Line)],
    mentions: &Mentions,
) -> MessageView {
    let pending = draft.pending;
    let fires = |line: &Line| matches!(line.story, Story::Firing | Story::Still);
    let firing = lines.iter().filter(|(_, line)| fires(line)).count();
    let name = match pending.group_labels.get("alertname") {
        Some(name) if !name.is_empty() => name.as_str(),
        _ => lines.first().map_or("", |(_, line)| line.alert.label("alertname")),
    };
    let group = pending.group_labels.iter().filter(|(name, _)| *name != "alertname");
    let now_s = draft.now_ms / 1_000;
    MessageView {
        status: if firing > 0 { "firing" } else { "recovered" },
        critical: pending.is_critical(),
        name: text::of_operator(name, NAME_CHARS_MAX),
        group: group.filter(|(_, value)| !value.is_empty()).map(pair).take(LABELS_MAX).collect(),
        firing,
        recovered: lines.len() - firing,
        part: 1,
        parts: 1,
        mentions: mentions.text.clone(),
        notes: notes(draft),
        still: pending.still,
        more: pending.truncated,
        silence_url: (firing > 0)
            .then(|| silence::link(options, &pending.group_labels, now_s))
            .flatten(),
        ack_url: ack_url(draft, options, lines, now_s),
        alertmanager_url: text::link(&pending.external_url),
    }
}

/// The link by which somebody says that they take care of it.
fn ack_url(
    draft: &Draft<'_>,
    options: &Options,
    lines: &[(&String, &Line)],
    now_s: u64,
) -> Option<String> {
    let begun = |line: &Line| line.story == Story::Firing && line.alert.is_critical();
    if draft.route.escalation.is_empty() || !lines.iter().any(|(_, line)| begun(line)) {
        return None;
    }
    let group = (draft.route.name.as_str(), draft.group_key);
    link::link(options, Purpose::Acknowledge, &group, now_s)
}

/// A message that is about no alert in particular.
pub fn of_words(words: &[String], language: Language, channel: Channel) -> Rendered {
    let title = match language {
        Language::En => "Acknowledged",
        Language::Zh => "已确认",
    };
    let text = words.join(joint(channel));
    let part = Part { title: title.to_owned(), text, ..Part::default() };
    Rendered { parts: vec![part], fault: None }
}

/// What is unusual about this message.
fn notes(draft: &Draft<'_>) -> Vec<String> {
    let zh = draft.route.language == Language::Zh;
    let mut notes = Vec::new();
    let mut note = |en: String, chinese: String| notes.push(if zh { chinese } else { en });
    if draft.pending.doubtful {
        note(
            "perhaps a repetition: the answer to the first try was lost".to_owned(),
            "可能重复：上一次发送没有收到回复".to_owned(),
        );
    }
    if draft.pending.unacknowledged_s > 0 {
        let after = duration(draft.pending.unacknowledged_s * 1_000, draft.route.language);
        note(format!("nobody has acknowledged this for {after}"), format!("已有 {after} 无人确认"));
    }
    if !draft.pending.unknown_route.is_empty() {
        let route = text::of_operator(&draft.pending.unknown_route, NAME_CHARS_MAX);
        note(
            format!("there is no route {route}; this is the default one"),
            format!("没有名为 {route} 的路由，已使用默认路由"),
        );
    }
    if !draft.instead_of.is_empty() {
        let chat = text::of_operator(draft.instead_of, NAME_CHARS_MAX);
        note(
            format!("the robots of {chat} cannot speak now"),
            format!("{chat} 的机器人暂时不可用，改由此处发送"),
        );
    }
    if draft.dropped > 0 {
        let count = draft.dropped;
        note(
            format!("{count} older warnings were given up: too much was waiting"),
            format!("积压过多，已放弃 {count} 条较早的警告"),
        );
    }
    if !draft.outliving.is_empty() {
        let shown = draft.outliving.iter().take(NAMES_MAX);
        let mut names: Vec<String> =
            shown.map(|name| text::of_operator(name, LABEL_CHARS_MAX)).collect();
        match draft.outliving.len() - names.len() {
            0 => {}
            more => names.push(format!("+{more}")),
        }
        note(
            format!(
                "its consequences end a little later, and are told if not: {}",
                names.join(", ")
            ),
            format!("其影响稍后恢复，若未恢复将另行通知：{}", names.join("、")),
        );
    }
    notes
}

fn alert_view(fingerprint: &str, line: &Line, draft: &Draft<'_>, options: &Options) -> AlertView {
    let alert = &line.alert;
    let label = |name: &str| text::of_operator(alert.label(name), LABEL_CHARS_MAX);
    let shown = ["alertname", "severity", "instance", "layer", "tenant_id"];
    let others = alert.labels.iter().filter(|(name, _)| !shown.contains(&name.as_str()));
    let end_ms = if alert.ends_ms > 0 { alert.ends_ms } else { draft.now_ms };
    let nothing = Found::default();
    let found = draft.evidence.get(fingerprint).unwrap_or(&nothing);
    AlertView {
        name: text::of_operator(alert.label("alertname"), NAME_CHARS_MAX),
        story: story(line.story),
        severity: label("severity"),
        instance: label("instance"),
        layer: label("layer"),
        tenant: label("tenant_id"),
        summary: text::of_operator(alert.annotation("summary"), SUMMARY_CHARS_MAX),
        description: text::of_operator(alert.annotation("description"), DESCRIPTION_CHARS_MAX),
        labels: others.map(pair).take(LABELS_MAX).collect(),
        started: local_time(alert.starts_ms, options.offset_minutes),
        ended: local_time(end_ms, options.offset_minutes),
        duration: duration(end_ms.saturating_sub(alert.starts_ms), draft.route.language),
        value: found.value.map(number),
        snapshot: snapshot(found, draft.route, options),
        core: core(found, draft.route, options),
        runbook_url: text::link(alert.annotation("runbook_url")),
        dashboard_url: text::link(alert.annotation("dashboard_url")),
        graph_url: text::link(&alert.generator_url),
        action: text::of_operator(&line.action, LABEL_CHARS_MAX),
    }
}

fn story(story: Story) -> &'static str {
    match story {
        Story::Firing => "firing",
        Story::Still => "still",
        Story::FiredAndRecovered => "fired_and_recovered",
        Story::Recovered => "recovered",
    }
}

fn pair((name, value): (&String, &String)) -> String {
    format!("{}={}", text::of_operator(name, 60), text::of_operator(value, LABEL_CHARS_MAX))
}

fn snapshot(found: &Found, route: &Route, options: &Options) -> Option<SnapshotView> {
    let snapshot = found.snapshot.as_ref()?;
    let of_stranger = |text: &str| match text::of_stranger(text, STRANGER_CHARS_MAX) {
        // An empty code span is two marks.
        text if text.is_empty() => "-".to_owned(),
        text => text,
    };
    let room_id = match route.hash_rooms && !snapshot.room_id.is_empty() {
        true => signature::room(&options.silence_key.value, &snapshot.room_id),
        false => of_stranger(&snapshot.room_id),
    };
    Some(SnapshotView {
        trace_id: of_stranger(&snapshot.trace_id),
        room_id,
        user_agent: of_stranger(&snapshot.user_agent),
        seconds: number(snapshot.value_seconds),
        source: match snapshot.source {
            Source::Exemplar => "exemplar",
            Source::Recorder => "recorder",
        },
    })
}

fn core(found: &Found, route: &Route, options: &Options) -> Option<CoreView> {
    let core = found.core.as_ref()?;
    let of_stranger = |text: &str| text::of_stranger(text, STRANGER_CHARS_MAX);
    let room_id = match route.hash_rooms && !core.room_id.is_empty() {
        true => signature::room(&options.silence_key.value, &core.room_id),
        false => of_stranger(&core.room_id),
    };
    // Words of a closed list are as they are; what is none is a stranger's.
    let word = |text: &str| match text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        true if text.len() <= STRANGER_CHARS_MAX => text.to_owned(),
        true | false => of_stranger(text),
    };
    let event = |(kind, reason, count): &(String, String, u64)| match count {
        1 => format!("{} {}", word(kind), word(reason)),
        count => format!("{} {} ×{count}", word(kind), word(reason)),
    };
    Some(CoreView {
        number: of_stranger(&core.core),
        phase: word(&core.phase),
        seconds: number(core.for_seconds),
        connection: of_stranger(&core.connection),
        client: of_stranger(&core.client),
        room_id,
        recent: core.recent.iter().map(event).collect(),
    })
}

/// A plain message has as little in it as possible: something in it may be what its
/// robot refuses.
fn said(fingerprint: &str, line: &Line, view: &AlertView, plain: bool) -> Said {
    let labels = line.alert.labels.iter().filter(|_| !plain);
    Said {
        name: view.name.clone(),
        story: view.story.to_owned(),
        severity: view.severity.clone(),
        summary: view.summary.clone(),
        labels: labels.map(pair).collect(),
        fingerprint: text::of_stranger(fingerprint, 64),
    }
}

fn title(language: Language, message: &MessageView) -> String {
    let state = match (language, message.status == "firing") {
        (Language::En, true) => "Firing",
        (Language::En, false) => "Recovered",
        (Language::Zh, true) => "告警",
        (Language::Zh, false) => "恢复",
    };
    format!("{state}: {}", message.name)
}

/// Each text with the indexes of its alerts.
type Texts = Vec<(String, Vec<usize>)>;

fn with_template(
    draft: &Draft<'_>,
    message: &MessageView,
    lines: &[(&String, &Line)],
    alerts: &[AlertView],
    templates: &Templates,
    name: &str,
) -> Result<Texts, template::Fault> {
    let none = AlertView::default();
    let first = alerts.first().unwrap_or(&none);
    let render = |block, m: &MessageView, a: &AlertView| {
        let text = templates.render(name, block, &View { m, a })?;
        // A line of a template is a line, whatever the mark-up makes of a line end.
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        Ok(lines.collect::<Vec<_>>().join(joint(draft.channel)))
    };
    // As long as they can become, so that the parts that are made fit with them.
    let longest = MessageView {
        part: PARTS_MAX,
        parts: PARTS_MAX,
        more: message.more + lines.len() as u64,
        notes: noted(message, left_out(draft, lines)),
        ..message.clone()
    };
    let around = [render(Block::Header, &longest, first)?, render(Block::Footer, &longest, first)?];
    let join = joint(draft.channel);
    let around_bytes: usize = around.iter().map(|text| text.len() + join.len()).sum();
    let budget = bytes_max(draft.channel).saturating_sub(around_bytes + SPARE_BYTES);
    let mut blocks = Vec::new();
    for (index, alert) in alerts.iter().enumerate() {
        let block = match index < WHOLE_MAX {
            true => render(Block::Alert, message, alert)?,
            false => one_line(draft.route.language, alert),
        };
        blocks.push(match encoded_bytes(draft.channel, &block) <= budget {
            true => block,
            // What is cut anywhere could leave mark-up open.
            false => cut(draft.channel, &one_line(draft.route.language, alert), budget),
        });
    }
    let (mut groups, mut left_count) = split(draft.channel, &blocks, budget);
    if left_count > 0 {
        // A line for each is worth more than everything about a few.
        for (block, alert) in blocks.iter_mut().zip(alerts).skip(groups[0].len()) {
            *block = cut(draft.channel, &one_line(draft.route.language, alert), budget);
        }
        (groups, left_count) = split(draft.channel, &blocks, budget);
    }
    let told = alerts.len() - left_count;
    let notes = noted(message, left_out(draft, &lines[told..]));
    let mut texts = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let mut m = MessageView { part: index + 1, parts: groups.len(), ..message.clone() };
        m.more += (lines.len() - told) as u64;
        m.notes.clone_from(&notes);
        if index > 0 {
            m.mentions.clear();
            m.notes.clear();
        }
        let mut pieces = vec![render(Block::Header, &m, first)?];
        pieces.extend(group.iter().map(|&member| blocks[member].clone()));
        if index + 1 == groups.len() {
            pieces.push(render(Block::Footer, &m, first)?);
        }
        pieces.retain(|piece| !piece.is_empty());
        let whole = pieces.join(join);
        // Headers and footers of an operator's own may be as long as they like.
        texts.push((
            cut(draft.channel, &whole, bytes_max(draft.channel) - SPARE_BYTES),
            group.clone(),
        ));
    }
    Ok(texts)
}

fn noted(message: &MessageView, more: Option<String>) -> Vec<String> {
    message.notes.iter().cloned().chain(more).collect()
}

/// How grave what is left out is, when some of it is critical.
fn left_out(draft: &Draft<'_>, lines: &[(&String, &Line)]) -> Option<String> {
    let critical = lines.iter().filter(|(_, line)| line.alert.is_critical()).count();
    match (draft.route.language, critical, draft.pending.truncated_critical) {
        (_, 0, false) => None,
        (Language::En, 0, true) => Some("some of those left out are critical".to_owned()),
        (Language::Zh, 0, true) => Some("未列出的告警中有严重告警".to_owned()),
        (Language::En, count, _) => Some(format!("{count} of those left out are critical")),
        (Language::Zh, count, _) => Some(format!("未列出的告警中有 {count} 条严重告警")),
    }
}

/// Which alerts stand in which part, and how many in none. Whole alerts first.
fn split(channel: Channel, blocks: &[String], budget: usize) -> (Vec<Vec<usize>>, usize) {
    let mut groups = vec![Vec::new()];
    let mut used = 0;
    for (index, block) in blocks.iter().enumerate() {
        let bytes = encoded_bytes(channel, block) + 2 * joint(channel).len();
        let is_first = groups.last().is_some_and(Vec::is_empty);
        if !is_first && used + bytes > budget {
            if groups.len() == parts_max(channel) {
                return (groups, blocks.len() - index);
            }
            groups.push(Vec::new());
            used = 0;
        }
        groups.last_mut().expect("it begins with one").push(index);
        used += bytes;
    }
    (groups, 0)
}

/// A short text without mark-up, for when nothing else works.
fn plain(
    draft: &Draft<'_>,
    message: &MessageView,
    alerts: &[AlertView],
    fault: Option<&template::Fault>,
) -> Texts {
    const BYTES_MAX: usize = 1_500;
    let mut out = title(draft.route.language, message);
    if !message.mentions.is_empty() {
        out.push(' ');
        out.push_str(&message.mentions);
    }
    if let Some(fault) = fault {
        let fault = text::of_operator(&fault.to_string(), LABEL_CHARS_MAX);
        out.push_str(joint(draft.channel));
        out.push_str(&match draft.route.language {
            Language::En => format!("(plain, because of this fault: {fault})"),
            Language::Zh => format!("（模板有误，改用纯文本：{fault}）"),
        });
    }
    for note in &message.notes {
        out.push_str(joint(draft.channel));
        out.push_str(note);
    }
    let mut members = Vec::new();
    let all = draft.pending.lines.len();
    for (index, alert) in alerts.iter().enumerate() {
        let line = one_line(draft.route.language, alert);
        if out.len() + line.len() > BYTES_MAX && index > 0 {
            out.push_str(joint(draft.channel));
            out.push_str(&format!("+{}", all - index));
            break;
        }
        out.push_str(joint(draft.channel));
        out.push_str(text::cut_bytes(&line, BYTES_MAX));
        members.push(index);
    }
    vec![(out, members)]
}

fn one_line(language: Language, alert: &AlertView) -> String {
    let state = match (language, alert.story) {
        (Language::En, "firing") => "firing",
        (Language::En, "still") => "still firing",
        (Language::En, "recovered") => "recovered",
        (Language::En, _) => "fired and recovered",
        (Language::Zh, "firing") => "触发",
        (Language::Zh, "still") => "持续",
        (Language::Zh, "recovered") => "恢复",
        (Language::Zh, _) => "触发后已恢复",
    };
    let AlertView { name, severity, instance, summary, .. } = alert;
    let words = [name.as_str(), state, severity, instance, summary];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn parts_max(channel: Channel) -> usize {
    match channel {
        Channel::Wecom | Channel::Dingtalk | Channel::Slack => PARTS_MAX,
        Channel::Webhook => PROGRAM_PARTS_MAX,
    }
}

/// What stands between two blocks.
fn joint(channel: Channel) -> &'static str {
    match channel {
        Channel::Wecom | Channel::Slack | Channel::Webhook => "\n",
        // One line end is none in its mark-up.
        Channel::Dingtalk => "\n\n",
    }
}

/// Bytes of text that a message may have, counted by `encoded_bytes`.
fn bytes_max(channel: Channel) -> usize {
    match channel {
        Channel::Wecom => 4_096,
        // Of the whole body, of which the envelope takes the rest.
        Channel::Dingtalk => 19_000,
        Channel::Slack => 12_000,
        Channel::Webhook => 100_000,
    }
}

/// What a text counts: WeCom counts UTF-8, the others the JSON that arrives.
fn encoded_bytes(channel: Channel, text: &str) -> usize {
    match channel {
        Channel::Wecom => text.len(),
        Channel::Dingtalk | Channel::Slack | Channel::Webhook => {
            serde_json::to_string(text).map_or(usize::MAX, |json| json.len())
        }
    }
}

/// The longest beginning that fits.
fn cut(channel: Channel, whole: &str, bytes_max: usize) -> String {
    if encoded_bytes(channel, whole) <= bytes_max {
        return whole.to_owned();
    }
    let mut keep = whole.len().min(bytes_max);
    loop {
        let short = format!("{}…", text::cut_bytes(whole, keep));
        if keep == 0 || encoded_bytes(channel, &short) <= bytes_max {
            return short;
        }
        keep = keep * 9 / 10;
    }
}

/// The body of a request to this robot. `again` says that an earlier try may have
/// arrived.
pub fn body(part: &Part, robot: &Robot, language: Language, again: bool, id: &str) -> String {
    let mut text = part.text.clone();
    let join = joint(robot.channel);
    if again {
        text.push_str(join);
        text.push_str(match language {
            Language::En => "(sent again: the answer to the first try was lost)",
            Language::Zh => "（重发：上一次发送没有收到回复）",
        });
    }
    let keyword = &robot.keyword;
    if !keyword.is_empty() && !text.contains(keyword.as_str()) {
        text.push_str(join);
        text.push_str(keyword);
    }
    let body = match robot.channel {
        Channel::Wecom if part.is_plain => json!({
            "msgtype": "text",
            "text": {"content": text, "mentioned_mobile_list": part.mobiles},
        }),
        Channel::Wecom => json!({"msgtype": "markdown", "markdown": {"content": text}}),
        Channel::Dingtalk => json!({
            "msgtype": "markdown",
            "markdown": {"title": part.title, "text": text},
            "at": {"atMobiles": part.mobiles, "atUserIds": part.ids, "isAtAll": false},
        }),
        Channel::Slack => json!({"text": text}),
        Channel::Webhook => json!({
            "version": "1", "id": id, "title": part.title, "text": text,
            "call": part.ids, "alerts": part.alerts, "again": again,
        }),
    };
    body.to_string()
}

/// Where a request to this robot goes. Holds its token: not for logs.
pub fn url(robot: &Robot, now_ms: u64) -> String {
    let token = robot.token.value.as_str();
    let query = |name: &str| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair(name, token);
        if robot.channel == Channel::Dingtalk && !robot.signature.value.is_empty() {
            query.append_pair("timestamp", &now_ms.to_string());
            query.append_pair("sign", &signature::dingtalk(&robot.signature.value, now_ms));
        }
        format!("{}?{}", robot.address(), query.finish())
    };
    match robot.channel {
        Channel::Wecom => query("key"),
        Channel::Dingtalk => query("access_token"),
        Channel::Slack if robot.url.is_empty() => format!("{}{token}", robot.address()),
        Channel::Slack if !token.is_empty() => {
            format!("{}/{token}", robot.address().trim_end_matches('/'))
        }
        // The token of a program goes into a header.
        Channel::Slack | Channel::Webhook => robot.address().to_owned(),
    }
}

fn local_time(unix_ms: u64, offset_minutes: i32) -> String {
    let local_s = (unix_ms / 1_000) as i64 + i64::from(offset_minutes) * 60;
    let Ok(time) = OffsetDateTime::from_unix_timestamp(local_s) else {
        return "-".to_owned();
    };
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02}", u8::from(month))
}

fn duration(ms: u64, language: Language) -> String {
    let seconds = ms / 1_000;
    let units = match language {
        Language::En => ["d", "h", "m", "s"],
        Language::Zh => ["天", "小时", "分", "秒"],
    };
    let amounts = [seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60];
    let first = amounts.iter().position(|amount| *amount > 0).unwrap_or(3);
    let shown = amounts.iter().zip(units).skip(first).take(2);
    let words: Vec<String> = shown.map(|(amount, unit)| format!("{amount}{unit}")).collect();
    words.join(if language == Language::En { " " } else { "" })
}

/// Four digits that say something.
fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e9).contains(&size) {
        return format!("{value:.3e}");
    }
    let digits = if size >= 1_000.0 {
        0
    } else if size >= 10.0 {
        1
    } else {
        4
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Whether this template makes a message of anything that may happen.
pub fn check(templates: &Templates, name: &str) -> Result<(), template::Fault> {
    if !templates.has(name) {
        let what = "there is no such template".to_owned();
        return Err(template::Fault { name: name.to_owned(), line: 0, what });
    }
    let snapshot = SnapshotView {
        trace_id: String::new(),
        room_id: String::new(),
        user_agent: String::new(),
        seconds: String::new(),
        source: "exemplar",
    };
    let text = || Some("x".to_owned());
    for story in ["firing", "still", "fired_and_recovered", "recovered"] {
        for is_full in [false, true] {
            let mut m =
                MessageView { status: "recovered", parts: 1, part: 1, ..MessageView::default() };
            let mut a = AlertView { story, ..AlertView::default() };
            if is_full {
                let some = || vec!["x".to_owned()];
                (m.status, m.critical, m.parts, m.still, m.more) = ("firing", true, 2, 1, 1);
                (m.group, m.notes, m.mentions) = (some(), some(), "x".to_owned());
                (m.silence_url, m.ack_url, m.alertmanager_url) = (text(), text(), text());
                a.snapshot = Some(snapshot.clone());
                let word = || "x".to_owned();
                a.core = Some(CoreView {
                    phase: word(),
                    connection: word(),
                    client: word(),
                    room_id: word(),
                    recent: some(),
                    ..CoreView::default()
                });
                (a.value, a.runbook_url, a.dashboard_url, a.graph_url) =
                    (text(), text(), text(), text());
                for field in [&mut a.action, &mut a.description, &mut a.tenant, &mut a.summary] {
                    "x".clone_into(field);
                }
                a.labels = some();
            }
            for block in Block::ALL {
                templates.render(name, block, &View { m: &m, a: &a })?;
            }
        }
    }
    Ok(())
}

/// An alert that nobody needs to fear, for trying a route out.
pub fn sample(now_ms: u64) -> Alert {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    Alert {
        firing: true,
        labels: pairs(&[("alertname", "ChatAlertBridgeTest"), ("severity", "none")]),
        annotations: pairs(&[("summary", "This is a test of the alert bridge 这是一条测试消息")]),
        starts_ms: now_ms,
        fingerprint: "test".to_owned(),
        ..Alert::default()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::super::core_snapshot::CoreSnapshot;
    use super::super::evidence::Snapshot;
    use super::super::options::Person;
    use super::super::payload;
    use super::*;

    fn options() -> Options {
        let mut options = Options {
            silence_url: "https://bridge.example".to_owned(),
            people: vec![Person {
                name: "anna".to_owned(),
                label: "layer".to_owned(),
                value: "*".to_owned(),
                wecom_id: "anna".to_owned(),
                mobile: "13800000000".to_owned(),
                slack_id: "U1".to_owned(),
                ..Person::default()
            }],
            ..Options::default()
        };
        options.silence_key.value = "0123456789abcdef".to_owned();
        options
    }

    fn pending(payload: &payload::Payload) -> Pending {
        let mut pending = Pending {
            group_labels: payload.group_labels.clone(),
            truncated: payload.truncated,
            external_url: payload.external_url.clone(),
            ..Pending::default()
        };
        for alert in &payload.alerts {
            let story = if alert.firing { Story::Firing } else { Story::Recovered };
            let line = Line::new(alert.clone(), story);
            pending.merge(alert.fingerprint.clone(), line);
        }
        pending
    }

    fn evidence() -> Evidence {
        let snapshot = Snapshot {
            source: Source::Exemplar,
            value_seconds: 1.2,
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            room_id: "r42` <@all>".to_owned(),
            user_agent: "<@all>[x](http://e)\u{202e}\n# big".to_owned(),
        };
        let found = Found { snapshot: Some(snapshot), ..Found::default() };
        let value = Found { value: Some(0.0123), ..Found::default() };
        Evidence::from([("f1".to_owned(), found), ("f2".to_owned(), value)])
    }

    fn route(language: Language) -> Route {
        Route { name: "page".to_owned(), language, ..Route::default() }
    }

    /// Payload in, message out: `golden/*.json`, and beside it what each channel gets in
    /// each language. With `BLESS` set they are written instead.
    #[test]
    fn messages_are_those_of_the_golden_files() {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/alert/golden"));
        let templates = Templates::new(&[]).expect("they are good");
        let (options, evidence) = (options(), evidence());
        let mut wrong = Vec::new();
        for case in ["firing", "recovered", "hostile"] {
            let body = fs::read(folder.join(format!("{case}.json"))).expect("a payload");
            let body = payload::NotificationBody::whole(&body);
            let pending = pending(&payload::read(&body, &[]).expect("it is one"));
            for language in Language::ALL {
                for channel in Channel::ALL {
                    let draft = Draft {
                        pending: &pending,
                        evidence: &evidence,
                        route: &route(language),
                        channel,
                        instead_of: "",
                        dropped: 0,
                        outliving: &[],
                        group_key: "g",
                        now_ms: 1_700_000_300_000,
                    };
                    let rendered = render(&draft, &options, &templates);
                    assert_eq!(rendered.fault, None);
                    let robot = Robot { channel, ..Robot::default() };
                    let bodies: Vec<String> = rendered
                        .parts
                        .iter()
                        .map(|part| {
                            let body = body_of(part, &robot, language);
                            let parsed: serde_json::Value =
                                serde_json::from_str(&body).expect("JSON");
                            serde_json::to_string_pretty(&parsed).expect("JSON")
                        })
                        .collect();
                    let got = format!("{}\n\n{}\n", rendered.parts[0].text, bodies.join("\n"));
                    let name = format!("{case}.{}.{}.txt", language.word(), channel.word());
                    let path = folder.join(&name);
                    if std::env::var_os("BLESS").is_some() {
                        fs::write(&path, &got).expect("it can be written");
                    }
                    if fs::read_to_string(&path).unwrap_or_default() != got {
                        wrong.push(name);
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "look at the change, then BLESS=1: {wrong:?}");
    }

    fn body_of(part: &Part, robot: &Robot, language: Language) -> String {
        body(part, robot, language, false, "1-0")
    }

    const HOSTILE: &[&str] = &[
        "<@all>",
        "<!channel>",
        "@all",
        "[pay here](https://evil.example)",
        "<https://evil.example|pay here>",
        "![x](https://evil.example/x.png)",
        "**bold** _it_ ~no~ `code`",
        "<font color=\"warning\">RED</font>",
        "a\n# heading\r\n> quote\u{2028}- list",
        "\u{202e}gnp.exe\u{2066}\u{200b}\u{feff}",
        "&lt;@all&gt; &#60;",
        "\\` \\[x\\]",
        "{{ m.name }} {% raw %}",
        "\u{0}\u{7}\u{1b}[31m",
        "| a | b |",
        "z\u{301}\u{302}\u{303}\u{304}",
    ];

    /// Wherever a stranger's words stand, and however long they are, a message keeps its
    /// mark-up to itself and its size within the limit.
    #[test]
    fn no_words_of_strangers_have_a_meaning_in_any_channel() {
        let templates = Templates::new(&[]).expect("they are good");
        let options = options();
        for words in
            HOSTILE.iter().map(|words| (*words).to_owned()).chain(["x<@all>".repeat(9_000)])
        {
            let mut alert = sample(0);
            for name in ["alertname", "instance", "tenant_id", "layer", "room", "severity"] {
                alert.labels.insert(name.to_owned(), words.clone());
            }
            for name in ["summary", "description", "runbook_url", "dashboard_url"] {
                alert.annotations.insert(name.to_owned(), words.clone());
            }
            alert.labels.insert(words.chars().take(100).collect(), words.clone());
            alert.generator_url = format!("http://g/{words}");
            let snapshot = Snapshot {
                trace_id: words.clone(),
                room_id: words.clone(),
                user_agent: words.clone(),
                ..Snapshot::default()
            };
            let found = Found { snapshot: Some(snapshot), ..Found::default() };
            let evidence = Evidence::from([("test".to_owned(), found)]);
            let mut pending = Pending::default();
            pending.unknown_route.clone_from(&words);
            pending.group_labels.insert("alertname".to_owned(), words.clone());
            pending.external_url.clone_from(&words);
            let line = Line::new(alert, Story::Firing);
            pending.merge("test".to_owned(), line);
            for language in Language::ALL {
                for channel in Channel::ALL {
                    let draft = Draft {
                        pending: &pending,
                        evidence: &evidence,
                        route: &route(language),
                        channel,
                        instead_of: &words,
                        dropped: 1,
                        outliving: &[],
                        group_key: "g",
                        now_ms: 0,
                    };
                    for part in render(&draft, &options, &templates).parts {
                        let text = &part.text;
                        for meaning in [
                            "<@all",
                            "<!",
                            "evil.example)",
                            "evil.example|",
                            "](https://evil",
                            "<font color=\"warning\">RED",
                        ] {
                            assert!(!text.contains(meaning), "{meaning} of {words:.40} in {text}");
                        }
                        let strange = |c: char| c.is_control() && c != '\n';
                        assert!(!text.contains(strange), "{text}");
                        assert!(!text.contains(['\u{202e}', '\u{2028}', '\u{301}']), "{text}");
                        assert!(encoded_bytes(channel, text) <= bytes_max(channel));
                        assert!(!text.lines().any(|line| line.starts_with("# ")), "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn rooms_are_hashed_where_the_route_says_so() {
        let templates = Templates::new(&[]).expect("they are good");
        let alert = Alert { fingerprint: "f1".to_owned(), ..sample(0) };
        let mut pending = Pending::default();
        let line = Line::new(alert, Story::Firing);
        pending.merge("f1".to_owned(), line);
        let route = Route { hash_rooms: true, ..route(Language::En) };
        let draft = Draft {
            pending: &pending,
            evidence: &evidence(),
            route: &route,
            channel: Channel::Wecom,
            instead_of: "",
            dropped: 0,
            outliving: &[],
            group_key: "g",
            now_ms: 0,
        };
        let text = render(&draft, &options(), &templates).parts.remove(0).text;
        let room = signature::room("0123456789abcdef", "r42` <@all>");
        assert!(text.contains(&format!("room `{room}`")) && !text.contains("r42"), "{text}");
    }

    #[test]
    fn a_template_that_fails_gives_a_plain_text_that_says_so() {
        let broken = "{% block header %}{% for x in m.group %}{{ x.y.z }}{% endfor %}{% endblock %}\
                      {% block alert %}{% endblock %}{% block footer %}{% endblock %}";
        let name = template::name("standard", Language::En, Channel::Wecom);
        let templates = Templates::new(&[(name, broken.to_owned())]).expect("it can be read");
        let mut pending = Pending::default();
        pending.group_labels.insert("job".to_owned(), "chat".to_owned());
        let line = Line::new(sample(0), Story::Firing);
        pending.merge("test".to_owned(), line);
        let draft = Draft {
            pending: &pending,
            evidence: &Evidence::new(),
            route: &route(Language::En),
            channel: Channel::Wecom,
            instead_of: "",
            dropped: 0,
            outliving: &[],
            group_key: "g",
            now_ms: 0,
        };
        let rendered = render(&draft, &options(), &templates);
        assert!(rendered.fault.is_some());
        let text = &rendered.parts[0].text;
        assert!(
            text.contains("plain, because of this fault: template standard.en.wecom"),
            "{text}"
        );
        assert!(text.contains("ChatAlertBridgeTest firing"), "{text}");
    }

    #[test]
    fn an_alert_about_a_core_says_whose_work_it_does_and_nothing_of_it_has_a_meaning() {
        let hostile = "`<@all>[x](http://e)\n# big";
        let core = CoreSnapshot {
            core: "3".to_owned(),
            phase: "reaping".to_owned(),
            for_seconds: 12.5,
            connection: "3.17.1".to_owned(),
            client: "6f3e8f0e-33a5-4d0e-8f0a-0123456789ab".to_owned(),
            room_id: format!("room:1{hostile}"),
            recent: vec![
                ("closed".to_owned(), "slow_consumer".to_owned(), 2),
                ("stall".to_owned(), hostile.to_owned(), 1),
            ],
        };
        let found = Found { core: Some(core), ..Found::default() };
        let body = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/src/alert/golden/firing.json"));
        let body = body.expect("a payload");
        let body = payload::NotificationBody::whole(&body);
        let payload = payload::read(&body, &[]).expect("it is one");
        let pending = pending(&payload);
        let evidence = payload.alerts.iter().map(|one| (one.fingerprint.clone(), found.clone()));
        let evidence: Evidence = evidence.collect();
        let templates = Templates::new(&[]).expect("they are good");
        for channel in Channel::ALL {
            for language in Language::ALL {
                let route = route(language);
                let draft = Draft {
                    group_key: "g",
                    pending: &pending,
                    evidence: &evidence,
                    route: &route,
                    channel,
                    instead_of: "",
                    dropped: 0,
                    outliving: &[],
                    now_ms: 1_700_000_600_000,
                };
                let rendered = render(&draft, &options(), &templates);
                assert_eq!(rendered.fault, None);
                let text = &rendered.parts[0].text;
                for words in ["reaping", "12.5", "3.17.1", "6f3e8f0e", "room:1", "slow_consumer ×2"]
                {
                    assert!(text.contains(words), "no {words} in {text}");
                }
                for mark in ["<@all>", "](http://e", "\n# big"] {
                    assert!(!text.contains(mark), "{mark} in {text}");
                }
            }
        }
    }

    #[test]
    fn times_are_right_on_both_sides_of_greenwich() {
        const NEW_YEAR_MS: u64 = 1_735_689_600_000;
        for (offset_minutes, want) in [
            (0, "2025-01-01 00:00:00"),
            (480, "2025-01-01 08:00:00"),
            (-300, "2024-12-31 19:00:00"),
            (-210, "2024-12-31 20:30:00"),
            (345, "2025-01-01 05:45:00"),
        ] {
            assert_eq!(local_time(NEW_YEAR_MS, offset_minutes), want);
        }
        assert_eq!(local_time(0, -60), "1969-12-31 23:00:00");
        assert_eq!(local_time(u64::MAX, 0), "-");
    }

    #[test]
    fn parts_are_whole_alerts_within_the_limit_and_the_rest_is_counted() {
        let templates = Templates::new(&[]).expect("they are good");
        for channel in Channel::ALL {
            for (count, chars) in [(1, 10), (7, 600), (40, 600), (200, 90), (400, 600), (9_000, 9)]
            {
                let mut pending = Pending::default();
                for index in 0..count {
                    let mut alert = sample(index);
                    alert.annotations.insert("description".to_owned(), "停\"\\".repeat(chars / 3));
                    alert.annotations.insert("summary".to_owned(), format!("about {index}."));
                    let line = Line::new(alert, Story::Firing);
                    pending.merge(format!("{index}"), line);
                }
                let draft = Draft {
                    pending: &pending,
                    evidence: &Evidence::new(),
                    route: &route(Language::En),
                    channel,
                    instead_of: "",
                    dropped: 0,
                    outliving: &[],
                    group_key: "g",
                    now_ms: 0,
                };
                let parts = render(&draft, &options(), &templates).parts;
                assert!(parts.len() <= parts_max(channel));
                let robot = Robot { channel, keyword: "word".to_owned(), ..Robot::default() };
                let mut shown = 0;
                for part in &parts {
                    let body = body(part, &robot, Language::Zh, true, "id");
                    match channel {
                        Channel::Wecom => {
                            let parsed: serde_json::Value =
                                serde_json::from_str(&body).expect("JSON");
                            let content = parsed["markdown"]["content"].as_str().expect("a text");
                            assert!(content.len() <= 4_096, "{}", content.len());
                        }
                        Channel::Dingtalk => assert!(body.len() <= 20_000, "{}", body.len()),
                        Channel::Slack | Channel::Webhook => {}
                    }
                    assert!(!part.text.contains('…'), "nothing is cut: {}", part.text);
                    shown += part.text.matches("about ").count() as u64;
                }
                let more = format!("+{} more", count - shown);
                let last = &parts.last().expect("one").text;
                assert_eq!(shown < count, last.contains(&more), "{channel:?} {count} {last}");
                assert!(shown > 0);
            }
        }
    }
}
