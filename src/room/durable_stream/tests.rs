//! What a stream on disk knows, without the rooms around it.

use super::super::pending_messages::tests::{message, pending};
use super::*;

fn opened(head: u64, tail: std::ops::RangeInclusive<u64>) -> Option<OpenedChannel> {
    let tail = tail.map(message).collect();
    let created_unix_ms = 1;
    let (epoch, ids, reacted, roster) = (Epoch(3), Vec::new(), None, Vec::new());
    Some(OpenedChannel { epoch, created_unix_ms, head, first: 1, tail, ids, reacted, roster })
}

fn durable(answer: Option<OpenedChannel>) -> DurableStream {
    let mut durable = DurableStream::new(Epoch(9));
    durable.begin_opening();
    assert_eq!(
        durable.restore(answer, 0, Epoch(8)),
        Some(Vec::new()),
        "nobody here waited for old messages"
    );
    durable
}

#[test]
fn a_stream_goes_on_where_the_store_says() {
    assert_eq!(durable(None).window().position().epoch, Epoch(9));
    let durable = durable(opened(5, 4..=5));
    assert_eq!((durable.window().position().epoch, durable.next_offset()), (Epoch(3), 6));
}

#[test]
fn messages_are_kept_in_their_order() {
    let mut durable = durable(opened(5, 5..=5));
    durable.push_pending(pending(6));
    durable.push_pending(pending(7));
    assert_eq!(durable.next_offset(), 8);
    assert!(durable.pending_at(5).is_none() && durable.pending_at(8).is_none());
    assert_eq!(durable.pending_at(7).map(|one| one.offset()), Some(7));
    assert!(durable.pending.take_first_of(RequestId(7)).is_none(), "not before the first");
    assert!(durable.pending.take_first_of(RequestId(6)).is_some());
}

#[test]
fn what_the_store_kept_in_spite_of_its_word_is_news() {
    let mut durable = durable(opened(5, 5..=5));
    durable.push_pending(pending(6));
    durable.push_pending(pending(7));
    assert_eq!(durable.close(MonotonicMs(9)).pending.len(), 2);
    durable.begin_opening();
    let unseen = durable.restore(opened(6, 5..=6), 0, Epoch(8)).unwrap();
    assert_eq!(unseen.iter().map(|one| one.offset).collect::<Vec<_>>(), [6]);
    assert_eq!(durable.next_offset(), 7);
}

#[test]
fn news_with_a_hole_before_them_are_none() {
    for first in [8, 9] {
        let mut durable = durable(opened(5, 5..=5));
        durable.close(MonotonicMs(9));
        durable.begin_opening();
        assert_eq!(durable.restore(opened(8, first..=8), 0, Epoch(8)), None);
        assert_eq!(durable.next_offset(), 9);
    }
}

#[test]
fn a_channel_that_the_store_lost_is_born_again() {
    let mut durable = durable(None);
    durable.exists_in_store = true;
    durable.push_pending(pending(1));
    durable.close(MonotonicMs(0));
    durable.begin_opening();
    assert_eq!(durable.restore(None, 0, Epoch(8)), Some(Vec::new()));
    assert!(!durable.exists_in_store && durable.next_offset() == 1);
}

#[test]
fn a_stream_that_the_store_does_not_know_any_more_begins_anew() {
    let mut durable = durable(opened(5, 5..=5));
    durable.close(MonotonicMs(0));
    durable.begin_opening();
    assert_eq!(durable.restore(None, 0, Epoch(8)), None, "its members have to hear of it");
    assert_eq!(durable.window().position(), crate::wire::Position { offset: 0, epoch: Epoch(8) });
    assert!(durable.is_silent() && !durable.exists_in_store);
}

#[test]
fn the_first_message_of_a_channel_may_be_news_too() {
    let mut durable = durable(None);
    durable.exists_in_store = true;
    durable.push_pending(pending(1));
    durable.close(MonotonicMs(0));
    durable.begin_opening();
    let unseen = durable.restore(opened(1, 1..=1), 0, Epoch(8)).unwrap();
    assert_eq!(unseen.len(), 1);
}
