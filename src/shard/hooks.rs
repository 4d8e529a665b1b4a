//! Questions of this shard's sessions to an application's backend: those that are under way, those
//! that have yet to be carried to the control thread, and those that are too many.
//!
//! Invariants: each question is answered once; those under way are bounded, of all sessions
//! together, of one user, and of all who have no name, and one beyond that is answered at once: a
//! backend that hangs costs memory up to a limit, and nothing else, and strangers leave room for
//! those who are in.
//!
//! Deliberately absent: how the backend is asked (`server`), and what answers mean (`session`).

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use crate::base::limits::{HOOKS_BYTES_MAX, HOOKS_MAX, STRANGERS_HOOKS_PART, USER_HOOKS_MAX};
use crate::base::{ConnId, Slab, UserHash};
use crate::hook::{HookReply, HookRequest};
use crate::session::{HookAsk, HookThen};

/// A question on its way to the control thread.
#[derive(Clone, Debug)]
pub struct HookCall {
    /// By it the answer is known.
    pub id: u32,
    /// The connection that it is about.
    pub conn: ConnId,
    /// What is asked.
    pub request: HookRequest,
}

/// What became of a question.
#[derive(Clone, Debug)]
pub struct HookReturn {
    /// The question's.
    pub id: u32,
    /// The answer, or why there is none.
    pub reply: HookReply,
}

/// See the module.
#[derive(Default)]
pub struct Hooks {
    open: Slab<OpenHook>,
    /// What the requests cost that are under way.
    open_bytes: usize,
    /// Those under way, by user; all who have no name are one.
    by_user: BTreeMap<UserHash, UserHooks>,
    /// For the control thread, oldest first.
    calls: Vec<HookCall>,
    /// Those that are not asked.
    refused: VecDeque<(ConnId, HookThen)>,
}

/// The questions of one user.
#[derive(Clone, Copy, Debug, Default)]
struct UserHooks {
    count: usize,
    bytes: usize,
}

struct OpenHook {
    conn: ConnId,
    user: UserHash,
    cost_bytes: usize,
    then: HookThen,
}

impl Hooks {
    /// Asks, or keeps the refusal.
    pub fn ask(&mut self, conn: ConnId, ask: HookAsk) {
        let HookAsk { user, request, held_bytes, then } = ask;
        let cost_bytes = request.cost_bytes() + held_bytes;
        if !self.has_room(user, cost_bytes) {
            return self.refused.push_back((conn, then));
        }
        self.open_bytes += cost_bytes;
        let of_user = self.by_user.entry(user).or_default();
        of_user.count += 1;
        of_user.bytes += cost_bytes;
        let id = self.open.insert(OpenHook { conn, user, cost_bytes, then });
        self.calls.push(HookCall { id, conn, request });
    }

    fn has_room(&self, user: UserHash, cost_bytes: usize) -> bool {
        let of_user = self.by_user.get(&user).copied().unwrap_or_default();
        let (count_max, bytes_max) = if user == UserHash::NOBODY {
            (HOOKS_MAX / STRANGERS_HOOKS_PART, HOOKS_BYTES_MAX / STRANGERS_HOOKS_PART)
        } else {
            (USER_HOOKS_MAX, HOOKS_BYTES_MAX)
        };
        self.open.len() < HOOKS_MAX
            && self.open_bytes + cost_bytes <= HOOKS_BYTES_MAX
            && of_user.count < count_max
            && of_user.bytes + cost_bytes <= bytes_max
    }

    /// A question was answered: whose it is, and what the answer is for.
    pub fn on_return(&mut self, id: u32) -> (ConnId, HookThen) {
        let hook = self.open.remove(id).expect("a question is answered once");
        let OpenHook { conn, user, cost_bytes, then } = hook;
        self.open_bytes -= cost_bytes;
        let of_user = self.by_user.get_mut(&user).expect("it counted the question");
        of_user.count -= 1;
        of_user.bytes -= cost_bytes;
        if of_user.count == 0 {
            self.by_user.remove(&user);
        }
        (conn, then)
    }

    /// The next one that is not asked.
    pub fn next_refused(&mut self) -> Option<(ConnId, HookThen)> {
        self.refused.pop_front()
    }

