//! A client that tells a whole answer from one that broke off, which comfortable ones hide.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, perhaps a broken one.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// What came of the body, without its framing.
    pub body: Vec<u8>,
    /// Whether the body ended as its framing says.
    pub complete: bool,
}

impl HttpAnswer {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text, for messages of failed tests.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }
}

/// Asks for an `http://` URL.
///
/// # Errors
///
/// If no answer's head comes within a minute. A body that breaks off is no error here.
pub async fn get(url: &str, headers: &[(&str, &str)]) -> anyhow::Result<HttpAnswer> {
    send("GET", url, headers, b"").await
}

/// Sends `body` to an `http://` URL.
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
    if !(body.is_empty() && method == "GET") {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("connection: close\r\n\r\n");
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
    answer.with_context(|| format!("{method} /{path}: no answer"))?
}

pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<HttpAnswer> {
    let end = find(bytes, b"\r\n\r\n").context("the head of the answer is not whole")?;
    let head = std::str::from_utf8(&bytes[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer =
        HttpAnswer { status: status.parse()?, headers, body: Vec::new(), complete: false };
    let rest = &bytes[end + 4..];
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.complete = dechunk(rest, &mut answer.body)?;
    } else {
        let length: Option<usize> = answer.header("content-length").map(str::parse).transpose()?;
        ensure!(length.is_none_or(|length| rest.len() <= length), "more than the length says");
        answer.complete = length.is_some_and(|length| rest.len() == length);
        answer.body = rest.to_vec();
    }
    Ok(answer)
}

/// Whether the last chunk was there.
fn dechunk(mut rest: &[u8], body: &mut Vec<u8>) -> anyhow::Result<bool> {
    while let Some(end) = find(rest, b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end])?.trim(), 16)?;
        rest = &rest[end + 2..];
        if length == 0 {
            return Ok(rest == b"\r\n");
        }
        body.extend_from_slice(&rest[..length.min(rest.len())]);
        let Some(next) = rest.get(length + 2..) else { return Ok(false) };
        rest = next;
    }
    Ok(false)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_whole_only_with_its_last_chunk() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let whole = format!("{head}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        let answer = parse(whole.as_bytes()).unwrap();
        assert!(answer.complete);
        assert_eq!(answer.body, b"abcde");
        for length in head.len()..whole.len() {
            let answer = parse(&whole.as_bytes()[..length]).unwrap();
            assert!(!answer.complete, "{length}");
        }
    }

    #[test]
    fn a_length_counts() {
        let answer = parse(b"HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\nabc").unwrap();
        assert_eq!((answer.status, answer.complete), (502, false));
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").unwrap().complete);
    }
}
