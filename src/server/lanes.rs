//! Lanes between cores: for each ordered pair of shards a bounded queue with
//! one writer and one reader, which carries bags of letters.
//!
//! Sixty shards have 3,540 lanes, so a lane is small (528 B), and a shard
//! does not look into the 59 that lead to it: whoever leaves a bag raises a
//! flag in a bitmap of the reader's.
//!
//! Invariants: letters of one lane arrive in order; a bag whose flag is down
//! has been taken; a writer that found a lane full is woken when it has room.
//!
//! Deliberately absent: what happens to letters for which there is no room;
//! they stay with the shard, which counts and answers.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::base::ShardId;
use crate::base::limits::{LANE_PUSHES_MAX, SHARDS_MAX, TURN_LETTERS_MAX};

/// Bags that wait in one lane.
const LANE_BAGS_MAX: usize = 4;

/// Letters in one bag.
const BAG_LETTERS_MAX: usize = LANE_PUSHES_MAX / LANE_BAGS_MAX;

const _: () = assert!(BAG_LETTERS_MAX <= TURN_LETTERS_MAX);

/// One bit a shard.
#[derive(Default)]
struct Bits([AtomicU64; SHARDS_MAX as usize / 64]);

/// What neighbours tell one shard. Aligned so that two shards' flags are not in
/// one prefetched pair of cache lines.
#[repr(align(128))]
#[derive(Default)]
struct Flags {
    /// Shards that left a bag.
    mail: Bits,
    /// Shards that found their lane to us full.
    starved: Bits,
}

/// One shard's ends of all its lanes. Generic only in what a letter is, which
/// this file has no opinion about.
pub struct Mailbox<T> {
    own: ShardId,
    flags: Arc<[Flags]>,
    /// By neighbour; `None` for ourselves.
    outgoing: Vec<Option<Producer<Vec<T>>>>,
    incoming: Vec<Option<Consumer<Vec<T>>>>,
    /// Who is served first in the next turn.
    first: usize,
}

/// The postboxes of all shards, by shard.
pub fn mesh<T>(shards: u16) -> Vec<Mailbox<T>> {
    let all = 0..usize::from(shards);
    let flags: Arc<[Flags]> = all.clone().map(|_| Flags::default()).collect();
    let lanes = |_| all.clone().map(|_| None).collect();
    let mut outgoing: Vec<Vec<Option<Producer<Vec<T>>>>> = all.clone().map(lanes).collect();
    let postbox = |to: usize| {
        let lane = |(from, ends): (usize, &mut Vec<Option<Producer<Vec<T>>>>)| {
            (from != to).then(|| {
                let (writer, reader) = RingBuffer::new(LANE_BAGS_MAX);
                ends[to] = Some(writer);
                reader
            })
        };
        outgoing.iter_mut().enumerate().map(lane).collect()
    };
    let incoming: Vec<Vec<Option<Consumer<Vec<T>>>>> = all.map(postbox).collect();
    let ends = outgoing.into_iter().zip(incoming).zip(0..shards);
    let whole = ends.map(|((outgoing, incoming), own)| Mailbox {
        own: ShardId(own),
        flags: Arc::clone(&flags),
        outgoing,
        incoming,
        first: 0,
    });
    whole.collect()
}

impl<T> Mailbox<T> {
    /// Hands up to `TURN_LETTERS_MAX` letters on, and names the neighbours to
    /// wake because their lane has room again. Returns how many letters it was.
    pub fn take(
        &mut self,
        on_letter: &mut dyn FnMut(ShardId, T),
        wake: &mut dyn FnMut(ShardId),
    ) -> usize {
        let flags = &self.flags[usize::from(self.own.0)];
        let Some(mail) = flags.mail.take() else {
            return 0;
        };
        let shards = self.incoming.len();
        let mut taken = 0;
        for from in (self.first..shards).chain(0..self.first).filter(|&from| mail.has(from)) {
            let lane = self.incoming[from].as_mut().expect("nobody writes to itself");
            while let Ok(bag) = lane.peek() {
                if TURN_LETTERS_MAX < taken + bag.len() {
                    flags.mail.raise(from, Relaxed); // the rest waits for the next turn
                    break;
                }
                let bag = lane.pop().expect("it was there a moment ago");
                taken += bag.len();
                bag.into_iter().for_each(|letter| on_letter(ShardId(from as u16), letter));
            }
        }
        self.first = (self.first + 1) % shards;
        // Pairs with the fence in `post`: either we see that a neighbour found
        // its lane full, or it sees that the lane has room.
        fence(SeqCst);
        if let Some(starved) = flags.starved.take() {
            (0..shards).filter(|&from| starved.has(from)).for_each(|at| wake(ShardId(at as u16)));
        }
        taken
    }

