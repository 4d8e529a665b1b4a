//! What backends ask of the connections of users: a pass through all connections, a part in
//! each turn, looks for those of many users at once.
//!
//! There is no index by user: it would cost each connection memory for what is asked seldom.
//!
//! Invariants: a turn looks at so many slots and does so much, however many connections there
//! are and whatever is asked of them; a connection that was there when a question came, and
//! stays, is asked once, and what is asked of the same user in the order of its coming.
//!
//! Deliberately absent: how many questions may be under way: the control thread bounds them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::block_pass::AddressOf;
use super::conn::{ConnStage, Connection};
use super::connection_page::{ConnectionPage, KnownConnection};
use super::connections::Cursor;
use super::server_questions::{CoresReply, UserConnection, UserOp, UserQuestion};
use super::sessions::Sessions;
use super::turn_context::TurnContext;
use crate::auth::channel_matches;
use crate::base::ConnId;
use crate::base::limits::API_CONNECTION_CHANNELS_MAX;
use crate::session::{Fault, PeerIdentity, ServerAct, Session};

/// Slots that one turn looks at: below 1 ms also without optimisation, and a million
/// connections in 250 turns.
const SCAN_SLOTS: u32 = 4_096;

/// What one turn does for questions: 1 for a connection, and 1 for each of its channels, which
/// it may leave.
const SCAN_WORK: usize = 256;

/// What one turn's work counts for that looks at the channels of a connection: comparing a pattern
/// with a name takes at most the product of their lengths, of which so much is 1.
const COMPARED_BYTES: usize = 64;

/// Of the channels of one connection no more are compared than this counts for.
const COMPARED_MAX: usize = 4_096;

/// Asking the kernel where a peer is.
const ADDRESS_WORK: usize = 4;

/// Questions that one pass looks for; others wait for the next.
const PASS_QUESTIONS_MAX: usize = 256;

/// The questions of backends about users.
#[derive(Debug, Default)]
pub struct UserScan {
    running: Option<Pass>,
    /// Oldest first.
    waiting: VecDeque<(u32, Arc<UserQuestion>)>,
}

/// One pass through all connections.
#[derive(Debug)]
struct Pass {
    cursor: Cursor,
    /// By user, those of one in the order of their coming.
    questions: Vec<OpenQuestion>,
}

#[derive(Debug)]
struct OpenQuestion {
    id: u32,
    question: Arc<UserQuestion>,
    reply: CoresReply,
}

impl UserScan {
    /// Whether nothing is asked.
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// A question comes; it is answered under this id.
    pub fn ask(&mut self, id: u32, question: Arc<UserQuestion>) {
        self.waiting.push_back((id, question));
    }

    /// Goes through the next few connections. Returns answers where the pass has ended.
    pub fn step(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        address_of: &mut AddressOf<'_>,
    ) -> Vec<(u32, CoresReply)> {
        let mut pass = self.running.take().unwrap_or_else(|| {
            let count = self.waiting.len().min(PASS_QUESTIONS_MAX);
            Pass::begin(self.waiting.drain(..count))
        });
        if pass.step(sessions, cx, address_of) {
            return pass.questions.into_iter().map(|one| (one.id, one.reply)).collect();
        }
        self.running = Some(pass);
        Vec::new()
    }
}

impl Pass {
    fn begin(questions: impl Iterator<Item = (u32, Arc<UserQuestion>)>) -> Pass {
        let open = |(id, question): (u32, Arc<UserQuestion>)| {
            let reply = match question.op {
                UserOp::List => CoresReply::Connections(Vec::new()),
                UserOp::Page(ref page) => {
                    CoresReply::ConnectionPage(ConnectionPage::new(page.connections_max))
                }
                UserOp::Close { .. }
                | UserOp::Subscribe { .. }
                | UserOp::Unsubscribe { .. }
                | UserOp::ExpireAt(_) => CoresReply::Done,
            };
            OpenQuestion { id, question, reply }
        };
        let mut questions: Vec<OpenQuestion> = questions.map(open).collect();
        questions.sort_by(|one, other| one.user().cmp(&other.user()));
        Pass { cursor: Cursor::default(), questions }
    }

    /// Whether it has seen all connections.
    fn step(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        address_of: &mut AddressOf<'_>,
    ) -> bool {
        let end = sessions.connections().end_of_step(self.cursor, SCAN_SLOTS);
        let mut work_left = SCAN_WORK;
        while 0 < work_left {
            let next = sessions.connections().next(&mut self.cursor, end);
            let Some((id, conn)) = next else { return sessions.connections().span() <= end };
            let (asked, work) = self.asked_of(conn);
            for index in asked {
                let more = self.questions[index].ask(sessions, cx, id, address_of);
                work_left = work_left.saturating_sub(work + more);
            }
        }
        false
    }

