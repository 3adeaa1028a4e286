//! The vectors that every language of the kit is held to: see sdk/vectors/README.md.

mod input;
mod languages;
mod run;

use std::fs;
use std::path::{Path, PathBuf};

use remote_data_loader_backend::Compression;

use input::Input;

/// The vectors, by name.
fn vectors() -> Vec<(String, PathBuf)> {
    let folder = folder();
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).expect("sdk/vectors") {
        let path = entry.expect("sdk/vectors").path();
        if path.is_dir() {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.push((name, path));
        }
    }
    found.sort();
    found
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

fn input(folder: &Path) -> Input {
    let text = fs::read(folder.join("input.json")).expect("input.json");
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

/// `UPDATE_VECTORS=1` writes what is expected anew.
#[test]
fn vectors_are_met_byte_for_byte() {
    let vectors = vectors();
    assert!(vectors.len() >= 10, "{vectors:?}");
    for (name, folder) in vectors {
        let input = input(&folder);
        let manifest = run::manifest(&input);
        let body = run::body(&input, Compression::None);
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            fs::write(folder.join("manifest.json"), &manifest).expect("manifest.json");
            fs::write(folder.join("body.mcap"), &body).expect("body.mcap");
        }
        let expected = fs::read_to_string(folder.join("manifest.json")).expect("manifest.json");
        assert_eq!(manifest, expected, "{name}");
        let expected = fs::read(folder.join("body.mcap")).expect("body.mcap");
        assert!(body == expected, "{name}: body.mcap differs");
    }
}

/// Another reader finds in a body the messages of its input, however it is compressed.
#[test]
fn vectors_hold_what_their_inputs_say() {
    let mut refused = 0;
    for (name, folder) in vectors() {
        let input = input(&folder);
        if input.body.refused.is_some() {
            refused += 1;
            continue;
        }
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            let body = run::body(&input, compression);
            let found = run::messages(&body);
            assert_eq!(found, input.messages(), "{name}, {compression:?}");
        }
    }
    assert!(refused >= 4, "each refusal has a vector");
}
