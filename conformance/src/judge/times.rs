use std::time::{Duration, SystemTime};

use rdl_model::{Nanos, ProblemCode};
use rdl_wire::{Source, StreamedSource};

use super::manifest::{NO_MANIFEST, place};
use super::{each_source, tell};
use crate::examine::Facts;
use crate::findings::Findings;
use crate::observe::{ManifestSeen, Observations, SourceSeen};
use crate::report::Place;
use crate::shown::tamed;

const YEAR: u64 = 365 * 24 * 3600 * 1_000_000_000;
/// A clock that began at zero, and one that never stood still, are told apart by this date: 1980.
const CLOCK_FROM_ZERO: Nanos = Nanos(10 * YEAR);
/// Recordings of one recording that lie further apart do not belong together.
const APART: u64 = 5 * YEAR;
/// No recording is made so long after today.
const FUTURE: u64 = 2 * YEAR;

fn streamed(manifest: &ManifestSeen) -> Option<Vec<&StreamedSource>> {
    let parsed = manifest.parsed.as_ref()?.as_ref().ok()?;
    let streamed = parsed.sources.iter().filter_map(|source| match source {
        Source::Streamed(streamed) => Some(streamed),
        Source::Static(_) => None,
    });
    Some(streamed.collect())
}

fn named(manifest: &ManifestSeen, source: &StreamedSource) -> Place {
    let name = Source::Streamed(source.clone()).name();
    Place { source: Some(tamed(&name)), ..place(manifest) }
}

pub(crate) fn possible(seen: &Observations, findings: &mut Findings) {
    for manifest in &seen.manifests {
        let Some(Ok(parsed)) = &manifest.parsed else {
            findings.unseen(place(manifest), NO_MANIFEST);
            continue;
        };
        for problem in &parsed.problems {
            if matches!(problem.code, ProblemCode::StartAfterEnd | ProblemCode::TimeOutOfRange) {
                let source = problem.source.as_deref().map(tamed);
                findings.wrong_times(
                    Place { source, ..place(manifest) },
                    tamed(&problem.message),
                    problem.count.max(1),
                );
            }
        }
        for _ in streamed(manifest).into_iter().flatten() {
            findings.right();
        }
    }
}

/// When a source is: as it declares, and where it does not, as its messages are.
struct Span<'a> {
    at: Place,
    source: Option<&'a SourceSeen>,
    start: Option<Nanos>,
    end: Option<Nanos>,
}

impl Span<'_> {
    /// Why its messages, which alone tell, are not all known.
    fn unread(&self) -> Option<String> {
        let source = self.source?;
        let is_whole = source.facts().is_some_and(Facts::is_whole);
        (!is_whole).then(|| super::why_unread(source))
    }
}

pub(crate) fn plausible(seen: &Observations, findings: &mut Findings) {
    let today = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let today = u64::try_from(today.as_nanos()).unwrap_or(u64::MAX);
    for manifest in &seen.manifests {
        let Some(streamed) = streamed(manifest) else {
            findings.unseen(place(manifest), NO_MANIFEST);
            continue;
        };
        let declared = streamed.iter().filter(|source| source.start.or(source.end).is_some());
        let mut spans: Vec<Span<'_>> = declared
            .map(|source| Span {
                at: named(manifest, source),
                source: None,
                start: source.start,
                end: source.end,
            })
            .collect();
        spans.extend(
            seen.sources.iter().filter(|source| source.is_in(manifest.number)).filter_map(
                |source| {
                    let is_declared = match &*source.declared {
                        Source::Streamed(declared) => declared.start.or(declared.end).is_some(),
                        Source::Static(_) => false,
                    };
                    let times = source.facts().and_then(|facts| facts.times);
                    let (start, end) = times.unzip();
                    let at = Place { manifest: Some(manifest.number), ..source.place() };
                    (!is_declared).then_some(Span { at, source: Some(source), start, end })
                },
            ),
        );
        let newest = spans.iter().filter_map(|span| span.end.or(span.start)).max();
        for span in spans {
            let unread = span.unread();
            let early = span.start.or(span.end).filter(|start| *start < CLOCK_FROM_ZERO);
            let last = span.end.or(span.start);
            let late = last.filter(|end| end.0 > today.saturating_add(FUTURE));
            match (early, late, newest) {
                (Some(start), _, Some(newest)) if newest.0.saturating_sub(start.0) > APART => {
                    let until = match span.end {
                        Some(end) if end.0.saturating_sub(start.0) > APART => {
                            format!("ends at {end}")
                        }
                        _ => format!("another source ends at {newest}"),
                    };
                    let what = format!(
                        "it starts at {start}, and {until}: the seek bar covers the years between"
                    );
                    findings.wrong(span.at, what);
                }
                (_, Some(end), _) => {
                    findings.wrong(span.at, format!("it ends at {end}, far after today"));
                }
                _ => match unread {
                    Some(why) => findings.unseen(span.at, why),
                    None => findings.right(),
                },
            }
        }
    }
}

pub(crate) fn within_bounds(seen: &Observations, findings: &mut Findings) {
    each_source(
        seen,
        findings,
        |source| !source.is_static(),
        |source, facts, findings| {
            tell(source, &facts.outside, findings);
            facts.outside.count == 0
        },
    );
}
