//! What was meant to go before it was committed, and what only one machine knows.

use syn::visit::{self, Visit};
use syn::{ExprMethodCall, ImplItemFn, ItemFn, ItemImpl, ItemMod};

use super::source::{Source, Violation, is_test_only};

/// Work that was put off. Written in two pieces each, or this file would be the first to be found.
const PUT_OFF: &[&str] = &[
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
    concat!("#[ign", "ore"),
];

/// Folders of somebody's machine.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/home", "/")];

/// Where packages are fetched from is a setting of the machine; a text that names it breaks behind a mirror.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("deb.debian", ".org"),
];

pub fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(source.text.lines()) {
        if !source.path.ends_with(".md") {
            for word in PUT_OFF.iter().filter(|word| has_word(line, word)) {
                violations.push(source.violation(number, format!("`{word}` is a leftover: do it, or write it down")));
            }
        }
        for path in MACHINE_PATHS.iter().filter(|path| has_path(line, path)) {
            violations.push(source.violation(number, format!("`{path}` is a folder of one machine")));
        }
        for host in REGISTRY_HOSTS.iter().filter(|host| line.contains(*host)) {
            violations.push(source.violation(number, format!("`{host}`: where packages come from is the machine's")));
        }
    }
    if let Some(file) = source.rust().filter(|_| !source.is_test() && !source.path.starts_with("crates/outlast-sim/")) {
        let mut look = Unwraps { source, violations };
        look.visit_file(file);
        violations = look.violations;
    }
    violations
}

/// Is it there as a word of its own?
fn has_word(line: &str, word: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let closed = |rest: &str| !word.ends_with(char::is_alphanumeric) || !is_letter(rest.chars().next());
    line.match_indices(word)
        .any(|(at, _)| !is_letter(line[..at].chars().next_back()) && closed(&line[at + word.len()..]))
}

/// Is it the beginning of a path? `data/root/x` or `{root}/work/` is no folder of a machine.
fn has_path(line: &str, path: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || "_-./}>)*".contains(c);
    line.match_indices(path).any(|(at, _)| !line[..at].chars().next_back().is_some_and(inside))
}

struct Unwraps<'a> {
    source: &'a Source,
    violations: Vec<Violation>,
}

impl<'ast> Visit<'ast> for Unwraps<'_> {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if call.method == "unwrap" && call.args.is_empty() {
            let what = "`unwrap` tells nobody why it can't fail: `expect` with the reason, or an error";
            self.violations.push(self.source.violation(call.method.span().start().line, what));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test_only(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test_only(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if !is_test_only(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_test_only(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(path: &str, text: &str, lines: &[usize]) {
        let found = check(&Source::new(path, text));
        let at: Vec<_> = found.iter().map(|violation| violation.line).collect();
        assert_eq!(at, lines, "{found:?}");
    }

    #[test]
    fn work_that_was_put_off_is_found() {
        for word in PUT_OFF {
            finds("a.rs", &format!("//! A.\n// {word}: later\n"), &[2]);
            finds("a.toml", &format!("# {word}\n"), &[1]);
            finds("a.md", &format!("We never leave {word}.\n"), &[]);
        }
        finds("a.rs", concat!("//! A.\n#[ign", "ore = \"slow\"]\n#[test]\nfn a() {}\n"), &[2]);
        finds("a.rs", "//! A.\nconst ID: &str = \"0XXXX1\";\nfn f() { my_todo!() }\n", &[]);
    }

    #[test]
    fn what_one_machine_knows_is_found() {
        for path in MACHINE_PATHS {
            finds("a.md", &format!("see {path}notes\n"), &[1]);
            finds("a.rs", &format!("//! A.\nconst A: &str = \"{path}x\";\n"), &[2]);
            finds("a.rs", &format!("//! A.\nconst A: &str = \"{{dir}}{path}x\";\n// data{path}x\n"), &[]);
        }
        for host in REGISTRY_HOSTS {
            finds("a.toml", &format!("index = \"https://{host}/simple\"\n"), &[1]);
        }
    }

    #[test]
    fn unwrap_is_for_tests() {
        finds("crates/a/src/b.rs", "//! A.\nfn f() {\n    g().unwrap();\n}\n", &[3]);
        finds(
            "crates/a/src/b.rs",
            "//! A.\nimpl A {\n    fn f() {\n        g()\n            .unwrap();\n    }\n}\n",
            &[5],
        );
        finds("crates/a/src/b.rs", "//! A.\nfn f() {\n    g().unwrap_or(1);\n}\n", &[]);
        finds("crates/a/src/b.rs", "//! A.\n#[cfg(test)]\nmod tests {\n    fn f() { g().unwrap(); }\n}\n", &[]);
        finds("crates/a/tests/b.rs", "//! A.\nfn f() { g().unwrap(); }\n", &[]);
        finds("crates/outlast-sim/src/b.rs", "//! A.\nfn f() { g().unwrap(); }\n", &[]);
    }
}
