//! What the operator is told in the log.
//!
//! Deliberately absent: tokens, and words of strangers.

use crate::alert::core::Trouble;
use crate::alert::core::answer::Answer;

pub(super) fn tell(trouble: &Trouble) {
    match trouble {
        Trouble::Robot { robot, answer, pause_ms } => match answer {
            Answer::Stranger(_) | Answer::Refused(_) => {
                tracing::error!("robot {robot}: {answer}; next try in {pause_ms} ms");
            }
            Answer::Delivered
            | Answer::TooOften(_)
            | Answer::TooLong(_)
            | Answer::Busy(_)
            | Answer::Unreachable
            | Answer::Doubtful => {
                tracing::warn!("robot {robot}: {answer}; next try in {pause_ms} ms");
            }
        },
        Trouble::Refused { chat, code, id } => {
            tracing::error!("{chat} refused an alert ({code}); it is put aside as number {id}");
        }
        Trouble::Template(fault) => tracing::error!("{fault}; the message was plain"),
        Trouble::GivenUp { chat, count, why } => {
            tracing::error!("{count} alerts for {chat} were given up: {why}");
        }
        Trouble::Route => {
            tracing::warn!("a notification for a route that does not exist took the default one");
        }
        Trouble::SameRole => tracing::error!(
            "peer.first is the same in both bridges; the one that has run for longer is taken for \
             the first one"
        ),
        Trouble::TurnPassed(chats) => tracing::error!(
            "no robot of {} takes anything from here; the other bridge tells what waits",
            chats.join(", ")
        ),
        Trouble::Silent => tracing::error!("the watchdog is not heard"),
    }
}
