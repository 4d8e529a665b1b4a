//! A thousand alerts at once, with robots that fail and a process that is killed.

use super::*;

/// A thousand alerts, robots that throttle, refuse and lose answers, and a kill at any
/// moment: everything is told, and what is told twice says so.
#[test]
fn nothing_is_lost_and_nothing_told_twice_unless_it_says_so() {
    for seed in 0..6 {
        let mut prng = crate::base::Prng::from_seed(seed);
        let mut world = World::new(options());
        let mut told: BTreeMap<String, u32> = BTreeMap::new();
        let mut next = 0;
        let arrive = |request: &SendRequest, told: &mut BTreeMap<String, u32>| {
            let text = text(request);
            let is_again = text.contains("perhaps a repetition") || text.contains("sent again");
            for line in text.lines() {
                let line = line.trim_start_matches("> ");
                if let Some(name) = line.strip_prefix("about ") {
                    let count = told.entry(name.to_owned()).or_default();
                    *count += u32::from(!is_again || *count == 0);
                }
            }
        };
        for _ in 0..1_500 {
            match prng.below(10) {
                0..=3 if next < 1_000 => {
                    let group = format!("g{}", prng.below(40));
                    let alerts = (0..1 + prng.below(5)).map(|_| {
                        next += 1;
                        alert(&format!("n{next}."), true, "warning")
                    });
                    let alerts = alerts.collect();
                    world.notify(&group, alerts);
                }
                4 | 5 if !world.sent.is_empty() => {
                    arrive(&world.sent[0], &mut told);
                    world.answer(SendOutcome::Delivered);
                }
                6 if !world.sent.is_empty() => {
                    let answers = [
                        SendOutcome::TooOften(0),
                        SendOutcome::Busy(500),
                        SendOutcome::Unreachable,
                        SendOutcome::Unconfirmed,
                        SendOutcome::Stranger(93_000),
                    ];
                    let answer = answers[prng.below(5) as usize].clone();
                    if answer == SendOutcome::Unconfirmed && prng.below(2) == 0 {
                        arrive(&world.sent[0], &mut told);
                    }
                    world.answer(answer);
                }
                7 if prng.below(50) == 0 => {
                    for request in world.sent.clone() {
                        if prng.below(2) == 0 {
                            arrive(&request, &mut told);
                        }
                    }
                    world.restart();
                }
                _ => {
                    let ms = prng.below(5_000);
                    world.wait(ms);
                }
            }
        }
        for _ in 0..400 {
            while !world.sent.is_empty() {
                arrive(&world.sent[0], &mut told);
                world.answer(SendOutcome::Delivered);
            }
            world.wait(5_000);
        }
        assert_eq!(world.core.stats(world.now()).depth, 0, "seed {seed}");
        for index in 1..=next {
            let name = format!("n{index}.");
            assert_eq!(told.get(&name), Some(&1), "seed {seed}, {name}");
        }
    }
}
