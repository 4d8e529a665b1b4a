//! `rookery token`: signs a token with a configured key.
//!
//! Deliberately absent: how tokens are made (`auth`).

use std::path::PathBuf;

use clap::Args;

use super::audit::CommandAct;
use super::inputs::{self, Inputs};
use super::output::{fail, print};
use super::{Base, FAILED, MISUSED};
use crate::auth::{KeyMaterial, KeySpec, NewToken, sign};
use crate::clock::unix_s;
use crate::config::Config;
use crate::console::AuditAction;

/// What the token is to say.
#[derive(Debug, Args)]
pub(super) struct TokenArguments {
    #[command(flatten)]
    base: Base,
    /// The user; without one the token is for an anonymous peer.
    #[arg(long, short, default_value = "", hide_default_value = true)]
    user: String,
    /// Makes it a subscription token for this channel.
    #[arg(long)]
    channel: Option<String>,
    /// A channel that the server subscribes the user to; can be repeated.
    #[arg(long, value_name = "CHANNEL", conflicts_with = "channel")]
    join: Vec<String>,
    /// How long it lives, such as 90s, 15m, 1h, 7d, or never.
    #[arg(long, default_value = "1h", value_parser = time_to_live)]
    ttl: TimeToLive,
    /// What others see of the user, as JSON.
    #[arg(long, value_name = "JSON")]
    info: Option<String>,
    /// The tenant.
    #[arg(long, default_value = "", hide_default_value = true)]
    tenant: String,
    /// An id of its own (`jti`), by which it can be revoked.
    #[arg(long, default_value = "", hide_default_value = true)]
    id: String,
    /// The key id of the key to sign with; without it the first that can sign.
    #[arg(long, value_name = "KID")]
    key: Option<String>,
    /// The private key that belongs to the configured public one, as PEM in PKCS #8.
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
}

/// How long something lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeToLive {
    /// For ever.
    Never,
    /// So long.
    Seconds(u64),
}

impl TokenArguments {
    /// Whoever may read the key makes themselves a user. Everyone knows that of the configuration
    /// for trying out.
    pub(super) fn act(&self) -> Option<CommandAct> {
        let target = self.user.clone();
        (!self.base.dev).then_some(CommandAct { action: AuditAction::CredentialMade, target })
    }
}

/// Prints a token; the exit code of that.
pub(super) fn run(arguments: &TokenArguments) -> u8 {
    let inputs = Inputs { base: arguments.base.clone(), flags: Vec::new() };
    let config = match inputs.resolve() {
        Ok(config) => config,
        Err(refusal) => return refusal.tell(),
    };
    let key = match signing_key(arguments, &config) {
        Ok(key) => key,
        Err((code, why)) => return fail(code, &why),
    };
    let now_unix_s = unix_s();
    let token = NewToken {
        user: &arguments.user,
        channel: arguments.channel.as_deref(),
        channels: &arguments.join,
        expires_at_unix_s: match arguments.ttl {
            TimeToLive::Never => None,
            TimeToLive::Seconds(seconds) => Some(now_unix_s.saturating_add(seconds)),
        },
        issued_unix_s: Some(now_unix_s),
        id: &arguments.id,
        info: arguments.info.as_deref(),
        tenant: &arguments.tenant,
    };
    let signed = match sign(&key, &config.auth.requirements, &token) {
        Ok(signed) => signed,
        Err(fault) => return fail(FAILED, &fault.to_string()),
    };
    // A token that the server would not take is better found here.
    let keys = config.keys();
    let taken = match arguments.channel {
        Some(_) => keys.subscription(&signed, now_unix_s).map(drop),
        None => keys.connection(&signed, now_unix_s).map(drop),
    };
    match taken {
        Ok(()) => print(&format!("{signed}\n")),
        Err(fault) => fail(FAILED, &format!("the server would not take the token: {fault}")),
    }
}

fn signing_key(arguments: &TokenArguments, config: &Config) -> Result<KeySpec, (u8, String)> {
    let can_sign = |key: &&KeySpec| arguments.private_key.is_some() != key.material.is_secret();
    let found = match &arguments.key {
        Some(kid) => config.auth.keys.iter().find(|key| key.kid.as_ref() == Some(kid)),
        None => config.auth.keys.iter().find(can_sign),
    };
    let Some(found) = found else {
        let why = match &arguments.key {
            Some(kid) => format!("no key has the key id {kid:?}"),
            None if arguments.private_key.is_some() => "no public key is configured".to_owned(),
            None => "no secret is configured; give --config FILE or --dev, and --private-key FILE \
                     where keys are public ones"
                .to_owned(),
        };
        return Err((MISUSED, why));
    };
    let mut key = found.clone();
    if let Some(path) = &arguments.private_key {
        let pem =
            inputs::read(path).map_err(|error| (FAILED, format!("{}: {error}", path.display())))?;
        key.material = KeyMaterial::Pem(String::from_utf8_lossy(&pem).into_owned());
    }
    Ok(key)
}

/// A token for a user that lives so long, by the first configured key that can sign.
pub(super) fn for_user(config: &Config, user: &str, seconds: u64) -> Result<String, String> {
    let mut keys = config.auth.keys.iter();
    let key = keys.find(|key| key.material.is_secret());
    let key = key.ok_or("no secret is configured; give --token-file FILE")?;
    let expires_at_unix_s = Some(unix_s().saturating_add(seconds));
    let issued_unix_s = Some(unix_s());
    let token = NewToken { user, expires_at_unix_s, issued_unix_s, ..NewToken::default() };
    sign(key, &config.auth.requirements, &token).map_err(|fault| fault.to_string())
}

/// Reads one as people write it.
pub(super) fn time_to_live(text: &str) -> Result<TimeToLive, String> {
    if text == "never" {
        return Ok(TimeToLive::Never);
    }
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let unit_s = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0,
    };
    let seconds = digits.parse().ok().and_then(|count: u64| count.checked_mul(unit_s));
    let seconds = seconds.filter(|&seconds| seconds != 0);
    seconds.map(TimeToLive::Seconds).ok_or_else(|| "such as 90s, 15m, 1h, 7d, or never".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_a_number_and_a_unit() {
        for (text, want) in [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3_600), ("7d", 604_800)]
        {
            assert_eq!(time_to_live(text), Ok(TimeToLive::Seconds(want)), "{text}");
        }
        assert_eq!(time_to_live("never"), Ok(TimeToLive::Never));
        for text in ["", "h", "-1h", "1w", "0", "0s", "1.5h", "1 h", "99999999999999999999d", "日"]
        {
            assert!(time_to_live(text).is_err(), "{text}");
        }
    }
}
