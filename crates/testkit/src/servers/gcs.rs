use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::{TcpProxy, needed};
use crate::http::send;
use crate::process::Process;

/// Our fake of Google Cloud Storage (`tests/python/gcs_xml.py`): no evidence about the real one.
pub struct GcsServer {
    /// The running fake: to freeze, to kill, or to see what it printed.
    pub process: Process,
    folder: tempfile::TempDir,
}

impl GcsServer {
    /// Starts it, without buckets.
    ///
    /// # Errors
    ///
    /// If `RDL_TEST_PYTHON` is not set or does not start.
    pub async fn start() -> anyhow::Result<GcsServer> {
        let python = needed("RDL_TEST_PYTHON")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/gcs_xml.py");
        let process = Process::start(&python, &[script], &[]).await;
        let process = process.context("the fake of GCS does not start: run `make test`")?;
        let server = GcsServer { process, folder: tempfile::tempdir()? };
        write_credentials(&server.credentials_path(), &server.url())?;
        Ok(server)
    }

    /// The endpoint, `http://127.0.0.1:<port>`, without a slash.
    pub fn url(&self) -> String {
        self.process.url()
    }

    /// A service account file that leads clients here and has them authorize nothing; it goes with
    /// the server.
    pub fn credentials_path(&self) -> PathBuf {
        self.folder.path().join("credentials.json")
    }

    /// [`credentials_path`](Self::credentials_path), by way of a proxy in front of
    /// [`url`](Self::url).
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn credentials_through(&self, proxy: &TcpProxy) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join(format!("through-{}.json", proxy.address().port()));
        write_credentials(&path, &proxy.url())?;
        Ok(path)
    }

    /// Makes an empty bucket, or leaves the one that is there.
    ///
    /// # Errors
    ///
    /// If the fake refuses.
    pub async fn create_bucket(&self, name: &str) -> anyhow::Result<()> {
        let answer = send("PUT", &format!("{}/{name}", self.url()), &[], b"").await?;
        ensure!(answer.status == 200, "bucket {name}: {} {}", answer.status, answer.text());
        Ok(())
    }
}

fn write_credentials(path: &Path, url: &str) -> anyhow::Result<()> {
    let account = json!({
        "gcs_base_url": url,
        "disable_oauth": true,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    });
    std::fs::write(path, account.to_string()).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::get;

    #[tokio::test]
    async fn an_object_is_written_once_and_read_in_ranges() {
        let server = GcsServer::start().await.unwrap();
        let url = format!("{}/cache/a%2Fb.mcap", server.url());
        let once = [("x-goog-if-generation-match", "0")];
        assert_eq!(send("PUT", &url, &once, b"0123456789").await.unwrap().status, 404);
        server.create_bucket("cache").await.unwrap();
        for (body, status) in [(b"0123456789", 200), (b"abcdefghij", 412)] {
            let answer = send("PUT", &url, &once, body).await.unwrap();
            assert_eq!(answer.status, status, "{}", answer.text());
        }
        for (range, read) in [("bytes=2-4", "234"), ("bytes=8-", "89"), ("bytes=-3", "789")] {
            let answer = get(&url, &[("range", range)]).await.unwrap();
            assert_eq!((answer.status, answer.text().as_str()), (206, read));
        }
        assert_eq!(get(&url, &[("range", "bytes=10-")]).await.unwrap().status, 416);
        assert_eq!(send("DELETE", &url, &[], b"").await.unwrap().status, 204);
        assert_eq!(get(&url, &[]).await.unwrap().status, 404);
    }

    #[tokio::test]
    async fn lists_are_grouped_and_come_in_pages() {
        let server = GcsServer::start().await.unwrap();
        server.create_bucket("cache").await.unwrap();
        let bucket = format!("{}/cache", server.url());
        for key in ["a", "b%2F1", "b%2F2", "c"] {
            send("PUT", &format!("{bucket}/{key}"), &[], b"x").await.unwrap();
        }
        let list = async |query: &str| {
            let answer = get(&format!("{bucket}?list-type=2&{query}"), &[]).await.unwrap().text();
            let parts = answer.split(['<', '>']).collect::<Vec<_>>();
            let texts = parts.windows(2).filter(|pair| ["Key", "Prefix"].contains(&pair[0]));
            let texts = texts.map(|pair| pair[1]).filter(|text| !text.is_empty());
            texts.map(str::to_owned).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(list("").await, "a b/1 b/2 c");
        assert_eq!(list("start-after=b/1").await, "b/2 c");
        assert_eq!(list("delimiter=/").await, "a c b/");
        assert_eq!(list("delimiter=/&max-keys=2").await, "a b/");
        assert_eq!(list("delimiter=/&max-keys=2&continuation-token=b/").await, "c");
    }

    #[tokio::test]
    async fn the_credentials_lead_to_the_server_or_to_its_proxy() {
        let server = GcsServer::start().await.unwrap();
        let proxy = TcpProxy::start(&server.url()).await.unwrap();
        let through = server.credentials_through(&proxy).unwrap();
        for (path, url) in [(server.credentials_path(), server.url()), (through, proxy.url())] {
            let account = std::fs::read_to_string(path).unwrap();
            assert!(account.contains(&url), "{account}");
        }
    }
}
