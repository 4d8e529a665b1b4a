//! Cases of the feed, one by one; `world` has them all together.

mod backend;
mod disk;
mod world;

use std::sync::Arc;

use super::event::FeedNews;
use super::fact::{
    AwayFor, GoneReason, GroupMessages, Leaving, PeerConn, PresenceFact, UserKey, WaitingMessage,
};
use super::record::{FeedRecord, PAYLOAD_START, read_payload};
use super::{FeedEvent, FeedOptions, PresenceFeed};
use crate::base::{ConnId, MonotonicMs, ShardId, Timestamps, find_records};

pub(super) const OPTIONS: FeedOptions = FeedOptions {
    grace_ms: 100,
    restart_grace_ms: 1_000,
    queue_bytes_max: 1 << 20,
    batch_events_max: 8,
    subscriptions_max: 1_000,
    segment_bytes_min: 2_000,
};

pub(super) fn at(ms: u64) -> Timestamps {
    Timestamps::at(MonotonicMs(ms), 1_000_000 + ms)
}

pub(super) fn conn(shard: u16, slot: u32, generation: u32) -> PeerConn {
    PeerConn { shard: ShardId(shard), conn: ConnId { slot, generation } }
}

pub(super) fn user(name: &str, conn: PeerConn) -> UserKey {
    UserKey::new(Arc::default(), name.into(), conn)
}

pub(super) fn connected(name: &str, conn: PeerConn) -> PresenceFact {
    PresenceFact::Connected { user: user(name, conn), conn }
}

pub(super) fn gone(name: &str, conn: PeerConn) -> PresenceFact {
    let reason = GoneReason { code: 3012, reason: "no pong".into() };
    PresenceFact::Gone { user: user(name, conn), conn, reason, away_for: AwayFor::Reload }
}

pub(super) fn entered(name: &str, conn: PeerConn, channel: &str) -> PresenceFact {
    PresenceFact::Entered { user: user(name, conn), conn, channel: channel.into() }
}

pub(super) fn left(name: &str, conn: PeerConn, channel: &str, leaving: Leaving) -> PresenceFact {
    PresenceFact::Left { user: user(name, conn), conn, channel: channel.into(), leaving }
}

fn waits(name: &str, offset: u64) -> PresenceFact {
    let user = UserKey { tenant: Arc::default(), user: name.into(), unnamed: None };
    let (from, channel) = ("zoe".into(), format!("dm#{name},zoe").into());
    PresenceFact::MessageWaits(WaitingMessage { user, from, channel, offset, count: 1 })
}

/// The store says after a start that a message waits.
fn still_waits(name: &str, offset: u64) -> PresenceFact {
    match waits(name, offset) {
        PresenceFact::MessageWaits(message) => PresenceFact::StoredMessageWaits(message),
        other => unreachable!("{other:?}"),
    }
}

/// Events among records.
pub(super) fn events(records: &[u8]) -> Vec<FeedEvent> {
    let found = find_records(records, PAYLOAD_START, read_payload);
    assert_eq!(found.damaged_bytes, 0);
    let event = |record| match record {
        FeedRecord::Event(event) => Some(event),
        _ => None,
    };
    found.records.into_iter().filter_map(event).collect()
}

/// An event in a few words.
fn words(event: &FeedEvent) -> String {
    let user = &event.user;
    match &event.news {
        FeedNews::Connected => format!("+{user}"),
        FeedNews::Disconnected(why) => format!("-{user} {}", why.code),
        FeedNews::Subscribed(channel) => format!("{user}+{channel}"),
        FeedNews::Unsubscribed(channel) => format!("{user}-{channel}"),
        FeedNews::Occupied(channel) => format!("+{channel}"),
        FeedNews::Vacated(channel) => format!("-{channel}"),
        FeedNews::MessageWaits(waiting) => format!("{user}!{}x{}", waiting.offset, waiting.count),
        FeedNews::DeadLetter(dead) => format!("{user}†{}", dead.offset),
        FeedNews::NoticesLost(count) => format!("lost {count}"),
    }
}

/// A feed whose disk never fails.
struct Case {
    feed: PresenceFeed,
    segments: Vec<(u64, Vec<u8>)>,
}

