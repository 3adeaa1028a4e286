//! The other languages of the kit over the same vectors, in the same run.

use std::fs;
use std::path::Path;
use std::process::Command;

use remote_data_loader_backend::Compression;

use crate::{folder, input, run, vectors};

/// How a language's runner begins: `make test` builds it and says where it is.
fn runner(variable: &str) -> Vec<String> {
    let command = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} says how to start a runner: run `make test`"));
    command.split(' ').map(str::to_owned).collect()
}

fn run(runner: &[String], args: &[&str]) {
    let output = Command::new(&runner[0])
        .args(&runner[1..])
        .arg(folder())
        .args(args)
        .output()
        .expect("starts");
    assert!(
        output.status.success(),
        "{runner:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn is_held_to_the_vectors(variable: &str) {
    let runner = runner(variable);
    run(&runner, &[]);
    for (compression, name) in
        [(Compression::None, "none"), (Compression::Lz4, "lz4"), (Compression::Zstd, "zstd")]
    {
        let out = tempfile::tempdir().expect("a folder");
        let path = out.path().to_str().expect("UTF-8");
        run(&runner, &["--write", path, "--compression", name]);
        for (vector, folder) in vectors() {
            let input = input(&folder);
            let theirs = written(out.path(), &vector);
            assert!(theirs == run::body(&input, compression), "{vector} with {name} differs");
            if input.body.refused.is_none() {
                assert_eq!(run::messages(&theirs), input.messages(), "{vector} with {name}");
            }
        }
    }
}

fn written(out: &Path, vector: &str) -> Vec<u8> {
    let path = out.join(format!("{vector}.mcap"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn python_gives_the_same_bytes() {
    is_held_to_the_vectors("RDL_TEST_KIT_PYTHON_VECTORS");
}

#[test]
fn cpp_gives_the_same_bytes() {
    is_held_to_the_vectors("RDL_TEST_KIT_CPP_VECTORS");
}
