//! Who is signed in, and until when: a bounded table in memory.

//!
//! A session has two random numbers. One is the cookie, of which the hash stands here; the other,
//! which is shown to the page itself and to no other, has to come with what changes something.
//!
//! Invariants: there are never more than `SESSIONS_MAX`, nor more than `OPERATOR_SESSIONS_MAX` of
//! an operator; a session is good as long as its operator has the token with which it began; how
//! long it takes to look for one tells nothing of those that are there.
//!
//! Deliberately absent: disk. A restart ends all of them.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::operators::{Operator, OperatorRole, Operators};
use crate::auth::SecretHash;
use crate::base::MonotonicMs;

/// The cookie's name.
pub const COOKIE: &str = "rookery_console";

/// The longest life of a session.
pub const SESSION_MS_MAX: u64 = 8 * 3_600_000;

/// A session whose page has asked nothing for so long is over.
const IDLE_MS_MAX: u64 = 15 * 60_000;

/// Sessions of all operators.
const SESSIONS_MAX: usize = 64;

/// Sessions of one operator.
const OPERATOR_SESSIONS_MAX: usize = 8;

/// Bytes of each random number.
const SECRET_BYTES: usize = 32;

const _: () = assert!(OPERATOR_SESSIONS_MAX <= SESSIONS_MAX && IDLE_MS_MAX < SESSION_MS_MAX);

/// Bytes of the system's generator, for one session.
pub struct SessionSecrets {
    /// What the cookie has.
    pub cookie: [u8; SECRET_BYTES],
    /// What a page shows when it changes something.
    pub csrf: [u8; SECRET_BYTES],
}

/// What is known of whoever has a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The operator.
    pub operator: Box<str>,
    /// What they may do, as of now.
    pub role: OperatorRole,
    /// What a page shows when it changes something.
    pub csrf: Box<str>,
    /// When it ends at the latest, in ms from now.
    pub left_ms: u64,
}

impl SessionView {
    /// Whether somebody showed the number that the page has, in constant time.
    pub fn is_csrf(&self, shown: &[u8]) -> bool {
        verify_slices_are_equal(self.csrf.as_bytes(), shown).is_ok()
    }
}

/// See the module. It never shows what is in it.
#[derive(Default)]
pub(super) struct OperatorSessions(Vec<Session>);

struct Session {
    cookie: SecretHash,
    csrf: Box<str>,
    operator: Box<str>,
    token: SecretHash,
    began: MonotonicMs,
    asked: MonotonicMs,
}

impl Session {
    fn is_over(&self, now: MonotonicMs) -> bool {
        SESSION_MS_MAX <= now.ms_since(self.began) || IDLE_MS_MAX <= now.ms_since(self.asked)
    }
}

impl OperatorSessions {
    /// An operator signs in; what the cookie has. The least recently used session gives way where
    /// there are as many as there may be, first one of the same operator.
    pub fn begin(
        &mut self,
        now: MonotonicMs,
        operator: &Operator,
        secrets: &SessionSecrets,
    ) -> Box<str> {
        self.0.retain(|session| !session.is_over(now));
        let is_theirs = |session: &Session| session.operator == operator.name;
        if OPERATOR_SESSIONS_MAX <= self.0.iter().filter(|one| is_theirs(one)).count() {
            self.remove_oldest(is_theirs);
        } else if SESSIONS_MAX <= self.0.len() {
            self.remove_oldest(|_| true);
        }
        let cookie = letters(&secrets.cookie);
        self.0.push(Session {
            cookie: SecretHash::of(cookie.as_bytes()),
            csrf: letters(&secrets.csrf),
            operator: operator.name.clone(),
            token: operator.token,
            began: now,
            asked: now,
        });
        assert!(self.0.len() <= SESSIONS_MAX);
        cookie
    }

    fn remove_oldest(&mut self, may_go: impl Fn(&Session) -> bool) {
        let candidates = (0..self.0.len()).filter(|&at| may_go(&self.0[at]));
        let oldest = candidates.min_by_key(|&at| self.0[at].asked);
        self.0.swap_remove(oldest.expect("there are as many as there may be"));
    }

    /// The session of a cookie, which goes on. One whose operator is not who they were is over.
    pub fn find(
        &mut self,
        now: MonotonicMs,
        operators: &Operators,
        cookie: &[u8],
    ) -> Option<SessionView> {
        let at = self.position(cookie)?;
        let session = &mut self.0[at];
        let operator = operators.still(&session.operator, &session.token);
        let Some(operator) = operator.filter(|_| !session.is_over(now)) else {
            self.0.swap_remove(at);
            return None;
        };
        session.asked = now;
        Some(SessionView {
            operator: operator.name.clone(),
            role: operator.role,
            csrf: session.csrf.clone(),
            left_ms: SESSION_MS_MAX - now.ms_since(session.began),
        })
    }

    /// Ends the session of a cookie.
    pub fn end(&mut self, cookie: &[u8]) {
        if let Some(at) = self.position(cookie) {
            self.0.swap_remove(at);
        }
    }

    /// All are compared, whichever it is.
    fn position(&self, cookie: &[u8]) -> Option<usize> {
        let hash = SecretHash::of(cookie);
        let is_it = |session: &Session| session.cookie.is(&hash);
        let all = self.0.iter().enumerate();
        all.fold(None, |found, (at, session)| Some(at).filter(|_| is_it(session)).or(found))
    }
}

