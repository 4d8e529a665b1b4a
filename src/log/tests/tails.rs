//! Torn tails and damage, told apart: a model knows each page that was written by all of its
//! bytes, and so what has to come of any mixture of old and new sectors, without heads or sums.
//!
//! Messages are made of pages that stand in the log, at any alignment.
//! `LOG_TAILS=200000 LOG_TAILS_FROM=0 cargo test --release --lib log::tests::tails` tries more.

use std::collections::BTreeMap;

use super::drive::{Drive, DriveFaults};
use super::manifest::Manifest;
use super::two_places::{ChosenManifest, HasFiles, choose};
use super::*;

const HEALTHY: DriveFaults = DriveFaults { fail: 0, unreadable: 0, segments: 99 };

/// A page as it was written in the life that counts.
struct Written {
    bytes: Vec<u8>,
    sequence: u64,
    mark: u64,
}

/// Everything that was written.
#[derive(Default)]
struct Ledger {
    pages: BTreeMap<(SegmentId, u32), Written>,
    /// Up to where all was durable.
    durable: u64,
    last: u64,
}

impl Ledger {
    /// Notes what a command writes. `mark` is what was durable when it was made.
    fn note(&mut self, command: &LogCommand, mark: u64) {
        let LogCommand::Write { segment, page, pages, sequence, .. } = command else { return };
        if *page == 0 {
            // The segment has another life.
            self.pages.retain(|(id, _), _| id != segment);
        }
        for (number, bytes) in pages.bytes().chunks(PAGE_BYTES).enumerate() {
            let written = Written { bytes: bytes.to_vec(), sequence: *sequence, mark };
            self.pages.insert((*segment, page + number as u32), written);
        }
        self.last = self.last.max(*sequence);
    }

    /// What opening has to say: the last batch, or the one that is damaged.
    fn expected(&self, drive: &mut Drive) -> Result<u64, u64> {
        let places = ManifestPlace::ALL.map(|place| drive.read_manifest(place).unwrap());
        let manifest = choose::<Manifest>(&places[0], &places[1], HasFiles::Some);
        let Ok(ChosenManifest::Found(manifest, _)) = manifest else { panic!("it is there") };
        let mut broken = self.last + 1;
        let mut mark = manifest.durable;
        // Pages of what was let go may still be there, in segments that are spare or come next.
        let first = manifest.segments.first().and_then(|entry| entry.first).unwrap_or(1);
        for ((segment, page), written) in &self.pages {
            if written.sequence < first {
                continue;
            }
            if drive.page_mut(*segment, *page) == &written.bytes[..] {
                mark = mark.max(written.mark);
            } else {
                broken = broken.min(written.sequence);
            }
        }
        if broken <= mark { Err(broken) } else { Ok(broken - 1) }
    }
}

/// A log with a tail of batches under way, when the power was cut.
fn cut_log(prng: &mut Prng) -> (Drive, Ledger) {
    let mut drive = Drive::new(prng.draw(), HEALTHY);
    let mut ledger = Ledger::default();
    // Earlier lives leave pages in segments that are used again.
    for life in 0..1 + prng.below(3) {
        let mut core = open(&mut drive, OPTIONS, lives(prng)).unwrap();
        let mut now_ms = 0;
        let mut commands = Vec::new();
        let batches = if life == 0 { 10 } else { 1 + prng.below(30) };
        for _ in 0..batches {
            append(&mut core, &drive, prng, &mut commands, &mut ledger);
            now_ms += prng.below(60);
            let (before, mark) = (commands.len(), core.tail().sequence);
            core.on_time(now_ms, &mut commands);
            commands[before..].iter().for_each(|command| ledger.note(command, mark));
            let below = core.tail().sequence.saturating_sub(12);
            core.let_go(LogPosition::of_file(below), &mut commands);
            ledger.run(&mut drive, &mut core, &mut commands, prng.below(4));
        }
        let is_closed = prng.percent(40);
        if is_closed {
            core.close(&mut commands);
            ledger.run(&mut drive, &mut core, &mut commands, u64::MAX);
            assert_eq!(core.state(), LogState::Closed);
        } else {
            // What is under way now is torn.
            append(&mut core, &drive, prng, &mut commands, &mut ledger);
            ledger.durable = core.tail().sequence;
        }
        drive.power_cut(&commands);
        if life == 0 && !is_closed {
            break;
        }
        if !is_closed {
            return (drive, ledger);
        }
    }
    (drive, ledger)
}

