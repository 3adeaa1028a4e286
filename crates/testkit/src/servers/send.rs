use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::http::{HttpAnswer, parse};

const PATIENCE: Duration = Duration::from_secs(60);

/// Sends `body` to an `http://` URL; [`get`](crate::get) for every other method.
///
/// The answer to a HEAD is never complete: it has a length and no body.
///
/// # Errors
///
/// If no answer's head comes within a minute. A body that breaks off is no error here.
pub async fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> anyhow::Result<HttpAnswer> {
    let rest = url.strip_prefix("http://").context("only http:// URLs")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut head = format!("{method} /{path} HTTP/1.1\r\nhost: {authority}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()));
    let exchange = async {
        let mut stream = TcpStream::connect(authority).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut bytes = Vec::new();
        // A reset is an end like any other: the framing tells whether the body is whole.
        let _ended = stream.read_to_end(&mut bytes).await;
        parse(&bytes)
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    answer.with_context(|| format!("{method} {url}: no answer"))?
}
