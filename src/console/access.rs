//! From the head of a request to who asks, or why they may not: whether its host and its page
//! are ours, the session, the number that only our page knows, and the role.
//!
//! They are checked in this order, behind whether anybody may be let in at all. A browser
//! brings the cookie along for whoever makes it ask, so a session alone changes nothing.
//!
//! Invariants: no request is served before its host and its page are known to be ours; nothing is
//! changed without the session's own number.
//!
//! Deliberately absent: how many wrong tokens an address may show (`admin`).

use super::operators::{OperatorRole, Operators};
use super::origin::{PageOrigin, is_known_host, own_origin};
use super::sessions::{COOKIE, OperatorSessions, SESSION_MS_MAX, SessionSecrets, SessionView};
use crate::base::MonotonicMs;

/// Cookies of our name that are looked at. Pages of other ports of this host can set some, too.
const COOKIES_MAX: usize = 4;

/// The type of all bodies: a form of another site cannot have it.
const MEDIA_TYPE: &str = "application/json";

/// What a request says of itself. What is no text counts as not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestHead<'r> {
    /// `Host`.
    pub host: Option<&'r str>,
    /// `Origin`.
    pub origin: Option<&'r str>,
    /// `Sec-Fetch-Site`, which browsers send and no page can set.
    pub fetch_site: Option<&'r str>,
    /// `Content-Type`.
    pub content_type: Option<&'r str>,
    /// `Cookie`.
    pub cookies: Option<&'r str>,
    /// `X-CSRF-Token`.
    pub csrf: Option<&'r str>,
}

/// Whether a request changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// It looks.
    Read,
    /// It changes something of its own session.
    Session,
    /// It changes something of the server.
    Act,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessError {
    /// There is neither an admin token nor an operator.
    Closed,
    /// It is for another host.
    Host,
    /// It is from a page that is not ours.
    Origin,
    /// Its body is of another type.
    MediaType,
    /// The token is nobody's.
    Token,
    /// There is no session, or it is over.
    Session,
    /// The number is missing that only our page knows.
    Csrf,
    /// They may look only.
    Role,
}

impl AccessError {
    /// Its word in audit events.
    pub fn word(self) -> &'static str {
        match self {
            AccessError::Closed => "closed",
            AccessError::Host => "host",
            AccessError::Origin => "origin",
            AccessError::MediaType => "media_type",
            AccessError::Token => "token",
            AccessError::Session => "session",
            AccessError::Csrf => "csrf",
            AccessError::Role => "role",
        }
    }

    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            AccessError::Closed | AccessError::Origin | AccessError::Csrf | AccessError::Role => {
                403
            }
            // RFC 9110, 15.5.20: for whatever host this is, it is not served here.
            AccessError::Host => 421,
            AccessError::MediaType => 415,
            AccessError::Token | AccessError::Session => 401,
        }
    }
}

/// A session that begins.
#[derive(Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Whose it is.
    pub view: SessionView,
    /// The header that gives it to the browser.
    pub set_cookie: String,
}

/// Who may come in, and who is in.
#[derive(Default)]
pub struct ConsoleAccess {
    operators: Operators,
    /// Origins that are listed, beside addresses and `localhost`.
    origins: Vec<PageOrigin>,
    sessions: OperatorSessions,
}

impl ConsoleAccess {
    /// Nobody is in.
    pub fn new(operators: Operators, origins: Vec<PageOrigin>) -> ConsoleAccess {
        ConsoleAccess { operators, origins, sessions: OperatorSessions::default() }
    }

    /// From now on these are the operators. Sessions of others are over.
    pub fn set_operators(&mut self, operators: Operators) {
        self.operators = operators;
    }

    /// Whether a request is for this host. That is all that the files of the page need, which have
    /// nothing that is secret, and to which links of other sites may lead.
    pub fn check_host(&self, head: &RequestHead<'_>) -> Result<(), AccessError> {
        match head.host.is_some_and(|host| is_known_host(host, &self.origins)) {
            true => Ok(()),
            false => Err(AccessError::Host),
        }
    }

