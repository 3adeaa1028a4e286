//! Where things lie, and what they are called.

use std::collections::{BTreeMap, BTreeSet};

use rdl_model::ProblemCode;
use rdl_wire::{Manifest, Source, StreamedSource, redacted, signature};
use url::Url;

use super::manifest::{NO_MANIFEST, place};
use crate::findings::Findings;
use crate::http_client::{Failure, Head, is_loopback};
use crate::observe::{ManifestSeen, Observations};
use crate::report::Place;
use crate::shown::tamed;

pub(crate) fn https(seen: &Observations, findings: &mut Findings) {
    let mut told: BTreeSet<String> = BTreeSet::new();
    let mut judge = |url: &Url, at: Place, was_refused: bool, findings: &mut Findings| {
        if url.scheme() == "https" {
            findings.right();
            return;
        }
        // A hundred sources on one host are one finding.
        let origin = url.origin().ascii_serialization();
        if !told.insert(origin.clone()) {
            return;
        }
        if was_refused {
            let what = format!("{origin} is plain http, which the loader refuses; use https");
            findings.wrong(at, what);
        } else if is_loopback(url) {
            findings
                .advise(at, format!("{origin} is plain http, which is fine on this machine only"));
        } else {
            let what = format!("{origin} is plain http: tokens and data travel unencrypted");
            findings.advise(at, what);
        }
    };
    for manifest in &seen.manifests {
        judge(&manifest.url, place(manifest), manifest.refused_http, findings);
        if !manifest.refused_http {
            let head = manifest.first.as_ref().map(|body| &body.head);
            redirects(head, &manifest.url, place(manifest), findings);
        }
    }
    for source in &seen.sources {
        let was_refused = source.skipped.is_some_and(|why| why.contains("plain http"));
        judge(source.declared.url(), source.place(), was_refused, findings);
        if let Some(reading) = &source.first {
            redirects(reading.head.as_ref(), source.declared.url(), source.place(), findings);
        }
    }
}

/// Where a redirect led.
fn redirects(head: Result<&Head, &Failure>, url: &Url, at: Place, findings: &mut Findings) {
    match head {
        Err(failure) if failure.is_plain_http => {
            findings.wrong(at, format!("it redirects: {}", failure.what));
        }
        Ok(Head { http_hop: Some(hop), .. }) if url.scheme() == "https" => {
            findings.advise(at, format!("it redirects to {hop}, which is plain http"));
        }
        _ => {}
    }
}

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
            }
        }
        for (id, source) in with_ids(read) {
            let Some((number, first)) = known.get(id) else {
                known.insert(id, (manifest.number, source));
                findings.right();
                continue;
            };
            if let Some(what) = differs(first, source) {
                let at = Place { source: Some(tamed(id)), ..place(manifest) };
                findings.wrong(at, format!("it declares other {what} than in manifest {number}"));
            }
        }
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
