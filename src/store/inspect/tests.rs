//! What an inspection finds in a store that is whole, and in stores with one thing wrong.

use super::super::disk::SuspectedLoss;
use super::super::messages::{
    Addressee, Append, ChannelCreated, DeadLetterCause, NewDeadLetter, React, ReadMarkers,
    RequestId, Requester, StoreOp, StoreRequest, WriteEpoch,
};
use super::super::record::RemovedHistory;
use super::super::salvage::salvage;
use super::super::{Batch, DiskFaultProfile, Engine, EngineSetup, SimulatedDisk, SyncMode};
use super::*;
use crate::base::{ClientId, ShardId, UserHash};
use crate::store::log_reading::KeptElsewhere;
use crate::wire::Publication;
use crate::wire::{ClientInfo, Epoch, Payload};

const INBOXES: [RoomId; 2] = [RoomId(1), RoomId(2)];
const NOW: u64 = 1_000_000;

/// Rooms 100 and 101 with ten messages each, which wait for the second inbox;
/// the first two of room 100 are dead, and two users reacted to its messages 3 and 9.
fn store(disk: SimulatedDisk) -> SimulatedDisk {
    let setup = EngineSetup {
        options: Options { reserve_bytes: 0, ..Options::default() },
        retention: Vec::new(),
        namespace_of: Box::new(|_| 0),
        new_name_key: [1; 16],
    };
    let mut engine = Engine::open(disk, setup).unwrap();
    let mut jobs = Vec::new();
    for room in [100, 101] {
        for offset in 1..=10 {
            jobs.push(append(RoomId(room), &format!("dm:{room}"), offset));
        }
    }
    for offset in [1, 2] {
        let (inbox, room) = (INBOXES[1], RoomId(100));
        let cause = DeadLetterCause::Attempts;
        jobs.push(StoreOp::DeadLetter(NewDeadLetter {
            inbox,
            room,
            offset,
            cause,
            at_unix_ms: NOW,
        }));
    }
    jobs.extend([(3, 1, "a"), (3, 2, "b"), (9, 1, "a"), (9, 2, "a")].map(react));
    for (request_id, op) in jobs.into_iter().enumerate() {
        let request = StoreRequest {
            request_id: RequestId(request_id as u32),
            write_epoch: WriteEpoch(1),
            by: Requester::NOBODY,
            op,
        };
        engine.take(ShardId(0), request);
    }
    engine.turn(NOW, &mut Vec::new());
    assert_eq!(engine.counts().appended, 20);
    engine.into_disk()
}

fn append(room: RoomId, channel: &str, offset: u64) -> StoreOp {
    let publication = Publication {
        offset,
        data: Payload { bytes: offset.to_string().into(), is_json: true },
        info: Some(ClientInfo { user: "ann".into(), client: ClientId(1), conn_info: None }.into()),
        chan_info: None,
        tags: vec![("id".into(), format!("id-{offset}").into())],
        time_unix_ms: NOW,
        trace: None,
    };
    let (tenant, channel, epoch) = ("acme".into(), channel.into(), Epoch(5));
    let channel_created = Some(ChannelCreated {
        tenant,
        channel,
        epoch,
        created_unix_ms: 1,
        behind: 0,
        parties: Some(INBOXES),
    });
    let addressee = Some(Addressee { inbox: INBOXES[1], expires_unix_ms: NOW + 1_000 });
    let (namespace, publication, keeps_id, change) = (0, publication.into(), true, None);
    StoreOp::Append(Box::new(Append {
        room,
        namespace,
        channel_created,
        publication,
        addressee,
        keeps_id,
        change,
        roster: None,
    }))
}

fn react((offset, user, value): (u64, u128, &str)) -> StoreOp {
    StoreOp::React(Box::new(React {
        room: RoomId(100),
        offset,
        user: UserHash::of_inbox(RoomId(user)),
        name: "ann".into(),
        value: Some(value.into()),
        said_since_unix_ms: 0,
    }))
}

fn inspection(change: &dyn Fn(&mut SimulatedDisk)) -> Inspection<SimulatedDisk> {
    let mut disk = store(SimulatedDisk::new(1, DiskFaultProfile::CALM));
    change(&mut disk);
    Inspection::of(disk, &Options::default()).unwrap()
}

fn check(change: &dyn Fn(&mut SimulatedDisk)) -> (CheckTotals, Vec<CheckFinding>) {
    let mut findings = Vec::new();
    let totals = inspection(change).check(&mut |finding| findings.push(finding)).unwrap();
    assert_eq!(totals.findings_count, findings.len() as u64);
    (totals, findings)
}

