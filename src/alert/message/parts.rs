//! Distributes alerts over the parts of a message, each in full or as one line.
//!
//! Invariant: no part exceeds the limit of its messenger, counted in its way; the parts are few;
//! each alert is in one of them, in full or as one line, or is counted as left out. Critical alerts
//! are the last to be left out.
//!
//! Deliberately absent: the limits of messengers (`channel`).

use super::channel::{PARTS_MAX, bytes_max, cut, encoded_bytes, joint, parts_max};
use super::format::LABEL_CHARS_MAX;
use super::message_input::MessageInput;
use super::notes::left_out;
use super::template::{self, Block, Templates};
use super::views::{AlertView, MessageView, TemplateView, title};
use crate::alert::model::pending::AlertLine;
use crate::alert::model::text;
use crate::alert::options::{Language, Messenger};

/// Most alerts of one message that are shown in full.
const WHOLE_MAX: usize = 60;

/// Bytes that are reserved for a keyword, and for the note that it is sent again.
const SPARE_BYTES: usize = 200;

/// Each text with the indexes of its alerts.
type Texts = Vec<(String, Vec<usize>)>;

/// A template with the messenger that its texts are for.
struct Layout<'a> {
    templates: &'a Templates,
    name: &'a str,
    channel: Messenger,
    language: Language,
}

impl Layout<'_> {
    fn render(
        &self,
        block: Block,
        m: &MessageView,
        a: &AlertView,
    ) -> Result<String, template::TemplateError> {
        let text = self.templates.render(self.name, block, &TemplateView { m, a })?;
        // Each line of a template becomes a line in the mark-up.
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        Ok(lines.collect::<Vec<_>>().join(joint(self.channel)))
    }

    /// The bytes that are left for alerts beside this header and footer.
    fn budget(
        &self,
        longest: &MessageView,
        first: &AlertView,
    ) -> Result<usize, template::TemplateError> {
        let header = self.render(Block::Header, longest, first)?;
        let footer = self.render(Block::Footer, longest, first)?;
        let around_bytes = header.len() + footer.len() + 2 * joint(self.channel).len();
        Ok(bytes_max(self.channel).saturating_sub(around_bytes + SPARE_BYTES))
    }

    /// Renders each alert in full, or as one line where that does not fit.
    fn blocks(
        &self,
        message: &MessageView,
        alerts: &[AlertView],
        budget: usize,
    ) -> Result<Vec<String>, template::TemplateError> {
        let mut blocks = Vec::new();
        for (index, alert) in alerts.iter().enumerate() {
            let block = match index < WHOLE_MAX {
                true => self.render(Block::Alert, message, alert)?,
                false => one_line(self.language, alert),
            };
            blocks.push(match encoded_bytes(self.channel, &block) <= budget {
                true => block,
                // A block that is cut anywhere could leave mark-up open.
                false => self.short(alert, budget),
            });
        }
        Ok(blocks)
    }

    /// An alert as one line that fits.
    fn short(&self, alert: &AlertView, budget: usize) -> String {
        cut(self.channel, &one_line(self.language, alert), budget)
    }

    /// Distributes alerts over parts, shortened where more fit then. Returns how many are left out.
    fn fit(
        &self,
        blocks: &mut [String],
        alerts: &[AlertView],
        budget: usize,
    ) -> (Vec<Vec<usize>>, usize) {
        let (groups, left_count) = split(self.channel, blocks, budget);
        if left_count == 0 {
            return (groups, left_count);
        }
        // A line for each is worth more than everything about a few.
        for (block, alert) in blocks.iter_mut().zip(alerts).skip(groups[0].len()) {
            *block = self.short(alert, budget);
        }
        split(self.channel, blocks, budget)
    }
}

pub(super) fn with_template(
    input: &MessageInput<'_>,
    message: &MessageView,
    lines: &[(&String, &AlertLine)],
    alerts: &[AlertView],
    templates: &Templates,
    name: &str,
) -> Result<Texts, template::TemplateError> {
    let (channel, language) = (input.channel, input.route.language);
    let layout = Layout { templates, name, channel, language };
    let none = AlertView::default();
    let first = alerts.first().unwrap_or(&none);
    // As long as header and footer can become, so that the parts fit with them.
    let longest = MessageView {
        part: PARTS_MAX,
        parts: PARTS_MAX,
        more: message.more + lines.len() as u64,
        notes: noted(message, left_out(input, lines)),
        ..message.clone()
    };
    let budget = layout.budget(&longest, first)?;
    let mut blocks = layout.blocks(message, alerts, budget)?;
    let (groups, left_count) = layout.fit(&mut blocks, alerts, budget);
    let told = alerts.len() - left_count;
    let notes = noted(message, left_out(input, &lines[told..]));
    let mut texts = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let mut m = MessageView { part: index + 1, parts: groups.len(), ..message.clone() };
        m.more += (lines.len() - told) as u64;
        m.notes.clone_from(&notes);
        if index > 0 {
            m.mentions.clear();
            m.notes.clear();
        }
        let mut pieces = vec![layout.render(Block::Header, &m, first)?];
        pieces.extend(group.iter().map(|&member| blocks[member].clone()));
        if index + 1 == groups.len() {
            pieces.push(layout.render(Block::Footer, &m, first)?);
        }
        pieces.retain(|piece| !piece.is_empty());
        let whole = pieces.join(joint(channel));
        // Headers and footers of custom templates may have any length.
        texts.push((cut(channel, &whole, bytes_max(channel) - SPARE_BYTES), group.clone()));
    }
    Ok(texts)
}

fn noted(message: &MessageView, more: Option<String>) -> Vec<String> {
    message.notes.iter().cloned().chain(more).collect()
}

/// Assigns blocks to parts. Returns how many are left out, too.
fn split(channel: Messenger, blocks: &[String], budget: usize) -> (Vec<Vec<usize>>, usize) {
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

/// A short text without mark-up, as a last resort.
pub(super) fn plain(
    input: &MessageInput<'_>,
    message: &MessageView,
    alerts: &[AlertView],
    fault: Option<&template::TemplateError>,
) -> Texts {
    const BYTES_MAX: usize = 1_500;
    let mut out = title(input.route.language, message);
    if !message.mentions.is_empty() {
        out.push(' ');
        out.push_str(&message.mentions);
    }
    if let Some(fault) = fault {
        let fault = text::of_operator(&fault.to_string(), LABEL_CHARS_MAX);
        out.push_str(joint(input.channel));
        out.push_str(&match input.route.language {
            Language::En => format!("(plain, because of this fault: {fault})"),
            Language::Zh => format!("（模板有误，改用纯文本：{fault}）"),
        });
    }
    for note in &message.notes {
        out.push_str(joint(input.channel));
        out.push_str(note);
    }
    let mut members = Vec::new();
    let all = input.pending.lines.len();
    for (index, alert) in alerts.iter().enumerate() {
        let line = one_line(input.route.language, alert);
        if out.len() + line.len() > BYTES_MAX && index > 0 {
            out.push_str(joint(input.channel));
            out.push_str(&format!("+{}", all - index));
            break;
        }
        out.push_str(joint(input.channel));
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
