//! Who is blocked while they are in, or come in.

use super::*;
use crate::base::UserHash;
use crate::blocks::{AddressRange, BlockKey, BlockKinds, BlockTerms};
use crate::metrics::{BlockKind, Counter};
use crate::shard::{BlocksUpdate, CoresReply, ServerAsk, ServerQuestion, ServerReply};

fn connect(user: &str, id: &str) -> String {
    connect_with(&NewToken { user, id, issued_unix_s: Some(1_000), ..NewToken::default() })
}

fn join_as(world: &mut World, shard: usize, user: &str, id: &str) -> Peer {
    join_by(world, shard, &connect(user, id))
}

/// What tells one shard of these blocks, under an id.
fn command(id: u32, blocks: &[(BlockKey, BlockTerms)]) -> ShardCommand {
    let (mut table, mut added) = (BlockTable::default(), BlockKinds::default());
    for (key, terms) in blocks {
        table.set(*key, Some(*terms));
        added.insert(key.kind());
    }
    let ask = ServerAsk::Blocks(Arc::new(BlocksUpdate { table, added }));
    ShardCommand::Server(vec![ServerQuestion { id, asker: UserHash::NOBODY, ask }])
}

fn block(world: &mut World, blocks: &[(BlockKey, BlockTerms)]) {
    for shard in &mut world.shards {
        shard.on_shard_command(world.now, command(7, blocks), &mut Vec::new());
    }
    world.settle();
    for shard in &mut world.shards {
        let answers = shard.take_server_answers();
        let [answer] = &answers[..] else { panic!("{answers:?}") };
        assert!(matches!(answer.reply, ServerReply::Cores(CoresReply::Done)) && answer.id == 7);
    }
}

fn of_user(user: &str) -> (BlockKey, BlockTerms) {
    (BlockKey::User(NAMES.user_hash("", user)), BlockTerms::default())
}

fn of_address(text: &str) -> (BlockKey, BlockTerms) {
    (BlockKey::Address(AddressRange::parse(text).unwrap()), BlockTerms::default())
}

