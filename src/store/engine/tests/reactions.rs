//! What users react to messages with: one each, with totals beside them, which go with their
//! message.

use super::*;
use crate::base::limits::{REACTION_KINDS_MAX, REACTION_USERS_MAX};
use crate::store::{
    MessageReactions, React, ReactedMessages, ReactionPage, ReactionRejection, ReactionResult,
    ReactionTotals, ReactionsQuery,
};
use crate::wire::chat;

fn user(number: u64) -> UserHash {
    UserHash::of_inbox(RoomId(u128::from(number) + 1))
}

/// In `ROOM`.
pub(super) fn react(offset: u64, number: u64, value: Option<&str>) -> StoreOp {
    StoreOp::React(Box::new(React {
        room: ROOM,
        offset,
        user: user(number),
        name: format!("u{number}").into(),
        value: value.map(Into::into),
        said_since_unix_ms: 0,
    }))
}

/// What a message is reacted to with: values in their order, and the asker's own.
type Shown = (u64, Vec<(String, u32)>, Option<String>);

fn totals(totals: &ReactionTotals) -> Vec<(String, u32)> {
    totals.iter().map(|(value, count)| (value.to_owned(), count)).collect()
}

fn shown(reactions: &[MessageReactions]) -> Vec<Shown> {
    let one = |one: &MessageReactions| {
        (one.offset, totals(&one.totals), one.own.as_ref().map(ToString::to_string))
    };
    reactions.iter().map(one).collect()
}

fn of(pairs: &[(&str, u32)]) -> Vec<(String, u32)> {
    pairs.iter().map(|(value, count)| ((*value).to_owned(), *count)).collect()
}

impl Bench<SimulatedDisk> {
    #[track_caller]
    fn reacted(&mut self, offset: u64, number: u64, value: Option<&str>) -> ReactionResult {
        self.ask(react(offset, number, value)).reacted().unwrap()
    }

    fn asked(&mut self, number: u64, of: ReactedMessages) -> ReactionPage {
        let query = ReactionsQuery { room: ROOM, user: user(number), of };
        self.ask(StoreOp::Reactions(Box::new(query))).reactions().unwrap()
    }

    fn listed(&mut self, number: u64, offsets: &[u64]) -> Vec<Shown> {
        shown(&self.asked(number, ReactedMessages::Listed(offsets.into(), 0)).reactions)
    }

    /// Totals and reactions on the disk.
    fn counted(&self) -> [usize; 2] {
        [StoreKeyspace::ReactionTotals, StoreKeyspace::Reactions].map(|space| self.count(space))
    }
}

#[test]
fn a_user_reacts_once_and_what_was_answered_is_on_the_disk() {
    let mut bench = Bench::new();
    bench.said(1..=3);
    let changed = |result, want: &[(&str, u32)]| match result {
        ReactionResult::Changed(now) => assert_eq!(totals(&now), of(want)),
        other => panic!("{other:?}"),
    };
    changed(bench.reacted(2, 1, Some("👍")), &[("👍", 1)]);
    changed(bench.reacted(2, 2, Some("👍")), &[("👍", 2)]);
    changed(bench.reacted(2, 1, Some("no")), &[("👍", 1), ("no", 1)]);
    assert_eq!(bench.reacted(2, 1, Some("no")), ReactionResult::Unchanged);
    assert_eq!(bench.reacted(2, 3, None), ReactionResult::Unchanged);
    changed(bench.reacted(3, 1, Some("👍")), &[("👍", 1)]);
    let syncs = bench.engine.counts().syncs;
    changed(bench.reacted(3, 1, None), &[]);
    assert_eq!(bench.engine.counts().syncs, syncs + 1);
    let mut bench = bench.crash(Crash::PowerCut);
    assert_eq!(bench.counted(), [1, 2]);
    let all = of(&[("👍", 1), ("no", 1)]);
    assert_eq!(bench.listed(1, &[1, 2, 3, 9]), [(2, all.clone(), Some("no".to_owned()))]);
    assert_eq!(bench.listed(3, &[2]), [(2, all, None)]);
    assert_eq!(bench.opened(ROOM).unwrap().reacted, Some((2, 2)));
}

