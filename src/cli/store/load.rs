//! `rookery store load`: lines into a channel of a store that no server has open.
//!
//! How far it came stands in the store, with a sum of all lines so far, in the same commit as their
//! messages: so a load that was ended anywhere goes on with the same input, whether or not its lines
//! have ids. A line that is wrong ends it, behind what stands before it; when it was put right, the
//! same input goes on there.
//!
//! Deliberately absent: what a line says (`line`), and what a channel takes (`store::loading`).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand;
use clap::Args;

use super::line::read_line;
use super::show::{self, ObjectWriter, OutputForm};
use super::{Place, refuse};
use crate::base::Csprng;
use crate::cli::inputs::Inputs;
use crate::cli::output::{fail, print, tell};
use crate::cli::{FAILED, MISUSED};
use crate::clock::{now, unix_ms};
use crate::session::{ChannelKind, NameKey, namespace_of};
use crate::store::{
    self, ChannelLoader, DiskError, Durability, GapRule, LoadPosition, LoadTarget, LoadedMessage,
    LoadedReaction, OpenError, Options, Retention, StoreDisk, StoreLoader,
};
use crate::wire::{Epoch, channel_is_valid};

/// Bytes of a line, with its data in base64 and all that a terminal obeys escaped.
const LINE_BYTES_MAX: usize = 4 << 20;

/// How often it says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// What to load, and where to.
#[derive(Debug, Args)]
pub(super) struct LoadArguments {
    #[command(flatten)]
    place: Place,
    /// The channel; one that the store does not know begins with the first line.
    #[arg(long)]
    pub(super) channel: String,
    /// Its tenant.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) tenant: String,
    /// Where lines leave out offsets, put messages there that look taken back: a channel has no
    /// holes.
    #[arg(long)]
    fill_gaps: bool,
    /// Take all lines, and do not go on with an earlier load into this channel.
    #[arg(long)]
    new_input: bool,
    /// The lines, as `rookery store dump --json` prints them; without it, standard input.
    file: Option<PathBuf>,
}

/// A load that goes on.
struct Load<'a> {
    tenant: &'a str,
    names: NameKey,
    options: Options,
    gaps: GapRule,
    rules: Option<Retention>,
    channel: ChannelLoader<StoreDisk>,
    input: Input,
    count: LoadCount,
    told: Instant,
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default)]
struct LoadCount {
    /// Messages that are in the store.
    loaded: u64,
    /// Lines that an earlier load had taken.
    earlier: u64,
    /// The first offset of them.
    first: u64,
    /// The last one.
    last: u64,
    /// Messages that are older than the configuration keeps.
    old: u64,
    /// Messages of the batch at hand.
    batch: u64,
}

/// Why a load ends before its input does.
enum LoadEndError {
    /// A line is wrong, or the input: what is said, and its exit code.
    Said(u8, String),
    /// The disk says no.
    Disk(DiskError),
    /// There is no space for more.
    NoSpace,
}

/// Does it; the exit code of that.
pub(super) fn run(arguments: LoadArguments) -> u8 {
    match begin(&arguments) {
        Ok(mut load) => {
            let ended = load.earlier(&arguments).and_then(|()| load.lines());
            load.end(ended, &arguments)
        }
        Err(code) => code,
    }
}

