//! The admin listener: a bound address, its limits, and the pages behind it.
//!
//! Deliberately absent: HTTP itself (`http_server`), and what the pages show (`routes`).

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::routes::{AdminState, router};
use crate::http_server::{self, HttpLimits};

/// Connections served at a time; the next ones wait in the backlog.
pub const CONNECTIONS_MAX: usize = 32;

/// How much one who asks may take.
const LIMITS: HttpLimits = HttpLimits {
    connections_max: CONNECTIONS_MAX,
    head_bytes_max: 16 << 10,
    headers_max: 64,
    head_ms_max: 5_000,
    exchange_ms_max: 10_000,
    idle_ms_max: None,
};

/// Why there is no admin listener.
#[derive(Debug)]
pub enum AdminListenerError {
    /// Another process listens there.
    InUse(SocketAddr),
    /// Whatever else the kernel said.
    Listen(SocketAddr, io::Error),
}

impl fmt::Display for AdminListenerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminListenerError::InUse(address) => write!(
                f,
                "the admin address {address} is taken by another process: choose another port \
                 with admin_listen, or end that process"
            ),
            AdminListenerError::Listen(address, error) => {
                let why = http_server::remedy(*address, error);
                write!(f, "cannot listen on the admin address {address}: {why}")
            }
        }
    }
}

/// A bound listener. Dropping it frees the port.
pub struct AdminListener {
    http: http_server::HttpServer,
}

impl AdminListener {
    /// Must be called within a tokio runtime.
    pub async fn bind(address: SocketAddr) -> Result<AdminListener, AdminListenerError> {
        match http_server::HttpServer::bind(address).await {
            Ok(http) => Ok(AdminListener { http }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(AdminListenerError::InUse(address))
            }
            Err(error) => Err(AdminListenerError::Listen(address, error)),
        }
    }

