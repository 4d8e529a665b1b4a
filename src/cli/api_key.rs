//! `rookery api-key`: makes a key for a backend.
//!
//! Deliberately absent: keeping the key. It is shown once; the configuration has its hash.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::Args;

use super::FAILED;
use super::audit::CommandAct;
use super::output::{fail, print, tell};
use crate::auth::{ApiScope, SecretHash};
use crate::config::{self, ApiKeyEntry};
use crate::console::AuditAction;

/// Bytes of a key: beyond guessing.
const KEY_BYTES: usize = 32;

/// What the key is to be for.
#[derive(Debug, Args)]
pub(super) struct ApiKeyArguments {
    /// What logs call it.
    #[arg(long, default_value = "backend")]
    name: String,
    /// A group of methods that it may call; can be repeated. Without any, all but those of operators.
    #[arg(long, value_parser = scope)]
    scope: Vec<ApiScope>,
    /// A pattern of channels that it may name; can be repeated. Without any, all.
    #[arg(long, value_name = "PATTERN")]
    channel: Vec<String>,
    /// The tenant whose channels and users it means.
    #[arg(long, default_value = "", hide_default_value = true)]
    tenant: String,
}

fn scope(word: &str) -> Result<ApiScope, String> {
    ApiScope::from_name(word).ok_or_else(|| format!("one of {}", ApiScope::words()))
}

impl ApiKeyArguments {
    /// A backend can be let in by what is printed.
    pub(super) fn act(&self) -> CommandAct {
        CommandAct { action: AuditAction::CredentialMade, target: self.name.clone() }
    }
}

/// Prints the table for the configuration, and tells the key; the exit code of that.
pub(super) fn run(arguments: &ApiKeyArguments) -> u8 {
    let mut bytes = [0; KEY_BYTES];
    if rand::fill(&mut bytes).is_err() {
        return fail(FAILED, "the system's generator cannot be asked");
    }
    let key = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    // Not with the table: that is for a file, this is for the backend alone.
    tell(&format!("the key, which is shown this once: {key}"));
    print(&table(arguments, SecretHash::of(key.as_bytes())))
}

fn table(arguments: &ApiKeyArguments, hash: SecretHash) -> String {
    let ApiKeyArguments { name, scope, channel, tenant } = arguments;
    let scopes = if scope.is_empty() { &ApiScope::OF_BACKENDS[..] } else { scope };
    config::api_key_table(&ApiKeyEntry {
        name: name.clone(),
        sha256: hash.to_string(),
        scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        tenant: tenant.clone(),
        channels: if channel.is_empty() { vec!["*".to_owned()] } else { channel.clone() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_what_was_asked_for() {
        let arguments = |scope: Vec<ApiScope>, channel: Vec<String>| ApiKeyArguments {
            name: "shop".to_owned(),
            scope,
            channel,
            tenant: String::new(),
        };
        let hash = SecretHash::of(b"abc");
        let all = table(&arguments(Vec::new(), Vec::new()), hash);
        assert_eq!(
            all,
            format!(
                "[[api.keys]]\nname = \"shop\"\nsha256 = \"{hash}\"\nscopes = [\"publish\", \
                 \"presence\", \"history\", \"history_remove\", \"info\", \"channels\", \
                 \"connections\", \"blocks\", \"chat\"]\ntenant = \"\"\nchannels = [\"*\"]\n"
            )
        );
        let one = table(&arguments(vec![ApiScope::Info], vec!["a\"b".to_owned()]), hash);
        assert!(one.contains("scopes = [\"info\"]") && one.contains("a\\\"b"), "{one}");
    }
}
