//! One GET and its redirects.

use std::sync::{Arc, Once};

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, LOCATION};
use http::{HeaderMap, HeaderValue};
use rdl_wire::signature;
use reqwest::Response;
use url::Url;

use crate::address::GuardedResolver;
use crate::denied::{DeniedNetworks, proxy_names};
use crate::{FetchConfig, FetchError, TimedOut, Token, redacted};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;
/// How many connections to one host are kept open for later.
const MAX_IDLE_CONNECTIONS: usize = 32;

/// Sends requests to the data backend and to sources. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct HttpClient {
    own: Way,
    /// To every origin but the manifest endpoint's own, where networks are denied.
    elsewhere: Option<Way>,
    pub(crate) config: Arc<FetchConfig>,
}

/// How requests leave, and where they may not go.
#[derive(Clone)]
struct Way {
    client: reqwest::Client,
    resolver: GuardedResolver,
}

/// An answer, whatever its status, and the URL to show for it: the one that was asked for, before
/// any redirect.
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) url: String,
    /// Whether the URL that was answered in the end was signed.
    pub(crate) was_signed: bool,
}

impl HttpClient {
    /// Makes the client. Fails only when TLS cannot be set up.
    pub fn new(config: Arc<FetchConfig>) -> Result<HttpClient, FetchError> {
        HttpClient::with_resolver(config, &GuardedResolver::system())
    }

    pub(crate) fn with_resolver(
        config: Arc<FetchConfig>,
        resolver: &GuardedResolver,
    ) -> Result<HttpClient, FetchError> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // Fails when the process has installed one itself, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let own = Way::new(&config, resolver.clone())?;
        let elsewhere = match config.denied_networks.as_slice() {
            [] => None,
            networks => {
                let variable = |name: &str| std::env::var(name).ok();
                let proxies =
                    if config.use_system_proxy { proxy_names(variable) } else { Vec::new() };
                let denied = DeniedNetworks::new(networks, proxies);
                Some(Way::new(&config, resolver.denying(denied))?)
            }
        };
        Ok(HttpClient { own, elsewhere, config })
    }

    /// GETs `url` and follows redirects. Resolves when the headers are there.
    pub(crate) async fn get(
        &self,
        url: &Url,
        token: Option<&Token>,
        headers: &HeaderMap,
    ) -> Result<Answer, FetchError> {
        let shown = redacted(url);
        let origin = url.origin();
        let mut token = token;
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(url.clone(), token, headers).await?;
            if !is_redirect(&response) {
                let was_signed = signature::is_signed(&url);
                return check_encoding(Answer { response, url: shown, was_signed });
            }
            url = redirect_target(&url, &response)?;
            if url.origin() != origin {
                token = None;
            }
        }
        Err(FetchError::bad_answer(&shown, format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// One hop, with every check that a hop needs.
    async fn send(
        &self,
        mut url: Url,
        token: Option<&Token>,
        headers: &HeaderMap,
    ) -> Result<Response, FetchError> {
        let shown = redacted(&url);
        let config = &*self.config;
        let refuse = |what: String| FetchError::NotAllowed { url: shown.clone(), what };
        match url.scheme() {
            "https" => {}
            "http" if config.allow_http_sources => {}
            "http" => {
                return Err(refuse(
                    "plain http; use https, or set ALLOW_HTTP_SOURCES=true".to_owned(),
                ));
            }
            other => return Err(refuse(format!("the scheme {other} is not http or https"))),
        }
        let endpoint = &config.manifest_endpoint;
        let is_own = url.origin() == endpoint.origin();
        // The operator named the manifest endpoint: denied networks are about what others name.
        let way = self.elsewhere.as_ref().filter(|_| !is_own).unwrap_or(&self.own);
        way.resolver.check(&url).await.map_err(|refused| refuse(refused.to_string()))?;

        // The manifest endpoint's own user info gives way to a token.
        let is_endpoint = is_own && url.path() == endpoint.path();
        if is_endpoint && token.is_some() {
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        let token = token
            .filter(|_| config.token_policy.allows(&url, endpoint) && !signature::is_signed(&url));
        let mut headers = headers.clone();
        if let Some(trace) = config.trace {
            trace(&mut headers);
        }
        let mut request = way
            .client
            .get(url)
            .headers(headers)
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .map_err(|_| FetchError::UnusableToken)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let after = config.first_byte_timeout;
        match tokio::time::timeout(after, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(FetchError::from_client(&shown, &error, config.connect_timeout)),
            Err(_) => Err(FetchError::Timeout { url: shown, what: TimedOut::FirstByte, after }),
        }
    }
}

impl Way {
    fn new(config: &FetchConfig, resolver: GuardedResolver) -> Result<Way, FetchError> {
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("remote-data-loader/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .dns_resolver(resolver.clone())
                .connect_timeout(config.connect_timeout)
                // A download that waits for its reader would hold up others on one connection.
                .http1_only()
                // Hundreds of loads may end at once; what they leave open costs the peer, too.
                .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS);
            if config.use_system_proxy { builder } else { builder.no_proxy() }
        };
        let client = builder().build().or_else(|error| {
            // A machine without root certificates can still talk plain http.
            tracing::warn!(%error, "no root certificates: https requests will fail");
            builder().tls_certs_only([]).build()
        });
        let client = client.map_err(|error| FetchError::Setup { what: error.to_string() })?;
        Ok(Way { client, resolver })
    }
}

fn is_redirect(response: &Response) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn redirect_target(from: &Url, response: &Response) -> Result<Url, FetchError> {
    let wrong = || FetchError::bad_answer(&redacted(from), "a redirect without a usable Location");
    let location = response.headers().get(LOCATION).ok_or_else(wrong)?;
    let location = location.to_str().map_err(|_| wrong())?;
    let mut target = from.join(location).map_err(|_| wrong())?;
    target.set_fragment(None);
    Ok(target)
}

/// Nobody asked for a compressed body, and the bytes of one are not the file's.
fn check_encoding(answer: Answer) -> Result<Answer, FetchError> {
    let encoding = answer.response.headers().get(CONTENT_ENCODING);
    let is_plain = encoding.is_none_or(|encoding| {
        encoding.is_empty() || encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    });
    if is_plain || !answer.response.status().is_success() {
        return Ok(answer);
    }
    Err(FetchError::bad_answer(
        &answer.url,
        "the body is compressed although the request allows identity only",
    ))
}

#[cfg(test)]
mod tests;
