//! What arrives, in which order, who is woken, and a random run beside a model.

use std::collections::{BTreeSet, VecDeque};
use std::thread;

use super::*;
use crate::base::Prng;
use crate::base::limits::{
    LANE_BATCH_MESSAGES_MAX, LANE_BATCHES_MAX, LANE_PUSHES_MAX, TURN_MESSAGES_MAX,
};

const LIMITS: LaneLimits =
    LaneLimits { batches_max: LANE_BATCHES_MAX, batch_items_max: LANE_BATCH_MESSAGES_MAX };

/// One writer and its reader.
fn pair(limits: LaneLimits) -> (LaneSender<u32>, Mailbox<u32>) {
    let (mut senders, mailbox) = mailbox(1, limits);
    (senders.remove(0), mailbox)
}

fn limits(batches_max: usize, batch_items_max: usize) -> LaneLimits {
    LaneLimits { batches_max, batch_items_max }
}

/// What `mailbox` gets in one turn, by writer, and whom it wakes.
fn take(mailbox: &mut Mailbox<u32>, items_max: usize) -> (Vec<(u16, u32)>, Vec<u16>) {
    let (mut items, mut woken) = (Vec::new(), Vec::new());
    let taken_count =
        mailbox.take(items_max, &mut |from, item| items.push((from, item)), &mut |from| {
            woken.push(from)
        });
    assert_eq!(taken_count, items.len());
    (items, woken)
}

/// What is taken from one lane, as long as it is less than `end`.
fn take_below(mailbox: &mut Mailbox<u32>, from: u16, end: u32) -> Vec<u32> {
    let mut items = Vec::new();
    let taken_count = mailbox.take_from(from, usize::MAX, &mut |item| {
        if end <= item {
            return Some(item);
        }
        items.push(item);
        None
    });
    assert_eq!(taken_count, items.len());
    items
}

#[test]
fn items_arrive_once_and_in_order() {
    let mut ends = mesh::<u32>(2, LIMITS);
    let (mut b_to, mut b) = ends.remove(1);
    let (mut a_to, mut a) = ends.remove(0);
    let a_to_b = a_to[1].as_mut().unwrap();
    assert_eq!(a_to_b.post(&mut vec![1, 2]), 2);
    assert_eq!(a_to_b.post(&mut vec![3]), 1);
    assert_eq!(b_to[0].as_mut().unwrap().post(&mut vec![9]), 1);
    assert!(b_to[1].is_none(), "nobody writes to itself");
    assert_eq!((a.waiting_count(), b.waiting_count()), (1, 3));
    assert_eq!(take(&mut b, 10), (vec![(0, 1), (0, 2), (0, 3)], vec![]));
    assert_eq!(take(&mut b, 10), (vec![], vec![]));
    assert_eq!(take(&mut a, 10), (vec![(1, 9)], vec![]));
    assert_eq!((a.waiting_count(), b.waiting_count()), (0, 0));
}

#[test]
fn what_a_full_lane_has_no_room_for_stays_and_its_writer_is_named() {
    let (mut sender, mut mailbox) = pair(LIMITS);
    for item in 0..LANE_BATCHES_MAX as u32 {
        assert_eq!(sender.post(&mut vec![item]), 1);
    }
    assert_eq!(sender.room_batches_count(), 0);
    let mut rest = vec![100, 101];
    assert_eq!(sender.post(&mut rest), 0);
    assert_eq!(rest, [100, 101]);
    assert_eq!(sender.push(102), Err(102));
    let (items, woken) = take(&mut mailbox, 10);
    assert_eq!((items.len(), woken), (LANE_BATCHES_MAX, vec![0]));
    assert_eq!(sender.post(&mut rest), 2);
    assert_eq!(sender.push(102), Ok(()));
    assert_eq!(take(&mut mailbox, 10), (vec![(0, 100), (0, 101), (0, 102)], vec![]));
}

