//! What is on disk outlives memory, restarts, full disks and failures.

use super::*;

#[test]
fn a_message_is_answered_and_told_when_it_is_kept() {
    let mut world = World::new();
    world.subscribe(1, None);
    world.asleep = true;
    world.out.events().clear();
    let id = world.begin(FAR, 7, ROOM, publish("1", None));
    world.settle();
    assert!(world.out.events().is_empty(), "neither answered nor told yet");
    world.asleep = false;
    world.settle();
    assert!(matches!(world.answer(id), Some(RoomReply::Published(_))));
    assert_eq!(world.said(ROOM), [(1, "1".to_owned())]);
}

#[test]
fn a_stream_goes_on_after_a_power_cut() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position;
    for n in 1..=10 {
        world.publish(&n.to_string());
    }
    let mut world = world.restart(Crash::PowerCut);
    let subscribed = world.subscribe(1, start);
    let missed: Vec<u64> = subscribed.missed.iter().map(|one| one.offset).collect();
    assert_eq!(missed, (1..=10).collect::<Vec<_>>(), "the first six from disk");
    assert_eq!(subscribed.recovery, RecoveryOutcome::Whole);
    assert!(subscribed.position.is_some_and(|one| one.epoch.is_stream()), "and not silent");
    world.out.events().clear();
    world.publish("11");
    assert_eq!(world.said(ROOM), [(11, "11".to_owned())]);
}

#[test]
fn recovery_from_disk_takes_steps_and_misses_nothing_said_meanwhile() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position;
    for n in 1..=500 {
        world.publish(&n.to_string());
    }
    world.asleep = true;
    world.out.events().clear();
    let returned = world.begin(HOME, 2, ROOM, subscribe(channel_key("room:9", 0), "bob", 2, start));
    for n in 501..=510 {
        world.begin(HOME, 1, ROOM, publish(&n.to_string(), None));
    }
    world.asleep = false;
    world.settle();
    let Some(RoomReply::Subscribed(subscribed)) = world.answer(returned) else { panic!("let in") };
    let missed: Vec<u64> = subscribed.missed.iter().map(|one| one.offset).collect();
    assert_eq!(missed, (1..=510).collect::<Vec<_>>());
    // More than a subscription recovers.
    for n in 511..=700 {
        world.publish(&n.to_string());
    }
    assert_eq!(world.subscribe(3, start).recovery, RecoveryOutcome::Lost);
}

