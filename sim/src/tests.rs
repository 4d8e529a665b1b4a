//! Many worlds that must stand, and one broken world for each checker.

use std::collections::BTreeSet;

use crate::mutation::{Mutation, Mutator};
use crate::scenario::ClientProfile;
use crate::violation::Checker;
use crate::{Scenario, Trace, run};

/// Seeds of every `make test`.
const SEEDS_COUNT: u64 = 240;

/// Worlds in which a mutation may find its opportunity.
const TRIES_COUNT: u64 = 300;

/// Seeds of worlds with a store.
const STORED_SEEDS_COUNT: u64 = 160;

/// Seeds of worlds in which some ask for all that they can.
const PRESSED_SEEDS_COUNT: u64 = 40;

/// Seeds of worlds in which one user asks by many connections.
const CROWDED_SEEDS_COUNT: u64 = 6;

/// Seeds of worlds with a backend that is asked by hooks.
const HOOKED_SEEDS_COUNT: u64 = 60;

/// Seeds of worlds in which a backend changes who is in groups.
const GROUPED_SEEDS_COUNT: u64 = 40;

/// Seeds of worlds in which a backend removes what was said.
const REMOVED_SEEDS_COUNT: u64 = 100;

/// What worlds must come to see, each somewhere: limits that are never reached
/// prove nothing.
const ENDINGS: &str = "recovered, not recovered, unsubscribed 2000, unsubscribed 2500, \
    unsubscribed 2501, subscribed by a refresh, \
    status 408, status 503, error 100, error 102, error 103, error 104, error 105, error 106, \
    error 108, error 109, error 111, closed 1000, closed 1002, closed 1011, closed 3001, \
    closed 3004, closed 3005, closed 3008, closed 3010, closed 3012, closed 3013, closed 3502, \
    closed 3507, closed 3509";

/// What worlds with a store must come to see.
const STORED_ENDINGS: &str = "recovered, not recovered, error 100, error 103, error 107, error 108, \
    error 111, closed 3503, closed 3010, a crash";

#[track_caller]
fn check_seed(seed: u64) -> BTreeSet<String> {
    match run(&Scenario::draw(seed), Mutator::new(Mutation::None, 0), Trace::Silent) {
        Ok(summary) => summary.endings,
        Err(violation) => {
            panic!("{violation}\nagain: cargo run -p rookery-sim -- --seed {seed}");
        }
    }
}

#[track_caller]
fn check_stored_seed(seed: u64) -> BTreeSet<String> {
    match run(&Scenario::draw_stored(seed), Mutator::new(Mutation::None, 0), Trace::Silent) {
        Ok(summary) => {
            let crash = (0 < summary.crashes).then(|| "a crash".to_owned());
            summary.endings.into_iter().chain(crash).collect()
        }
        Err(violation) => {
            panic!("{violation}\nagain: cargo run -p rookery-sim -- --store --seed {seed}");
        }
    }
}

#[track_caller]
fn check_pressed_seed(seed: u64) -> BTreeSet<String> {
    match run(&Scenario::draw_pressed(seed), Mutator::new(Mutation::None, 0), Trace::Silent) {
        Ok(summary) => summary.endings,
        Err(violation) => {
            panic!("{violation}\nagain: cargo run -p rookery-sim -- --pressed --seed {seed}");
        }
    }
}

#[track_caller]
fn check_crowded_seed(seed: u64) {
    let happened =
        run(&Scenario::draw_crowded(seed), Mutator::new(Mutation::None, 0), Trace::Silent);
    if let Err(violation) = happened {
        panic!("{violation}\nagain: cargo run -p rookery-sim -- --crowded --seed {seed}");
    }
}

/// Every objection to a world with this mutation is the checker's, and there is one.
#[track_caller]
fn check_mutation(mutation: Mutation, checker: Checker) {
    check_mutation_of(Scenario::draw, 64, mutation, &[checker]);
}

/// The same in worlds with a store, where opportunities are rarer.
#[track_caller]
fn check_stored_mutation(mutation: Mutation, checkers: &[Checker]) {
    check_mutation_of(Scenario::draw_stored, 3, mutation, checkers);
}

