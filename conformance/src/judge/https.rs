//! Where things lie.

use std::collections::BTreeSet;

use url::Url;

use super::manifest::place;
use crate::findings::Findings;
use crate::http_client::{Failure, FailureKind, Head, is_loopback};
use crate::observe::{Observations, Skipped};
use crate::report::Place;

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
        let was_refused = source.skipped == Some(Skipped::PlainHttp);
        judge(source.declared.url(), source.place(), was_refused, findings);
        if let Some(reading) = &source.first {
            redirects(reading.head.as_ref(), source.declared.url(), source.place(), findings);
        }
    }
}

/// Where a redirect led.
fn redirects(head: Result<&Head, &Failure>, url: &Url, at: Place, findings: &mut Findings) {
    match head {
        Err(failure) if failure.kind == FailureKind::PlainHttp => {
            findings.wrong(at, format!("it redirects: {}", failure.what));
        }
        Ok(Head { http_hop: Some(hop), .. }) if url.scheme() == "https" => {
            findings.advise(at, format!("it redirects to {hop}, which is plain http"));
        }
        _ => {}
    }
}
