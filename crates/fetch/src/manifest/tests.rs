use std::time::Duration;

use rdl_model::{ErrorKind, ProblemCode};

use super::*;
use crate::testing::{Backend, Reply, assert_discreet, token};

const BODY: &str = r#"{"name":"r","sources":[{"url":"/a.mcap","supportsRangeRequests":true}]}"#;

fn ok() -> Reply {
    Reply::new(200, &[], BODY.as_bytes())
}

fn manifests(config: FetchConfig) -> ManifestClient {
    let config = Arc::new(config);
    ManifestClient::new(config.clone(), HttpClient::new(config).unwrap())
}

fn params(pairs: &[(&str, &str)]) -> ManifestParams {
    ManifestParams(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
}

async fn fails(manifests: &ManifestClient) -> FetchError {
    let asked = manifests.fetch(&params(&[("k", "s3cr3t")]), Some(&token())).await;
    let error = asked.unwrap_err();
    assert_discreet(&error);
    error
}

#[tokio::test]
async fn parameters_keep_their_order_and_duplicates() {
    let backend = Backend::start(|_| ok()).await;
    let mut config = backend.config();
    config.manifest_endpoint.set_query(Some("tenant=7&x=%20"));
    let asked = params(&[("b", "2"), ("a", "1 &"), ("b", "2")]);
    let manifest = manifests(config.clone()).fetch(&asked, None).await.unwrap();
    assert_eq!(manifest.sources[0].url(), &backend.at("/a.mcap"));
    manifests(config).fetch(&ManifestParams::default(), None).await.unwrap();
    let targets: Vec<_> = backend.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/manifest?tenant=7&x=%20&b=2&a=1+%26&b=2", "/manifest?tenant=7&x=%20"]);
}

#[tokio::test]
async fn statuses_and_messages_are_carried() {
    for (status, kind) in [
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::NotFound),
        (408, ErrorKind::GatewayTimeout),
        (410, ErrorKind::BadGateway),
        (504, ErrorKind::GatewayTimeout),
        (500, ErrorKind::BadGateway),
    ] {
        let message = [("x-foxglove-error-message", "ask Ann")];
        let backend = Backend::start(move |_| Reply::new(status, &message, b"")).await;
        let mut config = backend.config();
        config.manifest_retry_for = Duration::ZERO;
        let error = fails(&manifests(config)).await;
        assert_eq!((error.kind(), error.user_message()), (kind, Some("ask Ann")), "{status}");
    }
}

#[tokio::test]
async fn passing_faults_are_retried() {
    let backend = Backend::start(|seen| match seen.number {
        0 => Reply::new(503, &[], b""),
        1 => Reply::nothing(),
        2 => Reply::new(200, &[("Content-Length", "500")], b"{"),
        _ => ok(),
    })
    .await;
    manifests(backend.config()).fetch(&params(&[]), None).await.unwrap();
    assert_eq!(backend.seen().len(), 4);
}