    /// Where it listens; the port is the kernel's choice when 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.http.address()
    }

    /// Serves until the future is dropped.
    pub async fn serve(self, view: AdminState) {
        self.http.serve(router(view), LIMITS).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net;
    use std::sync::Arc;

    use tokio::net::TcpStream;
    use tokio::runtime;
    use tokio::sync::{Semaphore, mpsc, watch};

    use super::*;
    use crate::admin::{
        AuditLog, ConsoleSetup, CpuProfiles, DiagnosticsState, Readiness, StoreState, TRIES_MAX,
    };
    use crate::console::{Operator, Operators};
    use crate::metrics::{Cells, Exposition, Threads};

    fn control() -> runtime::Runtime {
        runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// The whole answer to `request`, from a server of two cores.
    fn answer(readiness: Readiness, request: &[u8]) -> String {
        answer_with(readiness, StoreState::Good, request)
    }

    fn answer_with(readiness: Readiness, store: StoreState, request: &[u8]) -> String {
        control().block_on(async {
            let listener = AdminListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let address = listener.address().unwrap();
            let exposition =
                Arc::new(Exposition::new(Threads::of_cores(vec![Cells::new(), Cells::new()])));
            let view = view(exposition, readiness, store);
            let server = tokio::spawn(listener.serve(view));
            let request = request.to_vec();
            let client = tokio::task::spawn_blocking(move || {
                let mut stream = net::TcpStream::connect(address).unwrap();
                // The server may have answered and left before it read all.
                let _ = stream.write_all(&request);
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer);
                String::from_utf8(answer).unwrap()
            });
            let answer = client.await.unwrap();
            server.abort();
            answer
        })
    }

    fn view(exposition: Arc<Exposition>, readiness: Readiness, store: StoreState) -> AdminState {
        let (readiness, store) = (watch::channel(readiness).1, watch::channel(store).1);
        AdminState {
            exposition,
            metrics: Cells::of_process().1,
            refresh: Arc::new(|| ()),
            readiness,
            store,
            diagnostics: diagnostics(Some(TOKEN)),
            console: ConsoleSetup {
                files: None,
                origins: Vec::new(),
                drain: watch::channel(None).1,
            },
            web: None,
        }
    }

    const TOKEN: &str = "a token that only these tests know";

    /// The diagnostics of two cores, and of a control thread that answers no questions.
    fn diagnostics(token: Option<&str>) -> DiagnosticsState {
        let operator = |token: &str| Operator::admin(token.replace(' ', "-").as_bytes());
        let operators = Operators::new(token.into_iter().map(operator).collect());
        DiagnosticsState {
            operators: watch::channel(operators).1,
            audit: AuditLog::default(),
            instance: "test".into(),
            threads: Threads::of_cores(vec![Cells::new(), Cells::new()]),
            questions: mpsc::channel(1).0,
            profile: Arc::new(Semaphore::new(1)),
            cpu_profiles: CpuProfiles::Possible,
        }
    }

    /// The answers to requests for a page of diagnostics, with these tokens.
    fn debug(diagnostics: DiagnosticsState, target: &str, tokens: &[Option<&str>]) -> Vec<String> {
        control().block_on(async {
            let listener = AdminListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let address = listener.address().unwrap();
            let exposition = Exposition::new(diagnostics.threads.clone());
            let all = view(Arc::new(exposition), Readiness::Ready, StoreState::Good);
            let server = tokio::spawn(listener.serve(AdminState { diagnostics, ..all }));
            let mut answers = Vec::new();
            for token in tokens {
                let shown =
                    token.map_or(String::new(), |token| format!("authorization: {token}\r\n"));
                let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\n{shown}\r\n");
                let client = tokio::task::spawn_blocking(move || {
                    let mut stream = net::TcpStream::connect(address).unwrap();
                    stream.write_all(request.as_bytes()).unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    answer
                });
                answers.push(client.await.unwrap());
            }
            server.abort();
            answers
        })
    }

    #[track_caller]
    fn check_debug(target: &str, token: Option<&str>, want_status: u16, want_part: &str) {
        let answer = &debug(diagnostics(Some(TOKEN)), target, &[token])[0];
        assert!(answer.starts_with(&format!("HTTP/1.1 {want_status} ")), "{answer}");
        assert!(answer.contains(want_part), "no {want_part} in {answer}");
    }

    #[test]
    fn the_evidence_is_for_those_with_the_token() {
        let right = format!("Bearer {}", TOKEN.replace(' ', "-"));
        for page in ["snapshot", "tasks", "conns", "profile", "quarantine", "none"] {
            let page = format!("/debug/{page}");
            check_debug(&page, None, 401, "Authorization: Bearer");
            check_debug(&page, Some("Bearer wrong"), 401, "www-authenticate: Bearer");
            check_debug(&page, Some(&right.replace("Bearer", "Basic")), 401, "admin token");
            let closed = &debug(diagnostics(None), &page, &[Some(&right)])[0];
            assert!(closed.starts_with("HTTP/1.1 403 "), "{closed}");
            assert!(closed.contains("ROOKERY_ADMIN_TOKEN"), "{closed}");
        }
        check_debug("/debug/snapshot", Some(&right), 200, "\"events\":[]");
        check_debug("/debug/tasks", Some(&right.replace("Bearer", "bearer")), 200, "\"core\":1");
        check_debug("/debug/none", Some(&right), 404, "no such page");
        check_debug("/debug/snapshot?n=0", Some(&right), 400, "from 1 to 1000");
        check_debug("/debug/snapshot?layer=all", Some(&right), 400, "layer is one of");
        check_debug("/debug/profile?seconds=61", Some(&right), 400, "from 1 to 60");
        check_debug("/debug/profile?type=goroutine", Some(&right), 400, "type is one of cpu, heap");
        check_debug("/debug/conns?n=101", Some(&right), 400, "from 1 to 100");
        check_debug("/debug/conns", Some(&right), 503, "draining");
    }

    #[test]
    fn what_the_evidence_says_is_not_kept_by_anybody_between() {
        check_debug("/debug/tasks", None, 401, "cache-control: no-store");
    }

    #[test]
    fn who_guesses_is_told_to_wait_and_the_right_token_is_let_in() {
        let right = format!("Bearer {}", TOKEN.replace(' ', "-"));
        let wrong = vec![Some("Bearer wrong"); TRIES_MAX as usize];
        let tries = [&wrong[..], &[Some("Bearer wrong"), None, Some(&*right)]].concat();
        let answers = debug(diagnostics(Some(TOKEN)), "/debug/tasks", &tries);
        let (first, tried) = answers.split_at(wrong.len());
        assert!(first.iter().all(|answer| answer.starts_with("HTTP/1.1 401 ")));
        assert!(tried[2].starts_with("HTTP/1.1 200 "), "{}", tried[2]);
        for answer in &tried[..2] {
            assert!(
                answer.starts_with("HTTP/1.1 429 ") && answer.contains("retry-after: "),
                "{answer}"
            );
        }
    }

    #[test]
    fn no_token_at_all_is_no_guess() {
        let right = format!("Bearer {}", TOKEN.replace(' ', "-"));
        let tries = [&[None; 20][..], &[Some(&*right)]].concat();
        let answers = debug(diagnostics(Some(TOKEN)), "/debug/tasks", &tries);
        assert!(answers[20].starts_with("HTTP/1.1 200 "), "{}", answers[20]);
    }

    #[test]
    fn one_profile_is_made_at_a_time() {
        let diagnostics = diagnostics(Some(TOKEN));
        let taken = Arc::clone(&diagnostics.profile).try_acquire_owned().unwrap();
        let right = format!("Bearer {}", TOKEN.replace(' ', "-"));
        let answer = &debug(diagnostics, "/debug/profile?seconds=1", &[Some(&right)])[0];
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
        drop(taken);
    }

    #[track_caller]
    fn check(readiness: Readiness, target: &str, want_status: u16, want_part: &str) {
        let answer =
            answer(readiness, format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {want_status} ")), "{answer}");
        assert!(answer.contains(want_part), "no {want_part} in {answer}");
    }

    #[test]
    fn pages_answer() {
        use Readiness::{Draining, Ready, Starting};
        check(Starting, "/health", 200, "alive");
        check(Draining, "/health", 200, "alive");
        check(Starting, "/ready", 503, "starting");
        check(Ready, "/ready", 200, "ready");
        check(Draining, "/ready", 503, "draining");
        check(Ready, "/metrics", 200, "text/plain; version=0.0.4");
        check(Ready, "/metrics", 200, "\nchat_core_turns_total 0\n");
        check(Ready, "/metrics?core=each", 200, "\nchat_core_turns_total{core=\"1\"} 0\n");
        check(Ready, "/metrics?core=1", 400, "core is sum or each");
        check(Ready, "/metrics?name[]=none", 400, "no metric of this server");
        check(
            Ready,
            "/metrics?name%5B%5D=chat_rooms",
            200,
            "# TYPE chat_rooms gauge\nchat_rooms 0\n",
        );
        check(Ready, "/metrics?tenant=%ff", 400, "the query");
        check(Ready, "/", 404, "no such page");
        check(Ready, "/metrics/", 404, "no such page");
    }

    #[test]
    fn a_full_store_keeps_clients_and_a_broken_one_sends_them_away() {
        #[track_caller]
        fn check(readiness: Readiness, store: StoreState, want_status: u16, want: &str) {
            let answer = answer_with(readiness, store, b"GET /ready HTTP/1.1\r\nhost: a\r\n\r\n");
            assert!(answer.starts_with(&format!("HTTP/1.1 {want_status} ")), "{answer}");
            assert_eq!(answer.split("\r\n\r\n").nth(1), Some(want));
        }
        use Readiness::{Draining, Ready, Starting};
        use StoreState::{Absent, Broken, Full, Good};
        check(Ready, Absent, 200, "ready\n");
        check(Ready, Good, 200, "ready\n");
        check(Ready, Full, 200, "ready\nthe store is full: messages are refused\n");
        check(Ready, Broken, 503, "the store is broken: nothing is kept\n");
        check(Starting, Full, 503, "starting\n");
        check(Draining, Broken, 503, "draining\n");
    }

    #[test]
    fn another_method_is_405() {
        let answer = answer(Readiness::Ready, b"POST /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }

    #[test]
    fn a_head_beyond_the_limit_is_refused() {
        let head =
            format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(LIMITS.head_bytes_max));
        let answer = answer(Readiness::Ready, head.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
        let many = "x: y\r\n".repeat(LIMITS.headers_max + 1);
        let head = format!("GET /health HTTP/1.1\r\n{many}\r\n");
        let answer = self::answer(Readiness::Ready, head.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[test]
    fn a_second_request_on_a_connection_gets_nothing() {
        let twice = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n".repeat(2);
        let answer = answer(Readiness::Ready, &twice);
        assert_eq!(answer.matches("alive").count(), 1, "{answer}");
    }

    #[test]
    fn silent_peers_do_not_keep_others_out_for_ever() {
        control().block_on(async {
            let listener = AdminListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let address = listener.address().unwrap();
            let exposition = Arc::new(Exposition::new(Threads::of_cores(vec![Cells::new()])));
            let view = view(exposition, Readiness::Ready, StoreState::Absent);
            let server = tokio::spawn(listener.serve(view));
            let mut silent = Vec::new();
            for _ in 0..CONNECTIONS_MAX {
                silent.push(TcpStream::connect(address).await.unwrap());
            }
            let client = tokio::task::spawn_blocking(move || {
                let mut stream = net::TcpStream::connect(address).unwrap();
                stream.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                answer
            });
            let answer = client.await.unwrap();
            assert!(answer.ends_with("alive\n"), "{answer}");
            server.abort();
        });
    }

    #[test]
    fn a_taken_port_is_one_sentence() {
        let taken = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let fault = control().block_on(AdminListener::bind(address)).err().unwrap().to_string();
        let want = format!("the admin address {address} is taken by another process");
        assert!(fault.starts_with(&want) && !fault.contains('\n'), "{fault}");
    }
}
