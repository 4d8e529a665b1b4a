//! Messages that get other words: where these stand, together with what, and for how long.

use super::waiting::{ANN, BOB, DM, EXPIRES, direct, texts};
use super::*;
use crate::wire::chat;

/// What a change is by, and what it does.
pub(super) struct Changed {
    channel: &'static str,
    target: u64,
    at: u64,
    superseded: Option<u64>,
}

/// Ann's edit of her message.
pub(super) fn edit(changed: &Changed, words: &str) -> StoreOp {
    let Changed { channel, target, at, superseded } = *changed;
    let StoreOp::Append(append) = direct(DM, channel, at, BOB) else { unreachable!() };
    let before = message(target, &format!("m{target}"), "ann", 1_000_000 + target);
    let mut publication = message(at, words, "ann", 1_000_000 + at);
    publication.tags.extend(chat::edit_tags(&before));
    let replacement = Arc::new(chat::edited(&before, &publication));
    let change = Some(MessageChange { kind: ChangeKind::Edit, replacement, superseded });
    StoreOp::Append(Box::new(Append { publication: Arc::new(publication), change, ..*append }))
}

/// She takes it back.
fn retraction(changed: &Changed) -> StoreOp {
    let StoreOp::Append(mut append) = edit(changed, "back") else { unreachable!() };
    let before = message(changed.target, "", "ann", 1_000_000 + changed.target);
    let replacement = Arc::new(chat::remainder(&before));
    let (kind, superseded) = (ChangeKind::Retraction, changed.superseded);
    append.change = Some(MessageChange { kind, replacement, superseded });
    let tags = vec![chat::retraction(changed.target).1];
    append.publication = Arc::new(Publication { tags, ..(*append.publication).clone() });
    StoreOp::Append(append)
}

pub(super) fn change(target: u64, at: u64, superseded: Option<u64>) -> Changed {
    Changed { channel: "few:dm", target, at, superseded }
}

#[track_caller]
fn check_kept(outcome: &StoreResult) {
    assert!(matches!(outcome, StoreResult::Appended), "{outcome:?}");
}

impl<D: Disk> Bench<D> {
    fn said_in(&mut self, room: RoomId) -> Vec<Arc<Publication>> {
        match self.ask(StoreOp::Read(all(room))) {
            StoreResult::History(said) => said,
            other => panic!("{other:?}"),
        }
    }

    /// Whether any value on the disk ends with these words.
    pub(super) fn holds(&self, words: &str) -> bool {
        self.everything().iter().any(|value| value.ends_with(words))
    }
}

#[test]
fn of_a_message_the_last_words_stand_and_no_others() {
    let mut bench = Bench::new();
    bench.send(1..=3);
    check_kept(&bench.ask(edit(&change(2, 4, None), "first words")));
    assert!(bench.holds("first words") && !bench.holds("m2"));
    // Both in one batch: the second one finds what the first one planned.
    bench.give(edit(&change(2, 5, Some(4)), "second words"));
    bench.give(edit(&change(2, 6, Some(5)), "third words"));
    bench.answers().iter().for_each(check_kept);
    let mut bench = bench.crash(Crash::PowerCut);
    let said = bench.said_in(DM);
    let gone = r#"{"edited":2}"#;
    assert_eq!(texts(&said), ["m1", "third words", "m3", gone, gone, "third words"]);
    assert_eq!((said[1].tag("id"), said[1].tag("edit_offset")), (Some("id-m2"), Some("6")));
    let waiting: Vec<_> = bench.pending(BOB, None).into_iter().map(|due| due.publication).collect();
    assert_eq!(waiting, said, "who was not here is brought what stands");
    check_kept(&bench.ask(retraction(&change(2, 7, Some(6)))));
    let bench = bench.crash(Crash::PowerCut);
    for words in ["m2", "first words", "second words", "third words"] {
        assert!(!bench.holds(words), "{words}");
    }
}

#[test]
fn an_edit_and_the_words_it_gives_are_stored_together_or_not_at_all() {
    let (mut whole, mut none) = (0, 0);
    for seed in 0..40 {
        for channel in ["room:dm", "soon:dm"] {
            let mut bench = Bench::over(SimulatedDisk::new(seed, DiskFaultProfile::CALM));
            for offset in 1..=3 {
                bench.ask(direct(DM, channel, offset, BOB));
            }
            bench.pass(200);
            if seed % 2 == 0 {
                let commit_fails_percent = 100;
                bench.set_fault_profile(DiskFaultProfile {
                    commit_fails_percent,
                    ..DiskFaultProfile::CALM
                });
            }
            let outcome = bench.ask(edit(&Changed { channel, ..change(2, 4, None) }, "new"));
            bench.set_fault_profile(DiskFaultProfile::CALM);
            let mut bench = bench.crash(Crash::PowerCut);
            match texts(&bench.said_in(DM))[..] {
                ["m1", "new", "m3", "new"] => whole += 1,
                ["m1", "m2", "m3"] => {
                    none += 1;
                    let is_promised =
                        matches!(outcome, StoreResult::Appended) && channel == "room:dm";
                    assert!(!is_promised, "seed {seed}: it was answered");
                }
                ref other => panic!("seed {seed}: {other:?}"),
            }
        }
    }
    assert!(0 < whole && 0 < none, "{whole} happened, {none} did not");
}

