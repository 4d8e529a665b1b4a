//! What one requester asks for does not make others wait.

use super::*;

/// Who asks for as much as may be.
const GREEDY: Requester = Requester { conn: ConnId { slot: 1, generation: 0 }, ..ANYBODY };
/// Who asks for one thing.
const MODEST: Requester = Requester { conn: ConnId { slot: 2, generation: 0 }, ..ANYBODY };
const ANN: RoomId = RoomId(b'a' as u128);
const BOB: RoomId = RoomId(b'b' as u128);

impl Bench<SimulatedDisk> {
    fn give_as(&mut self, by: Requester, op: StoreOp) -> RequestId {
        self.by = by;
        self.give(op);
        self.by = ANYBODY;
        RequestId(self.request_id)
    }

    /// How many turns it takes until this is answered, and what is answered until then.
    fn turns_until(&mut self, request_id: RequestId) -> (usize, Vec<(RequestId, StoreResult)>) {
        let mut answered = Vec::new();
        for turns in 1..100_000 {
            let mut out = Vec::new();
            self.engine.turn(self.now, &mut out);
            answered.extend(out.into_iter().map(|(_, reply)| (reply.request_id, reply.outcome)));
            if answered.iter().any(|(one, _)| *one == request_id) {
                return (turns, answered);
            }
        }
        panic!("it is never answered");
    }

    fn fill(&mut self, room: RoomId, channel: &str, count: u64) {
        for offset in 1..=count {
            self.give(with_id(append(room, channel, offset)));
        }
        self.answers().iter().for_each(|one| assert!(matches!(one, StoreResult::Appended)));
    }

    /// So many conversations of ann, with a message each.
    fn talk(&mut self, count: u32) {
        for room in 0..count {
            let (room, channel) = (RoomId(u128::from(room) + 5_000), format!("room:{room:04}"));
            self.give(append(room, &channel, 1));
            self.give(mark(room, "ann", MarkerPosition::Delivered(1)));
        }
        self.answers();
    }
}

fn conversations(after: &str) -> StoreOp {
    let (user, after, count_max) = ("ann".into(), after.into(), 1_000);
    StoreOp::Conversations(ConversationsQuery { inbox: ANN, user, after, count_max })
}

fn direct(offset: u64) -> StoreOp {
    let StoreOp::Append(mut append) = append(RoomId(70), "dm#ann,bob", offset) else {
        unreachable!()
    };
    append.channel_created.as_mut().unwrap().parties = Some([ANN, BOB]);
    append.addressee = Some(Addressee { inbox: BOB, expires_unix_ms: u64::MAX });
    StoreOp::Append(append)
}

/// Every kind of read, as large as it gets.
fn large_reads() -> Vec<StoreOp> {
    vec![
        StoreOp::Read(all(ROOM)),
        StoreOp::Read(HistoryRange { order: ReadOrder::NewestFirst, ..all(ROOM) }),
        StoreOp::Open(OpenChannel { ids_since_unix_ms: 0, count_max: 5_000, ..open(ROOM) }),
        StoreOp::ReadMarkers(ReadMarkersQuery { room: ROOM, after: "".into(), count_max: 1_000 }),
        conversations(""),
        StoreOp::Pending(PendingQuery { inbox: BOB, after: None, count_max: 1_000 }),
    ]
}

fn busy() -> Bench<SimulatedDisk> {
    let mut bench = Bench::new();
    bench.fill(ROOM, "room:a", 3_000);
    bench.talk(1_000);
    for user in 0..1_000 {
        bench.give(mark(ROOM, &format!("a{user}"), MarkerPosition::Delivered(1)));
    }
    (1..=1_000).for_each(|offset| bench.give(direct(offset)));
    bench.answers();
    bench
}