#[tokio::test]
async fn refusals_and_exhausted_retries_are_final() {
    for (status, retry_for) in [(403, 5), (404, 5), (501, 5), (503, 0)] {
        let backend = Backend::start(move |_| Reply::new(status, &[], b"")).await;
        let mut config = backend.config();
        config.manifest_retry_for = Duration::from_secs(retry_for);
        fails(&manifests(config)).await;
        assert_eq!(backend.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn the_body_is_bounded_while_it_comes() {
    let announced = Reply::new(200, &[("Content-Length", "99999999999")], b"").then_hang();
    let endless = Reply::new(200, &[("X-Until-Close", "1")], &[b' '; 300_000]).then_hang();
    for reply in [announced, endless] {
        let backend = Backend::start(move |_| reply.clone()).await;
        let mut config = backend.config();
        config.manifest_max_bytes = 1000;
        let error = fails(&manifests(config)).await;
        assert!(matches!(error, FetchError::TooLarge { .. }), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::BadGateway);
    }
}

#[tokio::test]
async fn slow_bodies_time_out() {
    let stuck = || Reply::new(200, &[("Content-Length", "500")], b"{").then_hang();
    let backend = Backend::start(move |_| stuck()).await;
    let mut stall = backend.config();
    stall.stall_timeout = Duration::from_millis(30);
    let mut whole = backend.config();
    whole.manifest_timeout = Duration::from_millis(30);
    for config in [stall, whole] {
        let error = fails(&manifests(config)).await;
        assert_eq!(error.kind(), ErrorKind::GatewayTimeout, "{error:?}");
    }
    assert!(backend.seen().len() <= 2, "a slow answer is not asked for again");
}

#[tokio::test]
async fn nonsense_names_its_place() {
    let body = br#"{"sources":[{"url":"http:/x?k=s3cr3t","supportsRangeRequests":1,"topics":3}]}"#;
    let backend = Backend::start(|_| Reply::new(200, &[], body)).await;
    let error = fails(&manifests(backend.config())).await;
    assert!(error.to_string().contains("/manifest: sources[0].topics: invalid type"), "{error}");
    assert_eq!(error.kind(), ErrorKind::BadGateway);
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn identical_requests_share_one_fetch() {
    let backend = Backend::start(|_| ok().after(Duration::from_millis(100))).await;
    let manifests = manifests(backend.config());
    let (a, b) = (params(&[("r", "a")]), params(&[("r", "b")]));
    let (ann, bob) = (token(), Token::new("other"));
    let asked = futures::join!(
        manifests.fetch(&a, Some(&ann)),
        manifests.fetch(&a, Some(&ann)),
        manifests.fetch_fresh(&a, Some(&ann)),
        manifests.fetch(&b, Some(&ann)),
        manifests.fetch(&a, Some(&bob)),
        manifests.fetch(&a, None),
    );
    assert!(Arc::ptr_eq(&asked.0.unwrap().manifest, &asked.1.unwrap().manifest));
    assert_eq!(backend.seen().len(), 4);
    // Nothing is kept without a cache.
    manifests.fetch(&a, Some(&ann)).await.unwrap();
    assert_eq!(backend.seen().len(), 5);
    assert!(manifests.0.state.lock().flights.is_empty());
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_nobody() {
    let backend = Backend::start(|_| ok().after(Duration::from_millis(100))).await;
    let manifests = manifests(backend.config());
    let asked = params(&[]);
    assert!(manifests.fetch(&asked, None).now_or_never().is_none());
    manifests.fetch(&asked, None).await.unwrap();
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn the_cache_is_by_token_and_never_keeps_errors() {
    let backend = Backend::start(|seen| match seen.number {
        0 => Reply::new(404, &[], b""),
        _ => ok(),
    })
    .await;
    let mut config = backend.config();
    config.manifest_cache_ttl = Duration::from_secs(20);
    let manifests = manifests(config);
    let asked = params(&[]);
    assert!(manifests.fetch(&asked, None).await.is_err());
    let mut count = 1;
    for (token, fresh, asks) in [
        (None, false, true),
        (None, false, false),
        (Some(token()), false, true),
        (Some(token()), false, false),
        (None, true, true),
        (None, false, false),
    ] {
        match fresh {
            true => manifests.fetch_fresh(&asked, token.as_ref()).await.unwrap(),
            false => manifests.fetch(&asked, token.as_ref()).await.unwrap(),
        };
        count += usize::from(asks);
        assert_eq!(backend.seen().len(), count);
    }
}

#[tokio::test]
async fn a_refusal_ends_what_was_kept_and_trouble_does_not() {
    for (status, asks_again) in [(401, true), (403, true), (404, true), (500, false)] {
        let backend = Backend::start(move |seen| match seen.number {
            1 => Reply::new(status, &[], b""),
            _ => ok(),
        })
        .await;
        let mut config = backend.config();
        config.manifest_cache_ttl = Duration::from_secs(20);
        config.manifest_retry_for = Duration::ZERO;
        let manifests = manifests(config);
        let asked = params(&[]);
        manifests.fetch(&asked, None).await.unwrap();
        assert!(manifests.fetch_fresh(&asked, None).await.is_err());
        manifests.fetch(&asked, None).await.unwrap();
        assert_eq!(backend.seen().len(), 2 + usize::from(asks_again), "{status}");
    }
}

#[tokio::test]
async fn a_manifest_tells_when_it_was_asked_for() {
    let backend = Backend::start(|_| ok().after(Duration::from_millis(100))).await;
    let mut config = backend.config();
    config.manifest_cache_ttl = Duration::from_secs(20);
    let manifests = manifests(config);
    let begun = Instant::now();
    let first = manifests.fetch(&params(&[]), None).await.unwrap();
    assert!(first.asked.elapsed() >= Duration::from_millis(100) && first.asked >= begun);
    assert_eq!(manifests.fetch(&params(&[]), None).await.unwrap().asked, first.asked);
    assert!(manifests.fetch_fresh(&params(&[]), None).await.unwrap().asked > first.asked);
}

#[tokio::test]
async fn urls_that_change_are_a_problem() {
    let backend = Backend::start(|seen| {
        let body = BODY.replace("a.mcap", &format!("a.mcap?nonce={}", seen.number));
        Reply::new(200, &[], body.as_bytes())
    })
    .await;
    let manifests = manifests(backend.config());
    let first = manifests.fetch(&params(&[]), None).await.unwrap();
    assert_eq!(first.problems, []);
    let second = manifests.fetch(&params(&[]), None).await.unwrap();
    assert_eq!(second.problems[0].code, ProblemCode::SourceUrlNotStable);
    assert!(!second.problems[0].message.contains("nonce"));
}