#[track_caller]
fn check_mutation_of(
    draw: fn(u64) -> Scenario,
    skip: u64,
    mutation: Mutation,
    checkers: &[Checker],
) {
    let mut objections = 0;
    for seed in 0..TRIES_COUNT {
        let mutator = Mutator::new(mutation, (seed * 5 % skip) as u32);
        if let Err(violation) = run(&draw(seed), mutator, Trace::Silent) {
            assert!(checkers.contains(&violation.checker), "seed {seed}: {violation}");
            objections += 1;
        }
        if objections == 2 {
            return;
        }
    }
    panic!("{checkers:?} did not see {mutation:?} in {TRIES_COUNT} worlds ({objections} times)");
}

/// `SIM_SEED=N` reruns one.
#[test]
fn worlds_stand_whatever_their_seed() {
    match std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => drop(check_seed(seed)),
        None => {
            let seen: BTreeSet<String> = (0..SEEDS_COUNT).flat_map(check_seed).collect();
            for ending in ENDINGS.split(", ") {
                assert!(seen.contains(ending), "no world came to see: {ending}");
            }
        }
    }
}

/// `SIM_STORED_SEED=N` reruns one.
#[test]
fn worlds_with_a_store_stand_whatever_their_seed() {
    match std::env::var("SIM_STORED_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => drop(check_stored_seed(seed)),
        None => {
            let seen: BTreeSet<String> =
                (0..STORED_SEEDS_COUNT).flat_map(check_stored_seed).collect();
            for ending in STORED_ENDINGS.split(", ") {
                assert!(seen.contains(ending), "no world came to see: {ending}");
            }
        }
    }
}

/// `SIM_PRESSED_SEED=N` reruns one.
#[test]
fn worlds_under_pressure_stand_whatever_their_seed() {
    match std::env::var("SIM_PRESSED_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => drop(check_pressed_seed(seed)),
        None => {
            let seen: BTreeSet<String> =
                (0..PRESSED_SEEDS_COUNT).flat_map(check_pressed_seed).collect();
            assert!(seen.contains("error 111"), "nobody asked for more than it may: {seen:?}");
        }
    }
}

#[test]
fn worlds_with_a_crowd_stand_whatever_their_seed() {
    (0..CROWDED_SEEDS_COUNT).for_each(check_crowded_seed);
}

#[test]
fn worlds_with_hooks_stand_whatever_their_seed() {
    for seed in 0..HOOKED_SEEDS_COUNT {
        let world = Scenario::draw_hooked(seed);
        if let Err(violation) = run(&world, Mutator::new(Mutation::None, 0), Trace::Silent) {
            panic!("{violation}\nagain: cargo run -p rookery-sim -- --hooked --seed {seed}");
        }
    }
}

#[test]
fn worlds_in_which_histories_are_removed_stand_whatever_their_seed() {
    for seed in 0..REMOVED_SEEDS_COUNT {
        let world = Scenario::draw_removed(seed);
        if let Err(violation) = run(&world, Mutator::new(Mutation::None, 0), Trace::Silent) {
            panic!("{violation}\nagain: cargo run -p rookery-sim -- --removed --seed {seed}");
        }
    }
}

#[test]
fn worlds_with_groups_stand_whatever_their_seed() {
    for seed in 0..GROUPED_SEEDS_COUNT {
        let world = Scenario::draw_grouped(seed);
        if let Err(violation) = run(&world, Mutator::new(Mutation::None, 0), Trace::Silent) {
            panic!("{violation}\nagain: cargo run -p rookery-sim -- --grouped --seed {seed}");
        }
    }
}

#[test]
fn equal_seeds_tell_equal_stories() {
    for draw in
        [Scenario::draw, Scenario::draw_stored, Scenario::draw_pressed, Scenario::draw_hooked]
    {
        let story = |seed| run(&draw(seed), Mutator::new(Mutation::None, 0), Trace::Silent);
        assert_eq!(story(7), story(7));
        assert_ne!(story(7), story(8));
    }
}

#[test]
fn streams_see_a_message_that_is_missing() {
    check_mutation(Mutation::DropMessage, Checker::Streams);
}

#[test]
fn streams_see_messages_out_of_order() {
    check_mutation(Mutation::SwapMessages, Checker::Streams);
}

#[test]
fn streams_see_readers_that_read_different_things() {
    check_mutation(Mutation::SwapBodies, Checker::Streams);
}

#[test]
fn duplicates_see_a_message_that_comes_twice() {
    check_mutation(Mutation::DoubleMessage, Checker::Duplicates);
}