fn begin(arguments: &LoadArguments) -> Result<Load<'_>, u8> {
    let LoadArguments { place, channel, tenant, fill_gaps, new_input: _, file } = arguments;
    let kind = ChannelKind::of(channel).filter(|_| channel_is_valid(channel));
    let Some(kind) = kind else {
        return Err(fail(MISUSED, "--channel: no channel can have this name"));
    };
    let dir = place.store_dir.clone().map(|dir| ("store.dir", dir));
    let inputs = Inputs { base: place.base.clone(), flags: dir.into_iter().collect() };
    let config = inputs.resolve().map_err(|refusal| refusal.tell())?;
    let rules = namespace_of(&config.shard.room.namespaces, channel);
    let rules = rules.and_then(|index| config.retention().get(usize::from(index)).copied());
    let has_rules = place.base.config.is_some() || place.base.dev;
    let rules = rules.filter(|_| has_rules);
    if has_rules && rules.is_none_or(|rules| rules.durability == Durability::Memory) {
        let name = show::channel(tenant, channel);
        tell(&format!(
            "by this configuration no message of {name} is kept on disk: no server with it will \
             show what is loaded"
        ));
    }
    let input = Input::open(file.as_ref()).map_err(|error| fail(FAILED, &error))?;
    let mut key = [0; 32];
    if rand::fill(&mut key).is_err() {
        return Err(fail(FAILED, "the system's generator cannot be asked"));
    }
    let options = config.store;
    let (new_name_key, mut chance) = halves(key);
    let disk = store::open(&Options { ignore_damage: false, ..options.clone() });
    let disk = disk.map_err(|fault| refuse(&fault))?;
    let loader = StoreLoader::open(disk, &options, new_name_key).map_err(|fault| refuse(&fault))?;
    let names = NameKey::from_bytes(loader.name_key());
    let parties = match kind {
        ChannelKind::Conversation(users) => Some(users.map(|user| names.inbox(tenant, user))),
        ChannelKind::Open | ChannelKind::Inbox(_) | ChannelKind::Listed(_) => None,
    };
    let target = LoadTarget {
        room: names.room(tenant, channel),
        tenant: tenant.as_str().into(),
        channel: channel.as_str().into(),
        parties,
        new_epoch: Epoch((chance.draw() as u32).max(1).into()),
    };
    let channel = loader.begin(target).map_err(|fault| refuse(&disk_fault(&options, fault)))?;
    let gaps = if *fill_gaps { GapRule::Fill } else { GapRule::Refuse };
    let (count, told) = (LoadCount::default(), now());
    Ok(Load { tenant, names, options, gaps, rules, channel, input, count, told })
}

fn halves(key: [u8; 32]) -> ([u8; 16], Csprng) {
    let half = |at: usize| std::array::from_fn(|index| key[at + index]);
    (half(0), Csprng::from_key(half(16)))
}

