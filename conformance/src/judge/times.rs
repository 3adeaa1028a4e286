use std::time::{Duration, SystemTime};

use rdl_model::{Nanos, ProblemCode};
use rdl_wire::{Source, StreamedSource};

use super::manifest::{NO_MANIFEST, place};
use super::{each_source, tell};
use crate::findings::Findings;
use crate::observe::{ManifestSeen, Observations};
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

pub(crate) fn plausible(seen: &Observations, findings: &mut Findings) {
    let today = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let today = u64::try_from(today.as_nanos()).unwrap_or(u64::MAX);
    for manifest in &seen.manifests {
        let Some(sources) = streamed(manifest) else {
            findings.unseen(place(manifest), NO_MANIFEST);
            continue;
        };
        let newest = sources.iter().filter_map(|source| source.end.or(source.start)).max();
        for source in sources {
            let at = named(manifest, source);
            let early = source.start.or(source.end).filter(|start| *start < CLOCK_FROM_ZERO);
            let late = source.end.or(source.start);
            let late = late.filter(|end| end.0 > today.saturating_add(FUTURE));
            match (early, late, newest) {
                (Some(start), _, Some(newest)) if newest.0 - start.0.min(newest.0) > APART => {
                    let what = format!(
                        "it starts at {start}, and another source ends at {newest}: the seek bar \
                         covers the years between"
                    );
                    findings.wrong(at, what);
                }
                (_, Some(end), _) => {
                    findings.wrong(at, format!("it ends at {end}, far after today"));
                }
                _ => findings.right(),
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
