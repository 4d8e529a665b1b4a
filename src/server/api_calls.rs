//! Questions of the server API that are under way: who waits for which, what waits for which
//! core, and what has come back.
//!
//! Invariants: a question is in one list of a core or with its core, and is answered once; a
//! request is answered when all its questions are; those under way are bounded by core, and
//! those whose asker is gone count until they are answered, or dropped before they are asked:
//! a core that hangs fills its bound and not the memory, and concerns calls to itself alone.
//!
//! Deliberately absent: HTTP (`api_listener`), and what is asked (`api`).

use std::collections::VecDeque;
use std::ops::Range;

use tokio::sync::oneshot;

use crate::api::{Question, Questions};
use crate::base::limits::{API_ORDER_QUESTIONS_MAX, API_QUESTIONS_MAX, API_REQUEST_QUESTIONS_MAX};
use crate::base::{Slab, UserHash};
use crate::room::RoomReply;
use crate::shard::{ServerAnswer, ServerAsk, ServerQuestion, ServerReply, home};
use crate::wire::ErrorCode;

/// The answers to all questions of a request, in their order, or why it was not asked.
pub(super) type RequestOutcome = Result<Vec<ServerReply>, ErrorCode>;

/// What one request asks.
pub(super) struct ApiRequest {
    /// Whose share of the store's time it takes.
    pub asker: UserHash,
    pub questions: Questions,
    /// Who waits; may be gone.
    pub done: oneshot::Sender<RequestOutcome>,
}

/// See the module.
pub(super) struct ApiCalls {
    /// By core, oldest first.
    waiting: Vec<VecDeque<ServerQuestion>>,
    /// By question's id less one.
    questions: Slab<OpenQuestion>,
    /// What the open ones count for, by core.
    costs: Vec<usize>,
    requests: Slab<OpenRequest>,
}

struct OpenQuestion {
    request: u32,
    /// Which of its questions.
    index: usize,
    core: usize,
    cost: usize,
}

struct OpenRequest {
    replies: Vec<Option<ServerReply>>,
    missing_count: usize,
    done: oneshot::Sender<RequestOutcome>,
}

impl ApiCalls {
    /// Nobody asks anything yet.
    pub fn new(shards_count: u16) -> ApiCalls {
        let waiting = (0..shards_count).map(|_| VecDeque::new()).collect();
        let costs = vec![0; usize::from(shards_count)];
        ApiCalls { waiting, questions: Slab::default(), costs, requests: Slab::default() }
    }

    /// Asks all of it, or nothing.
    pub fn ask(&mut self, request: ApiRequest) {
        let ApiRequest { asker, questions, done } = request;
        let questions = questions.into_list();
        if !self.have_room_for(&questions) {
            let _ = done.send(Err(ErrorCode::TooManyRequests)); // it may be gone
            return;
        }
        if questions.is_empty() {
            let _ = done.send(Ok(Vec::new())); // it may be gone
            return;
        }
        let missing_count = questions.iter().map(|one| self.cores_of(&one.ask).len()).sum();
        let replies = (0..questions.len()).map(|_| None).collect();
        let request = self.requests.insert(OpenRequest { replies, missing_count, done });
        for (index, Question { ask, cost }) in questions.into_iter().enumerate() {
            for core in self.cores_of(&ask) {
                self.costs[core] += cost;
                let id = self.questions.insert(OpenQuestion { request, index, core, cost }) + 1;
                self.waiting[core].push_back(ServerQuestion { id, asker, ask: ask.clone() });
            }
        }
    }

    /// The cores that are asked: the home of a room, or all.
    fn cores_of(&self, ask: &ServerAsk) -> Range<usize> {
        let count = self.waiting.len();
        match ask {
            ServerAsk::Room(room, _) => {
                let core = usize::from(home(*room, count as u16).0);
                core..core + 1
            }
            ServerAsk::User(_) | ServerAsk::Channels(_) | ServerAsk::Blocks(_) => 0..count,
        }
    }

