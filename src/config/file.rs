//! TOML into a draft, with the place of everything.
//!
//! Deliberately absent: which settings there are (`schema`).

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::draft::ConfigDraft;
use super::given::SourceValue;
use super::mistake::{ConfigError, ConfigErrorKind, SourceLocation};
use super::schema::{List, Schema};
use super::source::File;
use super::suggest;
use super::tables::{TomlReader, in_order, name_shown};

/// Reads a whole file. A file that is no TOML gives its mistakes alone: what
/// else it says cannot be known.
pub(super) fn read<T>(
    file: &File,
    schema: &Schema<T>,
    draft: &mut ConfigDraft<T>,
) -> Result<(), Vec<ConfigError>> {
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    let place = |span: Range<usize>| place(file, span.start);
    if !errors.is_empty() {
        let syntax = |error: &toml::de::Error| ConfigError {
            place: place(error.span().unwrap_or_default()),
            key: String::new(),
            why: ConfigErrorKind::Syntax(error.message().to_owned()),
        };
        return Err(errors.iter().map(syntax).collect());
    }
    let reader = TomlReader::new(&place);
    for (name, value) in in_order(table.get_ref()) {
        let at = place(name.span());
        let key = name.get_ref().as_ref();
        if let Some(list) = schema.list(key).filter(|_| !key.contains('.')) {
            (list.read)(value.get_ref(), at, &reader, draft);
        } else if !schema.is_section(key) {
            let lists = schema.lists.iter().map(|list| list.key).filter(|key| !key.contains('.'));
            let hints = schema.hints.iter().map(|row| row.key);
            let known = schema.sections().chain(lists).chain(hints);
            let near = suggest::nearest(key, known).map(str::to_owned);
            draft.refuse(at, &name_shown(key), ConfigErrorKind::Unknown(near));
        } else if let DeValue::Table(table) = value.get_ref() {
            read_section(key, table, &reader, schema, draft);
        } else {
            draft.refuse(at, key, ConfigErrorKind::Shape("a table, such as [section]"));
        }
    }
    Ok(())
}

/// Reads a list of tables from one value, such as an environment variable.
pub(super) fn read_list<T>(
    text: &str,
    list: &List<T>,
    place: SourceLocation,
    draft: &mut ConfigDraft<T>,
) {
    match DeValue::parse(text) {
        Ok(value) => {
            let everywhere = |_: Range<usize>| place.clone();
            (list.read)(value.get_ref(), place.clone(), &TomlReader::new(&everywhere), draft);
        }
        Err(error) => {
            draft.refuse(place, list.key, ConfigErrorKind::Syntax(error.message().to_owned()))
        }
    }
}

/// Reads a section.
fn read_section<T>(
    section: &str,
    table: &DeTable<'_>,
    reader: &TomlReader<'_>,
    schema: &Schema<T>,
    draft: &mut ConfigDraft<T>,
) {
    for (name, value) in in_order(table) {
        let key = format!("{section}.{}", name_shown(name.get_ref()));
        if let Some(list) = schema.list(&key) {
            (list.read)(value.get_ref(), reader.place(name.span()), reader, draft);
            continue;
        }
        // An unknown name is wrong itself; a known one has a wrong value.
        let is_known = schema.settings.iter().any(|row| row.key == key);
        let at = if is_known { value.span() } else { name.span() };
        draft.set(reader.place(at), &key, SourceValue::Toml(value.get_ref()));
    }
}

fn place(file: &File, offset: usize) -> SourceLocation {
    let before = file.text.get(..offset).unwrap_or(&file.text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    SourceLocation::File {
        name: file.name.clone(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}
