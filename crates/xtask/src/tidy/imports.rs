//! What each module of a crate defines and names. The compiler knows, but it permits circles; so we read it ourselves.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{File, Item, ItemMod, ItemUse, Macro, UseTree, Visibility};

use super::source::is_test_only;

/// Where a module lies below its crate: `[]` is the root, `["s3", "errors"]` is `crate::s3::errors`.
pub type ModulePath = Vec<String>;

/// A path as it is written.
pub type Written = Vec<String>;

/// One module, with what is needed to find what a path means.
#[derive(Default)]
pub struct Module {
    /// Index of the file that it is written in.
    pub file: usize,
    /// Items that it defines itself.
    pub defines: BTreeSet<String>,
    /// Names that it has by `use`, and the paths that they stand for.
    pub names: BTreeMap<String, Written>,
    /// `use path::*`.
    pub globs: Vec<Written>,
    /// Paths that its code rests on, with their lines.
    pub rests_on: Vec<Reference>,
}

/// A path in code.
pub struct Reference {
    pub line: usize,
    pub path: Written,
    /// It only passes the name on (`pub use`).
    pub passes_on: bool,
}

/// The module path that a file of `src/` holds.
pub fn module_of_file(path_in_src: &str) -> ModulePath {
    let path = path_in_src.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" | "main" => Vec::new(),
        path => path.split('/').map(String::from).collect(),
    }
}

/// Reads one file into the modules that it holds: itself, and those written inside it.
pub fn read_file(modules: &mut BTreeMap<ModulePath, Module>, module: ModulePath, index: usize, file: &File) {
    modules.entry(module.clone()).or_default().file = index;
    let mut reader = Reader { modules, at: module, index };
    reader.visit_file(file);
}

struct Reader<'a> {
    modules: &'a mut BTreeMap<ModulePath, Module>,
    at: ModulePath,
    index: usize,
}

impl Reader<'_> {
    fn here(&mut self) -> &mut Module {
        self.modules.get_mut(&self.at).expect("a module is entered before its items are read")
    }

    fn rests_on(&mut self, line: usize, path: Written, passes_on: bool) {
        self.here().rests_on.push(Reference { line, path, passes_on });
    }

    fn used(&mut self, tree: &UseTree, mut path: Written, passes_on: bool) {
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.used(&part.tree, path, passes_on);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.used(tree, path.clone(), passes_on);
                }
            }
            UseTree::Glob(star) => {
                self.rests_on(star.span().start().line, [path.clone(), vec!["*".into()]].concat(), passes_on);
                self.here().globs.push(path);
            }
            UseTree::Name(name) => {
                // `use a::{self}` names `a`.
                if name.ident != "self" {
                    path.push(name.ident.to_string());
                }
                let known_as = path.last().cloned().unwrap_or_default();
                self.named(name.span().start().line, known_as, path, passes_on);
            }
            UseTree::Rename(name) => {
                if name.ident != "self" {
                    path.push(name.ident.to_string());
                }
                self.named(name.span().start().line, name.rename.to_string(), path, passes_on);
            }
        }
    }

    fn named(&mut self, line: usize, known_as: String, path: Written, passes_on: bool) {
        self.rests_on(line, path.clone(), passes_on);
        self.here().names.insert(known_as, path);
    }

    /// The paths in what a macro is given: its meaning is not known, but `a::b` in it is a path all the same.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Written = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_of_path(line, &mut path);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.end_of_path(line, &mut path);
                    colons = 0;
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.end_of_path(line, &mut path);
                    colons = 0;
                }
            }
        }
        self.end_of_path(line, &mut path);
    }

    fn end_of_path(&mut self, line: usize, path: &mut Written) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.rests_on(line, path, false);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (name, attributes) = defined(item);
        if is_test_only(attributes) {
            return;
        }
        if let Some(name) = name {
            self.here().defines.insert(name);
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_none() {
            return;
        }
        self.at.push(item.ident.to_string());
        self.modules.entry(self.at.clone()).or_default().file = self.index;
        visit::visit_item_mod(self, item);
        self.at.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            self.used(&item.tree, Vec::new(), !matches!(item.vis, Visibility::Inherited));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 && path.leading_colon.is_none() {
            let written = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.rests_on(path.span().start().line, written, false);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}

/// The name that an item gives to its module, and its attributes.
fn defined(item: &Item) -> (Option<String>, &[syn::Attribute]) {
    match item {
        Item::Const(item) => (Some(item.ident.to_string()), &item.attrs),
        Item::Enum(item) => (Some(item.ident.to_string()), &item.attrs),
        Item::Fn(item) => (Some(item.sig.ident.to_string()), &item.attrs),
        Item::Macro(item) => (item.ident.as_ref().map(ToString::to_string), &item.attrs),
        Item::Static(item) => (Some(item.ident.to_string()), &item.attrs),
        Item::Struct(item) => (Some(item.ident.to_string()), &item.attrs),
        Item::Trait(item) => (Some(item.ident.to_string()), &item.attrs),
        Item::TraitAlias(item) => (Some(item.ident.to_string()), &item.attrs),
        Item::Type(item) => (Some(item.ident.to_string()), &item.attrs),
        Item::Union(item) => (Some(item.ident.to_string()), &item.attrs),
        Item::Mod(item) => (None, &item.attrs),
        Item::Use(item) => (None, &item.attrs),
        Item::Impl(item) => (None, &item.attrs),
        _ => (None, &[]),
    }
}