impl Case {
    fn new() -> Case {
        let mut feed = PresenceFeed::new(OPTIONS, 7);
        feed.begin(at(0));
        let mut case = Case { feed, segments: Vec::new() };
        case.told(at(0), []);
        case
    }

    /// What is told when these facts come.
    fn told<const N: usize>(&mut self, now: Timestamps, facts: [PresenceFact; N]) -> Vec<String> {
        facts.into_iter().for_each(|fact| self.feed.take(now, fact));
        self.feed.tick(now);
        self.feed.advance();
        let mut told = Vec::new();
        if let Some(write) = self.feed.take_write() {
            told = events(&write.records).iter().map(words).collect();
            match self.segments.iter_mut().find(|(id, _)| *id == write.segment) {
                Some((_, bytes)) => bytes.extend_from_slice(&write.records),
                None => self.segments.push((write.segment, write.records)),
            }
            self.feed.on_synced();
        }
        for gone in self.feed.take_unneeded() {
            self.segments.retain(|(id, _)| *id != gone);
        }
        told
    }

    /// The server is killed, and begins again.
    fn restart(&mut self, now: Timestamps) {
        let (feed, damaged_bytes) = PresenceFeed::read(OPTIONS, 8, self.segments.clone());
        assert_eq!(damaged_bytes, 0);
        self.feed = feed;
        self.feed.begin(now);
        assert_eq!(self.told(now, []), [""; 0]);
    }
}

#[test]
fn the_first_connection_tells_and_the_last_that_stays_away() {
    let (mut case, one, two) = (Case::new(), conn(0, 1, 1), conn(1, 1, 1));
    assert_eq!(case.told(at(1), [connected("ann", one)]), ["+ann"]);
    assert_eq!(case.told(at(2), [connected("ann", two), gone("ann", one)]), [""; 0]);
    assert_eq!(case.told(at(10), [gone("ann", two)]), [""; 0]);
    assert_eq!(case.feed.next_wake(), Some(MonotonicMs(110)));
    assert_eq!(case.told(at(109), []), [""; 0]);
    assert_eq!(case.told(at(110), []), ["-ann 3012"]);
    assert_eq!(case.told(at(111), [connected("ann", conn(0, 1, 2))]), ["+ann"]);
}

#[test]
fn a_reload_tells_nothing_in_whatever_order_its_facts_come() {
    let (mut case, one, two) = (Case::new(), conn(0, 1, 1), conn(1, 1, 1));
    case.told(at(1), [connected("ann", one), entered("ann", one, "room")]);
    let back = || [connected("ann", two), entered("ann", two, "room")];
    assert_eq!(case.told(at(2), [gone("ann", one)]), [""; 0]);
    assert_eq!(case.told(at(101), back()), [""; 0]);
    assert_eq!(case.told(at(102), []), [""; 0]);
    let three = conn(2, 1, 1);
    let next = [connected("ann", three), entered("ann", three, "room"), gone("ann", two)];
    assert_eq!(case.told(at(103), next), [""; 0]);
    assert_eq!(case.told(at(999), []), [""; 0]);
}

#[test]
fn a_fact_about_an_earlier_connection_of_a_slot_is_not_about_this_one() {
    let mut case = Case::new();
    case.told(at(1), [connected("ann", conn(0, 1, 2)), gone("ann", conn(0, 1, 1))]);
    assert_eq!(case.told(at(500), []), [""; 0]);
}

#[test]
fn who_unsubscribes_is_told_at_once_and_who_is_cut_off_after_the_grace() {
    let (mut case, one, two) = (Case::new(), conn(0, 1, 1), conn(1, 1, 1));
    case.told(at(1), [connected("ann", one), connected("bob", two)]);
    assert_eq!(case.told(at(2), [entered("ann", one, "room")]), ["+room", "ann+room"]);
    assert_eq!(case.told(at(3), [entered("bob", two, "room")]), ["bob+room"]);
    assert_eq!(case.told(at(4), [left("ann", one, "room", Leaving::ForGood)]), ["ann-room"]);
    assert_eq!(case.told(at(5), [left("bob", two, "room", Leaving::ForNow)]), [""; 0]);
    assert_eq!(case.told(at(105), []), ["bob-room", "-room"]);
    case.told(at(106), [entered("bob", two, "room"), gone("bob", two)]);
    assert_eq!(case.told(at(206), []), ["bob-room", "-room", "-bob 3012"]);
}

