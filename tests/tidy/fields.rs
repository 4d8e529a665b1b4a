//! Fields that others can reach, where a struct is composed of parts.

use std::collections::BTreeSet;

use syn::{Field, Ident, ImplItem, Item, Type, Visibility};

use super::Finding;
use super::source::File;

/// Modules whose structs have parts instead of fields that others change: a struct with a
/// method that changes it keeps its fields to its file. A plain value may show them.
const COMPOSED: &str = "shard session room store log alert";

/// Structs that change themselves and show their fields.
pub fn findings(files: &[File]) -> Vec<Finding> {
    let mut found = Vec::new();
    for module in COMPOSED.split(' ') {
        let files = || files.iter().filter(|file| file.module() == Some(module));
        // Whichever file of the module has the method.
        let changing: BTreeSet<String> = files()
            .flat_map(|file| file.items.iter().filter_map(changed))
            .map(|ident| ident.to_string())
            .collect();
        for file in files() {
            let names = visible(&file.items, &changing);
            found.extend(names.map(|name| ("visible-field", format!("{}: {name}", file.path))));
        }
    }
    found
}

fn visible(items: &[Item], changing: &BTreeSet<String>) -> impl Iterator<Item = String> {
    items.iter().filter_map(move |item| {
        let Item::Struct(item) = item else { return None };
        let is_visible = |field: &Field| !matches!(field.vis, Visibility::Inherited);
        let name = item.ident.to_string();
        (changing.contains(&name) && item.fields.iter().any(is_visible)).then_some(name)
    })
}

/// Whose methods these are, when one of them changes it.
fn changed(item: &Item) -> Option<&Ident> {
    let Item::Impl(block) = item else { return None };
    let Type::Path(path) = &*block.self_ty else { return None };
    let changes = |item: &ImplItem| match item {
        ImplItem::Fn(method) => method.sig.receiver().is_some_and(|one| one.mutability.is_some()),
        _ => false,
    };
    block.items.iter().any(changes).then_some(&path.path.segments.last()?.ident)
}
