//! Lists of tables, each entry with its place.
//!
//! Deliberately absent: which lists there are (`schema`).

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::ConfigDraft;
use super::given::SourceValue;
use super::mistake::{ConfigErrorKind, SourceLocation};
use super::row::SettingRow;
use super::suggest;

/// Where what is read stands.
pub(super) struct TomlReader<'a>(&'a dyn Fn(Range<usize>) -> SourceLocation);

impl<'a> TomlReader<'a> {
    /// A reader of what stands at the places that `place` gives to offsets.
    pub(super) fn new(place: &'a dyn Fn(Range<usize>) -> SourceLocation) -> TomlReader<'a> {
        TomlReader(place)
    }

    /// Where this stands.
    pub(super) fn place(&self, span: Range<usize>) -> SourceLocation {
        (self.0)(span)
    }

    /// The tables of a list, each with its place.
    pub(super) fn tables<E: Default, T>(
        &self,
        key: &str,
        list: &DeValue<'_>,
        at: SourceLocation,
        rows: &'static [SettingRow<E>],
        draft: &mut ConfigDraft<T>,
    ) -> Vec<(E, SourceLocation)> {
        let place = self.0;
        let mut refuse =
            |place: SourceLocation, key: &str, why: ConfigErrorKind| draft.refuse(place, key, why);
        let Some(list) = list.as_array() else {
            refuse(at, key, ConfigErrorKind::Shape("a list of tables, such as [[list]]"));
            return Vec::new();
        };
        let mut all = Vec::new();
        for (index, entry) in list.iter().enumerate() {
            let key = format!("{key}[{index}]");
            let Some(table) = entry.get_ref().as_table() else {
                refuse(place(entry.span()), &key, ConfigErrorKind::Shape("a table"));
                continue;
            };
            let mut made = E::default();
            for (name, value) in in_order(table) {
                let full = format!("{key}.{}", name_shown(name.get_ref()));
                let row = rows.iter().find(|row| row.key == name.get_ref().as_ref());
                let Some(row) = row else {
                    let near = suggest::nearest(name.get_ref(), rows.iter().map(|row| row.key));
                    refuse(
                        place(name.span()),
                        &full,
                        ConfigErrorKind::Unknown(near.map(str::to_owned)),
                    );
                    continue;
                };
                match SourceValue::Toml(value.get_ref()).value(row) {
                    Ok(value) => (row.write)(&mut made, value),
                    Err(why) => refuse(place(value.span()), &full, why),
                }
            }
            // What a table is called or is for has no default.
            let first = ["name", "algorithm", "address"]
                .into_iter()
                .find(|key| rows.iter().any(|row| row.key == *key));
            if let Some(needed) = first
                && !table.contains_key(needed)
            {
                let why = ConfigErrorKind::Relation(format!("{needed} is missing"));
                refuse(place(entry.span()), &key, why);
            }
            all.push((made, place(entry.span())));
        }
        all
    }
}

/// As they stand in the file, so that mistakes come in its order.
pub(super) fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<Cow<'i, str>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// A name that somebody typed, fit for one line.
pub(super) fn name_shown(name: &str) -> String {
    name.chars().take(128).flat_map(char::escape_debug).collect()
}
