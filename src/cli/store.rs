//! `rookery store`: looking at a store at rest, and at its dead letters.
//!
//! A store that a server has open is refused: only one may write to it, and what
//! is read beside it would be half of something.
//!
//! Deliberately absent: what is good and what is lost. `store::Inspection` knows.

mod line;
mod load;
mod show;

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};

use super::audit::CommandAct;
use super::inputs::Inputs;
use super::output::{OutputLines, fail, tell};
use super::text::plain;
use super::token::{TimeToLive, time_to_live};
use super::{Base, FAILED, OK};
use crate::clock::unix_ms;
use crate::console::AuditAction;
use crate::store::{
    self, BackgroundThreads, CheckFinding, DeadLetterFilter, Disk, DiskError, DumpError,
    GivenReaction, Inspection, LogFinding, OpenError, Options,
};
use crate::wire::Publication;
use show::{ObjectWriter, OutputForm};

/// What to do with which store.
#[derive(Debug, Args)]
pub(super) struct StoreArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read everything, and name what is damaged or missing.
    Check(Place),
    /// Count what is in it.
    Stats(Place),
    /// Show the messages of a channel, oldest first.
    Dump {
        #[command(flatten)]
        place: Place,
        /// The channel.
        #[arg(long)]
        channel: String,
        /// Its tenant.
        #[arg(long, default_value = "", hide_default_value = true)]
        tenant: String,
    },
    /// Put messages into a channel, from lines as `dump --json` prints them. Nobody is told.
    Load(load::LoadArguments),
    /// Copy what can be read of a damaged store into a new one, and name what is missing. The
    /// damaged one stays as it is.
    Salvage {
        #[command(flatten)]
        place: Place,
        /// An empty directory for the new store.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Direct messages that were given up.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
}

#[derive(Debug, Subcommand)]
enum DeadLetters {
    /// Show them.
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        selection: Selection,
    },
    /// Let them wait for their readers again.
    Requeue {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        consent: Consent,
        /// How long they wait, such as 15m, 1h, 7d.
        #[arg(long, default_value = "7d", value_parser = time_to_live)]
        ttl: TimeToLive,
    },
    /// Forget them. What their conversations keep stays there.
    Drop {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        consent: Consent,
    },
}

/// Where the store is, and how to show what is in it.
#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    base: Base,
    /// The directory of the store; without it, what the configuration says.
    #[arg(long, value_name = "DIR")]
    store_dir: Option<String>,
    /// Print a JSON object on each line.
    #[arg(long)]
    json: bool,
}

/// Some dead letters.
#[derive(Debug, Args)]
struct Selection {
    /// Those of one conversation, such as dm#ann,bob.
    #[arg(long)]
    channel: Option<String>,
    /// Its tenant.
    #[arg(long, requires = "channel", default_value = "", hide_default_value = true)]
    tenant: String,
    /// The one message with this offset.
    #[arg(long, requires = "channel")]
    offset: Option<u64>,
}

/// All of them are changed only when that was said.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["channel", "all"]).required(true))]
struct Consent {
    /// All there are.
    #[arg(long)]
    all: bool,
}

impl StoreArguments {
    /// What it changes; none where it looks only.
    pub(super) fn act(&self) -> Option<CommandAct> {
        let (action, selection) = match &self.command {
            Command::Load(load) => {
                let target = show::channel(&load.tenant, &load.channel);
                return Some(CommandAct { action: AuditAction::MessagesLoaded, target });
            }
            Command::DeadLetters(DeadLetters::Requeue { selection, .. }) => {
                (AuditAction::DeadLettersRequeued, selection)
            }
            Command::DeadLetters(DeadLetters::Drop { selection, .. }) => {
                (AuditAction::DeadLettersDropped, selection)
            }
            Command::DeadLetters(DeadLetters::List { .. })
            | Command::Check(_)
            | Command::Stats(_)
            | Command::Dump { .. }
            | Command::Salvage { .. } => return None,
        };
        let Selection { channel, tenant, offset } = selection;
        let channel = channel.as_deref().map(|channel| show::channel(tenant, channel));
        let target = match (channel, offset) {
            (None, _) => String::new(),
            (Some(channel), None) => channel,
            (Some(channel), Some(offset)) => format!("{channel} {offset}"),
        };
        Some(CommandAct { action, target })
    }
}

