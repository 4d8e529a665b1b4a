//! The check of a token before any page of `/debug`: the admin token, or that of an operator.
//!
//! Invariant: whoever has a token is let in, however many wrong tokens came from the same
//! address, and who may only look changes nothing.
//!
//! Deliberately absent: comparing (`console`) and counting (`admin::token_attempts`).

use std::net::IpAddr;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use crate::admin::audit_log::AuditLog;
use crate::admin::token_attempts::{Guess, TokenAttempts};
use crate::clock::unix_ms;
use crate::console::{
    AccessError, AuditAction, AuditEvent, AuditOutcome, AuditVia, Operator, OperatorRole, Operators,
};
use crate::http_server::PeerAddr;

/// Said where nobody can have a token.
const CLOSED: &str = "there is no admin token: set one with admin.token_file in the configuration, \
                      or with ROOKERY_ADMIN_TOKEN in the environment, and send SIGHUP or start \
                      again\n";

/// What stands before all pages of diagnostics.
#[derive(Clone)]
pub(super) struct AccessGuard {
    operators: watch::Receiver<Operators>,
    attempts: TokenAttempts,
    audit: AuditLog,
}

/// Who was let in; each request for a page has it as an extension.
#[derive(Clone)]
pub(super) struct DebugVisitor {
    operator: Box<str>,
    from: IpAddr,
    audit: AuditLog,
}

impl DebugVisitor {
    /// Writes down what they did.
    pub async fn tell(&self, action: AuditAction, target: Box<str>, outcome: AuditOutcome) {
        let event = AuditEvent {
            unix_ms: unix_ms(),
            action,
            actor: self.operator.clone(),
            via: AuditVia::Debug,
            from: Some(self.from),
            target,
            outcome,
        };
        self.audit.tell(event).await;
    }
}

impl AccessGuard {
    pub fn new(
        operators: watch::Receiver<Operators>,
        attempts: TokenAttempts,
        audit: AuditLog,
    ) -> AccessGuard {
        AccessGuard { operators, attempts, audit }
    }

    /// Who may pass, or the answer to who may not.
    async fn visitor(
        &self,
        from: IpAddr,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<DebugVisitor, Response> {
        let operators = self.operators.borrow().clone();
        if operators.is_empty() {
            return Err((StatusCode::FORBIDDEN, CLOSED).into_response());
        }
        let given = bearer(headers);
        // First, and whatever others behind the same address did: a limit on guessing must
        // not be a way to keep the operator out.
        if let Some(operator) = given.and_then(|given| operators.find(given)) {
            return self.admitted(from, method, operator).await;
        }
        let guess = if given.is_some() { Guess::Wrong } else { Guess::None };
        if guess == Guess::Wrong {
            let outcome = AuditOutcome::Refused(AccessError::Token.word());
            let nobody = self.named("", from);
            nobody.tell(AuditAction::CredentialRefused, "".into(), outcome).await;
        }
        if let Some(wait_s) = self.attempts.wait_s(from, guess).await {
            let after = [(header::RETRY_AFTER, wait_s.to_string())];
            let words = "too many wrong tokens came from this address\n";
            return Err((StatusCode::TOO_MANY_REQUESTS, after, words).into_response());
        }
        let how = [(header::WWW_AUTHENTICATE, "Bearer")];
        let words = "this needs the admin token: `Authorization: Bearer <token>`\n";
        Err((StatusCode::UNAUTHORIZED, how, words).into_response())
    }

    /// Who has a token may pass, unless they may only look and want to change something.
    async fn admitted(
        &self,
        from: IpAddr,
        method: &Method,
        operator: &Operator,
    ) -> Result<DebugVisitor, Response> {
        let visitor = self.named(&operator.name, from);
        let looks = *method == Method::GET || *method == Method::HEAD;
        if looks || operator.role == OperatorRole::Act {
            return Ok(visitor);
        }
        let outcome = AuditOutcome::Refused(AccessError::Role.word());
        visitor.tell(AuditAction::RequestRefused, "".into(), outcome).await;
        Err((StatusCode::FORBIDDEN, "this needs the role act\n").into_response())
    }

    fn named(&self, operator: &str, from: IpAddr) -> DebugVisitor {
        DebugVisitor { operator: operator.into(), from, audit: self.audit.clone() }
    }
}

/// Lets a request pass, or refuses it.
pub(super) async fn pass(
    State(guard): State<AccessGuard>,
    Extension(PeerAddr(from)): Extension<PeerAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let visitor = guard.visitor(from, request.method(), request.headers()).await;
    let mut answer = match visitor {
        Ok(visitor) => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err(refusal) => refusal,
    };
    // What is in there is for one pair of eyes.
    let never = header::HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, never);
    answer
}

/// RFC 6750, 2.1; the scheme's name in whatever case (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii())
}
