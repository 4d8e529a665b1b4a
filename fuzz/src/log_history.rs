//! A log as it is written: batches of any sizes, lives that end, and the words that were said.
//!
//! Deliberately absent: what happens to it at rest (`log_edits`).

use std::collections::BTreeMap;

use rookery::base::Csprng;
use rookery::log::{
    AppendSync, BATCH_BYTES_MAX, LogBatch, LogCommand, LogCore, LogDisk as _, LogPosition,
    LogState, Options, PARTITIONS, Partition, open,
};

use crate::choices::Choices;
use crate::log_disk::Disk;

/// Acts of a history.
const ACTS_MAX: u8 = 48;

/// A few batches fill a segment.
const SMALL: Options = Options {
    segment_pages: 16,
    segments_max: 12,
    batch_bytes_max: 12_000,
    undurable_pages_max: 8,
};

/// A segment is more than opening reads at a time.
const LARGE: Options = Options {
    segment_pages: 300,
    segments_max: 12,
    batch_bytes_max: BATCH_BYTES_MAX,
    undurable_pages_max: 140,
};

/// A record, as it was said.
pub type Said = (u8, Vec<u8>);

/// What was written, and where it lies.
pub struct History {
    /// The disk at rest.
    pub disk: Disk,
    /// The sizes.
    pub options: Options,
    /// The records of each batch that was appended.
    pub said: BTreeMap<u64, Vec<Said>>,
    /// Everything up to here was answered.
    pub answered: u64,
    /// Everything up to here may be gone.
    pub let_go: u64,
}

/// Lives of any kind.
pub fn lives(kind: u8) -> Csprng {
    Csprng::from_key([kind; 16])
}

impl History {
    /// One that is chosen.
    pub fn new(choices: &mut Choices<'_>) -> History {
        let options = if choices.byte() % 8 == 7 { LARGE } else { SMALL };
        let mut disk = Disk::default();
        let core = open(&mut disk, options, lives(0)).expect("a new log is opened");
        let said = BTreeMap::new();
        let history = History { disk, options, said, answered: 0, let_go: 0 };
        let mut writer = Writer { history, core, commands: Vec::new(), now_ms: 0, life_count: 0 };
        for _ in 0..choices.byte() % ACTS_MAX {
            writer.act(choices);
        }
        writer.stop(choices)
    }
}

/// A log that is open.
struct Writer {
    history: History,
    core: LogCore,
    commands: Vec<LogCommand>,
    now_ms: u64,
    life_count: u8,
}

impl Writer {
    fn act(&mut self, choices: &mut Choices<'_>) {
        match choices.byte() % 16 {
            0..=8 => self.append(choices, AppendSync::Now),
            9 | 10 => self.append(choices, AppendSync::Later),
            11 => {
                self.now_ms += 120;
                self.core.on_time(self.now_ms, &mut self.commands);
            }
            12 => self.core.sync(&mut self.commands),
            13 => {
                let kept = choices.below(32) as u64;
                let below = self.core.tail().sequence.saturating_sub(kept);
                self.history.let_go = self.history.let_go.max(below.saturating_sub(1));
                self.core.let_go(LogPosition::of_file(below), &mut self.commands);
            }
            14 => self.core.close(&mut self.commands),
            _ => self.reopen(),
        }
        while !self.commands.is_empty() {
            let command = self.commands.remove(0);
            let result = self.history.disk.run(&command);
            self.core.on_event(command.answered(result), &mut self.commands);
        }
        while let Some(position) = self.core.take_answered() {
            self.history.answered = self.history.answered.max(position.sequence);
        }
        if self.core.state() != LogState::Serving {
            assert_eq!(self.core.state(), LogState::Closed, "nothing fails");
            self.reopen();
        }
    }

    fn append(&mut self, choices: &mut Choices<'_>, sync: AppendSync) {
        let sequence = self.core.last().sequence + 1;
        let mut batch = LogBatch::new(self.history.options.batch_bytes_max);
        let mut records = Vec::new();
        for number in 0..choices.byte() % 4 {
            let bytes = match choices.byte() {
                // Around what a page and a batch have room for.
                byte @ 0..200 => usize::from(byte),
                byte @ 200..250 => 4_000 + usize::from(byte - 200) * 3,
                _ => self.history.options.batch_bytes_max as usize / 2,
            };
            let partition = (sequence as u8).wrapping_mul(7).wrapping_add(number) % PARTITIONS;
            let record: Vec<u8> =
                (0..bytes).map(|at| (at * 31 + at / 256) as u8 ^ number).collect();
            let pushed = Partition::new(partition).map(|partition| batch.push(partition, &record));
            if pushed == Some(Ok(())) {
                records.push((partition, record));
            }
        }
        let appended = self.core.append(self.core.last(), &mut batch, sync, &mut self.commands);
        if let Ok(position) = appended {
            assert_eq!(position, LogPosition::of_file(sequence));
            self.history.said.insert(sequence, records);
        }
    }

    /// As a process that ends and is started again.
    fn reopen(&mut self) {
        self.life_count += 1;
        let (disk, options) = (&mut self.history.disk, self.history.options);
        let last = self.core.last();
        match open(disk, options, lives(self.life_count)) {
            Ok(core) => {
                assert_eq!(core.last(), last, "all commands are over");
                self.core = core;
            }
            Err(error) => panic!("nothing was changed: {error}"),
        }
    }

    /// The process ends, perhaps while something is under way.
    fn stop(mut self, choices: &mut Choices<'_>) -> History {
        for _ in 0..choices.byte() % 3 {
            self.append(choices, AppendSync::Now);
        }
        for command in std::mem::take(&mut self.commands) {
            if choices.byte() % 2 == 1 {
                let done = self.history.disk.run(&command);
                assert_eq!(done, Ok(()), "there is space");
            }
        }
        self.history
    }
}
