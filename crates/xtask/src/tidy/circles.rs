//! The compiler forbids circles between crates and permits them within one. We don't: a file that is part of a circle
//! can't be understood without all the others.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::imports::{module_of_file, read_file};
use super::resolve::Crate;
use super::source::{Source, Violation};

/// For each file, the files that it rests on, with the first line that says so.
type Arrows = BTreeMap<usize, BTreeMap<usize, usize>>;

pub fn check(sources: &[Source]) -> Vec<Violation> {
    let mut crates: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.rust().is_some() && !source.is_test()) {
        if let Some((name, _)) = source.path.split_once("/src/") {
            crates.entry(name).or_default().push(source);
        }
    }
    crates.values().flat_map(|files| circles_of(files)).collect()
}

fn circles_of(files: &[&Source]) -> Vec<Violation> {
    let arrows = arrows(files);
    let mut told: BTreeSet<usize> = BTreeSet::new();
    let mut violations = Vec::new();
    for &start in arrows.keys() {
        if told.contains(&start) {
            continue;
        }
        let Some(circle) = shortest_circle(&arrows, start) else { continue };
        told.extend(&circle);
        let name = |file: usize| files[file].path.split_once("/src/").map_or("", |(_, rest)| rest);
        let next = |at: usize| circle[(at + 1) % circle.len()];
        let steps = circle
            .iter()
            .enumerate()
            .map(|(at, &file)| format!("{}:{} needs {}", name(file), arrows[&file][&next(at)], name(next(at))));
        let what = format!("a circle of {}: {}", circle.len(), steps.collect::<Vec<_>>().join(", "));
        violations.push(files[start].violation(arrows[&start][&next(0)], what));
    }
    violations
}

fn arrows(files: &[&Source]) -> Arrows {
    let mut modules = BTreeMap::new();
    for (index, source) in files.iter().enumerate() {
        let (_, in_src) = source.path.split_once("/src/").expect("only files of src/ are asked");
        read_file(&mut modules, module_of_file(in_src), index, source.rust().expect("only Rust is asked"));
    }
    let whole = Crate { modules };
    let mut arrows = Arrows::new();
    for (at, module) in &whole.modules {
        for reference in &module.rests_on {
            let to = whole.files(at, &reference.path);
            // A parent that passes on what its children have does not rest on them.
            let of_a_child = |file: usize| {
                let below = |(path, child): (&Vec<String>, &super::imports::Module)| {
                    child.file == file && path.len() > at.len() && path.starts_with(at)
                };
                whole.modules.iter().any(below)
            };
            for file in to {
                if file != module.file && !(reference.passes_on && of_a_child(file)) {
                    arrows.entry(module.file).or_default().entry(file).or_insert(reference.line);
                }
            }
        }
    }
    arrows
}

