//! Groups: who may change their members, what that lets and forbids, and who hears of it.

use super::*;
use crate::base::limits::{GROUP_MEMBERS_MAX, USER_GROUPS_MAX};
use crate::wire::chat::{GroupMember, GroupRole, RosterAction};

const GROUP: RoomId = RoomId(30);
const CLUB: RoomId = RoomId(31);

type Place = (RoomId, &'static str, u16);

const OPEN: Place = (GROUP, "group:1", 5);
const INVITED: Place = (CLUB, "club:1", 6);

/// A question about `member`, who may be the asker.
fn roster_op(
    place: Place,
    user: &str,
    (action, member): (RosterAction, &str),
    authority: RosterAuthority,
) -> RoomOp {
    let key = channel_key(place.1, place.2);
    let RoomOp::Publish(publish) = draft(key, user, "{}", None, PublishMode::Post) else {
        unreachable!()
    };
    let publish = RoomPublish { id_source: IdSource::Server, ..*publish };
    let (user, inbox) = (member.into(), inbox(member));
    RoomOp::ChangeRoster(Box::new(RosterRequest { user, inbox, action, authority, publish }))
}

fn inbox(user: &str) -> RoomId {
    match user {
        "ann" => ANNS,
        "bob" => BOBS,
        other => RoomId(1_000 + u128::from(other.as_bytes()[0])),
    }
}

impl World {
    fn asks(&mut self, place: Place, user: &str, wish: (RosterAction, &str)) -> RoomReply {
        self.ask(90, place.0, roster_op(place, user, wish, RosterAuthority::Entrant))
    }

    #[track_caller]
    fn joins(&mut self, place: Place, user: &str) {
        let answer = self.asks(place, user, (RosterAction::Join, user));
        assert!(matches!(answer, RoomReply::Done), "{user}: {answer:?}");
    }

    #[track_caller]
    fn does(&mut self, place: Place, user: &str, wish: (RosterAction, &str)) {
        let answer = self.asks(place, user, wish);
        assert!(matches!(answer, RoomReply::Done), "{user} {wish:?}: {answer:?}");
    }

    #[track_caller]
    fn may_not(&mut self, place: Place, user: &str, wish: (RosterAction, &str)) {
        let answer = self.asks(place, user, wish);
        assert!(
            matches!(answer, RoomReply::Rejected(ErrorCode::PermissionDenied)),
            "{user} {wish:?}: {answer:?}"
        );
    }

    fn enters(&mut self, place: Place, user: &str, slot: u32) -> RoomReply {
        let subscribe = subscribe(channel_key(place.1, place.2), user, slot, None);
        self.ask(slot, place.0, subscribe)
    }

    fn says_as(&mut self, place: Place, user: &str, text: &str) -> RoomReply {
        let key = channel_key(place.1, place.2);
        self.ask(91, place.0, draft(key, user, text, None, PublishMode::Post))
    }

    /// The members, with their roles.
    fn roster(&mut self, place: Place) -> Vec<(String, GroupRole)> {
        let (members, next) = self.page(place, None, "", 1_000).unwrap();
        assert_eq!(next, None);
        members.into_iter().map(|one| (one.user.into(), one.role)).collect()
    }

    fn page(
        &mut self,
        place: Place,
        asker: Option<&str>,
        after: &str,
        count_max: u32,
    ) -> Result<(Vec<GroupMember>, Option<Box<str>>), RoomReply> {
        let channel_key = Some(channel_key(place.1, place.2));
        let (asker, after) = (asker.map(Into::into), after.into());
        let page = RosterPage { channel_key, asker, after, count_max };
        match self.ask(92, place.0, RoomOp::Roster(Box::new(page))) {
            RoomReply::Roster(members, next) => Ok((members, next)),
            other => Err(other),
        }
    }

    fn expelled(&mut self) -> Vec<String> {
        let told = std::mem::take(self.out.events());
        let expelled = told.into_iter().filter_map(|(_, event)| match event {
            RoomEvent::Expelled(_, user) => Some(user.into()),
            _ => None,
        });
        expelled.collect()
    }
}

fn role(user: &str, role: GroupRole) -> (String, GroupRole) {
    (user.to_owned(), role)
}

#[test]
fn the_first_owns_an_open_group_and_others_join_it() {
    let mut world = World::new();
    world.joins(OPEN, "ann");
    world.joins(OPEN, "bob");
    let want = [role("ann", GroupRole::Owner), role("bob", GroupRole::Member)];
    assert_eq!(world.roster(OPEN), want);
    for crash in [Crash::Killed, Crash::PowerCut] {
        world = world.restart(crash);
        assert_eq!(world.roster(OPEN), want, "{crash:?}");
    }
    let guest = roster_op(OPEN, "cat", (RosterAction::Join, "cat"), RosterAuthority::Guest);
    check_refused(&world.ask(1, GROUP, guest), ErrorCode::PermissionDenied);
}

#[test]
fn who_is_not_invited_begins_a_closed_group_and_joins_none() {
    let mut world = World::new();
    world.joins(INVITED, "ann");
    world.may_not(INVITED, "bob", (RosterAction::Join, "bob"));
    world.does(INVITED, "ann", (RosterAction::Invite, "bob"));
    assert_eq!(
        world.roster(INVITED),
        [role("ann", GroupRole::Owner), role("bob", GroupRole::Invited)]
    );
    world.joins(INVITED, "bob");
    assert_eq!(world.roster(INVITED)[1], role("bob", GroupRole::Member));
    let join = (RosterAction::Join, "cat");
    for (authority, admitted) in
        [(RosterAuthority::Guest, false), (RosterAuthority::Admitted, true)]
    {
        let answer = world.ask(1, CLUB, roster_op(INVITED, "cat", join, authority));
        assert_eq!(matches!(answer, RoomReply::Done), admitted, "{authority:?}");
    }
}

#[test]
fn a_role_allows_what_stands_below_it() {
    use RosterAction::{Invite, Kick, Leave, SetRole};
    let mut world = World::new();
    for user in ["ann", "bob", "cat", "dan", "eve"] {
        world.joins(OPEN, user);
    }
    world.does(OPEN, "ann", (SetRole(GroupRole::Admin), "bob"));
    world.does(OPEN, "ann", (SetRole(GroupRole::Admin), "cat"));
    for wish in [
        (Invite, "fay"),
        (Kick, "eve"),
        (Kick, "ann"),
        (SetRole(GroupRole::Owner), "dan"),
        (SetRole(GroupRole::Member), "bob"),
    ] {
        world.may_not(OPEN, "dan", wish);
        world.may_not(OPEN, "zoe", wish);
    }
    for wish in [(Kick, "ann"), (Kick, "cat"), (Kick, "bob"), (SetRole(GroupRole::Admin), "dan")] {
        world.may_not(OPEN, "bob", wish);
    }
    world.does(OPEN, "bob", (Invite, "fay"));
    world.may_not(OPEN, "fay", (Invite, "gil"));
    // Who is invited stands below a member, who may not send anybody away all the same, and has no
    // role yet that could be another.
    world.may_not(OPEN, "dan", (Kick, "fay"));
    let answer = world.asks(OPEN, "ann", (SetRole(GroupRole::Member), "fay"));
    assert!(matches!(answer, RoomReply::InvalidField(Field::Member)), "{answer:?}");
    world.does(OPEN, "bob", (Kick, "fay"));
    world.does(OPEN, "bob", (Kick, "eve"));
    world.does(OPEN, "ann", (Kick, "cat"));
    for user in ["cat", "zoe"] {
        let answer = world.asks(OPEN, "ann", (SetRole(GroupRole::Member), user));
        assert!(matches!(answer, RoomReply::InvalidField(Field::Member)), "{answer:?}");
    }
    world.may_not(OPEN, "ann", (Leave, "ann"));
    world.may_not(OPEN, "ann", (SetRole(GroupRole::Member), "ann"));
    world.does(OPEN, "ann", (SetRole(GroupRole::Owner), "dan"));
    world.may_not(OPEN, "dan", (Kick, "ann"));
    world.does(OPEN, "ann", (Leave, "ann"));
    assert_eq!(world.roster(OPEN), [role("bob", GroupRole::Admin), role("dan", GroupRole::Owner)]);
    let kick = roster_op(OPEN, "zoe", (Kick, "dan"), RosterAuthority::Moderator);
    assert!(matches!(world.ask(1, GROUP, kick), RoomReply::Done), "a moderator stands above");
    world.does(OPEN, "bob", (Leave, "bob"));
    assert_eq!(world.roster(OPEN), []);
    world.joins(OPEN, "zoe");
    assert_eq!(world.roster(OPEN), [role("zoe", GroupRole::Owner)], "it begins anew");
    world.may_not(OPEN, "zoe", (SetRole(GroupRole::Admin), "zoe"));
}

#[test]
fn a_repeat_says_nothing_and_is_answered_when_the_first_is_kept() {
    let mut world = World::new();
    world.joins(OPEN, "ann");
    world.joins(OPEN, "ann");
    world.does(OPEN, "ann", (RosterAction::Leave, "zoe"));
    world.does(OPEN, "ann", (RosterAction::Kick, "zoe"));
    world.does(OPEN, "ann", (RosterAction::Invite, "bob"));
    world.does(OPEN, "ann", (RosterAction::Invite, "bob"));
    assert!(matches!(world.enters(OPEN, "ann", 1), RoomReply::Subscribed(subscribed)
        if subscribed.position.is_some_and(|position| position.offset == 2)));
    world.asleep = true;
    world.out.events().clear();
    let op = || roster_op(OPEN, "bob", (RosterAction::Join, "bob"), RosterAuthority::Entrant);
    let first = world.begin(HOME, 5, GROUP, op());
    let again = world.begin(HOME, 6, GROUP, op());
    world.settle();
    assert!(world.answer(first).is_none() && world.answer(again).is_none());
    world.asleep = false;
    world.settle();
    for id in [first, again] {
        assert!(matches!(world.answer(id), Some(RoomReply::Done)));
    }
    assert_eq!(world.said(GROUP).len(), 1, "it is said once");
}

#[test]
fn what_members_left_behind_is_for_nobody_who_was_not_invited() {
    let mut world = World::new();
    for place in [INVITED, OPEN] {
        world.joins(place, "ann");
        assert_eq!(posted(&world.says_as(place, "ann", "secret")), 2);
    }
    world.does(INVITED, "ann", (RosterAction::Invite, "bob"));
    world.does(INVITED, "ann", (RosterAction::Leave, "ann"));
    world.may_not(INVITED, "cat", (RosterAction::Join, "cat"));
    world.may_not(INVITED, "ann", (RosterAction::Join, "ann"));
    world.joins(INVITED, "bob");
    assert_eq!(world.roster(INVITED), [role("bob", GroupRole::Owner)]);
    // Where nobody has to be invited, everybody may read it anyway.
    world.does(OPEN, "ann", (RosterAction::Leave, "ann"));
    world.joins(OPEN, "cat");
    assert_eq!(world.roster(OPEN), [role("cat", GroupRole::Owner)]);
}

#[test]
fn members_alone_are_in_and_speak() {
    let mut world = World::new();
    for user in ["ann", ""] {
        assert!(
            matches!(
                world.enters(OPEN, user, 1),
                RoomReply::SubscribeRejected(ErrorCode::PermissionDenied)
            ),
            "nobody is a member"
        );
    }
    world.joins(OPEN, "ann");
    world.does(OPEN, "ann", (RosterAction::Invite, "bob"));
    assert!(matches!(world.enters(OPEN, "ann", 1), RoomReply::Subscribed(_)));
    assert!(matches!(world.enters(OPEN, "bob", 2), RoomReply::SubscribeRejected(_)));
    assert_eq!(posted(&world.says_as(OPEN, "ann", "1")), 3);
    check_refused(&world.says_as(OPEN, "bob", "2"), ErrorCode::PermissionDenied);
    let key = || channel_key(OPEN.1, OPEN.2);
    let change = |user| edit_in(draft(key(), user, "2", None, PublishMode::Post), 3);
    check_refused(&world.ask(1, GROUP, change("bob")), ErrorCode::PermissionDenied);
    assert_eq!(posted(&world.ask(1, GROUP, change("ann"))), 4);
    check_refused(
        &world.ask(1, GROUP, RoomOp::Typing(info("bob", 2))),
        ErrorCode::PermissionDenied,
    );
    let mark = |user| {
        RoomOp::AdvanceMarker(Box::new(ReadMarkerUpdate {
            channel_key: Some(channel_key(OPEN.1, OPEN.2)),
            info: info(user, 0),
            inbox: inbox(user),
            position: MarkerPosition::Read(4),
            other: None,
        }))
    };
    check_refused(&world.ask(1, GROUP, mark("bob")), ErrorCode::PermissionDenied);
    assert!(matches!(world.ask(1, GROUP, mark("ann")), RoomReply::Done));
    let react = |user: &str| {
        RoomOp::React(Box::new(Reaction {
            channel_key: Some(channel_key(OPEN.1, OPEN.2)),
            info: info(user, 0),
            user: UserHash::of_inbox(inbox(user)),
            offset: 3,
            value: Some("a".into()),
            parties: None,
        }))
    };
    check_refused(&world.ask(1, GROUP, react("bob")), ErrorCode::PermissionDenied);
    assert!(matches!(world.ask(1, GROUP, react("ann")), RoomReply::Done));
}

#[test]
fn who_is_no_member_any_more_leaves_and_does_nothing() {
    let mut world = World::new();
    for (user, slot) in [("ann", 1), ("bob", 2), ("cat", 3)] {
        world.joins(OPEN, user);
        assert!(matches!(world.enters(OPEN, user, slot), RoomReply::Subscribed(_)));
    }
    world.expelled();
    world.does(OPEN, "ann", (RosterAction::SetRole(GroupRole::Admin), "cat"));
    assert_eq!(world.expelled(), [""; 0]);
    world.does(OPEN, "ann", (RosterAction::Kick, "bob"));
    assert_eq!(world.expelled(), ["bob"]);
    check_refused(&world.says_as(OPEN, "bob", "1"), ErrorCode::PermissionDenied);
    world.does(OPEN, "cat", (RosterAction::Leave, "cat"));
    assert_eq!(world.expelled(), ["cat"]);
}

#[test]
fn who_leads_a_group_takes_back_what_others_said_there() {
    let mut world = World::new();
    for user in ["ann", "bob", "cat"] {
        world.joins(OPEN, user);
    }
    let offset = posted(&world.says_as(OPEN, "bob", "1"));
    let retract = |user, offset| {
        let publish = draft(channel_key(OPEN.1, OPEN.2), user, "{}", None, PublishMode::Post);
        retraction(publish, offset, RetractRight::Author)
    };
    check_refused(&world.ask(1, GROUP, retract("cat", offset)), ErrorCode::PermissionDenied);
    world.does(OPEN, "ann", (RosterAction::SetRole(GroupRole::Admin), "cat"));
    assert!(matches!(world.ask(1, GROUP, retract("cat", offset)), RoomReply::Done));
    let answer = world.ask(1, GROUP, retract("ann", 1));
    assert!(
        matches!(answer, RoomReply::InvalidField(Field::Offset)),
        "that somebody joined stays so: {answer:?}"
    );
}

#[test]
fn a_change_is_told_in_the_group_and_to_whom_it_is_about() {
    let mut world = World::new();
    come(&mut world, BOBS, "bob", 4);
    world.joins(OPEN, "ann");
    world.enters(OPEN, "ann", 1);
    world.out.events().clear();
    world.does(OPEN, "ann", (RosterAction::Invite, "bob"));
    let (mut said, mut notices) = (Vec::new(), Vec::new());
    for (_, event) in std::mem::take(world.out.events()) {
        match event {
            RoomEvent::Published(GROUP, publication, _) => {
                assert_eq!(publication.info.as_ref().map(|info| &*info.user), Some("ann"));
                assert_eq!(publication.tag("group_member"), Some("bob"));
                assert_eq!(publication.tag("group_role"), Some("invited"));
                said.push(shown(&publication));
            }
            RoomEvent::Notice(BOBS, data) => {
                notices.push(String::from_utf8(data.bytes.to_vec()).unwrap());
            }
            _ => (),
        }
    }
    assert_eq!(said, [(2, r#"{"member":"bob","role":"invited"}"#.to_owned())]);
    let want =
        r#"{"group":{"channel":"group:1","user":"bob","role":"invited","by":"ann"}}"#.to_owned();
    assert_eq!(notices, [want]);
}

#[test]
fn a_group_and_a_users_groups_have_limits() {
    let mut world = World::new();
    for n in 0..GROUP_MEMBERS_MAX {
        world.joins(OPEN, &format!("{n}"));
    }
    for (user, wish) in [("zoe", (RosterAction::Join, "zoe")), ("0", (RosterAction::Invite, "zoe"))]
    {
        check_refused(&world.asks(OPEN, user, wish), ErrorCode::LimitExceeded);
    }
    world.does(OPEN, "1", (RosterAction::Leave, "1"));
    world.joins(OPEN, "zoe");
    assert_eq!(world.page(OPEN, None, "", 7).unwrap().0.len(), 7);
    for n in 0..USER_GROUPS_MAX {
        let name: &'static str = format!("group:x{n}").leak();
        let place = (RoomId(50_000 + u128::from(n)), name, 5);
        let op = roster_op(place, "yan", (RosterAction::Join, "yan"), RosterAuthority::Entrant);
        world.pass(600);
        assert!(matches!(world.ask(1, place.0, op), RoomReply::Done), "{n}");
    }
    world.pass(600);
    let invited = world.asks(OPEN, "0", (RosterAction::Invite, "yan"));
    check_refused(&invited, ErrorCode::LimitExceeded);
}

#[test]
fn the_list_is_for_members_and_has_pages() {
    let mut world = World::new();
    for user in ["ann", "bob", "cat"] {
        world.joins(OPEN, user);
    }
    world.does(OPEN, "ann", (RosterAction::Invite, "dan"));
    for asker in ["dan", "zoe"] {
        let refused = world.page(OPEN, Some(asker), "", 10).unwrap_err();
        check_refused(&refused, ErrorCode::PermissionDenied);
    }
    let users = |page: &[GroupMember]| -> Vec<String> {
        page.iter().map(|one| one.user.to_string()).collect()
    };
    let (page, next) = world.page(OPEN, Some("bob"), "", 3).unwrap();
    assert_eq!(
        (users(&page), next.as_deref()),
        (["ann", "bob", "cat"].map(str::to_owned).into(), Some("cat"))
    );
    let (page, next) = world.page(OPEN, Some("bob"), "cat", 3).unwrap();
    assert_eq!((users(&page), next), (vec!["dan".to_owned()], None));
}

#[test]
fn what_the_store_kept_although_it_refused_it_counts_when_it_is_read_again() {
    let fails = DiskFaultProfile { sync_fails_percent: 100, ..DiskFaultProfile::CALM };
    let mut world = World::new();
    world.joins(OPEN, "ann");
    world.joins(OPEN, "bob");
    world.enters(OPEN, "bob", 2);
    world.store.disk_mut().set_fault_profile(fails);
    let answer = world.asks(OPEN, "bob", (RosterAction::Leave, "bob"));
    check_refused(&answer, ErrorCode::Internal);
    world.store.disk_mut().set_fault_profile(DiskFaultProfile::CALM);
    world.out.events().clear();
    world.pass(2_000);
    world.pass(2_000);
    let expelled = world.expelled();
    let is_member = world.roster(OPEN).iter().any(|(user, _)| user == "bob");
    assert_eq!(expelled.is_empty(), is_member, "who is none any more is not in");
}

fn mute_op(place: Place, user: &str, until_unix_ms: u64) -> RoomOp {
    let (channel_key, inbox) = (channel_key(place.1, place.2), inbox(user));
    RoomOp::Mute(Box::new(MuteRequest { channel_key, user: user.into(), inbox, until_unix_ms }))
}

impl World {
    /// Until when each has muted a group, as `asker` is shown.
    fn mutes(&mut self, place: Place, asker: Option<&str>) -> Vec<u64> {
        let (members, _) = self.page(place, asker, "", 1_000).unwrap();
        members.into_iter().map(|one| one.muted_until_unix_ms).collect()
    }
}

#[test]
fn a_member_mutes_a_group_and_its_own_connections_alone_hear_of_it() {
    let mut world = World::new();
    come(&mut world, BOBS, "bob", 4);
    world.joins(OPEN, "ann");
    world.joins(OPEN, "bob");
    world.enters(OPEN, "ann", 1);
    world.out.events().clear();
    assert!(matches!(world.ask(2, GROUP, mute_op(OPEN, "bob", 9)), RoomReply::Done));
    let told = std::mem::take(world.out.events()).into_iter();
    let told: Vec<(RoomId, String)> = told
        .filter_map(|(_, event)| match event {
            RoomEvent::Notice(room, data) => {
                Some((room, String::from_utf8(data.bytes.to_vec()).unwrap()))
            }
            _ => None,
        })
        .collect();
    let want = r#"{"muted":{"channel":"group:1","until":9}}"#.to_owned();
    assert_eq!(told, [(BOBS, want)]);
    assert_eq!(world.said(GROUP).len(), 0, "nothing is said of it");
    world.does(OPEN, "ann", (RosterAction::SetRole(GroupRole::Admin), "bob"));
    for crash in [None, Some(Crash::Killed), Some(Crash::PowerCut)] {
        if let Some(crash) = crash {
            world = world.restart(crash);
        }
        assert_eq!(world.mutes(OPEN, Some("bob")), [0, 9]);
        assert_eq!(world.mutes(OPEN, Some("ann")), [0, 0], "it is for nobody else");
        assert_eq!(world.mutes(OPEN, None), [0, 9], "a backend asks");
    }
    assert!(matches!(world.ask(2, GROUP, mute_op(OPEN, "bob", 0)), RoomReply::Done));
    assert_eq!(world.mutes(OPEN, Some("bob")), [0, 0]);
}

#[test]
fn who_is_no_member_mutes_nothing_and_a_mute_ends_with_the_membership() {
    let mut world = World::new();
    world.joins(OPEN, "ann");
    world.does(OPEN, "ann", (RosterAction::Invite, "bob"));
    for user in ["bob", "zoe"] {
        let answer = world.ask(2, GROUP, mute_op(OPEN, user, 9));
        check_refused(&answer, ErrorCode::PermissionDenied);
    }
    world.joins(OPEN, "bob");
    assert!(matches!(world.ask(2, GROUP, mute_op(OPEN, "bob", 9)), RoomReply::Done));
    // What is asked behind a farewell finds no member, also where the store was not heard of.
    world.asleep = true;
    let leave = roster_op(OPEN, "bob", (RosterAction::Leave, "bob"), RosterAuthority::Entrant);
    let left = world.begin(HOME, 5, GROUP, leave);
    let muted = world.begin(HOME, 6, GROUP, mute_op(OPEN, "bob", 11));
    world.settle();
    world.asleep = false;
    world.settle();
    assert!(matches!(world.answer(left), Some(RoomReply::Done)));
    check_refused(&world.answer(muted).unwrap(), ErrorCode::PermissionDenied);
    world.joins(OPEN, "bob");
    assert_eq!(world.mutes(OPEN, Some("bob")), [0, 0]);
}

impl World {
    /// What is told of messages in groups since this was asked last: who said the last of how many,
    /// its offset, and the members.
    fn unmet(&mut self) -> Vec<(String, u64, u64, String)> {
        let unmet = self.out.take_unmet().filter_map(|unmet| match unmet {
            UnmetMessage::Direct { .. } => None,
            UnmetMessage::InGroup(unmet) => Some(unmet),
        });
        unmet
            .map(|UnmetInGroup { channel, from, offset, count, members, .. }| {
                assert_eq!(&*channel, OPEN.1);
                (from.to_string(), count, offset, members.join(" "))
            })
            .collect()
    }
}

#[test]
fn what_is_said_is_told_for_members_that_have_not_muted_and_once_a_second() {
    let mut world = World::new();
    for user in ["ann", "bob", "cat"] {
        world.joins(OPEN, user);
    }
    world.does(OPEN, "ann", (RosterAction::Invite, "dan"));
    let until = world.now.unix_ms + 5_000;
    assert!(matches!(world.ask(2, GROUP, mute_op(OPEN, "cat", until)), RoomReply::Done));
    assert_eq!(world.unmet(), [], "who joins says nothing");
    let told = |from: &str, count, offset, members: &str| {
        (from.to_owned(), count, offset, members.to_owned())
    };
    posted(&world.says_as(OPEN, "ann", "1"));
    assert_eq!(world.unmet(), [told("ann", 1, 5, "ann bob")]);
    posted(&world.says_as(OPEN, "bob", "2"));
    let edit = edit_in(draft(channel_key(OPEN.1, 5), "bob", "3", None, PublishMode::Post), 6);
    posted(&world.ask(1, GROUP, edit));
    posted(&world.says_as(OPEN, "ann", "4"));
    world.pass(500);
    assert_eq!(world.unmet(), [], "it was told a moment ago");
    world.pass(600);
    assert_eq!(world.unmet(), [told("ann", 2, 8, "ann bob")], "an edit is nothing new");
    world.pass(1_100);
    assert_eq!(world.unmet(), []);
    world.does(OPEN, "bob", (RosterAction::Leave, "bob"));
    posted(&world.says_as(OPEN, "ann", "5"));
    assert_eq!(world.unmet(), [told("ann", 1, 10, "ann")]);
    world.pass(5_000);
    posted(&world.says_as(OPEN, "ann", "6"));
    assert_eq!(world.unmet(), [told("ann", 1, 11, "ann cat")], "the mute is over");
    assert!(matches!(world.ask(2, GROUP, mute_op(OPEN, "ann", u64::MAX)), RoomReply::Done));
    world.pass(1_100);
    posted(&world.says_as(OPEN, "cat", "7"));
    assert_eq!(world.unmet(), [told("cat", 1, 12, "cat")]);
}

#[test]
fn where_nobody_is_told_nothing_is_gathered() {
    let mut world = World::new();
    let options = Options { has_presence_feed: false, ..(*world.options).clone() };
    world.options = Arc::new(options);
    let mut world = world.restart(Crash::Killed);
    world.joins(OPEN, "ann");
    posted(&world.says_as(OPEN, "ann", "1"));
    assert_eq!(world.unmet(), []);
}
