//! Renders a message in parts: the order of its alerts, its mentions, and the alerts of each part.
//!
//! Deliberately absent: the texts (`views`, `notes`), and what fits (`parts`).

use super::channel::joint;
use super::message_input::MessageInput;
use super::oncall::{self, Mentions};
use super::part::{MessagePart, said};
use super::parts::{plain, with_template};
use super::template::{self, Templates};
use super::views::{AlertView, alert_view, message_view, title};
use crate::alert::model::pending::{AlertLine, QueuedAlerts, Transition};
use crate::alert::options::{Language, Messenger, Options};

/// Most alerts of one message that are rendered; more than its parts can hold.
const SHOWN_MAX: usize = 1_200;

/// A message in parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// At least one.
    pub parts: Vec<MessagePart>,
    /// The error of the template, if it could not be used.
    pub fault: Option<template::TemplateError>,
}

/// Renders a message.
pub fn render(input: &MessageInput<'_>, options: &Options, templates: &Templates) -> Rendered {
    let lines = in_order(input.pending);
    let mentions = mentions(input, options, &lines);
    let message = message_view(input, options, &lines, &mentions);
    let shown = &lines[..lines.len().min(SHOWN_MAX)];
    let alerts: Vec<AlertView> = shown
        .iter()
        .map(|(fingerprint, line)| alert_view(fingerprint, line, input, options))
        .collect();
    let name = template::name(&input.route.template, input.route.language, input.channel);
    let (mut texts, fault) = match input.pending.plain {
        true => (plain(input, &message, &alerts, None), None),
        false => match with_template(input, &message, &lines, &alerts, templates, &name) {
            Ok(texts) => (texts, None),
            Err(fault) => (plain(input, &message, &alerts, Some(&fault)), Some(fault)),
        },
    };
    let title = title(input.route.language, &message);
    let count = texts.len();
    let mut parts = Vec::new();
    for (index, (text, members)) in texts.drain(..).enumerate() {
        let mut part = MessagePart { title: title.clone(), text, ..MessagePart::default() };
        if count > 1 {
            part.title = format!("{title} ({}/{count})", index + 1);
        }
        if index == 0 && input.channel != Messenger::Wecom {
            part.mobiles.clone_from(&mentions.mobiles);
            part.ids.clone_from(&mentions.ids);
        }
        for member in members {
            part.fingerprints.push(lines[member].0.clone());
            let (fingerprint, line) = lines[member];
            part.alerts.push(said(fingerprint, line, &alerts[member], input));
        }
        parts.push(part);
    }
    if input.channel == Messenger::Wecom && !mentions.mobiles.is_empty() {
        parts.push(MessagePart {
            text: title.clone(),
            title,
            is_plain: true,
            mobiles: mentions.mobiles,
            ..MessagePart::default()
        });
    }
    Rendered { parts, fault }
}

/// The alerts in order: firing before recovered, critical before others, older before newer.
fn in_order(pending: &QueuedAlerts) -> Vec<(&String, &AlertLine)> {
    let mut lines: Vec<(&String, &AlertLine)> = pending.lines.iter().collect();
    lines.sort_by_key(|(_, line)| line.rank());
    lines
}

/// Mentions people for critical alerts that begin, and for no others.
fn mentions(
    input: &MessageInput<'_>,
    options: &Options,
    lines: &[(&String, &AlertLine)],
) -> Mentions {
    if !input.route.mentions {
        return Mentions::default();
    }
    let begun = lines.iter().map(|(_, line)| line);
    let critical =
        begun.filter(|line| line.transition == Transition::Firing && line.alert.is_critical());
    let people = oncall::called(critical.map(|line| &line.alert), options, input.now_ms);
    oncall::mentions(input.channel, &people)
}

/// A message without alerts.
pub fn of_words(words: &[String], language: Language, channel: Messenger) -> Rendered {
    let title = match language {
        Language::En => "Acknowledged",
        Language::Zh => "已确认",
    };
    let text = words.join(joint(channel));
    let part = MessagePart { title: title.to_owned(), text, ..MessagePart::default() };
    Rendered { parts: vec![part], fault: None }
}
