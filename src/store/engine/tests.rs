//! What the engine promises, one sentence a test; `model.rs` has the long runs.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::base::{ClientId, ConnId, Prng, RoomId, UserHash};
use crate::store::disk::{Batch, KeyRange, StoreKeyspace};
use crate::store::messages::*;
use crate::store::{
    ChangeKind, Crash, DiskFaultProfile, Durability, FORMAT, MessageChange, OpenError, Options,
    Retention, SimulatedDisk, key,
};
use crate::wire::{ClientInfo, Epoch, Payload, Publication};

mod clocks;
mod dead_letters;
mod disks;
mod edits;
mod fairness;
mod given_up;
mod groups;
mod ids;
mod model;
mod reactions;
mod recent_direct;
mod removals;
mod waiting;

const SHARD: ShardId = ShardId(0);
const ROOM: RoomId = RoomId(7);
const EPOCH: Epoch = Epoch(0xabc);
const ANYBODY: Requester =
    Requester { shard: SHARD, conn: ConnId { slot: 0, generation: 0 }, user: UserHash::NOBODY };

const FOREVER: Retention = Retention {
    durability: Durability::Fsync,
    count_max: u32::MAX,
    bytes_max: u64::MAX,
    age_ms_max: u64::MAX,
    channel_ms_max: u64::MAX,
    has_rosters: false,
};

/// Namespaces: 0 `room:` at once, 1 `soon:` at an interval, 2 `few:` little kept,
/// 3 everything else, as `room:`, 4 `group:` and 5 `club:` as `room:` and `few:`, of groups.
pub(super) fn setup() -> EngineSetup {
    let few = Retention {
        count_max: 20,
        bytes_max: 5_000,
        age_ms_max: 60_000,
        channel_ms_max: 120_000,
        ..FOREVER
    };
    let groups = Retention { has_rosters: true, ..FOREVER };
    let clubs = Retention { has_rosters: true, ..few };
    let soon = Retention { durability: Durability::Interval, ..FOREVER };
    EngineSetup {
        options: Options {
            dir: PathBuf::from("/nowhere"),
            reserve_bytes: 1_000,
            interval_ms: 100,
            ..Options::default()
        },
        retention: vec![FOREVER, soon, few, FOREVER, groups, clubs],
        namespace_of: Box::new(namespace_of),
        new_name_key: [1; 16],
    }
}

pub(super) fn namespace_of(channel: &str) -> u16 {
    match channel.split_once(':') {
        Some(("room", _)) => 0,
        Some(("soon", _)) => 1,
        Some(("few", _)) => 2,
        Some(("group", _)) => 4,
        Some(("club", _)) => 5,
        _ => 3,
    }
}

/// A store, a clock, and the number of the next request.
pub(super) struct Bench<D> {
    pub engine: Engine<D>,
    pub now: u64,
    pub request_id: u32,
    pub write_epoch: WriteEpoch,
    /// For whom.
    pub by: Requester,
}

impl Bench<SimulatedDisk> {
    fn new() -> Bench<SimulatedDisk> {
        Bench::over(SimulatedDisk::new(1, DiskFaultProfile::CALM))
    }

    fn crash(self, crash: Crash) -> Bench<SimulatedDisk> {
        let mut disk = self.engine.into_disk();
        disk.crash(crash);
        Bench { now: self.now, ..Bench::over(disk) }
    }

    fn set_fault_profile(&mut self, fault_profile: DiskFaultProfile) {
        self.engine.disk_mut().set_fault_profile(fault_profile);
    }
}

impl<D: Disk> Bench<D> {
    pub fn over(disk: D) -> Bench<D> {
        let engine = Engine::open(disk, setup()).expect("a working disk opens");
        Bench { engine, now: 1_000_000, request_id: 0, write_epoch: WriteEpoch(1), by: ANYBODY }
    }

    /// Entries of a keyspace on the disk, shown or not.
    fn count(&self, space: StoreKeyspace) -> usize {
        self.count_in(space, &key::rest(&[]))
    }

