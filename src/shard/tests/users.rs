//! What backends ask of the connections of users, by the server API.

use super::*;
use crate::base::limits::API_CONNECTION_CHANNELS_MAX;
use crate::base::{ClientId, UserHash};
use crate::room::ChannelKey;
use crate::shard::{
    ChannelsQuestion, ChannelsWanted, ConnectionPage, CoresReply, PageOfConnections, RankBy,
    RankPlace, ServerAnswer, ServerAsk, ServerQuestion, ServerReply, UserOp, UserQuestion,
};
use crate::wire::Payload;

fn connect(user: &str, tenant: &str) -> String {
    connect_with(&NewToken { user, tenant, ..NewToken::default() })
}

fn join_as(world: &mut World, shard: usize, user: &str, tenant: &str) -> Peer {
    join_by(world, shard, &connect(user, tenant))
}

fn client(world: &World, peer: Peer) -> ClientId {
    let session = world.shards[peer.0].sessions().connections().session(id(peer));
    session.and_then(|session| session.who()).expect("it is connected").client
}

fn about(user: &str, op: UserOp) -> UserQuestion {
    UserQuestion { tenant: "".into(), user: user.into(), client: None, op }
}

fn close(kept: &[ClientId]) -> UserOp {
    UserOp::Close { code: 4_321, reason: "go".into(), kept: kept.into() }
}

fn ask(world: &mut World, shard: usize, first_id: u32, questions: Vec<UserQuestion>) {
    let asked = (first_id..).zip(questions).map(|(id, question)| ServerQuestion {
        id,
        asker: UserHash::NOBODY,
        ask: ServerAsk::User(Arc::new(question)),
    });
    let command = ShardCommand::Server(asked.collect());
    world.shards[shard].on_shard_command(world.now, command, &mut Vec::new());
}

/// Asks every shard, until all have answered.
fn asked(world: &mut World, question: &UserQuestion) -> CoresReply {
    for shard in 0..world.shards.len() {
        ask(world, shard, 1, vec![question.clone()]);
    }
    world.settle();
    let mut replies = Vec::new();
    for shard in &mut world.shards {
        replies.extend(shard.take_server_answers().into_iter().map(|answer| answer.reply));
    }
    assert_eq!(replies.len(), world.shards.len(), "each answers once");
    let joined = replies.into_iter().reduce(ServerReply::joined);
    let Some(ServerReply::Cores(reply)) = joined else { panic!("{joined:?}") };
    reply
}

fn count(reply: CoresReply) -> usize {
    let CoresReply::Connections(all) = reply else { panic!("{reply:?}") };
    all.len()
}