#[track_caller]
fn check_open(world: &mut World, peer: Peer) {
    world.say(peer, r#"{"id":9,"ping":{}}"#);
    assert!(world.take(peer)[0].starts_with(r#"{"id":9"#));
}

fn counted(world: &World, kind: BlockKind) -> u64 {
    world.cells.iter().map(|cells| cells.counted(Counter::Blocked(kind))).sum()
}

#[test]
fn each_kind_lets_go_whom_it_is_about_on_every_core_and_nobody_else() {
    let mut world = crowd_world(3);
    let mut join = |user, id| [0, 1, 2].map(|shard| join_as(&mut world, shard, user, id));
    let annas = join("anna", "");
    let [old, with_id, bob] = [join("carl", ""), join("dora", "t1"), join("bob", "t2")];
    let nobody = world.join(1);
    block(&mut world, &[of_user("anna")]);
    annas.into_iter().for_each(|peer| world.check_closed(peer, 3_503));
    let before = BlockTerms { until_unix_s: 0, issued_before_unix_s: 1_001 };
    let tokens = BlockKey::UserTokens(NAMES.user_hash("", "carl"));
    let token = BlockKey::Token(NAMES.token_hash("", "t1"));
    block(&mut world, &[(tokens, before), (token, BlockTerms::default())]);
    old.into_iter().chain(with_id).for_each(|peer| world.check_closed(peer, 3_500));
    bob.into_iter().chain([nobody]).for_each(|peer| check_open(&mut world, peer));
    assert_eq!(counted(&world, BlockKind::User), 3);
    assert_eq!(counted(&world, BlockKind::UserTokens), 3);
    assert_eq!(counted(&world, BlockKind::Token), 3);
}

#[test]
fn an_address_is_blocked_whatever_its_peers_have_said() {
    let mut world = crowd_world(1);
    let [silent, upgraded] = [world.accept(0), world.upgrade(0)];
    let [connected, other] = [world.join(0), world.join(0)];
    // Peers have addresses by their number: the first three of them.
    block(&mut world, &[of_address("10.0.0.0/31"), of_address("10.0.0.2")]);
    let refused = |world: &World, peer: Peer| {
        String::from_utf8_lossy(&world.peers[&peer].http).starts_with("HTTP/1.1 403 ")
    };
    assert!(refused(&world, silent));
    world.check_closed(upgraded, 3_503);
    world.check_closed(connected, 3_503);
    check_open(&mut world, other);
    // Newcomers, too, before they have said anything.
    block(&mut world, &[of_address("10.0.0.4")]);
    let newcomer = world.accept(0);
    world.settle();
    assert!(refused(&world, newcomer));
    let next = world.join(0);
    check_open(&mut world, next);
    assert_eq!(counted(&world, BlockKind::Address), 4);
    block(&mut world, &[]);
}

#[test]
fn who_comes_in_at_the_moment_of_a_block_does_not_stay() {
    // The connect command, and the block, in either order within one turn.
    for is_block_first in [true, false] {
        let mut world = crowd_world(2);
        let anna = world.upgrade(0);
        let blocks = [of_user("anna")];
        let tell = |world: &mut World| {
            let shards = world.shards.iter_mut();
            let now = world.now;
            shards.for_each(|one| one.on_shard_command(now, command(7, &blocks), &mut Vec::new()));
        };
        if is_block_first {
            tell(&mut world);
        }
        world.queue(anna, &frame(&connect("anna", "")));
        if !is_block_first {
            tell(&mut world);
        }
        world.settle();
        world.check_closed(anna, 3_503);
    }
}

#[test]
fn a_subscription_ends_on_every_core_when_its_token_is_revoked() {
    let mut world = crowd_world(3);
    let peers = [0, 1, 2].map(|shard| join_as(&mut world, shard, "anna", ""));
    for peer in peers {
        for (id, channel) in [(2, "room:1"), (3, "room:2")] {
            let jti = if id == 2 { "t1" } else { "t2" };
            let new =
                NewToken { user: "anna", channel: Some(channel), id: jti, ..NewToken::default() };
            let token = sign(&key(), &ClaimRequirements::default(), &new).unwrap();
            let subscribe = format!(r#"{{"channel":"{channel}","token":"{token}"}}"#);
            world.say(peer, &format!(r#"{{"id":{id},"subscribe":{subscribe}}}"#));
        }
        assert!(world.take(peer).iter().all(|seen| !seen.contains("error")));
    }
    let before = BlockTerms { until_unix_s: 0, issued_before_unix_s: 1_000 };
    let of_user = BlockKey::UserTokens(NAMES.user_hash("", "bob"));
    block(&mut world, &[(of_user, before)]);
    peers.into_iter().for_each(|peer| assert_eq!(world.take(peer), [""; 0]));
    block(&mut world, &[(BlockKey::Token(NAMES.token_hash("", "t1")), BlockTerms::default())]);
    let end =
        r#"{"push":{"channel":"room:1","unsubscribe":{"code":2000,"reason":"token revoked"}}}"#;
    for peer in peers {
        assert_eq!(world.take(peer), [end]);
        check_open(&mut world, peer);
    }
}

#[test]
fn a_pass_is_confirmed_when_it_has_seen_all_and_takes_bounded_turns() {
    let mut world = crowd_world(1);
    let peers: Vec<Peer> = (0..700).map(|_| join_as(&mut world, 0, "anna", "")).collect();
    world.shards[0].on_shard_command(world.now, command(1, &[of_user("anna")]), &mut Vec::new());
    let mut turns = 0;
    while world.shards[0].take_server_answers().is_empty() {
        // A second question waits for the next pass.
        if turns == 1 {
            let again = command(2, &[of_user("anna")]);
            world.shards[0].on_shard_command(world.now, again, &mut Vec::new());
        }
        assert_eq!(world.shards[0].next_wake(), Some(MonotonicMs(0)), "it goes on");
        world.turn(0);
        turns += 1;
    }
    assert!((3..=4).contains(&turns), "{turns}");
    world.settle();
    let ids: Vec<u32> = world.shards[0].take_server_answers().iter().map(|one| one.id).collect();
    assert_eq!(ids, [2]);
    peers.into_iter().for_each(|peer| world.check_closed(peer, 3_503));
}
