//! What an operator does, out of the body of a request: a closed list, each with its own fields.
//!
//! | `act` | fields |
//! |---|---|
//! | `block_user`, `unblock_user` | `tenant`, `user`; `seconds` (none: for good) |
//! | `block_address`, `unblock_address` | `address`, or a range; `seconds` |
//! | `disconnect_user` | `tenant`, `user` |
//! | `quarantine`, `release` | `prefix`; `seconds` (none: the configured time) |
//! | `requeue_dead_letters` | `tenant`, `channel`; `offset` (none: all of the conversation, up to 100); `seconds` (none: as long as the namespace lets messages wait) |
//! | `drop_dead_letters` | `tenant`, `channel`; `offset` |
//! | `drain` | `instance`, the name of this server, so that nobody drains another one |
//!
//! Invariant: nothing of a body is in the error that refuses it but the name of a field.
//!
//! Deliberately absent: doing it.

use serde::Deserialize;

use super::audit::AuditAction;
use crate::base::limits::NAME_BYTES_MAX;
use crate::blocks::{AddressRange, BlockChange, BlockTarget, BlockTerms};

/// The longest time of a block that ends.
const BLOCK_S_MAX: u64 = 366 * 86_400;

/// The longest quarantine.
const QUARANTINE_S_MAX: u64 = 86_400;

/// The longest time that is asked for dead letters to wait; a namespace may have less.
const LETTER_TTL_S_MAX: u64 = 366 * 86_400;

/// Bytes of a prefix: three parts, of which each byte may be written with three.
const PREFIX_BYTES_MAX: usize = 256;

/// What an operator wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorAct {
    /// To keep somebody out, or to let them in again.
    Block(BlockChange),
    /// To close a user's connections.
    DisconnectUser {
        /// The tenant that the user is of; empty for the only one.
        tenant: Box<str>,
        /// The user.
        user: Box<str>,
    },
    /// To keep clients of a prefix out.
    Quarantine {
        /// The prefix, as it was written.
        prefix: Box<str>,
        /// For how long; the configured time for none.
        hold_ms: Option<u64>,
    },
    /// To let them in again.
    Release {
        /// The prefix, as it was written.
        prefix: Box<str>,
    },
    /// To let dead letters wait for their readers again.
    RequeueDeadLetters {
        /// Which.
        letters: NamedLetters,
        /// For so long, in s; `None` for as long as they may.
        ttl_s: Option<u64>,
    },
    /// To forget dead letters.
    DropDeadLetters(NamedLetters),
    /// To let all clients go, and to end.
    Drain,
}

/// Dead letters of one conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLetters {
    /// The tenant whose conversation it is; empty for the only one.
    pub tenant: Box<str>,
    /// The conversation.
    pub channel: Box<str>,
    /// The one with this offset alone; `None` for all.
    pub offset: Option<u64>,
}

/// Why a body is no act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActError {
    /// It is no JSON object with fields that are known.
    Body,
    /// There is no such act.
    Unknown,
    /// This field is missing, or out of its range, or means nothing for this act.
    Field(&'static str),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ActBody {
    act: String,
    tenant: Option<String>,
    user: Option<String>,
    channel: Option<String>,
    offset: Option<u64>,
    address: Option<String>,
    prefix: Option<String>,
    instance: Option<String>,
    seconds: Option<u64>,
}

