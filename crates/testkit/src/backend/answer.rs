use std::io;
use std::ops::Range;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Fault, SeenRequest, Served};

/// The head and the body of an answer, before its fault.
pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Answer {
    pub(super) fn refusal(status: u16, message: Option<&str>) -> Answer {
        let mut headers = Vec::new();
        if let Some(message) = message {
            headers.push(("x-foxglove-error-message", message.to_owned()));
        }
        if status == 401 {
            headers.push(("www-authenticate", "Bearer".to_owned()));
        }
        Answer { status, headers, body: Bytes::new() }
    }

    pub(super) fn redirect(to: &str) -> Answer {
        Answer { status: 302, headers: vec![("location", to.to_owned())], body: Bytes::new() }
    }

    pub(super) fn of(served: Served, request: &SeenRequest, fault: &Fault) -> Answer {
        match served {
            Served::Json(body) => whole("application/json", replaced(body, fault)),
            Served::Streamed(body) => whole("application/octet-stream", replaced(body, fault)),
            Served::Static { bytes, etag } => ranged(&replaced(bytes, fault), etag, request, fault),
        }
    }

    /// Sends it, less or more what the fault does to it, and closes the connection.
    pub(super) async fn send(self, stream: &mut TcpStream, fault: &Fault) -> io::Result<()> {
        if matches!(fault, Fault::Hangup) {
            return Ok(());
        }
        let body = match fault {
            Fault::EndAfter(bytes) => self.body.slice(..clamped(*bytes, &self.body)),
            _ => self.body,
        };
        let length = match fault {
            Fault::ContentLength(length) => *length,
            _ => body.len() as u64,
        };
        let mut head = format!(
            "HTTP/1.1 {} Status\r\ncontent-length: {length}\r\nconnection: close\r\n",
            self.status
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await?;
        match fault {
            Fault::CutAfter(bytes) => {
                stream.write_all(&body[..clamped(*bytes, &body)]).await?;
            }
            Fault::StallAfter(bytes, pause) => {
                let (first, rest) = body.split_at(clamped(*bytes, &body));
                stream.write_all(first).await?;
                stream.flush().await?;
                tokio::time::sleep(*pause).await;
                stream.write_all(rest).await?;
            }
            Fault::Slow(bytes, pause) => {
                for piece in body.chunks((*bytes).max(1) as usize) {
                    tokio::time::sleep(*pause).await;
                    stream.write_all(piece).await?;
                }
            }
            _ => stream.write_all(&body).await?,
        }
        stream.shutdown().await?;
        // Closed while the client still sends, the connection would be reset and the body lost.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await?;
        Ok(())
    }
}

fn clamped(bytes: u64, body: &[u8]) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).min(body.len())
}

fn replaced(body: Bytes, fault: &Fault) -> Bytes {
    match fault {
        Fault::Body(other) => other.clone(),
        Fault::FlipBit(at) => {
            let mut bytes = body.to_vec();
            if let Some(byte) = usize::try_from(*at).ok().and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1;
            }
            bytes.into()
        }
        _ => body,
    }
}

fn whole(content_type: &str, body: Bytes) -> Answer {
    Answer { status: 200, headers: vec![("content-type", content_type.to_owned())], body }
}

fn ranged(file: &Bytes, etag: String, request: &SeenRequest, fault: &Fault) -> Answer {
    if request.header("if-match").is_some_and(|wanted| wanted != "*" && wanted != etag) {
        return Answer::refusal(412, None);
    }
    let range = match fault {
        Fault::IgnoreRange => None,
        _ => request.header("range").and_then(|header| asked_range(header, file.len())),
    };
    let mut headers = vec![("etag", etag), ("accept-ranges", "bytes".to_owned())];
    match range {
        None => Answer { status: 200, headers, body: file.clone() },
        Some(range) if range.is_empty() => {
            headers.push(("content-range", format!("bytes */{}", file.len())));
            Answer { status: 416, headers, body: Bytes::new() }
        }
        Some(range) => {
            let (first, last) = (range.start, range.end - 1);
            headers.push(("content-range", format!("bytes {first}-{last}/{}", file.len())));
            Answer { status: 206, headers, body: file.slice(range) }
        }
    }
}

/// One range of bytes; empty: it cannot be satisfied; none: the header is something else.
fn asked_range(header: &str, length: usize) -> Option<Range<usize>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        return Some(length.saturating_sub(last.parse().ok()?)..length);
    }
    let first: usize = first.parse().ok()?;
    let end = match last {
        "" => length,
        last => last.parse::<usize>().ok()?.saturating_add(1).min(length),
    };
    Some(first..end.max(first))
}
