//! Rows of the usual forms: each reads one field and writes it. They stand here once for
//! both programs; where they are used, the parts of a row are in scope, and `NAME` and `PATH`
//! say how long a name and a path may be there.
//!
//! Deliberately absent: settings of a form of their own, which are written out.

macro_rules! count {
    ($key:literal, $($field:ident).+, $min:literal ..= $max:expr, $unit:literal, $help:literal) => {
        SettingRow {
            key: $key,
            kind: SettingKind::Count { min: $min, max: $max as u64 },
            unit: $unit,
            help: $help,
            read: |from| SettingValue::Count(from.$($field).+ as u64),
            write: |to, value| to.$($field).+ = value.count() as _,
        }
    };
}

macro_rules! power {
    ($key:literal, $($field:ident).+, $min:literal ..= $max:expr, $unit:literal, $help:literal) => {
        SettingRow {
            kind: SettingKind::Power { min: $min, max: $max as u64 },
            ..count!($key, $($field).+, $min ..= $max, $unit, $help)
        }
    };
}

macro_rules! switch {
    ($key:literal, $($field:ident).+, $help:literal) => {
        SettingRow {
            key: $key,
            kind: SettingKind::Switch,
            unit: "",
            help: $help,
            read: |from| SettingValue::Switch(from.$($field).+),
            write: |to, value| to.$($field).+ = value.switch(),
        }
    };
}

macro_rules! text {
    ($key:literal, $($field:ident).+, $kind:expr, $help:literal) => {
        SettingRow {
            key: $key,
            kind: $kind,
            unit: "",
            help: $help,
            read: |from| SettingValue::Text(from.$($field).+.clone()),
            write: |to, value| to.$($field).+ = value.text(),
        }
    };
}

macro_rules! optional_text {
    ($key:literal, $($field:ident).+, $help:literal) => {
        SettingRow {
            key: $key,
            kind: NAME,
            unit: "",
            help: $help,
            read: |from| SettingValue::Text(from.$($field).+.clone().unwrap_or_default()),
            write: |to, value| to.$($field).+ = Some(value.text()).filter(|text| !text.is_empty()),
        }
    };
}

macro_rules! word {
    ($key:literal, $($field:ident).+, $list:ty, $help:literal) => {
        SettingRow {
            key: $key,
            kind: SettingKind::Word(<$list as WordEnum>::WORDS),
            unit: "",
            help: $help,
            read: |from| WordEnum::word(from.$($field).+),
            write: |to, value| to.$($field).+ = WordEnum::from_word(value),
        }
    };
}

macro_rules! address {
    ($key:literal, $($field:ident).+, $help:literal) => {
        SettingRow {
            key: $key,
            kind: SettingKind::Address,
            unit: "",
            help: $help,
            read: |from| SettingValue::Text(from.$($field).+.to_string()),
            write: |to, value| {
                to.$($field).+ = value.text().parse().expect("the kind has parsed it before");
            },
        }
    };
}

macro_rules! path {
    ($key:literal, $($field:ident).+, $help:literal) => {
        SettingRow {
            key: $key,
            kind: PATH,
            unit: "",
            help: $help,
            read: |from| SettingValue::Text(from.$($field).+.to_string_lossy().into_owned()),
            write: |to, value| to.$($field).+ = value.text().into(),
        }
    };
}

macro_rules! texts {
    ($key:literal, $($field:ident).+, $count_max:literal * $bytes_max:literal, $unit:literal, $help:literal) => {
        SettingRow {
            key: $key,
            kind: SettingKind::Texts { count_max: $count_max, bytes_max: $bytes_max },
            unit: $unit,
            help: $help,
            read: |from| SettingValue::Texts(from.$($field).+.clone()),
            write: |to, value| to.$($field).+ = value.texts(),
        }
    };
}
