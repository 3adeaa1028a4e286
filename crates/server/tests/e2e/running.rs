//! A running loader, and questions to it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use rdl_testkit::{Decoded, HttpAnswer, Process, decode, get};
use serde_json::Value;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_remote-data-loader");

/// A loader in front of this manifest endpoint, with a disk folder of its own.
pub(crate) struct Running {
    pub(crate) process: Process,
    _folder: tempfile::TempDir,
}

impl Running {
    pub(crate) async fn start(manifest_endpoint: &str, environment: &[(&str, &str)]) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let mut all = vec![("REQUEST_CACHE_DISK_FOLDER", path.as_str())];
        all.extend_from_slice(environment);
        let process =
            Process::start_loader(Path::new(BINARY), manifest_endpoint, &all).await.unwrap();
        Running { process, _folder: folder }
    }

    /// `/v1/stream`, whatever comes.
    pub(crate) async fn ask(&self, query: &str, headers: &[(&str, &str)]) -> HttpAnswer {
        get(&format!("{}/v1/stream?{query}", self.process.url()), headers).await.unwrap()
    }

    /// `/v1/stream`, which must be whole, in order, and valid for every reader.
    pub(crate) async fn stream(&self, query: &str, headers: &[(&str, &str)]) -> Decoded {
        let answer = self.ask(query, headers).await;
        let printed = || format!("{query}: {}\n{}", answer.text(), self.process.printed());
        assert_eq!(answer.status, 200, "{}", printed());
        assert!(answer.complete, "{query} broke off\n{}", self.process.printed());
        let decoded = decode(&answer.body).unwrap();
        decoded.check_order().unwrap();
        let report = validate(&answer.body).await.unwrap();
        assert_eq!(report["messages"], decoded.messages.len(), "{query}");
        decoded
    }

    /// `/v1/recording` as JSON.
    pub(crate) async fn describe(&self, query: &str) -> Value {
        let url = format!("{}/v1/recording?{query}", self.process.url());
        get(&url, &[]).await.unwrap().json().unwrap()
    }
}

/// What `tests/python/validate_mcap.py` says; an error if it finds anything wrong.
pub(crate) async fn validate(mcap: &[u8]) -> anyhow::Result<Value> {
    validate_with(mcap, &[]).await
}

/// The same of a file whose chunks may overlap in time.
pub(crate) async fn validate_file(mcap: &[u8]) -> anyhow::Result<Value> {
    validate_with(mcap, &["--unordered"]).await
}

async fn validate_with(mcap: &[u8], arguments: &[&str]) -> anyhow::Result<Value> {
    let python = needed("RDL_TEST_PYTHON")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/validate_mcap.py");
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), mcap)?;
    let output = tokio::process::Command::new(&python)
        .arg(script)
        .args(arguments)
        .arg(file.path())
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The path that `make test` gives in this variable.
pub(crate) fn needed(variable: &str) -> anyhow::Result<PathBuf> {
    let value = std::env::var_os(variable);
    value.map(PathBuf::from).with_context(|| format!("{variable} is not set: run `make test`"))
}
