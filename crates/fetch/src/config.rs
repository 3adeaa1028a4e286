use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use ipnet::IpNet;
use url::{Origin, Url};

/// To which origins a bearer token may go. No policy lets it go to a URL that is already signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TokenPolicy {
    /// To every source that a manifest names.
    #[default]
    EverySource,
    /// To these and the manifest endpoint's own.
    Only(Vec<Origin>),
}

impl TokenPolicy {
    /// Only to the origins of these URLs and the manifest endpoint's own.
    pub fn only<'a>(urls: impl IntoIterator<Item = &'a Url>) -> TokenPolicy {
        TokenPolicy::Only(urls.into_iter().map(Url::origin).collect())
    }

    /// Whether a token may go to `url`.
    pub(crate) fn allows(&self, url: &Url, manifest_endpoint: &Url) -> bool {
        match self {
            TokenPolicy::EverySource => true,
            TokenPolicy::Only(origins) => {
                let origin = url.origin();
                origin == manifest_endpoint.origin() || origins.contains(&origin)
            }
        }
    }
}

/// Everything that fetching is told at start.
#[derive(Clone)]
pub struct FetchConfig {
    /// Who is asked for manifests. Its own query stays in front of the parameters.
    pub manifest_endpoint: Url,
    /// Whether plain http is allowed, for manifests and sources.
    pub allow_http_sources: bool,
    /// To which origins tokens go.
    pub token_policy: TokenPolicy,
    /// Networks to which no request may go, at any hop; the manifest endpoint's own origin may lie
    /// in them, and so may the proxies. Link-local and metadata addresses are always refused.
    pub denied_networks: Vec<IpNet>,
    /// How long a manifest answers for the same token; zero: not at all. Never longer than 30 s.
    pub manifest_cache_ttl: Duration,
    /// How many manifests are kept.
    pub manifest_cache_capacity: usize,
    /// How large the bodies of the manifests that are kept may be together.
    pub manifest_cache_max_bytes: u64,
    /// The largest body of a manifest.
    pub manifest_max_bytes: u64,
    /// How long a whole try to fetch a manifest may take.
    pub manifest_timeout: Duration,
    /// For how long after the first try a manifest is asked for again.
    pub manifest_retry_for: Duration,
    /// For how long after the first try a range is asked for again.
    pub range_retry_for: Duration,
    /// The pause before the first retry; it doubles each time.
    pub retry_pause: Duration,
    /// How long a connection may take to stand.
    pub connect_timeout: Duration,
    /// How long the headers of an answer may take.
    pub first_byte_timeout: Duration,
    /// How long a manifest or a range may give nothing in the middle of its body.
    pub stall_timeout: Duration,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` count. Behind a proxy, names are resolved
    /// by the proxy, which then has to guard the addresses.
    pub use_system_proxy: bool,
    /// Adds to a request what makes it part of the current trace.
    pub trace: Option<fn(&mut HeaderMap)>,
}

impl FetchConfig {
    /// The defaults over this manifest endpoint.
    pub fn new(manifest_endpoint: Url) -> FetchConfig {
        FetchConfig {
            manifest_endpoint,
            allow_http_sources: false,
            token_policy: TokenPolicy::EverySource,
            denied_networks: Vec::new(),
            manifest_cache_ttl: Duration::ZERO,
            manifest_cache_capacity: 1024,
            manifest_cache_max_bytes: 32 << 20,
            manifest_max_bytes: 16 << 20,
            manifest_timeout: Duration::from_secs(60),
            manifest_retry_for: Duration::from_secs(5),
            range_retry_for: Duration::from_secs(30),
            retry_pause: Duration::from_millis(100),
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            use_system_proxy: true,
            trace: None,
        }
    }
}

/// Without what the manifest endpoint's URL hides.
impl fmt::Debug for FetchConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchConfig")
            .field("manifest_endpoint", &rdl_wire::redacted(&self.manifest_endpoint))
            .field("allow_http_sources", &self.allow_http_sources)
            .field("token_policy", &self.token_policy)
            .field("denied_networks", &self.denied_networks)
            .finish_non_exhaustive()
    }
}