    /// Whether each core can have those that are for it.
    fn have_room_for(&self, questions: &[Question]) -> bool {
        let mut costs = self.costs.clone();
        for Question { ask, cost } in questions {
            self.cores_of(ask).for_each(|core| costs[core] += cost);
        }
        // An idle core takes whatever one request may ask.
        let cost_max = (API_QUESTIONS_MAX / costs.len()).max(API_REQUEST_QUESTIONS_MAX);
        costs.iter().all(|&cost| cost <= cost_max)
    }

    /// Whether something waits for this core.
    pub fn waits_for(&self, core: usize) -> bool {
        !self.waiting[core].is_empty()
    }

    /// Takes what waits for a core, as much as one order may take. What nobody waits for any more
    /// is not asked.
    pub fn take(&mut self, core: usize) -> Vec<ServerQuestion> {
        let (mut taken, mut taken_cost) = (Vec::new(), 0);
        while let Some(question) = self.waiting[core].front() {
            let id = question.id;
            let &OpenQuestion { request, cost, .. } =
                self.questions.at(id - 1).expect("it is not answered");
            let open = self.requests.at(request);
            if open.is_none_or(|request| request.done.is_closed()) {
                self.waiting[core].pop_front();
                let gone = ServerReply::Room(RoomReply::Rejected(ErrorCode::TooManyRequests));
                self.on_answer(ServerAnswer { id, reply: gone });
                continue;
            }
            if !taken.is_empty() && API_ORDER_QUESTIONS_MAX < taken_cost + cost {
                break;
            }
            taken_cost += cost;
            taken.extend(self.waiting[core].pop_front());
        }
        taken
    }

    /// Answers have come from a core.
    pub fn on_answers(&mut self, answers: Vec<ServerAnswer>) {
        answers.into_iter().for_each(|answer| self.on_answer(answer));
    }

