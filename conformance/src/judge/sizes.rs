//! What makes a backend fast.

use std::time::Duration;

use super::each_source;
use crate::examine::Balance;
use crate::findings::Findings;
use crate::observe::Observations;
use crate::shown::{bytes_text, count};

/// Which chunks are taken as they are, in bytes uncompressed: of a streamed source those that a
/// loader need not write anew, of a static one those that it fetches one by one.
struct ChunkSizes {
    least: u64,
    largest: u64,
}
const STREAMED: ChunkSizes = ChunkSizes { least: 256 << 10, largest: 8 << 20 };
const STATIC: ChunkSizes = ChunkSizes { least: 64 << 10, largest: 16 << 20 };
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
            let ChunkSizes { least, largest } = if source.is_static() { STATIC } else { STREAMED };
            // All of it is less than a chunk.
            let is_small = facts.bytes < least && facts.uncompressed_bytes < least;
            // The last chunk of a stream has what is left; of a file, all count for the loader.
            let median = match source.is_static() {
                true => facts.median_chunk,
                false => facts.median_but_last.max(facts.median_chunk),
            };
            let median = median.unwrap_or(0);
            let what = if is_small {
                None
            } else if facts.loose_messages > facts.messages / 2 {
                Some("its messages lie outside of chunks: they can be neither skipped nor compressed".to_owned())
            } else if facts.largest_chunk > largest {
                let largest = bytes_text(facts.largest_chunk);
                Some(format!(
                    "it has a chunk of {largest} uncompressed, of which all is fetched for one message"
                ))
            } else if facts.chunks > 1 && median < least {
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
        |source, facts, findings| match unbalanced(facts.bytes, &facts.balance) {
            Some(what) => {
                findings.wrong(source.place(), what);
                false
            }
            None => true,
        },
    );
}

/// A source that is not small, most of which are a few topics that others have to wait for.
fn unbalanced(bytes: u64, balance: &Balance) -> Option<String> {
    if bytes < NOT_SMALL {
        return None;
    }
    let (name, largest_bytes) = balance.largest.as_ref()?;
    let all = balance.all_bytes;
    (balance.small >= 2 && balance.small_bytes.saturating_mul(10) < all).then(|| {
        format!(
            "its largest topic, {name}, has {} of {}, and {} small ones cannot be had without it",
            bytes_text(*largest_bytes),
            bytes_text(all),
            balance.small
        )
    })
}
