//! Members of groups: what is written of them with the message that says so, and what is read.

use super::*;
use crate::base::limits::USER_GROUPS_MAX;
use crate::wire::chat::{GroupRole, role_change};

const GROUP: RoomId = RoomId(70);
const CHANNEL: &str = "group:a";

/// A message that gives a user another role.
fn change(
    (room, channel): (RoomId, &str),
    offset: u64,
    user: &str,
    before: Option<GroupRole>,
    after: Option<GroupRole>,
) -> StoreOp {
    let StoreOp::Append(mut append) = append(room, channel, offset) else { unreachable!() };
    let (data, tags) = role_change(user, after);
    let said = Arc::make_mut(&mut append.publication);
    said.data = data;
    said.tags.extend(tags);
    let since_unix_ms = said.time_unix_ms;
    append.roster = Some(RosterChange {
        channel: channel.into(),
        user: user.into(),
        inbox: inbox(user),
        before,
        after,
        since_unix_ms,
    });
    StoreOp::Append(append)
}

fn inbox(user: &str) -> RoomId {
    RoomId(u128::from(user.as_bytes()[0]))
}

impl Bench<SimulatedDisk> {
    fn changed(
        &mut self,
        offset: u64,
        user: &str,
        before: Option<GroupRole>,
        after: Option<GroupRole>,
    ) {
        let said = self.ask(change((GROUP, CHANNEL), offset, user, before, after));
        assert!(matches!(said, StoreResult::Appended), "{said:?}");
    }

    fn joined(&mut self, offset: u64, user: &str) {
        self.changed(offset, user, None, Some(GroupRole::Member));
    }

    fn says(&mut self, offset: u64) {
        assert!(matches!(self.ask(append(GROUP, CHANNEL, offset)), StoreResult::Appended));
    }

    fn roster(&mut self) -> Vec<(String, GroupRole)> {
        let roster = self.opened(GROUP).map(|opened| opened.roster).unwrap_or_default();
        roster.into_iter().map(|one| (one.user.into(), one.role)).collect()
    }

    fn conversations_of(&mut self, user: &str) -> Vec<Conversation> {
        let page = ConversationsQuery {
            inbox: inbox(user),
            user: user.into(),
            after: "".into(),
            count_max: 10,
        };
        self.ask(StoreOp::Conversations(page)).conversations().unwrap().0
    }

    fn groups_count(&mut self, user: &str) -> u32 {
        self.ask(StoreOp::CountGroups(inbox(user))).groups_counted().unwrap()
    }

    /// Entries of members, of groups of users, and of their conversations.
    fn entries(&self) -> [usize; 3] {
        [StoreKeyspace::GroupMembers, StoreKeyspace::UserGroups, StoreKeyspace::Conversations]
            .map(|space| self.count(space))
    }
}

#[test]
fn a_member_is_written_with_the_message_that_says_so_and_outlives_a_power_cut() {
    let mut bench = Bench::new();
    bench.changed(1, "ann", None, Some(GroupRole::Owner));
    bench.joined(2, "bob");
    bench.changed(3, "cat", None, Some(GroupRole::Invited));
    for crash in [Crash::Killed, Crash::PowerCut] {
        bench = bench.crash(crash);
        let want = [("ann", GroupRole::Owner), ("bob", GroupRole::Member)]
            .into_iter()
            .chain([("cat", GroupRole::Invited)]);
        let want: Vec<(String, GroupRole)> =
            want.map(|(user, role)| (user.to_owned(), role)).collect();
        assert_eq!(bench.roster(), want);
        assert_eq!(bench.entries(), [3, 3, 3]);
        assert_eq!(["ann", "cat", "eve"].map(|user| bench.groups_count(user)), [1, 1, 0]);
    }
    assert_eq!(bench.opened(GROUP).unwrap().roster[1].since_unix_ms, 1_000_002);
}

