//! Histories that are removed by order: gone at once for all who read, also after a crash, and
//! deleted later in small steps.

use super::edits::{change, edit};
use super::reactions::react;
use super::waiting::{ANN, BOB, DM, EXPIRES, direct};
use super::*;
use crate::store::{ReactedMessages, ReactionsQuery};

fn removal(room: RoomId, at_unix_ms: u64) -> StoreOp {
    StoreOp::RemoveHistory(RemoveHistory { room, at_unix_ms })
}

impl Bench<SimulatedDisk> {
    #[track_caller]
    fn removed(&mut self, room: RoomId, want: u64) {
        let now = self.now;
        assert_eq!(self.ask(removal(room, now)).history_removed(), Ok(want));
    }
}

#[test]
fn a_removed_history_is_gone_and_its_stream_goes_on() {
    let mut bench = Bench::new();
    bench.said(1..=8);
    bench.removed(ROOM, 8);
    let mut bench = bench.crash(Crash::PowerCut);
    assert_eq!(bench.history(ROOM, 0, u64::MAX), [0; 0]);
    let opened = bench.opened(ROOM).unwrap();
    assert_eq!((opened.epoch, opened.head, opened.first), (EPOCH, 8, 9));
    assert!(opened.tail.is_empty());
    bench.said(9..=10);
    assert_eq!(bench.history(ROOM, 0, u64::MAX), [9, 10]);
    bench.removed(ROOM, 10);
    bench.removed(ROOM, 10);
    assert_eq!(bench.history(ROOM, 0, u64::MAX), [0; 0]);
    bench.removed(RoomId(99), 0);
}

#[test]
fn it_is_removed_by_one_synced_write_wherever_messages_are_synced_later() {
    let mut bench = Bench::new();
    for offset in 1..=20 {
        bench.ask(append(ROOM, "soon:a", offset));
    }
    let (commits, syncs) = (bench.engine.counts().commits, bench.engine.counts().syncs);
    bench.give(removal(ROOM, bench.now));
    let mut out = Vec::new();
    bench.engine.turn(bench.now, &mut out);
    assert_eq!(out.len(), 1, "it is answered at once");
    let counts = bench.engine.counts();
    assert_eq!((counts.commits, counts.syncs), (commits + 1, syncs + 1));
    let mut bench = bench.crash(Crash::PowerCut);
    let opened = bench.opened(ROOM).unwrap();
    assert_eq!((opened.head, opened.first), (20, 21));
    assert_ne!(opened.epoch, EPOCH, "what was said since may be lost, as ever");
}

#[test]
fn it_is_deleted_in_steps_that_a_kill_does_not_end() {
    let mut bench = Bench::new();
    for offset in 1..=1_500 {
        bench.give(append(ROOM, "room:a", offset));
    }
    bench.answers();
    for offset in [3, 700, 1_499] {
        bench.ask(react(offset, 1, Some("a")));
    }
    bench.removed(ROOM, 1_500);
    let mut left = bench.count(StoreKeyspace::Messages);
    assert!(900 < left, "it is not deleted in one step: {left}");
    let mut steps_count = 0;
    while left != 0 {
        bench = bench.crash(if steps_count % 2 == 0 { Crash::Killed } else { Crash::PowerCut });
        assert_eq!(bench.history(ROOM, 0, u64::MAX), [0; 0]);
        bench.pass(30);
        let now_left = bench.count(StoreKeyspace::Messages);
        assert!(now_left < left && left - now_left <= 4 * 256, "{left}, {now_left}");
        left = now_left;
        steps_count += 1;
    }
    assert!(1 < steps_count);
    bench.pass(50);
    for space in [StoreKeyspace::Reactions, StoreKeyspace::ReactionTotals] {
        assert_eq!(bench.count(space), 0, "{space:?}");
    }
    assert_eq!(bench.opened(ROOM).map(|opened| (opened.head, opened.first)), Some((1_500, 1_501)));
    bench.said(1_501..=1_501);
    bench.pass(50);
    assert_eq!(bench.history(ROOM, 0, u64::MAX), [1_501]);
}

