//! `rookery operator-token`: makes a token for an operator of the console.
//!
//! Deliberately absent: keeping the token. It is shown once; the configuration has its hash.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::Args;

use super::FAILED;
use super::audit::CommandAct;
use super::output::{fail, print, tell};
use crate::auth::SecretHash;
use crate::config::{self, OperatorEntry};
use crate::console::{AuditAction, OperatorRole};

/// Bytes of a token: beyond guessing.
const TOKEN_BYTES: usize = 32;

/// Whose token it is to be.
#[derive(Debug, Args)]
pub(super) struct OperatorTokenArguments {
    /// What the audit trail calls the operator.
    #[arg(long)]
    name: String,
    /// What they may do: `see` or `act`.
    #[arg(long, value_parser = role, default_value = "see")]
    role: OperatorRole,
}

fn role(word: &str) -> Result<OperatorRole, String> {
    OperatorRole::from_name(word).ok_or_else(|| "one of see, act".to_owned())
}

impl OperatorTokenArguments {
    /// An operator can be let in by what is printed.
    pub(super) fn act(&self) -> CommandAct {
        CommandAct { action: AuditAction::CredentialMade, target: self.name.clone() }
    }
}

/// Prints the table for the configuration, and tells the token; the exit code of that.
pub(super) fn run(arguments: &OperatorTokenArguments) -> u8 {
    let mut bytes = [0; TOKEN_BYTES];
    if rand::fill(&mut bytes).is_err() {
        return fail(FAILED, "the system's generator cannot be asked");
    }
    let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    // Not with the table: that is for a file, this is for the operator alone.
    tell(&format!("the token, which is shown this once: {token}"));
    print(&table(arguments, SecretHash::of(token.as_bytes())))
}

fn table(arguments: &OperatorTokenArguments, hash: SecretHash) -> String {
    config::operator_table(&OperatorEntry {
        name: arguments.name.clone(),
        sha256: hash.to_string(),
        role: arguments.role.name().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_one_that_a_configuration_can_have() {
        let arguments = OperatorTokenArguments { name: "ann".to_owned(), role: OperatorRole::Act };
        let hash = SecretHash::of(b"abc");
        let want =
            format!("[[admin.operators]]\nname = \"ann\"\nsha256 = \"{hash}\"\nrole = \"act\"\n");
        assert_eq!(table(&arguments, hash), want);
    }
}
