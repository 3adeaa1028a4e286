//! What sources are called, and whether that is always the same data.

use std::collections::{BTreeMap, BTreeSet};

use rdl_model::ProblemCode;
use rdl_wire::{Manifest, Source, StreamedSource, redacted, signature};
use url::Url;

use super::manifest::{NO_MANIFEST, place};
use super::why_unread;
use crate::examine::{Compared, Facts};
use crate::findings::Findings;
use crate::observe::{End, ManifestSeen, Observations, SourceSeen};
use crate::report::Place;
use crate::shown::tamed;

fn with_ids(manifest: &Manifest) -> impl Iterator<Item = (&str, &StreamedSource)> {
    manifest.sources.iter().filter_map(|source| match source {
        Source::Streamed(streamed) => Some((streamed.id.as_deref()?, streamed)),
        Source::Static(_) => None,
    })
}

/// What two sources with one id declare differently; none when they declare the same.
fn differs(one: &StreamedSource, other: &StreamedSource) -> Option<&'static str> {
    if one.topics != other.topics {
        Some("topics")
    } else if one.schemas != other.schemas {
        Some("schemas")
    } else if (one.start, one.end) != (other.start, other.end) {
        Some("times")
    } else {
        None
    }
}

fn parsed(manifest: &ManifestSeen) -> Option<&Manifest> {
    manifest.parsed.as_ref()?.as_ref().ok()
}

pub(crate) fn id_unique(seen: &Observations, findings: &mut Findings) {
    // Ids of which something is wrong already.
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut known: BTreeMap<&str, (usize, &StreamedSource)> = BTreeMap::new();
    for manifest in &seen.manifests {
        let Some(read) = parsed(manifest) else {
            findings.unseen(place(manifest), NO_MANIFEST);
            continue;
        };
        for problem in &read.problems {
            if problem.code == ProblemCode::DuplicateSourceId {
                let source = problem.source.as_deref().map(tamed);
                let what = "two sources of this manifest have this id, and declare different data";
                findings.wrong(Place { source, ..place(manifest) }, what);
                told.extend(problem.source.as_deref());
            }
        }
        twice(manifest, read, findings);
        for (id, source) in with_ids(read) {
            let (number, first) = *known.entry(id).or_insert((manifest.number, source));
            if let Some(what) = differs(first, source) {
                let at = Place { source: Some(tamed(id)), ..place(manifest) };
                findings.wrong(at, format!("it declares other {what} than in manifest {number}"));
                told.insert(id);
            }
        }
    }
    let mut by_id: BTreeMap<&str, Vec<&SourceSeen>> = BTreeMap::new();
    for source in &seen.sources {
        if let Some(id) = source.id().filter(|id| !told.contains(id)) {
            by_id.entry(id).or_default().push(source);
        }
    }
    for sources in by_id.values() {
        if let [first, others @ ..] = sources.as_slice() {
            one_data(first, others, findings);
        }
    }
}

/// Sources that stand in one manifest twice, of which the loader reads one.
fn twice(manifest: &ManifestSeen, read: &Manifest, findings: &mut Findings) {
    let url = |source: &Source| signature::without_signature(source.url());
    let names: BTreeMap<String, Url> =
        read.sources.iter().map(|source| (source.name(), url(source))).collect();
    for source in &manifest.dropped {
        let at = Place { source: Some(tamed(&source.name())), ..place(manifest) };
        let what = match names.get(&source.name()) {
            Some(first) if *first != url(source) => {
                "this manifest names it twice, with two URLs: a loader reads the first alone"
            }
            _ => "this manifest names it twice: a loader reads the first alone",
        };
        findings.advise(at, what);
    }
}

/// Whether one id at several URLs is the same data, by the messages of each.
fn one_data(first: &SourceSeen, others: &[&SourceSeen], findings: &mut Findings) {
    let is_whole = |source: &SourceSeen| {
        source.first.as_ref().is_some_and(|reading| reading.end == End::Whole)
    };
    let mut is_right = true;
    for other in others {
        let compared = match (first.facts(), other.facts()) {
            (Some(one), Some(two)) => {
                Some(one.marks.compare(&two.marks, is_whole(first) && is_whole(other)))
            }
            _ => None,
        };
        match compared {
            Some(Compared::Same(_)) => {}
            Some(Compared::Differ(..)) => {
                is_right = false;
                let what = "it has other messages at another of its URLs: a viewer gets those that \
                            were loaded first";
                findings.wrong(other.place(), what);
            }
            Some(Compared::Begin(_)) | None => {
                is_right = false;
                let unread = if first.facts().is_some_and(Facts::is_whole) { other } else { first };
                let why = why_unread(unread);
                let what = format!("the data at its several URLs could not be compared: {why}");
                findings.unseen(other.place(), what);
            }
        }
    }
    if is_right {
        findings.right();
    }
}

pub(crate) fn id_stable(seen: &Observations, findings: &mut Findings) {
    for manifest in &seen.manifests {
        let (Some(first), Some(again)) = (parsed(manifest), &manifest.again) else {
            findings.unseen(place(manifest), NO_MANIFEST);
            continue;
        };
        let again = match again {
            Ok(again) => again,
            Err(why) => {
                findings
                    .wrong(place(manifest), format!("asked again, there was no manifest: {why}"));
                continue;
            }
        };
        let later: BTreeMap<&str, &StreamedSource> = with_ids(again).collect();
        for (id, source) in with_ids(first) {
            let at = Place { source: Some(tamed(id)), ..place(manifest) };
            match later.get(id) {
                None => findings.wrong(at, "asked again, the manifest has no source of this id"),
                Some(other) => match differs(source, other) {
                    Some(what) => {
                        findings.wrong(at, format!("asked again, it declares other {what}"));
                    }
                    None => findings.right(),
                },
            }
        }
    }
}

pub(crate) fn url_stable(seen: &Observations, findings: &mut Findings) {
    for manifest in &seen.manifests {
        let (Some(first), Some(Ok(again))) = (parsed(manifest), &manifest.again) else {
            findings.unseen(place(manifest), NO_MANIFEST);
            continue;
        };
        let later: BTreeSet<Url> =
            again.sources.iter().map(|source| signature::without_signature(source.url())).collect();
        for source in &first.sources {
            if matches!(source, Source::Streamed(StreamedSource { id: Some(_), .. })) {
                continue;
            }
            if later.contains(&signature::without_signature(source.url())) {
                findings.right();
            } else {
                let at = Place { source: Some(tamed(&redacted(source.url()))), ..place(manifest) };
                findings.wrong(
                    at,
                    "its URL is another at each request, and it has no id: nothing of it can be kept",
                );
            }
        }
    }
}
