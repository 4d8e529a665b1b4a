//! New words for a message that is in memory only.

use super::*;
use crate::room::RetractRight;

fn said(words: &'static str) -> RoomPublish {
    let data = Payload { bytes: Bytes::from_static(words.as_bytes()), is_json: true };
    RoomPublish { data, info: Some(room_subscribe(0).info), mode: PublishMode::Post, ..draft() }
}

impl World {
    fn says(&mut self, words: &'static str) {
        self.ask(HOME, 0, RoomOp::Publish(Box::new(said(words))));
    }

    fn edits(&mut self, offset: u64, words: &'static str) -> (RoomReply, Vec<ShardId>) {
        let (action, publish) = (ChangeAction::Edit, said(words));
        self.ask(HOME, 0, RoomOp::Change(Box::new(ChangeRequest { offset, action, publish })))
    }

    /// What a new member recovers.
    fn words(&mut self, slot: u32, since: Option<Position>) -> Vec<(u64, String)> {
        let text = |one: &Arc<crate::wire::Publication>| {
            (one.offset, String::from_utf8(one.data.bytes.to_vec()).unwrap())
        };
        self.subscribe(HOME, slot, since).missed.iter().map(text).collect()
    }
}

#[test]
fn an_edit_in_memory_changes_its_message_and_goes_with_it() {
    let mut world = World::new(Namespace { members_max: 9, ..chatty() });
    let start = world.subscribe(FAR, 1, None).position.unwrap();
    world.says("1");
    let (answer, tells) = world.edits(1, "2");
    assert!(matches!(answer, RoomReply::Posted(ack) if ack.position.offset == 2));
    assert_eq!(tells, [FAR], "a message, and no notice");
    assert_eq!(world.words(2, Some(start)), [(1, "2".into()), (2, "2".into())]);
    world.edits(1, "3");
    let gone = || r#"{"edited":1}"#.to_owned();
    let want = [(1, "3".to_owned()), (2, gone()), (3, "3".into())];
    assert_eq!(world.words(3, Some(start)), want);
    // Three are kept.
    world.says("4");
    let since = Some(Position { offset: 1, ..start });
    let want = [(2, gone()), (3, gone()), (4, "4".to_owned())];
    assert_eq!(world.words(4, since), want);
    assert!(matches!(world.edits(1, "5").0, RoomReply::InvalidField(_)), "it is gone");
    world.edits(4, "secret");
    let answer = world.ask(HOME, 0, {
        let action = ChangeAction::Retract(RetractRight::Author);
        RoomOp::Change(Box::new(ChangeRequest { offset: 4, action, publish: said("back") }))
    });
    assert!(matches!(answer.0, RoomReply::Done));
    let words = world.words(5, Some(Position { offset: 3, ..start }));
    assert_eq!(words[..2], [(4, r#"{"retracted":true}"#.into()), (5, r#"{"edited":4}"#.into())]);
}

#[test]
fn nothing_is_edited_where_nothing_is_kept() {
    let mut world = World::new(Namespace { history_count_max: 0, ..chatty() });
    world.subscribe(HOME, 1, None);
    let answer = world.edits(1, "2").0;
    assert!(matches!(answer, RoomReply::Rejected(ErrorCode::NotAvailable)), "{answer:?}");
}