#[test]
fn who_has_no_name_is_told_of_by_channels_alone() {
    let (mut case, one, two) = (Case::new(), conn(0, 1, 1), conn(1, 1, 1));
    let facts = [connected("", one), entered("", one, "room"), entered("ann", two, "room")];
    assert_eq!(case.told(at(1), facts), ["+room", "+ann", "ann+room"]);
    assert_eq!(case.told(at(2), [left("ann", two, "room", Leaving::ForGood)]), ["ann-room"]);
    assert_eq!(case.told(at(3), [gone("", one)]), [""; 0]);
    assert_eq!(case.told(at(103), []), ["-room"]);
}

#[test]
fn after_a_kill_who_does_not_come_back_is_told() {
    let mut case = Case::new();
    for (name, slot) in [("ann", 1), ("bob", 2), ("", 3)] {
        let conn = conn(0, slot, 1);
        case.told(at(1), [connected(name, conn), entered(name, conn, "room")]);
        case.told(at(1), [entered(name, conn, &format!("only-{slot}"))]);
    }
    case.restart(at(10_000));
    let back = conn(1, 1, 1);
    let facts = [connected("ann", back), entered("ann", back, "room")];
    assert_eq!(case.told(at(10_500), facts), [""; 0]);
    assert_eq!(case.told(at(10_999), []), [""; 0]);
    let told = [
        "ann-only-1",
        "-only-1",
        "bob-only-2",
        "-only-2",
        "bob-room",
        "-bob 1006",
        "-only-3", // nobody knows who was there
    ];
    assert_eq!(case.told(at(11_000), []), told);
    assert_eq!(case.told(at(99_000), []), [""; 0]);
}

#[test]
fn what_a_pass_does_not_say_is_gone() {
    let mut case = Case::new();
    for (name, shard) in [("ann", 0), ("bob", 0), ("carl", 1)] {
        let conn = conn(shard, 1 + u32::from(name == "bob"), 1);
        case.told(at(1), [connected(name, conn), entered(name, conn, "room")]);
    }
    let (ann, new) = (conn(0, 1, 1), conn(0, 9, 1));
    let pass = [
        PresenceFact::PassBegan(ShardId(0)),
        connected("dora", new),
        connected("ann", ann),
        connected("dora", new),
        PresenceFact::PassEnded(ShardId(0)),
    ];
    assert_eq!(case.told(at(2), pass), ["+dora"]);
    assert_eq!(case.told(at(102), []), ["ann-room", "bob-room", "-bob 1006"]);
}

#[test]
fn a_message_that_found_nobody_is_told_when_its_user_is_away_for_good() {
    let (mut case, one) = (Case::new(), conn(0, 1, 1));
    assert_eq!(case.told(at(0), [waits("ann", 1)]), ["ann!1x1"], "she is not here");
    case.told(at(1), [connected("ann", one)]);
    // Her connection is gone, and the table does not know it yet.
    assert_eq!(case.told(at(50), [waits("ann", 2), waits("ann", 3)]), [""; 0]);
    assert_eq!(case.told(at(60), [gone("ann", one)]), [""; 0]);
    assert_eq!(case.told(at(150), []), [""; 0]);
    assert_eq!(case.told(at(160), []), ["-ann 3012", "ann!3x2"]);
}

#[test]
fn a_message_that_found_nobody_is_not_told_to_who_reloads() {
    let (mut case, one) = (Case::new(), conn(0, 1, 1));
    case.told(at(1), [connected("ann", one), gone("ann", one), waits("ann", 1)]);
    let back = conn(0, 1, 2);
    assert_eq!(case.told(at(90), [connected("ann", back)]), [""; 0]);
    assert_eq!(case.told(at(101), []), [""; 0], "that connection has to stay for a while");
    assert_eq!(case.told(at(190), []), [""; 0]);
    assert_eq!(case.told(at(200), [gone("ann", back)]), [""; 0]);
    assert_eq!(case.told(at(300), []), ["-ann 3012"]);
}

