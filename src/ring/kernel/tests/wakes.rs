//! Cores that wake each other, by message and by descriptor.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use super::*;

/// What a sleeper's neighbours know it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Its ring, where the kernel passes messages on.
    ByRing,
    /// Nothing: a kernel that passes none.
    ByDescriptor,
    /// What is no ring: messages fail.
    Wrongly,
}

fn io(known: Known, no_ring: RawFd) -> KernelIo {
    let mut uring = Uring::new(&small()).unwrap();
    let address = match known {
        Known::ByRing => uring.address(),
        Known::ByDescriptor => None,
        Known::Wrongly => Some(no_ring),
    };
    KernelIo::over(uring, address, &small(), Rc::new(Cells::new().claim())).unwrap()
}

/// A core that does nothing but sleep, woken a thousand times by another: a wake that
/// is lost, or not worth a turn, hangs. Returns the waker that was notified.
#[track_caller]
fn check(known: Known) -> Waker {
    let no_ring = File::open("/dev/null").unwrap();
    let (number, stop) = (no_ring.as_raw_fd(), AtomicBool::new(false));
    let (bells, bell) = mpsc::channel();
    let (turns, turn) = mpsc::channel();
    thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            let mut sleeper = io(known, number);
            bells.send(sleeper.waker()).unwrap();
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(sleeper.reap(64, &mut |event| panic!("{event:?}")), 0);
                sleeper.park(Some(sleeper.now().tick.plus_ms(2 * PATIENCE_MS)));
                if turns.send(()).is_err() {
                    return; // the test has failed
                }
            }
        });
        let (waker, turn) = (bell.recv().unwrap(), turn);
        let mut waking = io(Known::ByDescriptor, number);
        waking.set_peers(Arc::new([waker.clone()]));
        let mut wake = || {
            waking.wake(ShardId(0));
            waking.submit(&mut Vec::new());
            // What could not be left by message shows here.
            waking.reap(64, &mut |event| panic!("{event:?}"));
        };
        for _ in 0..1_000 {
            wake();
            turn.recv_timeout(Duration::from_millis(PATIENCE_MS)).expect("a turn for each wake");
            turn.try_iter().for_each(drop);
        }
        stop.store(true, Ordering::SeqCst);
        wake();
        waker
    })
}

#[test]
fn a_core_is_woken_through_its_ring() {
    let waker = check(Known::ByRing);
    // On a kernel that passes no messages on, this is the test below.
    let by_ring = waker.ring_descriptor().is_some();
    assert_eq!(waker.eventfd_writes_count() == 0, by_ring);
}

#[test]
fn where_rings_pass_no_messages_on_a_descriptor_does_it() {
    assert_ne!(check(Known::ByDescriptor).eventfd_writes_count(), 0);
}

#[test]
fn a_message_that_cannot_be_left_is_no_lost_wake() {
    assert_ne!(check(Known::Wrongly).eventfd_writes_count(), 0);
}

#[test]
fn a_wake_rides_on_the_submit_of_its_turn() {
    let (mut world, _peer, id) = with_peer(&small());
    let sleeper = io(Known::ByRing, -1);
    let waker = sleeper.waker();
    if waker.ring_descriptor().is_none() {
        return; // it has a system call of its own here
    }
    world.io.set_peers(Arc::new([waker.clone()]));
    world.io.submit(&mut Vec::new());
    let submits = |world: &World| world.io.uring.submits;
    let before = submits(&world);
    world.io.submit(&mut vec![Action::Send(id, Bytes::from_static(b"one"))]);
    let alone = submits(&world) - before;
    assert!(waker.prepare_park());
    world.io.wake(ShardId(0));
    world.io.wake(ShardId(0));
    world.until("the send", |world| world.has(&Seen::Sent(id)));
    let before = submits(&world);
    assert!(waker.prepare_park() || waker.prepare_park());
    world.io.wake(ShardId(0));
    world.io.submit(&mut vec![Action::Send(id, Bytes::from_static(b"two"))]);
    assert_eq!((submits(&world) - before, waker.eventfd_writes_count()), (alone, 0));
}
