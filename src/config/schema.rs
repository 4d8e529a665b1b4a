//! All that one program can be told: its settings in sections, and its lists.
//!
//! Deliberately absent: settings. Each program's are its own (`server`, `bridge`).

use toml::de::DeValue;

use super::draft::{ConfigDraft, FormCheck};
use super::mistake::SourceLocation;
use super::row::SettingRow;
use super::tables::TomlReader;

/// See the module.
pub(super) struct Schema<T: 'static> {
    /// The settings outside of lists. Sections are contiguous.
    pub(super) settings: &'static [SettingRow<T>],
    /// The lists.
    pub(super) lists: &'static [List<T>],
    /// Settings that may be meant by a wrong name outside of all sections.
    pub(super) hints: &'static [SettingRow<T>],
    /// Settings whose form is more than their kind says, with what is wrong with a value.
    pub(super) forms: &'static [(&'static str, FormCheck)],
}

/// A list of tables.
pub(super) struct List<T: 'static> {
    /// Its name in the file: in a section, or outside of all.
    pub(super) key: &'static str,
    /// Reads it into a draft.
    pub(super) read: fn(&DeValue<'_>, SourceLocation, &TomlReader<'_>, &mut ConfigDraft<T>),
}

/// A list of `T`: its key, its field, the rows of an entry, and how many entries it may have.
macro_rules! list {
    ($key:literal, $($field:ident).+, $rows:expr, $entries_max:expr) => {
        List {
            key: $key,
            read: |list, at, reading, draft| {
                let entries = reading.tables($key, list, at.clone(), $rows, draft);
                draft.set_list(at, $key, $entries_max, entries, |to| &mut to.$($field).+);
            },
        }
    };
}
pub(super) use list;

impl<T> Schema<T> {
    /// The names of its sections, as often as they have settings.
    pub(super) fn sections(&self) -> impl Iterator<Item = &'static str> {
        self.settings.iter().filter_map(|row| row.key.split_once('.')).map(|(section, _)| section)
    }

    /// Whether a section has this name.
    pub(super) fn is_section(&self, name: &str) -> bool {
        self.sections().any(|section| section == name)
    }

    /// The list of this name.
    pub(super) fn list(&self, key: &str) -> Option<&'static List<T>> {
        self.lists.iter().find(|list| list.key == key)
    }
}

impl<T: Default> Schema<T> {
    /// What holds when nobody says anything.
    pub(super) fn draft(&self) -> ConfigDraft<T> {
        ConfigDraft::new(self.settings, self.forms)
    }
}
