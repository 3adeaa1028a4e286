//! A data backend that fails on demand.
//!
//! It speaks HTTP/1.1 by hand, one request a connection, because frameworks refuse to send what
//! broken servers send. Every path has a script: what happens at the first request, at the
//! second, and so on; afterwards all is well.

mod answer;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing.
    None,
    /// The connection breaks after this many bytes of the body.
    CutAfter(u64),
    /// The body ends after this many bytes as if it were whole: the length says so too.
    EndAfter(u64),
    /// Nothing comes for a while after this many bytes of the body; then the rest.
    StallAfter(u64, Duration),
    /// The body comes in pieces of this many bytes with a pause before each.
    Slow(u64, Duration),
    /// Only a status, and with it perhaps `x-foxglove-error-message`.
    Status(u16, Option<String>),
    /// `Content-Length` says so, whatever the body has.
    ContentLength(u64),
    /// The lowest bit of this byte of the file is flipped.
    FlipBit(u64),
    /// Another file.
    Body(Bytes),
    /// 302 to this URL.
    Redirect(String),
    /// 200 with the whole file, whatever range was asked for.
    IgnoreRange,
    /// The connection is closed before any answer.
    Hangup,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct SeenRequest {
    /// Without the query.
    pub path: String,
    /// As it came, undecoded; empty if there is none.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl SeenRequest {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Clone)]
enum Served {
    Json(Bytes),
    Streamed(Bytes),
    Static { bytes: Bytes, etag: String },
}

/// What a bearer token gets: a status.
type Judge = Box<dyn Fn(&str) -> u16 + Send>;

#[derive(Default)]
struct House {
    /// By `recording`.
    manifests: BTreeMap<String, Bytes>,
    /// By path.
    files: BTreeMap<String, Served>,
    scripts: BTreeMap<String, VecDeque<Fault>>,
    always: BTreeMap<String, Fault>,
    /// What each bearer token gets, by token; everyone gets everything when there is none.
    users: BTreeMap<String, u16>,
    /// The same of tokens that are not known beforehand.
    judge: Option<Judge>,
    seen: Vec<SeenRequest>,
}

/// A data backend on a free port of the loopback interface; it stops when it is dropped.
///
/// Manifests are at `/manifest?recording=<name>`.
pub struct FakeBackend {
    address: SocketAddr,
    house: Arc<Mutex<House>>,
    serving: JoinHandle<()>,
}

impl FakeBackend {
    /// Starts it, empty.
    ///
    /// # Panics
    ///
    /// If no port can be bound.
    pub async fn start() -> FakeBackend {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let house: Arc<Mutex<House>> = Arc::default();
        let shared = Arc::clone(&house);
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        FakeBackend { address, house, serving }
    }

    /// `http://127.0.0.1:<port>`, without a slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `MANIFEST_ENDPOINT` is set to.
    pub fn manifest_endpoint(&self) -> String {
        format!("{}/manifest", self.url())
    }

    /// Answers `/manifest?recording=<name>` with this.
    pub fn recording(&self, name: &str, manifest: &Value) {
        let body = Bytes::from(manifest.to_string());
        self.house.lock().manifests.insert(name.to_owned(), body);
    }

    /// Serves a streamed source at `path`; ranges are ignored.
    pub fn streamed(&self, path: &str, mcap: impl Into<Bytes>) {
        self.house.lock().files.insert(path.to_owned(), Served::Streamed(mcap.into()));
    }

    /// Serves a file at `path` with ranges and a strong `ETag` that follows from its bytes.
    pub fn static_file(&self, path: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let etag = format!("\"{:08x}-{}\"", crc32fast::hash(&bytes), bytes.len());
        self.house.lock().files.insert(path.to_owned(), Served::Static { bytes, etag });
    }

    /// What happens at the next requests of `path` (`/manifest` too), one after the other.
    pub fn script(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.house.lock().scripts.entry(path.to_owned()).or_default().extend(faults);
    }

    /// How much of the script of `path` is still to come.
    pub fn to_come(&self, path: &str) -> usize {
        self.house.lock().scripts.get(path).map_or(0, VecDeque::len)
    }

    /// What happens at every request of `path` that no script provides for.
    pub fn always(&self, path: &str, fault: Fault) {
        self.house.lock().always.insert(path.to_owned(), fault);
    }

    /// From now on everything needs this bearer token, else 401.
    pub fn require_token(&self, token: &str) {
        self.house.lock().users = BTreeMap::from([(token.to_owned(), 200)]);
    }

    /// From now on this bearer token gets everything, too.
    pub fn allow(&self, token: &str) {
        self.house.lock().users.insert(token.to_owned(), 200);
    }

    /// From now on this bearer token gets nothing but this status.
    pub fn refuse(&self, token: &str, status: u16) {
        self.house.lock().users.insert(token.to_owned(), status);
    }

    /// From now on `judge` says with which status each bearer token is answered; without one it is
    /// 401, but for URLs that are signed (as S3's are; by whom is not looked at).
    pub fn judge_tokens(&self, judge: impl Fn(&str) -> u16 + Send + 'static) {
        self.house.lock().judge = Some(Box::new(judge));
    }

    /// Every request so far, in the order in which they came.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.house.lock().seen.clone()
    }

    /// Forgets the requests so far, which otherwise take ever more memory; gives their number.
    pub fn forget_requests(&self) -> usize {
        std::mem::take(&mut self.house.lock().seen).len()
    }

    /// How often `path` was asked for.
    pub fn count(&self, path: &str) -> usize {
        self.house.lock().seen.iter().filter(|request| request.path == path).count()
    }
}

