//! A public type's name means one thing in the whole library, and what stands in a result's
//! place for errors is called one.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{GenericArgument, Ident, PathArguments, PathSegment, Type, TypeParamBound, Visibility};

use super::Finding;
use super::source::File;

/// Each module has its own of these.
const MAY_REPEAT: &[&str] = &["Options", "Error"];

/// Macros that declare a public type, called by the first word that they are given.
const DECLARING_MACROS: &[&str] = &["label", "catalogue"];

/// What else stands in a result's place for errors, and why.
const ERRORS_BY_OTHER_NAMES: &[(&str, &str)] = &[
    ("ErrorCode", "the protocol's own word"),
    ("RejectReason", "the label of a metric, which counts every upgrade that is rejected"),
    ("Violation", "what a checker of the simulator finds"),
    ("String", "a line for a person"),
    ("Response", "axum answers with it, whatever it says"),
    ("u8", "the exit code of a command"),
    ("usize", "where it would be put, as the standard library's searches say it"),
];

/// Names that stand for several types, each with the files that declare one; and errors that
/// are not called so.
pub fn findings(files: &[File]) -> Vec<Finding> {
    let mut found = repeated(files);
    for file in files {
        let mut errors = Errors::default();
        file.items.iter().for_each(|item| errors.visit_item(item));
        let names = errors.names.into_iter().map(|name| format!("{}: {name}", file.path));
        found.extend(names.map(|place| ("error-name", place)));
    }
    found
}

fn repeated(files: &[File]) -> Vec<Finding> {
    let mut declared: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        let mut types = Types::default();
        file.items.iter().for_each(|item| types.visit_item(item));
        for name in types.names {
            declared.entry(name).or_default().push(&file.path);
        }
    }
    let several = declared
        .into_iter()
        .filter(|(name, places)| 1 < places.len() && !MAY_REPEAT.contains(&name.as_str()));
    several.map(|(name, places)| ("type-name", format!("{name}: {}", places.join(" ")))).collect()
}

#[derive(Default)]
struct Types {
    names: Vec<String>,
}

impl Types {
    fn declare(&mut self, visibility: &Visibility, name: &Ident) {
        if !matches!(visibility, Visibility::Inherited) {
            self.names.push(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Types {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.declare(&item.vis, &item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.declare(&item.vis, &item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.declare(&item.vis, &item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.declare(&item.vis, &item.ident);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if DECLARING_MACROS.iter().any(|name| item.mac.path.is_ident(name)) {
            let text = item.mac.tokens.to_string();
            let declaration = syn::parse_str::<Declaration>(&text);
            self.names.push(declaration.expect("a type's name comes first").0.to_string());
        }
    }
}

/// What a declaring macro is given: attributes, the name of the type, and all else.
struct Declaration(Ident);

impl syn::parse::Parse for Declaration {
    fn parse(input: syn::parse::ParseStream<'_>) -> syn::Result<Declaration> {
        input.call(syn::Attribute::parse_outer)?;
        let name = input.parse()?;
        input.step(|cursor| {
            let mut rest = *cursor;
            while let Some((_, next)) = rest.token_tree() {
                rest = next;
            }
            Ok(((), rest))
        })?;
        Ok(Declaration(name))
    }
}

#[derive(Default)]
struct Errors {
    names: Vec<String>,
}

impl<'ast> Visit<'ast> for Errors {
    fn visit_path_segment(&mut self, segment: &'ast PathSegment) {
        if segment.ident == "Result"
            && let PathArguments::AngleBracketed(arguments) = &segment.arguments
            && let Some(GenericArgument::Type(error)) = arguments.args.iter().nth(1)
            && !is_error(error)
        {
            self.names.push(name_of(error).unwrap_or_else(|| "a type without a name".to_owned()));
        }
        visit::visit_path_segment(self, segment);
    }
}

/// Whether a type is called an error, or has a list, a pointer or a tuple around one.
fn is_error(error: &Type) -> bool {
    match error {
        Type::Infer(_) => true,
        Type::Tuple(parts) => parts.elems.iter().any(is_error),
        Type::TraitObject(object) => object.bounds.iter().any(|bound| match bound {
            TypeParamBound::Trait(bound) => is_error_segment(bound.path.segments.last()),
            _ => false,
        }),
        Type::Path(path) => is_error_segment(path.path.segments.last()),
        _ => false,
    }
}

fn is_error_segment(segment: Option<&PathSegment>) -> bool {
    let Some(segment) = segment else { return false };
    let name = segment.ident.to_string();
    let is_parameter = name.len() == 1;
    let is_around = ["Vec", "Box", "Arc"].contains(&name.as_str());
    let inner = match &segment.arguments {
        PathArguments::AngleBracketed(inner) if is_around => inner.args.first(),
        _ => None,
    };
    match inner {
        Some(GenericArgument::Type(inner)) => is_error(inner),
        _ => {
            let is_allowed = ERRORS_BY_OTHER_NAMES.iter().any(|(allowed, _)| *allowed == name);
            name.ends_with("Error") || name.ends_with("ErrorKind") || is_parameter || is_allowed
        }
    }
}

/// The last word of a type, within what is around it.
fn name_of(error: &Type) -> Option<String> {
    let Type::Path(path) = error else { return None };
    let segment = path.path.segments.last()?;
    match &segment.arguments {
        PathArguments::AngleBracketed(inner) => match inner.args.first()? {
            GenericArgument::Type(inner) => name_of(inner),
            _ => Some(segment.ident.to_string()),
        },
        _ => Some(segment.ident.to_string()),
    }
}