    /// Takes the questions for the control thread.
    pub fn take_calls(&mut self) -> Vec<HookCall> {
        mem::take(&mut self.calls)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::{ClientId, RoomId};
    use crate::hook::{HookAsker, HookQuestion};
    use crate::wire::{Encoding, Payload};

    const CONN: ConnId = ConnId { slot: 3, generation: 7 };

    fn ask(user: UserHash, bytes: usize) -> HookAsk {
        let asker = HookAsker {
            client: ClientId::from_random(1),
            encoding: Encoding::Json,
            user: "ann".into(),
            tenant: Arc::default(),
            meta: None,
            headers: None,
        };
        let data = Payload { bytes: vec![b'1'; bytes].into(), is_json: true };
        let question = HookQuestion::Rpc { method: "sum".into(), data };
        let request = HookRequest { asker, question };
        HookAsk { user, request, held_bytes: 0, then: HookThen::Answer { id: 5 } }
    }

    /// Whether it is asked.
    fn is_asked(hooks: &mut Hooks, user: UserHash, bytes: usize) -> bool {
        hooks.ask(CONN, ask(user, bytes));
        hooks.next_refused().is_none_or(|(conn, then)| {
            assert!(conn == CONN && matches!(then, HookThen::Answer { id: 5 }));
            false
        })
    }

    #[test]
    fn a_question_counts_until_its_answer_comes() {
        let (mut hooks, user) = (Hooks::default(), UserHash::of_inbox(RoomId(1)));
        assert!((0..USER_HOOKS_MAX).all(|_| is_asked(&mut hooks, user, 1)));
        assert!(!is_asked(&mut hooks, user, 1));
        assert!(is_asked(&mut hooks, UserHash::NOBODY, 1), "others may");
        let calls = hooks.take_calls();
        assert_eq!(calls.len(), USER_HOOKS_MAX + 1);
        assert_eq!(hooks.on_return(calls[0].id).0, CONN);
        assert!(is_asked(&mut hooks, user, 1));
        for HookCall { id, .. } in calls.into_iter().skip(1).chain(hooks.take_calls()) {
            hooks.on_return(id);
        }
        assert_eq!((hooks.open_bytes, hooks.by_user.len(), hooks.open.len()), (0, 0, 0));
    }

    fn user(n: usize) -> UserHash {
        UserHash::of_inbox(RoomId(n as u128 + 1))
    }

    #[test]
    fn long_questions_are_bounded_by_their_bytes() {
        let (mut hooks, half) = (Hooks::default(), HOOKS_BYTES_MAX / 2);
        assert!(is_asked(&mut hooks, user(1), half));
        assert!(!is_asked(&mut hooks, user(2), half));
        assert!(is_asked(&mut hooks, user(2), half - 4_096));
        let mut hooks = Hooks::default();
        let mut long = ask(user(1), 1);
        long.request.asker.meta = Some(vec![b'1'; half].into());
        long.held_bytes = half;
        hooks.ask(CONN, long);
        assert!(hooks.next_refused().is_some(), "all that it holds counts");
    }

    #[test]
    fn all_together_are_bounded() {
        let mut hooks = Hooks::default();
        assert!((0..HOOKS_MAX).all(|n| is_asked(&mut hooks, user(n), 1)));
        assert!(!is_asked(&mut hooks, user(HOOKS_MAX), 1));
    }

    #[test]
    fn strangers_leave_room_for_those_who_are_in() {
        let (mut hooks, nobody) = (Hooks::default(), UserHash::NOBODY);
        assert!((0..HOOKS_MAX / 2).all(|_| is_asked(&mut hooks, nobody, 1)));
        assert!(!is_asked(&mut hooks, nobody, 1));
        assert!(is_asked(&mut hooks, user(1), 1));
        let mut hooks = Hooks::default();
        assert!(is_asked(&mut hooks, nobody, HOOKS_BYTES_MAX / 2 - 4_096));
        assert!(!is_asked(&mut hooks, nobody, 4_096));
        assert!(is_asked(&mut hooks, user(1), 4_096));
    }
}