impl Load<'_> {
    /// Reads the lines that an earlier load has taken.
    fn earlier(&mut self, arguments: &LoadArguments) -> Result<(), LoadEndError> {
        let Some(position) = self.channel.position().filter(|_| !arguments.new_input) else {
            return Ok(());
        };
        while self.input.lines_count < position.lines_count {
            if self.input.next().map_err(said)?.is_none() {
                break;
            }
        }
        if self.input.position() == position {
            self.count.earlier = position.lines_count;
            return Ok(());
        }
        Err(said(format!(
            "{} lines were loaded into this channel before, and the first ones of this input are \
             others; give that input again, and it goes on; with --new-input all lines of this one \
             go behind what is there",
            position.lines_count
        )))
    }

    /// Loads all other lines.
    fn lines(&mut self) -> Result<(), LoadEndError> {
        loop {
            let before = self.input.position();
            let line = match self.input.next() {
                Ok(Some(line)) => line,
                Ok(None) => return self.commit(before),
                Err(what) => return self.stop(before, what),
            };
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if let Err(what) = self.line(&line) {
                return self.stop(before, what);
            }
            if self.channel.batch_is_full() {
                self.commit(self.input.position())?;
            }
        }
    }

    /// Puts the message of a line.
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let now_unix_ms = unix_ms();
        let read = read_line(line, now_unix_ms).map_err(|error| error.to_string());
        let put = read.and_then(|read| {
            let reactions = read.reactions.into_iter().map(|reaction| LoadedReaction {
                user: self.names.user_hash(self.tenant, &reaction.user),
                name: reaction.user,
                value: reaction.value,
            });
            let time_unix_ms = read.publication.time_unix_ms;
            let message =
                LoadedMessage { publication: read.publication, reactions: reactions.collect() };
            let put = self.channel.put(&message, self.gaps, now_unix_ms);
            put.map(|offset| (offset, time_unix_ms)).map_err(|error| error.to_string())
        });
        let (offset, time_unix_ms) =
            put.map_err(|what| format!("line {}: {what}", self.input.lines_count))?;
        let count = &mut self.count;
        count.batch += 1;
        if count.first == 0 {
            count.first = offset;
        }
        let age_ms_max = self.rules.map_or(u64::MAX, |rules| rules.age_ms_max);
        let is_old = time_unix_ms.saturating_add(age_ms_max) < now_unix_ms;
        count.old += u64::from(is_old);
        Ok(())
    }

    /// What was put is good, and what comes next is not.
    fn stop(&mut self, before: LoadPosition, what: String) -> Result<(), LoadEndError> {
        self.commit(before)?;
        Err(said(what))
    }

    fn commit(&mut self, position: LoadPosition) -> Result<(), LoadEndError> {
        if self.count.batch == 0 && self.channel.position() == Some(position) {
            return Ok(());
        }
        let capacity = self.channel.capacity().map_err(LoadEndError::Disk)?;
        let Options { disk_bytes_max, reserve_bytes, .. } = self.options;
        let used_bytes = capacity.used_bytes.saturating_add(reserve_bytes);
        let is_over = 0 < disk_bytes_max && disk_bytes_max < used_bytes;
        if 0 < self.count.batch && (is_over || capacity.free_bytes < reserve_bytes) {
            return Err(LoadEndError::NoSpace);
        }
        self.channel.commit(position, unix_ms()).map_err(|fault| match fault {
            DiskError::Full => LoadEndError::NoSpace,
            DiskError::Broken | DiskError::Damaged => LoadEndError::Disk(fault),
        })?;
        self.count.loaded += std::mem::take(&mut self.count.batch);
        self.count.last = self.channel.last_offset();
        if PROGRESS <= self.told.elapsed() {
            self.told = now();
            tell(&format!("{} messages are loaded", self.count.loaded));
        }
        Ok(())
    }

    /// Says what came of it; the exit code of that.
    fn end(self, ended: Result<(), LoadEndError>, arguments: &LoadArguments) -> u8 {
        let Load { options, channel, count, .. } = self;
        let LoadCount { loaded, earlier, first, last, old, batch: _ } = count;
        let (first, last) = if loaded == 0 { (0, 0) } else { (first, last) };
        let line = match arguments.place.form() {
            OutputForm::Text if loaded == 0 => format!("loaded 0 messages; {earlier} lines before"),
            OutputForm::Text => format!(
                "loaded {loaded} messages, at offsets {first} to {last}; {earlier} lines before"
            ),
            OutputForm::Json => ObjectWriter::new()
                .number("loaded", loaded)
                .number("lines_before", earlier)
                .number("first", first)
                .number("last", last)
                .end(),
        };
        if 0 < old {
            tell(&format!(
                "{old} of the messages are older than this configuration keeps any: a server with \
                 it removes them"
            ));
        }
        let closed = match &ended {
            Ok(()) | Err(LoadEndError::Said(..)) => channel.close().map(drop),
            // Nothing more is written there.
            Err(LoadEndError::Disk(_) | LoadEndError::NoSpace) => Ok(()),
        };
        let printed = print(&(line + "\n"));
        match ended.and(closed.map_err(LoadEndError::Disk)) {
            Ok(()) => printed,
            Err(LoadEndError::Said(code, what)) => fail(code, &what),
            Err(LoadEndError::Disk(fault)) => refuse(&disk_fault(&options, fault)),
            Err(LoadEndError::NoSpace) => fail(
                OpenError::NoSpace(options.dir.clone()).exit_code(),
                &format!(
                    "no space is left for more messages in {}, whose reserve stays free; what is \
                     loaded stays, and the same input goes on behind it",
                    options.dir.display()
                ),
            ),
        }
    }
}

fn said(what: String) -> LoadEndError {
    LoadEndError::Said(FAILED, what)
}

fn disk_fault(options: &Options, fault: DiskError) -> OpenError {
    super::disk_fault(options.dir.clone(), fault)
}

/// Lines, and what they come to so far.
struct Input {
    from: Box<dyn BufRead>,
    lines_count: u64,
    sum: Context,
}

impl Input {
    fn open(file: Option<&PathBuf>) -> Result<Input, String> {
        let from: Box<dyn BufRead> = match file {
            None => Box::new(BufReader::new(io::stdin())),
            Some(path) => {
                let file = File::open(path);
                let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
                Box::new(BufReader::new(file))
            }
        };
        Ok(Input { from, lines_count: 0, sum: Context::new(&SHA256) })
    }

    fn position(&self) -> LoadPosition {
        let digest = self.sum.clone().finish();
        let digest = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        LoadPosition { lines_count: self.lines_count, digest }
    }

    /// The next line, without its end; `None` behind the last one.
    fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut line = Vec::new();
        let number = self.lines_count + 1;
        let most = LINE_BYTES_MAX as u64 + 2;
        let read = (&mut self.from).take(most).read_until(b'\n', &mut line);
        read.map_err(|error| format!("line {number} cannot be read: {error}"))?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if LINE_BYTES_MAX < line.len() {
            return Err(format!("line {number}: it has more than {LINE_BYTES_MAX} bytes"));
        }
        self.lines_count = number;
        self.sum.update(&line);
        self.sum.update(b"\n");
        Ok(Some(line))
    }
}
