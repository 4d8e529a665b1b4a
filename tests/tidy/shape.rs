//! Headers, the length of files and functions, their parameters, and the arms of matches.

use std::collections::BTreeSet;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Block, ExprMatch, FnArg, ImplItemFn, ItemFn, ItemImpl, Lit, Pat, Signature, TraitItemFn, Type,
};

use super::Finding;
use super::arrows;
use super::source::File;

/// A longer function does several things.
const FUNCTION_LINES_MAX: usize = 70;

/// A longer file is about several things.
const FILE_LINES_MAX: usize = 600;

/// The lint that forbids catch-all arms also where they bind a name, or stand within a pattern. The
/// roots of what is pure deny it; tests may match as they like.
const CATCH_ALL_LINT: &str = "deny(clippy::wildcard_enum_match_arm)";

/// What is wrong with files by their path and text, those of tests, too: those of one subject
/// are short, and begin with what it is.
pub fn text_findings(texts: &[(String, String)]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in texts {
        if FILE_LINES_MAX < text.lines().count() {
            found.push(("long-file", path.clone()));
        }
        if !text.trim_start().starts_with("//!") {
            found.push(("header", path.clone()));
        }
    }
    found
}

/// What is wrong with the shape of functions.
pub fn findings(files: &[File]) -> Vec<Finding> {
    let mut found = BTreeSet::new();
    for file in files {
        if arrows::is_pure_root(file) && !file.text.contains(CATCH_ALL_LINT) {
            found.insert(("catch-all-lint", file.path.clone()));
        }
        let mut shape = Shape {
            path: &file.path,
            is_pure: arrows::is_pure(file),
            is_of_trait: false,
            function: String::new(),
            found: &mut found,
        };
        file.items.iter().for_each(|item| shape.visit_item(item));
    }
    found.into_iter().collect()
}

struct Shape<'f> {
    path: &'f str,
    is_pure: bool,
    /// Whether what is looked at has the signatures of a trait.
    is_of_trait: bool,
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
        if !self.is_of_trait && signature.inputs.iter().any(is_bool) {
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

    /// What a trait asks for is looked at where the trait stands.
    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let before = std::mem::replace(&mut self.is_of_trait, item.trait_.is_some());
        visit::visit_item_impl(self, item);
        self.is_of_trait = before;
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        let before = self.enter(&item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
        self.function = before;
    }

    fn visit_expr_match(&mut self, item: &'ast ExprMatch) {
        // Of texts and numbers there is no list that could be closed.
        let is_open = item.arms.iter().any(|arm| has_literal(&arm.pat));
        if self.is_pure && !is_open && item.arms.iter().any(|arm| is_catch_all(&arm.pat)) {
            self.find("catch-all");
        }
        visit::visit_expr_match(self, item);
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

/// Whether a pattern names a text or a number.
fn has_literal(pattern: &Pat) -> bool {
    match pattern {
        Pat::Lit(literal) => !matches!(literal.lit, Lit::Bool(_)),
        Pat::Range(_) => true,
        Pat::Or(or) => or.cases.iter().any(has_literal),
        Pat::Tuple(tuple) => tuple.elems.iter().any(has_literal),
        Pat::Reference(reference) => has_literal(&reference.pat),
        Pat::Paren(inner) => has_literal(&inner.pat),
        Pat::TupleStruct(inner) => inner.elems.iter().any(has_literal),
        _ => false,
    }
}
