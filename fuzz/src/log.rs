//! Recovery of a log that something changed while it lay on its disk.

use rookery::log::{
    AppendError, AppendSync, LogBatch, LogCommand, LogCore, LogDisk as _, LogOpenError,
    LogPosition, LogState, PageBuffer, Partition, SealedBatch, open,
};

use crate::choices::Choices;
use crate::log_disk::Disk;
use crate::log_edits::{Knowledge, edit};
use crate::log_forgery::{durable_of, generation_of, segment_pages_of, segments_of};
use crate::log_history::{History, Said, lives};

/// Changes of one log.
const EDITS_MAX: usize = 16;

/// Numbers that a log comes to, and not only one who forges them.
const NUMBER_MAX: u64 = 1 << 60;

/// First a history, then what is changed in it. A log that nobody changed is opened with all that
/// was answered. Whatever was changed: no panic; opening reads each page a bounded number of times
/// and writes no more than a segment; what it opens is read as whole batches, each behind the one
/// before; and it goes on, and is the same when it is opened once more. Who does not know the lives
/// can take nothing that the manifest vouches for, nor put a word into it.
pub fn log_recovery(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let history = History::new(&mut choices);
    let mut disk = history.disk.clone();
    let core = open_counted(&mut disk, &history);
    let core = core.unwrap_or_else(|error| panic!("nothing was changed: {error}"));
    assert!(history.answered <= core.last().sequence, "an answer is lost");
    assert!(core.first().sequence <= history.let_go + 1, "what was kept is gone");
    check_said(&read_back(&core, &mut disk), &history);
    go_on(core, &mut disk, &history);

    let mut disk = history.disk.clone();
    let vouched = disk.manifest.iter().map(|place| durable_of(place)).min().unwrap_or(0);
    let mut knowledge = Knowledge::None;
    for _ in 0..EDITS_MAX {
        if choices.are_over() {
            break;
        }
        if edit(&mut disk, &mut choices) == Knowledge::Lives {
            knowledge = Knowledge::Lives;
        }
    }
    let Ok(core) = open_counted(&mut disk, &history) else { return };
    let found = read_back(&core, &mut disk);
    if knowledge == Knowledge::None {
        assert!(vouched <= core.last().sequence, "what was durable is gone");
        check_said(&found, &history);
    }
    go_on(core, &mut disk, &history);
}

/// Opens it, and looks at what that asked of the disk.
fn open_counted(disk: &mut Disk, history: &History) -> Result<LogCore, LogOpenError> {
    let most =
        |of: fn(&[u8]) -> u64| disk.manifest.iter().map(|place| of(place)).max().unwrap_or(0);
    let named = most(|place| segments_of(place) as u64);
    let pages = most(segment_pages_of).max(history.options.segment_pages.into());
    disk.take_asked();
    let opened = open(disk, history.options, lives(u8::MAX));
    let asked = disk.take_asked();
    // What lies across two pieces is read again, and so is what is written anew.
    let pieces = if pages <= 256 { 1 } else { 2 };
    let read_max = (named * pieces + 1) * pages + 64 + 1;
    assert!(asked.pages_read <= read_max, "{} pages of {named} segments", asked.pages_read);
    assert!(asked.pages_written <= pages && asked.segments_made <= 1);
    assert!(asked.manifests_written <= 4);
    opened
}

/// All batches, which are whole and follow each other.
fn read_back(core: &LogCore, disk: &mut Disk) -> Vec<(u64, Vec<Said>)> {
    let mut found = Vec::new();
    let mut after = LogPosition::of_file(core.first().sequence - 1);
    let mut seal = None;
    assert_eq!(core.last(), core.tail(), "what was opened is durable");
    while after < core.tail() {
        let plan = core.read_plan(after, 60_000).expect("it is there");
        let mut pages = PageBuffer::zeroed(plan.pages());
        let read = disk.read(plan.segment(), plan.page(), pages.bytes_mut());
        read.expect("opening has read it");
        for sealed in plan.batches(pages.bytes()).expect("opening has looked at it") {
            let sealed = SealedBatch::parse(&sealed).expect("so has the plan");
            assert_eq!(sealed.position().sequence, after.sequence + 1);
            assert!(seal.is_none_or(|seal| seal == sealed.previous()));
            seal = Some(sealed.seal());
            after = LogPosition::of_file(sealed.position().sequence);
            let records = sealed.records().map(|record| record.expect("it is parsed"));
            let records = records.map(|(partition, bytes)| (partition.number(), bytes.to_vec()));
            found.push((after.sequence, records.collect()));
        }
    }
    assert_eq!(after, core.tail());
    found
}

/// Every batch says what was appended; those that carry a mark alone say nothing.
fn check_said(found: &[(u64, Vec<Said>)], history: &History) {
    for (sequence, records) in found {
        let said = history.said.get(sequence);
        assert!(said.map_or(records.is_empty(), |said| said == records), "batch {sequence}");
    }
}

/// What was opened takes another batch, and is found again with it.
fn go_on(mut core: LogCore, disk: &mut Disk, history: &History) {
    let generation = disk.manifest.iter().map(|place| generation_of(place)).max();
    if generation.max(Some(core.last().sequence)) > Some(NUMBER_MAX) {
        return;
    }
    let before = read_back(&core, disk);
    let mut batch = LogBatch::new(history.options.batch_bytes_max);
    let partition = Partition::new(1).expect("there are more");
    batch.push(partition, b"and another one").expect("there is room");
    let mut commands = Vec::new();
    let appended = core.append(core.last(), &mut batch, AppendSync::Now, &mut commands);
    run_all(&mut core, disk, &mut commands);
    match appended {
        Ok(position) => assert_eq!(core.take_answered(), Some(position)),
        // Where it is opened in a segment that has no room, the next one is not there yet.
        Err(error) => assert!(matches!(error, AppendError::Busy | AppendError::Full), "{error:?}"),
    }
    core.close(&mut commands);
    run_all(&mut core, disk, &mut commands);
    assert_eq!(core.state(), LogState::Closed);
    let again = open_counted(disk, history);
    let again = again.unwrap_or_else(|error| panic!("it was closed: {error}"));
    assert_eq!(again.last(), core.last());
    let mut found = read_back(&again, disk);
    if appended.is_ok() {
        let last = found.pop().expect("it was answered");
        assert_eq!(last.1, [(1, b"and another one".to_vec())]);
    }
    assert!(found == before, "it is another log when it is opened once more");
}

fn run_all(core: &mut LogCore, disk: &mut Disk, commands: &mut Vec<LogCommand>) {
    while !commands.is_empty() {
        let command = commands.remove(0);
        let result = disk.run(&command);
        core.on_event(command.answered(result), commands);
    }
}
