//! Questions of the server API that are under way: who waits for which, what waits for which
//! core, and what has come back.
//!
//! Invariants: a question is in one list of a core or with its core, and is answered once; a
//! request is answered when all its questions are; those under way are bounded, and those
//! whose asker is gone count until they are answered, so that a core that hangs fills the
//! bound and not the memory.
//!
//! Deliberately absent: HTTP (`api_listener`), and what is asked (`api`).

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::api::Question;
use crate::base::limits::{API_ORDER_QUESTIONS_MAX, API_QUESTIONS_MAX, API_REQUEST_QUESTIONS_MAX};
use crate::base::{ShardId, Slab, UserHash};
use crate::room::RoomReply;
use crate::shard::{ServerAnswer, ServerQuestion, home};
use crate::wire::ErrorCode;

/// The answers to all questions of a request, in their order, or why it was not asked.
pub(super) type RequestOutcome = Result<Vec<RoomReply>, ErrorCode>;

/// What one request asks.
pub(super) struct ApiRequest {
    /// Whose share of the store's time it takes.
    pub asker: UserHash,
    pub questions: Vec<Question>,
    /// Who waits; may be gone.
    pub done: oneshot::Sender<RequestOutcome>,
}

/// See the module.
pub(super) struct ApiCalls {
    /// By core, oldest first.
    waiting: Vec<VecDeque<ServerQuestion>>,
    /// By question's id less one: which request, and which of its questions.
    questions: Slab<(u32, usize)>,
    requests: Slab<OpenRequest>,
}

struct OpenRequest {
    replies: Vec<Option<RoomReply>>,
    missing_count: usize,
    done: oneshot::Sender<RequestOutcome>,
}

impl ApiCalls {
    /// Nobody asks anything yet.
    pub fn new(shards_count: u16) -> ApiCalls {
        let waiting = (0..shards_count).map(|_| VecDeque::new()).collect();
        ApiCalls { waiting, questions: Slab::default(), requests: Slab::default() }
    }

    /// Asks all of it, or nothing.
    pub fn ask(&mut self, request: ApiRequest) {
        let ApiRequest { asker, questions, done } = request;
        if let Some(code) = self.refusal(questions.len()) {
            let _ = done.send(Err(code)); // it may be gone
            return;
        }
        if questions.is_empty() {
            let _ = done.send(Ok(Vec::new())); // it may be gone
            return;
        }
        let shards_count = self.waiting.len() as u16;
        let missing_count = questions.len();
        let replies = (0..missing_count).map(|_| None).collect();
        let request = self.requests.insert(OpenRequest { replies, missing_count, done });
        for (index, Question { room, op }) in questions.into_iter().enumerate() {
            let id = self.questions.insert((request, index)) + 1;
            let ShardId(core) = home(room, shards_count);
            let question = ServerQuestion { id, asker, room, op };
            self.waiting[usize::from(core)].push_back(question);
        }
    }

    fn refusal(&self, questions_count: usize) -> Option<ErrorCode> {
        if API_REQUEST_QUESTIONS_MAX < questions_count {
            return Some(ErrorCode::LimitExceeded);
        }
        let is_full = API_QUESTIONS_MAX < self.questions.len() + questions_count;
        is_full.then_some(ErrorCode::TooManyRequests)
    }

    /// Whether something waits for this core.
    pub fn waits_for(&self, core: usize) -> bool {
        !self.waiting[core].is_empty()
    }

    /// Takes what waits for a core, as much as one order may take.
    pub fn take(&mut self, core: usize) -> Vec<ServerQuestion> {
        let waiting = &mut self.waiting[core];
        let count = waiting.len().min(API_ORDER_QUESTIONS_MAX);
        waiting.drain(..count).collect()
    }

