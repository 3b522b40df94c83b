//! Which file a path means. A name that a module only passes on belongs to the file that defines it: a table of
//! contents makes no circle.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{Module, ModulePath, Written};

/// Names that stand for names, at most. Real chains have two or three links; a longer one is a `use` of itself.
const CHAIN_MAX: usize = 16;

/// Every module of one crate.
pub struct Crate {
    pub modules: BTreeMap<ModulePath, Module>,
}

impl Crate {
    /// The files that a path rests on which is written in the module `at`.
    ///
    /// None if it leads out of the crate, or only to a module: naming a room is not yet using what is in it.
    pub fn files(&self, at: &[String], path: &[String]) -> BTreeSet<usize> {
        let mut files = BTreeSet::new();
        self.follow(at, path, 0, &mut files);
        files
    }

    /// Adds what was found. True if the path led to something of this crate.
    fn follow(&self, at: &[String], path: &[String], depth: usize, files: &mut BTreeSet<usize>) -> bool {
        if depth > CHAIN_MAX {
            return false;
        }
        match self.begin(at, path) {
            Some((module, rest)) => self.descend(module, &rest, depth, files),
            None => self.by_name(at, path, depth, files),
        }
    }

    /// The module at which a path begins, where it says so itself.
    fn begin(&self, at: &[String], path: &[String]) -> Option<(ModulePath, Written)> {
        let mut module = at.to_vec();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (module, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    module.pop()?;
                    rest = &rest[1..];
                }
            }
            child => {
                module.push(child.to_owned());
                self.modules.get(&module)?;
                rest = &rest[1..];
            }
        }
        Some((module, rest.to_vec()))
    }

    fn descend(&self, mut module: ModulePath, mut rest: &[String], depth: usize, files: &mut BTreeSet<usize>) -> bool {
        while let Some(next) = rest.first() {
            module.push(next.clone());
            if !self.modules.contains_key(&module) {
                module.pop();
                break;
            }
            rest = &rest[1..];
        }
        let Some(here) = self.modules.get(&module) else { return false };
        let Some(name) = rest.first() else { return true };
        if name == "*" {
            files.insert(here.file);
            for glob in here.names.values().chain(&here.globs) {
                self.follow(&module, glob, depth + 1, files);
            }
            return true;
        }
        if here.defines.contains(name) {
            files.insert(here.file);
            return true;
        }
        // A macro may have made it: then it is of this file.
        if !self.by_name(&module, rest, depth, files) {
            files.insert(here.file);
        }
        true
    }

    /// A path that begins with a name which the module has by `use`.
    fn by_name(&self, at: &[String], path: &[String], depth: usize, files: &mut BTreeSet<usize>) -> bool {
        let (Some(module), Some(name)) = (self.modules.get(at), path.first()) else { return false };
        if let Some(stands_for) = module.names.get(name) {
            if stands_for.first() == Some(name) && stands_for.len() == 1 {
                return false;
            }
            let whole = [stands_for, &path[1..]].concat();
            return self.follow(at, &whole, depth + 1, files);
        }
        module.globs.iter().any(|glob| {
            let in_room = |name: &String| self.has(at, glob, name, depth + 1);
            in_room(name) && self.follow(at, &[glob, path].concat(), depth + 1, files)
        })
    }

    /// Does the module that a glob names have this name?
    fn has(&self, at: &[String], glob: &[String], name: &String, depth: usize) -> bool {
        let Some((mut module, rest)) = self.begin(at, glob) else { return false };
        module.extend(rest);
        let Some(room) = self.modules.get(&module) else { return false };
        let is_child = self.modules.contains_key(&[module.clone(), vec![name.clone()]].concat());
        let by_glob = || depth < CHAIN_MAX && room.globs.iter().any(|glob| self.has(&module, glob, name, depth + 1));
        is_child || room.defines.contains(name) || room.names.contains_key(name) || by_glob()
    }
}
