//! Direct messages that wait for their reader, conversations, what is taken back,
//! and what time removes.

use super::*;
use crate::wire::chat;

pub(super) const DM: RoomId = RoomId(500);
pub(super) const ANN: RoomId = RoomId(b'a' as u128);
pub(super) const BOB: RoomId = RoomId(b'b' as u128);
/// From the clock's beginning.
pub(super) const EXPIRES: u64 = 1_000_000 + 3_600_000;

pub(super) fn direct(room: RoomId, channel: &str, offset: u64, to: RoomId) -> StoreOp {
    let StoreOp::Append(mut append) = append(room, channel, offset) else { unreachable!() };
    append.channel_created.as_mut().unwrap().parties = Some([ANN, BOB]);
    append.addressee = Some(Addressee { inbox: to, expires_unix_ms: EXPIRES });
    StoreOp::Append(append)
}

/// `append` as a retraction of the message at `offset`.
fn retracting(append: Append, offset: u64) -> StoreOp {
    let mut publication = message(append.publication.offset, "r", "ann", 1_000_000);
    publication.tags.push(chat::retraction(offset).1);
    let left = message(offset, "{}", "ann", 1_000_000 + offset);
    let left = Arc::new(Publication { tags: Vec::new(), ..left });
    let (kind, superseded, publication) = (ChangeKind::Retraction, None, Arc::new(publication));
    let change = Some(MessageChange { kind, replacement: left, superseded });
    StoreOp::Append(Box::new(Append { publication, change, ..append }))
}

impl<D: Disk> Bench<D> {
    pub(super) fn send(&mut self, offsets: std::ops::RangeInclusive<u64>) {
        for offset in offsets {
            let outcome = self.ask(direct(DM, "few:dm", offset, BOB));
            assert!(matches!(outcome, StoreResult::Appended), "{outcome:?}");
        }
    }

