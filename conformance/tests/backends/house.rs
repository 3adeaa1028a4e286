//! A small data backend that does everything right, and whatever else it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use rdl_conformance::{CheckOptions, Outcome, Report, Token};
use rdl_testkit::{Channel, FileSpec, Message, static_entry, streamed_entry};
use serde_json::{Value, json};

/// What everything needs.
pub(crate) const TOKEN: &str = "secret-of-the-house";
/// 2026-01-31T09:30:00Z.
pub(crate) const START: u64 = 1_769_851_800_000_000_000;
pub(crate) const MESSAGE: &str = "x-foxglove-error-message";
pub(crate) const ETAG: &str = "\"version-1\"";

/// A request.
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    /// The how manieth of its path, from 1.
    pub(crate) nth: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn has_token(&self) -> bool {
        self.header(header::AUTHORIZATION) == Some(&format!("Bearer {TOKEN}"))
    }
}

/// Paths, each with the Authorization that came with it.
type Log = Arc<Mutex<Vec<(String, Option<String>)>>>;

type Instead = Box<dyn Fn(&House, &Asked) -> Option<Response> + Send + Sync>;

/// The backend before it is opened.
pub(crate) struct House {
    pub(crate) manifest: Value,
    pub(crate) streamed: BTreeMap<String, Bytes>,
    pub(crate) files: BTreeMap<String, Bytes>,
    /// Before anything is served, and after it has none.
    pub(crate) wait: Duration,
    instead: Option<Instead>,
}

/// The backend, serving until it is dropped.
pub(crate) struct Open {
    pub(crate) address: SocketAddr,
    asked: Log,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Messages of two topics, ten milliseconds apart.
pub(crate) fn messages(seconds: u64) -> Vec<Message> {
    let channels = [Arc::new(Channel::json("/odom")), Arc::new(Channel::json("/imu"))];
    let of = |number: u64| Message {
        channel: Arc::clone(&channels[(number % 2) as usize]),
        log_time: START + number * 10_000_000,
        publish_time: START + number * 10_000_000,
        sequence: number as u32,
        data: format!("{{\"number\":{number}}}").into_bytes(),
    };
    (0..seconds * 100).map(of).collect()
}

impl House {
    /// Two windows of two seconds that are streamed, and a file with ranges.
    pub(crate) fn good() -> House {
        let all = messages(4);
        let (first, second) = all.split_at(200);
        let mut house = House {
            manifest: json!({"name": "A good recording", "sources": [
                streamed_entry(Some("drive-0"), "/data/0?window=0", first),
                streamed_entry(Some("drive-1"), "/data/1?window=1", second),
                static_entry("/files/whole.mcap"),
            ]}),
            streamed: BTreeMap::new(),
            files: BTreeMap::new(),
            wait: Duration::ZERO,
            instead: None,
        };
        house.stream(0, &FileSpec::default().write(first));
        house.stream(1, &FileSpec::default().write(second));
        house.file(&FileSpec::default().write(&all));
        house
    }

    pub(crate) fn stream(&mut self, number: usize, mcap: &[u8]) {
        self.streamed.insert(format!("/data/{number}"), Bytes::copy_from_slice(mcap));
    }

    pub(crate) fn file(&mut self, mcap: &[u8]) {
        self.files.insert("/files/whole.mcap".to_owned(), Bytes::copy_from_slice(mcap));
    }

    /// A place in the manifest.
    pub(crate) fn at(&mut self, pointer: &str) -> &mut Value {
        self.manifest.pointer_mut(pointer).unwrap()
    }

    /// From now on this answers whatever it has an answer to, once the token was seen to be right.
    pub(crate) fn instead(
        &mut self,
        answer: impl Fn(&House, &Asked) -> Option<Response> + Send + Sync + 'static,
    ) {
        self.instead = Some(Box::new(answer));
    }

    /// Opens it on a free port.
    pub(crate) async fn open(self) -> Open {
        let asked: Log = Arc::default();
        let state = (Arc::new(self), Arc::clone(&asked));
        let router = Router::new().fallback(serve).with_state(state);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Open { address, asked, serving }
    }

