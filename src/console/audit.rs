//! What operators and backends did, and what was refused: events with names that stay, for the
//! log and for whoever looks at the console.
//!
//! Invariants: a list has a bound, and the oldest gives way; what is refused stands in a list of
//! its own, and what backends do in another, so that whoever guesses, and a backend that does much,
//! push no act of an operator out of sight; no token is ever in an event.
//!
//! Deliberately absent: who writes the line of the log, and keeping events beyond a restart:
//! that is the log's.

use std::collections::VecDeque;
use std::net::IpAddr;

/// Events of each list.
pub const EVENTS_MAX: usize = 256;

/// Bytes of what an event is about; what is longer is cut.
const TARGET_BYTES_MAX: usize = 256;

/// What happened. The words stay as they are: alerts and searches are made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditAction {
    /// An operator began a session.
    SignedIn,
    /// An operator ended a session.
    SignedOut,
    /// A token or key was nobody's, or there was none.
    CredentialRefused,
    /// A request was refused that came with a session, or should have.
    RequestRefused,
    /// A user is kept out.
    UserBlocked,
    /// A user is let in again.
    UserUnblocked,
    /// The tokens of a user from before a time are kept out.
    UserTokensInvalidated,
    /// A token is kept out.
    TokenRevoked,
    /// Addresses are kept out.
    AddressBlocked,
    /// Addresses are let in again.
    AddressUnblocked,
    /// Connections of a user were closed.
    UserDisconnected,
    /// They were subscribed to a channel.
    UserSubscribed,
    /// They were unsubscribed from one.
    UserUnsubscribed,
    /// When they expire was changed.
    UserExpiryChanged,
    /// What was said in a channel was removed.
    HistoryRemoved,
    /// A message was taken back that may be somebody else's.
    MessageRetracted,
    /// Who the members of a group are was changed, whatever the role of who did it.
    GroupMemberChanged,
    /// Clients of a prefix are kept out.
    PrefixQuarantined,
    /// Clients of a prefix are let in again.
    PrefixReleased,
    /// Direct messages that were given up wait for their readers again.
    DeadLettersRequeued,
    /// Direct messages that were given up are forgotten.
    DeadLettersDropped,
    /// Messages were put into a channel, while the store was at rest.
    MessagesLoaded,
    /// A key or a token was made, or a user's token was signed.
    CredentialMade,
    /// Alerts are kept quiet for a while.
    SilenceBegun,
    /// They are not any more.
    SilenceEnded,
    /// Messages that chats refused are told again.
    AlertMessagesRetried,
    /// Messages that chats refused are forgotten.
    AlertMessagesDropped,
    /// A profile was made.
    ProfileTaken,
    /// Keys and tokens were read again.
    KeysReloaded,
    /// The server lets its clients go, and ends.
    DrainBegun,
}