#[test]
fn a_message_has_so_many_kinds_and_users() {
    let mut bench = Bench::new();
    bench.said(1..=1);
    let limit = ReactionResult::Refused(ReactionRejection::Limit);
    for number in 0..REACTION_KINDS_MAX as u64 {
        bench.reacted(1, number, Some(&format!("k{number}")));
    }
    assert_eq!(bench.reacted(1, 100, Some("new")), limit);
    assert!(matches!(bench.reacted(1, 0, None), ReactionResult::Changed(_)));
    assert!(matches!(bench.reacted(1, 100, Some("new")), ReactionResult::Changed(_)));
    for number in 1_000..1_000 + (REACTION_USERS_MAX - REACTION_KINDS_MAX) as u64 {
        bench.give(react(1, number, Some("new")));
    }
    bench.answers();
    assert_eq!(bench.reacted(1, 101, Some("new")), limit);
    assert_eq!(bench.counted(), [1, REACTION_USERS_MAX]);
}

#[test]
fn only_a_message_that_is_there_is_reacted_to() {
    let mut bench = Bench::new();
    let none = ReactionResult::Refused(ReactionRejection::NoMessage);
    assert_eq!(bench.reacted(1, 1, Some("a")), none, "of no channel");
    bench.said(1..=2);
    for offset in [0, 3, u64::MAX] {
        assert_eq!(bench.reacted(offset, 1, Some("a")), none);
    }
    let StoreOp::React(mut old) = react(1, 1, Some("a")) else { unreachable!() };
    old.said_since_unix_ms = 1_000_002;
    assert_eq!(bench.ask(StoreOp::React(old)).reacted(), Ok(none.clone()), "it is too old");
    bench.reacted(1, 1, Some("a"));
    let old = ReactedMessages::Listed([1].into(), 1_000_002);
    assert_eq!(bench.asked(1, old), ReactionPage::default());
    for (room, channel, offset) in [(ROOM, "few:a", 3), (ROOM, "few:a", 4)] {
        bench.ask(append(room, channel, offset));
    }
    // Of the last 20, as retention is slower.
    let few = RoomId(8);
    for offset in 1..=21 {
        bench.ask(append(few, "few:a", offset));
    }
    for (offset, is_refused) in [(1, true), (2, false)] {
        let StoreOp::React(mut of_few) = react(offset, 1, Some("a")) else { unreachable!() };
        of_few.room = few;
        let result = bench.ask(StoreOp::React(of_few)).reacted().unwrap();
        assert_eq!(result == none, is_refused, "{offset}");
    }
}

/// Takes the message at `target` back by the one at `offset`.
fn retract(target: u64, offset: u64) -> StoreOp {
    let StoreOp::Append(mut said) = append(ROOM, "room:a", offset) else { unreachable!() };
    let whole = message(target, &format!("m{target}"), "ann", 1_000_000 + target);
    let (data, tag) = chat::retraction(target);
    let publication = Arc::make_mut(&mut said.publication);
    (publication.data, publication.tags) = (data, vec![tag]);
    let (kind, superseded) = (ChangeKind::Retraction, None);
    let replacement = Arc::new(chat::remainder(&whole));
    said.change = Some(MessageChange { kind, replacement, superseded });
    StoreOp::Append(said)
}

#[test]
fn what_is_taken_back_loses_its_reactions_and_gets_no_new_ones() {
    let mut bench = Bench::new();
    bench.said(1..=2);
    for (offset, number) in [(1, 1), (1, 2), (2, 1)] {
        bench.reacted(offset, number, Some("a"));
    }
    // One behind it in the same batch.
    bench.give(retract(1, 3));
    bench.give(react(1, 3, Some("a")));
    bench.give(react(3, 3, Some("a")));
    let answers = bench.answers();
    assert!(matches!(answers[0], StoreResult::Appended));
    for answer in &answers[1..] {
        let none = ReactionResult::Refused(ReactionRejection::NoMessage);
        assert!(matches!(answer, StoreResult::Reacted(result) if *result == none));
    }
    assert_eq!(bench.counted(), [1, 1]);
    assert_eq!(bench.listed(1, &[1, 2]).len(), 1);
}

