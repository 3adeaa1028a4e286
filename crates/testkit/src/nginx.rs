use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::http::get;

const TRIES: usize = 5;

/// Debian's nginx serving a folder of files with ranges and `ETag`; it is killed when dropped.
pub struct Nginx {
    address: SocketAddr,
    _running: RunningNginx,
}

impl Nginx {
    /// Serves `folder`, with `/healthz` beside the files.
    ///
    /// # Errors
    ///
    /// If nginx is not installed (Debian's package is `nginx-light`) or does not start.
    pub async fn serve(folder: &Path) -> anyhow::Result<Nginx> {
        let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
        let mut log = String::new();
        for _ in 0..TRIES {
            // nginx cannot choose a port by itself.
            let address = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            let url = format!("http://{address}/healthz");
            let is_ready = async || get(&url, &[]).await.is_ok_and(|answer| answer.status == 204);
            match RunningNginx::start(&server(&folder, address), is_ready).await? {
                Ok(running) => return Ok(Nginx { address, _running: running }),
                // Somebody else took the port between its choice and nginx's start.
                Err(text) => log = text,
            }
        }
        bail!("nginx does not start: {log}")
    }

    /// `http://127.0.0.1:<port>`, without a slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// nginx with servers that somebody else describes; it is killed when dropped.
pub(crate) struct RunningNginx {
    process: Child,
    _home: tempfile::TempDir,
}

impl RunningNginx {
    /// Starts it with what stands in its configuration's `http` block. If it ends instead of
    /// becoming ready, the inner error is its log.
    ///
    /// # Errors
    ///
    /// If nginx is not installed, or runs and is not ready within ten seconds.
    pub(crate) async fn start(
        servers: &str,
        is_ready: impl AsyncFn() -> bool,
    ) -> anyhow::Result<Result<RunningNginx, String>> {
        let program =
            program().context("nginx is not installed; on Debian: apt-get install nginx-light")?;
        let home = tempfile::tempdir()?;
        let config = home.path().join("nginx.conf");
        std::fs::write(&config, configuration(home.path(), servers))?;
        let process = Command::new(program)
            .arg("-p")
            .arg(home.path())
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut running = RunningNginx { process, _home: home };
        for _ in 0..500 {
            if running.process.try_wait()?.is_some() {
                let log = std::fs::read_to_string(config.with_file_name("error.log"));
                return Ok(Err(log.unwrap_or_default()));
            }
            if is_ready().await {
                return Ok(Ok(running));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("nginx runs but does not answer")
    }
}

impl Drop for RunningNginx {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nginx")).find(|program| program.is_file())
}

/// One process in the foreground, so that ending it ends everything.
fn configuration(home: &Path, servers: &str) -> String {
    let home = home.display();
    format!(
        r#"
daemon off;
master_process off;
pid "{home}/nginx.pid";
error_log "{home}/error.log";
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path "{home}/body";
    proxy_temp_path "{home}/proxy";
    fastcgi_temp_path "{home}/fastcgi";
    uwsgi_temp_path "{home}/uwsgi";
    scgi_temp_path "{home}/scgi";
    default_type application/octet-stream;
{servers}
}}
"#
    )
}

fn server(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        r#"
    server {{
        listen {address};
        root "{folder}";
        location = /healthz {{ return 204; }}
    }}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_served_in_ranges() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.mcap"), b"0123456789").unwrap();
        let nginx = Nginx::serve(folder.path()).await.unwrap();
        let url = format!("{}/a.mcap", nginx.url());
        let answer = get(&url, &[("range", "bytes=2-4")]).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (206, &b"234"[..]));
        assert!(answer.header("etag").is_some());
    }
}
