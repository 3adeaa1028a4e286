//! An HTTP client that adds little of its own: one connection that is kept open, one buffer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;

use anyhow::{Context as _, bail, ensure};

/// A whole file is read in pieces of this.
const PIECE_BYTES: usize = 256 << 10;
/// A longer head is none.
const MOST_HEAD_BYTES: usize = 16 << 10;

/// A file on a server.
pub struct RemoteFile {
    host: String,
    path: String,
    connection: TcpStream,
    /// The head of an answer, and what came of its body with it.
    head: Vec<u8>,
    /// How long the file is.
    pub bytes: u64,
    /// How often it was asked for.
    pub requests: u64,
}

impl RemoteFile {
    /// Connects, and asks how long the file is.
    ///
    /// # Errors
    ///
    /// If the server does not have it.
    pub fn open(url: &str) -> anyhow::Result<RemoteFile> {
        let (host, path) =
            url.trim_start_matches("http://").split_once('/').context("no path in the URL")?;
        let connection = TcpStream::connect(host)?;
        connection.set_nodelay(true)?;
        let (host, path, head) = (host.to_owned(), path.to_owned(), Vec::new());
        let mut file = RemoteFile { host, path, connection, head, bytes: 0, requests: 0 };
        file.bytes = file.ask("HEAD", "", 200)?;
        file.head.clear();
        Ok(file)
    }

    /// Reads a range.
    ///
    /// # Errors
    ///
    /// If exactly that does not come.
    pub fn range(&mut self, range: Range<u64>, body: &mut Vec<u8>) -> anyhow::Result<()> {
        let wanted = format!("Range: bytes={}-{}\r\n", range.start, range.end - 1);
        let bytes = self.ask("GET", &wanted, 206)?;
        ensure!(bytes == range.end - range.start, "{range:?} has {bytes} bytes");
        body.resize(usize::try_from(bytes)?, 0);
        let (here, rest) = body.split_at_mut(self.head.len());
        here.copy_from_slice(&self.head);
        Ok(self.connection.read_exact(rest)?)
    }

    /// Reads all of it and forgets it.
    ///
    /// # Errors
    ///
    /// If it breaks off.
    pub fn whole(&mut self) -> anyhow::Result<()> {
        let mut left = self.ask("GET", "", 200)? - self.head.len() as u64;
        let mut piece = vec![0; PIECE_BYTES];
        while left > 0 {
            let most = PIECE_BYTES.min(usize::try_from(left)?);
            let read = self.connection.read(&mut piece[..most])?;
            ensure!(read > 0, "it breaks off");
            left -= read as u64;
        }
        Ok(())
    }

    /// Asks, and reads the head of the answer; how long its body is.
    fn ask(&mut self, method: &str, header: &str, expected: u16) -> anyhow::Result<u64> {
        let (path, host) = (&self.path, &self.host);
        let request = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\n");
        self.connection.write_all(request.as_bytes())?;
        self.requests += 1;
        self.head.resize(MOST_HEAD_BYTES, 0);
        let mut filled = 0;
        let end = loop {
            let read = self.connection.read(&mut self.head[filled..])?;
            ensure!(read > 0, "no answer, or too long a head");
            filled += read;
            let end = self.head[..filled].windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.head[..end]).into_owned();
        self.head.copy_within(end..filled, 0);
        self.head.truncate(filled - end);
        let status = head.split(' ').nth(1).context("no status")?;
        if status.parse::<u16>()? != expected {
            bail!("{method} {path}: {head}");
        }
        let length = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        };
        head.lines().find_map(length).context("no Content-Length")
    }
}
