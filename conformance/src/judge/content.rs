//! What is in the bodies.

use super::{at, each_source, each_source_but, no_sources, tell, why_unread};
use crate::examine::{Facts, Fault};
use crate::findings::Findings;
use crate::observe::{End, Observations};

pub(crate) fn is_mcap(seen: &Observations, findings: &mut Findings) {
    if seen.sources.is_empty() {
        no_sources(seen, findings);
    }
    for source in &seen.sources {
        match source.facts() {
            Some(facts) if facts.has_header => findings.right(),
            Some(facts) if facts.stopped == Some(Fault::NotMcap) => {
                let kind = source.first.as_ref().and_then(|reading| {
                    reading.head.as_ref().ok()?.content_type.as_deref().map(crate::shown::tamed)
                });
                let kind = kind.map_or(String::new(), |kind| format!(" (Content-Type: {kind})"));
                let what = format!("the body begins with {}{kind}", facts.begins_with());
                findings.wrong(source.place(), what);
            }
            _ => findings.unseen(source.place(), why_unread(source)),
        }
    }
}

pub(crate) fn complete(seen: &Observations, findings: &mut Findings) {
    // What is in a record does not matter to it.
    let not_looked_at = |_: &Facts| None;
    each_source_but(
        seen,
        findings,
        |_| true,
        |source, facts, findings| {
            let Some(reading) = &source.first else { return true };
            if let End::Broken(why) = &reading.end {
                let what = format!("after {} bytes {why}", facts.bytes);
                findings.wrong(source.place(), what);
                return false;
            }
            if !facts.has_header {
                findings.unseen(source.place(), "it is no MCAP");
                return false;
            }
            for noted in &facts.incomplete.first {
                findings.wrong(at(source, noted), &*noted.what);
            }
            if facts.incomplete.count == 0
                && let Some(broke) = &reading.broke
            {
                findings.advise(source.place(), format!("{broke}; asked again, it came further"));
                return false;
            }
            facts.incomplete.count == 0
        },
        not_looked_at,
    );
}

pub(crate) fn valid(seen: &Observations, findings: &mut Findings) {
    each_source(
        seen,
        findings,
        |_| true,
        |source, facts, findings| {
            tell(source, &facts.invalid, findings);
            facts.invalid.count == 0
        },
    );
}

pub(crate) fn checksums(seen: &Observations, findings: &mut Findings) {
    each_source_but(
        seen,
        findings,
        |_| true,
        |source, facts, findings| {
            tell(source, &facts.checksums, findings);
            if facts.checksums.count == 0 && facts.without_checksum > 0 && facts.complete {
                let what = format!(
                    "{} of {} chunks have no checksum, so that a damaged one cannot be told",
                    facts.without_checksum, facts.chunks
                );
                findings.advise(source.place(), what);
                return false;
            }
            facts.checksums.count == 0
        },
        Facts::unverified,
    );
}

pub(crate) fn order(seen: &Observations, findings: &mut Findings) {
    each_source(
        seen,
        findings,
        |source| !source.is_static(),
        |source, facts, findings| {
            tell(source, &facts.disorder, findings);
            facts.disorder.count == 0
        },
    );
}
