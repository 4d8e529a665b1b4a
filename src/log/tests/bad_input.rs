//! What may be wrong with a log at rest, and what opening says to it.

use super::drive::{Drive, DriveFaults};
use super::manifest::Manifest;
use super::page::{into_pages, read_batch, read_head};
use super::two_places::{ChosenManifest, HasFiles, choose};
use super::*;

const HEALTHY: DriveFaults = DriveFaults { fail: 0, unreadable: 0, segments: 99 };

/// A closed log with this many batches of one record, a page each.
fn closed_log(batches: u64) -> Drive {
    closed_log_of(batches, 0)
}

/// One in the same lives as all others, with other words.
fn closed_log_of(batches: u64, word: u8) -> Drive {
    let mut drive = Drive::new(1, HEALTHY);
    let mut core = reopen(&mut drive).unwrap();
    let mut commands = Vec::new();
    for number in 0..batches {
        append(&mut core, &mut drive, &mut commands, number as u8 ^ word).unwrap();
    }
    core.close(&mut commands);
    run_all(&mut core, &mut drive, &mut commands);
    assert_eq!(core.state(), LogState::Closed);
    drive
}

fn reopen(drive: &mut Drive) -> Result<LogCore, LogOpenError> {
    open(drive, OPTIONS, lives(&mut Prng::from_seed(7)))
}

fn append(
    core: &mut LogCore,
    drive: &mut Drive,
    commands: &mut Vec<LogCommand>,
    byte: u8,
) -> Result<LogPosition, AppendError> {
    let mut batch = LogBatch::new(OPTIONS.batch_bytes_max);
    batch.push(Partition::new(byte % PARTITIONS).unwrap(), &[byte; 9]).unwrap();
    let appended = core.append(core.last(), &mut batch, AppendSync::Now, commands);
    run_all(core, drive, commands);
    appended
}

fn run_all(core: &mut LogCore, drive: &mut Drive, commands: &mut Vec<LogCommand>) {
    while !commands.is_empty() {
        let command = commands.remove(0);
        let result = drive.run(&command);
        core.on_event(command.answered(result), commands);
    }
}

/// The segments of the log, in order.
fn segments(drive: &mut Drive) -> Vec<SegmentId> {
    let bytes = drive.read_manifest(ManifestPlace::First).unwrap();
    let entries = bytes[48..].chunks(40).take(batch::u32_at(&bytes, 40) as usize);
    entries.map(|entry| SegmentId(batch::u32_at(entry, 0))).collect()
}

#[test]
fn a_log_that_is_whole_is_opened_again_and_again() {
    let mut drive = closed_log(40);
    for _ in 0..30 {
        let core = reopen(&mut drive).unwrap();
        assert_eq!((core.last().sequence, core.tail().sequence), (40, 40));
        assert_eq!(core.first().sequence, 1);
    }
    assert!(drive.segment_ids().len() <= 7, "a start takes no segment for good");
}

#[test]
fn a_segment_that_is_missing_is_named() {
    let mut drive = closed_log(40);
    let lost = segments(&mut drive)[1];
    drive.remove_segment(lost);
    assert_eq!(reopen(&mut drive).err(), Some(LogOpenError::Missing(lost)));
}

#[test]
fn segments_that_changed_places_are_damage() {
    let mut drive = closed_log(40);
    let found = segments(&mut drive);
    drive.swap_segments(found[0], found[1]);
    let wanted = LogOpenError::Damaged { segment: found[0], page: 0, sequence: 1 };
    assert_eq!(reopen(&mut drive).err(), Some(wanted));
}

#[test]
fn a_segment_of_another_log_is_damage() {
    let mut drive = closed_log(40);
    let mut other = Drive::new(2, HEALTHY);
    let mut core = open(&mut other, OPTIONS, lives(&mut Prng::from_seed(8))).unwrap();
    for number in 0..40 {
        append(&mut core, &mut other, &mut Vec::new(), number).unwrap();
    }
    let (found, from) = (segments(&mut drive)[0], segments(&mut other)[0]);
    drive.bring_segment(found, &other, from);
    let wanted = LogOpenError::Damaged { segment: found, page: 0, sequence: 1 };
    assert_eq!(reopen(&mut drive).err(), Some(wanted));
}

