//! What backends ask of the connections of users, by the server API.

use super::*;
use crate::base::{ClientId, UserHash};
use crate::shard::{ServerAsk, ServerQuestion, ServerReply, UserOp, UserQuestion, UserReply};

fn world(shards_count: u16) -> World {
    let keys = Keys::build(&[key()]).unwrap();
    World::with_keys(shards_count, keys, |options| {
        options.connections_max = 20_000;
        options.handshakes_max = 20_000;
    })
}

fn connect(user: &str, tenant: &str) -> String {
    let new = NewToken { user, tenant, ..NewToken::default() };
    let token = sign(&key(), &ClaimRequirements::default(), &new).unwrap();
    format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#)
}

fn join_as(world: &mut World, shard: usize, user: &str, tenant: &str) -> Peer {
    let peer = world.upgrade(shard);
    world.say(peer, &connect(user, tenant));
    let seen = world.take(peer);
    assert!(seen[0].starts_with(r#"{"id":1,"connect":{"#), "{seen:?}");
    peer
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
fn asked(world: &mut World, question: &UserQuestion) -> UserReply {
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
    let Some(ServerReply::User(reply)) = joined else { panic!("{joined:?}") };
    reply
}

fn count(reply: UserReply) -> usize {
    let UserReply::Connections(all) = reply else { panic!("{reply:?}") };
    all.len()
}

#[test]
fn all_connections_of_a_user_are_found_on_every_core_and_nobody_elses() {
    let mut world = world(3);
    let annas: Vec<Peer> = (0..6).map(|n| join_as(&mut world, n % 3, "anna", "")).collect();
    let others =
        [("ann", ""), ("anna2", ""), ("anna", "acme"), ("", "")].map(|(user, tenant)| match user {
            "" => world.join(0),
            _ => join_as(&mut world, 1, user, tenant),
        });
    let list = about("anna", UserOp::List);
    assert_eq!(count(asked(&mut world, &list)), 6);
    let one = UserQuestion { client: Some(client(&world, annas[4])), ..list.clone() };
    let UserReply::Connections(found) = asked(&mut world, &one) else { panic!() };
    assert_eq!((found.len(), found[0].client), (1, client(&world, annas[4])));
    let of_acme = UserQuestion { tenant: "acme".into(), ..list.clone() };
    assert_eq!(count(asked(&mut world, &of_acme)), 1);

    let kept = client(&world, annas[0]);
    assert_eq!(asked(&mut world, &about("anna", close(&[kept]))), UserReply::Done);
    for &peer in &annas[1..] {
        world.check_closed(peer, 4_321);
    }
    assert_eq!(count(asked(&mut world, &list)), 1);
    for peer in others.into_iter().chain([annas[0]]) {
        world.say(peer, r#"{"id":7,"ping":{}}"#);
        assert!(world.take(peer)[0].starts_with(r#"{"id":7"#));
    }
    assert_eq!(asked(&mut world, &about("nobody", close(&[]))), UserReply::Done);
}

#[test]
fn who_is_closed_leaves_its_rooms() {
    let mut world = world(2);
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
    let mut world = world(1);
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
        ServerReply::User(UserReply::Connections(all)) => Some(all.len()),
        ServerReply::User(UserReply::Done) => None,
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
    let mut world = world(1);
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
    let mut world = world(1);
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