impl AuditAction {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            AuditAction::SignedIn => "operator.signed_in",
            AuditAction::SignedOut => "operator.signed_out",
            AuditAction::CredentialRefused => "credential.refused",
            AuditAction::RequestRefused => "request.refused",
            AuditAction::UserBlocked => "user.blocked",
            AuditAction::UserUnblocked => "user.unblocked",
            AuditAction::UserTokensInvalidated => "user.tokens_invalidated",
            AuditAction::TokenRevoked => "token.revoked",
            AuditAction::AddressBlocked => "address.blocked",
            AuditAction::AddressUnblocked => "address.unblocked",
            AuditAction::UserDisconnected => "user.disconnected",
            AuditAction::UserSubscribed => "user.subscribed",
            AuditAction::UserUnsubscribed => "user.unsubscribed",
            AuditAction::UserExpiryChanged => "user.expiry_changed",
            AuditAction::HistoryRemoved => "channel.history_removed",
            AuditAction::MessageRetracted => "message.retracted",
            AuditAction::GroupMemberChanged => "group.member_changed",
            AuditAction::PrefixQuarantined => "prefix.quarantined",
            AuditAction::PrefixReleased => "prefix.released",
            AuditAction::DeadLettersRequeued => "dead_letters.requeued",
            AuditAction::DeadLettersDropped => "dead_letters.dropped",
            AuditAction::MessagesLoaded => "messages.loaded",
            AuditAction::CredentialMade => "credential.made",
            AuditAction::SilenceBegun => "silence.begun",
            AuditAction::SilenceEnded => "silence.ended",
            AuditAction::AlertMessagesRetried => "alert_messages.retried",
            AuditAction::AlertMessagesDropped => "alert_messages.dropped",
            AuditAction::ProfileTaken => "profile.taken",
            AuditAction::KeysReloaded => "keys.reloaded",
            AuditAction::DrainBegun => "drain.begun",
        }
    }

    /// Whether somebody was sent away, and nothing was done.
    pub fn is_refusal(self) -> bool {
        match self {
            AuditAction::CredentialRefused | AuditAction::RequestRefused => true,
            AuditAction::SignedIn
            | AuditAction::SignedOut
            | AuditAction::UserBlocked
            | AuditAction::UserUnblocked
            | AuditAction::UserTokensInvalidated
            | AuditAction::TokenRevoked
            | AuditAction::AddressBlocked
            | AuditAction::AddressUnblocked
            | AuditAction::UserDisconnected
            | AuditAction::UserSubscribed
            | AuditAction::UserUnsubscribed
            | AuditAction::UserExpiryChanged
            | AuditAction::HistoryRemoved
            | AuditAction::MessageRetracted
            | AuditAction::GroupMemberChanged
            | AuditAction::PrefixQuarantined
            | AuditAction::PrefixReleased
            | AuditAction::DeadLettersRequeued
            | AuditAction::DeadLettersDropped
            | AuditAction::MessagesLoaded
            | AuditAction::CredentialMade
            | AuditAction::SilenceBegun
            | AuditAction::SilenceEnded
            | AuditAction::AlertMessagesRetried
            | AuditAction::AlertMessagesDropped
            | AuditAction::ProfileTaken
            | AuditAction::KeysReloaded
            | AuditAction::DrainBegun => false,
        }
    }
}

/// By which way somebody came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditVia {
    /// A page of the console.
    Console,
    /// A request for `/debug`.
    Debug,
    /// A call of the server API.
    Api,
    /// A signal to the process.
    Signal,
    /// A command, which is a process of its own: the server does not hear of it.
    Command,
}

impl AuditVia {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            AuditVia::Console => "console",
            AuditVia::Debug => "debug",
            AuditVia::Api => "api",
            AuditVia::Signal => "signal",
            AuditVia::Command => "command",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was not, for this reason, which is a word of ours.
    Refused(&'static str),
    /// It could not be done, for this reason, or nobody knows.
    Failed(&'static str),
}

impl AuditOutcome {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            AuditOutcome::Done => "done",
            AuditOutcome::Refused(_) => "refused",
            AuditOutcome::Failed(_) => "failed",
        }
    }

    /// Its reason; empty for none.
    pub fn reason(self) -> &'static str {
        match self {
            AuditOutcome::Done => "",
            AuditOutcome::Refused(reason) | AuditOutcome::Failed(reason) => reason,
        }
    }
}

/// Something that somebody did, or tried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// When, Unix ms.
    pub unix_ms: u64,
    /// What.
    pub action: AuditAction,
    /// Who: an operator's name, or a key's. Empty where nobody knows.
    pub actor: Box<str>,
    /// By which way.
    pub via: AuditVia,
    /// From where; none for signals.
    pub from: Option<IpAddr>,
    /// Whom or what it is about; empty for the server as a whole.
    pub target: Box<str>,
    /// What came of it.
    pub outcome: AuditOutcome,
}

impl AuditEvent {
    /// What it is about, as far as it is shown.
    pub fn short_target(&self) -> &str {
        &self.target[..self.target.floor_char_boundary(TARGET_BYTES_MAX)]
    }
}