#[test]
fn reactions_go_with_their_messages() {
    let mut bench = Bench::new();
    bench.said(1..=3);
    bench.ask(react(2, 1, Some("a")));
    bench.removed(ROOM, 3);
    let of = ReactedMessages::Listed([1, 2, 3].into(), 0);
    let query = ReactionsQuery { room: ROOM, user: UserHash::NOBODY, of };
    let page = bench.ask(StoreOp::Reactions(Box::new(query))).reactions().unwrap();
    assert!(page.reactions.is_empty());
    let refused = bench.ask(react(2, 2, Some("b"))).reacted().unwrap();
    assert_eq!(refused, ReactionResult::Refused(ReactionRejection::NoMessage));
}

#[test]
fn a_removed_message_waits_for_nobody_wherever_its_body_is() {
    let mut bench = Bench::new();
    // Retention takes the bodies of the first ones along.
    bench.send(1..=40);
    bench.pass(200);
    assert!(bench.opened(DM).unwrap().first > 1, "some are not in the channel any more");
    for offset in [2, 39] {
        bench.dead_letter(offset);
    }
    assert_eq!((bench.waiting().len(), bench.dead().len()), (38, 2));
    assert_eq!(bench.unread("bob", BOB), [40]);
    bench.give(removal(DM, bench.now));
    bench.give(StoreOp::Pending(PendingQuery { inbox: BOB, after: None, count_max: 100 }));
    bench.engine.turn(bench.now, &mut Vec::new());
    let mut bench = bench.crash(Crash::PowerCut);
    assert!(bench.waiting().is_empty());
    assert_eq!((bench.unread("bob", BOB), bench.unread("ann", ANN)), (vec![0], vec![0]));
    bench.send(41..=42);
    assert_eq!((bench.waiting(), bench.unread("bob", BOB)), (vec![41, 42], vec![2]));
    bench.pass(200);
    assert_eq!((bench.waiting(), bench.unread("bob", BOB)), (vec![41, 42], vec![2]));
    assert!(bench.dead().is_empty());
    assert_eq!(bench.engine.dead_letters().count, 0);
    assert_eq!(bench.count(StoreKeyspace::Pending), 2);
    assert!((1..=40).all(|offset| !bench.holds(&format!("m{offset}"))), "no body is left");
}

#[test]
fn what_was_removed_does_not_become_a_dead_letter_before_it_is_deleted() {
    let mut bench = Bench::new();
    bench.send(1..=3);
    bench.give(removal(DM, bench.now));
    let cause = DeadLetterCause::Attempts;
    let at_unix_ms = bench.now;
    bench.give(StoreOp::DeadLetter(NewDeadLetter {
        inbox: BOB,
        room: DM,
        offset: 1,
        cause,
        at_unix_ms,
    }));
    bench.give(StoreOp::Attempted(DeliveryAttempt {
        inbox: BOB,
        room: DM,
        offset: 2,
        tries_count: 1,
    }));
    bench.answers();
    bench.now = EXPIRES;
    bench.pass(2_000);
    let counts = bench.engine.counts();
    assert_eq!((counts.dead_tried, counts.dead_expired), (0, 0));
    assert!(bench.dead().is_empty() && bench.count(StoreKeyspace::Pending) == 0);
}

#[test]
fn an_edit_of_a_removed_message_says_nothing() {
    let mut bench = Bench::new();
    bench.send(1..=2);
    bench.ask(edit(&change(1, 3, None), "first words"));
    bench.give(removal(DM, bench.now));
    bench.give(edit(&change(2, 4, None), "second words"));
    assert!(matches!(bench.answers()[..], [_, StoreResult::Appended]));
    bench.pass(100);
    assert!(!bench.holds("first words") && !bench.holds("second words"));
    assert_eq!(bench.history(DM, 0, u64::MAX), [4]);
    assert_eq!(bench.waiting(), [4], "it is there, without words");
}