#[test]
fn a_write_waits_for_no_more_than_a_slice_of_reads() {
    for op in large_reads() {
        let mut bench = busy();
        for _ in 0..500 {
            bench.give_as(GREEDY, op.clone());
        }
        // The same room's, and another's; while it is busy, too.
        for (room, channel, offset) in [(ROOM, "room:a", 3_001), (RoomId(8), "room:b", 1)] {
            let request_id = bench.give_as(MODEST, append(room, channel, offset));
            let before = bench.engine.disk_mut().reads_count();
            let (turns, _) = bench.turns_until(request_id);
            let read = bench.engine.disk_mut().reads_count() - before;
            assert_eq!(turns, 1, "{op:?}");
            assert!(read < 700, "{read} entries beside a write: {op:?}");
        }
    }
}

#[test]
fn who_asks_once_waits_for_a_slice_of_each_other() {
    for op in large_reads() {
        let mut bench = busy();
        for _ in 0..500 {
            bench.give_as(GREEDY, op.clone());
        }
        let request_id =
            bench.give_as(MODEST, StoreOp::Read(HistoryRange { count_max: 1, ..all(ROOM) }));
        let (turns, _) = bench.turns_until(request_id);
        assert!(turns <= 2, "{turns} turns behind {op:?}");
    }
}

#[test]
fn requesters_take_turns_and_each_gets_its_answers_in_order() {
    let mut bench = busy();
    let mut expected = Vec::new();
    for by in [GREEDY, MODEST] {
        for _ in 0..50 {
            let request_id =
                bench.give_as(by, StoreOp::Read(HistoryRange { count_max: 40, ..all(ROOM) }));
            expected.push((by, request_id));
        }
    }
    let mut out = Vec::new();
    while bench.engine.turn(bench.now, &mut out) == TurnResult::Busy {}
    let place =
        |request_id| out.iter().position(|(_, reply)| reply.request_id == request_id).unwrap();
    let of = |by| {
        let own = expected.iter().filter(|(one, _)| *one == by);
        own.map(|(_, request_id)| place(*request_id)).collect::<Vec<_>>()
    };
    let (greedy, modest) = (of(GREEDY), of(MODEST));
    assert!(greedy.is_sorted() && modest.is_sorted());
    for (one, other) in greedy.iter().zip(&modest) {
        assert!(one.abs_diff(*other) <= 2, "{one} beside {other}");
    }
}

/// A user's connection.
fn of(user: u128, slot: u32) -> Requester {
    let user = UserHash::of_inbox(RoomId(user));
    Requester { conn: ConnId { slot, generation: 0 }, user, ..ANYBODY }
}

#[test]
fn a_user_has_one_turn_by_however_many_connections_and_shards_it_asks() {
    let mut bench = busy();
    let one = || StoreOp::Read(HistoryRange { count_max: 40, ..all(ROOM) });
    for slot in 0..180 {
        let shard = ShardId((slot % 2) as u16);
        bench.give_as(Requester { shard, ..of(7, slot % 18) }, one());
    }
    let own: Vec<RequestId> = (0..10).map(|_| bench.give_as(of(8, 99), one())).collect();
    let mut out = Vec::new();
    while bench.engine.turn(bench.now, &mut out) == TurnResult::Busy {}
    for (n, request_id) in own.into_iter().enumerate() {
        let place = out.iter().position(|(_, reply)| reply.request_id == request_id).unwrap();
        assert!(place <= 2 * n + 4, "number {n} is answered behind {place} others");
    }
}

