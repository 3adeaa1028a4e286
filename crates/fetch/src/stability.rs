//! Backends whose source URLs change at every request.
//!
//! A source without an id is known by its URL. Where the URL changes although the data does not,
//! nothing that was loaded is ever found again. Two answers to the same request tell: the same
//! sources (kind, topics, times) under other keys.

use std::collections::{HashMap, VecDeque};

use rdl_model::{Problem, ProblemCode, SourceKey, SourceKeyHasher};
use rdl_wire::{Manifest, Source, StreamedSource, redacted};
use url::Url;

/// How many requests are remembered.
const REMEMBERED: usize = 1024;

/// What the last answer to each request looked like. Bounded; the longest remembered leaves first.
#[derive(Default)]
pub(crate) struct Stability {
    last: HashMap<SourceKey, Answer>,
    order: VecDeque<SourceKey>,
}

#[derive(PartialEq, Eq)]
struct Answer {
    /// What the sources are, in order.
    content: SourceKey,
    /// The keys of those without an id, in order.
    keys: SourceKey,
}

impl Stability {
    /// Remembers this answer and compares it with the one before. `request` tells requests apart:
    /// its parameters and token, which are remembered only as a hash.
    pub(crate) fn check(
        &mut self,
        request: &(impl RequestIdentity + ?Sized),
        manifest: &Manifest,
        endpoint: &Url,
    ) -> Option<Problem> {
        let unnamed = manifest.sources.iter().filter(|source| !has_id(source));
        let first = unnamed.clone().next()?;
        let keys = unnamed
            .clone()
            .fold(SourceKeyHasher::new(), |keys, source| keys.field(source.key(endpoint).0))
            .finish();
        let answer = Answer { content: content(&manifest.sources), keys };
        let request = request.identity();
        let changed = self
            .last
            .get(&request)
            .is_some_and(|last| last.content == answer.content && last.keys != answer.keys);
        if self.last.insert(request, answer).is_none() {
            self.order.push_back(request);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.last.remove(&oldest);
            }
        }
        changed.then(|| {
            let message = format!(
                "the URLs of {} sources ({} the first) change from request to request, so nothing \
                 that was loaded is found again; give each source an id",
                unnamed.count(),
                first.name()
            );
            Problem::new(ProblemCode::SourceUrlNotStable, message)
        })
    }
}

/// What tells one request for a manifest from another.
pub(crate) trait RequestIdentity {
    fn identity(&self) -> SourceKey;
}

fn has_id(source: &Source) -> bool {
    matches!(source, Source::Streamed(StreamedSource { id: Some(_), .. }))
}

/// A hash of everything but the URLs; of a static source, which declares nothing else, the URL
/// less its query.
fn content(sources: &[Source]) -> SourceKey {
    let mut hash = SourceKeyHasher::new();
    for source in sources {
        hash = match source {
            Source::Static(source) => hash.field("static").field(redacted(&source.url)),
            Source::Streamed(source) => {
                let time = |time: Option<rdl_model::Nanos>| {
                    time.map_or_else(String::new, |time| time.0.to_string())
                };
                hash = hash
                    .field("streamed")
                    .field(source.id.as_deref().unwrap_or(""))
                    .field(time(source.start))
                    .field(time(source.end))
                    .field(source.topics.len().to_string());
                for topic in &source.topics {
                    hash = hash.field(&topic.name).field(&topic.message_encoding);
                }
                hash
            }
        };
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use rdl_wire::{ManifestLimits, parse_manifest};
    use serde_json::{Value, json};

    use super::*;

    impl RequestIdentity for str {
        fn identity(&self) -> SourceKey {
            SourceKeyHasher::new().field(self).finish()
        }
    }

    fn streamed(url: &str, topic: &str, id: Option<&str>) -> Value {
        json!({
            "url": url, "id": id, "schemas": [],
            "topics": [{ "name": topic, "messageEncoding": "json" }],
            "startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:00:01Z",
        })
    }

    fn check(stability: &mut Stability, request: &str, source: &Value) -> bool {
        let endpoint: Url = "https://h.example/manifest".parse().unwrap();
        let body = json!({ "sources": [source] }).to_string();
        let limits = ManifestLimits::default();
        let manifest = parse_manifest(body.as_bytes(), &endpoint, &limits, false).unwrap();
        stability.check(request, &manifest, &endpoint).is_some()
    }

    #[test]
    fn tells_changing_urls() {
        let mut known = Stability::default();
        assert!(!check(&mut known, "a", &streamed("/d?nonce=1", "/t", None)));
        assert!(check(&mut known, "a", &streamed("/d?nonce=2", "/t", None)));
        assert!(!check(&mut known, "a", &streamed("/d?nonce=2", "/t", None)));
        // Another recording, or other content.
        assert!(!check(&mut known, "b", &streamed("/d?nonce=3", "/t", None)));
        assert!(!check(&mut known, "a", &streamed("/d?nonce=4", "/other", None)));
        // A signature is no change, and an id settles it.
        let signed = |signature| format!("/s?X-Amz-Date=1&X-Amz-Signature={signature}");
        assert!(!check(&mut known, "c", &streamed(&signed("1"), "/t", None)));
        assert!(!check(&mut known, "c", &streamed(&signed("2"), "/t", None)));
        assert!(!check(&mut known, "d", &streamed("/d?nonce=1", "/t", Some("x"))));
        assert!(!check(&mut known, "d", &streamed("/d?nonce=2", "/t", Some("x"))));
        // Another file is another file; the same one under another query is not.
        let fixed = |url: &str| json!({ "url": url, "supportsRangeRequests": true });
        assert!(!check(&mut known, "e", &fixed("/a.mcap")));
        assert!(!check(&mut known, "e", &fixed("/b.mcap?n=1")));
        assert!(check(&mut known, "e", &fixed("/b.mcap?n=2")));
    }

    #[test]
    fn memory_is_bounded() {
        let mut known = Stability::default();
        for at in 0..REMEMBERED + 10 {
            check(&mut known, &at.to_string(), &streamed("/d", "/t", None));
        }
        assert_eq!((known.last.len(), known.order.len()), (REMEMBERED, REMEMBERED));
    }
}