#[test]
fn an_edit_raises_nobodys_unread_count() {
    let mut bench = Bench::new();
    bench.send(1..=3);
    bench.ask(edit(&change(1, 4, None), "new"));
    bench.ask(edit(&change(1, 5, Some(4)), "newer"));
    assert_eq!((bench.unread("bob", BOB), bench.unread("ann", ANN)), (vec![3], vec![0]));
    for (read, unread) in [(2, 1), (3, 0), (4, 0), (5, 0)] {
        bench.position(MarkerPosition::Read(read));
        assert_eq!(bench.unread("bob", BOB), [unread], "read up to {read}");
    }
}

#[test]
fn an_edit_waits_no_longer_than_its_message() {
    let mut bench = Bench::new();
    let lasting =
        |target, at, superseded| Changed { channel: "room:dm", ..change(target, at, superseded) };
    let ends = EXPIRES - 100_000;
    let StoreOp::Append(mut brief) = direct(DM, "room:dm", 1, BOB) else { unreachable!() };
    brief.addressee = Some(Addressee { inbox: BOB, expires_unix_ms: ends });
    bench.ask(StoreOp::Append(brief));
    bench.ask(direct(DM, "room:dm", 2, BOB));
    bench.ask(edit(&lasting(1, 3, None), "new"));
    bench.ask(edit(&lasting(2, 4, None), "new"));
    let waits = |bench: &mut Bench<SimulatedDisk>| {
        let waiting = bench.pending(BOB, None);
        waiting.iter().map(|due| due.expires_unix_ms).collect::<Vec<_>>()
    };
    assert_eq!(waits(&mut bench), [ends, EXPIRES, ends, EXPIRES]);
    // Dead or not.
    bench.now = ends;
    bench.pass(1_100);
    bench.ask(edit(&lasting(1, 5, Some(3)), "newer"));
    assert_eq!(waits(&mut bench), [EXPIRES, EXPIRES, ends]);
}

#[test]
fn the_words_of_an_edit_go_with_its_message() {
    let mut bench = Bench::new();
    bench.send(1..=3);
    bench.ask(edit(&change(1, 4, None), "stays with its message"));
    bench.ask(edit(&change(2, 5, None), "so does this"));
    bench.send(6..=10);
    bench.position(MarkerPosition::Delivered(10));
    bench.send(11..=22);
    bench.pass(6_000);
    assert_eq!(bench.opened(DM).unwrap().first, 3, "twenty are kept");
    assert!(!bench.holds("stays with its message") && !bench.holds("so does this"));
    assert_eq!(texts(&bench.said_in(DM))[1..3], [r#"{"edited":1}"#, r#"{"edited":2}"#]);
    // One that comes too late says nothing, and takes its place all the same.
    check_kept(&bench.ask(edit(&change(1, 23, Some(4)), "too late")));
    assert!(!bench.holds("too late"));
    assert_eq!(texts(&bench.said_in(DM)).last(), Some(&r#"{"edited":1}"#));
}

#[test]
fn the_words_of_an_edit_of_what_only_waits_stand_there_alone() {
    let mut bench = Bench::new();
    bench.send(1..=22);
    bench.pass(6_000);
    assert_eq!(bench.opened(DM).unwrap().first, 3, "twenty are kept");
    check_kept(&bench.ask(edit(&change(1, 23, None), "late")));
    assert_eq!(texts(&bench.said_in(DM)).last(), Some(&r#"{"edited":1}"#));
    assert_eq!(&*bench.pending(BOB, None)[0].publication.data.bytes, b"late");
    bench.position(MarkerPosition::Delivered(1));
    assert!(!bench.holds("late"), "they went with it");
}

#[test]
fn what_waits_takes_the_words_of_no_edit_along() {
    let mut bench = Bench::new();
    bench.send(1..=2);
    bench.position(MarkerPosition::Delivered(2));
    bench.ask(edit(&change(1, 3, None), "words"));
    bench.send(4..=60);
    bench.pass(2_000);
    let waiting = bench.pending(BOB, None);
    assert_eq!(waiting[0].publication.offset, 3);
    assert!(chat::is_superseded(&waiting[0].publication) && !bench.holds("words"));
}

#[test]
fn a_full_disk_takes_no_edits_and_lets_people_take_back() {
    let mut bench = Bench::new();
    bench.send(1..=1);
    check_kept(&bench.ask(edit(&change(1, 2, None), "words")));
    let setup =
        EngineSetup { options: Options { reserve_bytes: u64::MAX, ..setup().options }, ..setup() };
    let engine = Engine::open(bench.engine.into_disk(), setup).unwrap();
    let mut bench = Bench { engine, ..Bench::new() };
    assert_eq!(failure(&bench.ask(edit(&change(1, 3, Some(2)), "more"))), StoreError::Full);
    bench.write_epoch.0 += 1;
    check_kept(&bench.ask(retraction(&change(1, 3, Some(2)))));
    assert!(!bench.holds("words"));
}