    /// Right, whatever stands in for it.
    pub(crate) fn right(&self, asked: &Asked) -> Response {
        if asked.path == "/manifest" {
            return match asked.query.as_str() {
                "recording=good" => axum::Json(self.manifest.clone()).into_response(),
                _ => refused(StatusCode::NOT_FOUND, "there is no such recording"),
            };
        }
        if let Some(mcap) = self.streamed.get(&asked.path) {
            return streamed(mcap);
        }
        match self.files.get(&asked.path) {
            Some(file) => ranged(file, asked, &Ranges::default()),
            None => refused(StatusCode::NOT_FOUND, "there is no such file"),
        }
    }
}

type Shared = (Arc<House>, Log);

async fn serve(State((house, log)): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let nth = {
        let mut log = log.lock().unwrap();
        let bearer = headers.get(header::AUTHORIZATION);
        let bearer = bearer.map(|value| value.to_str().unwrap().to_owned());
        log.push((path.clone(), bearer));
        log.iter().filter(|(asked, _)| *asked == path).count()
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let asked = Asked { path, query, headers, nth };
    let wait = house.wait;
    if !wait.is_zero() && asked.has_token() && asked.path.starts_with("/data") {
        tokio::time::sleep(wait).await;
    }
    let instead = house.instead.as_ref().and_then(|instead| instead(&house, &asked));
    match instead {
        Some(answer) => answer,
        None if !asked.has_token() => refused(StatusCode::UNAUTHORIZED, "please log in"),
        None => house.right(&asked),
    }
}

/// The way a backend should say no.
pub(crate) fn refused(status: StatusCode, message: &'static str) -> Response {
    (status, [(MESSAGE, message)]).into_response()
}

/// A body whose length is not told, and of which the first piece comes before the others.
pub(crate) fn streamed(mcap: &Bytes) -> Response {
    let pieces: Vec<Bytes> = mcap.chunks(1 << 12).map(|piece| mcap.slice_ref(piece)).collect();
    let pieces = futures::stream::iter(pieces).enumerate().then(async |(number, piece)| {
        if number == 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok::<_, std::io::Error>(piece)
    });
    Body::from_stream(pieces).into_response()
}

/// How a file is served by ranges.
pub(crate) struct Ranges {
    pub(crate) etag: Option<&'static str>,
    pub(crate) ignores_range: bool,
    pub(crate) ignores_if_range: bool,
    pub(crate) always_refuses_if_match: bool,
    /// What a suffix range is taken for.
    pub(crate) suffix_from_front: bool,
    pub(crate) suffix_status: Option<StatusCode>,
    /// What is added to the first byte that Content-Range tells.
    pub(crate) tells_off_by: usize,
    /// What is added to the first byte that is sent.
    pub(crate) sends_off_by: usize,
    pub(crate) hides_length: bool,
    pub(crate) refuses_past_the_end: bool,
}

impl Default for Ranges {
    fn default() -> Ranges {
        Ranges {
            etag: Some(ETAG),
            ignores_range: false,
            ignores_if_range: false,
            always_refuses_if_match: false,
            suffix_from_front: false,
            suffix_status: None,
            tells_off_by: 0,
            sends_off_by: 0,
            hides_length: false,
            refuses_past_the_end: false,
        }
    }
}

/// Serves a file by ranges, right but for what `how` says.
pub(crate) fn ranged(file: &Bytes, asked: &Asked, how: &Ranges) -> Response {
    let if_match = asked.header(header::IF_MATCH);
    if if_match.is_some_and(|etag| how.always_refuses_if_match || Some(etag) != how.etag) {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    let is_other = asked.header(header::IF_RANGE).is_some_and(|it| Some(it) != how.etag);
    let range = asked.header(header::RANGE).filter(|_| !how.ignores_range);
    let range = range.filter(|_| how.ignores_if_range || !is_other);
    let mut response = match range {
        None if how.hides_length => streamed(file),
        None => file.clone().into_response(),
        Some(range) => part(file, range, how),
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, "bytes".parse().unwrap());
    if let Some(etag) = how.etag {
        headers.insert(header::ETAG, etag.parse().unwrap());
    }
    response
}

fn part(file: &Bytes, range: &str, how: &Ranges) -> Response {
    let size = file.len();
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let Range { start, end } = if first.is_empty() {
        if let Some(status) = how.suffix_status {
            return status.into_response();
        }
        let length = last.parse::<usize>().unwrap().min(size);
        if how.suffix_from_front { 0..length } else { size - length..size }
    } else {
        let end = last.parse::<usize>().unwrap() + 1;
        if end > size && how.refuses_past_the_end {
            return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
        }
        first.parse().unwrap()..end.min(size)
    };
    let tells_off_by = if first.is_empty() { 0 } else { how.tells_off_by };
    let told = format!("bytes {}-{}/{size}", start + tells_off_by, end - 1);
    let from = (start + how.sends_off_by).min(size - (end - start));
    let body = file.slice(from..from + (end - start));
    (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, told)], body).into_response()
}

impl Open {
    pub(crate) fn manifest(&self) -> url::Url {
        format!("http://{}/manifest?recording=good", self.address).parse().unwrap()
    }

    /// Checked with the token, and for authorisation.
    pub(crate) fn options(&self) -> CheckOptions {
        let mut options = CheckOptions::new(vec![self.manifest()]);
        options.token = Some(Token::new(TOKEN));
        options.expect_auth = true;
        options.timeout = Duration::from_secs(20);
        options
    }

    pub(crate) async fn check(&self) -> Report {
        check(&self.options()).await
    }

    /// What was asked for with which Authorization.
    pub(crate) fn asked(&self) -> Vec<(String, Option<String>)> {
        self.asked.lock().unwrap().clone()
    }

    /// The report without its port, which is another every time.
    pub(crate) fn stable(&self, text: &str) -> String {
        text.replace(&self.address.to_string(), "127.0.0.1:PORT")
    }
}

/// Checks, and sees that no secret is in what comes out.
pub(crate) async fn check(options: &CheckOptions) -> Report {
    let report = rdl_conformance::check(options).await.unwrap();
    let printed = serde_json::to_string(&report).unwrap();
    for secret in [TOKEN, "window=", "recording=good", "X-Amz"] {
        assert!(!printed.contains(secret), "{secret} is in {printed}");
    }
    report
}

/// The names of the rules that came to this.
pub(crate) fn names(report: &Report, outcome: Outcome) -> Vec<&'static str> {
    report.rules.iter().filter(|rule| rule.outcome == outcome).map(|rule| rule.name).collect()
}
