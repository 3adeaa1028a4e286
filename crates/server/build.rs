//! Copies the viewer's files to where they are embedded from, and writes their table: what `web/dist`
//! has, or nothing when it was not built.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

// Relative to the package, so that a build folder may be used by another copy of the repository.
// Is always there, with a `.keep` in it: a path that is not would have cargo build anew each time.
const DIST: &str = "../../web/dist";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={DIST}");
    let dist = folder("CARGO_MANIFEST_DIR")?.join(DIST);
    let out = folder("OUT_DIR")?;
    let copies = out.join("viewer");
    if copies.exists() {
        fs::remove_dir_all(&copies)?;
    }
    fs::create_dir(&copies)?;
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        files.push(dist.join("index.html"));
        for entry in fs::read_dir(dist.join("view/assets"))? {
            files.push(entry?.path());
        }
        files.sort();
    }
    let mut table = "&[\n".to_owned();
    for file in files {
        let name = file.file_name().map(Path::new).unwrap_or(&file);
        fs::copy(&file, copies.join(name))?;
        let name = name.to_string_lossy();
        let place = format!("/viewer/{name}");
        let content = format!("include_bytes!(concat!(env!(\"OUT_DIR\"), {place:?}))");
        let _ = writeln!(table, "    ({name:?}, {content}),");
    }
    table.push(']');
    fs::write(out.join("viewer.rs"), table)
}

fn folder(variable: &str) -> io::Result<PathBuf> {
    let path = env::var_os(variable);
    Ok(path.ok_or_else(|| io::Error::other(format!("cargo names no {variable}")))?.into())
}
