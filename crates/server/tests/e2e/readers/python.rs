//! Programs in Python: Foxglove's reader over fsspec, daft, and the command line of pymcap.

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use super::{Library, RemoteFile, run};
use crate::running::needed;

async fn read<'a>(library: &'a Library, way: &str) -> Vec<(&'a RemoteFile, Value)> {
    let python = needed("RDL_TEST_PYTHON").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/read_by_url.py");
    library.read_by(&python, &[script.to_str().unwrap(), way]).await
}

#[tokio::test]
async fn foxgloves_reader_over_fsspec() {
    for (file, seen) in read(&Library::open().await, "fsspec").await {
        assert_eq!(seen["counted"], json!(file.recording.merged().len()));
    }
}

#[tokio::test]
async fn daft() {
    read(&Library::open().await, "daft").await;
}

#[tokio::test]
async fn a_command_line_finds_the_file_sound() {
    let program = needed("RDL_TEST_PYTHON").unwrap().with_file_name("pymcap-cli");
    let library = Library::open().await;
    for file in library.all() {
        let sound = json!({"errors": 0, "warnings": 0, "complete": true});
        let mut doctor = Command::new(&program);
        doctor.args(["doctor", "--strict-message-order", "--format", "jsonl", &file.url]);
        let found = String::from_utf8(run(&mut doctor).await).unwrap();
        let summary: Value = serde_json::from_str(found.lines().last().unwrap()).unwrap();
        for (name, value) in sound.as_object().unwrap() {
            assert_eq!(&summary[name], value, "{name}: {found}");
        }
    }
    let urls = library.all().map(|file| file.url.as_str());
    let found = run(Command::new(&program).arg("info-json").args(urls)).await;
    let found: Vec<Value> = serde_json::from_slice(&found).unwrap();
    assert_eq!(found.len(), urls.len());
    for (file, found) in library.all().iter().zip(found) {
        assert_eq!(found["file"]["size_bytes"], json!(file.whole.len()));
        assert_eq!(found["statistics"]["message_count"], json!(file.recording.merged().len()));
    }
}
