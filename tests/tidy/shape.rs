//! Headers, the length of functions, their parameters, and the arms of matches.

use std::collections::BTreeSet;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, Block, FnArg, ImplItemFn, ItemFn, Pat, Signature, TraitItemFn, Type};

use super::Finding;
use super::arrows::PURE;
use super::source::File;

/// A longer function does several things.
const FUNCTION_LINES_MAX: usize = 70;

/// What is wrong with the shape of files and functions.
pub fn findings(files: &[File]) -> Vec<Finding> {
    let mut found = BTreeSet::new();
    for file in files {
        if !file.text.trim_start().starts_with("//!") {
            found.insert(("header", file.path.clone()));
        }
        let is_pure = file.module().is_some_and(|module| PURE.split(' ').any(|one| one == module));
        let mut shape =
            Shape { path: &file.path, is_pure, function: String::new(), found: &mut found };
        file.items.iter().for_each(|item| shape.visit_item(item));
    }
    found.into_iter().collect()
}

struct Shape<'f> {
    path: &'f str,
    is_pure: bool,
    /// The one that is looked at.
    function: String,
    found: &'f mut BTreeSet<Finding>,
}

impl Shape<'_> {
    fn find(&mut self, rule: &'static str) {
        self.found.insert((rule, format!("{}: {}", self.path, self.function)));
    }

    fn enter(&mut self, signature: &Signature, block: Option<&Block>) -> String {
        let before = std::mem::replace(&mut self.function, signature.ident.to_string());
        if signature.inputs.iter().any(is_bool) {
            self.find("bool-parameter");
        }
        if let Some(block) = block {
            let span = block.span();
            let lines = span.end().line + 1 - signature.span().start().line;
            if FUNCTION_LINES_MAX < lines {
                self.find("long-function");
            }
        }
        before
    }
}

impl<'ast> Visit<'ast> for Shape<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let before = self.enter(&item.sig, Some(&item.block));
        visit::visit_item_fn(self, item);
        self.function = before;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        let before = self.enter(&item.sig, Some(&item.block));
        visit::visit_impl_item_fn(self, item);
        self.function = before;
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        let before = self.enter(&item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
        self.function = before;
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        if self.is_pure && is_catch_all(&arm.pat) {
            self.find("catch-all");
        }
        visit::visit_arm(self, arm);
    }
}

fn is_bool(argument: &FnArg) -> bool {
    let FnArg::Typed(argument) = argument else { return false };
    matches!(&*argument.ty, Type::Path(path) if path.path.is_ident("bool"))
}

fn is_catch_all(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) => true,
        Pat::Tuple(tuple) => tuple.elems.iter().all(is_catch_all),
        _ => false,
    }
}