/// Does it; the exit code of that.
pub(super) fn run(arguments: StoreArguments) -> u8 {
    match arguments.command {
        Command::Check(place) => place.show(Inspection::open_to_check, check),
        Command::Stats(place) => place.look(stats),
        Command::Dump { place, channel, tenant } => {
            place.look(|inspection, view| dump(inspection, view, &tenant, &channel))
        }
        Command::Load(arguments) => load::run(arguments),
        Command::Salvage { place, to } => place.salvage(&to),
        Command::DeadLetters(DeadLetters::List { place, selection }) => {
            let which = DeadLetterFilter::from(selection);
            place.look(|inspection, view| list(inspection, view, &which))
        }
        Command::DeadLetters(DeadLetters::Requeue { place, selection, consent: _, ttl }) => {
            let which = DeadLetterFilter::from(selection);
            let expires_unix_ms = match ttl {
                TimeToLive::Never => u64::MAX,
                TimeToLive::Seconds(seconds) => {
                    unix_ms().saturating_add(seconds.saturating_mul(1_000))
                }
            };
            place.change("requeued", |inspection| inspection.requeue(&which, expires_unix_ms))
        }
        Command::DeadLetters(DeadLetters::Drop { place, selection, consent: _ }) => {
            let which = DeadLetterFilter::from(selection);
            place.change("dropped", |inspection| inspection.drop_dead_letters(&which))
        }
    }
}

/// A store as it was opened, and where what is found goes.
struct View {
    options: Options,
    form: OutputForm,
    lines: OutputLines,
}

type Store = Inspection<Box<dyn Disk>>;

/// How a store is opened.
type OpenStore = fn(&Options) -> Result<Store, OpenError>;

impl Place {
    /// Opens what can be read of the store as it is, shows something of it, and says what is wrong
    /// with its log and its runs.
    fn look(self, show: impl FnOnce(&Store, &mut View) -> u8) -> u8 {
        self.show(Inspection::open_to_check, |inspection, view| {
            let code = show(inspection, view);
            let findings = inspection.log_findings();
            for finding in findings {
                tell(&plain(&CheckFinding::Log(finding.clone()).to_string()));
            }
            match code {
                OK if findings.iter().any(LogFinding::is_loss) => view.damaged(),
                code => code,
            }
        })
    }

    fn show(self, open: OpenStore, show: impl FnOnce(&Store, &mut View) -> u8) -> u8 {
        match self.open(open) {
            Ok((inspection, mut view)) => {
                let code = show(&inspection, &mut view);
                view.end(code)
            }
            Err(code) => code,
        }
    }

    /// Opens the store, changes dead letters, and says how many.
    fn change(self, word: &str, act: impl FnOnce(&mut Store) -> Result<u64, DiskError>) -> u8 {
        let (mut inspection, mut view) =
            match self.open(|options| Inspection::open(options, BackgroundThreads::One)) {
                Ok(opened) => opened,
                Err(code) => return code,
            };
        match act(&mut inspection) {
            Ok(count) => {
                view.lines.line(&match view.form {
                    OutputForm::Text => format!("{word} {count}"),
                    OutputForm::Json => ObjectWriter::new().number(word, count).end(),
                });
                view.end(OK)
            }
            Err(fault) => view.refuse(fault),
        }
    }

    /// Copies what can be read into another directory, and says what is missing.
    fn salvage(self, to: &Path) -> u8 {
        let form = self.form();
        let options = match self.options() {
            Ok(options) => options,
            Err(code) => return code,
        };
        let mut lines = OutputLines::begin();
        let salvaged = store::salvage_to(&options, to, &mut |finding: CheckFinding| {
            lines.line(&form.finding(&finding));
        });
        let salvaged = match salvaged {
            Ok(salvaged) => salvaged,
            Err(fault) => {
                lines.end();
                return refuse(&fault);
            }
        };
        lines.line(&form.salvaged(salvaged));
        let view = View { options, form, lines };
        let code = if salvaged.findings_count == 0 { OK } else { view.damaged() };
        view.end(code)
    }

