use std::collections::HashSet;

use rdl_model::SourceKey;
use rdl_wire::{Manifest, ManifestLimits, Source, parse_manifest};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

#[derive(Deserialize)]
struct Sources<'a> {
    #[serde(borrow)]
    sources: Vec<&'a RawValue>,
}

/// The sources of `body` that `manifest`, which was read from it, leaves out because one with their
/// key stands before them.
pub(super) fn dropped(body: &str, manifest: &Manifest, endpoint: &Url) -> Vec<Source> {
    let Ok(Sources { sources }) = serde_json::from_str(body) else { return Vec::new() };
    if sources.len() == manifest.sources.len() {
        return Vec::new();
    }
    let mut known: HashSet<SourceKey> = HashSet::new();
    let mut dropped = Vec::new();
    for raw in sources {
        let alone = format!("{{\"sources\":[{}]}}", raw.get());
        let read = parse_manifest(alone.as_bytes(), endpoint, &ManifestLimits::default(), true);
        for source in read.into_iter().flat_map(|read| read.sources) {
            if !known.insert(source.key(endpoint)) {
                dropped.push(source);
            }
        }
    }
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_twice_is_found() {
        let source = |id: &str, url: &str| {
            format!(
                r#"{{"id":"{id}","url":"{url}","topics":[],"schemas":[],
                "startTime":"2026-01-31T09:30:00Z","endTime":"2026-01-31T09:30:00Z"}}"#
            )
        };
        let endpoint: Url = "https://h/manifest".parse().unwrap();
        let found = |sources: &[String]| {
            let body = format!("{{\"sources\":[{}]}}", sources.join(","));
            let limits = ManifestLimits::default();
            let manifest = parse_manifest(body.as_bytes(), &endpoint, &limits, true).unwrap();
            let found = dropped(&body, &manifest, &endpoint);
            found.iter().map(|source| source.url().to_string()).collect::<Vec<_>>()
        };
        assert!(found(&[source("a", "/a"), source("b", "/b")]).is_empty());
        let twice = [source("a", "/a"), source("b", "/b"), source("a", "/other")];
        assert_eq!(found(&twice), ["https://h/other"]);
    }
}
