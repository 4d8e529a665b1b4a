//! The templates of messages, in the language of minijinja. Each has three blocks: `header`,
//! `alert` and `footer`. Built-in ones can be replaced.
//!
//! Invariant: all values are escaped before, so a template cannot bring a stranger's mark-up into a
//! chat.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use crate::alert::options::{Language, Messenger};

/// The work limit of one template: a loop over every alert of a message takes a hundredth of it.
const FUEL: u64 = 500_000;

const BUILT_IN: [(&str, &str); 8] = [
    ("standard.en.wecom", include_str!("templates/standard.en.wecom.j2")),
    ("standard.en.dingtalk", include_str!("templates/standard.en.dingtalk.j2")),
    ("standard.en.slack", include_str!("templates/standard.en.slack.j2")),
    ("standard.en.webhook", include_str!("templates/standard.en.webhook.j2")),
    ("standard.zh.wecom", include_str!("templates/standard.zh.wecom.j2")),
    ("standard.zh.dingtalk", include_str!("templates/standard.zh.dingtalk.j2")),
    ("standard.zh.slack", include_str!("templates/standard.zh.slack.j2")),
    ("standard.zh.webhook", include_str!("templates/standard.zh.webhook.j2")),
];

/// The blocks that every template must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Above each part of a message.
    Header,
    /// One alert.
    Alert,
    /// Below the last part.
    Footer,
}

impl Block {
    /// All of them.
    pub const ALL: [Block; 3] = [Block::Header, Block::Alert, Block::Footer];

    fn word(self) -> &'static str {
        match self {
            Block::Header => "header",
            Block::Alert => "alert",
            Block::Footer => "footer",
        }
    }
}

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Its name.
    pub name: String,
    /// The line, from 1; 0 when it is unknown.
    pub line: usize,
    /// The error.
    pub what: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template {}", self.name)?;
        if self.line > 0 {
            write!(f, ", line {}", self.line)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// All templates of a bridge.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
}

/// The name of a template in settings, and of its file.
pub fn name(family: &str, language: Language, channel: Messenger) -> String {
    format!("{family}.{}.{}", language.word(), channel.word())
}

/// The names and texts of the built-in templates.
pub fn built_in() -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILT_IN.into_iter()
}

impl Templates {
    /// The built-in templates, replaced by those that were read (names and texts).
    pub fn new(read: &[(String, String)]) -> Result<Templates, Vec<TemplateError>> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("the usual delimiters contradict nothing"));
        let mut faults = Vec::new();
        let built_in = BUILT_IN.map(|(name, text)| (name.to_owned(), text.to_owned()));
        for (name, text) in built_in.into_iter().chain(read.iter().cloned()) {
            if let Err(error) = environment.add_template_owned(name.clone(), text) {
                faults.push(fault(&name, &error));
            }
        }
        if faults.is_empty() { Ok(Templates { environment }) } else { Err(faults) }
    }

    /// Whether there is a template with this name.
    pub fn has(&self, name: &str) -> bool {
        self.environment.get_template(name).is_ok()
    }

    /// Renders one block, without white space around it.
    pub fn render(
        &self,
        name: &str,
        block: Block,
        view: &impl Serialize,
    ) -> Result<String, TemplateError> {
        let rendered = (|| {
            let template = self.environment.get_template(name)?;
            let mut captured = template.render_captured(Serde(view))?;
            captured.with_state_mut(|state| state.render_block(block.word()))
        })();
        match rendered {
            Ok(text) => Ok(text.trim_end().trim_start_matches('\n').to_owned()),
            Err(error) => Err(fault(name, &error)),
        }
    }
}

/// The error without any values.
#[allow(clippy::wildcard_enum_match_arm, reason = "the library's list of kinds is open")]
fn fault(name: &str, error: &minijinja::Error) -> TemplateError {
    let what = match error.kind() {
        ErrorKind::SyntaxError => {
            format!("it is no template: {}", error.detail().unwrap_or("syntax error"))
        }
        ErrorKind::UndefinedError => "it names something that there is not".to_owned(),
        ErrorKind::UnknownBlock => "it has not the blocks header, alert and footer".to_owned(),
        ErrorKind::OutOfFuel => "it takes too long".to_owned(),
        ErrorKind::TemplateNotFound => "there is no such template".to_owned(),
        kind => kind.to_string(),
    };
    TemplateError { name: name.to_owned(), line: error.line().unwrap_or(0), what }
}
