//! Which source has to be loaded for a lookback.

use std::collections::BTreeSet;

use rdl_model::{Nanos, TimeRange};

use super::latched::STATIC_TRANSFORMS;
use crate::{Query, ReplayPolicy};

/// A streamed source as its manifest declares it.
#[derive(Clone, Copy, Debug)]
pub struct DeclaredSource<'a> {
    /// Its position in the manifest.
    pub source: u32,
    /// Its declared times; [`Nanos::MIN`] and [`Nanos::MAX`] where unknown.
    pub times: TimeRange,
    /// Its declared topics.
    pub topics: &'a BTreeSet<String>,
    /// Whether nothing is left to load for the lookback: it is loaded as far as the searched
    /// times reach, or failed.
    pub is_loaded: bool,
}

/// Which source to load next for the lookback of this query, given all streamed sources of the
/// recording and when the newest message found of a topic was logged; `None` when none has to be.
///
/// Newest first: a source that declares a wanted topic and, by its declared times, may hold a
/// message of it that is no older than the one found, within [`Query::lookback`] before the start.
/// So within that bound the outcome does not depend on what happens to be loaded already. Then,
/// for a topic of which nothing was found, the earliest source that declares it, however far back:
/// what is published once is published at the beginning. For static transforms that source is
/// loaded in any case: a newer broadcast of one of them does not replace those of the others.
pub fn next_to_load(
    query: &Query,
    sources: &[DeclaredSource<'_>],
    newest_found: &dyn Fn(&str) -> Option<Nanos>,
) -> Option<u32> {
    let searched = query.lookback_times()?;
    let before_start = query.replay == ReplayPolicy::LastPerChannel;
    let bound = if before_start {
        TimeRange { start: query.times.start.saturating_sub(query.lookback), end: searched.end }
    } else {
        searched
    };
    // The last in merge order goes first.
    let rank = |source: &DeclaredSource<'_>| {
        (source.times.end.min(searched.end), source.times.start, source.source)
    };
    let may_add = |source: &&DeclaredSource<'_>| {
        let latest = source.times.end.min(searched.end);
        let mut topics = source.topics.iter().filter(|topic| query.wants_topic(topic));
        !source.is_loaded
            && source.times.overlaps(bound)
            && topics.any(|topic| newest_found(topic).is_none_or(|found| found <= latest))
    };
    let newest = sources.iter().filter(may_add).max_by_key(|source| rank(source));
    if newest.is_some() || !before_start {
        return newest.map(|source| source.source);
    }
    earliest_needed(query, sources, searched, newest_found)
}

