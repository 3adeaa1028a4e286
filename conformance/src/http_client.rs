//! One GET and its redirects, as the loader follows them: at most five, the token dropped for good
//! where the origin changes, none to a URL that is signed, none from https to plain http.
//!
//! What went wrong is one line for a person, without query, user info or fragment of any URL, and
//! without the token, whatever a backend makes of it.

mod addresses;
mod secrets;

use std::error::Error as _;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

pub(crate) use self::secrets::Secrets;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, LAST_MODIFIED, LOCATION,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use rdl_wire::{redacted, signature};
use reqwest::Response;
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use crate::shown::tamed;
use crate::{CheckOptions, SetupError, Token};

const MAX_REDIRECTS: usize = 5;
/// The header in which a backend tells the user something.
pub(crate) const USER_MESSAGE: &str = "x-foxglove-error-message";
/// What a token looks like that nobody has been given.
const WRONG_TOKEN: &str = "rdl-check-this-is-no-token";
/// What is longer in a header is no validator or type that anybody uses, in bytes.
const LONGEST_HEADER: usize = 1 << 10;

/// With whose authority a request goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// The token that was given, if any.
    User,
    Nobody,
    /// Somebody with a token that is none.
    Stranger,
    /// Somebody who changed the end of the token that was given: its signature, if it has one.
    Forger,
}

/// Sends the requests of a check.
#[derive(Clone)]
pub(crate) struct Client {
    http: Transports,
    /// Each of its requests opens a connection, and closes it.
    fresh: Transports,
    token: Option<Token>,
    forged: Option<Token>,
    pub(crate) secrets: Arc<Secrets>,
    allow_http: bool,
    pub(crate) timeout: Duration,
}

/// How a host is reached.
#[derive(Clone)]
struct Transports {
    proxied: reqwest::Client,
    /// No proxy leads to this machine.
    loopback: reqwest::Client,
}

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) head: Head,
    /// When the first request left.
    pub(crate) asked: Instant,
    response: Response,
    timeout: Duration,
    secrets: Arc<Secrets>,
}

/// What stands before a body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) content_length: Option<u64>,
    pub(crate) content_range: Option<String>,
    /// A content coding other than identity, which nobody asked for.
    pub(crate) encoding: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    pub(crate) user_message: Option<String>,
    /// Whether the token stayed behind at a redirect to another origin.
    pub(crate) token_dropped: bool,
    /// Where a redirect led over plain http.
    pub(crate) http_hop: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) what: String,
    pub(crate) kind: FailureKind,
}

/// What a [`Failure`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// It leads to plain http, which is a matter of its own rule.
    PlainHttp,
    /// A limit of the check was reached, or it was stopped: nothing is known.
    Unasked,
    /// The connection broke after it was made: the loader would ask again.
    Broken,
    Other,
}

impl Failure {
    fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), kind: FailureKind::Other }
    }

    pub(crate) fn unasked(why: impl Into<String>) -> Failure {
        Failure { what: why.into(), kind: FailureKind::Unasked }
    }

    pub(crate) fn plain_http(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), kind: FailureKind::PlainHttp }
    }

    /// Whether another rule, or none, tells of it.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self.kind, FailureKind::PlainHttp | FailureKind::Unasked)
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.kind == FailureKind::Broken
    }
}