/// A random number, as it travels.
fn letters(secret: &[u8; SECRET_BYTES]) -> Box<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    secret.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: MonotonicMs = MonotonicMs(1_000);

    fn operator(name: &str) -> Operator {
        Operator {
            name: name.into(),
            token: SecretHash::of(name.as_bytes()),
            role: OperatorRole::See,
        }
    }

    fn secrets(number: u8) -> SessionSecrets {
        SessionSecrets { cookie: [number; 32], csrf: [!number; 32] }
    }

    #[test]
    fn a_session_is_found_by_its_cookie_and_ends_at_logout() {
        let operators = Operators::new(vec![operator("ann"), operator("ben")]);
        let mut sessions = OperatorSessions::default();
        let cookie = sessions.begin(NOW, &operator("ann"), &secrets(0xab));
        assert_eq!(&*cookie, "ab".repeat(32));
        let other = sessions.begin(NOW, &operator("ben"), &secrets(1));
        let view = sessions.find(NOW, &operators, cookie.as_bytes()).unwrap();
        assert_eq!((&*view.operator, view.role), ("ann", OperatorRole::See));
        assert_eq!(view.left_ms, SESSION_MS_MAX);
        assert!(view.is_csrf("54".repeat(32).as_bytes()));
        for wrong in ["", &*cookie, &"54".repeat(31), &"55".repeat(32)] {
            assert!(!view.is_csrf(wrong.as_bytes()), "{wrong}");
        }
        for wrong in ["", "ab", &"AB".repeat(32), &"ac".repeat(32)] {
            assert_eq!(sessions.find(NOW, &operators, wrong.as_bytes()), None, "{wrong}");
        }
        sessions.end(b"nobody's");
        sessions.end(cookie.as_bytes());
        assert_eq!(sessions.find(NOW, &operators, cookie.as_bytes()), None);
        assert!(sessions.find(NOW, &operators, other.as_bytes()).is_some());
    }

    /// Requests at these times, and whether the session is there at the last one.
    #[track_caller]
    fn check_life(asked_ms: &[u64], want: bool) {
        let operators = Operators::new(vec![operator("ann")]);
        let mut sessions = OperatorSessions::default();
        let cookie = sessions.begin(MonotonicMs(0), &operator("ann"), &secrets(1));
        let mut is_there = true;
        for &at in asked_ms {
            is_there = sessions.find(MonotonicMs(at), &operators, cookie.as_bytes()).is_some();
        }
        assert_eq!(is_there, want, "{asked_ms:?}");
    }

    #[test]
    fn a_session_ends_when_nobody_asks_and_when_it_is_old() {
        check_life(&[IDLE_MS_MAX - 1], true);
        check_life(&[IDLE_MS_MAX], false);
        check_life(&[IDLE_MS_MAX, 0], false);
        check_life(&[IDLE_MS_MAX - 1, 2 * IDLE_MS_MAX - 2], true);
        let steps: Vec<u64> = (1..SESSION_MS_MAX / 600_000).map(|n| n * 600_000).collect();
        check_life(&steps, true);
        check_life(&[&steps[..], &[SESSION_MS_MAX - 1]].concat(), true);
        check_life(&[&steps[..], &[SESSION_MS_MAX]].concat(), false);
    }

    #[test]
    fn a_session_is_over_when_its_operator_is_another() {
        let before = Operators::new(vec![operator("ann")]);
        let mut sessions = OperatorSessions::default();
        let cookie = sessions.begin(NOW, &operator("ann"), &secrets(1));
        let promoted = Operator { role: OperatorRole::Act, ..operator("ann") };
        let view = sessions.find(NOW, &Operators::new(vec![promoted]), cookie.as_bytes());
        assert_eq!(view.map(|view| view.role), Some(OperatorRole::Act));
        let changed = Operator { token: SecretHash::of(b"another"), ..operator("ann") };
        assert_eq!(sessions.find(NOW, &Operators::new(vec![changed]), cookie.as_bytes()), None);
        assert_eq!(sessions.find(NOW, &before, cookie.as_bytes()), None, "it is gone for good");
    }

    #[test]
    fn the_least_recently_used_gives_way_first_of_the_same_operator() {
        let names: Vec<String> = (0..32).map(|number| format!("operator{number}")).collect();
        let operators = Operators::new(names.iter().map(|name| operator(name)).collect());
        let mut sessions = OperatorSessions::default();
        let mut number = 0;
        let mut begin = |sessions: &mut OperatorSessions, name: &str, at: u64| {
            number += 1;
            sessions.begin(MonotonicMs(at), &operator(name), &secrets(number))
        };
        let first = begin(&mut sessions, "operator0", 0);
        let second = begin(&mut sessions, "operator0", 1);
        for at in 2..OPERATOR_SESSIONS_MAX as u64 {
            begin(&mut sessions, "operator0", at);
        }
        assert!(sessions.find(MonotonicMs(50), &operators, first.as_bytes()).is_some());
        begin(&mut sessions, "operator0", 51);
        let is_there = |sessions: &mut OperatorSessions, cookie: &str| {
            sessions.position(cookie.as_bytes()).is_some()
        };
        assert!(is_there(&mut sessions, &first) && !is_there(&mut sessions, &second));
        for at in 0..2 * SESSIONS_MAX as u64 {
            begin(&mut sessions, &names[at as usize % 31 + 1], 100 + at);
            assert!(sessions.0.len() <= SESSIONS_MAX);
        }
        assert!(!is_there(&mut sessions, &first), "others were used later");
    }
}