/// The shortest way from a file back to itself.
fn shortest_circle(arrows: &Arrows, start: usize) -> Option<Vec<usize>> {
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for &next in arrows.get(&file).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                let mut circle = vec![file];
                while let Some(&before) = circle.last().and_then(|last| came_from.get(last)) {
                    circle.push(before);
                }
                circle.reverse();
                return Some(circle);
            }
            if let Entry::Vacant(place) = came_from.entry(next) {
                place.insert(file);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> =
            files.iter().map(|(name, text)| Source::new(&format!("crates/c/src/{name}"), text)).collect();
        assert!(sources.iter().all(|source| source.rust().is_some()), "the made-up sources are Rust");
        check(&sources).into_iter().map(|violation| violation.what).collect()
    }

    #[track_caller]
    fn tidy(files: &[(&str, &str)]) {
        assert_eq!(found(files), [""; 0]);
    }

    #[track_caller]
    fn circle(files: &[(&str, &str)], expected: &[&str]) {
        assert_eq!(found(files), expected);
    }

    const LIB: (&str, &str) = ("lib.rs", "mod a; mod b; mod c; pub use a::A; pub use b::*;");

    #[test]
    fn arrows_in_one_direction_pass() {
        tidy(&[LIB, ("a.rs", "use crate::b::B;\npub struct A(B);"), ("b.rs", "pub struct B;")]);
    }

    #[test]
    fn two_files_that_need_each_other() {
        circle(
            &[LIB, ("a.rs", "use crate::b::B;\npub struct A(B);"), ("b.rs", "pub struct B;\nfn f(_: &crate::a::A) {}")],
            &["a circle of 2: a.rs:1 needs b.rs, b.rs:2 needs a.rs"],
        );
    }

    #[test]
    fn three_in_a_ring_and_one_outside() {
        circle(
            &[
                ("main.rs", "mod a; mod b; mod c; use a::A;"),
                ("a.rs", "use super::b::B; pub struct A(B);"),
                ("b.rs", "use crate::c::C; pub struct B(C);"),
                ("c.rs", "pub enum C {}\npub fn f() { crate::a::f() }"),
            ],
            &["a circle of 3: a.rs:1 needs b.rs, b.rs:1 needs c.rs, c.rs:2 needs a.rs"],
        );
    }

    #[test]
    fn a_name_from_the_table_of_contents_is_followed_to_its_file() {
        tidy(&[LIB, ("a.rs", "use crate::B;\npub struct A(B);"), ("b.rs", "pub struct B;")]);
        circle(
            &[LIB, ("a.rs", "use crate::B; pub struct A(B);"), ("b.rs", "use crate::A; pub struct B(A);")],
            &["a circle of 2: a.rs:1 needs b.rs, b.rs:1 needs a.rs"],
        );
    }

    #[test]
    fn a_module_brought_in_by_name_counts_where_it_is_used() {
        let b = ("b.rs", "use crate::a;\npub struct B;\n\nfn f() { a::f() }");
        circle(
            &[LIB, ("a.rs", "pub fn f() { crate::b::f() }"), b],
            &["a circle of 2: a.rs:1 needs b.rs, b.rs:4 needs a.rs"],
        );
        tidy(&[LIB, ("a.rs", "pub fn f() {}"), b]);
    }

    #[test]
    fn a_parent_that_only_passes_on_is_no_part_of_a_circle() {
        tidy(&[
            ("lib.rs", "mod s3;"),
            ("s3/mod.rs", "mod body; mod put; pub use body::Body; pub(crate) use put::put;"),
            ("s3/body.rs", "pub struct Body;"),
            ("s3/put.rs", "use super::Body; pub fn put(_: Body) {}"),
        ]);
    }

    #[test]
    fn a_parent_whose_items_its_children_need_must_not_need_them() {
        circle(
            &[
                ("lib.rs", "mod s3;"),
                ("s3/mod.rs", "mod put;\npub struct Body;\npub fn all() { put::put(Body) }"),
                ("s3/put.rs", "use super::Body; pub fn put(_: Body) {}"),
            ],
            &["a circle of 2: s3/mod.rs:3 needs s3/put.rs, s3/put.rs:1 needs s3/mod.rs"],
        );
        tidy(&[
            ("lib.rs", "mod s3;"),
            ("s3/mod.rs", "mod put; pub use put::put; pub struct Body;"),
            ("s3/put.rs", "use super::Body; pub fn put(_: Body) {}"),
        ]);
    }

    #[test]
    fn paths_in_macros_count() {
        circle(
            &[
                LIB,
                ("a.rs", "pub fn f() { println!(\"{}\", crate::b::B) }"),
                ("b.rs", "pub const B: u8 = 1;\nfn g() { assert!(h(vec![crate::a::f()])) }"),
            ],
            &["a circle of 2: a.rs:1 needs b.rs, b.rs:2 needs a.rs"],
        );
    }

    #[test]
    fn a_star_brings_in_everything() {
        circle(
            &[LIB, ("a.rs", "use crate::b::*; pub struct A(B);"), ("b.rs", "use crate::a::A; pub struct B;")],
            &["a circle of 2: a.rs:1 needs b.rs, b.rs:1 needs a.rs"],
        );
    }

    #[test]
    fn tests_may_look_upward() {
        tidy(&[
            LIB,
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "pub struct B; #[cfg(test)] mod tests { use super::*; use crate::a::A; }"),
        ]);
    }

    #[test]
    fn a_module_inside_a_file_is_part_of_it() {
        circle(
            &[
                LIB,
                ("a.rs", "pub mod inner { use super::super::b::B; pub struct In(B); }"),
                ("b.rs", "use crate::a::inner::In; pub struct B;"),
            ],
            &["a circle of 2: a.rs:1 needs b.rs, b.rs:1 needs a.rs"],
        );
    }

    #[test]
    fn a_use_of_itself_ends() {
        tidy(&[("lib.rs", "mod a; use a::A;"), ("a.rs", "pub use a as b; pub use b as a; use serde::serde;")]);
    }
}
