//! What the answers of an application's backend mean for the session that has asked.
//!
//! Deliberately absent: when a backend is asked (`commands`), and what it was asked
//! (`hook_ask`).

use super::{Effect, SessionOutput};
use crate::hook::{HookReply, HookResult};
use crate::wire::{Answer, ErrorCode};

/// A method of the application was called by command `id`.
pub(super) fn on_rpc(id: u32, reply: HookReply, out: &mut SessionOutput) {
    if let HookReply::Result(HookResult::Rpc(data)) = &reply {
        out.answer(id, Answer::Rpc { data });
    } else {
        refuse(id, reply, out);
    }
}

/// Refuses command `id`: because the backend says so, or because it did not answer.
pub(super) fn refuse(id: u32, reply: HookReply, out: &mut SessionOutput) {
    match reply {
        HookReply::Error(error) => out.answer(id, Answer::BackendError(&error)),
        HookReply::Disconnect(disconnect) => out.effect(Effect::Disconnect(disconnect)),
        HookReply::Busy => out.refuse(id, ErrorCode::TooManyRequests),
        HookReply::Failed | HookReply::Result(_) => out.refuse(id, ErrorCode::Internal),
    }
}