fn append(
    core: &mut LogCore,
    drive: &Drive,
    prng: &mut Prng,
    commands: &mut Vec<LogCommand>,
    ledger: &mut Ledger,
) {
    let mut batch = LogBatch::new(OPTIONS.batch_bytes_max);
    for _ in 0..prng.below(4) {
        let page = drive.some_page(prng);
        let from = prng.below(page.len().min(64) as u64 + 1) as usize;
        let _ = batch.push(Partition::new(0).unwrap(), &page[from..]);
    }
    let sync = if prng.percent(60) { AppendSync::Now } else { AppendSync::Later };
    let mark = core.tail().sequence;
    let before = commands.len();
    let _ = core.append(core.last(), &mut batch, sync, commands);
    commands[before..].iter().for_each(|command| ledger.note(command, mark));
}

impl Ledger {
    /// Does so many commands in their order, and what follows from them.
    fn run(
        &mut self,
        drive: &mut Drive,
        core: &mut LogCore,
        commands: &mut Vec<LogCommand>,
        count: u64,
    ) {
        for _ in 0..count {
            if commands.is_empty() {
                break;
            }
            let command = commands.remove(0);
            let result = drive.run(&command);
            let before = commands.len();
            core.on_event(command.answered(result), commands);
            let mark = core.tail().sequence;
            commands[before..].iter().for_each(|command| self.note(command, mark));
        }
        self.durable = core.tail().sequence;
    }
}

/// Damages durable pages: flipped bits, zeros, another page, or one of an earlier moment.
fn damage(drive: &mut Drive, ledger: &Ledger, prng: &mut Prng) {
    let places: Vec<(SegmentId, u32)> = ledger.pages.keys().copied().collect();
    let Some(drawn) = places.get(prng.below(places.len() as u64) as usize) else { return };
    let other = drive.some_page(prng);
    let (segment, page) = *drawn;
    let bytes = drive.page_mut(segment, page);
    match prng.below(3) {
        0 => bytes[prng.below(PAGE_BYTES as u64) as usize] ^= 1 << prng.below(8),
        1 => bytes.fill(0),
        _ if other.len() == PAGE_BYTES => bytes.copy_from_slice(&other),
        _ => bytes[0] ^= 1,
    }
}

#[test]
fn torn_tails_are_cut_and_damage_is_refused() {
    let (mut cut, mut torn, mut damaged) = (0, 0, 0);
    for seed in runs("LOG_TAILS", 200) {
        let mut prng = Prng::from_seed(seed);
        let (mut drive, ledger) = cut_log(&mut prng);
        let is_damaged = prng.percent(40);
        if is_damaged {
            damage(&mut drive, &ledger, &mut prng);
        }
        let expected = ledger.expected(&mut drive);
        drive.settle();
        let found = open(&mut drive, OPTIONS, lives(&mut prng));
        match (expected, found) {
            (Ok(last), Ok(core)) => {
                assert_eq!(core.last().sequence, last, "seed {seed}");
                assert!(is_damaged || ledger.durable <= last, "seed {seed}: an answer is lost");
                cut += 1;
                torn += u64::from(last < ledger.last);
            }
            (Err(wanted), Err(LogOpenError::Damaged { sequence, .. })) => {
                assert!(is_damaged, "seed {seed}: a torn tail was taken for damage");
                assert_eq!(sequence, wanted, "seed {seed}");
                damaged += 1;
            }
            (expected, found) => panic!("seed {seed}: {found:?} instead of {expected:?}"),
        }
    }
    println!("figure\ttails\t{cut} opened, {torn} of them cut, {damaged} refused");
}
