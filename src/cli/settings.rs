//! A command-line flag for each setting of the table, except secrets, which would show in the
//! list of processes.
//!
//! Deliberately absent: values and ranges, which `config` checks.

use clap::{Arg, ArgMatches, Command};

use crate::config::{Config, Kind, Row, SETTINGS};

/// A flag for each row of the table but the secrets; which were given, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings(pub(super) Vec<(&'static str, String)>);

impl clap::Args for Settings {
    fn augment_args(command: Command) -> Command {
        typed().fold(command, |command, row| {
            let section = row.key.split_once('.').map_or("", |(section, _)| section);
            let value_name = match row.kind {
                Kind::Count { .. } | Kind::Integer { .. } | Kind::Power { .. } => "NUMBER",
                Kind::Switch => "true|false",
                Kind::Word(_) => "WORD",
                Kind::Text { .. } | Kind::Secret { .. } => "TEXT",
                Kind::Address => "ADDRESS",
                Kind::Texts { .. } | Kind::Numbers { .. } => "LIST",
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
        Settings::augment_args(command)
    }
}

impl clap::FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Settings, clap::Error> {
        let given = |key: &str| matches.get_one::<String>(key).cloned();
        let all = typed().filter_map(|row| Some((row.key, given(row.key)?)));
        Ok(Settings(all.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Settings::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Flags stand in the list of processes, where everyone reads them.
fn typed() -> impl Iterator<Item = &'static Row<Config>> {
    SETTINGS.iter().filter(|row| !matches!(row.kind, Kind::Secret { .. }))
}