/// What no sum tells the chain does: each batch names the one before.
#[test]
fn a_batch_that_does_not_follow_the_one_before_is_damage() {
    let (mut drive, mut twin) = (closed_log(40), closed_log_of(40, 64));
    let found = segments(&mut drive);
    let page = twin.page_mut(found[0], 3).to_vec();
    drive.page_mut(found[0], 3).copy_from_slice(&page);
    drive.settle();
    let wanted = LogOpenError::Damaged { segment: found[0], page: 3, sequence: 4 };
    assert_eq!(reopen(&mut drive).err(), Some(wanted));
    let mut drive = closed_log(40);
    twin.settle();
    drive.bring_segment(found[0], &twin, found[0]);
    let sequence = u64::from(OPTIONS.segment_pages) + 1;
    let wanted = LogOpenError::Damaged { segment: found[1], page: 0, sequence };
    assert_eq!(reopen(&mut drive).err(), Some(wanted));
}

#[test]
fn a_manifest_of_zeros_over_segments_is_refused() {
    let mut drive = closed_log(40);
    ManifestPlace::ALL.iter().for_each(|place| drive.manifest_mut(*place).fill(0));
    assert_eq!(reopen(&mut drive).err(), Some(LogOpenError::NoManifest));
    let mut drive = closed_log(40);
    ManifestPlace::ALL.iter().for_each(|place| drive.manifest_mut(*place).clear());
    assert_eq!(reopen(&mut drive).err(), Some(LogOpenError::NoManifest));
}

/// Each place has all that was ever relied on.
#[test]
fn either_place_of_the_manifest_is_enough() {
    for place in ManifestPlace::ALL {
        let mut drive = closed_log(40);
        drive.manifest_mut(place).fill(9);
        assert_eq!(reopen(&mut drive).unwrap().last().sequence, 40, "{place:?}");
    }
}

/// Also while the log serves, when segments have come that an older manifest does not name: with
/// few batches none has come since it was opened.
#[test]
fn either_place_of_the_manifest_names_every_segment_with_an_answer() {
    for (place, batches) in ManifestPlace::ALL.map(|place| [(place, 5), (place, 25)]).concat() {
        let mut drive = closed_log(40);
        for life in 0..4 {
            let mut core = reopen(&mut drive).unwrap();
            assert_eq!(core.last().sequence, 40 + batches * life, "{place:?}, {batches}");
            for number in 0..batches {
                append(&mut core, &mut drive, &mut Vec::new(), number as u8).unwrap();
            }
            let below = core.tail().sequence - 20;
            let mut commands = Vec::new();
            core.let_go(LogPosition::of_file(below), &mut commands);
            run_all(&mut core, &mut drive, &mut commands);
            if life == 3 || batches == 5 {
                drive.manifest_mut(place).fill(9);
            }
        }
        let last = reopen(&mut drive).unwrap().last().sequence;
        assert_eq!(last, 40 + batches * 4, "{place:?}, {batches}");
    }
}

/// Nobody knows what it means, so nothing is answered by it.
#[test]
fn what_succeeds_behind_a_failure_answers_nothing() {
    let mut drive = Drive::new(1, HEALTHY);
    let mut core = reopen(&mut drive).unwrap();
    let mut commands = Vec::new();
    let mut sent = Vec::new();
    for _ in 0..2 {
        let mut batch = LogBatch::new(OPTIONS.batch_bytes_max);
        core.append(core.last(), &mut batch, AppendSync::Now, &mut commands).unwrap();
        let is_write = |command: &LogCommand| matches!(command, LogCommand::Write { .. });
        sent.extend(commands.drain(..).filter(is_write));
    }
    core.on_event(sent[1].answered(Err(LogDiskError::Failed)), &mut commands);
    core.on_event(sent[0].answered(Ok(())), &mut commands);
    assert_eq!((core.tail().sequence, core.take_answered()), (0, None));
    let found = core.append(core.last(), &mut LogBatch::new(0), AppendSync::Now, &mut commands);
    assert_eq!(found, Err(AppendError::Ended));
}

#[test]
fn segments_of_another_size_are_used_as_they_are_or_refused() {
    let mut drive = closed_log(40);
    let larger = Options { segment_pages: 64, ..OPTIONS };
    let core = open(&mut drive, larger, lives(&mut Prng::from_seed(7))).unwrap();
    assert_eq!(core.last().sequence, 40);
    let unfit = Options { segment_pages: 64, undurable_pages_max: 32, ..OPTIONS };
    let found = open(&mut drive, unfit, lives(&mut Prng::from_seed(7))).err();
    assert_eq!(found, Some(LogOpenError::SegmentPages(16)));
}