#[test]
fn what_a_power_cut_takes_it_takes_whole() {
    let unsynced = DiskFaultProfile { sync_fails_percent: 100, ..DiskFaultProfile::CALM };
    let mut bench = Bench::new();
    bench.changed(1, "ann", None, Some(GroupRole::Owner));
    bench.set_fault_profile(unsynced);
    let said = bench.ask(change((GROUP, CHANNEL), 2, "bob", None, Some(GroupRole::Member)));
    assert!(matches!(said, StoreResult::Failed(_)));
    bench.set_fault_profile(DiskFaultProfile::CALM);
    let mut bench = bench.crash(Crash::PowerCut);
    let head = bench.opened(GROUP).unwrap().head as usize;
    assert_eq!(bench.entries(), [head; 3], "the message, and all that it says, or nothing");
}

#[test]
fn who_leaves_leaves_nothing_and_has_read_all_when_it_comes_back() {
    let mut bench = Bench::new();
    bench.changed(1, "ann", None, Some(GroupRole::Owner));
    bench.joined(2, "bob");
    bench.ask(mark(GROUP, "bob", MarkerPosition::Read(2)));
    bench.changed(3, "bob", Some(GroupRole::Member), None);
    assert_eq!(bench.entries(), [1, 1, 1]);
    assert_eq!(bench.count(StoreKeyspace::Markers), 1, "the owner's");
    assert!(bench.conversations_of("bob").is_empty());
    bench.says(4);
    bench.joined(5, "bob");
    let [one] = &bench.conversations_of("bob")[..] else { panic!("one group") };
    assert_eq!((one.unread, one.markers.read, one.role), (0, 5, Some(GroupRole::Member)));
}

#[test]
fn a_member_has_the_group_among_its_conversations_with_what_it_did_not_read() {
    let mut bench = Bench::new();
    bench.changed(1, "ann", None, Some(GroupRole::Owner));
    bench.joined(2, "bob");
    (3..=5).for_each(|offset| bench.says(offset));
    bench.joined(6, "cat");
    bench.says(7);
    let [one] = &bench.conversations_of("bob")[..] else { panic!("one group") };
    assert_eq!((&*one.channel, one.head, one.role), (CHANNEL, 7, Some(GroupRole::Member)));
    assert_eq!(one.unread, 4, "that somebody joined is nothing to be read");
    assert_eq!(one.last.as_ref().unwrap().offset, 7);
    bench.ask(mark(GROUP, "bob", MarkerPosition::Read(4)));
    assert_eq!(bench.conversations_of("bob")[0].unread, 2);
    assert_eq!(bench.conversations_of("cat")[0].unread, 1);
}

#[test]
fn who_had_read_all_has_read_its_own_message_too() {
    let mut bench = Bench::new();
    bench.changed(1, "ann", None, Some(GroupRole::Owner));
    (2..=3).for_each(|offset| bench.says(offset));
    assert_eq!(bench.conversations_of("ann")[0].unread, 0, "it is what ann said");
    bench.changed(4, "ann", Some(GroupRole::Owner), None);
    assert_eq!(bench.count(StoreKeyspace::Markers), 0, "nor has who left read its farewell");
}

#[test]
fn who_is_invited_is_shown_the_group_and_nothing_of_it() {
    let mut bench = Bench::new();
    bench.changed(1, "ann", None, Some(GroupRole::Owner));
    bench.changed(2, "bob", None, Some(GroupRole::Invited));
    bench.says(3);
    let [one] = &bench.conversations_of("bob")[..] else { panic!("one invitation") };
    assert_eq!((one.role, one.head, one.unread), (Some(GroupRole::Invited), 0, 0));
    assert_eq!((one.last.is_none(), one.markers), (true, ReadMarkers::default()));
    bench.changed(4, "bob", Some(GroupRole::Invited), Some(GroupRole::Member));
    bench.says(5);
    assert_eq!(bench.conversations_of("bob")[0].unread, 1, "since it is a member");
}