    /// The same of a range.
    fn count_in(&self, space: StoreKeyspace, range: &KeyRange) -> usize {
        let mut count = 0;
        let (disk, order) = (self.engine.channels.staged().disk(), ReadOrder::OldestFirst);
        let scan = disk.scan(space, range, order, &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        });
        scan.unwrap();
        count
    }

    pub fn give(&mut self, op: StoreOp) {
        self.request_id += 1;
        let request = StoreRequest {
            request_id: RequestId(self.request_id),
            write_epoch: self.write_epoch,
            by: self.by,
            op,
        };
        self.engine.take(SHARD, request);
    }

    /// Answers in the order of the requests, of as many turns as it takes.
    pub fn answers(&mut self) -> Vec<StoreResult> {
        let mut out = Vec::new();
        while self.engine.turn(self.now, &mut out) == TurnResult::Busy {}
        out.sort_by_key(|(_, reply)| reply.request_id);
        out.into_iter().map(|(_, reply)| reply.outcome).collect()
    }

    pub fn ask(&mut self, op: StoreOp) -> StoreResult {
        self.give(op);
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "each request has one answer");
        answers.remove(0)
    }

    /// Lets time pass in small steps, so that the background gets its turns.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            self.now += 10;
            assert!(self.answers().is_empty());
        }
    }

    fn say(&mut self, offset: u64) -> StoreResult {
        self.ask(append(ROOM, "room:a", offset))
    }

    fn said(&mut self, offsets: std::ops::RangeInclusive<u64>) {
        for offset in offsets {
            assert!(matches!(self.say(offset), StoreResult::Appended), "message {offset}");
        }
    }

    pub fn history(&mut self, room: RoomId, first: u64, last: u64) -> Vec<u64> {
        let range = HistoryRange { first, last, ..all(room) };
        offsets(&self.ask(StoreOp::Read(range)))
    }

    pub fn opened(&mut self, room: RoomId) -> Option<Box<OpenedChannel>> {
        match self.ask(StoreOp::Open(open(room))) {
            StoreResult::Opened(opened, _) => opened,
            other => panic!("{other:?}"),
        }
    }

    fn mark(&mut self, position: MarkerPosition) -> StoreResult {
        self.ask(mark(ROOM, "ann", position))
    }
}

pub(super) fn message(offset: u64, text: &str, user: &str, time_unix_ms: u64) -> Publication {
    let info = ClientInfo { user: user.into(), client: ClientId(1), conn_info: None };
    Publication {
        offset,
        data: Payload { bytes: Bytes::copy_from_slice(text.as_bytes()), is_json: true },
        info: Some(Arc::new(info)),
        chan_info: None,
        tags: vec![("id".into(), format!("id-{text}").into())],
        time_unix_ms,
        trace: None,
    }
}

/// With the record of a new channel, which only counts for one that is new.
pub(super) fn append(room: RoomId, channel: &str, offset: u64) -> StoreOp {
    let publication = Arc::new(message(offset, &format!("m{offset}"), "ann", 1_000_000 + offset));
    let channel_created = ChannelCreated {
        tenant: "".into(),
        channel: channel.into(),
        epoch: EPOCH,
        created_unix_ms: 1_000_001,
        behind: 0,
        parties: None,
    };
    let namespace = namespace_of(channel);
    let channel_created = Some(channel_created);
    let (addressee, keeps_id, change, roster) = (None, false, None, None);
    StoreOp::Append(Box::new(Append {
        room,
        namespace,
        channel_created,
        publication,
        addressee,
        keeps_id,
        change,
        roster,
    }))
}

/// The same, of an author who gave it its id.
pub(super) fn with_id(op: StoreOp) -> StoreOp {
    let StoreOp::Append(append) = op else { unreachable!() };
    StoreOp::Append(Box::new(Append { keeps_id: true, ..*append }))
}

