//! A public type's name means one thing in the whole library.

use std::collections::BTreeMap;

use syn::visit::Visit;
use syn::{Ident, Visibility};

use super::Finding;
use super::source::File;

/// Each module has its own of these.
const MAY_REPEAT: &[&str] = &["Options", "Error"];

/// Names that stand for several types, each with the files that declare one.
pub fn findings(files: &[File]) -> Vec<Finding> {
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
}