    /// Whether it is from nowhere, or from a page of ours, too.
    fn check_page(&self, head: &RequestHead<'_>) -> Result<(), AccessError> {
        self.check_host(head)?;
        match head.fetch_site {
            // `none` is what somebody typed, or a bookmark.
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) => Err(AccessError::Origin),
        }
    }

    /// Begins a session for whoever has a token.
    pub fn sign_in(
        &mut self,
        now: MonotonicMs,
        head: &RequestHead<'_>,
        token: &[u8],
        secrets: &SessionSecrets,
    ) -> Result<SignIn, AccessError> {
        let origin = self.check_change(head)?;
        let operator = self.operators.find(token).ok_or(AccessError::Token)?;
        let cookie = self.sessions.begin(now, operator, secrets);
        let view = self.sessions.find(now, &self.operators, cookie.as_bytes());
        let set_cookie = set_cookie(&cookie, SESSION_MS_MAX / 1_000, &origin);
        Ok(SignIn { view: view.expect("it began just now"), set_cookie })
    }

    /// Ends the session of a request; whose it was, and the header that takes the cookie away.
    pub fn sign_out(
        &mut self,
        now: MonotonicMs,
        head: &RequestHead<'_>,
    ) -> Result<SignIn, AccessError> {
        let origin = self.check_change(head)?;
        let view = self.visitor(now, head, AccessKind::Session)?;
        for cookie in cookies(head) {
            self.sessions.end(cookie.as_bytes());
        }
        Ok(SignIn { view, set_cookie: set_cookie("", 0, &origin) })
    }

    /// Who makes a request of this kind, if they may.
    pub fn visitor(
        &mut self,
        now: MonotonicMs,
        head: &RequestHead<'_>,
        kind: AccessKind,
    ) -> Result<SessionView, AccessError> {
        let role = match kind {
            AccessKind::Read => {
                self.check_open()?;
                self.check_page(head)?;
                OperatorRole::See
            }
            AccessKind::Session => {
                self.check_change(head)?;
                OperatorRole::See
            }
            AccessKind::Act => {
                self.check_change(head)?;
                OperatorRole::Act
            }
        };
        let view = self.session(now, head).ok_or(AccessError::Session)?;
        let is_ours = head.csrf.is_some_and(|shown| view.is_csrf(shown.as_bytes()));
        if kind != AccessKind::Read && !is_ours {
            return Err(AccessError::Csrf);
        }
        if view.role < role {
            return Err(AccessError::Role);
        }
        Ok(view)
    }

    /// Whose session a request has, whatever else it lacks: for the audit trail.
    pub fn operator_of(&mut self, now: MonotonicMs, head: &RequestHead<'_>) -> Box<str> {
        self.session(now, head).map(|view| view.operator).unwrap_or_default()
    }

    fn session(&mut self, now: MonotonicMs, head: &RequestHead<'_>) -> Option<SessionView> {
        let mut found = None;
        for cookie in cookies(head) {
            found = found.or(self.sessions.find(now, &self.operators, cookie.as_bytes()));
        }
        found
    }

    /// Whether a request that changes something is from a page of ours; that page's origin.
    fn check_change(&self, head: &RequestHead<'_>) -> Result<PageOrigin, AccessError> {
        self.check_open()?;
        self.check_page(head)?;
        let host = head.host.ok_or(AccessError::Host)?;
        let origin = head.origin.and_then(|origin| own_origin(origin, host, &self.origins));
        let origin = origin.ok_or(AccessError::Origin)?;
        let media_type = head.content_type.and_then(|kind| kind.split(';').next());
        match media_type.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(MEDIA_TYPE)) {
            true => Ok(origin),
            false => Err(AccessError::MediaType),
        }
    }

    fn check_open(&self) -> Result<(), AccessError> {
        if self.operators.is_empty() { Err(AccessError::Closed) } else { Ok(()) }
    }
}

/// All cookies of our name, as far as they are looked at.
fn cookies<'r>(head: &RequestHead<'r>) -> impl Iterator<Item = &'r str> {
    let pairs = head.cookies.unwrap_or_default().split(';').map(str::trim);
    let named = pairs.filter_map(|pair| pair.split_once('='));
    named.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value).take(COOKIES_MAX)
}