#[test]
fn recovery_sees_what_is_not_whole() {
    check_mutation(Mutation::ShortenRecovery, Checker::Recovery);
}

#[test]
fn published_sees_a_reader_that_stayed_and_missed_something() {
    // Few messages are of channels without history, so one of the first is lost.
    check_mutation_of(Scenario::draw, 6, Mutation::DropFleeting, &[Checker::Published]);
}

#[test]
fn attendance_sees_somebody_who_left_and_is_still_listed() {
    check_mutation(Mutation::DropLeave, Checker::MemberView);
}

#[test]
fn presence_sees_what_the_feed_did_not_hear() {
    check_mutation(Mutation::LosePresence, Checker::Presence);
}

#[test]
fn membership_sees_an_unsubscribe_that_did_not_arrive() {
    check_mutation(Mutation::DropUnsubscribe, Checker::Membership);
}

#[test]
fn answers_see_a_command_without_one() {
    check_mutation(Mutation::DropAnswer, Checker::Answers);
}

#[test]
fn panics_see_an_assertion_of_a_core() {
    check_mutation(Mutation::DoubleAnswer, Checker::Panics);
}

#[test]
fn lanes_see_a_message_that_is_lost() {
    check_mutation(Mutation::LoseInLane, Checker::Lanes);
}

#[test]
fn sends_see_a_second_one_in_flight() {
    check_mutation(Mutation::DoubleSend, Checker::Sends);
}

#[test]
fn decoding_sees_a_byte_that_is_wrong() {
    check_mutation(Mutation::FlipByte, Checker::Decoding);
}

#[test]
fn turn_limits_see_a_turn_that_takes_more() {
    check_mutation(Mutation::GreedyTurn, Checker::TurnLimits);
}

#[test]
fn recipients_see_a_delivery_without_an_outcome() {
    check_mutation(Mutation::ForgetOutcome, Checker::Recipients);
}

#[test]
fn steps_see_a_message_that_left_before_it_came() {
    check_mutation(Mutation::TurnBack, Checker::Steps);
}

#[test]
fn counters_see_a_connection_that_was_not_counted() {
    check_mutation(Mutation::ForgetAccepted, Checker::Counters);
}

#[test]
fn healthy_sees_a_client_that_answers_and_is_closed() {
    check_mutation(Mutation::LosePongs, Checker::Healthy);
}

#[test]
fn healthy_sees_clients_that_asked_in_time_and_were_not_heard() {
    let mut codes = BTreeSet::from(["408", "3502"]);
    for seed in 0..TRIES_COUNT {
        let mutator = Mutator::new(Mutation::JudgeUnread, 0);
        let Err(violation) = run(&Scenario::draw(seed), mutator, Trace::Silent) else { continue };
        assert_eq!(violation.checker, Checker::Healthy, "seed {seed}: {violation}");
        codes.retain(|code| !violation.text.ends_with(&format!(" {code}")));
        if codes.is_empty() {
            return;
        }
    }
    panic!("nobody saw who was ended with {codes:?} in {TRIES_COUNT} worlds");
}

#[test]
fn emptiness_sees_a_connection_that_stays() {
    check_mutation(Mutation::KeepGone, Checker::Emptiness);
}

#[test]
fn syncs_see_an_answer_before_the_disk_was_read_again() {
    check_stored_mutation(Mutation::AnswerEarly, &[Checker::Syncs]);
}

#[test]
fn kept_sees_an_answered_message_that_is_lost() {
    // Somebody may have acknowledged it; and its offset is given again, so that who saw it
    // and who sees the next one differ about it before anybody counts what is kept. Where it was
    // direct, its reader is told of something that nobody can give it.
    let checkers = [Checker::Kept, Checker::Markers, Checker::Streams, Checker::Waiting];
    check_stored_mutation(Mutation::LoseLast, &checkers);
}

#[test]
fn kept_sees_an_answer_with_the_wrong_place() {
    // Which of the two places is known first, and by whom, decides.
    let checkers = [Checker::Kept, Checker::Repeats, Checker::Streams];
    check_stored_mutation(Mutation::MisplaceAnswer, &checkers);
}

#[test]
fn streams_see_a_page_of_another_channel() {
    // What is seen first depends on what is known of the two.
    let checkers = [Checker::Streams, Checker::Kept, Checker::Offsets, Checker::Edited];
    check_stored_mutation(Mutation::MisplacePage, &checkers);
}