#[test]
fn when_one_connection_of_a_user_is_gone_the_others_are_served() {
    for slice in [40, 5_000] {
        let mut bench = busy();
        let one = || StoreOp::Read(HistoryRange { count_max: slice, ..all(ROOM) });
        let gone: Vec<RequestId> = (0..5).map(|_| bench.give_as(of(7, 1), one())).collect();
        let own: Vec<RequestId> = (0..5).map(|_| bench.give_as(of(7, 2), one())).collect();
        let mut out = Vec::new();
        // A long read has begun then, and is the one that is gone.
        if slice == 5_000 {
            bench.engine.turn(bench.now, &mut out);
        }
        bench.give(StoreOp::Abandon(of(7, 1)));
        while bench.engine.turn(bench.now, &mut out) == TurnResult::Busy {}
        let is_read = |request_id: &RequestId| {
            let reply = out.iter().find(|(_, reply)| reply.request_id == *request_id).unwrap();
            matches!(reply.1.outcome, StoreResult::History(_))
        };
        assert!(own.iter().all(is_read) && !gone.iter().any(is_read));
    }
}

#[test]
fn what_is_read_in_slices_is_what_is_there() {
    let mut bench = busy();
    let read = |bench: &mut Bench<_>, order| {
        let range = HistoryRange { first: 10, order, ..all(ROOM) };
        offsets(&bench.ask(StoreOp::Read(range)))
    };
    assert_eq!(read(&mut bench, ReadOrder::OldestFirst), (10..=1_010).collect::<Vec<_>>());
    let newest: Vec<_> = (2_000..=3_000).rev().collect();
    assert_eq!(read(&mut bench, ReadOrder::NewestFirst), newest);
    let wide = OpenChannel { ids_since_unix_ms: 0, count_max: 2_000, ..open(ROOM) };
    let StoreResult::Opened(Some(opened), _) = bench.ask(StoreOp::Open(wide)) else { panic!() };
    assert_eq!((opened.tail.len(), opened.ids.len()), (2_000, 3_000));
    let (mut after, mut found, mut pages) = (Box::from(""), Vec::new(), 0);
    loop {
        let StoreResult::Conversations(page, next) = bench.ask(conversations(&after)) else {
            panic!()
        };
        assert!(page.iter().all(|one| one.last.is_some()));
        found.extend(page.into_iter().map(|one| one.channel));
        pages += 1;
        let Some(next) = next else { break };
        after = next;
    }
    // With the busy room and the one of two.
    assert_eq!((found.len(), pages), (1_002, 4));
    assert!(found.is_sorted());
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = PendingQuery { inbox: BOB, after, count_max: 300 };
        let StoreResult::Pending(page, next) = bench.ask(StoreOp::Pending(page)) else { panic!() };
        found.extend(page.iter().map(|due| due.publication.offset));
        let Some(next) = next else { break };
        after = Some(next);
    }
    assert_eq!(found, (1..=1_000).collect::<Vec<_>>());
}

#[test]
fn a_page_of_conversations_stops_at_its_bytes() {
    let mut bench = Bench::new();
    for room in 0..40u32 {
        let (room, channel) = (RoomId(u128::from(room) + 5_000), format!("room:{room:04}"));
        let StoreOp::Append(mut append) = append(room, &channel, 1) else { panic!() };
        let said = message(1, &"x".repeat(60_000), "ann", 1);
        append.publication = Arc::new(Publication { tags: Vec::new(), ..said });
        bench.give(StoreOp::Append(append));
        bench.give(mark(room, "ann", MarkerPosition::Delivered(1)));
    }
    bench.answers();
    let before = bench.engine.disk_mut().reads_count();
    let StoreResult::Conversations(page, next) = bench.ask(conversations("")) else { panic!() };
    assert_eq!((page.len(), next.as_deref()), (8, Some("room:0007")));
    assert!(bench.engine.disk_mut().reads_count() - before < 100, "no more is read");
}