#[test]
fn what_cannot_be_read_is_not_taken_for_torn() {
    let mut drive = closed_log(3);
    let mut core = reopen(&mut drive).unwrap();
    append(&mut core, &mut drive, &mut Vec::new(), 1).unwrap();
    drive.set_faults(DriveFaults { unreadable: 60, ..HEALTHY });
    let mut unreadable = 0;
    for _ in 0..50 {
        match reopen(&mut drive) {
            Ok(core) => assert_eq!(core.last().sequence, 4),
            Err(LogOpenError::Unreadable { .. }) => unreadable += 1,
            Err(error) => assert_eq!(error, LogOpenError::Disk),
        }
    }
    assert!(0 < unreadable);
}

#[test]
fn a_full_disk_refuses_batches_and_can_still_end_lives() {
    let space = |segments| DriveFaults { segments, ..HEALTHY };
    let mut drive = Drive::new(1, space(4));
    let mut core = reopen(&mut drive).unwrap();
    let mut commands = Vec::new();
    let mut taken = 0;
    while append(&mut core, &mut drive, &mut commands, 1).is_ok() {
        taken += 1;
    }
    assert_eq!(append(&mut core, &mut drive, &mut commands, 1), Err(AppendError::Full));
    assert_eq!(taken, 2 * u64::from(OPTIONS.segment_pages), "two of four are reserved");
    for _ in 0..2 {
        drop(core);
        core = reopen(&mut drive).unwrap();
        assert_eq!(core.last().sequence, taken);
        assert!(append(&mut core, &mut drive, &mut commands, 2).is_ok());
        taken += 1;
    }
    assert_eq!(reopen(&mut drive).err(), Some(LogOpenError::Full));
    core.let_go(core.tail(), &mut commands);
    run_all(&mut core, &mut drive, &mut commands);
    while taken < 200 {
        let tail = core.tail();
        core.let_go(tail, &mut commands);
        run_all(&mut core, &mut drive, &mut commands);
        append(&mut core, &mut drive, &mut commands, 3).unwrap();
        taken += 1;
    }
}

/// Who may not have more segments is opened all the same, and then lets go.
#[test]
fn a_log_with_all_of_its_segments_is_opened_and_lets_go() {
    let mut drive = Drive::new(1, HEALTHY);
    let mut core = reopen(&mut drive).unwrap();
    let mut commands = Vec::new();
    while append(&mut core, &mut drive, &mut commands, 1).is_ok() {}
    let last = core.last();
    for _ in 0..20 {
        core = reopen(&mut drive).unwrap();
        // A life with a batch of its own keeps its segment.
        append(&mut core, &mut drive, &mut commands, 2).unwrap();
    }
    assert!(OPTIONS.segments_max < drive.segment_ids().len() as u32);
    for _ in 0..100 {
        core.let_go(core.tail(), &mut commands);
        run_all(&mut core, &mut drive, &mut commands);
        append(&mut core, &mut drive, &mut commands, 3).unwrap();
    }
    assert_eq!(core.last().sequence, last.sequence + 120);
}

#[test]
fn a_batch_behind_another_one_than_the_last_is_refused() {
    let mut drive = closed_log(3);
    let mut core = reopen(&mut drive).unwrap();
    let mut batch = LogBatch::new(OPTIONS.batch_bytes_max);
    let mut commands = Vec::new();
    for wrong in [2, 4] {
        let expected = LogPosition::of_file(wrong);
        let found = core.append(expected, &mut batch, AppendSync::Now, &mut commands);
        assert_eq!(found, Err(AppendError::NotLast(LogPosition::of_file(3))));
    }
    let mut appended = 0;
    while core.append(core.last(), &mut batch, AppendSync::Now, &mut commands).is_ok() {
        appended += 1;
    }
    assert_eq!(appended, core.depth());
    let found = core.append(core.last(), &mut batch, AppendSync::Now, &mut commands);
    assert_eq!(found, Err(AppendError::Busy));
    core.close(&mut commands);
    let found = core.append(core.last(), &mut batch, AppendSync::Now, &mut commands);
    assert_eq!(found, Err(AppendError::Ended));
}

