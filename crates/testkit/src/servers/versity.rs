use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::{bind, needed};
use crate::http::get;
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(30);

/// [versitygw](https://github.com/versity/versitygw), an S3 server over a folder, with buckets in
/// the path of the URL.
///
/// It checks signatures, honours conditional creates, is fast, and has all its data again after a
/// restart. The region is `us-east-1`.
pub struct VersityServer {
    /// The running versitygw: to freeze, to kill, or to see what it printed.
    pub process: Process,
    folder: TempDir,
    /// Keeps the port while nobody listens at it.
    bound: TcpSocket,
}

impl VersityServer {
    /// Whose key it is.
    pub const ACCESS_KEY: &str = "key";
    /// The key.
    pub const SECRET_KEY: &str = "topsecret";

    /// Starts it, without buckets.
    ///
    /// # Errors
    ///
    /// If `RDL_TEST_VERSITYGW` is not set or does not start.
    pub async fn start() -> anyhow::Result<VersityServer> {
        let folder = tempfile::tempdir()?;
        for part in ["data", "meta"] {
            std::fs::create_dir(folder.path().join(part))?;
        }
        let bound = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let process = serve(&folder, &bound).await?;
        Ok(VersityServer { process, folder, bound })
    }

    /// Starts it again on the same port, with the data that it has, after its process was killed.
    ///
    /// # Errors
    ///
    /// If it does not start, as when it runs.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.process.id().is_none(), "it runs");
        self.process = serve(&self.folder, &self.bound).await?;
        Ok(())
    }

    /// The endpoint, `http://127.0.0.1:<port>`, without a slash.
    pub fn url(&self) -> String {
        self.process.url()
    }

    /// Where everything lies that it has, as files.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Makes an empty bucket.
    ///
    /// # Errors
    ///
    /// If there is one of that name.
    pub fn create_bucket(&self, name: &str) -> anyhow::Result<()> {
        // Every folder here is a bucket.
        let folder = self.folder.path().join("data").join(name);
        std::fs::create_dir(folder).with_context(|| format!("bucket {name}"))
    }
}

async fn serve(folder: &TempDir, bound: &TcpSocket) -> anyhow::Result<Process> {
    let versitygw = needed("RDL_TEST_VERSITYGW")?;
    let address = bound.local_addr()?.to_string();
    let folder = folder.path().to_str().context("a path in UTF-8")?;
    let (data, meta) = (format!("{folder}/data"), format!("{folder}/meta"));
    // Without a folder for them, what it knows of objects needs extended attributes.
    let arguments = ["--port", &address, "--keep-alive", "posix", "--sidecar", &meta, &data];
    let environment = [
        ("ROOT_ACCESS_KEY", VersityServer::ACCESS_KEY),
        ("ROOT_SECRET_KEY", VersityServer::SECRET_KEY),
    ];
    let process = Process::start(&versitygw, &arguments, &environment).await;
    let process = process.context("versitygw does not start: `make test` installs it")?;
    // It says so before it listens.
    let answers = async {
        while get(&process.url(), &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, answers).await;
    waited.with_context(|| format!("versitygw does not answer:\n{}", process.printed()))?;
    Ok(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_there_again_after_a_restart_and_needs_a_signature() {
        let mut server = VersityServer::start().await.unwrap();
        server.create_bucket("cache").unwrap();
        server.create_bucket("cache").unwrap_err();
        let url = format!("{}/cache", server.url());
        assert_eq!(get(&url, &[]).await.unwrap().status, 403);
        server.start_again().await.unwrap_err();
        server.process.kill().await.unwrap();
        get(&url, &[]).await.unwrap_err();
        server.start_again().await.unwrap();
        assert_eq!(get(&url, &[]).await.unwrap().status, 403);
    }
}