#[test]
fn an_acknowledgement_of_many_messages_is_done_in_steps() {
    let mut bench = Bench::new();
    (1..=5_000).for_each(|offset| bench.give(direct(offset)));
    bench.answers();
    let op = mark(RoomId(70), "bob", MarkerPosition::Read(5_000));
    let acknowledged = bench.give_as(GREEDY, op);
    let mut out = Vec::new();
    for turn in 0..10 {
        let request_id = bench.give_as(MODEST, append(RoomId(8), "room:b", turn + 1));
        let (turns, answered) = bench.turns_until(request_id);
        assert_eq!(turns, 1);
        assert!(answered.iter().all(|(one, _)| *one != acknowledged), "it takes longer");
    }
    while bench.engine.turn(bench.now, &mut out) == TurnResult::Busy {}
    let markers = ReadMarkers { delivered: 5_000, read: 5_000 };
    assert!(
        matches!(&out[..], [(_, StoreReply { request_id, outcome: StoreResult::MarkerAdvanced { after, .. } })]
        if *request_id == acknowledged && *after == markers)
    );
    let page = PendingQuery { inbox: BOB, after: None, count_max: 10 };
    assert!(
        matches!(&bench.ask(StoreOp::Pending(page)), StoreResult::Pending(dues, None) if dues.is_empty())
    );
}

#[test]
fn an_acknowledgement_fails_with_the_disk_and_is_made_good_by_the_next() {
    let mut bench = Bench::new();
    (1..=2_000).for_each(|offset| bench.give(direct(offset)));
    bench.answers();
    bench.give(mark(RoomId(70), "bob", MarkerPosition::Read(2_000)));
    let mut out = Vec::new();
    bench.engine.turn(bench.now, &mut out);
    assert!(out.is_empty());
    bench.set_fault_profile(DiskFaultProfile {
        commit_fails_percent: 100,
        ..DiskFaultProfile::CALM
    });
    assert_eq!(failure(&bench.answers()[0]), StoreError::Broken);
    bench.set_fault_profile(DiskFaultProfile::CALM);
    bench.now += 10_000;
    bench.answers();
    let again = bench.ask(mark(RoomId(70), "bob", MarkerPosition::Read(2_000)));
    assert!(matches!(again, StoreResult::MarkerAdvanced { .. }), "{again:?}");
    let page = PendingQuery { inbox: BOB, after: None, count_max: 10 };
    assert!(
        matches!(&bench.ask(StoreOp::Pending(page)), StoreResult::Pending(dues, None) if dues.is_empty())
    );
}

#[test]
fn reads_take_no_places_of_writes() {
    let mut bench = busy();
    let read = StoreOp::Read(HistoryRange { count_max: 1, ..all(ROOM) });
    for _ in 0..40_000 {
        assert!(bench.engine.has_room_for(&read));
        bench.give_as(GREEDY, read.clone());
    }
    let write = append(RoomId(8), "room:b", 1);
    assert!(bench.engine.has_room_for(&write));
    let request_id = bench.give_as(MODEST, write);
    assert_eq!(bench.turns_until(request_id).0, 1);
}

#[test]
fn what_nobody_waits_for_any_more_is_not_read() {
    let mut bench = busy();
    for _ in 0..100 {
        bench.give_as(GREEDY, conversations(""));
    }
    let own = bench.give_as(MODEST, StoreOp::Read(HistoryRange { count_max: 1, ..all(ROOM) }));
    let mut out = Vec::new();
    bench.engine.turn(bench.now, &mut out);
    bench.give(StoreOp::Abandon(GREEDY));
    let before = bench.engine.disk_mut().reads_count();
    while bench.engine.turn(bench.now, &mut out) == TurnResult::Busy {}
    assert!(bench.engine.disk_mut().reads_count() - before < 2_000, "a turn's, and no more");
    assert_eq!(out.len(), 102, "each has its answer all the same");
    let gone = out
        .iter()
        .filter(|(_, reply)| matches!(reply.outcome, StoreResult::Failed(StoreError::Abandoned)));
    assert!(gone.count() >= 95);
    assert!(out.iter().any(|(_, reply)| reply.request_id == own));
    let later = bench.give_as(GREEDY, StoreOp::Read(HistoryRange { count_max: 1, ..all(ROOM) }));
    assert_eq!(bench.turns_until(later).0, 1, "a number that is used again is served");
}