impl OperatorAct {
    /// Out of a body, at this time, for the server of this name.
    pub fn parse(body: &[u8], instance: &str, now_unix_s: u64) -> Result<OperatorAct, ActError> {
        // An array would do for a struct, too: its fields in order, which nobody shall rely on.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(ActError::Body);
        }
        let mut body: ActBody = serde_json::from_slice(body).map_err(|_| ActError::Body)?;
        let name = std::mem::take(&mut body.act);
        let act = match &*name {
            "block_user" => OperatorAct::Block(BlockChange {
                target: body.take_user_target()?,
                terms: Some(body.take_terms(now_unix_s)?),
            }),
            "unblock_user" => {
                OperatorAct::Block(BlockChange { target: body.take_user_target()?, terms: None })
            }
            "block_address" => OperatorAct::Block(BlockChange {
                target: body.take_address()?,
                terms: Some(body.take_terms(now_unix_s)?),
            }),
            "unblock_address" => {
                OperatorAct::Block(BlockChange { target: body.take_address()?, terms: None })
            }
            "disconnect_user" => {
                let (tenant, user) = (body.take_tenant()?, body.take_user()?);
                OperatorAct::DisconnectUser { tenant, user }
            }
            "quarantine" => OperatorAct::Quarantine {
                prefix: body.take_prefix()?,
                hold_ms: body.take_seconds(QUARANTINE_S_MAX)?.map(|seconds| seconds * 1_000),
            },
            "release" => OperatorAct::Release { prefix: body.take_prefix()? },
            "requeue_dead_letters" => OperatorAct::RequeueDeadLetters {
                letters: body.take_letters()?,
                ttl_s: body.take_seconds(LETTER_TTL_S_MAX)?,
            },
            "drop_dead_letters" => OperatorAct::DropDeadLetters(body.take_letters()?),
            "drain" => {
                let named = body.instance.take().ok_or(ActError::Field("instance"))?;
                if named != instance {
                    return Err(ActError::Field("instance"));
                }
                OperatorAct::Drain
            }
            _ => return Err(ActError::Unknown),
        };
        body.check_empty()?;
        Ok(act)
    }

    /// What the audit trail calls it.
    pub fn action(&self) -> AuditAction {
        match self {
            OperatorAct::Block(BlockChange { target, terms }) => {
                let is_blocked = terms.is_some();
                match target {
                    BlockTarget::Address(_) if is_blocked => AuditAction::AddressBlocked,
                    BlockTarget::Address(_) => AuditAction::AddressUnblocked,
                    BlockTarget::User { .. } if is_blocked => AuditAction::UserBlocked,
                    BlockTarget::User { .. } => AuditAction::UserUnblocked,
                    BlockTarget::UserTokens { .. } => AuditAction::UserTokensInvalidated,
                    BlockTarget::Token { .. } => AuditAction::TokenRevoked,
                }
            }
            OperatorAct::DisconnectUser { .. } => AuditAction::UserDisconnected,
            OperatorAct::Quarantine { .. } => AuditAction::PrefixQuarantined,
            OperatorAct::Release { .. } => AuditAction::PrefixReleased,
            OperatorAct::RequeueDeadLetters { .. } => AuditAction::DeadLettersRequeued,
            OperatorAct::DropDeadLetters(_) => AuditAction::DeadLettersDropped,
            OperatorAct::Drain => AuditAction::DrainBegun,
        }
    }

    /// Whom or what it is about, for the audit trail; empty for the server.
    pub fn target(&self) -> Box<str> {
        match self {
            OperatorAct::Block(change) => match &change.target {
                BlockTarget::Address(range) => range.to_string().into(),
                BlockTarget::User { tenant, user } | BlockTarget::UserTokens { tenant, user } => {
                    of_tenant(tenant, user)
                }
                BlockTarget::Token { tenant, id } => of_tenant(tenant, id),
            },
            OperatorAct::DisconnectUser { tenant, user } => of_tenant(tenant, user),
            OperatorAct::Quarantine { prefix, .. } | OperatorAct::Release { prefix } => {
                prefix.clone()
            }
            OperatorAct::RequeueDeadLetters { letters, .. }
            | OperatorAct::DropDeadLetters(letters) => letters.target(),
            OperatorAct::Drain => "".into(),
        }
    }
}

impl NamedLetters {
    /// As the audit trail names them.
    fn target(&self) -> Box<str> {
        let NamedLetters { tenant, channel, offset } = self;
        match offset {
            Some(offset) => of_tenant(tenant, &format!("{channel} {offset}")),
            None => of_tenant(tenant, channel),
        }
    }
}

/// A name, and whose it is where there are tenants.
fn of_tenant(tenant: &str, name: &str) -> Box<str> {
    if tenant.is_empty() { name.into() } else { format!("{name} of {tenant}").into() }
}

impl ActBody {
    fn take_tenant(&mut self) -> Result<Box<str>, ActError> {
        let tenant = self.tenant.take().unwrap_or_default();
        if NAME_BYTES_MAX < tenant.len() {
            Err(ActError::Field("tenant"))
        } else {
            Ok(tenant.into())
        }
    }

    fn take_user(&mut self) -> Result<Box<str>, ActError> {
        let user = self.user.take().unwrap_or_default();
        let fits = (1..=NAME_BYTES_MAX).contains(&user.len());
        if fits { Ok(user.into()) } else { Err(ActError::Field("user")) }
    }

    fn take_user_target(&mut self) -> Result<BlockTarget, ActError> {
        let (tenant, user) = (self.take_tenant()?, self.take_user()?);
        Ok(BlockTarget::User { tenant, user })
    }

    fn take_letters(&mut self) -> Result<NamedLetters, ActError> {
        let tenant = self.take_tenant()?;
        let channel = self.channel.take().unwrap_or_default();
        if !(1..=NAME_BYTES_MAX).contains(&channel.len()) {
            return Err(ActError::Field("channel"));
        }
        let offset = self.offset.take();
        if offset == Some(0) {
            return Err(ActError::Field("offset"));
        }
        Ok(NamedLetters { tenant, channel: channel.into(), offset })
    }