#[test]
fn a_turn_takes_a_bounded_number_and_loses_nothing() {
    let writers = 4;
    let (mut senders, mut mailbox) = mailbox::<u32>(writers, LIMITS);
    let each = LANE_PUSHES_MAX as u32;
    for sender in &mut senders {
        let mut items: Vec<u32> = (0..each).collect();
        assert_eq!(sender.post(&mut items), LANE_PUSHES_MAX);
    }
    let mut next = vec![0; usize::from(writers)];
    let mut turns = 0;
    while next.iter().any(|&next| next < each) {
        let (items, _) = take(&mut mailbox, TURN_MESSAGES_MAX);
        assert!(!items.is_empty() && items.len() <= TURN_MESSAGES_MAX);
        for (from, item) in items {
            assert_eq!(item, next[usize::from(from)]);
            next[usize::from(from)] += 1;
        }
        turns += 1;
    }
    assert_eq!(turns, 4 * LANE_PUSHES_MAX / TURN_MESSAGES_MAX);
}

#[test]
fn nobody_is_served_last_for_ever() {
    let (mut senders, mut mailbox) = mailbox::<u32>(2, LIMITS);
    let mut firsts = BTreeSet::new();
    for _ in 0..2 {
        senders.iter_mut().for_each(|sender| sender.push(0).unwrap());
        firsts.insert(take(&mut mailbox, 10).0[0].0);
    }
    assert_eq!(firsts, BTreeSet::from([0, 1]));
}

#[test]
fn a_batch_in_which_a_turn_stops_goes_on_in_the_next() {
    let (mut sender, mut mailbox) = pair(limits(2, 10));
    assert_eq!(sender.post(&mut vec![1, 2, 3]), 3);
    for item in 1..=2 {
        // Nothing new was posted, and the flag is up all the same.
        assert_eq!(take(&mut mailbox, 1), (vec![(0, item)], vec![]));
    }
    sender.push(4).unwrap();
    assert_eq!((mailbox.waiting_count(), mailbox.received_count(0)), (2, 2));
    assert_eq!(take(&mut mailbox, 9), (vec![(0, 3), (0, 4)], vec![]));
}

#[test]
fn what_is_given_back_stays_first_and_holds_up_its_lane_only() {
    let (mut senders, mut mailbox) = mailbox::<u32>(2, limits(2, 2));
    senders[0].post(&mut vec![1, 2, 3]);
    senders[1].post(&mut vec![1]);
    assert_eq!(take_below(&mut mailbox, 0, 2), [1]);
    assert!(take_below(&mut mailbox, 0, 2).is_empty());
    assert_eq!(take_below(&mut mailbox, 1, 2), [1]);
    let mut waiting = Vec::new();
    mailbox.show_waiting(0, &mut |item| waiting.push(*item));
    assert_eq!(waiting, [2, 3]);
    assert_eq!(take_below(&mut mailbox, 0, 9), [2, 3]);
}

#[test]
fn the_writer_of_a_lane_that_is_read_alone_is_named() {
    let (mut sender, mut mailbox) = pair(limits(1, 1));
    sender.push(1).unwrap();
    sender.push(2).unwrap_err();
    assert_eq!(take_below(&mut mailbox, 0, 9), [1]);
    let mut woken = Vec::new();
    mailbox.name_unblocked(&mut |from| woken.push(from));
    mailbox.name_unblocked(&mut |from| woken.push(from));
    assert_eq!(woken, [0]);
}

#[test]
fn the_writer_of_a_lane_that_is_full_still_is_not_named_yet() {
    let (mut sender, mut mailbox) = pair(limits(1, 2));
    sender.post(&mut vec![1, 2]);
    assert_eq!(take_below(&mut mailbox, 0, 2), [1]);
    sender.push(3).unwrap();
    sender.push(4).unwrap_err();
    let mut woken = Vec::new();
    assert!(take_below(&mut mailbox, 0, 2).is_empty());
    mailbox.name_unblocked(&mut |from| woken.push(from));
    assert!(woken.is_empty());
    assert_eq!(take_below(&mut mailbox, 0, 9), [2, 3]);
    mailbox.name_unblocked(&mut |from| woken.push(from));
    assert_eq!(woken, [0]);
}

