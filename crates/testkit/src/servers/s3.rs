use anyhow::{Context as _, ensure};

use super::needed;
use crate::http::send;
use crate::process::Process;

/// What `python -m moto.server` does, on a port that the system chooses and with the line that
/// [`Process`] waits for.
const PROGRAM: &str = "
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

server = make_server(
    '127.0.0.1',
    0,
    DomainDispatcherApplication(create_backend_app),
    threaded=True,
    request_handler=MotoRequestHandler,
)
print(f'listening on http://127.0.0.1:{server.port}', flush=True)
server.serve_forever()
";

/// moto's S3, with buckets in the path of the URL.
///
/// Any access key and any signature will do, but without one objects are out of reach. Conditional
/// writes are right; ranges of large objects are slow. The region is `us-east-1`.
pub struct S3Server {
    /// The running moto: to freeze, to kill, or to see what it printed.
    pub process: Process,
}

impl S3Server {
    /// Starts it, without buckets.
    ///
    /// # Errors
    ///
    /// If `RDL_TEST_PYTHON` is not set or has no moto.
    pub async fn start() -> anyhow::Result<S3Server> {
        let python = needed("RDL_TEST_PYTHON")?;
        let process = Process::start(&python, &["-c", PROGRAM], &[]).await;
        let process = process
            .context("moto does not start: `make test` installs tests/python/requirements.txt")?;
        Ok(S3Server { process })
    }

    /// The endpoint, `http://127.0.0.1:<port>`, without a slash.
    pub fn url(&self) -> String {
        self.process.url()
    }

    /// Makes an empty bucket.
    ///
    /// # Errors
    ///
    /// If moto refuses.
    pub async fn create_bucket(&self, name: &str) -> anyhow::Result<()> {
        let answer = send("PUT", &format!("{}/{name}", self.url()), &[], b"").await?;
        ensure!(answer.status == 200, "bucket {name}: {} {}", answer.status, answer.text());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::get;

    const SIGNATURE: &str = "AWS4-HMAC-SHA256 \
        Credential=any/20260131/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=any";

    #[tokio::test]
    async fn an_object_is_written_once_and_read_in_ranges() {
        let server = S3Server::start().await.unwrap();
        server.create_bucket("cache").await.unwrap();
        let url = format!("{}/cache/a/b.mcap", server.url());
        let signature = ("authorization", SIGNATURE);
        let once = [signature, ("if-none-match", "*")];
        for (body, status) in [(b"0123456789", 200), (b"abcdefghij", 412)] {
            let answer = send("PUT", &url, &once, body).await.unwrap();
            assert_eq!(answer.status, status, "{}", answer.text());
        }
        let answer = get(&url, &[signature, ("range", "bytes=2-4")]).await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (206, "234"));
    }

    #[tokio::test]
    async fn a_frozen_server_answers_when_it_thaws() {
        let server = S3Server::start().await.unwrap();
        server.process.freeze().unwrap();
        let url = server.url();
        let mut asking = Box::pin(get(&url, &[]));
        let waited = tokio::time::timeout(Duration::from_millis(300), &mut asking).await;
        assert!(waited.is_err());
        server.process.thaw().unwrap();
        assert_eq!(asking.await.unwrap().status, 200);
    }
}
