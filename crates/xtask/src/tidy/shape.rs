//! How a file looks: its first line, its length, the length of its functions, its name, and `lib.rs` without code.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, Item, ItemFn, ItemMod, Signature, TraitItemFn};

use super::source::{Source, Violation, is_test_only};

/// What one reading can hold. Longer files had two subjects wherever we looked.
const FILE_LINES_MAX: usize = 600;

/// What one look can hold: a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// Names that say nothing, so that everything ends up there.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];

pub fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let Some(parsed) = &source.syntax else { return violations };
    if !source.text.starts_with("//! ") {
        violations.push(source.violation(1, "the first line must be `//! ` and say why this file exists"));
    }
    violations.extend(empty_name(source));
    let file = match parsed {
        Ok(file) => file,
        Err(error) => {
            violations.push(source.violation(1, format!("this is no Rust: {error}")));
            return violations;
        }
    };
    violations.extend(file_length(source, file));
    if source.path.ends_with("src/lib.rs") {
        violations.extend(code_in_lib(source, file));
    }
    let mut look = Look { source, violations };
    look.visit_file(file);
    look.violations
}

fn empty_name(source: &Source) -> Option<Violation> {
    let path = source.path.strip_suffix(".rs")?.trim_end_matches("/mod");
    let name = path.rsplit('/').next()?;
    EMPTY_NAMES.contains(&name).then(|| source.violation(1, no_module(name)))
}

fn no_module(name: &str) -> String {
    format!("no module may be called `{name}`: name it for what it knows")
}

fn file_length(source: &Source, file: &syn::File) -> Option<Violation> {
    if source.is_test() {
        return None;
    }
    let tests = file.items.iter().find(|item| match item {
        Item::Mod(item) => is_test_only(&item.attrs),
        _ => false,
    });
    let lines = tests.map_or_else(|| source.text.lines().count(), |item| item.span().start().line - 1);
    (lines > FILE_LINES_MAX).then(|| {
        source.violation(FILE_LINES_MAX + 1, format!("{lines} lines before the tests, {FILE_LINES_MAX} are allowed"))
    })
}

fn code_in_lib(source: &Source, file: &syn::File) -> Vec<Violation> {
    let is_contents = |item: &&Item| match item {
        Item::Mod(item) => item.content.is_none(),
        Item::Use(_) | Item::ExternCrate(_) => true,
        _ => false,
    };
    let code = file.items.iter().filter(|item| !is_contents(item));
    code.map(|item| source.violation(item.span().start().line, "lib.rs is a table of contents and holds no code"))
        .collect()
}

struct Look<'a> {
    source: &'a Source,
    violations: Vec<Violation>,
}

impl Look<'_> {
    fn function(&mut self, signature: &Signature, block: &Block) {
        let first = signature.span().start().line;
        let lines = block.brace_token.span.close().end().line - first + 1;
        if lines > FUNCTION_LINES_MAX {
            let what = format!("`{}` has {lines} lines, {FUNCTION_LINES_MAX} are allowed", signature.ident);
            self.violations.push(self.source.violation(first, what));
        }
    }
}

impl<'ast> Visit<'ast> for Look<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = item.ident.to_string();
        if item.content.is_some() && EMPTY_NAMES.contains(&name.as_str()) {
            self.violations.push(self.source.violation(item.span().start().line, no_module(&name)));
        }
        visit::visit_item_mod(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(path: &str, text: &str, expected: &[(usize, &str)]) {
        let found = check(&Source::new(path, text));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (violation, (line, part)) in found.iter().zip(expected) {
            assert!(violation.line == *line && violation.what.contains(part), "{violation} is not {line}: {part}");
        }
    }

    #[test]
    fn a_tidy_file_passes() {
        finds("crates/a/src/b.rs", "//! Why.\n\nfn f() {}\n", &[]);
        finds("README.md", "no Rust at all", &[]);
    }

    #[test]
    fn the_first_line_says_why() {
        finds("crates/a/src/b.rs", "use std::fs;\n", &[(1, "first line")]);
        finds("crates/a/src/b.rs", "// License.\n//! Why.\n", &[(1, "first line")]);
        finds("crates/a/build.rs", "", &[(1, "first line")]);
    }

    #[test]
    fn a_file_is_measured_up_to_its_tests() {
        let lines = |count: usize| "//! Why.\n".to_owned() + &"const A: u8 = 1;\n".repeat(count - 1);
        finds("a/src/b.rs", &lines(600), &[]);
        finds("a/src/b.rs", &lines(601), &[(601, "601 lines")]);
        let tests =
            |count: usize| format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    const A: u8 = 1;\n".repeat(count));
        finds("a/src/b.rs", &(lines(600) + &tests(900)), &[]);
        finds("a/src/b.rs", &(lines(605) + &tests(9)), &[(601, "605 lines")]);
        finds("a/tests/b.rs", &lines(900), &[]);
    }

    #[test]
    fn a_function_is_measured_from_its_signature_to_its_brace() {
        let function = |count: usize, head: &str| format!("{head} {{\n{}}}\n", "    f();\n".repeat(count - 2));
        let file = |body: &str| format!("//! Why.\n{body}");
        finds("a/src/b.rs", &file(&function(70, "pub fn f()")), &[]);
        finds("a/src/b.rs", &file(&function(71, "pub fn f()")), &[(2, "`f` has 71 lines")]);
        finds("a/src/b.rs", &file(&format!("/// Doc.\n/// Doc.\n{}", function(70, "async fn f()"))), &[]);
        let inside = |kind: &str| file(&format!("{kind} {{\n{}}}\n", function(80, "fn long(&self)")));
        finds("a/src/b.rs", &inside("impl A"), &[(3, "`long` has 80 lines")]);
        finds("a/src/b.rs", &inside("trait A"), &[(3, "`long` has 80 lines")]);
        finds("a/src/b.rs", &inside("#[cfg(test)]\nmod tests"), &[(4, "`long` has 80 lines")]);
    }

    #[test]
    fn braces_in_text_do_not_mislead_the_measure() {
        let body = format!("//! Why.\nfn f() {{\n{}}}\nfn g() {{}}\n", "    print(\"{ }}} {{{\"); // }\n".repeat(69));
        finds("a/src/b.rs", &body, &[(2, "`f` has 71 lines")]);
    }

    #[test]
    fn lib_holds_no_code() {
        finds("a/src/lib.rs", "//! Why.\n#![deny(x)]\nmod a;\npub use a::A;\n#[cfg(test)]\nmod tests;\n", &[]);
        finds("a/src/lib.rs", "//! Why.\nmod a;\n\nfn f() {}\n", &[(4, "no code")]);
        finds("a/src/lib.rs", "//! Why.\nmod a {}\n", &[(2, "no code")]);
        finds("a/src/lib.rs", "//! Why.\npub type A = u8;\n", &[(2, "no code")]);
        finds("a/src/main.rs", "//! Why.\nfn main() {}\n", &[]);
    }

    #[test]
    fn a_name_says_something() {
        for path in ["a/src/utils.rs", "a/src/b/common.rs", "a/src/helpers/mod.rs", "a/tests/misc.rs"] {
            finds(path, "//! Why.\n", &[(1, "no module")]);
        }
        finds("a/src/b.rs", "//! Why.\nmod helpers {}\n", &[(2, "no module")]);
        finds("a/src/commons.rs", "//! Why.\n", &[]);
    }

    #[test]
    fn what_is_no_rust_is_said() {
        finds("a/src/b.rs", "//! Why.\nfn f( {\n", &[(1, "no Rust")]);
    }
}