#[test]
fn all_connections_of_a_user_are_found_on_every_core_and_nobody_elses() {
    let mut world = crowd_world(3);
    let annas: Vec<Peer> = (0..6).map(|n| join_as(&mut world, n % 3, "anna", "")).collect();
    let others =
        [("ann", ""), ("anna2", ""), ("anna", "acme"), ("", "")].map(|(user, tenant)| match user {
            "" => world.join(0),
            _ => join_as(&mut world, 1, user, tenant),
        });
    let list = about("anna", UserOp::List);
    assert_eq!(count(asked(&mut world, &list)), 6);
    let one = UserQuestion { client: Some(client(&world, annas[4])), ..list.clone() };
    let CoresReply::Connections(found) = asked(&mut world, &one) else { panic!() };
    assert_eq!((found.len(), found[0].client), (1, client(&world, annas[4])));
    let of_acme = UserQuestion { tenant: "acme".into(), ..list.clone() };
    assert_eq!(count(asked(&mut world, &of_acme)), 1);

    let kept = client(&world, annas[0]);
    assert_eq!(asked(&mut world, &about("anna", close(&[kept]))), CoresReply::Done);
    for &peer in &annas[1..] {
        world.check_closed(peer, 4_321);
    }
    assert_eq!(count(asked(&mut world, &list)), 1);
    for peer in others.into_iter().chain([annas[0]]) {
        world.say(peer, r#"{"id":7,"ping":{}}"#);
        assert!(world.take(peer)[0].starts_with(r#"{"id":7"#));
    }
    assert_eq!(asked(&mut world, &about("nobody", close(&[]))), CoresReply::Done);
}

#[test]
fn who_is_closed_leaves_its_rooms() {
    let mut world = crowd_world(2);
    let bob = world.join_room(0, "room:1");
    let anna = join_as(&mut world, 1, "anna", "");
    world.say(anna, r#"{"id":2,"subscribe":{"channel":"room:1"}}"#);
    asked(&mut world, &about("anna", close(&[])));
    world.check_closed(anna, 4_321);
    // It could come back, as after any other close.
    world.pass(10_000);
    world.say(bob, r#"{"id":3,"presence_stats":{"channel":"room:1"}}"#);
    let seen = world.take(bob).join("\n");
    assert!(seen.contains(r#""num_clients":1"#), "{seen}");
}

#[test]
fn what_is_asked_of_one_user_is_done_in_order() {
    let mut world = crowd_world(1);
    join_as(&mut world, 0, "anna", "");
    let list = || about("anna", UserOp::List);
    ask(
        &mut world,
        0,
        1,
        vec![list(), about("bob", UserOp::List), about("anna", close(&[])), list()],
    );
    world.settle();
    let mut answers = world.shards[0].take_server_answers();
    answers.sort_by_key(|answer| answer.id);
    let replies = answers.into_iter().map(|answer| match answer.reply {
        ServerReply::Cores(CoresReply::Connections(all)) => Some(all.len()),
        ServerReply::Cores(CoresReply::Done) => None,
        other => panic!("{other:?}"),
    });
    assert_eq!(replies.collect::<Vec<_>>(), [Some(1), Some(0), None, Some(0)]);
}

/// Turns until something is answered.
fn turns(world: &mut World) -> (usize, usize) {
    for turns in 1.. {
        world.turn(0);
        let answers_count = world.shards[0].take_server_answers().len();
        if 0 < answers_count {
            return (turns, answers_count);
        }
        assert_eq!(world.shards[0].next_wake(), Some(MonotonicMs(0)), "it goes on at once");
    }
    unreachable!("a pass ends")
}

#[test]
fn a_pass_through_many_connections_takes_several_turns_and_many_questions_with_it() {
    let mut world = crowd_world(1);
    for _ in 0..9_000 {
        world.accept(0);
    }
    let anna = join_as(&mut world, 0, "anna", "");
    let many: Vec<UserQuestion> =
        (0..300).map(|n| about(&format!("user{n}"), UserOp::List)).collect();
    ask(&mut world, 0, 1, many);
    ask(&mut world, 0, 1_000, vec![about("anna", close(&[]))]);
    assert_eq!(turns(&mut world), (3, 256));
    assert_eq!(turns(&mut world), (3, 45));
    world.check_closed(anna, 4_321);
    assert_ne!(world.shards[0].next_wake(), Some(MonotonicMs(0)), "nothing is asked");
}

#[test]
fn a_turn_closes_few_of_many() {
    let mut world = crowd_world(1);
    let annas: Vec<Peer> = (0..600).map(|_| join_as(&mut world, 0, "anna", "")).collect();
    ask(&mut world, 0, 1, vec![about("anna", close(&[]))]);
    let mut closed = Vec::new();
    while closed.last() != Some(&600) {
        world.turn(0);
        let is_closed = |peer: &&Peer| !world.peers[*peer].seen.is_empty();
        closed.push(annas.iter().filter(is_closed).count());
    }
    assert_eq!(closed, [256, 512, 600]);
    world.settle();
    assert_eq!(world.shards[0].take_server_answers().len(), 1);
}

fn subscribe(channel: &str) -> UserOp {
    let channel_key = ChannelKey { tenant: "".into(), channel: channel.into(), namespace: 0 };
    let chan_info = Some(Arc::new(Payload { bytes: "{\"by\":\"us\"}".into(), is_json: true }));
    UserOp::Subscribe { room: NAMES.room("", channel), channel_key, chan_info }
}

fn unsubscribe(channel: &str) -> UserOp {
    UserOp::Unsubscribe { room: NAMES.room("", channel), channel: channel.into() }
}

#[test]
fn a_backend_subscribes_and_unsubscribes_a_user_on_every_core() {
    let mut world = crowd_world(2);
    let annas = [0, 1].map(|shard| join_as(&mut world, shard, "anna", ""));
    let bob = world.join_room(0, "room:1");
    // One has subscribed itself, and stays as it is.
    world.say(annas[0], r#"{"id":2,"subscribe":{"channel":"room:1"}}"#);
    world.take(annas[0]);
    assert_eq!(asked(&mut world, &about("anna", subscribe("room:1"))), CoresReply::Done);
    let told = world.take(annas[1]).join("\n");
    assert!(told.contains(r#""push":{"channel":"room:1","subscribe":{"#), "{told}");
    assert!(world.take(annas[0]).iter().all(|text| !text.contains(r#""subscribe""#)));
    world.say(bob, &publish("room:1", 9));
    for peer in annas {
        assert!(world.take(peer).iter().any(|text| text.contains(r#"{"n":9}"#)));
    }
    world.say(bob, r#"{"id":3,"presence":{"channel":"room:1"}}"#);
    let seen = world.take(bob).join("\n");
    assert!(seen.contains(r#""chan_info":{"by":"us"}"#), "{seen}");

    assert_eq!(asked(&mut world, &about("anna", unsubscribe("room:1"))), CoresReply::Done);
    for peer in annas {
        let told = world.take(peer).join("\n");
        assert!(
            told.contains(r#""unsubscribe":{"code":2000,"reason":"server unsubscribe"}"#),
            "{told}"
        );
    }
    world.take(bob);
    world.say(bob, &publish("room:1", 10));
    assert!(annas.into_iter().all(|peer| world.take(peer).is_empty()));
    // What nobody has ends without a word.
    assert_eq!(asked(&mut world, &about("anna", unsubscribe("room:1"))), CoresReply::Done);
    assert!(annas.into_iter().all(|peer| world.take(peer).is_empty()));
}

#[test]
fn a_subscription_of_a_backend_outlives_a_fresh_token_and_closes_nobody_where_a_room_is_full() {
    let mut world = crowd_world(1);
    let anna = join_as(&mut world, 0, "anna", "");
    asked(&mut world, &about("anna", subscribe("room:1")));
    world.take(anna);
    let refresh = connect("anna", "").replace(r#""id":1,"connect""#, r#""id":5,"refresh""#);
    world.say(anna, &refresh);
    let told = world.take(anna).join("\n");
    assert!(told.contains(r#""id":5,"refresh""#) && !told.contains("unsubscribe"), "{told}");
    world.say(anna, &publish("room:1", 6));
    assert!(world.take(anna).join("\n").contains(r#""pub""#));

    let mut full = World::with_keys(1, Keys::build(&[key()]).unwrap(), |options| {
        options.room.namespaces[0].members_max = 1;
    });
    full.join_room(0, "room:1");
    let anna = join_as(&mut full, 0, "anna", "");
    assert_eq!(asked(&mut full, &about("anna", subscribe("room:1"))), CoresReply::Done);
    full.say(anna, r#"{"id":7,"ping":{}}"#);
    let seen = full.take(anna);
    assert!(seen.len() == 1 && seen[0].starts_with(r#"{"id":7"#), "{seen:?}");
}

#[test]
fn who_is_in_as_many_channels_as_may_be_is_told() {
    let keys = Keys::build(&[key()]).unwrap();
    let mut world = World::with_keys(1, keys, |options| options.session.channels_max = 1);
    join_as(&mut world, 0, "anna", "");
    assert_eq!(asked(&mut world, &about("anna", subscribe("room:1"))), CoresReply::Done);
    let more = about("anna", subscribe("room:2"));
    assert_eq!(asked(&mut world, &more), CoresReply::LimitExceeded);
}

#[test]
fn a_connection_expires_when_a_backend_says_so() {
    let mut world = crowd_world(1);
    let now = world.now.unix_s();
    let [gone, soon] = ["gone", "soon"].map(|user| join_as(&mut world, 0, user, ""));
    asked(&mut world, &about("gone", UserOp::ExpireAt(0)));
    world.check_closed(gone, 3_005);
    asked(&mut world, &about("soon", UserOp::ExpireAt(now + 60)));
    world.pass(50_000);
    assert!(world.take(soon).is_empty());
    world.pass(60_000);
    world.check_closed(soon, 3_005);
}

fn channels(pattern: &str) -> ServerAsk {
    let covered = vec!["lobby".into(), "room:*".into()];
    let (tenant, pattern) = ("".into(), pattern.into());
    let wants = ChannelsWanted::All;
    ServerAsk::Channels(Arc::new(ChannelsQuestion { tenant, covered, pattern, wants }))
}

#[test]
fn channels_are_listed_with_their_connections_on_all_cores() {
    let mut world = crowd_world(2);
    for (shard, channel) in [(0, "room:1"), (1, "room:1"), (0, "room:2"), (1, "room:30")] {
        world.join_room(shard, channel);
    }
    let mut ask = |pattern: &str| {
        let mut found = Vec::new();
        for shard in 0..2 {
            let question =
                ServerQuestion { id: 1, asker: UserHash::NOBODY, ask: channels(pattern) };
            let command = ShardCommand::Server(vec![question]);
            world.shards[shard].on_shard_command(world.now, command, &mut Vec::new());
        }
        world.settle();
        for shard in &mut world.shards {
            let answers = shard.take_server_answers();
            let [ServerAnswer { reply: ServerReply::Cores(CoresReply::Channels(some)), .. }] =
                &answers[..]
            else {
                panic!("{answers:?}")
            };
            found.extend(some.iter().map(|(name, count)| (name.to_string(), *count)));
        }
        found.sort();
        found
    };
    let told = |name: &str, count: u32| (name.to_owned(), count);
    assert_eq!(ask("*"), [told("room:1", 2), told("room:2", 1), told("room:30", 1)]);
    assert_eq!(ask("*3*"), [told("room:30", 1)]);
    assert!(ask("lobby").is_empty());
}

#[test]
fn a_list_of_many_channels_takes_several_turns() {
    let keys = Keys::build(&[key()]).unwrap();
    let mut world = World::with_keys(1, keys, |options| {
        options.room.rooms_max = 5_000;
        options.session.channels_max = 5_000;
        options.session.commands_burst = 10_000;
        options.session.bytes_burst = u32::MAX;
        options.session.outbox_bytes_max = u32::MAX;
    });
    let anna = world.join(0);
    for n in 0..1_500 {
        let subscribe = format!(r#"{{"id":{},"subscribe":{{"channel":"room:{n}"}}}}"#, n + 2);
        world.queue(anna, &frame(&subscribe));
        // A connection has so many that are not answered.
        if n % 500 == 0 {
            world.settle();
        }
    }
    world.settle();
    let question = ServerQuestion { id: 7, asker: UserHash::NOBODY, ask: channels("room:*") };
    let command = ShardCommand::Server(vec![question]);
    world.shards[0].on_shard_command(world.now, command, &mut Vec::new());
    let mut turns_count = 0;
    let answers = loop {
        world.turn(0);
        turns_count += 1;
        let answers = world.shards[0].take_server_answers();
        if !answers.is_empty() {
            break answers;
        }
    };
    let ServerReply::Cores(CoresReply::Channels(all)) = &answers[0].reply else {
        panic!("{answers:?}")
    };
    assert_eq!((all.len(), turns_count), (1_500, 2));
}

fn page(user: &str, after: Option<ClientId>, connections_max: usize) -> UserQuestion {
    let covered = ["room:a", "room:b", "room:m*"].map(Into::into).to_vec();
    about(user, UserOp::Page(PageOfConnections { after, connections_max, covered }))
}

fn shown(reply: CoresReply) -> ConnectionPage {
    let CoresReply::ConnectionPage(page) = reply else { panic!("{reply:?}") };
    page
}

#[test]
fn a_connection_is_shown_with_its_address_its_age_and_its_channels() {
    let mut world = crowd_world(2);
    let anna = join_as(&mut world, 1, "anna", "");
    for (id, channel) in [(2, "room:b"), (3, "room:a"), (4, "room:c")] {
        world.say(anna, &format!(r#"{{"id":{id},"subscribe":{{"channel":"{channel}"}}}}"#));
    }
    join_as(&mut world, 0, "bob", "");
    world.pass(3_000);
    let found = shown(asked(&mut world, &page("anna", None, 10)));
    let [one] = found.connections() else { panic!("{found:?}") };
    assert_eq!((one.client, one.address), (client(&world, anna), Some(address_of(id(anna)))));
    assert!(one.age_ms.abs_diff(3_000) < 512, "{}", one.age_ms);
    let names: Vec<&str> = one.channels.iter().map(|name| &**name).collect();
    assert_eq!((names, one.channels_count), (vec!["room:a", "room:b"], 3));
    assert!(!found.is_full());
}

#[test]
fn pages_of_connections_have_each_once_on_whichever_core_it_is() {
    let mut world = crowd_world(3);
    let annas: Vec<Peer> = (0..7).map(|n| join_as(&mut world, n % 3, "anna", "")).collect();
    let mut clients: Vec<ClientId> = annas.iter().map(|&peer| client(&world, peer)).collect();
    clients.sort_unstable();
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = shown(asked(&mut world, &page("anna", after, 2)));
        found.extend(page.connections().iter().map(|one| one.client));
        after = page.connections().last().map(|one| one.client);
        if !page.is_full() {
            break;
        }
    }
    assert_eq!(found, clients);
    let one = UserQuestion { client: Some(clients[3]), ..page("anna", None, 2) };
    let found = shown(asked(&mut world, &one));
    assert_eq!(found.connections().iter().map(|one| one.client).collect::<Vec<_>>(), [clients[3]]);
}

#[test]
fn of_many_channels_of_a_connection_some_are_named() {
    let keys = Keys::build(&[key()]).unwrap();
    let mut world = World::with_keys(1, keys, |options| {
        options.session.channels_max = 200;
        options.session.commands_burst = 1_000;
    });
    let anna = join_as(&mut world, 0, "anna", "");
    for n in 0..90 {
        world.say(anna, &format!(r#"{{"id":{},"subscribe":{{"channel":"room:m{n}"}}}}"#, n + 2));
    }
    let found = shown(asked(&mut world, &page("anna", None, 1)));
    let one = &found.connections()[0];
    assert_eq!((one.channels.len(), one.channels_count), (API_CONNECTION_CHANNELS_MAX, 90));
}

#[test]
fn the_busiest_rooms_and_the_largest_are_told_of_all_cores() {
    let mut world = crowd_world(2);
    let anna = world.join_room(0, "room:busy");
    for channel in ["room:large", "room:quiet"] {
        let id = channel.len();
        world.say(anna, &format!(r#"{{"id":{id},"subscribe":{{"channel":"{channel}"}}}}"#));
    }
    world.join_room(1, "room:large");
    (20..25).for_each(|id| world.say(anna, &publish("room:busy", id)));
    world.say(anna, &publish("room:large", 30));
    let mut first = |by: RankBy, after: Option<RankPlace>| {
        let wants = ChannelsWanted::Top { by, after, rooms_max: 2 };
        let (tenant, covered, pattern) = ("".into(), vec!["room:*".into()], "*".into());
        let question = ChannelsQuestion { tenant, covered, pattern, wants };
        let ask = ServerAsk::Channels(Arc::new(question));
        for shard in 0..2 {
            let question = ServerQuestion { id: 1, asker: UserHash::NOBODY, ask: ask.clone() };
            let command = ShardCommand::Server(vec![question]);
            world.shards[shard].on_shard_command(world.now, command, &mut Vec::new());
        }
        world.settle();
        let answers = world.shards.iter_mut().flat_map(Shard::take_server_answers);
        let joined = answers.map(|answer| answer.reply).reduce(ServerReply::joined);
        let Some(ServerReply::Cores(CoresReply::TopRooms(top))) = joined else {
            panic!("{joined:?}")
        };
        let told = top.rooms().iter().map(|room| {
            let channel = room.channel_key.channel.to_string();
            (channel, room.members_count, room.messages_per_min)
        });
        told.collect::<Vec<_>>()
    };
    let told = |name: &str, members: u32, messages: u64| (name.to_owned(), members, messages);
    let [busy, large] = [told("room:busy", 1, 5), told("room:large", 2, 1)];
    assert_eq!(first(RankBy::MessageRate, None), [busy.clone(), large.clone()]);
    assert_eq!(first(RankBy::Members, None), [large, busy]);
    let place = Some(RankPlace { value: 1, channel: "room:large".into() });
    assert_eq!(first(RankBy::MessageRate, place), [told("room:quiet", 1, 0)]);
}