/// The earliest source of a wanted topic of which nothing was found, or of static transforms,
/// unless that is loaded.
fn earliest_needed(
    query: &Query,
    sources: &[DeclaredSource<'_>],
    searched: TimeRange,
    newest_found: &dyn Fn(&str) -> Option<Nanos>,
) -> Option<u32> {
    let candidates = sources.iter().filter(|source| source.times.overlaps(searched));
    let mut by_start: Vec<_> = candidates.collect();
    by_start.sort_by_key(|source| (source.times.start, source.source));
    let mut met = BTreeSet::new();
    by_start.into_iter().find_map(|source| {
        let mut needed = false;
        for topic in source.topics.iter().filter(|topic| query.wants_topic(topic)) {
            let first = met.insert(topic);
            needed |= first && (topic == STATIC_TRANSFORMS || newest_found(topic).is_none());
        }
        (needed && !source.is_loaded).then_some(source.source)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Declared sources whose topics are found where and when `messages` says once they load.
    struct Backend {
        declared: Vec<(u64, u64, BTreeSet<String>)>,
        messages: Vec<(u32, &'static str, u64)>,
    }

    fn backend(declared: &[(u64, u64, &str)], messages: &[(u32, &'static str, u64)]) -> Backend {
        let topics = |topics: &str| topics.split(' ').map(str::to_owned).collect();
        let declared = declared.iter().map(|(start, end, of)| (*start, *end, topics(of)));
        Backend { declared: declared.collect(), messages: messages.to_vec() }
    }

    /// The sources that a lookback from `start` over `bound` loads, in this order.
    fn loads(backend: &Backend, start: u64, bound: u64, loaded: &[u32]) -> Vec<u32> {
        let query = Query {
            times: TimeRange { start: Nanos(start), end: Nanos::MAX },
            has_start: true,
            replay: ReplayPolicy::LastPerChannel,
            lookback: Duration::from_nanos(bound),
            topics: Some(BTreeSet::from(["/a".to_owned(), "/b".to_owned()])),
            ..Query::default()
        };
        run(backend, &query, loaded)
    }

    fn run(backend: &Backend, query: &Query, loaded: &[u32]) -> Vec<u32> {
        let searched = query.lookback_times().unwrap();
        let mut loaded: BTreeSet<u32> = loaded.iter().copied().collect();
        let mut order = Vec::new();
        loop {
            let sources: Vec<_> = (0u32..)
                .zip(&backend.declared)
                .map(|(source, (start, end, topics))| DeclaredSource {
                    source,
                    times: TimeRange { start: Nanos(*start), end: Nanos(*end) },
                    topics,
                    is_loaded: loaded.contains(&source),
                })
                .collect();
            let newest_found = |topic: &str| {
                let of_topic = backend.messages.iter().filter(|(source, of, time)| {
                    loaded.contains(source) && *of == topic && searched.contains(Nanos(*time))
                });
                of_topic.map(|(_, _, time)| Nanos(*time)).max()
            };
            let Some(next) = next_to_load(query, &sources, &newest_found) else {
                return order;
            };
            assert!(loaded.insert(next), "source {next} is loaded twice");
            order.push(next);
        }
    }

    #[test]
    fn the_newest_first_until_each_topic_is_found() {
        let declared = [(0, 9, "/a /b"), (10, 19, "/a /b"), (20, 29, "/a /b"), (30, 39, "/a /b")];
        let backend = backend(&declared, &[(0, "/b", 5), (1, "/b", 12), (2, "/a", 25)]);
        assert_eq!(loads(&backend, 30, 100, &[]), [2, 1]);
    }

    #[test]
    fn what_is_loaded_already_does_not_change_what_is_found() {
        let declared = [(0, 9, "/a"), (10, 19, "/a"), (20, 29, "/a")];
        let backend = backend(&declared, &[(0, "/a", 5), (2, "/a", 25)]);
        assert_eq!(loads(&backend, 30, 100, &[0]), [2]);
        assert_eq!(loads(&backend, 30, 100, &[2]), []);
    }

    #[test]
    fn sources_of_unwanted_topics_or_after_the_start_are_not_loaded() {
        let backend = backend(&[(0, 9, "/c"), (30, 39, "/a"), (40, 49, "/b")], &[]);
        assert_eq!(loads(&backend, 30, 100, &[]), []);
    }

    #[test]
    fn beyond_the_bound_only_the_earliest_of_a_missing_topic() {
        let declared = [(0, 9, "/a"), (10, 19, "/a /b"), (20, 29, "/a /b"), (80, 89, "/a /b")];
        let found = backend(&declared, &[(3, "/a", 85), (1, "/b", 11)]);
        assert_eq!(loads(&found, 90, 20, &[]), [3, 1]);
        let nowhere = backend(&declared, &[]);
        assert_eq!(loads(&nowhere, 90, 20, &[]), [3, 0, 1]);
        assert_eq!(loads(&nowhere, 90, 20, &[0, 1]), [3], "no further than the earliest");
    }

    #[test]
    fn static_transforms_are_looked_for_at_the_beginning_too() {
        let declared =
            [(0, 9, "/tf_static /a"), (10, 19, "/tf_static /a"), (80, 89, "/tf_static /a")];
        let found = [(0, "/tf_static", 1), (2, "/tf_static", 85), (2, "/a", 85)];
        let backend = backend(&declared, &found);
        let query = Query {
            times: TimeRange { start: Nanos(90), end: Nanos::MAX },
            has_start: true,
            replay: ReplayPolicy::LastPerChannel,
            lookback: Duration::from_nanos(20),
            ..Query::default()
        };
        assert_eq!(run(&backend, &query, &[]), [2, 0]);
    }

    #[test]
    fn a_newest_in_range_loads_what_overlaps_the_range_alone() {
        let backend = backend(&[(0, 9, "/a"), (10, 19, "/a"), (20, 29, "/a"), (30, 39, "/a")], &[]);
        let query = Query {
            times: TimeRange { start: Nanos(15), end: Nanos(25) },
            has_start: true,
            replay: ReplayPolicy::LastPerChannelInRange,
            ..Query::default()
        };
        assert_eq!(run(&backend, &query, &[]), [2, 1]);
    }

    #[test]
    fn unknown_times_count_as_everywhere() {
        let backend = backend(&[(0, u64::MAX, "/a"), (10, 19, "/a")], &[(1, "/a", 19)]);
        assert_eq!(loads(&backend, 30, 15, &[]), [0, 1]);
        assert_eq!(loads(&backend, 30, 5, &[]), [0], "the earliest as well");
    }
}
