//! What an author may repeat is known for five minutes, and then it is gone.

use super::*;
use crate::base::limits::IDS_MS;

impl<D: Disk> Bench<D> {
    /// Offsets of the ids of a room that are known now.
    fn known(&mut self, room: RoomId) -> Vec<u64> {
        let ids_since_unix_ms = self.now - IDS_MS + 1;
        match self.ask(StoreOp::Open(OpenChannel { ids_since_unix_ms, ..open(room) })) {
            StoreResult::Opened(opened, _) => {
                opened.into_iter().flat_map(|opened| opened.ids).map(|one| one.offset).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn say_at(&mut self, channel: &str, offset: u64) -> StoreResult {
        let StoreOp::Append(mut append) = with_id(append(ROOM, channel, offset)) else { panic!() };
        append.publication = Arc::new(message(offset, &format!("m{offset}"), "ann", self.now));
        self.ask(StoreOp::Append(append))
    }

    fn records(&self) -> usize {
        self.count(StoreKeyspace::Ids)
    }
}

#[test]
fn ids_outlive_their_messages_and_the_time_of_their_channel() {
    let mut bench = Bench::new();
    for offset in 1..=100 {
        bench.say_at("few:a", offset);
    }
    assert_eq!(bench.history(ROOM, 1, 99).first(), Some(&81), "few are kept");
    assert_eq!(bench.known(ROOM), (1..=100).collect::<Vec<_>>());
    let mut bench = bench.crash(Crash::PowerCut);
    assert_eq!(bench.known(ROOM).len(), 100);
    bench.now += 250_000;
    bench.pass(1_000);
    assert!(bench.history(ROOM, 1, 100).is_empty(), "all are too old, and the channel would go");
    assert_eq!(bench.known(ROOM).len(), 100);
    bench.say_at("few:a", 101);
    bench.now += 50_000;
    assert_eq!(bench.known(ROOM), [101], "each has its own five minutes");
}

#[test]
fn a_room_is_not_looked_up_where_nobody_gives_ids() {
    let mut bench = Bench::new();
    bench.said(1..=3);
    let reads_count = |bench: &mut Bench<SimulatedDisk>| {
        bench.pass(1_000); // what the background looks at is looked at
        bench.known(ROOM); // and what is remembered is remembered
        let before = bench.engine.disk_mut().reads_count();
        bench.known(ROOM);
        bench.engine.disk_mut().reads_count() - before
    };
    let without = reads_count(&mut bench);
    bench.ask(with_id(append(RoomId(8), "room:b", 1)));
    assert!(without < reads_count(&mut bench), "another room's are looked at");
    bench.now += 2 * IDS_MS;
    assert_eq!(without, reads_count(&mut bench));
    let mut bench = bench.crash(Crash::PowerCut);
    bench.now += 2 * IDS_MS;
    assert_eq!(without, reads_count(&mut bench));
}

#[test]
fn ids_that_are_over_go_in_steps_and_nothing_stays() {
    let mut bench = Bench::new();
    bench.now = 10 * IDS_MS;
    for offset in 1..=2_000 {
        bench.say_at("few:a", offset);
    }
    bench.now += IDS_MS;
    assert!(bench.known(ROOM).is_empty());
    bench.say_at("few:a", 2_001);
    bench.now += IDS_MS - 1;
    bench.pass(200);
    assert!((1..2_000).contains(&bench.records()), "{}", bench.records());
    bench.pass(1_000);
    assert_eq!(bench.records(), 1, "of the period that may be asked for");
    assert!(bench.engine.next_wake_unix_ms().unwrap() > bench.now, "and then it rests");
    bench.now += IDS_MS;
    bench.pass(1_000);
    assert_eq!(bench.records(), 0);
}

#[test]
fn ids_go_as_fast_as_they_come() {
    let mut bench = Bench::new();
    let (mut offset, mut most) = (0, 0);
    // One step of the background in each turn would not do.
    for _ in 0..40 {
        bench.now += IDS_MS / 10;
        for _ in 0..1_000 {
            offset += 1;
            let StoreOp::Append(mut one) = with_id(append(ROOM, "few:a", offset)) else { panic!() };
            one.publication = Arc::new(message(offset, "m", "ann", bench.now));
            bench.give(StoreOp::Append(one));
        }
        bench.answers();
        most = most.max(bench.records());
    }
    assert!(most <= 22_000, "{most} records of two periods with 10,000 each");
}

#[test]
fn an_id_is_there_exactly_when_its_message_is() {
    let mut bench = Bench::new();
    bench.say_at("soon:a", 1);
    bench.pass(200);
    bench.say_at("soon:a", 2);
    let mut bench = bench.crash(Crash::PowerCut);
    assert_eq!((bench.history(ROOM, 1, 9), bench.known(ROOM)), (vec![1], vec![1]));
    bench.set_fault_profile(DiskFaultProfile {
        commit_fails_percent: 100,
        ..DiskFaultProfile::CALM
    });
    assert!(matches!(bench.say_at("soon:a", 2), StoreResult::Failed(_)));
    bench.set_fault_profile(DiskFaultProfile::CALM);
    bench.pass(60_000);
    assert_eq!(bench.history(ROOM, 1, 9), bench.known(ROOM));
}

#[test]
fn who_has_no_name_and_what_has_no_id_leaves_no_record() {
    let mut bench = Bench::new();
    let anonymous = message(1, "m", "", 1_000_000);
    let untagged = Publication { tags: Vec::new(), ..message(2, "m", "ann", 1_000_000) };
    let of_server = Publication { info: None, offset: 3, ..anonymous.clone() };
    for (publication, records) in [(anonymous, 0), (untagged, 0), (of_server, 1)] {
        let StoreOp::Append(mut append) = with_id(append(ROOM, "room:a", 0)) else { panic!() };
        append.publication = Arc::new(publication);
        assert!(matches!(bench.ask(StoreOp::Append(append)), StoreResult::Appended));
        assert_eq!(bench.records(), records, "the server can repeat a message, too");
    }
}