#[test]
fn what_is_dropped_is_counted_without_another_post() {
    let (mut senders, mut mailbox) = mailbox::<u32>(2, limits(2, 1));
    senders[0].post_or_drop(&mut vec![1, 2, 3, 4], 3);
    senders[1].post_or_drop(&mut vec![], 1);
    assert_eq!((mailbox.take_dropped(), mailbox.take_dropped()), (6, 0));
    assert_eq!(take(&mut mailbox, 10).0, [(0, 1), (0, 2)]);
}

/// Whatever is posted, taken and given back: the reader gets what a plain queue would give.
#[test]
fn a_random_run_agrees_with_plain_queues() {
    for seed in 0..200 {
        let mut prng = Prng::from_seed(seed);
        let (mut senders, mut mailbox) = mailbox::<u32>(3, limits(2, 3));
        let mut queues: Vec<VecDeque<u32>> = vec![VecDeque::new(); 3];
        let mut next = 0;
        for _ in 0..100 {
            let at = prng.below(3) as usize;
            match prng.below(3) {
                0 => {
                    let mut items: Vec<u32> = (next..next + prng.below(9) as u32).collect();
                    let all = items.clone();
                    next += all.len() as u32;
                    let posted_count = senders[at].post(&mut items);
                    assert_eq!(items, all[posted_count..]);
                    assert!(items.is_empty() || senders[at].room_batches_count() == 0);
                    queues[at].extend(&all[..posted_count]);
                }
                1 => {
                    let items_max = prng.below(8) as usize;
                    let all_count: usize = queues.iter().map(VecDeque::len).sum();
                    let (items, _) = take(&mut mailbox, items_max);
                    assert_eq!(items.len(), items_max.min(all_count));
                    for (from, item) in items {
                        assert_eq!(queues[usize::from(from)].pop_front(), Some(item));
                    }
                }
                _ => {
                    let end = next.saturating_sub(prng.below(5) as u32);
                    for item in take_below(&mut mailbox, at as u16, end) {
                        assert_eq!(queues[at].pop_front(), Some(item));
                    }
                    assert!(queues[at].front().is_none_or(|&first| end <= first));
                }
            }
            for (from, sender) in (0..).zip(&senders) {
                let queue = &queues[usize::from(from)];
                let mut waiting = VecDeque::new();
                mailbox.show_waiting(from, &mut |item| waiting.push_back(*item));
                assert_eq!(&waiting, queue);
                let received_count = mailbox.received_count(from);
                assert_eq!(sender.sent_count(), received_count + queue.len() as u64);
            }
        }
    }
}

#[test]
fn no_wake_up_is_lost_between_two_threads() {
    const ITEMS: u32 = 100_000;
    let (mut sender, mut mailbox) = pair(LIMITS);
    let writer = thread::current();
    // Each side sleeps until the other one wakes it: a lost wake-up hangs.
    let reader = thread::spawn(move || {
        let mut next = 0;
        while next < ITEMS {
            let mut on_item = |_, item| {
                assert_eq!(item, next);
                next += 1;
            };
            if mailbox.take(TURN_MESSAGES_MAX, &mut on_item, &mut |_| writer.unpark()) == 0 {
                thread::park();
            }
        }
    });
    for item in 0..ITEMS {
        let mut items = vec![item];
        while sender.post(&mut items) == 0 {
            thread::park();
        }
        reader.thread().unpark();
    }
    reader.join().unwrap();
}

#[test]
fn sixty_cores_cost_less_than_2_mb() {
    // What rtrb allocates: the slots, and two indices on cache lines of their own.
    let lane = LANE_BATCHES_MAX * size_of::<Box<Parcel<u32>>>()
        + size_of::<RingBuffer<Box<Parcel<u32>>>>()
        + size_of::<LaneSender<u32>>()
        + size_of::<Option<LaneEnd<u32>>>();
    assert_eq!(lane, 504);
    assert!(60 * 59 * lane < 2_000_000, "{lane} B a lane");
}