#[test]
fn a_message_is_told_when_who_came_back_is_gone_at_once() {
    let (mut case, one) = (Case::new(), conn(0, 1, 1));
    case.told(at(1), [connected("ann", one), gone("ann", one), waits("ann", 1)]);
    let back = conn(0, 1, 2);
    case.told(at(90), [connected("ann", back), gone("ann", back)]);
    assert_eq!(case.told(at(190), []), ["-ann 3012", "ann!1x1"]);
}

#[test]
fn events_of_one_user_name_the_one_before() {
    let (mut case, one) = (Case::new(), conn(0, 1, 1));
    case.told(at(1), [connected("ann", one), connected("bob", conn(0, 2, 1))]);
    case.told(at(2), [entered("ann", one, "room"), gone("ann", one)]);
    case.told(at(102), []);
    let told = events(&case.segments[0].1);
    let links = told.iter().map(|event| (words(event), event.number, event.previous));
    let expected = [
        ("+ann", 1, 0),
        ("+bob", 2, 0),
        ("+room", 3, 0),
        ("ann+room", 4, 1),
        ("ann-room", 5, 4),
        ("-room", 6, 3),
        ("-ann 3012", 7, 5),
    ];
    assert!(links.eq(expected.map(|(words, number, previous)| (
        words.to_owned(),
        number,
        previous
    ))));
}

#[test]
fn pages_have_the_state_at_a_number_and_nothing_that_is_not_on_the_disk() {
    let mut case = Case::new();
    for (slot, name) in ["", "ann", "bob", "carl", "dora"].into_iter().enumerate() {
        let conn = conn(0, slot as u32, 1);
        case.told(at(1), [connected(name, conn), entered(name, conn, &format!("room-{slot}"))]);
    }
    let (tenant, mut after, mut seen) = (Arc::default(), Arc::<str>::default(), Vec::new());
    loop {
        let page = case.feed.users_page(&tenant, &after, 3).unwrap();
        assert_eq!((page.epoch, page.number), (7, 13));
        seen.extend(page.entries.iter().map(|one| (one.user.to_string(), one.channels.len())));
        let Some(next) = page.next else { break };
        assert_eq!(seen.len(), 3);
        after = next;
    }
    let all = ["ann", "bob", "carl", "dora"].map(|name| (name.to_owned(), 1));
    assert_eq!(seen, all);
    let channels = case.feed.channels_page(&tenant, &Arc::default(), 10).unwrap();
    assert_eq!((channels.entries.len(), channels.next), (5, None));
    let other = case.feed.users_page(&"acme".into(), &Arc::default(), 9).unwrap();
    assert!(other.entries.is_empty());
    case.feed.take(at(2), connected("eve", conn(0, 9, 1)));
    assert_eq!(case.feed.users_page(&tenant, &Arc::default(), 9), None);
}

#[test]
fn subscriptions_without_room_are_said_again_when_there_is_some() {
    let mut case = Case::new();
    let options = FeedOptions { subscriptions_max: 8, ..OPTIONS };
    case.feed = PresenceFeed::new(options, 7);
    let ann = conn(0, 1, 1);
    let rooms: Vec<String> = (0..9).map(|number| format!("room-{number}")).collect();
    rooms.iter().for_each(|room| case.feed.take(at(1), entered("ann", ann, room)));
    assert_eq!(case.feed.counts().subscriptions, 8);
    assert!(!case.feed.take_pass_wish(), "there is no room");
    case.feed.take(at(2), left("ann", ann, "room-0", Leaving::ForGood));
    case.feed.take(at(2), left("ann", ann, "room-1", Leaving::ForGood));
    assert!(case.feed.take_pass_wish() && !case.feed.take_pass_wish());
}

#[test]
fn a_damaged_log_goes_on_with_another_epoch() {
    let mut case = Case::new();
    case.told(at(1), [connected("ann", conn(0, 1, 1)), connected("bob", conn(0, 2, 1))]);
    let bytes = &mut case.segments[0].1;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    let (mut feed, damaged_bytes) = PresenceFeed::read(OPTIONS, 8, case.segments.clone());
    assert!(damaged_bytes != 0);
    feed.begin(at(2));
    feed.advance();
    feed.take_write().unwrap();
    feed.on_synced();
    assert_eq!(feed.users_page(&Arc::default(), &Arc::default(), 9).unwrap().epoch, 8);
}

