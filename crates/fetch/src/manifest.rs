//! Manifests: asked for with the caller's own token, shared between identical requests.

mod cache;

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode};
use parking_lot::Mutex;
use rdl_metrics::table;
use rdl_model::{SourceKey, SourceKeyHasher};
use rdl_wire::{Manifest, ManifestLimits, parse_manifest};
use tokio::time::Instant;
use tracing::Instrument as _;
use url::Url;

use self::cache::Cache;
use crate::download::Download;
use crate::retry::retry;
use crate::stability::{RequestIdentity, Stability};
use crate::{FetchConfig, FetchError, HttpClient, Purpose, TimedOut, Token};

/// What a user asks the manifest endpoint with: names and values in order, duplicates kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ManifestParams(pub Vec<(String, String)>);

/// A manifest, and when the endpoint was asked for it.
#[derive(Clone, Debug)]
pub struct AskedManifest {
    /// What it answered.
    pub manifest: Arc<Manifest>,
    /// When the request left; one that is kept is as old as that.
    pub asked: Instant,
}

impl Deref for AskedManifest {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        &self.manifest
    }
}

/// Whose manifest: two requests are identical when this is.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Request {
    params: ManifestParams,
    token: Option<Token>,
}

impl Request {
    /// About how much memory it takes.
    fn bytes(&self) -> u64 {
        let params = self.params.0.iter().map(|(name, value)| name.len() + value.len() + 64);
        let token = self.token.as_ref().map_or(0, |token| token.expose().len());
        (params.sum::<usize>() + token) as u64
    }
}

impl RequestIdentity for Request {
    fn identity(&self) -> SourceKey {
        let token = self.token.as_ref().map_or("", Token::expose);
        let hash = SourceKeyHasher::new().field(token);
        let params = self.params.0.iter();
        params.fold(hash, |hash, (name, value)| hash.field(name).field(value)).finish()
    }
}

/// Asks the manifest endpoint. Identical requests of one token share one fetch, which nobody's
/// leaving cancels; errors are never kept.
pub struct ManifestClient(Arc<Inner>);

struct Inner {
    config: Arc<FetchConfig>,
    http: HttpClient,
    state: Mutex<State>,
}

struct State {
    flights: HashMap<Request, Flight>,
    cache: Cache,
    stability: Stability,
}

type Flight = Shared<BoxFuture<'static, Result<AskedManifest, FetchError>>>;

impl ManifestClient {
    /// A client with an empty cache.
    pub fn new(config: Arc<FetchConfig>, http: HttpClient) -> ManifestClient {
        let state = State {
            flights: HashMap::new(),
            cache: Cache::new(&config),
            stability: Stability::default(),
        };
        ManifestClient(Arc::new(Inner { config, http, state: Mutex::new(state) }))
    }

    /// The manifest for these parameters, as the endpoint grants it to this token; from the cache
    /// when it was asked for within its lifetime.
    pub async fn fetch(
        &self,
        params: &ManifestParams,
        token: Option<&Token>,
    ) -> Result<AskedManifest, FetchError> {
        self.ask(params, token, true).await
    }

    /// The same, asked now: for whoever holds a URL that may have expired.
    pub async fn fetch_fresh(
        &self,
        params: &ManifestParams,
        token: Option<&Token>,
    ) -> Result<AskedManifest, FetchError> {
        self.ask(params, token, false).await
    }

    async fn ask(
        &self,
        params: &ManifestParams,
        token: Option<&Token>,
        from_cache: bool,
    ) -> Result<AskedManifest, FetchError> {
        let request = Request { params: params.clone(), token: token.cloned() };
        let flight = {
            let mut state = self.0.state.lock();
            if let Some(manifest) = state.cache.get(&request).filter(|_| from_cache) {
                table::MANIFESTS.count(["cached"]);
                return Ok(manifest);
            }
            match state.flights.get(&request) {
                Some(flight) => {
                    table::MANIFESTS.count(["shared"]);
                    flight.clone()
                }
                None => {
                    let flight = self.0.clone().start(request.clone());
                    state.flights.insert(request, flight.clone());
                    flight
                }
            }
        };
        flight.await
    }
}

