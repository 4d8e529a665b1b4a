//! TOML into a draft, with the place of everything.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::mistake::{Mistake, Place, Why};
use super::row::{Kind, Row, Value};
use super::sources::{Draft, File, Given, shown as shown_text};
use super::suggest;
use super::table::{KEYS, LISTENERS, NAMESPACES, SETTINGS};

/// Reads a whole file. A file that is no TOML gives its mistakes alone: what
/// else it says cannot be known.
pub(super) fn read(file: &File, draft: &mut Draft) -> Result<(), Vec<Mistake>> {
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    let place = |span: Range<usize>| place(file, span.start);
    if !errors.is_empty() {
        let syntax = |error: &toml::de::Error| Mistake {
            place: place(error.span().unwrap_or_default()),
            key: String::new(),
            why: Why::Syntax(error.message().to_owned()),
        };
        return Err(errors.iter().map(syntax).collect());
    }
    for (name, value) in in_order(table.get_ref()) {
        let at = place(name.span());
        match (name.get_ref().as_ref(), value.get_ref()) {
            ("namespaces", list) => {
                let all =
                    tables("namespaces", list, at.clone(), NAMESPACES, &place, &mut draft.mistakes);
                draft.set_namespaces(at, all);
            }
            ("listeners", list) => {
                let all =
                    tables("listeners", list, at.clone(), LISTENERS, &place, &mut draft.mistakes);
                draft.set_listeners(at, all);
            }
            (section, DeValue::Table(table)) if is_section(section) => {
                read_section(section, table, &place, draft);
            }
            (section, _) if is_section(section) => {
                draft.refuse(at, section, Why::Shape("a table, such as [section]"));
            }
            (other, _) => {
                let known = sections()
                    .chain(["namespaces", "listeners"])
                    .chain(SETTINGS.iter().map(|row| row.key));
                let near = suggest::nearest(other, known).map(str::to_owned);
                draft.refuse(at, &name_shown(other), Why::Unknown(near));
            }
        }
    }
    Ok(())
}

/// Reads a list of tables from one value, such as an environment variable.
pub(super) fn read_list<T: Default>(
    text: &str,
    key: &str,
    place: Place,
    rows: &'static [Row<T>],
    draft: &mut Draft,
    set: fn(&mut Draft, Place, Vec<(T, Place)>),
) {
    match DeValue::parse(text) {
        Ok(list) => {
            let everywhere = |_: Range<usize>| place.clone();
            let mistakes = &mut draft.mistakes;
            let all = tables(key, list.get_ref(), place.clone(), rows, &everywhere, mistakes);
            set(draft, place, all);
        }
        Err(error) => draft.refuse(place, key, Why::Syntax(error.message().to_owned())),
    }
}

/// A value in the form of the kind, without a look at its range.
pub(super) fn value(kind: Kind, toml: &DeValue<'_>) -> Option<Value> {
    let text = || toml.as_str().map(str::to_owned);
    Some(match kind {
        Kind::Count { .. } | Kind::Power { .. } => Value::Count(count(toml)?),
        Kind::Integer { .. } => {
            let DeValue::Integer(number) = toml else { return None };
            Value::Integer(integer(number)?.try_into().ok()?)
        }
        Kind::Switch => Value::Switch(toml.as_bool()?),
        Kind::Word(_) | Kind::Text { .. } | Kind::Secret { .. } | Kind::Address => {
            Value::Text(text()?)
        }
        Kind::Texts { .. } => {
            let entries = toml.as_array()?.iter().map(|entry| entry.get_ref().as_str());
            Value::Texts(entries.map(|entry| entry.map(str::to_owned)).collect::<Option<_>>()?)
        }
        Kind::Numbers { .. } => {
            let entries = toml.as_array()?.iter().map(|entry| count(entry.get_ref()));
            Value::Numbers(entries.collect::<Option<_>>()?)
        }
    })
}

/// What stands there, for a mistake.
pub(super) fn shown(toml: &DeValue<'_>) -> String {
    match toml {
        DeValue::String(text) => shown_text(text),
        DeValue::Integer(number) => integer(number)
            .map_or_else(|| "a number beyond all bounds".to_owned(), |number| number.to_string()),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Float(_) => "a number with a fraction".to_owned(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(list) => format!("a list of {}", list.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn read_section(
    section: &str,
    table: &DeTable<'_>,
    place: &dyn Fn(Range<usize>) -> Place,
    draft: &mut Draft,
) {
    for (name, value) in in_order(table) {
        if (section, name.get_ref().as_ref()) == ("auth", "keys") {
            let at = place(name.span());
            let mistakes = &mut draft.mistakes;
            let all = tables("auth.keys", value.get_ref(), at.clone(), KEYS, place, mistakes);
            draft.set_keys(at, all);
            continue;
        }
        let key = format!("{section}.{}", name_shown(name.get_ref()));
        // An unknown name is wrong itself; a known one has a wrong value.
        let is_known = SETTINGS.iter().any(|row| row.key == key);
        let at = if is_known { value.span() } else { name.span() };
        draft.set(place(at), &key, Given::Toml(value.get_ref()));
    }
}

/// The tables of a list, each with its place.
pub(super) fn tables<T: Default>(
    key: &str,
    list: &DeValue<'_>,
    at: Place,
    rows: &'static [Row<T>],
    place: &dyn Fn(Range<usize>) -> Place,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(T, Place)> {
    let mut refuse = |place: Place, key: &str, why: Why| {
        mistakes.push(Mistake { place, key: key.to_owned(), why });
    };
    let Some(list) = list.as_array() else {
        refuse(at, key, Why::Shape("a list of tables, such as [[list]]"));
        return Vec::new();
    };
    let mut all = Vec::new();
    for (index, entry) in list.iter().enumerate() {
        let key = format!("{key}[{index}]");
        let Some(table) = entry.get_ref().as_table() else {
            refuse(place(entry.span()), &key, Why::Shape("a table"));
            continue;
        };
        let mut made = T::default();
        for (name, value) in in_order(table) {
            let full = format!("{key}.{}", name_shown(name.get_ref()));
            let row = rows.iter().find(|row| row.key == name.get_ref().as_ref());
            let Some(row) = row else {
                let near = suggest::nearest(name.get_ref(), rows.iter().map(|row| row.key));
                refuse(place(name.span()), &full, Why::Unknown(near.map(str::to_owned)));
                continue;
            };
            match Given::Toml(value.get_ref()).value(row) {
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
            let why = Why::Relation(format!("{needed} is missing"));
            refuse(place(entry.span()), &key, why);
        }
        all.push((made, place(entry.span())));
    }
    all
}

/// As they stand in the file, so that mistakes come in its order.
pub(super) fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

fn sections() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter_map(|row| row.key.split_once('.')).map(|(section, _)| section)
}

fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

/// A name that somebody typed, fit for one line.
pub(super) fn name_shown(name: &str) -> String {
    name.chars().take(128).flat_map(char::escape_debug).collect()
}

fn integer(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

fn count(toml: &DeValue<'_>) -> Option<u64> {
    toml.as_integer().and_then(integer).and_then(|number| u64::try_from(number).ok())
}

pub(super) fn place(file: &File, offset: usize) -> Place {
    let before = file.text.get(..offset).unwrap_or(&file.text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Place::File {
        name: file.name.clone(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}