    /// Answers have come from a core.
    pub fn on_answers(&mut self, answers: Vec<ServerAnswer>) {
        for ServerAnswer { id, reply } in answers {
            let (request, index) =
                self.questions.remove(id - 1).expect("a question is answered once");
            let open = self.requests.at_mut(request).expect("it has a question under way");
            assert!(open.replies[index].replace(reply).is_none(), "each has one answer");
            open.missing_count -= 1;
            if open.missing_count == 0 {
                let OpenRequest { replies, done, .. } =
                    self.requests.remove(request).expect("a moment ago it was there");
                let _ = done.send(Ok(replies.into_iter().flatten().collect())); // it may be gone
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RoomId;
    use crate::room::RoomOp;
    use crate::shard::ServerOp;

    fn presence(room: u128) -> Question {
        Question { room: RoomId(room << 64), op: ServerOp::Room(RoomOp::Presence) }
    }

    fn reply(clients: u32) -> RoomReply {
        RoomReply::PresenceStats { clients, users: 0 }
    }

    /// So many questions.
    fn ask(calls: &mut ApiCalls, count: usize) -> oneshot::Receiver<RequestOutcome> {
        let (done, answered) = oneshot::channel();
        let questions = (0..count as u128).map(presence).collect();
        calls.ask(ApiRequest { asker: UserHash::NOBODY, questions, done });
        answered
    }

    fn answers(asked: Vec<ServerQuestion>) -> Vec<ServerAnswer> {
        asked.into_iter().map(|one| ServerAnswer { id: one.id, reply: reply(0) }).collect()
    }

    #[test]
    fn answers_come_in_the_order_of_the_questions_whoever_is_first() {
        let mut calls = ApiCalls::new(3);
        let mut answered = ask(&mut calls, 50);
        let mut asked: Vec<ServerQuestion> = (0..3).flat_map(|core| calls.take(core)).collect();
        assert_eq!(asked.len(), 50);
        assert!((0..3).all(|core| !calls.waits_for(core)));
        asked.reverse();
        for question in asked {
            assert!(answered.try_recv().is_err(), "some are missing");
            let number = ({ question.room.0 } >> 64) as u32;
            calls.on_answers(vec![ServerAnswer { id: question.id, reply: reply(number) }]);
        }
        let replies = answered.try_recv().unwrap().unwrap();
        let numbers = replies.into_iter().map(|reply| match reply {
            RoomReply::PresenceStats { clients, .. } => clients,
            other => panic!("{other:?}"),
        });
        assert_eq!(numbers.collect::<Vec<u32>>(), (0..50).collect::<Vec<u32>>());
    }

    #[test]
    fn who_is_gone_counts_until_the_cores_have_answered() {
        let mut calls = ApiCalls::new(1);
        for _ in 0..API_QUESTIONS_MAX / API_REQUEST_QUESTIONS_MAX {
            drop(ask(&mut calls, API_REQUEST_QUESTIONS_MAX));
        }
        let is_full = |calls: &mut ApiCalls| {
            let outcome = ask(calls, API_REQUEST_QUESTIONS_MAX).try_recv();
            matches!(outcome, Ok(Err(ErrorCode::TooManyRequests)))
        };
        assert!(is_full(&mut calls));
        let first = calls.take(0);
        assert_eq!(first.len(), API_ORDER_QUESTIONS_MAX);
        calls.on_answers(answers(first));
        assert!(is_full(&mut calls), "not enough of them");
        while calls.waits_for(0) {
            let asked = calls.take(0);
            calls.on_answers(answers(asked));
        }
        assert!(!is_full(&mut calls));
    }

    #[test]
    fn what_is_too_much_for_one_request_is_refused_whole() {
        let mut calls = ApiCalls::new(1);
        let outcome = ask(&mut calls, API_REQUEST_QUESTIONS_MAX + 1).try_recv();
        assert!(matches!(outcome, Ok(Err(ErrorCode::LimitExceeded))));
        assert!(!calls.waits_for(0));
        assert!(matches!(ask(&mut calls, 0).try_recv(), Ok(Ok(replies)) if replies.is_empty()));
    }
}