fn lost(channel: &str, first: u64, last: u64, loss: LossKind) -> CheckFinding {
    CheckFinding::Lost { tenant: "acme".into(), channel: channel.into(), first, last, loss }
}

fn message(offset: u64) -> Vec<u8> {
    key::message(RoomId(100), offset).to_vec()
}

fn change(disk: &mut SimulatedDisk, space: StoreKeyspace, key: &[u8], value: Option<&[u8]>) {
    let mut batch = Batch::default();
    match value {
        Some(value) => batch.put(space, key, value),
        None => batch.remove(space, key),
    }
    disk.commit(&mut batch, SyncMode::Now).unwrap();
}

#[test]
fn a_store_as_it_should_be_has_no_findings() {
    let (totals, findings) = check(&|_| {});
    assert_eq!(findings, []);
    assert_eq!((totals.channels_count, totals.messages_count), (2, 20));
    let stats = inspection(&|_| {}).stats().unwrap();
    assert_eq!((stats.channels_count, stats.messages_count), (2, 20));
    assert_eq!((stats.pending_count, stats.dead_count, stats.reactions_count), (18, 2, 4));
}

#[test]
fn damaged_messages_are_named_by_channel_and_offset_and_the_others_are_read() {
    for (damaged, findings) in [
        (&[4, 5, 6][..], vec![(4, 6)]),
        (&[1], vec![(1, 1)]),
        (&[3, 8], vec![(3, 3), (8, 8)]),
        (&[10], vec![(10, 10)]),
        (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], vec![(1, 1)]),
    ] {
        let (totals, found) = check(&|disk| {
            damaged
                .iter()
                .for_each(|offset| disk.damage(StoreKeyspace::Messages, &message(*offset)));
        });
        let want =
            findings.iter().map(|(first, last)| lost("dm:100", *first, *last, LossKind::Damaged));
        assert_eq!(found, want.collect::<Vec<_>>(), "{damaged:?}");
        assert_eq!(totals.messages_count, 20 - damaged.len() as u64);
    }
}

#[test]
fn holes_are_named_and_so_is_what_waits_for_them() {
    let (_, findings) = check(&|disk| {
        [1, 4, 5]
            .iter()
            .for_each(|offset| change(disk, StoreKeyspace::Messages, &message(*offset), None));
    });
    assert_eq!(
        findings[..2],
        [lost("dm:100", 1, 1, LossKind::Missing), lost("dm:100", 4, 5, LossKind::Missing)]
    );
    let missing = |offset| CheckFinding::NoContent {
        tenant: "acme".into(),
        channel: "dm:100".into(),
        offset,
    };
    assert_eq!(findings[2..], [missing(4), missing(5), missing(1)], "the last one is dead");
}

#[test]
fn records_that_are_none_are_counted_by_kind() {
    let (_, findings) =
        check(&|disk| change(disk, StoreKeyspace::Messages, &message(3), Some(b"?")));
    assert_eq!(findings, [lost("dm:100", 3, 3, LossKind::Damaged)]);
    let (_, findings) = check(&|disk| {
        change(disk, StoreKeyspace::Markers, b"short", Some(b"?"));
        disk.damage(StoreKeyspace::Conversations, &key::named(INBOXES[0], "dm:100"));
    });
    let records = |space, count| CheckFinding::Records { space, count };
    assert_eq!(
        findings,
        [records(StoreKeyspace::Markers, 1), records(StoreKeyspace::Conversations, 0)]
    );
    let (totals, _) =
        check(&|disk| disk.damage(StoreKeyspace::Channels, &key::channel(RoomId(100))));
    assert_eq!(totals.channels_count, 1);
}

#[test]
fn totals_are_those_of_the_reactions() {
    let totals = key::message(RoomId(100), 3);
    let own = key::reaction(RoomId(100), 9, UserHash::of_inbox(RoomId(1)));
    let records = |space, count| CheckFinding::Records { space, count };
    for (space, key, value, want) in [
        (StoreKeyspace::ReactionTotals, &totals[..], None, (StoreKeyspace::ReactionTotals, 1)),
        (
            StoreKeyspace::ReactionTotals,
            &totals,
            Some(&b"?"[..]),
            (StoreKeyspace::ReactionTotals, 1),
        ),
        (StoreKeyspace::Reactions, &own, None, (StoreKeyspace::ReactionTotals, 1)),
        (
            StoreKeyspace::ReactionTotals,
            &key::message(RoomId(100), 4),
            Some(b"?"),
            (StoreKeyspace::ReactionTotals, 1),
        ),
    ] {
        let (_, findings) = check(&|disk| change(disk, space, key, value));
        assert_eq!(findings, [records(want.0, want.1)], "{space:?} {key:?}");
    }
    let (_, findings) = check(&|disk| change(disk, StoreKeyspace::Reactions, &own, Some(b"?")));
    let both = [records(StoreKeyspace::Reactions, 1), records(StoreKeyspace::ReactionTotals, 1)];
    assert_eq!(findings, both);
}

