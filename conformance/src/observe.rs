//! What is asked, and what was seen. Nothing is judged here.
//!
//! First every manifest, twice. Then every source, several side by side: read, asked by ranges when
//! it is static, left in the middle, read again, and asked for without a token. What is kept of a
//! source does not grow with it.

mod dropped;
mod manifest;
mod ranges;
mod reading;
mod schema_faults;
mod source;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::pin;
use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _};
use rdl_model::SourceKey;
use rdl_wire::{Source, signature};
use url::Url;

pub(crate) use self::manifest::{BodySeen, ManifestSeen, Refusal};
pub(crate) use self::ranges::{PartSeen, RangesSeen, SummarySeen, Told};
pub(crate) use self::reading::{End, Reading};
use self::source::Planned;
pub(crate) use self::source::{Left, Skipped, SourceSeen};
use crate::http_client::Client;
use crate::{CheckOptions, Progress};

/// Everything that was seen.
pub(crate) struct Observations {
    pub(crate) expect_auth: bool,
    pub(crate) has_token: bool,
    pub(crate) manifests: Vec<ManifestSeen>,
    pub(crate) sources: Vec<SourceSeen>,
}

/// Asks everything there is to ask, until `stop` resolves: what was not reached then was skipped.
pub(crate) async fn observe(
    client: &Client,
    options: &CheckOptions,
    stop: impl Future<Output = ()>,
) -> Observations {
    let mut stop = pin!(stop.fuse());
    let mut manifests = Vec::new();
    for (at, url) in options.manifests.iter().enumerate() {
        let seen = tokio::select! {
            // Once it has resolved it never does again.
            () = &mut stop => None,
            seen = manifest::see(client, at + 1, url, options.expect_auth) => Some(seen),
        };
        let Some(seen) = seen else {
            let rest = options.manifests.iter().enumerate().skip(at);
            manifests.extend(rest.map(|(at, url)| ManifestSeen::interrupted(at + 1, url)));
            let sources = to_see(client, options, &manifests);
            return Observations::of(client, options, manifests, sources, Vec::new());
        };
        manifests.push(seen);
    }
    let sources = to_see(client, options, &manifests);
    let (mut done, of) = (0, sources.len());
    let tell = |done| {
        if let Some(progress) = &options.progress {
            progress(Progress { done, of });
        }
    };
    tell(done);
    let seeing = sources
        .iter()
        .cloned()
        .enumerate()
        .map(async |(at, source)| (at, SourceSeen::new(source).see(client, options).await));
    let mut seeing = futures::stream::iter(seeing).buffer_unordered(options.concurrency.max(1));
    let mut seen = Vec::with_capacity(of);
    loop {
        let next = tokio::select! {
            () = &mut stop => None,
            next = seeing.next() => next,
        };
        let Some(next) = next else { break };
        seen.push(next);
        done += 1;
        tell(done);
    }
    drop(seeing);
    Observations::of(client, options, manifests, sources, seen)
}

impl Observations {
    /// With the sources in the order of the manifests; those that were not seen were interrupted.
    fn of(
        client: &Client,
        options: &CheckOptions,
        manifests: Vec<ManifestSeen>,
        planned: Vec<Planned>,
        seen: Vec<(usize, SourceSeen)>,
    ) -> Observations {
        let mut seen: HashMap<usize, SourceSeen> = seen.into_iter().collect();
        let sources = planned.into_iter().enumerate().map(|(at, planned)| {
            seen.remove(&at).unwrap_or_else(|| {
                let skipped = planned.skipped.or(Some(Skipped::Interrupted));
                SourceSeen::new(Planned { skipped, ..planned })
            })
        });
        Observations {
            expect_auth: options.expect_auth,
            has_token: client.has_token(),
            sources: sources.collect(),
            manifests,
        }
    }
}

/// Every source of the manifests once, in their order; one id at several URLs is several, because
/// what one of them gives says nothing of the others.
fn to_see(client: &Client, options: &CheckOptions, manifests: &[ManifestSeen]) -> Vec<Planned> {
    let mut known: HashMap<(SourceKey, Url), usize> = HashMap::new();
    let mut sources: Vec<Planned> = Vec::new();
    for manifest in manifests {
        let Some(Ok(parsed)) = &manifest.parsed else { continue };
        let of = parsed.sources.len() + manifest.dropped.len();
        // As the loader is told: the endpoint without what is asked of it.
        let mut endpoint = manifest.url.clone();
        endpoint.set_query(None);
        for (at, source) in parsed.sources.iter().chain(&manifest.dropped).enumerate() {
            let source: &Source = source;
            match known.entry((source.key(&endpoint), signature::without_signature(source.url()))) {
                Entry::Occupied(at) => {
                    let planned = &mut sources[*at.get()];
                    let is_new = planned.manifest != manifest.number
                        && planned.also_in.last() != Some(&manifest.number);
                    if is_new {
                        planned.also_in.push(manifest.number);
                    }
                    continue;
                }
                Entry::Vacant(entry) => {
                    entry.insert(sources.len());
                }
            }
            let skipped = if !client.may_ask(source.url()) {
                Some(Skipped::PlainHttp)
            } else if !is_among(at, of, options.max_sources) {
                Some(Skipped::TooMany)
            } else {
                None
            };
            let declared = Arc::new(source.clone());
            sources.push(Planned {
                manifest: manifest.number,
                also_in: Vec::new(),
                declared,
                skipped,
            });
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
