//! The check of the admin token before any page of `/debug`.
//!
//! Invariant: whoever has the token is let in, however many wrong tokens came from the same
//! address.
//!
//! Deliberately absent: comparing and counting (`admin::token`).

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::admin::token::{AdminToken, FailedAttempts};
use crate::base::MonotonicMs;
use crate::http_server::PeerAddr;

/// Said where nobody can have a token.
const CLOSED: &str = "there is no admin token: set one with admin.token_file in the configuration, \
                      or with ROOKERY_ADMIN_TOKEN in the environment, and send SIGHUP or start \
                      again\n";

/// What stands before all pages of diagnostics.
#[derive(Clone)]
pub(super) struct AccessGuard {
    token: watch::Receiver<Option<AdminToken>>,
    failed_attempts: Arc<Mutex<FailedAttempts>>,
    opened: Instant,
}

impl AccessGuard {
    pub fn new(token: watch::Receiver<Option<AdminToken>>) -> AccessGuard {
        AccessGuard { token, failed_attempts: Arc::default(), opened: Instant::now() }
    }

    fn now(&self) -> MonotonicMs {
        MonotonicMs(u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Why somebody may not pass.
    async fn refusal(&self, from: IpAddr, headers: &HeaderMap) -> Option<Response> {
        let Some(token) = self.token.borrow().clone() else {
            return Some((StatusCode::FORBIDDEN, CLOSED).into_response());
        };
        let given = bearer(headers);
        // First, and whatever others behind the same address did: a limit on guessing must
        // not be a way to keep the operator out.
        if given.is_some_and(|given| token.is(given)) {
            return None;
        }
        let mut failed_attempts = self.failed_attempts.lock().await;
        let wait_ms = failed_attempts.wait_ms(self.now(), from);
        if wait_ms != 0 {
            let after = [(header::RETRY_AFTER, wait_ms.div_ceil(1_000).to_string())];
            let words = "too many wrong tokens came from this address\n";
            return Some((StatusCode::TOO_MANY_REQUESTS, after, words).into_response());
        }
        if given.is_some() {
            failed_attempts.count(self.now(), from);
        }
        let how = [(header::WWW_AUTHENTICATE, "Bearer")];
        let words = "this needs the admin token: `Authorization: Bearer <token>`\n";
        Some((StatusCode::UNAUTHORIZED, how, words).into_response())
    }
}

/// Lets a request pass, or refuses it.
pub(super) async fn pass(
    State(guard): State<AccessGuard>,
    Extension(PeerAddr(from)): Extension<PeerAddr>,
    request: Request,
    next: Next,
) -> Response {
    let refusal = guard.refusal(from, request.headers()).await;
    let mut answer = match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
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