/// `zoe` says something in a group of these members.
fn said_in_group(members: &[&str], offset: u64) -> PresenceFact {
    let members = members.iter().chain([&"zoe"]).map(|&name| Arc::from(name)).collect();
    let (channel, from) = ("group:1".into(), "zoe".into());
    PresenceFact::SaidInGroup(GroupMessages {
        tenant: Arc::default(),
        channel,
        from,
        offset,
        count: 1,
        members,
    })
}

#[test]
fn members_who_are_away_are_told_once_until_they_were_here() {
    let (mut case, one, two) = (Case::new(), conn(0, 1, 1), conn(1, 1, 1));
    assert_eq!(case.told(at(1), [connected("bob", one)]), ["+bob"]);
    let members = ["ann", "bob", "cat"];
    assert_eq!(case.told(at(2), [said_in_group(&members, 5)]), ["ann!5x1", "cat!5x1"]);
    assert_eq!(case.told(at(3), [said_in_group(&members, 6)]), [""; 0]);
    assert_eq!(case.told(at(4), [waits("ann", 9)]), ["ann!9x1"], "a direct message is another");
    assert_eq!(case.told(at(5), [connected("cat", two), gone("cat", two)]), ["+cat"]);
    // Its page may be loading.
    assert_eq!(case.told(at(6), [said_in_group(&members, 7)]), [""; 0]);
    assert_eq!(case.told(at(7), [said_in_group(&members, 8)]), [""; 0]);
    assert_eq!(case.told(at(105), []), ["-cat 3012", "cat!8x2"]);
    assert_eq!(case.told(at(106), [said_in_group(&members, 9)]), [""; 0]);
    assert_eq!(case.told(at(107), [connected("cat", two), gone("cat", two)]), ["+cat"]);
    assert_eq!(case.told(at(108), [said_in_group(&members, 10)]), [""; 0]);
    assert_eq!(case.told(at(109), [connected("cat", conn(1, 1, 2))]), [""; 0]);
    assert_eq!(case.told(at(500), []), [""; 0], "it was read");
    assert_eq!(case.told(at(501), [gone("bob", one)]), [""; 0]);
    assert_eq!(case.told(at(601), []), ["-bob 3012"]);
    assert_eq!(case.told(at(602), [said_in_group(&members, 11)]), ["bob!11x1"]);
    case.restart(at(700));
    let told = case.told(at(10_701), [said_in_group(&members, 12)]);
    assert_eq!(
        told,
        ["ann!12x1", "bob!12x1", "-cat 1006", "cat!12x1"],
        "who was told is forgotten"
    );
}

#[test]
fn a_large_group_is_looked_at_in_several_passes() {
    let mut case = Case::new();
    let names: Vec<String> = (0..1_000).map(|number| format!("user{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    (0..50).for_each(|offset| case.feed.take(at(1), said_in_group(&names, offset)));
    assert_eq!(case.told(at(1), []).len(), 1_000);
    let mut passes_count = 0;
    while case.feed.next_wake() == Some(MonotonicMs(0)) {
        assert_eq!(case.told(at(2), []), [""; 0]);
        passes_count += 1;
    }
    assert_eq!(passes_count, 3);
}

#[test]
fn what_the_store_says_again_after_a_start_is_told_where_the_log_has_not_told_it() {
    let (mut case, one) = (Case::new(), conn(0, 1, 1));
    assert_eq!(case.told(at(0), [waits("ann", 1), waits("bob", 4)]), ["ann!1x1", "bob!4x1"]);
    case.told(at(1), [connected("cleo", one)]);
    case.restart(at(0));
    let again = [still_waits("ann", 1), still_waits("ann", 2), still_waits("bob", 4)];
    assert_eq!(case.told(at(1), again), ["ann!2x1"]);
    // Cleo may come back, and reads it then.
    assert_eq!(case.told(at(2), [still_waits("cleo", 7)]), [""; 0]);
    let told = case.told(at(OPTIONS.restart_grace_ms), []);
    assert_eq!(told, ["-cleo 1006", "cleo!7x1"]);
    case.restart(at(0));
    let again = [still_waits("cleo", 7), still_waits("cleo", 8)];
    assert_eq!(case.told(at(1), again), ["cleo!8x1"]);
    assert_eq!(case.told(at(2), [waits("ann", 2)]), ["ann!2x1"], "what is new is told");
}
