//! A viewer that reads as it likes: slowly, not at all, or until it has had enough.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::http::{HttpAnswer, parse};

/// Small, so that a viewer that does not read is felt by the server at once, in bytes.
const NARROW_BYTES: u32 = 8 << 10;
/// How long a head may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer whose head has come, on a connection of its own; dropped, the connection is closed.
pub struct Viewer {
    stream: TcpStream,
    received: Vec<u8>,
    ended: bool,
}

impl Viewer {
    /// Asks for an `http://` URL and waits for the head of the answer.
    ///
    /// # Errors
    ///
    /// If no head comes within a minute.
    pub async fn open(url: &str) -> anyhow::Result<Viewer> {
        Viewer::connect(url, &[], None).await
    }

    /// [`open`](Self::open) with so small a buffer that what is not read stays with the server.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn open_narrow(url: &str) -> anyhow::Result<Viewer> {
        Viewer::open_narrow_with(url, &[]).await
    }

    /// The same with these headers.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn open_narrow_with(url: &str, headers: &[(&str, &str)]) -> anyhow::Result<Viewer> {
        Viewer::connect(url, headers, Some(NARROW_BYTES)).await
    }

    async fn connect(
        url: &str,
        headers: &[(&str, &str)],
        buffer_bytes: Option<u32>,
    ) -> anyhow::Result<Viewer> {
        let rest = url.strip_prefix("http://").context("only http:// URLs")?;
        let (authority, path) = rest.split_at(rest.find('/').context("no path")?);
        let address: SocketAddr = authority.parse().context("only numeric addresses")?;
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        let opening = async {
            let mut stream = socket.connect(address).await?;
            let mut request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\n");
            for (name, value) in headers {
                request.push_str(&format!("{name}: {value}\r\n"));
            }
            request.push_str("connection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut viewer = Viewer { stream, received: Vec::new(), ended: false };
            while !viewer.received.windows(4).any(|window| window == b"\r\n\r\n") {
                ensure!(viewer.read(1 << 10).await > 0, "the connection ended before the head");
            }
            Ok(viewer)
        };
        let opened = tokio::time::timeout(PATIENCE, opening).await;
        opened.with_context(|| format!("{path}: no head"))?
    }

    /// Reads what is there, at most this much; 0: the answer has ended, well or not.
    pub async fn read(&mut self, at_most_bytes: usize) -> usize {
        let mut piece = vec![0; at_most_bytes.max(1)];
        // A reset is an end like any other: the framing tells whether the body is whole.
        let length = self.stream.read(&mut piece).await.unwrap_or(0);
        self.received.extend_from_slice(&piece[..length]);
        self.ended |= length == 0;
        length
    }

    /// Reads for a while at this pace, or until the answer ends.
    pub async fn read_slowly(&mut self, bytes_per_second: usize, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end && !self.ended {
            // An answer may have nothing for a while; that is no reason to stay longer.
            if tokio::time::timeout_at(end, self.read(bytes_per_second / 10)).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether the answer has ended, as far as was read.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Everything that came so far.
    ///
    /// # Errors
    ///
    /// If it is no answer.
    pub fn so_far(&self) -> anyhow::Result<HttpAnswer> {
        parse(&self.received)
    }

    /// Reads to the end.
    ///
    /// # Errors
    ///
    /// If it is no answer. A body that breaks off is no error here.
    pub async fn rest(mut self) -> anyhow::Result<HttpAnswer> {
        while self.read(256 << 10).await > 0 {}
        self.so_far()
    }
}
