//! What is asked, and what was seen. Nothing is judged here.
//!
//! First every manifest, twice. Then every source, several side by side: read, left in the middle,
//! read again, asked for without a token, and, when it is static, by ranges.

mod manifest;
mod ranges;
mod source;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use rdl_model::SourceKey;

pub(crate) use self::manifest::{BodySeen, ManifestSeen, Refusal};
pub(crate) use self::ranges::{PartSeen, RangesSeen, SummarySeen};
pub(crate) use self::source::{End, Reading, SourceSeen};
use crate::http_client::Client;
use crate::{CheckOptions, Progress};

/// Everything that was seen.
pub(crate) struct Observations {
    pub(crate) expect_auth: bool,
    pub(crate) has_token: bool,
    pub(crate) manifests: Vec<ManifestSeen>,
    pub(crate) sources: Vec<SourceSeen>,
}

/// Asks everything there is to ask.
pub(crate) async fn observe(client: &Client, options: &CheckOptions) -> Observations {
    let mut manifests = Vec::new();
    for (at, url) in options.manifests.iter().enumerate() {
        manifests.push(manifest::see(client, at + 1, url, options.expect_auth).await);
    }
    let sources = to_see(client, options, &manifests);
    let (done, of) = (AtomicUsize::new(0), sources.len());
    let tell = || {
        if let Some(progress) = &options.progress {
            progress(Progress { done: done.load(Ordering::Relaxed), of });
        }
    };
    tell();
    let sources = futures::stream::iter(sources)
        .map(async |source| {
            let seen = source.see(client, options).await;
            done.fetch_add(1, Ordering::Relaxed);
            tell();
            seen
        })
        .buffered(options.concurrency.max(1))
        .collect()
        .await;
    Observations {
        expect_auth: options.expect_auth,
        has_token: client.has_token(),
        manifests,
        sources,
    }
}

/// Every source of the manifests once, in their order.
fn to_see(client: &Client, options: &CheckOptions, manifests: &[ManifestSeen]) -> Vec<SourceSeen> {
    let mut seen: HashSet<SourceKey> = HashSet::new();
    let mut sources = Vec::new();
    for manifest in manifests {
        let Some(Ok(parsed)) = &manifest.parsed else { continue };
        let of = parsed.sources.len();
        for (at, source) in parsed.sources.iter().enumerate() {
            // As the loader is told: the endpoint without what is asked of it.
            let mut endpoint = manifest.url.clone();
            endpoint.set_query(None);
            if !seen.insert(source.key(&endpoint)) {
                continue;
            }
            let mut source = SourceSeen::new(manifest.number, source.clone());
            if !client.may_ask(source.declared.url()) {
                source.skipped = Some("it was not asked: plain http");
            } else if !is_among(at, of, options.max_sources) {
                source.skipped = Some("it was left out: --max-sources");
            }
            sources.push(source);
        }
    }
    sources
}

/// Whether this one of `of` is among `wanted` that are spread evenly.
fn is_among(at: usize, of: usize, wanted: usize) -> bool {
    let before = |at: usize| (at as u128 * wanted as u128 / of.max(1) as u128) as usize;
    wanted >= of || before(at + 1) > before(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_sources_are_spread_evenly() {
        let among = |of, wanted| (0..of).filter(|at| is_among(*at, of, wanted)).collect::<Vec<_>>();
        assert_eq!(among(3, 10), [0, 1, 2]);
        assert_eq!(among(10, 2), [4, 9]);
        assert_eq!(among(1000, 7).len(), 7);
        assert_eq!(among(5, 0), [0_usize; 0]);
    }
}