    /// Letters that wait in the lanes to this shard. Looks at each of them.
    pub fn waiting_count(&mut self) -> usize {
        let lanes = self.incoming.iter_mut().flatten();
        let waiting = lanes.filter_map(|lane| lane.read_chunk(lane.slots()).ok());
        // A chunk that is not committed leaves what it shows.
        let letters = waiting.map(|chunk| {
            let (front, back) = chunk.as_slices();
            front.iter().chain(back).map(Vec::len).sum::<usize>()
        });
        letters.sum()
    }

    /// Moves letters from the front into the lane while it has room; the rest
    /// stays. Returns how many were moved; when any, the neighbour is to be woken.
    pub fn post(&mut self, to: ShardId, letters: &mut Vec<T>) -> usize {
        let lane = self.outgoing[usize::from(to.0)].as_mut().expect("nobody writes to itself");
        let (flags, own) = (&self.flags[usize::from(to.0)], usize::from(self.own.0));
        let waiting = letters.len();
        while !letters.is_empty() {
            if lane.is_full() {
                flags.starved.raise(own, Relaxed);
                fence(SeqCst); // pairs with the one in `take`
                if lane.is_full() {
                    break;
                }
            }
            let bag = if letters.len() <= BAG_LETTERS_MAX {
                mem::take(letters)
            } else {
                letters.drain(..BAG_LETTERS_MAX).collect()
            };
            assert!(lane.push(bag).is_ok(), "only the reader changes a lane's room, and upwards");
        }
        let posted = waiting - letters.len();
        if 0 < posted {
            flags.mail.raise(own, Release);
        }
        posted
    }
}

/// A copy of the bits as they were taken.
struct Taken([u64; SHARDS_MAX as usize / 64]);

impl Bits {
    fn raise(&self, shard: usize, order: std::sync::atomic::Ordering) {
        self.0[shard / 64].fetch_or(1 << (shard % 64), order);
    }

    /// Lowers all bits. `None`, without a locked instruction, when none is up.
    fn take(&self) -> Option<Taken> {
        if self.0.iter().all(|word| word.load(Relaxed) == 0) {
            return None;
        }
        Some(Taken(std::array::from_fn(|word| self.0[word].swap(0, Acquire))))
    }
}