/// Without it, damage to the last batch would pass for a torn tail for ever.
#[test]
fn a_quiet_log_writes_the_mark_of_its_last_batch_once() {
    let mut drive = closed_log(3);
    let mut core = reopen(&mut drive).unwrap();
    let mut commands = Vec::new();
    core.on_time(1_000, &mut commands);
    run_all(&mut core, &mut drive, &mut commands);
    assert_eq!(core.last().sequence, 3, "the manifest has the mark");
    append(&mut core, &mut drive, &mut commands, 1).unwrap();
    core.on_time(1_099, &mut commands);
    run_all(&mut core, &mut drive, &mut commands);
    assert_eq!(core.last().sequence, 4);
    for now_ms in [1_100, 1_300, 9_999] {
        core.on_time(now_ms, &mut commands);
        run_all(&mut core, &mut drive, &mut commands);
        assert_eq!((core.last().sequence, core.tail().sequence), (5, 5), "{now_ms}");
    }
    assert_eq!(core.take_answered(), Some(LogPosition::of_file(4)));
    assert_eq!(core.take_answered(), None, "nobody asked for the mark");
    drop(core);
    let active = *segments(&mut drive).last().unwrap();
    drive.power_cut(&[]);
    drive.page_mut(active, 0)[100] ^= 1;
    drive.settle();
    let wanted = LogOpenError::Damaged { segment: active, page: 0, sequence: 4 };
    assert_eq!(reopen(&mut drive).err(), Some(wanted));
}

/// Damage in a batch that is the last of a segment is told by marks in the next one.
#[test]
fn damage_at_the_end_of_a_segment_is_damage() {
    let mut drive = Drive::new(1, HEALTHY);
    let mut core = reopen(&mut drive).unwrap();
    let mut commands = Vec::new();
    for number in 0..2 * OPTIONS.segment_pages {
        append(&mut core, &mut drive, &mut commands, number as u8).unwrap();
    }
    let first = segments(&mut drive)[0];
    let last_page = OPTIONS.segment_pages - 1;
    drive.power_cut(&[]);
    drive.page_mut(first, last_page)[0] ^= 1;
    drive.settle();
    let sequence = u64::from(OPTIONS.segment_pages);
    let wanted = LogOpenError::Damaged { segment: first, page: last_page, sequence };
    assert_eq!(reopen(&mut drive).err(), Some(wanted));
}

/// Opening reads a piece of a segment at a time, and a batch may lie across two of them.
#[test]
fn batches_lie_across_what_is_read_at_a_time() {
    let options = Options {
        segment_pages: 700,
        batch_bytes_max: BATCH_BYTES_MAX,
        undurable_pages_max: 300,
        ..OPTIONS
    };
    let mut drive = Drive::new(1, HEALTHY);
    let mut core = open(&mut drive, options, lives(&mut Prng::from_seed(1))).unwrap();
    let mut commands = Vec::new();
    for number in 0..30 {
        let mut batch = LogBatch::new(BATCH_BYTES_MAX);
        let record = vec![number; 200_000 + 1_000 * usize::from(number)];
        batch.push(Partition::new(1).unwrap(), &record).unwrap();
        core.append(core.last(), &mut batch, AppendSync::Now, &mut commands).unwrap();
        run_all(&mut core, &mut drive, &mut commands);
    }
    let core = open(&mut drive, options, lives(&mut Prng::from_seed(2))).unwrap();
    assert_eq!(core.last().sequence, 30);
}

/// A disk that counts what is read of segments.
struct CountedReads {
    drive: Drive,
    pages: u64,
}

impl LogDisk for CountedReads {
    fn read_manifest(&mut self, place: ManifestPlace) -> Result<Vec<u8>, LogDiskError> {
        self.drive.read_manifest(place)
    }

    fn segments(&mut self, segment_pages: u32) -> Result<Vec<SegmentFile>, LogDiskError> {
        self.drive.segments(segment_pages)
    }

    fn read(
        &mut self,
        segment: SegmentId,
        page: u32,
        pages: &mut [u8],
    ) -> Result<(), LogDiskError> {
        self.pages += (pages.len() / PAGE_BYTES) as u64;
        self.drive.read(segment, page, pages)
    }

    fn run(&mut self, command: &LogCommand) -> Result<(), LogDiskError> {
        self.drive.run(command)
    }
}

