//! A command-line flag for each setting of the table, except secrets, which would show in the
//! list of processes.
//!
//! Deliberately absent: values and ranges, which `config` checks.

use clap::{Arg, ArgMatches, Command};

use crate::config::{Config, SETTINGS, SettingKind, SettingRow};

/// A flag for each row of the table but the secrets; which were given, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingFlags(pub(super) Vec<(&'static str, String)>);

impl clap::Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        typed().fold(command, |command, row| {
            let section = row.key.split_once('.').map_or("", |(section, _)| section);
            let value_name = match row.kind {
                SettingKind::Count { .. }
                | SettingKind::Integer { .. }
                | SettingKind::Power { .. } => "NUMBER",
                SettingKind::Switch => "true|false",
                SettingKind::Word(_) => "WORD",
                SettingKind::Text { .. } | SettingKind::Secret { .. } => "TEXT",
                SettingKind::Address => "ADDRESS",
                SettingKind::Texts { .. } | SettingKind::Numbers { .. } => "LIST",
            };
            let flag = Arg::new(row.key)
                .long(row.flag())
                .value_name(value_name)
                // Numbers below zero are for the table to refuse.
                .allow_hyphen_values(true)
                .help(row.help.replace('`', ""))
                .help_heading(format!("Settings of [{section}]"))
                // `-h` shows what people type, `--help` all there is.
                .hide_short_help(section != "server");
            command.arg(flag)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        SettingFlags::augment_args(command)
    }
}

impl clap::FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<SettingFlags, clap::Error> {
        let given = |key: &str| matches.get_one::<String>(key).cloned();
        let all = typed().filter_map(|row| Some((row.key, given(row.key)?)));
        Ok(SettingFlags(all.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = SettingFlags::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Flags stand in the list of processes, where everyone reads them.
fn typed() -> impl Iterator<Item = &'static SettingRow<Config>> {
    SETTINGS.iter().filter(|row| !matches!(row.kind, SettingKind::Secret { .. }))
}
