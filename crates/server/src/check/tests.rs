use rdl_conformance::{CheckOptions, Outcome};
use url::Url;

use crate::demo;

/// The demo's backend is what others are told to do.
#[tokio::test]
async fn the_demo_backend_keeps_every_rule() {
    let backend = demo::start_backend().await.unwrap();
    let mut manifest: Url = backend.manifest_endpoint().clone();
    manifest.set_query(Some("recording=demo-drive"));
    let report = rdl_conformance::check(&CheckOptions::new(vec![manifest])).await.unwrap();
    let not_passed: Vec<(&str, Outcome, &str)> = report
        .rules
        .iter()
        .filter(|rule| rule.outcome != Outcome::Pass)
        .map(|rule| (rule.name, rule.outcome, rule.found.as_str()))
        .collect();
    // Plain http, ids that count from 1, and what is not asked for or takes no time.
    let expected = [
        ("https", Outcome::Advice),
        ("auth-manifest", Outcome::NotObserved),
        ("auth-data", Outcome::NotObserved),
        ("streams-as-made", Outcome::NotObserved),
        ("flushes", Outcome::NotObserved),
        ("canonical-ids", Outcome::Advice),
    ];
    let found: Vec<(&str, Outcome)> =
        not_passed.iter().map(|(name, outcome, _)| (*name, *outcome)).collect();
    // How long a body takes, and how much of it comes at once, is not the backend's doing alone.
    let timed = |name: &str| matches!(name, "streams-as-made" | "flushes" | "client-leaves");
    let without_time = |all: &[(&'static str, Outcome)]| -> Vec<_> {
        all.iter().filter(|(name, _)| !timed(name)).copied().collect()
    };
    assert_eq!(without_time(&found), without_time(&expected), "{not_passed:?}");
    assert_eq!(report.summary.sources, 14);
}
