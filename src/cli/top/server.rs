//! The questions to a server's admin listener that make one sample.

use std::net::SocketAddr;

use crate::cli::http::{Service, ServiceError, ServiceResult};
use crate::clock::unix_ms;
use crate::top::{AdminAnswer, FAMILIES, FAMILIES_OF_CORES};

/// A server, and what it was found to know.
pub(super) struct Server {
    service: Service,
    /// The whole page, instead of some families, of a server that does not know one of them.
    asks_for_all: bool,
    /// Whether the page of tasks is asked for.
    asks_for_tasks: bool,
    /// Whether the time of day there is the one here.
    is_here: bool,
    note: &'static str,
}

impl Server {
    /// The one that `service` reaches; an empty token is none.
    pub fn new(service: Service, token: &str) -> ServiceResult<Server> {
        let is_here = is_loopback(service.shown());
        Ok(Server {
            service: service.with_token(token)?,
            asks_for_all: false,
            asks_for_tasks: !token.is_empty(),
            is_here,
            note: "",
        })
    }

    /// Where it is, for people.
    pub fn shown(&self) -> &str {
        self.service.shown()
    }

    /// What is to be said beside its numbers; empty for nothing.
    pub fn note(&self) -> &str {
        self.note
    }

    /// Asks, and waits for all answers.
    pub fn ask(&mut self) -> ServiceResult<AdminAnswer> {
        Ok(AdminAnswer {
            metrics: self.metrics()?,
            metrics_of_cores: self.metrics_of_cores()?,
            ready: self.ready()?,
            tasks: self.tasks()?,
            now_unix_ms: self.is_here.then(unix_ms),
        })
    }

    fn metrics(&mut self) -> ServiceResult<String> {
        if !self.asks_for_all {
            match self.text(&format!("/metrics?{}", names(FAMILIES))) {
                Err(ServiceError::Refused(_, _, 400, _)) => {
                    self.asks_for_all = true;
                    self.note = "the server is of another version: some numbers are not known";
                }
                answer => return answer,
            }
        }
        self.text("/metrics")
    }

    fn metrics_of_cores(&self) -> ServiceResult<String> {
        match self.text(&format!("/metrics?core=each&{}", names(FAMILIES_OF_CORES))) {
            Err(ServiceError::Refused(_, _, 400, _)) => Ok(String::new()),
            answer => answer,
        }
    }

    /// 503 is an answer, too.
    fn ready(&self) -> ServiceResult<String> {
        match self.text("/ready") {
            Err(ServiceError::Refused(_, _, 503, words)) => Ok(words),
            answer => answer,
        }
    }

    fn tasks(&mut self) -> ServiceResult<Option<String>> {
        if !self.asks_for_tasks {
            return Ok(None);
        }
        match self.text("/debug/tasks") {
            Err(ServiceError::Refused(_, _, 401 | 403 | 429, _)) => {
                self.asks_for_tasks = false;
                self.note = "the admin token is refused: phases of cores are not known";
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    fn text(&self, path: &str) -> ServiceResult<String> {
        let answer = self.service.tell("GET", path, None)?;
        String::from_utf8(answer.into()).map_err(|_| self.service.unreadable(&"it is not UTF-8"))
    }
}

/// A query for these families.
fn names(families: &[&str]) -> String {
    let pairs: Vec<String> = families.iter().map(|name| format!("name%5B%5D={name}")).collect();
    pairs.join("&")
}

fn is_loopback(shown: &str) -> bool {
    let authority = shown.split_once("://").map_or(shown, |(_, authority)| authority);
    let address = authority.parse::<SocketAddr>().map(|address| address.ip().is_loopback());
    address.unwrap_or_else(|_| authority.split(':').next() == Some("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_has_this_clock() {
        for shown in ["http://127.0.0.1:8001", "https://[::1]:8001", "http://localhost:8001"] {
            assert!(is_loopback(shown), "{shown}");
        }
        for shown in ["http://10.0.0.5:8001", "http://localhost.example.org", "http://a:1", ""] {
            assert!(!is_loopback(shown), "{shown}");
        }
    }

    #[test]
    fn families_are_asked_for_by_name() {
        assert_eq!(names(&["a", "b_total"]), "name%5B%5D=a&name%5B%5D=b_total");
    }
}
