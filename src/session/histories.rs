//! What was said in several channels, asked at once: each is asked as by a command of its own,
//! and answers for itself.
//!
//! Deliberately absent: the answers that have come so far (`pending_histories`), and what all
//! of it costs (`machine`).

use super::command_order::is_channel_deferred;
use super::command_out::CommandOut;
use super::peer_permissions::CommandResult;
use super::pending_histories::{PendingHistory, TakenPage};
use super::presence::history_page;
use super::quota::Quota;
use super::state::SessionState;
use super::subscribing::Membership;
use super::{CommandError, Context, SessionOutput};
use crate::base::RoomId;
use crate::base::limits::HISTORY_ANSWER_MAX;
use crate::room::{HistoryQuery, RoomOp, RoomReply};
use crate::store::ReadOrder;
use crate::wire::chat::{ChannelSince, ChatRequest, Method};
use crate::wire::{Answer, ErrorCode, Position};

/// Serves `chat.history` with its data.
pub(super) fn serve(
    cx: &Context<'_>,
    membership: &mut Membership<'_>,
    data: &[u8],
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let ChatRequest::History { channels, limit, reverse } = Method::History.read(data)? else {
        unreachable!("a method is read as itself");
    };
    // A question that waits for no answer is none.
    if reply.id() == 0 {
        return Ok(());
    }
    if membership.permissions().peer().has_full_histories() {
        return Err(ErrorCode::TooManyRequests.into());
    }
    let share = HISTORY_ANSWER_MAX / (channels.len() as u32).max(1);
    let order = if reverse { ReadOrder::NewestFirst } else { ReadOrder::OldestFirst };
    let of_all = HistoryQuery { limit: limit.min(share), since: None, order };
    let mut pending = PendingHistory::new(reply.id());
    for ChannelSince { channel, since } in &channels {
        let since = since.as_ref().map(|(offset, epoch)| Position::read(*offset, epoch));
        let query = HistoryQuery { since, ..of_all };
        match history_page(cx, membership.permissions(), channel, query, reply.user()) {
            Ok((room, page)) => {
                pending.asks(channel, room);
                reply.send_request(room, RoomOp::History(Box::new(page)));
            }
            Err(refusal) => pending.refuses(channel, code(cx, membership, channel, refusal)),
        }
    }
    if pending.is_asked() {
        membership.peer_mut().histories_mut().push(pending);
    } else {
        reply.answer(Answer::Rpc { data: &pending.answer().0 });
    }
    Ok(())
}

/// An answer that is a page of a history of several channels is taken for that; any other
/// comes back.
pub(super) fn take_page(
    cx: &Context<'_>,
    state: &mut SessionState,
    quota: &mut Quota,
    (room, id): (RoomId, u32),
    answer: RoomReply,
    out: &mut SessionOutput,
) -> Option<RoomReply> {
    let SessionState::Ready(peer) = state else { return Some(answer) };
    match peer.take_page(room, id, answer) {
        TakenPage::Foreign(answer) => return Some(answer),
        TakenPage::Incomplete => {}
        TakenPage::Complete(data, dropped_bytes) => {
            // What was read and has no place is paid for, too.
            quota.on_answer(cx.now.tick, cx.options, dropped_bytes);
            out.answer(id, Answer::Rpc { data: &data });
        }
    }
    None
}

/// Why a channel is not read. Behind a subscribe that was put off, what is not allowed is put
/// off, too.
fn code(
    cx: &Context<'_>,
    membership: &Membership<'_>,
    channel: &str,
    refusal: CommandError,
) -> ErrorCode {
    let code = refusal.code();
    let is_denied = code == ErrorCode::PermissionDenied;
    if is_denied && is_channel_deferred(cx, membership.permissions(), channel) {
        ErrorCode::TooManyRequests
    } else {
        code
    }
}