#[test]
fn what_is_taken_back_while_it_is_read_is_not_shown() {
    for op in
        [StoreOp::Read(all(ROOM)), StoreOp::Open(OpenChannel { count_max: 3_000, ..open(ROOM) })]
    {
        let mut bench = busy();
        let request_id = bench.give_as(GREEDY, op);
        let mut out = Vec::new();
        bench.engine.turn(bench.now, &mut out);
        assert!(out.is_empty(), "it is half read");
        for (offset, next) in [(2, 3_001), (2_999, 3_002)] {
            let left = Arc::new(message(offset, "gone", "ann", 1_000_000 + offset));
            let StoreOp::Append(append) = append(ROOM, "room:a", next) else { unreachable!() };
            let (kind, superseded) = (ChangeKind::Retraction, None);
            let change = Some(MessageChange { kind, replacement: left, superseded });
            bench.give_as(MODEST, StoreOp::Append(Box::new(Append { change, ..*append })));
        }
        let (_, answered) = bench.turns_until(request_id);
        let found = answered.into_iter().find(|(one, _)| *one == request_id).unwrap().1;
        let found = match found {
            StoreResult::History(found) => found,
            StoreResult::Opened(Some(opened), _) => opened.tail,
            other => panic!("{other:?}"),
        };
        for one in found.iter().filter(|one| [2, 2_999].contains(&one.offset)) {
            assert_eq!(&one.data.bytes[..], b"gone");
        }
    }
}

/// A direct message of a MiB to bob.
fn large(offset: u64) -> StoreOp {
    let StoreOp::Append(mut append) = direct(offset) else { unreachable!() };
    let text = "x".repeat(1 << 20);
    append.publication = Arc::new(message(offset, "m", "ann", 1_000_000 + offset));
    Arc::make_mut(&mut append.publication).data.bytes = text.into_bytes().into();
    StoreOp::Append(append)
}

#[test]
fn so_much_waits_in_a_conversation_and_who_says_more_is_refused_alone() {
    let mut bench = Bench::new();
    let appended = |bench: &mut Bench<_>, op| matches!(bench.ask(op), StoreResult::Appended);
    let count = (1..100).take_while(|&offset| appended(&mut bench, large(offset))).count() as u64;
    assert_eq!(count, 17, "16 MiB behind the oldest one");
    // What was given in the same round: of the conversation refused by its name, else kept.
    bench.give(large(count + 1));
    bench.give(append(RoomId(8), "room:b", 1));
    bench.give(large(count + 2));
    bench.give(append(RoomId(8), "room:b", 2));
    let answers = bench.answers();
    let crowded = |one: &StoreResult| matches!(one, StoreResult::Failed(StoreError::Crowded));
    assert!(crowded(&answers[0]) && crowded(&answers[2]), "{answers:?}");
    assert!(
        matches!(answers[1], StoreResult::Appended) && matches!(answers[3], StoreResult::Appended)
    );
    let reopen = |bench: &mut Bench<_>| {
        let opened = bench.ask(StoreOp::Open(open(RoomId(70))));
        assert!(matches!(opened, StoreResult::Opened(Some(_), _)), "{opened:?}");
    };
    // The room is read again, as after every refusal; that alone changes nothing.
    reopen(&mut bench);
    assert!(crowded(&bench.ask(large(count + 1))));
    reopen(&mut bench);
    bench.ask(mark(RoomId(70), "bob", MarkerPosition::Delivered(1)));
    assert!(appended(&mut bench, large(count + 1)), "one less waits");
    assert!(crowded(&bench.ask(large(count + 2))));
    reopen(&mut bench);
    bench.ask(mark(RoomId(70), "bob", MarkerPosition::Delivered(count + 1)));
    assert!(appended(&mut bench, large(count + 2)), "all of it was acknowledged");
}