#[test]
fn ids_of_removed_messages_are_known_as_long_as_others() {
    let mut bench = Bench::new();
    for offset in 1..=3 {
        bench.ask(with_id(append(ROOM, "room:a", offset)));
    }
    bench.removed(ROOM, 3);
    bench.pass(100);
    let open = OpenChannel { ids_since_unix_ms: 0, ..open(ROOM) };
    let StoreResult::Opened(Some(opened), _) = bench.ask(StoreOp::Open(open)) else { panic!() };
    assert_eq!(opened.ids.iter().map(|known| known.offset).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn markers_stay_and_go_on() {
    let mut bench = Bench::new();
    bench.said(1..=5);
    let markers = |delivered, read| ReadMarkers { delivered, read };
    bench.mark(MarkerPosition::Read(3));
    bench.removed(ROOM, 5);
    let outcome = bench.mark(MarkerPosition::Read(5));
    let StoreResult::MarkerAdvanced { before, after } = outcome else { panic!("{outcome:?}") };
    assert_eq!((before, after), (markers(3, 3), markers(5, 5)));
}

#[test]
fn a_removal_that_may_have_failed_is_in_doubt_until_the_disk_is_read_again() {
    let mut bench = Bench::new();
    bench.said(1..=3);
    bench.set_fault_profile(DiskFaultProfile {
        commit_fails_percent: 100,
        ..DiskFaultProfile::CALM
    });
    let now = bench.now;
    assert_eq!(bench.ask(removal(ROOM, now)).history_removed(), Err(StoreError::Broken));
    let opened = bench.ask(StoreOp::Open(open(ROOM)));
    assert!(matches!(opened, StoreResult::Failed(StoreError::Broken)), "{opened:?}");
    bench.set_fault_profile(DiskFaultProfile::CALM);
    bench.pass(100);
    let opened = bench.opened(ROOM).unwrap();
    assert!(opened.first == 1 || opened.first == 4, "all of it, or nothing: {opened:?}");
    bench.removed(ROOM, 3);
}

#[test]
fn it_works_on_a_full_disk() {
    let mut bench = Bench::new();
    bench.said(1..=3);
    bench.set_fault_profile(DiskFaultProfile { capacity_bytes: 900, ..DiskFaultProfile::CALM });
    bench.now += 200;
    assert_eq!(failure(&bench.say(4)), StoreError::Full);
    bench.removed(ROOM, 3);
}

#[test]
fn a_channel_of_removed_messages_is_forgotten_in_its_time() {
    let mut bench = Bench::new();
    for offset in 1..=3 {
        bench.ask(append(ROOM, "few:a", offset));
    }
    bench.removed(ROOM, 3);
    bench.pass(10_000);
    assert!(bench.opened(ROOM).is_some(), "its place is known for a while");
    bench.now += 120_000;
    bench.pass(10_000);
    assert!(bench.opened(ROOM).is_none());
    assert_eq!(bench.everything().iter().filter(|value| value.contains("few:a")).count(), 0);
}

#[test]
fn what_is_being_read_shows_nothing_of_it_any_more() {
    let mut bench = Bench::new();
    for offset in 1..=1_500 {
        bench.give(append(ROOM, "room:a", offset));
    }
    bench.answers();
    let read = |order| StoreOp::Read(HistoryRange { order, ..all(ROOM) });
    let opening = StoreOp::Open(OpenChannel { after: Some(0), ..open(ROOM) });
    for (op, user) in
        [read(ReadOrder::OldestFirst), read(ReadOrder::NewestFirst), opening].into_iter().zip(1..)
    {
        // Each is in turn with the others.
        bench.by = Requester { user: UserHash::of_inbox(RoomId(user)), ..ANYBODY };
        bench.give(op);
    }
    let mut out = Vec::new();
    bench.engine.turn(bench.now, &mut out);
    assert!(out.is_empty(), "they take more than a slice: {}", out.len());
    bench.give(removal(ROOM, bench.now));
    let answers = bench.answers();
    assert_eq!(answers.len(), 4);
    for answer in answers {
        match answer {
            StoreResult::History(found) => assert!(found.is_empty(), "{}", found.len()),
            StoreResult::Opened(Some(opened), _) => {
                assert_eq!((opened.tail.len(), opened.head, opened.first), (0, 1_500, 1_501));
            }
            other => assert_eq!(other.history_removed(), Ok(1_500)),
        }
    }
}

#[test]
fn a_crowded_conversation_has_room_again() {
    let mut bench = Bench::new();
    let large = |offset| {
        let StoreOp::Append(mut append) = direct(DM, "dm", offset, BOB) else { unreachable!() };
        let text = "x".repeat(1 << 20);
        append.publication = Arc::new(message(offset, &text, "ann", 1_000_000));
        StoreOp::Append(append)
    };
    let mut offset = 1;
    while matches!(bench.ask(large(offset)), StoreResult::Appended) {
        offset += 1;
    }
    bench.write_epoch.0 += 1;
    bench.give(removal(DM, bench.now));
    bench.give(StoreOp::Open(open(DM)));
    let mut out = Vec::new();
    bench.engine.turn(bench.now, &mut out);
    assert!(matches!(bench.ask(large(offset)), StoreResult::Appended));
}