impl Inner {
    /// Starts a fetch that goes on whoever waits for it.
    fn start(self: Arc<Self>, request: Request) -> Flight {
        let landing = Landing { inner: self.clone(), request: request.clone() };
        let fetch = async move {
            let _landing = landing;
            let began = Instant::now();
            let fetched = self.fetch(request).await;
            table::MANIFEST_TIME.took(began.elapsed());
            let outcome =
                fetched.as_ref().map_or_else(|error| error.kind().as_str(), |_| "granted");
            table::MANIFESTS.count([outcome]);
            fetched
        };
        let task = tokio::spawn(fetch.in_current_span());
        let died = || FetchError::Setup { what: "the task of a fetch died".to_owned() };
        async move { task.await.unwrap_or_else(|_| Err(died())) }.boxed().shared()
    }

    async fn fetch(&self, request: Request) -> Result<AskedManifest, FetchError> {
        let config = &*self.config;
        let url = with_params(&config.manifest_endpoint, &request.params);
        let again = |error: &FetchError| match error {
            FetchError::Status { status, .. } => {
                status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED
            }
            FetchError::Broken { .. } => true,
            _ => false,
        };
        let answer = retry(
            Purpose::Manifest,
            config.manifest_retry_for,
            config.retry_pause,
            again,
            || async {
                let asked = Instant::now();
                Ok((asked, self.body(&url, request.token.as_ref()).await?))
            },
        )
        .await;
        let (asked, body) = answer.inspect_err(|error| {
            // What was granted before is not granted any more.
            if error.is_refusal() || error.is_missing() {
                self.state.lock().cache.remove(&request);
            }
        })?;
        let body_bytes = body.len() as u64;
        let endpoint = config.manifest_endpoint.clone();
        let allow_http = config.allow_http_sources;
        // A large manifest takes long enough to parse to hold up everyone else.
        let parsed = tokio::task::spawn_blocking(move || {
            parse_manifest(&body, &endpoint, &ManifestLimits::default(), allow_http)
        });
        let mut manifest = parsed
            .await
            .map_err(|_| FetchError::Setup { what: "the manifest parser died".to_owned() })?
            .map_err(|error| FetchError::Manifest { url: crate::redacted(&url), error })?;

        let mut state = self.state.lock();
        let unstable = state.stability.check(&request, &manifest, &config.manifest_endpoint);
        if let Some(problem) = unstable {
            problem.add_to(&mut manifest.problems);
        }
        for problem in &manifest.problems {
            table::PROBLEMS.add(problem.count, [problem.code.as_str()]);
        }
        let manifest = AskedManifest { manifest: Arc::new(manifest), asked };
        let bytes = body_bytes + request.bytes();
        state.cache.put(request, manifest.clone(), bytes);
        Ok(manifest)
    }

    /// The whole body, within its limits.
    async fn body(&self, url: &Url, token: Option<&Token>) -> Result<Vec<u8>, FetchError> {
        let after = self.config.manifest_timeout;
        let timeout =
            || FetchError::Timeout { url: crate::redacted(url), what: TimedOut::End, after };
        tokio::time::timeout(after, self.whole_body(url, token)).await.map_err(|_| timeout())?
    }

    async fn whole_body(&self, url: &Url, token: Option<&Token>) -> Result<Vec<u8>, FetchError> {
        let limit_bytes = self.config.manifest_max_bytes;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.http.get(url, token, &headers).await?;
        let shown = answer.url.clone();
        if answer.response.status() != StatusCode::OK {
            return Err(FetchError::status(&answer));
        }
        let too_large = |bytes: u64| bytes > limit_bytes;
        let mut download = Download::of(answer, &self.http, Purpose::Manifest);
        let mut body = Vec::new();
        let mut is_too_large = download.content_length().is_some_and(too_large);
        while !is_too_large {
            match download.next(self.config.stall_timeout).await? {
                Some(bytes) => {
                    is_too_large = too_large((body.len() + bytes.len()) as u64);
                    body.extend_from_slice(&bytes);
                }
                None => return Ok(body),
            }
        }
        Err(FetchError::TooLarge { url: shown, limit_bytes })
    }
}

/// Takes a fetch off the list when it is over, however it ended.
struct Landing {
    inner: Arc<Inner>,
    request: Request,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.inner.state.lock().flights.remove(&self.request);
    }
}

fn with_params(endpoint: &Url, params: &ManifestParams) -> Url {
    let mut url = endpoint.clone();
    url.set_fragment(None);
    if !params.0.is_empty() {
        url.query_pairs_mut().extend_pairs(&params.0);
    }
    url
}

#[cfg(test)]
mod tests;
