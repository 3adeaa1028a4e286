//! A data backend that breaks on purpose: raw TCP, so that it can break anywhere.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What one request for a source gets.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The whole body, with its length.
    Whole(Vec<u8>),
    /// The whole body announced, and this many bytes of it; then the connection is closed.
    CutAfter(Vec<u8>, usize),
    /// The body without a length, closed after this many bytes: nothing tells that it is cut.
    EndsAfter(Vec<u8>, usize),
    /// This many bytes, nothing for a while, then the rest.
    Pauses(Vec<u8>, usize, Duration),
    /// The body in pieces of this many bytes, a pause between them.
    Slowly(Vec<u8>, usize, Duration),
    /// A status without a body.
    Status(u16),
    /// 200 for this token, 401 for every other.
    OnlyFor(&'static str, Vec<u8>),
    /// Ranges of this body are served under this ETag.
    Ranges(Vec<u8>, &'static str),
}

pub(crate) struct Faulty {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    server: tokio::task::JoinHandle<()>,
}

struct State {
    manifest: Mutex<Value>,
    /// What the manifest endpoint answers instead, if anything.
    refusal: Mutex<Option<u16>>,
    /// By path: the answers to the first, second, … request; the last one stays.
    answers: HashMap<String, Vec<Answer>>,
    requests: Mutex<HashMap<String, usize>>,
}

impl Faulty {
    pub(crate) async fn start(manifest: Value, answers: &[(&str, Vec<Answer>)]) -> Faulty {
        let answers =
            answers.iter().map(|(path, answers)| ((*path).to_owned(), answers.clone())).collect();
        let state = Arc::new(State {
            manifest: Mutex::new(manifest),
            refusal: Mutex::default(),
            answers,
            requests: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = state.clone();
        let server = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let state = served.clone();
                tokio::spawn(async move {
                    let _ = serve(socket, &state).await;
                });
            }
        });
        Faulty { address, state, server }
    }

    /// The manifest from now on.
    pub(crate) fn set_manifest(&self, manifest: Value) {
        *self.state.manifest.lock() = manifest;
    }

    /// What the manifest endpoint answers from now on instead of a manifest.
    pub(crate) fn refuse(&self, status: u16) {
        *self.state.refusal.lock() = Some(status);
    }

    /// How often a path was asked for.
    pub(crate) fn requests(&self, path: &str) -> usize {
        self.state.requests.lock().get(path).copied().unwrap_or(0)
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One request a connection.
async fn serve(mut socket: TcpStream, state: &State) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let path = head.split_whitespace().nth(1).unwrap().split('?').next().unwrap().to_owned();
    let number = {
        let mut requests = state.requests.lock();
        let number = requests.entry(path.clone()).or_default();
        *number += 1;
        *number - 1
    };
    if path == "/manifest" {
        let refusal = *state.refusal.lock();
        if let Some(code) = refusal {
            return status(&mut socket, code).await;
        }
        let body = state.manifest.lock().to_string();
        return whole(&mut socket, body.as_bytes()).await;
    }
    let Some(answers) = state.answers.get(&path) else {
        return status(&mut socket, 404).await;
    };
    match answers[number.min(answers.len() - 1)].clone() {
        Answer::Whole(body) => whole(&mut socket, &body).await,
        Answer::CutAfter(body, bytes) => {
            length(&mut socket, body.len()).await?;
            socket.write_all(&body[..bytes]).await
        }
        Answer::EndsAfter(body, bytes) => {
            socket.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await?;
            socket.write_all(&body[..bytes]).await
        }
        Answer::Pauses(body, bytes, pause) => {
            length(&mut socket, body.len()).await?;
            socket.write_all(&body[..bytes]).await?;
            tokio::time::sleep(pause).await;
            socket.write_all(&body[bytes..]).await
        }
        Answer::Slowly(body, bytes, pause) => {
            length(&mut socket, body.len()).await?;
            for piece in body.chunks(bytes) {
                socket.write_all(piece).await?;
                tokio::time::sleep(pause).await;
            }
            Ok(())
        }
        Answer::Status(code) => status(&mut socket, code).await,
        Answer::OnlyFor(token, body) => {
            if head.contains(&format!("authorization: bearer {token}\r\n")) {
                whole(&mut socket, &body).await
            } else {
                status(&mut socket, 401).await
            }
        }
        Answer::Ranges(body, etag) => ranges(&mut socket, &head, &body, etag).await,
    }
}

async fn length(socket: &mut TcpStream, bytes: usize) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n");
    socket.write_all(head.as_bytes()).await
}

async fn whole(socket: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
    length(socket, body.len()).await?;
    socket.write_all(body).await
}

async fn status(socket: &mut TcpStream, code: u16) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {code} No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    socket.write_all(head.as_bytes()).await
}

async fn ranges(
    socket: &mut TcpStream,
    head: &str,
    body: &[u8],
    etag: &str,
) -> std::io::Result<()> {
    let total = body.len();
    let Some(range) = head.lines().find_map(|line| line.strip_prefix("range: bytes=")) else {
        return whole(socket, body).await;
    };
    let (start, end) = match range.trim().split_once('-').unwrap() {
        ("", suffix) => (total.saturating_sub(suffix.parse().unwrap()), total),
        (start, end) => (start.parse().unwrap(), (end.parse::<usize>().unwrap() + 1).min(total)),
    };
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nETag: \"{etag}\"\r\n\
         Content-Range: bytes {start}-{}/{total}\r\nContent-Length: {}\r\n\r\n",
        end - 1,
        end - start
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&body[start..end]).await
}
