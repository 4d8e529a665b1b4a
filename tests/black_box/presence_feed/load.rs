//! People who come and go while a server is killed under them, and who know at the end who is there.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;

use crate::common::{Opcode, masked, token, until, upgrade_request};

const THREADS: u32 = 4;

/// Users of one thread: nobody is two threads'.
const USERS: u32 = 10;

/// So many arrivals are of the life of the server that is now, whatever was under way before.
const ARRIVALS: u32 = 10 * THREADS;

/// The life of a server after which people come no more.
const OVER: u32 = u32::MAX;

/// People, until they are asked who of them is there.
pub struct Load {
    /// Which life of the server it is.
    life: Arc<AtomicU32>,
    /// How often somebody has come.
    arrivals: Arc<AtomicU32>,
    threads: Vec<JoinHandle<Vec<Here>>>,
}

/// Somebody who is there. It ends with the value.
pub struct Here {
    user: String,
    channel: String,
    _stream: TcpStream,
}

impl Load {
    /// They begin at once.
    pub fn start(address: SocketAddr) -> Load {
        let (life, arrivals) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let come_and_go = |number| {
            let (life, arrivals) = (Arc::clone(&life), Arc::clone(&arrivals));
            let people = People { number, address, arrivals, here: BTreeMap::new() };
            thread::spawn(move || people.live(&life))
        };
        let threads = (0..THREADS).map(come_and_go).collect();
        Load { life, arrivals, threads }
    }

    /// The server is dead, and so are all connections to it.
    pub fn server_died(&self) {
        self.life.fetch_add(1, SeqCst);
    }

    /// Waits until people come.
    #[track_caller]
    pub fn wait_for_arrivals(&self) {
        let before = self.arrivals.load(SeqCst);
        let have_come = || (before + ARRIVALS <= self.arrivals.load(SeqCst)).then_some(());
        assert!(until(have_come).is_some(), "nobody comes");
    }

    /// They stay as they are.
    pub fn stop(self) -> Vec<Here> {
        self.life.store(OVER, SeqCst);
        self.threads.into_iter().flat_map(|thread| thread.join().expect("it ends well")).collect()
    }
}

/// By user the channels, as a backend should know them.
pub fn table_of(here: &[Here]) -> BTreeMap<String, Vec<String>> {
    let mut table: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Here { user, channel, .. } in here {
        table.entry(user.clone()).or_default().push(channel.clone());
    }
    for channels in table.values_mut() {
        channels.sort();
        channels.dedup();
    }
    table
}

/// Those of one thread.
struct People {
    number: u32,
    address: SocketAddr,
    /// Of all threads.
    arrivals: Arc<AtomicU32>,
    /// By connection; a user may have two.
    here: BTreeMap<u32, Here>,
}

impl People {
    fn live(mut self, life: &AtomicU32) -> Vec<Here> {
        let (mut known, mut step) = (0, 0u32);
        loop {
            let now = life.load(SeqCst);
            if now == OVER {
                return self.here.into_values().collect();
            }
            if now != known {
                self.here.clear();
                known = now;
            }
            step += 1;
            let which = step.wrapping_mul(7).wrapping_add(step / 5) % (2 * USERS);
            if self.here.remove(&which).is_none() {
                match self.come(which, step) {
                    Some(here) => {
                        self.here.insert(which, here);
                        self.arrivals.fetch_add(1, SeqCst);
                    }
                    // It is dead, or was when this one came.
                    None => thread::sleep(Duration::from_millis(5)),
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Somebody connects and is in a channel.
    fn come(&self, which: u32, step: u32) -> Option<Here> {
        let user = format!("user{}", self.number * USERS + which % USERS);
        let channel = format!("told:{}", step % 7);
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let connect = json!({ "id": 1, "connect": { "token": token(json!({ "sub": user })) } });
        let subscribe = json!({ "id": 2, "subscribe": { "channel": channel } });
        stream.write_all(upgrade_request("/connection/websocket").as_bytes()).ok()?;
        read_until(&mut stream, b"\r\n\r\n")?;
        for command in [connect, subscribe] {
            stream.write_all(&masked(Opcode::TEXT, command.to_string().as_bytes())).ok()?;
        }
        read_until(&mut stream, b"\"id\":2")?;
        Some(Here { user, channel, _stream: stream })
    }
}

fn read_until(stream: &mut TcpStream, end: &[u8]) -> Option<()> {
    let (mut seen, mut part) = (Vec::new(), [0; 4_096]);
    while !seen.windows(end.len()).any(|some| some == end) {
        match stream.read(&mut part).ok()? {
            0 => return None,
            count => seen.extend_from_slice(&part[..count]),
        }
    }
    Some(())
}