#[test]
fn offsets_see_a_gap_on_disk() {
    check_stored_mutation(Mutation::LoseMiddle, &[Checker::Offsets]);
}

#[test]
fn repeats_see_a_second_message_of_one_id() {
    // A reader may see both before their author is answered twice.
    check_stored_mutation(Mutation::ForgetIds, &[Checker::Repeats, Checker::Duplicates]);
}

#[test]
fn recovery_sees_what_could_have_been_whole() {
    check_stored_mutation(Mutation::RefuseRecovery, &[Checker::Recovery]);
}

#[test]
fn marks_see_an_acknowledgement_that_is_lost() {
    // Where that was not answered, its message has not been delivered and waits for nobody.
    check_stored_mutation(Mutation::LoseMark, &[Checker::Markers, Checker::DeadLetters]);
}

#[test]
fn dead_letters_see_one_that_waits_no_more() {
    check_stored_mutation(Mutation::LoseWaiting, &[Checker::DeadLetters]);
}

#[test]
fn order_sees_a_direct_message_that_was_passed_over() {
    check_stored_mutation(Mutation::DropDirect, &[Checker::InOrder]);
}

#[test]
fn waiting_sees_what_is_never_brought() {
    // Something may be brought after it.
    check_stored_mutation(Mutation::HideWaiting, &[Checker::Waiting, Checker::InOrder]);
}

#[test]
fn retracted_sees_what_is_still_on_disk() {
    check_stored_mutation(Mutation::KeepRetracted, &[Checker::Retracted]);
}

#[test]
fn edited_sees_first_words_that_are_still_on_disk() {
    check_stored_mutation(Mutation::KeepEdited, &[Checker::Edited]);
}

#[test]
fn edited_sees_words_of_an_edit_that_others_took_the_place_of() {
    // Whoever reads them may see first that their message was taken back.
    check_stored_mutation(Mutation::KeepEditWords, &[Checker::Edited, Checker::Retracted]);
}

#[test]
fn reactions_see_one_that_is_lost() {
    check_stored_mutation(Mutation::LoseReaction, &[Checker::Reactions]);
}

#[test]
fn reactions_see_one_that_was_answered_and_is_another() {
    check_stored_mutation(Mutation::ReactOtherwise, &[Checker::Reactions]);
}

#[test]
fn reactions_see_those_that_are_not_shown() {
    check_stored_mutation(Mutation::HideReactions, &[Checker::Reactions]);
}

#[test]
fn groups_see_a_member_or_a_group_that_is_gone() {
    for mutation in [Mutation::LoseMember, Mutation::LoseGroup] {
        check_mutation_of(Scenario::draw_grouped, 1, mutation, &[Checker::Groups]);
    }
}

#[test]
fn removed_sees_what_is_still_on_disk() {
    let mutation = Mutation::KeepRemoved;
    check_mutation_of(Scenario::draw_removed, 2, mutation, &[Checker::Removed]);
}

#[test]
fn removed_sees_what_is_still_in_memory() {
    let mutation = Mutation::RemoveLess;
    check_mutation_of(Scenario::draw_removed, 1, mutation, &[Checker::Removed]);
}

#[test]
fn singles_see_a_connection_that_was_replaced_and_stays() {
    check_stored_mutation(Mutation::KeepReplaced, &[Checker::Singles]);
}

#[test]
fn emptiness_sees_a_request_that_was_not_answered() {
    check_stored_mutation(Mutation::LoseReply, &[Checker::Emptiness]);
}

#[test]
fn fairness_sees_a_store_that_serves_whoever_came_first() {
    let mutation = Mutation::ServeInOrder;
    check_mutation_of(Scenario::draw_pressed, 1, mutation, &[Checker::Fairness]);
    // It is quick enough where nobody asks for too much.
    for seed in 0..10 {
        let mut scenario = Scenario::draw_pressed(seed);
        scenario.profiles.iter_mut().for_each(|(profile, _)| *profile = ClientProfile::Patient);
        let calm = run(&scenario, Mutator::new(mutation, 0), Trace::Silent);
        assert!(calm.is_ok(), "seed {seed}: {calm:?}");
    }
}

#[test]
fn fairness_sees_shares_of_connections_where_users_have_them() {
    let mutation = Mutation::ShareByConnection;
    check_mutation_of(Scenario::draw_crowded, 1, mutation, &[Checker::Fairness]);
}
