//! Before each answer of the console: reads what a request says of itself, lets `console` decide,
//! and writes down who is refused.
//!
//! Invariant: an address that guesses waits, and whoever has the right token does not.
//!
//! Deliberately absent: the rules themselves.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::admin::audit_log::AuditLog;
use crate::admin::token_attempts::{Guess, TokenAttempts};
use crate::base::MonotonicMs;
use crate::clock::unix_ms;
use crate::console::{
    AccessError, AccessKind, AuditAction, AuditEvent, AuditOutcome, AuditVia, ConsoleAccess,
    Operators, RequestHead, SessionSecrets, SessionView, SignIn,
};

/// What keeps requests of other pages from changing anything.
const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
const FETCH_SITE_HEADER: HeaderName = HeaderName::from_static("sec-fetch-site");

/// See the module.
#[derive(Clone)]
pub(super) struct Gate {
    access: Arc<Mutex<ConsoleAccess>>,
    operators: watch::Receiver<Operators>,
    attempts: TokenAttempts,
    pub audit: AuditLog,
}

/// Who asks, and from where.
pub(super) struct Visitor {
    pub view: SessionView,
    pub from: IpAddr,
}

impl Gate {
    pub fn new(
        access: ConsoleAccess,
        operators: watch::Receiver<Operators>,
        attempts: TokenAttempts,
        audit: AuditLog,
    ) -> Gate {
        Gate { access: Arc::new(Mutex::new(access)), operators, attempts, audit }
    }

    /// The listener's own time.
    pub fn now(&self) -> MonotonicMs {
        self.attempts.now()
    }

    /// What decides, with the operators of now.
    async fn access(&self) -> MutexGuard<'_, ConsoleAccess> {
        let mut access = self.access.lock().await;
        // Few, and a request in two seconds: they are given each time.
        access.set_operators(self.operators.borrow().clone());
        access
    }

    /// Whether a request is for this host.
    pub async fn check_host(&self, head: &RequestHead<'_>) -> Result<(), AccessError> {
        self.access().await.check_host(head)
    }

    /// Who makes a request of this kind, or the answer that refuses it.
    pub async fn visitor(
        &self,
        headers: &HeaderMap,
        from: IpAddr,
        kind: AccessKind,
    ) -> Result<Visitor, Response> {
        let (now, head) = (self.attempts.now(), head(headers));
        let visitor = self.access().await.visitor(now, &head, kind);
        match visitor {
            Ok(view) => Ok(Visitor { view, from }),
            // A page that was left open asks on, and every page asks who is signed in first.
            Err(AccessError::Session) if kind == AccessKind::Read => {
                Err(refusal(AccessError::Session))
            }
            Err(error) => {
                let operator = self.access().await.operator_of(now, &head);
                self.tell_refused((&operator, from), AuditAction::RequestRefused, error).await;
                Err(refusal(error))
            }
        }
    }

    /// Begins a session, or says why not.
    pub async fn sign_in(
        &self,
        headers: &HeaderMap,
        from: IpAddr,
        token: &[u8],
        secrets: &SessionSecrets,
    ) -> Result<SignIn, Response> {
        let (now, head) = (self.attempts.now(), head(headers));
        let begun = self.access().await.sign_in(now, &head, token, secrets);
        let error = match begun {
            Ok(begun) => return Ok(begun),
            Err(error) => error,
        };
        let action = match error {
            AccessError::Token => AuditAction::CredentialRefused,
            AccessError::Closed
            | AccessError::Host
            | AccessError::Origin
            | AccessError::MediaType
            | AccessError::Session
            | AccessError::Csrf
            | AccessError::Role => AuditAction::RequestRefused,
        };
        self.tell_refused(("", from), action, error).await;
        if error == AccessError::Token
            && let Some(wait_s) = self.attempts.wait_s(from, Guess::Wrong).await
        {
            let after = [(header::RETRY_AFTER, wait_s.to_string())];
            let words = "too many wrong tokens came from this address\n";
            return Err((StatusCode::TOO_MANY_REQUESTS, after, words).into_response());
        }
        Err(refusal(error))
    }

    /// Ends the session of a request.
    pub async fn sign_out(&self, headers: &HeaderMap, from: IpAddr) -> Result<SignIn, Response> {
        let (now, head) = (self.attempts.now(), head(headers));
        let ended = self.access().await.sign_out(now, &head);
        match ended {
            Ok(ended) => Ok(ended),
            Err(error) => {
                let operator = self.access().await.operator_of(now, &head);
                self.tell_refused((&operator, from), AuditAction::RequestRefused, error).await;
                Err(refusal(error))
            }
        }
    }

    /// Writes down what an operator did.
    pub async fn tell(
        &self,
        (operator, from): (&str, IpAddr),
        action: AuditAction,
        target: Box<str>,
        outcome: AuditOutcome,
    ) {
        let event = AuditEvent {
            unix_ms: unix_ms(),
            action,
            actor: operator.into(),
            via: AuditVia::Console,
            from: Some(from),
            target,
            outcome,
        };
        self.audit.tell(event).await;
    }

    async fn tell_refused(&self, who: (&str, IpAddr), action: AuditAction, error: AccessError) {
        self.tell(who, action, "".into(), AuditOutcome::Refused(error.word())).await;
    }
}

/// What a request says of itself.
pub(super) fn head(headers: &HeaderMap) -> RequestHead<'_> {
    let of = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    RequestHead {
        host: of(header::HOST),
        origin: of(header::ORIGIN),
        fetch_site: of(FETCH_SITE_HEADER),
        content_type: of(header::CONTENT_TYPE),
        cookies: of(header::COOKIE),
        csrf: of(CSRF_HEADER),
    }
}

/// The answer to whoever may not.
pub(super) fn refusal(error: AccessError) -> Response {
    let words = match error {
        AccessError::Closed => {
            "there is neither an admin token nor an operator: set admin.token_file or \
             [[admin.operators]] in the configuration, and send SIGHUP or start again\n"
        }
        AccessError::Host => {
            "this name is not known here: ask for an address, or list the origin in \
             admin.console_origins\n"
        }
        AccessError::Origin => "pages of another origin may not ask for this\n",
        AccessError::MediaType => "the body is application/json\n",
        AccessError::Token => "this token is nobody's\n",
        AccessError::Session => "nobody is signed in\n",
        AccessError::Csrf => "X-CSRF-Token is missing, or of another session\n",
        AccessError::Role => "this needs the role act\n",
    };
    let status = StatusCode::from_u16(error.status()).expect("each error has a status");
    (status, words).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_counts_as_not_there() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:8001".parse().unwrap());
        headers.insert(header::COOKIE, header::HeaderValue::from_bytes(b"a=\xff").unwrap());
        headers.insert(CSRF_HEADER, "ab".parse().unwrap());
        let head = head(&headers);
        assert_eq!(
            (head.host, head.cookies, head.csrf),
            (Some("127.0.0.1:8001"), None, Some("ab"))
        );
        assert_eq!(head.origin, None);
    }

    #[test]
    fn each_refusal_is_a_sentence_and_no_secret() {
        for error in [AccessError::Closed, AccessError::Host, AccessError::Csrf, AccessError::Role]
        {
            assert_eq!(refusal(error).status().as_u16(), error.status());
        }
    }
}