#[test]
fn history_is_the_same_from_memory_and_from_disk() {
    let mut world = World::new();
    for n in 1..=20 {
        world.publish(&n.to_string());
    }
    let epoch = world.subscribe(1, None).position.map(|one| one.epoch).unwrap();
    let query = |limit, since: Option<u64>, order| HistoryQuery {
        limit,
        since: since.map(|offset| Position { offset, epoch }),
        order,
    };
    use ReadOrder::{NewestFirst, OldestFirst};
    for (query, want) in [
        (query(3, None, OldestFirst), vec![1, 2, 3]),
        (query(2, Some(17), OldestFirst), vec![18, 19]),
        (query(2, Some(14), OldestFirst), vec![15, 16]),
        (query(100, Some(15), OldestFirst), vec![16, 17, 18, 19, 20]),
        (query(3, None, NewestFirst), vec![20, 19, 18]),
        (query(6, None, NewestFirst), vec![20, 19, 18, 17, 16, 15]),
        (query(3, Some(3), NewestFirst), vec![2, 1]),
        (query(0, None, OldestFirst), vec![]),
        // Offsets that no message has are a client's word, too.
        (query(100, Some(20), OldestFirst), vec![]),
        (query(100, Some(u64::MAX), OldestFirst), vec![]),
        (query(100, Some(u64::MAX - 1), OldestFirst), vec![]),
        (query(2, Some(u64::MAX), NewestFirst), vec![20, 19]),
        (query(u32::MAX, Some(0), NewestFirst), vec![]),
    ] {
        assert_eq!(world.history(query), want, "{query:?}");
    }
    for offset in [21, u64::MAX - 1, u64::MAX] {
        let subscribed = world.subscribe(2, Some(Position { offset, epoch }));
        assert_eq!(
            (subscribed.recovery, subscribed.missed.len()),
            (RecoveryOutcome::Lost, 0),
            "{offset}"
        );
        world.ask(2, ROOM, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    }
}

#[test]
fn a_room_without_members_leaves_memory_and_comes_back() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position;
    world.publish("1");
    world.ask(1, ROOM, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    assert_eq!(world.rooms.len(), 1);
    world.pass(31_000);
    assert!(world.rooms.is_empty() && world.rooms.requests_count() == 0);
    assert_eq!(world.subscribe(2, start).missed.len(), 1);
    // So does one that was only looked at.
    let mut world = world.restart(Crash::Killed);
    let query = HistoryQuery { limit: 9, since: None, order: ReadOrder::OldestFirst };
    assert_eq!(world.history(query), [1]);
    world.pass(31_000);
    assert!(world.rooms.is_empty());
}

#[test]
fn a_repeated_id_gets_the_first_answer_across_a_restart() {
    let mut world = World::new();
    assert_eq!(posted(&world.ask(0, ROOM, publish("1", Some("a")))), 1);
    assert_eq!(posted(&world.ask(0, ROOM, publish("2", Some("b")))), 2);
    assert_eq!(posted(&world.ask(0, ROOM, publish("1", Some("a")))), 1);
    let mut world = world.restart(Crash::PowerCut);
    assert_eq!(posted(&world.ask(0, ROOM, publish("1", Some("a")))), 1);
    assert_eq!(posted(&world.ask(0, ROOM, publish("3", Some("c")))), 3);
    world.pass(299_000);
    assert_eq!(posted(&world.ask(0, ROOM, publish("3", Some("c")))), 3);
    world.pass(301_000);
    assert_eq!(posted(&world.ask(0, ROOM, publish("3", Some("c")))), 4, "five minutes are over");
}

#[test]
fn who_has_no_name_is_not_answered_with_the_message_of_another_after_a_restart() {
    let anonymous = |text| draft(channel_key("room:9", 0), "", text, Some("a"), PublishMode::Post);
    let mut world = World::new();
    assert_eq!(posted(&world.ask(0, ROOM, anonymous("1"))), 1);
    assert_eq!(posted(&world.ask(0, ROOM, anonymous("2"))), 2);
    let mut world = world.restart(Crash::PowerCut);
    assert_eq!(posted(&world.ask(0, ROOM, anonymous("3"))), 3);
}

#[test]
fn an_id_repeated_before_the_first_is_kept_waits_for_it() {
    let mut world = World::new();
    world.subscribe(1, None);
    world.asleep = true;
    let first = world.begin(HOME, 1, ROOM, publish("1", Some("a")));
    let again = world.begin(FAR, 2, ROOM, publish("1", Some("a")));
    world.out.events().clear();
    world.asleep = false;
    world.settle();
    for id in [first, again] {
        let answer = world.answer(id).expect("both are answered");
        assert_eq!(posted(&answer), 1);
    }
    assert_eq!(world.said(ROOM).len(), 1);
}

#[test]
fn a_full_disk_refuses_and_heals_without_a_restart() {
    let mut world = World::new();
    world.subscribe(1, None);
    world.publish("1");
    let full = DiskFaultProfile { capacity_bytes: 0, ..DiskFaultProfile::CALM };
    world.store.disk_mut().set_fault_profile(full);
    world.pass(1_000);
    check_refused(&world.publish("2"), ErrorCode::Internal);
    check_refused(&world.publish("3"), ErrorCode::Internal);
    world.store.disk_mut().set_fault_profile(DiskFaultProfile::CALM);
    world.pass(2_000);
    world.out.events().clear();
    assert!(matches!(world.publish("4"), RoomReply::Published(_)));
    assert_eq!(world.said(ROOM), [(2, "4".to_owned())], "no offset is left out");
}

#[test]
fn where_only_the_reserve_is_left_reading_goes_on_right_behind_a_refusal() {
    let mut world = World::new();
    world.store = engine_with(SimulatedDisk::new(1, DiskFaultProfile::CALM), &world.options, 1);
    world.publish("1");
    let full = DiskFaultProfile { capacity_bytes: 0, ..DiskFaultProfile::CALM };
    world.store.disk_mut().set_fault_profile(full);
    world.pass(1_000);
    check_refused(&world.publish("2"), ErrorCode::Internal);
    let query = HistoryQuery { limit: 9, since: None, order: ReadOrder::OldestFirst };
    assert_eq!(world.history(query), [1]);
    world.store.disk_mut().set_fault_profile(DiskFaultProfile::CALM);
    world.pass(1_000);
    assert!(matches!(world.publish("3"), RoomReply::Published(_)));
}

#[test]
fn a_channel_whose_first_message_was_refused_begins_later() {
    let mut world = World::new();
    world.subscribe(1, None);
    let full = DiskFaultProfile { capacity_bytes: 0, ..DiskFaultProfile::CALM };
    world.store.disk_mut().set_fault_profile(full);
    world.pass(1_000);
    check_refused(&world.publish("1"), ErrorCode::Internal);
    world.store.disk_mut().set_fault_profile(DiskFaultProfile::CALM);
    world.pass(2_000);
    assert!(matches!(world.publish("2"), RoomReply::Published(_)));
    let query = HistoryQuery { limit: 9, since: None, order: ReadOrder::OldestFirst };
    assert_eq!(world.history(query), [1]);
}

#[test]
fn a_channel_whose_first_message_failed_takes_the_next_one() {
    for seed in 0..20 {
        let mut world = World::new();
        world.store = engine(SimulatedDisk::new(seed, DiskFaultProfile::CALM), &world.options);
        world.subscribe(1, None);
        let fails = DiskFaultProfile { sync_fails_percent: 100, ..DiskFaultProfile::CALM };
        world.store.disk_mut().set_fault_profile(fails);
        check_refused(&world.publish("1"), ErrorCode::Internal);
        // While the room waits until it may ask the store again.
        check_refused(&world.publish("1"), ErrorCode::Internal);
        let refused =
            world.out.steps().iter().filter(|step| matches!(step, MessageStep::Refused { .. }));
        assert_eq!(refused.count(), 2, "each is shown to whoever looks for the cause");
        world.store.disk_mut().set_fault_profile(DiskFaultProfile::CALM);
        world.pass(3_000);
        assert!(matches!(world.publish("2"), RoomReply::Published(_)), "seed {seed}");
    }
}

/// A room is looked at for several reasons, and none may push another aside.
#[test]
fn a_room_is_read_again_after_a_failure_whatever_else_was_due_before() {
    let mut survivors_count = 0;
    for seed in 0..20 {
        let mut world = World::new();
        world.store = engine(SimulatedDisk::new(seed, DiskFaultProfile::CALM), &world.options);
        world.subscribe(1, None);
        world.ask(1, ROOM, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
        world.subscribe(1, None);
        world.pass(29_500);
        let fails = DiskFaultProfile { sync_fails_percent: 100, ..DiskFaultProfile::CALM };
        world.store.disk_mut().set_fault_profile(fails);
        check_refused(&world.publish("1"), ErrorCode::Internal);
        world.store.disk_mut().set_fault_profile(DiskFaultProfile::CALM);
        world.pass(600);
        world.pass(2_000);
        survivors_count += world.said(ROOM).len();
    }
    assert!(0 < survivors_count, "nobody asked, and nobody heard of them");
}

/// Whatever a failing disk kept of unanswered messages, everybody agrees on it.
#[test]
fn a_failed_sync_leaves_no_hole_and_tells_of_what_survived() {
    for seed in 0..50 {
        let mut world = World::new();
        world.store = engine(SimulatedDisk::new(seed, DiskFaultProfile::CALM), &world.options);
        world.subscribe(1, None);
        let mut answered = Vec::new();
        let mut heard = Vec::new();
        for n in 0..60 {
            let fault_profile =
                DiskFaultProfile { sync_fails_percent: 30, ..DiskFaultProfile::CALM };
            let calm = n % 10 == 9;
            world.store.disk_mut().set_fault_profile(if calm {
                DiskFaultProfile::CALM
            } else {
                fault_profile
            });
            let ids: Vec<u32> = (0..3)
                .map(|m| world.begin(HOME, 1, ROOM, publish(&format!("{n}.{m}"), None)))
                .collect();
            world.settle();
            let told = world.out.events().clone();
            for (m, id) in ids.into_iter().enumerate() {
                if matches!(world.answer(id), Some(RoomReply::Published(_))) {
                    answered.push(format!("{n}.{m}"));
                }
            }
            *world.out.events() = told;
            heard.extend(world.said(ROOM));
            world.pass(3_000);
            heard.extend(world.said(ROOM));
        }
        let offsets: Vec<u64> = heard.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, (1..=heard.len() as u64).collect::<Vec<_>>(), "seed {seed}");
        let texts: Vec<&String> = heard.iter().map(|(_, text)| text).collect();
        assert!(answered.iter().all(|text| texts.contains(&text)), "seed {seed}");
        let mut world = world.restart(Crash::PowerCut);
        let mut stored = Vec::new();
        loop {
            let since = stored.len() as u64;
            let page = HistoryPage {
                channel_key: Some(channel_key("room:9", 0)),
                query: HistoryQuery { limit: 100, since: None, order: ReadOrder::OldestFirst },
                reader: crate::base::UserHash::NOBODY,
            };
            let position = match world.ask(0, ROOM, RoomOp::History(Box::new(page))) {
                RoomReply::History(_, position) => position,
                other => panic!("{other:?}"),
            };
            let since = Some(Position { offset: since, ..position });
            let query = HistoryQuery { limit: 100, since, order: ReadOrder::OldestFirst };
            let page = HistoryPage {
                channel_key: Some(channel_key("room:9", 0)),
                query,
                reader: crate::base::UserHash::NOBODY,
            };
            match world.ask(0, ROOM, RoomOp::History(Box::new(page))) {
                RoomReply::History(all, _) if all.is_empty() => break,
                RoomReply::History(all, _) => stored.extend(all.iter().map(|one| shown(one))),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(stored, heard, "seed {seed}: who stayed saw what is there");
    }
}
