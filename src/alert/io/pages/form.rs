//! Forms, and pages that people see.
//!
//! Deliberately absent: what stands on a page (`html`).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Most bytes of a form.
pub(super) const FORM_BYTES_MAX: usize = 8 << 10;

/// The fields of a form or of a query; of several with one name, the first.
pub(super) fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter().find(|(one, _)| one == name).map_or("", |(_, value)| value.as_str())
}

pub(super) fn fields(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().take(16).collect()
}

pub(super) fn page(status: StatusCode, html: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
             frame-ancestors 'none'",
        ),
    ];
    (status, headers, html).into_response()
}
