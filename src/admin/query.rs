//! The query of a request of `/debug` or the console, checked: known parameters, each once, within its range.
//!
//! Invariant: nothing of a request is in the answer that refuses it.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// The parameters of a page, each at most once; the texts are decoded.
pub(super) struct QueryParams(Vec<(String, String)>);

/// Parameters of one page; more are a mistake.
const PARAMETERS_MAX: usize = 8;

impl QueryParams {
    /// Reads what stands behind the `?`. The pages of diagnostics know what they
    /// take: what is misspelt is an error and not the default.
    pub fn read(raw: Option<&str>, known: &[&str]) -> Result<QueryParams, QueryError> {
        let mut all: Vec<(String, String)> = Vec::new();
        for part in raw.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = decoded(value).ok_or_else(|| wrong("a value is not well encoded"))?;
            let is_new = all.iter().all(|(other, _)| other != name);
            if !known.contains(&name) || !is_new || all.len() == PARAMETERS_MAX {
                return Err(wrong(&format!("the parameters are {}, each once", known.join(", "))));
            }
            all.push((name.to_owned(), value));
        }
        Ok(QueryParams(all))
    }

    /// The text of a parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A number within these ends, or the default.
    pub fn number(&self, name: &str, default: u64, min: u64, max: u64) -> Result<u64, QueryError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| wrong(&format!("{name} is a whole number from {min} to {max}")))
    }

    /// One of these words, or nothing.
    pub fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, QueryError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some(&(_, meant)) => Ok(Some(meant)),
            None => {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(wrong(&format!("{name} is one of {}", words.join(", "))))
            }
        }
    }
}

/// What is wrong with a request, in one sentence; nothing of the request is in it.
/// As an answer it is 400.
pub(super) struct QueryError(String);

impl From<QueryError> for Response {
    fn from(QueryError(sentence): QueryError) -> Response {
        (StatusCode::BAD_REQUEST, format!("{sentence}\n")).into_response()
    }
}

/// A request that cannot be served.
pub(super) fn wrong(sentence: &str) -> QueryError {
    QueryError(sentence.to_owned())
}

/// The bytes behind `%XX`, as text.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                (high << 4 | low) as u8
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_decoded_and_checked() {
        let query = QueryParams::read(Some("n=7&kind=a%20b+c%C3%A9"), &["n", "kind"]).ok().unwrap();
        assert_eq!(query.text("kind"), Some("a b cé"));
        assert_eq!(query.number("n", 1, 0, 9).ok(), Some(7));
        assert_eq!(query.number("m", 1, 0, 9).ok(), Some(1));
        assert!(query.number("n", 1, 0, 6).is_err() && query.number("kind", 1, 0, 6).is_err());
        assert_eq!(query.word("n", &[("7", 'x')]).ok(), Some(Some('x')));
        assert_eq!(query.word("m", &[("7", 'x')]).ok(), Some(None));
        assert!(query.word("n", &[("8", 'x')]).is_err());
        for wrong in ["m=1", "n=1&n=2", "n=%4", "n=%zz", "n=%ff"] {
            assert!(QueryParams::read(Some(wrong), &["n"]).is_err(), "{wrong}");
        }
        assert!(QueryParams::read(None, &[]).is_ok());
    }
}
