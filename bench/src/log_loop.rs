//! The bare loop over a log of our own: the same batches as `disk_loop` has, each durable.
//!
//! What a log does beside is done by its threads as it would be: spare segments, the manifest.
//! Everything is let go at once, so that segments are used again.
//!
//! Deliberately absent: whatever stands behind a log, such as sorted runs.

use std::collections::VecDeque;
use std::path::Path;

use rookery::base::{Csprng, Prng};
use rookery::log::{
    self, AppendError, AppendSync, LogBatch, LogCommand, LogCore, LogDisk as _, LogEvent, LogState,
    Partition,
};
use rookery::log_disk::{FileAccess, LogFiles, LogWorkers};

use crate::clock::Clock;
use crate::disk_loop::{Found, Options};
use crate::stats::Latency;

/// Batches after which what is durable is let go.
const LET_GO_BATCHES: u64 = 64;

/// How the log is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogUse {
    /// Its sizes.
    pub options: log::Options,
    /// Whether a second batch is begun while one is written.
    pub overlap: Overlap,
}

/// Batches under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// One, written by the thread that appends.
    #[default]
    None,
    /// As many as the log takes, written by threads of their own.
    Threads,
}

/// Runs it in a directory that must not exist yet, and removes that again. Also says how files
/// are written.
pub fn run(dir: &Path, options: Options, used: LogUse) -> Result<(Found, FileAccess), String> {
    let found = write(dir, options, used);
    if dir.exists() {
        std::fs::remove_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    found
}

fn write(dir: &Path, options: Options, used: LogUse) -> Result<(Found, FileAccess), String> {
    let mut files = LogFiles::take(dir).map_err(|error| error.to_string())?;
    let access = files.access();
    let lives = Csprng::from_key([1; 16]);
    let core = log::open(&mut files, used.options, lives);
    let core = core.map_err(|error| format!("{}: {error}", dir.display()))?;
    let workers = LogWorkers::start(&files, log::DEPTH).map_err(|error| error.to_string())?;
    let clock = Clock::start();
    let (syncs, batches) = (Latency::new(), Latency::new());
    let (commands, under_way) = (Vec::new(), VecDeque::new());
    let mut run = Run {
        files,
        core,
        workers,
        clock,
        commands,
        given_count: 0,
        under_way,
        syncs,
        batches,
        messages: 0,
    };
    run.make_spares()?;
    let began_ns = clock.ns();
    run.write_all(options, used)?;
    let ended_ns = clock.ns() - began_ns;
    let messages_per_s = run.messages as f64 * 1e9 / ended_ns as f64;
    let (sync, batch) = (run.syncs.summary(), run.batches.summary());
    Ok((Found { messages_per_s, sync, batch }, access))
}

/// A log with its threads.
struct Run {
    files: LogFiles,
    core: LogCore,
    workers: LogWorkers,
    clock: Clock,
    commands: Vec<LogCommand>,
    /// Commands that threads have.
    given_count: usize,
    /// When batches were begun, and their messages.
    under_way: VecDeque<(u64, u64)>,
    syncs: Latency,
    batches: Latency,
    messages: u64,
}

impl Run {
    /// A log that begins has none, and one that serves has.
    fn make_spares(&mut self) -> Result<(), String> {
        self.core.on_time(0, &mut self.commands);
        self.give_all()?;
        while 0 < self.given_count {
            self.wait()?;
        }
        Ok(())
    }

    fn write_all(&mut self, options: Options, used: LogUse) -> Result<(), String> {
        let mut prng = Prng::from_seed(1);
        let rooms: Vec<u128> = (0..options.batch_count).map(|_| prng.draw_u128()).collect();
        let mut record = vec![b'm'; 24 + options.message_bytes as usize];
        let mut batch = LogBatch::new(used.options.batch_bytes_max);
        let end_ns = self.clock.ns() + options.measure_ms * 1_000_000;
        let mut offset = 0;
        while self.clock.ns() < end_ns {
            offset += 1;
            batch.clear();
            let began_ns = self.clock.ns();
            for room in &rooms {
                record[..16].copy_from_slice(&room.to_be_bytes());
                record[16..24].copy_from_slice(&u64::to_be_bytes(offset));
                let partition = Partition::new((*room % 64) as u8).expect("it is below 64");
                // A batch of very many messages is as large as one may be.
                if batch.push(partition, &record).is_err() {
                    break;
                }
            }
            self.append(&mut batch, began_ns)?;
            if offset % LET_GO_BATCHES == 0 {
                self.core.on_time(self.clock.ns() / 1_000_000, &mut self.commands);
                self.core.let_go(self.core.tail(), &mut self.commands);
                self.give_all()?;
            }
            match used.overlap {
                Overlap::None => self.write_here()?,
                Overlap::Threads => self.give_all()?,
            }
            while used.overlap == Overlap::Threads && self.core.depth() <= self.under_way.len() {
                self.wait()?;
            }
        }
        Ok(())
    }

    /// Appends as soon as the log takes it.
    fn append(&mut self, batch: &mut LogBatch, began_ns: u64) -> Result<(), String> {
        loop {
            let last = self.core.last();
            match self.core.append(last, batch, AppendSync::Now, &mut self.commands) {
                Ok(_) => break,
                Err(AppendError::Busy) => {
                    self.give_all()?;
                    self.wait()?;
                }
                Err(error) => return Err(format!("the log takes no batch: {error:?}")),
            }
        }
        self.under_way.push_back((began_ns, u64::from(batch.record_count())));
        Ok(())
    }

    /// Writes batches in this thread, and gives all else to others.
    fn write_here(&mut self) -> Result<(), String> {
        while let Some(command) = self.commands.pop() {
            if !matches!(command, LogCommand::Write { .. }) {
                self.given_count += 1;
                self.workers.begin(command);
                continue;
            }
            let written_ns = self.clock.ns();
            let result = self.files.run(&command);
            self.syncs.record(self.clock.ns() - written_ns);
            self.on_event(command.answered(result))?;
        }
        while let Some(event) = self.workers.poll() {
            self.given_count -= 1;
            self.on_event(event)?;
        }
        self.give_all()
    }

    fn give_all(&mut self) -> Result<(), String> {
        for command in self.commands.drain(..) {
            self.given_count += 1;
            self.workers.begin(command);
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), String> {
        let event = self.workers.wait();
        self.given_count -= 1;
        self.on_event(event)?;
        self.give_all()
    }

    fn on_event(&mut self, event: LogEvent) -> Result<(), String> {
        self.core.on_event(event, &mut self.commands);
        while self.core.take_answered().is_some() {
            let (began_ns, messages) = self.under_way.pop_front().expect("it is under way");
            self.batches.record(self.clock.ns() - began_ns);
            self.messages += messages;
        }
        match self.core.state() {
            LogState::Serving => Ok(()),
            LogState::Closing | LogState::Closed | LogState::Failing | LogState::Ended => {
                Err("a command of the log failed".to_owned())
            }
        }
    }
}