#[test]
fn a_part_of_the_channel_is_read_with_its_reactions() {
    let mut bench = Bench::new();
    bench.said(1..=600);
    for offset in 1..=600 {
        bench.give(react(offset, offset % 7, Some("a")));
    }
    bench.answers();
    let newest = HistoryRange { order: ReadOrder::NewestFirst, first: 50, last: 590, ..all(ROOM) };
    for range in [HistoryRange { first: 50, last: 590, ..all(ROOM) }, newest] {
        let page = bench.asked(3, ReactedMessages::Read(range));
        assert_eq!(page.messages.len(), 541);
        assert!(page.messages.iter().all(|message| message.tag("reactions").is_none()));
        let found = shown(&page.reactions);
        let want = (50..=590).map(|offset| {
            let own = (offset % 7 == 3).then(|| "a".to_owned());
            (offset, of(&[("a", 1)]), own)
        });
        assert_eq!(found, want.collect::<Vec<_>>());
    }
    let listed: Vec<u64> = (1..=100).map(|number| number * 6).collect();
    assert_eq!(bench.listed(3, &listed).len(), 100);
    let nobody = HistoryRange { first: 700, ..all(ROOM) };
    assert_eq!(bench.asked(3, ReactedMessages::Read(nobody)), ReactionPage::default());
}

#[test]
fn reactions_go_with_their_message_however_many_they_are() {
    let mut bench = Bench::new();
    for offset in 1..=20 {
        bench.ask(append(ROOM, "few:a", offset));
    }
    for offset in 1..=20 {
        for number in 0..500 {
            bench.give(react(offset, number, Some("a")));
        }
        bench.answers();
    }
    assert_eq!(bench.counted(), [20, 10_000]);
    for offset in 21..=30 {
        bench.ask(append(ROOM, "few:a", offset));
        let [totals, reactions] = bench.counted();
        assert_eq!(reactions, 500 * totals, "a message goes with all of them");
    }
    bench.pass(1_000);
    let first = bench.opened(ROOM).unwrap().first;
    assert_eq!(bench.counted(), [(21 - first) as usize, 500 * (21 - first as usize)]);
    bench.pass(70_000);
    assert_eq!(bench.counted(), [0, 0]);
}

#[test]
fn totals_that_cannot_be_read_keep_no_message() {
    let mut bench = Bench::new();
    bench.ask(append(ROOM, "few:a", 1));
    bench.reacted(1, 1, Some("a"));
    let mut batch = Batch::default();
    batch.put(StoreKeyspace::ReactionTotals, &key::message(ROOM, 1), b"?");
    bench.engine.disk_mut().commit(&mut batch, SyncMode::Now).unwrap();
    assert_eq!(failure(&bench.ask(react(1, 2, Some("a")))), StoreError::Damaged);
    bench.pass(70_000);
    assert_eq!(bench.counted(), [0, 0]);
}

#[test]
fn without_space_reactions_are_refused_and_can_be_taken_back() {
    let mut bench = Bench::new();
    bench.said(1..=1);
    bench.reacted(1, 1, Some("a"));
    let used = bench.engine.disk_mut().capacity().unwrap().used_bytes;
    bench.set_fault_profile(DiskFaultProfile {
        capacity_bytes: used + 999,
        ..DiskFaultProfile::CALM
    });
    bench.now += 1_000;
    assert_eq!(failure(&bench.ask(react(1, 2, Some("a")))), StoreError::Full);
    assert!(matches!(bench.reacted(1, 1, None), ReactionResult::Changed(_)));
}