pub(super) fn open(room: RoomId) -> OpenChannel {
    OpenChannel { room, count_max: 5, bytes_max: 1 << 20, after: None, ids_since_unix_ms: u64::MAX }
}

pub(super) fn all(room: RoomId) -> HistoryRange {
    let (count_max, bytes_max) = (u32::MAX, u32::MAX);
    HistoryRange {
        room,
        first: 0,
        last: u64::MAX,
        count_max,
        bytes_max,
        order: ReadOrder::OldestFirst,
    }
}

pub(super) fn mark(room: RoomId, user: &str, position: MarkerPosition) -> StoreOp {
    let inbox = RoomId(u128::from(user.as_bytes()[0]));
    StoreOp::AdvanceMarker(Box::new(AdvanceMarker { room, user: user.into(), inbox, position }))
}

fn offsets(outcome: &StoreResult) -> Vec<u64> {
    match outcome {
        StoreResult::History(passage) => passage.iter().map(|message| message.offset).collect(),
        other => panic!("{other:?}"),
    }
}

fn failure(outcome: &StoreResult) -> StoreError {
    match outcome {
        StoreResult::Failed(failure) => *failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_said_is_read_again_after_the_power_was_cut() {
    let mut bench = Bench::new();
    assert!(bench.opened(ROOM).is_none(), "nothing was ever said there");
    assert_eq!(bench.history(ROOM, 0, 9), [0; 0]);
    bench.said(1..=8);
    let mut bench = bench.crash(Crash::PowerCut);
    assert_eq!(bench.history(ROOM, 0, u64::MAX), [1, 2, 3, 4, 5, 6, 7, 8]);
    let opened = bench.opened(ROOM).unwrap();
    assert_eq!((opened.epoch, opened.head, opened.first), (EPOCH, 8, 1));
    assert_eq!(
        opened.tail.iter().map(|message| message.offset).collect::<Vec<_>>(),
        [4, 5, 6, 7, 8]
    );
    assert_eq!(*opened.tail[4], message(8, "m8", "ann", 1_000_008));
    bench.said(9..=9);
}

#[test]
fn a_part_is_cut_by_count_bytes_and_order() {
    let mut bench = Bench::new();
    bench.said(1..=9);
    let mut read = |range: HistoryRange| offsets(&bench.ask(StoreOp::Read(range)));
    assert_eq!(read(HistoryRange { first: 3, last: 5, ..all(ROOM) }), [3, 4, 5]);
    assert_eq!(read(HistoryRange { count_max: 2, ..all(ROOM) }), [1, 2]);
    assert_eq!(
        read(HistoryRange { count_max: 2, order: ReadOrder::NewestFirst, ..all(ROOM) }),
        [9, 8]
    );
    let two = 2 * message(4, "m4", "ann", 0).cost_bytes() as u32;
    assert_eq!(read(HistoryRange { bytes_max: two + 1, first: 4, ..all(ROOM) }), [4, 5]);
    assert_eq!(read(HistoryRange { bytes_max: two - 1, first: 4, ..all(ROOM) }), [4]);
    assert_eq!(read(HistoryRange { bytes_max: 0, ..all(ROOM) }), [1], "one at least");
    assert_eq!(read(HistoryRange { count_max: 0, ..all(ROOM) }), [0; 0]);
    assert_eq!(read(HistoryRange { first: 10, ..all(ROOM) }), [0; 0]);
    assert_eq!(read(HistoryRange { first: 7, last: 3, ..all(ROOM) }), [0; 0]);
}

#[test]
fn an_offset_is_given_once() {
    let mut bench = Bench::new();
    bench.said(1..=3);
    for offset in [3, 5, 0] {
        assert_eq!(failure(&bench.say(offset)), StoreError::Broken);
        bench.write_epoch.0 += 1;
    }
    bench.said(4..=4);
    let mut other = append(ROOM, "room:a", 5);
    if let StoreOp::Append(append) = &mut other {
        append.channel_created.as_mut().unwrap().epoch = Epoch(1);
    }
    assert_eq!(failure(&bench.ask(other)), StoreError::Broken, "of another stream");
    bench.write_epoch.0 += 1;
    let mut unborn = append(RoomId(8), "room:b", 1);
    if let StoreOp::Append(append) = &mut unborn {
        append.channel_created = None;
    }
    assert_eq!(failure(&bench.ask(unborn)), StoreError::Broken, "its channel is unknown");
}

#[test]
fn behind_a_refused_message_the_round_is_stale() {
    let mut bench = Bench::new();
    bench.said(1..=1);
    for offset in [9, 2] {
        bench.give(append(ROOM, "room:a", offset));
    }
    bench.give(append(RoomId(8), "room:b", 1));
    bench.write_epoch.0 += 1;
    bench.give(append(ROOM, "room:a", 2));
    let answers = bench.answers();
    assert_eq!(failure(&answers[0]), StoreError::Broken);
    assert_eq!(failure(&answers[1]), StoreError::Stale);
    assert_eq!(failure(&answers[2]), StoreError::Stale, "whatever its room");
    assert!(matches!(answers[3], StoreResult::Appended));
    let other_shard = StoreRequest {
        request_id: RequestId(99),
        write_epoch: WriteEpoch(0),
        by: ANYBODY,
        op: append(ROOM, "room:a", 3),
    };
    bench.engine.take(ShardId(1), other_shard);
    assert!(matches!(bench.answers()[0], StoreResult::Appended), "rounds are a shard's own");
}

#[test]
fn reads_see_the_writes_that_they_stand_behind() {
    let mut bench = Bench::new();
    bench.give(append(ROOM, "room:a", 1));
    bench.give(StoreOp::Read(all(ROOM)));
    bench.give(mark(ROOM, "ann", MarkerPosition::Read(1)));
    bench.give(append(ROOM, "room:a", 2));
    bench.give(StoreOp::ReadMarkers(ReadMarkersQuery {
        room: ROOM,
        after: "".into(),
        count_max: 9,
    }));
    bench.give(StoreOp::Open(open(ROOM)));
    let commits = bench.engine.counts().commits;
    let answers = bench.answers();
    assert_eq!(offsets(&answers[1]), [1, 2], "and a later one, which is as good");
    let markers = ReadMarkers { delivered: 1, read: 1 };
    assert!(
        matches!(&answers[4], StoreResult::ReadMarkers(page) if page[..] == [("ann".into(), markers)])
    );
    assert!(matches!(&answers[5], StoreResult::Opened(Some(opened), _) if opened.head == 2));
    assert_eq!(bench.engine.counts().commits, commits + 1, "all in one batch");
}

#[test]
fn marks_go_forward_only() {
    let mut bench = Bench::new();
    bench.said(1..=9);
    let markers = |delivered, read| ReadMarkers { delivered, read };
    let mut check = |position, before: ReadMarkers, after: ReadMarkers| match bench.mark(position) {
        StoreResult::MarkerAdvanced { before: b, after: a } => assert_eq!((b, a), (before, after)),
        StoreResult::Behind(held) => assert_eq!((held, after), (before, before), "behind"),
        other => panic!("{other:?}"),
    };
    check(MarkerPosition::Delivered(4), markers(0, 0), markers(4, 0));
    check(MarkerPosition::Delivered(3), markers(4, 0), markers(4, 0));
    check(MarkerPosition::Read(6), markers(4, 0), markers(6, 6));
    check(MarkerPosition::Read(6), markers(6, 6), markers(6, 6));
    check(MarkerPosition::Read(5), markers(6, 6), markers(6, 6));
    check(MarkerPosition::Delivered(9), markers(6, 6), markers(9, 6));
    assert!(
        matches!(bench.mark(MarkerPosition::Read(5)), StoreResult::Behind(held) if held == markers(9, 6))
    );
    assert_eq!(
        failure(&bench.mark(MarkerPosition::Delivered(10))),
        StoreError::Broken,
        "not said yet"
    );
    let mut bench = bench.crash(Crash::PowerCut);
    assert!(
        matches!(bench.mark(MarkerPosition::Read(5)), StoreResult::Behind(held) if held == markers(9, 6))
    );
}

#[test]
fn marks_are_read_in_pages_by_name() {
    let mut bench = Bench::new();
    bench.said(1..=3);
    for user in ["eve", "ann", "bob"] {
        bench.ask(mark(ROOM, user, MarkerPosition::Delivered(2)));
    }
    let mut names = |after: &str, count_max| {
        let page = ReadMarkersQuery { room: ROOM, after: after.into(), count_max };
        match bench.ask(StoreOp::ReadMarkers(page)) {
            StoreResult::ReadMarkers(page) => {
                page.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(names("", 2), ["ann".into(), "bob".into()]);
    assert_eq!(names("bob", 2), ["eve".into()]);
    assert_eq!(names("eve", 2), Vec::<Box<str>>::new());
}

#[test]
fn a_page_holds_one_more_than_a_client_may_ask_for() {
    let mut bench = Bench::new();
    for room in 0..1_010u32 {
        let (room, channel) = (RoomId(u128::from(room) + 5_000), format!("room:{room}"));
        bench.give(append(room, &channel, 1));
        bench.give(mark(room, "ann", MarkerPosition::Delivered(1)));
        bench.give(mark(RoomId(5_000), &format!("a{channel}"), MarkerPosition::Delivered(1)));
    }
    bench.answers();
    let (user, inbox) = ("ann".into(), RoomId(u128::from(b'a')));
    let page = ConversationsQuery { inbox, user, after: "".into(), count_max: u32::MAX };
    let conversations = bench.ask(StoreOp::Conversations(page));
    assert!(
        matches!(conversations, StoreResult::Conversations(page, Some(_)) if page.len() == 256)
    );
    let page = ReadMarkersQuery { room: RoomId(5_000), after: "".into(), count_max: u32::MAX };
    assert!(
        matches!(bench.ask(StoreOp::ReadMarkers(page)), StoreResult::ReadMarkers(page) if page.len() == 1_001)
    );
}

#[test]
fn ids_are_found_again_as_long_as_they_count() {
    let mut bench = Bench::new();
    for offset in 1..=30 {
        bench.ask(with_id(append(ROOM, "room:a", offset)));
        bench.ask(with_id(append(RoomId(6), "room:before", offset)));
        bench.ask(with_id(append(RoomId(8), "room:behind", offset)));
    }
    bench.said(31..=33); // called by the server
    let ids = |bench: &mut Bench<SimulatedDisk>, since| {
        let open = OpenChannel { ids_since_unix_ms: since, ..open(ROOM) };
        match bench.ask(StoreOp::Open(open)) {
            StoreResult::Opened(Some(opened), _) => (opened.tail.len(), opened.ids),
            other => panic!("{other:?}"),
        }
    };
    let (tail, found) = ids(&mut bench, 1_000_021);
    assert_eq!((tail, found.len()), (5, 10));
    let (user, id, time_unix_ms) = ("ann".into(), "id-m30".into(), 1_000_030);
    assert_eq!(found[9], KnownId { user, id, offset: 30, time_unix_ms });
    assert_eq!(ids(&mut bench, 0).1.len(), 30);
    assert_eq!(ids(&mut bench, 1_000_031).1, []);
    let after = OpenChannel { after: Some(3), ..open(ROOM) };
    let StoreResult::Opened(Some(opened), _) = bench.ask(StoreOp::Open(after)) else { panic!() };
    assert_eq!(opened.tail.len(), 30, "all that the room asked for");
}

fn unborn(room: RoomId, channel: &str, offset: u64) -> StoreOp {
    let StoreOp::Append(append) = append(room, channel, offset) else { unreachable!() };
    StoreOp::Append(Box::new(Append { channel_created: None, ..*append }))
}
