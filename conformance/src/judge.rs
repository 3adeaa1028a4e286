//! Holds what was seen against the rules. One function a rule; the table is in `rules.rs`.

pub(crate) mod auth;
pub(crate) mod channels;
pub(crate) mod content;
pub(crate) mod delivery;
pub(crate) mod https;
pub(crate) mod ids;
pub(crate) mod manifest;
pub(crate) mod ranges;
pub(crate) mod sizes;
pub(crate) mod times;

use crate::examine::{Facts, Noted, Notes};
use crate::findings::Findings;
use crate::observe::{End, Observations, SourceSeen};
use crate::report::{ManifestReport, Outcome, Place, Report, Summary};
use crate::rules::RULES;

/// Judges every rule.
pub(crate) fn judge(seen: &Observations) -> Report {
    let rules: Vec<_> = RULES
        .iter()
        .map(|rule| {
            let mut findings = Findings::new(rule);
            (rule.judge)(seen, &mut findings);
            findings.into_report()
        })
        .collect();
    let with = |outcome| rules.iter().filter(|rule| rule.outcome == outcome).count();
    let facts = || seen.sources.iter().filter_map(SourceSeen::facts);
    let again = seen.sources.iter().filter_map(|source| source.second.as_ref());
    let summary = Summary {
        pass: with(Outcome::Pass),
        fail: with(Outcome::Fail),
        advice: with(Outcome::Advice),
        not_observed: with(Outcome::NotObserved),
        sources: facts().count(),
        bytes: facts().map(|facts| facts.bytes).chain(again.map(|again| again.bytes)).sum(),
        messages: facts().map(|facts| facts.messages).sum(),
    };
    let manifests = seen.manifests.iter().map(|manifest| ManifestReport {
        number: manifest.number,
        url: manifest.shown.clone(),
        sources: match &manifest.parsed {
            Some(Ok(parsed)) => Some(parsed.sources.len()),
            _ => None,
        },
    });
    Report { version: 1, manifests: manifests.collect(), rules, summary }
}

/// The source, and a place in it.
fn at(source: &SourceSeen, noted: &Noted) -> Place {
    Place {
        topic: noted.topic.clone(),
        message: noted.message,
        byte: noted.byte,
        time: noted.time.map(|time| time.to_string()),
        ..source.place()
    }
}

/// Tells every place that was noted.
fn tell(source: &SourceSeen, notes: &Notes, findings: &mut Findings) {
    let untold = notes.count - notes.first.len() as u64;
    for (number, noted) in notes.first.iter().enumerate() {
        // The last one stands for those that were not noted.
        let times = if number + 1 == notes.first.len() { 1 + untold } else { 1 };
        findings.wrong_times(at(source, noted), &*noted.what, times);
    }
}

/// Why what a source holds is not known, in one line.
fn why_unread(source: &SourceSeen) -> String {
    match (&source.skipped, &source.first) {
        (Some(skipped), _) => skipped.why().to_owned(),
        (None, None) => "it was not asked".to_owned(),
        (None, Some(reading)) => match &reading.end {
            End::Cut(why) => why.clone(),
            End::Broken(_) => "it broke off".to_owned(),
            End::Stopped if source.facts().is_some_and(|facts| !facts.has_header) => {
                "it is no MCAP".to_owned()
            }
            End::Stopped => "the rest of it cannot be read".to_owned(),
            End::Unread | End::Whole => match source.facts().and_then(Facts::not_looked_into) {
                Some(why) => why.to_owned(),
                None => "it gave no MCAP".to_owned(),
            },
        },
    }
}

/// For each source that fits: `judge` says what is wrong in its facts; a source in which nothing
/// is wrong is right when all of it was looked at, and else unseen.
fn each_source(
    seen: &Observations,
    findings: &mut Findings,
    fits: impl Fn(&SourceSeen) -> bool,
    judge: impl Fn(&SourceSeen, &Facts, &mut Findings) -> bool,
) {
    each_source_but(seen, findings, fits, judge, Facts::not_looked_into);
}

/// The same for a rule that is about less than all: why not all of that was looked at.
fn each_source_but(
    seen: &Observations,
    findings: &mut Findings,
    fits: impl Fn(&SourceSeen) -> bool,
    judge: impl Fn(&SourceSeen, &Facts, &mut Findings) -> bool,
    not_looked_at: impl Fn(&Facts) -> Option<&'static str>,
) {
    if seen.sources.is_empty() {
        no_sources(seen, findings);
    }
    for source in seen.sources.iter().filter(|source| fits(source)) {
        let Some(facts) = source.facts() else {
            findings.unseen(source.place(), why_unread(source));
            continue;
        };
        if !judge(source, facts, findings) {
            continue;
        }
        if !facts.complete {
            findings.unseen(source.place(), why_unread(source));
        } else if let Some(why) = not_looked_at(facts) {
            findings.unseen(source.place(), why);
        } else {
            findings.right();
        }
    }
}

/// Says why there are no sources.
fn no_sources(seen: &Observations, findings: &mut Findings) {
    for manifest in &seen.manifests {
        let place = Place { manifest: Some(manifest.number), ..Place::default() };
        match &manifest.parsed {
            Some(Ok(_)) => findings.unseen(place, "the manifest names no source"),
            _ => findings.unseen(place, "no manifest was read"),
        }
    }
}
