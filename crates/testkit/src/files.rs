//! Files that others wrote.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The MCAP project's conformance files; beside each lies a JSON with what it holds. They are
/// looked for in the folder that `MCAP_CONFORMANCE_DIR` names, by default
/// `shared/data/mcap-conformance` beside the workspace; without them the list is empty, and a
/// notice is printed.
pub fn conformance_files() -> Vec<PathBuf> {
    let beside =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/mcap-conformance");
    let folder = std::env::var_os("MCAP_CONFORMANCE_DIR").map_or(beside, PathBuf::from);
    let mut found = Vec::new();
    collect(&folder, &mut found);
    found.sort();
    if found.is_empty() {
        eprintln!("skipped: no conformance files in {} (MCAP_CONFORMANCE_DIR)", folder.display());
    }
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "mcap") {
            found.push(path);
        }
    }
}

/// A file that the `mcap` crate is published with, in its `tests/data`.
///
/// # Panics
///
/// If it is not there and cannot be downloaded.
pub fn mcap_crate_file(name: &str) -> Vec<u8> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let metadata = cargo_metadata::MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .other_options(["--locked".to_owned()])
            .exec()
            .expect("cargo metadata");
        let package = metadata.packages.iter().find(|package| package.name == "mcap");
        let manifest = &package.expect("mcap is a dependency").manifest_path;
        manifest.with_file_name("tests").join("data").into_std_path_buf()
    });
    let path = folder.join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
