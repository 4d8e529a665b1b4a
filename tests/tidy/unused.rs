//! What is declared for others and used by tests alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItemFn, ItemConst, ItemEnum, ItemFn, ItemImpl, ItemStruct};

use super::Finding;
use super::source::{File, is_for_tests};

/// Where else the library is used.
const USERS: [&str; 2] = ["fuzz/src", "bench/examples"];

/// Names of `src/` that stand nowhere but where they are declared.
pub fn findings(files: &[File]) -> Vec<Finding> {
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    for file in files {
        for item in &file.items {
            count(&file.text[item.span().byte_range()], &mut words);
        }
    }
    for user in USERS.iter().flat_map(|place| fs::read_dir(Path::new(place)).unwrap()) {
        count(&fs::read_to_string(user.unwrap().path()).unwrap(), &mut words);
    }
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        let mut names = Names::default();
        file.items.iter().for_each(|item| names.visit_item(item));
        let unused = names.0.into_iter().filter(|name| words.get(name) == Some(&1));
        found.extend(unused.map(|name| ("used-by-tests-only", format!("{}: {name}", file.path))));
    }
    found
}

/// Every word that is no comment.
fn count(text: &str, words: &mut BTreeMap<String, usize>) {
    for line in text.lines().map(|line| line.split("//").next().unwrap_or_default()) {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        for word in line.split(|letter| !is_word(letter)).filter(|word| !word.is_empty()) {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
}

/// What is declared, but for tests and by traits.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn take(&mut self, attributes: &[Attribute], name: &Ident) {
        if !attributes.iter().any(is_for_tests) {
            self.0.push(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.take(&item.attrs, &item.sig.ident);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if item.trait_.is_none() {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.take(&item.attrs, &item.sig.ident);
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.take(&item.attrs, &item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        self.take(&item.attrs, &item.ident);
    }

    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        self.take(&item.attrs, &item.ident);
    }
}