impl Drop for FakeBackend {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream, house: Arc<Mutex<House>>) {
    let Some(request) = read_request(&mut stream).await else { return };
    let (answer, fault) = house.lock().decide(request);
    // A client that has gone is none of the backend's business.
    let _sent = answer.send(&mut stream, &fault).await;
}

async fn read_request(stream: &mut TcpStream) -> Option<SeenRequest> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 64 << 10 {
            return None;
        }
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let target = lines.next()?.split(' ').nth(1)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(SeenRequest { path: path.to_owned(), query: query.to_owned(), headers })
}

impl House {
    fn decide(&mut self, request: SeenRequest) -> (answer::Answer, Fault) {
        let fault = self
            .scripts
            .get_mut(&request.path)
            .and_then(VecDeque::pop_front)
            .or_else(|| self.always.get(&request.path).cloned())
            .unwrap_or(Fault::None);
        let answer = self.answer(&request, &fault);
        self.seen.push(request);
        (answer, fault)
    }

    /// What becomes of whoever asks.
    fn standing(&self, request: &SeenRequest) -> u16 {
        let bearer = request.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
        match (&self.judge, bearer) {
            (Some(_), None) if request.query.contains("X-Amz-Signature=") => 200,
            (Some(judge), Some(token)) => judge(token),
            (None, _) if self.users.is_empty() => 200,
            (_, bearer) => bearer.and_then(|it| self.users.get(it)).copied().unwrap_or(401),
        }
    }

    fn answer(&self, request: &SeenRequest, fault: &Fault) -> answer::Answer {
        match fault {
            Fault::Status(status, message) => {
                return answer::Answer::refusal(*status, message.as_deref());
            }
            Fault::Redirect(to) => return answer::Answer::redirect(to),
            _ => {}
        }
        match self.standing(request) {
            200 => {}
            401 => return answer::Answer::refusal(401, Some("the token is missing or wrong")),
            status => return answer::Answer::refusal(status, Some("not for you")),
        }
        let served = if request.path == "/manifest" {
            let recording =
                request.query.split('&').find_map(|pair| pair.strip_prefix("recording="));
            let manifest = recording.and_then(|name| self.manifests.get(name));
            manifest.map(|body| Served::Json(body.clone()))
        } else {
            self.files.get(&request.path).cloned()
        };
        match served {
            Some(served) => answer::Answer::of(served, request, fault),
            None => answer::Answer::refusal(404, Some("there is no such thing")),
        }
    }
}

#[cfg(test)]
mod tests;
