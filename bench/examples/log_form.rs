//! A log in a directory, for readers that are not ours: `log_form write DIRECTORY` writes one and
//! prints its batches; `log_form open DIRECTORY` opens one and prints how that came out, and
//! `log_form behind-9 DIRECTORY` the same, where batches up to 9 are kept elsewhere.

use std::path::Path;

use rookery::base::Csprng;
use rookery::log::{
    AppendError, AppendSync, LogBatch, LogCommand, LogCore, LogDisk as _, LogOpenError,
    LogPosition, LogState, Options, Partition, open_behind,
};
use rookery::log_disk::LogFiles;

/// Small, so that a log has several segments soon.
const OPTIONS: Options = Options {
    segment_pages: 32,
    segments_max: 16,
    batch_bytes_max: 12_000,
    undurable_pages_max: 16,
};

/// Batches of each life. The last one is not closed.
const LIVES: [u64; 4] = [70, 1, 40, 7];

/// Batches that are kept when a life ends.
const KEPT: u64 = 60;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [action, directory] = &arguments[..] else { panic!("an action and a directory") };
    let directory = Path::new(directory);
    match action.as_str() {
        "write" => write(directory),
        "open" => tell(opened(directory, 99, 0)),
        other => match other.strip_prefix("behind-").and_then(|kept| kept.parse().ok()) {
            Some(kept) => tell(opened(directory, 98, kept)),
            None => panic!("write, open or behind-9, and not {other}"),
        },
    }
}

fn tell(opened: Result<(LogCore, LogFiles), LogOpenError>) {
    match opened {
        Ok((core, _)) => println!("opened {} {}", core.first().sequence, core.last().sequence),
        Err(error) => println!("refused: {error}"),
    }
}

fn opened(directory: &Path, life: u8, kept: u64) -> Result<(LogCore, LogFiles), LogOpenError> {
    let files = LogFiles::take(directory);
    let mut files = files.unwrap_or_else(|error| panic!("{error}"));
    let core = open_behind(&mut files, OPTIONS, Csprng::from_key([life; 16]), kept)?;
    Ok((core, files))
}

/// Each batch is printed, also one that is let go later: a reader begins behind those.
fn write(directory: &Path) {
    for (life, count) in (0..).zip(LIVES) {
        let (mut core, mut files) = opened(directory, life, 0).expect("nothing was changed");
        let mut commands = Vec::new();
        for _ in 0..count {
            let sequence = core.last().sequence + 1;
            let mut batch = batch(sequence);
            while let Err(error) =
                core.append(core.last(), &mut batch, AppendSync::Now, &mut commands)
            {
                assert_eq!(error, AppendError::Busy);
                run_all(&mut core, &mut files, &mut commands);
            }
            run_all(&mut core, &mut files, &mut commands);
            let record_bytes = batch.sealed_bytes() - 40 - 4 * batch.record_count() as usize;
            println!("batch 0/{sequence}: {} records, {record_bytes} bytes", batch.record_count());
        }
        let below = core.tail().sequence.saturating_sub(KEPT);
        core.let_go(LogPosition::of_file(below), &mut commands);
        run_all(&mut core, &mut files, &mut commands);
        if usize::from(life) + 1 < LIVES.len() {
            core.close(&mut commands);
            run_all(&mut core, &mut files, &mut commands);
            assert_eq!(core.state(), LogState::Closed);
        }
        println!("kept {} {}", core.first().sequence, core.last().sequence);
    }
}

/// None to four records, up to what a batch has room for.
fn batch(sequence: u64) -> LogBatch {
    let mut batch = LogBatch::new(OPTIONS.batch_bytes_max);
    for number in 0..sequence % 5 {
        let bytes = sequence * 911 % 2_900;
        let record: Vec<u8> = (0..bytes).map(|at| (sequence * 31 + at + number) as u8).collect();
        let partition = Partition::new((sequence % 64) as u8).expect("there are 64");
        batch.push(partition, &record).expect("four have room");
    }
    batch
}

fn run_all(core: &mut LogCore, files: &mut LogFiles, commands: &mut Vec<LogCommand>) {
    while !commands.is_empty() {
        let command = commands.remove(0);
        let result = files.run(&command);
        core.on_event(command.answered(result), commands);
    }
}