    fn take_address(&mut self) -> Result<BlockTarget, ActError> {
        let text = self.address.take().unwrap_or_default();
        let range = AddressRange::parse(&text).ok_or(ActError::Field("address"))?;
        Ok(BlockTarget::Address(range))
    }

    fn take_prefix(&mut self) -> Result<Box<str>, ActError> {
        let prefix = self.prefix.take().unwrap_or_default();
        let fits = (1..=PREFIX_BYTES_MAX).contains(&prefix.len());
        if fits { Ok(prefix.into()) } else { Err(ActError::Field("prefix")) }
    }

    fn take_seconds(&mut self, max_s: u64) -> Result<Option<u64>, ActError> {
        match self.seconds.take() {
            None => Ok(None),
            Some(seconds) if (1..=max_s).contains(&seconds) => Ok(Some(seconds)),
            Some(_) => Err(ActError::Field("seconds")),
        }
    }

    fn take_terms(&mut self, now_unix_s: u64) -> Result<BlockTerms, ActError> {
        let until = match self.take_seconds(BLOCK_S_MAX)? {
            None => 0,
            Some(seconds) => now_unix_s + seconds,
        };
        let until_unix_s = u32::try_from(until).map_err(|_| ActError::Field("seconds"))?;
        Ok(BlockTerms { until_unix_s, issued_before_unix_s: 0 })
    }

