//! What the messages are, against what the manifest says of them.

use std::collections::BTreeMap;

use rdl_wire::Source;

use super::manifest::place;
use super::{each_source, no_sources, tell};
use crate::findings::Findings;
use crate::observe::{ManifestSeen, Observations, SourceSeen};
use crate::report::Place;
use crate::shown::tamed;

pub(crate) fn declared(seen: &Observations, findings: &mut Findings) {
    each_source(
        seen,
        findings,
        |source| !source.is_static(),
        |source, facts, findings| {
            tell(source, &facts.undeclared, findings);
            facts.undeclared.count == 0
        },
    );
}

pub(crate) fn as_declared(seen: &Observations, findings: &mut Findings) {
    each_source(
        seen,
        findings,
        |source| !source.is_static(),
        |source, facts, findings| {
            tell(source, &facts.mismatched, findings);
            facts.mismatched.count == 0
        },
    );
}

/// Over a whole manifest: a source of ten seconds need not have every topic.
pub(crate) fn seen(seen: &Observations, findings: &mut Findings) {
    if seen.sources.is_empty() {
        no_sources(seen, findings);
    }
    for manifest in &seen.manifests {
        let of_it = |source: &&SourceSeen| source.is_in(manifest.number);
        let sources: Vec<&SourceSeen> = seen.sources.iter().filter(of_it).collect();
        judge_topics(manifest, &sources, findings);
    }
}

fn judge_topics(manifest: &ManifestSeen, sources: &[&SourceSeen], findings: &mut Findings) {
    // What was declared, and whether it was seen, or may be where nobody looked.
    let mut topics: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    for source in sources {
        let Source::Streamed(streamed) = &*source.declared else { continue };
        let is_whole = source.facts().is_some_and(crate::examine::Facts::is_whole);
        for topic in &streamed.topics {
            let name = tamed(&topic.name);
            let has = source.facts().is_some_and(|facts| facts.topics.contains_key(&name));
            let (found, unread) = topics.entry(name).or_default();
            *found |= has;
            *unread |= !is_whole;
        }
    }
    for (topic, (found, unread)) in topics {
        let at = Place { topic: Some(topic), ..place(manifest) };
        match (found, unread) {
            (true, _) => findings.right(),
            (false, true) => findings.unseen(at, "not every source that declares it was read"),
            (false, false) => {
                findings.wrong(at, "it is declared, and no source has a message of it");
            }
        }
    }
}

pub(crate) fn canonical(seen: &Observations, findings: &mut Findings) {
    each_source(
        seen,
        findings,
        |source| !source.is_static(),
        |source, facts, findings| {
            if facts.not_canonical > 0 {
                let what = format!(
                    "{} of {} schemas and channels have other ids: the loader writes its chunks anew, \
                 once, when it loads the source",
                    facts.not_canonical, facts.ids
                );
                findings.wrong(source.place(), what);
            }
            facts.not_canonical == 0
        },
    );
}