/// RFC 6265, 4.1: for no script, for no page of another site, and for no other path.
fn set_cookie(value: &str, max_age_s: u64, origin: &PageOrigin) -> String {
    let secure = if origin.is_secure() { "; Secure" } else { "" };
    format!(
        "{COOKIE}={value}; Path=/console; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::SecretHash;
    use crate::console::Operator;

    const NOW: MonotonicMs = MonotonicMs(1_000);
    const HOST: &str = "127.0.0.1:8001";

    fn access() -> ConsoleAccess {
        let operator = |name: &str, role| Operator {
            name: name.into(),
            token: SecretHash::of(format!("token of {name}").as_bytes()),
            role,
        };
        let operators =
            vec![operator("ann", OperatorRole::See), operator("ben", OperatorRole::Act)];
        let origins = vec![PageOrigin::parse("https://ops.example.org").unwrap()];
        ConsoleAccess::new(Operators::new(operators), origins)
    }

    /// What our page sends when it changes something, before it is signed in.
    fn page() -> RequestHead<'static> {
        RequestHead {
            host: Some(HOST),
            origin: Some("http://127.0.0.1:8001"),
            fetch_site: Some("same-origin"),
            content_type: Some("application/json"),
            ..RequestHead::default()
        }
    }

    fn secrets(number: u8) -> SessionSecrets {
        SessionSecrets { cookie: [number; 32], csrf: [number + 1; 32] }
    }

    /// The cookie and the number of a session of this operator.
    fn signed_in(access: &mut ConsoleAccess, name: &str) -> (String, String) {
        let token = format!("token of {name}");
        let begun = access.sign_in(NOW, &page(), token.as_bytes(), &secrets(7)).unwrap();
        let cookie = begun.set_cookie.split(';').next().unwrap().to_owned();
        (cookie, begun.view.csrf.into())
    }

    #[test]
    fn a_token_becomes_a_cookie_that_no_script_and_no_other_site_has() {
        let mut access = access();
        let begun = access.sign_in(NOW, &page(), b"token of ann", &secrets(0)).unwrap();
        assert_eq!((&*begun.view.operator, begun.view.role), ("ann", OperatorRole::See));
        assert_eq!(
            begun.set_cookie,
            format!(
                "rookery_console={}; Path=/console; Max-Age=28800; HttpOnly; SameSite=Strict",
                "00".repeat(32)
            )
        );
        let wrong = access.sign_in(NOW, &page(), b"token of eve", &secrets(1));
        assert_eq!(wrong, Err(AccessError::Token));
        let secure = RequestHead {
            host: Some("ops.example.org"),
            origin: Some("https://ops.example.org"),
            ..page()
        };
        let begun = access.sign_in(NOW, &secure, b"token of ann", &secrets(2)).unwrap();
        assert!(begun.set_cookie.ends_with("; SameSite=Strict; Secure"), "{}", begun.set_cookie);
    }

    /// What becomes of a request of ben, who may act, with this changed.
    #[track_caller]
    fn check(kind: AccessKind, change: fn(&mut RequestHead<'_>), want: Option<AccessError>) {
        let mut access = access();
        let (cookie, csrf) = signed_in(&mut access, "ben");
        let mut head = RequestHead { cookies: Some(&cookie), csrf: Some(&csrf), ..page() };
        change(&mut head);
        let visitor = access.visitor(NOW, &head, kind);
        assert_eq!(visitor.as_ref().err().copied(), want, "{head:?}");
        if let Ok(visitor) = visitor {
            assert_eq!(&*visitor.operator, "ben");
        }
    }

    #[test]
    fn what_changes_something_is_from_our_page() {
        use AccessKind::{Act, Read, Session};
        for kind in [Read, Session, Act] {
            check(kind, |_| (), None);
            check(kind, |head| head.host = None, Some(AccessError::Host));
            check(kind, |head| head.host = Some("evil.example:8001"), Some(AccessError::Host));
            check(kind, |head| head.fetch_site = Some("same-site"), Some(AccessError::Origin));
            check(kind, |head| head.fetch_site = Some("cross-site"), Some(AccessError::Origin));
            check(kind, |head| head.fetch_site = Some(""), Some(AccessError::Origin));
            check(kind, |head| head.fetch_site = None, None);
            check(kind, |head| head.cookies = None, Some(AccessError::Session));
            check(
                kind,
                |head| head.cookies = Some("rookery_console=x"),
                Some(AccessError::Session),
            );
        }
        for kind in [Session, Act] {
            check(kind, |head| head.origin = None, Some(AccessError::Origin));
            check(kind, |head| head.origin = Some("null"), Some(AccessError::Origin));
            let other = |head: &mut RequestHead<'_>| head.origin = Some("http://127.0.0.1:8000");
            check(kind, other, Some(AccessError::Origin));
            check(kind, |head| head.content_type = None, Some(AccessError::MediaType));
            let form = |head: &mut RequestHead<'_>| head.content_type = Some("text/plain");
            check(kind, form, Some(AccessError::MediaType));
            check(kind, |head| head.content_type = Some("Application/JSON; charset=utf-8"), None);
            check(kind, |head| head.csrf = None, Some(AccessError::Csrf));
            check(kind, |head| head.csrf = Some(""), Some(AccessError::Csrf));
            check(kind, |head| head.csrf = head.cookies, Some(AccessError::Csrf));
        }
        // Looking needs none of that.
        check(Read, |head| (head.origin, head.content_type, head.csrf) = (None, None, None), None);
    }

    #[test]
    fn who_may_look_may_not_act() {
        let mut access = access();
        let (cookie, csrf) = signed_in(&mut access, "ann");
        let head = RequestHead { cookies: Some(&cookie), csrf: Some(&csrf), ..page() };
        assert!(access.visitor(NOW, &head, AccessKind::Read).is_ok());
        assert!(access.visitor(NOW, &head, AccessKind::Session).is_ok());
        assert_eq!(access.visitor(NOW, &head, AccessKind::Act), Err(AccessError::Role));
        assert_eq!(&*access.operator_of(NOW, &head), "ann");
        assert_eq!(&*access.operator_of(NOW, &page()), "");
    }

    #[test]
    fn a_cookie_of_our_name_that_another_page_set_keeps_nobody_out() {
        let mut access = access();
        let (cookie, _) = signed_in(&mut access, "ann");
        let three = "rookery_console=x; rookery_console=; rookery_console==; ";
        for (cookies, want) in [
            (format!("a=b; {cookie}; c"), true),
            (format!("{three}{cookie}"), true),
            (format!("{three}rookery_console=y; {cookie}"), false),
            (cookie.to_uppercase(), false),
            (cookie.replace("rookery", "x_rookery"), false),
        ] {
            let head = RequestHead { cookies: Some(&cookies), ..page() };
            let is_in = access.visitor(NOW, &head, AccessKind::Read).is_ok();
            assert_eq!(is_in, want, "{cookies}");
        }
    }

    #[test]
    fn who_signs_out_is_out() {
        let mut access = access();
        let (cookie, csrf) = signed_in(&mut access, "ann");
        let head = RequestHead { cookies: Some(&cookie), csrf: Some(&csrf), ..page() };
        let without = RequestHead { csrf: None, ..head };
        assert_eq!(access.sign_out(NOW, &without), Err(AccessError::Csrf));
        let ended = access.sign_out(NOW, &head).unwrap();
        assert_eq!(&*ended.view.operator, "ann");
        assert!(ended.set_cookie.starts_with("rookery_console=; Path=/console; Max-Age=0; "));
        assert_eq!(access.sign_out(NOW, &head), Err(AccessError::Session));
    }

    #[test]
    fn where_nobody_has_a_token_nobody_is_let_in() {
        let mut access = access();
        let (cookie, _) = signed_in(&mut access, "ann");
        let head = RequestHead { cookies: Some(&cookie), ..page() };
        access.set_operators(Operators::default());
        assert_eq!(access.visitor(NOW, &head, AccessKind::Read), Err(AccessError::Closed));
        let begun = access.sign_in(NOW, &page(), b"token of ann", &secrets(1));
        assert_eq!(begun, Err(AccessError::Closed));
        assert_eq!(access.check_host(&head), Ok(()), "files have nothing that is secret");
        let linked = RequestHead { fetch_site: Some("cross-site"), ..head };
        assert_eq!(access.check_host(&linked), Ok(()), "a link of another site leads there");
    }

    #[test]
    fn each_refusal_has_its_status() {
        for (error, status) in [
            (AccessError::Closed, 403),
            (AccessError::Host, 421),
            (AccessError::Origin, 403),
            (AccessError::MediaType, 415),
            (AccessError::Token, 401),
            (AccessError::Session, 401),
            (AccessError::Csrf, 403),
            (AccessError::Role, 403),
        ] {
            assert_eq!(error.status(), status, "{}", error.word());
        }
    }
}
