//! What makes a backend fast.

use std::time::Duration;

use super::each_source;
use crate::examine::{Facts, TopicFacts};
use crate::findings::Findings;
use crate::observe::Observations;
use crate::shown::{bytes_text, count};

/// A body that is smaller has chunks of whatever size, in bytes.
const SMALL_BODY: u64 = 1 << 20;
/// A median chunk of less makes too many of them, in bytes.
const LEAST_MEDIAN: u64 = 64 << 10;
/// A larger chunk makes a seek slow, in bytes.
const LARGEST_CHUNK: u64 = 16 << 20;
/// A streamed source is fetched whole; one that is larger is large, in bytes.
const LARGE_SOURCE: u64 = 256 << 20;
/// A streamed source that is longer and not small is long.
const LONG_SOURCE: Duration = Duration::from_secs(15 * 60);
const NOT_SMALL: u64 = 32 << 20;

pub(crate) fn chunk_size(seen: &Observations, findings: &mut Findings) {
    each_source(
        seen,
        findings,
        |_| true,
        |source, facts, findings| {
            let is_small = facts.bytes < SMALL_BODY && facts.uncompressed_bytes < SMALL_BODY;
            let median = facts.median_chunk().unwrap_or(0);
            let what = if is_small {
                None
            } else if facts.loose_messages > facts.messages / 2 {
                Some("its messages lie outside of chunks: they can be neither skipped nor compressed".to_owned())
            } else if facts.largest_chunk > LARGEST_CHUNK {
                let largest = bytes_text(facts.largest_chunk);
                Some(format!(
                    "it has a chunk of {largest} uncompressed, of which all is fetched for one message"
                ))
            } else if facts.chunks > 1 && median < LEAST_MEDIAN {
                let (chunks, median) = (count(facts.chunks, "chunk"), bytes_text(median));
                Some(format!(
                    "it has {chunks} of {median} in the median, each with its own overhead"
                ))
            } else {
                None
            };
            if let Some(what) = &what {
                findings.wrong(source.place(), &**what);
            }
            what.is_none()
        },
    );
}

pub(crate) fn by_time(seen: &Observations, findings: &mut Findings) {
    each_source(
        seen,
        findings,
        |source| !source.is_static(),
        |source, facts, findings| {
            let span = source.span().unwrap_or(Duration::ZERO);
            let is_large = facts.bytes > LARGE_SOURCE;
            let is_long = span > LONG_SOURCE && facts.bytes > NOT_SMALL;
            if is_large || is_long {
                let what = format!(
                    "it has {} over {} s: whoever seeks into it waits for all that comes before",
                    bytes_text(facts.bytes),
                    span.as_secs()
                );
                findings.wrong(source.place(), what);
            }
            !(is_large || is_long)
        },
    );
}

pub(crate) fn by_topic(seen: &Observations, findings: &mut Findings) {
    each_source(
        seen,
        findings,
        |source| !source.is_static(),
        |source, facts, findings| match unbalanced(facts) {
            Some(what) => {
                findings.wrong(source.place(), what);
                false
            }
            None => true,
        },
    );
}

/// A source that is not small, most of which are a few topics that others have to wait for.
fn unbalanced(facts: &Facts) -> Option<String> {
    if facts.bytes < NOT_SMALL {
        return None;
    }
    let all: u64 = facts.topics.values().map(|topic| topic.bytes).sum();
    let is_small = |topic: &TopicFacts| topic.bytes.saturating_mul(50) < all;
    let small: Vec<&TopicFacts> = facts.topics.values().filter(|topic| is_small(topic)).collect();
    let small_bytes: u64 = small.iter().map(|topic| topic.bytes).sum();
    let (name, largest) = facts.topics.iter().max_by_key(|(_, topic)| topic.bytes)?;
    (small.len() >= 2 && small_bytes.saturating_mul(10) < all).then(|| {
        format!(
            "its largest topic, {name}, has {} of {}, and {} small ones cannot be had without it",
            bytes_text(largest.bytes),
            bytes_text(all),
            small.len()
        )
    })
}
