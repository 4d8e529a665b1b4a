//! The upgrade of a connection: who is let in, and who is answered in HTTP.
//!
//! Deliberately absent: what is in a head (`ws`), and what an upgraded connection says.

use super::conn::{CloseHandshake, ConnStage, Connection};
use super::observe::reject_reason;
use super::sessions::Sessions;
use super::turn_context::{DrainStatus, TurnContext};
use crate::base::ConnId;
use crate::hook::HookHeaders;
use crate::metrics::Agent;
use crate::session::CorePace;
use crate::wire::Encoding;
use crate::ws::UpgradeError;

/// What a refused client is told to wait.
pub const RETRY_AFTER_S: u32 = 10;

/// A socket came.
pub fn on_accepted(sessions: &mut Sessions, cx: &mut TurnContext<'_>, id: ConnId) {
    sessions.connections_mut().accept(cx.now.tick, id);
    let (connections, options) = (sessions.connections(), sessions.options());
    let has_room = connections.len() <= options.connections_max as usize
        && connections.upgrading_count() <= options.handshakes_max;
    let retry_after_s = RETRY_AFTER_S;
    if cx.drain_status == DrainStatus::Draining {
        refuse(sessions, cx, id, UpgradeError::Draining { retry_after_s });
    } else if !has_room {
        refuse(sessions, cx, id, UpgradeError::NoRoom { retry_after_s });
    } else if sessions.env().pace() == CorePace::FarBehind {
        refuse(sessions, cx, id, UpgradeError::Late { retry_after_s });
    } else {
        let deadline = cx.now.tick.plus_ms(options.session.upgrade_ms_max);
        sessions.connections_mut().wake(cx.now.tick, id, deadline);
    }
}

/// The head of a connection was right: a session begins.
pub fn open(
    sessions: &mut Sessions,
    cx: &mut TurnContext<'_>,
    id: ConnId,
    encoding: Encoding,
    agent: Agent,
    ping_s: Option<u32>,
) {
    let session = sessions.env_mut().open(cx.now, id, agent, ping_s);
    let conn = sessions.connections_mut().get_mut(id).expect("its head was just read");
    let since = match conn.stage() {
        ConnStage::Upgrading(upgrading) => upgrading.since,
        ConnStage::Open(..) | ConnStage::Closing(_) | ConnStage::Shut => cx.now.tick,
    };
    conn.open(encoding, session);
    sessions.end_upgrade(cx, since, Ok(()));
    sessions.connections_mut().opened(encoding);
    sessions.set_next_timer(cx.now, id);
}

/// Keeps the headers of an upgrade that hooks get, where there are some.
pub fn keep_headers(sessions: &mut Sessions, id: ConnId, headers: HookHeaders) {
    let conn = sessions.connections_mut().get_mut(id).filter(|_| !headers.0.is_empty());
    if let Some(ConnStage::Open(_, session)) = conn.map(Connection::stage_mut) {
        session.keep_headers(headers);
    }
}

/// Answers in HTTP, and ends the connection behind the answer.
pub fn refuse(sessions: &mut Sessions, cx: &TurnContext<'_>, id: ConnId, refusal: UpgradeError) {
    let deadline = cx.now.tick.plus_ms(sessions.options().session.close_ms_max);
    let Some(conn) = sessions.connections_mut().get_mut(id) else { return };
    let since = match conn.stage() {
        ConnStage::Upgrading(upgrading) => upgrading.since,
        ConnStage::Open(..) | ConnStage::Closing(_) | ConnStage::Shut => return,
    };
    conn.begin_closing(deadline, Some(CloseHandshake::Done));
    sessions.end_upgrade(cx, since, Err(reject_reason(refusal)));
    sessions.connections_mut().wake(cx.now.tick, id, deadline);
    sessions.push_control(id, refusal.response().into());
}
