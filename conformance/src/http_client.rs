//! One GET and its redirects, as the loader follows them: at most five, the token dropped for good
//! where the origin changes, none to a URL that is signed, none from https to plain http.
//!
//! What went wrong is one line for a person, without query, user info or fragment of any URL.

mod addresses;

use std::error::Error as _;
use std::io;
use std::net::IpAddr;
use std::sync::Once;
use std::time::Duration;

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

/// With whose authority a request goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// The token that was given, if any.
    User,
    Nobody,
    /// Somebody with a token that is none.
    Stranger,
}

/// Sends the requests of a check.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    token: Option<Token>,
    allow_http: bool,
    pub(crate) timeout: Duration,
}

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) head: Head,
    /// When the first request left.
    pub(crate) asked: Instant,
    response: Response,
    timeout: Duration,
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
    /// A redirect to plain http, which is a matter of its own rule.
    pub(crate) is_plain_http: bool,
}

impl Failure {
    fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), is_plain_http: false }
    }
}

impl Client {
    pub(crate) fn new(options: &CheckOptions) -> Result<Client, SetupError> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // Fails when the process has installed one itself, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("remote-data-loader-check/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .dns_resolver(addresses::Guarded)
                .connect_timeout(options.timeout)
                .http1_only()
        };
        let http = builder().build().or_else(|error| {
            // A machine without root certificates can still talk plain http.
            tracing::warn!(%error, "no root certificates: https requests will fail");
            builder().tls_certs_only([]).build()
        });
        Ok(Client {
            http: http.map_err(|error| SetupError(error.to_string()))?,
            token: options.token.clone(),
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
        let asked = Instant::now();
        let mut token = match who {
            As::User => self.token.as_ref().map(Token::expose),
            As::Nobody => None,
            As::Stranger => Some(WRONG_TOKEN),
        };
        let (origin, mut url) = (url.origin(), url.clone());
        let (mut token_dropped, mut http_hop) = (false, None);
        for hop in 0..=MAX_REDIRECTS {
            if !self.may_ask(&url) {
                return Err(Failure {
                    what: format!("{} is plain http, which the loader refuses", redacted(&url)),
                    is_plain_http: true,
                });
            }
            if let Some(address) = addresses::special_host(&url) {
                return Err(Failure::new(addresses::refused(address)));
            }
            if hop > 0 && url.scheme() == "http" {
                http_hop = Some(redacted(&url));
            }
            let response = self.send(&url, token, headers).await?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                let head = Head { token_dropped, http_hop, ..Head::of(&response) };
                return Ok(Answer { head, asked, response, timeout: self.timeout });
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
        let request = self.http.get(url.clone()).headers(all);
        match timeout(self.timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Failure::new(why(&error))),
            Err(_) => Err(Failure::new(format!("no answer within {}", seconds(self.timeout)))),
        }
    }
}

impl Answer {
    /// The next bytes of the body; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<bytes::Bytes>, Failure> {
        match timeout(self.timeout, self.response.chunk()).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(Failure::new(why(&error))),
            Err(_) => {
                Err(Failure::new(format!("no further bytes within {}", seconds(self.timeout))))
            }
        }
    }
}

impl Head {
    fn of(response: &Response) -> Head {
        let headers = response.headers();
        let text = |name: HeaderName| {
            let value = headers.get(name)?.to_str().ok()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let message =
            headers.get(USER_MESSAGE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        Head {
            status: response.status().as_u16(),
            content_type: text(CONTENT_TYPE),
            content_length: text(CONTENT_LENGTH).and_then(|text| text.parse().ok()),
            content_range: text(CONTENT_RANGE),
            encoding: text(CONTENT_ENCODING).filter(|text| !text.eq_ignore_ascii_case("identity")),
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
            user_message: message
                .filter(|text| !text.trim().is_empty())
                .map(|text| tamed(text.trim())),
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

/// One line that says what happened, without any URL.
fn why(error: &reqwest::Error) -> String {
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    let mut refused = false;
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        innermost = cause;
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
        "the connection was refused: nothing listens there".to_owned()
    } else if texts.iter().any(|text| text.contains("which the loader refuses")) {
        tamed(&cause)
    } else if is_dns {
        format!("the host's name cannot be resolved ({})", tamed(&cause))
    } else if error.is_connect() && error.is_timeout() {
        "no connection in time".to_owned()
    } else if error.is_connect() {
        format!("no connection: {}", tamed(&cause))
    } else {
        format!("the connection broke: {}", tamed(&cause))
    }
}