    fn form(&self) -> OutputForm {
        if self.json { OutputForm::Json } else { OutputForm::Text }
    }

    fn options(self) -> Result<Options, u8> {
        let dir = self.store_dir.map(|dir| ("store.dir", dir));
        let inputs = Inputs { base: self.base, flags: dir.into_iter().collect() };
        Ok(inputs.resolve().map_err(|refusal| refusal.tell())?.store)
    }

    fn open(self, open: OpenStore) -> Result<(Store, View), u8> {
        let form = self.form();
        let options = self.options()?;
        let inspection = open(&options).map_err(|fault| refuse(&fault))?;
        Ok((inspection, View { options, form, lines: OutputLines::begin() }))
    }
}

impl View {
    fn end(self, code: u8) -> u8 {
        match self.lines.end() {
            OK => code,
            failed => failed,
        }
    }

    /// The store was open, and then the disk said no.
    fn refuse(&self, fault: DiskError) -> u8 {
        refuse(&disk_fault(self.options.dir.clone(), fault))
    }

    /// The exit code of a store in which something is lost.
    fn damaged(&self) -> u8 {
        let (dir, what) = (self.options.dir.clone(), String::new());
        OpenError::Damaged { dir, what }.exit_code()
    }
}

impl From<Selection> for DeadLetterFilter {
    fn from(selection: Selection) -> DeadLetterFilter {
        let Selection { channel, tenant, offset } = selection;
        match (channel, offset) {
            (None, _) => DeadLetterFilter::All,
            (Some(channel), None) => DeadLetterFilter::Channel { tenant, channel },
            (Some(channel), Some(offset)) => DeadLetterFilter::Letter { tenant, channel, offset },
        }
    }
}

fn check(inspection: &Store, view: &mut View) -> u8 {
    let (form, lines) = (view.form, &mut view.lines);
    let totals = inspection.check(&mut |finding: CheckFinding| lines.line(&form.finding(&finding)));
    match totals {
        Ok(totals) => {
            lines.line(&form.check_totals(totals));
            if totals.findings_count == 0 { OK } else { view.damaged() }
        }
        Err(fault) => view.refuse(fault),
    }
}

fn stats(inspection: &Store, view: &mut View) -> u8 {
    match inspection.stats() {
        Ok(stats) => {
            view.lines.line(&view.form.stats(&stats));
            OK
        }
        Err(fault) => view.refuse(fault),
    }
}

fn dump(inspection: &Store, view: &mut View, tenant: &str, channel: &str) -> u8 {
    let (form, lines) = (view.form, &mut view.lines);
    let mut show = |message: &Publication, reactions: &[GivenReaction]| {
        lines.line(&form.message(message, reactions));
    };
    match inspection.dump(tenant, channel, &mut show) {
        Ok(losses) if losses.is_empty() => OK,
        Ok(losses) => {
            for (first, last, loss) in losses {
                let (tenant, channel) = (tenant.into(), channel.into());
                let lost = CheckFinding::Lost { tenant, channel, first, last, loss };
                tell(&OutputForm::Text.finding(&lost));
            }
            view.damaged()
        }
        Err(DumpError::Unknown) => {
            let name = show::channel(tenant, channel);
            fail(FAILED, &format!("the store has no channel {name}; its tenant is part of it"))
        }
        Err(DumpError::Disk(fault)) => view.refuse(fault),
    }
}

fn list(inspection: &Store, view: &mut View, which: &DeadLetterFilter) -> u8 {
    let (form, lines) = (view.form, &mut view.lines);
    match inspection
        .dead_letters(which, &mut |dead_letter| lines.line(&form.dead_letter(dead_letter)))
    {
        Ok(_) => OK,
        Err(fault) => view.refuse(fault),
    }
}

/// A store was open, and then the disk said no.
fn disk_fault(dir: PathBuf, fault: DiskError) -> OpenError {
    match fault {
        DiskError::Full => OpenError::NoSpace(dir),
        DiskError::Broken => OpenError::System { dir, what: "a read or a write failed".into() },
        DiskError::Damaged => {
            OpenError::Damaged { dir, what: "what is needed cannot be read".into() }
        }
    }
}

fn refuse(fault: &OpenError) -> u8 {
    fail(fault.exit_code(), &fault.to_string())
}
