//! Dead letters of a store that is open: they are listed, wait again, or are forgotten.

use super::waiting::{ANN, BOB, DM, EXPIRES, direct};
use super::*;
use crate::base::DeadLetterPlace;

const LATER: u64 = EXPIRES + 1_000_000;

fn requeued(offset: Option<u64>) -> StoreOp {
    change(offset, DeadLetterFate::Requeued { expires_unix_ms: LATER })
}

fn dropped(offset: Option<u64>) -> StoreOp {
    change(offset, DeadLetterFate::Dropped)
}

fn change(offset: Option<u64>, fate: DeadLetterFate) -> StoreOp {
    let inboxes = [ANN, BOB];
    StoreOp::ChangeDeadLetters(Box::new(ChangeDeadLetters { room: DM, inboxes, offset, fate }))
}

impl<D: Disk> Bench<D> {
    fn letters_changed(&mut self, op: StoreOp) -> ChangedDeadLetters {
        match self.ask(op) {
            StoreResult::DeadLettersChanged(changed) => changed,
            other => panic!("{other:?}"),
        }
    }

    fn page(
        &mut self,
        inbox: Option<RoomId>,
        after: Option<DeadLetterPlace>,
        count_max: u32,
    ) -> (Vec<DeadLetterEntry>, Option<DeadLetterPlace>) {
        match self.ask(StoreOp::DeadLetters(DeadLettersQuery { inbox, after, count_max })) {
            StoreResult::DeadLetters(found, next) => (found, next),
            other => panic!("{other:?}"),
        }
    }

    fn letters(&mut self) -> Vec<u64> {
        self.page(None, None, 100).0.iter().map(|one| one.place.offset).collect()
    }
}

#[test]
fn dead_letters_are_listed_by_pages_and_by_reader() {
    let mut bench = Bench::new();
    bench.send(1..=7);
    bench.ask(direct(RoomId(501), "room:other", 1, ANN));
    (1..=7).for_each(|offset| bench.dead_letter(offset));
    let place = DeadLetterPlace { inbox: ANN, room: RoomId(501), offset: 1 };
    let new = NewDeadLetter {
        inbox: ANN,
        room: RoomId(501),
        offset: 1,
        cause: DeadLetterCause::Expired,
        at_unix_ms: 77,
    };
    bench.ask(StoreOp::DeadLetter(new));
    let want = DeadLetterEntry {
        place,
        tenant: "".into(),
        channel: "room:other".into(),
        cause: DeadLetterCause::Expired,
        at_unix_ms: 77,
        tries_count: 0,
    };
    assert_eq!(bench.page(Some(ANN), None, 100), (vec![want], None));
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let (some, next) = bench.page(None, after, 3);
        assert!(some.len() <= 3);
        found.extend(some.into_iter().map(|one| (one.place.inbox, one.place.offset)));
        after = next;
        if after.is_none() {
            break;
        }
    }
    let of_bob = (1..=7).map(|offset| (BOB, offset));
    assert_eq!(found, [(ANN, 1)].into_iter().chain(of_bob).collect::<Vec<_>>());
}

#[test]
fn one_that_waits_again_is_a_dead_letter_no_more_and_can_be_acknowledged() {
    let mut bench = Bench::new();
    bench.send(1..=4);
    (1..=2).for_each(|offset| bench.dead_letter(offset));
    // The reader has all that came later: nothing below is looked for any more.
    bench.position(MarkerPosition::Delivered(4));
    assert!(bench.waiting().is_empty());
    let changed = bench.letters_changed(requeued(Some(1)));
    assert_eq!(changed, ChangedDeadLetters { counts: [0, 1], ..ChangedDeadLetters::default() });
    assert_eq!((bench.waiting(), bench.letters()), (vec![1], vec![2]));
    let due = &bench.pending(BOB, None)[0];
    assert_eq!((due.tries_count, due.expires_unix_ms), (0, LATER));
    assert_eq!(bench.engine.dead_letters().count, 1);
    bench.position(MarkerPosition::Delivered(1));
    assert!(bench.waiting().is_empty(), "an acknowledgement of an older place takes it out");
    // A repeat changes nothing, and neither does one of what is none.
    assert_eq!(bench.letters_changed(requeued(Some(1))), ChangedDeadLetters::default());
    assert_eq!(bench.letters_changed(dropped(Some(3))), ChangedDeadLetters::default());
    assert!(bench.waiting().is_empty());
}

#[test]
fn one_that_waits_again_is_given_up_when_its_time_is_over() {
    let mut bench = Bench::new();
    bench.send(1..=1);
    bench.dead_letter(1);
    bench.letters_changed(requeued(None));
    assert_eq!(bench.engine.dead_letters().count, 0);
    bench.now = LATER - 1;
    bench.pass(2_000);
    assert!(bench.waiting().is_empty());
    assert_eq!(bench.letters(), [1]);
    assert_eq!(bench.engine.dead_letters().count, 1);
}

#[test]
fn what_is_dropped_is_gone_and_its_conversation_stays() {
    let mut bench = Bench::new();
    bench.send(1..=3);
    (1..=3).for_each(|offset| bench.dead_letter(offset));
    assert_eq!(bench.letters_changed(dropped(Some(2))).counts, [0, 1]);
    assert_eq!(bench.letters(), [1, 3]);
    assert_eq!(bench.letters_changed(dropped(None)).counts, [0, 2]);
    assert!(bench.letters().is_empty() && bench.waiting().is_empty());
    assert_eq!(bench.engine.dead_letters().count, 0);
    assert_eq!(bench.history(DM, 1, 3), [1, 2, 3]);
}

#[test]
fn an_order_changes_so_many_and_says_whether_there_may_be_more() {
    let mut bench = Bench::new();
    for offset in 1..=130 {
        bench.ask(direct(DM, "room:dm", offset, BOB));
        bench.dead_letter(offset);
    }
    let changed = bench.letters_changed(requeued(None));
    assert_eq!((changed.counts, changed.is_full), ([0, 100], true));
    let changed = bench.letters_changed(requeued(None));
    assert_eq!((changed.counts, changed.is_full), ([0, 30], false));
    assert_eq!(bench.waiting().len(), 100, "a page");
}

#[test]
fn removed_histories_have_no_dead_letters() {
    let mut bench = Bench::new();
    bench.send(1..=3);
    bench.dead_letter(1);
    bench.ask(StoreOp::RemoveHistory(RemoveHistory { room: DM, at_unix_ms: bench.now }));
    assert!(bench.letters().is_empty());
    assert_eq!(bench.letters_changed(requeued(None)), ChangedDeadLetters::default());
    assert!(bench.waiting().is_empty());
}
