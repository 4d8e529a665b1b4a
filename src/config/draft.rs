//! Settings in the making, with the place of each value and all that is wrong with them.
//!
//! Deliberately absent: lists (`schema`), and reading texts (`file`).

use std::collections::BTreeMap;

use super::given::SourceValue;
use super::mistake::{ConfigError, ConfigErrorKind, SourceLocation};
use super::row::{SettingRow, SettingValue};
use super::suggest;

/// What is wrong with the form of a value, if something is.
pub(super) type FormCheck = fn(&SettingValue) -> Option<&'static str>;

/// See the module.
pub(super) struct ConfigDraft<T: 'static> {
    settings: &'static [SettingRow<T>],
    /// Settings whose form is more than their kind says.
    forms: &'static [(&'static str, FormCheck)],
    value: T,
    /// By setting.
    places: Vec<SourceLocation>,
    /// By list, of each entry; none where no list was given.
    entry_places: BTreeMap<&'static str, Vec<SourceLocation>>,
    mistakes: Vec<ConfigError>,
}

impl<T: Default> ConfigDraft<T> {
    /// What holds when nobody says anything.
    pub(super) fn new(
        settings: &'static [SettingRow<T>],
        forms: &'static [(&'static str, FormCheck)],
    ) -> ConfigDraft<T> {
        ConfigDraft {
            settings,
            forms,
            value: T::default(),
            places: vec![SourceLocation::Default; settings.len()],
            entry_places: BTreeMap::new(),
            mistakes: Vec::new(),
        }
    }
}

impl<T> ConfigDraft<T> {
    /// As it is so far.
    pub(super) fn value(&self) -> &T {
        &self.value
    }

    /// The same, to be completed.
    pub(super) fn value_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// Notes a mistake.
    pub(super) fn refuse(&mut self, place: SourceLocation, key: &str, why: ConfigErrorKind) {
        self.mistakes.push(ConfigError { place, key: key.to_owned(), why });
    }

    /// Says what is wrong with a setting, where it was given.
    pub(super) fn refuse_setting(&mut self, key: &str, sentence: String) {
        self.refuse(self.place(key), key, ConfigErrorKind::Relation(sentence));
    }

    /// Says what is wrong with an entry of a list.
    pub(super) fn refuse_entry(&mut self, list: &str, index: usize, sentence: String) {
        let place = self.entry_place(list, index);
        self.refuse(place, &format!("{list}[{index}]"), ConfigErrorKind::Relation(sentence));
    }

    /// Where the value of a setting comes from.
    pub(super) fn place(&self, key: &str) -> SourceLocation {
        let index = self.settings.iter().position(|row| row.key == key);
        index.map_or(SourceLocation::Default, |index| self.places[index].clone())
    }

    /// Whether somebody gave a setting.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.place(key) != SourceLocation::Default
    }

    /// Where an entry of a list stands.
    pub(super) fn entry_place(&self, list: &str, index: usize) -> SourceLocation {
        let places = self.entry_places.get(list);
        places.and_then(|places| places.get(index)).cloned().unwrap_or_default()
    }

    /// Keys with a mistake.
    pub(super) fn refused_keys(&self) -> impl Iterator<Item = &str> {
        self.mistakes.iter().map(|mistake| mistake.key.as_str())
    }

    /// Gives a value to the setting with this key, or notes why not.
    pub(super) fn set(&mut self, place: SourceLocation, key: &str, given: SourceValue<'_>) {
        let settings = self.settings;
        let Some(index) = settings.iter().position(|row| row.key == key) else {
            let near = suggest::nearest(key, settings.iter().map(|row| row.key));
            return self.refuse(place, key, ConfigErrorKind::Unknown(near.map(str::to_owned)));
        };
        let row = &settings[index];
        match given.value(row) {
            Ok(value) => {
                let form = self.forms.iter().find(|(one, _)| *one == key);
                if let Some(sentence) = form.and_then(|(_, check)| check(&value)) {
                    self.refuse(place.clone(), key, ConfigErrorKind::Relation(sentence.to_owned()));
                }
                (row.write)(&mut self.value, value);
            }
            Err(why) => self.refuse(place.clone(), key, why),
        }
        self.places[index] = place;
    }

    /// Replaces a list: `read` makes its entries, each with its place, and notes mistakes.
    pub(super) fn set_list<E>(
        &mut self,
        place: SourceLocation,
        key: &'static str,
        entries_max: usize,
        mut entries: Vec<(E, SourceLocation)>,
        list: impl Fn(&mut T) -> &mut Vec<E>,
    ) {
        if entries.len() > entries_max {
            self.refuse(place, key, ConfigErrorKind::Entries(entries_max));
            entries.truncate(entries_max);
        }
        let (entries, places) = entries.into_iter().unzip();
        *list(&mut self.value) = entries;
        self.entry_places.insert(key, places);
    }

    /// What was made, or all that is wrong with it, in the order of places.
    pub(super) fn finish(mut self) -> Result<T, Vec<ConfigError>> {
        self.mistakes.sort_by(|one, other| one.place.cmp(&other.place));
        if self.mistakes.is_empty() { Ok(self.value) } else { Err(self.mistakes) }
    }
}
