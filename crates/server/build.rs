//! Writes the table of the viewer's files: what `web/dist` has, or nothing when it was not built.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/dist");
    // Is always there, with a `.keep` in it: a path that is not would have cargo build anew each time.
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        files.push(("index.html".to_owned(), dist.join("index.html")));
        for entry in fs::read_dir(dist.join("view/assets"))? {
            let entry = entry?;
            files.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        files.sort();
    }
    let mut table = "&[\n".to_owned();
    for (name, path) in files {
        let path: PathBuf = path.canonicalize()?;
        let _ = writeln!(table, "    ({name:?}, include_bytes!({path:?})),");
    }
    table.push(']');
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo names no OUT_DIR"))?;
    fs::write(Path::new(&out).join("viewer.rs"), table)
}