#[test]
fn a_group_lasts_as_long_as_its_members_and_not_as_its_messages() {
    let mut bench = Bench::new();
    let place = (RoomId(71), "club:a");
    let owner = Some(GroupRole::Owner);
    bench.ask(change(place, 1, "ann", None, owner));
    bench.now += 3_600_000;
    bench.pass(5_000);
    assert_eq!(bench.count(StoreKeyspace::Messages), 0, "its messages are too old");
    let opened = bench.opened(place.0).expect("the group is there");
    assert_eq!((opened.head, opened.first, opened.roster.len()), (1, 2, 1));
    assert_eq!(bench.entries(), [1, 1, 1]);
    let now = bench.now;
    let StoreOp::Append(mut left) = change(place, 2, "ann", owner, None) else { unreachable!() };
    Arc::make_mut(&mut left.publication).time_unix_ms = now;
    assert!(matches!(bench.ask(StoreOp::Append(left)), StoreResult::Appended));
    bench.now += 3_600_000;
    bench.pass(5_000);
    assert!(bench.opened(place.0).is_none(), "nobody is in it");
    assert_eq!(bench.entries(), [0, 0, 0]);
}

#[test]
fn the_members_stay_when_the_history_is_removed() {
    let mut bench = Bench::new();
    bench.changed(1, "ann", None, Some(GroupRole::Owner));
    bench.joined(2, "bob");
    let removal = RemoveHistory { room: GROUP, at_unix_ms: bench.now };
    assert_eq!(bench.ask(StoreOp::RemoveHistory(removal)).history_removed(), Ok(2));
    bench.pass(1_000);
    assert_eq!(bench.roster().len(), 2);
    let [one] = &bench.conversations_of("bob")[..] else { panic!("one group") };
    assert_eq!((one.unread, one.last.is_none()), (0, true));
}

#[test]
fn the_groups_of_a_user_are_counted_up_to_the_limit() {
    let mut bench = Bench::new();
    for n in 0..USER_GROUPS_MAX + 5 {
        let name = format!("group:{n}");
        let place = (RoomId(1_000 + u128::from(n)), &*name);
        bench.give(change(place, 1, "ann", None, Some(GroupRole::Member)));
    }
    bench.answers();
    assert_eq!(bench.groups_count("ann"), USER_GROUPS_MAX);
}

fn mute(user: &str, until_unix_ms: u64) -> StoreOp {
    StoreOp::MuteGroup(Box::new(MuteGroup { room: GROUP, user: user.into(), until_unix_ms }))
}

#[test]
fn a_member_mutes_the_group_until_it_leaves_whatever_role_it_is_given() {
    let (member, admin) = (Some(GroupRole::Member), Some(GroupRole::Admin));
    let mut bench = Bench::new();
    bench.changed(1, "ann", None, Some(GroupRole::Owner));
    bench.joined(2, "bob");
    bench.changed(3, "cat", None, Some(GroupRole::Invited));
    assert_eq!(bench.ask(mute("bob", 77)).muted(), Ok(MuteResult::Muted));
    for user in ["cat", "eve"] {
        assert_eq!(bench.ask(mute(user, 77)).muted(), Ok(MuteResult::NoMember), "{user}");
    }
    // Both in one turn: the change finds what was asked before it.
    bench.give(mute("bob", 99));
    bench.give(change((GROUP, CHANNEL), 4, "bob", member, admin));
    bench.answers();
    let mut bench = bench.crash(Crash::PowerCut);
    let mutes = |bench: &mut Bench<SimulatedDisk>| -> Vec<(GroupRole, u64)> {
        let roster = bench.opened(GROUP).unwrap().roster;
        roster.into_iter().map(|one| (one.role, one.muted_until_unix_ms)).collect()
    };
    let owner = (GroupRole::Owner, 0);
    let want = [owner, (GroupRole::Admin, 99), (GroupRole::Invited, 0)];
    assert_eq!(mutes(&mut bench), want);
    assert_eq!(bench.conversations_of("bob")[0].muted_until_unix_ms, 99);
    assert_eq!(bench.conversations_of("ann")[0].muted_until_unix_ms, 0);
    bench.changed(5, "bob", admin, None);
    bench.joined(6, "bob");
    assert_eq!(mutes(&mut bench)[1], (GroupRole::Member, 0));
    assert_eq!(bench.ask(mute("bob", 77)).muted(), Ok(MuteResult::Muted));
    assert_eq!(bench.ask(mute("bob", 0)).muted(), Ok(MuteResult::Muted));
    assert_eq!(mutes(&mut bench)[1], (GroupRole::Member, 0));
}