impl Client {
    pub(crate) fn new(options: &CheckOptions) -> Result<Client, SetupError> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // Fails when the process has installed one itself, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let builder = |fresh: bool, loopback: bool| {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("remote-data-loader-check/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .dns_resolver(addresses::Guarded)
                .connect_timeout(options.timeout)
                .http1_only();
            let builder = if fresh { builder.pool_max_idle_per_host(0) } else { builder };
            if loopback { builder.no_proxy() } else { builder }
        };
        let client = |fresh: bool, loopback: bool| {
            let client = builder(fresh, loopback).build().or_else(|error| {
                // A machine without root certificates can still talk plain http.
                tracing::warn!(%error, "no root certificates: https requests will fail");
                builder(fresh, loopback).tls_certs_only([]).build()
            });
            client.map_err(|error| SetupError(error.to_string()))
        };
        let transports = |fresh: bool| {
            Ok(Transports { proxied: client(fresh, false)?, loopback: client(fresh, true)? })
        };
        let forged =
            options.token.as_ref().map(|token| Token::new(secrets::forged(token.expose())));
        let tokens = [&options.token, &forged].into_iter().flatten().map(Token::expose);
        Ok(Client {
            http: transports(false)?,
            fresh: transports(true)?,
            secrets: Arc::new(Secrets::of(tokens)),
            token: options.token.clone(),
            forged,
            allow_http: options.allow_http,
            timeout: options.timeout,
        })
    }

    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether requests may go there as far as the scheme is concerned.
    pub(crate) fn may_ask(&self, url: &Url) -> bool {
        url.scheme() == "https" || (url.scheme() == "http" && (self.allow_http || is_loopback(url)))
    }

    /// GETs `url`. Resolves when the headers are there.
    pub(crate) async fn get(
        &self,
        url: &Url,
        who: As,
        headers: &[(HeaderName, String)],
    ) -> Result<Answer, Failure> {
        self.follow(&self.http, url, who, headers)
            .await
            .map_err(|failure| Failure { what: self.secrets.masked(&failure.what), ..failure })
    }

    /// The same over a connection of its own, which is closed when the answer is dropped.
    pub(crate) async fn get_fresh(&self, url: &Url, who: As) -> Result<Answer, Failure> {
        self.follow(&self.fresh, url, who, &[]).await
    }

    async fn follow(
        &self,
        transports: &Transports,
        url: &Url,
        who: As,
        headers: &[(HeaderName, String)],
    ) -> Result<Answer, Failure> {
        let asked = Instant::now();
        let mut token = match who {
            As::User => self.token.as_ref().map(Token::expose),
            As::Nobody => None,
            As::Stranger => Some(WRONG_TOKEN),
            As::Forger => self.forged.as_ref().map(Token::expose),
        };
        let (origin, mut url) = (url.origin(), url.clone());
        let (mut token_dropped, mut http_hop) = (false, None);
        for hop in 0..=MAX_REDIRECTS {
            if !self.may_ask(&url) {
                let what = format!("{} is plain http, which the loader refuses", redacted(&url));
                return Err(Failure::plain_http(what));
            }
            if let Some(address) = addresses::special_host(&url) {
                return Err(Failure::new(addresses::Refused(address).to_string()));
            }
            if hop > 0 && url.scheme() == "http" {
                http_hop = Some(self.secrets.masked(&redacted(&url)));
            }
            let response = self.send(transports, &url, token, headers).await?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                let head = Head { token_dropped, http_hop, ..Head::of(&response, &self.secrets) };
                let (timeout, secrets) = (self.timeout, Arc::clone(&self.secrets));
                return Ok(Answer { head, asked, response, timeout, secrets });
            }
            let location = response.headers().get(LOCATION).and_then(|it| it.to_str().ok());
            let target = location.and_then(|location| url.join(location).ok());
            url = target.ok_or_else(|| {
                Failure::new(format!("{} redirects without a usable Location", redacted(&url)))
            })?;
            url.set_fragment(None);
            if url.origin() != origin && token.is_some() {
                (token, token_dropped) = (None, true);
            }
        }
        Err(Failure::new(format!(
            "more than {MAX_REDIRECTS} redirects, the last to {}",
            redacted(&url)
        )))
    }

    async fn send(
        &self,
        transports: &Transports,
        url: &Url,
        token: Option<&str>,
        headers: &[(HeaderName, String)],
    ) -> Result<Response, Failure> {
        let mut all = HeaderMap::new();
        all.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in headers {
            let value = HeaderValue::try_from(value.as_str())
                .map_err(|_| Failure::new(format!("no {name} can be made of what it sent")))?;
            all.insert(name.clone(), value);
        }
        if let Some(token) = token.filter(|_| !signature::is_signed(url)) {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                Failure::new("the bearer token has characters that no header can hold")
            })?;
            value.set_sensitive(true);
            all.insert(AUTHORIZATION, value);
        }
        let http = if is_loopback(url) { &transports.loopback } else { &transports.proxied };
        let request = http.get(url.clone()).headers(all);
        match timeout(self.timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(why(&error)),
            Err(_) => Err(Failure::new(format!("no answer within {}", seconds(self.timeout)))),
        }
    }
}