    /// The questions that concern this connection, and what one of them may cost.
    fn asked_of(&self, conn: &Connection) -> (Range<usize>, usize) {
        let nothing = (0..0, 0);
        let ConnStage::Open(_, session) = conn.stage() else { return nothing };
        let Some(PeerIdentity { tenant, user, .. }) = session.who() else { return nothing };
        let who = (tenant, user);
        let begin = self.questions.partition_point(|one| one.user() < who);
        let count = self.questions[begin..].partition_point(|one| one.user() == who);
        (begin..begin + count, 1 + session.channels_count())
    }
}

impl OpenQuestion {
    fn user(&self) -> (&str, &str) {
        (&self.question.tenant, &self.question.user)
    }

    /// Asks a connection of the user; an earlier question may have ended it. Returns what that cost
    /// beside what it may cost anyway.
    fn ask(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        address_of: &mut AddressOf<'_>,
    ) -> usize {
        let Some(conn) = sessions.connections().get(id) else { return 0 };
        let ConnStage::Open(_, session) = conn.stage() else { return 0 };
        let Some(PeerIdentity { client, agent, .. }) = session.who() else { return 0 };
        if self.question.client.is_some_and(|only| only != client) {
            return 0;
        }
        let question = Arc::clone(&self.question);
        match &question.op {
            UserOp::List => {
                let encoding = conn.send().encoding();
                let found = UserConnection { client, agent, encoding };
                let list = CoresReply::Connections(vec![found]);
                self.reply = std::mem::replace(&mut self.reply, CoresReply::Done).joined(list);
            }
            UserOp::Page(page) => {
                if let CoresReply::ConnectionPage(found) = &mut self.reply
                    && page.after.is_none_or(|after| after < client)
                    && found.takes(client)
                {
                    let (channels, work) = channels_of(sessions, session, &page.covered);
                    found.add(KnownConnection {
                        client,
                        agent,
                        encoding: conn.send().encoding(),
                        address: address_of(id),
                        age_ms: session.age_ms(cx.now.tick, &sessions.options().session),
                        channels,
                        channels_count: session.channels_count(),
                    });
                    return work + ADDRESS_WORK;
                }
            }
            UserOp::Close { kept, .. } if kept.contains(&client) => (),
            UserOp::Close { code, reason, .. } => {
                sessions.end_with(cx, id, Fault::ByBackend(*code), reason);
            }
            UserOp::Subscribe { room, channel_key, chan_info } => {
                let (room, chan_info) = (*room, chan_info.as_ref());
                let act = ServerAct::Subscribe { room, channel_key, chan_info };
                self.act(sessions, cx, id, act);
            }
            UserOp::Unsubscribe { room, channel } => {
                self.act(sessions, cx, id, ServerAct::Unsubscribe { room: *room, channel });
            }
            UserOp::ExpireAt(end) => self.act(sessions, cx, id, ServerAct::ExpireAt(*end)),
        }
        0
    }

    /// Changes something of a connection.
    fn act(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        act: ServerAct<'_>,
    ) {
        let done =
            sessions.with_session(cx, id, |session, cx, out| session.on_server_act(cx, act, out));
        // It may expire before its timer fires.
        sessions.set_next_timer(cx.now, id);
        if done.is_some_and(|done| done.is_err()) {
            self.reply = CoresReply::LimitExceeded;
        }
    }
}

/// Some of the channels of a connection that fit one of these patterns, by name, and what it cost
/// to find them.
fn channels_of(
    sessions: &Sessions,
    session: &Session,
    covered: &[Box<str>],
) -> (Vec<Arc<str>>, usize) {
    let patterns_bytes: usize = covered.iter().map(|pattern| pattern.len()).sum();
    let (mut found, mut work) = (Vec::new(), 0);
    for (_, place) in session.subscriber_slots() {
        if COMPARED_MAX <= work || API_CONNECTION_CHANNELS_MAX <= found.len() {
            break;
        }
        let Some(channel) = sessions.fanout().channels().at(place.channel) else { continue };
        work += 1 + patterns_bytes * channel.name.len() / COMPARED_BYTES;
        if covered.iter().any(|pattern| channel_matches(pattern, &channel.name)) {
            found.push(Arc::clone(&channel.name));
        }
    }
    found.sort_unstable();
    (found, work)
}
