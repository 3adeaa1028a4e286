use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

/// A bearer token; never printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Wraps it.
    pub fn new(token: impl Into<String>) -> Token {
        Token(token.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How far a check has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Sources that were looked at.
    pub done: usize,
    /// Sources to look at.
    pub of: usize,
}

/// What to check, and how far.
#[derive(Clone)]
pub struct CheckOptions {
    /// The manifests, each with everything in its query that the endpoint needs.
    pub manifests: Vec<Url>,
    /// What to ask with.
    pub token: Option<Token>,
    /// Whether the backend has to refuse whoever has no token.
    pub expect_auth: bool,
    /// Whether plain http is fine anywhere; otherwise on loopback only.
    pub allow_http: bool,
    /// How long a connection, an answer and each further piece of a body may take.
    pub timeout: Duration,
    /// How much of a body is read at most, in bytes.
    pub max_bytes: u64,
    /// For how long a body is read at most.
    pub max_time: Duration,
    /// How many sources are looked at, spread over each manifest.
    pub max_sources: usize,
    /// How many sources are looked at side by side.
    pub concurrency: usize,
    /// Told now and then how far it has come.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

impl CheckOptions {
    /// The defaults, for these manifests.
    pub fn new(manifests: Vec<Url>) -> CheckOptions {
        CheckOptions {
            manifests,
            token: None,
            expect_auth: false,
            allow_http: false,
            timeout: Duration::from_secs(30),
            max_bytes: 1 << 30,
            max_time: Duration::from_secs(600),
            max_sources: 10_000,
            concurrency: 4,
            progress: None,
        }
    }
}