    fn on_answer(&mut self, answer: ServerAnswer) {
        let ServerAnswer { id, reply } = answer;
        let question = self.questions.remove(id - 1).expect("a question is answered once");
        let OpenQuestion { request, index, core, cost } = question;
        self.costs[core] -= cost;
        let open = self.requests.at_mut(request).expect("it has a question under way");
        // One that all cores are asked has an answer of each.
        let place = &mut open.replies[index];
        *place = Some(match place.take() {
            Some(others) => others.joined(reply),
            None => reply,
        });
        open.missing_count -= 1;
        if open.missing_count == 0 {
            let OpenRequest { replies, done, .. } =
                self.requests.remove(request).expect("a moment ago it was there");
            let _ = done.send(Ok(replies.into_iter().flatten().collect())); // it may be gone
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RoomId;
    use crate::room::RoomOp;
    use crate::shard::{CoresReply, ServerOp, UserOp, UserQuestion};

    fn reply(clients: u32) -> ServerReply {
        ServerReply::Room(RoomReply::PresenceStats { clients, users: 0 })
    }

    /// So many questions.
    fn ask(calls: &mut ApiCalls, count: usize) -> oneshot::Receiver<RequestOutcome> {
        let (done, answered) = oneshot::channel();
        let mut questions = Questions::default();
        for room in 0..count as u128 {
            let op = ServerOp::Room(RoomOp::PresenceStats);
            questions.ask(RoomId(room << 64), op).expect("there is room for so many");
        }
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
            let ServerAsk::Room(room, _) = question.ask else { panic!("{question:?}") };
            let number = ({ room.0 } >> 64) as u32;
            calls.on_answers(vec![ServerAnswer { id: question.id, reply: reply(number) }]);
        }
        let replies = answered.try_recv().unwrap().unwrap();
        let numbers = replies.into_iter().map(|reply| match reply {
            ServerReply::Room(RoomReply::PresenceStats { clients, .. }) => clients,
            other => panic!("{other:?}"),
        });
        assert_eq!(numbers.collect::<Vec<u32>>(), (0..50).collect::<Vec<u32>>());
    }

    #[test]
    fn what_a_core_has_counts_until_it_is_answered() {
        let mut calls = ApiCalls::new(1);
        let requests: Vec<_> = (0..API_QUESTIONS_MAX / API_REQUEST_QUESTIONS_MAX)
            .map(|_| ask(&mut calls, API_REQUEST_QUESTIONS_MAX))
            .collect();
        let is_full = |calls: &mut ApiCalls| {
            let outcome = ask(calls, API_REQUEST_QUESTIONS_MAX).try_recv();
            matches!(outcome, Ok(Err(ErrorCode::TooManyRequests)))
        };
        assert!(is_full(&mut calls));
        let first = calls.take(0);
        assert_eq!(first.len(), API_ORDER_QUESTIONS_MAX);
        // Who is gone counts, too, while a core has its question.
        drop(requests);
        calls.on_answers(answers(first));
        assert!(is_full(&mut calls), "not enough of them");
        assert!(calls.take(0).is_empty(), "nobody waits for the rest, so it is not asked");
        assert!(!is_full(&mut calls));
        assert_eq!(calls.questions.len(), API_REQUEST_QUESTIONS_MAX, "of the last one");
    }

    #[test]
    fn a_core_that_hangs_concerns_calls_to_itself_alone() {
        let mut calls = ApiCalls::new(2);
        let of = |core: usize| {
            let rooms = (0..).map(|n: u128| RoomId(n << 64));
            rooms.filter(move |&room| usize::from(home(room, 2).0) == core)
        };
        let ask = |calls: &mut ApiCalls, core: usize| {
            let (done, answered) = oneshot::channel();
            let mut questions = Questions::default();
            for room in of(core).take(API_REQUEST_QUESTIONS_MAX) {
                let op = ServerOp::Room(RoomOp::PresenceStats);
                questions.ask(room, op).expect("there is room for so many");
            }
            calls.ask(ApiRequest { asker: UserHash::NOBODY, questions, done });
            answered
        };
        let mut waiting = Vec::new();
        for _ in 0..API_QUESTIONS_MAX / API_REQUEST_QUESTIONS_MAX / 2 {
            waiting.push(ask(&mut calls, 0));
        }
        assert!(matches!(ask(&mut calls, 0).try_recv(), Ok(Err(ErrorCode::TooManyRequests))));
        assert!(ask(&mut calls, 1).try_recv().is_err(), "it is asked, and waits");
    }

    #[test]
    fn all_cores_are_asked_about_a_user_and_their_answers_are_one() {
        let mut calls = ApiCalls::new(3);
        let (done, mut answered) = oneshot::channel();
        let mut questions = Questions::default();
        let op = UserOp::Close { code: 3_503, reason: "".into(), kept: [].into() };
        let user = UserQuestion { tenant: "".into(), user: "anna".into(), client: None, op };
        questions.ask_user(user).expect("there is room");
        let presence = ServerOp::Room(RoomOp::PresenceStats);
        questions.ask(RoomId(0), presence).expect("there is room");
        calls.ask(ApiRequest { asker: UserHash::NOBODY, questions, done });
        for core in 0..3 {
            assert!(answered.try_recv().is_err(), "some are missing");
            let answers = calls.take(core).into_iter().map(|one| ServerAnswer {
                id: one.id,
                reply: match one.ask {
                    ServerAsk::Room(..) => reply(0),
                    ServerAsk::User(_) | ServerAsk::Channels(_) | ServerAsk::Blocks(_) => {
                        ServerReply::Cores(CoresReply::Done)
                    }
                },
            });
            let answers = answers.collect();
            calls.on_answers(answers);
        }
        let replies = answered.try_recv().unwrap().unwrap();
        assert!(
            matches!(&replies[..], [ServerReply::Cores(CoresReply::Done), ServerReply::Room(_)]),
            "{replies:?}"
        );
        assert!(calls.questions.is_empty() && calls.costs == [0; 3]);
    }

    #[test]
    fn one_order_takes_few_long_answers() {
        let mut calls = ApiCalls::new(1);
        let (done, _answered) = oneshot::channel();
        let mut questions = Questions::default();
        for room in 0..10 {
            questions.ask(RoomId(room), ServerOp::Room(RoomOp::Presence)).expect("there is room");
        }
        calls.ask(ApiRequest { asker: UserHash::NOBODY, questions, done });
        assert_eq!(calls.take(0).len(), 2);
    }

    #[test]
    fn a_request_without_questions_is_answered_at_once() {
        let mut calls = ApiCalls::new(1);
        assert!(matches!(ask(&mut calls, 0).try_recv(), Ok(Ok(replies)) if replies.is_empty()));
    }
}