#[test]
fn a_channel_is_shown_by_tenant_and_name() {
    let inspection = inspection(&|disk| disk.damage(StoreKeyspace::Messages, &message(3)));
    let mut shown = Vec::new();
    let mut show = |tenant, channel| {
        inspection.dump(tenant, channel, &mut |message, _| shown.push(message.offset))
    };
    assert_eq!(show("acme", "dm:100"), Ok(vec![(3, 3, LossKind::Damaged)]));
    assert_eq!(show("acme", "dm:102"), Err(DumpError::Unknown));
    assert_eq!(show("", "dm:100"), Err(DumpError::Unknown));
    assert_eq!(shown, [1, 2, 4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn dead_letters_are_listed_sent_again_and_dropped() {
    let mut inspection = inspection(&|_| {});
    let listed = |inspection: &Inspection<SimulatedDisk>, which: &DeadLetterFilter| {
        let mut dead_letters = Vec::new();
        let count = inspection
            .dead_letters(which, &mut |dead_letter| dead_letters.push(dead_letter.clone()));
        assert_eq!(count, Ok(dead_letters.len() as u64));
        dead_letters
    };
    let dead_letters = listed(&inspection, &DeadLetterFilter::All);
    assert_eq!(dead_letters.len(), 2);
    let DeadLetter { inbox, tenant, channel, offset, cause, at_unix_ms, .. } =
        dead_letters[0].clone();
    assert_eq!((inbox, &*tenant, &*channel, offset), (INBOXES[1], "acme", "dm:100", 1));
    assert_eq!((cause, at_unix_ms), (DeadLetterCause::Attempts, NOW));
    assert_eq!(dead_letters[0].publication.as_ref().unwrap().data.bytes, "1");
    let (tenant, channel) = ("acme".to_owned(), "dm:100".to_owned());
    let second =
        DeadLetterFilter::Letter { tenant: tenant.clone(), channel: channel.clone(), offset: 2 };
    let other = DeadLetterFilter::Channel { tenant: tenant.clone(), channel: "dm:101".to_owned() };
    assert_eq!(inspection.requeue(&other, 7), Ok(0));
    assert_eq!(inspection.requeue(&second, 7), Ok(1));
    assert_eq!(inspection.drop_dead_letters(&DeadLetterFilter::Channel { tenant, channel }), Ok(1));
    assert!(listed(&inspection, &DeadLetterFilter::All).is_empty());
    assert_eq!(inspection.stats().unwrap().pending_count, 19);
    let key = key::pending(INBOXES[1], RoomId(100), 2);
    let value = inspection.disk.get(StoreKeyspace::Pending, &key).unwrap().unwrap();
    let want = PendingRecord { tries_count: 0, expires_unix_ms: 7, message: Vec::new() };
    assert_eq!(PendingRecord::take(&value), Ok(want));
}

#[test]
fn what_was_removed_and_is_not_deleted_yet_is_not_there() {
    let old = inspection(&|disk| {
        let key = key::channel(RoomId(100));
        let value = disk.get(StoreKeyspace::Channels, &key).unwrap().unwrap();
        let record = ChannelRecord {
            first: 11,
            head: 10,
            removed: Some(RemovedHistory { last: 10, left_from: 3 }),
            ..ChannelRecord::take(&value).unwrap()
        };
        change(disk, StoreKeyspace::Channels, &key, Some(&record.put()));
        // Deletion has come so far.
        [1, 2].iter().for_each(|one| change(disk, StoreKeyspace::Messages, &message(*one), None));
        change(disk, StoreKeyspace::Pending, &key::pending(INBOXES[1], RoomId(100), 3), None);
    });
    let mut findings = Vec::new();
    old.check(&mut |finding| findings.push(finding)).unwrap();
    assert_eq!(findings, []);
    assert_eq!(old.dead_letters(&DeadLetterFilter::All, &mut |_| ()), Ok(0));
    let mut new = SimulatedDisk::new(2, DiskFaultProfile::CALM);
    salvage(&old, &mut new, SuspectedLoss::None, &mut |_| ()).unwrap();
    let new = Inspection::of(new, &Options::default()).unwrap();
    let stats = new.stats().unwrap();
    assert_eq!((stats.messages_count, stats.pending_count, stats.dead_count), (10, 10, 0));
    assert_eq!(stats.reactions_count, 0);
    let value = new.disk.get(StoreKeyspace::Channels, &key::channel(RoomId(100))).unwrap().unwrap();
    let removed = ChannelRecord::take(&value).unwrap().removed;
    assert_eq!(removed, Some(RemovedHistory { last: 10, left_from: 11 }));
}

#[test]
fn what_is_whole_is_salvaged_and_a_channel_begins_behind_its_last_loss() {
    let old = inspection(&|disk| {
        disk.damage(StoreKeyspace::Messages, &message(4));
        change(disk, StoreKeyspace::Messages, &message(7), None);
        let id = |room, offset| key::id(key::period(NOW), RoomId(room), offset);
        change(disk, StoreKeyspace::Ids, &id(100, 9), Some(b"garbled"));
        let reaction = key::reaction(RoomId(100), 9, UserHash::of_inbox(RoomId(2)));
        change(disk, StoreKeyspace::Reactions, &reaction, Some(b"garbled"));
        change(disk, StoreKeyspace::Ids, &id(101, 11), Some(&record::put_id(NOW, "ann", "none")));
        change(
            disk,
            StoreKeyspace::Markers,
            &key::named(RoomId(100), "bob"),
            Some(&record::put_markers(ReadMarkers { delivered: 50, read: 9 })),
        );
    });
    let mut new = SimulatedDisk::new(2, DiskFaultProfile::CALM);
    let mut findings = Vec::new();
    let salvaged =
        salvage(&old, &mut new, SuspectedLoss::None, &mut |finding| findings.push(finding));
    let salvaged = salvaged.unwrap();
    assert_eq!((salvaged.channels_count, salvaged.messages_count), (2, 13));
    assert_eq!(findings[0], lost("dm:100", 4, 4, LossKind::Damaged));
    assert_eq!(findings[1], lost("dm:100", 7, 7, LossKind::Missing));
    let new = Inspection::of(new, &Options::default()).unwrap();
    let mut found = Vec::new();
    new.check(&mut |finding| found.push(finding)).unwrap();
    assert_eq!(found, [], "the new one is whole");
    let stats = new.stats().unwrap();
    // What waits for the damaged and the missing one is gone; the rest took its
    // content along.
    assert_eq!((stats.pending_count, stats.dead_count), (16, 2));
    let channel = |room| {
        let value =
            new.disk.get(StoreKeyspace::Channels, &key::channel(RoomId(room))).unwrap().unwrap();
        ChannelRecord::take(&value).unwrap()
    };
    assert_eq!((channel(100).first, channel(100).head), (8, 10));
    assert_ne!(channel(100).epoch, Epoch(5));
    assert_eq!(channel(101).epoch, Epoch(5));
    let id = |room, offset| key::id(key::period(NOW), RoomId(room), offset);
    for offset in 1..=10 {
        let known = new.disk.get(StoreKeyspace::Ids, &id(100, offset)).unwrap();
        assert_eq!(known.is_some(), offset != 9, "what is lost may be repeated, too");
    }
    assert_eq!(new.disk.get(StoreKeyspace::Ids, &id(101, 11)), Ok(None), "of no message");
    let totals = |offset| new.disk.get(StoreKeyspace::ReactionTotals, &message(offset)).unwrap();
    assert_eq!(totals(3), None, "its message is not copied");
    let left = record::take_reaction_totals(&totals(9).unwrap()).unwrap();
    assert_eq!(left.iter().collect::<Vec<_>>(), [("a", 1)], "one cannot be read");
    assert_eq!(stats.reactions_count, 1);
    let marks =
        new.disk.get(StoreKeyspace::Markers, &key::named(RoomId(100), "bob")).unwrap().unwrap();
    assert_eq!(record::take_markers(&marks), Ok(ReadMarkers { delivered: 10, read: 9 }));
}

/// A store in a directory whose database lacks all that was said in rooms 100 and 101, in turns:
/// only its log has that.
fn store_with_a_log(options: &Options) {
    let mut disk = crate::store::open(options).unwrap();
    // The log's id is in a table, and the rest in a journal, which is cut off.
    disk.reclaim().unwrap();
    let setup = EngineSetup {
        options: options.clone(),
        retention: Vec::new(),
        namespace_of: Box::new(|_| 0),
        new_name_key: [1; 16],
    };
    let mut engine = Engine::open(disk, setup).unwrap();
    for offset in 1..=10 {
        for room in [100, 101] {
            let op = match append(RoomId(room), &format!("dm:{room}"), offset) {
                StoreOp::Append(mut append) => {
                    let text = format!("message {offset} of {room}");
                    let mut publication = (*append.publication).clone();
                    publication.data = Payload { bytes: text.into(), is_json: false };
                    append.publication = publication.into();
                    StoreOp::Append(append)
                }
                other => other,
            };
            let (request_id, write_epoch) = (RequestId(1), WriteEpoch(1));
            let request = StoreRequest { request_id, write_epoch, by: Requester::NOBODY, op };
            engine.take(ShardId(0), request);
            engine.turn(NOW, &mut Vec::new());
        }
    }
    assert_eq!(engine.counts().appended, 20);
    drop(engine);
    for file in std::fs::read_dir(options.dir.join("db")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|end| end == "jnl") {
            std::fs::write(path, "").unwrap();
        }
    }
}

/// Turns a bit where the log has this text.
fn turn_in_log(options: &Options, text: &str) {
    let mut turned = 0;
    for file in std::fs::read_dir(options.dir.join("log")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|part| part == text.as_bytes()) {
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            turned += 1;
        }
    }
    assert_eq!(turned, 1, "it stands there once");
}

#[test]
fn what_a_damaged_log_still_has_is_told_and_copied() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        dir: dir.path().to_path_buf(),
        cache_bytes: 1 << 20,
        log_segment_bytes: 128 << 10,
        reserve_bytes: 0,
        ..Options::default()
    };
    store_with_a_log(&options);
    turn_in_log(&options, "message 7 of 100");
    assert!(matches!(crate::store::open(&options), Err(OpenError::Damaged { .. })));

    let inspection = Inspection::open_to_check(&options).unwrap();
    let mut findings = Vec::new();
    let totals = inspection.check(&mut |finding| findings.push(finding)).unwrap();
    drop(inspection);
    assert_eq!((totals.channels_count, totals.messages_count, totals.findings_count), (2, 19, 2));
    let CheckFinding::Log(LogFinding::Missing { first, last, place, kept }) = &findings[0] else {
        panic!("{findings:?}")
    };
    assert_eq!((first, *kept), (last, KeptElsewhere::Nowhere));
    assert!(place.is_some());
    assert_eq!(findings[1], lost("dm:100", 7, 7, LossKind::Missing));

    let mut told = Vec::new();
    let salvaged =
        crate::store::go_on_without(&options, &mut |finding| told.push(finding)).unwrap();
    assert_eq!(told, findings);
    assert_eq!((salvaged.channels_count, salvaged.messages_count), (2, 13));
    assert!(options.dir.join("log.damaged-1").is_dir());
    let disk = crate::store::open(&options).unwrap();
    let inspection = Inspection::of(disk, &options).unwrap();
    assert_eq!(inspection.check(&mut |finding| panic!("{finding}")).unwrap().messages_count, 13);
    let mut seen = Vec::new();
    let mut see = |message: &Publication, _: &[GivenReaction]| {
        seen.push((message.offset, message.data.bytes.clone()))
    };
    assert_eq!(inspection.dump("acme", "dm:100", &mut see).unwrap(), []);
    let wanted: Vec<_> =
        (8..=10).map(|offset| (offset, format!("message {offset} of 100").into())).collect();
    assert_eq!(seen, wanted);
    // Who lost something is not known, so nobody goes on where they were.
    for room in [100, 101] {
        let key = key::channel(RoomId(room));
        let record = inspection.disk.get(StoreKeyspace::Channels, &key).unwrap().unwrap();
        assert_ne!(ChannelRecord::take(&record).unwrap().epoch, Epoch(5));
    }
}

#[test]
fn what_a_removed_channel_left_in_an_old_log_hides_nothing_in_a_new_store() {
    let void = key::void_messages(RoomId(100));
    let position = key::load_position(RoomId(100));
    let old = inspection(&|disk| {
        change(disk, StoreKeyspace::Meta, &void, Some(&1_000_000_u64.to_be_bytes()));
        change(disk, StoreKeyspace::Meta, &position, Some(b"?"));
    });
    let mut new = SimulatedDisk::new(2, DiskFaultProfile::CALM);
    salvage(&old, &mut new, SuspectedLoss::None, &mut |_| ()).unwrap();
    let new = Inspection::of(new, &Options::default()).unwrap();
    assert_eq!(new.disk.get(StoreKeyspace::Meta, &void), Ok(None));
    assert_eq!(new.disk.get(StoreKeyspace::Meta, &position), Ok(Some(b"?".to_vec())));
    assert_eq!(new.disk.get(StoreKeyspace::Meta, key::NAME_KEY), Ok(Some(vec![1; 16])));
}
