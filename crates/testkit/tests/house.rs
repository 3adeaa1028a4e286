//! The rooms of the house and the arrows between them, and the tests that the documents name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Who may depend on whom; what is reachable over several arrows may be named directly too.
const ARROWS: &[(&str, &[&str])] = &[
    ("remote-data-loader", &["rdl-engine", "rdl-conformance", "rdl-files-backend"]),
    ("rdl-engine", &["rdl-merge", "rdl-store", "rdl-fetch", "rdl-metrics"]),
    // Of the store only how a bucket is opened: the same credentials reach both.
    ("rdl-files-backend", &["remote-data-loader-backend", "rdl-store"]),
    ("rdl-merge", &["rdl-mcap-io"]),
    ("rdl-store", &["rdl-mcap-io", "rdl-metrics"]),
    ("rdl-fetch", &["rdl-wire", "rdl-metrics"]),
    ("rdl-mcap-io", &["rdl-model"]),
    ("rdl-wire", &["rdl-model"]),
    ("rdl-model", &[]),
    ("rdl-metrics", &[]),
    ("remote-data-loader-backend", &["rdl-wire", "rdl-mcap-io"]),
    ("rdl-conformance", &["rdl-wire", "rdl-mcap-io"]),
    ("rdl-backend-c", &["remote-data-loader-backend"]),
    ("rdl-backend-python", &["remote-data-loader-backend"]),
    ("rdl-testkit", &["rdl-mcap-io"]),
    ("rdl-bench", &["rdl-merge", "rdl-testkit", "remote-data-loader-backend"]),
];

/// What the server may name although more is reachable: it knows neither MCAP nor the network
/// towards sources.
const SERVER_MAY_NAME: &[&str] =
    &["rdl-engine", "rdl-conformance", "rdl-files-backend", "rdl-metrics", "rdl-model"];

/// Only tests may depend on it.
const TESTKIT: &str = "rdl-testkit";

fn reachable(from: &str) -> BTreeSet<&'static str> {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut reached = BTreeSet::new();
    let mut next: Vec<&'static str> = arrows.get(from).copied().unwrap_or_default().to_vec();
    while let Some(room) = next.pop() {
        if reached.insert(room) {
            next.extend(arrows.get(room).copied().unwrap_or_default());
        }
    }
    reached
}

#[test]
fn arrows_point_one_way() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let rooms: BTreeSet<&str> =
        metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let drawn: BTreeSet<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    assert_eq!(rooms, drawn, "every room stands in the drawing, and no other");

    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let from = package.name.as_str();
        let allowed = match from {
            "remote-data-loader" => SERVER_MAY_NAME.iter().copied().collect(),
            _ => reachable(from),
        };
        for dependency in &package.dependencies {
            let to = dependency.name.as_str();
            let for_tests = dependency.kind == DependencyKind::Development;
            // A room may name itself, with the features that its tests need.
            let fits = allowed.contains(to) || (for_tests && (to == TESTKIT || to == from));
            if !rooms.contains(to) || fits {
                continue;
            }
            wrong.push(format!("{from} -> {to}"));
        }
    }
    assert!(wrong.is_empty(), "arrows that are not drawn: {wrong:?}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every function of the workspace's own code.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = fs::read_to_string(&path).expect("the file can be read");
            let names = code.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
            found.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn the_tests_that_semantics_names_exist() {
    let text = fs::read_to_string(root().join("docs/SEMANTICS.md")).expect("it can be read");
    let mut known = BTreeSet::new();
    for folder in ["crates", "conformance", "sdk"] {
        functions(&root().join(folder), &mut known);
    }
    // Test names have several words; other code in the text has none or one underscore.
    let named = text.split('`').skip(1).step_by(2);
    let missing: Vec<&str> = named
        .filter(|name| {
            name.contains('_') && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
        .filter(|name| !known.contains(*name))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}