/// What no mark proves is in memory until it is written anew: never more than a segment of it,
/// also where somebody has taken every mark away.
#[test]
fn a_log_without_marks_is_not_read_into_memory() {
    let mut drive = closed_log(80);
    drive.power_cut(&[]);
    let places = ManifestPlace::ALL.map(|place| drive.read_manifest(place).unwrap());
    let chosen = choose::<Manifest>(&places[0], &places[1], HasFiles::Some);
    let Ok(ChosenManifest::Found(mut manifest, _)) = chosen else { panic!("it is there") };
    manifest.durable = 0;
    for entry in &mut manifest.segments {
        entry.last = None;
        for page in 0..OPTIONS.segment_pages {
            let bytes = drive.page_mut(entry.id, page);
            let Some(head) = read_head(bytes, entry.life, page) else { continue };
            let sealed = read_batch(bytes, entry.life, page, &head).unwrap();
            let unmarked = into_pages(&sealed, head.sequence, 0, entry.life, page);
            bytes.copy_from_slice(unmarked.bytes());
        }
    }
    drive.settle();
    ManifestPlace::ALL.iter().for_each(|place| {
        *drive.manifest_mut(*place) = manifest.encode();
    });
    let mut disk = CountedReads { drive, pages: 0 };
    let found = open(&mut disk, OPTIONS, lives(&mut Prng::from_seed(7))).err();
    let sequence = u64::from(OPTIONS.segment_pages) + 1;
    let wanted = |found: &LogOpenError| matches!(found, LogOpenError::Damaged { sequence: at, .. } if *at == sequence);
    assert!(found.as_ref().is_some_and(wanted), "{found:?}");
    let scanned = manifest.segments.len() as u64 * u64::from(OPTIONS.segment_pages);
    assert_eq!(disk.pages, scanned + sequence, "a segment and the batch that is too much");
}

/// The sequences of batches that a survey finds, and of gaps, from and to.
fn surveyed(drive: &mut Drive, after: u64) -> (Vec<u64>, Vec<(u64, u64)>, u64) {
    let LogSurvey { batches, gaps, last, .. } = survey(drive, after).unwrap();
    for (sequence, plan) in &batches {
        let mut pages = PageBuffer::zeroed(plan.pages());
        drive.read(plan.segment(), plan.page(), pages.bytes_mut()).unwrap();
        let sealed = plan.batches(pages.bytes()).unwrap();
        assert_eq!(SealedBatch::parse(&sealed[0]).unwrap().position().sequence, *sequence);
    }
    let sequences = batches.into_iter().map(|(sequence, _)| sequence).collect();
    (sequences, gaps.into_iter().map(|gap| (gap.first, gap.last)).collect(), last)
}

#[test]
fn a_survey_finds_all_that_is_whole_and_says_what_is_not() {
    let mut prng = Prng::from_seed(5);
    let pages = u64::from(OPTIONS.segment_pages);
    for round in 0..200 {
        let mut drive = closed_log(40);
        let found = segments(&mut drive);
        let mut is_lost = [false; 41];
        for _ in 0..prng.below(6) {
            let sequence = 1 + prng.below(40);
            let (segment, page) = ((sequence - 1) / pages, (sequence - 1) % pages);
            if !is_lost[sequence as usize] {
                let byte = prng.below(PAGE_BYTES as u64) as usize;
                drive.page_mut(found[segment as usize], page as u32)[byte] ^= 1;
            }
            is_lost[sequence as usize] = true;
        }
        drive.settle();
        if prng.percent(20) {
            let segment = prng.below(40 / pages);
            drive.remove_segment(found[segment as usize]);
            is_lost[(segment * pages + 1) as usize..][..pages as usize].fill(true);
        }
        let after = prng.below(41);
        let wanted = (after + 1..=40).filter(|sequence| !is_lost[*sequence as usize]);
        let mut gaps: Vec<(u64, u64)> = Vec::new();
        for sequence in (1..=40).filter(|sequence| is_lost[*sequence as usize]) {
            match gaps.last_mut() {
                Some((_, last)) if *last + 1 == sequence => *last = sequence,
                Some(_) | None => gaps.push((sequence, sequence)),
            }
        }
        assert_eq!(surveyed(&mut drive, after), (wanted.collect(), gaps, 40), "{round}");
    }
}