    /// What is left means nothing for the act, so somebody means another one.
    fn check_empty(&self) -> Result<(), ActError> {
        let ActBody { act: _, tenant, user, channel, offset, address, prefix, instance, seconds } =
            self;
        let texts = [
            ("tenant", tenant),
            ("user", user),
            ("channel", channel),
            ("address", address),
            ("prefix", prefix),
            ("instance", instance),
        ];
        match texts.into_iter().find(|(_, text)| text.is_some()) {
            Some((field, _)) => Err(ActError::Field(field)),
            None if seconds.is_some() => Err(ActError::Field("seconds")),
            None if offset.is_some() => Err(ActError::Field("offset")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_UNIX_S: u64 = 1_000;

    #[track_caller]
    fn check(body: &str, want: Result<OperatorAct, ActError>) {
        assert_eq!(OperatorAct::parse(body.as_bytes(), "node-1", NOW_UNIX_S), want, "{body}");
    }

    fn user_block(tenant: &str, user: &str, until_unix_s: Option<u32>) -> OperatorAct {
        let target = BlockTarget::User { tenant: tenant.into(), user: user.into() };
        let terms =
            until_unix_s.map(|until_unix_s| BlockTerms { until_unix_s, ..BlockTerms::default() });
        OperatorAct::Block(BlockChange { target, terms })
    }

    #[test]
    fn an_act_is_one_of_the_list_with_its_own_fields() {
        check(r#"{"act":"block_user","user":"ann"}"#, Ok(user_block("", "ann", Some(0))));
        check(
            r#"{"act":"block_user","tenant":"acme","user":"<b>\n","seconds":60}"#,
            Ok(user_block("acme", "<b>\n", Some(1_060))),
        );
        check(r#"{"act":"unblock_user","user":"ann"}"#, Ok(user_block("", "ann", None)));
        let target = BlockTarget::Address(AddressRange::parse("203.0.113.0/24").unwrap());
        check(
            r#"{"act":"unblock_address","address":"203.0.113.0/24"}"#,
            Ok(OperatorAct::Block(BlockChange { target, terms: None })),
        );
        let prefix: Box<str> = "~bot~python".into();
        check(
            r#"{"act":"quarantine","prefix":"~bot~python","seconds":5}"#,
            Ok(OperatorAct::Quarantine { prefix: prefix.clone(), hold_ms: Some(5_000) }),
        );
        check(
            r#"{"act":"quarantine","prefix":"~bot~python"}"#,
            Ok(OperatorAct::Quarantine { prefix: prefix.clone(), hold_ms: None }),
        );
        check(r#"{"act":"release","prefix":"~bot~python"}"#, Ok(OperatorAct::Release { prefix }));
        let (tenant, user) = ("".into(), "ann".into());
        check(
            r#"{"act":"disconnect_user","user":"ann"}"#,
            Ok(OperatorAct::DisconnectUser { tenant, user }),
        );
        let letters = |tenant: &str, offset| NamedLetters {
            tenant: tenant.into(),
            channel: "dm#ann,bob".into(),
            offset,
        };
        check(
            r#"{"act":"requeue_dead_letters","channel":"dm#ann,bob","offset":7,"seconds":60}"#,
            Ok(OperatorAct::RequeueDeadLetters { letters: letters("", Some(7)), ttl_s: Some(60) }),
        );
        check(
            r#"{"act":"requeue_dead_letters","channel":"dm#ann,bob"}"#,
            Ok(OperatorAct::RequeueDeadLetters { letters: letters("", None), ttl_s: None }),
        );
        check(
            r#"{"act":"drop_dead_letters","tenant":"acme","channel":"dm#ann,bob"}"#,
            Ok(OperatorAct::DropDeadLetters(letters("acme", None))),
        );
        check(r#"{"act":"drain","instance":"node-1"}"#, Ok(OperatorAct::Drain));
    }

    #[test]
    fn what_is_missing_or_too_much_is_named() {
        for body in [
            "",
            "[]",
            r#"["block_user",null,"eve"]"#,
            "7",
            "{",
            r#"{"act":7}"#,
            r#"{"act":"drain","force":true}"#,
        ] {
            check(body, Err(ActError::Body));
        }
        for body in ["{}", r#"{"act":""}"#, r#"{"act":"Drain"}"#, r#"{"act":"stop"}"#] {
            check(body, Err(ActError::Unknown));
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for (body, field) in [
            (r#"{"act":"block_user"}"#.to_owned(), "user"),
            (r#"{"act":"block_user","user":""}"#.to_owned(), "user"),
            (format!(r#"{{"act":"block_user","user":"{long}"}}"#), "user"),
            (format!(r#"{{"act":"block_user","user":"a","tenant":"{long}"}}"#), "tenant"),
            (r#"{"act":"block_user","user":"a","seconds":0}"#.to_owned(), "seconds"),
            (r#"{"act":"block_user","user":"a","seconds":31622401}"#.to_owned(), "seconds"),
            (r#"{"act":"unblock_user","user":"a","seconds":1}"#.to_owned(), "seconds"),
            (r#"{"act":"block_address","address":"0.0.0.0/0"}"#.to_owned(), "address"),
            (r#"{"act":"block_address","address":"a","user":"b"}"#.to_owned(), "address"),
            (r#"{"act":"block_address","address":"10.0.0.1","user":"b"}"#.to_owned(), "user"),
            (r#"{"act":"quarantine","prefix":"a~b~c","seconds":86401}"#.to_owned(), "seconds"),
            (r#"{"act":"release"}"#.to_owned(), "prefix"),
            (r#"{"act":"drop_dead_letters"}"#.to_owned(), "channel"),
            (format!(r#"{{"act":"drop_dead_letters","channel":"{long}"}}"#), "channel"),
            (r#"{"act":"drop_dead_letters","channel":"a","offset":0}"#.to_owned(), "offset"),
            (r#"{"act":"drop_dead_letters","channel":"a","seconds":1}"#.to_owned(), "seconds"),
            (r#"{"act":"drop_dead_letters","channel":"a","user":"b"}"#.to_owned(), "user"),
            (format!(r#"{{"act":"drop_dead_letters","channel":"a","tenant":"{long}"}}"#), "tenant"),
            (r#"{"act":"requeue_dead_letters","channel":"a","seconds":0}"#.to_owned(), "seconds"),
            (r#"{"act":"block_user","user":"a","channel":"b"}"#.to_owned(), "channel"),
            (r#"{"act":"block_user","user":"a","offset":1}"#.to_owned(), "offset"),
            (r#"{"act":"drain"}"#.to_owned(), "instance"),
            (r#"{"act":"drain","instance":"node-2"}"#.to_owned(), "instance"),
            (r#"{"act":"drain","instance":"node-1","user":"a"}"#.to_owned(), "user"),
        ] {
            check(&body, Err(ActError::Field(field)));
        }
    }

    #[test]
    fn an_act_says_what_is_written_down_of_it() {
        for (body, action, target) in [
            (r#"{"act":"block_user","user":"ann"}"#, AuditAction::UserBlocked, "ann"),
            (
                r#"{"act":"unblock_user","user":"ann","tenant":"acme"}"#,
                AuditAction::UserUnblocked,
                "ann of acme",
            ),
            (
                r#"{"act":"block_address","address":"203.0.113.7"}"#,
                AuditAction::AddressBlocked,
                "203.0.113.7",
            ),
            (r#"{"act":"release","prefix":"a~b~c"}"#, AuditAction::PrefixReleased, "a~b~c"),
            (
                r#"{"act":"requeue_dead_letters","channel":"dm#a,b","offset":7,"tenant":"acme"}"#,
                AuditAction::DeadLettersRequeued,
                "dm#a,b 7 of acme",
            ),
            (
                r#"{"act":"drop_dead_letters","channel":"dm#a,b"}"#,
                AuditAction::DeadLettersDropped,
                "dm#a,b",
            ),
            (r#"{"act":"drain","instance":"node-1"}"#, AuditAction::DrainBegun, ""),
        ] {
            let act = OperatorAct::parse(body.as_bytes(), "node-1", NOW_UNIX_S).unwrap();
            assert_eq!((act.action(), &*act.target()), (action, target));
        }
    }
}
