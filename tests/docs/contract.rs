//! The wire contract: what proto/client.proto says, and the types of prost that are written
//! beside it.

use std::collections::BTreeMap;

use syn::{Fields, GenericArgument, Item, LitStr, PathArguments, Type};

/// Of each message its fields: number, name, and what it holds.
type Contract = BTreeMap<String, BTreeMap<u32, String>>;

#[test]
fn the_types_are_those_of_the_schema() {
    let schema = of_schema(include_str!("../../proto/client.proto"));
    let types = of_types(include_str!("../../proto/client.rs"));
    assert!(30 < schema.len(), "only {} messages were found", schema.len());
    for (name, fields) in &schema {
        assert_eq!(types.get(name), Some(fields), "message {name}");
    }
    assert_eq!(types.keys().collect::<Vec<_>>(), schema.keys().collect::<Vec<_>>());
}

/// A field as both are compared.
fn field(name: &str, label: &str, holds: &str) -> String {
    format!("{label} {holds} {name}").trim_start().to_owned()
}

/// prost writes acronyms like words.
fn message_name(name: &str) -> String {
    name.replace("RPC", "Rpc")
}

fn of_schema(text: &str) -> Contract {
    let scalars = ["uint32", "uint64", "int32", "int64", "bool", "string", "bytes"];
    let holds = |kind: &str| match scalars.contains(&kind) {
        true => kind.to_owned(),
        false => message_name(kind),
    };
    let (mut contract, mut message) = (Contract::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("message ") {
            message = message_name(rest.split(' ').next().expect("it has a name"));
            contract.entry(message.clone()).or_default();
        } else if let Some((left, number)) =
            line.strip_suffix(';').and_then(|l| l.split_once(" = "))
            && let (Ok(number), Some((kind, name))) = (number.parse(), left.rsplit_once(' '))
        {
            let map = kind.strip_prefix("map<string, ").and_then(|kind| kind.strip_suffix('>'));
            let said = match (map, kind.strip_prefix("repeated ")) {
                (Some(kind), _) => field(name, "map", &holds(kind)),
                (None, Some(kind)) => field(name, "repeated", &holds(kind)),
                (None, None) if scalars.contains(&kind) => field(name, "", kind),
                (None, None) => field(name, "optional", &holds(kind)),
            };
            let before = contract.get_mut(&message).expect("a message").insert(number, said);
            assert_eq!(before, None, "{message} has {number} twice");
        }
    }
    contract
}

fn of_types(text: &str) -> Contract {
    let file = syn::parse_file(text).expect("it is Rust");
    let messages = file.items.into_iter().filter_map(|item| match item {
        Item::Struct(item) => Some(item),
        _ => None,
    });
    messages
        .map(|item| {
            let Fields::Named(named) = item.fields else { panic!("{} has names", item.ident) };
            (item.ident.to_string(), named.named.iter().map(of_field).collect())
        })
        .collect()
}

/// The number, and the rest, of a field's `prost(…)`.
fn of_field(one: &syn::Field) -> (u32, String) {
    let attribute = one.attrs.iter().find(|attribute| attribute.path().is_ident("prost"));
    let (mut number, mut label, mut scalar) = (0, "", None);
    let read = attribute.expect("it has one").parse_nested_meta(|meta| {
        let word = meta.path.get_ident().expect("a word").to_string();
        let value = match meta.input.peek(syn::Token![=]) {
            true => Some(meta.value()?.parse::<LitStr>()?.value()),
            false => None,
        };
        match (word.as_str(), value) {
            ("tag", Some(value)) => number = value.parse().expect("a number"),
            ("btree_map", Some(value)) => {
                label = "map";
                let kind = value.strip_prefix("string, ").expect("by texts").to_owned();
                scalar = Some(kind).filter(|kind| kind != "message");
            }
            ("optional", None) => label = "optional",
            ("repeated", None) => label = "repeated",
            ("message", None) => {}
            (_, None | Some(_)) => scalar = Some(word),
        }
        Ok(())
    });
    read.expect("it can be read");
    let name = one.ident.as_ref().expect("it has a name").to_string();
    let holds = scalar.unwrap_or_else(|| innermost(&one.ty));
    (number, field(name.trim_start_matches("r#"), label, &holds))
}

/// The last type of all that are around it.
fn innermost(around: &Type) -> String {
    let Type::Path(path) = around else { panic!("a type with a name") };
    let last = path.path.segments.last().expect("it has a name");
    match &last.arguments {
        PathArguments::AngleBracketed(inner) => match inner.args.last() {
            Some(GenericArgument::Type(inner)) => innermost(inner),
            _ => panic!("a type within {}", last.ident),
        },
        _ => last.ident.to_string(),
    }
}
