//! Which crate may know which: no arrow upward (docs/ARCHITECTURE.md has the picture).

use toml::{Table, Value};

use super::source::{Source, Violation};

/// One crate of the workspace: what it may rest on, and what it must never hear of.
struct Room {
    name: &'static str,
    /// Its height. In tests a crate may also use what lies lower.
    floor: u8,
    /// Our crates that it may depend on.
    knows: &'static [&'static str],
    /// The beginnings of the names of other crates that it may not depend on, and why.
    never: &'static [&'static str],
    why: &'static str,
}

const WAITING: &[&str] = &[
    "tokio",
    "async-",
    "futures",
    "hyper",
    "http",
    "axum",
    "s3s",
    "reqsign",
    "rusqlite",
    "rustix",
    "rand",
    "getrandom",
    "time",
    "chrono",
    "tracing",
    "tempfile",
];
const FRONT: &[&str] = &["hyper", "http", "axum", "s3s", "quick-xml", "toml", "clap"];

const ROOMS: &[Room] = &[
    Room {
        name: "outlast-rules",
        floor: 0,
        knows: &[],
        never: WAITING,
        why: "rules decide: no async, no I/O, no clock, no randomness",
    },
    Room {
        name: "outlast-store",
        floor: 1,
        knows: &["outlast-rules"],
        // toml reads the schedule of faults, which the simulator and the drills share; what a store is comes as plain structs.
        never: &["rusqlite", "axum", "s3s", "clap"],
        why: "a store speaks to far bytes and to nothing else",
    },
    Room {
        name: "outlast-ledger",
        floor: 1,
        knows: &["outlast-rules"],
        never: &["hyper", "http", "axum", "s3s", "reqsign", "toml", "clap"],
        why: "the ledger never talks to a store",
    },
    Room {
        name: "outlast-engine",
        floor: 2,
        knows: &["outlast-rules", "outlast-store", "outlast-ledger"],
        never: FRONT,
        why: "the engine knows no HTTP, no XML, no configuration file",
    },
    Room {
        name: "outlast-front",
        floor: 3,
        knows: &["outlast-rules", "outlast-engine"],
        never: &["rusqlite", "reqsign", "toml", "clap"],
        why: "the front touches neither a store nor the ledger",
    },
    Room {
        name: "outlast-sim",
        floor: 3,
        knows: &["outlast-rules", "outlast-store", "outlast-ledger", "outlast-engine"],
        never: FRONT,
        why: "the simulated world holds the engine, not what surrounds it",
    },
    Room {
        name: "outlast-drive",
        floor: 3,
        knows: &[],
        never: &["rusqlite", "axum", "s3s", "reqsign"],
        why: "who drives the gateway from the outside knows nothing of its inside",
    },
    Room {
        name: "outlast",
        floor: 4,
        knows: &["outlast-rules", "outlast-store", "outlast-ledger", "outlast-engine", "outlast-front"],
        never: &[],
        why: "",
    },
    Room { name: "xtask", floor: 4, knows: &["outlast-drive"], never: &[], why: "" },
];

/// The feature with which rules can be taken away, and the one crate that may want it (docs/decisions/0017-mutants.md).
const MUTANTS: (&str, &str) = ("mutants", "outlast-sim");

pub fn check(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources {
        let name = source.path.strip_prefix("crates/").and_then(|rest| rest.strip_suffix("/Cargo.toml"));
        let Some(name) = name else { continue };
        match (ROOMS.iter().find(|room| room.name == name), source.text.parse::<Table>()) {
            (None, _) => {
                violations.push(source.violation(1, format!("say in tidy/crates.rs on which floor `{name}` lies")))
            }
            (_, Err(error)) => violations.push(source.violation(1, format!("this is no TOML: {error}"))),
            (Some(room), Ok(manifest)) => violations.extend(room_of(source, room, &manifest)),
        }
    }
    violations
}

fn room_of(source: &Source, room: &Room, manifest: &Table) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut say = |dependency: &str, why: String| {
        let line = source.text.lines().position(|line| line.starts_with(dependency)).map_or(1, |at| at + 1);
        found.push(source.violation(line, why));
    };
    for dependency in dependencies(manifest, &["dependencies", "build-dependencies"]) {
        if is_ours(&dependency) && !room.knows.contains(&dependency.as_str()) {
            say(&dependency, format!("`{}` may not know `{dependency}`", room.name));
        }
        if room.never.iter().any(|never| dependency.starts_with(never)) {
            say(&dependency, format!("`{}` may not know `{dependency}`: {}", room.name, room.why));
        }
    }
    for dependency in dependencies(manifest, &["dev-dependencies"]) {
        let lower = ROOMS.iter().any(|other| other.name == dependency && other.floor < room.floor);
        if is_ours(&dependency) && !lower {
            say(&dependency, format!("the tests of `{}` may not know `{dependency}`: no arrow upward", room.name));
        }
    }
    let (feature, only) = MUTANTS;
    for dependency in with_feature(manifest, feature).into_iter().filter(|_| room.name != only) {
        say(&dependency, format!("only `{only}` may take rules away: `{}` turns on `{feature}`", room.name));
    }
    found
}

