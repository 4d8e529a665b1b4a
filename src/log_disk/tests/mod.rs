//! The log over real files: what a file system has to say, and processes that are killed.

mod files;
mod kills;
mod small_disks;

use std::path::Path;

use super::*;
use crate::base::Csprng;
use crate::log::{
    AppendError, AppendSync, LogBatch, LogCommand, LogCore, LogDisk, LogOpenError, LogPosition,
    LogState, Options, PageBuffer, Partition, SealedBatch, SegmentId, open,
};

/// Small, so that a log has several segments soon.
const OPTIONS: Options = Options {
    segment_pages: 32,
    segments_max: 32,
    batch_bytes_max: 12_000,
    undurable_pages_max: 16,
};

fn lives(seed: u8) -> Csprng {
    Csprng::from_key([seed; 16])
}

/// What the record of this batch says.
fn record(sequence: u64) -> Vec<u8> {
    let bytes = (sequence * 37 % 9_000) as usize;
    (0..bytes).map(|at| (sequence as usize * 31 + at) as u8).collect()
}

fn batch(sequence: u64) -> LogBatch {
    let mut batch = LogBatch::new(OPTIONS.batch_bytes_max);
    let partition = Partition::new((sequence % 64) as u8).unwrap();
    batch.push(partition, &record(sequence)).unwrap();
    batch
}

/// Does commands one by one.
fn run_all(core: &mut LogCore, files: &mut LogFiles, commands: &mut Vec<LogCommand>) {
    while !commands.is_empty() {
        let command = commands.remove(0);
        let result = files.run(&command);
        core.on_event(command.answered(result), commands);
    }
}

/// Every batch that is kept says what it should; batches of the log's own say nothing.
fn check(core: &LogCore, files: &mut LogFiles) {
    let mut at = LogPosition::of_file(core.first().sequence - 1);
    while at < core.tail() {
        let plan = core.read_plan(at, 100_000).unwrap();
        let mut pages = PageBuffer::zeroed(plan.pages());
        files.read(plan.segment(), plan.page(), pages.bytes_mut()).unwrap();
        for sealed in plan.batches(pages.bytes()).unwrap() {
            let sealed = SealedBatch::parse(&sealed).unwrap();
            at = sealed.position();
            for found in sealed.records() {
                let (partition, bytes) = found.unwrap();
                assert_eq!(partition.number(), (at.sequence % 64) as u8);
                assert_eq!(bytes, record(at.sequence), "{at:?}");
            }
        }
    }
}

fn entries(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}
