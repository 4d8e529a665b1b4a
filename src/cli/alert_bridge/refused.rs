//! `rookery alert-bridge refused`: what chats refused for good, and what becomes of it.
//!
//! The list is the bridge's, so it is asked by its own pages, with its token. Of two
//! bridges each has what it told itself: both are asked, and each line says whose it is.
//!
//! Invariants: a token goes to the bridges of one's own configuration, or to the address
//! that stands beside it; no proxy hears it. What is printed has no character that a
//! terminal obeys, whatever an alert says.
//!
//! Deliberately absent: which messages are refused, and for how long they are kept.

mod show;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use serde_json::Value;

use super::resolve;
use crate::alert::Options;
use crate::cli::audit::CommandAct;
use crate::cli::http::{Service, ServiceKind, ServiceResult, reached};
use crate::cli::inputs::read;
use crate::cli::output::{OutputLines, fail, tell};
use crate::cli::{FAILED, MISUSED, OK};
use crate::console::AuditAction;
use show::MessageFormat;

/// Messages that are asked for at a time, so that an answer has an end.
const PAGE_MESSAGES_MAX: usize = 50;

/// Messages of one bridge that are looked at; it keeps 500 itself.
const MESSAGES_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub(super) struct RefusedArguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show them, a line for each.
    List(MessageForm),
    /// Show all that one says.
    Show {
        /// Its id, as the list has it.
        id: u64,
        #[command(flatten)]
        form: MessageForm,
    },
    /// Tell them again, such as after the words of a template or a filter were changed.
    Retry(Selection),
    /// Forget them.
    Drop(Selection),
}

/// How to print.
#[derive(Debug, Args)]
struct MessageForm {
    /// Print a JSON object on each line.
    #[arg(long)]
    json: bool,
}

impl MessageForm {
    fn format(&self) -> MessageFormat {
        if self.json { MessageFormat::Json } else { MessageFormat::Text }
    }
}

/// Some of them.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["id", "all"]).required(true))]
struct Selection {
    /// Those with these ids.
    id: Vec<u64>,
    /// All there are.
    #[arg(long)]
    all: bool,
}

/// Which bridge.
#[derive(Debug, Args)]
struct Place {
    /// The file of the bridge and, with `[peer]`, of the other one: both are asked.
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "ROOKERY_ALERT_BRIDGE_CONFIG",
        default_value = "/etc/rookery/alert-bridge.toml"
    )]
    config: PathBuf,
    /// Ask this one only, such as http://127.0.0.1:9494; no configuration is read.
    #[arg(long, global = true, value_name = "URL")]
    bridge: Option<String>,
    /// The token of its listener.
    #[arg(long, global = true, value_name = "FILE", requires = "bridge")]
    token_file: Option<PathBuf>,
    /// Certificates to trust beside the system's, as PEM.
    #[arg(long, global = true, value_name = "FILE", requires = "bridge")]
    ca_file: Option<PathBuf>,
}

/// A message that a chat refused, and the bridge that has it.
struct Held<'a> {
    bridge: &'a Service,
    id: u64,
    message: Value,
}

/// What bridges have, and whether all of them said so.
struct Census<'a> {
    held: Vec<Held<'a>>,
    is_whole: bool,
}

/// What becomes of some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Retry,
    Drop,
}

impl RefusedArguments {
    /// What it changes; none where it looks only.
    pub(super) fn act(&self) -> Option<CommandAct> {
        let (action, selection) = match &self.command {
            Command::Retry(selection) => (AuditAction::AlertMessagesRetried, selection),
            Command::Drop(selection) => (AuditAction::AlertMessagesDropped, selection),
            Command::List(_) | Command::Show { .. } => return None,
        };
        let ids: Vec<String> = selection.id.iter().map(u64::to_string).collect();
        Some(CommandAct { action, target: ids.join(" ") })
    }
}

/// Does it; the exit code of that.
pub(super) fn run(arguments: RefusedArguments) -> u8 {
    let bridges = match arguments.place.bridges() {
        Ok(bridges) => bridges,
        Err(code) => return code,
    };
    let census = Census::take(&bridges);
    match arguments.command {
        Command::List(form) => list(&census, form.format()),
        Command::Show { id, form } => show_one(&census, id, form.format()),
        Command::Retry(selection) => change(&census, &selection, Fate::Retry),
        Command::Drop(selection) => change(&census, &selection, Fate::Drop),
    }
}

impl Place {
    /// Those to be asked: the one that was named, or those of the configuration.
    fn bridges(&self) -> Result<Vec<Service>, u8> {
        let (urls, ca_file, token) = match &self.bridge {
            Some(url) => {
                let ca_file = self.ca_file.as_deref().map(|path| path.display().to_string());
                (vec![url.clone()], ca_file.unwrap_or_default(), self.token()?)
            }
            None => {
                let settings = resolve(&self.config).map_err(|refusal| refusal.tell())?;
                let Options { ca_file, token, .. } = &settings.options;
                (urls(&settings.options), ca_file.clone(), token.value.clone())
            }
        };
        // The token is for the bridge, and for nobody on the way to it.
        let at = |url: &String| {
            let service = Service::at(ServiceKind::Bridge, url, &ca_file, &|_| None)?;
            service.with_token(&token)
        };
        let bridges: ServiceResult<Vec<Service>> = urls.iter().map(at).collect();
        bridges.map_err(|fault| fail(MISUSED, &fault.to_string()))
    }

