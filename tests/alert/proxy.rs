//! An HTTP proxy: it notes what it is asked, may want credentials, and leads every name to
//! one address.

#![expect(clippy::disallowed_types, reason = "threads of a test share what they note")]

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// One that runs until the test ends.
pub struct Proxy {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Leads to `there`; with `credentials` only who has them in `Proxy-Authorization`.
    pub fn start(there: &str, credentials: Option<&'static str>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (there, noted) = (there.to_owned(), Arc::clone(&heads));
        thread::spawn(move || {
            for peer in listener.incoming().flatten() {
                let (there, noted) = (there.clone(), Arc::clone(&noted));
                // Whoever leaves early is no fault of the proxy's.
                thread::spawn(move || serve(peer, &there, credentials, &noted));
            }
        });
        Proxy { address, heads }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The heads of all requests.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("nobody panics with it").clone()
    }
}

fn serve(
    mut peer: TcpStream,
    there: &str,
    credentials: Option<&str>,
    noted: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut read = Vec::new();
    let end = loop {
        let mut some = [0; 4_096];
        let count = peer.read(&mut some)?;
        if count == 0 {
            return Ok(());
        }
        read.extend_from_slice(&some[..count]);
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    noted.lock().expect("nobody panics with it").push(head.clone());
    let lower = head.to_ascii_lowercase();
    let wanted = credentials.map(|value| format!("proxy-authorization: {value}").to_lowercase());
    if wanted.is_some_and(|wanted| !lower.contains(&wanted)) {
        return peer
            .write_all(b"HTTP/1.1 407 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    let mut other = TcpStream::connect(there)?;
    if head.starts_with("CONNECT ") {
        peer.write_all(b"HTTP/1.1 200 go on\r\n\r\n")?;
        other.write_all(&read[end..])?;
    } else {
        // Only the path is for who is behind.
        let line_end = head.find("\r\n").unwrap_or(0);
        let mut words = head[..line_end].split(' ');
        let (method, url) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let path = match url.strip_prefix('/') {
            Some(path) => path,
            None => url.splitn(4, '/').nth(3).unwrap_or(""),
        };
        other.write_all(format!("{method} /{path} HTTP/1.1").as_bytes())?;
        other.write_all(&read[line_end..])?;
    }
    let (mut from, mut to) = (peer.try_clone()?, other.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut other, &mut peer);
    peer.shutdown(Shutdown::Both)
}