impl Taken {
    fn has(&self, shard: usize) -> bool {
        self.0[shard / 64] & 1 << (shard % 64) != 0
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const A: ShardId = ShardId(0);
    const B: ShardId = ShardId(1);

    fn pair() -> (Mailbox<u32>, Mailbox<u32>) {
        let mut ends = mesh(2).into_iter();
        (ends.next().unwrap(), ends.next().unwrap())
    }

    /// The letters that `postbox` gets in one turn, and whom it wakes.
    fn take(postbox: &mut Mailbox<u32>) -> (Vec<(ShardId, u32)>, Vec<ShardId>) {
        let (mut letters, mut woken) = (Vec::new(), Vec::new());
        let taken = postbox
            .take(&mut |from, letter| letters.push((from, letter)), &mut |shard| woken.push(shard));
        assert_eq!(taken, letters.len());
        (letters, woken)
    }

    #[test]
    fn letters_arrive_once_and_in_order() {
        let (mut a, mut b) = pair();
        assert_eq!(a.post(B, &mut vec![1, 2]), 2);
        assert_eq!(a.post(B, &mut vec![3]), 1);
        assert_eq!(b.post(A, &mut vec![9]), 1);
        assert_eq!((a.waiting_count(), b.waiting_count()), (1, 3));
        assert_eq!(take(&mut b), (vec![(A, 1), (A, 2), (A, 3)], vec![]));
        assert_eq!(take(&mut b), (vec![], vec![]));
        assert_eq!(take(&mut a), (vec![(B, 9)], vec![]));
        assert_eq!((a.waiting_count(), b.waiting_count()), (0, 0));
    }

    #[test]
    fn what_a_full_lane_has_no_room_for_stays_and_its_writer_is_woken() {
        let (mut a, mut b) = pair();
        for letter in 0..LANE_BAGS_MAX as u32 {
            assert_eq!(a.post(B, &mut vec![letter]), 1);
        }
        let mut rest = vec![100, 101];
        assert_eq!(a.post(B, &mut rest), 0);
        assert_eq!(rest, [100, 101]);
        let (letters, woken) = take(&mut b);
        assert_eq!((letters.len(), woken), (LANE_BAGS_MAX, vec![A]));
        assert_eq!(a.post(B, &mut rest), 2);
        assert_eq!(take(&mut b), (vec![(A, 100), (A, 101)], vec![]));
    }

    #[test]
    fn a_turn_takes_a_bounded_number_and_loses_nothing() {
        let shards = 5;
        let mut ends = mesh::<u32>(shards);
        let mut reader = ends.remove(0);
        let each = LANE_PUSHES_MAX as u32;
        for writer in &mut ends {
            let mut letters: Vec<u32> = (0..each).collect();
            assert_eq!(writer.post(A, &mut letters), LANE_PUSHES_MAX);
        }
        let mut next = vec![0; usize::from(shards)];
        let mut turns = 0;
        while next[1..].iter().any(|&next| next < each) {
            let (letters, _) = take(&mut reader);
            assert!(!letters.is_empty() && letters.len() <= TURN_LETTERS_MAX);
            for (ShardId(from), letter) in letters {
                assert_eq!(letter, next[usize::from(from)]);
                next[usize::from(from)] += 1;
            }
            turns += 1;
        }
        assert_eq!(turns, 4 * LANE_PUSHES_MAX / TURN_LETTERS_MAX);
    }

    #[test]
    fn nobody_is_served_last_for_ever() {
        let mut ends = mesh::<u32>(3);
        let mut reader = ends.remove(0);
        let mut firsts = Vec::new();
        for _ in 0..3 {
            ends.iter_mut().for_each(|writer| assert_eq!(writer.post(A, &mut vec![0]), 1));
            firsts.push(take(&mut reader).0[0].0.0);
        }
        assert!(firsts.contains(&1) && firsts.contains(&2), "{firsts:?}");
    }

    #[test]
    fn no_wake_up_is_lost_between_two_threads() {
        const LETTERS: u32 = 100_000;
        let (mut a, mut b) = pair();
        let writer = thread::current();
        // Each side sleeps until the other one wakes it: a lost wake-up hangs.
        let reader = thread::spawn(move || {
            let mut next = 0;
            while next < LETTERS {
                let mut on_letter = |_, letter| {
                    assert_eq!(letter, next);
                    next += 1;
                };
                if b.take(&mut on_letter, &mut |_| writer.unpark()) == 0 {
                    thread::park();
                }
            }
        });
        for letter in 0..LETTERS {
            let mut letters = vec![letter];
            while a.post(B, &mut letters) == 0 {
                thread::park();
            }
            reader.thread().unpark();
        }
        reader.join().unwrap();
    }

    #[test]
    fn sixty_shards_cost_less_than_2_mb() {
        // What rtrb allocates: the slots, and two indices on cache lines of their own.
        let lane = LANE_BAGS_MAX * size_of::<Vec<u32>>()
            + size_of::<rtrb::RingBuffer<Vec<u32>>>()
            + size_of::<Producer<Vec<u32>>>()
            + size_of::<Consumer<Vec<u32>>>();
        assert!(60 * 59 * lane < 2_000_000, "{lane} B a lane");
    }
}