/// Dependencies of every kind on which this feature is turned on, and features of this crate that do so.
fn with_feature(manifest: &Table, feature: &str) -> Vec<String> {
    let names =
        |value: &Value| value.as_array().is_some_and(|list| list.iter().any(|one| one.as_str() == Some(feature)));
    let of = |value: &Value| value.get("features").is_some_and(names);
    let tables = tables(manifest, &["dependencies", "build-dependencies", "dev-dependencies"]);
    let mut found: Vec<String> =
        tables.flatten().filter(|(_, value)| of(value)).map(|(name, _)| name.clone()).collect();
    let forwards = |value: &Value| {
        let ends = format!("/{feature}");
        value.as_array().is_some_and(|list| list.iter().any(|one| one.as_str().is_some_and(|one| one.ends_with(&ends))))
    };
    let own = manifest.get("features").and_then(Value::as_table).into_iter().flatten();
    found.extend(
        own.filter(|(name, value)| forwards(value) || (*name == "default" && names(value))).map(|(n, _)| n.clone()),
    );
    found
}

fn is_ours(dependency: &str) -> bool {
    dependency == "xtask" || dependency == "outlast" || dependency.starts_with("outlast-")
}

/// These tables, for every platform.
fn tables<'a>(manifest: &'a Table, names: &'a [&str]) -> impl Iterator<Item = &'a Table> {
    let platforms = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let places = std::iter::once(manifest).chain(platforms.filter_map(Value::as_table));
    places.flat_map(move |place| names.iter().filter_map(move |name| place.get(*name)?.as_table()))
}

/// The packages in these tables.
fn dependencies(manifest: &Table, names: &[&str]) -> Vec<String> {
    tables(manifest, names)
        .flatten()
        .map(|(name, value)| value.get("package").and_then(Value::as_str).unwrap_or(name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(name: &str, manifest: &str, expected: &[&str]) {
        let found = check(&[Source::new(&format!("crates/{name}/Cargo.toml"), manifest)]);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (violation, part) in found.iter().zip(expected) {
            assert!(violation.what.contains(part), "{violation} is not about {part}");
        }
    }

    #[test]
    fn arrows_downward_pass() {
        finds("outlast-store", "[dependencies]\noutlast-rules.workspace = true\nhyper = \"1\"\n", &[]);
        finds("outlast-engine", "[dependencies]\noutlast-store.workspace = true\ntokio = \"1\"\n", &[]);
        finds("outlast", "[dev-dependencies]\noutlast-sim.workspace = true\n", &[]);
        finds("outlast-rules", "[dev-dependencies]\nproptest = \"1\"\n", &[]);
    }

    #[test]
    fn arrows_upward_and_sideways_do_not() {
        finds("outlast-rules", "[dependencies]\noutlast-store.workspace = true\n", &["outlast-store"]);
        finds("outlast-store", "[dependencies]\noutlast-ledger = { path = \"x\" }\n", &["outlast-ledger"]);
        finds("outlast-engine", "[dependencies]\noutlast-front = \"0\"\n", &["outlast-front"]);
        finds("outlast-front", "[dependencies]\noutlast-ledger = \"0\"\n", &["outlast-ledger"]);
        finds("outlast", "[dependencies]\noutlast-sim = \"0\"\n", &["outlast-sim"]);
        finds("outlast-engine", "[dev-dependencies]\noutlast-sim = \"0\"\n", &["no arrow upward"]);
    }

    #[test]
    fn a_disguise_does_not_help() {
        finds("outlast-rules", "[dependencies]\nx = { package = \"outlast-store\" }\n", &["outlast-store"]);
        finds("outlast-rules", "[target.'cfg(unix)'.dependencies]\noutlast-store = \"0\"\n", &["outlast-store"]);
        finds("outlast-rules", "[build-dependencies]\noutlast-store = \"0\"\n", &["outlast-store"]);
    }

    #[test]
    fn rules_can_not_wait_and_the_engine_knows_no_http() {
        finds("outlast-rules", "[dependencies]\ntokio-util = \"0\"\nserde = \"1\"\n", &["tokio-util"]);
        finds("outlast-engine", "[dependencies]\nhyper-util = \"0\"\n", &["no HTTP"]);
        finds("outlast-ledger", "[dependencies]\n\nreqsign-core = \"0\"\n", &["never talks to a store"]);
    }

    #[test]
    fn only_the_simulator_takes_rules_away() {
        let with = "[dependencies]\noutlast-rules = { workspace = true, features = [\"mutants\"] }\n";
        finds("outlast-sim", with, &[]);
        finds("outlast-engine", with, &["only `outlast-sim`"]);
        finds("outlast-engine", &with.replace("[dep", "[dev-dep"), &["only `outlast-sim`"]);
        finds("outlast-engine", "[features]\nx = [\"outlast-rules/mutants\"]\n", &["only `outlast-sim`"]);
        finds("outlast-rules", "[features]\ndefault = [\"mutants\"]\n", &["only `outlast-sim`"]);
        finds("outlast-rules", "[features]\nmutants = []\n", &[]);
    }

    #[test]
    fn a_new_crate_says_where_it_lies() {
        finds("outlast-dns", "[dependencies]\n", &["on which floor"]);
    }
}