impl Answer {
    /// The next bytes of the body; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<bytes::Bytes>, Failure> {
        match timeout(self.timeout, self.response.chunk()).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => {
                let failure = why(&error);
                Err(Failure { what: self.secrets.masked(&failure.what), ..failure })
            }
            Err(_) => Err(Failure {
                what: format!("no further bytes within {}", seconds(self.timeout)),
                kind: FailureKind::Broken,
            }),
        }
    }
}

impl Head {
    fn of(response: &Response, secrets: &Secrets) -> Head {
        let headers = response.headers();
        let text = |name: HeaderName| {
            let value = headers.get(name)?.to_str().ok()?.trim();
            (1..=LONGEST_HEADER).contains(&value.len()).then(|| value.to_owned())
        };
        let message =
            headers.get(USER_MESSAGE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        Head {
            status: response.status().as_u16(),
            content_type: text(CONTENT_TYPE).map(|text| secrets.masked(&text)),
            content_length: text(CONTENT_LENGTH).and_then(|text| text.parse().ok()),
            content_range: text(CONTENT_RANGE).map(|text| secrets.masked(&text)),
            encoding: text(CONTENT_ENCODING)
                .filter(|text| !text.eq_ignore_ascii_case("identity"))
                .map(|text| secrets.masked(&text)),
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
            user_message: message
                .filter(|text| !text.trim().is_empty())
                .map(|text| tamed(&secrets::without_queries(&secrets.masked(text.trim())))),
            token_dropped: false,
            http_hop: None,
        }
    }

    /// `answered 503 Service Unavailable ("in the backend's words")`.
    pub(crate) fn answered(&self) -> String {
        let reason = http::StatusCode::from_u16(self.status).ok();
        let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let mut text = format!("answered {} {reason}", self.status).trim_end().to_owned();
        if let Some(message) = &self.user_message {
            text.push_str(&format!(" (\"{message}\")"));
        }
        text
    }
}

/// Whether the host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(v4)) => IpAddr::V4(v4).is_loopback(),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6).is_loopback(),
        None => false,
    }
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f32())
}

/// What happened in one line, without any URL.
fn why(error: &reqwest::Error) -> Failure {
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    let (mut refused, mut is_special) = (false, false);
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        innermost = cause;
        is_special |= cause.is::<addresses::Refused>();
        texts.push(cause.to_string());
        refused |= cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        next = cause.source();
    }
    let is_dns = texts.iter().any(|text| text.contains("dns error") || text.contains("lookup"));
    // The outermost error is the one that shows a URL.
    let cause =
        if innermost.is::<reqwest::Error>() { String::new() } else { innermost.to_string() };
    if refused {
        Failure::new("the connection was refused: nothing listens there")
    } else if is_special {
        Failure::new(tamed(&cause))
    } else if is_dns {
        Failure::new(format!("the host's name cannot be resolved ({})", tamed(&cause)))
    } else if error.is_connect() && error.is_timeout() {
        Failure::new("no connection in time")
    } else if error.is_connect() {
        Failure::new(format!("no connection: {}", tamed(&cause)))
    } else {
        let what = format!("the connection broke: {}", tamed(&cause));
        Failure { what, kind: FailureKind::Broken }
    }
}
