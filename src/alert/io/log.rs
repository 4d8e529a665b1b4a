//! Logs warnings for the operator.
//!
//! Deliberately absent: tokens, and texts of strangers.

use crate::alert::core::BridgeWarning;
use crate::alert::core::answer::SendOutcome;

pub(super) fn log_warning(warning: &BridgeWarning) {
    match warning {
        BridgeWarning::Robot { robot, answer, pause_ms } => match answer {
            SendOutcome::Stranger(_) | SendOutcome::Refused(_) => {
                tracing::error!("robot {robot}: {answer}; next try in {pause_ms} ms");
            }
            SendOutcome::Delivered
            | SendOutcome::TooOften(_)
            | SendOutcome::TooLong(_)
            | SendOutcome::Busy(_)
            | SendOutcome::Unreachable
            | SendOutcome::Unconfirmed => {
                tracing::warn!("robot {robot}: {answer}; next try in {pause_ms} ms");
            }
        },
        BridgeWarning::Refused { chat, code, id } => {
            tracing::error!("{chat} refused an alert ({code}); it is put aside as number {id}");
        }
        BridgeWarning::Template(fault) => tracing::error!("{fault}; the message was plain"),
        BridgeWarning::GivenUp { chat, count, why } => {
            tracing::error!("{count} alerts for {chat} were given up: {why}");
        }
        BridgeWarning::Route => {
            tracing::warn!("a notification for a route that does not exist took the default one");
        }
        BridgeWarning::SameRole => tracing::error!(
            "peer.first is the same in both bridges; the one that has run for longer is taken for \
             the first one"
        ),
        BridgeWarning::TurnPassed(chats) => tracing::error!(
            "no robot of {} takes anything from here; the other bridge tells what waits",
            chats.join(", ")
        ),
        BridgeWarning::Silent => tracing::error!("the watchdog is not heard"),
    }
}
