//! A backend for tests: each request on a connection of its own, answered by a closure with raw
//! bytes, so that broken answers are as easy as good ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::{Access, FetchConfig, HttpClient, Token};

/// What must never be seen in any text.
pub(crate) const SECRET: &str = "s3cr3t";

/// A request as the backend saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// How many came before it.
    pub(crate) number: usize,
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.header("authorization")
    }
}

/// What the backend does.
#[derive(Clone, Default)]
pub(crate) struct Reply {
    wait: Duration,
    bytes: Vec<u8>,
    hang: bool,
}

impl Reply {
    /// A whole answer; its length is announced unless `headers` do.
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut head = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let framed =
            |name: &str| ["content-length", "transfer-encoding", "x-until-close"].contains(&name);
        if !headers.iter().any(|(name, _)| framed(&name.to_lowercase())) {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        let bytes = [head.as_bytes(), b"\r\n", body].concat();
        Reply { bytes, ..Reply::default() }
    }

    pub(crate) fn redirect(to: &str) -> Reply {
        Reply::new(302, &[("Location", to)], b"")
    }

    /// Closes the connection without a word.
    pub(crate) fn nothing() -> Reply {
        Reply::default()
    }

    /// Waits before it answers.
    pub(crate) fn after(self, wait: Duration) -> Reply {
        Reply { wait, ..self }
    }

    /// Keeps the connection open when all is said.
    pub(crate) fn then_hang(self) -> Reply {
        Reply { hang: true, ..self }
    }
}

pub(crate) struct Backend {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Backend {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, log.clone(), answer.clone()));
            }
        });
        Backend { url, seen }
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    /// A configuration whose manifest endpoint this is.
    pub(crate) fn config(&self) -> FetchConfig {
        config(self.at("/manifest"))
    }
}

async fn serve(
    mut stream: TcpStream,
    log: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<impl Fn(&Seen) -> Reply>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let seen = {
        let mut log = log.lock();
        let seen = Seen { number: log.len(), method, target, headers };
        log.push(seen.clone());
        seen
    };
    let reply = answer(&seen);
    tokio::time::sleep(reply.wait).await;
    let _ = stream.write_all(&reply.bytes).await;
    if reply.hang {
        std::future::pending::<()>().await;
    }
    let _ = stream.shutdown().await;
    // What the client still sends must not turn the close into a reset.
    let _ = stream.read(&mut [0; 64]).await;
}

/// Plain http allowed, no proxy; waits that a busy machine cannot reach by itself.
pub(crate) fn config(manifest_endpoint: Url) -> FetchConfig {
    FetchConfig {
        allow_http_sources: true,
        use_system_proxy: false,
        retry_pause: Duration::from_millis(1),
        ..FetchConfig::new(manifest_endpoint)
    }
}

pub(crate) fn client(config: FetchConfig) -> HttpClient {
    HttpClient::new(Arc::new(config)).unwrap()
}

pub(crate) fn token() -> Token {
    Token::new(SECRET)
}

pub(crate) fn access(url: Url) -> Access {
    Access { url, token: Some(token()) }
}

/// Fails when an error shows a secret in any of its texts.
pub(crate) fn assert_discreet(error: &crate::FetchError) {
    let shown = format!("{error} {error:?} {error:#?}");
    assert!(!shown.contains(SECRET), "{shown}");
}