    pub(super) fn pending(
        &mut self,
        inbox: RoomId,
        after: Option<(RoomId, u64)>,
    ) -> Vec<PendingMessage> {
        match self.ask(StoreOp::Pending(PendingQuery { inbox, after, count_max: 100 })) {
            StoreResult::Pending(dues, _) => dues,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn waiting(&mut self) -> Vec<u64> {
        self.pending(BOB, None).iter().map(|due| due.publication.offset).collect()
    }

    pub(super) fn position(&mut self, position: MarkerPosition) {
        let outcome = self.ask(mark(DM, "bob", position));
        assert!(matches!(outcome, StoreResult::MarkerAdvanced { .. }), "{outcome:?}");
    }

    pub(super) fn dead_letter(&mut self, offset: u64) {
        let new_dead_letter = NewDeadLetter {
            inbox: BOB,
            room: DM,
            offset,
            cause: DeadLetterCause::Attempts,
            at_unix_ms: self.now,
        };
        assert!(matches!(self.ask(StoreOp::DeadLetter(new_dead_letter)), StoreResult::Done));
    }

    fn retract(&mut self, room: RoomId, channel: &str, offset: u64, at: u64) -> StoreResult {
        let StoreOp::Append(append) = direct(room, channel, at, BOB) else { unreachable!() };
        self.ask(retracting(*append, offset))
    }

    pub(super) fn unread(&mut self, user: &str, inbox: RoomId) -> Vec<u64> {
        let (user, after) = (user.into(), "".into());
        let page = ConversationsQuery { inbox, user, after, count_max: 9 };
        match self.ask(StoreOp::Conversations(page)) {
            StoreResult::Conversations(page, _) => page.iter().map(|one| one.unread).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// What is on the disk of messages, wherever it is.
    pub(super) fn everything(&self) -> Vec<String> {
        let mut values = Vec::new();
        for space in StoreKeyspace::ALL {
            let scan = self.engine.channels.staged().disk().scan(
                space,
                &key::rest(&[]),
                ReadOrder::OldestFirst,
                &mut |_, value| {
                    values.push(String::from_utf8_lossy(value).into_owned());
                    std::ops::ControlFlow::Continue(())
                },
            );
            scan.unwrap();
        }
        values
    }

    /// Offsets and causes of the dead letters, and what each takes along.
    pub(super) fn dead(&mut self) -> Vec<(u64, DeadLetterCause, usize)> {
        let mut dead = Vec::new();
        let scan = self.engine.channels.staged().disk().scan(
            StoreKeyspace::Dead,
            &key::rest(&[]),
            ReadOrder::OldestFirst,
            &mut |key, value| {
                let record = crate::store::record::DeadLetterRecord::take(value).unwrap();
                dead.push((
                    key::pending_from(key).unwrap().2,
                    record.cause,
                    record.pending.message.len(),
                ));
                std::ops::ControlFlow::Continue(())
            },
        );
        scan.unwrap();
        dead
    }
}

pub(super) fn texts(passage: &[Arc<Publication>]) -> Vec<&str> {
    passage.iter().map(|message| std::str::from_utf8(&message.data.bytes).unwrap()).collect()
}

#[test]
fn a_direct_message_waits_until_it_is_acknowledged() {
    let mut bench = Bench::new();
    bench.send(1..=5);
    let dues = bench.pending(BOB, None);
    assert_eq!(dues.len(), 5);
    let PendingMessage { room, channel, publication, tries_count, expires_unix_ms } = &dues[0];
    assert_eq!((*room, &**channel, publication.offset), (DM, "few:dm", 1));
    assert_eq!((*tries_count, *expires_unix_ms), (0, EXPIRES));
    assert_eq!(bench.pending(BOB, Some((DM, 3))).len(), 2);
    assert!(bench.pending(ANN, None).is_empty());
    bench.position(MarkerPosition::Delivered(2));
    assert_eq!(bench.waiting(), [3, 4, 5]);
    bench.position(MarkerPosition::Read(4));
    bench.position(MarkerPosition::Delivered(1));
    let mut bench = bench.crash(Crash::PowerCut);
    assert_eq!(bench.waiting(), [5], "reading it is more than getting it");
    bench.send(6..=6);
    bench.position(MarkerPosition::Delivered(6));
    assert!(bench.waiting().is_empty());
}

#[test]
fn a_message_waits_only_for_one_of_the_two() {
    let mut bench = Bench::new();
    let stranger = bench.ask(direct(DM, "few:dm", 1, RoomId(99)));
    assert_eq!(failure(&stranger), StoreError::Broken);
    assert!(bench.opened(DM).is_none(), "nothing of it was written");
}

#[test]
fn tries_are_counted_and_the_last_one_makes_a_dead_letter() {
    let mut bench = Bench::new();
    bench.send(1..=2);
    let tried = |tries_count| {
        StoreOp::Attempted(DeliveryAttempt { inbox: BOB, room: DM, offset: 1, tries_count })
    };
    for tries_count in [1, 3, 2] {
        assert!(matches!(bench.ask(tried(tries_count)), StoreResult::Done));
    }
    assert_eq!(bench.pending(BOB, None)[0].tries_count, 3, "never fewer");
    let oldest_unix_ms = Some(bench.now);
    bench.dead_letter(1);
    bench.dead_letter(1);
    bench.dead_letter(7);
    assert!(matches!(bench.ask(tried(4)), StoreResult::Done), "it is dead already");
    assert_eq!(bench.waiting(), [2]);
    assert_eq!(bench.dead(), [(1, DeadLetterCause::Attempts, 0)]);
    assert_eq!(bench.engine.counts().dead_tried, 1);
    assert_eq!(bench.engine.dead_letters(), DeadLetterTotals { count: 1, oldest_unix_ms });
}

#[test]
fn what_waited_too_long_is_a_dead_letter_by_itself() {
    let mut bench = Bench::new();
    for offset in 1..=700 {
        bench.ask(direct(DM, "room:dm", offset, BOB));
    }
    bench.position(MarkerPosition::Delivered(100));
    bench.pass(2_000);
    assert!(bench.dead().is_empty());
    bench.now = EXPIRES - 1;
    bench.pass(1_100);
    assert!(bench.waiting().is_empty());
    assert_eq!(bench.dead().len(), 600);
    assert!(bench.dead().iter().all(|(_, cause, _)| *cause == DeadLetterCause::Expired));
    let DeadLetterTotals { count, oldest_unix_ms } = bench.engine.dead_letters();
    assert_eq!(count, 600);
    assert!(oldest_unix_ms.is_some_and(|at| EXPIRES <= at), "{oldest_unix_ms:?}");
}

/// After a start they are found in steps, and none is counted twice that is written
/// meanwhile, before or behind the place.
#[test]
fn dead_letters_are_counted_once_after_a_start() {
    let mut bench = Bench::new();
    bench.send(1..=3_000);
    (2..=2_999).for_each(|offset| bench.dead_letter(offset));
    assert_eq!(bench.engine.dead_letters().count, 2_998);
    bench.engine.upkeep.recount();
    bench.pass(1);
    assert_eq!(bench.engine.dead_letters().count, 1_024);
    bench.dead_letter(1);
    bench.dead_letter(3_000);
    bench.pass(1);
    bench.pass(1);
    assert_eq!((bench.engine.dead_letters().count, bench.dead().len()), (3_000, 3_000));
}

#[test]
fn what_waits_takes_its_content_along() {
    let mut bench = Bench::new();
    bench.send(1..=60);
    bench.dead_letter(2);
    bench.pass(2_000);
    let opened = bench.opened(DM).unwrap();
    assert_eq!((opened.head, opened.first), (60, 41), "twenty are kept");
    let dues = bench.pending(BOB, None);
    assert_eq!(dues.len(), 59);
    for due in &dues {
        let offset = due.publication.offset;
        let text = format!("m{offset}");
        assert_eq!(*due.publication, message(offset, &text, "ann", 1_000_000 + offset));
    }
    let dead = bench.dead();
    assert!(dead[0].0 == 2 && 0 < dead[0].2, "{dead:?}");
    bench.position(MarkerPosition::Delivered(60));
    assert!(bench.waiting().is_empty());
}

#[test]
fn what_is_taken_back_is_gone_wherever_it_was() {
    let mut bench = Bench::new();
    bench.send(1..=60);
    bench.dead_letter(2);
    bench.pass(2_000);
    for (offset, at) in [(1, 61), (2, 62), (50, 63), (3, 64)] {
        let outcome = bench.retract(DM, "few:dm", offset, at);
        assert!(matches!(outcome, StoreResult::Appended), "{offset}: {outcome:?}");
    }
    let waiting = bench.waiting();
    assert!([1, 3, 50, 61, 64].iter().all(|offset| waiting.contains(offset)), "{waiting:?}");
    bench.position(MarkerPosition::Delivered(4));
    let gone = bench.retract(DM, "few:dm", 4, 65);
    assert!(matches!(gone, StoreResult::Appended), "retention was faster: {gone:?}");
    for at in [66, 70] {
        let wrong = bench.retract(DM, "few:dm", at, 66);
        assert!(matches!(wrong, StoreResult::Failed(StoreError::Broken)), "{at} was not said yet");
        bench.write_epoch.0 += 1;
    }
    let mut bench = bench.crash(Crash::PowerCut);
    let left = bench.everything();
    let holds = |text: &str| left.iter().any(|value| value.ends_with(text));
    assert!(holds("m51") && holds("m5"));
    for gone in ["m1", "m2", "m3", "m50"] {
        assert!(!holds(gone), "{gone}");
    }
    assert_eq!(bench.history(DM, 0, 99), (46..=65).collect::<Vec<_>>(), "no hole");
}

#[test]
fn a_retraction_and_what_it_leaves_are_stored_together_or_not_at_all() {
    let (mut whole, mut none) = (0, 0);
    for seed in 0..40 {
        for (channel, crash) in [("room:a", Crash::PowerCut), ("soon:a", Crash::PowerCut)] {
            let mut bench = Bench::over(SimulatedDisk::new(seed, DiskFaultProfile::CALM));
            for offset in 1..=3 {
                bench.ask(append(ROOM, channel, offset));
            }
            bench.pass(200);
            let StoreOp::Append(next) = append(ROOM, channel, 4) else { unreachable!() };
            if seed % 2 == 0 {
                bench.set_fault_profile(DiskFaultProfile {
                    commit_fails_percent: 100,
                    ..DiskFaultProfile::CALM
                });
            }
            let outcome = bench.ask(retracting(*next, 2));
            bench.set_fault_profile(DiskFaultProfile::CALM);
            let mut bench = bench.crash(crash);
            let said = match bench.ask(StoreOp::Read(all(ROOM))) {
                StoreResult::History(said) => said,
                other => panic!("{other:?}"),
            };
            match texts(&said)[..] {
                ["m1", "{}", "m3", "r"] => whole += 1,
                ["m1", "m2", "m3"] => {
                    none += 1;
                    let is_promised =
                        matches!(outcome, StoreResult::Appended) && channel == "room:a";
                    assert!(!is_promised, "seed {seed}: it was answered");
                }
                ref other => panic!("seed {seed}: {other:?}"),
            }
        }
    }
    assert!(0 < whole && 0 < none, "{whole} happened, {none} did not");
}

#[test]
fn a_retraction_raises_nobodys_unread_count() {
    let mut bench = Bench::new();
    bench.send(1..=5);
    assert_eq!(bench.unread("bob", BOB), [5]);
    bench.retract(DM, "few:dm", 2, 6);
    assert_eq!(bench.unread("bob", BOB), [5], "its place stays, and what says so is no message");
    bench.position(MarkerPosition::Read(5));
    assert_eq!(bench.unread("bob", BOB), [0]);
    bench.send(7..=8);
    bench.retract(DM, "few:dm", 7, 9);
    let mut bench = bench.crash(Crash::PowerCut);
    assert_eq!(bench.unread("bob", BOB), [2]);
    for (read, unread) in [(6, 2), (7, 1), (8, 0), (9, 0)] {
        bench.position(MarkerPosition::Read(read));
        assert_eq!(bench.unread("bob", BOB), [unread], "read up to {read}");
    }
    // Ann has read what she said: it counts for her no more than for him.
    assert_eq!(bench.unread("ann", ANN), [0]);
    // The oldest that is kept is a retraction, and nobody read it.
    let mut bench = Bench::new();
    bench.send(1..=4);
    bench.retract(DM, "few:dm", 1, 5);
    bench.send(6..=24);
    bench.pass(2_000);
    assert_eq!(bench.history(DM, 0, 99).first(), Some(&5));
    assert_eq!(bench.unread("bob", BOB), [23]);
}

#[test]
fn both_of_a_conversation_find_it_among_theirs() {
    let mut bench = Bench::new();
    bench.send(1..=3);
    bench.ask(direct(RoomId(501), "few:also", 1, ANN));
    bench.ask(append(ROOM, "room:a", 1));
    bench.ask(mark(ROOM, "bob", MarkerPosition::Delivered(1)));
    bench.position(MarkerPosition::Read(2));
    let mut page = |inbox, user: &str, after: &str, count_max| {
        let (user, after) = (user.into(), after.into());
        let page = ConversationsQuery { inbox, user, after, count_max };
        match bench.ask(StoreOp::Conversations(page)) {
            StoreResult::Conversations(page, _) => page,
            other => panic!("{other:?}"),
        }
    };
    let names = |page: &[Conversation]| {
        page.iter().map(|found| found.channel.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&page(ANN, "ann", "", 9)), ["few:also", "few:dm"]);
    let bobs = page(BOB, "bob", "", 9);
    assert_eq!(names(&bobs), ["few:also", "few:dm", "room:a"], "where one has marks, too");
    assert_eq!(bobs[1].head, 3);
    assert_eq!(bobs[1].markers, ReadMarkers { delivered: 2, read: 2 });
    assert_eq!(bobs[1].last.as_ref().unwrap().offset, 3);
    assert_eq!(names(&page(BOB, "bob", "few:also", 1)), ["few:dm"]);
    assert_eq!(names(&page(BOB, "bob", "room:a", 9)), [""; 0]);
}

#[test]
fn retention_removes_by_count_bytes_and_age_and_keeps_the_place() {
    let few = |bench: &mut Bench<SimulatedDisk>, offset: u64, text: &str| {
        let StoreOp::Append(mut append) = append(ROOM, "few:a", offset) else { unreachable!() };
        append.publication = Arc::new(message(offset, text, "ann", bench.now));
        assert!(matches!(bench.ask(StoreOp::Append(append)), StoreResult::Appended));
    };
    let messages_count = |bench: &Bench<SimulatedDisk>| {
        bench.count_in(StoreKeyspace::Messages, &key::messages(ROOM, 0, u64::MAX))
    };
    let mut bench = Bench::new();
    for offset in 1..=1_000 {
        few(&mut bench, offset, "short");
        let first = offset.saturating_sub(19).max(1);
        assert_eq!(bench.opened(ROOM).unwrap().first, first, "at once");
        assert!(messages_count(&bench) <= 23, "and soon in truth");
    }
    assert_eq!(bench.history(ROOM, 0, u64::MAX).len(), 20);
    // 5,000 bytes hold six of these, with the id that is as long.
    for offset in 1_001..=1_010 {
        few(&mut bench, offset, &"x".repeat(300));
    }
    bench.pass(5_000);
    assert_eq!(bench.history(ROOM, 0, u64::MAX), (1_005..=1_010).collect::<Vec<_>>());
    bench.now += 60_000;
    bench.pass(6_000);
    let mut bench = bench.crash(Crash::PowerCut);
    let opened = bench.opened(ROOM).unwrap();
    assert_eq!((opened.epoch, opened.head, opened.first), (EPOCH, 1_010, 1_011));
    assert_eq!((messages_count(&bench), opened.tail.len()), (0, 0));
    few(&mut bench, 1_011, "again");
    assert_eq!(bench.history(ROOM, 0, u64::MAX), [1_011]);
}

#[test]
fn every_channel_is_visited_and_a_step_is_bounded() {
    let mut bench = Bench::new();
    for room in 0..500u64 {
        for offset in 1..=3 {
            bench.give(append(RoomId(1_000 + u128::from(room)), "few:many", offset));
        }
    }
    bench.answers();
    bench.now += 120_000;
    let mut before = 0;
    let end = bench.now + 5_000;
    while bench.now < end {
        bench.now += 10;
        assert!(bench.answers().is_empty());
        let expired = bench.engine.counts().expired;
        assert!(expired - before <= 256, "{}", expired - before);
        before = expired;
    }
    assert_eq!(before, 1_500);
    assert!(bench.engine.next_wake_unix_ms().unwrap() > bench.now, "then it rests");
}

/// All entries of the spaces that users fill.
fn left(bench: &Bench<SimulatedDisk>) -> Vec<(StoreKeyspace, usize)> {
    let spaces = StoreKeyspace::ALL.into_iter().filter(|space| *space != StoreKeyspace::Meta);
    let counted = spaces.map(|space| {
        let mut count = 0;
        let on_entry = &mut |_: &[u8], _: &[u8]| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        };
        let disk = bench.engine.channels.staged().disk();
        disk.scan(space, &key::rest(&[]), ReadOrder::OldestFirst, on_entry)
            .expect("it can be read");
        (space, count)
    });
    counted.filter(|(_, count)| *count != 0).collect()
}

#[test]
fn after_all_time_is_over_the_store_is_as_small_as_a_new_one() {
    const NAMES: u128 = 700; // more than a step takes
    let mut bench = Bench::new();
    for number in 0..NAMES {
        let (room, inbox) = (RoomId(10_000 + number), RoomId(20_000 + number));
        let mut op = direct(room, &format!("few:dm{number}"), 1, inbox);
        if let StoreOp::Append(append) = &mut op {
            append.channel_created.as_mut().unwrap().parties = Some([ANN, inbox]);
            let expires_unix_ms = bench.now + 1_000;
            append.addressee = Some(Addressee { inbox, expires_unix_ms });
        }
        bench.give(op);
        bench.give(with_id(append(RoomId(30_000 + number), &format!("few:room{number}"), 1)));
        bench.give(mark(RoomId(30_000 + number), "ann", MarkerPosition::Read(1)));
    }
    // One room that very many have read.
    bench.give(append(ROOM, "few:a", 1));
    for number in 0..NAMES {
        bench.give(mark(ROOM, &format!("u{number}"), MarkerPosition::Read(1)));
    }
    // And to which very many have reacted.
    for number in 0..NAMES {
        bench.give(super::reactions::react(1, number as u64, Some("👍")));
    }
    bench.answers();
    let before = left(&bench);
    assert_eq!(
        before.len(),
        8,
        "channels, messages, marks, talks, pending, ids, reactions and their totals: {before:?}"
    );
    bench.pass(10_000);
    assert_eq!(bench.engine.dead_letters().count, NAMES as u64);
    bench.pass(170_000);
    let waits: Vec<StoreKeyspace> = left(&bench).into_iter().map(|(space, _)| space).collect();
    assert_eq!(
        waits,
        [
            StoreKeyspace::Channels,
            StoreKeyspace::Markers,
            StoreKeyspace::Conversations,
            StoreKeyspace::Ids
        ],
        "repeats count"
    );
    bench.now += 420_000;
    bench.pass(10_000);
    assert_eq!(left(&bench), []);
    assert_eq!(bench.engine.dead_letters(), crate::store::DeadLetterTotals::default());
    // And it begins again from nothing.
    bench.give(append(ROOM, "few:a", 1));
    bench.give(StoreOp::ReadMarkers(ReadMarkersQuery {
        room: ROOM,
        after: "".into(),
        count_max: 9,
    }));
    let answers = bench.answers();
    assert!(matches!(answers[0], StoreResult::Appended), "{:?}", answers[0]);
    assert!(matches!(&answers[1], StoreResult::ReadMarkers(none, ..) if none.is_empty()));
}

#[test]
fn a_channel_stays_while_something_waits_or_positions_are_good() {
    let mut bench = Bench::new();
    bench.send(1..=1); // it waits for an hour
    bench.ask(append(ROOM, "few:a", 1));
    bench.pass(110_000);
    assert_eq!(bench.opened(ROOM).map(|opened| (opened.head, opened.tail.len())), Some((1, 0)));
    bench.pass(20_000);
    assert!(bench.opened(ROOM).is_none(), "nothing is left of it");
    assert_eq!(bench.waiting(), [1], "what waits has its conversation, and its body");
    bench.position(MarkerPosition::Delivered(1));
    bench.pass(10_000);
    assert!(bench.opened(DM).is_none());
    assert_eq!(left(&bench), []);
}

#[test]
fn a_room_that_outlived_its_channel_on_disk_goes_on_where_it_was() {
    let mut bench = Bench::new();
    bench.ask(append(ROOM, "few:a", 1));
    bench.pass(130_000);
    assert_eq!(left(&bench), []);
    let StoreOp::Append(mut next) = append(ROOM, "few:a", 2) else { unreachable!() };
    next.channel_created.as_mut().unwrap().behind = 1;
    assert!(matches!(bench.ask(StoreOp::Append(next)), StoreResult::Appended));
    let opened = bench.opened(ROOM).unwrap();
    assert_eq!((opened.head, opened.first, opened.tail.len()), (2, 2, 1));
}

#[test]
fn a_conversation_keeps_no_more_dead_letters_than_messages() {
    let mut bench = Bench::new();
    bench.send(1..=50);
    bench.now = EXPIRES;
    bench.pass(1_100);
    assert!(bench.waiting().is_empty());
    // Of the last 20, as many as of messages.
    let dead: Vec<u64> = bench.dead().iter().map(|(offset, ..)| *offset).collect();
    assert_eq!(dead, (31..=50).collect::<Vec<u64>>());
    assert_eq!(bench.engine.dead_letters().count, 20);
}

#[test]
fn a_dead_letter_has_no_body_when_its_message_would_have_none() {
    let mut bench = Bench::new();
    let mut op = direct(DM, "few:dm", 1, BOB);
    if let StoreOp::Append(append) = &mut op {
        append.addressee = Some(Addressee { inbox: BOB, expires_unix_ms: bench.now + 50_000 });
    }
    bench.ask(op);
    let body = |bench: &Bench<SimulatedDisk>| {
        let mut found = None;
        let disk = bench.engine.channels.staged().disk();
        disk.scan(StoreKeyspace::Dead, &key::rest(&[]), ReadOrder::OldestFirst, &mut |_, value| {
            found =
                Some(crate::store::record::DeadLetterRecord::take(value).unwrap().pending.message);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        found
    };
    bench.pass(65_000);
    assert_eq!(bench.history(DM, 0, 9), [0; 0], "its message is too old");
    assert_eq!(body(&bench), Some(Vec::new()), "it is known that it died, and when");
    bench.pass(50_000);
    assert_eq!(body(&bench), None);
}