    fn token(&self) -> Result<String, u8> {
        let Some(path) = &self.token_file else { return Ok(String::new()) };
        let wrong = |why: &dyn std::fmt::Display| {
            fail(FAILED, &format!("--token-file: {}: {why}", path.display()))
        };
        let bytes = read(Path::new(path)).map_err(|error| wrong(&error))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong(&"it is not UTF-8"))?;
        match text.trim() {
            "" => Err(wrong(&"it is empty")),
            token => Ok(token.to_owned()),
        }
    }
}

/// Where the bridge of a configuration and the other one listen.
fn urls(options: &Options) -> Vec<String> {
    let mut urls = vec![format!("http://{}", reached(options.listen))];
    if !options.peer_url.is_empty() {
        urls.push(options.peer_url.clone());
    }
    urls
}

impl<'a> Census<'a> {
    /// Asks all of them; of one that does not answer it is told why.
    fn take(bridges: &'a [Service]) -> Census<'a> {
        let mut census = Census { held: Vec::new(), is_whole: true };
        for bridge in bridges {
            if let Err(fault) = pages(bridge, &mut census.held) {
                tell(&fault.to_string());
                census.is_whole = false;
            }
        }
        census
    }

    /// The exit code of all that could be done.
    fn end(&self, code: u8) -> u8 {
        if self.is_whole { code } else { code.max(FAILED) }
    }

    /// The one message with this id; none is told of. Ids begin with the moment of a
    /// bridge's start, so two have the same one only if both began in one millisecond.
    fn one(&self, id: u64) -> Option<&Held<'a>> {
        let mut all = self.held.iter().filter(|held| held.id == id);
        match (all.next(), all.next()) {
            (Some(one), None) => Some(one),
            (Some(_), Some(_)) => {
                tell(&format!("both bridges have a message {id}: name one with --bridge"));
                None
            }
            (None, _) => {
                tell(&format!("there is no refused message {id}"));
                None
            }
        }
    }
}

/// Asks one for all that it has.
fn pages<'a>(bridge: &'a Service, held: &mut Vec<Held<'a>>) -> ServiceResult<()> {
    let mut after = 0;
    let mut count = 0;
    loop {
        let path = format!("/v1/refused/all?after={after}&limit={PAGE_MESSAGES_MAX}");
        let Value::Array(page) = bridge.ask("GET", &path, None)? else {
            return Err(bridge.unreadable(&"it is no list"));
        };
        if page.is_empty() {
            return Ok(());
        }
        for message in page {
            let Some(id) = message["id"].as_u64().filter(|id| after < *id) else {
                return Err(bridge.unreadable(&"its ids are none, or do not grow"));
            };
            after = id;
            count += 1;
            if count > MESSAGES_MAX {
                return Err(bridge.unreadable(&format!("it has more than {MESSAGES_MAX}")));
            }
            held.push(Held { bridge, id, message });
        }
    }
}

fn list(census: &Census, format: MessageFormat) -> u8 {
    let mut lines = OutputLines::begin();
    for Held { bridge, message, .. } in &census.held {
        lines.line(&match format {
            MessageFormat::Json => show::json(bridge.shown(), message),
            MessageFormat::Text => show::line(bridge.shown(), message),
        });
    }
    census.end(lines.end())
}

fn show_one(census: &Census, id: u64, format: MessageFormat) -> u8 {
    let Some(Held { bridge, message, .. }) = census.one(id) else { return FAILED };
    let mut lines = OutputLines::begin();
    match format {
        MessageFormat::Json => lines.line(&show::json(bridge.shown(), message)),
        MessageFormat::Text => {
            show::whole(bridge.shown(), message).iter().for_each(|line| lines.line(line))
        }
    }
    lines.end()
}

fn change(census: &Census, selection: &Selection, fate: Fate) -> u8 {
    let ids: BTreeSet<u64> = selection.id.iter().copied().collect();
    let mut code = OK;
    let mut chosen: Vec<&Held> = Vec::new();
    if selection.all {
        chosen.extend(&census.held);
        code = census.end(code);
    }
    for id in ids {
        match census.one(id) {
            Some(held) => chosen.push(held),
            None => code = FAILED,
        }
    }
    let (path, done) = match fate {
        Fate::Retry => ("retry", "is told again"),
        Fate::Drop => ("drop", "is dropped"),
    };
    let mut lines = OutputLines::begin();
    for Held { bridge, id, .. } in chosen {
        match bridge.tell("POST", &format!("/v1/refused/{id}/{path}"), None) {
            Ok(_) => lines.line(&format!("{id}  {done}  {}", bridge.shown())),
            Err(fault) => {
                tell(&format!("{id}: {fault}"));
                code = FAILED;
            }
        }
    }
    lines.end().max(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_that_listens_everywhere_is_reached_here_and_the_other_one_by_its_address() {
        let check = |listen: &str, peer: &str, want: &[&str]| {
            let listen = listen.parse().unwrap();
            let options = Options { listen, peer_url: peer.to_owned(), ..Options::default() };
            assert_eq!(urls(&options), want);
        };
        check("0.0.0.0:1", "", &["http://127.0.0.1:1"]);
        check("[::]:1", "", &["http://[::1]:1"]);
        check("10.0.0.5:1", "https://b:2", &["http://10.0.0.5:1", "https://b:2"]);
    }

    #[test]
    fn an_id_is_one_message_or_none() {
        let at = |url: &str| Service::at(ServiceKind::Bridge, url, "", &|_| None).ok().unwrap();
        let (one, two) = (at("http://a"), at("http://b"));
        let held = |bridge, id| Held { bridge, id, message: Value::Null };
        let census =
            Census { held: vec![held(&one, 7), held(&one, 8), held(&two, 8)], is_whole: true };
        assert_eq!(census.one(7).map(|held| held.bridge.shown()), Some("http://a"));
        assert!(census.one(8).is_none() && census.one(9).is_none());
    }
}