#[test]
fn a_survey_counts_what_no_mark_proves_only_where_nothing_is_missing_before_it() {
    let check = |damaged: &[u32], wanted: &[u64], gaps: &[(u64, u64)], last: u64| {
        let mut drive = Drive::new(1, HEALTHY);
        let mut core = reopen(&mut drive).unwrap();
        for number in 0..5 {
            append(&mut core, &mut drive, &mut Vec::new(), number).unwrap();
        }
        let segment = segments(&mut drive)[0];
        for page in damaged {
            drive.page_mut(segment, *page)[99] ^= 1;
        }
        drive.settle();
        assert_eq!(surveyed(&mut drive, 0), (wanted.to_vec(), gaps.to_vec(), last), "{damaged:?}");
    };
    check(&[], &[1, 2, 3, 4, 5], &[], 5);
    check(&[2], &[1, 2, 4, 5], &[(3, 3)], 5);
    // The last one says that the fourth was durable, and nobody that it was itself.
    check(&[4], &[1, 2, 3, 4], &[], 4);
    check(&[3], &[1, 2, 3, 5], &[(4, 4)], 5);
    check(&[3, 4], &[1, 2, 3], &[], 3);
    check(&[2, 4], &[1, 2, 4], &[(3, 3)], 4);
    check(&[2, 3, 4], &[1, 2], &[], 2);
}

#[test]
fn a_log_whose_manifest_is_gone_has_no_survey() {
    let mut drive = closed_log(40);
    ManifestPlace::ALL.iter().for_each(|place| drive.manifest_mut(*place).fill(0));
    assert_eq!(survey(&mut drive, 0), Err(LogOpenError::NoManifest));
}

#[test]
fn what_is_damaged_and_kept_elsewhere_is_left_out() {
    let mut prng = Prng::from_seed(6);
    let pages = u64::from(OPTIONS.segment_pages);
    let mut opened_count = 0;
    for round in 0..400 {
        let mut drive = closed_log(40);
        let found = segments(&mut drive);
        let mut last_lost = 0;
        for _ in 0..1 + prng.below(3) {
            let sequence = 1 + prng.below(40);
            let (segment, page) = ((sequence - 1) / pages, (sequence - 1) % pages);
            drive.page_mut(found[segment as usize], page as u32)[50..60].fill(round as u8);
            last_lost = last_lost.max(sequence);
        }
        drive.settle();
        let kept = prng.below(41);
        let opened = open_behind(&mut drive, OPTIONS, lives(&mut Prng::from_seed(7)), kept);
        if kept < last_lost {
            // The first batch that is needed and not there is named, or one before it.
            assert!(matches!(opened, Err(LogOpenError::Damaged { .. })), "{round}: {opened:?}");
            continue;
        }
        opened_count += 1;
        let mut core = opened.unwrap();
        assert_eq!((core.first().sequence, core.last().sequence), (last_lost + 1, 40), "{round}");
        append(&mut core, &mut drive, &mut Vec::new(), 9).unwrap();
        // The next start needs nobody who keeps something.
        let core = reopen(&mut drive).unwrap();
        assert_eq!((core.first().sequence, core.last().sequence), (last_lost + 1, 41), "{round}");
        for after in last_lost..41 {
            let plan = core.read_plan(LogPosition::of_file(after), 1).unwrap();
            let mut pages = PageBuffer::zeroed(plan.pages());
            drive.read(plan.segment(), plan.page(), pages.bytes_mut()).unwrap();
            assert_eq!(plan.batches(pages.bytes()).unwrap().len(), 1);
        }
        assert_eq!(surveyed(&mut drive, 0).1, [], "{round}");
    }
    assert!(100 < opened_count, "{opened_count}");
}

#[test]
fn an_end_that_no_mark_proves_stays_behind_damage_that_is_kept_elsewhere() {
    // Of five batches the last one proves the fourth.
    for (damaged, kept, wanted) in [
        (2, 3, Some((4, 5))),
        (2, 4, Some((4, 5))),
        (2, 5, Some((4, 5))),
        (3, 4, Some((5, 5))),
        (2, 2, None),
        (3, 3, None),
    ] {
        let mut drive = Drive::new(1, HEALTHY);
        let mut core = reopen(&mut drive).unwrap();
        for number in 0..5 {
            append(&mut core, &mut drive, &mut Vec::new(), number).unwrap();
        }
        let segment = segments(&mut drive)[0];
        drive.page_mut(segment, damaged)[99] ^= 1;
        drive.settle();
        let opened = open_behind(&mut drive, OPTIONS, lives(&mut Prng::from_seed(7)), kept);
        let found = opened.ok().map(|core| (core.first().sequence, core.last().sequence));
        assert_eq!(found, wanted, "page {damaged}, {kept} kept");
    }
}