/// The last events, newest last.
#[derive(Debug, Default)]
pub struct AuditTrail {
    acts: VecDeque<AuditEvent>,
    calls: VecDeque<AuditEvent>,
    refusals: VecDeque<AuditEvent>,
}

impl AuditTrail {
    /// Keeps an event.
    pub fn keep(&mut self, mut event: AuditEvent) {
        if event.short_target().len() < event.target.len() {
            event.target = event.short_target().into();
        }
        let list = if event.action.is_refusal() {
            &mut self.refusals
        } else {
            match event.via {
                AuditVia::Api => &mut self.calls,
                AuditVia::Console | AuditVia::Debug | AuditVia::Signal | AuditVia::Command => {
                    &mut self.acts
                }
            }
        };
        if list.len() == EVENTS_MAX {
            list.pop_front();
        }
        list.push_back(event);
    }

    /// What backends did, newest first.
    pub fn calls(&self) -> impl Iterator<Item = &AuditEvent> {
        self.calls.iter().rev()
    }

    /// What operators did, newest first.
    pub fn acts(&self) -> impl Iterator<Item = &AuditEvent> {
        self.acts.iter().rev()
    }

    /// Who was sent away, newest first.
    pub fn refusals(&self) -> impl Iterator<Item = &AuditEvent> {
        self.refusals.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(unix_ms: u64, action: AuditAction) -> AuditEvent {
        AuditEvent {
            unix_ms,
            action,
            actor: "ann".into(),
            via: AuditVia::Console,
            from: None,
            target: "".into(),
            outcome: AuditOutcome::Done,
        }
    }

    fn times<'e>(events: impl Iterator<Item = &'e AuditEvent>) -> Vec<u64> {
        events.map(|event| event.unix_ms).collect()
    }

    #[test]
    fn who_guesses_and_a_busy_backend_push_no_act_out_of_sight() {
        let mut trail = AuditTrail::default();
        trail.keep(event(1, AuditAction::UserBlocked));
        trail.keep(event(2, AuditAction::DrainBegun));
        for at in 0..2 * EVENTS_MAX as u64 {
            trail.keep(event(10 + at, AuditAction::CredentialRefused));
            trail.keep(event(10 + at, AuditAction::RequestRefused));
            trail.keep(AuditEvent {
                via: AuditVia::Api,
                ..event(10 + at, AuditAction::UserDisconnected)
            });
        }
        let calls = times(trail.calls());
        assert_eq!((calls.len(), calls[0]), (EVENTS_MAX, 9 + 2 * EVENTS_MAX as u64));
        assert_eq!(times(trail.acts()), [2, 1]);
        let refused = times(trail.refusals());
        assert_eq!(refused.len(), EVENTS_MAX);
        assert!(refused.is_sorted_by(|newer, older| older <= newer));
        assert_eq!(refused[0], 9 + 2 * EVENTS_MAX as u64);
    }

    #[test]
    fn the_oldest_act_gives_way() {
        let mut trail = AuditTrail::default();
        for at in 0..=EVENTS_MAX as u64 {
            trail.keep(event(at, AuditAction::SignedIn));
        }
        let acts = times(trail.acts());
        assert_eq!((acts.len(), acts[0], acts[EVENTS_MAX - 1]), (EVENTS_MAX, 256, 1));
    }

    #[test]
    fn what_an_event_is_about_has_a_bound_and_stays_text() {
        let mut trail = AuditTrail::default();
        let long = "é".repeat(TARGET_BYTES_MAX);
        let odd = format!("x{long}");
        for target in [&*long, &*odd, "short"] {
            trail.keep(AuditEvent { target: target.into(), ..event(1, AuditAction::UserBlocked) });
        }
        let lengths: Vec<usize> = trail.acts().map(|event| event.target.len()).collect();
        assert_eq!(lengths, [5, TARGET_BYTES_MAX - 1, TARGET_BYTES_MAX]);
    }
}
